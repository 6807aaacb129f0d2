//! The driver: what a parked worker turns. Its I/O half (the reactor) is `io.rs` and `registry.rs` over `poller`, its
//! clock half is `timer`.
//!
//! ```text
//!  tasks ── Registration, Timer ──► Handle ──► registry, timers, queues ◄── Driver::turn ── the worker of a queue
//!                                    wakers ◄──────────────────────────────────┘
//! ```
//!
//! - A `Driver` is the right to turn one event queue; each worker has one. `Handle` is everybody's way to register, to arm
//!   timers and to end a turn. Registry and timers are common to all.
//! - The **clock** is the right to serve timers, and to wait for them: of the turns that wait one has it at most. It is
//!   only tried, never waited for.
//! - A **turn** waits for the first of: an event, a due timer (with the clock), an `unpark`, its limit. It then marks
//!   sources ready and fires timers, and only afterwards calls the wakers it has collected.
//! - A turn fetches a **batch** of events at most. The rest stays in the queue, in order, and comes with the next turns:
//!   edge-triggered registrations lose nothing by it, as an edge is taken off the queue only when it is fetched.
//! - `unpark` is **sticky**: without a turn in progress it ends the next one at once. One that comes after a turn has
//!   stopped waiting may count for that turn; so callers look for work *after* each turn.
//! - After `shutdown` every source and timer reports an error, and nothing new is accepted.
//!
//! Lock order: registry, then one source's waiters. A timer shard's lock is never held together with another.

mod io;
#[cfg(all(test, runtime_loom))]
mod models;
mod poller;
mod queues;
mod registry;
#[cfg(test)]
mod tests;
mod timer;

use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;
use std::{fmt, mem};

pub(crate) use io::{Direction, ReadyEvent, Registration, Transfer};
pub(crate) use timer::{Timer, use_shard};

use crate::error::{contain, shutdown_error};
use crate::sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::prim::now;
use poller::{Events, Limit};
use queues::Queues;

/// How many events a turn fetches at most, unless set otherwise.
pub(crate) const BATCH: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The right to turn one of the queues.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    queue: usize,
    events: Events,
    woken: Vec<Waker>,
}

/// Everything but the right to turn. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    queues: Queues,
    registry: registry::Registry,
    timers: timer::Timers,
    /// Somebody has the clock. Taking it (Acquire) pairs with giving it back (Release, in the drop of `Clock`).
    clock_taken: AtomicBool,
    /// The queue whose turn waits for timers, or did last.
    timekeeper: AtomicUsize,
}

/// The right to serve the timers. One turn at a time has it.
pub(crate) struct Clock<'a> {
    taken: &'a AtomicBool,
}

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        self.taken.store(false, Ordering::Release);
    }
}

impl Driver {
    /// With one event queue, of which a turn fetches at most `batch` events.
    pub(crate) fn new(batch: NonZeroUsize) -> std::io::Result<(Driver, Handle)> {
        let (mut drivers, handle) = Driver::for_workers(1, batch)?;
        let driver = drivers.pop().ok_or(std::io::ErrorKind::Other)?;
        Ok((driver, handle))
    }

    /// Opens an event queue for each worker (three descriptors on Linux), and a driver to turn it. A turn fetches at most
    /// `batch` events, its own two descriptors' among them; what is left is there for the next one.
    pub(crate) fn for_workers(workers: usize, batch: NonZeroUsize) -> std::io::Result<(Vec<Driver>, Handle)> {
        let queues = Queues::new(workers)?;
        let shared = Arc::new_cyclic(|shared| Shared {
            queues,
            registry: registry::Registry::new(workers.max(1)),
            timers: timer::Timers::new(now(), workers, Weak::clone(shared)),
            clock_taken: AtomicBool::new(false),
            timekeeper: AtomicUsize::new(0),
        });
        let handle = Handle { shared: shared.clone() };
        let driver = |queue| Driver {
            shared: shared.clone(),
            queue,
            events: Events::with_capacity(batch),
            woken: Vec::new(),
        };
        Ok(((0..shared.queues.len()).map(driver).collect(), handle))
    }

    /// As [`turn_with`](Driver::turn_with), serving the timers if nobody else does.
    pub(crate) fn turn(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        if limit == Some(Duration::ZERO) {
            return self.poll();
        }
        let shared = Arc::clone(&self.shared);
        self.turn_with(limit, shared.try_clock())
    }

    /// Serves what there is without waiting, timers too if nobody else does.
    pub(crate) fn poll(&mut self) -> std::io::Result<()> {
        let Driver { shared, queue, events, woken } = self;
        // Busy workers look in every few dozen polls. Without a source there is nothing to fetch, and no reason for
        // the system call; a notification stays where it is, for the next turn that waits.
        let waited = match shared.queues.get(*queue).is_empty() {
            true => Ok(()),
            false => shared.wait(*queue, events, woken, Limit::Poll),
        };
        if let Some(clock) = shared.try_clock() {
            shared.timers.end_wait(now, woken);
            drop(clock);
        }
        wake_all(woken);
        waited
    }

    /// Waits for at most `limit` (`None`: without end), then serves events, and with the `clock` due
    /// timers, for which it then also waits.
    ///
    /// May return early and without having done anything: look for work, then turn again.
    pub(crate) fn turn_with(
        &mut self,
        limit: Option<Duration>,
        clock: Option<Clock<'_>>,
    ) -> std::io::Result<()> {
        let Driver { shared, queue, events, woken } = self;
        let mut limit = match limit {
            Some(limit) => now().checked_add(limit).map_or(Limit::Forever, Limit::Until),
            None => Limit::Forever,
        };
        if clock.is_some() {
            limit = shared.begin_wait(*queue, limit);
        }
        shared.queues.sleeps(*queue);
        let waited = shared.wait(*queue, events, woken, limit);
        if let Some(clock) = clock {
            shared.timers.end_wait(now, woken);
            drop(clock);
        }
        wake_all(woken);
        waited
    }
}

impl Shared {
    fn unpark(&self) {
        self.queues.get(self.timekeeper()).poller.notify();
    }

    /// The turn of `queue`, which has the clock, is about to wait: until when, at most.
    fn begin_wait(&self, queue: usize, limit: Limit) -> Limit {
        self.timekeeper.store(queue, Ordering::Relaxed);
        // Pairs with the fence in `timekeeper`: whoever reads what is announced next sees the store above.
        fence(Ordering::Release);
        self.timers.begin_wait(limit)
    }

    /// The queue whose turn waits for timers; to be called after its announcement was read.
    fn timekeeper(&self) -> usize {
        // Pairs with the fence in `begin_wait`.
        fence(Ordering::Acquire);
        self.timekeeper.load(Ordering::Relaxed)
    }

    fn try_clock(&self) -> Option<Clock<'_>> {
        let taken = &self.clock_taken;
        let free = taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| Clock { taken })
    }

    fn wait(
        &self,
        queue: usize,
        events: &mut Events,
        woken: &mut Vec<Waker>,
        limit: Limit,
    ) -> std::io::Result<()> {
        let waited = self.queues.get(queue).poller.wait(events, limit);
        self.queues.turned(queue);
        // Also after an error, which may come when the events are fetched already: edges are not announced twice.
        self.registry.dispatch(events, woken);
        waited
    }
}

impl Drop for Driver {
    /// Nobody can turn it any more: waiting for it would be waiting for ever.
    fn drop(&mut self) {
        self.shared.shutdown();
    }
}

impl Handle {
    /// Ends the turn that waits for timers, or else the next one of the queue where the last such was.
    pub(crate) fn unpark(&self) {
        self.shared.unpark();
    }

    /// Ends the turn of this queue that is in progress, or else the next one.
    pub(crate) fn unpark_queue(&self, queue: usize) {
        self.shared.queues.get(queue).poller.notify();
    }

    /// The right to serve timers, if nobody has it.
    pub(crate) fn try_clock(&self) -> Option<Clock<'_>> {
        self.shared.try_clock()
    }

    /// Makes this thread the one that runs tasks and turns `queue`: where descriptors go whose tasks wait here.
    pub(crate) fn enter(&self, queue: usize) {
        self.shared.queues.enter(queue);
    }

    /// Ends what `enter` began.
    pub(crate) fn leave(&self) {
        self.shared.queues.leave();
    }

    /// Wakes every waiting task; from now on all sources and timers report an error. Idempotent.
    pub(crate) fn shutdown(&self) {
        self.shared.shutdown();
    }
}

impl Shared {
    fn shutdown(&self) {
        let mut woken = Vec::new();
        self.registry.shutdown(&mut woken);
        self.timers.shutdown(&mut woken);
        wake_all(&mut woken);
        self.queues.iter().for_each(|queue| queue.poller.notify());
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug("Driver", f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.debug("driver::Handle", f)
    }
}

impl Shared {
    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name).field("registry", &self.registry).field("timers", &self.timers).finish()
    }
}

/// Calls all wakers; no lock may be held. A waker that panics has been reported by the panic hook and must not cost
/// the tasks behind it their wake-up, nor the worker its life.
fn wake_all(woken: &mut Vec<Waker>) {
    for waker in woken.drain(..) {
        contain(|| waker.wake());
    }
    // A burst of 100,000 timers should not leave its memory here for good.
    if woken.capacity() > 4096 {
        drop(mem::take(woken));
    }
}

/// The driver has shut down, so what one waits for will never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shutdown;

impl From<Shutdown> for std::io::Error {
    fn from(_: Shutdown) -> std::io::Error {
        shutdown_error()
    }
}
