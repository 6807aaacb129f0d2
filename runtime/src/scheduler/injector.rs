//! The injector: the queue of tasks that were spawned or woken elsewhere than on the workers.
//!
//! It is cut in **shards**, FIFOs, so that several threads that spawn do not meet: a thread pushes to one shard,
//! always the same, so its tasks keep their order. Workers take up to [`BATCH_MAX`] tasks of a shard at once, of which
//! they run one and put the rest in their local queue, where others steal; so a shard's locks are taken rarely.
//!
//! A shard is a queue in **two parts**, each with its lock: pushers put tasks behind `incoming`; a worker takes them from
//! the front of `outgoing`, and exchanges the two when that is empty. A worker thus holds a pusher up for an exchange or a
//! look, and not while it moves tasks. Order: all of `outgoing` comes before all of `incoming`, which is exchanged only
//! under both locks.
//!
//! `occupied` has a bit for each shard that is not empty. It is all that a worker looks at while there is nothing. Bits
//! change under the lock of their shard's `incoming`, where `marked` repeats them: set (AcqRel) by the push that finds the
//! shard unmarked, cleared (AcqRel) by a grab that leaves it empty, after it has put what it took where others find it.
//! The clearing pairs with the Acquire of `is_empty`: who sees that a grab has taken tasks also sees those that it put
//! into a local queue before, so that a look at this queue and then at the local ones misses none on their way. That a
//! sleeper sees a task whose notifier missed it is up to the SeqCst fences of `idle.rs`. A push that finds its shard marked
//! needs no notification, see "Behind others" there; it says so by [`Pushed::Behind`].
//!
//! Invariant: whenever the lock of `incoming` is free, the shard's bit equals `marked`, and a shard that holds tasks is
//! marked. The injector closes at the end of shutdown and then hands tasks back to whoever pushes them.
//!
//! Lock order: shards in their order (`close_if_empty` takes them all), in each `outgoing` before `incoming`, nothing
//! else; tasks are dropped outside.

use crate::sync::prim::atomic::{AtomicUsize, Ordering};
use crate::sync::prim::{Mutex, MutexGuard, thread_local};
use crate::task::header::Notified;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::collections::VecDeque;

/// The most tasks that one grab takes. The models see a grab that leaves some.
const BATCH_MAX: usize = if cfg!(runtime_loom) { 1 } else { 128 };
const SHARDS_MAX: usize = 16;
/// A shard that is empty keeps room for so many tasks.
const CAPACITY_KEPT: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Injector<T = Notified> {
    shards: Box<[Shard<T>]>,
    occupied: CachePadded<AtomicUsize>,
}

/// A queue in two parts: the front is `outgoing`, what comes behind it is `incoming`.
#[derive(Debug)]
struct Shard<T> {
    outgoing: CachePadded<Mutex<VecDeque<T>>>,
    incoming: CachePadded<Mutex<Incoming<T>>>,
}

#[derive(Debug)]
struct Incoming<T> {
    tasks: VecDeque<T>,
    /// The shard's bit in `occupied`.
    marked: bool,
    closed: bool,
    /// New tasks that came this way, for metrics.
    spawned: u64,
    /// Those, and tasks that were woken.
    pushed: u64,
}

/// What a push has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// An empty shard: the pusher has to notify.
    First,
    /// Tasks that have been announced, and stand there still.
    Behind,
}

impl<T> Shard<T> {
    fn new() -> Shard<T> {
        let incoming =
            Incoming { tasks: VecDeque::new(), marked: false, closed: false, spawned: 0, pushed: 0 };
        Shard { outgoing: CachePadded::default(), incoming: CachePadded::new(Mutex::new(incoming)) }
    }

    /// The front part, refilled if it was empty.
    fn front(&self) -> MutexGuard<'_, VecDeque<T>> {
        let mut outgoing = self.outgoing.lock();
        if outgoing.is_empty() {
            std::mem::swap(&mut *outgoing, &mut self.incoming.lock().tasks);
        }
        outgoing
    }
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

impl<T> Injector<T> {
    /// For a multi-thread runtime: a few shards.
    pub(crate) fn new(workers: usize) -> Injector<T> {
        Injector::with_shards((2 * workers).next_power_of_two().min(SHARDS_MAX))
    }

    /// One queue, in the order of the pushes.
    pub(crate) fn with_shards(shards: usize) -> Injector<T> {
        Injector { shards: (0..shards).map(|_| Shard::new()).collect(), occupied: CachePadded::default() }
    }

    /// Queues a woken task, or gives it back when the runtime is gone.
    pub(crate) fn push(&self, task: T) -> Result<Pushed, T> {
        self.push_counted(task, 0)
    }

    /// Queues a new task, or gives it back when the runtime is gone.
    pub(crate) fn push_new(&self, task: T) -> Result<Pushed, T> {
        self.push_counted(task, 1)
    }

    fn push_counted(&self, task: T, spawned: u64) -> Result<Pushed, T> {
        // The number of shards is a power of two.
        let number = thread_number() & (self.shards.len() - 1);
        let mut incoming = self.shards[number].incoming.lock();
        if incoming.closed {
            return Err(task);
        }
        incoming.spawned += spawned;
        incoming.pushed += 1;
        incoming.tasks.push_back(task);
        if std::mem::replace(&mut incoming.marked, true) {
            return Ok(Pushed::Behind);
        }
        self.occupied.fetch_or(1 << number, Ordering::AcqRel);
        Ok(Pushed::First)
    }

    /// Takes one task to run and hands further ones to `keep`, all of one shard; `turn` says which comes first.
    pub(crate) fn grab(&self, turn: usize, keep: impl FnMut(T)) -> Option<T> {
        // The shards that were occupied a moment ago, from `turn` on, round about; others may have emptied some since.
        let occupied = self.occupied.load(Ordering::Acquire);
        let shards = self.shards.len();
        let turn = turn & (shards - 1);
        let mut left = ((occupied >> turn) | (occupied << (shards - turn))) & ((1 << shards) - 1);
        let (number, mut outgoing, task) = loop {
            if left == 0 {
                return None;
            }
            let number = (turn + left.trailing_zeros() as usize) & (shards - 1);
            let mut outgoing = self.shards[number].front();
            if let Some(task) = outgoing.pop_front() {
                break (number, outgoing, task);
            }
            left &= left - 1;
        };
        let kept = outgoing.len().min(BATCH_MAX - 1);
        // `keep` is our own push onto a local queue: it runs nobody's code.
        outgoing.drain(..kept).for_each(keep);
        // The memory of a burst is given back, but not under the lock.
        let mut burst = VecDeque::new();
        if outgoing.is_empty() {
            self.unmark_if_empty(number);
            if outgoing.capacity() > CAPACITY_KEPT {
                std::mem::swap(&mut burst, &mut outgoing);
            }
        }
        drop(outgoing);
        drop(burst);
        Some(task)
    }

    /// The caller holds the lock of the shard's front, which is empty, and has put what it took where others find it.
    fn unmark_if_empty(&self, number: usize) {
        let mut incoming = self.shards[number].incoming.lock();
        if incoming.tasks.is_empty() {
            incoming.marked = false;
            self.occupied.fetch_and(!(1 << number), Ordering::AcqRel);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.occupied.load(Ordering::Acquire) == 0
    }

    /// Takes the locks, so it is for metrics only.
    pub(crate) fn len(&self) -> usize {
        let len_of = |shard: &Shard<T>| {
            let outgoing = shard.outgoing.lock();
            outgoing.len() + shard.incoming.lock().tasks.len()
        };
        self.shards.iter().map(len_of).sum()
    }

    /// New tasks that came this way.
    pub(crate) fn spawned(&self) -> u64 {
        self.shards.iter().map(|shard| shard.incoming.lock().spawned).sum()
    }

    /// New and woken tasks that came this way.
    pub(crate) fn pushed(&self) -> u64 {
        self.shards.iter().map(|shard| shard.incoming.lock().pushed).sum()
    }

    /// Closes the queue if it is empty; false: there are tasks to drain first.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut locked: Vec<_> =
            self.shards.iter().map(|shard| (shard.outgoing.lock(), shard.incoming.lock())).collect();
        let empty =
            locked.iter().all(|(outgoing, incoming)| outgoing.is_empty() && incoming.tasks.is_empty());
        for (_, incoming) in &mut locked {
            incoming.closed |= empty;
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
                let mut incoming = injector.shards[number].incoming.lock();
                incoming.tasks.push_back(job());
                incoming.marked = true;
                drop(incoming);
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
        assert_eq!(injector.push(job()).ok(), Some(Pushed::Behind));
        assert!(injector.grab(3, |task| kept.push(task)).is_some());
        assert_eq!(kept.len(), 127 + 71);
        assert!(!injector.is_empty(), "one has come since");
        assert!(injector.grab(0, |_| unreachable!("it is alone")).is_some());
        assert!(injector.is_empty());
        assert_eq!(injector.spawned(), 200);
        assert!(injector.close_if_empty());
        assert!(injector.push(job()).is_err());
    }

    #[test]
    fn tasks_keep_their_order_through_both_parts() {
        let injector = Injector::with_shards(1);
        let (mut pushed, mut taken) = (0, Vec::new());
        for round in [300, 1, 0, 200, 50] {
            for _ in 0..round {
                let expected = if injector.is_empty() { Pushed::First } else { Pushed::Behind };
                assert_eq!(injector.push_new(pushed), Ok(expected));
                pushed += 1;
            }
            let mut batch = Vec::new();
            let first = injector.grab(0, |task| batch.push(task));
            taken.extend(first.into_iter().chain(batch));
            assert_eq!(injector.len(), pushed - taken.len());
        }
        while !injector.close_if_empty() {
            let mut batch = Vec::new();
            let first = injector.grab(0, |task| batch.push(task));
            taken.extend(first.into_iter().chain(batch));
        }
        assert_eq!(taken, (0..pushed).collect::<Vec<usize>>());
        assert_eq!(injector.push(7), Err(7));
    }
}
