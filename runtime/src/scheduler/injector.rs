//! The injector: the queue of tasks that were spawned or woken elsewhere than on the workers.
//!
//! It is cut in **shards**, locked FIFOs, so that several threads that spawn do not meet: a thread pushes to one shard,
//! always the same, so its tasks keep their order. Workers take up to [`BATCH_MAX`] tasks of a shard at once, of which
//! they run one and put the rest in their local queue, where others steal; so a shard's lock is taken rarely.
//!
//! `occupied` has a bit for each shard that is not empty. It is all that a worker looks at while there is nothing. Bits
//! change under their shard's lock: set (AcqRel) by the push that finds the shard empty, cleared (AcqRel) by the grab
//! that leaves it so. The clearing pairs with the Acquire of `is_empty`: who sees that a grab has taken tasks also sees
//! those that it put into a local queue before, so that a look at this queue and then at the local ones misses none on
//! their way. That a sleeper sees a task whose notifier missed it is up to the SeqCst fences of `idle.rs`: whether a push
//! sets its bit itself or finds it set (under the lock, hence after the one who set it), the bit comes before its fence.
//!
//! Invariant: at the release of a shard's lock its bit says whether it is empty. The injector closes at the end of
//! shutdown and then hands tasks back to whoever pushes them.
//!
//! Lock order: shards in their order (`close_if_empty` takes them all), nothing else; tasks are dropped outside.

use crate::sync::prim::atomic::{AtomicUsize, Ordering};
use crate::sync::prim::{Mutex, MutexGuard, thread_local};
use crate::task::header::Notified;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::collections::VecDeque;

/// The most tasks that one grab takes.
const BATCH_MAX: usize = 128;
const SHARDS_MAX: usize = 16;
/// A shard that is empty keeps room for so many tasks.
const CAPACITY_KEPT: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Injector {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    occupied: CachePadded<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Shard {
    tasks: VecDeque<Notified>,
    closed: bool,
    /// New tasks that came this way, for metrics.
    spawned: u64,
}

/// The calling thread's number among those that push: its shard, modulo their count.
fn thread_number() -> usize {
    // Relaxed: it only spreads the threads.
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    thread_local! {
        static OURS: Cell<usize> = const { Cell::new(0) };
    }
    OURS.try_with(|ours| {
        if ours.get() == 0 {
            ours.set(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
        ours.get()
    })
    .unwrap_or(0)
}

impl Injector {
    /// For a multi-thread runtime: a few shards.
    pub(crate) fn new(workers: usize) -> Injector {
        Injector::with_shards((2 * workers).next_power_of_two().min(SHARDS_MAX))
    }

    /// One queue, in the order of the pushes.
    pub(crate) fn with_shards(shards: usize) -> Injector {
        Injector {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            occupied: CachePadded::default(),
        }
    }

    /// Queues a woken task, or gives it back when the runtime is gone.
    pub(crate) fn push(&self, task: Notified) -> Result<(), Notified> {
        self.push_counted(task, 0)
    }

    /// Queues a new task, or gives it back when the runtime is gone.
    pub(crate) fn push_new(&self, task: Notified) -> Result<(), Notified> {
        self.push_counted(task, 1)
    }

    fn push_counted(&self, task: Notified, spawned: u64) -> Result<(), Notified> {
        // The number of shards is a power of two.
        let number = thread_number() & (self.shards.len() - 1);
        let mut shard = self.shards[number].lock();
        if shard.closed {
            return Err(task);
        }
        shard.spawned += spawned;
        if shard.tasks.is_empty() {
            self.occupied.fetch_or(1 << number, Ordering::AcqRel);
        }
        shard.tasks.push_back(task);
        Ok(())
    }

    /// Takes one task to run and hands further ones to `keep`, all of one shard; `turn` says which comes first.
    pub(crate) fn grab(&self, turn: usize, keep: impl FnMut(Notified)) -> Option<Notified> {
        // The shards that were occupied a moment ago, from `turn` on, round about; others may have emptied some since.
        let occupied = self.occupied.load(Ordering::Acquire);
        let shards = self.shards.len();
        let turn = turn & (shards - 1);
        let mut left = ((occupied >> turn) | (occupied << (shards - turn))) & ((1 << shards) - 1);
        let (number, mut shard, task) = loop {
            if left == 0 {
                return None;
            }
            let number = (turn + left.trailing_zeros() as usize) & (shards - 1);
            let mut shard = self.shards[number].lock();
            if let Some(task) = shard.tasks.pop_front() {
                break (number, shard, task);
            }
            left &= left - 1;
        };
        let kept = shard.tasks.len().min(BATCH_MAX - 1);
        // `keep` is our own push onto a local queue: it runs nobody's code.
        shard.tasks.drain(..kept).for_each(keep);
        // The memory of a burst is given back, but not under the lock.
        let mut burst = VecDeque::new();
        if shard.tasks.is_empty() {
            self.occupied.fetch_and(!(1 << number), Ordering::AcqRel);
            if shard.tasks.capacity() > CAPACITY_KEPT {
                std::mem::swap(&mut burst, &mut shard.tasks);
            }
        }
        drop(shard);
        drop(burst);
        Some(task)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.occupied.load(Ordering::Acquire) == 0
    }

    /// Takes the locks, so it is for metrics only.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().tasks.len()).sum()
    }

    /// New tasks that came this way.
    pub(crate) fn spawned(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().spawned).sum()
    }

    /// Closes the queue if it is empty; false: there are tasks to drain first.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut shards: Vec<MutexGuard<'_, Shard>> = self.shards.iter().map(|shard| shard.lock()).collect();
        let empty = shards.iter().all(|shard| shard.tasks.is_empty());
        for shard in &mut shards {
            shard.closed |= empty;
        }
        empty
    }
}

#[cfg(all(test, not(runtime_loom), not(runtime_shuttle)))]
mod tests {
    use super::*;
    use crate::task::cell::create_job;

    fn job() -> Notified {
        create_job(|| (), std::panic::Location::caller()).0
    }

    #[test]
    fn every_shard_is_found_from_every_turn() {
        for number in 0..8 {
            for turn in 0..20 {
                let injector = Injector::new(4);
                injector.shards[number].lock().tasks.push_back(job());
                injector.occupied.fetch_or(1 << number, Ordering::AcqRel);
                assert!(injector.grab(turn, |_| unreachable!("it is alone")).is_some());
                assert!(injector.is_empty());
                assert!(injector.grab(turn, |_| unreachable!("it is empty")).is_none());
            }
        }
    }

    #[test]
    fn a_grab_takes_a_batch_and_leaves_the_rest() {
        let injector = Injector::new(2);
        for _ in 0..200 {
            assert!(injector.push_new(job()).is_ok());
        }
        assert!(!injector.close_if_empty());
        let mut kept = Vec::new();
        assert!(injector.grab(0, |task| kept.push(task)).is_some());
        assert_eq!((kept.len(), injector.len()), (127, 72));
        assert!(!injector.is_empty());
        assert!(injector.grab(3, |task| kept.push(task)).is_some());
        assert_eq!(kept.len(), 127 + 71);
        assert!(injector.is_empty());
        assert_eq!(injector.spawned(), 200);
        assert!(injector.close_if_empty());
        assert!(injector.push(job()).is_err());
    }
}
