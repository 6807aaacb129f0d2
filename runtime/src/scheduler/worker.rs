//! The multi-thread flavour: what its workers share, and what each of them does.
//!
//! A worker's round: every `event_interval` polls a look at the driver; a task from its local queue (every
//! `global_queue_interval` polls the injector comes first, so that tasks from outside are seen even if local ones
//! never end); else from the injector; else stolen; else it spins for some microseconds; else it sleeps, on the
//! driver if that is free. `idle.rs` says why no wake-up is lost, and why the driver is never left alone while a
//! worker sleeps.
//!
//! Ownership: `Shared` is everyone's; `Local` belongs to its thread, and only its queue's stealer is shared; the
//! driver belongs to whoever holds its lock, which is only ever tried, never waited for.
//!
//! Shutdown, in `shut_down`:
//! 1. `shutting_down` is raised. A worker looks at it after it has taken a task and before it polls it; so **nothing
//!    that the shutdown makes ready is polled**: whoever takes such a task sees the flag, which was raised before.
//! 2. The live list is closed and its tasks are cancelled, which queues them. Workers drop what they find.
//! 3. `all_cancelled` is raised, and each worker, after a last look, leaves. The last one closes the injector and
//!    drops the driver. Not earlier: a task that finds the injector closed is dropped inside of its waker's call, and
//!    whoever wakes may hold a lock that the task's drop needs. From here on no live task is left to be woken.
//!
//! A worker that is stuck in a poll cleans up whenever that poll ends.

use super::idle::Idle;
use super::queue::{self, Injector, Stealers};
use super::{LocalGuard, Settings, budget, push_local, run_hook};
use crate::driver::{self, Driver};
use crate::metrics::WorkerMetrics;
use crate::park::{Parker, Spin};
use crate::rng::Rng;
use crate::sync::prim::Mutex;
use crate::task::cell::{Notified, Schedule};
use crate::task::live::Live;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// While spinning, every how many looks at the queues the driver is looked at too (a few system calls).
const SPINS_PER_TURN: u32 = 8;

/// What the workers of a runtime share.
pub(crate) struct Shared {
    injector: Injector,
    stealers: Stealers,
    idle: Idle,
    parkers: Box<[CachePadded<Parker>]>,
    driver: Mutex<Option<Driver>>,
    driver_handle: driver::Handle,
    live: Live,
    settings: Settings,
    /// Raised once (Release), before the first task is cancelled; read (Acquire) in each round, between taking a
    /// task and polling it.
    shutting_down: AtomicBool,
    /// Raised once (Release), after the last task is cancelled; read (Acquire) by workers that are about to leave,
    /// which then find all cancelled tasks in the queues.
    all_cancelled: AtomicBool,
    /// Workers that have not cleaned up yet. The last to leave (AcqRel) sees what the others left behind.
    present: AtomicUsize,
    metrics: Box<[CachePadded<WorkerMetrics>]>,
}

/// A worker's side of [`Shared`], seen by `schedule` through the thread-local.
pub(crate) struct Local {
    shared: Arc<Shared>,
    index: usize,
    queue: queue::Local,
    /// The driver is being turned on this thread: tasks that it wakes are announced once, after the turn.
    turning: Cell<bool>,
}

/// A worker before its thread starts.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    index: usize,
    queue: queue::Local,
}

/// Sets up the shared state and a seat for each of `workers` threads.
pub(crate) fn create(
    workers: usize,
    settings: Settings,
    driver: Driver,
    driver_handle: driver::Handle,
) -> (Arc<Shared>, Vec<Seat>) {
    let queues: Vec<_> = (0..workers).map(|_| queue::Local::new()).collect();
    let shared = Arc::new(Shared {
        injector: Injector::default(),
        stealers: Stealers::of(&queues),
        idle: Idle::new(workers),
        parkers: (0..workers).map(|_| CachePadded::new(Parker::new())).collect(),
        driver: Mutex::new(Some(driver)),
        driver_handle,
        live: Live::new(workers),
        settings,
        shutting_down: AtomicBool::new(false),
        all_cancelled: AtomicBool::new(false),
        present: AtomicUsize::new(workers),
        metrics: (0..workers).map(|_| CachePadded::default()).collect(),
    });
    let seat = |(index, queue)| Seat { shared: Arc::clone(&shared), index, queue };
    let seats = queues.into_iter().enumerate().map(seat).collect();
    (shared, seats)
}

impl Schedule for Shared {
    fn schedule(self: &Arc<Self>, task: Notified, yielded: bool) {
        let mut announce = true;
        let left = push_local(task, |local, task| match local {
            super::Local::Worker(local) if Arc::ptr_eq(&local.shared, self) => {
                local.queue.push(task);
                // The poll of a task that yielded is over, so this worker is about to take it up again itself.
                announce = !local.turning.get() && !yielded;
                None
            }
            _ => Some(task),
        });
        if let Some(task) = left
            && let Err(refused) = self.injector.push(task)
        {
            drop(refused);
            return;
        }
        if announce {
            self.notify();
        }
    }

    fn live(&self) -> &Live {
        &self.live
    }
}

impl Shared {
    /// Wakes a worker if the idle protocol wants one.
    fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.unpark(worker);
        }
    }

    fn unpark(&self, worker: usize) {
        self.parkers[worker].unpark(|| self.driver_handle.unpark());
    }

    fn any_work(&self) -> bool {
        !self.injector.is_empty() || self.stealers.any_work()
    }

    fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Acquire)
    }

    /// Refuses tasks, cancels the live ones, sends the workers home. Idempotent.
    pub(crate) fn shut_down(&self) {
        // First the flag: a task that is woken by the drop of another, or by its end, must find it raised.
        self.shutting_down.store(true, Ordering::Release);
        self.live.close_and_cancel();
        self.all_cancelled.store(true, Ordering::Release);
        (0..self.parkers.len()).for_each(|worker| self.unpark(worker));
    }

    /// The last worker has gone: nothing can be queued or turned from now on.
    fn close(&self) {
        let driver = self.driver.lock().take();
        drop(driver);
    }

    pub(crate) fn metrics(&self) -> &[CachePadded<WorkerMetrics>] {
        &self.metrics
    }

    pub(crate) fn injector_len(&self) -> usize {
        self.injector.len()
    }

    pub(crate) fn local_len(&self, worker: usize) -> usize {
        self.stealers.len_of(worker)
    }

    pub(crate) fn idle_counts(&self) -> (u64, u64) {
        self.idle.counts()
    }
}

impl Seat {
    /// Does a worker's work on this thread until the runtime shuts down.
    pub(crate) fn run(self) {
        let Seat { shared, index, queue } = self;
        let local = Rc::new(Local { shared: Arc::clone(&shared), index, queue, turning: Cell::new(false) });
        let _guard = LocalGuard::enter(super::Local::Worker(Rc::clone(&local)));
        Worker {
            local: &local,
            shared: &shared,
            metrics: &shared.metrics[index],
            rng: Rng::new(index as u64),
            spin: Spin::new(),
            tick: 0,
            searching: false,
            has_turned: false,
            busy_since: Instant::now(),
        }
        .run();
    }

    /// For a seat whose thread could not be started.
    pub(crate) fn vacate(self) {
        self.shared.present.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Worker<'a> {
    local: &'a Local,
    shared: &'a Shared,
    metrics: &'a WorkerMetrics,
    rng: Rng,
    spin: Spin,
    tick: u32,
    /// Counted as searching by `idle`.
    searching: bool,
    /// Gave the driver back and has not seen to a successor yet.
    has_turned: bool,
    busy_since: Instant,
}

impl Worker<'_> {
    fn run(mut self) {
        loop {
            self.tick = self.tick.wrapping_add(1);
            if self.tick.is_multiple_of(self.shared.settings.event_interval) {
                self.glance_at_driver();
            }
            let task = self.next().or_else(|| self.search());
            // Only now: a task may be here because the shutdown woke it, and must not go on.
            if self.shared.is_shutting_down() {
                drop(task);
                break;
            }
            match task {
                Some(task) => self.poll(task),
                None => self.sleep(),
            }
        }
        self.leave();
    }

    fn next(&mut self) -> Option<Notified> {
        if self.tick.is_multiple_of(self.shared.settings.global_queue_interval) {
            self.grab().or_else(|| self.local.queue.pop())
        } else {
            self.local.queue.pop().or_else(|| self.grab())
        }
    }

    fn grab(&self) -> Option<Notified> {
        self.shared.injector.grab(self.shared.parkers.len(), |task| self.local.queue.push(task))
    }

    fn poll(&mut self, task: Notified) {
        self.hand_duties_on();
        self.metrics.polls.add(1);
        budget::limited(|| task.run());
    }

    /// Before this worker runs foreign code, a task or a hook: hands on what it was counted on for, as a searcher or
    /// after its turn of the driver.
    fn hand_duties_on(&mut self) {
        let was_last = std::mem::take(&mut self.searching) && self.shared.idle.stop_search();
        if std::mem::take(&mut self.has_turned) || was_last {
            self.hand_on();
        }
    }

    /// Before this worker is busy: someone else should take over what it leaves behind, the rest of the work or the
    /// driver.
    fn hand_on(&self) {
        if self.shared.any_work() || !self.shared.idle.driver_is_attended() {
            self.shared.notify();
        }
    }

    /// Looks through all the queues, and again for a while. Counts as searching until `poll` or `sleep`.
    fn search(&mut self) -> Option<Notified> {
        if !self.searching {
            if !self.shared.idle.start_search() {
                return None;
            }
            self.searching = true;
        }
        if let Some(task) = self.take_from_anyone() {
            return Some(task);
        }
        let mut spin = std::mem::replace(&mut self.spin, Spin::new());
        let mut looks = 0_u32;
        let found = spin.run(|| {
            looks += 1;
            if looks % SPINS_PER_TURN == 1 {
                self.poll_driver();
            }
            if self.shared.is_shutting_down() {
                return Some(None);
            }
            let work = !self.local.queue.is_empty() || self.shared.any_work();
            work.then(|| self.take_from_anyone()).flatten().map(Some)
        });
        self.spin = spin;
        found.flatten()
    }

    fn take_from_anyone(&mut self) -> Option<Notified> {
        if let Some(task) = self.local.queue.pop().or_else(|| self.grab()) {
            return Some(task);
        }
        let start = self.rng.below(self.shared.parkers.len());
        let task = self.shared.stealers.steal(self.local.index, start, &self.local.queue)?;
        self.metrics.steals.add(1);
        Some(task)
    }

    /// While busy: serves events and timers that are due, if nobody else is on the driver.
    fn glance_at_driver(&mut self) {
        if self.poll_driver() {
            self.has_turned = false;
            self.hand_on();
        }
    }

    /// Turns the driver, without waiting, unless another worker has it; false if so.
    fn poll_driver(&mut self) -> bool {
        let Some(mut driver) = self.shared.driver.try_lock() else { return false };
        self.turn(&mut driver, Some(Duration::ZERO));
        drop(driver);
        // Someone may have been turned away meanwhile and sleep without the driver.
        self.has_turned = true;
        true
    }

    /// One turn. The driver's mark is cleared before the caller gives the lock back.
    fn turn(&self, driver: &mut Option<Driver>, limit: Option<Duration>) {
        let Some(driver) = driver else { return };
        self.shared.idle.take_driver(self.local.index);
        self.local.turning.set(true);
        self.metrics.turns.add(1);
        let turned = driver.turn(limit);
        self.local.turning.set(false);
        self.shared.idle.leave_driver();
        if let Err(error) = turned {
            tracing::error!(%error, "the driver's turn failed; sockets and timers of this runtime may stall");
        }
    }

    fn sleep(&mut self) {
        self.hook(self.shared.settings.on_park.as_ref());
        let idle = &self.shared.idle;
        idle.fall_asleep(self.local.index, std::mem::take(&mut self.searching));
        if self.shared.any_work() {
            // The final check: stay awake, and search whether or not enough others do.
            self.searching = true;
            if !idle.leave(self.local.index) {
                idle.insist_on_search();
            }
            return;
        }
        if !self.shared.is_shutting_down() {
            self.park();
        }
        self.searching = idle.leave(self.local.index);
        self.hook(self.shared.settings.on_unpark.as_ref());
    }

    /// Runs a hook. It may take its time, so nobody may count on this worker meanwhile; what it spawns or wakes
    /// is found by the next look at the queues.
    fn hook(&mut self, hook: Option<&super::Hook>) {
        if hook.is_some() {
            self.hand_duties_on();
            run_hook(hook);
        }
    }

    /// Sleeps, on the driver if it is free, until a token comes or a turn ends.
    fn park(&mut self) {
        let start = Instant::now();
        self.metrics.busy_ns.add_time(start.duration_since(self.busy_since));
        self.metrics.parks.add(1);
        let parker = &self.shared.parkers[self.local.index];
        if let Some(mut driver) = self.shared.driver.try_lock() {
            parker.park_turning(|| self.turn(&mut driver, None));
            drop(driver);
            self.has_turned = true;
        } else {
            parker.park();
        }
        self.metrics.unparks.add(1);
        self.busy_since = Instant::now();
        self.spin.parked(self.busy_since.duration_since(start));
    }

    /// Drops the tasks that are left; each is cancelled and queued by `shut_down`.
    fn leave(mut self) {
        if std::mem::take(&mut self.searching) {
            let _ = self.shared.idle.stop_search();
        }
        while !self.shared.all_cancelled.load(Ordering::Acquire) {
            self.drain();
            // `shut_down` unparks everyone after it has raised the flag.
            self.shared.parkers[self.local.index].park();
        }
        self.drain();
        if self.shared.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            while !self.shared.injector.close_if_empty() {
                self.drain();
            }
            self.shared.close();
        }
    }

    fn drain(&mut self) {
        while let Some(task) = self.take_from_anyone() {
            drop(task);
        }
    }
}
