//! `sequential-slower`: [`super::sequential`] with a tenth more work per task, for `crossover calibrate`.
//!
//! Beside its own chain of steps every task computes a second one, a tenth as long, whose result is thrown away: the
//! checksum is the oracle's, the time is 1.1 times as long. It is no strategy to choose, so no list shows it.
use std::hint::black_box;

use crossover_workloads::{Spec, Value, Workload, combine};

use super::{Job, Runner, Strategy, task_failed};
use crate::load::Arrivals;

/// How much more there is to compute.
const SHARE: f64 = 0.1;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Slower {
    /// The second chain of the work that ran last, which warming up prepares.
    extra: Option<(Spec, Workload)>,
}

impl Strategy for Slower {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        let extra = self.extra_of(job)?;
        let runner = job.runner();
        (0..job.workload.tasks()).try_fold(0, |acc, task| add(acc, job, &runner, extra, task))
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        let extra = self.extra_of(job)?;
        let runner = job.runner();
        let mut acc = 0;
        while let Some(task) = arrivals.wait()? {
            acc = add(acc, job, &runner, extra, task)?;
        }
        Ok(acc)
    }
}

impl Slower {
    fn extra_of(&mut self, job: &Job) -> Result<&Workload, String> {
        if self.extra.as_ref().is_none_or(|(spec, _)| *spec != job.spec) {
            self.extra = Some((job.spec.clone(), extra(&job.spec)?));
        }
        self.extra.as_ref().map(|(_, extra)| extra).ok_or_else(|| "there is no work".to_owned())
    }
}

/// Runs one task and a tenth of it once more, and adds its digest.
fn add(acc: u64, job: &Job, runner: &Runner, extra: &Workload, task: u32) -> Result<u64, String> {
    job.handed(task);
    let digest = runner.run_blocking(task).map_err(|error| task_failed(task, error))?;
    black_box(extra.run_blocking(task).map_err(|error| task_failed(task, error))?);
    Ok(combine(acc, task, digest))
}

/// The work that is added to `spec`.
fn extra(spec: &Spec) -> Result<Workload, String> {
    let cpu_us = spec.params.get("cpu_us").and_then(Value::as_f64);
    let Some(cpu_us) = cpu_us.filter(|_| spec.kind == "mixed") else {
        return Err(format!("only the kind mixed can be made slower, not {}", spec.kind));
    };
    let mut extra = spec.clone();
    extra.params.insert("cpu_us".to_owned(), Value::Float(cpu_us * SHARE));
    extra.params.insert("wait_us".to_owned(), Value::Int(0));
    Workload::prepare(&extra).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::sequential::Sequential;

    fn job(kind: &str, params: &[(&str, i64)]) -> Job {
        let params = params.iter().map(|&(name, n)| (name.to_owned(), Value::Int(n))).collect();
        let spec =
            Spec { kind: kind.into(), params, tasks: 3, seed: 7, server: None, spin_per_us: Some(50.0) };
        Job::prepare(spec).unwrap()
    }

    #[test]
    fn the_result_is_the_oracles_whatever_ran_before() {
        let mut slower = Slower::default();
        for cpu_us in [20, 40, 20] {
            let job = job("mixed", &[("cpu_us", cpu_us), ("wait_us", 1)]);
            assert_eq!(slower.run(&job), Sequential.run(&job));
        }
    }

    #[test]
    fn the_extra_work_is_a_tenth_and_does_not_wait() {
        let spec = job("mixed", &[("cpu_us", 40), ("wait_us", 1000)]).spec;
        let tenth = job("mixed", &[("cpu_us", 4), ("wait_us", 0)]);
        let extra = extra(&spec).unwrap();
        assert_eq!(extra.run_blocking(2).unwrap(), tenth.workload.run_blocking(2).unwrap());
        assert_eq!(extra.tasks(), spec.tasks);
    }

    #[test]
    fn other_kinds_are_refused() {
        let job = job("cpu", &[("input_bytes", 64)]);
        assert!(Slower::default().run(&job).unwrap_err().contains("mixed"));
    }
}
