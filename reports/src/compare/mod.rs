//! Two runs against each other: what became slower, what faster, and what is proven to be the same.
//!
//! # What is compared
//! Cells and strategies are matched by name. Each time is estimated in its own run (hierarchical bootstrap, as in the report);
//! the runs are independent, so the half-width of a difference of logarithms is the root of the sum of squares.
//!
//! **Between runs.** Two quiet runs of one program differ by about one interval: something stays the same within a run that
//! is another in the next one (where memory lies, what else the host does). So every interval is widened by z·√2·σ, where σ is
//! the standard deviation of ln(time) between runs, which `crossover calibrate` measures on the machine, else
//! [`BETWEEN_RUNS_SD`]. The larger σ of the two runs counts.
//!
//! **Against the baseline.** Most of what differs between two runs touches all strategies alike. Where both runs measured
//! the baseline in a cell, the ratio to it, paired within the blocks of each run, cancels that; what is left of σ is taken to be
//! [`LEFT_OF_DRIFT`] of it. A ratio is only as good as its reference, so it decides where the baseline itself is *not* proven to
//! have changed; the baseline's own rows, and all rows of a cell in which it has, are judged by the times themselves. A change
//! that hits every strategy alike thus shows in the baseline's row.
//!
//! # Verdicts
//! With r = ln(time in B / time in A) or of the ratios, and the margin δ: *regression* where r is proven above ln(1+δ),
//! *improvement* where it is proven below −ln(1+δ), both Holm-adjusted over all rows of the experiment; *same* where the interval
//! lies inside ±ln(1+δ); *undecided* otherwise. Nothing is proven from fewer than 4 samples of 2 processes on either side.
mod environment;
mod render;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::analysis::pairs::Context;
use crate::analysis::stage::Stage;
use crate::analysis::table::{self, Estimate};
use crate::analysis::{calibration, hierarchy, holm};
use crate::load::{Folder, Suite};
use crate::record::Versus;
use crate::{Options, ReportError};

/// Standard deviation of ln(time) between two quiet runs where no calibration tells it: 2 %, more than quiet machines show,
/// because a false alarm costs more than an open question that `crossover calibrate` settles.
pub const BETWEEN_RUNS_SD: f64 = 0.02;
/// The share of that which a ratio to the baseline does not cancel.
pub const LEFT_OF_DRIFT: f64 = 0.5;

/// How a strategy changed in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Proven slower by more than the margin.
    Regression,
    /// Proven faster by more than the margin.
    Improvement,
    /// Nothing is proven.
    Undecided,
    /// Proven equal within the margin.
    Same,
}

/// One strategy in one cell, in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The cell's name.
    pub cell: String,
    /// The strategy's name.
    pub strategy: String,
    /// The outcome.
    pub change: Change,
    /// The baseline whose ratios decided; `None` where the times themselves did.
    pub against: Option<String>,
    /// Median wall time in each run, in nanoseconds.
    pub wall_ns: [f64; 2],
    /// What decided: time in B over time in A, or the same of the ratios to the baseline.
    pub ratio: f64,
    /// Interval of `ratio`.
    pub ci: [f64; 2],
    /// The times themselves.
    pub times: Versus,
    /// The ratios to the baseline, where both runs have it.
    pub to_baseline: Option<Versus>,
}

/// One experiment in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub experiment: String,
    /// The larger margin of the two runs.
    pub margin: f64,
    /// Confidence of every interval.
    pub confidence: f64,
    /// Standard deviation of ln(time) between runs.
    pub between_runs_sd: f64,
    /// Whether it was calibrated on the machine of the runs.
    pub calibrated: bool,
    /// What both runs have, in the order of A.
    pub rows: Vec<Row>,
    /// What cannot be compared, and why.
    pub unmatched: Vec<String>,
    /// In what the runs differ that may explain a change.
    pub warnings: Vec<String>,
    /// Whether a checksum differs in either run.
    pub mismatch: bool,
    /// Whether either run is contaminated beyond use.
    pub contaminated: bool,
}

impl Compared {
    /// How many rows ended so.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.rows.iter().filter(|row| row.change == change).count()
    }
}

/// Two runs against each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first run's folder, as it was given.
    #[serde(serialize_with = "lossy")]
    pub a: PathBuf,
    /// The second run's folder, as it was given.
    #[serde(serialize_with = "lossy")]
    pub b: PathBuf,
    /// Every experiment that both have.
    pub experiments: Vec<Compared>,
    /// Experiments that only one of them has, in words.
    pub unmatched: Vec<String>,
}

/// JSON is Unicode, and a path need not be.
fn lossy<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

impl Comparison {
    /// Whether no strategy of any cell could be compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.experiments.iter().all(|e| e.rows.is_empty())
    }

    /// The program's exit code: 3 where a checksum differs in either run; 1 for a proven regression where `fail_on_regression`;
    /// 4 where either run is contaminated beyond use; 2 where nothing could be compared, which must not pass for "nothing
    /// became slower"; else 0.
    #[must_use]
    pub fn exit_code(&self, fail_on_regression: bool) -> u8 {
        let any = |test: &dyn Fn(&Compared) -> bool| self.experiments.iter().any(test);
        if any(&|e| e.mismatch) {
            3
        } else if fail_on_regression && any(&|e| e.count(Change::Regression) > 0) {
            1
        } else if any(&|e| e.contaminated) {
            4
        } else if self.is_empty() {
            2
        } else {
            0
        }
    }
}

/// Compares run B with run A; each may be a single run's folder or a suite's.
///
/// # Errors
/// A folder cannot be read (see [`ReportError`]), or the two have no experiment in common.
pub fn compare(a: &Path, b: &Path, options: &Options) -> Result<Comparison, ReportError> {
    let (mut first, mut second) = (folders(a)?, folders(b)?);
    if let ([one], [other]) = (first.as_mut_slice(), second.as_mut_slice()) {
        // Two single runs are compared whatever they are called.
        let experiments = vec![experiment(one, other, options)];
        return Ok(Comparison { a: a.to_owned(), b: b.to_owned(), experiments, unmatched: Vec::new() });
    }
    let mut experiments = Vec::new();
    let mut unmatched = Vec::new();
    for one in &first {
        match second.iter().position(|other| other.settings.name == one.settings.name) {
            Some(at) => experiments.push(experiment(one, &second.remove(at), options)),
            None => unmatched.push(format!("{} is only in {}", one.settings.name, a.display())),
        }
    }
    unmatched.extend(second.iter().map(|f| format!("{} is only in {}", f.settings.name, b.display())));
    if experiments.is_empty() {
        let reason = format!("has no experiment in common with {}", a.display());
        return Err(ReportError::Config { path: b.to_owned(), line: None, reason });
    }
    Ok(Comparison { a: a.to_owned(), b: b.to_owned(), experiments, unmatched })
}

/// The runs in a folder; of a suite, those that have begun.
fn folders(dir: &Path) -> Result<Vec<Folder>, ReportError> {
    let Some(suite) = Suite::read(dir)? else { return Ok(vec![Folder::read(dir)?]) };
    let all: Vec<PathBuf> = suite.experiments.iter().map(|name| dir.join(name)).collect();
    let begun: Vec<&PathBuf> = all.iter().filter(|d| d.join("samples.jsonl").exists()).collect();
    // With none begun, the first is read for the error that says what is missing.
    let read = if begun.is_empty() { all.iter().take(1).collect() } else { begun };
    read.into_iter().map(|dir| Folder::read(dir)).collect()
}

/// A row before the rows are judged together.
struct Raw {
    row: Row,
    estimate: Estimate,
}

/// Compares one experiment, B with A.
#[must_use]
pub fn experiment(a: &Folder, b: &Folder, options: &Options) -> Compared {
    let stages = [a, b].map(|f| Stage::new(&f.samples, &f.settings, options));
    let logs = [0, 1].map(|i| table::logs(stages[i].samples, table::wall));
    let contexts = [0, 1].map(|i| stages[i].context(&logs[i]));
    let confidence = a.settings.confidence;
    let margin = a.settings.margin.max(b.settings.margin);
    let sd = [a, b].map(calibrated_sd);
    let calibrated = sd.iter().all(Option::is_some);
    let between_runs_sd = sd.map(|sd| sd.unwrap_or(BETWEEN_RUNS_SD)).into_iter().fold(0.0, f64::max);
    let mut unmatched = Vec::new();
    let mut raw = Vec::new();
    let edge = std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(1.0 - confidence);
    let between = edge * std::f64::consts::SQRT_2 * between_runs_sd;
    for [one, other] in cells(&stages, &mut unmatched) {
        let both = Both { stages: &stages, contexts: &contexts, cell: [one, other], between };
        raw.extend(both.rows(&mut unmatched, margin));
    }
    Compared {
        experiment: a.settings.name.clone(),
        margin,
        confidence,
        between_runs_sd,
        calibrated,
        rows: judge(raw, margin, confidence),
        unmatched,
        warnings: environment::differences(a, b),
        mismatch: stages.iter().any(|s| !s.integrity.trust.mismatches.is_empty()),
        contaminated: stages.iter().any(|s| s.integrity.trust.contaminated),
    }
}

/// The standard deviation between runs that the machine of a run was calibrated to.
fn calibrated_sd(folder: &Folder) -> Option<f64> {
    let calibration = calibration::parse(folder.env.as_ref()?)?;
    calibration.between_runs_sd.filter(|sd| *sd > 0.0 && calibration.matches())
}

/// Pairs of cells with the same name that may be compared; the others are told.
fn cells(stages: &[Stage<'_>; 2], unmatched: &mut Vec<String>) -> Vec<[usize; 2]> {
    let [a, b] = [&stages[0].index.cells, &stages[1].index.cells];
    let shown = |name: &str| if name.is_empty() { "the only cell".to_owned() } else { name.to_owned() };
    let mut pairs = Vec::new();
    for (i, cell) in a.iter().enumerate() {
        let name = shown(&cell.name);
        let Some(j) = b.iter().position(|other| other.name == cell.name) else {
            unmatched.push(format!("{name}: only in A"));
            continue;
        };
        let reasons = [(0, i, "A"), (1, j, "B")].map(|(run, cell, which)| {
            stages[run].integrity.no_verdict[cell].as_ref().map(|why| format!("{name}: in {which}, {why}"))
        });
        if cell.tasks != b[j].tasks {
            unmatched.push(format!("{name}: {} tasks in A, {} in B", cell.tasks, b[j].tasks));
        } else if let Some(reason) = reasons.into_iter().flatten().next() {
            unmatched.push(reason);
        } else {
            pairs.push([i, j]);
        }
    }
    let only_b = b.iter().filter(|cell| a.iter().all(|other| other.name != cell.name));
    unmatched.extend(only_b.map(|cell| format!("{}: only in B", shown(&cell.name))));
    pairs
}

/// One cell in both runs.
struct Both<'a> {
    stages: &'a [Stage<'a>; 2],
    contexts: &'a [Context<'a>; 2],
    cell: [usize; 2],
    /// Half-width of what differs between runs.
    between: f64,
}

impl Both<'_> {
    /// The strategies of the cell that both runs measured.
    fn rows(&self, unmatched: &mut Vec<String>, margin: f64) -> Vec<Raw> {
        let [a, b] = [0, 1].map(|run| &self.stages[run].index.strategies);
        let present = |run: usize, s: usize| self.stages[run].present[self.cell[run]].contains(&s);
        let name = &self.stages[0].index.cells[self.cell[0]].name;
        let mut names: Vec<(&String, [usize; 2])> = Vec::new();
        for (i, strategy) in a.iter().enumerate() {
            match b.iter().position(|other| other == strategy) {
                Some(j) if present(0, i) && present(1, j) => names.push((strategy, [i, j])),
                Some(j) if present(0, i) || present(1, j) => {
                    let which = if present(0, i) { "A" } else { "B" };
                    unmatched.push(format!("{name} {strategy}: only in {which}"));
                }
                None if present(0, i) => unmatched.push(format!("{name} {strategy}: only in A")),
                _ => {}
            }
        }
        let only_b = (0..b.len()).filter(|&j| present(1, j) && !a.contains(&b[j]));
        unmatched.extend(only_b.map(|j| format!("{name} {}: only in B", b[j])));
        let base = names.iter().find(|(name, _)| **name == self.stages[0].baseline).copied();
        let moved = base.is_some_and(|(_, s)| self.times(s).is_some_and(|t| is_changed(&t.1, margin)));
        let base = base.filter(|_| !moved);
        names.iter().filter_map(|&(strategy, s)| self.row(strategy, s, base)).collect()
    }

    fn row(&self, strategy: &str, s: [usize; 2], base: Option<(&String, [usize; 2])>) -> Option<Raw> {
        let (wall_ns, times) = self.times(s)?;
        let ratio = base.filter(|(name, _)| *name != strategy).and_then(|(_, base)| self.ratio(s, base));
        let against = base.map(|(name, _)| name.clone()).filter(|_| ratio.is_some());
        let estimate = ratio.unwrap_or(times);
        let row = Row {
            cell: self.stages[0].index.cells[self.cell[0]].name.clone(),
            strategy: strategy.to_owned(),
            change: Change::Undecided,
            against,
            wall_ns,
            ratio: estimate.centre.exp(),
            ci: versus(&estimate).ci,
            times: versus(&times),
            to_baseline: ratio.as_ref().map(versus),
        };
        Some(Raw { row, estimate })
    }

    /// The median times, and ln(time in B / time in A).
    fn times(&self, s: [usize; 2]) -> Option<([f64; 2], Estimate)> {
        let [a, b] = self.each(|run, values| self.contexts[run].values(self.cell[run], s[run], values));
        let (a, b) = (a?, b?);
        Some(([a.centre.exp(), b.centre.exp()], difference(&a, &b, self.between)))
    }

    /// ln of the ratio to the baseline in B over the one in A.
    fn ratio(&self, s: [usize; 2], base: [usize; 2]) -> Option<Estimate> {
        let [a, b] =
            self.each(|run, values| self.contexts[run].ratios(self.cell[run], base[run], s[run], values));
        Some(difference(&a?, &b?, LEFT_OF_DRIFT * self.between))
    }

    /// The estimate of what `fill` writes, in each run.
    fn each(&self, fill: impl Fn(usize, &mut Vec<(f64, u32)>)) -> [Option<Estimate>; 2] {
        [0, 1].map(|run| {
            let (mut values, mut medians) = (Vec::new(), Vec::new());
            fill(run, &mut values);
            self.contexts[run].estimator().estimate(self.cell[run], &mut values, &mut medians)
        })
    }
}

/// B − A, widened by what differs between runs; it is as little as the smaller of the two.
fn difference(a: &Estimate, b: &Estimate, between: f64) -> Estimate {
    Estimate {
        centre: b.centre - a.centre,
        half: (a.half.powi(2) + b.half.powi(2) + between.powi(2)).sqrt(),
        half_bootstrap: a.half_bootstrap.hypot(b.half_bootstrap),
        pairs: a.pairs.min(b.pairs),
        processes: a.processes.min(b.processes),
    }
}

fn is_changed(estimate: &Estimate, margin: f64) -> bool {
    estimate.is_enough() && estimate.centre.abs() - estimate.half > margin.ln_1p()
}

fn versus(estimate: &Estimate) -> Versus {
    let Estimate { centre, half, .. } = estimate;
    Versus { ratio: centre.exp(), ci: [(centre - half).exp(), (centre + half).exp()] }
}

/// Judges all rows together.
fn judge(raw: Vec<Raw>, margin: f64, confidence: f64) -> Vec<Row> {
    let delta = margin.ln_1p();
    let p = |r: &Raw| {
        let beyond = r.estimate.centre.abs() - delta;
        if r.estimate.is_enough() && beyond > 0.0 {
            hierarchy::tail(beyond, r.estimate.half, confidence)
        } else {
            1.0
        }
    };
    let proven = holm::rejected(&raw.iter().map(p).collect::<Vec<_>>(), 1.0 - confidence);
    let judged = raw.into_iter().zip(proven).map(|(Raw { row, estimate }, proven)| {
        let change = match (proven, estimate.centre > 0.0) {
            (true, true) => Change::Regression,
            (true, false) => Change::Improvement,
            _ if estimate.is_enough() && estimate.centre.abs() + estimate.half < delta => Change::Same,
            _ => Change::Undecided,
        };
        Row { change, ..row }
    });
    judged.collect()
}
