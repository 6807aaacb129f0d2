//! What the workers of a runtime share, and a worker's side of it that its thread's wake-ups see.
//!
//! Ownership: `Shared` is everyone's; `Local` belongs to its thread, and only its queue's stealer is shared; the
//! driver of a worker belongs to whoever holds its lock, which is only ever tried, never waited for.
//!
//! Shutdown, in `shut_down`:
//! 1. `shutting_down` is raised. A worker looks at it after it has taken a task and before it polls it; so **nothing
//!    that the shutdown makes ready is polled**: whoever takes such a task sees the flag, which was raised before.
//! 2. The live list is closed and its idle tasks are cancelled, which queues them. Workers drop what they find, and each
//!    does the same once more after its last poll, for tasks that went idle meanwhile.
//! 3. `all_cancelled` is raised, and each worker, after a last look, leaves. The last one waits until every task of the
//!    live list has ended (one may be on its way to a queue, in a waker's call), closes the injector and drops the
//!    driver. Not earlier: a task that finds the injector closed is dropped inside of its waker's call, and whoever
//!    wakes may hold a lock that the task's drop needs. From here on no task is left to be woken.
//!
//! A worker that is stuck in a poll cleans up whenever that poll ends.

use super::{Home, Seat};
use crate::driver::{self, Driver};
use crate::join::hub::Hub;
use crate::metrics::{Counts, WorkerMetrics};
use crate::observe::Observers;
use crate::park::Parker;
use crate::scheduler::idle::Idle;
use crate::scheduler::injector::{Injector, Pushed};
use crate::scheduler::queue::{self, Slot, Stealers};
use crate::scheduler::{self, LocalGuard, Settings, Spawned, with_local};
use crate::sync::prim::Mutex;
use crate::sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::task::cell::{self, Schedule};
use crate::task::header::Notified;
use crate::task::live::Live;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::panic::Location;
use std::sync::Arc;

/// What the workers of a runtime share.
pub(crate) struct Shared {
    pub(super) injector: Injector,
    pub(super) slots: Box<[CachePadded<Slot>]>,
    pub(super) stealers: Stealers,
    /// The jobs of `join`.
    pub(super) hub: Hub,
    pub(super) idle: Idle,
    pub(super) parkers: Box<[CachePadded<Parker>]>,
    pub(super) drivers: Box<[CachePadded<Mutex<Option<Driver>>>]>,
    pub(super) driver_handle: driver::Handle,
    pub(super) live: Live,
    pub(super) settings: Settings,
    pub(super) observers: Observers,
    /// Raised once (Release), before the first task is cancelled; read (Acquire) in each round, between taking a
    /// task and polling it.
    pub(super) shutting_down: AtomicBool,
    /// Raised once (Release), after the last task is cancelled; read (Acquire) by workers that are about to leave,
    /// which then find all cancelled tasks in the queues.
    pub(super) all_cancelled: AtomicBool,
    /// Seats that have not been given up, and threads that are away from theirs. The last to leave (AcqRel) sees what the others left behind.
    pub(super) present: AtomicUsize,
    pub(super) metrics: Box<[CachePadded<WorkerMetrics>]>,
    /// Ends of tasks on threads that have lost their seats. Several write it.
    pub(super) strays: WorkerMetrics,
}

/// A worker's side of [`Shared`], seen by `schedule` through the thread-local.
pub(crate) struct Local {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) queue: queue::Local,
    /// The driver is being turned on this thread: tasks that it wakes are announced once, after the turn.
    pub(super) turning: Cell<bool>,
    /// This thread has the seat; else see `hand_over.rs`.
    pub(super) seated: Cell<bool>,
    /// Of a stray: keeps its wake-ups away from the seat.
    pub(super) stray: Cell<Option<LocalGuard>>,
    pub(super) home: Home,
}

/// Sets up the shared state and a seat for each of `workers` threads.
pub(crate) fn create(
    workers: usize,
    settings: Settings,
    drivers: Vec<Driver>,
    driver_handle: driver::Handle,
) -> (Arc<Shared>, Vec<Seat>) {
    let queues: Vec<_> = (0..workers).map(|_| queue::Local::new()).collect();
    let (hub, jobs) = Hub::new(workers);
    let shared = Arc::new(Shared {
        injector: Injector::new(workers),
        slots: (0..workers).map(|_| CachePadded::default()).collect(),
        stealers: Stealers::of(&queues),
        hub,
        idle: Idle::new(workers),
        parkers: (0..workers).map(|_| CachePadded::new(Parker::new())).collect(),
        drivers: drivers.into_iter().map(|driver| CachePadded::new(Mutex::new(Some(driver)))).collect(),
        driver_handle,
        live: Live::new(workers),
        observers: Observers::new(workers, settings.detector.clone()),
        settings,
        shutting_down: AtomicBool::new(false),
        all_cancelled: AtomicBool::new(false),
        present: AtomicUsize::new(workers),
        metrics: (0..workers).map(|_| CachePadded::default()).collect(),
        strays: WorkerMetrics::default(),
    });
    let seat = |(index, (queue, jobs))| Seat { shared: Arc::clone(&shared), index, queue, jobs };
    let seats = queues.into_iter().zip(jobs).enumerate().map(seat).collect();
    (shared, seats)
}

impl Schedule for Shared {
    unsafe fn schedule(this: *const Shared, task: Notified) {
        let left = with_local(|local| match local {
            Some(scheduler::Local::Worker(local)) if std::ptr::eq(Arc::as_ptr(&local.shared), this) => {
                local.shared.metrics[local.index].woken.add(1);
                local.push(task);
                None
            }
            _ => Some(task),
        });
        let Some(task) = left else { return };
        // SAFETY: it is alive until the task is queued; from then on this reference keeps it.
        unsafe { Arc::increment_strong_count(this) };
        // SAFETY: the reference counted above.
        let shared = unsafe { Arc::from_raw(this) };
        match shared.injector.push(task) {
            Ok(pushed) => shared.announce(pushed),
            // Nobody gets here: the injector closes when every task that can be woken has ended.
            Err(refused) => drop(refused),
        }
    }
}

impl Local {
    pub(in crate::scheduler) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    pub(in crate::scheduler) fn is_ending(&self) -> bool {
        self.shared.is_shutting_down()
    }

    /// Queues a task that was woken or spawned on this thread.
    #[inline]
    fn push(&self, task: Notified) {
        if self.turning.get() {
            self.queue.push(task);
            return;
        }
        // What is in the slot is run by this worker next, so it needs no notification; what was there does.
        if let Some(before) = self.shared.slots[self.index].put(task) {
            self.queue.push(before);
            self.shared.notify();
        }
    }
}

impl Shared {
    /// Makes a task of `future`, spawned at `location`, and queues it.
    #[inline]
    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        future: F,
        location: &'static Location<'static>,
    ) -> Spawned<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, handle) = cell::create(future, Arc::as_ptr(self), location);
        if self.is_shutting_down() {
            return Spawned { handle, refused: Some(task) };
        }
        let left = with_local(|local| match local {
            Some(scheduler::Local::Worker(local)) if Arc::ptr_eq(&local.shared, self) => {
                self.metrics[local.index].spawned.add(1);
                local.push(task);
                None
            }
            _ => Some(task),
        });
        let refused = match left.map(|task| self.injector.push_new(task)) {
            None => None,
            Some(Ok(pushed)) => {
                self.announce(pushed);
                None
            }
            Some(Err(refused)) => Some(refused),
        };
        Spawned { handle, refused }
    }

    /// Queues a task that a stray has polled and that goes on.
    #[cold]
    pub(super) fn requeue(&self, task: Notified) {
        match self.injector.push(task) {
            Ok(pushed) => self.announce(pushed),
            // Nobody gets here: the injector closes when this thread has departed.
            Err(refused) => drop(refused),
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Does any worker sleep? A hint, without a fence.
    #[inline]
    pub(crate) fn has_sleepers(&self) -> bool {
        self.idle.has_sleepers()
    }

    /// A task was pushed onto the injector: notifies, unless the one before it did ("Behind others" in `idle.rs`).
    #[inline]
    fn announce(&self, pushed: Pushed) {
        if pushed == Pushed::First {
            self.notify();
        }
    }

    /// Wakes a worker if the idle protocol wants one.
    pub(crate) fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.unpark(worker);
        }
    }

    pub(super) fn unpark(&self, worker: usize) {
        self.parkers[worker].unpark(|| self.driver_handle.unpark_queue(worker));
    }

    pub(super) fn any_work(&self) -> bool {
        !self.injector.is_empty() || self.stealers.any_work() || self.hub.any_work()
    }

    #[inline]
    pub(in crate::scheduler) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Acquire)
    }

    /// Refuses tasks, cancels the live ones, sends the workers home. Idempotent.
    pub(crate) fn shut_down(&self) {
        // First the flag: a task that is woken by the drop of another, or by its end, must find it raised.
        self.shutting_down.store(true, Ordering::Release);
        self.hub.close();
        self.live.close_and_cancel();
        self.observers.close();
        self.all_cancelled.store(true, Ordering::Release);
        (0..self.parkers.len()).for_each(|worker| self.unpark(worker));
    }

    /// The last worker has gone: nothing can be queued or turned from now on.
    pub(super) fn close(&self) {
        for driver in &self.drivers {
            let driver = driver.lock().take();
            drop(driver);
        }
    }

    pub(crate) fn metrics(&self) -> &[CachePadded<WorkerMetrics>] {
        &self.metrics
    }

    pub(crate) fn injected(&self) -> u64 {
        self.injector.pushed()
    }

    pub(crate) fn injector_len(&self) -> usize {
        self.injector.len()
    }

    pub(crate) fn local_len(&self, worker: usize) -> usize {
        let in_slot = self.slots.get(worker).is_some_and(|slot| !slot.is_empty());
        self.stealers.len_of(worker) + usize::from(in_slot)
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }

    pub(crate) fn counts(&self) -> Counts {
        let workers = self.metrics.iter().map(|metrics| &**metrics);
        Counts::of(workers.chain([&self.strays]), self.injector.spawned())
    }

    pub(crate) fn idle_counts(&self) -> (u64, u64) {
        self.idle.counts()
    }
}
