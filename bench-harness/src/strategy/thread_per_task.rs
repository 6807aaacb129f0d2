//! `thread-per-task`: a new thread for every task.
//!
//! A run starts all of them and joins them in order. A server that starts a thread per request joins none: it would keep the
//! stack of every thread that has ended; so tasks that arrive send their results back over a channel.
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::unbounded;

use crossover_workloads::{WorkloadError, combine};

use super::threads::{fold, run_caught};
use super::{Job, Strategy, panic_message, task_failed};
use crate::load::Arrivals;

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
                    folded = Err(not_started(task, &error));
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

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        let (done, results) = unbounded();
        let mut start_all = || {
            while let Some(task) = arrivals.wait()? {
                let (runner, done) = (job.runner(), done.clone());
                job.handed(task);
                let thread = Builder::new().spawn(move || {
                    // Whoever waits does so until the last thread has sent.
                    let _ = done.send((task, run_caught(&runner, task)));
                });
                // Detached.
                drop(thread.map_err(|error| not_started(task, &error))?);
            }
            Ok(())
        };
        let started = start_all();
        drop(done);
        fold(started, job, &results)
    }
}

fn not_started(task: u32, error: &std::io::Error) -> String {
    task_failed(task, format_args!("cannot start its thread: {error}"))
}

fn join(task: u32, thread: JoinHandle<Result<u64, WorkloadError>>) -> Result<u64, String> {
    match thread.join() {
        Ok(Ok(digest)) => Ok(digest),
        Ok(Err(error)) => Err(task_failed(task, error)),
        Err(payload) => Err(task_failed(task, panic_message(&*payload))),
    }
}
