//! Kind `mixed`: a task waits on a timer, then computes a chain of integer steps.
//!
//! The chain is serial by construction (each step needs the one before), stays in registers and touches no memory, so
//! the same number of steps takes the same time on every core that runs nothing else. The number of steps is fixed
//! for a run, as `cpu_us` × steps per µs measured once: a strategy that slows a core down is charged for it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Kind, offload};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, Crossover, WorkloadError};

/// One run of [`calibrate_spin`] takes the median of so many measurements, …
const CALIBRATION_RUNS: usize = 15;
/// … each of so many steps: some hundred µs in an optimised build, short enough to fall between two interruptions.
const CALIBRATION_STEPS: u64 = 100_000;

/// How long each task waits and how many steps it computes.
#[derive(Debug)]
pub(crate) struct Mixed {
    seed: u64,
    wait: Duration,
    steps: u64,
}

impl Kind for Mixed {
    const INFO: KindInfo = KindInfo {
        about: "a task waits on a timer and then computes a chain of integer steps",
        params: &[
            catalog::tasks(100_000),
            ParamInfo {
                name: "cpu_us",
                about: "computing per task, in µs of one core of this machine when nothing else runs; 0 computes nothing",
                value: ParamKind::Float { min: 0.0, max: 10_000_000.0 },
                default: Some(DefaultValue::Float(100.0)),
            },
            ParamInfo {
                name: "wait_us",
                about: "how long a task waits first; 0 makes no timer call at all",
                value: ParamKind::Float { min: 0.0, max: 60_000_000.0 },
                default: Some(DefaultValue::Float(500.0)),
            },
        ],
        needs_spin: true,
        ..KindInfo::new("mixed", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (spin, params) = (setup.spin_per_us()?, &setup.params);
        Ok(Self::new(setup.seed(), params.number("cpu_us")?, params.number("wait_us")?, spin))
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        // A wait of zero is no call.
        if !self.wait.is_zero() {
            std::thread::sleep(self.wait);
        }
        Ok(self.compute(task))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.wait_async::<R>().await;
        Ok(self.compute(task))
    }

    /// The timer is awaited and the chain offloaded; a chain of no steps is not.
    async fn run_offloaded<G>(
        self: &Arc<Self>,
        task: u32,
        around: impl FnOnce() -> G + Send + 'static,
    ) -> Result<u64, WorkloadError> {
        self.wait_async::<Crossover>().await;
        if self.steps == 0 {
            return Ok(self.compute(task));
        }
        let this = Arc::clone(self);
        offload(task, around, move || Ok(this.compute(task))).await
    }

    fn estimate_us(params: &Params) -> f64 {
        let wait = params.guess("wait_us");
        // A sleeping thread wakes about 60 µs late on Linux (50 µs of them timer slack).
        params.guess("cpu_us") + if wait > 0.0 { wait + 60.0 } else { 0.0 }
    }
}

impl Mixed {
    fn new(seed: u64, cpu_us: f64, wait_us: f64, spin_per_us: f64) -> Self {
        let wait = Duration::from_nanos((wait_us * 1000.0).round() as u64);
        Self { seed, wait, steps: (cpu_us * spin_per_us).round() as u64 }
    }

    /// The computing half of a task.
    fn compute(&self, task: u32) -> u64 {
        chain(word(self.seed, u64::from(task)), self.steps)
    }

    /// The waiting half, in async style. A wait of zero is no call.
    async fn wait_async<R: AsyncRuntime>(&self) {
        if !self.wait.is_zero() {
            R::sleep(self.wait).await;
        }
    }
}

/// `steps` steps from `x`; each is a shift, an exclusive or, a product and a sum, none of which can be reordered.
pub(super) fn chain(mut x: u64, steps: u64) -> u64 {
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
        assert_eq!(Mixed::new(0, 0.3, 0.0, 500.0).steps, 150);
        assert_eq!(Mixed::new(0, 0.001, 0.0, 400.0).steps, 0);
        assert_eq!(Mixed::new(0, 0.0, 0.25, 1.0).wait, Duration::from_nanos(250));
    }

    #[test]
    fn calibration_is_a_speed() {
        let rate = calibrate_spin();
        // From the slowest unoptimised build under load to a step per cycle at 10 GHz.
        assert!(rate > 0.05 && rate < 10_000.0, "{rate} steps per µs");
    }
}
