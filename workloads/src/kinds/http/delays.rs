//! How long the server waits for each task: the same for every strategy, because seed and task decide.

use super::whole_us;
use crate::checksum::word;

/// Makes the draws of delays independent of the digests, which come from the same seed.
const SALT: u64 = u64::from_be_bytes(*b"\0\0\0delay");
/// The exponent of `pareto`: the largest waits are most of the work, and the variance has no bound.
const PARETO_SHAPE: f64 = 1.5;
/// No wait is longer than so many times the mean.
const CUT: f64 = 100.0;
/// The longest delay that the server agrees to.
pub(super) const DELAY_MAX_US: u64 = 60_000_000;

/// See the module's comment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delays {
    spread: Spread,
    mean_us: f64,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Spread {
    Constant,
    Uniform,
    Exponential,
    Pareto,
}

impl Delays {
    /// The distributions, as a config names them.
    pub(crate) const NAMES: &'static [&'static str] = &["constant", "uniform", "exponential", "pareto"];

    /// Delays of this mean; any name but those of [`NAMES`](Self::NAMES) is constant.
    pub(crate) fn new(name: &str, mean_ms: f64, seed: u64) -> Self {
        let spread = match name {
            "uniform" => Spread::Uniform,
            "exponential" => Spread::Exponential,
            "pareto" => Spread::Pareto,
            _ => Spread::Constant,
        };
        Self { spread, mean_us: mean_ms * 1000.0, seed }
    }

    /// The mean, in whole microseconds.
    pub(crate) fn mean_us(&self) -> u64 {
        whole_us(self.mean_us / 1000.0)
    }

    /// How long the server waits for this task, in whole microseconds.
    pub(crate) fn us(&self, task: u32) -> u64 {
        let mean = self.mean_us;
        // Never 0, whose logarithm has no end.
        let draw = || ((word(self.seed ^ SALT, u64::from(task)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let us = match self.spread {
            Spread::Constant => mean,
            Spread::Uniform => 2.0 * mean * draw(),
            Spread::Exponential => -mean * draw().ln(),
            Spread::Pareto => mean * (1.0 - 1.0 / PARETO_SHAPE) * draw().powf(-1.0 / PARETO_SHAPE),
        };
        (us.min(mean * CUT).round() as u64).min(DELAY_MAX_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_shapes_are_as_named() {
        let sorted = |name| {
            let delays = Delays::new(name, 10.0, 42);
            let mut all: Vec<u64> = (0..100_000).map(|task| delays.us(task)).collect();
            all.sort_unstable();
            all
        };
        // Quantiles at 1/2 and 0.99 of a mean of 10 ms.
        for (name, median, high) in [
            ("constant", 10_000.0, 10_000.0),
            ("uniform", 10_000.0, 19_800.0),
            ("exponential", 6_931.0, 46_052.0),
            ("pareto", 5_291.0, 71_814.0),
        ] {
            let all = sorted(name);
            let mean = all.iter().sum::<u64>() as f64 / all.len() as f64;
            assert!((mean - 10_000.0).abs() < 700.0, "{name}: {mean}");
            for (at, expected) in [(50_000, median), (99_000, high)] {
                assert!((all[at] as f64 / expected - 1.0).abs() < 0.05, "{name}: {} for {expected}", all[at]);
            }
            assert!(*all.last().unwrap() <= 1_000_000, "{name}");
        }
    }

    #[test]
    fn a_task_has_its_delay() {
        let delays = |seed| Delays::new("exponential", 10.0, seed);
        assert_eq!(delays(1).us(7), delays(1).us(7));
        assert_ne!(delays(1).us(7), delays(2).us(7));
        assert_ne!(delays(1).us(7), delays(1).us(8));
        assert_eq!(Delays::new("constant", 60_000.0, 1).us(0), DELAY_MAX_US);
        assert!((0..1000).all(|task| Delays::new("pareto", 60_000.0, 1).us(task) <= DELAY_MAX_US));
    }
}
