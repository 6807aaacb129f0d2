//! `yield_now`: give the others a turn.
//!
//! The task marks itself as wanting another turn and returns Pending; the scheduler puts it behind all tasks of its
//! worker's queue. When only such tasks are left there, the worker looks at the driver before it goes on with them. Polled with another waker than its task's own (inside of a `FuturesUnordered`, or in `block_on`), it
//! wakes that instead.

use super::header::yield_current;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets the other ready tasks of this worker run first, and if there are none but such as have yielded too, those whose
/// sockets or timers are ready by now.
///
/// # Cancel safety
/// Dropping the future loses nothing.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::task::yield_now;
///
/// for chunk in [1, 2, 3] {
///     println!("computing chunk {chunk}");
///     yield_now().await;
/// }
/// # });
/// # std::io::Result::Ok(())
/// ```
pub async fn yield_now() {
    YieldNow { yielded: false }.await;
}

struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        if !yield_current(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
