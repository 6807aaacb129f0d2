//! Counters of a runtime: always on, one cache line per worker, each written by one thread only.
//!
//! A counter has one writer, its worker, so it is bumped with a plain load and store (Relaxed) instead of a
//! read-modify-write; readers see a value that was true a moment ago. Nothing is ordered by them.

use crate::handle::Handle;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct WorkerMetrics {
    pub(crate) spawned: Counter,
    pub(crate) completed: Counter,
    pub(crate) cancelled: Counter,
    /// Tasks that were woken on this worker, in a poll or by the driver.
    pub(crate) woken: Counter,
    pub(crate) polls: Counter,
    pub(crate) parks: Counter,
    pub(crate) unparks: Counter,
    pub(crate) turns: Counter,
    pub(crate) steals: Counter,
    pub(crate) busy_ns: Counter,
}

/// Sums over the tasks of a runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) live: usize,
    pub(crate) spawned: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
}

impl Counts {
    /// `injected`: tasks spawned elsewhere than on the workers.
    pub(crate) fn of<'a>(workers: impl Iterator<Item = &'a WorkerMetrics>, injected: u64) -> Counts {
        let mut sum = Counts { spawned: injected, ..Counts::default() };
        for worker in workers {
            sum.completed += worker.completed.get();
            sum.cancelled += worker.cancelled.get();
            sum.spawned += worker.spawned.get();
        }
        // Read one after the other while workers count on: a task may be seen to end that was not seen to begin.
        let live = sum.spawned.saturating_sub(sum.completed + sum.cancelled);
        sum.live = usize::try_from(live).unwrap_or(usize::MAX);
        sum
    }
}

/// A counter with a single writer.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// For a counter with several writers, all of which use this.
    pub(crate) fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Only the one writer may call this.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A runtime's counters, read live; made by [`Handle::metrics`].
///
/// Each number was true a moment ago; numbers read one after the other need not fit together. `{:?}` prints them
/// all, for dumps.
///
/// ```
/// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
///
/// let metrics = runtime.metrics();
/// runtime.block_on(runtime.spawn(async {})).unwrap();
/// let polls: u64 = (0..metrics.num_workers()).map(|worker| metrics.worker_poll_count(worker)).sum();
/// println!("{polls} polls; {metrics:?}");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct RuntimeMetrics {
    handle: Handle,
}

impl RuntimeMetrics {
    pub(crate) fn new(handle: Handle) -> RuntimeMetrics {
        RuntimeMetrics { handle }
    }

    fn worker(&self, worker: usize) -> &WorkerMetrics {
        match self.handle.inner.scheduler.worker_metrics(worker) {
            Some(metrics) => metrics,
            None => panic!("there is no worker {worker}: the runtime has {}", self.num_workers()),
        }
    }

    /// How many workers run tasks; 1 for a current-thread runtime.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().num_workers(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn num_workers(&self) -> usize {
        self.handle.inner.scheduler.workers()
    }

    /// Tasks that have been spawned and have not ended.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let task = runtime.spawn(std::future::pending::<()>());
    /// assert_eq!(runtime.metrics().num_alive_tasks(), 1);
    /// # drop(task);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn num_alive_tasks(&self) -> usize {
        self.handle.inner.scheduler.counts().live
    }

    /// Tasks spawned so far, without those that were refused.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// drop(runtime.spawn(async {}));
    /// assert_eq!(runtime.metrics().spawned_tasks_count(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawned_tasks_count(&self) -> u64 {
        self.handle.inner.scheduler.counts().spawned
    }

    /// Tasks that ended by themselves, with an output or a panic.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// drop(runtime.spawn(async {}));
    /// assert!(runtime.metrics().completed_tasks_count() <= 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn completed_tasks_count(&self) -> u64 {
        self.handle.inner.scheduler.counts().completed
    }

    /// Tasks that were aborted, or ended by shutdown.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let task = runtime.spawn(std::future::pending::<()>());
    /// task.abort();
    /// assert!(runtime.block_on(task).is_err());
    /// println!("{} cancelled", runtime.metrics().cancelled_tasks_count());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn cancelled_tasks_count(&self) -> u64 {
        self.handle.inner.scheduler.counts().cancelled
    }

    /// How often a task was queued by a thread that is no worker, because it was spawned or woken there.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// drop(runtime.spawn(async {})); // this thread is no worker
    /// assert!(runtime.metrics().remote_schedule_count() >= 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn remote_schedule_count(&self) -> u64 {
        self.handle.inner.scheduler.injected()
    }

    /// How often a worker queued a task, because it was spawned or woken there; a task that yields is not counted.
    ///
    /// # Panics
    /// When there is no such worker, as for all counters of a worker.
    ///
    /// # Example
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{}", runtime.metrics().worker_local_schedule_count(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_local_schedule_count(&self, worker: usize) -> u64 {
        let worker = self.worker(worker);
        worker.spawned.get() + worker.woken.get()
    }

    /// How often a waiting task was woken on a worker, by another task or by the driver.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{}", runtime.metrics().worker_wake_count(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_wake_count(&self, worker: usize) -> u64 {
        self.worker(worker).woken.get()
    }

    /// Woken tasks in the queue shared by all workers.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{} tasks wait for any worker", runtime.metrics().global_queue_depth());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn global_queue_depth(&self) -> usize {
        self.handle.inner.scheduler.injector_len()
    }

    /// Woken tasks in a worker's own queue; zero for a worker that does not exist (tokio panics).
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().worker_local_queue_depth(100), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.handle.inner.scheduler.local_len(worker)
    }

    /// How often a worker polled a task.
    ///
    /// # Panics
    /// When there is no such worker, as for all counters of a worker.
    ///
    /// # Example
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{}", runtime.metrics().worker_poll_count(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_poll_count(&self, worker: usize) -> u64 {
        self.worker(worker).polls.get()
    }

    /// How often a worker parked.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{}", runtime.metrics().worker_park_count(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.worker(worker).parks.get()
    }

    /// How often a worker parked or came back from it: odd while it is parked.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let parked = runtime.metrics().worker_park_unpark_count(0) % 2 == 1;
    /// println!("worker 0 is parked: {parked}");
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_park_unpark_count(&self, worker: usize) -> u64 {
        let worker = self.worker(worker);
        worker.parks.get() + worker.unparks.get()
    }

    /// How often a worker stole from another.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{}", runtime.metrics().worker_steal_count(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_steal_count(&self, worker: usize) -> u64 {
        self.worker(worker).steals.get()
    }

    /// How often a worker turned the driver, parked or busy.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{}", runtime.metrics().worker_turn_count(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_turn_count(&self, worker: usize) -> u64 {
        self.worker(worker).turns.get()
    }

    /// How long a worker was not parked, counted up to its last park or its end; in a current-thread runtime, up to the
    /// end of the last `block_on`. Time before a thread handed the worker to another one, in
    /// [`block_in_place`](crate::task::block_in_place), is lost from its last park on.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// println!("{:?}", runtime.metrics().worker_total_busy_duration(0));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.worker(worker).busy_ns.get())
    }

    /// How many polls of a worker were longer than the threshold of the stall detector; zero unless it was
    /// [chosen](crate::runtime::Builder::detect_stalls). A poll that goes on is not counted yet.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().worker_long_poll_count(0), 0); // no detector was chosen
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn worker_long_poll_count(&self, worker: usize) -> u64 {
        let _ = self.worker(worker);
        self.handle.inner.scheduler.observers().long_polls(worker)
    }

    /// Threads of the blocking pool.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
    /// assert_eq!(runtime.metrics().num_blocking_threads(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn num_blocking_threads(&self) -> usize {
        self.handle.inner.blocking.counts().threads
    }

    /// Threads of the blocking pool without a job.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().num_idle_blocking_threads(), 0); // none was started
    /// # std::io::Result::Ok(())
    /// ```
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.handle.inner.blocking.counts().idle
    }

    /// Blocking jobs that wait for a thread.
    ///
    /// ```
    /// # let runtime = crossover_runtime::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().blocking_queue_depth(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn blocking_queue_depth(&self) -> usize {
        self.handle.inner.blocking.counts().queued
    }
}

impl fmt::Debug for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.handle.inner;
        let (searching, sleeping) = inner.scheduler.idle_counts();
        let mut out = f.debug_struct("RuntimeMetrics");
        out.field("tasks", &inner.scheduler.counts())
            .field("injector", &inner.scheduler.injector_len())
            .field("searching", &searching)
            .field("sleeping", &sleeping)
            .field("blocking", &inner.blocking.counts());
        for worker in 0..self.num_workers() {
            out.field("local_queue", &inner.scheduler.local_len(worker)).field("worker", self.worker(worker));
        }
        out.finish()
    }
}
