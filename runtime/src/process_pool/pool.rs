//! [`ProcessPool`]: the handle. It owns the keeper's thread through its last clone.

use super::{
    Builder, Call, CallError, CloseReport, PoolMetrics,
    blob::CacheUse,
    call::RawCall,
    codec::{self, Encoded},
    error::CodecStage,
    frame::Kind,
    job::JobFn,
    keeper::{self, Shared},
    options::Options,
    state::{Request, State, Terms},
};
use serde::Serialize;
use std::{
    fmt,
    future::poll_fn,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    io, mem, process,
    sync::Arc,
    task::Poll,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long dropping the last handle waits for the killed workers to be reaped. It takes about a millisecond; only
/// a process stuck in the kernel takes longer, and then the keeper goes on waiting alone.
const DROP_LIMIT: Duration = Duration::from_secs(1);

/// How much shared memory is kept for the next large values, when none of it is in use.
const KEPT_BYTES: usize = 256 << 20;

/// A pool of worker processes that run `#[job]` functions.
///
/// Clones are handles to the same pool. Dropping the last one kills the workers, running jobs included, and reaps
/// them; calls that are still awaited then fail with [`CallError::Cancelled`] or
/// [`Rejected(Closed)`](super::Rejection::Closed). Use [`close`](Self::close) to finish the jobs first.
///
/// ```no_run
/// use crossover_runtime::process_pool::{ProcessPool, job};
///
/// #[job]
/// fn area(width: u32, height: u32) -> u64 {
///     u64::from(width) * u64::from(height)
/// }
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// let other = pool.clone(); // the same pool: it ends with its last clone
/// let (one, two) = futures::join!(pool.call(area, (3, 4)), other.call(area, (5, 6)));
/// assert_eq!((one?, two?), (12, 30));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProcessPool {
    owner: Arc<Owner>,
    /// The slot that all calls of this handle go to.
    slot: Option<usize>,
}

/// What the handles own together.
struct Owner {
    shared: Arc<Shared>,
    options: Arc<Options>,
    keeper: Option<JoinHandle<()>>,
    /// The one that started the workers. A child that it forks has the books and descriptors, but no keeper.
    process: u32,
    /// Shared memory that is let go of is kept for reuse as long as there is a pool.
    _cache: CacheUse,
}

impl ProcessPool {
    /// A pool with the default options: as many workers as the process may use cores, started as calls need
    /// them.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, worker_entry};
    ///
    /// fn main() -> std::io::Result<()> {
    ///     worker_entry(); // the first line
    ///     let pool = ProcessPool::new()?;
    ///     println!("{:?}", pool.metrics());
    ///     Ok(())
    /// }
    /// ```
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// The options, to change them first.
    ///
    /// ```no_run
    /// let pool = crossover_runtime::process_pool::ProcessPool::builder().workers(2).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn start(options: Options) -> io::Result<Self> {
        let options = Arc::new(options);
        let shared = Arc::new(Shared::new(State::new(Arc::clone(&options)))?);
        let (theirs, settings) = (Arc::clone(&shared), Arc::clone(&options));
        let keeper = thread::Builder::new()
            .name("crossover-procpool".into())
            .spawn(move || keeper::run(&theirs, &settings))?;
        let owner = Owner {
            shared,
            options,
            keeper: Some(keeper),
            process: process::id(),
            _cache: CacheUse::new(KEPT_BYTES),
        };
        Ok(Self { owner: Arc::new(owner), slot: None })
    }

    /// Runs `job` with `arguments` in a worker process: `pool.call(resize, (image, 640)).await`.
    ///
    /// `job` is a `#[job]` function, `arguments` the tuple of its arguments: `(a,)` for one, `()` for none. The arguments
    /// are encoded here and the job is submitted at once, unless the queue is full: then it is queued
    /// when the returned [`Call`] is first awaited.
    ///
    /// # Errors
    /// All come out of the future; see [`CallError`].
    ///
    /// # Cancel safety
    /// Dropping the future cancels a job that has not started; see [`Call::on_drop`].
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(pool.call(area, (3, 4)).await?, 12);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<F, Args>(&self, job: F, arguments: Args) -> Call<F::Output>
    where
        F: JobFn<Args>,
        Args: Serialize,
    {
        // Only the type matters: it is the key to the registry.
        let _ = job;
        let Some((number, entry)) = self.owner.options.table.find::<F>() else {
            let function = std::any::type_name::<F>();
            let error = CallError::UnknownJob { function };
            return Call::new(RawCall::failed(Arc::clone(&self.owner.shared), function, error));
        };
        Call::new(match codec::encode(&arguments) {
            Ok(message) => self.call_raw(number, entry.name(), Kind::Job, message, Terms::default()),
            Err(reason) => self.not_encoded(entry.name(), reason),
        })
    }

    fn not_encoded(&self, job: &'static str, reason: String) -> RawCall {
        let error = CallError::Codec { job, stage: CodecStage::EncodeArguments, reason };
        RawCall::failed(Arc::clone(&self.owner.shared), job, error)
    }

    /// Submits what is encoded already.
    pub(super) fn call_raw(
        &self,
        number: u16,
        name: &'static str,
        kind: Kind,
        message: Encoded,
        terms: Terms,
    ) -> RawCall {
        let (length, limit) = (message.total(), self.owner.options.max_frame_bytes);
        if length > limit as usize {
            let reason =
                format!("{length} bytes exceed the limit of {limit} bytes (Builder::max_frame_bytes)");
            return self.not_encoded(name, reason);
        }
        let request = Request { number, name, kind, message, slot: self.slot };
        RawCall::submit(Arc::clone(&self.owner.shared), request, terms)
    }

    pub(super) fn options(&self) -> &Options {
        &self.owner.options
    }

    /// As [`call`](Self::call), but a call that cannot be queued now is refused now.
    ///
    /// # Errors
    /// [`Rejected(Full)`](super::Rejection::Full) when the queue is full, and every other reason that is known
    /// without running the job.
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// match pool.try_call(area, (3, 4)) {
    ///     Ok(call) => println!("{}", call.await?),
    ///     Err(error) if error.is_full() => println!("come back later"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_call<F, Args>(&self, job: F, arguments: Args) -> Result<Call<F::Output>, CallError>
    where
        F: JobFn<Args>,
        Args: Serialize,
    {
        self.call(job, arguments).refused()
    }

    /// A handle to the same pool whose calls all go to one worker: the same one for equal keys. They run there in the
    /// order of submission, so what a job leaves in the worker's memory is found by the next with that key: an open
    /// file, a parsed document, a compiled query.
    ///
    /// It is a cache, not a home: a worker that dies or retires is replaced, and its successor starts empty. Different
    /// keys may share a worker, and such calls wait for their worker even while others are idle.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool, user: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// println!("{}", pool.affinity(user).call(area, (3, 4)).await?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "calls of the returned handle have the affinity, those of this one have not"]
    pub fn affinity<K: Hash + ?Sized>(&self, key: &K) -> Self {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let slots = self.owner.options.workers as u64;
        Self { owner: Arc::clone(&self.owner), slot: Some((hash % slots) as usize) }
    }

    /// Starts all workers and waits until they are ready, so that no later call pays for a start.
    ///
    /// # Errors
    /// [`CallError::Spawn`] when workers keep failing to start, `Rejected(Closed)` when the pool was closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the starts under way.
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool};
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// pool.warm_up().await?; // at the start of the program
    /// # Ok(())
    /// # }
    /// ```
    pub async fn warm_up(&self) -> Result<(), CallError> {
        poll_fn(|cx| {
            let mut waker = Some(cx.waker().clone());
            let ready = self.owner.shared.with(|state| state.poll_all_ready(&mut waker));
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Takes no more calls, lets the jobs taken so far finish, and ends the workers. Jobs that are not done after
    /// `deadline` are cut off. When this returns, every worker is reaped.
    ///
    /// Callable from any clone and more than once; the earliest deadline counts.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the shutdown.
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool};
    /// use std::time::Duration;
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let report = pool.close(Duration::from_secs(5)).await;
    /// assert_eq!(report.cancelled, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        let until = Instant::now().checked_add(deadline);
        self.owner.shared.with(|state| state.drain_until(until));
        poll_fn(|cx| {
            let mut waker = Some(cx.waker().clone());
            let report = self.owner.shared.with(|state| state.poll_finished(&mut waker));
            report.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The process ids of the workers that live now, ready or not.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool};
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// for pid in pool.worker_pids() {
    ///     println!("{pid}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker_pids(&self) -> Vec<u32> {
        self.owner.shared.with(|state| state.pids())
    }

    /// The counters, as of now.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool};
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// println!("{} jobs wait", pool.metrics().queued);
    /// # Ok(())
    /// # }
    /// ```
    pub fn metrics(&self) -> PoolMetrics {
        let mut metrics = self.owner.shared.with(|state| state.metrics());
        for worker in &mut metrics.per_worker {
            worker.rss_bytes = keeper::resident_bytes(worker.pid).unwrap_or(0);
        }
        metrics
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        if process::id() != self.process {
            // The workers are the parent's, the lock may be held for ever, and the thread is not there.
            mem::forget(keeper);
            return;
        }
        self.shared.with(State::kill_all);
        // A waker that the keeper runs may hold the last handle: the thread cannot wait for itself.
        if keeper.thread().id() != thread::current().id() && self.shared.wait_finished(DROP_LIMIT) {
            // It is past its last use of anything; it cannot panic any more.
            let _ = keeper.join();
        }
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool").field("metrics", &self.metrics()).finish()
    }
}
