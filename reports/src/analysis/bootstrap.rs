//! The hierarchical bootstrap: processes are resampled first, then the rounds within each of them.
//!
//! All cells and pairs share the resampled blocks, because a block's load and a process's layout touch all of
//! them at once: a replicate of a whole sweep is then one that could have been measured. A replicate is kept as the
//! number of times that each block was drawn, so the median of a replicate is a walk through values that were
//! sorted once, and needs neither gathering nor sorting.
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Replicates × blocks that are kept at most: 256 MiB of counts.
const COUNTS_MAX: usize = 1 << 28;

/// How often each block was drawn in each replicate.
#[derive(Debug)]
pub(crate) struct Replicates {
    counts: Vec<u8>,
    blocks: usize,
}

impl Replicates {
    /// Draws `replicates` (fewer where the counts would not fit into memory) from blocks given as the sizes of
    /// their processes: process `p` owns the next `rounds[p]` blocks.
    pub(crate) fn draw(rounds: &[usize], replicates: usize, seed: u64) -> Self {
        let blocks: usize = rounds.iter().sum();
        let replicates = replicates.min(COUNTS_MAX / blocks.max(1));
        let starts: Vec<usize> =
            rounds.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut counts = vec![0u8; blocks * replicates];
        if blocks > 0 {
            for row in counts.chunks_exact_mut(blocks) {
                for _ in 0..rounds.len() {
                    let process = rng.random_range(0..rounds.len());
                    for _ in 0..rounds[process] {
                        let block = starts[process] + rng.random_range(0..rounds[process]);
                        row[block] = row[block].saturating_add(1);
                    }
                }
            }
        }
        Self { counts, blocks }
    }

    /// Writes the median of every replicate of `sorted` (values with their blocks, ascending) to `medians`.
    ///
    /// A replicate that drew none of these blocks yields `centre`.
    pub(crate) fn medians(&self, sorted: &[(f64, u32)], centre: f64, medians: &mut Vec<f32>) {
        medians.clear();
        if self.blocks == 0 {
            return;
        }
        let whole = sorted.len() == self.blocks;
        for row in self.counts.chunks_exact(self.blocks) {
            let total: u32 = if whole {
                row.iter().map(|&n| u32::from(n)).sum()
            } else {
                sorted.iter().map(|&(_, block)| u32::from(row[block as usize])).sum()
            };
            medians.push(weighted_median(sorted, row, total, centre) as f32);
        }
    }
}

/// The median of values that count `row[block]` times each, `total` times together.
fn weighted_median(sorted: &[(f64, u32)], row: &[u8], total: u32, otherwise: f64) -> f64 {
    let mut seen = 0;
    let mut lower = None;
    for &(value, block) in sorted {
        let count = u32::from(row[block as usize]);
        if count == 0 {
            continue;
        }
        if let Some(lower) = lower {
            return f64::midpoint(lower, value);
        }
        seen += count;
        if 2 * seen > total {
            return value;
        }
        if 2 * seen == total {
            lower = Some(value);
        }
    }
    otherwise
}

/// The `q`-quantile of `values`, which are reordered; linear between neighbours. NaN where there are none.
pub(crate) fn quantile(values: &mut [f32], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let at = q.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let low = at.floor() as usize;
    let (_, &mut below, above) = values.select_nth_unstable_by(low, f32::total_cmp);
    let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(below);
    let share = at - low as f64;
    f64::from(below) * (1.0 - share) + f64::from(next) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weighted_median_is_the_median_of_the_repeated_values() {
        let sorted = [(1.0, 2), (2.0, 0), (5.0, 1), (9.0, 3)];
        for (row, expected) in [
            ([1u8, 1, 1, 1], 3.5),
            ([0, 0, 3, 0], 1.0),
            ([0, 0, 2, 2], 5.0),
            ([3, 1, 1, 0], 2.0),
            ([0, 1, 1, 1], 5.0),
            ([0, 0, 0, 0], 7.0),
        ] {
            let total = row.iter().map(|&n| u32::from(n)).sum();
            assert_eq!(weighted_median(&sorted, &row, total, 7.0), expected, "{row:?}");
        }
    }

    #[test]
    fn every_replicate_draws_as_many_processes_as_there_are() {
        let rounds = [2, 3, 1];
        let drawn = Replicates::draw(&rounds, 500, 9);
        let mut seen_twice = false;
        for row in drawn.counts.chunks_exact(6) {
            let per_process = [row[0] + row[1], row[2] + row[3] + row[4], row[5]];
            let times: Vec<f64> =
                per_process.iter().zip(rounds).map(|(&n, r)| f64::from(n) / r as f64).collect();
            assert!(times.iter().all(|t| t.fract() == 0.0), "a process is drawn whole: {row:?}");
            assert_eq!(times.iter().sum::<f64>(), 3.0);
            seen_twice |= times.contains(&2.0);
        }
        assert!(seen_twice);
    }

    #[test]
    fn the_same_seed_draws_the_same_blocks() {
        let draw = |seed| Replicates::draw(&[4; 3], 50, seed).counts;
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn quantiles_interpolate() {
        let mut values = [4.0f32, 1.0, 3.0, 2.0, 5.0];
        assert_eq!(quantile(&mut values, 0.5), 3.0);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
        assert_eq!(quantile(&mut values, 1.0), 5.0);
        assert!((quantile(&mut values, 0.9) - 4.6).abs() < 1e-6);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
