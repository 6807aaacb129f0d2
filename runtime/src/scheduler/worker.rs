//! The multi-thread flavour: what its workers share, and what each of them does.
//!
//! A worker's round: every `event_interval` polls a look at the driver; the task in its slot, if the slot has not had
//! its share; else one from its local queue (every `global_queue_interval` polls the injector comes first, so that
//! tasks from outside are seen even if local ones never end); else from the injector; else stolen; else a job of somebody's
//! `join` (those from outside also come at the injector's interval); else it spins for some microseconds; else it sleeps, on the driver if that is free. `idle.rs` says why no wake-up is lost.
//!
//! **The slot's share.** Two tasks that wake each other would go through the slot for ever, so after [`SLOT_RUNS`] runs
//! in a row, or sooner if those take long, its task goes behind those of the queue.
//!
//! **The watch** (`idle.rs`) looks every few milliseconds after what running workers leave unattended: if no other worker
//! has turned the driver since its last look, it takes its place there; if a worker is in the same poll as then and a task
//! in its slot, it takes that task. Work that wakes it sooner does not put the look at the slots off, and a worker that
//! never sleeps looks there too.
//!
//! Ownership: `Shared` is everyone's; `Local` belongs to its thread, and only its queue's stealer is shared; the
//! driver belongs to whoever holds its lock, which is only ever tried, never waited for.
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

use super::idle::Idle;
use super::injector::Injector;
use super::queue::{self, Slot, Stealers};
use super::{LocalGuard, Settings, Spawned, budget, run_hook, with_local};
use crate::driver::{self, Driver};
use crate::join::hub::{self, Hub};
use crate::join::job::Job;
use crate::metrics::{Counts, WorkerMetrics};
use crate::park::{self, Parker, Spin};
use crate::rng::Rng;
use crate::sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::prim::deque::Worker as Deque;
use crate::sync::prim::{Mutex, now, thread};
use crate::task::cell::{self, Schedule};
use crate::task::header::{Notified, Site};
use crate::task::live::Live;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// While spinning, every how many looks at the queues the driver is looked at too (a few system calls).
const SPINS_PER_TURN: u32 = 8;

/// How many tasks in a row are run from the slot while others wait.
const SLOT_RUNS: u32 = 16;
/// How long that may take, looked at every [`SLOT_RUNS`] / 4 runs.
const SLOT_TIME: Duration = Duration::from_micros(50);

/// How often a worker yields before it takes more of a stream of tasks: a microsecond or two.
const STREAM_YIELDS: u32 = 4;

/// How often a worker yields before it takes tasks from another.
const STEAL_YIELDS: u32 = 4;

/// How long the watch sleeps at first, and at most; each look that finds nothing to do doubles it.
const WATCH_FIRST: Duration = Duration::from_millis(1);
const WATCH_MAX: Duration = Duration::from_millis(8);
/// After so many looks in a row with all workers asleep, about a tenth of a second, the watch retires.
const WATCH_LOOKS: u32 = 16;

/// What the workers of a runtime share.
pub(crate) struct Shared {
    injector: Injector,
    slots: Box<[CachePadded<Slot>]>,
    stealers: Stealers,
    /// The jobs of `join`.
    hub: Hub,
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
    jobs: Deque<Job>,
}

/// Sets up the shared state and a seat for each of `workers` threads.
pub(crate) fn create(
    workers: usize,
    settings: Settings,
    driver: Driver,
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
        driver: Mutex::new(Some(driver)),
        driver_handle,
        live: Live::new(workers),
        settings,
        shutting_down: AtomicBool::new(false),
        all_cancelled: AtomicBool::new(false),
        present: AtomicUsize::new(workers),
        metrics: (0..workers).map(|_| CachePadded::default()).collect(),
    });
    let seat = |(index, (queue, jobs))| Seat { shared: Arc::clone(&shared), index, queue, jobs };
    let seats = queues.into_iter().zip(jobs).enumerate().map(seat).collect();
    (shared, seats)
}

impl Schedule for Shared {
    unsafe fn schedule(this: *const Shared, task: Notified) {
        let left = with_local(|local| match local {
            Some(super::Local::Worker(local)) if std::ptr::eq(Arc::as_ptr(&local.shared), this) => {
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
            Ok(()) => shared.notify(),
            // Nobody gets here: the injector closes when every task that can be woken has ended.
            Err(refused) => drop(refused),
        }
    }
}

impl Local {
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
    /// Makes a task of `future` and queues it.
    #[inline]
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> Spawned<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, handle) = cell::create(future, Arc::as_ptr(self));
        if self.is_shutting_down() {
            return Spawned { handle, refused: Some(task) };
        }
        let left = with_local(|local| match local {
            Some(super::Local::Worker(local)) if Arc::ptr_eq(&local.shared, self) => {
                self.metrics[local.index].spawned.add(1);
                local.push(task);
                None
            }
            _ => Some(task),
        });
        let refused = match left.map(|task| self.injector.push_new(task)) {
            None => None,
            Some(Ok(())) => {
                self.notify();
                None
            }
            Some(Err(refused)) => Some(refused),
        };
        Spawned { handle, refused }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Does any worker sleep? A hint, without a fence.
    #[inline]
    pub(crate) fn has_sleepers(&self) -> bool {
        self.idle.has_sleepers()
    }

    /// Wakes a worker if the idle protocol wants one.
    pub(crate) fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.unpark(worker);
        }
    }

    fn unpark(&self, worker: usize) {
        self.parkers[worker].unpark(|| self.driver_handle.unpark());
    }

    fn any_work(&self) -> bool {
        !self.injector.is_empty() || self.stealers.any_work() || self.hub.any_work()
    }

    #[inline]
    fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Acquire)
    }

    /// Refuses tasks, cancels the live ones, sends the workers home. Idempotent.
    pub(crate) fn shut_down(&self) {
        // First the flag: a task that is woken by the drop of another, or by its end, must find it raised.
        self.shutting_down.store(true, Ordering::Release);
        self.hub.close();
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
        let in_slot = self.slots.get(worker).is_some_and(|slot| !slot.is_empty());
        self.stealers.len_of(worker) + usize::from(in_slot)
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of(self.metrics.iter().map(|metrics| &**metrics), self.injector.spawned())
    }

    pub(crate) fn idle_counts(&self) -> (u64, u64) {
        self.idle.counts()
    }
}

impl Seat {
    /// Does a worker's work on this thread until the runtime shuts down.
    pub(crate) fn run(self) {
        let Seat { shared, index, queue, jobs } = self;
        driver::use_shard(index);
        let local = Rc::new(Local { shared: Arc::clone(&shared), index, queue, turning: Cell::new(false) });
        let _guard = LocalGuard::enter(super::Local::Worker(Rc::clone(&local)));
        let joins = hub::Context::new(&shared, &shared.hub, index, jobs);
        let _entered = joins.enter();
        Worker {
            local: &local,
            shared: &shared,
            joins: &joins,
            slot: &shared.slots[index],
            site: Site { metrics: Some(&shared.metrics[index]), live: Some((&shared.live, index)) },
            metrics: &shared.metrics[index],
            rng: Rng::new(index as u64),
            spin: Spin::new(),
            until_event: shared.settings.event_interval,
            until_global: shared.settings.global_queue_interval,
            slot_runs: 0,
            slot_since: now(),
            turn: index,
            streaming: false,
            searching: false,
            owes_look: false,
            watch: Watch::new(shared.parkers.len()),
            busy_since: now(),
        }
        .run();
    }

    /// For a seat whose thread could not be started.
    pub(crate) fn vacate(self) {
        self.shared.present.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a worker finds to do.
enum Found {
    Task(Notified),
    /// A part of somebody's `join`.
    Job(Job),
}

struct Worker<'a> {
    local: &'a Local,
    shared: &'a Shared,
    joins: &'a hub::Context<'a>,
    slot: &'a Slot,
    site: Site<'a>,
    metrics: &'a WorkerMetrics,
    rng: Rng,
    spin: Spin,
    /// Polls until the next look at the driver.
    until_event: u32,
    /// Polls until the injector comes first.
    until_global: u32,
    /// Tasks run from the slot, one after the other.
    slot_runs: u32,
    /// When the first of them was looked at.
    slot_since: Instant,
    /// Which shard of the injector comes first.
    turn: usize,
    /// Has taken from the injector, and not been without work since.
    streaming: bool,
    /// Counted as searching by `idle`.
    searching: bool,
    /// Has slept, or given the driver back, and has not looked since whether there is a watch.
    owes_look: bool,
    watch: Watch,
    busy_since: Instant,
}

/// What a worker remembers as the watch, from one look to the next.
struct Watch {
    interval: Duration,
    /// Looks in a row that found all workers asleep.
    quiet: u32,
    /// When this worker last looked at the slots, as the watch or between two polls.
    looked: Instant,
    /// Each worker's count of polls then.
    polls: Box<[u64]>,
    /// Turns of the driver by other workers, up to the last look at it. Those of the watch itself say nothing.
    turns: u64,
    /// The driver was turned between the last two looks: whoever did that will be back, so it is left to them.
    driver_in_use: bool,
}

impl Watch {
    fn new(workers: usize) -> Watch {
        let polls = vec![u64::MAX; workers].into();
        Watch { interval: WATCH_FIRST, quiet: 0, looked: now(), polls, turns: 0, driver_in_use: false }
    }
}

impl Worker<'_> {
    fn run(mut self) {
        loop {
            self.until_event -= 1;
            if self.until_event == 0 {
                self.until_event = self.shared.settings.event_interval;
                self.glance_at_driver();
            }
            let found = self.next().map(Found::Task).or_else(|| self.search());
            // Only now: a task may be here because the shutdown woke it, and must not go on.
            if self.shared.is_shutting_down() {
                match found {
                    Some(Found::Task(task)) => task.cancel(&self.site, None),
                    Some(Found::Job(job)) => job.give_back(&self.shared.hub),
                    None => {}
                }
                break;
            }
            match found {
                Some(Found::Task(task)) => self.poll(task),
                Some(Found::Job(job)) => self.run_job(job),
                None => self.sleep(),
            }
        }
        self.leave();
    }

    #[inline]
    fn next(&mut self) -> Option<Notified> {
        self.until_global -= 1;
        if self.until_global == 0 {
            self.until_global = self.shared.settings.global_queue_interval;
            if let Some(job) = self.shared.hub.take_injected() {
                self.run_job(job);
            }
            if let Some(task) = self.grab() {
                return Some(task);
            }
        }
        if let Some(task) = self.slot.take() {
            if self.slot_has_share() {
                return Some(task);
            }
            self.local.queue.push(task);
        }
        self.slot_runs = 0;
        if let Some(task) = self.local.queue.pop() {
            return Some(task);
        }
        if self.shared.injector.is_empty() {
            return None;
        }
        if self.streaming {
            self.let_injector_fill();
        }
        self.grab()
    }

    /// Before a worker that has just run all of its tasks takes more from the injector: lets others run for a moment.
    /// Whoever pushes, perhaps on this very core, gets ahead then. To take tasks one by one as they come would cost both
    /// sides more, in transfers of cache lines, than the tasks themselves.
    fn let_injector_fill(&mut self) {
        for _ in 0..STREAM_YIELDS {
            park::yield_once();
        }
    }

    /// May another task from the slot come before those of the queue?
    #[inline]
    fn slot_has_share(&mut self) -> bool {
        self.slot_runs += 1;
        if !self.slot_runs.is_multiple_of(SLOT_RUNS / 4) || self.local.queue.is_empty() {
            return true;
        }
        let now = now();
        if self.slot_runs == SLOT_RUNS / 4 {
            self.slot_since = now;
        }
        self.slot_runs < SLOT_RUNS && now.duration_since(self.slot_since) < SLOT_TIME
    }

    fn grab(&mut self) -> Option<Notified> {
        self.turn = self.turn.wrapping_add(1);
        let task = self.shared.injector.grab(self.turn, |task| self.local.queue.push(task))?;
        self.streaming = true;
        Some(task)
    }

    #[inline]
    fn poll(&mut self, task: Notified) {
        self.hand_duties_on();
        self.metrics.polls.add(1);
        let Some(task) = budget::limited(|| task.run(&self.site)) else { return };
        // Woken while it ran, or it yielded. This worker takes it up again itself, but first what is before it.
        let others_wait = !self.local.queue.is_empty();
        self.local.queue.push(task);
        if others_wait && self.shared.idle.may_help() {
            self.shared.notify();
        }
    }

    fn run_job(&mut self, job: Job) {
        self.hand_duties_on();
        self.joins.run(job);
    }

    /// Before this worker runs foreign code, a task or a hook: sees to what it was counted on for, as a searcher or as
    /// a sleeper.
    #[inline]
    fn hand_duties_on(&mut self) {
        if self.searching || self.owes_look {
            self.hand_on();
        }
    }

    #[cold]
    fn hand_on(&mut self) {
        let was_last = std::mem::take(&mut self.searching) && self.shared.idle.stop_search();
        let owes_look = std::mem::take(&mut self.owes_look);
        if (was_last || owes_look) && self.shared.any_work() {
            self.shared.notify();
        }
        if owes_look
            && self.shared.idle.needs_watch()
            && let Some(worker) = self.shared.idle.wake_any()
        {
            self.shared.unpark(worker);
        }
    }

    /// Looks through all the queues, and again for a while. Counts as searching until `poll` or `sleep`.
    fn search(&mut self) -> Option<Found> {
        self.streaming = false;
        // What the last task has sent may be here already, for one of this worker's own.
        if self.poll_driver()
            && let Some(task) = self.local.queue.pop()
        {
            return Some(Found::Task(task));
        }
        if !self.searching {
            if !self.shared.idle.start_search() {
                return None;
            }
            self.searching = true;
        }
        // Before it takes from others: what is left of a burst of small tasks is done by its worker in the time that the
        // transfer takes.
        for _ in 0..STEAL_YIELDS {
            park::yield_once();
        }
        if let Some(found) = self.find() {
            return Some(found);
        }
        // What the last tasks have sent may have come back already, and costs less to fetch than one yield of the CPU.
        if self.poll_driver()
            && let Some(found) = self.find()
        {
            return Some(found);
        }
        let mut spin = std::mem::replace(&mut self.spin, Spin::new());
        let mut looks = 0_u32;
        let found = spin.run(|| {
            looks += 1;
            if looks.is_multiple_of(SPINS_PER_TURN) {
                self.poll_driver();
            }
            if self.shared.is_shutting_down() {
                return Some(None);
            }
            let work = !self.local.queue.is_empty() || self.shared.any_work();
            work.then(|| self.find()).flatten().map(Some)
        });
        self.spin = spin;
        found.flatten()
    }

    /// A task, or else a job, from wherever there is one.
    fn find(&mut self) -> Option<Found> {
        if let Some(task) = self.take_from_anyone() {
            return Some(Found::Task(task));
        }
        let start = self.rng.below(self.shared.parkers.len());
        self.shared.hub.take(self.local.index, start).map(Found::Job)
    }

    fn take_from_anyone(&mut self) -> Option<Notified> {
        let own = self.slot.take().or_else(|| self.local.queue.pop());
        if let Some(task) = own.or_else(|| self.grab()) {
            return Some(task);
        }
        let start = self.rng.below(self.shared.parkers.len());
        let task = self.shared.stealers.steal(self.local.index, start, &self.local.queue)?;
        self.metrics.steals.add(1);
        Some(task)
    }

    /// While busy: serves events and timers that are due, if nobody else is on the driver.
    fn glance_at_driver(&mut self) {
        // One task is no reason to wake a sleeper: this worker is about to take it up itself.
        let leaves_some = |shared: &Shared| {
            !shared.injector.is_empty() || shared.local_len(self.local.index) > 1 || shared.hub.any_work()
        };
        if self.poll_driver() && leaves_some(self.shared) {
            self.shared.notify();
        }
        // If all workers are awake there is no watch, and one of them may be in a long poll.
        self.look_at_slots(now(), WATCH_MAX);
    }

    /// Turns the driver, without waiting, unless another worker has it; false if so.
    fn poll_driver(&mut self) -> bool {
        let Some(mut driver) = self.shared.driver.try_lock() else { return false };
        self.turn(&mut driver, Some(Duration::ZERO));
        drop(driver);
        // Someone may have been turned away meanwhile and sleep without the driver.
        self.owes_look = true;
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
        // The final check. What a hook has put into our slot counts: nobody else would look there.
        if self.shared.any_work() || !self.slot.is_empty() {
            // Stay awake, and search whether or not enough others do.
            self.searching = true;
            // The watch may have seen this worker asleep, and have retired.
            self.owes_look = true;
            if !idle.leave(self.local.index) {
                idle.insist_on_search();
            }
            return;
        }
        if !self.shared.is_shutting_down() {
            self.park();
        }
        self.searching = idle.leave(self.local.index);
        self.owes_look = true;
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

    /// Sleeps, on the driver if it is free, until a token comes, a turn ends, or the watch has to look.
    fn park(&mut self) {
        let start = now();
        self.metrics.busy_ns.add_time(start.duration_since(self.busy_since));
        self.metrics.parks.add(1);
        let watching = self.begin_watch();
        let limit = watching.then_some(self.watch.interval);
        let parker = &self.shared.parkers[self.local.index];
        let left_to_others = watching && self.watch.driver_in_use;
        let driver = if left_to_others { None } else { self.shared.driver.try_lock() };
        if let Some(mut driver) = driver {
            parker.park_turning(|| self.turn(&mut driver, limit));
        } else {
            parker.park_for(limit);
        }
        self.metrics.unparks.add(1);
        self.busy_since = now();
        let slept = self.busy_since.duration_since(start);
        if watching {
            self.end_watch(slept);
        }
        self.spin.parked(slept);
    }

    /// Becomes the watch, if there is none and one is wanted.
    fn begin_watch(&mut self) -> bool {
        let idle = &self.shared.idle;
        let alone = self.shared.parkers.len() == 1;
        if alone || !idle.begin_watch(self.local.index) {
            return false;
        }
        self.watch.quiet = if idle.all_sleep() { self.watch.quiet + 1 } else { 0 };
        if self.watch.quiet <= WATCH_LOOKS {
            return true;
        }
        self.watch.quiet = 0;
        !idle.retire(self.local.index)
    }

    /// The watch is awake: looks after what running workers have left; at the driver only if it slept for as long as it
    /// wanted.
    fn end_watch(&mut self, slept: Duration) {
        self.shared.idle.end_watch();
        self.look_at_slots(self.busy_since, WATCH_FIRST);
        if slept < self.watch.interval {
            self.watch.interval = WATCH_FIRST;
            self.watch.quiet = 0;
            self.watch.driver_in_use = false;
            return;
        }
        self.watch.interval = (self.watch.interval * 2).min(WATCH_MAX);
        let others = self.shared.metrics.iter().enumerate().filter(|&(worker, _)| worker != self.local.index);
        let turns = others.map(|(_, metrics)| metrics.turns.get()).sum();
        // With all workers asleep nobody will be back, but one of them is on the driver: whoever goes to sleep tries it.
        self.watch.driver_in_use = turns != self.watch.turns && !self.shared.idle.all_sleep();
        self.watch.turns = turns;
    }

    /// Takes the tasks in the slots of workers that are in the same poll as at this worker's last look, if that was so
    /// long ago.
    fn look_at_slots(&mut self, now: Instant, interval: Duration) {
        if now.duration_since(self.watch.looked) < interval {
            return;
        }
        self.watch.looked = now;
        for (worker, metrics) in self.shared.metrics.iter().enumerate() {
            let polls = metrics.polls.get();
            let in_same_poll = std::mem::replace(&mut self.watch.polls[worker], polls) == polls;
            if in_same_poll
                && worker != self.local.index
                && let Some(task) = self.shared.slots[worker].take()
            {
                self.metrics.steals.add(1);
                self.local.queue.push(task);
            }
        }
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
        // What this worker polled last may have been running when the list was closed, and be idle now.
        self.shared.live.close_and_cancel();
        self.drain();
        if self.shared.present.fetch_sub(1, Ordering::AcqRel) == 1 {
            while !self.shared.live.is_empty() || !self.shared.injector.close_if_empty() {
                self.drain();
                // A task that is neither here nor in a queue is in a waker's call, about to be queued.
                thread::yield_now();
            }
            self.shared.close();
        }
    }

    fn drain(&mut self) {
        while let Some(task) = self.take_from_anyone() {
            task.cancel(&self.site, None);
        }
    }
}
