//! The poll budget: how much progress a task may make in one poll before it lets others run.
//!
//! A resource that is ready every time (a socket with a full buffer, a tick that is overdue) would keep its task
//! polling for ever. So each poll starts with [`UNITS`] units; every resource of this crate asks
//! [`poll_proceed`] before it makes progress and gets Pending, with the task woken, once they are used up. A
//! unit is charged for progress only: a resource that turns out to be pending gives its unit back.
//!
//! The budget is a thread-local, set by the scheduler around each poll. Outside of a poll, and under
//! [`unconstrained`], there is no limit.

use crate::sync::prim::thread_local;
use crate::task::header::yield_current;
use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Units per poll; tokio's number.
const UNITS: u8 = 128;

thread_local! {
    /// Units left; `None`: no limit.
    static LEFT: Cell<Option<u8>> = const { Cell::new(None) };
}

/// Puts the former budget back, on unwinding too.
struct Restore(Option<u8>);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = LEFT.try_with(|left| left.set(self.0));
    }
}

fn with_left<R>(units: Option<u8>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(LEFT.try_with(|left| left.replace(units)).unwrap_or(None));
    f()
}

/// Runs one poll of a task with a fresh budget.
pub(crate) fn limited<R>(poll: impl FnOnce() -> R) -> R {
    with_left(Some(UNITS), poll)
}

/// Runs a closure without a budget, in the middle of a poll; that goes on with what it had.
pub(crate) fn unlimited<R>(f: impl FnOnce() -> R) -> R {
    with_left(None, f)
}

/// A unit that has been taken; given back on drop unless progress was made.
#[derive(Debug)]
#[must_use = "a charge that is dropped without made_progress() is given back"]
pub(crate) struct Charge {
    before: Option<u8>,
}

impl Charge {
    /// Keeps the unit: the resource did something.
    pub(crate) fn made_progress(mut self) {
        self.before = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.before.is_some() {
            let _ = LEFT.try_with(|left| left.set(self.before));
        }
    }
}

/// Takes a unit, or wakes the task and returns Pending when none is left.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<Charge> {
    let before = LEFT.try_with(Cell::get).unwrap_or(None);
    match before {
        None => Poll::Ready(Charge { before: None }),
        Some(0) => {
            if !yield_current(cx.waker()) {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }
        Some(left) => {
            let _ = LEFT.try_with(|cell| cell.set(Some(left - 1)));
            Poll::Ready(Charge { before })
        }
    }
}

/// Takes a unit if one is left, for progress that cannot be put off.
#[inline]
pub(crate) fn charge_one() {
    let _ = LEFT.try_with(|left| left.set(left.get().map(|units| units.saturating_sub(1))));
}

/// May the running task make more progress in this poll? Always true outside of a task.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task};
///
/// assert!(spawn(async { task::has_budget_remaining() }).await.unwrap());
/// # });
/// # std::io::Result::Ok(())
/// ```
pub fn has_budget_remaining() -> bool {
    LEFT.try_with(Cell::get).unwrap_or(None) != Some(0)
}

/// Charges one unit of the poll budget, and yields when none is left. For loops that compute much and await
/// little.
///
/// # Cancel safety
/// Dropping the future loses nothing.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task};
///
/// let sum = spawn(async {
///     let mut sum = 0;
///     for n in 0..1000_u32 {
///         sum += n;
///         task::consume_budget().await; // yields now and then
///     }
///     sum
/// });
/// assert_eq!(sum.await.unwrap(), 499_500);
/// # });
/// # std::io::Result::Ok(())
/// ```
pub async fn consume_budget() {
    std::future::poll_fn(|cx| poll_proceed(cx).map(Charge::made_progress)).await;
}

/// Runs a future without a poll budget: it may starve the other tasks of its worker.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task};
///
/// let answer = spawn(task::unconstrained(async { 42 }));
/// assert_eq!(answer.await.unwrap(), 42);
/// # });
/// # std::io::Result::Ok(())
/// ```
pub fn unconstrained<F: Future>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

pin_project_lite::pin_project! {
    /// A future without a poll budget; made by [`unconstrained`].
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::{Unconstrained, unconstrained};
    ///
    /// let future: Unconstrained<_> = unconstrained(async { 42 });
    /// assert_eq!(future.await, 42);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Unconstrained<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        with_left(None, || self.project().future.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn spend_all() -> u32 {
        let mut cx = Context::from_waker(Waker::noop());
        let mut spent = 0;
        while let Poll::Ready(charge) = poll_proceed(&mut cx) {
            charge.made_progress();
            spent += 1;
            assert!(spent <= 1000, "no limit");
        }
        spent
    }

    #[test]
    fn a_poll_may_spend_its_units_and_no_more() {
        limited(|| {
            assert!(has_budget_remaining());
            assert_eq!(spend_all(), u32::from(UNITS));
            assert!(!has_budget_remaining());
        });
        assert!(has_budget_remaining());
    }

    #[test]
    fn no_progress_costs_nothing() {
        let mut cx = Context::from_waker(Waker::noop());
        limited(|| {
            for _ in 0..1000 {
                assert!(poll_proceed(&mut cx).is_ready());
            }
            assert_eq!(spend_all(), u32::from(UNITS));
        });
    }

    #[test]
    fn unconstrained_lifts_the_limit_and_puts_it_back() {
        let mut cx = Context::from_waker(Waker::noop());
        limited(|| {
            spend_all();
            let mut inner = std::pin::pin!(unconstrained(async { has_budget_remaining() }));
            assert_eq!(inner.as_mut().poll(&mut cx), Poll::Ready(true));
            assert!(!has_budget_remaining());
        });
    }
}
