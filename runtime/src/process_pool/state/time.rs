//! What happens because time passes: deadlines of jobs and starts, the look at the lanes, retirement, the stages of a
//! shutdown, and when the keeper must look again.
//!
//! **The look.** While jobs are with workers, the keeper reads all lanes every [`LOOK`], and every [`DEEP_LOOK`] while a
//! worker has several. That is the net under three things that are left to chance on purpose: a worker may keep the
//! bell silent for a moment after an answer; the runtime on which the lanes are read may be stuck in a long poll, or not
//! be run at all (then the keeper reads until somebody calls from a runtime again); and a job may take longer than its
//! like did before, with others behind it.

use super::{
    super::{
        CallError, CloseReport, Rejection, TimedOut, channel,
        frame::{Header, Kind},
    },
    JobRef, State,
    answers::Drained,
    is_patient,
    worker::{Life, Silence, Worker, send_notes},
};
use std::{
    cmp::Reverse,
    task::Waker,
    time::{Duration, Instant},
};

/// How far the shutdown is. Only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    Open,
    /// No new jobs; those taken are finished, until the deadline (`None`: however long it takes).
    Draining(Option<Instant>),
    /// Every worker was told to leave.
    Leaving,
    /// Everything is killed.
    Killing,
    /// All workers are reaped.
    Finished,
}

/// How long workers may take to leave after a shut frame before they are killed.
const GRACE: Duration = Duration::from_millis(200);

const LOOK: Duration = Duration::from_millis(10);
const DEEP_LOOK: Duration = Duration::from_millis(1);

/// Others wait no longer than this behind a job that takes longer than expected.
const PATIENCE: Duration = Duration::from_millis(1);

/// So many looks in a row must find answers that nobody else has read, before the keeper takes over.
const IDLE_READERS: u32 = 3;

/// How often the memory of busy workers is looked at when there is a limit.
const WEIGH: Duration = Duration::from_millis(20);

/// When the keeper will look at the lanes, and what it found last time.
#[derive(Debug, Default)]
pub(super) struct Look {
    at: Option<Instant>,
    /// Some worker has, or lately had, several jobs.
    deep: bool,
    /// A job was handed over, or a lane read by a reader, since the last look.
    handed: bool,
    read: bool,
    /// Looks in a row that found answers and no reader.
    unread: u32,
    weigh_at: Option<Instant>,
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
    // ---- the look --------------------------------------------------------------------------------------

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

    fn look(&mut self, now: Instant) {
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
    fn tidy(&mut self, slot: usize) {
        if let Some(worker) = &mut self.slots[slot].worker
            && worker.is_ready()
            && worker.jobs() == 0
        {
            worker.stuck = false;
            // What cannot be said now goes before its next job.
            let _ = send_notes(worker);
        }
    }

    // ---- deadlines -------------------------------------------------------------------------------------

    /// Sets when the time limit of a worker's first job must be looked at. `only`: if that is the first one.
    pub(super) fn watch_front(&mut self, slot: usize, only: Option<u64>) {
        let Some(worker) = &self.slots[slot].worker else { return };
        let Some(first) = worker.first() else { return };
        if only.is_some_and(|seq| !worker.is_first(seq)) {
            return;
        }
        let Some(limit) = self.jobs[first.key].terms.timeout else {
            if let Some(worker) = &mut self.slots[slot].worker {
                worker.check_at = None;
            }
            return;
        };
        let running = worker.running().map(|_| worker.running_for());
        let at = Instant::now().checked_add(limit.saturating_sub(running.unwrap_or_default()));
        if let Some(worker) = &mut self.slots[slot].worker {
            worker.check_at = at;
            worker.watched_since = channel::now();
        }
        if let Some(at) = at {
            self.want_keeper_by(at);
        }
    }

    /// Ends what is overdue in a slot: a start, a job, a leave.
    fn expire(&mut self, slot: usize, now: Instant) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        match worker.life {
            Life::Starting(Some(by)) if now >= by => {
                let limit = self.options.startup_timeout;
                self.condemn(
                    slot,
                    Some(format!("\n(killed by the pool: it was not ready within {limit:?})")),
                );
                return;
            }
            Life::Leaving(by) if now >= by => {
                self.condemn(slot, None);
                return;
            }
            _ => {}
        }
        if worker.check_at.is_some_and(|at| now >= at) {
            worker.check_at = None;
            self.check_first(slot, now);
        }
    }

    /// Kills the worker whose first job has exceeded its time, unless it has answered by now.
    fn check_first(&mut self, slot: usize, now: Instant) {
        while self.drain(slot) == Drained::More {}
        let Some(worker) = &mut self.slots[slot].worker else { return };
        let Some(first) = worker.first() else { return };
        let entry = &self.jobs[first.key];
        let Some(limit) = entry.terms.timeout else { return };
        if worker.running().is_none() {
            // It has not been started: its time has not begun.
            worker.check_at = now.checked_add(limit.min(DEEP_LOOK));
            return;
        }
        let running_for = worker.running_for();
        if running_for < limit {
            worker.check_at = now.checked_add(limit - running_for);
            return;
        }
        let error = CallError::Timeout { job: entry.request.name, after: limit, phase: TimedOut::Running };
        worker.pop();
        self.condemn(slot, None);
        self.finish(first, Err(error));
    }

    fn expire_queue(&mut self, now: Instant) {
        while let Some(&Reverse((at, job))) = self.expiries.peek()
            && now >= at
        {
            self.expiries.pop();
            if self.knows(job) && self.jobs[job.key].start_by == Some(at) {
                self.expire_queued(job);
            }
        }
    }

    // ---- retirement ------------------------------------------------------------------------------------

    /// Tells an idle worker to leave.
    pub(super) fn retire(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if matches!(worker.life, Life::Leaving(_) | Life::Condemned) {
            return;
        }
        let by = Instant::now() + GRACE;
        // Into an idle worker's empty lane. If it fails the worker is dead, or is killed after the grace.
        let _ = worker.lane.send(Header { kind: Kind::Shut, flags: 0, job: 0, id: 0 }, &[]);
        worker.life = Life::Leaving(by);
        worker.check_at = None;
        self.want_keeper_by(by);
    }

    /// Lets workers go that had nothing to do for long.
    fn retire_the_idle(&mut self, now: Instant) {
        let Some(limit) = self.options.idle_timeout else { return };
        for slot in 0..self.slots.len() {
            let idle = self.slots[slot]
                .worker
                .as_ref()
                .filter(|worker| worker.is_ready())
                .and_then(|worker| worker.idle_since);
            if idle.is_some_and(|since| now.saturating_duration_since(since) >= limit)
                && self.ready_workers() > self.options.min_workers
            {
                self.retire(slot);
                self.desired = self.desired.saturating_sub(1).max(self.options.min_workers);
            }
        }
    }

    pub(super) fn want_keeper_for_idle(&mut self) {
        if let Some(at) = self.options.idle_timeout.and_then(|limit| Instant::now().checked_add(limit)) {
            self.want_keeper_by(at);
        }
    }

    /// The busy workers to be weighed now, by slot; empty when there is no limit on memory, or it is too early.
    pub(in crate::process_pool) fn weigh_now(&mut self, now: Instant) -> Vec<(usize, u32)> {
        if self.options.memory_limit.is_none() || self.look.weigh_at.is_some_and(|at| now < at) {
            return Vec::new();
        }
        let ready = |(slot, place): (usize, &super::Slot)| {
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

    // ---- the keeper's turn -----------------------------------------------------------------------------

    /// Does what is due.
    pub(in crate::process_pool) fn tick(&mut self, now: Instant) {
        self.look(now);
        self.expire_queue(now);
        for slot in 0..self.slots.len() {
            self.expire(slot, now);
            self.tidy(slot);
        }
        self.retire_the_idle(now);
        if self.queued > 0 {
            self.hand_over();
        }
        match self.stage {
            Stage::Draining(Some(deadline)) if now >= deadline => self.kill_all(),
            Stage::Draining(_) if self.is_drained() => {
                self.stage = Stage::Leaving;
                for slot in 0..self.slots.len() {
                    self.retire(slot);
                }
            }
            _ => {}
        }
        if matches!(self.stage, Stage::Leaving | Stage::Killing) && self.occupied() == 0 {
            self.stage = Stage::Finished;
            self.wakers.append(&mut self.watchers);
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(in crate::process_pool) fn arm(&mut self, now: Instant) -> Option<Instant> {
        while let Some(&Reverse((at, job))) = self.expiries.peek()
            && !is_patient(&self.jobs, at, job)
        {
            self.expiries.pop();
        }
        let may_retire = self.ready_workers() > self.options.min_workers;
        let workers = self.slots.iter().filter_map(|slot| slot.worker.as_ref()).filter_map(|worker| {
            match worker.life {
                Life::Starting(by) => by,
                Life::Leaving(by) => Some(by),
                Life::Ready => {
                    let idle = match (worker.idle_since, self.options.idle_timeout) {
                        (Some(since), Some(limit)) if may_retire => since.checked_add(limit),
                        _ => None,
                    };
                    [worker.check_at, idle].into_iter().flatten().min()
                }
                Life::Condemned => None,
            }
        });
        let start = if self.wants_worker() { self.breaker.next_start(now) } else { None };
        let stage = match self.stage {
            Stage::Draining(deadline) => deadline,
            Stage::Open | Stage::Leaving | Stage::Killing | Stage::Finished => None,
        };
        let expiry = self.expiries.peek().map(|Reverse((at, _))| *at);
        let others = [self.look.at, self.look.weigh_at, expiry, start, stage];
        self.armed = workers.chain(others.into_iter().flatten()).min();
        self.asleep = true;
        self.nudge = false;
        self.armed
    }

    /// The keeper is up.
    pub(in crate::process_pool) fn wake_up(&mut self) {
        self.asleep = false;
    }

    /// The keeper must look at what has changed.
    pub(super) fn want_keeper(&mut self) {
        self.nudge = true;
    }

    /// The keeper must look again at this instant, if not earlier.
    pub(super) fn want_keeper_by(&mut self, at: Instant) {
        self.nudge |= self.armed.is_none_or(|armed| at < armed);
    }

    /// Whether the keeper must be woken for what just changed. True once per sleep: wakes coalesce.
    pub(in crate::process_pool) fn must_nudge(&mut self) -> bool {
        let nudge = self.asleep && self.nudge;
        if nudge {
            (self.asleep, self.nudge) = (false, false);
        }
        nudge
    }

    // ---- shutdown --------------------------------------------------------------------------------------

    /// Takes no more calls; jobs taken are finished until `deadline` (`None`: however long that takes).
    pub(in crate::process_pool) fn drain_until(&mut self, deadline: Option<Instant>) {
        match self.stage {
            Stage::Open => self.stage = Stage::Draining(deadline),
            Stage::Draining(Some(earlier)) if deadline.is_none_or(|deadline| earlier <= deadline) => {}
            Stage::Draining(_) => self.stage = Stage::Draining(deadline),
            Stage::Leaving | Stage::Killing | Stage::Finished => {}
        }
        self.want_keeper();
    }

    /// Ends every job and kills every worker, now.
    pub(in crate::process_pool) fn kill_all(&mut self) {
        if matches!(self.stage, Stage::Killing | Stage::Finished) {
            return;
        }
        self.stage = Stage::Killing;
        self.want_keeper();
        for slot in 0..self.slots.len() {
            while self.drain(slot) == Drained::More {}
            self.condemn(slot, None);
            while let Some(job) = self.slots[slot].worker.as_mut().and_then(Worker::pop) {
                let name = self.jobs[job.key].request.name;
                self.report.cancelled += 1;
                self.finish(job, Err(CallError::Cancelled { job: name }));
            }
        }
        self.fail_queue(|| CallError::Rejected(Rejection::Closed));
    }

    fn is_drained(&self) -> bool {
        self.queued == 0
            && self.slots.iter().all(|slot| slot.worker.as_ref().is_none_or(|worker| worker.jobs() == 0))
    }

    pub(in crate::process_pool) fn is_closing(&self) -> bool {
        self.stage != Stage::Open
    }

    pub(in crate::process_pool) fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// What the shutdown came to, once it is finished. Else `waker` is woken at the next change.
    pub(in crate::process_pool) fn poll_finished(
        &mut self,
        waker: &mut Option<Waker>,
    ) -> Option<CloseReport> {
        if self.is_finished() {
            return Some(self.report);
        }
        self.watch(waker);
        None
    }

    /// Keeps a waker, once, until the next change.
    pub(super) fn watch(&mut self, waker: &mut Option<Waker>) {
        let known = |waker: &Waker| self.watchers.iter().any(|other| other.will_wake(waker));
        if let Some(waker) = waker.take_if(|waker| !known(waker)) {
            self.watchers.push(waker);
        }
    }

    /// The last resort when the keeper itself has failed: no future may hang.
    pub(in crate::process_pool) fn abort(&mut self) {
        self.kill_all();
        self.stage = Stage::Finished;
        self.wakers.append(&mut self.watchers);
    }
}
