//! Where the two sides sleep: the worker on a futex in the page, the parent in some poller that watches an eventfd.
//! Only the system calls; the protocols are in `parent` and `worker`.

use super::page::AtomicU32;
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::futex;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A word to sleep on, shared between processes.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(super) struct Futex(AtomicU32);

impl Deref for Futex {
    type Target = AtomicU32;

    fn deref(&self) -> &AtomicU32 {
        &self.0
    }
}

impl Futex {
    /// Sleeps while the word is `expected`; may return early.
    pub(super) fn wait(&self, expected: u32) {
        // Errors are a word that changed (EAGAIN) or a signal (EINTR): the caller looks again in any case.
        let _ = futex::wait(&self.0, futex::Flags::empty(), expected, None);
    }

    /// Wakes who sleeps here.
    pub(super) fn wake(&self) {
        // It fails for bad addresses only.
        let _ = futex::wake(&self.0, futex::Flags::empty(), 1);
    }
}

/// The parent's alarm: an eventfd.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Bell {
        Bell(fd)
    }

    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    pub(super) fn ring(&self) {
        // EAGAIN: it has been rung 2^64 - 2 times in a row, and is ringing.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
