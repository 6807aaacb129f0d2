//! The driver: what a parked worker turns. Its I/O half (the reactor) is `io.rs` over `poller.rs`, its clock half is
//! `timer.rs`.
//!
//! ```text
//!  tasks ── Registration, Timer ──► Handle ──► registry, timers, poller ◄── Driver::turn ── one parked worker
//!                                    wakers ◄──────────────────────────────────┘
//! ```
//!
//! - `Driver` is the right to turn; there is one per runtime, and whoever parks takes it. `Handle` is everybody's way
//!   to register, to arm timers and to end a turn.
//! - A **turn** waits for the first of: an event, a due timer, an `unpark`, its limit. It then marks sources ready and
//!   fires timers, and only afterwards, with no lock held, calls the wakers it has collected.
//! - `unpark` is **sticky**: without a turn in progress it ends the next one at once. One that comes after a turn has
//!   stopped waiting may count for that turn; so callers look for work *after* each turn.
//! - After `shutdown` every source and timer reports an error, and nothing new is accepted.
//!
//! Lock order: registry, then one source's waiters. A timer shard's lock is never held together with another.

mod io;
#[cfg(all(test, runtime_loom))]
mod models;
mod poller;
#[cfg(test)]
mod tests;
mod timer;

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;
use std::{fmt, mem};

pub(crate) use io::{Direction, ReadyEvent, Registration, Transfer};
pub(crate) use timer::{Timer, use_shard};

use crate::error::{contain, shutdown_error};
use crate::sync::prim::now;
use poller::{Events, Limit, Poller};

/// The right to turn the driver.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    events: Events,
    woken: Vec<Waker>,
}

/// Everything but the right to turn. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    poller: Poller,
    registry: io::Registry,
    timers: timer::Timers,
}

impl Driver {
    /// Opens the event queue (three descriptors on Linux). `workers`: how many threads will arm timers most.
    pub(crate) fn new(workers: usize) -> std::io::Result<(Driver, Handle)> {
        let poller = Poller::new()?;
        let shared = Arc::new_cyclic(|shared| Shared {
            poller,
            registry: io::Registry::new(),
            timers: timer::Timers::new(now(), workers, Weak::clone(shared)),
        });
        let handle = Handle { shared: shared.clone() };
        Ok((Driver { shared, events: Events::new(), woken: Vec::new() }, handle))
    }

    /// Waits for at most `limit` (`None`: without end; zero: not at all), then serves events and due timers.
    ///
    /// May return early and without having done anything: look for work, then turn again.
    pub(crate) fn turn(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        let limit = match limit {
            Some(Duration::ZERO) => Limit::Poll,
            Some(limit) => now().checked_add(limit).map_or(Limit::Forever, Limit::Until),
            None => Limit::Forever,
        };
        let limit = self.shared.timers.begin_wait(limit);
        // Busy workers look in every few dozen polls. Without a source there is nothing to fetch, and no reason for
        // the system calls; a notification stays where it is, for the next turn that waits.
        let waited =
            if limit == Limit::Poll && self.shared.registry.is_empty() { Ok(()) } else { self.wait(limit) };
        self.shared.timers.end_wait(now, &mut self.woken);
        wake_all(&mut self.woken);
        waited
    }

    fn wait(&mut self, limit: Limit) -> std::io::Result<()> {
        let waited = self.shared.poller.wait(&mut self.events, limit);
        // Also after an error, which may come when the events are fetched already: edges are not announced twice.
        self.shared.registry.dispatch(&self.events, &mut self.woken);
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
    /// Ends the turn in progress, or else the next one.
    pub(crate) fn unpark(&self) {
        self.shared.poller.notify();
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
        self.poller.notify();
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
