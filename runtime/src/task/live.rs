//! The tasks of a runtime that wait, so that shutdown can end each of them.
//!
//! A task is entered when its first poll has returned Pending, by the worker that polled it and in that worker's
//! shard, and leaves when its future is gone. Tasks that never wait are never entered; those that have not been polled
//! yet are in a queue. Once the list is closed it refuses, and the refused task ends at once.
//!
//! A shard is an array of headers, in blocks; a free slot holds the number of the next one, marked by its lowest bit. Its lock is
//! taken by its own worker, by one that ends a task which it has stolen, and at shutdown.
//!
//! Closing it aborts the tasks that are **idle**, and no others: a scheduled one is in a queue, where shutdown finds it;
//! one that is running may go idle a moment later. So each worker closes the list once more after its last poll.
//!
//! Lock order: a shard's lock is a leaf; tasks are queued and dropped outside of it.

use super::header::{Header, Notified};
use crate::sync::prim::Mutex;
use crossbeam_utils::CachePadded;
use std::ptr::{self, NonNull};

/// All waiting tasks of one runtime.
pub(crate) struct Live {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
}

struct Shard {
    closed: bool,
    /// Headers, and free slots: `next << 1 | 1`. In blocks, so that growing moves nothing: an array of a million entries
    /// would leave as much again behind, in places that the allocator cannot give back.
    blocks: Vec<Box<[*mut Header]>>,
    /// Slots that were ever used.
    used: usize,
    free: u32,
    len: usize,
}

/// Slots in a block: 8 KiB.
const BLOCK: usize = 1024;

// SAFETY: an entry is a task that has not ended, whose cell the scheduler's reference keeps; what is done with it
// under the lock is to change its state.
unsafe impl Send for Shard {}

/// No slot is free. One bit short, for the mark of a free slot.
const NONE: u32 = u32::MAX >> 1;
/// A shard that has more blocks than this gives its memory back when it is empty.
const BLOCKS_KEPT: usize = 4;

/// Where a task is entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) shard: u16,
    pub(super) slot: u32,
}

impl Live {
    /// One shard per worker.
    pub(crate) fn new(workers: usize) -> Live {
        let shard = || Shard { closed: false, blocks: Vec::new(), used: 0, free: NONE, len: 0 };
        Live { shards: (0..workers.max(1)).map(|_| CachePadded::new(Mutex::new(shard()))).collect() }
    }

    /// Enters a task that is running; `None` when the list is closed.
    pub(super) fn enter(&self, shard: usize, task: NonNull<Header>) -> Option<Place> {
        let slot = self.shards[shard].lock().insert(task)?;
        Some(Place { shard: shard as u16, slot })
    }

    /// Takes a task out.
    pub(super) fn leave(&self, place: Place) {
        let emptied = self.shards[usize::from(place.shard)].lock().remove(place.slot);
        drop(emptied);
    }

    /// Refuses all tasks from now on, and queues each one that is idle, to be ended.
    pub(crate) fn close_and_cancel(&self) {
        for shard in &self.shards {
            let tasks: Vec<_> = {
                let mut shard = shard.lock();
                shard.closed = true;
                shard.take_idle().collect()
            };
            tasks.into_iter().for_each(Notified::schedule);
        }
    }

    /// Has every task that was entered left? After `close_and_cancel` this stays true.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().len == 0)
    }
}

impl Shard {
    fn insert(&mut self, task: NonNull<Header>) -> Option<u32> {
        if self.closed {
            return None;
        }
        self.len += 1;
        let mut slot = self.free;
        if slot != NONE {
            self.free = (self.slot(slot).addr() >> 1) as u32;
        } else {
            slot = self.used as u32;
            if slot == NONE {
                // Two thousand million tasks would fill any memory before.
                std::process::abort();
            }
            if self.used.is_multiple_of(BLOCK) {
                self.blocks.push(vec![ptr::null_mut(); BLOCK].into());
            }
            self.used += 1;
        }
        *self.slot(slot) = task.as_ptr();
        Some(slot)
    }

    /// Returns memory for the caller to free without the lock.
    fn remove(&mut self, slot: u32) -> Vec<Box<[*mut Header]>> {
        self.len -= 1;
        *self.slot(slot) = ptr::without_provenance_mut((self.free as usize) << 1 | 1);
        self.free = slot;
        if self.len == 0 && self.blocks.len() > BLOCKS_KEPT {
            self.free = NONE;
            self.used = 0;
            return std::mem::take(&mut self.blocks);
        }
        Vec::new()
    }

    fn slot(&mut self, slot: u32) -> &mut *mut Header {
        &mut self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
    }

    /// Aborts the tasks that are idle, and takes over the right to run them.
    fn take_idle(&self) -> impl Iterator<Item = Notified> + '_ {
        let used = self.blocks.iter().flatten().take(self.used);
        let tasks = used.filter(|entry| entry.addr() & 1 == 0).filter_map(|entry| NonNull::new(*entry));
        let idle = tasks.filter(|task| {
            // SAFETY: the task is entered, hence not ended: the scheduler's reference keeps its cell, and cannot be
            // let go of before `leave`, which waits for the lock.
            unsafe { task.as_ref() }.state.abort_idle()
        });
        // SAFETY: `abort_idle` has set `SCHEDULED`.
        idle.map(|task| unsafe { Notified::from_header(task) })
    }
}

#[cfg(all(test, not(runtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_and_given_back() {
        let live = Live::new(2);
        let header = |n: usize| NonNull::new(ptr::without_provenance_mut::<Header>(n * 8 + 8)).unwrap();
        let mut places: Vec<_> = (0..10_000).map(|n| live.enter(n % 2, header(n)).unwrap()).collect();
        assert!(!live.is_empty());
        for place in places.drain(..5000) {
            live.leave(place);
        }
        places.extend((0..5000).map(|n| live.enter(n % 2, header(n)).unwrap()));
        assert!(live.shards.iter().all(|shard| shard.lock().used == 5000));
        places.into_iter().for_each(|place| live.leave(place));
        assert!(live.is_empty());
        assert!(live.shards.iter().all(|shard| shard.lock().blocks.is_empty()));
    }

    #[test]
    fn a_closed_list_refuses() {
        let live = Live::new(1);
        live.close_and_cancel();
        let header = NonNull::new(ptr::without_provenance_mut::<Header>(8)).unwrap();
        assert!(live.enter(0, header).is_none());
    }
}
