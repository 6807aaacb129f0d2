//! The cells judged by CPU time or memory: the same rules as for wall time, without crossovers.
//!
//! Only the candidate's comparisons are estimated in full; who the candidate is follows from medians. A strategy whose
//! metric was not measured (0 in most samples) takes no part; a metric that nobody has is left out.
use crate::analysis::hierarchy::median;
use crate::analysis::model::{Metric, MetricAnalysis, MetricCell, MetricStats};
use crate::analysis::pairs::Context;
use crate::analysis::spread::spread;
use crate::analysis::stage::Stage;
use crate::analysis::table::{self, Estimate, Estimator};
use crate::analysis::verdict::{self, Bench};

/// One cell before it is judged.
#[derive(Debug)]
struct Cell {
    stats: Vec<Option<MetricStats>>,
    present: Vec<usize>,
    candidate: Option<usize>,
    /// By strategy: ln of its value over the candidate's.
    versus: Vec<Option<Estimate>>,
}

/// All cells by `metric`; `None` where it was not measured at all.
pub(crate) fn analyse(stage: &Stage<'_>, metric: Metric) -> Option<MetricAnalysis> {
    let logs = table::logs(stage.samples, metric);
    let context = stage.context(&logs);
    let cells = spread(
        stage.index.cells.len(),
        || context.estimator(),
        |estimator, c| cell(stage, &context, estimator, c),
    );
    if cells.iter().all(|cell| cell.present.is_empty()) {
        return None;
    }
    let present: Vec<Vec<usize>> = cells.iter().map(|c| c.present.clone()).collect();
    let bench = Bench {
        cells: &stage.index.cells,
        strategies: &stage.index.strategies,
        present: &present,
        reasons: &stage.integrity.no_verdict,
        metric,
        margin: stage.settings.margin,
        confidence: stage.settings.confidence,
    };
    let judged = verdict::judge(&bench, |c| cells[c].candidate, |c, _, other| cells[c].versus[other]);
    let cells = cells.into_iter().zip(judged).map(|(cell, judged)| MetricCell {
        stats: cell.stats,
        verdict: judged.verdict,
        no_verdict: judged.reason,
    });
    Some(MetricAnalysis { metric, cells: cells.collect() })
}

fn cell(stage: &Stage<'_>, context: &Context<'_>, estimator: &mut Estimator<'_>, cell: usize) -> Cell {
    let strategies = stage.index.strategies.len();
    let (mut values, mut medians) = (Vec::new(), Vec::new());
    let mut stats = vec![None; strategies];
    for &s in &stage.present[cell] {
        context.values(cell, s, &mut values);
        if 2 * values.len() <= stage.table.series(cell, s).len() {
            continue;
        }
        let samples = values.len();
        stats[s] = estimator.estimate(cell, &mut values, &mut medians).map(|e| MetricStats {
            samples,
            median: e.centre.exp(),
            ci: [(e.centre - e.half).exp(), (e.centre + e.half).exp()],
        });
    }
    let present: Vec<usize> = (0..strategies).filter(|&s| stats[s].is_some()).collect();
    let mut versus = vec![None; strategies];
    let mut candidate = None;
    if context.no_verdict[cell].is_none() {
        let middle = |a: usize, b: usize| {
            let mut values = Vec::new();
            context.ratios(cell, a, b, &mut values);
            (!values.is_empty()).then(|| median(&values.iter().map(|(ratio, _)| *ratio).collect::<Vec<_>>()))
        };
        candidate = verdict::candidate(&present, middle);
        for &other in present.iter().filter(|&&other| Some(other) != candidate) {
            if let Some(candidate) = candidate {
                context.ratios(cell, candidate, other, &mut values);
                versus[other] = estimator.estimate(cell, &mut values, &mut medians);
            }
        }
    }
    Cell { stats, present, candidate, versus }
}
