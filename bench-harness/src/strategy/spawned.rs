//! What the async strategies share: every task is spawned on a runtime, then every handle is awaited.
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use crossover_runtime::runtime::Runtime;
use crossover_runtime::task::JoinHandle;
use crossover_workloads::{WorkloadError, combine};

use super::{Job, Runner};
use crate::load::Arrivals;

/// Spawns `task_future` for every task of `job` on `runtime`, and folds their digests in the order of the tasks.
///
/// All tasks are awaited even when one fails, so that none runs on into the next measurement.
pub(super) fn run_all<F, Fut>(runtime: &Runtime, job: &Job, task_future: F) -> Result<u64, String>
where
    F: Fn(Runner, u32) -> Fut,
    Fut: Future<Output = Result<u64, WorkloadError>> + Send + 'static,
{
    let tasks = job.workload.tasks();
    runtime.block_on(async {
        let mut handles = Vec::with_capacity(tasks as usize);
        for task in 0..tasks {
            job.handed(task);
            handles.push(crossover_runtime::spawn(task_future(job.runner(), task)));
        }
        fold(job, Ok(0), (0..tasks).zip(handles)).await
    })
}

/// The same with every task spawned as it arrives: by the future that [`Runtime::block_on`] drives, beside the tasks.
pub(super) fn serve_all<F, Fut>(
    runtime: &Runtime,
    job: &Job,
    arrivals: &mut Arrivals,
    task_future: F,
) -> Result<u64, String>
where
    F: Fn(Runner, u32) -> Fut,
    Fut: Future<Output = Result<u64, WorkloadError>> + Send + 'static,
{
    runtime.block_on(async {
        let mut arrivals = arrivals.watch()?;
        let mut handles = Vec::with_capacity(job.workload.tasks() as usize);
        let ended = loop {
            match arrivals.next().await {
                Ok(Some(task)) => {
                    job.handed(task);
                    handles.push((task, crossover_runtime::spawn(task_future(job.runner(), task))));
                }
                Ok(None) => break Ok(0),
                Err(reason) => break Err(reason),
            }
        };
        fold(job, ended, handles).await
    })
}

/// Awaits every task and adds their digests to `folded`, unless that, or one of them, is an error.
async fn fold(
    job: &Job,
    mut folded: Result<u64, String>,
    handles: impl IntoIterator<Item = (u32, JoinHandle<Result<u64, WorkloadError>>)>,
) -> Result<u64, String> {
    for (task, handle) in handles {
        let digest = job.settle(task, handle.await);
        folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
    }
    folded
}

/// Names for the threads of a runtime of `workers` workers: they are named first, those of its blocking pool as they come.
pub(super) fn thread_names(workers: u32) -> impl Fn() -> String + Send + Sync + 'static {
    let named = AtomicU32::new(0);
    // Relaxed: only the numbers have to differ.
    move || match named.fetch_add(1, Ordering::Relaxed) {
        index if index < workers => format!("worker {index}"),
        index => format!("blocking {}", index - workers),
    }
}
