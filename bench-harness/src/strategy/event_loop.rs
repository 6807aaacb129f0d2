//! `event-loop`: async on one thread, every task spawned on the current-thread runtime. What asyncio is.
use crossover_runtime::runtime::{Builder, Runtime};

use super::{Job, Runner, Strategy, spawned};
use crate::load::Arrivals;

/// See the module.
#[derive(Debug)]
pub(super) struct EventLoop {
    runtime: Runtime,
}

impl EventLoop {
    pub(super) fn start() -> Result<Self, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the current-thread runtime: {error}"))?;
        Ok(Self { runtime })
    }
}

impl Strategy for EventLoop {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        spawned::run_all(&self.runtime, job, Runner::run_async)
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        spawned::serve_all(&self.runtime, job, arrivals, Runner::run_async)
    }
}
