//! A run prepared for its comparisons: names, usable samples, resampled blocks. Every comparison of the run, by whatever
//! metric, reads the same stage.
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Options;
use crate::analysis::bootstrap::Replicates;
use crate::analysis::crossover::{self, Line};
use crate::analysis::hierarchy::Hierarchy;
use crate::analysis::index::Index;
use crate::analysis::integrity::{self, Integrity};
use crate::analysis::model::Metric;
use crate::analysis::pairs::Context;
use crate::analysis::table::{Estimate, Table};
use crate::analysis::verdict::{self, Bench, Judged};
use crate::record::Sample;
use crate::settings::Settings;

/// A run, prepared.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) samples: &'a [Sample],
    pub(crate) settings: &'a Settings,
    pub(crate) index: Index,
    pub(crate) baseline: String,
    pub(crate) integrity: Integrity,
    pub(crate) table: Table,
    /// By cell: the strategies with usable samples.
    pub(crate) present: Vec<Vec<usize>>,
    replicates: Replicates,
    hierarchy: Hierarchy,
    normals: Vec<f32>,
    lines: Vec<Line>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(samples: &'a [Sample], settings: &'a Settings, options: &Options) -> Self {
        let index = Index::new(samples, settings);
        let baseline = super::baseline(settings.baseline.as_deref(), &index.strategies);
        let integrity = integrity::check(samples, &index, &baseline, settings.max_foreign_cores);
        let table = Table::new(samples, &integrity.usable, &index);
        let measured = |cell: usize| {
            (0..index.strategies.len()).filter(|&s| !table.series(cell, s).is_empty()).collect::<Vec<_>>()
        };
        Self {
            present: (0..index.cells.len()).map(measured).collect(),
            replicates: Replicates::draw(&table.rounds, &table.cohorts, options.bootstrap, options.seed),
            hierarchy: Hierarchy::new(settings.confidence),
            normals: normals(options),
            lines: crossover::lines(&index),
            samples,
            settings,
            index,
            baseline,
            integrity,
            table,
        }
    }

    /// What comparisons of `logs` read; see [`Context::logs`].
    pub(crate) fn context<'s>(&'s self, logs: &'s [f64]) -> Context<'s> {
        Context {
            logs,
            index: &self.index,
            table: &self.table,
            replicates: &self.replicates,
            hierarchy: &self.hierarchy,
            normals: &self.normals,
            no_verdict: &self.integrity.no_verdict,
            lines: &self.lines,
            margin: self.settings.margin,
            confidence: self.settings.confidence,
        }
    }

    /// Judges all cells by wall time; see [`verdict::judge`].
    pub(crate) fn judge(
        &self,
        metric: Metric,
        candidate: impl Fn(usize) -> Option<usize>,
        estimate: impl Fn(usize, usize, usize) -> Option<Estimate>,
    ) -> Vec<Judged> {
        let bench = Bench {
            cells: &self.index.cells,
            strategies: &self.index.strategies,
            present: &self.present,
            paces: None,
            reasons: &self.integrity.no_verdict,
            metric,
            margin: self.settings.margin,
            confidence: self.settings.confidence,
        };
        verdict::judge(&bench, candidate, estimate)
    }
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
