//! `sequential`: one task after another on the calling thread. The oracle, and the usual baseline.
use crossover_workloads::combine;

use super::{Job, Strategy, task_failed};

/// See the module.
#[derive(Debug)]
pub(super) struct Sequential;

impl Strategy for Sequential {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let runner = job.runner();
        (0..job.workload.tasks()).try_fold(0, |acc, task| {
            job.handed(task);
            let digest = runner.run_blocking(task).map_err(|error| task_failed(task, error))?;
            Ok(combine(acc, task, digest))
        })
    }
}
