//! Kind `crash`: every task computes a chain of integer steps; the last of each so many crashes when it is half-way.
//!
//! Within a process a crash is a panic: the stack is unwound for real, to whatever boundary the strategy has around a task. Only
//! the panic hook is left out (`resume_unwind`), which would print a line per crash and measure the terminal. In a worker process
//! it is the death of that process (`abort`), without a core file.
//!
//! A crash that was planned is no failure of the run. Whoever ran the task has to notice it as what it was, and shows what it saw
//! to [`Workload::crashed`](crate::Workload::crashed): the payload, the signal, or the error of the blocking pool. What is known by
//! that is a digest of its own, which no computing gives; everything else is an error, and a victim that comes back whole is a
//! wrong checksum.

use std::hint::black_box;
use std::panic::resume_unwind;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::mixed::chain;
use super::{Kind, PlannedCrash};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Turns the seed into that of the digests of tasks that crashed: the word in ASCII.
const CRASHED: u64 = 0x63_7261_7368;

/// Who crashes, and how much everyone computes.
#[derive(Debug)]
pub(crate) struct Crash {
    seed: u64,
    /// The last of each so many tasks crashes; 0: none does.
    every: u32,
    steps: u64,
}

impl Kind for Crash {
    const INFO: KindInfo = KindInfo {
        about: "a task computes a chain of integer steps, but one in every so many crashes half-way",
        params: &[
            catalog::tasks(100_000),
            ParamInfo {
                name: "every",
                about: "of so many tasks, the last crashes: by a panic, in a worker process by its death; 0 means none",
                value: ParamKind::Int { min: 0, max: 1_000_000 },
                default: Some(DefaultValue::Int(8)),
            },
            ParamInfo {
                name: "cpu_us",
                about: "computing per task, in µs of one core of this machine when nothing else runs; half of it before a crash",
                value: ParamKind::Float { min: 0.0, max: 10_000_000.0 },
                default: Some(DefaultValue::Float(100.0)),
            },
        ],
        needs_spin: true,
        ..KindInfo::new("crash", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (spin, params) = (setup.spin_per_us()?, &setup.params);
        let steps = (params.number("cpu_us")? * spin).round() as u64;
        // The catalog limits it to a million.
        Ok(Self { seed: setup.seed(), every: params.count("every")? as u32, steps })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        Ok(self.compute(task, || resume_unwind(Box::new(PlannedCrash { task }))))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn run_in_worker(&self, task: u32) -> Result<u64, WorkloadError> {
        Ok(self.compute(task, die))
    }

    fn may_crash(&self) -> bool {
        self.every > 0
    }

    fn crash_digest(&self, task: u32) -> Option<u64> {
        self.crashes(task).then(|| word(self.seed ^ CRASHED, u64::from(task)))
    }

    fn estimate_us(params: &Params) -> f64 {
        params.guess("cpu_us")
    }
}

impl Crash {
    fn crashes(&self, task: u32) -> bool {
        self.every > 0 && task % self.every == self.every - 1
    }

    /// Half of the steps, then the crash or the other half.
    fn compute(&self, task: u32, crash: impl FnOnce() -> u64) -> u64 {
        let half = chain(word(self.seed, u64::from(task)), self.steps / 2);
        // What nobody would need is computed all the same.
        let half = black_box(half);
        if self.crashes(task) { crash() } else { chain(half, self.steps - self.steps / 2) }
    }
}

/// Ends this process by SIGABRT. The pool has forbidden core files in it; but where a machine pipes cores to a program, as many
/// desktops do, Linux asks for no limit, except for that of one byte, with which it starts nothing.
fn die() -> u64 {
    let limit = getrlimit(Resource::Core);
    // Where the hard limit is lower, that stays in force.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), ..limit });
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{Seen, Spec, Value, Workload};

    fn prepare(every: i64) -> Workload {
        let params = [("every", every), ("cpu_us", 2)];
        let params = params.into_iter().map(|(name, n)| (name.to_owned(), Value::Int(n))).collect();
        let kind = "crash".to_owned();
        Workload::prepare(&Spec { kind, params, tasks: 12, seed: 5, server: None, spin_per_us: Some(10.0) })
            .unwrap()
    }

    #[test]
    fn the_last_of_every_so_many_crashes() {
        let victims = |every| {
            let kind = Crash { seed: 0, every, steps: 0 };
            assert_eq!(kind.may_crash(), every > 0);
            (0..12).filter(|task| kind.crash_digest(*task).is_some()).collect::<Vec<u32>>()
        };
        assert_eq!(victims(4), [3, 7, 11]);
        assert_eq!(victims(1).len(), 12);
        assert_eq!((victims(13), victims(0)), (vec![], vec![]));
    }

    #[test]
    fn only_the_planned_crash_of_this_very_task_counts() {
        let workload = prepare(4);
        let payload = catch_unwind(AssertUnwindSafe(|| workload.run_blocking(7))).unwrap_err();
        let digest = workload.crashed(7, Seen::Panic(&*payload)).unwrap();
        assert_ne!(digest, prepare(0).run_blocking(7).unwrap(), "whole, it would be another one");
        assert_eq!(workload.crashed(7, Seen::Signal(6)), Some(digest));
        assert_eq!(workload.crashed(7, Seen::Error(&WorkloadError::Crashed { task: 7 })), Some(digest));
        // Others' crashes, other deaths, other errors; a task that was to come back.
        let bug: Box<dyn std::any::Any + Send> = Box::new("out of luck");
        assert_eq!(workload.crashed(3, Seen::Panic(&*payload)), None);
        assert_eq!(workload.crashed(7, Seen::Panic(&*bug)), None);
        assert_eq!(workload.crashed(7, Seen::Signal(9)), None);
        assert_eq!(workload.crashed(7, Seen::Error(&WorkloadError::Crashed { task: 3 })), None);
        assert_eq!(workload.crashed(6, Seen::Signal(6)), None);
        assert_eq!(prepare(0).crashed(7, Seen::Signal(6)), None);
        assert_eq!(workload.crashed(15, Seen::Signal(6)), None, "there is no such task");
    }

    #[test]
    fn whole_tasks_compute_what_mixed_does() {
        let params = [("cpu_us".to_owned(), Value::Int(2)), ("wait_us".to_owned(), Value::Int(0))].into();
        let kind = "mixed".to_owned();
        let mixed = Spec { kind, params, tasks: 12, seed: 5, server: None, spin_per_us: Some(10.0) };
        let mixed = Workload::prepare(&mixed).unwrap();
        assert_eq!(prepare(4).run_blocking(2).unwrap(), mixed.run_blocking(2).unwrap());
    }
}
