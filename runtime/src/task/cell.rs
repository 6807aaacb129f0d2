//! The task's cell: its header, then the future, whose place the output takes when it is ready. One allocation from
//! `pool.rs`.
//!
//! What the rest of the crate may rely on:
//! - a task is polled by one thread at a time, and its future is dropped on the thread that ran it last, cancels it,
//!   or refuses it;
//! - no panic leaves `Notified::run` or `Notified::cancel`;
//! - a task is entered among the live ones when its first poll returns Pending, not before: until then it is in a
//!   queue, where shutdown finds it, or runs.
//!
//! A task ends in `finish`, once, in this order: the future is dropped; the task leaves the live list; the result is
//! published and the joiner woken. So whoever has joined a task sees neither its future nor its entry.

use super::header::{Header, Notified, Site, Stage, TaskRef, Vtable, borrowed_waker, release};
use super::join_handle::JoinResult;
use super::state::{Finished, Paused, Started};
use super::{Current, JoinError, JoinHandle, pool};
use crate::error::contain;
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, needs_drop};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// Where woken tasks go: implemented by both schedulers, and by the blocking pool's jobs, which are never woken.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// Queues a woken task. Must not panic and must run no foreign code under a lock: wakers call it from anywhere.
    ///
    /// # Safety
    /// `this` must be alive until the task is queued; the implementation must see to it for longer itself.
    unsafe fn schedule(this: *const Self, task: Notified);
}

/// `repr(C)`: a pointer to the cell is one to its header.
#[repr(C)]
struct Cell<F: Future> {
    header: Header,
    body: UnsafeCell<Body<F>>,
}

#[repr(C)]
union Body<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<JoinResult<F::Output>>,
}

/// Makes a task of `future`, spawned at `location`, for the caller to queue. `scheduler` must stay as long as `header.rs` asks for.
#[inline]
pub(crate) fn create<F, S>(
    future: F,
    scheduler: *const S,
    location: &'static Location<'static>,
) -> (Notified, JoinHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    let cell = pool::allocate(Layout::new::<Cell<F>>()).cast::<Cell<F>>();
    let place = cell.as_ptr();
    // Each part is written where it will stand: a cell that is built on the stack first is copied in larger pieces than
    // it was written in, and the processor has to wait for those.
    // SAFETY: the memory is ours, and large and aligned enough for a cell.
    let header = unsafe { &raw mut (*place).header };
    // SAFETY: as above.
    let body = unsafe { &raw mut (*place).body };
    // SAFETY: as above.
    unsafe { header.write(Header::new(&Of::<F, S>::VTABLE, scheduler.cast(), location)) };
    // SAFETY: as above; a future stands at the front of its union.
    unsafe { body.cast::<F>().write(future) };
    let header = cell.cast::<Header>();
    // SAFETY: a new state is `SCHEDULED`, and the right to run the task is ours.
    let notified = unsafe { Notified::from_header(header) };
    // SAFETY: a new state counts a reference for the handle.
    let task = unsafe { TaskRef::from_counted(header) };
    (notified, JoinHandle::new(task))
}

/// A blocking job as a future: it is ready after its first poll.
struct Job<F>(Option<F>);

// A job is moved out before it runs, so pinning it means nothing.
impl<F> Unpin for Job<F> {}

impl<F: FnOnce() -> R, R> Future for Job<F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        // Polled once, for it is never Pending and thus never scheduled again.
        self.0.take().map_or(Poll::Pending, |job| Poll::Ready(job()))
    }
}

/// The scheduler of blocking jobs: they are never idle, so nobody wakes them.
struct Nowhere;

impl Schedule for Nowhere {
    unsafe fn schedule(_: *const Nowhere, task: Notified) {
        drop(task);
    }
}

/// Makes a task of a closure, to be run once on a thread of the blocking pool.
pub(crate) fn create_job<F, R>(job: F, location: &'static Location<'static>) -> (Notified, JoinHandle<R>)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    create(Job(Some(job)), std::ptr::null::<Nowhere>(), location)
}

/// The code of one kind of cell.
struct Of<F, S>(PhantomData<(F, S)>);

impl<F, S> Of<F, S>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    const VTABLE: Vtable = Vtable {
        run: Self::run,
        cancel: Self::cancel,
        schedule: Self::schedule,
        take_output: Self::take_output,
        drop_output: Self::drop_output,
        free: Self::free,
    };

    /// # Safety
    /// The scheduler must be there, see `header.rs`.
    unsafe fn schedule(scheduler: *const (), task: Notified) {
        // SAFETY: made of a `*const S` in `create`; the rest is passed on to the caller.
        unsafe { S::schedule(scheduler.cast(), task) };
    }

    /// # Safety
    /// The caller must have the right to run the task.
    unsafe fn run(header: NonNull<Header>, site: &Site<'_>) -> Option<bool> {
        // SAFETY: the scheduler's reference keeps the cell until the task has ended.
        let task = unsafe { header.as_ref() };
        if task.state.start() == Started::Cancelled {
            // SAFETY: started, so the stage is ours.
            unsafe { Self::finish(header, site, Err(None)) };
            return None;
        }
        // SAFETY: started, so the stage is ours.
        let (polled, yielded) = unsafe { Self::poll(header) };
        let result = match polled {
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(JoinError::panic(task.id, payload)),
            Ok(Poll::Pending) => {
                if Self::enter(header, site) {
                    match task.state.pause(yielded) {
                        Paused::Idle => return None,
                        Paused::Again => return Some(yielded),
                        Paused::Cancelled => {}
                    }
                }
                // SAFETY: still running, so the stage is ours.
                unsafe { Self::finish(header, site, Err(None)) };
                return None;
            }
        };
        // SAFETY: as above.
        unsafe { Self::finish(header, site, Ok(result)) };
        None
    }

    /// Polls the future; says also whether it yielded.
    ///
    /// # Safety
    /// The stage must be the caller's, and hold the future.
    #[inline]
    unsafe fn poll(header: NonNull<Header>) -> (std::thread::Result<Poll<F::Output>>, bool) {
        /// Drops the future of a poll that panics while that unwinds, so that `thread::panicking` is true in the drops of
        /// what it holds, as it would be for locals: guards that poison rely on it.
        struct OnUnwind<F: Future>(NonNull<Header>, PhantomData<F>);
        impl<F: Future> Drop for OnUnwind<F> {
            #[cold]
            fn drop(&mut self) {
                // SAFETY: as for the poll.
                unsafe { self.0.as_ref() }.stage.set(Stage::Empty);
                // A second panic must not leave this drop. Nor does it count: that of the poll is the first.
                contain(|| {
                    // SAFETY: the header stands at the front of such a cell.
                    let cell = unsafe { self.0.cast::<Cell<F>>().as_ref() };
                    // SAFETY: the stage is the runner's.
                    let body = unsafe { &mut *cell.body.get() };
                    // SAFETY: it held the future, whose mark is gone, so that nobody touches it again.
                    unsafe { ManuallyDrop::drop(&mut body.future) };
                });
            }
        }
        let current = Current::enter(header);
        // SAFETY: the cell outlives this function: the task has not ended.
        let waker = unsafe { borrowed_waker(header) };
        let mut cx = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the stage is ours and holds the future.
            let future = unsafe { &mut *Self::body(header).future };
            let on_unwind = OnUnwind::<F>(header, PhantomData);
            // SAFETY: the future is never moved: it is dropped in its place.
            let polled = unsafe { Pin::new_unchecked(future) }.poll(&mut cx);
            std::mem::forget(on_unwind);
            polled
        }));
        (polled, current.leave())
    }

    /// Enters the task among the live ones after its first poll; false: there are none any more, it has to end.
    #[inline]
    fn enter(header: NonNull<Header>, site: &Site<'_>) -> bool {
        // SAFETY: called by the runner, for whom the cell is there.
        let task = unsafe { header.as_ref() };
        if task.place().is_some() {
            return true;
        }
        let Some((live, shard)) = site.live else { return true };
        let Some(place) = live.enter(shard, header) else { return false };
        task.set_place(place);
        true
    }

    /// # Safety
    /// The caller must have the right to run the task.
    unsafe fn cancel(header: NonNull<Header>, site: &Site<'_>, no_thread: Option<io::Error>) {
        // SAFETY: the scheduler's reference keeps the cell.
        let _ = unsafe { header.as_ref() }.state.start();
        // SAFETY: started, so the stage is ours.
        unsafe { Self::finish(header, site, Err(no_thread)) };
    }

    /// Ends a task. `result`: what its poll ended with; or that it is cancelled, for want of a thread perhaps.
    ///
    /// # Safety
    /// The caller must be the runner; the stage holds the future, or, after a poll that panicked, nothing. The cell must
    /// not be used afterwards.
    unsafe fn finish(
        header: NonNull<Header>,
        site: &Site<'_>,
        result: Result<JoinResult<F::Output>, Option<io::Error>>,
    ) {
        // SAFETY: the scheduler's reference keeps the cell until it is let go of below.
        let task = unsafe { header.as_ref() };
        let completed = result.is_ok();
        let result = result.unwrap_or_else(|why| Err(JoinError::cancelled(task.id, why)));
        // SAFETY: passed on from the caller.
        let result = unsafe { Self::drop_future(header, result) };
        if let (Some((live, _)), Some(place)) = (site.live, task.place()) {
            live.leave(place);
        }
        site.count_end(completed);
        if !task.state.is_joined() {
            if needs_drop::<F::Output>() || result.is_err() {
                let _current = Current::enter(header);
                contain(|| drop(result));
            }
            if task.state.finish_unjoined() {
                // SAFETY: it was the last reference.
                unsafe { Self::free(header) };
            }
            return;
        }
        // SAFETY: the stage is ours, and empty.
        unsafe { Self::body(header).output = ManuallyDrop::new(result) };
        task.stage.set(Stage::Output);
        match task.state.finish_joined() {
            Finished::HandedOver => return,
            Finished::WakeJoiner => {
                // SAFETY: `JOIN_WAKER` was set when the task was done, so the place is ours.
                if let Some(waker) = unsafe { task.take_join_waker() } {
                    contain(|| waker.wake());
                }
            }
            Finished::Unwanted => {
                let _current = Current::enter(header);
                // SAFETY: the handle was gone before the task was done, so the output is ours.
                contain(|| unsafe { Self::drop_output(header) });
            }
        }
        // SAFETY: the scheduler's reference, which is ours to let go of.
        unsafe { release(header) };
    }

    /// Drops the future in its place, unless the panic of its poll has done so. A panic of this drop takes the place of an
    /// output.
    ///
    /// # Safety
    /// As for `finish`.
    #[inline]
    unsafe fn drop_future(header: NonNull<Header>, result: JoinResult<F::Output>) -> JoinResult<F::Output> {
        // SAFETY: the caller is the runner.
        let task = unsafe { header.as_ref() };
        // First the mark: a drop that panics is not tried again.
        let stage = task.stage.replace(Stage::Empty);
        if !needs_drop::<F>() || stage == Stage::Empty {
            return result;
        }
        let _current = Current::enter(header);
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the stage is ours.
            let body = unsafe { Self::body(header) };
            // SAFETY: it held the future, whose mark is gone, so that nobody touches it again.
            unsafe { ManuallyDrop::drop(&mut body.future) };
        }));
        let Err(payload) = dropped else { return result };
        contain(|| drop(result));
        Err(JoinError::panic(task.id, payload))
    }

    /// # Safety
    /// The output must be the caller's, and `to` point to room for it.
    unsafe fn take_output(header: NonNull<Header>, to: *mut ()) {
        // SAFETY: the cell is there, for the caller has a reference.
        unsafe { header.as_ref() }.stage.set(Stage::Empty);
        // SAFETY: the output is the caller's, and with it the stage.
        let body = unsafe { Self::body(header) };
        // SAFETY: the stage held the output, which is moved out: its mark is gone.
        let output = unsafe { ManuallyDrop::take(&mut body.output) };
        // SAFETY: the caller says so.
        unsafe { to.cast::<JoinResult<F::Output>>().write(output) };
    }

    /// # Safety
    /// The output must be the caller's.
    unsafe fn drop_output(header: NonNull<Header>) {
        // SAFETY: the cell is there, for the caller has a reference.
        unsafe { header.as_ref() }.stage.set(Stage::Empty);
        // SAFETY: the output is the caller's, and with it the stage.
        let body = unsafe { Self::body(header) };
        // SAFETY: the stage held the output; its mark is gone, so that nobody touches it again.
        unsafe { ManuallyDrop::drop(&mut body.output) };
    }

    /// # Safety
    /// Nobody may have a reference.
    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: the cell is there until `release`.
        let task = unsafe { header.as_ref() };
        debug_assert_eq!(task.stage.get(), Stage::Empty);
        // SAFETY: nobody has a reference, so the place is ours. It is empty, unless a waker's clone has panicked.
        let waker = unsafe { task.take_join_waker() };
        if waker.is_some() {
            contain(|| drop(waker));
        }
        // SAFETY: allocated with this layout in `create`; what was in it is dropped.
        unsafe { pool::release(header.cast(), Layout::new::<Cell<F>>()) };
    }

    /// # Safety
    /// The stage must be the caller's for as long as the reference is used.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "there is no reference to derive it from")]
    unsafe fn body<'a>(header: NonNull<Header>) -> &'a mut Body<F> {
        // SAFETY: the header stands at the front of its cell, whose address `create` made of the whole cell.
        let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
        // SAFETY: the stage is the caller's.
        unsafe { &mut *cell.body.get() }
    }
}
