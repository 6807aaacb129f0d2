//! The current-thread flavour: tasks run on the thread that is in `block_on`.
//!
//! The **core** (queue and driver) belongs to one `block_on` at a time. Others on other threads wait: they poll
//! their own future when it is woken, and take over the core when it is given back. Between two `block_on`s nothing
//! runs; woken tasks wait in the queue or the injector.
//!
//! Wake-ups: whoever is in the core parks with `Shared::parker` on the driver. A task that is woken on that thread
//! goes to its local queue; from elsewhere to the injector, followed by an unpark. The parker's token makes this
//! safe: push, then leave the token; look at the queues, then park (which returns at once if there is a token).
//!
//! The driver is turned, without waiting, whenever that is due: after `event_interval` polls, of whichever `block_on`s; when
//! all that is ready has yielded; when a park hook has made work; and when a `block_on` begins long after the last turn, for
//! an outer loop may do nothing but call short ones.
//!
//! Lock order: `slot` and the injector's lock are leaves. `Local`'s queue is borrowed only for a push or a pop.

use super::injector::Injector;
use super::trouble::Trouble;
use super::{LocalGuard, Settings, Spawned, budget, run_hook, with_local};
use crate::driver::{self, Driver};
use crate::metrics::{Counts, WorkerMetrics};
use crate::observe::{Observers, Subject};
use crate::park::{Parker, Spin};
use crate::sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::prim::{Mutex, now};
use crate::task::Current;
use crate::task::cell::{self, Schedule};
use crate::task::header::{Again, Notified, Site};
use crate::task::live::Live;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// What handles, tasks and the running thread share.
pub(crate) struct Shared {
    injector: Injector,
    slot: Mutex<Slot>,
    /// The thread in the core sleeps here.
    parker: Parker,
    driver_handle: driver::Handle,
    live: Live,
    /// Raised once (Release), before the tasks are cancelled; read (Acquire) by whoever spawns.
    shutting_down: AtomicBool,
    settings: Settings,
    observers: Observers,
    metrics: WorkerMetrics,
    /// The local queue's length, for metrics; written by the thread in the core.
    local_len: AtomicUsize,
}

/// The core while nobody has it, and who waits for it.
struct Slot {
    core: Option<Core>,
    waiting: Vec<Arc<MainWaker>>,
}

/// A `block_on` that begins so long after the last turn of the driver turns it first.
const LONG_AGO: Duration = Duration::from_millis(1);

/// What runs tasks.
struct Core {
    queue: VecDeque<Notified>,
    driver: Driver,
    trouble: Trouble,
    tick: u32,
    /// Polls since the last look at the driver.
    polls: u32,
    /// The driver has been turned since then.
    turned: Instant,
}

/// The queue while a thread has the core, seen by `schedule` through the thread-local.
pub(crate) struct Local {
    shared: Arc<Shared>,
    queue: RefCell<VecDeque<Notified>>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, driver: Driver, driver_handle: driver::Handle) -> Arc<Shared> {
        let queue = VecDeque::new();
        let core = Core { queue, driver, trouble: Trouble::default(), tick: 0, polls: 0, turned: now() };
        Arc::new(Shared {
            injector: Injector::with_shards(1),
            slot: Mutex::new(Slot { core: Some(core), waiting: Vec::new() }),
            parker: Parker::new(),
            driver_handle,
            live: Live::new(1),
            shutting_down: AtomicBool::new(false),
            observers: Observers::new(1, settings.detector.clone()),
            settings,
            metrics: WorkerMetrics::default(),
            local_len: AtomicUsize::new(0),
        })
    }

    fn unpark(&self) {
        self.parker.unpark(|| self.driver_handle.unpark());
    }

    /// Makes a task of `future`, spawned at `location`, and queues it.
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
        if self.shutting_down.load(Ordering::Acquire) {
            return Spawned { handle, refused: Some(task) };
        }
        let left = with_local(|local| match local {
            Some(super::Local::CurrentThread(local)) if Arc::ptr_eq(&local.shared, self) => {
                self.metrics.spawned.add(1);
                local.push(task);
                None
            }
            _ => Some(task),
        });
        let refused = match left.map(|task| self.injector.push_new(task)) {
            None => None,
            Some(Ok(_)) => {
                self.unpark();
                None
            }
            Some(Err(refused)) => Some(refused),
        };
        Spawned { handle, refused }
    }

    /// Where tasks run, on the thread that has the core.
    fn site(&self) -> Site<'_> {
        Site { metrics: Some(&self.metrics), live: Some((&self.live, 0)), strays: None }
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of(std::iter::once(&self.metrics), self.injector.spawned())
    }

    pub(crate) fn metrics(&self) -> &WorkerMetrics {
        &self.metrics
    }

    pub(crate) fn injected(&self) -> u64 {
        self.injector.pushed()
    }

    pub(crate) fn injector_len(&self) -> usize {
        self.injector.len()
    }

    pub(crate) fn local_len(&self) -> usize {
        self.local_len.load(Ordering::Relaxed)
    }

    /// Runs tasks on this thread until `future`, given to `block_on` at `location`, is ready.
    pub(crate) fn block_on<F: Future>(
        self: &Arc<Self>,
        future: F,
        location: &'static Location<'static>,
    ) -> F::Output {
        let main = Arc::new(MainWaker {
            woken: AtomicBool::new(true),
            waiting: Parker::new(),
            shared: Arc::clone(self),
        });
        let waker = Waker::from(Arc::clone(&main));
        let mut future = pin!(future);
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Some(mut running) = Running::take(self, &main) {
                let subject = Subject { location, task: None };
                return running.run(&main, subject, future.as_mut(), &mut cx);
            }
            // Another thread runs the tasks. Being woken for the core and for the future look the same from here.
            if main.take_woken()
                && let Poll::Ready(output) = budget::limited(|| future.as_mut().poll(&mut cx))
            {
                self.slot.lock().waiting.retain(|other| !Arc::ptr_eq(other, &main));
                return output;
            }
            main.waiting.park();
        }
    }

    /// Refuses tasks, and drops the live ones on this thread. The `Runtime` is gone: no `block_on` has the core.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        self.shutting_down.store(true, Ordering::Release);
        self.observers.close();
        self.live.close_and_cancel();
        let core = self.slot.lock().core.take();
        let Some(Core { queue, driver, .. }) = core else { return };
        let local = Rc::new(Local { shared: Arc::clone(self), queue: RefCell::new(queue) });
        let guard = LocalGuard::enter(super::Local::CurrentThread(Rc::clone(&local)));
        loop {
            while let Some(task) = local.pop().or_else(|| local.grab()) {
                task.cancel(&self.site(), None);
            }
            if self.live.is_empty() && self.injector.close_if_empty() {
                break;
            }
            // A task that is neither here nor in a queue is in a waker's call, about to be queued.
            crate::sync::prim::thread::yield_now();
        }
        drop(guard);
        self.local_len.store(0, Ordering::Relaxed);
        drop(driver);
    }
}

impl Schedule for Shared {
    unsafe fn schedule(this: *const Shared, task: Notified) {
        let left = with_local(|local| match local {
            Some(super::Local::CurrentThread(local)) if std::ptr::eq(Arc::as_ptr(&local.shared), this) => {
                local.shared.metrics.woken.add(1);
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
            Ok(_) => shared.unpark(),
            // Nobody gets here: the injector closes when every task that can be woken has ended.
            Err(refused) => drop(refused),
        }
    }
}

impl Local {
    pub(super) fn is_ending(&self) -> bool {
        self.shared.shutting_down.load(Ordering::Acquire)
    }

    fn push(&self, task: Notified) {
        self.queue.borrow_mut().push_back(task);
    }

    fn pop(&self) -> Option<Notified> {
        self.queue.borrow_mut().pop_front()
    }

    fn grab(&self) -> Option<Notified> {
        let mut queue = self.queue.borrow_mut();
        self.shared.injector.grab(0, |task| queue.push_back(task))
    }

    fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }
}

/// Wakes the future of one `block_on`, wherever its thread sleeps: in the core, or waiting for it.
struct MainWaker {
    /// Swapped to true by wakers (AcqRel), taken by the thread (AcqRel): what was written before the wake is seen.
    woken: AtomicBool,
    waiting: Parker,
    shared: Arc<Shared>,
}

impl MainWaker {
    fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.swap(true, Ordering::AcqRel);
        self.waiting.unpark(|| {});
        self.shared.unpark();
    }
}

/// A thread that has the core; gives it back when dropped, also by a panic of the main future.
struct Running<'a> {
    shared: &'a Arc<Shared>,
    local: Rc<Local>,
    core: Option<Core>,
    spin: Spin,
    /// The last so many polls were of tasks that yielded, all of them since the last look at the driver.
    yielded: usize,
    busy_since: Instant,
    guard: Option<LocalGuard>,
}

impl<'a> Running<'a> {
    /// Takes the core; or `None`, and `main` is unparked when it is given back.
    fn take(shared: &'a Arc<Shared>, main: &Arc<MainWaker>) -> Option<Running<'a>> {
        let mut core = {
            let mut slot = shared.slot.lock();
            let Some(core) = slot.core.take() else {
                if !slot.waiting.iter().any(|other| Arc::ptr_eq(other, main)) {
                    slot.waiting.push(Arc::clone(main));
                }
                return None;
            };
            slot.waiting.retain(|other| !Arc::ptr_eq(other, main));
            core
        };
        let queue = RefCell::new(std::mem::take(&mut core.queue));
        let local = Rc::new(Local { shared: Arc::clone(shared), queue });
        let guard = LocalGuard::enter(super::Local::CurrentThread(Rc::clone(&local)));
        let busy_since = now();
        let long_ago = busy_since.duration_since(core.turned) >= LONG_AGO;
        let mut running = Running {
            shared,
            local,
            core: Some(core),
            spin: Spin::new(),
            yielded: 0,
            busy_since,
            guard: Some(guard),
        };
        if long_ago {
            running.look_at_driver(busy_since);
        }
        Some(running)
    }

    fn run<F: Future>(
        &mut self,
        main: &MainWaker,
        subject: Subject,
        mut future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> F::Output {
        let observers = &self.shared.clone().observers;
        loop {
            let mut yielded = false;
            if main.take_woken() {
                let polled = observers.around(0, subject, || budget::limited(|| future.as_mut().poll(cx)));
                yielded = Current::take_yielded();
                if let Poll::Ready(output) = polled {
                    return output;
                }
            }
            // The main future counts like a task: it may be woken for ever, too.
            self.count_poll();
            let more = self.run_some_tasks();
            if yielded {
                // It comes after all that was ready, and that is ready now.
                self.turn(Some(Duration::ZERO));
            } else if !more && !self.has_work(main) {
                self.wait(main);
            }
        }
    }

    /// Looks at the driver after every `event_interval` polls.
    fn count_poll(&mut self) {
        let Some(core) = &mut self.core else { return };
        core.polls += 1;
        if core.polls >= self.shared.settings.event_interval {
            core.polls = 0;
            self.yielded = 0;
            self.turn(Some(Duration::ZERO));
        }
    }

    /// Turns the driver, without waiting, at a time that is known.
    fn look_at_driver(&mut self, now: Instant) {
        if let Some(core) = &mut self.core {
            core.turned = now;
        }
        self.turn(Some(Duration::ZERO));
    }

    /// Runs tasks, as many as between two looks at the driver, or until all that are left have yielded; false: there are no
    /// more.
    fn run_some_tasks(&mut self) -> bool {
        let shared = Arc::clone(self.shared);
        for _ in 0..shared.settings.event_interval {
            let Some(core) = &mut self.core else { return false };
            core.tick = core.tick.wrapping_add(1);
            let from_outside_first = core.tick % shared.settings.global_queue_interval == 0;
            let local = &self.local;
            let task = if from_outside_first {
                local.grab().or_else(|| local.pop())
            } else {
                local.pop().or_else(|| local.grab())
            };
            let Some(task) = task else { return false };
            shared.metrics.polls.add(1);
            let subject = task.subject();
            let again = shared.observers.around(0, subject, || budget::limited(|| task.run(&shared.site())));
            let yielded = again.as_ref().is_some_and(|again| again.yielded);
            if let Some(Again { task, .. }) = again {
                local.push(task);
            }
            let waiting = local.queue.borrow().len();
            shared.local_len.store(waiting, Ordering::Relaxed);
            self.yielded = if yielded { self.yielded + 1 } else { 0 };
            self.count_poll();
            if yielded && self.yielded >= waiting {
                // Before they go on: who waits for the driver, for the main future, or in the injector.
                self.yielded = 0;
                self.turn(Some(Duration::ZERO));
                if let Some(core) = &mut self.core {
                    core.tick = u32::MAX;
                }
                break;
            }
        }
        true
    }

    fn turn(&mut self, limit: Option<Duration>) {
        let Some(core) = &mut self.core else { return };
        self.shared.metrics.turns.add(1);
        let Core { trouble, driver, .. } = core;
        trouble.turn(limit != Some(Duration::ZERO), || driver.turn(limit));
    }

    /// Is there something to do? (The driver aside.)
    fn has_work(&self, main: &MainWaker) -> bool {
        main.woken.load(Ordering::Relaxed) || !self.local.is_empty() || !self.shared.injector.is_empty()
    }

    /// Nothing is ready: looks around for a while, then parks on the driver.
    fn wait(&mut self, main: &MainWaker) {
        run_hook(self.shared.settings.on_park.as_ref());
        if self.has_work(main) {
            // The hook has made it, and may do so each time.
            self.turn(Some(Duration::ZERO));
        } else if !self.spin(main) {
            let start = now();
            let metrics = &self.shared.metrics;
            metrics.busy_ns.add_time(start.duration_since(self.busy_since));
            metrics.parks.add(1);
            self.shared.observers.park(0);
            let shared = Arc::clone(self.shared);
            if let Some(rest) = self.core.as_ref().and_then(|core| core.trouble.rest()) {
                shared.parker.park_for(Some(rest));
            } else {
                shared.parker.park_turning(|| {
                    // A last look, now that whoever comes later finds us turning and unparks the driver.
                    if !self.has_work(main) {
                        self.turn(None);
                    }
                });
            }
            self.shared.metrics.unparks.add(1);
            self.busy_since = now();
            if let Some(core) = &mut self.core {
                core.turned = self.busy_since;
            }
            self.shared.observers.unpark(0, start, self.busy_since);
            self.spin.parked(self.busy_since.duration_since(start));
        }
        run_hook(self.shared.settings.on_unpark.as_ref());
    }

    /// Spins; true if something came up.
    fn spin(&mut self, main: &MainWaker) -> bool {
        const SPINS_PER_TURN: u32 = 8;
        let mut spin = std::mem::replace(&mut self.spin, Spin::new());
        let mut looks = 0_u32;
        let found = spin.run(|| {
            looks += 1;
            if looks % SPINS_PER_TURN == 1 {
                self.turn(Some(Duration::ZERO));
            }
            self.has_work(main).then_some(())
        });
        self.spin = spin;
        found.is_some()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // First the link: from here on this thread's wake-ups go to the injector.
        drop(self.guard.take());
        let Some(mut core) = self.core.take() else { return };
        self.shared.metrics.busy_ns.add_time(now().duration_since(self.busy_since));
        core.queue = std::mem::take(&mut *self.local.queue.borrow_mut());
        self.shared.local_len.store(core.queue.len(), Ordering::Relaxed);
        let waiting = {
            let mut slot = self.shared.slot.lock();
            slot.core = Some(core);
            std::mem::take(&mut slot.waiting)
        };
        // All of them try; one gets it, the others enter themselves again.
        waiting.iter().for_each(|main| main.waiting.unpark(|| {}));
    }
}
