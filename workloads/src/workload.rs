//! One type for all kinds: prepare once, then run each task in the style that a strategy needs.
//!
//! A [`Workload`] is immutable apart from what its clients keep (connection pools). It is cheap to clone and may be used
//! from any number of threads and tasks at once.

use std::any::Any;
use std::time::Duration;

use crossover_runtime::process_pool::Blob;
use rustix::process::Signal;

use crate::catalog;
use crate::kinds::{self, PlannedCrash, Shipped, Work};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, Crossover, Spec, WorkloadError};

/// The whole work with its inputs, ready to run.
#[derive(Clone, Debug)]
pub struct Workload {
    tasks: u32,
    class: catalog::Class,
    work: Work,
}

impl Workload {
    /// Checks the spec and builds all inputs. This is the untimed part.
    ///
    /// # Errors
    /// Those of [`WorkloadError::is_spec`]: an unknown kind, a parameter that the catalog refuses, a missing server or
    /// speed.
    pub fn prepare(spec: &Spec) -> Result<Self, WorkloadError> {
        Self::prepare_like(spec, None)
    }

    /// Like [`prepare`](Self::prepare), with the clients of `relative`, if it has any.
    pub(crate) fn prepare_like(spec: &Spec, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let kind = catalog::find_or_explain(&spec.kind)?;
        let setup = Setup::new(kind, spec)?;
        let work = Work::prepare(kind, &setup, relative.map(|workload| &workload.work))?;
        Ok(Self { tasks: spec.tasks, class: kind.class, work })
    }

    /// How many tasks one run of the whole work has; they are numbered from 0.
    #[must_use]
    pub fn tasks(&self) -> u32 {
        self.tasks
    }

    /// Whether this kind needs a test server. `false` for a kind that does not exist.
    #[must_use]
    pub fn needs_server(kind: &str) -> bool {
        catalog::find(kind).is_some_and(|kind| kind.needs_server)
    }

    /// Whether this kind needs the speed of a core, [`calibrate_spin`](crate::calibrate_spin). `false` for a kind that does
    /// not exist.
    #[must_use]
    pub fn needs_spin(kind: &str) -> bool {
        catalog::find(kind).is_some_and(|kind| kind.needs_spin)
    }

    /// Whether a prepared workload of this kind keeps connections to another process, which its tasks open as they need them
    /// and which end with it. Preparing such a one is cheap. `false` for a kind that does not exist.
    #[must_use]
    pub fn keeps_connections(kind: &str) -> bool {
        kinds::keeps_connections(kind)
    }

    /// Whether all tasks of a run of this kind wait for one moment, so that a run takes no longer with one task at a time, and
    /// what it shows is the memory of those that wait.
    /// `false` for a kind that does not exist.
    #[must_use]
    pub fn waits_together(kind: &str) -> bool {
        kinds::waits_together(kind)
    }

    /// Whether what this kind needs from outside of the suite, such as a database, is there. Nothing is missing of a kind that
    /// does not exist.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub fn available(kind: &str) -> Result<(), String> {
        kinds::available(kind)
    }

    /// Whether each task waits for an answer from elsewhere, beside which two readings of a clock are little.
    #[must_use]
    pub fn waits_for_answers(&self) -> bool {
        self.class == catalog::Class::Io
    }

    /// Runs one task in blocking style: waits block the calling thread. Returns the task's digest.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchTask`], or what the kind's work can meet.
    ///
    /// # Panics
    /// Where the work [may crash](Self::may_crash) and plans it for this task; so do the other styles.
    pub fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        self.check(task)?;
        self.work.run_blocking(task)
    }

    /// Runs one task in async style: waits are awaited, computing happens inline in the task, as an async program
    /// does that offloads nothing.
    ///
    /// Cancel safety: a dropped future leaves nothing behind but a closed connection, or, of `file` and `sqlite`, a job that runs
    /// to its end on the blocking pool.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchTask`], or what the kind's work can meet.
    ///
    /// # Panics
    /// Outside a runtime, where the task waits.
    pub async fn run_async(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_async_on::<Crossover>(task).await
    }

    /// Like [`run_async`](Self::run_async), on the runtime `R`, from within which the future must be polled.
    ///
    /// Cancel safety: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of that runtime, where the task waits.
    pub async fn run_async_on<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.check(task)?;
        self.work.run_async::<R>(task).await
    }

    /// Runs one task from async code with every blocking or heavy part on the blocking pool: kernels, chains, and the
    /// whole request of the blocking client. Timers are awaited. A chain of no steps is not offloaded; an empty task is,
    /// because handing over is all that there is to it.
    ///
    /// Cancel safety: a part that already runs on the blocking pool runs to its end; its result is dropped.
    ///
    /// # Errors
    /// Those of [`run_blocking`](Self::run_blocking), and [`WorkloadError::Offload`] when the pool gives no result.
    ///
    /// # Panics
    /// Outside a runtime.
    pub async fn run_offloaded(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_offloaded_within(task, || ()).await
    }

    /// Like [`run_offloaded`](Self::run_offloaded); `around` is called on the thread of the blocking pool when a part of
    /// the task begins there, and what it gives is dropped there when the part has ended.
    ///
    /// Cancel safety: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn run_offloaded_within<G>(
        &self,
        task: u32,
        around: impl FnOnce() -> G + Send + 'static,
    ) -> Result<u64, WorkloadError> {
        self.check(task)?;
        self.work.run_offloaded(task, around).await
    }

    /// Runs one task in a worker process, in blocking style.
    ///
    /// # Errors
    /// Those of [`run_blocking`](Self::run_blocking).
    pub(crate) fn run_in_worker(&self, task: u32) -> Result<u64, WorkloadError> {
        self.check(task)?;
        self.work.run_in_worker(task)
    }

    /// Whether tasks of this work are planned to crash, so that whoever runs them on a thread of its own has to catch panics.
    #[must_use]
    pub fn may_crash(&self) -> bool {
        self.work.may_crash()
    }

    /// Whether its tasks leak memory, which [`give_back`](crate::give_back) is to give back after each run, in every process that ran
    /// some of them.
    #[must_use]
    pub fn leaks(&self) -> bool {
        self.work.leaks()
    }

    /// The digest of a task that gave no result, if it crashed as it was planned to and `seen` shows that. `None` is a failure
    /// like any other.
    #[must_use]
    pub fn crashed(&self, task: u32, seen: Seen<'_>) -> Option<u64> {
        self.check(task).ok()?;
        let digest = self.work.crash_digest(task)?;
        let as_planned = match seen {
            Seen::Panic(payload) => payload.downcast_ref().is_some_and(|it: &PlannedCrash| it.task == task),
            Seen::Signal(signal) => signal == Signal::ABORT.as_raw(),
            Seen::Error(error) => matches!(error, WorkloadError::Crashed { task: it } if *it == task),
        };
        as_planned.then_some(digest)
    }

    /// What has to be sent along to a worker process for this task, a copy of its own; `None` for every kind whose workers
    /// have all that they need. Where there is something, [`ship_in_worker`](crate::ship_in_worker) runs the task, and
    /// [`unpack`](Self::unpack) makes the digest of what comes back.
    #[must_use]
    pub fn shipment(&self, task: u32) -> Option<Blob> {
        self.work.shipment(task)
    }

    /// Runs one task in a worker process, in blocking style, on the message that was sent along.
    ///
    /// # Errors
    /// Those of [`run_blocking`](Self::run_blocking).
    pub(crate) fn run_shipped(&self, task: u32, message: &Blob) -> Result<Shipped, WorkloadError> {
        self.check(task)?;
        self.work.run_shipped(task, message)
    }

    /// Reads what a worker process gave back for this task, all of it, and makes the task's digest.
    #[must_use]
    pub fn unpack(&self, task: u32, shipped: &Shipped) -> u64 {
        self.work.unpack(task, shipped)
    }

    /// What was prepared.
    #[cfg(test)]
    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// Bytes that the inputs take.
    pub(crate) fn input_bytes(&self) -> usize {
        self.work.input_bytes()
    }

    fn check(&self, task: u32) -> Result<(), WorkloadError> {
        let tasks = self.tasks;
        if task < tasks { Ok(()) } else { Err(WorkloadError::NoSuchTask { task, tasks }) }
    }
}

/// What the boundary that a strategy has around its tasks saw of one that gave no result.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// It panicked, with this payload.
    Panic(&'a (dyn Any + Send)),
    /// The worker process that ran it was ended by this signal.
    Signal(i32),
    /// It gave this error.
    Error(&'a WorkloadError),
}

/// What one run of the whole work costs when its tasks run one after another: rough, from the parameters alone, for
/// the ETA of a dry run. Zero for a kind that does not exist.
#[must_use]
pub fn estimate(spec: &Spec) -> Duration {
    let Some(kind) = catalog::find(&spec.kind) else { return Duration::ZERO };
    let task_us = kinds::estimate_us(kind.name, &Params::unchecked(kind, spec));
    // A year at most: no input makes this panic.
    Duration::from_secs_f64((task_us * f64::from(spec.tasks) / 1e6).min(31_536_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn spec(kind: &str, tasks: u32, params: &[(&str, Value)]) -> Spec {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Spec { kind: kind.into(), params, tasks, seed: 1, server: None, spin_per_us: None }
    }

    fn refused(spec: &Spec) -> String {
        let error = Workload::prepare(spec).unwrap_err();
        assert!(error.is_spec() && !error.is_server(), "{error}");
        error.to_string()
    }

    #[test]
    fn a_wrong_spec_is_refused_with_the_reason() {
        assert!(refused(&spec("gpu", 1, &[])).contains("known: http, cpu, mixed"));
        assert!(refused(&spec("cpu", 0, &[])).contains("from 1 to 100000, found 0"));
        assert!(refused(&spec("http", 10_001, &[])).contains("from 1 to 10000"));
        let text = refused(&spec("cpu", 2, &[("tasks", Value::Int(3))]));
        assert!(text.contains("the parameter says 3, the request 2"), "{text}");
        assert!(refused(&spec("http", 1, &[])).contains("crossover serve"));
        assert!(refused(&spec("mixed", 1, &[])).contains("found none"));
        for spin in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            let mut spec = spec("mixed", 1, &[]);
            spec.spin_per_us = Some(spin);
            assert!(refused(&spec).contains(&format!("found {spin}")));
        }
    }

    #[test]
    fn tasks_end_where_they_end() {
        let workload = Workload::prepare(&spec("cpu", 2, &[("tasks", Value::Int(2))])).unwrap();
        assert_eq!(workload.tasks(), 2);
        assert!(workload.run_blocking(1).is_ok());
        let error = workload.run_blocking(2).unwrap_err();
        assert!(!error.is_spec() && !error.is_server());
        assert_eq!(error.to_string(), "task 2 does not exist: the workload has 2 tasks, numbered from 0");
    }

    #[test]
    fn the_catalog_says_who_needs_a_server() {
        for kind in catalog::KINDS {
            let alone = Workload::prepare(&Spec { spin_per_us: Some(1.0), ..spec(kind.name, 1, &[]) });
            let needs = matches!(alone, Err(WorkloadError::NeedsServer { .. }));
            assert_eq!(Workload::needs_server(kind.name), needs, "{}", kind.name);
        }
        assert!(!Workload::needs_server("gpu"));
        assert!(Workload::keeps_connections("http") && Workload::keeps_connections("postgres"));
        assert!(!Workload::keeps_connections("cpu") && !Workload::keeps_connections("gpu"));
    }

    #[test]
    fn estimates_grow_with_the_work() {
        let ms = |spec: &Spec| estimate(spec).as_secs_f64() * 1e3;
        let http = |tasks, delay| spec("http", tasks, &[("delay_ms", Value::Float(delay))]);
        assert!((ms(&http(10, 5.0)) - 51.5).abs() < 1.0);
        let wait = |us| ms(&spec("mixed", 10, &[("cpu_us", Value::Int(100)), ("wait_us", Value::Int(us))]));
        assert!((wait(0) - 1.0).abs() < 0.01 && wait(500) > 6.0);
        let bytes = |n| ms(&spec("cpu", 10, &[("input_bytes", Value::Int(n))]));
        assert!(bytes(1 << 20) > 50.0 * bytes(1 << 14));
        assert_eq!(estimate(&spec("gpu", 10, &[])), Duration::ZERO);
        // Whatever stands in a spec that was never checked.
        for value in
            [Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::Int(i64::MAX), Value::Int(-1)]
        {
            assert!(
                estimate(&spec("mixed", u32::MAX, &[("cpu_us", value)])) <= Duration::from_secs(31_536_000)
            );
        }
    }
}
