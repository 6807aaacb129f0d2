//! `sequential`: one task after another on the calling thread. The oracle, and the usual baseline.
use crossover_workloads::combine;

use super::{Job, Runner, Strategy, task_failed};
use crate::load::Arrivals;

/// See the module.
#[derive(Debug)]
pub(super) struct Sequential;

impl Strategy for Sequential {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let runner = job.runner();
        (0..job.workload.tasks()).try_fold(0, |acc, task| add(acc, job, &runner, task))
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        let runner = job.runner();
        let mut acc = 0;
        while let Some(task) = arrivals.wait()? {
            acc = add(acc, job, &runner, task)?;
        }
        Ok(acc)
    }
}

/// Runs one task and adds its digest.
fn add(acc: u64, job: &Job, runner: &Runner, task: u32) -> Result<u64, String> {
    job.handed(task);
    let digest = runner.run_blocking(task).map_err(|error| task_failed(task, error))?;
    Ok(combine(acc, task, digest))
}
