//! How a worker sleeps: its turns of the driver, its parking, and its service as the watch.
//!
//! **Each worker sleeps in a turn of its own driver**, which serves the events of its own queue. One of the sleepers has the
//! clock too, and wakes for timers; whoever goes to sleep takes it if it is free.
//!
//! **The watch** (`idle.rs`) looks every few milliseconds after what running workers leave unattended: the clock, if no other
//! worker has turned a driver since its last look; the events of a worker that has not turned its driver since then; the task
//! in the slot of a worker that is still in the same poll. Work that wakes it sooner does not put the look at the others off,
//! and a worker that never sleeps looks after them too. A descriptor whose task is run by the watch a few times moves to the
//! watch's queue (`driver/queues.rs`): so it is only the first few events that wait for a look.
//!
//! `scheduler/idle.rs` has the protocol, with the reasons why no wake-up is lost.

use super::Worker;
use crate::driver::Driver;
use crate::park;
use crate::scheduler::{Hook, run_hook};
use crate::sync::prim::now;
use std::time::{Duration, Instant};

/// How long the watch sleeps at first, and at most; each look that finds nothing to do doubles it.
const WATCH_FIRST: Duration = Duration::from_millis(1);
pub(super) const WATCH_MAX: Duration = Duration::from_millis(8);
/// After so many looks in a row with all workers asleep, about a tenth of a second, the watch retires.
const WATCH_LOOKS: u32 = 16;

/// What a worker remembers as the watch, from one look to the next.
pub(super) struct Watch {
    interval: Duration,
    /// Looks in a row that found all workers asleep.
    quiet: u32,
    /// When this worker last looked after the others, as the watch or between two polls.
    looked: Instant,
    /// Each worker's counts of polls and turns then.
    seen: Box<[(u64, u64)]>,
    /// Turns by other workers, up to the last look of the watch. Its own say nothing.
    turns: u64,
    /// Others turned their drivers between the last two looks, and served the timers: they will be back, so the clock is
    /// left to them.
    clock_in_use: bool,
}

impl Watch {
    pub(super) fn new(workers: usize) -> Watch {
        let seen = vec![(u64::MAX, u64::MAX); workers].into();
        Watch { interval: WATCH_FIRST, quiet: 0, looked: now(), seen, turns: 0, clock_in_use: false }
    }
}

impl Worker<'_> {
    /// Serves what this worker's driver has, without waiting; false: the watch is at it.
    pub(super) fn poll_own_driver(&mut self) -> bool {
        let Some(mut driver) = self.shared.drivers[self.local.index].try_lock() else { return false };
        self.turning(driver.as_mut(), |driver| self.trouble.turn(false, || driver.poll()));
        true
    }

    /// Serves what the driver of another `worker` has; true: it had something. That its turn failed is that worker's
    /// business.
    fn poll_driver_of(&mut self, worker: usize) -> bool {
        let before = self.shared.stealers.len_of(self.local.index);
        let Some(mut driver) = self.shared.drivers[worker].try_lock() else { return false };
        self.turning(driver.as_mut(), |driver| drop(driver.poll()));
        drop(driver);
        // As after a poll of the own one: someone may have gone to sleep without the clock meanwhile.
        self.owes_look = true;
        self.shared.stealers.len_of(self.local.index) > before
    }

    /// Tasks that `turn` wakes go to this worker's queue, without being announced one by one.
    fn turning(&self, driver: Option<&mut Driver>, turn: impl FnOnce(&mut Driver)) {
        let Some(driver) = driver else { return };
        self.local.turning.set(true);
        self.metrics.turns.add(1);
        turn(driver);
        self.local.turning.set(false);
    }

    pub(super) fn sleep(&mut self) {
        self.hook(self.shared.settings.on_park.as_ref());
        let idle = &self.shared.idle;
        idle.fall_asleep(self.local.index, std::mem::take(&mut self.searching));
        // The final check. What a hook has put into our slot counts: nobody else would look there.
        if self.shared.any_work() || !self.slot.is_empty() {
            // Stay awake, and search whether or not enough others do.
            self.searching = true;
            // The watch may have seen this worker asleep, and have retired.
            self.owes_look = true;
            if !idle.leave(self.local.index) {
                idle.insist_on_search();
            }
            return;
        }
        if !self.shared.is_shutting_down() {
            self.park();
        }
        self.searching = idle.leave(self.local.index);
        self.owes_look = true;
        self.hook(self.shared.settings.on_unpark.as_ref());
    }

    /// Runs a hook. It may take its time, so nobody may count on this worker meanwhile; what it spawns or wakes
    /// is found by the next look at the queues.
    pub(super) fn hook(&mut self, hook: Option<&Hook>) {
        if hook.is_some() {
            self.hand_duties_on();
            run_hook(hook);
        }
    }

    /// Sleeps on its driver until a token comes, a turn ends, or the watch has to look.
    fn park(&mut self) {
        let start = now();
        self.metrics.busy_ns.add_time(start.duration_since(self.busy_since));
        self.metrics.parks.add(1);
        self.shared.observers.park(self.local.index);
        let watching = self.begin_watch();
        let rest = self.trouble.rest();
        let limit = watching.then_some(self.watch.interval).into_iter().chain(rest).min();
        if rest.is_some() {
            self.shared.parkers[self.local.index].park_for(limit);
        } else if let Some(mut driver) = self.shared.drivers[self.local.index].try_lock() {
            self.park_on(driver.as_mut(), limit, watching && self.watch.clock_in_use);
        } else {
            // Another worker is serving this one's events, for a moment, and nobody might wake it for later ones. That
            // worker may have been interrupted on this very CPU.
            park::yield_once();
        }
        self.metrics.unparks.add(1);
        self.busy_since = now();
        self.shared.observers.unpark(self.local.index, start, self.busy_since);
        let slept = self.busy_since.duration_since(start);
        if watching {
            self.end_watch(slept);
        }
        self.spin.parked(slept);
    }

    /// One turn that waits; for timers, too, if nobody else does and they are not left to others.
    fn park_on(&self, driver: Option<&mut Driver>, limit: Option<Duration>, leave_clock: bool) {
        let clock = if leave_clock { None } else { self.shared.driver_handle.try_clock() };
        let keeps_time = clock.is_some();
        if keeps_time {
            self.shared.idle.take_clock(self.local.index);
        }
        self.shared.parkers[self.local.index].park_turning(|| {
            self.turning(driver, |driver| self.trouble.turn(true, || driver.turn_with(limit, clock)));
        });
        if keeps_time {
            self.shared.idle.leave_clock(self.local.index);
        }
    }

    /// Becomes the watch, if there is none and one is wanted.
    fn begin_watch(&mut self) -> bool {
        let idle = &self.shared.idle;
        let alone = self.shared.parkers.len() == 1;
        if alone || !idle.begin_watch(self.local.index) {
            return false;
        }
        self.watch.quiet = if idle.all_sleep() { self.watch.quiet + 1 } else { 0 };
        if self.watch.quiet <= WATCH_LOOKS {
            return true;
        }
        self.watch.quiet = 0;
        !idle.retire(self.local.index)
    }

    /// The watch is awake: looks after what running workers have left; at the clock only if it slept for as long as it
    /// wanted.
    fn end_watch(&mut self, slept: Duration) {
        self.shared.idle.end_watch();
        let left = self.look_after_others(self.busy_since, WATCH_FIRST);
        if left || slept < self.watch.interval {
            self.watch.interval = WATCH_FIRST;
            self.watch.quiet = 0;
            self.watch.clock_in_use = false;
            return;
        }
        self.watch.interval = (self.watch.interval * 2).min(WATCH_MAX);
        let others = self.shared.metrics.iter().enumerate().filter(|&(worker, _)| worker != self.local.index);
        let turns = others.map(|(_, metrics)| metrics.turns.get()).sum();
        // With all workers asleep nobody will be back; one of them has the clock, or whoever goes to sleep takes it.
        self.watch.clock_in_use = turns != self.watch.turns && !self.shared.idle.all_sleep();
        self.watch.turns = turns;
    }

    /// Takes what workers leave lying that are in the same poll as at this worker's last look, if that was so long ago: the
    /// tasks in their slots. And serves the events of those that have not turned their driver since then. True: there was
    /// something.
    pub(super) fn look_after_others(&mut self, now: Instant, interval: Duration) -> bool {
        if now.duration_since(self.watch.looked) < interval {
            return false;
        }
        self.watch.looked = now;
        let mut found = false;
        for worker in (0..self.shared.metrics.len()).filter(|&worker| worker != self.local.index) {
            let metrics = &self.shared.metrics[worker];
            let seen = (metrics.polls.get(), metrics.turns.get());
            let before = std::mem::replace(&mut self.watch.seen[worker], seen);
            if seen.0 == before.0
                && let Some(task) = self.shared.slots[worker].take()
            {
                self.metrics.steals.add(1);
                self.local.queue.push(task);
                // Nobody was told of it: before the next poll this worker looks whether it has to wake somebody.
                self.owes_look = true;
                found = true;
            }
            // A sleeping worker is in a turn, and its driver taken.
            if seen.1 == before.1 {
                found |= self.poll_driver_of(worker);
            }
        }
        found
    }
}
