//! The tasks of a runtime that are alive, so that shutdown can end each of them.
//!
//! Every task is entered here before it can run and leaves when its future is gone. Once the list is closed it
//! refuses: a spawn during or after shutdown is cancelled at once.
//!
//! Invariant: in each shard `spawned == completed + cancelled + tasks.len()`, asserted in debug builds; the
//! counters live under the shard's lock, so that sums over the shards are consistent per shard.
//!
//! Lock order: a shard's lock is a leaf; entries are dropped and cancelled outside of it (both run foreign code).

use super::state::Remote;
use crate::sync::prim::Mutex;
use crossbeam_utils::CachePadded;
use slab::Slab;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All live tasks of one runtime, in shards to keep spawning threads apart.
pub(crate) struct Live {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    next: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    closed: bool,
    tasks: Slab<Arc<dyn Remote>>,
    spawned: u64,
    completed: u64,
    cancelled: u64,
}

/// Where a task is entered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    shard: usize,
    slot: usize,
}

/// How a task ended, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its poll returned Ready, or panicked.
    Completed,
    /// It was aborted or its runtime shut down.
    Cancelled,
}

/// Sums over all shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) live: usize,
    pub(crate) spawned: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
}

impl Live {
    /// `parallelism`: how many threads are likely to spawn at once.
    pub(crate) fn new(parallelism: usize) -> Live {
        let shards = (parallelism.max(1) * 4).next_power_of_two().min(64);
        Live {
            shards: (0..shards).map(|_| CachePadded::new(Mutex::default())).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Enters a task; `None` when the list is closed.
    pub(crate) fn enter(&self, task: Arc<dyn Remote>) -> Option<Place> {
        // Relaxed: only spreads the load, orders nothing.
        let shard = self.next.fetch_add(1, Ordering::Relaxed) & (self.shards.len() - 1);
        let mut guard = self.shards[shard].lock();
        if guard.closed {
            drop(guard);
            return None;
        }
        guard.spawned += 1;
        Some(Place { shard, slot: guard.tasks.insert(task) })
    }

    /// Takes a finished task out.
    pub(crate) fn leave(&self, place: Place, ending: Ending) {
        let task = {
            let mut shard = self.shards[place.shard].lock();
            match ending {
                Ending::Completed => shard.completed += 1,
                Ending::Cancelled => shard.cancelled += 1,
            }
            let task = shard.tasks.remove(place.slot);
            debug_assert_eq!(shard.spawned, shard.completed + shard.cancelled + shard.tasks.len() as u64);
            task
        };
        drop(task);
    }

    /// Refuses all tasks from now on and asks each live one to end.
    pub(crate) fn close_and_cancel(&self) {
        for shard in &self.shards {
            let tasks: Vec<_> = {
                let mut shard = shard.lock();
                shard.closed = true;
                shard.tasks.iter().map(|(_, task)| Arc::clone(task)).collect()
            };
            for task in tasks {
                task.cancel();
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for shard in &self.shards {
            let shard = shard.lock();
            sum.live += shard.tasks.len();
            sum.spawned += shard.spawned;
            sum.completed += shard.completed;
            sum.cancelled += shard.cancelled;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Id;
    use crate::task::state::Meeting;

    #[test]
    fn a_closed_list_refuses_and_has_cancelled_all() {
        let live = Live::new(3);
        let tasks: Vec<_> = (0..100).map(|_| Arc::new(Meeting::<()>::new(Id::next()))).collect();
        let places: Vec<_> = tasks.iter().filter_map(|t| live.enter(Arc::clone(t) as _)).collect();
        live.leave(places[0], Ending::Completed);
        live.close_and_cancel();
        assert!(!tasks[0].cancel_requested(), "it had left before");
        assert!(tasks[1..].iter().all(|t| t.cancel_requested()));
        assert!(live.enter(Arc::new(Meeting::<()>::new(Id::next()))).is_none());
        for place in &places[1..] {
            live.leave(*place, Ending::Cancelled);
        }
        assert_eq!(live.counts(), Counts { live: 0, spawned: 100, completed: 1, cancelled: 99 });
    }
}
