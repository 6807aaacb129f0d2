//! `thread-per-task`: a new thread for every task.
//!
//! A run starts all of them and joins them in order. A server that starts a thread per request joins none: it would keep the
//! stack of every thread that has ended; so tasks that arrive send their results back over a channel.
use std::thread::Builder;

use crossbeam_channel::unbounded;

use crossover_workloads::combine;

use super::threads::fold;
use super::{Job, Strategy, task_failed};
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
            let digest = job.settle(task, thread.join());
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
                    let _ = done.send((task, runner.run_caught(task)));
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
