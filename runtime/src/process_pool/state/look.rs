//! The keeper's regular look at the workers: at their lanes, and at their memory.
//!
//! **The look.** While jobs are with workers, the keeper reads all lanes every [`LOOK`], and every [`DEEP_LOOK`] while a
//! worker has several. That is the net under three things that are left to chance on purpose: a worker may keep the
//! bell silent for a moment after an answer; the runtime on which the lanes are read may be stuck in a long poll, or not
//! be run at all (then the keeper reads until somebody calls from a runtime again); and a job may take longer than its
//! like did before, with others behind it.
//!
//! **Memory.** When there is a limit, what busy workers use is looked at every [`WEIGH`].

use super::{
    JobRef, Slot, State,
    answers::Drained,
    worker::{Silence, send_notes},
};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(10);
pub(super) const DEEP_LOOK: Duration = Duration::from_millis(1);

/// Others wait no longer than this behind a job that takes longer than expected.
const PATIENCE: Duration = Duration::from_millis(1);

/// So many looks in a row must find answers that nobody else has read, before the keeper takes over.
const IDLE_READERS: u32 = 3;

/// How often the memory of busy workers is looked at when there is a limit.
const WEIGH: Duration = Duration::from_millis(20);

/// When the keeper will look at the lanes, and what it found last time.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) at: Option<Instant>,
    /// Some worker has, or lately had, several jobs.
    deep: bool,
    /// A job was handed over, or a lane read by a reader, since the last look.
    handed: bool,
    read: bool,
    /// Looks in a row that found answers and no reader.
    unread: u32,
    pub(super) weigh_at: Option<Instant>,
}

impl Look {
    pub(super) fn is_deep(&self) -> bool {
        self.deep
    }

    pub(super) fn found_a_reader(&mut self) {
        self.read = true;
    }
}

impl State {
    /// A job went to a worker, behind others if `deep`.
    pub(super) fn want_look(&mut self, deep: bool) {
        self.look.handed = true;
        let pause = match (self.look.at.is_some(), deep && !self.look.deep) {
            (_, true) => DEEP_LOOK,
            (false, false) => LOOK,
            (true, false) => return,
        };
        self.look.deep |= deep;
        let at = Instant::now() + pause;
        self.look.at = Some(at);
        self.want_keeper_by(at);
    }

    pub(super) fn look(&mut self, now: Instant) {
        if self.look.at.is_none_or(|at| now < at) {
            return;
        }
        let before = self.counters.completed + self.counters.failed;
        for slot in 0..self.slots.len() {
            while self.drain(slot) == Drained::More {}
            self.free_the_stuck(slot, now);
        }
        let found = self.counters.completed + self.counters.failed != before;
        self.look.unread = if found && !self.look.read { self.look.unread + 1 } else { 0 };
        if self.look.unread >= IDLE_READERS {
            self.miss_readers(now);
        }
        let workers = || self.slots.iter().filter_map(|slot| slot.worker.as_ref());
        let deep = workers().any(|worker| worker.is_deep());
        let busy = workers().any(|worker| worker.jobs() > 0 || worker.suspect) || self.look.handed;
        self.look.deep = deep;
        (self.look.handed, self.look.read) = (false, false);
        self.look.at = match (deep, busy) {
            (true, _) => Some(now + DEEP_LOOK),
            (false, true) => Some(now + LOOK),
            (false, false) => None,
        };
    }

    /// Takes back what waits behind a job that takes longer than expected, and what a worker does not start although
    /// it could: that one may be stopped, or starved. It is killed if that lasts as long as a start may last.
    fn free_the_stuck(&mut self, slot: usize, now: Instant) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if !worker.is_ready() {
            return;
        }
        if worker.running().is_some() {
            worker.silence = None;
            if worker.is_deep() && worker.running_for() >= PATIENCE {
                worker.long = true;
                self.take_back(slot);
                self.hand_over();
            }
            return;
        }
        if worker.first().is_none() && (!worker.suspect || worker.lane.is_read()) {
            (worker.suspect, worker.silence) = (false, None);
            return;
        }
        let Some(silence) = worker.silence else {
            worker.silence = worker.first().map(|job| Silence { since: now, job });
            return;
        };
        let silent_for = now.saturating_duration_since(silence.since);
        if silent_for >= self.options.startup_timeout {
            self.give_up_on(slot, silence.job);
        } else if silent_for >= LOOK && worker.first().is_some() {
            worker.suspect = true;
            self.take_back(slot);
            self.hand_over();
        }
    }

    /// Kills a worker that shows no sign of life. The job that it was given first may be to blame: what a job does to
    /// the lane of its own worker looks like that.
    fn give_up_on(&mut self, slot: usize, job: JobRef) {
        if self.knows(job) {
            self.strike(job);
        }
        let limit = self.options.startup_timeout;
        self.condemn(
            slot,
            Some(format!("\n(killed by the pool: it did not start a job that it was given {limit:?} ago)")),
        );
    }

    /// An idle worker is told what shared memory it need not keep, and may be tried again if it could take nothing.
    pub(super) fn tidy(&mut self, slot: usize) {
        if let Some(worker) = &mut self.slots[slot].worker
            && worker.is_ready()
            && worker.jobs() == 0
        {
            worker.stuck = false;
            // What cannot be said now goes before its next job.
            let _ = send_notes(worker);
        }
    }

    // ---- memory ----------------------------------------------------------------------------------------

    /// The busy workers to be weighed now, by slot; empty when there is no limit on memory, or it is too early.
    pub(in crate::process_pool) fn weigh_now(&mut self, now: Instant) -> Vec<(usize, u32)> {
        if self.options.memory_limit.is_none() || self.look.weigh_at.is_some_and(|at| now < at) {
            return Vec::new();
        }
        let ready = |(slot, place): (usize, &Slot)| {
            let worker = place.worker.as_ref().filter(|worker| worker.is_ready())?;
            (worker.served > 0 || worker.jobs() > 0).then(|| (slot, worker.process.pid()))
        };
        let all: Vec<_> = self.slots.iter().enumerate().filter_map(ready).collect();
        self.look.weigh_at = (!all.is_empty()).then(|| now + WEIGH);
        all
    }

    /// A worker was found to use so much memory. Over the limit it gets no more jobs; it is killed if the job that it ran
    /// then still runs at the next weighing.
    pub(in crate::process_pool) fn weighed(&mut self, slot: usize, pid: u32, used: u64) {
        let Some(limit) = self.options.memory_limit.filter(|limit| used > *limit) else { return };
        while self.drain(slot) == Drained::More {}
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if worker.process.pid() != pid || !worker.is_ready() {
            return;
        }
        worker.heavy = true;
        let Some(job) = worker.running() else {
            self.take_back(slot);
            self.hand_over();
            // Unless it has started one just now: then after that.
            if self.slots[slot].worker.as_ref().is_some_and(|worker| worker.jobs() == 0) {
                self.retire(slot);
            }
            return;
        };
        if worker.weighed_in.replace(job) == Some(job) {
            worker.over_limit = Some(used);
            self.condemn(
                slot,
                Some(format!("\n(killed by the pool: it used {used} bytes, and {limit} are allowed)")),
            );
        }
    }
}
