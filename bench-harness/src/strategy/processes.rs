//! `processes`: a pool of worker processes that stays up; each task is one call.
//!
//! All calls are submitted at once and awaited in order; how many are under way is for the pool to say. So its queue has
//! no limit here: a call beyond that would start only when it is awaited, hence after all those before it have ended. A worker
//! prepares a job's inputs at the first task that it gets of it and keeps them; what crosses per task is the
//! specification and the digest.
use crossover_runtime::process_pool::{CallError, JobFn, ProcessPool};
use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::{Spec, Traced, combine, run_in_worker, trace_in_worker};
use serde::de::DeserializeOwned;

use super::{Job, Strategy, task_failed};
use crate::load::Arrivals;

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

impl Strategy for Processes {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        if job.recorder().is_none() && job.latencies().is_none() {
            return self.call_all(job, run_in_worker, |_, digest| digest);
        }
        self.call_all(job, trace_in_worker, |task, traced: Traced| {
            if let Some(recorder) = job.recorder() {
                recorder.in_process(task, &traced);
            }
            if let Some(latencies) = job.latencies() {
                latencies.took(task, traced.to_ns.saturating_sub(traced.from_ns));
            }
            traced.digest
        })
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        match job.recorder() {
            None => self.call_as_they_arrive(job, arrivals, run_in_worker, |_, digest| digest),
            Some(recorder) => {
                self.call_as_they_arrive(job, arrivals, trace_in_worker, |task, traced: Traced| {
                    recorder.in_process(task, &traced);
                    traced.digest
                })
            }
        }
    }

    fn helpers(&self) -> Vec<u32> {
        self.pool.worker_pids()
    }
}

impl Processes {
    /// Calls `function` for every task and folds the digests that `digest` takes out of the answers.
    fn call_all<F, T>(&self, job: &Job, function: F, digest: impl Fn(u32, T) -> u64) -> Result<u64, String>
    where
        F: JobFn<(Spec, u32), Output = Result<T, String>> + Copy,
        T: DeserializeOwned,
    {
        let calls: Vec<_> = (0..job.workload.tasks())
            .map(|task| {
                job.handed(task);
                (task, self.pool.call(function, (job.spec.clone(), task)))
            })
            .collect();
        self.runtime.block_on(async {
            let mut folded = Ok(0);
            for (task, call) in calls {
                let answer = call.await;
                folded = folded.and_then(|acc| add(acc, task, answer, &digest));
            }
            folded
        })
    }

    /// The same with every task called as it arrives. It is done when its answer is here.
    fn call_as_they_arrive<F, T>(
        &self,
        job: &Job,
        arrivals: &mut Arrivals,
        function: F,
        digest: impl Fn(u32, T) -> u64,
    ) -> Result<u64, String>
    where
        F: JobFn<(Spec, u32), Output = Result<T, String>> + Copy,
        T: DeserializeOwned + Send + 'static,
    {
        self.runtime.block_on(async {
            let mut arrivals = arrivals.watch()?;
            let mut calls = Vec::with_capacity(job.workload.tasks() as usize);
            let mut folded = loop {
                match arrivals.next().await {
                    Ok(Some(task)) => {
                        job.handed(task);
                        let call = self.pool.call(function, (job.spec.clone(), task));
                        let latencies = job.latencies().cloned();
                        // In a task of its own, because answers come in any order.
                        calls.push((
                            task,
                            crossover_runtime::spawn(async move {
                                let answer = call.await;
                                if let Some(latencies) = latencies {
                                    latencies.done(task, 0);
                                }
                                answer
                            }),
                        ));
                    }
                    Ok(None) => break Ok(0),
                    Err(reason) => break Err(reason),
                }
            };
            for (task, call) in calls {
                let answer = call.await.map_err(|error| task_failed(task, error));
                folded = folded.and_then(|acc| add(acc, task, answer?, &digest));
            }
            folded
        })
    }
}

/// Adds the digest of an answer.
fn add<T>(
    acc: u64,
    task: u32,
    answer: Result<Result<T, String>, CallError>,
    digest: impl Fn(u32, T) -> u64,
) -> Result<u64, String> {
    match answer {
        Ok(Ok(answer)) => Ok(combine(acc, task, digest(task, answer))),
        Ok(Err(reason)) => Err(task_failed(task, reason)),
        Err(error) => Err(task_failed(task, error)),
    }
}
