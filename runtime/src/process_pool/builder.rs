//! [`Builder`]: the options of a pool, checked before anything is started.

use super::{
    ProcessPool, Registry, Stdio,
    codec::{self, Encoded},
    job::{JobFn, Table},
    options::{Initializer, Options},
    worker,
};
use serde::Serialize;
use std::{any::TypeId, io, num::NonZeroU64, thread, time::Duration};

/// The most workers a pool may have.
const MOST_WORKERS: usize = 1024;

/// The smallest limit on frames: the pool's own messages must fit.
const LEAST_FRAME_BYTES: usize = 1024;

/// The smallest limit on a worker's memory: the program itself must fit.
const LEAST_MEMORY: u64 = 8 << 20;

/// Deaths before hello that open the breaker, and the window in which they must fall.
const BREAKER: (usize, Duration) = (5, Duration::from_secs(10));

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

    pub(super) fn check(self) -> io::Result<Options> {
        let workers = match self.workers {
            Some(workers) => workers,
            None => thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS),
        };
        if !(1..=MOST_WORKERS).contains(&workers) {
            return invalid(format!("workers = {workers}, but 1 to {MOST_WORKERS} are possible"));
        }
        if self.min_workers > workers {
            let least = self.min_workers;
            return invalid(format!(
                "min_workers = {least}, but workers = {workers} is the most there may be"
            ));
        }
        if self.startup_timeout.is_zero() {
            return invalid("startup_timeout = 0, so no worker could ever get ready".to_owned());
        }
        if self.idle_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return invalid(
                "idle_timeout = 0, so no worker would live to get a job (max_jobs_per_worker(1) gives each job a new one)"
                    .to_owned(),
            );
        }
        let max_jobs = self.max_jobs.map(NonZeroU64::new);
        if max_jobs == Some(None) {
            return invalid("max_jobs_per_worker = 0, but a worker runs at least 1".to_owned());
        }
        if let Some(bytes) = self.memory_limit.filter(|bytes| *bytes < LEAST_MEMORY) {
            return invalid(format!("memory_limit = {bytes}, but {LEAST_MEMORY} bytes is the least"));
        }
        let (breaker_deaths, breaker_window) = self.checked_breaker()?;
        let table = match Table::with(self.registry.as_ref()) {
            Ok(table) => table,
            Err(reason) => return invalid(format!("registry: {reason}")),
        };
        let max_frame_bytes = self.checked_frame_bytes()?;
        Ok(Options {
            workers,
            min_workers: self.min_workers,
            startup_timeout: self.startup_timeout,
            idle_timeout: self.idle_timeout,
            max_jobs: max_jobs.flatten(),
            memory_limit: self.memory_limit,
            initializer: self.initializer.map(|wish| wish.look_up(&table, max_frame_bytes)).transpose()?,
            stdout: self.stdout,
            stderr: self.stderr,
            max_frame_bytes,
            queue_limit: self.queue_limit,
            breaker_deaths,
            breaker_window,
            table,
        })
    }

    fn checked_breaker(&self) -> io::Result<(usize, Duration)> {
        match self.breaker {
            Some((0, _)) => invalid("breaker: deaths = 0, so it would be open from the start".to_owned()),
            Some((_, Duration::ZERO)) => invalid("breaker: window = 0, so it could never open".to_owned()),
            Some(limits) => Ok(limits),
            None => {
                let (deaths, window) = BREAKER;
                // Starts that all wedge must add up, too.
                let starts = self.startup_timeout.saturating_mul(deaths as u32 + 1);
                Ok((deaths, window.max(starts)))
            }
        }
    }

    fn checked_frame_bytes(&self) -> io::Result<u32> {
        let bytes = self.max_frame_bytes;
        match u32::try_from(bytes) {
            Ok(short) if bytes >= LEAST_FRAME_BYTES => Ok(short),
            _ => invalid(format!(
                "max_frame_bytes = {bytes}, but {LEAST_FRAME_BYTES} to {} are possible",
                u32::MAX
            )),
        }
    }
}

impl Wish {
    fn look_up(self, table: &Table, max_frame_bytes: u32) -> io::Result<Initializer> {
        let path = self.path;
        let Some((number, entry)) = table.find_type(self.function) else {
            return invalid(format!(
                "initializer: `{path}` is not a job: put `#[job]` on it, or name it in the registry"
            ));
        };
        match self.arguments {
            Ok(arguments) if arguments.total() <= max_frame_bytes as usize => {
                Ok(Initializer { number, name: entry.name(), arguments })
            }
            Ok(arguments) => invalid(format!(
                "initializer: the arguments of `{path}` take {} bytes, and max_frame_bytes = {max_frame_bytes}",
                arguments.total()
            )),
            Err(reason) => invalid(format!("initializer: cannot encode the arguments of `{path}`: {reason}")),
        }
    }
}

fn invalid<T>(text: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("process pool: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not encode.
    #[derive(serde::Deserialize)]
    struct Mute;

    impl Serialize for Mute {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("mute"))
        }
    }

    fn known_job(_: Mute) {}

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        fn stranger(_: u8) {}
        let twice = Registry::new().job("a", |x: u8| x).job("a", |x: u16| x);
        let known = Registry::new().job("known", known_job);
        for (builder, name) in [
            (Builder::default().workers(0), "workers = 0"),
            (Builder::default().workers(usize::MAX), "workers = "),
            (Builder::default().startup_timeout(Duration::ZERO), "startup_timeout"),
            (Builder::default().max_frame_bytes(0), "max_frame_bytes = 0"),
            (Builder::default().max_frame_bytes(usize::MAX), "max_frame_bytes"),
            (Builder::default().workers(2).min_workers(3), "min_workers = 3"),
            (Builder::default().idle_timeout(Duration::ZERO), "idle_timeout = 0"),
            (Builder::default().max_jobs_per_worker(0), "max_jobs_per_worker = 0"),
            (Builder::default().memory_limit(LEAST_MEMORY - 1), "memory_limit = "),
            (Builder::default().breaker(0, Duration::MAX), "deaths = 0"),
            (Builder::default().breaker(1, Duration::ZERO), "window = 0"),
            (Builder::default().initializer(stranger, (1,)), "stranger` is not a job"),
            (Builder::default().registry(twice), "two jobs are named `a`"),
            (Builder::default().registry(known.clone()).initializer(known_job, (Mute,)), "cannot encode"),
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
            Builder::default().workers(3).min_workers(3).idle_timeout(Duration::from_nanos(1)),
            Builder::default().max_jobs_per_worker(1).memory_limit(LEAST_MEMORY),
            Builder::default().breaker(1, Duration::from_nanos(1)),
        ] {
            builder.check().unwrap();
        }
    }

    #[test]
    fn the_initializer_is_found_wherever_the_registry_comes() {
        let triple = |x: u64| 3 * x;
        let registry = Registry::new().job("triple", triple);
        let options = Builder::default().initializer(triple, (300,)).registry(registry).check().unwrap();
        let initializer = options.initializer.unwrap();
        assert_eq!(initializer.name, "triple");
        assert_eq!(options.table.entry(initializer.number).unwrap().name(), "triple");
        assert_eq!(codec::decode::<(u64,)>(&initializer.arguments), Ok((300,)));
    }

    #[test]
    fn the_window_of_the_breaker_covers_slow_starts_unless_it_is_set() {
        let window = |builder: Builder| builder.check().unwrap().breaker_window;
        assert_eq!(window(Builder::default().startup_timeout(Duration::from_secs(1))), BREAKER.1);
        let slow = Builder::default().startup_timeout(Duration::from_secs(10));
        assert_eq!(window(slow.clone()), Duration::from_secs(60));
        assert_eq!(window(slow.breaker(2, Duration::from_secs(3))), Duration::from_secs(3));
    }
}
