//! Leases: the right to read another process's segment, and how it gets back to the owner.
//!
//! A lease may be dropped by any thread at any time, long after the job it came with. So its end is only noted, in the
//! [`Outbox`] of the link it came through, whose owner sends the notes with its next message. The outbox's lock is a
//! leaf: nothing is called while it is held.

use super::segment::Map;
use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The numbers of ended leases, until a link sends them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Something may lie in `ended`. Only spares a lock: a `true` that is seen late is sent with the message after.
    filled: AtomicBool,
    ended: Mutex<Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    numbers: Vec<u64>,
    /// The link is gone: nobody waits for the numbers.
    closed: bool,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, number: u64) {
        let mut ended = self.lock();
        if !ended.closed {
            ended.numbers.push(number);
            self.filled.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn take(&self) -> Vec<u64> {
        if !self.filled.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut ended = self.lock();
        self.filled.store(false, Ordering::Relaxed);
        mem::take(&mut ended.numbers)
    }

    pub(super) fn close(&self) {
        let mut ended = self.lock();
        ended.closed = true;
        ended.numbers = Vec::new();
    }
}

/// One use of another process's segment. Its owner does not touch the bytes before it hears of the end of this.
#[derive(Debug)]
pub(in crate::process_pool) struct Lease {
    map: Arc<Map>,
    /// The owner's number for this use.
    number: u64,
    /// The link it came through.
    link: u64,
    outbox: Arc<Outbox>,
    /// The use went back to the owner inside a message, so its end must not be told again. Relaxed: it is set by the
    /// holder of the only reference, and the count of references orders that before the drop.
    returned: AtomicBool,
}

impl Lease {
    pub(super) fn new(map: Arc<Map>, number: u64, link: u64, outbox: Arc<Outbox>) -> Self {
        Self { map, number, link, outbox, returned: AtomicBool::new(false) }
    }

    pub(super) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// The owner's number for this use, if it is the peer of that link.
    pub(super) fn number_at(&self, link: u64) -> Option<u64> {
        (self.link == link).then_some(self.number)
    }

    /// Gives the use back with the message that is about to be sent.
    pub(super) fn give_back(&self) {
        self.returned.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.returned.load(Ordering::Relaxed) {
            self.outbox.push(self.number);
        }
    }
}
