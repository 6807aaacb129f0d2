//! Pairs of strategies in every cell, and their crossovers: the bulk of the work, spread over the cores.
//!
//! A pair of strategies is one job and yields the same numbers on whatever thread it runs, so the result does not
//! depend on the number of cores.
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::analysis::bootstrap::Replicates;
use crate::analysis::crossover::{self, Line, Point};
use crate::analysis::hierarchy::Hierarchy;
use crate::analysis::index::Index;
use crate::analysis::table::{Estimate, Estimator, Table, log_wall};
use crate::record::{Crossover, Sample};

/// What every job reads.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) samples: &'a [Sample],
    pub(crate) index: &'a Index,
    pub(crate) table: &'a Table,
    pub(crate) replicates: &'a Replicates,
    pub(crate) hierarchy: &'a Hierarchy,
    /// Standard normals, one per replicate, for the spread that resampling cannot show.
    pub(crate) normals: &'a [f32],
    /// Whether a cell may have a verdict.
    pub(crate) judged: &'a [bool],
    pub(crate) lines: &'a [Line],
    pub(crate) margin: f64,
    pub(crate) confidence: f64,
}

/// Two strategies, the first by index, in every cell: estimates of ln(t_second / t_first), and their crossovers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub(crate) estimates: Vec<Option<Estimate>>,
    pub(crate) crossovers: Vec<Crossover>,
}

/// All pairs of a run.
#[derive(Debug)]
pub(crate) struct Pairs {
    strategies: usize,
    pairs: Vec<Pair>,
}

impl Pairs {
    pub(crate) fn new(context: &Context<'_>) -> Self {
        let strategies = context.index.strategies.len();
        let jobs: Vec<(usize, usize)> =
            (0..strategies).flat_map(|a| (a + 1..strategies).map(move |b| (a, b))).collect();
        let done: Vec<Mutex<Pair>> = jobs.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut estimator =
                Estimator::new(context.table, context.replicates, context.hierarchy, context.confidence);
            // Relaxed: the counter only hands out numbers; results are published by the scope's join.
            while let Some(&(a, b)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pair = analyse(context, &mut estimator, a, b);
                let slot = &done[slot(strategies, a, b)];
                *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = pair;
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len().max(1));
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let pairs = done
            .into_iter()
            .map(|p| p.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
            .collect();
        Self { strategies, pairs }
    }

    /// ln(t_b / t_a) in a cell: positive where `a` is faster.
    pub(crate) fn estimate(&self, cell: usize, a: usize, b: usize) -> Option<Estimate> {
        let turn = |e: Estimate| Estimate { centre: -e.centre, ..e };
        match a.cmp(&b) {
            std::cmp::Ordering::Less => self.pairs[slot(self.strategies, a, b)].estimates[cell],
            std::cmp::Ordering::Greater => self.pairs[slot(self.strategies, b, a)].estimates[cell].map(turn),
            std::cmp::Ordering::Equal => None,
        }
    }

    pub(crate) fn into_crossovers(self) -> impl Iterator<Item = Crossover> {
        self.pairs.into_iter().flat_map(|p| p.crossovers)
    }
}

/// Place of the pair `a < b` among all pairs of `n`, in the order of a double loop.
fn slot(n: usize, a: usize, b: usize) -> usize {
    a * (2 * n - a - 1) / 2 + b - a - 1
}

fn analyse(context: &Context<'_>, estimator: &mut Estimator<'_>, a: usize, b: usize) -> Pair {
    let cells = context.index.cells.len();
    let mut estimates = vec![None; cells];
    let mut points: Vec<Option<Point>> = vec![None; cells];
    let mut values = Vec::new();
    for cell in 0..cells {
        if !context.judged[cell] {
            continue;
        }
        ratios(context, cell, a, b, &mut values);
        let mut medians = Vec::new();
        let Some(estimate) = estimator.estimate(&mut values, &mut medians) else { continue };
        estimates[cell] = Some(estimate);
        if !context.lines.is_empty() {
            let first = context.table.series(cell, a);
            let level: Vec<f64> = first.iter().map(|&(_, i)| log_wall(&context.samples[i])).collect();
            let level = crate::analysis::hierarchy::median(&level);
            points[cell] = Some(Point::new(estimate, level, medians, context.normals, context.confidence));
        }
    }
    let names = [&context.index.strategies[a], &context.index.strategies[b]];
    let find = |line: &Line| crossover::find(line, &points, names, context.margin, context.confidence);
    Pair { crossovers: context.lines.iter().flat_map(find).collect(), estimates }
}

/// Writes ln(t_b / t_a) of every block in which both were measured to `values`.
fn ratios(context: &Context<'_>, cell: usize, a: usize, b: usize, values: &mut Vec<(f64, u32)>) {
    values.clear();
    let mut others = context.table.series(cell, b).iter().peekable();
    for &(block, i) in context.table.series(cell, a) {
        while others.next_if(|&&(other, _)| other < block).is_some() {}
        if let Some(&(_, j)) = others.next_if(|&&(other, _)| other == block) {
            values.push((log_wall(&context.samples[j]) - log_wall(&context.samples[i]), block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn slots_follow_the_double_loop() {
        for n in 0..12 {
            let all: Vec<usize> = (0..n).flat_map(|a| (a + 1..n).map(move |b| slot(n, a, b))).collect();
            assert_eq!(all, (0..all.len()).collect::<Vec<_>>(), "{n} strategies");
        }
    }
}
