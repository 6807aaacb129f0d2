//! [`Call`]: a submitted job as its caller holds it.

use super::{
    CallError,
    dispatch::Shared,
    error::CodecStage,
    frame::Payload,
    job,
    state::{JobRef, Refusal},
};
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
    shared: Arc<Shared>,
    job: &'static str,
    stage: Stage,
    timeout: Option<Duration>,
    on_drop: OnDrop,
    result: PhantomData<fn() -> R>,
}

enum Stage {
    /// It will never run.
    Failed(CallError),
    /// The queue was full: the frame waits here until somebody awaits the call.
    HeldBack(Vec<u8>),
    Submitted(JobRef),
    /// The result was handed out.
    Over,
}

impl<R> Call<R> {
    pub(super) fn failed(shared: Arc<Shared>, job: &'static str, error: CallError) -> Self {
        Self::new(shared, job, Stage::Failed(error))
    }

    pub(super) fn submit(shared: Arc<Shared>, job: &'static str, frame: Vec<u8>) -> Self {
        let stage = match shared.with(|state| state.submit(frame, job, None, OnDrop::default(), false)) {
            Ok(job) => Stage::Submitted(job),
            Err(Refusal::Full(frame)) => Stage::HeldBack(frame),
            Err(Refusal::For(error)) => Stage::Failed(error),
        };
        Self::new(shared, job, stage)
    }

    fn new(shared: Arc<Shared>, job: &'static str, stage: Stage) -> Self {
        Self { shared, job, stage, timeout: None, on_drop: OnDrop::default(), result: PhantomData }
    }

    /// The reason it will never run, if that is known already; `HeldBack` counts as a full queue.
    pub(super) fn refused(mut self) -> Result<Self, CallError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Failed(error) => Err(error),
            Stage::HeldBack(_) => Err(CallError::Rejected(super::Rejection::Full)),
            stage => {
                self.stage = stage;
                Ok(self)
            }
        }
    }

    /// Kills the worker when the job runs longer than `limit`: the call then fails with
    /// [`CallError::Timeout`]. The clock starts when the job is handed to a worker; waiting in the queue does not count.
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
        self.timeout = Some(limit);
        if let Stage::Submitted(job) = self.stage {
            self.shared.with(|state| state.set_timeout(job, limit));
        }
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
    /// let area = pool.call(area, (3, 4)).on_drop(OnDrop::Kill).await?;
    /// assert_eq!(area, 12);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        if let Stage::Submitted(job) = self.stage {
            self.shared.with(|state| state.set_on_drop(job, on_drop));
        }
        self
    }
}

impl<R: DeserializeOwned> Call<R> {
    fn decode(&self, payload: &Payload) -> Result<R, CallError> {
        job::decode(payload.bytes()).map_err(|reason| CallError::Codec {
            job: self.job,
            stage: CodecStage::DecodeResult,
            reason,
        })
    }
}

impl<R: DeserializeOwned> Future for Call<R> {
    type Output = Result<R, CallError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let job = match std::mem::replace(&mut this.stage, Stage::Over) {
            Stage::Submitted(job) => job,
            Stage::Failed(error) => return Poll::Ready(Err(error)),
            Stage::HeldBack(frame) => {
                let (job, timeout, on_drop) = (this.job, this.timeout, this.on_drop);
                match this.shared.with(|state| state.submit(frame, job, timeout, on_drop, true)) {
                    Ok(job) => job,
                    Err(Refusal::For(error)) => return Poll::Ready(Err(error)),
                    Err(Refusal::Full(_)) => {
                        return Poll::Ready(Err(CallError::Rejected(super::Rejection::Full)));
                    }
                }
            }
            Stage::Over => panic!("a `Call` was polled after it had completed"),
        };
        // The clone and the drop of a waker are foreign code: both happen outside the lock.
        let mut waker = Some(cx.waker().clone());
        match this.shared.with(|state| state.poll(job, &mut waker)) {
            None => {
                this.stage = Stage::Submitted(job);
                Poll::Pending
            }
            Some(outcome) => Poll::Ready(outcome.and_then(|payload| this.decode(&payload))),
        }
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if let Stage::Submitted(job) = self.stage {
            // The waker that comes back is dropped here, outside the lock.
            drop(self.shared.with(|state| state.abandon(job)));
        }
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("job", &self.job).finish_non_exhaustive()
    }
}
