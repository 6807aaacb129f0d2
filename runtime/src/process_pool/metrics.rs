//! What a pool tells about itself: counters, its workers one by one, and what a shutdown came to.

use std::time::Duration;

/// A look at a pool's counters. They are read together, under the pool's lock.
///
/// ```no_run
/// use crossover_runtime::process_pool::ProcessPool;
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = pool.metrics();
/// println!("{} jobs run on {} workers, {} wait", metrics.running, metrics.workers, metrics.queued);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Workers that are ready for jobs or run one.
    pub workers: usize,
    /// Workers that run a job now, or are about to start one that was handed to them.
    pub running: usize,
    /// Jobs that no worker has started: in the pool's queue, or handed to a worker behind another job.
    pub queued: usize,
    /// Jobs ever taken into the queue.
    pub submitted: u64,
    /// Jobs that ended with a result.
    pub completed: u64,
    /// Jobs that ended with an error.
    pub failed: u64,
    /// Worker processes ever started.
    pub spawned: u64,
    /// Worker processes that have ended, for whatever reason.
    pub deaths: u64,
    /// The workers that live now and are ready, one by one.
    pub per_worker: Vec<WorkerMetrics>,
}

/// One worker of a pool. Part of [`PoolMetrics`].
///
/// ```no_run
/// use crossover_runtime::process_pool::ProcessPool;
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// for worker in &pool.metrics().per_worker {
///     let share = worker.busy.as_secs_f64() / worker.age.as_secs_f64();
///     println!("worker {}: {} jobs, {:.0} % busy, {} bytes", worker.pid, worker.jobs, 100.0 * share, worker.rss_bytes);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Its process id.
    pub pid: u32,
    /// Jobs that it has answered, well or badly.
    pub jobs: u64,
    /// The time that these jobs took, together.
    pub busy: Duration,
    /// Jobs that are handed to it and not answered: one runs, the others wait behind it.
    pub in_flight: usize,
    /// Its resident memory when last looked at, in bytes; zero before that.
    pub rss_bytes: u64,
    /// How long ago it was started.
    pub age: Duration,
}

/// What a shutdown came to.
///
/// ```no_run
/// use crossover_runtime::process_pool::ProcessPool;
/// use std::time::Duration;
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// let report = pool.close(Duration::from_secs(5)).await;
/// println!("{} jobs finished, {} were cut off", report.finished, report.cancelled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Jobs that gave a result between the call of `close` and the end.
    pub finished: u64,
    /// Jobs that were cut off: queued ones that never ran, and running ones that were killed.
    pub cancelled: u64,
}
