//! Pairs of strategies in every cell, and their crossovers: the bulk of the work, spread over the cores.
//!
//! A pair of strategies is one job and yields the same numbers on whatever thread it runs, so the result does not
//! depend on the number of cores.
use crate::analysis::bootstrap::Replicates;
use crate::analysis::crossover::{self, Line, Point};
use crate::analysis::hierarchy::{Hierarchy, median};
use crate::analysis::index::Index;
use crate::analysis::spread::spread;
use crate::analysis::table::{Estimate, Estimator, Table};
use crate::record::Crossover;

/// What every job reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// ln of what is compared, by sample; NaN where it was not measured.
    pub(crate) logs: &'a [f64],
    pub(crate) index: &'a Index,
    pub(crate) table: &'a Table,
    pub(crate) replicates: &'a Replicates,
    pub(crate) hierarchy: &'a Hierarchy,
    /// Standard normals, one per replicate, for the spread that resampling cannot show.
    pub(crate) normals: &'a [f32],
    /// Why a cell may have no verdict.
    pub(crate) no_verdict: &'a [Option<String>],
    pub(crate) lines: &'a [Line],
    pub(crate) margin: f64,
    pub(crate) confidence: f64,
}

impl<'a> Context<'a> {
    /// An estimator of this run's values.
    pub(crate) fn estimator(&self) -> Estimator<'a> {
        Estimator::new(self.table, self.replicates, self.hierarchy, self.confidence)
    }

    /// Writes ln(t_b / t_a) of every block in which both were measured to `values`.
    pub(crate) fn ratios(&self, cell: usize, a: usize, b: usize, values: &mut Vec<(f64, u32)>) {
        values.clear();
        let mut others = self.table.series(cell, b).iter().peekable();
        for &(block, i) in self.table.series(cell, a) {
            while others.next_if(|&&(other, _)| other < block).is_some() {}
            if let Some(&(_, j)) = others.next_if(|&&(other, _)| other == block) {
                let ratio = self.logs[j] - self.logs[i];
                if ratio.is_finite() {
                    values.push((ratio, block));
                }
            }
        }
    }

    /// Writes the values of one strategy in a cell, with their blocks, to `values`.
    pub(crate) fn values(&self, cell: usize, strategy: usize, values: &mut Vec<(f64, u32)>) {
        values.clear();
        let measured = self.table.series(cell, strategy).iter().map(|&(block, i)| (self.logs[i], block));
        values.extend(measured.filter(|(log, _)| log.is_finite()));
    }
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
        let pairs = spread(
            jobs.len(),
            || context.estimator(),
            |estimator, job| analyse(context, estimator, jobs[job].0, jobs[job].1),
        );
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

    pub(crate) fn crossovers(&self) -> impl Iterator<Item = &Crossover> {
        self.pairs.iter().flat_map(|p| &p.crossovers)
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
        if context.no_verdict[cell].is_some() {
            continue;
        }
        context.ratios(cell, a, b, &mut values);
        let mut medians = Vec::new();
        let Some(estimate) = estimator.estimate(cell, &mut values, &mut medians) else { continue };
        estimates[cell] = Some(estimate);
        if !context.lines.is_empty() {
            context.values(cell, a, &mut values);
            let level = median(&values.iter().map(|(log, _)| *log).collect::<Vec<_>>());
            points[cell] = Some(Point::new(estimate, level, medians, context.normals, context.confidence));
        }
    }
    let names = [&context.index.strategies[a], &context.index.strategies[b]];
    let find = |line: &Line| crossover::find(line, &points, names, context.margin, context.confidence);
    Pair { crossovers: context.lines.iter().flat_map(find).collect(), estimates }
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
