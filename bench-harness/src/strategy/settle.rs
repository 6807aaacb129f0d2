//! How a task ended, and what that makes of it: the one place where this is decided, for all strategies.
//!
//! A task that gave a digest is settled by a test of a `Result`. Whatever else comes back to the boundary that a strategy has around
//! its tasks (a panic's payload, the error of a join, a dead worker process) becomes a [`Lost`], and is a failure, unless the
//! work planned that very crash for that very task: see [`Workload::crashed`](crossover_workloads::Workload::crashed).
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossover_runtime::process_pool::CallError;
use crossover_runtime::task::JoinError;
use crossover_workloads::{Seen, WorkloadError};

use super::{Job, Runner, panic_message, task_failed};

/// Why a task came back without a result of its own.
#[derive(Debug)]
pub(super) enum Lost {
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// The worker process that ran it was ended by a signal.
    Killed {
        signal: i32,
        /// What the pool reports.
        reason: String,
    },
    /// Nothing that could have been planned.
    Otherwise(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => f.write_str(&panic_message(&**payload)),
            Self::Killed { reason, .. } | Self::Otherwise(reason) => f.write_str(reason),
        }
    }
}

impl From<Box<dyn Any + Send>> for Lost {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self::Panicked(payload)
    }
}

impl From<JoinError> for Lost {
    fn from(error: JoinError) -> Self {
        error.try_into_panic().map_or_else(|error| Self::Otherwise(error.to_string()), Self::Panicked)
    }
}

impl From<CallError> for Lost {
    fn from(error: CallError) -> Self {
        let reason = error.to_string();
        match error {
            CallError::WorkerDied { signal: Some(signal), .. } => Self::Killed { signal, reason },
            _ => Self::Otherwise(reason),
        }
    }
}

impl Job {
    /// The digest of `task`, which ended like this.
    ///
    /// # Errors
    /// The sentence that names the task and why it has none.
    pub(super) fn settle<E: Into<Lost>>(
        &self,
        task: u32,
        ended: Result<Result<u64, WorkloadError>, E>,
    ) -> Result<u64, String> {
        self.runner.settle(task, ended)
    }
}

impl Runner {
    /// See [`Job::settle`].
    pub(super) fn settle<E: Into<Lost>>(
        &self,
        task: u32,
        ended: Result<Result<u64, WorkloadError>, E>,
    ) -> Result<u64, String> {
        match ended {
            Ok(Ok(digest)) => Ok(digest),
            Ok(Err(error)) => self.planned(task, Seen::Error(&error)).ok_or_else(|| task_failed(task, error)),
            Err(lost) => {
                let lost = lost.into();
                let seen = match &lost {
                    Lost::Panicked(payload) => Some(Seen::Panic(&**payload)),
                    Lost::Killed { signal, .. } => Some(Seen::Signal(*signal)),
                    Lost::Otherwise(_) => None,
                };
                seen.and_then(|seen| self.planned(task, seen)).ok_or_else(|| task_failed(task, lost))
            }
        }
    }

    #[cold]
    fn planned(&self, task: u32, seen: Seen<'_>) -> Option<u64> {
        self.workload().crashed(task, seen)
    }

    /// Runs a task on this thread in blocking style, and settles it; a panic goes no further.
    ///
    /// # Errors
    /// As [`Job::settle`].
    pub(super) fn run_caught(&self, task: u32) -> Result<u64, String> {
        self.settle(task, catch_unwind(AssertUnwindSafe(|| self.run_blocking(task))))
    }
}

#[cfg(test)]
mod tests {
    use crossover_workloads::{Spec, Value};

    use super::*;

    /// Four tasks, of which the last is to crash.
    fn job() -> Job {
        let params = [("every", 4), ("cpu_us", 1)];
        let params = params.into_iter().map(|(name, n)| (name.to_owned(), Value::Int(n))).collect();
        let kind = "crash".to_owned();
        Job::prepare(Spec { kind, params, tasks: 4, seed: 7, server: None, spin_per_us: Some(10.0) }).unwrap()
    }

    fn died(signal: Option<i32>) -> CallError {
        let stderr_tail = String::new();
        CallError::WorkerDied { job: "j", signal, code: None, stderr_tail, jobs_served: 0 }
    }

    #[test]
    fn a_planned_crash_has_one_digest_however_it_is_seen() {
        let (job, runner) = (job(), job().runner());
        let digest = runner.run_caught(3).unwrap();
        assert_eq!(job.settle(3, Err(died(Some(6)))), Ok(digest));
        assert_eq!(job.settle::<Lost>(3, Ok(Err(WorkloadError::Crashed { task: 3 }))), Ok(digest));
        assert_eq!(job.settle::<Lost>(3, Ok(Ok(8))), Ok(8), "whoever comes back whole has another one");
        assert_ne!(digest, 8);
    }

    #[test]
    fn what_was_not_planned_is_a_failure_with_its_reason() {
        let job = job();
        let bug = || Lost::Panicked(Box::new("out of luck"));
        for task in [2, 3] {
            assert_eq!(job.settle(task, Err(bug())), Err(format!("task {task}: panicked: out of luck")));
            let killed = job.settle(task, Err(died(Some(9)))).unwrap_err();
            assert!(killed.contains("SIGKILL") && killed.starts_with(&format!("task {task}: ")), "{killed}");
            assert!(job.settle(task, Err(died(None))).unwrap_err().contains("unknown"));
        }
        assert!(job.settle(2, Err(died(Some(6)))).unwrap_err().contains("SIGABRT"), "task 2 was to live");
    }
}
