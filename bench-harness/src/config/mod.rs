//! An experiment, as its TOML file describes it: checked, complete, and bounded.
//!
//! Text enters here and leaves as an [`Experiment`] or as a [`ConfigError`] that names file, line, column, key
//! and the reason. Whoever holds an `Experiment` may rely on it: every name in it is known, every number is
//! finite and within its limits, every list is free of duplicates, and the number of planned samples is bounded
//! ([`limits`]). Nothing is allocated in proportion to a number of the file before that number is checked.
//!
//! The way of a file: `lookup` finds the text → `tree` parses it and keeps where every value stands → `--set`
//! edits the tree → `schema` reads the tree into an `Experiment`, parameter by parameter with `axis`.
mod axis;
pub mod duration;
mod error;
mod lookup;
mod quick;
mod resolved;
mod schema;
mod strategies;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossover_reports::record::{self, ParamValue, Params};
pub use crossover_workloads::Value;
use crossover_workloads::catalog;
use serde::{Deserialize, Serialize};

use crate::strategy::{self, Limits};
pub use error::ConfigError;
pub use lookup::names;
pub use suggest::{nearest, shown};

/// What a configuration may ask for at most.
pub mod limits {
    /// Bytes of a configuration file.
    pub const FILE_BYTES: u64 = 1 << 20;
    /// Points of one axis.
    pub const POINTS: usize = 1000;
    /// Cells of an experiment: the product of its axes.
    pub const CELLS: usize = 10_000;
    /// Tasks in one run of the whole work.
    pub const TASKS: i64 = 1_000_000;
    /// Workers of a strategy.
    pub const WORKERS: u32 = 1024;
    /// Jobs after which a worker process is replaced.
    pub const JOBS_PER_WORKER: u32 = 1_000_000;
    /// Process rounds.
    pub const PROCESSES: u32 = 1000;
    /// Rounds within a process round.
    pub const ROUNDS: u32 = 10_000;
    /// Samples of a plan: cells × strategies × processes × rounds.
    pub const SAMPLES: u64 = 1_000_000;
    /// Arrivals per second of an open load.
    pub const RATE: f64 = 1_000_000.0;
    /// Seconds that the arrivals of one run may take: tasks / rate.
    pub const ARRIVALS_SECONDS: f64 = 60.0;
}

/// One experiment, as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name: one line of at most 100 characters; [`Experiment::slug`] is fit for a path.
    pub name: String,
    /// The question it asks.
    pub question: String,
    /// Prose of its author, which the report shows beside the verdict.
    pub analysis: String,
    /// The file it comes from, or `<built-in NAME>`.
    pub source: PathBuf,
    /// The folder that relative paths of the file start from, absolute.
    pub dir: PathBuf,
    /// The file's text as it stands: what `config.toml` of a run holds.
    pub text: String,
    /// What is computed or waited for, and over which values.
    pub workload: WorkloadConfig,
    /// Who takes part.
    pub strategies: Strategies,
    /// How much is measured.
    pub measure: Measure,
    /// How the samples are judged.
    pub analysis_opts: AnalysisOptions,
}

/// The workload of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadConfig {
    /// The workload's kind (`http`, `cpu`, `mixed`).
    pub kind: String,
    /// Parameters with one value, defaults included.
    pub constants: BTreeMap<String, Value>,
    /// Swept parameters, in the order of the file.
    pub axes: Vec<Axis>,
}

/// A swept parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name.
    pub param: String,
    /// Its values in the order of the file, at least one, each once. Whole numbers are `Int`, also for a
    /// parameter that may be broken.
    pub values: Vec<Value>,
}

/// The strategies of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategies {
    /// Names of the strategies that take part: built in, or keys of `variants` or `external`.
    pub include: Vec<String>,
    /// Optional strategies that were to take part and whose programs are not here, with the reasons.
    pub skipped: BTreeMap<String, String>,
    /// Workers of every strategy that has some.
    pub workers: u32,
    /// What single strategies do differently.
    pub overrides: BTreeMap<String, StrategyOptions>,
    /// Built-in strategies under other names.
    pub variants: BTreeMap<String, Variant>,
    /// Strategies that are programs of their own.
    pub external: BTreeMap<String, External>,
}

impl Strategies {
    /// How many workers the strategy `name` gets: its own number, else that of the strategy behind it.
    #[must_use]
    pub fn workers_of(&self, name: &str) -> u32 {
        let own = self.variants.get(name).and_then(|variant| variant.workers);
        let base = || self.overrides.get(self.base_of(name)).and_then(|options| options.workers);
        own.or_else(base).unwrap_or(self.workers)
    }

    /// After how many jobs a worker process of `name` is replaced: its own number, else that of the strategy behind it.
    #[must_use]
    pub fn jobs_per_worker_of(&self, name: &str) -> Option<u32> {
        let own = self.variants.get(name).and_then(|variant| variant.jobs_per_worker);
        own.or_else(|| self.overrides.get(self.base_of(name)).and_then(|options| options.jobs_per_worker))
    }

    /// The strategy that does the work of `name`: what a variant is a variant of, else `name` itself.
    #[must_use]
    pub fn base_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.variants.get(name).map_or(name, |variant| &variant.strategy)
    }

    /// What `name` is limited by here; `None` for a program of someone else's.
    #[must_use]
    pub fn limits_of(&self, name: &str) -> Option<Limits> {
        strategy::limits(self.base_of(name), self.workers_of(name))
    }
}

/// What one strategy does differently.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StrategyOptions {
    /// Its own number of workers.
    pub workers: Option<u32>,
    /// After how many jobs a worker process is replaced.
    pub jobs_per_worker: Option<u32>,
}

/// A built-in strategy under another name: with other workers, or the same again.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The name of the built-in strategy.
    pub strategy: String,
    /// Its own number of workers.
    pub workers: Option<u32>,
    /// After how many jobs a worker process is replaced.
    pub jobs_per_worker: Option<u32>,
}

/// A strategy that is a program of its own and speaks the trial protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct External {
    /// The program and its arguments. The program of an included strategy existed and was executable when the
    /// file was loaded.
    pub run: Vec<String>,
    /// The folder it starts in, absolute; a relative `run[0]` with a slash is meant from here.
    pub dir: PathBuf,
    /// Whether the experiment goes on without it where the program is not there.
    pub optional: bool,
}

/// How much is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Process rounds: fresh trial processes each.
    pub processes: u32,
    /// Rounds within a process round.
    pub rounds: u32,
    /// Time for the whole experiment; `None` measures all rounds, however long they take.
    pub budget: Option<Duration>,
    /// Foreign load in cores above which a block is quarantined.
    pub max_foreign_cores: f64,
    /// Arrivals per second under an open load: tasks start at their times, whether earlier ones are done or not.
    /// `None` is the closed load: the next run of the work starts when the last one has ended.
    pub rate: Option<f64>,
    /// Whether every run starts its strategy and ends it again.
    pub startup: Startup,
}

/// Whether what a strategy starts (threads, a runtime, worker processes) and ends belongs to what is timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Startup {
    /// It is up before anything is timed, and stays up: steady state.
    #[default]
    Excluded,
    /// Each run of the work starts it and ends it, and both are timed.
    Included,
}

impl Startup {
    /// Whether it belongs to it.
    #[must_use]
    pub const fn is_included(self) -> bool {
        matches!(self, Self::Included)
    }

    /// Whether it does not: what serde asks before it leaves the key out.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) const fn is_excluded(&self) -> bool {
        !self.is_included()
    }

    /// The word for it in a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Included => "included",
        }
    }
}

/// How the samples are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisOptions {
    /// Equivalence margin (0.03 = 3 %).
    pub margin: f64,
    /// Confidence of every interval.
    pub confidence: f64,
    /// The strategy that speed-ups refer to; one of `include`.
    pub baseline: String,
    /// Whether more points around a crossover are wanted ([`crate::run`]).
    pub refine_crossover: bool,
}

/// One point of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its name, see [`record::cell_name`].
    pub name: String,
    /// Its swept parameters; `tasks` where nothing is swept, so that no name is empty.
    pub params: Params,
    /// Every parameter of the workload, constants included.
    pub all: BTreeMap<String, Value>,
    /// Tasks in one run of the whole work.
    pub tasks: u32,
}

impl Experiment {
    /// Loads an experiment by its name or from a file, with every `--set` of `sets` applied in order.
    ///
    /// A word with a slash or that ends in `.toml` is a path; any other is a name, first of a file in
    /// `workloads/experiments/` of the current folder, then of an experiment that is built in.
    ///
    /// # Errors
    /// Whatever keeps the experiment from being run as it is written, with its place and the reason.
    pub fn load(name_or_path: &str, sets: &[String]) -> Result<Self, ConfigError> {
        Self::from_found(lookup::find(name_or_path)?, sets)
    }

    /// Loads an experiment from the file at `path`, whatever it is called.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn load_file(path: &Path) -> Result<Self, ConfigError> {
        Self::from_found(lookup::file(path)?, &[])
    }

    /// Reads an experiment's text. `label` stands for the file in errors; relative commands start from `dir`.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn parse(text: &str, label: &str, dir: &Path) -> Result<Self, ConfigError> {
        Self::from_text(text, label, dir, &[])
    }

    fn from_found(found: lookup::Found, sets: &[String]) -> Result<Self, ConfigError> {
        Self::from_text(&found.text, &found.label, &found.dir, sets)
    }

    fn from_text(text: &str, label: &str, dir: &Path, sets: &[String]) -> Result<Self, ConfigError> {
        let mut sources = error::Sources::new(label, text);
        let mut root = tree::parse(&sources, 0, text)?;
        for set in sets {
            tree::set(&mut sources, &mut root, set)?;
        }
        let mut experiment = schema::experiment(&sources, &root, label.into(), text.to_owned(), dir)?;
        if !sets.is_empty() {
            experiment.rewrite_text("as changed by the command line");
        } else if !experiment.strategies.skipped.is_empty() {
            experiment.rewrite_text("without the optional strategies that are not here");
        }
        Ok(experiment)
    }

    /// Makes `text` say what the experiment now is, so that a run's `config.toml` alone describes the run.
    fn rewrite_text(&mut self, how: &str) {
        let from = shown(&self.source.display().to_string());
        let mut head = format!("# {from}, {how}\n");
        for (name, reason) in &self.strategies.skipped {
            head += &format!("# skipped: {name}: {}\n", suggest::one_line(reason));
        }
        self.text = head + &self.resolved_toml();
    }

    /// Limits the time of the experiment, as `--budget` does.
    pub fn with_budget(&mut self, budget: Duration) {
        self.measure.budget = Some(budget);
        self.rewrite_text("as changed by the command line");
    }

    /// The name as a part of a path: lower-case letters, digits and single dashes, never empty.
    #[must_use]
    pub fn slug(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let dashed: String = self.name.chars().map(plain).collect();
        let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { "experiment".to_owned() } else { parts.join("-") }
    }

    /// The kind of the workload, as the catalog knows it.
    #[must_use]
    pub fn kind(&self) -> Option<&'static catalog::KindInfo> {
        catalog::find(&self.workload.kind)
    }

    /// How many cells there are; `None` when that is beyond counting.
    #[must_use]
    pub fn cell_count(&self) -> Option<usize> {
        self.workload.axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()))
    }

    /// Every combination of the axes' values: the first axis changes slowest. Without an axis, one cell.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        (0..self.cell_count().unwrap_or(0)).map(|index| self.cell(index)).collect()
    }

    /// The cell at `index`, read as a number whose digits are the axes' positions, the last axis lowest.
    fn cell(&self, mut index: usize) -> Cell {
        let mut all = self.workload.constants.clone();
        let mut params = Params::new();
        for axis in self.workload.axes.iter().rev() {
            let value = &axis.values[index % axis.values.len()];
            index /= axis.values.len();
            all.insert(axis.param.clone(), value.clone());
            params.insert(axis.param.clone(), recorded(value));
        }
        let tasks = all.get("tasks").and_then(Value::as_i64).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
        if params.is_empty() {
            params.insert("tasks".to_owned(), ParamValue::Int(i64::from(tasks)));
        }
        Cell { name: record::cell_name(&params), params, all, tasks }
    }
}

/// A value as the record writes it.
fn recorded(value: &Value) -> ParamValue {
    match value {
        Value::Int(n) => ParamValue::Int(*n),
        Value::Float(x) => ParamValue::Float(*x),
        Value::Text(text) => ParamValue::Text(text.clone()),
    }
}
