//! The schedulers: where woken tasks go and who polls them.
//!
//! ```text
//!                 on a worker of this runtime            anywhere else
//! wake ─► schedule ─► its slot, then its queue   schedule ───────► injector
//!                                 │      ▲ steal                      │ grab
//!                                 ▼      │                            ▼
//!                               worker: next task ─► poll under budget ─► …
//! ```
//!
//! `worker.rs` is the multi-thread flavour, `current_thread.rs` the other. Both count on `injector.rs`, `queue.rs`,
//! `idle.rs`, `budget.rs` and `trouble.rs`. This file owns what they share: the settings, the link from a thread to the scheduler that it runs
//! (the thread-local [`LOCAL`]), and waiting for one future on a thread.
//!
//! No foreign code runs inside of [`with_local`].

pub(crate) mod budget;
pub(crate) mod current_thread;
pub(crate) mod idle;
pub(crate) mod injector;
mod queue;
mod trouble;
pub(crate) mod worker;

use crate::blocking;
use crate::error::contain;
use crate::metrics::{Counts, WorkerMetrics};
use crate::observe::Observers;
use crate::observe::stall::Detector;
use crate::park::{Parker, Spin};
use crate::sync::prim::{now, thread_local};
use crate::task::JoinHandle;
use crate::task::header::Notified;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A callback of the user's, run on the runtime's threads.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// What the builder sets and both schedulers obey.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Polls between two looks at the driver.
    pub(crate) event_interval: u32,
    /// Polls between two looks at the injector before the local queue.
    pub(crate) global_queue_interval: u32,
    pub(crate) on_park: Option<Hook>,
    pub(crate) on_unpark: Option<Hook>,
    pub(crate) detector: Option<Arc<Detector>>,
}

/// Runs a hook. It is foreign code: no lock may be held, and its panic must not cost a worker.
pub(crate) fn run_hook(hook: Option<&Hook>) {
    if let Some(hook) = hook {
        contain(|| hook());
    }
}

/// Either flavour.
#[derive(Clone)]
pub(crate) enum Scheduler {
    CurrentThread(Arc<current_thread::Shared>),
    MultiThread(Arc<worker::Shared>),
}

impl Scheduler {
    /// Makes a task of `future`, spawned at `location`, and queues it. Runs no foreign code, but what it returns may
    /// have to.
    pub(crate) fn spawn<F>(&self, future: F, location: &'static Location<'static>) -> Spawned<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self {
            Scheduler::CurrentThread(shared) => shared.spawn(future, location),
            Scheduler::MultiThread(shared) => shared.spawn(future, location),
        }
    }

    /// Refuses tasks from now on, asks the live ones to end, and the workers as soon as they have cleaned up.
    pub(crate) fn shut_down(&self) {
        match self {
            Scheduler::CurrentThread(shared) => shared.shut_down(),
            Scheduler::MultiThread(shared) => shared.shut_down(),
        }
    }

    pub(crate) fn workers(&self) -> usize {
        match self {
            Scheduler::CurrentThread(_) => 1,
            Scheduler::MultiThread(shared) => shared.metrics().len(),
        }
    }

    pub(crate) fn worker_metrics(&self, worker: usize) -> Option<&WorkerMetrics> {
        match self {
            Scheduler::CurrentThread(shared) => (worker == 0).then(|| shared.metrics()),
            Scheduler::MultiThread(shared) => shared.metrics().get(worker).map(|metrics| &**metrics),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        match self {
            Scheduler::CurrentThread(shared) => shared.counts(),
            Scheduler::MultiThread(shared) => shared.counts(),
        }
    }

    /// New and woken tasks that came from elsewhere than the workers.
    pub(crate) fn injected(&self) -> u64 {
        match self {
            Scheduler::CurrentThread(shared) => shared.injected(),
            Scheduler::MultiThread(shared) => shared.injected(),
        }
    }

    pub(crate) fn injector_len(&self) -> usize {
        match self {
            Scheduler::CurrentThread(shared) => shared.injector_len(),
            Scheduler::MultiThread(shared) => shared.injector_len(),
        }
    }

    /// Zero for a worker that does not exist.
    pub(crate) fn local_len(&self, worker: usize) -> usize {
        match self {
            Scheduler::CurrentThread(shared) if worker == 0 => shared.local_len(),
            Scheduler::CurrentThread(_) => 0,
            Scheduler::MultiThread(shared) => shared.local_len(worker),
        }
    }

    pub(crate) fn observers(&self) -> &Observers {
        match self {
            Scheduler::CurrentThread(shared) => shared.observers(),
            Scheduler::MultiThread(shared) => shared.observers(),
        }
    }

    /// Is this thread one of its workers, or away from a worker's seat in `block_in_place`?
    pub(crate) fn has_worker_here(&self) -> bool {
        with_local(|local| match (self, local) {
            (Scheduler::MultiThread(shared), Some(Local::Worker(local))) => local.is_of(shared),
            (Scheduler::MultiThread(shared), Some(Local::Away(ours))) => Arc::ptr_eq(shared, ours),
            _ => false,
        })
    }

    /// (searching, sleeping) workers.
    pub(crate) fn idle_counts(&self) -> (u64, u64) {
        match self {
            Scheduler::CurrentThread(_) => (0, 0),
            Scheduler::MultiThread(shared) => shared.idle_counts(),
        }
    }
}

/// A new task.
#[must_use = "a task that was refused has to end"]
pub(crate) struct Spawned<T> {
    handle: JoinHandle<T>,
    /// The runtime is shutting down.
    refused: Option<Notified>,
}

impl<T> Spawned<T> {
    /// Its handle; ends it first if it was refused, which drops the future: foreign code.
    pub(crate) fn admitted(self) -> JoinHandle<T> {
        drop(self.refused);
        self.handle
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheduler::CurrentThread(_) => "CurrentThread",
            Scheduler::MultiThread(_) => "MultiThread",
        })
    }
}

/// The scheduler that this thread runs right now.
#[derive(Clone)]
pub(crate) enum Local {
    Worker(Rc<worker::Local>),
    CurrentThread(Rc<current_thread::Local>),
    /// It is in a poll, but its worker's seat may be another thread's (`worker/hand_over.rs`).
    Away(Arc<worker::Shared>),
}

thread_local! {
    /// Points into the [`LocalGuard`] that was entered last.
    static LOCAL: Cell<*const Local> = const { Cell::new(std::ptr::null()) };
}

/// Makes the thread run a scheduler, until it is dropped. In a box: the thread-local points to what is in it.
pub(crate) struct LocalGuard {
    local: Box<Local>,
    previous: *const Local,
}

impl LocalGuard {
    pub(crate) fn enter(local: Local) -> LocalGuard {
        let local = Box::new(local);
        let previous = LOCAL.with(|cell| cell.replace(&raw const *local));
        LocalGuard { local, previous }
    }
}

impl Drop for LocalGuard {
    fn drop(&mut self) {
        debug_assert!(std::ptr::eq(LOCAL.with(Cell::get), &raw const *self.local));
        LOCAL.with(|cell| cell.set(self.previous));
    }
}

/// Runs `f`, which must be no foreign code, with the scheduler that the thread runs.
#[inline]
fn with_local<R>(f: impl FnOnce(Option<&Local>) -> R) -> R {
    // SAFETY: the guard that it points into clears it before it goes, on this thread; `f` drops no guard.
    f(unsafe { LOCAL.with(Cell::get).as_ref() })
}

/// Does this thread run tasks of a runtime that shuts down? Then the task that it polls is dropped after this poll, whatever
/// it waits for.
pub(crate) fn is_ending() -> bool {
    with_local(|local| match local {
        Some(Local::Worker(local)) => local.is_ending(),
        Some(Local::CurrentThread(local)) => local.is_ending(),
        Some(Local::Away(shared)) => shared.is_shutting_down(),
        None => false,
    })
}

/// Waits on this thread until `future` is ready, without running any task.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Parker);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            self.0.unpark(|| {});
        }
    }

    let unpark = Arc::new(Unpark(Parker::new()));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut spin = Spin::new();
    loop {
        if let Poll::Ready(output) = budget::limited(|| future.as_mut().poll(&mut cx)) {
            return output;
        }
        if spin.run(|| unpark.0.is_notified().then_some(())).is_some() {
            unpark.0.park();
        } else {
            let start = now();
            blocking::park(&unpark.0);
            spin.parked(now().duration_since(start));
        }
    }
}
