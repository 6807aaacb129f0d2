//! `sequential`: one task after another on the calling thread. The oracle, and the usual baseline.
use crossover_workloads::combine;

use super::{Job, Runner, Strategy, task_failed};
use crate::load::Arrivals;

/// See the module.
#[derive(Debug)]
pub(super) struct Sequential;

impl Strategy for Sequential {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let one = One::of(job);
        (0..job.workload.tasks()).try_fold(0, |acc, task| one.add(acc, task))
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        let one = One::of(job);
        let mut acc = 0;
        while let Some(task) = arrivals.wait()? {
            acc = one.add(acc, task)?;
        }
        Ok(acc)
    }
}

/// How one task after the other is run.
struct One<'a> {
    job: &'a Job,
    runner: Runner,
    /// Tasks may crash: a plain loop has a boundary around them only then.
    caught: bool,
}

impl<'a> One<'a> {
    fn of(job: &'a Job) -> Self {
        Self { job, runner: job.runner(), caught: job.workload.may_crash() }
    }

    /// Runs one task and adds its digest.
    fn add(&self, acc: u64, task: u32) -> Result<u64, String> {
        self.job.handed(task);
        let digest = match self.caught {
            true => self.runner.run_caught(task)?,
            false => self.runner.run_blocking(task).map_err(|error| task_failed(task, error))?,
        };
        Ok(combine(acc, task, digest))
    }
}
