//! `yield_now`: give the others a turn.
//!
//! The task wakes itself and returns Pending; the scheduler sees that it was woken by its own poll and puts it
//! behind all tasks of its worker's queue, without waking another worker for it.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets the other ready tasks of this worker run first.
///
/// # Cancel safety
/// Dropping the future loses nothing.
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
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
