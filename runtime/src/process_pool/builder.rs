//! [`Builder`]: the options of a pool. They are checked (`check.rs`) before anything is started.

mod check;

use super::{
    ProcessPool, Registry, Stdio,
    codec::{self, Encoded},
    job::JobFn,
    worker,
};
use serde::Serialize;
use std::{any::TypeId, io, time::Duration};

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
    min_workers: usize,
    startup_timeout: Duration,
    idle_timeout: Option<Duration>,
    max_jobs: Option<u64>,
    memory_limit: Option<u64>,
    initializer: Option<Wish>,
    stdout: Stdio,
    stderr: Stdio,
    max_frame_bytes: usize,
    queue_limit: usize,
    breaker: Option<(usize, Duration)>,
    registry: Option<Registry>,
}

/// An initializer that is not looked up yet: the registry may still come.
#[derive(Clone, Debug)]
struct Wish {
    function: TypeId,
    path: &'static str,
    arguments: Result<Encoded, String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            workers: None,
            min_workers: 0,
            startup_timeout: Duration::from_secs(5),
            idle_timeout: None,
            max_jobs: None,
            memory_limit: None,
            initializer: None,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            max_frame_bytes: 64 << 20,
            queue_limit: 1024,
            breaker: None,
            registry: None,
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

    /// So many workers are started at once and kept alive, even while they have nothing to do; at most
    /// [`workers`](Self::workers). Default: 0.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// // One worker stands by; up to eight come with the load, and go when it is over.
    /// let builder = crossover_runtime::process_pool::ProcessPool::builder().workers(8).min_workers(1);
    /// let pool = builder.idle_timeout(Duration::from_secs(30)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn min_workers(mut self, workers: usize) -> Self {
        self.min_workers = workers;
        self
    }

    /// A worker that had no job for so long leaves, down to [`min_workers`](Self::min_workers); more than zero. The
    /// next call that needs it starts a new one. Default: workers stay.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let builder = crossover_runtime::process_pool::ProcessPool::builder();
    /// let pool = builder.idle_timeout(Duration::from_secs(60)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// A worker that has run so many jobs leaves, and a new process takes its place: against what jobs leak. At least
    /// 1: then every job gets a process of its own. A chunk of [`map`](ProcessPool::map) counts as one job.
    /// Default: no limit.
    ///
    /// ```no_run
    /// let builder = crossover_runtime::process_pool::ProcessPool::builder();
    /// let pool = builder.max_jobs_per_worker(1000).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn max_jobs_per_worker(mut self, jobs: u64) -> Self {
        self.max_jobs = Some(jobs);
        self
    }

    /// How much memory one worker may use, in bytes; at least 8 MiB. A job that exceeds it fails with
    /// [`CallError::MemoryLimit`](super::CallError::MemoryLimit), and its worker is replaced; other jobs do not notice.
    /// A worker that is above the limit between two jobs is replaced without an error. Default: no limit but the
    /// system's.
    ///
    /// ```no_run
    /// let builder = crossover_runtime::process_pool::ProcessPool::builder();
    /// let pool = builder.memory_limit(512 << 20).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// A job that every worker runs once before its first other job, also one that replaces a dead one: to load a
    /// model, open a file, set up logging. What it leaves in statics is there for the jobs of that worker. Its result
    /// is discarded.
    ///
    /// `job` and `arguments` are as for [`call`](ProcessPool::call). The time it takes counts for
    /// [`startup_timeout`](Self::startup_timeout). When it panics, the worker ends before it is ready, which the
    /// pool treats like every failed start: calls fail with [`CallError::Spawn`](super::CallError::Spawn), whose
    /// text has the panic's message.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    /// use std::sync::OnceLock;
    ///
    /// static DICTIONARY: OnceLock<Vec<String>> = OnceLock::new();
    ///
    /// #[job]
    /// fn load(path: String) {
    ///     let text = std::fs::read_to_string(path).expect("a dictionary");
    ///     DICTIONARY.get_or_init(|| text.lines().map(str::to_owned).collect());
    /// }
    ///
    /// #[job]
    /// fn knows(word: String) -> bool {
    ///     DICTIONARY.get().is_some_and(|words| words.contains(&word))
    /// }
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = ProcessPool::builder().initializer(load, ("/usr/share/dict/words".into(),)).build()?;
    /// println!("{}", pool.call(knows, ("crossover".into(),)).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn initializer<F, Args>(mut self, job: F, arguments: Args) -> Self
    where
        F: JobFn<Args>,
        Args: Serialize,
    {
        // Only the type matters: it is the key to the table of jobs.
        let _ = job;
        self.initializer = Some(Wish {
            function: TypeId::of::<F>(),
            path: std::any::type_name::<F>(),
            arguments: codec::encode(&arguments),
        });
        self
    }

    /// Where the workers' stdout goes. Default: [`Stdio::Inherit`].
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, Stdio};
    ///
    /// let pool = ProcessPool::builder().stdout(Stdio::Null).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = stdout;
        self
    }

    /// Where the workers' stderr goes. Default: [`Stdio::Inherit`], passed on by the pool. The end of what a
    /// worker wrote is part of [`CallError::WorkerDied`](super::CallError::WorkerDied) in any case.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, Stdio};
    ///
    /// let pool = ProcessPool::builder().stderr(Stdio::lines(|pid, line| eprintln!("[{pid}] {line}"))).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.stderr = stderr;
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
    /// caller that submits without awaiting cannot fill the pool (await such calls together, by `join_all` for instance:
    /// one after the other they would also run so). Zero is allowed: then nothing waits
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

    /// When the pool gives up starting workers for a while: after so many `deaths` in a row before a worker was ready,
    /// all within `window`. Calls are then refused with
    /// [`Rejection::BreakerOpen`](super::Rejection::BreakerOpen), until after a pause one worker is tried again. At
    /// least 1, and more than zero. Default: 5 deaths in 10 s, longer where
    /// [`startup_timeout`](Self::startup_timeout) is.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::ProcessPool;
    /// use std::time::Duration;
    ///
    /// let pool = ProcessPool::builder().breaker(3, Duration::from_secs(60)).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn breaker(mut self, deaths: usize, window: Duration) -> Self {
        self.breaker = Some((deaths, window));
        self
    }

    /// More jobs than those with `#[job]`. The workers must get the same registry, through
    /// [`worker_entry_with`](super::worker_entry_with). See [`Registry`] for an example.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, Registry};
    ///
    /// let registry = Registry::new().job("double", |x: u64| 2 * x);
    /// let pool = ProcessPool::builder().registry(registry).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Starts the pool: its own thread, and [`min_workers`](Self::min_workers).
    ///
    /// In a process that itself was started as a worker, but whose `main` did not call
    /// [`worker_entry`](super::worker_entry), this prints that and exits with code 86: going on would start
    /// workers without end.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an option out of its range, a name that the registry uses
    /// twice, or an initializer that is no job; or the system refuses an eventfd or a thread.
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
}
