//! `processes`: a pool of worker processes that stays up; each task is one call.
//!
//! All calls are submitted at once and awaited in order; how many are under way is for the pool to say. So its queue has
//! no limit here: a call beyond that would start only when it is awaited, hence after all those before it have ended. A worker
//! prepares a job's inputs at the first task that it gets of it and keeps them; what crosses per task is the
//! specification and the digest, and where a workload has shipments those and the answers to them.
use std::future::Future;
use std::sync::Arc;

use crossover_runtime::process_pool::{Call, CallError, ProcessPool};
use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::{
    Shipped, Traced, Workload, combine, run_in_worker, ship_in_worker, trace_in_worker,
    trace_shipped_in_worker,
};

use super::{Job, Strategy, task_failed};
use crate::load::{Arrivals, Latencies};

/// See the module.
#[derive(Debug)]
pub(super) struct Processes {
    pool: ProcessPool,
    /// Waits for the answers.
    runtime: Runtime,
}

impl Processes {
    pub(super) fn start(workers: u32) -> Result<Self, String> {
        let pool = ProcessPool::builder()
            .workers(workers as usize)
            .min_workers(workers as usize)
            .queue_limit(usize::MAX)
            .build()
            .map_err(|error| format!("cannot start a pool of {workers} processes: {error}"))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the runtime that waits for the workers: {error}"))?;
        runtime
            .block_on(pool.warm_up())
            .map_err(|error| format!("cannot start {workers} worker processes: {error}"))?;
        Ok(Self { pool, runtime })
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
}

impl Processes {
    /// Calls a worker for this task; the future gives its digest.
    fn ask(
        &self,
        job: &Job,
        task: u32,
    ) -> impl Future<Output = Result<u64, String>> + Send + 'static + use<> {
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
                Asked::Digest(call) => given_back(task, call.await),
                Asked::Shipped(call, workload) => {
                    let shipped: Shipped = given_back(task, call.await)?;
                    Ok(workload.unpack(task, &shipped))
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
    ) -> impl Future<Output = Result<u64, String>> + Send + 'static + use<> {
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
                    let traced: Traced = given_back(task, call.await)?;
                    (traced, traced.digest)
                }
                Asked::Shipped(call, workload) => {
                    let (traced, shipped): (Traced, Shipped) = given_back(task, call.await)?;
                    (traced, workload.unpack(task, &shipped))
                }
            };
            if let Some(recorder) = recorder {
                recorder.in_process(task, &traced);
            }
            if let Some(latencies) = latencies {
                latencies.took(task, traced.to_ns.saturating_sub(traced.from_ns));
            }
            Ok(digest)
        }
    }

    /// Asks for every task and folds the digests.
    fn ask_all<F>(&self, job: &Job, ask: impl Fn(u32) -> F) -> Result<u64, String>
    where
        F: Future<Output = Result<u64, String>>,
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
                let digest = call.await;
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
        F: Future<Output = Result<u64, String>> + Send + 'static,
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
                                let digest = call.await;
                                if let Some(latencies) = latencies {
                                    latencies.done(task, 0);
                                }
                                digest
                            }),
                        ));
                    }
                    Ok(None) => break Ok(0),
                    Err(reason) => break Err(reason),
                }
            };
            for (task, call) in calls {
                let digest = call.await.map_err(|error| task_failed(task, error));
                folded = folded.and_then(|acc| Ok(combine(acc, task, digest??)));
            }
            folded
        })
    }
}

/// What a worker gave back for this task, or the sentence that says why there is nothing.
fn given_back<T>(task: u32, answer: Result<Result<T, String>, CallError>) -> Result<T, String> {
    match answer {
        Ok(answer) => answer.map_err(|reason| task_failed(task, reason)),
        Err(error) => Err(task_failed(task, error)),
    }
}
