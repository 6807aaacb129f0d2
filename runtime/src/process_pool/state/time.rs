//! What happens because time passes: deadlines of jobs and starts, retirement, the stages of a shutdown, and when the keeper
//! has something to do next. Its regular look at the workers is in `look.rs`.

use super::{
    super::{
        CallError, CloseReport, Rejection, TimedOut, channel,
        frame::{Header, Kind},
    },
    State,
    answers::Drained,
    is_patient,
    look::DEEP_LOOK,
    worker::{Life, Worker},
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

impl State {
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
