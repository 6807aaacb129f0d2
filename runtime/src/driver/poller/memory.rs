//! An event queue without descriptors, for runs under shuttle: it is notified, and it waits, in shuttle's time.

use super::{Event, Key, Limit};
use crate::sync::prim::{Condvar, Mutex, wait_until};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;

pub(in crate::driver) const SAYS_CLOSED: bool = false;

/// No event ever comes.
pub(in crate::driver) struct Events;

impl Events {
    pub(in crate::driver) fn with_capacity(_: NonZeroUsize) -> Events {
        Events
    }

    pub(in crate::driver) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        std::iter::empty()
    }
}

pub(in crate::driver) struct Poller {
    notified: Mutex<bool>,
    signal: Condvar,
}

impl Poller {
    pub(in crate::driver) fn new() -> io::Result<Poller> {
        Ok(Poller { notified: Mutex::new(false), signal: Condvar::new() })
    }

    pub(in crate::driver) fn add(&self, _: BorrowedFd<'_>, _: Key) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::driver) fn delete(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    pub(in crate::driver) fn wait(&self, _: &mut Events, limit: Limit) -> io::Result<()> {
        let mut notified = self.notified.lock();
        match limit {
            Limit::Poll => {}
            Limit::Until(deadline) if !*notified => {
                drop(notified);
                wait_until(deadline);
                notified = self.notified.lock();
            }
            Limit::Until(_) => {}
            Limit::Forever => {
                while !*notified {
                    notified = self.signal.wait(notified);
                }
            }
        }
        *notified = false;
        Ok(())
    }

    pub(in crate::driver) fn notify(&self) {
        *self.notified.lock() = true;
        self.signal.notify_all();
    }
}
