//! Where the workers' stack jobs stand: a deque per worker, and a queue of jobs from other threads.
//!
//! [`Hub`] is what the workers share, [`Context`] a worker's own side of it, found through a thread-local.
//!
//! # The deque's discipline
//! Its worker pushes a job at the beginning of each `join` and takes it back at the end; thieves take the oldest job. So:
//!
//! 1. **A worker that finds its newest job stolen has an empty deque**: whatever is older was stolen before it. What a
//!    worker pops is therefore always the job that it pushed last and has not popped; and a worker that waits for a
//!    stolen job, or is between two tasks, has an empty deque.
//! 2. **While worker T runs job b that it stole, all jobs in T's deque descend from b**: when T took b its deque was empty
//!    (1); since then it has pushed jobs of b, and, while it waited inside of b, jobs of jobs that descend from b.
//!
//! # Leapfrogging
//! A worker O that waits for its job b, which T has taken, steals from T's deque and from nowhere else, and then looks at
//! b's latch. Still open: b was running when the steal took place, so by (2) the stolen job descends from b, and O runs it.
//! Ended: T may have gone on to something else meanwhile, so the job is given back to its own owner. If the job is foreign
//! O always sees the latch closed: T closed it before it pushed the foreign job, and O's look comes after it has seen that
//! push (crossbeam's steal acquires what the push released). So **a wait never runs foreign work**, which might want a
//! lock that O's frames below hold.
//!
//! Nobody waits for ever: of the jobs that are waited for, one that is nested deepest is not waiting itself, but running.
//!
//! # Wake-ups
//! A push has to be noticed by workers that sleep (`scheduler/idle.rs`) and by the sleeping owner of the job that the
//! pushing worker runs, which could leapfrog. A fence after each push would double its price, so it is spent only:
//!
//! - when the deque was empty: whoever goes to sleep looks at the deques last, and would miss this job without the fence;
//! - or when a look without a fence shows a sleeper.
//!
//! Otherwise an older job stands in the deque, which keeps whoever looks from falling asleep. If that one is stolen in
//! the very instant in which the new one is pushed and another worker falls asleep, nobody may be woken for the new one
//! until the next push, or until the watch looks (`scheduler/worker.rs`), some milliseconds later. That costs parallelism
//! only: the pushing worker itself runs what nobody takes.

use super::job::{End, Header, Job};
use crate::park::{Parker, Spin};
use crate::scheduler::worker;
use crate::sync::prim::atomic::{AtomicUsize, Ordering};
use crate::sync::prim::deque::{Steal, Stealer, Worker as Deque};
use crate::sync::prim::{Mutex, now, thread_local};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// How often a waiting worker looks at its job's latch before it yields the CPU: most jobs that are stolen in vain, for
/// their smallness, end within that time.
const PROBES: usize = 64;

/// What a runtime's workers share.
#[derive(Debug)]
pub(crate) struct Hub {
    places: Box<[CachePadded<Place>]>,
    injected: Mutex<Injected>,
    /// How many jobs are injected: written under the lock (Release), read without (Acquire). That a falling-asleep worker
    /// sees a job whose notifier missed it is up to the fences of `idle.rs`.
    injected_len: AtomicUsize,
}

/// A worker, as others see it.
#[derive(Debug)]
struct Place {
    stealer: Stealer<Job>,
    /// Here the worker waits for its stolen jobs.
    parker: Parker,
}

#[derive(Debug, Default)]
struct Injected {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Hub {
    /// A hub, and each worker's deque.
    pub(crate) fn new(workers: usize) -> (Hub, Vec<Deque<Job>>) {
        let deques: Vec<_> = (0..workers).map(|_| Deque::new_lifo()).collect();
        let place =
            |deque: &Deque<Job>| CachePadded::new(Place { stealer: deque.stealer(), parker: Parker::new() });
        let hub = Hub {
            places: deques.iter().map(place).collect(),
            injected: Mutex::default(),
            injected_len: AtomicUsize::new(0),
        };
        (hub, deques)
    }

    /// Queues a job for any worker; the caller notifies one. After [`Hub::close`] the job comes back.
    pub(crate) fn inject(&self, job: Job) -> Result<(), Job> {
        let mut injected = self.injected.lock();
        if injected.closed {
            return Err(job);
        }
        injected.jobs.push_back(job);
        self.injected_len.store(injected.jobs.len(), Ordering::Release);
        Ok(())
    }

    /// Takes an injected job.
    pub(crate) fn take_injected(&self) -> Option<Job> {
        if self.injected_len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut injected = self.injected.lock();
        let job = injected.jobs.pop_front();
        self.injected_len.store(injected.jobs.len(), Ordering::Release);
        job
    }

    /// Takes a job for worker `thief`, which is between two tasks: another worker's oldest, from `start` on, or an
    /// injected one. `None` means that all were seen empty once.
    pub(crate) fn take(&self, thief: usize, start: usize) -> Option<Job> {
        let count = self.places.len();
        for place in (0..count).map(|step| (start + step) % count).filter(|&place| place != thief) {
            if let Some(job) = self.steal_from(place) {
                return Some(job);
            }
        }
        self.take_injected()
    }

    fn steal_from(&self, place: usize) -> Option<Job> {
        let stealer = &self.places.get(place)?.stealer;
        loop {
            match stealer.steal() {
                Steal::Success(job) => return Some(job),
                Steal::Empty => return None,
                Steal::Retry => crate::sync::prim::spin_loop(),
            }
        }
    }

    /// Is there a job for anyone?
    pub(crate) fn any_work(&self) -> bool {
        self.injected_len.load(Ordering::Acquire) > 0
            || self.places.iter().any(|place| !place.stealer.is_empty())
    }

    /// From now on jobs are refused; those that wait go back to their owners. Jobs in deques are their owners' business,
    /// who cannot leave before they are done.
    pub(crate) fn close(&self) {
        let jobs = {
            let mut injected = self.injected.lock();
            injected.closed = true;
            self.injected_len.store(0, Ordering::Release);
            std::mem::take(&mut injected.jobs)
        };
        jobs.into_iter().for_each(|job| job.give_back(self));
    }

    /// Parks the calling worker, which waits for a stolen job.
    pub(super) fn park(&self, worker: usize) {
        self.places[worker].parker.park();
    }

    /// Unparks a worker that waits for a stolen job.
    pub(super) fn unpark(&self, worker: usize) {
        self.places[worker].parker.unpark(|| {});
    }
}

thread_local! {
    /// The context of the worker that this thread is. Valid while it is not null: see [`Context::enter`].
    static CONTEXT: Cell<*const Context<'static>> = const { Cell::new(ptr::null()) };
}

/// A worker's own side of the hub.
pub(crate) struct Context<'a> {
    shared: &'a worker::Shared,
    hub: &'a Hub,
    index: usize,
    /// Changed only by [`Context::leave`] and [`Left::come_back`], with no join under way.
    deque: UnsafeCell<Deque<Job>>,
    /// Joins under way on this thread: jobs that were pushed and have neither come back nor been waited for.
    joins: Cell<u32>,
    /// The job that this worker took last from another and has not ended yet: its owner may have to be woken to help.
    running: Cell<Option<NonNull<Header>>>,
    spin: RefCell<Spin>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        shared: &'a worker::Shared,
        hub: &'a Hub,
        index: usize,
        deque: Deque<Job>,
    ) -> Context<'a> {
        let deque = UnsafeCell::new(deque);
        let (joins, running, spin) = (Cell::new(0), Cell::new(None), RefCell::new(Spin::new()));
        Context { shared, hub, index, deque, joins, running, spin }
    }

    #[inline]
    fn deque(&self) -> &Deque<Job> {
        // SAFETY: changed on this thread only, while no call of a method here is under way.
        unsafe { &*self.deque.get() }
    }

    /// Makes this thread no worker for a while, and gives its deque away; `None` if it is not one, or cannot: inside of a
    /// `join`.
    pub(crate) fn leave() -> Option<(Left, Deque<Job>)> {
        let context = CONTEXT.with(Cell::get);
        // SAFETY: as in `with`.
        let ours = unsafe { context.as_ref() }?;
        if ours.joins.get() > 0 || ours.running.get().is_some() {
            return None;
        }
        CONTEXT.with(|cell| cell.set(ptr::null()));
        // SAFETY: no join is under way, so nobody has a reference.
        let deque = unsafe { &mut *ours.deque.get() };
        Some((Left(context), std::mem::replace(deque, Deque::new_lifo())))
    }

    /// Makes this thread the worker, for as long as the guard lives.
    pub(crate) fn enter(&self) -> Entered<'_> {
        CONTEXT.with(|cell| cell.set(ptr::from_ref(self).cast()));
        Entered(PhantomData)
    }

    /// Calls `f` with this thread's context, if it is a worker.
    #[inline]
    pub(super) fn with<R>(f: impl FnOnce(Option<&Context<'_>>) -> R) -> R {
        let context = CONTEXT.with(Cell::get);
        // SAFETY: null, or set by `enter` of a context that its guard still borrows: the guard resets the pointer when it is
        // dropped, and `f`, which runs on this thread, ends before.
        f(unsafe { context.as_ref() })
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Offers a job to thieves. To be followed by [`Context::take_back`].
    #[inline]
    pub(super) fn push(&self, job: Job) {
        self.joins.set(self.joins.get() + 1);
        let was_empty = self.deque().is_empty();
        self.deque().push(job);
        if was_empty || self.shared.has_sleepers() || self.owner_sleeps() {
            self.announce();
        }
    }

    /// Takes the job that was pushed last; false: it was stolen.
    #[inline]
    pub(super) fn take_back(&self, header: &Header) -> bool {
        match self.deque().pop() {
            Some(job) => {
                self.joins.set(self.joins.get() - 1);
                debug_assert!(job.is(header), "a worker's newest job is the one that it asks for");
                true
            }
            None => false,
        }
    }

    fn owner_sleeps(&self) -> bool {
        // SAFETY: the job that this worker runs is in place until `run` signals its end.
        self.running.get().is_some_and(|header| unsafe { header.as_ref() }.owner_sleeps())
    }

    #[cold]
    fn announce(&self) {
        // Begins with a SeqCst fence, which serves the look at the owner's state as well.
        self.shared.notify();
        if let Some(header) = self.running.get() {
            // SAFETY: as in `owner_sleeps`.
            unsafe { header.as_ref() }.wake_owner(self.hub);
        }
    }

    /// Runs a job that was taken from another worker or from the hub.
    pub(crate) fn run(&self, job: Job) {
        debug_assert!(self.deque().is_empty(), "a thief has nothing of its own left");
        let before = self.running.replace(job.of_worker());
        job.run(self.index, self.hub);
        self.running.set(before);
    }

    /// Waits until a job of this worker's that was stolen has ended. Meanwhile runs jobs that descend from it.
    pub(super) fn wait(&self, header: &Header) -> End {
        loop {
            if let Some(end) = header.end() {
                self.joins.set(self.joins.get() - 1);
                return end;
            }
            if let Some(job) = self.leapfrog(header) {
                self.run(job);
                continue;
            }
            if (0..PROBES).any(|_| header.end().is_some()) {
                continue;
            }
            let changed = || (header.end().is_some() || self.may_leapfrog(header)).then_some(());
            if self.spin.borrow_mut().run(changed).is_none() {
                self.park(header);
            }
        }
    }

    /// A job that descends from the given one, which was stolen.
    fn leapfrog(&self, header: &Header) -> Option<Job> {
        let job = self.hub.steal_from(header.thief()?)?;
        // Only now: see the module's docs.
        if header.end().is_none() {
            return Some(job);
        }
        job.give_back(self.hub);
        None
    }

    fn may_leapfrog(&self, header: &Header) -> bool {
        let place = header.thief().and_then(|thief| self.hub.places.get(thief));
        place.is_some_and(|place| !place.stealer.is_empty())
    }

    fn park(&self, header: &Header) {
        if !header.fall_asleep() {
            return;
        }
        if !self.may_leapfrog(header) {
            let start = now();
            self.hub.park(self.index);
            self.spin.borrow_mut().parked(now().duration_since(start));
        }
        header.get_up();
    }
}

/// The context of a worker whose thread is away; see [`Context::leave`].
pub(crate) struct Left(*const Context<'static>);

impl Left {
    /// Makes the thread, on which the context still is, the worker again.
    pub(crate) fn come_back(&self, jobs: Deque<Job>) {
        // SAFETY: not `Send`, so this is the context's thread; whoever is away from it is inside of its frame.
        let context = unsafe { &*self.0 };
        // SAFETY: no join is under way on it, so nobody has a reference.
        unsafe { *context.deque.get() = jobs };
        CONTEXT.with(|cell| cell.set(self.0));
    }
}

/// This thread is a worker; see [`Context::enter`].
#[must_use]
pub(crate) struct Entered<'a>(PhantomData<&'a Context<'a>>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CONTEXT.with(|cell| cell.set(ptr::null()));
    }
}
