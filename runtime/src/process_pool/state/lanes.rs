//! Which worker gets which job, and when a job is taken back. What the books know of a worker is in `worker.rs`.
//!
//! **Depth.** A worker that is idle gets the next job. One that is busy gets a further job only while what it has will
//! be done within [`BACKLOG`], going by the average run time of each job function so far; a function that has not
//! run yet counts as long. So jobs above that time go one by one, and tiny ones up to [`DEPTH`] at a time.
//! To wake a worker takes longer than a tiny job: such a job rather goes to one that has a few of them already.
//!
//! **Taking back.** [`State::take_back`] moves a lane's claim word past every job that the worker has not started. It is
//! done when a prediction fails (the worker's present job takes long while others wait behind it), when a caller
//! gives up a job, and when the worker must die. What is taken back is queued first, in its old order.

use super::{
    super::{
        error::{CallError, CodecStage},
        frame::{Header, Kind, TIMED},
    },
    JobRef, Phase, Request, Stage, State, answers, is_queued,
    worker::{Assigned, INITIALIZER, Life, Unpublished, Worker, publish},
};
use std::time::Instant;

/// The most jobs that a worker has at a time.
const DEPTH: usize = 32;

/// A busy worker is given a further job only if all it has is expected to take no longer, in ns.
const BACKLOG: u64 = 200_000;

/// A job that takes no longer is not worth waking a worker for, in ns, as long as one that is awake will be done with
/// what it has within [`NEARLY_IDLE`].
const TINY: u64 = 2_000;
const NEARLY_IDLE: u64 = 8_000;

/// An idle worker takes jobs from behind a busy one if they would have to wait longer than that, in ns.
const WORTH_TAKING: u64 = 100_000;

impl State {
    // ---- handing jobs to workers -----------------------------------------------------------------------

    /// Gives queued jobs to workers, and asks for more workers where too few are there.
    pub(super) fn hand_over(&mut self) {
        if matches!(self.stage, Stage::Killing | Stage::Finished) {
            return;
        }
        if self.pinned > 0 {
            for slot in 0..self.slots.len() {
                while let Some(&job) = self.slots[slot].pinned.front() {
                    if is_queued(&self.jobs, job) {
                        if !self.may_take(slot, self.estimate(&self.jobs[job.key].request))
                            || !self.assign(slot, job)
                        {
                            break;
                        }
                        self.pinned -= 1;
                    }
                    self.slots[slot].pinned.pop_front();
                }
            }
        }
        while let Some(&job) = self.queue.front() {
            if is_queued(&self.jobs, job) {
                let Some(slot) = self.lane_for(&self.jobs[job.key].request) else { break };
                if !self.assign(slot, job) {
                    continue;
                }
            }
            self.queue.pop_front();
        }
        if self.queued > 0 {
            self.want_workers();
        }
    }

    /// Asks for a worker for each queued job, but for those that are about to be ready.
    fn want_workers(&mut self) {
        let unpinned = self.queued - self.pinned;
        let mut wanted = self.occupied() + unpinned.saturating_sub(self.starting());
        if self.pinned > 0 {
            wanted = wanted.max(self.occupied() + usize::from(self.slot_for_pinned().is_some()));
        }
        let wanted = wanted.min(self.slots.len());
        // While the breaker is open, the workers at hand carry on alone.
        if wanted > self.desired
            && (!self.breaker.is_open() || self.breaker.refuses(Instant::now()).is_none())
        {
            self.desired = wanted;
        }
        if self.occupied() < self.desired {
            self.want_keeper();
        }
    }

    /// An empty slot for which jobs wait.
    pub(super) fn slot_for_pinned(&self) -> Option<usize> {
        (self.pinned > 0)
            .then(|| self.slots.iter().position(|slot| slot.worker.is_none() && !slot.pinned.is_empty()))?
    }

    /// The worker that should get this job now.
    pub(super) fn lane_for(&self, request: &Request) -> Option<usize> {
        let estimate = self.estimate(request);
        if let Some(slot) = request.slot {
            return (self.slots[slot].pinned.is_empty() && self.may_take(slot, estimate)).then_some(slot);
        }
        if let Some(tiny) = estimate.filter(|estimate| *estimate <= TINY)
            && let Some(slot) = self.awake_for(tiny)
        {
            return Some(slot);
        }
        // The least backlog of those that may take it; an idle worker that is not suspect at once.
        let mut best: Option<(usize, (bool, u64))> = None;
        for (slot, place) in self.slots.iter().enumerate() {
            let Some(worker) = &place.worker else { continue };
            let rank = (worker.suspect, worker.backlog);
            if best.is_some_and(|(_, least)| least <= rank) || !self.may_take(slot, estimate) {
                continue;
            }
            if worker.assigned.is_empty() && !worker.suspect {
                return Some(slot);
            }
            best = Some((slot, rank));
        }
        best.map(|(slot, _)| slot)
    }

    /// A worker that has jobs, but will soon be done with them and one more.
    fn awake_for(&self, tiny: u64) -> Option<usize> {
        let soon = |worker: &Worker| !worker.assigned.is_empty() && worker.backlog + tiny <= NEARLY_IDLE;
        let takes = |slot: &usize| {
            self.slots[*slot].worker.as_ref().is_some_and(soon) && self.may_take(*slot, Some(tiny))
        };
        (0..self.slots.len()).find(takes)
    }

    /// Whether a worker may be given a job that is expected to take so long.
    fn may_take(&self, slot: usize, estimate: Option<u64>) -> bool {
        let Some(worker) = &self.slots[slot].worker else { return false };
        if !worker.is_ready() || worker.stuck || self.is_spent(worker) {
            return false;
        }
        if worker.suspect && self.has_sound_worker() {
            return false;
        }
        worker.assigned.is_empty()
            || (!worker.long
                && worker.assigned.len() < DEPTH
                && estimate.is_some_and(|estimate| worker.backlog + estimate <= BACKLOG))
    }

    /// Some worker is ready and not suspect.
    fn has_sound_worker(&self) -> bool {
        let workers = self.slots.iter().filter_map(|slot| slot.worker.as_ref());
        workers.filter(|worker| worker.is_ready()).any(|worker| !worker.suspect)
    }

    /// It has had as many jobs as it may, or is too heavy for another.
    fn is_spent(&self, worker: &Worker) -> bool {
        worker.heavy
            || self
                .options
                .max_jobs
                .is_some_and(|most| worker.served + worker.assigned.len() as u64 >= most.get())
    }

    /// What a job is expected to take, in ns, if its function has run before. Nobody knows of a chunk: how many items it has
    /// is the map's choice.
    fn estimate(&self, request: &Request) -> Option<u64> {
        if request.kind == Kind::Chunk {
            return None;
        }
        self.estimates.get(usize::from(request.number)).copied().filter(|estimate| *estimate > 0)
    }

    pub(super) fn learn(&mut self, number: u16, ns: u64) {
        let number = usize::from(number);
        if self.estimates.len() <= number {
            self.estimates.resize(number + 1, 0);
        }
        let known = &mut self.estimates[number];
        // Zero stands for unknown.
        let ns = ns.max(1);
        *known = if *known == 0 { ns } else { (*known * 7 + ns).div_ceil(8) };
    }

    /// Publishes a queued job in a worker's lane. False when the lane has no room now.
    fn assign(&mut self, slot: usize, job: JobRef) -> bool {
        let estimate = self.estimate(&self.jobs[job.key].request).unwrap_or(0);
        let entry = &mut self.jobs[job.key];
        let Some(worker) = &mut self.slots[slot].worker else { return false };
        let seq = worker.end;
        let Request { number, kind, ref message, .. } = entry.request;
        // The limit of a chunk is one for each of its items: the worker tells when it begins one.
        let flags = if kind == Kind::Chunk && entry.terms.timeout.is_some() { TIMED } else { 0 };
        match publish(worker, Header { kind, flags, job: number, id: seq }, message) {
            Ok(()) => {}
            Err(Unpublished::Later) => {
                worker.stuck = true;
                // Without an answer to come, the look finds out whether there is room.
                self.want_look(false);
                return false;
            }
            Err(Unpublished::Broken(broken)) => {
                self.condemn(slot, Some(answers::verdict_of(&broken)));
                return false;
            }
            Err(Unpublished::Never(reason)) => {
                let name = entry.request.name;
                self.queued -= 1;
                let error = CallError::Codec { job: name, stage: CodecStage::EncodeArguments, reason };
                self.finish(job, Err(error));
                return true;
            }
        }
        entry.phase = Phase::At { slot, seq };
        worker.end += 1;
        worker.backlog += estimate;
        worker.assigned.push_back(Assigned { seq, job, estimate });
        worker.idle_since = None;
        let deep = worker.is_deep();
        let timed = entry.terms.timeout.is_some();
        self.queued -= 1;
        self.want_look(deep);
        if timed {
            self.watch_front(slot, Some(seq));
        }
        true
    }

    /// Sends a fresh worker the job that it runs before it says hello.
    pub(super) fn initialize(&mut self, slot: usize) {
        let (Some(initializer), Some(worker)) = (&self.options.initializer, &mut self.slots[slot].worker)
        else {
            return;
        };
        let header = Header { kind: Kind::Init, flags: 0, job: initializer.number, id: INITIALIZER };
        let reason = match publish(worker, header, &initializer.arguments) {
            Ok(()) => return,
            Err(Unpublished::Never(reason)) => reason,
            Err(Unpublished::Later) => "the lane of a fresh worker has no room".to_owned(),
            Err(Unpublished::Broken(broken)) => broken.to_string(),
        };
        self.condemn(slot, Some(format!("\nthe initializer cannot be passed on: {reason}")));
    }

    // ---- taking jobs back ------------------------------------------------------------------------------

    /// Takes back every job that a worker has not started: queued again, first in line, in their order.
    /// Hands nothing over.
    pub(super) fn take_back(&mut self, slot: usize) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        let next = match worker.lane.recall(worker.end) {
            Ok(next) => next,
            Err(broken) => return self.condemn(slot, Some(answers::verdict_of(&broken))),
        };
        while let Some(worker) = &mut self.slots[slot].worker
            && let Some(last) = worker.assigned.pop_back_if(|last| last.seq >= next)
        {
            worker.backlog -= last.estimate;
            self.requeue(last.job);
        }
        if let Some(worker) = &mut self.slots[slot].worker
            && worker.assigned.is_empty()
            && worker.is_ready()
            && self.options.idle_timeout.is_some()
        {
            worker.idle_since.get_or_insert_with(Instant::now);
            self.want_keeper_for_idle();
        }
    }

    /// Takes a worker's unstarted jobs back if this is one of them; else does nothing and says so.
    pub(super) fn take_back_if_unstarted(&mut self, slot: usize, seq: u64) -> bool {
        let Some(worker) = &self.slots[slot].worker else { return false };
        if seq < worker.lane.next() {
            return false;
        }
        self.take_back(slot);
        // It may have been started in between.
        self.slots[slot]
            .worker
            .as_ref()
            .is_none_or(|worker| worker.assigned.iter().all(|assigned| assigned.seq != seq))
    }

    /// A job is no longer this worker's.
    pub(super) fn remove_assigned(&mut self, slot: usize, seq: u64) {
        if let Some(worker) = &mut self.slots[slot].worker {
            worker.take(seq);
        }
    }

    /// A worker has run out of jobs and none is queued: what waits behind a long job elsewhere goes to it.
    pub(super) fn share_out(&mut self) {
        if self.queued > 0 || !self.look.is_deep() {
            return;
        }
        let first = |worker: &Worker| worker.assigned.front().map_or(0, |first| first.estimate);
        let overdue = |worker: &Worker| worker.running_for().as_nanos() as u64 > first(worker) + WORTH_TAKING;
        let waiting = |worker: &Worker| {
            let behind = worker.backlog.saturating_sub(first(worker));
            worker.is_deep() && (behind > WORTH_TAKING || overdue(worker))
        };
        let workers = self.slots.iter().enumerate();
        let from = workers
            .filter_map(|(slot, place)| Some((slot, place.worker.as_ref()?)))
            .filter(|(_, worker)| waiting(worker))
            .max_by_key(|(_, worker)| worker.backlog)
            .map(|(slot, _)| slot);
        if let Some(slot) = from {
            if let Some(worker) = &mut self.slots[slot].worker
                && worker.running().is_some()
                && overdue(worker)
            {
                // Else what is tiny would go back to where somebody is awake.
                worker.long = true;
            }
            self.take_back(slot);
            self.hand_over();
        }
    }

    /// Kills a worker that cannot be used any more, and takes back what it had not started. It is reaped later, as
    /// any other.
    pub(in crate::process_pool) fn condemn(&mut self, slot: usize, verdict: Option<String>) {
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if worker.life == Life::Condemned {
            return;
        }
        worker.life = Life::Condemned;
        worker.verdict = verdict;
        worker.process.kill();
        self.take_back(slot);
        self.hand_over();
    }
}
