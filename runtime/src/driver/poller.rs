//! The operating system's event queue: the only file that knows `polling`.
//!
//! Descriptors are registered once, for both directions, edge-triggered: an event says that something *changed*,
//! and it is `driver/io.rs` that remembers the state. The key of a registration is a slot of the registry plus a
//! generation, so that an event which was already fetched when its descriptor was closed (and its slot given to
//! another) is recognised as stale.
//!
//! **What edge mode asks of the readers.** Readiness may only be cleared after the kernel has said `EAGAIN`. A read
//! that returned fewer bytes than asked for also emptied the socket, but is no proof that another event will
//! follow: the end of the stream may have arrived before the event that is being served, and the kernel does not
//! announce it twice. With `EPOLLRDHUP` in the event one could tell; `polling` neither asks for it nor hands it on.
//! So a short read keeps the readiness, at the price of one `EAGAIN` per drained socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use polling::PollMode;

use crate::io::Ready;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a registration's key packs a 32-bit slot and a 32-bit generation into one usize");

/// Names one registration for ever: `generation << 32 | slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(usize);

impl Key {
    /// `slot` must be below `u32::MAX`, which keeps the key off the value that `polling` reserves.
    pub(super) fn new(slot: usize, generation: u32) -> Key {
        debug_assert!(slot < u32::MAX as usize);
        Key((generation as usize) << 32 | slot)
    }

    pub(super) fn slot(self) -> usize {
        self.0 & u32::MAX as usize
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One event: which registration, and what it is now ready for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) key: Key,
    pub(super) ready: Ready,
}

/// The buffer that a wait fills; reused from turn to turn.
pub(super) struct Events(polling::Events);

impl Events {
    pub(super) fn new() -> Events {
        Events(polling::Events::new())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|event| {
            let mut ready = Ready::EMPTY;
            if event.readable {
                ready |= Ready::READABLE;
            }
            if event.writable {
                ready |= Ready::WRITABLE;
            }
            if event.is_interrupt() {
                ready |= Ready::READ_CLOSED | Ready::WRITE_CLOSED;
            }
            if event.is_priority() {
                ready |= Ready::PRIORITY;
            }
            if event.is_err() == Some(true) {
                ready |= Ready::ERROR;
            }
            Event { key: Key(event.key), ready }
        })
    }
}

/// Until when a wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Fetch what is there, do not wait.
    Poll,
    /// Nanosecond precision (a timerfd on Linux).
    Until(Instant),
    /// Until an event or a notification.
    Forever,
}

/// The event queue. Registration and notification may run while another thread waits.
pub(super) struct Poller(polling::Poller);

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let poller = polling::Poller::new()?;
        if !poller.supports_edge() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the event queue of this platform has no edge-triggered mode, which the driver needs",
            ));
        }
        Ok(Poller(poller))
    }

    /// Registers a descriptor for both directions. `delete` must follow before it is closed.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        // SAFETY: the descriptor is open for the length of this call because it is borrowed. The callers' guards
        // delete it before they close it; one that is leaked instead stays open, and one closed behind our back
        // yields no more than events whose key no longer matches.
        unsafe { self.0.add_with_mode(fd.as_raw_fd(), polling::Event::all(key.0), PollMode::Edge) }
    }

    pub(super) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.0.delete(fd)
    }

    /// Replaces the contents of `events`. Returns early, with none, after `notify`; goes on after a signal. On an
    /// error `events` holds what was fetched before it, perhaps nothing.
    pub(super) fn wait(&self, events: &mut Events, limit: Limit) -> io::Result<()> {
        events.0.clear();
        match limit {
            Limit::Poll => self.0.wait(&mut events.0, Some(Duration::ZERO))?,
            Limit::Until(deadline) => self.0.wait_deadline(&mut events.0, deadline)?,
            Limit::Forever => self.0.wait(&mut events.0, None)?,
        };
        Ok(())
    }

    /// Ends the wait in progress, or else the next one. Several notifications may end a single wait.
    pub(super) fn notify(&self) {
        // The only failure is that of a write to our own eventfd: it is full, hence already readable.
        let _ = self.0.notify();
    }
}
