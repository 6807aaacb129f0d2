//! Kind `skewed`: the tasks of a run compute unequally much, and always the same together.
//!
//! The largest task counts 1, the second 1/2^skew, the third 1/3^skew, … (Zipf's law at a skew of 1), in an order shuffled by
//! the seed. Shares are divided in whole numbers, so that every language makes the same sizes. What is computed is the
//! chain of `mixed`.

use super::Kind;
use super::mixed::chain;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Tasks of a run at most: so many shares can be added up in 64 bits.
const TASKS_MAX: i64 = 100_000;
/// The share of the largest task, before all are made to add up.
const LARGEST: u64 = 1 << 40;

/// How many steps each task computes.
#[derive(Debug)]
pub(crate) struct Skewed {
    seed: u64,
    steps: Vec<u64>,
}

impl Kind for Skewed {
    const INFO: KindInfo = KindInfo {
        about: "a task computes a chain of integer steps; a few tasks compute much more than the others",
        params: &[
            catalog::tasks(TASKS_MAX),
            ParamInfo {
                name: "cpu_us",
                about: "computing per task on average, in µs of one core of this machine when nothing else runs",
                value: ParamKind::Float { min: 0.0, max: 10_000_000.0 },
                default: Some(DefaultValue::Float(100.0)),
            },
            ParamInfo {
                name: "skew",
                about: "the n-th largest task is 1/n^skew of the largest: 0 makes all equal, 1 is Zipf's law",
                value: ParamKind::Int { min: 0, max: 3 },
                default: Some(DefaultValue::Int(1)),
            },
        ],
        needs_spin: true,
        ..KindInfo::new("skewed", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (spin, params) = (setup.spin_per_us()?, &setup.params);
        let each = (params.number("cpu_us")? * spin).round() as u64;
        // The catalog limits it to 3.
        let skew = params.count("skew")? as u32;
        Ok(Self { seed: setup.seed(), steps: sizes(setup.seed(), setup.tasks(), each, skew) })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let steps = self.steps.get(task as usize).copied().unwrap_or_default();
        Ok(chain(word(self.seed, u64::from(task)), steps))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn estimate_us(params: &Params) -> f64 {
        params.guess("cpu_us")
    }

    fn input_bytes(&self) -> usize {
        size_of_val(&*self.steps)
    }
}

/// The steps of each task: `each` on average, shared out by rank. What rounding leaves over is the largest task's.
fn sizes(seed: u64, tasks: u32, each: u64, skew: u32) -> Vec<u64> {
    let shares: Vec<u64> = (1..=u64::from(tasks)).map(|rank| LARGEST / rank.pow(skew)).collect();
    let whole = u128::from(shares.iter().sum::<u64>());
    let total = u128::from(each) * u128::from(tasks);
    // At most the total, 10⁷ µs · 10⁶ steps per µs · 10⁵ tasks: within 64 bits.
    let mut steps: Vec<u64> =
        shares.iter().map(|share| (total * u128::from(*share) / whole) as u64).collect();
    let rest = total - steps.iter().map(|n| u128::from(*n)).sum::<u128>();
    if let Some(largest) = steps.first_mut() {
        *largest += rest as u64;
    }
    shuffle(&mut steps, seed);
    steps
}

/// Fisher and Yates' shuffle, from the last place down.
fn shuffle(steps: &mut [u64], seed: u64) {
    for last in (1..steps.len()).rev() {
        steps.swap(last, (word(!seed, last as u64) % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up_and_follow_the_law() {
        for skew in 0..=3 {
            for tasks in [1, 2, 3, 16, 1000] {
                let mut steps = sizes(9, tasks, 7001, skew);
                assert_eq!(steps.iter().sum::<u64>(), 7001 * u64::from(tasks));
                steps.sort_unstable_by(|a, b| b.cmp(a));
                for (rank, size) in (1u32..).zip(&steps) {
                    let law = steps[0] as f64 / f64::from(rank).powi(skew as i32);
                    assert!(
                        (*size as f64 - law).abs() <= f64::from(tasks) + 1.0,
                        "{skew}, {tasks}: {steps:?}"
                    );
                }
            }
        }
        assert_eq!(sizes(9, 5, 40, 0), [40; 5]);
    }

    #[test]
    fn the_largest_inputs_fit() {
        let steps = sizes(1, TASKS_MAX as u32, 10_000_000_000_000, 3);
        assert_eq!(steps.iter().sum::<u64>(), 1_000_000_000_000_000_000);
    }

    #[test]
    fn the_seed_decides_the_order() {
        let (one, other) = (sizes(1, 100, 1000, 1), sizes(2, 100, 1000, 1));
        assert_ne!(one, other);
        let sorted = |mut steps: Vec<u64>| {
            steps.sort_unstable();
            steps
        };
        assert_eq!(sorted(one), sorted(other));
    }
}
