//! `Timeout`: a future and the latest time at which it may be ready.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::error::Elapsed;
use super::{Instant, Sleep, sleep, sleep_until};
use crate::scheduler::budget;

/// Gives `future` at most `duration`.
///
/// The future is polled first: one that is ready wins even when the time is already up, and then no timer is ever
/// registered. After `Elapsed` the future is dropped together with the `Timeout`.
///
/// # Cancel safety
/// That of `future`: dropping the timeout drops it.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep(duration) }
}

/// Gives `future` until `deadline`; otherwise like [`timeout`].
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), sleep: sleep_until(deadline) }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// The future that is being timed.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future that is being timed.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Gives up the time limit.
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
        let elapsed = if had_budget && !budget::has_budget_remaining() {
            this.sleep.poll_uncharged(cx)
        } else {
            this.sleep.poll(cx)
        };
        elapsed.map(|()| Err(Elapsed::new()))
    }
}
