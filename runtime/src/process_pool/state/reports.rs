//! What the keeper tells the books: a worker was started or has died.

use super::{
    super::{
        CallError, Retry,
        breaker::Cause,
        channel::ParentEnd,
        output::LastWords,
        spawn::{Exit, Process},
    },
    Phase, Stage, State,
    worker::{Life, Worker},
};
use std::{os::fd::OwnedFd, sync::Arc, time::Instant};

/// A job during which so many workers died is not given to another.
const MOST_KILLED: u8 = 2;

/// SIGABRT and SIGKILL.
const ABORT: i32 = 6;
const KILL: i32 = 9;

impl State {
    /// Puts a fresh process into its slot.
    pub(in crate::process_pool) fn spawned(
        &mut self,
        slot: usize,
        process: Arc<Process>,
        lane: ParentEnd,
        bell: Arc<OwnedFd>,
        now: Instant,
    ) {
        self.counters.spawned += 1;
        let ready_by = now.checked_add(self.options.startup_timeout);
        self.slots[slot].worker = Some(Worker::new(process, lane, bell, ready_by, self.next_id));
        // The lock was free during the spawn: a shutdown that began meanwhile has not seen this worker.
        if !matches!(self.stage, Stage::Open | Stage::Draining(_)) {
            self.condemn(slot, None);
        }
        self.initialize(slot);
        // The bell rings for its hello.
        self.drain(slot);
    }

    /// A worker could not be started, or ended before hello.
    pub(in crate::process_pool) fn start_failed(&mut self, now: Instant, cause: &Cause) {
        if self.breaker.early_death(now, cause) {
            self.breaker_opened(cause);
        }
        self.wakers.append(&mut self.watchers);
    }

    /// Nobody waits for workers that will not come: without one at hand, the queue fails.
    fn breaker_opened(&mut self, cause: &Cause) {
        self.desired = self.occupied();
        if self.ready_workers() == 0 {
            self.fail_queue(|| CallError::Spawn(cause.to_error()));
        } else {
            self.fail_stranded(|| CallError::Spawn(cause.to_error()));
        }
    }

    /// A worker has ended and was reaped. All that it published has been read.
    pub(in crate::process_pool) fn died(&mut self, slot: usize, exit: Exit, words: LastWords, now: Instant) {
        let Some(worker) = &self.slots[slot].worker else { return };
        self.counters.deaths += 1;
        let LastWords { mut stderr_tail, refused } = words;
        if let Some(verdict) = &worker.verdict {
            stderr_tail.push_str(verdict);
        }
        let (was_ready, leaving) = (worker.has_said_hello(), matches!(worker.life, Life::Leaving(_)));
        let (started, born) = (worker.has_started(), worker.born);
        let waited = worker.first().is_some_and(|first| first.id < born);
        let stillborn = !started && waited;
        self.take_back(slot);
        let Some(mut worker) = self.slots[slot].worker.take() else { return };
        let over_limit = worker.over_limit.or_else(|| self.ran_out_of_memory(exit, refused));
        // One at most, unless the lane's words are garbage: then nobody knows what was started.
        while let Some(job) = worker.pop() {
            self.victim(job, &worker, exit, &stderr_tail, over_limit);
        }
        if !was_ready {
            if matches!(self.stage, Stage::Open | Stage::Draining(_)) {
                self.start_failed(now, &Cause::early_death(exit, &stderr_tail));
            }
        } else if started {
            self.breaker.progress();
        } else if stillborn {
            let cause = Cause::stillbirth(exit, &stderr_tail);
            if self.breaker.stillborn(now, &cause) {
                self.breaker_opened(&cause);
                self.wakers.append(&mut self.watchers);
            }
        } else if !leaving {
            self.breaker.idle_death(now);
        }
        self.hand_over();
    }

    /// A job whose worker died while it ran it.
    fn victim(
        &mut self,
        job: super::JobRef,
        worker: &Worker,
        exit: Exit,
        stderr_tail: &str,
        over_limit: Option<u64>,
    ) {
        let entry = &mut self.jobs[job.key];
        entry.killed += 1;
        if entry.terms.retry == Retry::OnDeath && entry.killed < MOST_KILLED && over_limit.is_none() {
            // It was started in time.
            entry.start_by = None;
            self.requeue(job);
            return;
        }
        let name = entry.request.name;
        let error = match (over_limit, self.options.memory_limit) {
            (Some(used), Some(limit)) => CallError::MemoryLimit { job: name, limit, used },
            _ => CallError::WorkerDied {
                job: name,
                signal: exit.signal,
                code: exit.code,
                stderr_tail: stderr_tail.to_owned(),
                jobs_served: worker.served,
            },
        };
        self.finish(job, Err(error));
    }

    /// A worker was killed that did not start this job. As with a death during a job, twice is enough.
    pub(super) fn strike(&mut self, job: super::JobRef) {
        let entry = &mut self.jobs[job.key];
        entry.killed += 1;
        if entry.killed < MOST_KILLED {
            return;
        }
        if let Phase::At { slot, seq } = entry.phase {
            self.take_back_if_unstarted(slot, seq);
        }
        if !self.knows(job) || !matches!(self.jobs[job.key].phase, Phase::Queued) {
            return;
        }
        let entry = &self.jobs[job.key];
        let error = CallError::WorkerDied {
            job: entry.request.name,
            signal: Some(KILL),
            code: None,
            stderr_tail: "(killed by the pool: given this job, two workers in a row showed no sign of life)"
                .into(),
            jobs_served: 0,
        };
        self.dequeue(job);
        self.finish(job, Err(error));
    }

    /// What a worker would have used, if it was ended by a refusal of memory under a limit.
    fn ran_out_of_memory(&self, exit: Exit, refused: Option<u64>) -> Option<u64> {
        let limit = self.options.memory_limit.filter(|_| exit.signal == Some(ABORT))?;
        Some(limit.saturating_add(refused?))
    }
}
