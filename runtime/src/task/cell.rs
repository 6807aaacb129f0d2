//! The task's cell: a future, its scheduling state and the way back to its scheduler. The only file that knows
//! which cell is in use; in this version it is [`async_task`]'s.
//!
//! What the rest of the crate may rely on:
//! - a [`Notified`] is a task that was woken; there is at most one of each task; it stands in a queue, is run,
//!   or is dropped, which cancels the task;
//! - every wake-up is an atomic read-modify-write (AcqRel) on the task's state even when the task is already
//!   scheduled, so data published before a wake is seen by the poll that follows;
//! - a task is polled by one thread at a time, and its future is dropped on the thread that ran it last, cancels
//!   it, or refuses it;
//! - no panic leaves [`Notified::run`] or a `Notified`'s drop.
//!
//! A task ends in [`finish`], once, in this order: the future is dropped; the task leaves the live list; the
//! result is published and the joiner woken. So whoever has joined a task sees neither its future nor its entry.

use super::live::{Ending, Live};
use super::state::{JoinResult, Meeting};
use super::{Id, JoinError, JoinHandle};
use crate::error::discard_payload;
use pin_project_lite::pin_project;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Where woken tasks go: implemented by both schedulers.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// Queues a woken task. `yielded`: it was woken by its own poll, so it should go behind the others.
    /// Must not panic and must run no foreign code under a lock: wakers call it from anywhere.
    fn schedule(self: &Arc<Self>, task: Notified, yielded: bool);

    /// The live tasks of this scheduler.
    fn live(&self) -> &Live;
}

/// A woken task on its way to a worker. Dropping it cancels the task.
#[derive(Debug)]
pub(crate) struct Notified(async_task::Runnable);

impl Notified {
    /// Polls the task once.
    pub(crate) fn run(self) {
        self.0.run();
    }
}

/// Makes a task of `future`, enters it among the live ones and schedules it. When the scheduler's live list is
/// closed the task is cancelled at once, and its handle says so.
pub(crate) fn spawn<F, S>(future: F, scheduler: &Arc<S>) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    let meeting = Arc::new(Meeting::new(Id::next()));
    let body = Body {
        future: ManuallyDrop::new(future),
        alive: true,
        meeting: Arc::clone(&meeting),
        scheduler: Arc::clone(scheduler),
    };
    let schedule = {
        let scheduler = Arc::clone(scheduler);
        move |runnable, info: async_task::ScheduleInfo| {
            scheduler.schedule(Notified(runnable), info.woken_while_running);
        }
    };
    let (runnable, task) = async_task::spawn(body, async_task::WithInfo(schedule));
    task.detach();
    meeting.set_remote(runnable.waker());
    let handle = JoinHandle::new(Arc::clone(&meeting));
    // Until `schedule` below nobody else can run or drop the task: `runnable` is its only notification.
    if let Some(place) = scheduler.live().enter(Arc::clone(&meeting) as _) {
        meeting.set_place(place);
        scheduler.schedule(Notified(runnable), false);
    } else {
        drop(runnable);
    }
    handle
}

pin_project! {
    /// The future as async-task sees it: never panics, and leaves its result in the meeting.
    struct Body<F: Future, S: Schedule>
    where
        F::Output: Send,
    {
        #[pin]
        future: ManuallyDrop<F>,
        // The future has not been dropped yet. A flag, because assigning `None` to an `Option<F>` would build one
        // on the stack first, and futures can be larger than stacks.
        alive: bool,
        meeting: Arc<Meeting<F::Output>>,
        scheduler: Arc<S>,
    }

    impl<F: Future, S: Schedule> PinnedDrop for Body<F, S>
    where
        F::Output: Send,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.alive {
                finish(this.future, this.alive, this.meeting, this.scheduler.live(), None);
            }
        }
    }
}

impl<F: Future, S: Schedule> Future for Body<F, S>
where
    F::Output: Send,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if !*this.alive {
            return Poll::Ready(());
        }
        let id = this.meeting.id();
        let result = if this.meeting.cancel_requested() {
            None
        } else {
            let _running = super::RunningId::enter(id);
            // SAFETY: a projection to the only field of a pinned wrapper; nothing moves it before it is dropped.
            let future = unsafe { this.future.as_mut().map_unchecked_mut(|slot| &mut **slot) };
            match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(output)) => Some(Ok(output)),
                Err(payload) => Some(Err(JoinError::panic(id, payload))),
            }
        };
        finish(this.future, this.alive, this.meeting, this.scheduler.live(), result);
        Poll::Ready(())
    }
}

/// Ends a task; `None` means it is cancelled. The first panic wins: that of the poll, else that of the future's
/// drop, which then takes the place of an output.
fn finish<F: Future>(
    future: Pin<&mut ManuallyDrop<F>>,
    alive: &mut bool,
    meeting: &Meeting<F::Output>,
    live: &Live,
    result: Option<JoinResult<F::Output>>,
) {
    let id = meeting.id();
    let ending = if result.is_some() { Ending::Completed } else { Ending::Cancelled };
    let result = {
        let _running = super::RunningId::enter(id);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop_in_place(future, alive)));
        match (result, dropped) {
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(JoinError::cancelled(id)),
            (Some(Err(first)), Err(second)) => {
                discard_payload(second);
                Err(first)
            }
            (unusable, Err(payload)) => {
                crate::error::contain(|| drop(unusable));
                Err(JoinError::panic(id, payload))
            }
        }
    };
    if let Some(place) = meeting.place() {
        live.leave(place, ending);
    }
    let _running = super::RunningId::enter(id);
    meeting.complete(result);
}

/// Drops the future where it stands, once.
fn drop_in_place<F>(future: Pin<&mut ManuallyDrop<F>>, alive: &mut bool) {
    // Cleared first: a drop that panics is not tried again.
    if std::mem::take(alive) {
        // SAFETY: the future is dropped where it is pinned, and not moved.
        let slot = unsafe { future.get_unchecked_mut() };
        // SAFETY: `alive` was set, so it has not been dropped; now it is cleared, so nobody touches it again.
        unsafe { ManuallyDrop::drop(slot) };
    }
}
