//! `threads`: a pool of threads that stays up and takes tasks from one queue, blocking style.
//!
//! The queue and the way back are crossbeam's channels. The pool lives as long as the strategy: dropping it closes
//! the queue, and the threads end after the task they are at.
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use crossover_workloads::combine;

use super::{Job, Runner, Strategy};
use crate::load::Arrivals;

/// See the module.
#[derive(Debug)]
pub(super) struct Threads {
    /// `None` only while dropping.
    queue: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

/// One task on its way to a thread.
#[derive(Debug)]
struct Task {
    runner: Runner,
    task: u32,
    done: Sender<(u32, Result<u64, String>)>,
}

impl Threads {
    pub(super) fn start(workers: u32) -> Result<Self, String> {
        let (queue, tasks) = unbounded();
        let mut pool = Self { queue: Some(queue), threads: Vec::with_capacity(workers as usize) };
        for index in 0..workers {
            let tasks = tasks.clone();
            let thread = thread::Builder::new()
                .name(format!("worker {index}"))
                .spawn(move || work(&tasks))
                .map_err(|error| format!("cannot start thread {index} of {workers}: {error}"))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }
}

/// The life of a thread: task after task until the queue is closed.
fn work(tasks: &Receiver<Task>) {
    for Task { runner, task, done } in tasks {
        // Nobody waits any more only if the strategy is being dropped.
        let _ = done.send((task, runner.run_caught(task)));
    }
}

impl Threads {
    /// Puts a task into the queue.
    fn hand(&self, job: &Job, task: u32, done: &Sender<(u32, Result<u64, String>)>) -> Result<(), String> {
        let queue = self.queue.as_ref().ok_or("the pool is closed")?;
        let entry = Task { runner: job.runner(), task, done: done.clone() };
        job.handed(task);
        queue.send(entry).map_err(|_| "no thread of the pool is alive".to_owned())
    }
}

impl Strategy for Threads {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let (done, results) = unbounded();
        let handed = (0..job.workload.tasks()).try_for_each(|task| self.hand(job, task, &done));
        drop(done);
        fold(handed, job, &results)
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        let (done, results) = unbounded();
        let mut hand_all = || {
            while let Some(task) = arrivals.wait()? {
                self.hand(job, task, &done)?;
            }
            Ok(())
        };
        let handed = hand_all();
        drop(done);
        fold(handed, job, &results)
    }
}

/// Waits for the result of every task that was handed over, and folds the digests.
pub(super) fn fold(
    handed: Result<(), String>,
    job: &Job,
    results: &Receiver<(u32, Result<u64, String>)>,
) -> Result<u64, String> {
    let mut folded = Ok(0);
    let mut finished = 0;
    for (task, digest) in results {
        finished += 1;
        folded = folded.and_then(|acc| Ok(combine(acc, task, digest?)));
    }
    handed?;
    let tasks = job.workload.tasks();
    if finished == tasks { folded } else { Err(format!("{finished} of {tasks} tasks came back")) }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread cannot panic: it catches what its tasks do.
            let _ = thread.join();
        }
    }
}
