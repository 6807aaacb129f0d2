//! A runtime and its end.
//!
//! [`Runtime`] owns what must be cleaned up: the workers' threads and, through its [`Handle`], the scheduler, the
//! blocking pool and the driver. Its shutdown has numbered phases, see `Runtime::end`.

use crate::error::discard_payload;
use crate::handle::{Inner, MustNotBlock};
use crate::sync::prim::{Condvar, Mutex, now, thread};
use crate::task::JoinHandle;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::builder::Builder;
pub use crate::error::{TryCurrentError, is_rt_shutdown_err};
pub use crate::handle::{EnterGuard, Handle, RuntimeId as Id};
pub use crate::metrics::RuntimeMetrics;
pub use crate::observe::stall::Stall;
pub use crate::observe::trace::{Recorder, Span, Trace};

/// An executor with its threads, its driver and its blocking pool.
///
/// ```
/// let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let sum = runtime.block_on(async {
///     let one = crossover_runtime::spawn(async { 1 });
///     let two = crossover_runtime::task::spawn_blocking(|| 2);
///     one.await.unwrap() + two.await.unwrap()
/// });
/// assert_eq!(sum, 3);
/// # std::io::Result::Ok(())
/// ```
///
/// # Dropping it
/// Dropping a runtime ends it: its tasks are dropped where they last waited, its threads joined, its sockets and timers
/// closed. It waits for tasks that are being polled until they reach an `.await`, and for blocking jobs that run
/// until they return, however long that takes; jobs still in the queue are cancelled, also one for which a thread has been
/// started that has not taken it yet (tokio runs that one). Use
/// [`shutdown_timeout`](Runtime::shutdown_timeout) to wait for a limited time, and
/// [`shutdown_background`](Runtime::shutdown_background) not to wait.
///
/// # Panics
/// Dropping it panics inside of an async context (a task, or `block_on`) and inside of its own blocking jobs: it would
/// have to wait for itself. The runtime then ends in the background.
#[must_use = "dropping a runtime shuts it down"]
pub struct Runtime {
    handle: Handle,
    workers: Option<Workers>,
    ended: bool,
}

/// How long the workers have to end in peace, before sockets and timers report the end.
const GRACE: Duration = Duration::from_millis(100);

/// The threads of the multi-thread flavour.
pub(crate) struct Workers {
    threads: Vec<thread::JoinHandle<()>>,
    presence: Arc<Presence>,
}

/// Counts threads that have not done all of their work: the workers' own, and deputies of the blocking pool.
pub(crate) struct Presence {
    present: Mutex<Here>,
    gone: Condvar,
}

struct Here {
    threads: usize,
    /// Waited for as well, but not counted here in the end: the pool does.
    deputies: usize,
}

impl Presence {
    pub(crate) fn new(threads: usize) -> Presence {
        Presence { present: Mutex::new(Here { threads, deputies: 0 }), gone: Condvar::new() }
    }

    /// For each thread: when the guard is dropped, it is one thread less. A guard, so that a thread that dies of
    /// a bug cannot make the runtime's end wait for ever.
    pub(crate) fn guard(self: &Arc<Self>) -> Present {
        Present { presence: Arc::clone(self), deputy: false }
    }

    /// For a thread of the pool that is to take over a worker's seat. Called by one that is present.
    pub(crate) fn deputy(self: &Arc<Self>) -> Present {
        self.present.lock().deputies += 1;
        Present { presence: Arc::clone(self), deputy: true }
    }

    /// Waits until all have left, or for `deadline`; returns who has not.
    fn wait(&self, deadline: Option<Instant>) -> Here {
        let mut present = self.present.lock();
        while present.threads + present.deputies > 0 {
            match deadline.map(|deadline| deadline.saturating_duration_since(now())) {
                None => present = self.gone.wait(present),
                Some(Duration::ZERO) => break,
                Some(limit) => (present, _) = self.gone.wait_timeout(present, limit),
            }
        }
        Here { threads: present.threads, deputies: present.deputies }
    }
}

/// A thread's mark of being there.
pub(crate) struct Present {
    presence: Arc<Presence>,
    deputy: bool,
}

impl Present {
    pub(crate) fn presence(&self) -> Arc<Presence> {
        Arc::clone(&self.presence)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut present = self.presence.present.lock();
        *(if self.deputy { &mut present.deputies } else { &mut present.threads }) -= 1;
        drop(present);
        self.presence.gone.notify_all();
    }
}

impl Workers {
    pub(crate) fn new(threads: Vec<thread::JoinHandle<()>>, presence: Arc<Presence>) -> Workers {
        Workers { threads, presence }
    }

    /// Waits for the threads; returns how many are still at it at the deadline. Those are left to themselves.
    /// If it takes longer than [`GRACE`], `release` is called to free what a worker may be waiting for.
    fn wait(self, deadline: Option<Instant>, release: impl FnOnce()) -> usize {
        let grace = now() + GRACE;
        let mut left = self.presence.wait(Some(deadline.map_or(grace, |deadline| deadline.min(grace))));
        if left.threads + left.deputies > 0 {
            release();
            left = self.presence.wait(deadline);
        }
        // Not with a deadline: a join waits for the destructors of thread-locals, too, which are foreign code, for ever.
        if left.threads == 0 && deadline.is_none() {
            for thread in self.threads {
                if let Err(payload) = thread.join() {
                    discard_payload(payload);
                }
            }
        }
        left.threads
    }
}

/// How long the end may take.
#[derive(Clone, Copy)]
enum Patience {
    Unlimited,
    Until(Instant),
    None,
}

impl Runtime {
    /// A multi-thread runtime with one worker per core.
    ///
    /// # Errors
    /// When the driver or a thread cannot be made.
    ///
    /// # Example
    /// ```
    /// let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().enable_all().build()
    }

    pub(crate) fn of(inner: Inner) -> Runtime {
        Runtime { handle: Handle { inner: Arc::new(inner) }, workers: None, ended: false }
    }

    pub(crate) fn set_workers(&mut self, workers: Workers) {
        self.workers = Some(workers);
    }

    /// The runtime's handle.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let handle = runtime.handle().clone(); // for other threads
    /// assert_eq!(handle.id(), runtime.handle().id());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `future` on this thread until it is ready, while the runtime runs its tasks: on its workers, or, for a
    /// current-thread runtime, on this thread. Of several threads that are in `block_on` of a current-thread runtime, one
    /// runs the tasks.
    ///
    /// # Panics
    /// Inside of an async context (a task, or another `block_on`), and when `future` panics.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_current_thread().build()?;
    /// let name = String::from("world");
    /// // The future may borrow, and need not be `Send`: it stays on this thread.
    /// let greeting = runtime.block_on(async { format!("hello {name}") });
    /// assert_eq!(greeting, "hello world");
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on_and_run(future)
    }

    /// Spawns a task on this runtime; see [`spawn`](crate::spawn).
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let task = runtime.spawn(async { 42 });
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a job on this runtime's blocking pool; see [`spawn_blocking`](crate::spawn_blocking).
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let job = runtime.spawn_blocking(|| (1..=10_u32).product::<u32>());
    /// assert_eq!(runtime.block_on(job).unwrap(), 3_628_800);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, job: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle.spawn_blocking(job)
    }

    /// Makes this runtime the thread's current one for as long as the guard lives.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let _guard = runtime.enter();
    /// drop(crossover_runtime::spawn(async { println!("hello") }));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// The runtime's counters.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }

    /// Ends the runtime, waiting for at most `limit`. Returns how many threads were still in a poll or a blocking job
    /// by then; they are left to themselves and end when that returns. The destructors of the threads' thread-locals are not
    /// waited for, only dropping the runtime does that.
    ///
    /// # Panics
    /// As dropping it does, unless `limit` is zero.
    ///
    /// # Example
    /// ```
    /// use std::{sync::mpsc, time::Duration};
    /// # let runtime = crossover_runtime::runtime::Runtime::new()?;
    /// let (started, has_started) = mpsc::channel();
    /// let (end, ending) = mpsc::channel::<()>();
    /// runtime.spawn_blocking(move || {
    ///     started.send(()).unwrap();
    ///     let _ = ending.recv(); // nothing can call it off
    /// });
    /// has_started.recv().unwrap();
    /// assert!(runtime.shutdown_timeout(Duration::from_millis(10)) >= 1);
    /// drop(end);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn shutdown_timeout(mut self, limit: Duration) -> usize {
        if limit.is_zero() {
            return self.end(Patience::None);
        }
        self.check_may_wait();
        // A limit beyond what the clock can express is none.
        self.end(now().checked_add(limit).map_or(Patience::Unlimited, Patience::Until))
    }

    /// Ends the runtime without waiting; may be called in an async context. Tasks end and blocking jobs that wait are
    /// cancelled as soon as its threads get to it; those of a current-thread runtime, in this call.
    ///
    /// ```
    /// # let outer = crossover_runtime::runtime::Runtime::new()?;
    /// outer.block_on(async {
    ///     let inner = crossover_runtime::runtime::Runtime::new()?;
    ///     inner.shutdown_background(); // dropping it in here would panic
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown_background(mut self) {
        self.end(Patience::None);
    }

    /// Panics, with the runtime ending in the background, where waiting for the end would be a deadlock.
    #[track_caller]
    fn check_may_wait(&mut self) {
        let in_async_context = MustNotBlock::applies();
        let inner = &self.handle.inner;
        if !in_async_context && !inner.blocking.is_own_thread() && !inner.scheduler.has_worker_here() {
            return;
        }
        self.end(Patience::None);
        if thread::panicking() {
            return;
        }
        // Two texts without parts to fill in: whoever catches the panic finds a `&'static str`.
        if in_async_context {
            panic!(
                "Cannot drop a runtime in a context where blocking is not allowed: this one was dropped inside of an async \
                 context (a task, or `block_on`), and would have to wait for itself. Drop it elsewhere, or call \
                 `shutdown_background`."
            );
        }
        panic!(
            "Cannot drop a runtime in a context where blocking is not allowed: this one was dropped inside of one of its own \
             blocking jobs, or in `block_in_place` of one of its tasks, and would have to wait for itself. Drop it elsewhere, or call `shutdown_background`."
        );
    }

    /// The phases of the end. Returns how many threads are still at work.
    fn end(&mut self, patience: Patience) -> usize {
        if std::mem::replace(&mut self.ended, true) {
            return 0;
        }
        let deadline = match patience {
            Patience::Unlimited => None,
            Patience::Until(deadline) => Some(deadline),
            Patience::None => Some(now()),
        };
        let inner = &self.handle.inner;
        // What is dropped here may ask for its runtime.
        let link = self.handle.enter();
        // 1. The scheduler refuses, and each live task is asked to end; from now on none is polled any more. A
        //    current-thread runtime drops its tasks and its driver here, on this thread.
        inner.scheduler.shut_down();
        // 2. The blocking pool refuses: new jobs, and those in its queue. Not earlier, or tasks that await such a job
        //    would go on with its error.
        inner.blocking.close();
        // 3. The workers drop the tasks and leave; the last one drops the driver. One may be stuck in a task that
        //    waits for another thread, and that for a socket or timer, which nobody serves any more: phase 4 then
        //    comes before the end of this one.
        let release = || inner.driver.shutdown();
        let workers = self.workers.take().map_or(0, |workers| workers.wait(deadline, release));
        // 4. Sockets and timers report the end, so that whoever waits for one in a blocking job, or on a thread of
        //    its own, returns. After phase 3 the driver has done so itself, unless a worker is stuck.
        inner.driver.shutdown();
        // 5. The blocking jobs that run return.
        let jobs = inner.blocking.wait(deadline);
        drop(link);
        workers + jobs
    }
}

impl Drop for Runtime {
    #[track_caller]
    fn drop(&mut self) {
        if !self.ended {
            self.check_may_wait();
            self.end(Patience::Unlimited);
        }
    }
}

// As for `Handle`.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("handle", &self.handle).finish_non_exhaustive()
    }
}
