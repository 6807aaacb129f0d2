//! [`Call`]: a submitted job as its caller holds it. [`RawCall`] is the same before the result is decoded.

use super::{
    CallError, Rejection,
    codec::{self, Encoded},
    error::CodecStage,
    keeper::Shared,
    state::{JobRef, Refusal, Request, Terms},
};
use crate::handle::Handle;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// What happens to a running job whose [`Call`] is dropped. A job that has not started never runs then.
///
/// ```no_run
/// use crossover_runtime::process_pool::{OnDrop, ProcessPool, job};
///
/// #[job]
/// fn area(width: u32, height: u32) -> u64 {
///     u64::from(width) * u64::from(height)
/// }
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// let call = pool.call(area, (3, 4)).on_drop(OnDrop::Kill);
/// drop(call); // its worker is killed, if it runs already
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDrop {
    /// It runs to its end, and its result is discarded, as with `spawn_blocking`.
    #[default]
    Detach,
    /// Its worker is killed at once and replaced. What the job had half done stays half done.
    Kill,
}

/// What happens to a job whose worker dies while it runs it. (A job that had not started is always given to another
/// worker.)
///
/// ```no_run
/// use crossover_runtime::process_pool::{ProcessPool, Retry, job};
///
/// #[job]
/// fn area(width: u32, height: u32) -> u64 {
///     u64::from(width) * u64::from(height)
/// }
///
/// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
/// let area = pool.call(area, (3, 4)).retry(Retry::OnDeath).await?; // it may run twice
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The call fails with [`CallError::WorkerDied`]: the job may have had effects already.
    #[default]
    Never,
    /// The job is run once more, from its start. If that kills a worker too, the call fails; it is never tried a
    /// third time. Panics, timeouts and memory limits are not retried.
    OnDeath,
}

/// A call of a job: a future of its result. Made by [`ProcessPool::call`](super::ProcessPool::call).
///
/// The job is submitted by `call`, not by the first poll, so several calls run at the same time without
/// `join!`. It can be awaited on any executor, and sent between threads.
///
/// # Cancel safety
/// Dropping it cancels a job that has not started; a running one is treated as [`on_drop`](Self::on_drop)
/// says.
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
/// let calls: Vec<_> = (1..5).map(|n| pool.call(area, (n, n))).collect(); // all are submitted
/// for call in calls {
///     println!("{}", call.await?);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a call cancels it: `.await` it"]
pub struct Call<R> {
    raw: RawCall,
    result: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    pub(super) fn new(raw: RawCall) -> Self {
        Self { raw, result: PhantomData }
    }

    /// The reason it will never run, if that is known already.
    pub(super) fn refused(self) -> Result<Self, CallError> {
        Ok(Self::new(self.raw.refused()?))
    }

    /// Kills the worker when the job runs longer than `limit`: the call then fails with
    /// [`CallError::Timeout`]. The clock starts when the worker starts the job; waiting in the queue does not count.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    /// use std::time::Duration;
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let result = pool.call(area, (3, 4)).timeout(Duration::from_secs(1)).await;
    /// assert!(!result.is_err_and(|error| error.is_timeout()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.raw.set_terms(|terms| terms.timeout = Some(limit));
        self
    }

    /// Gives up when no worker has started the job within `patience` from now: the call then fails with
    /// [`CallError::Timeout`], and the job never runs.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, job};
    /// use std::time::Duration;
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// match pool.call(area, (3, 4)).queue_timeout(Duration::from_millis(50)).await {
    ///     Err(error) if error.is_timeout() => println!("the pool is too busy"),
    ///     other => println!("{}", other?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_timeout(mut self, patience: Duration) -> Self {
        self.raw.set_terms(|terms| terms.queue_timeout = Some(patience));
        self
    }

    /// What the death of its worker does to the job. [`Retry::Never`] unless set.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{ProcessPool, Retry, job};
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// println!("{}", pool.call(area, (3, 4)).retry(Retry::OnDeath).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, retry: Retry) -> Self {
        self.raw.set_terms(|terms| terms.retry = retry);
        self
    }

    /// What dropping this call does to the job once it runs. [`OnDrop::Detach`] unless set.
    ///
    /// ```no_run
    /// use crossover_runtime::process_pool::{OnDrop, ProcessPool, job};
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # async fn example(pool: ProcessPool) -> Result<(), Box<dyn std::error::Error>> {
    /// println!("{}", pool.call(area, (3, 4)).on_drop(OnDrop::Kill).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.raw.set_terms(|terms| terms.on_drop = on_drop);
        self
    }
}

impl<R: DeserializeOwned> Future for Call<R> {
    type Output = Result<R, CallError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let job = self.raw.job;
        let answer = std::task::ready!(Pin::new(&mut self.raw).poll(cx))?;
        Poll::Ready(codec::decode(&answer).map_err(|reason| CallError::Codec {
            job,
            stage: CodecStage::DecodeResult,
            reason,
        }))
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("job", &self.raw.job).finish_non_exhaustive()
    }
}

/// A call whose result is still encoded.
#[derive(Debug)]
pub(super) struct RawCall {
    shared: Arc<Shared>,
    job: &'static str,
    stage: Stage,
    terms: Terms,
}

#[derive(Debug)]
enum Stage {
    /// It will never run.
    Failed(CallError),
    /// The queue was full: the request waits here until somebody awaits the call.
    HeldBack(Box<Request>),
    Submitted(JobRef),
    /// The result was handed out.
    Over,
}

impl RawCall {
    pub(super) fn failed(shared: Arc<Shared>, job: &'static str, error: CallError) -> Self {
        Self { shared, job, stage: Stage::Failed(error), terms: Terms::default() }
    }

    pub(super) fn submit(shared: Arc<Shared>, request: Request, terms: Terms) -> Self {
        let job = request.name;
        let stage = match shared.with(|state| state.submit(request, terms, false)) {
            Ok(job) => Stage::Submitted(job),
            Err(Refusal::Full(request)) => Stage::HeldBack(request),
            Err(Refusal::For(error)) => Stage::Failed(error),
        };
        Self { shared, job, stage, terms }
    }

    /// The reason it will never run, if that is known already; `HeldBack` counts as a full queue.
    fn refused(mut self) -> Result<Self, CallError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Failed(error) => Err(error),
            Stage::HeldBack(_) => Err(CallError::Rejected(Rejection::Full)),
            stage => {
                self.stage = stage;
                Ok(self)
            }
        }
    }

    pub(super) fn set_terms(&mut self, change: impl FnOnce(&mut Terms)) {
        change(&mut self.terms);
        if let Stage::Submitted(job) = self.stage {
            let terms = self.terms;
            self.shared.with(|state| state.set_terms(job, terms));
        }
    }

    /// The lanes are best read where calls are awaited.
    fn offer_runtime(&self) {
        if !self.shared.is_attached()
            && let Ok(handle) = Handle::try_current()
        {
            // What comes back is dropped here, outside the lock.
            drop(self.shared.with(|state| state.attach(handle)));
        }
    }
}

impl Future for RawCall {
    type Output = Result<Encoded, CallError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let job = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Submitted(job) => job,
            Stage::Failed(error) => return Poll::Ready(Err(error)),
            Stage::HeldBack(request) => {
                let terms = self.terms;
                match self.shared.with(|state| state.submit(*request, terms, true)) {
                    Ok(job) => job,
                    Err(Refusal::For(error)) => return Poll::Ready(Err(error)),
                    Err(Refusal::Full(_)) => {
                        return Poll::Ready(Err(CallError::Rejected(Rejection::Full)));
                    }
                }
            }
            Stage::Over => panic!("a `Call` was polled after it had completed"),
        };
        // The clone and the drop of a waker are foreign code: both happen outside the lock.
        let mut waker = Some(cx.waker().clone());
        match self.shared.with(|state| state.poll(job, &mut waker)) {
            None => {
                self.stage = Stage::Submitted(job);
                self.offer_runtime();
                Poll::Pending
            }
            Some(outcome) => Poll::Ready(outcome),
        }
    }
}

impl Drop for RawCall {
    fn drop(&mut self) {
        if let Stage::Submitted(job) = self.stage {
            // What comes back is dropped here, outside the lock.
            drop(self.shared.with(|state| state.abandon(job)));
        }
    }
}
