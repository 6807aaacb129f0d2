//! The cells judged by CPU time, memory, or the tail of the latency: the same rules as for wall time, without crossovers.
//!
//! Only the candidate's comparisons are estimated in full; who the candidate is follows from medians. A strategy whose
//! metric was not measured (0 in most samples) takes no part; a metric that nobody has is left out. By latency, strategies that
//! fall behind their load have figures, but are not compared: see `verdict`.
use crate::analysis::hierarchy::median;
use crate::analysis::latency::{KEPT_UP, Tails};
use crate::analysis::model::{Metric, MetricAnalysis, MetricCell, MetricStats};
use crate::analysis::pairs::Context;
use crate::analysis::spread::spread;
use crate::analysis::stage::Stage;
use crate::analysis::table::{self, Estimate, Estimator};
use crate::analysis::verdict::{self, Bench, Pace};

/// One cell before it is judged.
#[derive(Debug)]
struct Cell {
    stats: Vec<Option<MetricStats>>,
    /// Those with figures.
    present: Vec<usize>,
    /// By strategy, under an open load.
    paces: Vec<Pace>,
    /// Those that are compared: the present ones that keep up.
    compared: Vec<usize>,
    candidate: Option<usize>,
    /// By strategy: ln of its value over the candidate's.
    versus: Vec<Option<Estimate>>,
}

/// All cells by every metric but wall time that was measured, in the order of [`Metric::ALL`].
pub(crate) fn analyse_all(stage: &Stage<'_>, tails: &Tails) -> Vec<MetricAnalysis> {
    let cpu = table::logs(stage.samples, table::cpu_per_task);
    let memory = table::logs(stage.samples, table::rss_peak);
    let all = [
        analyse(stage, Metric::Latency, &tails.p99, Some(tails)),
        analyse(stage, Metric::Cpu, &cpu, None),
        analyse(stage, Metric::Memory, &memory, None),
    ];
    all.into_iter().flatten().collect()
}

/// All cells by `logs`, the figures of `metric`; `None` where it was not measured at all. With `tails`, strategies must keep up.
fn analyse(stage: &Stage<'_>, metric: Metric, logs: &[f64], tails: Option<&Tails>) -> Option<MetricAnalysis> {
    if logs.iter().all(|log| log.is_nan()) {
        return None;
    }
    let context = stage.context(logs);
    let paced = tails.map(|tails| (tails, stage.context(&tails.pace)));
    let cells = spread(
        stage.index.cells.len(),
        || context.estimator(),
        |estimator, c| cell(stage, &context, paced.as_ref(), estimator, c),
    );
    if cells.iter().all(|cell| cell.present.is_empty()) {
        return None;
    }
    let compared: Vec<Vec<usize>> = cells.iter().map(|c| c.compared.clone()).collect();
    let paces: Vec<Vec<Pace>> = cells.iter().map(|c| c.paces.clone()).collect();
    let bench = Bench {
        cells: &stage.index.cells,
        strategies: &stage.index.strategies,
        present: &compared,
        paces: Some(&paces).filter(|_| tails.is_some()).map(Vec::as_slice),
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

fn cell(
    stage: &Stage<'_>,
    context: &Context<'_>,
    paced: Option<&(&Tails, Context<'_>)>,
    estimator: &mut Estimator<'_>,
    cell: usize,
) -> Cell {
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
    let mut paces = vec![Pace::default(); strategies];
    for (s, (tails, context)) in present.iter().filter_map(|&s| Some((s, paced?))) {
        context.values(cell, s, &mut values);
        let estimate = estimator.estimate(cell, &mut values, &mut medians);
        paces[s] = pace(tails.is_behind(cell, s), estimate.as_ref());
    }
    let compared: Vec<usize> = present.iter().copied().filter(|&s| !paces[s].behind).collect();
    let mut versus = vec![None; strategies];
    let mut candidate = None;
    if context.no_verdict[cell].is_none() {
        let middle = |a: usize, b: usize| {
            let mut values = Vec::new();
            context.ratios(cell, a, b, &mut values);
            (!values.is_empty()).then(|| median(&values.iter().map(|(ratio, _)| *ratio).collect::<Vec<_>>()))
        };
        candidate = verdict::candidate(&compared, middle);
        for &other in compared.iter().filter(|&&other| Some(other) != candidate) {
            if let Some(candidate) = candidate {
                context.ratios(cell, candidate, other, &mut values);
                versus[other] = estimator.estimate(cell, &mut values, &mut medians);
            }
        }
    }
    Cell { stats, present, paces, compared, candidate, versus }
}

/// Whether a strategy keeps up, by the interval of ln of its pace. One whose pace is not recorded is taken to keep up.
fn pace(behind: bool, estimate: Option<&Estimate>) -> Pace {
    let proven = estimate.is_none_or(|e| {
        let limit = KEPT_UP.ln();
        e.is_enough() && if behind { e.centre + e.half < limit } else { e.centre - e.half >= limit }
    });
    Pace { behind, proven }
}
