//! 64-bit keys in ascending order: spread over buckets by their top bits, and each bucket sorted by the standard library.
//!
//! A step is a piece of the keys that is spread, or a bucket that is sorted. The keys are even noise, so that the buckets
//! are equal but for chance.

use super::Kernel;
use super::steps::{STEPS_MAX, Steps, piece};
use crate::checksum::{seal, weigh, word};

/// Pieces of the keys are multiples of it.
const UNIT: usize = 1024;
/// Keys of a bucket at least, if there is more than one.
const BUCKET_MIN: usize = 512;

/// The keys that all tasks sort, each with other bits flipped.
#[derive(Debug)]
pub(super) struct SortWork {
    seed: u64,
    keys: Vec<u64>,
}

impl Kernel for SortWork {
    const NAME: &'static str = "sort";
    const COST_US: (f64, f64) = (0.2, 0.001_4);

    fn prepare(input_bytes: usize, seed: u64) -> Self {
        Self { seed, keys: (0..input_bytes as u64 / 8).map(|index| word(seed, index)).collect() }
    }

    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let mut buckets = self.spread(task, steps);
        let (mut sum, mut first) = (0u64, 0);
        for bucket in &mut buckets {
            steps.begin();
            bucket.sort_unstable();
            sum = sum.wrapping_add(weigh(first, bucket.iter().copied()));
            first += bucket.len() as u64;
        }
        Ok(seal(sum, self.seed, task))
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.keys)
    }
}

impl SortWork {
    /// The task's keys in buckets, which are in order.
    fn spread(&self, task: u32, steps: &mut impl Steps) -> Vec<Vec<u64>> {
        let count = (self.keys.len() / BUCKET_MIN).clamp(1, STEPS_MAX);
        let bits = count.ilog2();
        // Room for what chance adds: four standard deviations.
        let mean = self.keys.len() >> bits;
        let mut buckets = vec![Vec::new(); 1 << bits];
        for bucket in &mut buckets {
            bucket.reserve_exact(mean + 4 * mean.isqrt() + 1);
        }
        let flipped = word(self.seed, u64::from(task));
        for part in self.keys.chunks(piece(self.keys.len(), UNIT)) {
            steps.begin();
            for key in part {
                let key = key ^ flipped;
                // Two shifts: one by all 64 bits would not be defined.
                buckets[(key >> 1 >> (63 - bits)) as usize].push(key);
            }
        }
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::cpu::steps::Free;

    #[test]
    fn the_buckets_are_the_sorted_keys() {
        for input_bytes in [16, 1000, 8 * BUCKET_MIN, 8 * BUCKET_MIN * 3, 100_000, 1 << 20] {
            let work = SortWork::prepare(input_bytes, 3);
            let mut sorted: Vec<u64> = work.keys.iter().map(|key| key ^ word(3, 5)).collect();
            sorted.sort_unstable();
            assert_eq!(work.run(5, &mut Free).unwrap(), seal(weigh(0, sorted.iter().copied()), 3, 5));
            let mut buckets = work.spread(5, &mut Free);
            buckets.iter_mut().for_each(|bucket| bucket.sort_unstable());
            assert_eq!(buckets.concat(), sorted, "{input_bytes}");
        }
    }
}
