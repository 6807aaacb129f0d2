//! A task as everyone but its own code sees it: the [`Header`] at the front of its cell, behind untyped pointers.
//!
//! Three kinds of pointers, each worth one reference (see `state.rs`):
//! - [`Notified`]: a task that was woken, with the right to run it. There is at most one of each task; it stands in a
//!   queue, is run, or is cancelled. It borrows the scheduler's reference instead of having its own;
//! - [`TaskRef`]: any handle's;
//! - a `Waker`, whose vtable is [`WAKER`].
//!
//! **The scheduler stays while it is needed.** The header's pointer to it is not counted. Only a task that has not
//! ended uses it, to queue its `Notified`; and a scheduler's last worker stays until all of its tasks that went
//! through a poll have ended (`live.rs`). One that did not is in a queue, where nobody needs to put it.

use super::live::Place;
use super::state::{State, Woken};
use super::{Current, Id};
use crate::error::contain;
use crate::metrics::WorkerMetrics;
use crate::observe::Subject;
use crate::sync::prim::thread_local;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What stands at the front of every cell. 64 bytes.
pub(crate) struct Header {
    pub(super) state: State,
    pub(super) vtable: &'static Vtable,
    pub(super) scheduler: *const (),
    pub(super) id: Id,
    /// Where it was spawned.
    location: &'static Location<'static>,
    /// Whose it is, the handle's or the completer's, is said by the state.
    pub(super) join_waker: UnsafeCell<Option<Waker>>,
    /// Where the task is entered among the live ones: its slot in this shard, which may be [`NO_SHARD`]. The runner's.
    slot: Cell<u32>,
    shard: Cell<u16>,
    /// What the cell holds. The runner's, and after `DONE` the handle's.
    pub(super) stage: Cell<Stage>,
}

/// What a cell holds behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Future,
    Output,
    /// The output was taken, or never stored.
    Empty,
}

/// A cell's own code.
pub(super) struct Vtable {
    /// Polls the task once. `Some`: it is scheduled again, and the caller has its `Notified`; it has yielded, or not.
    pub(super) run: unsafe fn(NonNull<Header>, &Site<'_>) -> Option<bool>,
    /// Drops the future; the handle is told that it was cancelled, or that there was no thread for it.
    pub(super) cancel: unsafe fn(NonNull<Header>, &Site<'_>, Option<io::Error>),
    /// Queues a woken task.
    pub(super) schedule: unsafe fn(*const (), Notified),
    /// Moves the output to where the pointer points.
    pub(super) take_output: unsafe fn(NonNull<Header>, *mut ()),
    pub(super) drop_output: unsafe fn(NonNull<Header>),
    /// Gives the memory back.
    pub(super) free: unsafe fn(NonNull<Header>),
}

/// Where a task is run or cancelled: what has to be told of its beginning and end.
#[derive(Clone, Copy, Default)]
pub(crate) struct Site<'a> {
    /// The counters of the worker on this thread.
    pub(crate) metrics: Option<&'a WorkerMetrics>,
    /// The list of live tasks, and the shard that this thread enters tasks in. `None`: tasks here never wait.
    pub(crate) live: Option<(&'a super::live::Live, usize)>,
    /// Is this thread still the writer of `metrics`, and if not, where all those count that are not.
    pub(crate) strays: Option<(&'a Cell<bool>, &'a WorkerMetrics)>,
}

impl<'a> Site<'a> {
    /// Counts the end of a task.
    #[inline]
    pub(super) fn count_end(&self, completed: bool) {
        let counter =
            |metrics: &'a WorkerMetrics| if completed { &metrics.completed } else { &metrics.cancelled };
        match (self.metrics, self.strays) {
            (_, Some((seated, strays))) if !seated.get() => counter(strays).add_shared(1),
            (Some(metrics), _) => counter(metrics).add(1),
            (None, _) => {}
        }
    }
}

const NO_SHARD: u16 = u16::MAX;

impl Header {
    /// Of a new task, which holds its future.
    #[inline]
    pub(super) fn new(
        vtable: &'static Vtable,
        scheduler: *const (),
        location: &'static Location<'static>,
    ) -> Header {
        Header {
            state: State::new(),
            vtable,
            scheduler,
            id: Id::next(),
            location,
            join_waker: UnsafeCell::new(None),
            slot: Cell::new(0),
            shard: Cell::new(NO_SHARD),
            stage: Cell::new(Stage::Future),
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        let shard = self.shard.get();
        (shard != NO_SHARD).then(|| Place { shard, slot: self.slot.get() })
    }

    pub(super) fn set_place(&self, place: Place) {
        debug_assert_ne!(place.shard, NO_SHARD);
        self.shard.set(place.shard);
        self.slot.set(place.slot);
    }

    /// Takes out the waker that waits for the task's end, if there is one. The caller must own its place.
    ///
    /// # Safety
    /// The state must say that the place is the caller's.
    pub(super) unsafe fn take_join_waker(&self) -> Option<Waker> {
        // SAFETY: the caller owns the place, so nobody else looks at it.
        unsafe { (*self.join_waker.get()).take() }
    }
}

/// A woken task on its way to a worker, with the right to run it. Dropping it cancels the task.
pub(crate) struct Notified(NonNull<Header>);

// SAFETY: the cell's future and output are `Send` (`cell.rs` asks for it), and a `Notified` is their only way to
// another thread but the handle's.
unsafe impl Send for Notified {}

impl Notified {
    /// # Safety
    /// The caller must have the right: it has just set `SCHEDULED`, or made the task.
    pub(super) unsafe fn from_header(header: NonNull<Header>) -> Notified {
        Notified(header)
    }

    #[inline]
    fn into_header(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    /// For an intrusive or atomic place to keep it in.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut Header {
        self.into_header().as_ptr()
    }

    /// # Safety
    /// The pointer must come from [`into_raw`](Notified::into_raw), and be used once.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut Header) -> Option<Notified> {
        NonNull::new(raw).map(Notified)
    }

    /// Which task it is, for who looks at polls.
    #[inline]
    pub(crate) fn subject(&self) -> Subject {
        // SAFETY: the scheduler's reference keeps the cell until the task has ended.
        let task = unsafe { self.0.as_ref() };
        Subject { location: task.location, task: Some(task.id) }
    }

    /// Polls the task once. Gives it back if it was woken meanwhile, or yielded: it should go behind the others.
    #[inline]
    pub(crate) fn run(self, site: &Site<'_>) -> Option<Again> {
        let header = self.into_header();
        // SAFETY: the scheduler's reference keeps the cell until the task has ended.
        let vtable = unsafe { header.as_ref() }.vtable;
        // SAFETY: we have the right to run it, and pass it on.
        let again = unsafe { (vtable.run)(header, site) };
        again.map(|yielded| Again { task: Notified(header), yielded })
    }

    /// Queues it.
    pub(super) fn schedule(self) {
        // SAFETY: the right is ours, and passed on.
        unsafe { schedule(self.into_header()) };
    }

    /// Ends the task without another poll.
    pub(crate) fn cancel(self, site: &Site<'_>, no_thread: Option<io::Error>) {
        let header = self.into_header();
        // SAFETY: as in `run`.
        let vtable = unsafe { header.as_ref() }.vtable;
        // SAFETY: as in `run`.
        unsafe { (vtable.cancel)(header, site, no_thread) };
    }
}

/// A task that is to be polled again.
#[must_use = "the task has to be queued"]
pub(crate) struct Again {
    pub(crate) task: Notified,
    /// It lets others go first; if there are none, those that the driver has news for.
    pub(crate) yielded: bool,
}

impl Drop for Notified {
    fn drop(&mut self) {
        Notified(self.0).cancel(&Site::default(), None);
    }
}

impl fmt::Debug for Notified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notified")
    }
}

/// One reference to a task.
pub(super) struct TaskRef(NonNull<Header>);

// SAFETY: everything behind it that is not atomic is guarded by the state; the typed handles ask for `T: Send`.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// # Safety
    /// The caller gives away one reference.
    pub(super) unsafe fn from_counted(header: NonNull<Header>) -> TaskRef {
        TaskRef(header)
    }

    /// A further reference to a task that the caller knows to be alive.
    ///
    /// # Safety
    /// The cell must not be freed during the call.
    pub(super) unsafe fn of(header: NonNull<Header>) -> TaskRef {
        // SAFETY: the caller says so.
        unsafe { header.as_ref() }.state.ref_inc();
        TaskRef(header)
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: our reference keeps the cell.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(super) fn raw(&self) -> NonNull<Header> {
        self.0
    }

    /// Asks the task to end.
    pub(super) fn abort(&self) {
        if self.header().state.abort() {
            // SAFETY: we have set `SCHEDULED`.
            unsafe { schedule(self.0) };
        }
    }

    /// Lets go of it without looking at whether it is the last, for a caller who knows that it is not.
    #[inline]
    pub(super) fn forget(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> TaskRef {
        // SAFETY: our reference keeps the cell.
        unsafe { TaskRef::of(self.0) }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: our reference is given up here.
        unsafe { release(self.0) };
    }
}

/// Lets go of one reference.
///
/// # Safety
/// The caller must have it, and not use it any more.
#[inline]
pub(super) unsafe fn release(header: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the cell until here.
    let task = unsafe { header.as_ref() };
    let vtable = task.vtable;
    if task.state.ref_dec() {
        // SAFETY: it was the last reference, so nobody else can reach the cell.
        unsafe { (vtable.free)(header) };
    }
}

/// Queues a task.
///
/// # Safety
/// The caller must have just set `SCHEDULED`: it has the `Notified`.
unsafe fn schedule(header: NonNull<Header>) {
    // SAFETY: the task has not ended, so the scheduler's reference keeps the cell.
    let task = unsafe { header.as_ref() };
    // SAFETY: the scheduler is there, see the module's docs; the right is the caller's.
    unsafe { (task.vtable.schedule)(task.scheduler, Notified(header)) };
}

/// A waker's vtable; its data is the header.
pub(super) static WAKER: RawWakerVTable =
    RawWakerVTable::new(clone_waker, wake_by_value, wake_by_ref, drop_waker);

/// The waker for a task's own poll: it borrows the scheduler's reference, so it must not be dropped.
///
/// # Safety
/// The cell must outlive what is returned.
pub(super) unsafe fn borrowed_waker(header: NonNull<Header>) -> ManuallyDrop<Waker> {
    // SAFETY: the vtable's functions keep the contract of `RawWaker`; dropping is up to nobody.
    ManuallyDrop::new(unsafe { Waker::new(header.as_ptr().cast_const().cast(), &WAKER) })
}

/// The header behind a waker's data.
///
/// # Safety
/// `data` must be the data of a waker with our vtable.
unsafe fn header_of(data: *const ()) -> NonNull<Header> {
    // SAFETY: the data is made of a `NonNull` in `borrowed_waker`.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: a waker's data.
    let header = unsafe { header_of(data) };
    // SAFETY: the waker that is cloned keeps the cell.
    unsafe { header.as_ref() }.state.ref_inc();
    RawWaker::new(data, &WAKER)
}

unsafe fn wake_by_value(data: *const ()) {
    // SAFETY: a waker's data.
    let header = unsafe { header_of(data) };
    // SAFETY: the waker's reference keeps the cell until the change below.
    let task = unsafe { header.as_ref() };
    let vtable = task.vtable;
    match task.state.wake_by_value() {
        Woken::Nothing => {}
        // SAFETY: we have set `SCHEDULED`; the scheduler's reference keeps the cell now.
        Woken::Schedule => unsafe { schedule(header) },
        // SAFETY: it was the last reference.
        Woken::Free => unsafe { (vtable.free)(header) },
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: a waker's data.
    let header = unsafe { header_of(data) };
    // SAFETY: the waker's reference keeps the cell.
    if unsafe { header.as_ref() }.state.wake_by_ref() {
        // SAFETY: we have set `SCHEDULED`.
        unsafe { schedule(header) };
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: a waker's data.
    let header = unsafe { header_of(data) };
    // SAFETY: the waker's reference.
    unsafe { release(header) };
}

/// Marks the running task as wanting another turn, if `waker` is its own: cheaper than to wake it. The mark counts
/// for a poll that returns Pending.
pub(crate) fn yield_current(waker: &Waker) -> bool {
    let ours = std::ptr::eq(waker.vtable(), &WAKER) && Current::is(waker.data().cast());
    // Outside of a task it may be the future of a `block_on`, whose waker is called as well.
    if ours || Current::is(std::ptr::null()) {
        Current::set_yielded();
    }
    ours
}

/// Is `waker` that of the running task, and will this task be polled again in any case, because it has been woken
/// during this poll, or yielded? Then waking it once more would change nothing.
#[inline]
pub(crate) fn will_run_again(waker: &Waker) -> bool {
    if !std::ptr::eq(waker.vtable(), &WAKER) || !Current::is(waker.data().cast()) {
        return false;
    }
    // SAFETY: the data of a waker with our vtable.
    let header = unsafe { header_of(waker.data()) };
    // SAFETY: the waker keeps the cell.
    Current::has_yielded() || unsafe { header.as_ref() }.state.is_woken()
}

thread_local! {
    /// How many outputs are being dropped on this thread, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static DEFERRED: Cell<Vec<TaskRef>> = const { Cell::new(Vec::new()) };
}

/// Drops an unread output. A chain of tasks, each with the next one's handle in its output, would make this call
/// itself once per link: beyond a few the rest is put aside and dropped by the outermost call.
///
/// # Safety
/// The output must be the caller's.
pub(super) unsafe fn drop_output(task: TaskRef) {
    const DEPTH_MAX: usize = 8;
    let depth = DEPTH.with(Cell::get);
    if depth >= DEPTH_MAX {
        let mut task = Some(task);
        let _ = DEFERRED.try_with(|cell| {
            let mut deferred = cell.take();
            deferred.extend(task.take());
            cell.set(deferred);
        });
        // A thread that is ending has no list any more: then it goes deeper.
        if task.is_none() {
            return;
        }
        // SAFETY: passed on to the caller.
        return unsafe { drop_now(task) };
    }
    DEPTH.with(|cell| cell.set(depth + 1));
    // SAFETY: passed on to the caller.
    unsafe { drop_now(Some(task)) };
    if depth == 0 {
        while let Some(next) = DEFERRED.try_with(pop_deferred).ok().flatten() {
            // SAFETY: it was the caller's who put it aside.
            unsafe { drop_now(Some(next)) };
        }
    }
    DEPTH.with(|cell| cell.set(depth));
}

fn pop_deferred(cell: &Cell<Vec<TaskRef>>) -> Option<TaskRef> {
    let mut deferred = cell.take();
    let next = deferred.pop();
    cell.set(deferred);
    next
}

/// # Safety
/// As for [`drop_output`].
unsafe fn drop_now(task: Option<TaskRef>) {
    let Some(task) = task else { return };
    let _current = Current::enter(task.raw());
    // SAFETY: the output is the caller's.
    contain(|| unsafe { (task.header().vtable.drop_output)(task.raw()) });
}
