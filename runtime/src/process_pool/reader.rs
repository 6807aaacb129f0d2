//! Reading a lane on the runtime of those who await its answers.
//!
//! The keeper could read all lanes, and does so for callers on other executors. But then each answer wakes two threads:
//! the keeper, and by it the caller's. So once a call is awaited inside one of our runtimes, a task there waits for each
//! lane's bell. The answer's event, the task and the caller then meet on one thread.
//!
//! The task owns nothing that the pool needs. When its runtime ends it is dropped, and the keeper reads again; when the
//! runtime is merely busy, or not run for a while, the keeper finds answers that lie unread, and does the same.

use super::keeper::{Shared, drain};
use crate::net::AsyncFd;
use std::{
    future::Future,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

/// Reads the lane of the worker in `slot` whenever its bell rings. Ends by being aborted, when the worker is dead.
///
/// An eventfd that is watched for edges announces every ring, so nobody reads its count.
pub(super) fn read(
    shared: Arc<Shared>,
    number: u64,
    slot: usize,
    bell: Arc<OwnedFd>,
) -> impl Future<Output = ()> + Send {
    // Also a task that is never polled leaves.
    let post = Post { shared, number, slot, bell: Bell(bell) };
    async move {
        let Ok(bell) = AsyncFd::new(Bell(Arc::clone(&post.bell.0))) else { return };
        loop {
            // The first time: what was published before the bell was watched.
            drain(&post.shared, slot);
            post.shared.with(|state| state.was_read(post.number));
            match bell.readable().await {
                // Before the lane is read: a ring after that counts again.
                Ok(mut ring) => ring.clear_ready(),
                Err(_) => return,
            }
        }
    }
}

/// A reader's place at a lane. Tells the pool when the task ends, however it does.
struct Post {
    shared: Arc<Shared>,
    /// Of all readers on its runtime.
    number: u64,
    slot: usize,
    bell: Bell,
}

impl Drop for Post {
    fn drop(&mut self) {
        // What comes back is dropped here, outside the lock.
        drop(self.shared.with(|state| state.reader_left(self.number, self.slot, &self.bell.0)));
    }
}

struct Bell(Arc<OwnedFd>);

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
