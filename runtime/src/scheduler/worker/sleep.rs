//! How a worker sleeps: its turns of the driver, its parking, and its service as the watch.
//!
//! **The watch** (`idle.rs`) looks every few milliseconds after what running workers leave unattended: if no other worker
//! has turned the driver since its last look, it takes its place there; if a worker is in the same poll as then and a task
//! in its slot, it takes that task. Work that wakes it sooner does not put the look at the slots off, and a worker that
//! never sleeps looks there too.
//!
//! `scheduler/idle.rs` has the protocol, with the reasons why no wake-up is lost.

use super::Worker;
use crate::driver::Driver;
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
    /// When this worker last looked at the slots, as the watch or between two polls.
    looked: Instant,
    /// Each worker's count of polls then.
    polls: Box<[u64]>,
    /// Turns of the driver by other workers, up to the last look at it. Those of the watch itself say nothing.
    turns: u64,
    /// The driver was turned between the last two looks: whoever did that will be back, so it is left to them.
    driver_in_use: bool,
}

impl Watch {
    pub(super) fn new(workers: usize) -> Watch {
        let polls = vec![u64::MAX; workers].into();
        Watch { interval: WATCH_FIRST, quiet: 0, looked: now(), polls, turns: 0, driver_in_use: false }
    }
}

impl Worker<'_> {
    /// One turn. The driver's mark is cleared before the caller gives the lock back.
    pub(super) fn turn(&self, driver: &mut Option<Driver>, limit: Option<Duration>) {
        let Some(driver) = driver else { return };
        self.shared.idle.take_driver(self.local.index);
        self.local.turning.set(true);
        self.metrics.turns.add(1);
        self.trouble.turn(driver, limit);
        self.local.turning.set(false);
        self.shared.idle.leave_driver();
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

    /// Sleeps, on the driver if it is free, until a token comes, a turn ends, or the watch has to look.
    fn park(&mut self) {
        let start = now();
        self.metrics.busy_ns.add_time(start.duration_since(self.busy_since));
        self.metrics.parks.add(1);
        self.shared.observers.park(self.local.index);
        let watching = self.begin_watch();
        let rest = self.trouble.rest();
        let limit = watching.then_some(self.watch.interval).into_iter().chain(rest).min();
        let parker = &self.shared.parkers[self.local.index];
        let left_to_others = watching && self.watch.driver_in_use || rest.is_some();
        let driver = if left_to_others { None } else { self.shared.driver.try_lock() };
        if let Some(mut driver) = driver {
            parker.park_turning(|| self.turn(&mut driver, limit));
        } else {
            parker.park_for(limit);
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

    /// The watch is awake: looks after what running workers have left; at the driver only if it slept for as long as it
    /// wanted.
    fn end_watch(&mut self, slept: Duration) {
        self.shared.idle.end_watch();
        self.look_at_slots(self.busy_since, WATCH_FIRST);
        if slept < self.watch.interval {
            self.watch.interval = WATCH_FIRST;
            self.watch.quiet = 0;
            self.watch.driver_in_use = false;
            return;
        }
        self.watch.interval = (self.watch.interval * 2).min(WATCH_MAX);
        let others = self.shared.metrics.iter().enumerate().filter(|&(worker, _)| worker != self.local.index);
        let turns = others.map(|(_, metrics)| metrics.turns.get()).sum();
        // With all workers asleep nobody will be back, but one of them is on the driver: whoever goes to sleep tries it.
        self.watch.driver_in_use = turns != self.watch.turns && !self.shared.idle.all_sleep();
        self.watch.turns = turns;
    }

    /// Takes the tasks in the slots of workers that are in the same poll as at this worker's last look, if that was so
    /// long ago.
    pub(super) fn look_at_slots(&mut self, now: Instant, interval: Duration) {
        if now.duration_since(self.watch.looked) < interval {
            return;
        }
        self.watch.looked = now;
        for (worker, metrics) in self.shared.metrics.iter().enumerate() {
            let polls = metrics.polls.get();
            let in_same_poll = std::mem::replace(&mut self.watch.polls[worker], polls) == polls;
            if in_same_poll
                && worker != self.local.index
                && let Some(task) = self.shared.slots[worker].take()
            {
                self.metrics.steals.add(1);
                self.local.queue.push(task);
            }
        }
    }
}
