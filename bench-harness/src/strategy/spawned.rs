//! What the async strategies share: every task is spawned on a runtime, then every handle is awaited.
use std::future::Future;

use crossover_runtime::runtime::Runtime;
use crossover_workloads::{Workload, WorkloadError, combine};

use super::{Job, task_failed};

/// Spawns `task_future` for every task of `job` on `runtime`, and folds their digests in the order of the tasks.
///
/// All tasks are awaited even when one fails, so that none runs on into the next measurement.
pub(super) fn run_all<F, Fut>(runtime: &Runtime, job: &Job, task_future: F) -> Result<u64, String>
where
    F: Fn(Workload, u32) -> Fut,
    Fut: Future<Output = Result<u64, WorkloadError>> + Send + 'static,
{
    let tasks = job.workload.tasks();
    runtime.block_on(async {
        let mut handles = Vec::with_capacity(tasks as usize);
        for task in 0..tasks {
            handles.push(crossover_runtime::spawn(task_future(job.workload.clone(), task)));
        }
        let mut folded = Ok(0);
        for (task, handle) in (0..tasks).zip(handles) {
            let digest = match handle.await {
                Ok(Ok(digest)) => Ok(digest),
                Ok(Err(error)) => Err(task_failed(task, error)),
                Err(error) => Err(task_failed(task, error)),
            };
            folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
        }
        folded
    })
}
