//! The usable samples as numbers: log wall times by cell, strategy and block, and the figures of each strategy.
use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::bootstrap::{Replicates, quantile};
use crate::analysis::hierarchy::{Hierarchy, median};
use crate::analysis::index::Index;
use crate::analysis::model::StrategyStats;
use crate::record::Sample;

/// Fewest pairs, and fewest processes, from which anything may be proven.
pub(crate) const PAIRS_MIN: usize = 4;
pub(crate) const PROCESSES_MIN: usize = 2;

/// The usable samples of a run.
#[derive(Debug)]
pub(crate) struct Table {
    /// Rounds of each process, in the order of the blocks.
    pub(crate) rounds: Vec<usize>,
    /// The process that each block belongs to.
    process: Vec<u32>,
    /// The sets of processes in which cells were measured, each once.
    pub(crate) cohorts: Vec<Vec<u32>>,
    /// The cohort of each cell.
    cohort: Vec<usize>,
    /// Samples by cell and strategy: (block, index of the sample), ascending by block.
    series: Vec<Vec<Vec<(u32, usize)>>>,
}

impl Table {
    pub(crate) fn new(samples: &[Sample], usable: &[usize], index: &Index) -> Self {
        let found: BTreeSet<(u32, u32)> =
            usable.iter().map(|&i| (samples[i].process, samples[i].round)).collect();
        let block_of: BTreeMap<(u32, u32), u32> = found.iter().copied().zip(0..).collect();
        let mut rounds: Vec<usize> = Vec::new();
        let mut process = Vec::with_capacity(found.len());
        let mut current = None;
        for &(p, _) in &found {
            if current.replace(p) != Some(p) {
                rounds.push(0);
            }
            if let Some(last) = rounds.last_mut() {
                *last += 1;
            }
            process.push(rounds.len() as u32 - 1);
        }
        let mut series = vec![vec![Vec::new(); index.strategies.len()]; index.cells.len()];
        for &i in usable {
            let (cell, strategy) = index.places[i];
            series[cell][strategy].push((block_of[&(samples[i].process, samples[i].round)], i));
        }
        for one in series.iter_mut().flatten() {
            one.sort_unstable();
        }
        let (cohorts, cohort) = cohorts(&series, &process);
        Self { rounds, process, cohorts, cohort, series }
    }

    /// The usable samples of a strategy in a cell: (block, index of the sample).
    pub(crate) fn series(&self, cell: usize, strategy: usize) -> &[(u32, usize)] {
        &self.series[cell][strategy]
    }

    /// The cohort of a cell.
    pub(crate) fn cohort(&self, cell: usize) -> usize {
        self.cohort[cell]
    }

    /// The values of each process, from values by block.
    fn groups<'a>(&self, by_block: &'a [(f64, u32)], flat: &'a mut Vec<f64>) -> Vec<&'a [f64]> {
        flat.clear();
        flat.extend(by_block.iter().map(|(value, _)| value));
        let same = |a: &(f64, u32), b: &(f64, u32)| self.process[a.1 as usize] == self.process[b.1 as usize];
        let mut rest = flat.as_slice();
        by_block
            .chunk_by(same)
            .map(|chunk| {
                let (group, tail) = rest.split_at(chunk.len());
                rest = tail;
                group
            })
            .collect()
    }
}

/// The distinct sets of processes in which cells were measured, and which one each cell has.
fn cohorts(series: &[Vec<Vec<(u32, usize)>>], process: &[u32]) -> (Vec<Vec<u32>>, Vec<usize>) {
    let mut sets: Vec<Vec<u32>> = Vec::new();
    let mut place: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    let cohort = |cell: &Vec<Vec<(u32, usize)>>| {
        let found: BTreeSet<u32> = cell.iter().flatten().map(|&(block, _)| process[block as usize]).collect();
        let set: Vec<u32> = found.into_iter().collect();
        *place.entry(set).or_insert_with_key(|set| {
            sets.push(set.clone());
            sets.len() - 1
        })
    };
    let of = series.iter().map(cohort).collect();
    (sets, of)
}

/// A median with its interval, from values on the log scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) centre: f64,
    /// Half-width of the interval.
    pub(crate) half: f64,
    /// The part of `half` that the bootstrap alone shows.
    pub(crate) half_bootstrap: f64,
    pub(crate) pairs: usize,
    pub(crate) processes: usize,
}

impl Estimate {
    /// Whether there is enough to prove anything from.
    pub(crate) fn is_enough(&self) -> bool {
        self.pairs >= PAIRS_MIN && self.processes >= PROCESSES_MIN
    }
}

/// Makes estimates; keeps its buffers between calls, one estimator per thread.
#[derive(Debug)]
pub(crate) struct Estimator<'a> {
    table: &'a Table,
    replicates: &'a Replicates,
    hierarchy: &'a Hierarchy,
    confidence: f64,
    flat: Vec<f64>,
    deviations: Vec<f32>,
}

impl<'a> Estimator<'a> {
    pub(crate) fn new(
        table: &'a Table,
        replicates: &'a Replicates,
        hierarchy: &'a Hierarchy,
        confidence: f64,
    ) -> Self {
        Self { table, replicates, hierarchy, confidence, flat: Vec::new(), deviations: Vec::new() }
    }

    /// The estimate of `by_block` (values of `cell` with their blocks, ascending by block), which is left sorted by value;
    /// `medians` receives the bootstrap's replicates. `None` without values.
    pub(crate) fn estimate(
        &mut self,
        cell: usize,
        by_block: &mut [(f64, u32)],
        medians: &mut Vec<f32>,
    ) -> Option<Estimate> {
        medians.clear();
        if by_block.is_empty() {
            return None;
        }
        let groups = self.table.groups(by_block, &mut self.flat);
        let processes = groups.len();
        let half = self.hierarchy.half_width(&groups);
        let centre = median(&self.flat);
        by_block.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.replicates.medians(self.table.cohort(cell), by_block, centre, medians);
        self.deviations.clear();
        self.deviations.extend(medians.iter().map(|m| (m - centre as f32).abs()));
        let half_bootstrap = quantile(&mut self.deviations, self.confidence);
        let half_bootstrap = if half_bootstrap.is_finite() { half_bootstrap } else { 0.0 };
        Some(Estimate {
            centre,
            half: half.max(half_bootstrap),
            half_bootstrap,
            pairs: by_block.len(),
            processes,
        })
    }
}

/// ln of a figure of every sample; NaN where it was not measured (0).
pub(crate) fn logs(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
    samples.iter().map(|s| log(figure(s))).collect()
}

/// ln of a figure; NaN where it was not measured (0).
pub(crate) fn log(figure: f64) -> f64 {
    if figure > 0.0 { figure.ln() } else { f64::NAN }
}

/// What [`crate::analysis::model::Metric::Wall`] compares. Usable samples took some time; the floor keeps the logarithm finite
/// whatever happens.
pub(crate) fn wall(s: &Sample) -> f64 {
    s.wall_ns.max(1) as f64
}

/// What [`crate::analysis::model::Metric::Cpu`] compares.
pub(crate) fn cpu_per_task(s: &Sample) -> f64 {
    (s.user_ns as f64 + s.sys_ns as f64) / s.tasks.max(1) as f64
}

/// What [`crate::analysis::model::Metric::Memory`] compares.
pub(crate) fn rss_peak(s: &Sample) -> f64 {
    s.rss_peak_kib as f64
}

/// Figures of one strategy in one cell; `None` without a usable sample.
pub(crate) fn stats(
    cell: usize,
    series: &[(u32, usize)],
    samples: &[Sample],
    estimator: &mut Estimator<'_>,
) -> Option<StrategyStats> {
    let mut medians = Vec::new();
    let mut interval = |value: &dyn Fn(&Sample) -> f64| {
        let mut values: Vec<(f64, u32)> =
            series.iter().map(|&(block, i)| (value(&samples[i]).max(1e-3).ln(), block)).collect();
        let e = estimator.estimate(cell, &mut values, &mut medians)?;
        Some((e.centre.exp(), [(e.centre - e.half).exp(), (e.centre + e.half).exp()]))
    };
    let (wall_ns, wall_ci_ns) = interval(&wall)?;
    let (mut cpu_per_task_ns, mut cpu_ci_ns) = interval(&cpu_per_task)?;
    let middle = |value: &dyn Fn(&Sample) -> f64| {
        median(&series.iter().map(|&(_, i)| value(&samples[i])).collect::<Vec<_>>())
    };
    if middle(&cpu_per_task) == 0.0 {
        // Most samples have no CPU time: not measured, rather than a thousandth of a nanosecond.
        (cpu_per_task_ns, cpu_ci_ns) = (0.0, [0.0, 0.0]);
    }
    Some(StrategyStats {
        samples: series.len(),
        wall_ns,
        wall_ci_ns,
        cpu_per_task_ns,
        cpu_ci_ns,
        rss_peak_kib: middle(&rss_peak),
        switches: middle(&|s| s.vcsw as f64 + s.ivcsw as f64),
    })
}
