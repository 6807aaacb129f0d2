//! Timers: who is woken when. The wheel that sorts them is `wheel.rs`.
//!
//! A driver has some **shards**, one per worker: a wheel behind a lock, and `next`, a bound below which nothing in it
//! is due, readable without the lock. A timer belongs to the shard of the thread that makes it, and keeps a reference to
//! this shard alone: those of another worker are counted elsewhere. It is armed when it is first polled and still
//! pending; it can be disarmed from anywhere. So workers make, arm and cancel timers without meeting, and a turn locks
//! only the shards in which something is due. A timer is a part of its future: arming allocates nothing.
//!
//! # Invariants
//! - `next` is changed under its shard's lock, and never above the first deadline of the wheel. It may lie below
//!   (that timer was cancelled): then a wait ends for nothing, once.
//! - Nothing fires while `deadline > now`, the highest reading of the clock that the shard has been shown. A clock that
//!   steps back can thus neither fire a timer twice nor take a firing back.
//! - A timer's `deadline` is exact; the wheel is given a moment up to 1/32 of its length later (`with_slack`), so that a
//!   hundred thousand sleeping tasks are woken in a few turns. Short sleeps stay short.
//! - An entry's state leaves `ARMED` under its shard's lock, as the last thing the wheel does to it. An owner who
//!   reads another state needs no lock; one who reads `ARMED` takes the lock and reads again. Dropping a `Timer` ends in
//!   a state other than `ARMED` either way, so that its memory is free of the wheel: it was taken out, or it has fired.
//!
//! # No wait is too long
//! `waiting` is until when the turn in progress waits, 0 while none does.
//! - *Arming:* under the lock, put the entry in, lower `next` to its deadline; fence; if `waiting` lies beyond the
//!   deadline, lower it and notify the poller. Nothing of this is needed when `next` was low enough already.
//! - *Turning:* store `waiting`, fence, read each `next`, wait for the least.
//!
//! The fences are totally ordered: either the turn reads the lowered `next`, or the arming side reads the `waiting` that
//! was stored before and notifies, which the poller remembers if the wait has not begun.
//!
//! Lock order: a shard's lock is a leaf. Wakers are foreign code: they are cloned before it is taken, and dropped or
//! called after it is released.

mod cell;
#[cfg(all(test, runtime_loom))]
mod models;
mod wheel;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::poller::Limit;
use super::{Handle, Shared, Shutdown};
use crate::sync::prim::atomic::{AtomicU64, Ordering, fence};
use crate::sync::prim::{Mutex, now, thread_local};
use wheel::{ARMED, Entry, FIRED, IDLE, NEVER, SHUT_DOWN, Wheel};

/// How many timers fire, about, before the lock of their shard is released for a moment.
const BATCH: usize = 256;

/// All timers of one driver. Inside, time is nanoseconds since `base`: 292 years both ways.
pub(super) struct Timers {
    shards: Box<[Arc<CachePadded<Shard>>]>,
    common: Arc<Common>,
}

/// What all shards of a driver need.
struct Common {
    base: Instant,
    waiting: AtomicU64,
    /// Whose turns are to be notified; without it there are none. Not counted, for it has the shards.
    driver: Weak<Shared>,
}

/// A worker's timers.
pub(crate) struct Shard {
    next: AtomicU64,
    state: Mutex<State>,
    common: Arc<Common>,
}

struct State {
    wheel: Wheel,
    shut_down: bool,
}

/// What became of an attempt to arm.
#[derive(Debug, PartialEq, Eq)]
enum Armed {
    Pending {
        /// The turn in progress waits beyond this deadline.
        notify: bool,
    },
    AlreadyDue,
    ShutDown,
}

impl Common {
    /// Nanoseconds from `base` to `instant`; at the ends of the range it saturates.
    fn nanos(&self, instant: Instant) -> i64 {
        let saturate = |duration: Duration| {
            let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).checked_mul(1_000_000_000);
            let sum = seconds.and_then(|nanos| nanos.checked_add(duration.subsec_nanos().into()));
            sum.unwrap_or(i64::MAX)
        };
        match instant.checked_duration_since(self.base) {
            Some(after) => saturate(after),
            None => -saturate(self.base.saturating_duration_since(instant)),
        }
    }

    fn instant(&self, nanos: i64) -> Instant {
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        let instant =
            if nanos < 0 { self.base.checked_sub(distance) } else { self.base.checked_add(distance) };
        instant.unwrap_or(self.base)
    }

    fn clock(&self, now: Instant) -> u64 {
        self.nanos(now).max(0) as u64
    }

    /// The arming side of the protocol, after a `next` was lowered to `deadline`: whether to notify.
    fn lowered(&self, deadline: u64) -> bool {
        // Pairs with the fence in `announce`.
        fence(Ordering::SeqCst);
        // Lowered, so that later deadlines need not notify again: the wait is about to end.
        self.waiting.load(Ordering::Relaxed) > deadline
            && self.waiting.fetch_min(deadline, Ordering::Relaxed) > deadline
    }

    #[cold]
    fn notify(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.unpark();
        }
    }
}

impl Timers {
    /// For `shards` workers; at least one.
    pub(super) fn new(base: Instant, shards: usize, driver: Weak<Shared>) -> Timers {
        let common = Arc::new(Common { base, waiting: AtomicU64::new(0), driver });
        let shard = || Shard {
            next: AtomicU64::new(NEVER),
            state: Mutex::new(State { wheel: Wheel::new(), shut_down: false }),
            common: Arc::clone(&common),
        };
        let shards = (0..shards.max(1)).map(|_| Arc::new(CachePadded::new(shard()))).collect();
        Timers { shards, common }
    }

    /// The shard of this thread.
    fn local(&self) -> &Arc<CachePadded<Shard>> {
        let index = SHARD.try_with(Cell::get).unwrap_or(0);
        self.shards.get(index).unwrap_or(&self.shards[0])
    }

    /// Announces a wait of at most `limit`, and shortens it to the first deadline.
    pub(super) fn begin_wait(&self, limit: Limit) -> Limit {
        let end = match limit {
            Limit::Poll => return Limit::Poll,
            Limit::Until(end) => self.common.clock(end),
            Limit::Forever => NEVER,
        };
        let earliest = self.announce(end);
        if earliest < end { Limit::Until(self.common.instant(earliest as i64)) } else { limit }
    }

    /// The turning side of the protocol: the least of `end` and all `next`.
    fn announce(&self, end: u64) -> u64 {
        let end = end.min(self.earliest());
        self.common.waiting.store(end, Ordering::Relaxed);
        // Pairs with the fence in `lowered`.
        fence(Ordering::SeqCst);
        end.min(self.earliest())
    }

    fn earliest(&self) -> u64 {
        let nexts = self.shards.iter().map(|shard| shard.next.load(Ordering::Relaxed));
        nexts.min().unwrap_or(NEVER)
    }

    /// The wait is over: moves the wakers of all timers that are due to `due`. Reads `clock` only if there are any.
    pub(super) fn end_wait(&self, clock: impl FnOnce() -> Instant, due: &mut Vec<Waker>) {
        self.common.waiting.store(0, Ordering::Relaxed);
        if self.earliest() != NEVER {
            self.fire(self.common.clock(clock()), due);
        }
    }

    fn fire(&self, clock: u64, due: &mut Vec<Waker>) {
        for shard in &self.shards {
            // Relaxed: what is armed meanwhile is found by the next `announce`.
            while shard.next.load(Ordering::Relaxed) <= clock {
                let mut state = shard.state.lock();
                let all = state.wheel.advance(clock, due, BATCH);
                let next = if all { state.wheel.first_deadline() } else { 0 };
                shard.next.store(next, Ordering::Relaxed);
                if all {
                    break;
                }
            }
        }
    }

    /// Fires everything and refuses what comes later.
    pub(super) fn shutdown(&self, due: &mut Vec<Waker>) {
        for shard in &self.shards {
            let mut state = shard.state.lock();
            state.shut_down = true;
            state.wheel.shut_down(due);
            shard.next.store(NEVER, Ordering::Relaxed);
        }
    }

    /// When a timer of this deadline fires, if it is armed now.
    #[cfg(test)]
    pub(super) fn fires_at(&self, deadline: Instant) -> Instant {
        let common = &self.common;
        common.instant(with_slack(common.clock(deadline), common.clock(now())) as i64)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.state.lock().wheel.len()).sum()
    }
}

impl Shard {
    /// Arms an entry.
    ///
    /// # Safety
    /// The entry is not armed, the caller owns it, and neither moves nor frees it before `disarm`, or before its
    /// state is no longer `ARMED`.
    unsafe fn arm(&self, entry: &Entry, deadline: u64, waker: Waker) -> Armed {
        // SAFETY: not armed, hence the owner's.
        let _old = unsafe { entry.swap_waker(Some(waker)) };
        // SAFETY: the caller's promise.
        let armed = unsafe { self.insert(entry, deadline) };
        if !matches!(armed, Armed::Pending { .. }) {
            // SAFETY: still not armed.
            let _waker = unsafe { entry.swap_waker(None) };
        }
        armed
    }

    /// As `arm`, with the waker in place.
    ///
    /// # Safety
    /// As for `arm`.
    unsafe fn insert(&self, entry: &Entry, deadline: u64) -> Armed {
        let mut state = self.state.lock();
        if state.shut_down {
            return Armed::ShutDown;
        }
        if deadline <= state.wheel.now() {
            return Armed::AlreadyDue;
        }
        // SAFETY: the caller's promise.
        unsafe { state.wheel.insert(entry, deadline) };
        let is_first = deadline < self.next.load(Ordering::Relaxed);
        if is_first {
            self.next.store(deadline, Ordering::Relaxed);
        }
        drop(state);
        Armed::Pending { notify: is_first && self.common.lowered(deadline) }
    }

    /// Disarms an entry; its waker, if it had not fired. Afterwards the wheel does not know it.
    ///
    /// # Safety
    /// The caller owns the entry, which was last armed here or never.
    unsafe fn disarm(&self, entry: &Entry) -> Option<Waker> {
        if entry.state() != ARMED {
            return None;
        }
        let mut state = self.state.lock();
        // Under the lock it stays what it is.
        if entry.state() != ARMED {
            return None;
        }
        // SAFETY: armed, and in this wheel.
        unsafe { state.wheel.remove(entry) }
    }

    /// Exchanges the waker of an armed entry; false: it is not armed any more.
    ///
    /// # Safety
    /// As for `disarm`.
    unsafe fn update_waker(&self, entry: &Entry, waker: &Waker) -> bool {
        let mut new = None;
        loop {
            let old; // declared before the guard, hence dropped after it
            let guard = self.state.lock();
            if entry.state() != ARMED {
                return false;
            }
            // SAFETY: under the lock.
            if unsafe { entry.would_wake(waker) } {
                return true;
            }
            if new.is_none() {
                drop(guard);
                new = Some(waker.clone());
                continue;
            }
            // SAFETY: under the lock.
            old = unsafe { entry.swap_waker(new) };
            drop(guard);
            drop(old);
            return true;
        }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("armed", &self.len()).finish_non_exhaustive()
    }
}

thread_local! {
    /// Which shard this thread makes timers in; if there is none of that index, the first.
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// Makes this thread, a worker, make timers in the shard of its index; threads that are no workers do so in the first.
pub(crate) fn use_shard(index: usize) {
    SHARD.with(|shard| shard.set(index));
}

/// When a timer fires whose deadline lies `deadline - now` ahead: up to a thirty-second of that later, and up to 1 ms.
/// The time is rounded up to a power of two, so that timers that are due at about the same time fire in one turn,
/// instead of one turn (a few system calls) each.
fn with_slack(deadline: u64, now: u64) -> u64 {
    const SHARE_BITS: u32 = 5;
    const MOST_BITS: u32 = 20;
    let bits = deadline.saturating_sub(now).max(1).ilog2().saturating_sub(SHARE_BITS).min(MOST_BITS);
    deadline.checked_next_multiple_of(1 << bits).unwrap_or(deadline)
}

/// One timer. It belongs to one task; dropping it takes it out of the wheel, which knows it by its address: hence the
/// pinning.
pub(crate) struct Timer {
    shard: Arc<CachePadded<Shard>>,
    /// Nanoseconds since the driver's base; negative ones are in its past.
    deadline: i64,
    entry: Entry,
    _pinned: PhantomPinned,
}

// SAFETY: the fields of `entry` are used by whoever holds the shard's lock while it is armed, and otherwise only through
// `Pin<&mut Timer>` or in `drop`, which have the timer for themselves. What they hold (wakers, addresses of entries of
// which the same is true) is `Send`.
unsafe impl Send for Timer {}
// SAFETY: `&Timer` gives access to nothing but `deadline`, which changes only through `Pin<&mut Timer>`.
unsafe impl Sync for Timer {}

impl Timer {
    pub(crate) fn new(handle: &Handle, deadline: Instant) -> Timer {
        Timer::in_shard(Timer::local_shard(handle), deadline)
    }

    /// Where this thread makes timers.
    #[inline]
    pub(crate) fn local_shard(handle: &Handle) -> Arc<CachePadded<Shard>> {
        Arc::clone(handle.shared.timers.local())
    }

    #[inline]
    pub(crate) fn in_shard(shard: Arc<CachePadded<Shard>>, deadline: Instant) -> Timer {
        let deadline = shard.common.nanos(deadline);
        Timer { shard, deadline, entry: Entry::new(), _pinned: PhantomPinned }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.shard.common.instant(self.deadline)
    }

    /// Ready at the deadline or later, never before; an error once the driver has shut down.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Shutdown>> {
        match self.entry.state() {
            FIRED => Poll::Ready(Ok(())),
            SHUT_DOWN => Poll::Ready(Err(Shutdown)),
            IDLE => self.poll_first(cx, now()),
            _ => {
                // SAFETY: it is ours, and is in no other shard.
                if unsafe { self.shard.update_waker(&self.entry, cx.waker()) } {
                    return Poll::Pending;
                }
                let shut_down = self.entry.state() == SHUT_DOWN;
                Poll::Ready(if shut_down { Err(Shutdown) } else { Ok(()) })
            }
        }
    }

    /// The first poll, for a caller who has just read the clock.
    pub(crate) fn poll_first(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(), Shutdown>> {
        let now = self.shard.common.nanos(now);
        if self.deadline <= now { Poll::Ready(Ok(())) } else { self.arm(cx.waker().clone(), now) }
    }

    fn arm(self: Pin<&mut Self>, waker: Waker, now: i64) -> Poll<Result<(), Shutdown>> {
        // What was due when the driver was made is due.
        let Ok(deadline) = u64::try_from(self.deadline) else { return Poll::Ready(Ok(())) };
        let deadline = with_slack(deadline, now.max(0) as u64);
        // SAFETY: it is not armed, and ours; pinned, it stays where it is until `drop`, which disarms it.
        match unsafe { self.shard.arm(&self.entry, deadline, waker) } {
            Armed::Pending { notify } => {
                if notify {
                    self.shard.common.notify();
                }
                Poll::Pending
            }
            Armed::AlreadyDue => Poll::Ready(Ok(())),
            Armed::ShutDown => Poll::Ready(Err(Shutdown)),
        }
    }

    fn arm_now(self: Pin<&mut Self>, waker: Waker) -> Poll<Result<(), Shutdown>> {
        let now = self.shard.common.nanos(now());
        self.arm(waker, now)
    }

    /// Moves the deadline. The waker of an armed timer stays: its task need not poll again to be woken at the new
    /// deadline. A timer that has fired starts anew with its next poll.
    pub(crate) fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        // SAFETY: it is ours.
        let waker = unsafe { self.shard.disarm(&self.entry) };
        self.entry.reset();
        let deadline = self.shard.common.nanos(deadline);
        // SAFETY: nothing is moved; `deadline` is not pinned.
        unsafe { self.as_mut().get_unchecked_mut() }.deadline = deadline;
        if let Some(waker) = waker
            && self.as_mut().arm_now(waker.clone()).is_ready()
        {
            // Already due, or nobody is left to fire it: the next poll says which.
            waker.wake();
        }
    }
}

// Nothing that a panic could leave half done is visible: the entry changes under a lock, without foreign code.
impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        drop(unsafe { self.shard.disarm(&self.entry) });
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}
