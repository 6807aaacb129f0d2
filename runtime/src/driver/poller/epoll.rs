//! Linux: one `epoll`, an eventfd to end a wait, a timerfd to end it in time.
//!
//! - A wait is one system call. Neither the eventfd nor the timerfd is ever read: they are registered edge-triggered,
//!   so that each write and each expiry is news once.
//! - The timerfd is set only when its setting would come too late or has come up already. One that comes too early,
//!   because the timer that asked for it was cancelled, ends one wait for nothing; most deadlines move forward, and
//!   then the setting serves many waits. It is exact, where the timeout of `epoll_pwait2` adds the thread's timer
//!   slack: 50 µs, or a thousandth of the wait.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::{Event, Key, Limit};
use crate::io::Ready;

/// Events hold the closing of either side, exactly (`EPOLLRDHUP`, `EPOLLHUP`).
pub(in crate::driver) const SAYS_CLOSED: bool = true;

/// Keys of the two descriptors of our own.
const WAKE: u64 = u32::MAX as u64;
const TIMER: u64 = 1 << 32 | u32::MAX as u64;

/// What a waiting thread keeps from wait to wait.
pub(in crate::driver) struct Events {
    buffer: Box<[EpollEvent]>,
    /// How many of them the last wait has fetched.
    count: usize,
    /// When the timerfd is going to expire, or has expired unheard; `None` once its event was fetched.
    set_to: Option<Instant>,
}

impl Events {
    /// For at most `capacity` events per wait; the rest is fetched by the next.
    pub(in crate::driver) fn with_capacity(capacity: NonZeroUsize) -> Events {
        Events { buffer: vec![EpollEvent::empty(); capacity.get()].into(), count: 0, set_to: None }
    }

    fn fetched(&self) -> &[EpollEvent] {
        &self.buffer[..self.count]
    }

    pub(in crate::driver) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        let foreign = self.fetched().iter().filter(|event| !matches!(event.data(), WAKE | TIMER));
        foreign.map(|event| Event { key: Key(event.data() as usize), ready: ready(event.events()) })
    }
}

/// An error is news for both directions: whoever attempts I/O is told what it is.
fn ready(flags: EpollFlags) -> Ready {
    use EpollFlags as Flags;
    const BROKEN: Flags = Flags::EPOLLHUP.union(Flags::EPOLLERR);
    const TABLE: [(Flags, Ready); 6] = [
        (Flags::EPOLLIN.union(Flags::EPOLLPRI).union(Flags::EPOLLRDHUP).union(BROKEN), Ready::READABLE),
        (Flags::EPOLLOUT.union(BROKEN), Ready::WRITABLE),
        (Flags::EPOLLRDHUP.union(Flags::EPOLLHUP), Ready::READ_CLOSED),
        (Flags::EPOLLHUP, Ready::WRITE_CLOSED),
        (Flags::EPOLLPRI, Ready::PRIORITY),
        (Flags::EPOLLERR, Ready::ERROR),
    ];
    let mut ready = Ready::EMPTY;
    for (any_of, means) in TABLE {
        if flags.intersects(any_of) {
            ready |= means;
        }
    }
    ready
}

/// The event queue.
#[derive(Debug)]
pub(in crate::driver) struct Poller {
    epoll: Epoll,
    wake: OwnedFd,
    timer: OwnedFd,
}

impl Poller {
    pub(in crate::driver) fn new() -> io::Result<Poller> {
        let poller = Poller {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
        };
        for (fd, key) in [(&poller.wake, WAKE), (&poller.timer, TIMER)] {
            poller.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, key))?;
        }
        Ok(poller)
    }

    /// Registers a descriptor for both directions. `delete` must follow before it is closed.
    pub(in crate::driver) fn add(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        use EpollFlags as Flags;
        // EPOLLHUP and EPOLLERR are always reported.
        let both = Flags::EPOLLIN | Flags::EPOLLOUT | Flags::EPOLLRDHUP | Flags::EPOLLPRI | Flags::EPOLLET;
        Ok(self.epoll.add(fd, EpollEvent::new(both, key.0 as u64))?)
    }

    pub(in crate::driver) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Replaces the contents of `events`. Returns early, with none, after `notify`; goes on after a signal. On an
    /// error `events` holds what was fetched before it, perhaps nothing.
    pub(in crate::driver) fn wait(&self, events: &mut Events, limit: Limit) -> io::Result<()> {
        events.count = 0;
        let timeout = match limit {
            Limit::Poll => EpollTimeout::ZERO,
            Limit::Forever => EpollTimeout::NONE,
            Limit::Until(deadline) => match self.set_timer(events, deadline)? {
                true => EpollTimeout::NONE,
                false => EpollTimeout::ZERO,
            },
        };
        events.count = loop {
            match self.epoll.wait(&mut events.buffer, timeout) {
                // The timer goes on, so there is nothing to compute anew.
                Err(Errno::EINTR) => {}
                result => break result?,
            }
        };
        if events.fetched().iter().any(|event| event.data() == TIMER) {
            events.set_to = None;
        }
        Ok(())
    }

    /// Sees to it that a wait ends at `deadline`, or earlier for nothing; false: the deadline has passed.
    fn set_timer(&self, events: &mut Events, deadline: Instant) -> io::Result<bool> {
        if events.set_to.is_some_and(|set_to| set_to <= deadline) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false); // and a timerfd set to zero would never expire
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // What the clock cannot express is beyond any wait.
        let value = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX / 2, tv_nsec: 0 });
        // The kernel adds its own, later reading of the clock: never early.
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value: value },
        )?;
        events.set_to = Some(deadline);
        Ok(true)
    }

    /// Ends the wait in progress, or else the next one. Several notifications may end a single wait.
    pub(in crate::driver) fn notify(&self) {
        // It fails only after 2^64 - 2 writes, since nobody reads; no machine lives to see that.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}
