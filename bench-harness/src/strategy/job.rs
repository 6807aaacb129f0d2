//! The work that a strategy is given, and the one way of running its tasks.
//!
//! Every strategy says when it hands a task over ([`Job::handed`]) and runs it through a [`Runner`], in the style that
//! suits it. Measured runs have no recorder: each call is then the workload's own, behind a test of an `Option` or two. A
//! traced run has one ([`crate::trace`]), which is told what each task did when. Where latency is asked for, each task
//! writes down its own time ([`crate::load`]).
use std::future::Future;
use std::sync::Arc;

use crossover_workloads::{AsyncRuntime, Crossover, Spec, Workload, WorkloadError};

use crate::load::Latencies;
use crate::trace::Recorder;

/// The whole work of a cell, ready to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is, as plain data: what crosses to worker processes.
    pub spec: Spec,
    /// The same with its inputs.
    pub workload: Workload,
    /// What is told about every task; `None` where time is measured. The runner has it too: handing over touches nothing
    /// that the workers use.
    recorder: Option<Arc<Recorder>>,
    /// What is told when a task is done; `None` where only the whole is timed.
    latencies: Option<Arc<Latencies>>,
    pub(super) runner: Runner,
}

impl Job {
    /// The work `spec`, whose inputs are `workload`.
    #[must_use]
    pub fn new(spec: Spec, workload: Workload) -> Self {
        let runner = Runner::new(&workload, None, None);
        Self { spec, workload, recorder: None, latencies: None, runner }
    }

    /// Prepares the inputs; nothing of this is timed.
    ///
    /// # Errors
    /// When the specification is refused, or its inputs cannot be made.
    pub fn prepare(spec: Spec) -> Result<Self, String> {
        let workload = Workload::prepare(&spec).map_err(|error| error.to_string())?;
        Ok(Self::new(spec, workload))
    }

    /// The same work, told to `recorder` as it runs.
    #[must_use]
    pub fn traced(self, recorder: Arc<Recorder>) -> Self {
        Self { recorder: Some(recorder), ..self }.with_runner()
    }

    /// The same work, whose tasks tell `latencies` when they are done.
    #[must_use]
    pub fn timed(self, latencies: Option<Arc<Latencies>>) -> Self {
        Self { latencies, ..self }.with_runner()
    }

    /// Makes the runner tell whom this job tells.
    fn with_runner(mut self) -> Self {
        self.runner = Runner::new(&self.workload, self.recorder.clone(), self.latencies.clone());
        self
    }

    /// Says that run `run` of a batch begins. No task may be under way.
    pub fn begin_run(&self, run: u32) {
        if let Some(latencies) = &self.latencies {
            latencies.begin_run(run);
        }
    }

    /// Says that `task` is handed over now: to be called right before it is.
    pub fn handed(&self, task: u32) {
        if let Some(recorder) = &self.recorder {
            recorder.handed(task);
        }
    }

    /// What runs the tasks wherever the strategy wants them to run. As cheap to clone as the workload.
    #[must_use]
    pub fn runner(&self) -> Runner {
        self.runner.clone()
    }

    /// What is told when a task is done, if anything is.
    pub(super) fn latencies(&self) -> Option<&Arc<Latencies>> {
        self.latencies.as_ref()
    }

    /// What is told about every task, if anything is.
    pub(super) fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }
}

/// Runs the tasks of a job, each exactly once, on whatever thread or runtime it is called.
///
/// One pointer, as the workload is: what travels with each task is no larger for those that may be told.
#[derive(Clone, Debug)]
pub struct Runner {
    shared: Arc<Shared>,
}

/// On cache lines of its own: the counter of owners, which every task changes twice, is not among them.
#[derive(Debug)]
#[repr(align(128))]
struct Shared {
    workload: Workload,
    recorder: Option<Arc<Recorder>>,
    latencies: Option<Arc<Latencies>>,
}

impl Runner {
    fn new(workload: &Workload, recorder: Option<Arc<Recorder>>, latencies: Option<Arc<Latencies>>) -> Self {
        Self { shared: Arc::new(Shared { workload: workload.clone(), recorder, latencies }) }
    }

    /// Runs a task in blocking style, see [`Workload::run_blocking`].
    ///
    /// # Errors
    /// As there.
    pub fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let Shared { workload, recorder, latencies } = &*self.shared;
        if recorder.is_none() && latencies.is_none() {
            return workload.run_blocking(task);
        }
        let _timed = self.timed(task);
        let _segment = recorder.as_ref().map(|recorder| recorder.segment(task));
        workload.run_blocking(task)
    }

    /// Runs a task in async style, see [`Workload::run_async`]. Cancel safety: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn run_async(self, task: u32) -> impl Future<Output = Result<u64, WorkloadError>> + Send {
        self.run_async_on::<Crossover>(task)
    }

    /// The same on the runtime `R`, see [`Workload::run_async_on`]. Cancel safety: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn run_async_on<R: AsyncRuntime>(self, task: u32) -> Result<u64, WorkloadError> {
        let _timed = self.timed(task);
        let workload = &self.shared.workload;
        match &self.shared.recorder {
            None => workload.run_async_on::<R>(task).await,
            // In a box, so that a measured future is no larger for it.
            Some(recorder) => recorder.polls(task, Box::pin(workload.run_async_on::<R>(task))).await,
        }
    }

    /// Runs a task in async style with its blocking and heavy parts on the blocking pool, see
    /// [`Workload::run_offloaded`]. Cancel safety: as there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub async fn run_offloaded(self, task: u32) -> Result<u64, WorkloadError> {
        let _timed = self.timed(task);
        match &self.shared.recorder {
            None => self.shared.workload.run_offloaded(task).await,
            Some(recorder) => {
                let on_thread = Arc::clone(recorder);
                let around = move || on_thread.segment(task);
                recorder.polls(task, Box::pin(self.shared.workload.run_offloaded_within(task, around))).await
            }
        }
    }

    /// The work that it runs.
    pub(super) fn workload(&self) -> &Workload {
        &self.shared.workload
    }

    /// A task begins here. It ends when what is returned is dropped: one that crashes is over as well.
    fn timed(&self, task: u32) -> Option<Timed<'_>> {
        self.shared.latencies.as_deref().map(|latencies| Timed { latencies, task, begun: latencies.begin() })
    }
}

/// A task under way, whose time is wanted.
struct Timed<'a> {
    latencies: &'a Latencies,
    task: u32,
    begun: u64,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.latencies.done(self.task, self.begun);
    }
}
