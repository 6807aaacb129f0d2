//! Pure statistics: samples in, verdicts and crossovers out; no file is touched here.
//!
//! ```text
//! Folder ─ index ─► names as numbers ─ integrity ─► usable samples ─ table ─► log times by block
//!        ─ pairs (bootstrap, hierarchy) ─► estimates ─ verdict (holm) ─► winners     (metric: the same by latency, CPU, memory)
//!                                        └ crossover (curve) ─► crossings ─ headline ─► one sentence
//!        ─ latency (under an open load: into metric), memory, startup, calibration ─► what stands beside the verdicts
//! ```
pub mod model;

mod bootstrap;
pub(crate) mod calibration;
mod crossover;
mod curve;
mod headline;
pub(crate) mod hierarchy;
pub(crate) mod holm;
mod index;
mod integrity;
mod latency;
mod memory;
mod metric;
pub(crate) mod needs;
pub(crate) mod pairs;
mod spread;
pub(crate) mod stage;
mod startup;
pub(crate) mod table;
mod tails;
mod verdict;

use std::collections::BTreeSet;

use crate::Options;
use crate::load::Folder;
use model::{Analysis, CellAnalysis, Metric, StrategyStats};
use stage::Stage;

/// Analyses a run. The same folder and options yield the same analysis on any number of cores.
#[must_use]
pub fn analyse(folder: &Folder, options: &Options) -> Analysis {
    let settings = &folder.settings;
    let samples = folder.samples.as_slice();
    let stage = Stage::new(samples, settings, options);
    let Stage { index, table, integrity, baseline, .. } = &stage;
    let logs = table::logs(samples, table::wall);
    let tails = latency::Tails::new(&stage);
    let context = stage.context(&logs);
    let pairs = pairs::Pairs::new(&context);
    let stats = stats(&context, samples);
    let judged = stage.judge(
        Metric::Wall,
        |cell| verdict::candidate(&stage.present[cell], |a, b| pairs.estimate(cell, a, b).map(|e| e.centre)),
        |cell, a, b| pairs.estimate(cell, a, b),
    );
    let gains = gains(&pairs, &index.strategies, baseline, index.cells.len(), settings.margin);
    let parts = index.cells.iter().zip(stats).zip(judged).zip(gains);
    let cells = parts.enumerate().map(|(at, (((cell, stats), judged), gains))| CellAnalysis {
        cell: cell.name.clone(),
        params: cell.params.clone(),
        tasks: cell.tasks,
        stats,
        verdict: judged.verdict,
        gains,
        no_verdict: judged.reason,
        behind: (0..index.strategies.len()).filter(|&s| tails.is_behind(at, s)).collect(),
    });
    let mut analysis = Analysis {
        name: settings.name.clone(),
        question: settings.question.clone(),
        prose: settings.prose.clone(),
        workload: settings.workload.clone(),
        constants: settings.constants.clone(),
        run: samples.first().map(|s| s.run.clone()).unwrap_or_default(),
        headline: String::new(),
        axes: index.axes.clone(),
        strategies: index.strategies.clone(),
        baseline: baseline.clone(),
        margin: settings.margin,
        confidence: settings.confidence,
        process_rounds: table.rounds.len(),
        rounds: table.rounds.iter().copied().max().unwrap_or(0),
        cells: cells.collect(),
        judged_by: Metric::Wall,
        crossovers: pairs.crossovers().cloned().collect(),
        trust: integrity.trust.clone(),
        blocks: integrity.blocks.clone(),
        by_metric: metric::analyse_all(&stage, &tails),
        rate: tails.rate(),
        latency: Vec::new(),
        startup_included: settings.startup_included,
        startup: match settings.startup_included {
            true => Vec::new(),
            false => startup::analyse(&index.strategies, &folder.warmups),
        },
        timelines: folder.timelines.clone(),
        looks: folder.looks.clone(),
        memory: memory::analyse(&stage),
        harness: startup::harness(&stage, folder.env.as_ref()),
        calibration: folder.env.as_ref().and_then(calibration::parse),
    };
    analysis.latency = tails.latency;
    analysis.headline = headline::headline(&analysis);
    analysis
}

/// Figures by cell and strategy.
fn stats(context: &pairs::Context<'_>, samples: &[crate::record::Sample]) -> Vec<Vec<Option<StrategyStats>>> {
    let strategies = context.index.strategies.len();
    spread::spread(
        context.index.cells.len(),
        || context.estimator(),
        |estimator, cell| {
            (0..strategies)
                .map(|s| table::stats(cell, context.table.series(cell, s), samples, estimator))
                .collect()
        },
    )
}

/// What is proven against the baseline, by cell and strategy; see [`CellAnalysis::gains`].
fn gains(
    pairs: &pairs::Pairs,
    strategies: &[String],
    baseline: &str,
    cells: usize,
    margin: f64,
) -> Vec<Vec<Option<f64>>> {
    let reference = strategies.iter().position(|s| s == baseline);
    let gain = |cell: usize, s: usize| {
        let estimate = pairs.estimate(cell, s, reference?)?;
        (verdict::relation(&estimate, margin) == verdict::Relation::Slower).then(|| estimate.centre.exp())
    };
    (0..cells).map(|cell| (0..strategies.len()).map(|s| gain(cell, s)).collect()).collect()
}

/// The configured baseline where it was measured, else `sequential`, else the first strategy.
fn baseline(wanted: Option<&str>, strategies: &[String]) -> String {
    let known: BTreeSet<&str> = strategies.iter().map(String::as_str).collect();
    let choices = [wanted, Some("sequential"), strategies.first().map(String::as_str)];
    choices.into_iter().flatten().find(|name| known.contains(name)).unwrap_or_default().to_owned()
}
