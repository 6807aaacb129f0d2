//! The multi-thread flavour: what its workers share, and what each of them does.
//!
//! A worker's round: every `event_interval` polls, or when all of its tasks have yielded, a look at the driver; the task in its slot, if the slot has not had
//! its share; else one from its local queue (every `global_queue_interval` polls the injector comes first, so that
//! tasks from outside are seen even if local ones never end); else from the injector; else what the driver has for it; else
//! stolen; else a job of somebody's `join` (those from outside also come at the injector's interval); else it spins for
//! some microseconds; else it sleeps on its driver. `idle.rs` says why no wake-up is lost.
//!
//! **The slot's share.** Two tasks that wake each other would go through the slot for ever, so after [`SLOT_RUNS`] runs
//! in a row, or sooner if those take long, its task goes behind those of the queue.
//!
//! What the workers share, with the shutdown's order, is in `worker/shared.rs`; how one sleeps, in `worker/sleep.rs`. This
//! file is a worker's loop while it is awake.

pub(crate) mod hand_over;
mod shared;
mod sleep;

use super::queue::{self, Slot};
use super::trouble::Trouble;
use super::{LocalGuard, budget};
use crate::driver;
use crate::join::hub;
use crate::join::job::Job;
use crate::metrics::WorkerMetrics;
use crate::park::{self, Spin};
use crate::rng::Rng;
use crate::sync::prim::atomic::Ordering;
use crate::sync::prim::deque::Worker as Deque;
use crate::sync::prim::now;
use crate::task::header::{Again, Notified, Site};
use sleep::{WATCH_MAX, Watch};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use hand_over::Home;
pub(crate) use shared::{Local, Shared, create};

/// While spinning, every how many looks at the queues the driver is looked at too (a few system calls).
const SPINS_PER_TURN: u32 = 8;

/// How many tasks in a row are run from the slot while others wait.
const SLOT_RUNS: u32 = 16;
/// How long that may take, looked at every [`SLOT_RUNS`] / 4 runs.
const SLOT_TIME: Duration = Duration::from_micros(50);

/// How often a worker yields before it takes more of a stream of tasks: a microsecond or two.
const STREAM_YIELDS: u32 = 4;

/// The right to be a worker: before its thread starts, or between two threads (`hand_over.rs`).
pub(crate) struct Seat {
    shared: Arc<Shared>,
    index: usize,
    queue: queue::Local,
    jobs: Deque<Job>,
}

impl Seat {
    /// Does a worker's work on this thread until the runtime shuts down, or another thread has taken over.
    pub(crate) fn run(self, home: Home) {
        let Seat { shared, index, queue, jobs } = self;
        driver::use_shard(index);
        shared.driver_handle.enter(index);
        let local = Rc::new(Local {
            shared: Arc::clone(&shared),
            index,
            queue,
            turning: Cell::new(false),
            seated: Cell::new(true),
            stray: Cell::new(None),
            home,
        });
        let _guard = LocalGuard::enter(super::Local::Worker(Rc::clone(&local)));
        let joins = hub::Context::new(&shared, &shared.hub, index, jobs);
        let _entered = joins.enter();
        Worker {
            local: &local,
            shared: &shared,
            joins: &joins,
            slot: &shared.slots[index],
            site: Site {
                metrics: Some(&shared.metrics[index]),
                live: Some((&shared.live, index)),
                strays: Some((&local.seated, &shared.strays)),
            },
            metrics: &shared.metrics[index],
            rng: Rng::new(index as u64),
            spin: Spin::new(),
            until_event: shared.settings.event_interval,
            until_global: shared.settings.global_queue_interval,
            slot_runs: 0,
            slot_since: now(),
            turn: index,
            streaming: false,
            yielded: 0,
            searching: false,
            owes_look: false,
            watch: Watch::new(shared.parkers.len()),
            trouble: Trouble::default(),
            busy_since: now(),
        }
        .run();
        // A deputy's thread goes on as one of the blocking pool.
        shared.driver_handle.leave();
        drop(local.stray.take());
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
    /// The last so many polls were of tasks that yielded, all of them since the last look at the driver.
    yielded: usize,
    /// Counted as searching by `idle`.
    searching: bool,
    /// Has slept, or had the clock, and has not looked since whether there is a watch.
    owes_look: bool,
    watch: Watch,
    trouble: Trouble,
    busy_since: Instant,
}

impl Worker<'_> {
    fn run(mut self) {
        loop {
            self.until_event -= 1;
            if self.until_event == 0 {
                self.until_event = self.shared.settings.event_interval;
                self.yielded = 0;
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
                Some(Found::Task(task)) => {
                    self.poll(task);
                    if !self.local.seated.get() {
                        return self.end_as_stray();
                    }
                }
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
        let (observers, worker) = (&self.shared.observers, self.local.index);
        let subject = task.subject();
        let again = observers.around(worker, subject, || budget::limited(|| task.run(&self.site)));
        let Some(Again { task, yielded }) = again else {
            self.yielded = 0;
            return;
        };
        if !self.local.seated.get() {
            return self.shared.requeue(task);
        }
        // Woken while it ran, or it yielded. This worker takes it up again itself, but first what is before it.
        let waiting = self.local.queue.len();
        self.local.queue.push(task);
        if waiting > 0 && self.shared.idle.may_help() {
            self.shared.notify();
        }
        self.yielded = if yielded { self.yielded + 1 } else { 0 };
        if self.yielded > waiting {
            self.end_round_of_yields();
        }
    }

    /// All that is left here has yielded. Before it goes on: who waits for the driver, and in the injector.
    #[cold]
    fn end_round_of_yields(&mut self) {
        self.yielded = 0;
        self.until_event = self.shared.settings.event_interval;
        self.glance_at_driver();
        self.until_global = 1;
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
        park::yield_once();
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

    /// While busy: serves events, and timers that are due if nobody else has the clock.
    fn glance_at_driver(&mut self) {
        // One task is no reason to wake a sleeper: this worker is about to take it up itself.
        let leaves_some = |shared: &Shared| {
            !shared.injector.is_empty() || shared.local_len(self.local.index) > 1 || shared.hub.any_work()
        };
        if self.poll_driver() && leaves_some(self.shared) {
            self.shared.notify();
        }
        // If all workers are awake there is no watch, and one of them may be in a long poll.
        let _ = self.look_after_others(now(), WATCH_MAX);
    }

    /// Turns this worker's driver, without waiting, unless it is to be left alone or the watch is at it; false if so.
    fn poll_driver(&mut self) -> bool {
        if self.trouble.rest().is_some() || !self.poll_own_driver() {
            return false;
        }
        // Someone may have gone to sleep without the clock meanwhile.
        self.owes_look = true;
        true
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
        self.metrics.busy_ns.add_time(now().duration_since(self.busy_since));
        // What this worker polled last may have been running when the list was closed, and be idle now.
        self.shared.live.close_and_cancel();
        self.drain();
        let shared = self.shared;
        shared.depart(|| self.drain());
    }

    fn drain(&mut self) {
        while let Some(task) = self.take_from_anyone() {
            task.cancel(&self.site, None);
        }
    }
}
