//! `thread-per-task`: a new thread for every task, all of them at once, joined in order.
use std::thread::{Builder, JoinHandle};

use crossover_workloads::{WorkloadError, combine};

use super::{Job, Strategy, panic_message, task_failed};

/// See the module.
#[derive(Debug)]
pub(super) struct ThreadPerTask;

impl Strategy for ThreadPerTask {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let tasks = job.workload.tasks();
        let mut threads = Vec::with_capacity(tasks as usize);
        let mut folded = Ok(0);
        for task in 0..tasks {
            let runner = job.runner();
            job.handed(task);
            match Builder::new().spawn(move || runner.run_blocking(task)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    folded = Err(task_failed(task, format_args!("cannot start its thread: {error}")));
                    break;
                }
            }
        }
        for (task, thread) in (0..tasks).zip(threads) {
            let digest = join(task, thread);
            folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
        }
        folded
    }
}

fn join(task: u32, thread: JoinHandle<Result<u64, WorkloadError>>) -> Result<u64, String> {
    match thread.join() {
        Ok(Ok(digest)) => Ok(digest),
        Ok(Err(error)) => Err(task_failed(task, error)),
        Err(payload) => Err(task_failed(task, panic_message(&*payload))),
    }
}
