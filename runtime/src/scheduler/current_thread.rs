//! The current-thread flavour: tasks run on the thread that is in `block_on`. What that thread does is in `running.rs`.
//!
//! The **core** (queue and driver) belongs to one `block_on` at a time. Others on other threads wait: they poll
//! their own future when it is woken, and take over the core when it is given back. Between two `block_on`s nothing
//! runs; woken tasks wait in the queue or the injector.
//!
//! Wake-ups: whoever is in the core parks with `Shared::parker` on the driver. A task that is woken on that thread
//! goes to its local queue; from elsewhere to the injector, followed by an unpark. The parker's token makes this
//! safe: push, then leave the token; look at the queues, then park (which returns at once if there is a token).
//!
//! Lock order: `slot` and the injector's lock are leaves. `Local`'s queue is borrowed only for a push or a pop.

mod running;

use super::injector::Injector;
use super::trouble::Trouble;
use super::{LocalGuard, Settings, Spawned, budget, with_local};
use crate::driver::{self, Driver};
use crate::metrics::{Counts, WorkerMetrics};
use crate::observe::{Observers, Subject};
use crate::park::Parker;
use crate::sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::prim::{Mutex, now};
use crate::task::cell::{self, Schedule};
use crate::task::header::{Notified, Site};
use crate::task::live::Live;
use running::Running;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

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
        let observers = Observers::new(1, settings.detector.clone());
        observers.park(0);
        let queue = VecDeque::new();
        let core = Core { queue, driver, trouble: Trouble::default(), tick: 0, polls: 0, turned: now() };
        Arc::new(Shared {
            injector: Injector::with_shards(1),
            slot: Mutex::new(Slot { core: Some(core), waiting: Vec::new() }),
            parker: Parker::new(),
            driver_handle,
            live: Live::new(1),
            shutting_down: AtomicBool::new(false),
            observers,
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
    #[inline]
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

    #[inline]
    fn push(&self, task: Notified) {
        self.queue.borrow_mut().push_back(task);
    }

    #[inline]
    fn pop(&self) -> Option<Notified> {
        self.queue.borrow_mut().pop_front()
    }

    #[inline]
    fn grab(&self) -> Option<Notified> {
        let mut queue = self.queue.borrow_mut();
        self.shared.injector.grab(0, |task| queue.push_back(task))
    }

    #[inline]
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
    #[inline]
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
