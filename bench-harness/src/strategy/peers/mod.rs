//! Peers: libraries that people would otherwise choose, as strategies beside ours.
//!
//! Each runs the same tasks as its own users would write them: tokio with its sockets, its timers and hyper-util; smol as
//! async-executor and async-io, a thread per worker; rayon with a parallel iterator and scopes. Nothing of our runtime lies
//! under them, and none of them is tuned: what they do is what their documentation shows. They are dependencies of this
//! crate alone.
//!
//! An async peer brings a type that answers [`AsyncRuntime`], on which every kind's async form runs, and [`Peer`]: how it
//! spawns a task and how it watches a pipe. What all of them share, spawning every task and then awaiting every handle, is
//! here, and monomorphised for each: the same two functions as for our own runtimes in `spawned`.
mod rayon;
mod smol;
#[cfg(test)]
mod tests;
mod tokio;

use std::future::Future;

use crossover_workloads::{AsyncRuntime, WorkloadError, combine};

use super::settle::Lost;
use super::{Info, Job, Limits, Strategy};
use crate::load::{Arrivals, Pipe};

/// The peers, in the order in which they are listed.
pub const PEERS: &[Info] = &[
    Info {
        name: "tokio",
        about: "peer: async on tokio's multi-thread runtime, every task spawned",
        workers: Some("worker threads of tokio's runtime"),
    },
    Info {
        name: "tokio-current-thread",
        about: "peer: async on one thread, every task spawned on tokio's current-thread runtime",
        workers: None,
    },
    Info {
        name: "smol",
        about: "peer: async on smol's executor (async-executor and async-io), every task spawned",
        workers: Some("threads that run the executor"),
    },
    Info {
        name: "rayon",
        about: "peer: a pool of rayon's, all tasks as one parallel iterator, blocking style",
        workers: Some("threads of rayon's pool"),
    },
];

/// Starts the peer `name`; `None` where there is none of this name.
pub(super) fn start(name: &str, workers: u32) -> Option<Result<Box<dyn Strategy>, String>> {
    fn boxed<S: Strategy + 'static>(started: Result<S, String>) -> Result<Box<dyn Strategy>, String> {
        started.map(|strategy| Box::new(strategy) as Box<dyn Strategy>)
    }
    Some(match name {
        "tokio" => boxed(tokio::Tokio::multi_thread(workers)),
        "tokio-current-thread" => boxed(tokio::Tokio::current_thread()),
        "smol" => boxed(smol::Smol::start(workers)),
        "rayon" => boxed(rayon::Rayon::start(workers)),
        _ => return None,
    })
}

/// What the peer `name` is limited by; `None` where there is none of this name.
pub(super) fn limits(name: &str, workers: u32) -> Option<Limits> {
    let (workers, concurrency_cap) = match name {
        "tokio" | "smol" => (workers, None),
        "tokio-current-thread" => (1, None),
        "rayon" => (workers, Some(workers)),
        _ => return None,
    };
    Some(Limits { workers, concurrency_cap })
}

/// An async runtime that tasks are spawned on.
trait Peer {
    /// What tasks see of it.
    type Runtime: AsyncRuntime;
    /// The pipe of a load generator as it watches it.
    type Pipe: Pipe;

    /// Spawns `task`, at once; what it gives waits for the task's end.
    fn spawn(
        &self,
        task: impl Future<Output = Result<u64, WorkloadError>> + Send + 'static,
    ) -> impl Future<Output = Result<Result<u64, WorkloadError>, Lost>>;
}

/// Spawns every task of `job` and folds their digests in the order of the tasks. To be run by `peer` itself.
///
/// All tasks are awaited even when one fails, so that none runs on into the next measurement.
async fn run_all<P: Peer>(peer: &P, job: &Job) -> Result<u64, String> {
    let tasks = job.workload.tasks();
    let mut handles = Vec::with_capacity(tasks as usize);
    for task in 0..tasks {
        job.handed(task);
        handles.push((task, peer.spawn(job.runner().run_async_on::<P::Runtime>(task))));
    }
    fold(job, Ok(0), handles).await
}

/// The same with every task spawned as it arrives.
async fn serve_all<P: Peer>(peer: &P, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
    let mut arrivals = arrivals.watch_on::<P::Pipe>()?;
    let mut handles = Vec::with_capacity(job.workload.tasks() as usize);
    let ended = loop {
        match arrivals.next().await {
            Ok(Some(task)) => {
                job.handed(task);
                handles.push((task, peer.spawn(job.runner().run_async_on::<P::Runtime>(task))));
            }
            Ok(None) => break Ok(0),
            Err(reason) => break Err(reason),
        }
    };
    fold(job, ended, handles).await
}

/// Awaits every task and adds their digests to `folded`, unless that, or one of them, is an error.
async fn fold(
    job: &Job,
    mut folded: Result<u64, String>,
    handles: Vec<(u32, impl Future<Output = Result<Result<u64, WorkloadError>, Lost>>)>,
) -> Result<u64, String> {
    for (task, handle) in handles {
        let digest = job.settle(task, handle.await);
        folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
    }
    folded
}
