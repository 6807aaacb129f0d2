//! `block_in_place`: a worker whose task is about to block hands its seat to another thread, so that its other tasks go on.
//!
//! The **seat** is the right to be worker `index`: its queue, its deque of join jobs, its parker and counters. Exactly one
//! thread has it, or it lies in an [`Offer`]:
//!
//! ```text
//!   owner (in a poll) ── hand_over ──► Offer ── a job of the blocking pool begins ──► deputy: runs as this worker
//!         ▲                              │
//!         └── the closure has returned ──┘ (nobody has begun: the owner has its seat again)
//!                                          (else: the owner is a **stray**)
//! ```
//!
//! Whoever takes the seat out of the offer, under its lock, has it; the other one finds it empty. Before a job is submitted
//! the task in the slot goes to the queue, where others may steal it: until a deputy comes nobody looks at the slot.
//!
//! **While it is away** a thread touches nothing of the seat: its wake-ups and spawns go to the injector ([`LocalGuard`] with
//! `Local::Away`), `join` finds no context, its queue is an empty one that nobody else knows, and tasks that end
//! here are counted in `Shared::strays`. A stray ends its poll, queues the task in the injector if it goes on, and
//! leaves the worker's loop: a thread of the pool goes back there, a worker's first thread ends.
//!
//! **The end.** A thread that is away counts in `Shared::present`, beside its seat: the last to depart, seat or stray, sees
//! what all polls have left and cleans up (`Shared::depart`). Its [`Presence`] is that of its thread; the deputy
//! brings one of its own, from the moment of the offer. A seat whose job is refused or dropped by the pool stays in the
//! offer, for its owner.
//!
//! The seat stays where it is if other frames on this stack use it: inside of a closure of `join`, and of a hook or
//! a waker that a worker calls between two polls; and once the runtime shuts down. The closure is then just called.

use super::shared::{Local, Shared};
use super::{Seat, Worker};
use crate::handle::{Handle, Link, MayBlock, MustNotBlock};
use crate::join::hub;
use crate::runtime::Presence;
use crate::scheduler::{self, LocalGuard, with_local};
use crate::sync::prim::Mutex;
use crate::sync::prim::atomic::Ordering;
use crate::task::Current;
use std::rc::Rc;
use std::sync::Arc;

/// A seat that the first to come takes: its owner or a deputy.
type Offer = Mutex<Option<Seat>>;

/// This thread is away from its seat; when dropped, it takes it back if it is still there.
pub(crate) struct Away {
    local: Rc<Local>,
    context: hub::Left,
    offer: Arc<Offer>,
    /// `None` only while it is dropped.
    guard: Option<LocalGuard>,
}

/// What a worker's thread needs to hand its seat over.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) handle: Handle,
    pub(crate) presence: Arc<Presence>,
}

/// Offers the seat of this thread, if it has one that it can leave.
pub(crate) fn hand_over() -> Option<Away> {
    let local = with_local(|local| match local {
        Some(scheduler::Local::Worker(local)) => Some(Rc::clone(local)),
        _ => None,
    })?;
    let shared = Arc::clone(&local.shared);
    if !Current::is_in_task() || shared.is_shutting_down() {
        return None;
    }
    let (context, jobs) = hub::Context::leave()?;
    if let Some(task) = shared.slots[local.index].take() {
        local.queue.push(task);
    }
    let seat = Seat { shared: Arc::clone(&shared), index: local.index, queue: local.queue.take(), jobs };
    local.seated.set(false);
    // What waits on this thread from now on says nothing of where its descriptors belong.
    shared.driver_handle.leave();
    // Not the last, for the seat counts, too. Relaxed: `depart` orders.
    shared.present.fetch_add(1, Ordering::Relaxed);
    shared.observers.hand_over(local.index);
    let guard = LocalGuard::enter(scheduler::Local::Away(Arc::clone(&shared)));
    let offer = Arc::new(Mutex::new(Some(seat)));
    let away = Away { local, context, offer: Arc::clone(&offer), guard: Some(guard) };
    let home = away.local.home.clone();
    let presence = home.presence.deputy();
    let handle = home.handle.clone();
    drop(handle.spawn_blocking(move || {
        let _presence = presence;
        be_deputy(&offer, home);
    }));
    // Until it comes: what waits here may be stolen.
    shared.notify();
    Some(away)
}

/// The work of a deputy, unless the owner has its seat again.
fn be_deputy(offer: &Offer, home: Home) {
    let seat = offer.lock().take();
    let Some(seat) = seat else { return };
    let _blocking = MustNotBlock::enter(MayBlock::InPlace);
    let _link = Link::enter(home.handle.clone());
    // The job of the pool is no task that runs here.
    let _nobody = Current::nobody();
    seat.run(home);
}

impl Drop for Away {
    fn drop(&mut self) {
        let seat = self.offer.lock().take();
        let Some(Seat { queue, jobs, .. }) = seat else {
            // A stray, to the end of its poll and its loop.
            self.local.stray.set(self.guard.take());
            return;
        };
        drop(self.guard.take());
        self.local.queue.put_back(queue);
        self.context.come_back(jobs);
        self.local.shared.driver_handle.enter(self.local.index);
        self.local.seated.set(true);
        // The seat counts still. Relaxed: nothing was done without it.
        self.local.shared.present.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker<'_> {
    /// The end of a stray's loop.
    pub(super) fn end_as_stray(mut self) {
        let shared = self.shared;
        shared.depart(|| self.drain());
    }
}

impl Shared {
    /// A seat is given up, or a stray ends. The last one ends what is left.
    pub(super) fn depart(&self, mut drain: impl FnMut()) {
        if self.present.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // What a stray polled may have been running when the list was closed, and be idle now.
        self.live.close_and_cancel();
        while !self.live.is_empty() || !self.injector.close_if_empty() {
            drain();
            // A task that is neither here nor in a queue is in a waker's call, about to be queued.
            crate::sync::prim::thread::yield_now();
        }
        self.close();
    }
}
