//! `work-stealing`: async on all workers, every task spawned on the multi-thread runtime.
use crossover_runtime::runtime::{Builder, Runtime};

use super::{Job, Runner, Strategy, spawned};
use crate::load::Arrivals;

/// See the module.
#[derive(Debug)]
pub(super) struct WorkStealing {
    runtime: Runtime,
}

impl WorkStealing {
    pub(super) fn start(workers: u32) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers as usize)
            .thread_name_fn(spawned::thread_names(workers))
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a runtime of {workers} workers: {error}"))?;
        Ok(Self { runtime })
    }
}

impl Strategy for WorkStealing {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        spawned::run_all(&self.runtime, job, Runner::run_async)
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        spawned::serve_all(&self.runtime, job, arrivals, Runner::run_async)
    }
}
