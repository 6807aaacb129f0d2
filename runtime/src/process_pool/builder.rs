//! [`Builder`]: the options of a pool, checked before anything is started.

use super::{ProcessPool, worker};
use std::{io, thread, time::Duration};

/// The most workers a pool may have.
const MOST_WORKERS: usize = 1024;

/// The smallest limit on frames: the pool's own messages must fit.
const LEAST_FRAME_BYTES: usize = 1024;

/// The checked options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) workers: usize,
    pub(super) startup_timeout: Duration,
    pub(super) max_frame_bytes: u32,
    pub(super) queue_limit: usize,
}

/// Sets up a [`ProcessPool`]. Made by [`ProcessPool::builder`].
///
/// ```no_run
/// use crossover_runtime::process_pool::ProcessPool;
///
/// let pool = ProcessPool::builder().workers(2).queue_limit(100).build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    workers: Option<usize>,
    startup_timeout: Duration,
    max_frame_bytes: usize,
    queue_limit: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            workers: None,
            startup_timeout: Duration::from_secs(5),
            max_frame_bytes: 64 << 20,
            queue_limit: 1024,
        }
    }
}

impl Builder {
    /// The most worker processes that live at a time, 1 to 1024. They are started as calls need them.
    /// Default: as many as the process may use cores.
    ///
    /// ```no_run
    /// let pool = crossover_runtime::process_pool::ProcessPool::builder().workers(2).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How long a worker may take from its start to its hello before it is killed; more than zero. Default: 5 s.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let pool = crossover_runtime::process_pool::ProcessPool::builder().startup_timeout(Duration::from_secs(30)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        self.startup_timeout = timeout;
        self
    }

    /// The longest encoded argument tuple or result, in bytes, 1024 to 2³² − 1. A longer one fails its own call with
    /// [`CallError::Codec`](super::CallError::Codec). Default: 64 MiB.
    ///
    /// ```no_run
    /// let pool = crossover_runtime::process_pool::ProcessPool::builder().max_frame_bytes(1 << 30).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    /// How many calls may wait for a worker. Beyond that, [`try_call`](ProcessPool::try_call) refuses, and
    /// [`call`](ProcessPool::call) keeps the job in its future and queues it only once that is awaited, so a
    /// caller that submits without awaiting cannot fill the pool. Zero is allowed: then nothing waits
    /// unawaited. Default: 1024.
    ///
    /// ```no_run
    /// let pool = crossover_runtime::process_pool::ProcessPool::builder().queue_limit(16).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn queue_limit(mut self, calls: usize) -> Self {
        self.queue_limit = calls;
        self
    }

    /// Starts the pool: its dispatcher thread, and no worker yet.
    ///
    /// In a process that itself was started as a worker, but whose `main` did not call
    /// [`worker_entry`](super::worker_entry), this prints that and exits with code 86: going on would start
    /// workers without end.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an option out of its range; or the system refuses an
    /// eventfd or a thread.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::process_pool::ProcessPool;
    ///
    /// let error = ProcessPool::builder().workers(0).build().map(drop).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// ```
    pub fn build(self) -> io::Result<ProcessPool> {
        worker::refuse_without_hook();
        ProcessPool::start(self.check()?)
    }

    fn check(&self) -> io::Result<Options> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let workers = match self.workers {
            Some(workers) => workers,
            None => thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS),
        };
        if !(1..=MOST_WORKERS).contains(&workers) {
            return invalid(format!(
                "process pool: workers = {workers}, but 1 to {MOST_WORKERS} are possible"
            ));
        }
        if self.startup_timeout.is_zero() {
            return invalid(
                "process pool: startup_timeout = 0, so no worker could ever get ready".to_owned(),
            );
        }
        let bytes = self.max_frame_bytes;
        match u32::try_from(bytes) {
            Ok(max_frame_bytes) if bytes >= LEAST_FRAME_BYTES => Ok(Options {
                workers,
                startup_timeout: self.startup_timeout,
                max_frame_bytes,
                queue_limit: self.queue_limit,
            }),
            _ => invalid(format!(
                "process pool: max_frame_bytes = {bytes}, but {LEAST_FRAME_BYTES} to {} are possible",
                u32::MAX
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        for (builder, name) in [
            (Builder::default().workers(0), "workers = 0"),
            (Builder::default().workers(usize::MAX), "workers = "),
            (Builder::default().startup_timeout(Duration::ZERO), "startup_timeout"),
            (Builder::default().max_frame_bytes(0), "max_frame_bytes = 0"),
            (Builder::default().max_frame_bytes(usize::MAX), "max_frame_bytes"),
        ] {
            let error = builder.check().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_ends_of_the_ranges_are_accepted() {
        for builder in [
            Builder::default().workers(1).queue_limit(0).max_frame_bytes(LEAST_FRAME_BYTES),
            Builder::default()
                .workers(MOST_WORKERS)
                .queue_limit(usize::MAX)
                .max_frame_bytes(u32::MAX as usize),
            Builder::default().startup_timeout(Duration::MAX),
        ] {
            builder.check().unwrap();
        }
    }
}
