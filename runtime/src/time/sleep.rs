//! `Sleep`: one timer as a future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{Instant, polled_after_shutdown};
use crate::driver::Timer;
use crate::scheduler::budget;

/// Waits for `duration`. Zero is ready at once; what the clock cannot express waits for ever.
///
/// # Cancel safety
/// Dropping the future cancels the timer; nothing else is lost.
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, Instant, sleep};
///
/// let begun = Instant::now();
/// sleep(Duration::from_millis(2)).await;
/// assert!(begun.elapsed() >= Duration::from_millis(2));
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now().saturating_add(duration))
}

/// Waits until `deadline`. One in the past is ready at once.
///
/// # Cancel safety
/// Dropping the future cancels the timer; nothing else is lost.
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, Instant, sleep_until};
///
/// let deadline = Instant::now() + Duration::from_millis(2);
/// sleep_until(deadline).await;
/// assert!(Instant::now() >= deadline);
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { timer: super::timer(deadline) }
}

pin_project! {
    /// The future of [`sleep`] and [`sleep_until`].
    ///
    /// It is `!Unpin`, as tokio's is, because its timer lives inside of it. To await it in a loop, or to
    /// [`reset`](Sleep::reset) it, pin it first: `let mut sleep = std::pin::pin!(sleep(d)); sleep.as_mut().await;`.
    ///
    /// # Panics
    /// When polled after the shutdown of its runtime.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, Instant, sleep};
    ///
    /// let mut nap = std::pin::pin!(sleep(Duration::from_millis(1)));
    /// for _ in 0..3 {
    ///     nap.as_mut().await;
    ///     nap.as_mut().reset(Instant::now() + Duration::from_millis(1));
    /// }
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Sleep {
        #[pin]
        timer: Timer,
    }
}

impl Sleep {
    /// The instant at which it is ready.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, Instant, sleep};
    ///
    /// let nap = sleep(Duration::from_secs(60));
    /// assert!(nap.deadline() > Instant::now());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn deadline(&self) -> Instant {
        Instant::from_std(self.timer.deadline())
    }

    /// Whether the deadline has passed.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, sleep};
    ///
    /// assert!(sleep(Duration::ZERO).is_elapsed());
    /// assert!(!sleep(Duration::MAX).is_elapsed());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_elapsed(&self) -> bool {
        self.deadline() <= Instant::now()
    }

    /// Moves the deadline. A task that is waiting is woken at the new one; a sleep that was ready waits anew.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, Instant, sleep};
    ///
    /// let mut nap = std::pin::pin!(sleep(Duration::MAX));
    /// nap.as_mut().reset(Instant::now() + Duration::from_millis(1));
    /// nap.await;
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.project().timer.reset(deadline.into_std());
    }

    /// The first poll, for a caller who has just read the clock; not charged.
    pub(super) fn poll_first(self: Pin<&mut Self>, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        match ready!(self.project().timer.poll_first(cx, now.into_std())) {
            Ok(()) => Poll::Ready(()),
            Err(_) => polled_after_shutdown(),
        }
    }

    /// Polls without charging the task's budget.
    pub(super) fn poll_uncharged(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.project().timer.poll(cx)) {
            Ok(()) => Poll::Ready(()),
            Err(_) => polled_after_shutdown(),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let charge = ready!(budget::poll_proceed(cx));
        ready!(self.poll_uncharged(cx));
        charge.made_progress();
        Poll::Ready(())
    }
}
