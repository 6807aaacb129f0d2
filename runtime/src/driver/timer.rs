//! Timers: deadlines in order, and the wakers to call when they have passed.
//!
//! One `BTreeMap` per driver, keyed by (deadline, number), behind one lock. Deadlines are nanosecond `Instant`s: no
//! wheel, no rounding, hence nothing to round up; the wait itself is a timerfd. A timer is registered when it is
//! first polled and still pending, so that a timeout around a ready future never takes the lock.
//!
//! Invariants:
//! - an entry is in the map exactly while its timer is armed and has not fired; *absent* therefore means *fired*;
//! - nothing fires while `deadline > latest`, the highest reading of the clock that the driver has seen. A clock
//!   that steps back thus can neither fire a timer twice nor take a firing back;
//! - whoever arms a deadline that is earlier than the one a turn waits for must notify the poller. `waiting` is
//!   written under the same lock by the turn, so that either the turn sees the new entry before it waits, or the
//!   arming side sees `waiting` and notifies.
//!
//! Wakers are foreign code: they are cloned before the lock is taken, and dropped or called after it is released.

use std::collections::BTreeMap;
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::poller::Limit;
use super::{Handle, Shutdown};
use crate::sync::prim::Mutex;
use crate::sync::prim::now;

/// All timers of one driver.
pub(super) struct Timers {
    state: Mutex<State>,
}

struct State {
    entries: BTreeMap<Key, Waker>,
    next_number: u64,
    /// What the turn in progress waits for; `Limit::Poll` while no turn waits.
    waiting: Limit,
    latest: Instant,
    shut_down: bool,
}

/// Orders timers by deadline, and those of one deadline by the order in which they were armed.
type Key = (Instant, u64);

/// What became of an attempt to arm.
enum Armed {
    Pending {
        number: u64,
        /// The turn in progress waits beyond this deadline.
        notify: bool,
    },
    AlreadyDue,
    ShutDown,
}

impl State {
    /// Takes the waker out of `waker` if it is needed; else it is left for the caller to drop after the lock.
    fn arm(&mut self, deadline: Instant, waker: &mut Option<Waker>) -> Armed {
        if self.shut_down {
            return Armed::ShutDown;
        }
        if deadline <= self.latest {
            return Armed::AlreadyDue;
        }
        let number = self.next_number;
        self.next_number += 1;
        // The key is new, so nothing is replaced.
        self.entries.extend(waker.take().map(|waker| ((deadline, number), waker)));
        let notify = match self.waiting {
            Limit::Poll => false,
            Limit::Until(end) => deadline < end,
            Limit::Forever => true,
        };
        if notify {
            // The turn is about to end; further timers up to this deadline need not notify again.
            self.waiting = Limit::Until(deadline);
        }
        Armed::Pending { number, notify }
    }
}

impl Timers {
    pub(super) fn new(now: Instant) -> Timers {
        Timers {
            state: Mutex::new(State {
                entries: BTreeMap::new(),
                next_number: 0,
                waiting: Limit::Poll,
                latest: now,
                shut_down: false,
            }),
        }
    }

    /// Announces a wait of at most `limit`, and shortens it to the first deadline.
    pub(super) fn begin_wait(&self, limit: Limit) -> Limit {
        let mut state = self.state.lock();
        let limit = match (limit, state.entries.first_key_value()) {
            (Limit::Poll, _) => Limit::Poll,
            (Limit::Until(end), Some((&(first, _), _))) => Limit::Until(end.min(first)),
            (Limit::Forever, Some((&(first, _), _))) => Limit::Until(first),
            (limit, None) => limit,
        };
        state.waiting = limit;
        limit
    }

    /// The wait is over: moves the wakers of all timers due at `now` to `due`.
    pub(super) fn end_wait(&self, now: Instant, due: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.waiting = Limit::Poll;
        state.latest = state.latest.max(now);
        let latest = state.latest;
        while let Some(first) = state.entries.first_entry()
            && first.key().0 <= latest
        {
            due.push(first.remove());
        }
    }

    /// Fires everything and refuses what comes later.
    pub(super) fn shutdown(&self, due: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        state.shut_down = true;
        due.extend(std::mem::take(&mut state.entries).into_values());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("armed", &self.state.lock().entries.len()).finish()
    }
}

/// One timer. It belongs to one task; dropping it takes it out of the map.
#[derive(Debug)]
pub(crate) struct Timer {
    handle: Handle,
    deadline: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Never polled, or reset after it had fired.
    Idle,
    /// In the map under (deadline, this number), or fired.
    Armed(u64),
    /// Known to have fired.
    Fired,
}

impl Timer {
    pub(crate) fn new(handle: Handle, deadline: Instant) -> Timer {
        Timer { handle, deadline, stage: Stage::Idle }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ready at the deadline or later, never before; an error once the driver has shut down.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Shutdown>> {
        match self.stage {
            Stage::Fired => Poll::Ready(Ok(())),
            Stage::Idle => self.poll_idle(cx),
            Stage::Armed(number) => self.poll_armed(cx, number),
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Shutdown>> {
        if self.deadline <= now() {
            self.stage = Stage::Fired;
            return Poll::Ready(Ok(()));
        }
        let waker = cx.waker().clone();
        self.arm(waker)
    }

    fn arm(&mut self, waker: Waker) -> Poll<Result<(), Shutdown>> {
        let mut waker = Some(waker);
        let armed = self.handle.shared.timers.state.lock().arm(self.deadline, &mut waker);
        match armed {
            Armed::Pending { number, notify } => {
                self.stage = Stage::Armed(number);
                if notify {
                    self.handle.unpark();
                }
                Poll::Pending
            }
            Armed::AlreadyDue => {
                self.stage = Stage::Fired;
                Poll::Ready(Ok(()))
            }
            Armed::ShutDown => Poll::Ready(Err(Shutdown)),
        }
    }

    fn poll_armed(&mut self, cx: &mut Context<'_>, number: u64) -> Poll<Result<(), Shutdown>> {
        let waker = cx.waker().clone();
        let _old; // declared before the guard, hence dropped after it
        let mut state = self.handle.shared.timers.state.lock();
        if let Some(slot) = state.entries.get_mut(&(self.deadline, number)) {
            _old = std::mem::replace(slot, waker);
            return Poll::Pending;
        }
        if state.shut_down {
            return Poll::Ready(Err(Shutdown));
        }
        self.stage = Stage::Fired;
        Poll::Ready(Ok(()))
    }

    /// Moves the deadline. The waker of an armed timer stays: its task need not poll again to be woken at the new
    /// deadline. A timer that has fired starts anew with its next poll.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        let waker = self.disarm();
        self.deadline = deadline;
        if let Some(waker) = waker
            && let Poll::Ready(_) = self.arm(waker.clone())
        {
            // Already due, or nobody is left to fire it: the next poll says which.
            self.stage = Stage::Idle;
            waker.wake();
        }
    }

    /// Back to `Idle`; the waker, if the timer had not fired.
    fn disarm(&mut self) -> Option<Waker> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Armed(number) => {
                self.handle.shared.timers.state.lock().entries.remove(&(self.deadline, number))
            }
            Stage::Idle | Stage::Fired => None,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        drop(self.disarm());
    }
}
