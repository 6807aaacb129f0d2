//! The idle protocol: who sleeps, who searches, whom to wake. Its one promise is that **no wake-up is lost**.
//!
//! # States of a worker
//! - **running**: polls tasks, or is between two polls;
//! - **searching**: has nothing, looks through all queues (and spins a while). Counted in `searching`;
//! - **sleeping**: in the list `sleepers`, counted in `sleeping`; about to park, parked, or about to leave.
//!
//! | from → to | who | how |
//! |---|---|---|
//! | running → searching | the worker | [`Idle::start_search`], refused when half of the workers search; [`Idle::insist_on_search`] when it has seen work |
//! | searching → running | the worker, with a task | [`Idle::stop_search`]; **the last one looks again**, see below |
//! | running, searching → sleeping | the worker | [`Idle::fall_asleep`], then the **final check**, then it parks |
//! | sleeping → searching | a notifier | [`Idle::notify`]: out of the list, then unparked by its token |
//! | sleeping → running | the worker itself (its turn of the driver brought work; the final check; a stray unpark) | [`Idle::leave`] |
//!
//! `sleepers` and `sleeping` change together, under one lock, in these three functions and nowhere else; so
//! `sleepers.len() == sleeping` whenever the lock is free. Whoever unparks a worker by another way (shutdown, the
//! driver) does not touch the list: the worker finds itself in it and leaves.
//!
//! # Notify
//! Whoever makes a task runnable pushes it, then calls `notify` (but see "Behind others"): fence, read the counters; if somebody searches or
//! nobody sleeps, done; else take one sleeper, count it as searching, unpark it. Only one worker is woken at a
//! time; when it finds something and was the last searcher, it wakes the next if anything is left.
//!
//! # Why nothing is lost
//! Let N push a task and then read the counters; let W be the worker that matters. Each of the pairs below is a
//! store-then-load on both sides with a SeqCst fence between, so at least one side sees the other (the fences are
//! totally ordered; the later one's load sees the earlier one's store):
//!
//! 1. *N pushes, fence, reads `sleeping`* — *W enters the list, fence, final check of all queues.* Either N sees W
//!    asleep and may wake it, or W sees the task.
//! 2. *N pushes, fence, reads `searching`* — *W stops searching, fence, looks at all queues.* If N spared itself
//!    the wake-up because W was searching, W sees the task: by falling asleep (1), or as the last searcher that
//!    looks again. If W was not the last, another searcher is in W's place and N saw it too, or will be seen by it.
//!
//! **Behind others.** A push onto the injector that finds its shard marked (`injector.rs`) does without `notify`. Some push P
//! before it has marked the shard and notifies, and no grab has cleared the mark since: as long as it stands, there is
//! a searcher, or nobody sleeps, or P's `notify` is still to come. For after that `notify` a searcher exists if anybody sleeps;
//! a worker that falls asleep later sees the mark in its final check (1) and stays awake; and the last searcher to stop
//! sees it too (2), and notifies anew. A grab that clears the mark does so under the lock that the push takes, so the
//! push finds the shard unmarked then.
//!
//! So when all workers sleep, all queues were empty at the last final check; each waits for its own events, and one of them
//! has the clock, because whoever goes to sleep takes it if it is free.
//!
//! # The watch
//! What is left is what *running* workers leave unattended: the clock and their own events, while they are in a long poll,
//! and the task in the slot of such a worker. To wake another worker for that at each turn of a driver would cost more than
//! all else. Instead one of the sleepers is the **watch**: it sleeps with a limit of some
//! milliseconds, and then looks (`worker.rs`). After a while in which all workers sleep it retires, and sleeps without a
//! limit. The invariant is: *while a worker runs and another sleeps, there is a watch, or the former is about to wake
//! one.*
//!
//! 3. *R leaves the list, fence, reads `watch`* ([`Idle::needs_watch`], before it runs anything) — *W clears `watch`,
//!    fence, reads the counters* ([`Idle::retire`]). Either R sees that there is none and wakes a sleeper, which becomes
//!    the watch, or W sees that R is awake and stays.
//! 4. *W, the watch, wakes and clears `watch`, fence, reads `sleeping`* (as R above) — *V enters the list, fence, tries
//!    to become the watch.* Either V succeeds, or W sees it asleep and wakes it.
//!
//! A token makes the wake-up itself safe (`park.rs`): the unpark may come before, during or after the park. A stale
//! token only costs a round: the woken worker is in the list, leaves it, looks, and comes back.
//!
//! Lock order: `sleepers` is a leaf; nobody is unparked under it.

use crate::sync::prim::Mutex;
use crate::sync::prim::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// No worker.
const NOBODY: usize = usize::MAX;
/// `state` is `searching << 32 | sleeping`.
const SEARCHING: u64 = 1 << 32;
const SLEEPING: u64 = 1;

/// Who sleeps, who searches.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Both counters in one word, so that `notify` reads them in one load. `searching` changes by anyone's
    /// read-modify-write (AcqRel, so that each change is seen with those before it), `sleeping` only under the lock of
    /// `sleepers`. That no wake-up is lost rests on the fences, not on these orders.
    state: AtomicU64,
    sleepers: Mutex<Vec<usize>>,
    /// The sleeper that waits for timers: set after it took the clock, cleared after it gave it back. A hint: it is left
    /// there while there is another to wake.
    timekeeper: AtomicUsize,
    /// The watch; see the module's docs for what its changes pair with.
    watch: AtomicUsize,
    workers: u64,
}

impl Idle {
    /// All `workers` start as running.
    pub(crate) fn new(workers: usize) -> Idle {
        Idle {
            state: AtomicU64::new(0),
            sleepers: Mutex::new(Vec::with_capacity(workers)),
            timekeeper: AtomicUsize::new(NOBODY),
            watch: AtomicUsize::new(NOBODY),
            workers: workers as u64,
        }
    }

    /// Chooses a worker to wake after work has been made visible; the caller unparks it. `None`: a searching
    /// worker will find the work, or all are running.
    #[must_use = "the chosen worker is counted as searching: it has to be unparked"]
    #[inline]
    pub(crate) fn notify(&self) -> Option<usize> {
        // Pairs with the fences in `fall_asleep` (1) and `stop_search` (2).
        fence(Ordering::SeqCst);
        if !wants_a_searcher(self.state.load(Ordering::Relaxed)) {
            return None;
        }
        // Again under the lock: of several notifiers, one is enough.
        self.wake_if(wants_a_searcher)
    }

    #[cold]
    fn wake_if(&self, wanted: impl FnOnce(u64) -> bool) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        if !wanted(self.state.load(Ordering::Relaxed)) {
            return None;
        }
        // The latest sleeper is the warmest; but leave the one with the clock there while there is another.
        let clock = self.timekeeper.load(Ordering::Relaxed);
        let place = sleepers.iter().rposition(|&worker| worker != clock).or(sleepers.len().checked_sub(1))?;
        let chosen = sleepers.remove(place);
        self.state.fetch_add(SEARCHING - SLEEPING, Ordering::AcqRel);
        self.check(&sleepers);
        Some(chosen)
    }

    /// Does any worker sleep? A hint, without a fence.
    pub(crate) fn has_sleepers(&self) -> bool {
        sleeping(self.state.load(Ordering::Relaxed)) > 0
    }

    /// A running worker without work begins to search; false: enough others do, so it should go to sleep.
    pub(crate) fn start_search(&self) -> bool {
        if 2 * searching(self.state.load(Ordering::Relaxed)) >= self.workers {
            return false;
        }
        self.state.fetch_add(SEARCHING, Ordering::AcqRel);
        true
    }

    /// As [`start_search`](Idle::start_search), without a limit: the worker has seen work.
    pub(crate) fn insist_on_search(&self) {
        self.state.fetch_add(SEARCHING, Ordering::AcqRel);
    }

    /// A searching worker has found a task. True: it was the last, so it has to look whether work is left or the
    /// driver is unattended, and then to `notify`.
    #[must_use = "the last searcher has to look again"]
    pub(crate) fn stop_search(&self) -> bool {
        let before = self.state.fetch_sub(SEARCHING, Ordering::AcqRel);
        debug_assert!(searching(before) > 0, "a worker stopped a search that it had not begun");
        // Pairs with the fence in `notify`: either the notifier sees that we search no more, or we see its task.
        fence(Ordering::SeqCst);
        searching(before) == 1
    }

    /// Puts a worker to sleep. It must look at all queues after this, before it parks.
    pub(crate) fn fall_asleep(&self, worker: usize, was_searching: bool) {
        {
            let mut sleepers = self.sleepers.lock();
            debug_assert!(!sleepers.contains(&worker), "worker {worker} falls asleep twice");
            sleepers.push(worker);
            if was_searching {
                self.state.fetch_sub(SEARCHING - SLEEPING, Ordering::AcqRel);
            } else {
                self.state.fetch_add(SLEEPING, Ordering::AcqRel);
            }
            self.check(&sleepers);
        }
        // Pairs with the fence in `notify`: either the notifier sees us asleep, or our final check sees its task.
        fence(Ordering::SeqCst);
    }

    /// A worker that is awake leaves the list. True: a notifier took it out already, and it counts as searching.
    #[must_use = "a worker that was notified counts as searching"]
    pub(crate) fn leave(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        let Some(place) = sleepers.iter().position(|&sleeper| sleeper == worker) else { return true };
        sleepers.remove(place);
        self.state.fetch_sub(SLEEPING, Ordering::AcqRel);
        self.check(&sleepers);
        false
    }

    /// The worker has taken the clock.
    pub(crate) fn take_clock(&self, worker: usize) {
        self.timekeeper.store(worker, Ordering::Relaxed);
    }

    /// The worker has given the clock back. Another may have it by now, and stays noted then.
    pub(crate) fn leave_clock(&self, worker: usize) {
        let _ = self.timekeeper.compare_exchange(worker, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A sleeping worker becomes the watch, unless there is one. To be called after `fall_asleep`.
    pub(crate) fn begin_watch(&self, worker: usize) -> bool {
        // After the fence of `fall_asleep` (4).
        self.watch.compare_exchange(NOBODY, worker, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The watch is awake. Before it runs anything it asks `needs_watch`.
    pub(crate) fn end_watch(&self) {
        self.watch.store(NOBODY, Ordering::Relaxed);
    }

    /// The watch wants to sleep without a limit; false: another worker is awake, so it stays the watch, unless somebody
    /// else has become it.
    pub(crate) fn retire(&self, worker: usize) -> bool {
        self.watch.store(NOBODY, Ordering::Relaxed);
        // Pairs with the fence in `needs_watch` (3).
        fence(Ordering::SeqCst);
        self.all_sleep() || !self.begin_watch(worker)
    }

    /// Does every worker sleep?
    pub(crate) fn all_sleep(&self) -> bool {
        sleeping(self.state.load(Ordering::Relaxed)) == self.workers
    }

    /// Is there a sleeper, and none of them the watch? Then the caller, who is awake, has to wake one.
    pub(crate) fn needs_watch(&self) -> bool {
        // Pairs with the fences in `retire` (3) and `fall_asleep` (4).
        fence(Ordering::SeqCst);
        self.watch.load(Ordering::Relaxed) == NOBODY && sleeping(self.state.load(Ordering::Relaxed)) > 0
    }

    /// Takes any sleeper out of the list, to be unparked, whether or not another worker searches.
    #[must_use = "the chosen worker is counted as searching: it has to be unparked"]
    pub(crate) fn wake_any(&self) -> Option<usize> {
        self.wake_if(|state| sleeping(state) > 0)
    }

    /// Would a notifier wake somebody? A hint, without a fence.
    pub(crate) fn may_help(&self) -> bool {
        wants_a_searcher(self.state.load(Ordering::Relaxed))
    }

    /// The list and its counter never differ while the lock is held and no change is under way.
    fn check(&self, sleepers: &[usize]) {
        debug_assert_eq!(sleepers.len() as u64, sleeping(self.state.load(Ordering::Relaxed)));
    }

    /// (searching, sleeping), for dumps.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state.load(Ordering::Relaxed);
        (searching(state), sleeping(state))
    }
}

fn searching(state: u64) -> u64 {
    state >> 32
}

fn sleeping(state: u64) -> u64 {
    state & (SEARCHING - 1)
}

fn wants_a_searcher(state: u64) -> bool {
    searching(state) == 0 && sleeping(state) > 0
}

#[cfg(all(test, not(runtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_is_woken_and_the_next_only_after_it_has_found_work() {
        let idle = Idle::new(3);
        (0..3).for_each(|worker| idle.fall_asleep(worker, false));
        assert_eq!(idle.notify(), Some(2), "the latest sleeper");
        assert_eq!(idle.notify(), None, "it searches");
        assert!(idle.leave(2), "it was notified");
        assert!(idle.stop_search(), "it was the last searcher");
        assert_eq!(idle.notify(), Some(1));
        assert_eq!(idle.counts(), (1, 1));
    }

    #[test]
    fn the_worker_with_the_clock_is_woken_last() {
        let idle = Idle::new(2);
        idle.fall_asleep(0, false);
        idle.fall_asleep(1, false);
        idle.take_clock(1);
        assert_eq!(idle.notify(), Some(0));
        assert!(idle.stop_search());
        assert_eq!(idle.notify(), Some(1));
    }

    #[test]
    fn a_stray_unpark_leaves_list_and_count_equal() {
        let idle = Idle::new(2);
        idle.fall_asleep(0, false);
        assert!(!idle.leave(0), "nobody notified it");
        assert_eq!(idle.notify(), None);
        idle.fall_asleep(0, false);
        assert_eq!(idle.notify(), Some(0));
    }

    #[test]
    fn at_most_half_of_the_workers_search() {
        let idle = Idle::new(4);
        assert!(idle.start_search());
        assert!(idle.start_search());
        assert!(!idle.start_search());
        idle.fall_asleep(0, true);
        assert!(idle.start_search());
        assert_eq!(idle.counts(), (2, 1));
    }
}
