//! What happens because time passes: deadlines of jobs and starts, the stages of a shutdown, and when the dispatcher
//! must look again.

use super::{
    super::{CallError, CloseReport, Rejection, TimedOut, frame},
    InFlight, Job, State,
};
use rustix::net::SendFlags;
use std::{
    task::Waker,
    time::{Duration, Instant},
};

/// How far the shutdown is. Only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    Open,
    /// No new jobs; those taken are finished, until the deadline (`None`: however long it takes).
    Draining(Option<Instant>),
    /// Every worker was told to leave, and is killed at the instant.
    Leaving(Instant),
    /// Everything is killed.
    Killing,
    /// All workers are reaped.
    Finished,
}

/// How long workers may take to leave after a shut frame before they are killed.
const GRACE: Duration = Duration::from_millis(200);

impl State {
    // ---- time ------------------------------------------------------------------------------------------

    /// Does what is due: deadlines of jobs and starts, the stages of a shutdown.
    pub(in crate::process_pool) fn tick(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            self.expire(slot, now);
        }
        self.hand_over(now);
        match self.stage {
            Stage::Draining(Some(deadline)) if now >= deadline => self.kill_all(),
            Stage::Draining(_) if self.is_drained() => {
                self.dismiss();
                self.stage = Stage::Leaving(now + GRACE);
            }
            Stage::Leaving(until) if now >= until => self.kill_all(),
            _ => {}
        }
        if matches!(self.stage, Stage::Leaving(_) | Stage::Killing) && self.occupied() == 0 {
            self.stage = Stage::Finished;
            self.wakers.append(&mut self.watchers);
        }
    }

    fn expire(&mut self, slot: usize, now: Instant) {
        let Some(worker) = &mut self.slots[slot] else { return };
        if worker.condemned {
            return;
        }
        if !worker.ready && worker.ready_by.is_some_and(|by| now >= by) {
            let limit = self.options.startup_timeout;
            worker.condemn(Some(format!("\n(killed by the pool: it was not ready within {limit:?})")));
        }
        let late = |in_flight: &mut InFlight| in_flight.deadline.is_some_and(|deadline| now >= deadline);
        if let Some(in_flight) = worker.in_flight.take_if(late) {
            worker.condemn(None);
            let Job { name, timeout, .. } = &self.jobs[in_flight.job.key];
            let timeout = CallError::Timeout {
                job: name,
                after: timeout.unwrap_or_default(),
                phase: TimedOut::Running,
            };
            self.finish(in_flight.job, Err(timeout));
        }
    }

    /// When [`tick`](Self::tick) has something to do next. Never later than that, but perhaps earlier: an instant
    /// once armed is kept, so that a new call with the usual timeout need not wake the dispatcher.
    pub(in crate::process_pool) fn next_tick(&mut self, now: Instant) -> Option<Instant> {
        let next = self.due(now);
        let kept = self.armed.filter(|armed| *armed > now);
        self.armed = match (next, kept) {
            (Some(next), Some(kept)) => Some(next.min(kept)),
            (next, kept) => next.or(kept),
        };
        self.armed
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        let workers = self.slots.iter().flatten().filter(|worker| !worker.condemned).filter_map(|worker| {
            if worker.ready { worker.in_flight.as_ref()?.deadline } else { worker.ready_by }
        });
        let start = if self.wants_worker() { self.breaker.next_start(now) } else { None };
        let stage = match self.stage {
            Stage::Draining(deadline) => deadline,
            Stage::Leaving(until) => Some(until),
            Stage::Open | Stage::Killing | Stage::Finished => None,
        };
        workers.chain(start).chain(stage).min()
    }

    // ---- shutdown --------------------------------------------------------------------------------------

    /// Takes no more calls; jobs taken are finished until `deadline` (`None`: however long that takes).
    pub(in crate::process_pool) fn drain_until(&mut self, deadline: Option<Instant>) {
        match self.stage {
            Stage::Open => self.stage = Stage::Draining(deadline),
            Stage::Draining(Some(earlier)) if deadline.is_none_or(|deadline| earlier <= deadline) => {}
            Stage::Draining(_) => self.stage = Stage::Draining(deadline),
            Stage::Leaving(_) | Stage::Killing | Stage::Finished => {}
        }
    }

    /// Ends every job and kills every worker, now.
    pub(in crate::process_pool) fn kill_all(&mut self) {
        if matches!(self.stage, Stage::Killing | Stage::Finished) {
            return;
        }
        self.stage = Stage::Killing;
        self.fail_queue(|| CallError::Rejected(Rejection::Closed));
        for slot in 0..self.slots.len() {
            let Some(worker) = &mut self.slots[slot] else { continue };
            // Also those that were only told to leave.
            worker.condemned = true;
            worker.process.kill();
            if let Some(in_flight) = worker.in_flight.take() {
                let job = self.jobs[in_flight.job.key].name;
                self.report.cancelled += 1;
                self.finish(in_flight.job, Err(CallError::Cancelled { job }));
            }
        }
    }

    /// Tells the idle workers of a drained pool to leave.
    fn dismiss(&mut self) {
        let header = frame::Header { kind: frame::Kind::Shut, flags: 0, job: 0, id: 0 };
        let shut = frame::begin(header);
        for worker in self.slots.iter_mut().flatten().filter(|worker| !worker.condemned) {
            // Into an idle worker's empty socket. If it fails the worker is dead, or is killed after the grace.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let _ = rustix::net::send(worker.process.socket(), &shut, flags);
            // Ready or not, it gets no more jobs, and its end is no failure.
            worker.condemned = true;
        }
    }

    fn is_drained(&self) -> bool {
        self.queued == 0 && self.slots.iter().flatten().all(|worker| worker.in_flight.is_none())
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

    pub(super) fn fail_queue(&mut self, error: impl Fn() -> CallError) {
        while let Some((job, _)) = self.pop() {
            if self.stage != Stage::Open {
                self.report.cancelled += 1;
            }
            self.finish(job, Err(error()));
        }
    }

    /// The last resort when the dispatcher itself has failed: no future may hang.
    pub(in crate::process_pool) fn abort(&mut self) {
        self.kill_all();
        self.stage = Stage::Finished;
        self.wakers.append(&mut self.watchers);
    }

    // ---- the dispatcher's sleep ------------------------------------------------------------------------

    /// The dispatcher is about to wait for events.
    pub(in crate::process_pool) fn fall_asleep(&mut self) {
        self.asleep = true;
    }

    /// The dispatcher is up.
    pub(in crate::process_pool) fn wake_up(&mut self) {
        self.asleep = false;
    }

    /// Whether the dispatcher must be woken for what just changed. True once per sleep: wakes coalesce.
    pub(in crate::process_pool) fn must_nudge(&mut self, now: Instant) -> bool {
        if !self.asleep {
            return false;
        }
        let earlier = match (self.due(now), self.armed) {
            (Some(due), Some(armed)) => due < armed,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        };
        let partial = self
            .slots
            .iter()
            .flatten()
            .any(|worker| worker.in_flight.as_ref().is_some_and(InFlight::is_partial));
        let needed = earlier
            || partial
            || self.slot_to_fill(now).is_some()
            || (self.stage != Stage::Open && self.stage != Stage::Finished);
        if needed {
            self.asleep = false;
        }
        needed
    }
}
