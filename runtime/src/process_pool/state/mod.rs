//! The pool's book-keeping, all of it under one lock: jobs, the queue, the slots of the workers.
//!
//! A job is *queued* (its frame waits here), *running* (its frame went to a worker, or is on the way), or *done*.
//! Its entry belongs to its [`Call`](super::Call) from submission until the call takes the outcome or is
//! dropped; only an entry whose call is gone is removed by the pool.
//!
//! `mod` holds calls and slots, `reports` what the dispatcher notices, `time` deadlines and the shutdown.
//!
//! Each worker has at most one job at a time, so a death can only ever fail that one. Frames are sent by whoever
//! notices that a worker is free, callers included: that saves a hop through the dispatcher. What a
//! send could not take is continued by the dispatcher, which alone reads sockets, spawns and reaps.
//!
//! Nothing foreign runs under the lock: wakers are collected in [`State::wakers`] and woken, and replaced ones
//! dropped, after it is released.

mod reports;
#[cfg(test)]
mod tests;
mod time;

use super::{
    CallError, CloseReport, OnDrop, Options, PoolMetrics, Rejection,
    breaker::Breaker,
    frame::{self, Payload},
    spawn::Process,
};
use rustix::{io::Errno, net::SendFlags};
use slab::Slab;
use std::{
    collections::VecDeque,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};
use time::Stage;

/// What came back for a job.
pub(super) type Outcome = Result<Payload, CallError>;

/// Names one submission: a slab key alone could have been reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobRef {
    key: usize,
    id: u64,
}

#[derive(Debug)]
enum Phase {
    Queued(Vec<u8>),
    Running { slot: usize },
    Done(Outcome),
}

#[derive(Debug)]
struct Job {
    id: u64,
    name: &'static str,
    phase: Phase,
    waker: Option<Waker>,
    timeout: Option<Duration>,
    on_drop: OnDrop,
    /// Workers that died with a part of this job sent. It was not started, but it may be what kills them.
    strikes: u8,
    /// The call is gone; the entry goes when the job ends.
    abandoned: bool,
}

/// The job that a worker has.
#[derive(Debug)]
struct InFlight {
    job: JobRef,
    /// Kept until the answer, to send it elsewhere if this worker dies without having read it.
    frame: Vec<u8>,
    sent: usize,
    started: Instant,
    deadline: Option<Instant>,
}

/// A slot's worker, from its spawn until it is reaped.
#[derive(Debug)]
pub(super) struct Worker {
    process: Arc<Process>,
    /// It said hello.
    ready: bool,
    ready_by: Option<Instant>,
    in_flight: Option<InFlight>,
    /// Jobs with smaller ids were submitted before this worker was started.
    born: u64,
    /// Jobs of which it was sent at least a byte, or may still be.
    given: u64,
    served: u64,
    /// Killed or found broken: it gets no more jobs, and what it still says is ignored.
    condemned: bool,
    /// Why it was condemned, when its exit status will not tell.
    verdict: Option<String>,
}

/// A job at the deaths of so many workers that had not started it is not given to another.
const STRIKES: u8 = 2;

#[derive(Debug)]
pub(super) struct State {
    options: Options,
    jobs: Slab<Job>,
    /// Oldest first. May name jobs that are no longer queued: they are skipped.
    queue: VecDeque<JobRef>,
    /// The jobs that are really queued.
    queued: usize,
    slots: Vec<Option<Worker>>,
    /// How many workers the pool keeps alive: grows with demand, up to all slots.
    desired: usize,
    breaker: Breaker,
    stage: Stage,
    next_id: u64,
    /// The dispatcher is in poll(2), or on its way there, and will not see changes by itself.
    asleep: bool,
    /// When the dispatcher will look again by itself.
    armed: Option<Instant>,
    /// To be woken by whoever releases the lock.
    wakers: Vec<Waker>,
    /// Woken when a worker gets ready, a start fails or the shutdown advances.
    watchers: Vec<Waker>,
    counters: PoolMetrics,
    report: CloseReport,
}

/// Why a call was not queued. The frame comes back where waiting helps.
#[derive(Debug)]
pub(super) enum Refusal {
    Full(Vec<u8>),
    For(CallError),
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        let breaker = Breaker::new(options.startup_timeout);
        Self {
            jobs: Slab::new(),
            queue: VecDeque::new(),
            queued: 0,
            slots: (0..options.workers).map(|_| None).collect(),
            options,
            desired: 0,
            breaker,
            stage: Stage::Open,
            next_id: 1,
            asleep: false,
            armed: None,
            wakers: Vec::new(),
            watchers: Vec::new(),
            counters: PoolMetrics::default(),
            report: CloseReport::default(),
        }
    }

    // ---- calls -----------------------------------------------------------------------------------------

    /// Takes a call. `may_exceed`: the caller waits for it anyway, so the limit on the queue does not apply.
    pub(super) fn submit(
        &mut self,
        mut frame: Vec<u8>,
        name: &'static str,
        timeout: Option<Duration>,
        on_drop: OnDrop,
        may_exceed: bool,
    ) -> Result<JobRef, Refusal> {
        if self.stage != Stage::Open {
            return Err(Refusal::For(CallError::Rejected(Rejection::Closed)));
        }
        let now = Instant::now();
        if self.breaker.refuses(now).is_some() && self.ready_workers() == 0 {
            return Err(Refusal::For(CallError::Rejected(Rejection::BreakerOpen)));
        }
        if !may_exceed && self.queued >= self.options.queue_limit && self.free_slot().is_none() {
            return Err(Refusal::Full(frame));
        }
        let id = self.next_id;
        self.next_id += 1;
        frame::set_id(&mut frame, id);
        let key = self.jobs.insert(Job {
            id,
            name,
            phase: Phase::Queued(frame),
            waker: None,
            timeout,
            on_drop,
            strikes: 0,
            abandoned: false,
        });
        let job = JobRef { key, id };
        self.queue.push_back(job);
        self.queued += 1;
        self.counters.submitted += 1;
        self.hand_over(now);
        Ok(job)
    }

    /// The outcome, if there is one: the entry is gone then. Else `waker` is kept for it, in exchange for the
    /// one kept before.
    pub(super) fn poll(&mut self, job: JobRef, waker: &mut Option<Waker>) -> Option<Outcome> {
        let entry = &mut self.jobs[job.key];
        if !matches!(entry.phase, Phase::Done(_)) {
            std::mem::swap(&mut entry.waker, waker);
            return None;
        }
        debug_assert!(entry.waker.is_none(), "finish() takes the waker");
        match self.jobs.remove(job.key).phase {
            Phase::Done(outcome) => Some(outcome),
            Phase::Queued(_) | Phase::Running { .. } => None,
        }
    }

    /// The call is gone. What comes back is to be dropped outside the lock.
    pub(super) fn abandon(&mut self, job: JobRef) -> Option<Waker> {
        let entry = &mut self.jobs[job.key];
        let waker = entry.waker.take();
        match entry.phase {
            Phase::Queued(_) => {
                self.jobs.remove(job.key);
                self.queued -= 1;
                if self.queue.len() > 2 * self.queued + 64 {
                    let jobs = &self.jobs;
                    self.queue.retain(|job| is_queued(jobs, *job));
                }
            }
            Phase::Running { slot } if entry.on_drop == OnDrop::Kill => {
                self.jobs.remove(job.key);
                if let Some(worker) = &mut self.slots[slot] {
                    worker.in_flight = None;
                    worker.condemn(None);
                }
                self.counters.failed += 1;
            }
            Phase::Running { .. } => entry.abandoned = true,
            Phase::Done(_) => {
                self.jobs.remove(job.key);
            }
        }
        waker
    }

    /// Sets a job's allowance, also when it runs already.
    pub(super) fn set_timeout(&mut self, job: JobRef, timeout: Duration) {
        let entry = &mut self.jobs[job.key];
        entry.timeout = Some(timeout);
        if let Phase::Running { slot } = entry.phase
            && let Some(in_flight) = self.slots[slot].as_mut().and_then(|worker| worker.in_flight.as_mut())
        {
            in_flight.deadline = in_flight.started.checked_add(timeout);
        }
    }

    pub(super) fn set_on_drop(&mut self, job: JobRef, on_drop: OnDrop) {
        self.jobs[job.key].on_drop = on_drop;
    }

    // ---- handing jobs to workers -----------------------------------------------------------------------

    /// Gives queued jobs to free workers, and asks for more workers where none is free.
    fn hand_over(&mut self, now: Instant) {
        while let Some(slot) = self.free_slot() {
            let Some((job, frame)) = self.pop() else { return };
            self.start(slot, job, frame, now);
        }
        let wanted = (self.occupied() + self.queued.saturating_sub(self.starting())).min(self.slots.len());
        // While the breaker is open, the workers at hand carry on alone.
        if wanted > self.desired && self.breaker.refuses(now).is_none() {
            self.desired = wanted;
        }
    }

    /// The next job that is really queued, with its frame; it is in no phase until `start` gives it one.
    fn pop(&mut self) -> Option<(JobRef, Vec<u8>)> {
        while let Some(job) = self.queue.pop_front() {
            if is_queued(&self.jobs, job)
                && let Phase::Queued(frame) = &mut self.jobs[job.key].phase
            {
                self.queued -= 1;
                return Some((job, std::mem::take(frame)));
            }
        }
        None
    }

    fn start(&mut self, slot: usize, job: JobRef, frame: Vec<u8>, now: Instant) {
        let entry = &mut self.jobs[job.key];
        entry.phase = Phase::Running { slot };
        let deadline = entry.timeout.and_then(|timeout| now.checked_add(timeout));
        if let Some(worker) = &mut self.slots[slot] {
            worker.given += 1;
            worker.in_flight = Some(InFlight { job, frame, sent: 0, started: now, deadline });
        }
        self.send_on(slot);
    }

    /// Sends as much of a worker's job as its socket takes now.
    pub(super) fn send_on(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot] else { return };
        let Some(in_flight) = &mut worker.in_flight else { return };
        while in_flight.sent < in_flight.frame.len() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(worker.process.socket(), &in_flight.frame[in_flight.sent..], flags) {
                Ok(sent) => in_flight.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    // The worker is gone. The job was not sent whole, so it did not start: `died` puts it back.
                    worker.condemn(None);
                    return;
                }
            }
        }
    }

    /// A worker died with a part of a job sent that it had not started: the job is queued again, unless that was
    /// so with too many workers.
    fn strike(&mut self, in_flight: InFlight, death: CallError) {
        let entry = &mut self.jobs[in_flight.job.key];
        entry.strikes += 1;
        if entry.strikes >= STRIKES {
            self.finish(in_flight.job, Err(death));
        } else {
            self.put_back(in_flight);
        }
    }

    /// Queues a job again, first in line, that its worker had not started. Of a worker that was dead before the
    /// first byte the job is innocent; how often that may happen is up to the [`Breaker`].
    fn put_back(&mut self, in_flight: InFlight) {
        let InFlight { job, frame, .. } = in_flight;
        let entry = &mut self.jobs[job.key];
        if entry.abandoned {
            self.jobs.remove(job.key);
            return;
        }
        entry.phase = Phase::Queued(frame);
        self.queue.push_front(job);
        self.queued += 1;
    }

    /// A job has ended: its call is told, or its entry removed when nobody wants to know.
    fn finish(&mut self, job: JobRef, outcome: Outcome) {
        match outcome {
            Ok(_) => self.counters.completed += 1,
            Err(_) => self.counters.failed += 1,
        }
        if self.stage != Stage::Open && outcome.is_ok() {
            self.report.finished += 1;
        }
        let entry = &mut self.jobs[job.key];
        if entry.abandoned {
            self.jobs.remove(job.key);
        } else {
            entry.phase = Phase::Done(outcome);
            self.wakers.extend(entry.waker.take());
        }
    }

    // ---- slots -----------------------------------------------------------------------------------------

    /// The slot to start a worker in now, if one is wanted and may be started.
    pub(super) fn slot_to_fill(&self, now: Instant) -> Option<usize> {
        (self.wants_worker() && self.breaker.allows(now, self.starting()))
            .then(|| self.slots.iter().position(Option::is_none))?
    }

    fn wants_worker(&self) -> bool {
        let occupied = self.occupied();
        match self.stage {
            Stage::Open => occupied < self.desired,
            Stage::Draining(_) => occupied < self.desired && self.queued > 0,
            Stage::Leaving(_) | Stage::Killing | Stage::Finished => false,
        }
    }

    fn free_slot(&self) -> Option<usize> {
        self.slots.iter().position(|slot| {
            slot.as_ref()
                .is_some_and(|worker| worker.ready && !worker.condemned && worker.in_flight.is_none())
        })
    }

    fn occupied(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    fn starting(&self) -> usize {
        self.slots.iter().flatten().filter(|worker| !worker.ready && !worker.condemned).count()
    }

    fn ready_workers(&self) -> usize {
        self.slots.iter().flatten().filter(|worker| worker.ready && !worker.condemned).count()
    }

    /// The processes that are not yet reaped.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.slots.iter().flatten().map(|worker| worker.process.pid()).collect()
    }

    /// Whether the worker in `slot` has part of a frame still to be sent.
    pub(super) fn is_sending(&self, slot: usize) -> bool {
        self.slots[slot]
            .as_ref()
            .and_then(|worker| worker.in_flight.as_ref())
            .is_some_and(InFlight::is_partial)
    }

    /// Asks for all workers, and tells whether they are ready. Otherwise `waker` is woken at the next change.
    pub(super) fn poll_all_ready(&mut self, waker: &mut Option<Waker>) -> Option<Result<(), CallError>> {
        if self.stage != Stage::Open {
            return Some(Err(CallError::Rejected(Rejection::Closed)));
        }
        if self.ready_workers() == self.slots.len() {
            return Some(Ok(()));
        }
        if let Some(cause) = self.breaker.refuses(Instant::now()) {
            return Some(Err(CallError::Spawn(cause.to_error())));
        }
        self.desired = self.slots.len();
        self.watch(waker);
        None
    }

    pub(super) fn metrics(&self) -> PoolMetrics {
        PoolMetrics {
            workers: self.ready_workers(),
            running: self.slots.iter().flatten().filter(|worker| worker.in_flight.is_some()).count(),
            queued: self.queued,
            ..self.counters.clone()
        }
    }

    /// The wakers to wake once the lock is released.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }
}

impl InFlight {
    fn is_partial(&self) -> bool {
        self.sent < self.frame.len()
    }
}

impl Worker {
    fn condemn(&mut self, verdict: Option<String>) {
        if !self.condemned {
            self.condemned = true;
            self.verdict = verdict;
            self.process.kill();
        }
    }
}

fn is_queued(jobs: &Slab<Job>, job: JobRef) -> bool {
    jobs.get(job.key).is_some_and(|entry| entry.id == job.id && matches!(entry.phase, Phase::Queued(_)))
}
