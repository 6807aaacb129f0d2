//! The hierarchical bootstrap: processes are resampled first, then the rounds within each of them.
//!
//! All cells and pairs share the resampled blocks, because a block's load and a process's layout touch all of
//! them at once: a replicate of a whole sweep is then one that could have been measured. A replicate is kept as the
//! number of times that each block was drawn, so the median of a replicate is a walk through values that were
//! sorted once. Replicates are kept in groups whose counts of one block stand side by side: the walk takes a group at
//! once, without branches and within the nearest caches, and the compiler makes vector code of it.
//!
//! **Ragged runs.** Not every process round measures every cell: rounds beyond the plan's base measure what is still
//! open, and refined points exist in later process rounds only. Cells that were measured in the same set S of processes are
//! one *cohort*, and each cohort has replicates of its own: exactly |S| processes, drawn from S with replacement. (Drawing
//! from all processes would give such a cell now few, now no values.) Cohorts stay coupled as far as they can be: for the
//! i-th draw of a replicate there is one endless sequence of random processes, and each cohort with more than i processes
//! takes the first that belongs to it. Each takes every member with the same chance; two cohorts that take the same
//! process take the same rounds of it; and where one set holds the other, the larger one's choice is also the smaller one's
//! wherever that has it. With one cohort this is the plain hierarchical bootstrap.
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Replicates × blocks that are kept at most: 128 MiB of counts.
const COUNTS_MAX: usize = 1 << 27;
/// Replicates in a group.
const GROUP: usize = 512;
/// The row of a block that is not in a cohort.
const ABSENT: u32 = u32::MAX;

/// How often each block was drawn in each replicate, by cohort.
#[derive(Debug)]
pub(crate) struct Replicates {
    cohorts: Vec<Cohort>,
    replicates: usize,
}

/// The draws of the cells that were measured in the same processes.
#[derive(Debug)]
struct Cohort {
    /// By process: whether it belongs here.
    members: Vec<bool>,
    /// How many do.
    size: usize,
    /// The row of each block.
    rows: Vec<u32>,
    /// Rows.
    blocks: usize,
    /// By group, then by row, then by replicate of the group.
    counts: Vec<[u8; GROUP]>,
    /// Draws of each replicate over all blocks, by group.
    totals: Vec<[u32; GROUP]>,
}

impl Cohort {
    /// A cohort without draws; `rounds` are the sizes of all processes.
    fn new(rounds: &[usize], processes: &[u32]) -> Self {
        let mut members = vec![false; rounds.len()];
        for &p in processes {
            members[p as usize] = true;
        }
        let mut blocks = 0;
        let mut rows = Vec::with_capacity(rounds.iter().sum());
        for (&member, &n) in members.iter().zip(rounds) {
            rows.extend((0..n).map(|i| if member { (blocks + i) as u32 } else { ABSENT }));
            blocks += if member { n } else { 0 };
        }
        let size = members.iter().filter(|&&member| member).count();
        Self { members, size, rows, blocks, counts: Vec::new(), totals: Vec::new() }
    }

    fn add(&mut self, block: usize, replicate: usize) {
        let row = replicate / GROUP * self.blocks + self.rows[block] as usize;
        let count = &mut self.counts[row][replicate % GROUP];
        *count = count.saturating_add(1);
    }

    fn sum(&mut self, replicates: usize) {
        self.totals = vec![[0; GROUP]; replicates.div_ceil(GROUP)];
        for (counts, totals) in self.counts.chunks_exact(self.blocks.max(1)).zip(&mut self.totals) {
            for counts in counts {
                for (total, &count) in totals.iter_mut().zip(counts) {
                    *total += u32::from(count);
                }
            }
        }
    }
}

impl Replicates {
    /// Draws `replicates` (fewer where the counts would not fit into memory) from blocks given as the sizes of
    /// their processes: process `p` owns the next `rounds[p]` blocks. `cohorts` are sets of processes, none empty.
    pub(crate) fn draw(rounds: &[usize], cohorts: &[Vec<u32>], replicates: usize, seed: u64) -> Self {
        let mut cohorts: Vec<Cohort> = cohorts.iter().map(|set| Cohort::new(rounds, set)).collect();
        let rows: usize = cohorts.iter().map(|c| c.blocks).sum();
        let replicates = COUNTS_MAX.checked_div(rows).map_or(0, |most| replicates.min(most));
        for cohort in &mut cohorts {
            cohort.counts = vec![[0; GROUP]; replicates.div_ceil(GROUP) * cohort.blocks];
        }
        let starts: Vec<usize> =
            rounds.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let slots = cohorts.iter().map(|c| c.size).max().unwrap_or(0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut open: Vec<usize> = Vec::new();
        let mut takers: Vec<usize> = Vec::new();
        for replicate in 0..replicates {
            for slot in 0..slots {
                open.clear();
                open.extend((0..cohorts.len()).filter(|&c| cohorts[c].size > slot));
                while !open.is_empty() {
                    let process = rng.random_range(0..rounds.len());
                    takers.clear();
                    takers.extend(open.extract_if(.., |c| cohorts[*c].members[process]));
                    let draws = if takers.is_empty() { 0 } else { rounds[process] };
                    for _ in 0..draws {
                        let block = starts[process] + rng.random_range(0..rounds[process]);
                        for &cohort in &takers {
                            cohorts[cohort].add(block, replicate);
                        }
                    }
                }
            }
        }
        for cohort in &mut cohorts {
            cohort.sum(replicates);
        }
        Self { cohorts, replicates }
    }

    /// Writes the median of every replicate of `sorted` (values with their blocks, ascending; the blocks are of `cohort`)
    /// to `medians`.
    ///
    /// A replicate that drew none of these blocks yields `centre`.
    pub(crate) fn medians(&self, cohort: usize, sorted: &[(f64, u32)], centre: f64, medians: &mut Vec<f32>) {
        medians.clear();
        medians.resize(self.replicates, centre as f32);
        let Cohort { rows, blocks, counts, totals, .. } = &self.cohorts[cohort];
        let rows: Vec<(f32, u32)> =
            sorted.iter().map(|&(v, block)| (v as f32, rows[block as usize])).collect();
        let groups = counts.chunks_exact((*blocks).max(1)).zip(totals);
        for (medians, (counts, totals)) in medians.chunks_mut(GROUP).zip(groups) {
            walk(&rows, counts, totals, medians);
        }
    }
}

/// The medians of a group's replicates; those without a draw among `sorted` stay as they are. `totals` are the draws
/// over all blocks.
fn walk(sorted: &[(f32, u32)], counts: &[[u8; GROUP]], totals: &[u32; GROUP], medians: &mut [f32]) {
    // The sums cannot wrap: 255 × 2²⁷ fits. Saying so leaves the loops free of branches.
    let mut totals = *totals;
    if sorted.len() < counts.len() {
        totals = [0; GROUP];
        for &(_, row) in sorted {
            for (total, &count) in totals.iter_mut().zip(&counts[row as usize]) {
                *total = total.wrapping_add(u32::from(count));
            }
        }
    }
    // Draws so far, doubled. The last value written to `lower` is the one that reaches half of the draws, the last to
    // `upper` the one that passes it; values that were not drawn are overwritten by the next.
    let mut doubled = [0u32; GROUP];
    let mut lower = [0f32; GROUP];
    let mut upper = [0f32; GROUP];
    for &(value, row) in sorted {
        let state = lower.iter_mut().zip(&mut upper).zip(&mut doubled).zip(&totals);
        for ((((lower, upper), doubled), &total), &count) in state.zip(&counts[row as usize]) {
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
            let cohort = Cohort { counts, totals, ..Cohort::new(&[blocks], &[0]) };
            Replicates { cohorts: vec![cohort], replicates: rows.len() }.medians(
                0,
                &sorted,
                7.0,
                &mut medians,
            );
            assert_eq!(medians, [3.5, 1.0, 5.0, 2.0, 5.0, 7.0]);
        }
    }

    #[test]
    fn every_replicate_draws_as_many_processes_as_there_are() {
        let rounds = [2, 3, 1];
        let drawn = Replicates::draw(&rounds, &[vec![0, 1, 2]], 2 * GROUP + 9, 9);
        assert_eq!(drawn.replicates, 2 * GROUP + 9);
        let mut seen_twice = false;
        for b in 0..drawn.replicates {
            let at = |block: usize| count(&drawn, 0, block, b);
            let per_process = [at(0) + at(1), at(2) + at(3) + at(4), at(5)];
            let times: Vec<f64> =
                per_process.iter().zip(rounds).map(|(&n, r)| f64::from(n) / r as f64).collect();
            assert!(times.iter().all(|t| t.fract() == 0.0), "a process is drawn whole: {per_process:?}");
            assert_eq!(times.iter().sum::<f64>(), 3.0);
            seen_twice |= times.contains(&2.0);
        }
        assert!(seen_twice);
    }

    fn count(drawn: &Replicates, cohort: usize, block: usize, replicate: usize) -> u8 {
        let Cohort { rows, blocks, counts, .. } = &drawn.cohorts[cohort];
        match rows[block] {
            ABSENT => 0,
            row => counts[replicate / GROUP * blocks + row as usize][replicate % GROUP],
        }
    }

    #[test]
    fn a_cohort_draws_its_own_processes_evenly_and_as_the_others_do() {
        // One round each, so that a block is a process.
        let (rounds, sets) = ([1; 6], [vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2], vec![4, 5], vec![3]]);
        let drawn = Replicates::draw(&rounds, &sets, 6000, 3);
        for (cohort, set) in sets.iter().enumerate() {
            let mut drawn_in_all = [0u32; 6];
            for b in 0..6000 {
                let here: Vec<u32> = (0..6).map(|block| count(&drawn, cohort, block, b).into()).collect();
                assert_eq!(here.iter().sum::<u32>() as usize, set.len());
                drawn_in_all.iter_mut().zip(&here).for_each(|(sum, n)| *sum += n);
            }
            for (process, &n) in (0u32..).zip(&drawn_in_all) {
                let expected = if set.contains(&process) { 5700..6300 } else { 0..1 };
                assert!(expected.contains(&n), "process {process} in cohort {cohort}: {n}");
            }
        }
        // What all drew of 0 in their first three draws, the second cohort drew too: the counts go together.
        let both = |b: &usize| f64::from(count(&drawn, 0, 0, *b)) * f64::from(count(&drawn, 1, 0, *b));
        let product = (0..6000).map(|b| both(&b)).sum::<f64>() / 6000.0;
        // Independent draws would have a mean of 1; three of the six first draws are shared with chance 1/2 each.
        assert!((1.25..1.45).contains(&product), "{product}");
    }

    #[test]
    fn the_same_seed_draws_the_same_blocks() {
        let draw = |seed| Replicates::draw(&[4; 3], &[vec![0, 1, 2]], 50, seed).cohorts.remove(0).counts;
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
