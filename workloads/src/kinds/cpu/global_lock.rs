//! One lock for a whole process, handed over as CPython hands over its own.
//!
//! Who holds it keeps it from step to step and asks nobody. A thread that wants it sleeps until it is given back; after
//! 5 ms (CPython's `sys.getswitchinterval`) without any change of hands it asks for it. Who holds it sees that between two
//! steps, gives it back, and does not take it again before another thread has had it. A step without the lock gives it back
//! at once, as an extension does that releases CPython's lock; so does the end of a task. It is not fair: of several that
//! wait, whoever comes first gets it, a running thread before one that has yet to wake up.
//!
//! Worker processes have one each, as interpreters do.
//!
//! # Protocol
//! Everything is decided under `state`. A waiter sleeps on `freed`, which is told once each time the lock becomes free
//! while somebody waits; that it was told to one that is not asleep yet is harmless, because each looks at `held` before it
//! sleeps, under the same mutex. A holder that was asked sleeps on `taken` until `turns` moves. It cannot sleep for ever: it
//! does so only while `waiting > 0`, the lock is free and `freed` has been told, and nobody who waits gives up (there are no
//! timeouts and no cancellation), so one of them takes it and tells `taken`. `asked` only spares the holder a look at
//! `state` at each step: it is written under the mutex, read without, and reading it late costs a step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a thread waits before it asks for the lock.
const SWITCH_INTERVAL: Duration = Duration::from_millis(5);

/// See the module's comment.
#[derive(Debug)]
pub(super) struct GlobalLock {
    state: Mutex<State>,
    /// The lock became free.
    freed: Condvar,
    /// The lock was taken, which a thread that gave way waits for.
    taken: Condvar,
    /// Somebody has waited long enough. A hint: written under `state`, read without.
    asked: AtomicBool,
}

/// What the mutex guards.
#[derive(Debug)]
struct State {
    held: bool,
    /// Threads in `take`, until they have it.
    waiting: u32,
    /// How often it was taken.
    turns: u64,
    /// Threads that gave way and wait until it was taken by another.
    giving_way: u32,
}

/// The right to do steps under the lock. Dropping it gives the lock back.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    lock: &'a GlobalLock,
}

impl GlobalLock {
    /// A lock that nobody holds.
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State { held: false, waiting: 0, turns: 0, giving_way: 0 }),
            freed: Condvar::new(),
            taken: Condvar::new(),
            asked: AtomicBool::new(false),
        }
    }

    /// Waits for the lock and takes it.
    pub(super) fn take(&self) -> Turn<'_> {
        let mut state = self.state();
        if state.held {
            state.waiting += 1;
            state = self.wait_until_free(state);
            state.waiting -= 1;
        }
        self.seize(state)
    }

    /// Sleeps until nobody holds the lock, and asks for it each time it has not changed hands for the interval.
    fn wait_until_free<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (mut seen, mut since) = (state.turns, Instant::now());
        while state.held {
            let left = SWITCH_INTERVAL.saturating_sub(since.elapsed());
            if state.turns != seen {
                (seen, since) = (state.turns, Instant::now());
            } else if left.is_zero() {
                self.asked.store(true, Ordering::Relaxed);
                since = Instant::now();
            } else {
                (state, _) = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            }
        }
        state
    }

    /// Takes the free lock.
    fn seize(&self, mut state: MutexGuard<'_, State>) -> Turn<'_> {
        state.held = true;
        state.turns += 1;
        self.asked.store(false, Ordering::Relaxed);
        if state.giving_way > 0 {
            self.taken.notify_all();
        }
        Turn { lock: self }
    }

    /// Frees the lock, and wakes one that waits for it.
    fn free(&self, state: &mut State) {
        state.held = false;
        if state.waiting > 0 {
            self.freed.notify_one();
        }
    }

    /// No panic can leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_held(&self) -> bool {
        self.state().held
    }
}

impl<'a> Turn<'a> {
    /// Between two steps that both hold the lock: keeps it, or lets another thread have it first if one has asked.
    pub(super) fn between_steps(self) -> Self {
        if self.lock.asked.load(Ordering::Relaxed) { self.give_way() } else { self }
    }

    fn give_way(self) -> Self {
        let lock = self.lock;
        let mut state = lock.state();
        if state.waiting == 0 {
            drop(state);
            return self;
        }
        // The lock is given back here and not by a drop.
        std::mem::forget(self);
        lock.free(&mut state);
        let mine = state.turns;
        state.giving_way += 1;
        while state.turns == mine {
            state = lock.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.giving_way -= 1;
        drop(state);
        lock.take()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lock.free(&mut self.lock.state());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn one_at_a_time_and_all_come_to_their_turn() {
        let lock = GlobalLock::new();
        let inside = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let mut turn = lock.take();
                        for _ in 0..3 {
                            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                            assert_eq!(inside.fetch_sub(1, Ordering::Relaxed), 1);
                            turn = turn.between_steps();
                        }
                    }
                });
            }
        });
        let state = lock.state();
        assert!(!state.held && state.waiting == 0 && state.giving_way == 0);
        assert!(state.turns >= 8 * 500);
    }

    /// Two threads that never end a task share the lock all the same.
    #[test]
    fn a_thread_that_asks_is_let_in_before_the_holder_goes_on() {
        let lock = GlobalLock::new();
        let (done, is_done) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let turn = lock.take();
            scope.spawn(|| {
                for _ in 0..3 {
                    drop(lock.take().between_steps());
                }
                drop(done);
            });
            let mut turn = Some(turn);
            while is_done.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                turn = turn.map(Turn::between_steps);
            }
            assert!(lock.is_held());
        });
        assert!(!lock.is_held());
    }

    #[test]
    fn a_panic_gives_it_back() {
        let lock = GlobalLock::new();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _turn = lock.take();
            panic!("on purpose");
        }));
        assert!(caught.is_err() && !lock.is_held());
        drop(lock.take());
    }
}
