//! The pool's book-keeping, all of it under one lock: jobs, the queue, the slots of the workers.
//!
//! A job is *queued* (it waits here), *at* a worker (its frame was published in that worker's lane), or *done*.
//! Its entry belongs to its [`RawCall`](super::call::RawCall) from submission until the call takes the outcome or is
//! dropped; only an entry whose call is gone is removed by the pool.
//!
//! | file | what it keeps |
//! |---|---|
//! | `mod` | calls: submitting, awaiting, changing and abandoning them |
//! | `worker` | a worker: its lane, its life, what it was given |
//! | `lanes` | which job goes where, taking unstarted ones back |
//! | `answers` | reading lanes |
//! | `slots` | how many workers there should be, who reads their lanes |
//! | `reports` | what the keeper notices: a worker was started, died |
//! | `look` | the regular look at the workers: at their lanes and their memory |
//! | `time` | deadlines, retirement, the shutdown, what the keeper does next |
//!
//! A worker may have several jobs, but starts them one at a time, and the lane's claim word tells which: only the one
//! that it had started can die with it. All others are taken back and given to another worker, unnoticed.
//!
//! Everything here is memory work, but for three short system calls: waking a worker that sleeps, killing one,
//! and passing a descriptor of shared memory that a worker has not seen yet.
//!
//! Nothing foreign runs under the lock: values are encoded before and decoded after; wakers are collected in
//! [`State::wakers`] and woken, and replaced ones dropped, after it is released.

mod answers;
mod lanes;
mod look;
mod reports;
mod slots;
#[cfg(test)]
mod tests;
mod time;
mod worker;

use super::{
    CallError, CloseReport, OnDrop, PoolMetrics, Rejection, Retry, TimedOut, breaker::Breaker,
    codec::Encoded, frame::Kind, options::Options,
};
pub(super) use answers::Drained;
use slab::Slab;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};
use time::Stage;
use worker::Worker;

/// So many places of jobs that are gone may stand in a queue of any length.
const FEW: usize = 64;

/// What came back for a job.
pub(super) type Outcome = Result<Encoded, CallError>;

/// Names one submission: a slab key alone could have been reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobRef {
    key: usize,
    id: u64,
}

/// What is to be run.
#[derive(Debug)]
pub(super) struct Request {
    /// The job's number in the registry, and its path for messages.
    pub(super) number: u16,
    pub(super) name: &'static str,
    /// [`Kind::Job`] or [`Kind::Chunk`].
    pub(super) kind: Kind,
    pub(super) message: Encoded,
    /// The one slot whose worker may run it.
    pub(super) slot: Option<usize>,
}

/// What a caller wants of a call beyond its result. May change as long as the call lives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub(super) timeout: Option<Duration>,
    pub(super) queue_timeout: Option<Duration>,
    pub(super) on_drop: OnDrop,
    pub(super) retry: Retry,
}

#[derive(Debug)]
enum Phase {
    Queued,
    /// Published to the worker in `slot` as number `seq` of its lane.
    At {
        slot: usize,
        seq: u64,
    },
    Done(Outcome),
}

#[derive(Debug)]
struct Job {
    id: u64,
    request: Request,
    terms: Terms,
    phase: Phase,
    waker: Option<Waker>,
    /// Workers that died while they ran this job.
    killed: u8,
    /// The instant at which it must have been started; set by `queue_timeout`.
    start_by: Option<Instant>,
    /// The call is gone; the entry goes when the job ends.
    abandoned: bool,
}

/// One place for a worker, and the queue of the jobs that only this place may run.
#[derive(Debug, Default)]
struct Slot {
    worker: Option<Worker>,
    pinned: VecDeque<JobRef>,
}

#[derive(Debug)]
pub(super) struct State {
    options: Arc<Options>,
    jobs: Slab<Job>,
    /// Oldest first. May name jobs that are no longer queued: they are skipped.
    queue: VecDeque<JobRef>,
    /// The jobs that are really queued, and those of them that wait for one slot.
    queued: usize,
    pinned: usize,
    slots: Vec<Slot>,
    /// How many workers the pool keeps alive: grows with demand, up to all slots.
    desired: usize,
    /// Average run time by job number, in ns; 0 = not known yet.
    estimates: Vec<u64>,
    /// When queued jobs run out of patience, soonest first. May name jobs that are started or gone.
    expiries: BinaryHeap<Reverse<(Instant, JobRef)>>,
    breaker: Breaker,
    stage: Stage,
    next_id: u64,
    readers: slots::Readers,
    /// The keeper reads the lanes: nobody else does, or it found that nobody did.
    keeper_reads: bool,
    look: look::Look,
    /// The keeper waits, or is on its way there, and will not see changes by itself.
    asleep: bool,
    /// When the keeper will look again by itself.
    armed: Option<Instant>,
    /// Something happened that the keeper must see before `armed`.
    nudge: bool,
    /// To be woken by whoever releases the lock.
    wakers: Vec<Waker>,
    /// Woken when a worker gets ready, a start fails or the shutdown advances.
    watchers: Vec<Waker>,
    counters: PoolMetrics,
    report: CloseReport,
}

/// Why a call was not queued. The request comes back where waiting helps.
#[derive(Debug)]
pub(super) enum Refusal {
    Full(Box<Request>),
    For(CallError),
}

impl State {
    pub(super) fn new(options: Arc<Options>) -> Self {
        Self {
            jobs: Slab::new(),
            queue: VecDeque::new(),
            queued: 0,
            pinned: 0,
            slots: (0..options.workers).map(|_| Slot::default()).collect(),
            desired: options.min_workers,
            estimates: Vec::new(),
            expiries: BinaryHeap::new(),
            breaker: Breaker::new(options.breaker_deaths, options.breaker_window, options.startup_timeout),
            stage: Stage::Open,
            next_id: 1,
            readers: slots::Readers::default(),
            keeper_reads: true,
            look: look::Look::default(),
            asleep: false,
            armed: None,
            nudge: false,
            wakers: Vec::new(),
            watchers: Vec::new(),
            counters: PoolMetrics::default(),
            report: CloseReport::default(),
            options,
        }
    }

    // ---- calls -----------------------------------------------------------------------------------------

    /// Takes a call. `may_exceed`: the caller waits for it anyway, so the limit on the queue does not apply.
    pub(super) fn submit(
        &mut self,
        request: Request,
        terms: Terms,
        may_exceed: bool,
    ) -> Result<JobRef, Refusal> {
        if self.stage != Stage::Open {
            return Err(Refusal::For(CallError::Rejected(Rejection::Closed)));
        }
        if self.breaker.is_open()
            && self.breaker.refuses(Instant::now()).is_some()
            && !self.has_worker_for(request.slot)
        {
            return Err(Refusal::For(CallError::Rejected(Rejection::BreakerOpen)));
        }
        if !may_exceed && self.queued >= self.options.queue_limit && self.lane_for(&request).is_none() {
            return Err(Refusal::Full(Box::new(request)));
        }
        let id = self.next_id;
        self.next_id += 1;
        let start_by = terms.queue_timeout.and_then(|patience| Instant::now().checked_add(patience));
        let entry = Job {
            id,
            request,
            terms,
            phase: Phase::Queued,
            waker: None,
            killed: 0,
            start_by,
            abandoned: false,
        };
        let key = self.jobs.insert(entry);
        let job = JobRef { key, id };
        if let Some(start_by) = start_by {
            self.expire_at(start_by, job);
        }
        self.counters.submitted += 1;
        self.enqueue(job, false);
        self.hand_over();
        Ok(job)
    }

    /// The outcome, if there is one: the entry is gone then. Else `waker` is kept for it, in exchange for the
    /// one kept before.
    pub(super) fn poll(&mut self, job: JobRef, waker: &mut Option<Waker>) -> Option<Outcome> {
        let entry = &mut self.jobs[job.key];
        if !matches!(entry.phase, Phase::Done(_)) {
            match (&entry.waker, &waker) {
                (Some(old), Some(new)) if old.will_wake(new) => {}
                _ => std::mem::swap(&mut entry.waker, waker),
            }
            return None;
        }
        debug_assert!(entry.waker.is_none(), "finish() takes the waker");
        match self.jobs.remove(job.key).phase {
            Phase::Done(outcome) => Some(outcome),
            Phase::Queued | Phase::At { .. } => None,
        }
    }

    /// The call is gone. What comes back is to be dropped outside the lock.
    pub(super) fn abandon(&mut self, job: JobRef) -> Option<Waker> {
        let entry = self.jobs.get_mut(job.key).filter(|entry| entry.id == job.id)?;
        let waker = entry.waker.take();
        match entry.phase {
            Phase::Queued => {
                self.dequeue(job);
                self.jobs.remove(job.key);
            }
            Phase::Done(_) => {
                self.jobs.remove(job.key);
            }
            Phase::At { slot, seq } => {
                entry.abandoned = true;
                let kill = entry.terms.on_drop == OnDrop::Kill;
                if self.take_back_if_unstarted(slot, seq) {
                    self.hand_over();
                } else if kill {
                    // What it has answered by now needs no kill.
                    while self.drain(slot) == Drained::More {}
                    if self.knows(job) {
                        self.remove_assigned(slot, seq);
                        self.jobs.remove(job.key);
                        self.counters.failed += 1;
                        self.condemn(slot, None);
                    }
                }
            }
        }
        waker
    }

    /// Changes what the caller wants, also when the job runs already.
    pub(super) fn set_terms(&mut self, job: JobRef, terms: Terms) {
        let Some(entry) = self.jobs.get_mut(job.key).filter(|entry| entry.id == job.id) else { return };
        let patience = terms.queue_timeout.filter(|_| entry.terms.queue_timeout != terms.queue_timeout);
        entry.terms = terms;
        let phase = match entry.phase {
            Phase::At { slot, seq } => Some((slot, seq)),
            _ => None,
        };
        if let Some(start_by) = patience.and_then(|patience| Instant::now().checked_add(patience)) {
            entry.start_by = Some(start_by);
            self.expire_at(start_by, job);
        }
        if let Some((slot, seq)) = phase {
            self.watch_front(slot, Some(seq));
        }
    }

    // ---- the queue -------------------------------------------------------------------------------------

    /// Queues a job: at the end, or before all others when it had been taken from the queue before.
    fn enqueue(&mut self, job: JobRef, first: bool) {
        let entry = &mut self.jobs[job.key];
        entry.phase = Phase::Queued;
        let queue = match entry.request.slot {
            Some(slot) => {
                self.pinned += 1;
                &mut self.slots[slot].pinned
            }
            None => &mut self.queue,
        };
        if first {
            queue.push_front(job);
        } else {
            queue.push_back(job);
        }
        self.queued += 1;
    }

    /// A queued job goes without being started. Its place in the queue is skipped later, or swept now when there are
    /// many such places.
    fn dequeue(&mut self, job: JobRef) {
        self.queued -= 1;
        let jobs = &self.jobs;
        let still_queued = |other: &JobRef| *other != job && is_queued(jobs, *other);
        match self.jobs[job.key].request.slot {
            Some(slot) => {
                self.pinned -= 1;
                let queue = &mut self.slots[slot].pinned;
                if queue.len() > 2 * self.pinned + FEW {
                    queue.retain(still_queued);
                }
                // So one that is not empty has a job that waits.
                while queue.pop_front_if(|first| !still_queued(first)).is_some() {}
            }
            None => {
                if self.queue.len() > 2 * self.queued + FEW {
                    self.queue.retain(still_queued);
                }
            }
        }
        if self.stage != Stage::Open {
            // It may have been the last.
            self.want_keeper();
        }
    }

    /// Queues a job again, first in line, that its worker had not started. One that nobody wants any more goes.
    fn requeue(&mut self, job: JobRef) {
        if self.jobs[job.key].abandoned {
            self.jobs.remove(job.key);
        } else {
            self.enqueue(job, true);
        }
    }

    /// Whether the job has an entry still.
    fn knows(&self, job: JobRef) -> bool {
        self.jobs.get(job.key).is_some_and(|entry| entry.id == job.id)
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

    /// The job must have been started by then.
    fn expire_at(&mut self, start_by: Instant, job: JobRef) {
        // Most calls are over long before: their places are swept when there are many.
        if self.expiries.len() > 2 * self.jobs.len() + FEW {
            let jobs = &self.jobs;
            self.expiries.retain(|Reverse((at, job))| is_patient(jobs, *at, *job));
        }
        self.expiries.push(Reverse((start_by, job)));
        self.want_keeper_by(start_by);
    }

    /// A queued job that was not started in time.
    fn expire_queued(&mut self, job: JobRef) {
        if !self.knows(job) {
            return;
        }
        match self.jobs[job.key].phase {
            Phase::At { slot, seq } => {
                self.take_back_if_unstarted(slot, seq);
            }
            Phase::Queued | Phase::Done(_) => {}
        }
        if is_queued(&self.jobs, job) {
            let entry = &self.jobs[job.key];
            let error = CallError::Timeout {
                job: entry.request.name,
                after: entry.terms.queue_timeout.unwrap_or_default(),
                phase: TimedOut::Queued,
            };
            self.dequeue(job);
            self.finish(job, Err(error));
        }
    }

    fn fail_queue(&mut self, error: impl Fn() -> CallError) {
        let pinned = self.slots.iter_mut().flat_map(|slot| slot.pinned.drain(..));
        let all: Vec<JobRef> = self.queue.drain(..).chain(pinned).collect();
        self.fail_all(all, error);
        debug_assert_eq!((self.queued, self.pinned), (0, 0));
    }

    /// Fails those that only slots without a ready worker may run.
    fn fail_stranded(&mut self, error: impl Fn() -> CallError) {
        let ready = |slot: &Slot| slot.worker.as_ref().is_some_and(Worker::is_ready);
        let stranded = self.slots.iter_mut().filter(|slot| !ready(slot));
        let all: Vec<JobRef> = stranded.flat_map(|slot| slot.pinned.drain(..)).collect();
        self.fail_all(all, error);
    }

    /// Fails those of these jobs, which were taken out of their queues, that are still queued.
    fn fail_all(&mut self, all: Vec<JobRef>, error: impl Fn() -> CallError) {
        for job in all {
            if is_queued(&self.jobs, job) {
                if self.stage != Stage::Open {
                    self.report.cancelled += 1;
                }
                self.queued -= 1;
                self.pinned -= usize::from(self.jobs[job.key].request.slot.is_some());
                let entry = &self.jobs[job.key];
                // One that waits for its second try has run: nobody may believe that it had no effects.
                let error = match entry.killed {
                    0 => error(),
                    _ => CallError::Cancelled { job: entry.request.name },
                };
                self.finish(job, Err(error));
            }
        }
    }

    // ---- for the pool's handle -------------------------------------------------------------------------

    pub(super) fn metrics(&self) -> PoolMetrics {
        let workers = || self.slots.iter().filter_map(|slot| slot.worker.as_ref());
        PoolMetrics {
            workers: self.ready_workers(),
            running: workers().map(Worker::jobs).sum(),
            queued: self.queued,
            per_worker: workers().map(Worker::metrics).collect(),
            ..self.counters.clone()
        }
    }

    /// The wakers to wake once the lock is released.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }
}

/// Whether the job waits still, and until then.
fn is_patient(jobs: &Slab<Job>, at: Instant, job: JobRef) -> bool {
    jobs.get(job.key).is_some_and(|entry| {
        entry.id == job.id && entry.start_by == Some(at) && !matches!(entry.phase, Phase::Done(_))
    })
}

fn is_queued(jobs: &Slab<Job>, job: JobRef) -> bool {
    jobs.get(job.key).is_some_and(|entry| entry.id == job.id && matches!(entry.phase, Phase::Queued))
}
