//! The steps of a kernel: what it says when each begins, and the share of them that is done under the global lock.
//!
//! A kernel is cut into up to [`STEPS_MAX`] steps of about equal work (a JPEG's lines of blocks may be more). Without a lock
//! its steps are [`Free`]: saying that one begins compiles to nothing, and no lock is anywhere near. With a lock they are [`Locked`]: which of them hold it is
//! spread evenly, as Bresenham draws a line, and goes on from task to task, so that the share is right for kernels of a
//! single step too.

use super::global_lock::{GlobalLock, Turn};

/// Steps that a kernel is cut into at most.
pub(super) const STEPS_MAX: usize = 64;
/// The whole of a share.
const WHOLE: u32 = 1 << 16;

/// Is told when each step of a kernel begins. A step ends where the next one begins, or where this is dropped.
pub(super) trait Steps {
    /// Whether anybody listens. Where nobody does, a kernel whose library pays for being called piece by piece calls it once.
    const MATTER: bool;

    /// The next step begins: nothing of it may have been done yet.
    fn begin(&mut self);
}

/// How many of `len` things one step takes: a multiple of `unit`, and enough that [`STEPS_MAX`] steps do for all.
pub(super) fn piece(len: usize, unit: usize) -> usize {
    len.div_ceil(STEPS_MAX).next_multiple_of(unit).max(unit)
}

/// Steps without a lock.
#[derive(Debug)]
pub(super) struct Free;

impl Steps for Free {
    const MATTER: bool = false;

    #[inline(always)]
    fn begin(&mut self) {}
}

/// The share of steps that hold the lock, in 65,536ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u32);

impl Share {
    /// The share nearest to `fraction`, which is within 0 and 1; `None` for none at all. One that is not zero is never
    /// rounded to it.
    pub(super) fn new(fraction: f64) -> Option<Self> {
        let parts = (fraction * f64::from(WHOLE)).round() as u32;
        (fraction > 0.0).then_some(Self(parts.clamp(1, WHOLE)))
    }
}

/// The steps of one task, a share of which hold a lock.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    lock: &'a GlobalLock,
    share: Share,
    /// Below `WHOLE`; the step that carries it there holds the lock.
    sum: u32,
    turn: Option<Turn<'a>>,
}

impl<'a> Locked<'a> {
    /// The steps of `task`. Neighbouring tasks begin one share apart.
    pub(super) fn new(lock: &'a GlobalLock, share: Share, task: u32) -> Self {
        Self { lock, share, sum: task.wrapping_mul(share.0) % WHOLE, turn: None }
    }

    /// Whether the next step holds the lock.
    fn next_is_locked(&mut self) -> bool {
        self.sum += self.share.0;
        let locked = self.sum >= WHOLE;
        self.sum %= WHOLE;
        locked
    }
}

impl Steps for Locked<'_> {
    const MATTER: bool = true;

    fn begin(&mut self) {
        let locked = self.next_is_locked();
        self.turn = match (self.turn.take(), locked) {
            (Some(turn), true) => Some(turn.between_steps()),
            (None, true) => Some(self.lock.take()),
            // Given back here, if it was held.
            (_, false) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which steps of each task hold the lock.
    fn pattern(fraction: f64, tasks: u32, steps: usize) -> Vec<Vec<bool>> {
        let lock = GlobalLock::new();
        let share = Share::new(fraction).expect("more than nothing");
        let one = |task| {
            let mut all = Locked::new(&lock, share, task);
            (0..steps).map(|_| all.next_is_locked()).collect()
        };
        (0..tasks).map(one).collect()
    }

    #[test]
    fn a_share_of_the_steps_is_locked_and_spread_evenly() {
        for fraction in [0.01, 0.1, 0.25, 1.0 / 3.0, 0.5, 0.75, 0.9, 0.99, 1.0] {
            for (task, locked) in pattern(fraction, 100, 64).iter().enumerate() {
                // Within every window, not only over all.
                for length in 1..=64 {
                    for window in locked.windows(length) {
                        let count = window.iter().filter(|held| **held).count() as f64;
                        let expected = fraction * length as f64;
                        assert!((count - expected).abs() < 1.01, "{fraction}, task {task}: {window:?}");
                    }
                }
            }
        }
        assert!(pattern(1.0, 10, 64).concat().iter().all(|held| *held));
    }

    #[test]
    fn kernels_of_one_step_hold_it_in_a_share_of_the_tasks() {
        for (fraction, expected) in [(0.25, 250), (0.5, 500), (1.0, 1000)] {
            let held = pattern(fraction, 1000, 1).concat().iter().filter(|held| **held).count();
            assert_eq!(held, expected);
        }
    }

    #[test]
    fn shares_are_rounded_but_not_away() {
        assert_eq!(Share::new(0.0), None);
        assert_eq!(Share::new(1e-9), Some(Share(1)));
        assert_eq!(Share::new(0.5), Some(Share(WHOLE / 2)));
        assert_eq!(Share::new(1.0), Some(Share(WHOLE)));
    }

    #[test]
    fn no_input_has_more_steps_than_there_may_be() {
        for unit in [1, 2, 16, 4096] {
            for len in (0..300_000).step_by(37) {
                let piece = piece(len, unit);
                assert!(piece > 0 && piece.is_multiple_of(unit));
                assert!(len.div_ceil(piece) <= STEPS_MAX, "{len} by {unit}");
            }
        }
    }

    #[test]
    fn the_lock_is_given_back_at_steps_without_it_and_at_the_end() {
        let lock = GlobalLock::new();
        let share = Share::new(0.5).expect("more than nothing");
        let mut steps = Locked::new(&lock, share, 0);
        let mut held = Vec::new();
        for _ in 0..4 {
            steps.begin();
            held.push(lock.is_held());
        }
        assert_eq!(held, [false, true, false, true]);
        drop(steps);
        assert!(!lock.is_held());
    }
}
