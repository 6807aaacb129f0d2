//! The way to a runtime from anywhere: [`Handle`], and the functions that spawn on the current one. What makes a runtime the
//! current one of a thread is in `context.rs`.

mod context;

use crate::blocking;
use crate::driver;
use crate::error::TryCurrentError;
use crate::observe::trace::Recorder;
use crate::runtime::RuntimeMetrics;
use crate::scheduler::{self, Scheduler};
use crate::task::JoinHandle;
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use context::EnterGuard;
pub(crate) use context::{Link, MayBlock, MustNotBlock};

/// Larger futures get an allocation of their own.
const FUTURE_IN_CELL_MAX: usize = 16 << 10;

/// A runtime's handle: spawns on it, enters it, waits on it. Cheap to clone, and free to outlive its runtime:
/// what is spawned after the runtime's end is cancelled at once.
///
/// ```
/// use crossover_runtime::runtime::Runtime;
/// use std::thread;
///
/// let runtime = Runtime::new()?;
/// let handle = runtime.handle().clone();
/// let elsewhere = thread::spawn(move || handle.spawn(async { 42 }));
/// let task = elsewhere.join().unwrap();
/// assert_eq!(runtime.block_on(task).unwrap(), 42);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Arc<Inner>,
}

/// What a runtime consists of, but for its threads.
pub(crate) struct Inner {
    pub(crate) id: RuntimeId,
    pub(crate) name: Option<String>,
    pub(crate) scheduler: Scheduler,
    pub(crate) blocking: Arc<blocking::Pool>,
    pub(crate) driver: driver::Handle,
}

/// A runtime's identity: unique within the process.
///
/// ```
/// use crossover_runtime::runtime::Runtime;
///
/// let (one, two) = (Runtime::new()?, Runtime::new()?);
/// assert_ne!(one.handle().id(), two.handle().id());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuntimeId(NonZeroU64);

impl RuntimeId {
    pub(crate) fn next() -> RuntimeId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness counts.
        RuntimeId(NonZeroU64::MIN.saturating_add(NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

impl fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Handle {
    /// The current runtime's handle.
    ///
    /// # Panics
    /// Outside of any runtime; see [`try_current`](Handle::try_current).
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::runtime::Handle;
    ///
    /// let handle = Handle::current();
    /// std::thread::spawn(move || handle.spawn(async { println!("from a thread without a runtime") }));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// The current runtime's handle, or an error outside of any runtime.
    ///
    /// ```
    /// use crossover_runtime::runtime::Handle;
    ///
    /// assert!(Handle::try_current().unwrap_err().is_missing_context());
    /// ```
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        Handle::with_current(Handle::clone)
    }

    /// Makes this runtime the thread's current one for as long as the guard lives.
    ///
    /// Do not hold the guard across an `.await`: the task may go on elsewhere.
    ///
    /// ```
    /// use crossover_runtime::{runtime::Runtime, spawn};
    ///
    /// let runtime = Runtime::new()?;
    /// let guard = runtime.handle().enter();
    /// let task = spawn(async { "without block_on" }); // outside of a runtime it would panic
    /// drop(guard);
    /// assert_eq!(runtime.block_on(task).unwrap(), "without block_on");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(self)
    }

    /// Spawns a task on this runtime; see [`spawn`].
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let task = runtime.handle().spawn(async { 6 * 7 });
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if size_of::<F>() > FUTURE_IN_CELL_MAX {
            // Moved once, and not through every frame from here to its cell.
            return self.inner.scheduler.spawn(Box::pin(future), Location::caller()).admitted();
        }
        self.inner.scheduler.spawn(future, Location::caller()).admitted()
    }

    /// Runs a job on this runtime's blocking pool; see [`spawn_blocking`].
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let job = runtime.handle().spawn_blocking(|| std::fs::read_to_string("/no/such/file"));
    /// assert!(runtime.block_on(job).unwrap().is_err());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, job: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let handle = self.clone();
        self.inner.blocking.spawn(job, Location::caller(), false, move || Link::enter(handle))
    }

    /// Waits on this thread until `future` is ready, with this runtime as the current one.
    ///
    /// It polls `future` only: on a current-thread runtime nobody runs tasks, I/O and timers unless a thread is in
    /// [`Runtime::block_on`](crate::runtime::Runtime::block_on).
    ///
    /// # Panics
    /// Inside of an async context (a task, or another `block_on`), and when `future` panics.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::{runtime::Runtime, spawn};
    ///
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let thread = std::thread::spawn(move || handle.block_on(async { spawn(async { 1 }).await.unwrap() + 1 }));
    /// assert_eq!(thread.join().unwrap(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _blocking = MustNotBlock::enter(MayBlock::InPlace);
        let _link = Link::enter(self.clone());
        scheduler::wait_for(future)
    }

    /// Runs tasks on this thread if the flavour does so, until `future` is ready.
    #[track_caller]
    pub(crate) fn block_on_and_run<F: Future>(&self, future: F) -> F::Output {
        let in_place = match &self.inner.scheduler {
            Scheduler::CurrentThread(_) => MayBlock::No,
            Scheduler::MultiThread(_) => MayBlock::InPlace,
        };
        let _blocking = MustNotBlock::enter(in_place);
        let _link = Link::enter(self.clone());
        match &self.inner.scheduler {
            Scheduler::CurrentThread(shared) => shared.block_on(future, Location::caller()),
            Scheduler::MultiThread(_) => scheduler::wait_for(future),
        }
    }

    /// The runtime's id.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// println!("runtime {}", runtime.handle().id());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn id(&self) -> RuntimeId {
        self.inner.id
    }

    /// The runtime's name, if it was given one.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread().name("requests").build()?;
    /// assert_eq!(runtime.handle().name(), Some("requests"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// The runtime's counters.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// println!("{:?}", runtime.handle().metrics());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::new(self.clone())
    }

    /// Begins to record which worker polls which task when; at most one at a time. See [`Recorder`].
    ///
    /// There is room for 262,144 polls and sleeps of each worker; what comes later is [lost](crate::runtime::Trace::lost).
    ///
    /// # Errors
    /// `AlreadyExists` while another recorder of this runtime lives.
    ///
    /// # Example
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let recorder = runtime.handle().record()?;
    /// runtime.block_on(runtime.spawn(async {})).unwrap();
    /// println!("{:?}", recorder.stop());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn record(&self) -> io::Result<Recorder> {
        Recorder::start(self.clone(), None)
    }

    /// As [`record`](Handle::record), with room for `spans` polls and sleeps of each worker, of 48 bytes each.
    ///
    /// # Errors
    /// As for `record`.
    ///
    /// # Example
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let recorder = runtime.handle().record_at_most(0)?; // only to show what is lost
    /// for _ in 0..10 {
    ///     runtime.block_on(runtime.spawn(async {})).unwrap();
    /// }
    /// assert!(recorder.stop().lost() > 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn record_at_most(&self, spans: usize) -> io::Result<Recorder> {
        Recorder::start(self.clone(), Some(spans))
    }

    /// The driver with which sockets and timers register.
    pub(crate) fn driver(&self) -> &driver::Handle {
        &self.inner.driver
    }
}

// All state behind a handle is changed under locks that no foreign code runs under, or atomically.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.inner.id)
            .field("name", &self.inner.name)
            .field("scheduler", &self.inner.scheduler)
            .finish_non_exhaustive()
    }
}

/// Spawns a task on the current runtime: `future` starts to run at once, whether or not the handle is awaited.
///
/// A panic of the task reaches the handle. Once the runtime is shutting down, the task is cancelled at once.
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::spawn;
///
/// let task = spawn(async { "it runs already" });
/// assert_eq!(task.await.unwrap(), "it runs already");
///
/// let failed = spawn(async { panic!("oh") });
/// assert!(failed.await.unwrap_err().is_panic());
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[inline]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    if size_of::<F>() > FUTURE_IN_CELL_MAX {
        let future = Box::pin(future);
        spawn_on_current(future)
    } else {
        spawn_on_current(future)
    }
}

#[track_caller]
#[inline]
fn spawn_on_current<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let location = Location::caller();
    match Handle::with_current(|handle| handle.inner.scheduler.spawn(future, location)) {
        Ok(spawned) => spawned.admitted(),
        Err(error) => panic!("{error}"),
    }
}

/// Runs a job that blocks, or computes for long, on a thread of the current runtime's blocking pool.
///
/// A job cannot be aborted once it runs; dropping the runtime waits for it, see
/// [`Runtime::shutdown_timeout`](crate::runtime::Runtime::shutdown_timeout). If the pool is at its limit of threads the
/// job waits in a queue. If no thread can be started and none is there, the handle yields an error.
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::spawn_blocking;
/// use std::{thread, time::Duration};
///
/// let job = spawn_blocking(|| {
///     thread::sleep(Duration::from_millis(1)); // in a task this would hold up its worker
///     "done"
/// });
/// assert_eq!(job.await.unwrap(), "done");
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(job: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Handle::current().spawn_blocking(job)
}
