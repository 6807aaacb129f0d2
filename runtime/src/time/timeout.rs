//! `Timeout`: a future and the latest time at which it may be ready.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::error::Elapsed;
use super::{Instant, Sleep, sleep_until};
use crate::scheduler::budget;

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
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), limit: Limit::After { duration } }
}

/// Gives `future` until `deadline`; otherwise like [`timeout`].
///
/// # Panics
/// When it is polled outside of a runtime.
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { future: future.into_future(), limit: Limit::At { deadline } }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
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
        let (now, deadline) = match self.as_mut().project() {
            LimitProjection::Running { sleep } if charged => return sleep.poll(cx),
            LimitProjection::Running { sleep } => return sleep.poll_uncharged(cx),
            LimitProjection::At { deadline } => (Instant::now(), *deadline),
            LimitProjection::After { duration } => {
                let now = Instant::now();
                (now, now.saturating_add(*duration))
            }
        };
        if deadline <= now {
            return Poll::Ready(());
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
        let charged = !had_budget || budget::has_budget_remaining();
        this.limit.poll(cx, charged).map(|()| Err(Elapsed::new()))
    }
}
