//! `rayon`: a pool of rayon's, blocking style.
//!
//! Work that is all there is a parallel iterator whose results are collected in order; tasks that arrive are spawned into a
//! scope. rayon is made for computing: a task that waits holds its thread, and as many tasks wait at once as there are
//! threads. That is not what it is for, and what happens to those who do it.
use std::thread::{self, JoinHandle};

use crossbeam_channel::unbounded;
use crossover_workloads::combine;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::load::Arrivals;
use crate::strategy::threads::fold;
use crate::strategy::{Job, Strategy};

/// See the module.
#[derive(Debug)]
pub(super) struct Rayon {
    pool: ThreadPool,
    /// Joined after the pool is gone: fields are dropped in this order.
    _threads: Threads,
}

/// The threads of a pool. Dropping the pool tells them to end, and does not wait for it.
#[derive(Debug)]
struct Threads(Vec<JoinHandle<()>>);

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // A thread that panicked has said so in its task's result.
            let _ = thread.join();
        }
    }
}

impl Rayon {
    pub(super) fn start(workers: u32) -> Result<Self, String> {
        let mut threads = Threads(Vec::with_capacity(workers as usize));
        let pool = ThreadPoolBuilder::new()
            .num_threads(workers as usize)
            .thread_name(|index| format!("worker {index}"))
            .spawn_handler(|thread| {
                let name = thread.name().map_or_else(String::new, str::to_owned);
                threads.0.push(thread::Builder::new().name(name).spawn(|| thread.run())?);
                Ok(())
            })
            .build()
            .map_err(|error| format!("cannot start a pool of rayon's with {workers} threads: {error}"))?;
        Ok(Self { pool, _threads: threads })
    }
}

impl Strategy for Rayon {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let tasks = job.workload.tasks();
        let runner = job.runner();
        if job.recorder().is_some() {
            // All at once, by a single call.
            (0..tasks).for_each(|task| job.handed(task));
        }
        let digests: Vec<Result<u64, String>> =
            self.pool.install(|| (0..tasks).into_par_iter().map(|task| runner.run_caught(task)).collect());
        (0..tasks).zip(digests).try_fold(0, |acc, (task, digest)| Ok(combine(acc, task, digest?)))
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        let (done, results) = unbounded();
        // This thread waits for arrivals and runs none of the tasks. The scope ends when all of them have.
        let handed = self.pool.in_place_scope_fifo(|scope| {
            while let Some(task) = arrivals.wait()? {
                let (runner, done) = (job.runner(), done.clone());
                job.handed(task);
                scope.spawn_fifo(move |_| {
                    // Whoever waits does so until the last task has sent.
                    let _ = done.send((task, runner.run_caught(task)));
                });
            }
            Ok(())
        });
        drop(done);
        fold(handed, job, &results)
    }
}
