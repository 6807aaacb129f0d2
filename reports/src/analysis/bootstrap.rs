//! The hierarchical bootstrap: processes are resampled first, then the rounds within each of them.
//!
//! All cells and pairs share the resampled blocks, because a block's load and a process's layout touch all of
//! them at once: a replicate of a whole sweep is then one that could have been measured. A replicate is kept as the
//! number of times that each block was drawn, so the median of a replicate is a walk through values that were
//! sorted once. Replicates are kept in groups whose counts of one block stand side by side: the walk takes a group at
//! once, without branches and within the nearest caches, and the compiler makes vector code of it.
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Replicates × blocks that are kept at most: 128 MiB of counts.
const COUNTS_MAX: usize = 1 << 27;
/// Replicates in a group.
const GROUP: usize = 512;

/// How often each block was drawn in each replicate.
#[derive(Debug)]
pub(crate) struct Replicates {
    /// By group, then by block, then by replicate of the group.
    counts: Vec<[u8; GROUP]>,
    /// Draws of each replicate over all blocks, by group.
    totals: Vec<[u32; GROUP]>,
    blocks: usize,
    replicates: usize,
}

impl Replicates {
    /// Draws `replicates` (fewer where the counts would not fit into memory) from blocks given as the sizes of
    /// their processes: process `p` owns the next `rounds[p]` blocks.
    pub(crate) fn draw(rounds: &[usize], replicates: usize, seed: u64) -> Self {
        let blocks: usize = rounds.iter().sum();
        let replicates = COUNTS_MAX.checked_div(blocks).map_or(0, |most| replicates.min(most));
        let starts: Vec<usize> =
            rounds.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let groups = replicates.div_ceil(GROUP);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut counts = vec![[0u8; GROUP]; groups * blocks];
        let mut totals = vec![[0u32; GROUP]; groups];
        for b in 0..replicates {
            let (group, k) = (b / GROUP, b % GROUP);
            for _ in 0..rounds.len() {
                let process = rng.random_range(0..rounds.len());
                for _ in 0..rounds[process] {
                    let block = starts[process] + rng.random_range(0..rounds[process]);
                    let count = &mut counts[group * blocks + block][k];
                    *count = count.saturating_add(1);
                }
            }
            totals[group][k] = (0..blocks).map(|block| u32::from(counts[group * blocks + block][k])).sum();
        }
        Self { counts, totals, blocks, replicates }
    }

    /// Writes the median of every replicate of `sorted` (values with their blocks, ascending) to `medians`.
    ///
    /// A replicate that drew none of these blocks yields `centre`.
    pub(crate) fn medians(&self, sorted: &[(f64, u32)], centre: f64, medians: &mut Vec<f32>) {
        medians.clear();
        medians.resize(self.replicates, centre as f32);
        let groups = self.counts.chunks_exact(self.blocks.max(1)).zip(&self.totals);
        for (medians, (counts, totals)) in medians.chunks_mut(GROUP).zip(groups) {
            walk(sorted, counts, totals, medians);
        }
    }
}

/// The medians of a group's replicates; those without a draw among `sorted` stay as they are. `totals` are the draws
/// over all blocks.
fn walk(sorted: &[(f64, u32)], counts: &[[u8; GROUP]], totals: &[u32; GROUP], medians: &mut [f32]) {
    // The sums cannot wrap: 255 × 2²⁷ fits. Saying so leaves the loops free of branches.
    let mut totals = *totals;
    if sorted.len() < counts.len() {
        totals = [0; GROUP];
        for &(_, block) in sorted {
            for (total, &count) in totals.iter_mut().zip(&counts[block as usize]) {
                *total = total.wrapping_add(u32::from(count));
            }
        }
    }
    // Draws so far, doubled. The last value written to `lower` is the one that reaches half of the draws, the last to
    // `upper` the one that passes it; values that were not drawn are overwritten by the next.
    let mut doubled = [0u32; GROUP];
    let mut lower = [0f32; GROUP];
    let mut upper = [0f32; GROUP];
    for &(value, block) in sorted {
        let value = value as f32;
        let state = lower.iter_mut().zip(&mut upper).zip(&mut doubled).zip(&totals);
        for ((((lower, upper), doubled), &total), &count) in state.zip(&counts[block as usize]) {
            *lower = if *doubled < total { value } else { *lower };
            *upper = if *doubled <= total { value } else { *upper };
            *doubled = doubled.wrapping_add(u32::from(count) << 1);
        }
    }
    for (k, median) in medians.iter_mut().enumerate().filter(|(k, _)| totals[*k] > 0) {
        *median = f32::midpoint(lower[k], upper[k]);
    }
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
    fn a_replicate_s_median_is_the_median_of_the_repeated_values() {
        let sorted = [(1.0, 2), (2.0, 0), (5.0, 1), (9.0, 3)];
        let rows = [[1u8, 1, 1, 1], [0, 0, 3, 0], [0, 0, 2, 2], [3, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0]];
        // One group; a fifth block that is drawn in no replicate makes the totals count on their own.
        for blocks in [4, 5] {
            let mut counts = vec![[0; GROUP]; blocks];
            let mut totals = vec![[0; GROUP]];
            for (k, row) in rows.iter().enumerate() {
                for (block, &count) in row.iter().enumerate() {
                    counts[block][k] = count;
                    totals[0][k] += u32::from(count);
                }
            }
            let mut medians = Vec::new();
            Replicates { counts, totals, blocks, replicates: rows.len() }.medians(&sorted, 7.0, &mut medians);
            assert_eq!(medians, [3.5, 1.0, 5.0, 2.0, 5.0, 7.0]);
        }
    }

    #[test]
    fn every_replicate_draws_as_many_processes_as_there_are() {
        let rounds = [2, 3, 1];
        let drawn = Replicates::draw(&rounds, 2 * GROUP + 9, 9);
        assert_eq!(drawn.replicates, 2 * GROUP + 9);
        let mut seen_twice = false;
        for b in 0..drawn.replicates {
            let at = |block: usize| drawn.counts[b / GROUP * 6 + block][b % GROUP];
            let per_process = [at(0) + at(1), at(2) + at(3) + at(4), at(5)];
            let times: Vec<f64> =
                per_process.iter().zip(rounds).map(|(&n, r)| f64::from(n) / r as f64).collect();
            assert!(times.iter().all(|t| t.fract() == 0.0), "a process is drawn whole: {per_process:?}");
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
