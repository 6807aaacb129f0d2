//! Everywhere but on Linux: the `polling` crate in its edge-triggered mode.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use polling::PollMode;

use super::{Event, Key, Limit};
use crate::io::Ready;

/// `polling` neither asks for nor hands on that only the peer's writing side is closed.
pub(in crate::driver) const SAYS_CLOSED: bool = false;

/// The buffer that a wait fills; reused from turn to turn.
pub(in crate::driver) struct Events(polling::Events);

impl Events {
    /// For at most `capacity` events per wait; the rest is fetched by the next.
    pub(in crate::driver) fn with_capacity(capacity: NonZeroUsize) -> Events {
        Events(polling::Events::with_capacity(capacity))
    }

    pub(in crate::driver) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
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

/// The event queue.
#[derive(Debug)]
pub(in crate::driver) struct Poller(polling::Poller);

impl Poller {
    pub(in crate::driver) fn new() -> io::Result<Poller> {
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
    pub(in crate::driver) fn add(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        // SAFETY: the descriptor is open for the length of this call because it is borrowed. The callers' guards
        // delete it before they close it; one that is leaked instead stays open, and one closed behind our back
        // yields no more than events whose key no longer matches.
        unsafe { self.0.add_with_mode(fd.as_raw_fd(), polling::Event::all(key.0), PollMode::Edge) }
    }

    pub(in crate::driver) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.0.delete(fd)
    }

    /// Replaces the contents of `events`. Returns early, with none, after `notify`; goes on after a signal. On an
    /// error `events` holds what was fetched before it, perhaps nothing.
    pub(in crate::driver) fn wait(&self, events: &mut Events, limit: Limit) -> io::Result<()> {
        events.0.clear();
        match limit {
            Limit::Poll => self.0.wait(&mut events.0, Some(Duration::ZERO))?,
            Limit::Until(deadline) => self.0.wait_deadline(&mut events.0, deadline)?,
            Limit::Forever => self.0.wait(&mut events.0, None)?,
        };
        Ok(())
    }

    /// Ends the wait in progress, or else the next one. Several notifications may end a single wait.
    pub(in crate::driver) fn notify(&self) {
        // The only failure is that of a write to its own eventfd or pipe: it is full, hence already readable.
        let _ = self.0.notify();
    }
}
