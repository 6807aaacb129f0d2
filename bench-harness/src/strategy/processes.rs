//! `processes`: a pool of worker processes that stays up; each task is one call.
//!
//! All calls are submitted at once and awaited in order; how many are under way is for the pool to say. So its queue has
//! no limit here: a call beyond that would start only when it is awaited, hence after all those before it have ended. A worker
//! prepares a job's inputs at the first task that it gets of it and keeps them; what crosses per task is the
//! specification and the digest, and where a workload has shipments those and the answers to them.
//!
//! With `jobs_per_worker` the pool replaces a worker after so many jobs, its memory goes with it, and the marks of those that are left
//! at the end tell nothing of the others: so what all of them hold together is looked at as answers come in, a few times in
//! the life of a worker.
use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;

use crossover_runtime::process_pool::{Call, CallError, ProcessPool};
use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::{
    Shipped, Traced, Workload, WorkloadError, combine, give_back_in_worker, run_in_worker, ship_in_worker,
    trace_in_worker, trace_shipped_in_worker,
};

use super::settle::Lost;
use super::{Job, Strategy};
use crate::load::{Arrivals, Latencies};
use crate::probe;

/// How often the memory of workers is looked at while one of them lives its life.
const LOOKS_PER_LIFE: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Processes {
    pool: ProcessPool,
    /// Waits for the answers.
    runtime: Runtime,
    workers: u32,
    /// A handle for each worker's place, once they were needed.
    places: Vec<ProcessPool>,
    /// Where workers are replaced.
    watch: Option<Watch>,
}

/// Looks at the memory of all workers after each so many answers.
#[derive(Debug)]
struct Watch {
    every: u32,
    answers: Cell<u32>,
    peak_kib: Cell<u64>,
}

impl Processes {
    pub(super) fn start(workers: u32, jobs_per_worker: Option<u32>) -> Result<Self, String> {
        let mut builder = ProcessPool::builder()
            .workers(workers as usize)
            .min_workers(workers as usize)
            .queue_limit(usize::MAX);
        if let Some(jobs) = jobs_per_worker {
            builder = builder.max_jobs_per_worker(jobs.into());
        }
        let pool = builder
            .build()
            .map_err(|error| format!("cannot start a pool of {workers} processes: {error}"))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the runtime that waits for the workers: {error}"))?;
        runtime
            .block_on(pool.warm_up())
            .map_err(|error| format!("cannot start {workers} worker processes: {error}"))?;
        let watch = jobs_per_worker.map(|jobs| Watch {
            every: (jobs.saturating_mul(workers) / LOOKS_PER_LIFE).max(1),
            answers: Cell::new(0),
            peak_kib: Cell::new(0),
        });
        Ok(Self { pool, runtime, workers, places: Vec::new(), watch })
    }
}

/// A call that was made, by what its worker gives back.
enum Asked<D, S> {
    Digest(Call<Result<D, String>>),
    /// The digest is made here, by this workload.
    Shipped(Call<Result<S, String>>, Workload),
}

impl Strategy for Processes {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        if job.recorder().is_none() && job.latencies().is_none() {
            self.ask_all(job, |task| self.ask(job, task))
        } else {
            self.ask_all(job, |task| self.ask_traced(job, task, job.latencies().cloned()))
        }
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        if job.recorder().is_none() {
            self.ask_as_they_arrive(job, arrivals, |task| self.ask(job, task))
        } else {
            self.ask_as_they_arrive(job, arrivals, |task| self.ask_traced(job, task, None))
        }
    }

    fn helpers(&self) -> Vec<u32> {
        self.pool.worker_pids()
    }

    fn take_helpers_peak(&mut self) -> Option<u64> {
        self.watch.as_ref().map(|watch| watch.peak_kib.take())
    }

    fn give_back(&mut self, job: &Job) -> Result<(), String> {
        if !job.workload.leaks() {
            return Ok(());
        }
        if self.places.is_empty() {
            self.places = self.find_places()?;
        }
        self.runtime.block_on(async {
            let calls: Vec<_> = self.places.iter().map(|place| place.call(give_back_in_worker, ())).collect();
            for call in calls {
                call.await.map_err(|error| format!("a worker cannot give back what it leaked: {error}"))?;
            }
            Ok(())
        })
    }
}

impl Processes {
    /// A handle for each worker's place, found by asking who answers to a key.
    ///
    /// While all workers are ready their ids stand in the order of their places, and a worker that has done its share leaves only
    /// after it has answered.
    fn find_places(&self) -> Result<Vec<ProcessPool>, String> {
        let failed = |error: CallError| format!("cannot reach every worker: {error}");
        self.runtime.block_on(async {
            let mut places: Vec<Option<ProcessPool>> = vec![None; self.workers as usize];
            let mut key = 0_u64;
            while places.iter().any(Option::is_none) {
                self.pool.warm_up().await.map_err(failed)?;
                let pids = self.pool.worker_pids();
                let place = self.pool.affinity(&key);
                let pid = place.call(give_back_in_worker, ()).await.map_err(failed)?;
                // One that was replaced meanwhile is found by another key.
                if let Some(found) = pids.iter().position(|it| *it == pid).and_then(|at| places.get_mut(at)) {
                    found.get_or_insert(place);
                }
                key += 1;
            }
            Ok(places.into_iter().flatten().collect())
        })
    }

    /// An answer has come in.
    fn answered(&self) {
        let Some(watch) = &self.watch else { return };
        watch.answers.set(watch.answers.get() + 1);
        if watch.answers.get() >= watch.every {
            watch.answers.set(0);
            let held = self.pool.worker_pids().into_iter().map(probe::resident_kib).sum();
            watch.peak_kib.set(watch.peak_kib.get().max(held));
        }
    }

    /// Calls a worker for this task; the future tells how it ended.
    fn ask(&self, job: &Job, task: u32) -> impl Future<Output = Ended> + Send + 'static + use<> {
        let spec = job.spec.clone();
        let asked = match job.workload.shipment(task) {
            None => Asked::Digest(self.pool.call(run_in_worker, (spec, task))),
            Some(message) => {
                let call = self.pool.call(ship_in_worker, (spec, task, message));
                Asked::Shipped(call, job.workload.clone())
            }
        };
        async move {
            match asked {
                Asked::Digest(call) => given_back(call.await).map(Ok),
                Asked::Shipped(call, workload) => {
                    let shipped: Shipped = given_back(call.await)?;
                    Ok(Ok(workload.unpack(task, &shipped)))
                }
            }
        }
    }

    /// The same; the recorder is told when and where, and `latencies` how long it took there.
    fn ask_traced(
        &self,
        job: &Job,
        task: u32,
        latencies: Option<Arc<Latencies>>,
    ) -> impl Future<Output = Ended> + Send + 'static + use<> {
        let (spec, recorder) = (job.spec.clone(), job.recorder().cloned());
        let asked = match job.workload.shipment(task) {
            None => Asked::Digest(self.pool.call(trace_in_worker, (spec, task))),
            Some(message) => {
                let call = self.pool.call(trace_shipped_in_worker, (spec, task, message));
                Asked::Shipped(call, job.workload.clone())
            }
        };
        async move {
            let (traced, digest): (Traced, u64) = match asked {
                Asked::Digest(call) => {
                    let traced: Traced = given_back(call.await)?;
                    (traced, traced.digest)
                }
                Asked::Shipped(call, workload) => {
                    let (traced, shipped): (Traced, Shipped) = given_back(call.await)?;
                    (traced, workload.unpack(task, &shipped))
                }
            };
            if let Some(recorder) = recorder {
                recorder.in_process(task, &traced);
            }
            if let Some(latencies) = latencies {
                latencies.took(task, traced.to_ns.saturating_sub(traced.from_ns));
            }
            Ok(Ok(digest))
        }
    }

    /// Asks for every task and folds the digests.
    fn ask_all<F>(&self, job: &Job, ask: impl Fn(u32) -> F) -> Result<u64, String>
    where
        F: Future<Output = Ended>,
    {
        let calls: Vec<_> = (0..job.workload.tasks())
            .map(|task| {
                job.handed(task);
                (task, ask(task))
            })
            .collect();
        self.runtime.block_on(async {
            let mut folded = Ok(0);
            for (task, call) in calls {
                let digest = job.settle(task, call.await);
                self.answered();
                folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
            }
            folded
        })
    }

    /// The same with every task asked for as it arrives. It is done when its answer is here.
    fn ask_as_they_arrive<F>(
        &self,
        job: &Job,
        arrivals: &mut Arrivals,
        ask: impl Fn(u32) -> F,
    ) -> Result<u64, String>
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        self.runtime.block_on(async {
            let mut arrivals = arrivals.watch()?;
            let mut calls = Vec::with_capacity(job.workload.tasks() as usize);
            let mut folded = loop {
                match arrivals.next().await {
                    Ok(Some(task)) => {
                        job.handed(task);
                        let call = ask(task);
                        let latencies = job.latencies().cloned();
                        // In a task of its own, because answers come in any order.
                        calls.push((
                            task,
                            crossover_runtime::spawn(async move {
                                let ended = call.await;
                                if let Some(latencies) = latencies {
                                    latencies.done(task, 0);
                                }
                                ended
                            }),
                        ));
                    }
                    Ok(None) => break Ok(0),
                    Err(reason) => break Err(reason),
                }
            };
            for (task, call) in calls {
                let ended = call.await.unwrap_or_else(|error| Err(error.into()));
                let digest = job.settle(task, ended);
                self.answered();
                folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
            }
            folded
        })
    }
}

/// How a task ended there.
type Ended = Result<Result<u64, WorkloadError>, Lost>;

/// What a worker gave back. Errors cross as their sentences.
fn given_back<T>(answer: Result<Result<T, String>, CallError>) -> Result<T, Lost> {
    answer?.map_err(Lost::Otherwise)
}
