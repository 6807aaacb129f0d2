//! The meeting point of a task and its handles: who asked for an abort, what came out, who waits for it.
//!
//! One [`Meeting`] is shared by the running side (a task's cell, or a job of the blocking pool) and the handle
//! side (one `JoinHandle`, any number of `AbortHandle`s). Whether the task is scheduled or running is no
//! business of this file: that is the cell's (`task/cell.rs`).
//!
//! | field | written by | read by |
//! |---|---|---|
//! | `cancel` | any handle: false → true, once, Release | the running side before each poll, Acquire |
//! | `remote` | the spawner, once, before the task can run | any handle that aborts |
//! | `place` | the spawner, once, before the task can run | the running side when it ends |
//! | `stage` | both sides, under its lock | both sides, under its lock |
//!
//! Stages: `Waiting { wanted }` → `Done(result)` → `Taken`, or `Waiting { wanted: false }` → `Taken` when the
//! handle is gone by then. The running side completes exactly once; the result moves out exactly once.
//!
//! Lock order: `stage` is a leaf. Wakers are cloned, dropped and woken, and results dropped, outside of it: all
//! of these are foreign code. Each transition therefore returns what its caller has to dispose of.

use super::Id;
use super::join_handle::JoinError;
use crate::error::contain;
use crate::sync::prim::Mutex;
use crate::sync::prim::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

/// What a task or job ends with.
pub(crate) type JoinResult<T> = Result<T, JoinError>;

/// Shared by a task and its handles; see the module's table.
pub(crate) struct Meeting<T> {
    id: Id,
    cancel: AtomicBool,
    remote: OnceLock<Waker>,
    place: OnceLock<super::live::Place>,
    stage: Mutex<Stage<T>>,
}

enum Stage<T> {
    /// Not finished. `wanted`: the JoinHandle lives. `waker`: whom to tell.
    Waiting { waker: Option<Waker>, wanted: bool },
    /// Finished; the result waits for the handle.
    Done(JoinResult<T>),
    /// The result has moved out, or nobody wanted it.
    Taken,
}

/// What [`Meeting::register`] found.
enum Registered<T> {
    Finished(JoinResult<T>),
    Waiting,
    /// The stored waker is another one: clone the caller's and come back with it.
    NeedsWaker,
}

/// The handle side of a [`Meeting`] without the result's type.
pub(crate) trait Remote: Send + Sync {
    fn id(&self) -> Id;
    /// Asks the task to end. Safe at any time, from any thread, any number of times.
    fn cancel(&self);
    fn is_finished(&self) -> bool;
}

impl<T> Meeting<T> {
    pub(crate) fn new(id: Id) -> Meeting<T> {
        Meeting {
            id,
            cancel: AtomicBool::new(false),
            remote: OnceLock::new(),
            place: OnceLock::new(),
            stage: Mutex::new(Stage::Waiting { waker: None, wanted: true }),
        }
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Stores the waker by which an abort reaches the task. Called once, by the spawner, before the first poll.
    pub(crate) fn set_remote(&self, waker: Waker) {
        let first = self.remote.set(waker).is_ok();
        debug_assert!(first, "a task has one remote waker");
    }

    /// Stores where the task stands among the live ones. Called once, by the spawner, before the first poll.
    pub(crate) fn set_place(&self, place: super::live::Place) {
        let first = self.place.set(place).is_ok();
        debug_assert!(first, "a task is entered among the live ones once");
    }

    /// Where the task stands among the live ones; `None` if it was refused.
    pub(crate) fn place(&self) -> Option<super::live::Place> {
        self.place.get().copied()
    }

    /// Has any handle asked for an abort? Acquire pairs with the Release in [`Meeting::cancel`].
    pub(crate) fn cancel_requested(&self) -> bool {
        self.cancel.load(Ordering::Acquire)
    }

    /// The running side's last word: publishes the result and wakes whoever joins. A result that nobody wants
    /// is dropped here; panics of that drop and of the waker end here too.
    pub(crate) fn complete(&self, result: JoinResult<T>) {
        let (waker, unwanted) = {
            let mut stage = self.stage.lock();
            match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Waiting { waker, wanted: true } => {
                    *stage = Stage::Done(result);
                    (waker, None)
                }
                Stage::Waiting { waker, wanted: false } => (waker, Some(result)),
                other => {
                    *stage = other;
                    debug_assert!(false, "task {} completed twice", self.id);
                    (None, Some(result))
                }
            }
        };
        if let Some(waker) = waker {
            contain(|| waker.wake());
        }
        if unwanted.is_some() {
            contain(|| drop(unwanted));
        }
    }

    /// The handle's poll. Ready exactly once.
    ///
    /// # Panics
    /// When the result has already been taken.
    #[track_caller]
    pub(crate) fn poll_join(&self, cx: &mut Context<'_>) -> Poll<JoinResult<T>> {
        let mut clone = None;
        loop {
            let (found, stale) = self.register(cx.waker(), clone.take());
            drop(stale);
            match found {
                Registered::Finished(result) => return Poll::Ready(result),
                Registered::Waiting => return Poll::Pending,
                Registered::NeedsWaker => clone = Some(cx.waker().clone()),
            }
        }
    }

    /// One look under the lock. Returns what it found, and a waker for the caller to drop.
    #[track_caller]
    fn register(&self, ours: &Waker, clone: Option<Waker>) -> (Registered<T>, Option<Waker>) {
        let mut stage = self.stage.lock();
        match &mut *stage {
            Stage::Waiting { waker: Some(waker), .. } if waker.will_wake(ours) => {
                (Registered::Waiting, clone)
            }
            Stage::Waiting { waker, .. } => match clone {
                Some(clone) => (Registered::Waiting, waker.replace(clone)),
                None => (Registered::NeedsWaker, None),
            },
            Stage::Done(_) => match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Done(result) => (Registered::Finished(result), clone),
                Stage::Waiting { .. } | Stage::Taken => unreachable!("the lock is held"),
            },
            Stage::Taken => {
                drop(stage);
                panic!("JoinHandle polled after it returned its result (task {})", self.id);
            }
        }
    }

    /// Asks the running side to end.
    pub(crate) fn cancel(&self) {
        // The wake-up is a read-modify-write on the task's state even when the task is already scheduled, so the
        // poll that follows sees the flag.
        self.cancel.store(true, Ordering::Release);
        if let Some(waker) = self.remote.get() {
            waker.wake_by_ref();
        }
    }

    /// Is there a result, taken or not?
    pub(crate) fn is_finished(&self) -> bool {
        !matches!(*self.stage.lock(), Stage::Waiting { .. })
    }

    /// The JoinHandle is gone: the task is detached, or its unread result dropped (its panic ends here).
    pub(crate) fn detach(&self) {
        let (waker, unread) = {
            let mut stage = self.stage.lock();
            match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Waiting { waker, .. } => {
                    *stage = Stage::Waiting { waker: None, wanted: false };
                    (waker, None)
                }
                Stage::Done(result) => (None, Some(result)),
                Stage::Taken => (None, None),
            }
        };
        if waker.is_some() || unread.is_some() {
            contain(|| drop(waker));
            contain(|| drop(unread));
        }
    }
}

impl<T: Send> Remote for Meeting<T> {
    fn id(&self) -> Id {
        self.id
    }

    fn cancel(&self) {
        Meeting::cancel(self);
    }

    fn is_finished(&self) -> bool {
        Meeting::is_finished(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    /// A waker whose clones, wakes and drops all re-enter the meeting: each would deadlock under its lock.
    struct Nosy(Arc<Meeting<u32>>, AtomicUsize);

    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            assert!(self.0.is_finished());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.is_finished();
        }
    }

    #[test]
    fn the_join_waker_runs_outside_the_lock_and_once() {
        let meeting = Arc::new(Meeting::new(Id::next()));
        let nosy = Arc::new(Nosy(Arc::clone(&meeting), AtomicUsize::new(0)));
        let first = Waker::from(Arc::clone(&nosy));
        let second = Waker::from(Arc::new(Nosy(Arc::clone(&meeting), AtomicUsize::new(0))));
        assert!(meeting.poll_join(&mut Context::from_waker(&second)).is_pending());
        assert!(meeting.poll_join(&mut Context::from_waker(&first)).is_pending());
        drop(second);
        meeting.complete(Ok(7));
        assert_eq!(nosy.1.load(Ordering::Relaxed), 1);
        match meeting.poll_join(&mut Context::from_waker(&first)) {
            Poll::Ready(Ok(value)) => assert_eq!(value, 7),
            other => panic!("expected the result, got {}", other.is_pending()),
        }
    }

    #[test]
    fn an_unwanted_result_is_dropped_by_the_completer() {
        let probe = Arc::new(());
        let meeting = Meeting::new(Id::next());
        meeting.detach();
        meeting.complete(Ok(Arc::clone(&probe)));
        assert_eq!(Arc::strong_count(&probe), 1);
        assert!(meeting.is_finished());
    }

    #[test]
    fn a_dropped_handle_drops_the_unread_result() {
        let probe = Arc::new(());
        let meeting = Meeting::new(Id::next());
        meeting.complete(Ok(Arc::clone(&probe)));
        assert_eq!(Arc::strong_count(&probe), 2);
        meeting.detach();
        assert_eq!(Arc::strong_count(&probe), 1);
    }
}
