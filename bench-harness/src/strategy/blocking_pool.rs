//! `blocking-pool`: async tasks on all workers that hand their blocking and heavy parts to `spawn_blocking`.
use crossover_runtime::runtime::{Builder, Runtime};

use super::{BLOCKING_THREADS_MAX, Job, Runner, Strategy, spawned};
use crate::load::Arrivals;

/// See the module.
#[derive(Debug)]
pub(super) struct BlockingPool {
    runtime: Runtime,
}

impl BlockingPool {
    pub(super) fn start(workers: u32) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers as usize)
            .thread_name_fn(spawned::thread_names(workers))
            .max_blocking_threads(BLOCKING_THREADS_MAX as usize)
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a runtime of {workers} workers: {error}"))?;
        Ok(Self { runtime })
    }
}

impl Strategy for BlockingPool {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        spawned::run_all(&self.runtime, job, Runner::run_offloaded)
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        spawned::serve_all(&self.runtime, job, arrivals, Runner::run_offloaded)
    }
}
