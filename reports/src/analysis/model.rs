//! What an analysis yields: everything that a picture, a table or the HTML shows, and nothing else.
use crate::record::{Crossover, ParamValue, Params, Verdict};

/// One experiment, analysed.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The experiment's name.
    pub name: String,
    /// The question it asks, from its file.
    pub question: String,
    /// Prose of its author, from its file.
    pub prose: String,
    /// The workload's kind (`http`, `cpu`, `mixed`, …).
    pub workload: String,
    /// Parameters with one value, in the order of the file (for a picture's subtitle).
    pub constants: Vec<(String, ParamValue)>,
    /// Id of the run.
    pub run: String,
    /// One sentence with the finding and its numbers.
    pub headline: String,
    /// Swept parameters, in the order of the file; single-valued ones are left out.
    pub axes: Vec<Axis>,
    /// Strategies in the order of the file.
    pub strategies: Vec<String>,
    /// The strategy that speed-ups refer to.
    pub baseline: String,
    /// Equivalence margin (0.03 = 3 %).
    pub margin: f64,
    /// Confidence of every interval (0.95).
    pub confidence: f64,
    /// Process rounds and rounds within each that were analysed.
    pub process_rounds: usize,
    /// The largest number of rounds within a process round.
    pub rounds: usize,
    /// All cells, in the order of the sweep.
    pub cells: Vec<CellAnalysis>,
    /// Crossovers of every pair along every swept numeric parameter.
    pub crossovers: Vec<Crossover>,
    /// What stands against trusting the run.
    pub trust: Trust,
    /// Blocks in the order in which they ran.
    pub blocks: Vec<BlockInfo>,
}

/// A swept parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name in the file.
    pub param: String,
    /// Its values in ascending order, names in the order of the file.
    pub values: Vec<ParamValue>,
}

impl Axis {
    /// Whether every value is a number.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        self.values.iter().all(|v| v.as_f64().is_some())
    }
}

/// One cell, analysed.
#[derive(Clone, Debug)]
pub struct CellAnalysis {
    /// The cell's name.
    pub cell: String,
    /// Its swept parameters.
    pub params: Params,
    /// Tasks in one run of the whole work.
    pub tasks: u64,
    /// Figures per strategy, in the order of [`Analysis::strategies`]; `None` without a usable sample.
    pub stats: Vec<Option<StrategyStats>>,
    /// The outcome; `None` where there may be none (checksum mismatch, contamination, too few rounds).
    pub verdict: Option<Verdict>,
    /// By strategy, in the same order: the baseline's time divided by its own, where it is proven faster than the
    /// baseline by more than the margin.
    pub gains: Vec<Option<f64>>,
    /// Why there is no verdict, or why it can be no more than undecided (too few rounds).
    pub no_verdict: Option<String>,
}

/// Figures of one strategy in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyStats {
    /// Usable samples.
    pub samples: usize,
    /// Median wall time of one run of the whole work.
    pub wall_ns: f64,
    /// Interval of `wall_ns`.
    pub wall_ci_ns: [f64; 2],
    /// Median CPU time (user + system) per task.
    pub cpu_per_task_ns: f64,
    /// Interval of `cpu_per_task_ns`.
    pub cpu_ci_ns: [f64; 2],
    /// Median peak resident memory.
    pub rss_peak_kib: f64,
    /// Median context switches (voluntary + involuntary) per run.
    pub switches: f64,
}

/// What stands against trusting a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Median foreign load over the blocks, in cores.
    pub foreign_cores_median: f64,
    /// Largest foreign load of a block, in cores.
    pub foreign_cores_max: f64,
    /// The limit above which a block is contaminated.
    pub foreign_cores_limit: f64,
    /// Samples that were quarantined.
    pub quarantined: usize,
    /// All samples.
    pub samples: usize,
    /// Cells in which a strategy's checksum differs from the oracle's, as (cell, strategy).
    pub mismatches: Vec<(String, String)>,
    /// Strategies that failed, as (cell, strategy, reason).
    pub failures: Vec<(String, String, String)>,
    /// Every block was contaminated: no verdict is given.
    pub contaminated: bool,
    /// What disturbed the samples that do not count, the commonest reasons first; empty where nothing did.
    pub disturbance: String,
    /// Samples that stand in the file more than once, with the same `order`; only one of each is used.
    pub duplicates: usize,
    /// Largest share of one core that the test server used, where there is one.
    pub server_share_max: Option<f64>,
}

/// One block as it ran, for the run-order strip.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockInfo {
    /// Index of the process round.
    pub process: u32,
    /// Index of the round.
    pub round: u32,
    /// Foreign load in cores.
    pub foreign_cores: f64,
    /// Whether it was quarantined.
    pub quarantined: bool,
}
