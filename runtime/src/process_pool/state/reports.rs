//! What the dispatcher tells the books: a worker was started, got ready, answered or died.

use super::{
    super::{
        CallError,
        breaker::Cause,
        spawn::{Exit, Process},
    },
    Outcome, Stage, State, Worker,
};
use std::{sync::Arc, time::Instant};

impl State {
    /// Puts a fresh process into its slot.
    pub(in crate::process_pool) fn spawned(&mut self, slot: usize, process: Arc<Process>, now: Instant) {
        self.counters.spawned += 1;
        let mut worker = Worker {
            process,
            ready: false,
            ready_by: now.checked_add(self.options.startup_timeout),
            in_flight: None,
            born: self.next_id,
            given: 0,
            served: 0,
            condemned: false,
            verdict: None,
        };
        // The lock was free during the spawn: a shutdown that began meanwhile has not seen this worker.
        if !matches!(self.stage, Stage::Open | Stage::Draining(_)) {
            worker.condemn(None);
        }
        self.slots[slot] = Some(worker);
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
        }
    }

    /// A worker said a proper hello.
    pub(in crate::process_pool) fn ready(&mut self, slot: usize, now: Instant) {
        if let Some(worker) = &mut self.slots[slot]
            && !worker.condemned
        {
            worker.ready = true;
            self.breaker.worker_ready();
            self.wakers.append(&mut self.watchers);
            self.hand_over(now);
        }
    }

    /// A worker answered job `id`. `outcome` is given the job's name. False when the worker has no such job.
    pub(in crate::process_pool) fn answered(
        &mut self,
        slot: usize,
        id: u64,
        now: Instant,
        outcome: impl FnOnce(&'static str) -> Outcome,
    ) -> bool {
        let Some(worker) = &mut self.slots[slot] else { return false };
        if worker.condemned {
            return true;
        }
        let Some(in_flight) = worker.in_flight.take_if(|in_flight| in_flight.job.id == id) else {
            return false;
        };
        worker.served += 1;
        self.breaker.progress();
        let outcome = outcome(self.jobs[in_flight.job.key].name);
        self.finish(in_flight.job, outcome);
        self.hand_over(now);
        true
    }

    /// Kills a worker that cannot be used any more. It is reaped later, as any other.
    pub(in crate::process_pool) fn condemn(&mut self, slot: usize, verdict: Option<String>) {
        if let Some(worker) = &mut self.slots[slot] {
            worker.condemn(verdict);
        }
    }

    /// A worker has ended and was reaped. `unread`: it left bytes on its socket unread, so it cannot have
    /// started the job that was sent last.
    pub(in crate::process_pool) fn died(
        &mut self,
        slot: usize,
        exit: Exit,
        unread: bool,
        mut stderr_tail: String,
        now: Instant,
    ) {
        let Some(mut worker) = self.slots[slot].take() else { return };
        self.counters.deaths += 1;
        if let Some(verdict) = &worker.verdict {
            stderr_tail.push_str(verdict);
        }
        let mut stillborn = false;
        if let Some(in_flight) = worker.in_flight.take_if(|in_flight| in_flight.sent == 0) {
            worker.given -= 1;
            // One that was idle when the job came died for reasons of its own.
            stillborn = worker.given == 0 && in_flight.job.id < worker.born;
            self.put_back(in_flight);
        }
        if let Some(in_flight) = worker.in_flight {
            let started = !unread && in_flight.sent == in_flight.frame.len();
            let death = CallError::WorkerDied {
                job: self.jobs[in_flight.job.key].name,
                signal: exit.signal,
                code: exit.code,
                stderr_tail: stderr_tail.clone(),
                jobs_served: worker.served,
            };
            if started {
                self.finish(in_flight.job, Err(death));
            } else {
                self.strike(in_flight, death);
            }
        }
        if !worker.ready {
            if self.stage == Stage::Open || matches!(self.stage, Stage::Draining(_)) {
                self.start_failed(now, &Cause::early_death(exit, &stderr_tail));
            }
        } else if worker.given > 0 {
            self.breaker.progress();
        } else if stillborn {
            let cause = Cause::stillbirth(exit, &stderr_tail);
            if self.breaker.stillborn(now, &cause) {
                self.breaker_opened(&cause);
                self.wakers.append(&mut self.watchers);
            }
        } else {
            self.breaker.idle_death(now);
        }
        self.hand_over(now);
    }
}
