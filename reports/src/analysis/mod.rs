//! Pure statistics: samples in, verdicts and crossovers out; no file is touched here.
//!
//! ```text
//! Folder ─ index ─► names as numbers ─ integrity ─► usable samples ─ table ─► log times by block
//!        ─ pairs (bootstrap, hierarchy) ─► estimates ─ verdict (holm) ─► winners
//!                                        └ crossover (curve) ─► crossings ─ headline ─► one sentence
//! ```
pub mod model;

mod bootstrap;
mod crossover;
mod curve;
mod headline;
mod hierarchy;
mod holm;
mod index;
mod integrity;
mod pairs;
mod table;
mod verdict;

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Options;
use crate::load::Folder;
use model::{Analysis, CellAnalysis, StrategyStats};

/// Analyses a run. The same folder and options yield the same analysis on any number of cores.
#[must_use]
pub fn analyse(folder: &Folder, options: &Options) -> Analysis {
    let settings = &folder.settings;
    let samples = &folder.samples;
    let index = index::Index::new(folder);
    let baseline = baseline(settings.baseline.as_deref(), &index.strategies);
    let integrity = integrity::check(samples, &index, &baseline, settings.max_foreign_cores);
    let table = table::Table::new(samples, &integrity.usable, &index);
    let replicates = bootstrap::Replicates::draw(&table.rounds, options.bootstrap, options.seed);
    let hierarchy = hierarchy::Hierarchy::new(settings.confidence);
    let pairs = pairs::Pairs::new(&pairs::Context {
        samples,
        index: &index,
        table: &table,
        replicates: &replicates,
        hierarchy: &hierarchy,
        normals: &normals(options),
        judged: &integrity.no_verdict.iter().map(Option::is_none).collect::<Vec<_>>(),
        lines: &crossover::lines(&index),
        margin: settings.margin,
        confidence: settings.confidence,
    });
    let mut estimator = table::Estimator::new(&table, &replicates, &hierarchy, settings.confidence);
    let stats: Vec<Vec<Option<StrategyStats>>> = (0..index.cells.len())
        .map(|cell| {
            (0..index.strategies.len())
                .map(|s| table::stats(table.series(cell, s), samples, &mut estimator))
                .collect()
        })
        .collect();
    let present: Vec<Vec<usize>> =
        stats.iter().map(|cell| (0..cell.len()).filter(|&s| cell[s].is_some()).collect()).collect();
    let judged = verdict::judge(
        &index.cells,
        &index.strategies,
        &present,
        &integrity.no_verdict,
        &pairs,
        settings.margin,
        settings.confidence,
    );
    let gains = gains(&pairs, &index.strategies, &baseline, index.cells.len(), settings.margin);
    let parts = index.cells.into_iter().zip(stats).zip(judged).zip(gains);
    let cells = parts.map(|(((cell, stats), judged), gains)| CellAnalysis {
        cell: cell.name,
        params: cell.params,
        tasks: cell.tasks,
        stats,
        verdict: judged.verdict,
        gains,
        no_verdict: judged.reason,
    });
    let mut analysis = Analysis {
        name: settings.name.clone(),
        question: settings.question.clone(),
        prose: settings.prose.clone(),
        workload: settings.workload.clone(),
        constants: settings.constants.clone(),
        run: samples.first().map(|s| s.run.clone()).unwrap_or_default(),
        headline: String::new(),
        axes: index.axes,
        strategies: index.strategies,
        baseline,
        margin: settings.margin,
        confidence: settings.confidence,
        process_rounds: table.rounds.len(),
        rounds: table.rounds.iter().copied().max().unwrap_or(0),
        cells: cells.collect(),
        crossovers: pairs.into_crossovers().collect(),
        trust: integrity.trust,
        blocks: integrity.blocks,
        ..Analysis::default()
    };
    analysis.headline = headline::headline(&analysis);
    analysis
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

/// Standard normals, one per replicate, from a stream of their own.
fn normals(options: &Options) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(1);
    let mut normal = || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
    };
    (0..options.bootstrap).map(|_| normal()).collect()
}
