//! `Timeout`: a future and the latest time at which it may be ready.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::error::Elapsed;
use super::{Instant, Sleep, sleep_until};
use crate::scheduler::budget;
use crate::task::header::will_run_again;

/// Gives `future` at most `duration`, from the first poll on.
///
/// The future is polled first: one that is ready wins even when the time is already up. One that is ready in its first
/// poll, as most reads and locks are in practice, costs nothing more: neither the clock nor the runtime is looked at
/// before it turns out to be pending. That is why the time begins with that poll and not with this call, which makes
/// no difference for a timeout that is awaited where it is made. After `Elapsed` the future is dropped together with
/// the `Timeout`.
///
/// # Cancel safety
/// That of `future`: dropping the timeout drops it.
///
/// # Panics
/// When it is polled outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, timeout};
///
/// assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1)); // what is ready wins
/// assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
///
/// // By reference the future outlives its limit, and can be taken up again.
/// let mut task = crossover_runtime::spawn(crossover_runtime::time::sleep(Duration::from_millis(5)));
/// while timeout(Duration::from_millis(1), &mut task).await.is_err() {
///     println!("still at it");
/// }
/// # });
/// # std::io::Result::Ok(())
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), limit: Limit::After { duration } }
}

/// Gives `future` until `deadline`; otherwise like [`timeout`].
///
/// # Panics
/// When it is polled outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, Instant, timeout_at};
///
/// let deadline = Instant::now() + Duration::from_millis(2); // for all steps together
/// for step in [std::future::pending::<()>(), std::future::pending::<()>()] {
///     assert!(timeout_at(deadline, step).await.is_err());
/// }
/// # });
/// # std::io::Result::Ok(())
/// ```
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), limit: Limit::At { deadline } }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, Timeout, timeout};
    ///
    /// let limited: Timeout<_> = timeout(Duration::from_secs(1), async { "in time" });
    /// assert_eq!(limited.await, Ok("in time"));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        limit: Limit,
    }
}

pin_project! {
    /// When the time is up.
    #[project = LimitProjection]
    #[derive(Debug)]
    enum Limit {
        /// Not begun.
        After { duration: Duration },
        At { deadline: Instant },
        /// The future was pending at least once.
        Running {
            #[pin]
            sleep: Sleep,
        },
    }
}

impl Limit {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, charged: bool) -> Poll<()> {
        let (now, deadline, first) = match self.as_mut().project() {
            LimitProjection::Running { sleep } if charged => return sleep.poll(cx),
            LimitProjection::Running { sleep } => return sleep.poll_uncharged(cx),
            LimitProjection::At { deadline } => (Instant::now(), *deadline, false),
            LimitProjection::After { duration } => {
                let now = Instant::now();
                (now, now.saturating_add(*duration), true)
            }
        };
        if deadline <= now {
            return Poll::Ready(());
        }
        // A task that is polled again in any case needs nobody to wake it: for whoever polls us this is the same as to be
        // woken at once, for nothing. If the future is ready by then there never was a timer. Only once: to read the clock
        // in each poll would cost more than a timer.
        if first && will_run_again(cx.waker()) {
            self.set(Limit::At { deadline });
            return Poll::Pending;
        }
        self.as_mut().set(Limit::Running { sleep: sleep_until(deadline) });
        match self.project() {
            LimitProjection::Running { sleep } => sleep.poll_first(cx, now),
            // Never: it has just been set.
            LimitProjection::After { .. } | LimitProjection::At { .. } => Poll::Pending,
        }
    }
}

impl<F> Timeout<F> {
    /// The future that is being timed.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, timeout};
    ///
    /// let limited = timeout(Duration::from_secs(1), std::future::ready(5));
    /// println!("{:?}", limited.get_ref());
    /// ```
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future that is being timed.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, timeout};
    ///
    /// let mut limited = timeout(Duration::from_secs(1), std::future::ready(5));
    /// *limited.get_mut() = std::future::ready(6);
    /// assert_eq!(limited.into_inner().into_inner(), 6);
    /// ```
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Gives up the time limit.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, timeout};
    ///
    /// let limited = timeout(Duration::from_millis(1), async { "takes its time" });
    /// assert_eq!(limited.into_inner().await, "takes its time");
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let had_budget = budget::has_budget_remaining();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // A future that uses up the whole budget in every poll must not put off its own timeout for ever.
        let charged = !had_budget || budget::has_budget_remaining();
        this.limit.poll(cx, charged).map(|()| Err(Elapsed::new()))
    }
}

#[cfg(all(test, not(any(runtime_loom, runtime_shuttle))))]
mod tests {
    use super::*;
    use crate::task::yield_now;
    use crate::time::timeout;
    use std::future::{pending, poll_fn};
    use std::pin::pin;

    const LIMIT: Duration = Duration::from_millis(20);

    /// Limits of futures that ask for another poll in the first one, or in each.
    async fn limits_hold() {
        let woken_once = async {
            yield_now().await;
            pending::<()>().await
        };
        let woken_for_ever = async {
            loop {
                yield_now().await;
            }
        };
        let begun = Instant::now();
        assert!(timeout(LIMIT, woken_once).await.is_err());
        assert!(timeout(LIMIT, woken_for_ever).await.is_err());
        assert!(begun.elapsed() >= 2 * LIMIT);
    }

    #[test]
    fn a_limit_holds_for_a_task_that_was_woken_in_the_first_poll() {
        let workers = crate::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        workers.block_on(async { crate::task::spawn(limits_hold()).await.unwrap() });
        let current = crate::runtime::Builder::new_current_thread().build().unwrap();
        current.block_on(async { crate::task::spawn(limits_hold()).await.unwrap() });
    }

    /// The timer that the task does not need yet is not made; the next poll makes it.
    #[test]
    fn a_woken_task_gets_its_timer_in_the_next_poll() {
        let runtime = crate::runtime::Builder::new_current_thread().build().unwrap();
        let task = async {
            let mut limited = pin!(timeout(LIMIT, pending::<()>()));
            let mut kinds = Vec::new();
            poll_fn(|cx| {
                if kinds.is_empty() {
                    cx.waker().wake_by_ref();
                }
                let polled = limited.as_mut().poll(cx);
                kinds.push(matches!(limited.limit, Limit::Running { .. }));
                polled
            })
            .await
            .expect_err("nothing else ends it");
            kinds
        };
        let kinds = runtime.block_on(async { crate::task::spawn(task).await.unwrap() });
        assert_eq!(kinds, [false, true, true]);
    }
}
