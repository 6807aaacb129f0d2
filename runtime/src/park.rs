//! Putting one thread to sleep: on a condition variable, or on a turn of the driver.
//!
//! A [`Parker`] belongs to one thread, which parks; any thread unparks it. It holds at most one token: an unpark
//! without a park in progress makes the next park return at once, so a wake-up is never lost. Parks may also end
//! without a token (a turn ends for its own reasons): callers look for work after each.
//!
//! | state | meaning | leaves it |
//! |---|---|---|
//! | `EMPTY` | awake, no token | owner → `PARKED`/`TURNING`; anyone → `NOTIFIED` |
//! | `PARKED` | the owner waits on the condition variable | anyone → `NOTIFIED`, then signals it |
//! | `TURNING` | the owner turns the driver | anyone → `NOTIFIED`, then unparks the driver; owner → `EMPTY` |
//! | `NOTIFIED` | a token is there | owner → `EMPTY` |
//!
//! All changes are read-modify-writes of one word: whatever an unparker wrote before its swap (AcqRel), the owner
//! sees after the swap or exchange that takes the token.

use crate::sync::prim::atomic::{AtomicU8, Ordering};
use crate::sync::prim::{Condvar, Mutex, now, thread_local};
use std::cell::Cell;
use std::time::Duration;

const EMPTY: u8 = 0;
const PARKED: u8 = 1;
const TURNING: u8 = 2;
const NOTIFIED: u8 = 3;

/// One thread's place to sleep.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU8,
    /// Held by the owner from announcing `PARKED` until it waits, so that the signal cannot fall in between.
    lock: Mutex<()>,
    signal: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Parker {
        Parker { state: AtomicU8::new(EMPTY), lock: Mutex::new(()), signal: Condvar::new() }
    }

    /// Is a token there? Relaxed: a hint for spinning; `park` settles it.
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NOTIFIED
    }

    /// Waits for a token and takes it.
    pub(crate) fn park(&self) {
        self.park_for(None);
    }

    /// Waits for a token and takes it, or until `limit` has passed; says which.
    pub(crate) fn park_for(&self, limit: Option<Duration>) -> bool {
        if self.take_token() {
            return true;
        }
        let mut guard = self.lock.lock();
        if !self.announce(PARKED) {
            return true;
        }
        let mut timed_out = false;
        while !timed_out {
            match limit {
                None => guard = self.signal.wait(guard),
                // A spurious wake-up begins the limit anew: it is not a deadline.
                Some(limit) => (guard, timed_out) = self.signal.wait_timeout(guard, limit),
            }
            if self.take_token() {
                return true;
            }
        }
        // A token that comes only now is taken too: the caller looks for work after this.
        self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED
    }

    /// Runs `turn` (a turn of the driver) unless a token is there; takes the token.
    pub(crate) fn park_turning(&self, turn: impl FnOnce()) {
        if !self.announce(TURNING) {
            return;
        }
        turn();
        self.state.swap(EMPTY, Ordering::AcqRel);
    }

    /// Leaves a token; `unpark_driver` is called if the owner is turning the driver.
    pub(crate) fn unpark(&self, unpark_driver: impl FnOnce()) {
        match self.state.swap(NOTIFIED, Ordering::AcqRel) {
            PARKED => {
                // Wait until the owner, if it is between announcing and waiting, really waits.
                drop(self.lock.lock());
                self.signal.notify_one();
            }
            TURNING => unpark_driver(),
            _ => {}
        }
    }

    fn take_token(&self) -> bool {
        self.state.compare_exchange(NOTIFIED, EMPTY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// `EMPTY` → `state`; or takes the token that is there and returns false.
    fn announce(&self, state: u8) -> bool {
        if self.state.compare_exchange(EMPTY, state, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return true;
        }
        self.state.swap(EMPTY, Ordering::AcqRel);
        false
    }
}

/// How long to look for work before parking. Waking a parked thread takes microseconds, on a virtual machine
/// whose CPU has halted tens of them; work often comes sooner than that.
///
/// It adapts: a spin that found work, or a park that ended soon, restores the full length; a long park halves it,
/// down to none. Each step of a spin is a `sched_yield`, so a spinner holds up nobody who has work. Where others compute
/// on the same CPU that costs a whole slice of theirs, milliseconds, and a sleeper would be back sooner: see [`Crowd`].
#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
}

/// What a thread knows of others that compute on its CPU: a yield that took long went to one of them. After such a yield
/// the next ones are left out, twice as many each time, up to [`Crowd::MOST`].
#[derive(Clone, Copy, Debug)]
struct Crowd {
    /// Yields that are left out from now on.
    skip: u32,
    /// How many were left out after the last long yield.
    skipped: u32,
}

thread_local! {
    static CROWD: Cell<Crowd> = const { Cell::new(Crowd { skip: 0, skipped: 0 }) };
}

impl Crowd {
    /// Far longer than what a thread of the runtime that has little to do takes, shorter than a slice.
    const LONG: Duration = Duration::from_micros(500);
    const FIRST: u32 = 32;
    const MOST: u32 = 4096;

    /// Is the thread's next yield to be left out?
    fn is_there() -> bool {
        CROWD.with(|cell| {
            let crowd = cell.get();
            cell.set(Crowd { skip: crowd.skip.saturating_sub(1), ..crowd });
            crowd.skip > 0
        })
    }

    /// Learns from a yield that took `time`.
    fn yielded(time: Duration) {
        CROWD.with(|cell| {
            let Crowd { skip, skipped } = cell.get();
            cell.set(if time >= Crowd::LONG {
                let skipped = (skipped * 2).clamp(Crowd::FIRST, Crowd::MOST);
                Crowd { skip: skipped, skipped }
            } else {
                Crowd { skip, skipped: skipped - skipped / 8 }
            });
        });
    }
}

/// Yields the CPU once, unless others compute on it.
pub(crate) fn yield_once() {
    if !Crowd::is_there() {
        let start = now();
        crate::sync::prim::thread::yield_now();
        Crowd::yielded(now().duration_since(start));
    }
}

impl Spin {
    const FULL: Duration = Duration::from_micros(20);
    /// Below this the limit is rounded to none: a `sched_yield` alone takes a fraction of it.
    const LEAST: Duration = Duration::from_micros(1);
    /// A park shorter than this is one that spinning may have saved: about two wake-ups of a halted CPU.
    const SHORT_PARK: Duration = Duration::from_micros(200);

    pub(crate) fn new() -> Spin {
        Spin { limit: Spin::FULL }
    }

    /// Yields the CPU until `done` returns something or the limit is over.
    pub(crate) fn run<R>(&mut self, mut done: impl FnMut() -> Option<R>) -> Option<R> {
        if self.limit.is_zero() || Crowd::is_there() {
            return None;
        }
        let start = now();
        let mut before = start;
        loop {
            crate::sync::prim::thread::yield_now();
            let after = now();
            Crowd::yielded(after.duration_since(before));
            if let Some(found) = done() {
                self.limit = Spin::FULL;
                return Some(found);
            }
            if after.duration_since(start) >= self.limit {
                return None;
            }
            before = now();
        }
    }

    /// Learns from a park that took `slept`.
    pub(crate) fn parked(&mut self, slept: Duration) {
        if slept < Spin::SHORT_PARK {
            self.limit = Spin::FULL;
        } else {
            let half = self.limit / 2;
            self.limit = if half < Spin::LEAST { Duration::ZERO } else { half };
        }
    }
}

#[cfg(all(test, not(runtime_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn an_unpark_before_the_park_is_kept_and_only_one() {
        let parker = Parker::new();
        parker.unpark(|| unreachable!("nobody turns"));
        parker.unpark(|| unreachable!("nobody turns"));
        assert!(parker.is_notified());
        parker.park();
        assert!(!parker.is_notified());
        let mut turned = false;
        parker.park_turning(|| turned = true);
        assert!(turned, "the token was taken by the park before");
    }

    #[test]
    fn a_token_skips_the_turn_and_a_turner_is_unparked_through_the_driver() {
        let parker = Parker::new();
        parker.unpark(|| unreachable!("nobody turns"));
        parker.park_turning(|| unreachable!("a token was there"));
        let mut driver_unparked = false;
        parker.park_turning(|| parker.unpark(|| driver_unparked = true));
        assert!(driver_unparked);
        assert!(!parker.is_notified());
    }

    #[test]
    fn park_and_unpark_hand_over_every_step() {
        let parkers = Arc::new([Parker::new(), Parker::new()]);
        let step = Arc::new(AtomicU32::new(0));
        let run = |me: usize| {
            let (parkers, step) = (Arc::clone(&parkers), Arc::clone(&step));
            move || {
                while step.load(Ordering::Relaxed) < 2000 {
                    if step.load(Ordering::Relaxed) % 2 == me as u32 {
                        step.fetch_add(1, Ordering::Relaxed);
                        parkers[1 - me].unpark(|| {});
                    } else {
                        parkers[me].park();
                    }
                }
                parkers[1 - me].unpark(|| {});
            }
        };
        let other = std::thread::spawn(run(1));
        run(0)();
        other.join().unwrap();
        assert_eq!(step.load(Ordering::Relaxed), 2000);
    }

    #[test]
    fn a_long_yield_makes_the_next_ones_be_left_out() {
        on_a_fresh_thread(|| {
            let mut spin = Spin::new();
            Crowd::yielded(Duration::from_millis(3));
            for _ in 0..Crowd::FIRST {
                assert_eq!(spin.run(|| -> Option<()> { unreachable!("it does not look") }), None);
            }
            assert_eq!(spin.run(|| Some(5)), Some(5));
        });
    }

    #[test]
    fn the_spin_adapts_both_ways() {
        on_a_fresh_thread(|| {
            let mut spin = Spin::new();
            for _ in 0..10 {
                spin.parked(Duration::from_secs(1));
            }
            assert_eq!(spin.run(|| -> Option<()> { unreachable!("no spin is left") }), None);
            spin.parked(Duration::from_micros(10));
            assert_eq!(spin.run(|| Some(5)), Some(5));
        });
    }

    /// One that has seen no crowd yet.
    fn on_a_fresh_thread(body: fn()) {
        std::thread::spawn(body).join().unwrap();
    }
}
