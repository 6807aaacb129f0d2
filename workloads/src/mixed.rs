//! Kind `mixed`: a task waits on a timer, then computes a chain of integer steps.
//!
//! The chain is serial by construction (each step needs the one before), stays in registers and touches no memory, so
//! the same number of steps takes the same time on every core that runs nothing else. The number of steps is fixed
//! for a run, as `cpu_us` × steps per µs measured once: a strategy that slows a core down is charged for it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::checksum::word;

/// One run of [`calibrate_spin`] takes the median of so many measurements, …
const CALIBRATION_RUNS: usize = 15;
/// … each of so many steps: some hundred µs in an optimised build, short enough to fall between two interruptions.
const CALIBRATION_STEPS: u64 = 100_000;

/// How long each task waits and how many steps it computes.
#[derive(Debug)]
pub(crate) struct Mixed {
    seed: u64,
    pub(crate) wait: Duration,
    pub(crate) steps: u64,
}

impl Mixed {
    pub(crate) fn prepare(seed: u64, cpu_us: f64, wait_us: f64, spin_per_us: f64) -> Self {
        let wait = Duration::from_nanos((wait_us * 1000.0).round() as u64);
        Self { seed, wait, steps: (cpu_us * spin_per_us).round() as u64 }
    }

    /// The computing half of a task.
    pub(crate) fn compute(&self, task: u32) -> u64 {
        chain(word(self.seed, u64::from(task)), self.steps)
    }

    /// The waiting half, in blocking style. A wait of zero is no call.
    pub(crate) fn wait_blocking(&self) {
        if !self.wait.is_zero() {
            std::thread::sleep(self.wait);
        }
    }

    /// The waiting half, in async style. A wait of zero is no call.
    pub(crate) async fn wait_async(&self) {
        if !self.wait.is_zero() {
            crossover_runtime::time::sleep(self.wait).await;
        }
    }
}

/// `steps` steps from `x`; each is a shift, an exclusive or, a product and a sum, none of which can be reordered.
fn chain(mut x: u64, steps: u64) -> u64 {
    for _ in 0..steps {
        x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x9E37_79B9_7F4A_7C15);
    }
    x
}

/// How many steps of the `mixed` kernel one core of this machine computes per µs: the median of several short runs.
///
/// Takes some milliseconds in an optimised build. Call it once per run on an otherwise idle machine, and give the
/// result to every strategy: the number of steps decides the digests.
#[must_use]
pub fn calibrate_spin() -> f64 {
    let mut rates: Vec<f64> = (0..CALIBRATION_RUNS)
        .map(|run| {
            let start = Instant::now();
            black_box(chain(black_box(run as u64), black_box(CALIBRATION_STEPS)));
            // The clock's resolution is far below a run; the floor only keeps the quotient finite.
            CALIBRATION_STEPS as f64 / (start.elapsed().as_secs_f64() * 1e6).max(1e-3)
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[CALIBRATION_RUNS / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_steps_are_the_start_and_steps_add_up() {
        assert_eq!(chain(77, 0), 77);
        assert_eq!(chain(chain(77, 3), 4), chain(77, 7));
    }

    #[test]
    fn steps_are_rounded() {
        assert_eq!(Mixed::prepare(0, 0.3, 0.0, 500.0).steps, 150);
        assert_eq!(Mixed::prepare(0, 0.001, 0.0, 400.0).steps, 0);
        assert_eq!(Mixed::prepare(0, 0.0, 0.25, 1.0).wait, Duration::from_nanos(250));
    }

    #[test]
    fn calibration_is_a_speed() {
        let rate = calibrate_spin();
        // From the slowest unoptimised build under load to a step per cycle at 10 GHz.
        assert!(rate > 0.05 && rate < 10_000.0, "{rate} steps per µs");
    }
}
