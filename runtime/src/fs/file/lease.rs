//! The use of an open file by a job, whose end can be waited for.
//!
//! A job that nobody waits for any more may hold the open file still. Only [`File::into_std`](super::File::into_std) has to
//! know: it needs the file for itself. So a lease first gives its reference back, then wakes the waiter, who looks again;
//! registered before it looks, it misses no end.

use futures_util::task::AtomicWaker;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A reference to the open file. Its fields are dropped in their order, on which the protocol rests.
pub(super) struct Lease {
    file: Arc<std::fs::File>,
    _returned: WakeOnDrop,
}

struct WakeOnDrop(Arc<AtomicWaker>);

impl Lease {
    /// `returned` must be the one of this open file.
    pub(super) fn new(file: &Arc<std::fs::File>, returned: &Arc<AtomicWaker>) -> Lease {
        Lease { file: Arc::clone(file), _returned: WakeOnDrop(Arc::clone(returned)) }
    }
}

impl Deref for Lease {
    type Target = std::fs::File;

    fn deref(&self) -> &std::fs::File {
        &self.file
    }
}

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// Waits until `file` is the only reference, and takes the file out; `file` is `None` after that.
pub(super) fn poll_alone(
    cx: &mut Context<'_>,
    file: &mut Option<Arc<std::fs::File>>,
    returned: &AtomicWaker,
) -> Poll<std::fs::File> {
    returned.register(cx.waker());
    let Some(shared) = file.take() else { unreachable!("it was taken, and this polled again") };
    match Arc::try_unwrap(shared) {
        Ok(alone) => Poll::Ready(alone),
        Err(shared) => {
            *file = Some(shared);
            Poll::Pending
        }
    }
}
