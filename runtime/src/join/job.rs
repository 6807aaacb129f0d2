//! A job that lives on its owner's stack, and the latch on which the owner waits for it.
//!
//! [`StackJob`] holds a closure, later its result. The **owner** (the thread whose frame it is) hands out one [`Job`], a
//! pointer to it; whoever holds that pointer, a **thief**, must run the job or give it back, once, and signals the owner
//! as its last touch. The owner's frame stays until then.
//!
//! | state | meaning | leaves it |
//! |---|---|---|
//! | `OPEN` | not ended; the owner is awake | owner → `ASLEEP`; thief → `DONE`, `RETURNED` |
//! | `ASLEEP` | not ended; the owner is parked, or about to | owner, or whoever wakes it → `OPEN`; thief → `DONE`, `RETURNED` |
//! | `DONE` | the result is there | - |
//! | `RETURNED` | the closure is still there, for the owner to run | - |
//!
//! Who takes the state out of `ASLEEP` by another way than the owner has to unpark the owner. The thief's swap to `DONE`
//! (AcqRel) pairs with the owner's Acquire loads: the result is read after it was written.
//!
//! **The signal is the last touch** of the job: after its swap the owner may return and its frame be gone. What the
//! unpark needs is copied before, and does not live in the frame: a worker's parker belongs to the hub, which the
//! thief's runtime keeps alive, another thread's parker is shared by an `Arc`.

use super::hub::Hub;
use crate::park::Parker;
use crate::sync::prim::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;

const OPEN: u8 = 0;
const ASLEEP: u8 = 1;
const DONE: u8 = 2;
const RETURNED: u8 = 3;

/// The job is still in its owner's deque, or on its way to a thief.
const NOBODY: usize = usize::MAX;

/// Whom to unpark when a job has ended.
#[derive(Debug, Clone)]
pub(crate) enum Waiter {
    /// A worker of the runtime that runs the job.
    Worker(usize),
    /// Any other thread.
    Thread(Arc<Parker>),
}

impl Waiter {
    fn unpark(&self, hub: &Hub) {
        match self {
            Waiter::Worker(index) => hub.unpark(*index),
            Waiter::Thread(parker) => parker.unpark(|| {}),
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was run: the result is there.
    Done,
    /// It was given back: the owner runs it.
    Returned,
}

/// The part of a job that does not depend on its closure's type.
#[derive(Debug)]
pub(crate) struct Header {
    state: AtomicU8,
    /// The worker that took the job. Its Release store pairs with the owner's Acquire load: what the owner then steals
    /// from that worker's deque was pushed after it took this job.
    thief: AtomicUsize,
    waiter: Waiter,
    /// Runs the closure and stores what came out. To be called once, with the header's own address.
    run: unsafe fn(NonNull<Header>),
}

impl Header {
    /// How the job ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        match self.state.load(Ordering::Acquire) {
            DONE => Some(End::Done),
            RETURNED => Some(End::Returned),
            _ => None,
        }
    }

    /// The worker that runs the job, if one has begun to.
    pub(crate) fn thief(&self) -> Option<usize> {
        Some(self.thief.load(Ordering::Acquire)).filter(|&thief| thief != NOBODY)
    }

    /// The owner is about to park. False: the job has ended meanwhile. After this the owner looks once more for work that
    /// it may do, and then parks.
    pub(crate) fn fall_asleep(&self) -> bool {
        let slept = self.state.compare_exchange(OPEN, ASLEEP, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        // Pairs with the fence between the thief's push and its call of `wake`: either it sees us asleep, or our last
        // look sees its push.
        fence(Ordering::SeqCst);
        slept
    }

    /// The owner is awake again, however that came.
    pub(crate) fn get_up(&self) {
        // An error: whoever woke us, or the end of the job, has changed the state already.
        let _ = self.state.compare_exchange(ASLEEP, OPEN, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Does the owner sleep? A hint, unless a fence lies between a push and this.
    pub(crate) fn owner_sleeps(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ASLEEP
    }

    /// Wakes the owner if it sleeps: there is something that it may do. Only for the job's thief before its signal.
    pub(crate) fn wake_owner(&self, hub: &Hub) {
        if self.owner_sleeps()
            && self.state.compare_exchange(ASLEEP, OPEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            self.waiter.unpark(hub);
        }
    }
}

/// A job that was handed out: to be run or given back by whoever takes it, exactly once.
#[derive(Debug)]
#[must_use = "the owner waits for its job"]
pub(crate) struct Job(NonNull<Header>);

// SAFETY: the closure and its result are `Send` (a bound of `StackJob::hand_out`), the rest of the job is atomic or never
// changes, and the owner leaves it alone until it is signalled.
unsafe impl Send for Job {}

impl Job {
    /// Is it this one?
    pub(crate) fn is(&self, header: &Header) -> bool {
        std::ptr::eq(self.0.as_ptr(), header)
    }

    /// The job's header, which lives at least until the job is signalled, if its owner is a worker, which may be woken to
    /// help.
    pub(crate) fn of_worker(&self) -> Option<NonNull<Header>> {
        // SAFETY: the owner keeps its job in place until the signal.
        let header = unsafe { self.0.as_ref() };
        matches!(header.waiter, Waiter::Worker(_)).then_some(self.0)
    }

    /// Runs it on worker `thief` and tells the owner. Panics of the closure go to the owner.
    pub(crate) fn run(self, thief: usize, hub: &Hub) {
        let header = self.0;
        // SAFETY: the owner keeps its job in place until the signal.
        let run = unsafe { header.as_ref() }.begin(thief);
        // SAFETY: `self` is the only `Job` of this closure, and is consumed.
        unsafe { run(header) };
        self.signal(DONE, hub);
    }

    /// Leaves the job to its owner to run.
    pub(crate) fn give_back(self, hub: &Hub) {
        self.signal(RETURNED, hub);
    }

    /// The last touch of the job.
    fn signal(self, end: u8, hub: &Hub) {
        // SAFETY: as in `run`; the reference ends before the swap lets the owner go.
        let waiter = unsafe { self.0.as_ref() }.waiter.clone();
        // SAFETY: the job is in place until this swap.
        let before = unsafe { self.0.as_ref() }.state.swap(end, Ordering::AcqRel);
        if before == ASLEEP {
            waiter.unpark(hub);
        }
    }
}

impl Header {
    fn begin(&self, thief: usize) -> unsafe fn(NonNull<Header>) {
        self.thief.store(thief, Ordering::Release);
        self.run
    }
}

/// A closure on its owner's stack. `repr(C)`: the header's address is the job's.
#[repr(C)]
pub(crate) struct StackJob<F, R> {
    header: Header,
    /// There until the closure is run, by the thief or by the owner.
    closure: UnsafeCell<ManuallyDrop<F>>,
    /// There once the state is `DONE`.
    result: UnsafeCell<MaybeUninit<thread::Result<R>>>,
}

impl<F: FnOnce() -> R, R> StackJob<F, R> {
    pub(crate) fn new(closure: F, waiter: Waiter) -> StackJob<F, R> {
        StackJob {
            header: Header {
                state: AtomicU8::new(OPEN),
                thief: AtomicUsize::new(NOBODY),
                waiter,
                run: run::<F, R>,
            },
            closure: UnsafeCell::new(ManuallyDrop::new(closure)),
            result: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Makes the pointer that a thief takes.
    ///
    /// # Safety
    /// To be called once. The caller keeps the job in place until it has the pointer back, or `end` says that the job has
    /// ended; whatever happens in between must not unwind past it.
    pub(crate) unsafe fn hand_out(&self) -> Job
    where
        F: Send,
        R: Send,
    {
        // From the whole job, not from its header: `run` casts back.
        Job(NonNull::from(self).cast())
    }

    /// Runs the closure on the owner's thread. Its panic unwinds.
    ///
    /// # Safety
    /// To be called once, when nobody else has run it or can: it was never handed out, was taken back, or `end` said
    /// `Returned`.
    #[inline]
    pub(crate) unsafe fn run_here(&self) -> R {
        // SAFETY: the caller is the only one who has access to the closure.
        let closure = unsafe { &mut *self.closure.get() };
        // SAFETY: it was not taken before.
        let closure = unsafe { ManuallyDrop::take(closure) };
        closure()
    }

    /// Moves the result out.
    ///
    /// # Safety
    /// To be called once, after `end` said `Done`.
    pub(crate) unsafe fn take_result(&self) -> thread::Result<R> {
        // SAFETY: the thief has signalled and has no access any more.
        let result = unsafe { &*self.result.get() };
        // SAFETY: it wrote the result before it signalled; the caller calls once.
        unsafe { result.assume_init_read() }
    }
}

/// [`Header::run`] of a `StackJob<F, R>`.
///
/// # Safety
/// As for the field.
unsafe fn run<F: FnOnce() -> R, R>(header: NonNull<Header>) {
    // SAFETY: the header is the first field of a `StackJob<F, R>`, and its address comes from a pointer to the whole of
    // it (`hand_out`); the owner only looks at the header while we run, so shared references may coexist.
    let job = unsafe { header.cast::<StackJob<F, R>>().as_ref() };
    // SAFETY: a job is handed out once, and `Job::run` consumes it: nobody else runs the closure.
    let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { job.run_here() }));
    // SAFETY: the owner reads the result only after the signal, which comes after this.
    let result = unsafe { &mut *job.result.get() };
    result.write(outcome);
}
