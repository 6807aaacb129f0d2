//! What an analysis yields: everything that a picture, a table or the HTML shows, and nothing else.
use std::borrow::Cow;

use crate::record::{Crossover, Look, ParamValue, Params, Timeline, Verdict};

/// What strategies are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Wall time of one run of the whole work, in nanoseconds.
    #[default]
    Wall,
    /// Under an open load: the 99th percentile of the tasks' latency, each from its intended start, in nanoseconds. A strategy
    /// that falls behind its load takes no part.
    Latency,
    /// CPU time (user + system) per task, in nanoseconds.
    Cpu,
    /// Peak resident memory, in KiB.
    Memory,
}

impl Metric {
    /// All metrics; see [`Analysis::leading`] for the one that opens a report.
    pub const ALL: [Self; 4] = [Self::Wall, Self::Latency, Self::Cpu, Self::Memory];

    /// The name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Latency => "latency",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// One experiment, analysed.
///
/// The default is an analysis of nothing, for made-up ones.
#[derive(Clone, Debug, Default)]
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
    /// What the verdicts in `cells` are by: wall time, but in what [`Analysis::by`] gives.
    pub judged_by: Metric,
    /// Crossovers of every pair along every swept numeric parameter.
    pub crossovers: Vec<Crossover>,
    /// What stands against trusting the run.
    pub trust: Trust,
    /// Blocks in the order in which they ran.
    pub blocks: Vec<BlockInfo>,
    /// The same cells judged by the other metrics, in the order of [`Metric::ALL`]; one that was not measured is left out.
    pub by_metric: Vec<MetricAnalysis>,
    /// Latency of the tasks, by cell, then strategy; empty where no sample has a histogram.
    pub latency: Vec<Latency>,
    /// Arrivals per second that were intended, where the load was an open one.
    pub rate: Option<f64>,
    /// Whether a sample is the whole life of a strategy, from its start to its end, and no steady state.
    pub startup_included: bool,
    /// How each strategy starts and becomes steady, in the order of [`Analysis::strategies`], those without a warm-up left
    /// out; empty where the folder has no `warmups.jsonl`, and where every sample is a start.
    pub startup: Vec<Startup>,
    /// Traced runs, in the order of the file; empty where the folder has no `timelines.jsonl`.
    pub timelines: Vec<Timeline>,
    /// What was looked at after the base plan, and why it stopped, in the order of the file; empty where the folder has no
    /// `looks.jsonl`.
    pub looks: Vec<Look>,
    /// Memory against the number of tasks, where an axis changes it.
    pub memory: Vec<MemoryLine>,
    /// What the harness itself takes.
    pub harness: Harness,
    /// The self-calibration that the machine had when the run began; `None` where it had none.
    pub calibration: Option<Calibration>,
}

impl Analysis {
    /// Figures of a strategy in a cell by `metric`, all with an interval; `None` where it was not measured.
    #[must_use]
    pub fn figure(&self, metric: Metric, cell: usize, strategy: usize) -> Option<MetricStats> {
        match self.by_metric.iter().find(|m| m.metric == metric) {
            Some(other) => other.cells.get(cell)?.stats.get(strategy)?.clone(),
            None if metric == Metric::Wall => {
                let stats = self.cells.get(cell)?.stats.get(strategy)?.as_ref()?;
                Some(MetricStats { samples: stats.samples, median: stats.wall_ns, ci: stats.wall_ci_ns })
            }
            None => None,
        }
    }

    /// The verdict of a cell by `metric`, else why there is none.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn verdict(&self, metric: Metric, cell: usize) -> Result<&Verdict, &str> {
        let unsaid = "not measured";
        let (verdict, reason) = match self.by_metric.iter().find(|m| m.metric == metric) {
            Some(other) => {
                other.cells.get(cell).map_or((None, None), |c| (c.verdict.as_ref(), c.no_verdict.as_deref()))
            }
            None if metric == Metric::Wall => {
                self.cells.get(cell).map_or((None, None), |c| (c.verdict.as_ref(), c.no_verdict.as_deref()))
            }
            None => (None, None),
        };
        verdict.ok_or(reason.unwrap_or(unsaid))
    }
}

impl Analysis {
    /// The metric that opens a report: under an open load the latency, since whoever keeps up takes the wall time of the
    /// arrivals; else wall time.
    #[must_use]
    pub fn leading(&self) -> Metric {
        let tails = self.by_metric.iter().find(|m| m.metric == Metric::Latency);
        let everywhere = tails.is_some_and(|tails| {
            let told = |(cell, tail): (&CellAnalysis, &MetricCell)| {
                tail.stats.iter().any(Option::is_some) || cell.stats.iter().all(Option::is_none)
            };
            self.cells.iter().zip(&tails.cells).all(told)
        });
        if everywhere { Metric::Latency } else { self.judged_by }
    }

    /// What a map or a table of winners needs of the analysis, with the verdicts by `metric` in the cells; `None` where they were
    /// not judged by it. Crossings, which are by wall time, are left out.
    #[must_use]
    pub fn by(&self, metric: Metric) -> Option<Self> {
        let by = self.by_metric.iter().find(|m| m.metric == metric)?;
        let judged = |(cell, other): (&CellAnalysis, &MetricCell)| CellAnalysis {
            verdict: other.verdict.clone(),
            no_verdict: other.no_verdict.clone(),
            // Gains are of wall time.
            gains: vec![None; cell.gains.len()],
            ..cell.clone()
        };
        Some(Self {
            name: self.name.clone(),
            workload: self.workload.clone(),
            constants: self.constants.clone(),
            axes: self.axes.clone(),
            strategies: self.strategies.clone(),
            baseline: self.baseline.clone(),
            margin: self.margin,
            confidence: self.confidence,
            process_rounds: self.process_rounds,
            rounds: self.rounds,
            cells: self.cells.iter().zip(&by.cells).map(judged).collect(),
            judged_by: metric,
            trust: self.trust.clone(),
            by_metric: vec![by.clone()],
            rate: self.rate,
            startup_included: self.startup_included,
            ..Self::default()
        })
    }

    /// The analysis with the verdicts by the [leading](Self::leading) metric in the cells: itself where that is wall time.
    #[must_use]
    pub fn led(&self) -> Cow<'_, Self> {
        self.by(self.leading()).map_or(Cow::Borrowed(self), Cow::Owned)
    }
}

/// All cells judged by one metric other than wall time.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricAnalysis {
    /// What they are judged by.
    pub metric: Metric,
    /// In the order of [`Analysis::cells`].
    pub cells: Vec<MetricCell>,
}

/// One cell judged by one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricCell {
    /// Figures per strategy, in the order of [`Analysis::strategies`]; `None` where it was not measured.
    pub stats: Vec<Option<MetricStats>>,
    /// The outcome, with `metric` set; `None` where there may be none.
    pub verdict: Option<Verdict>,
    /// Why there is no verdict, or why it can be no more than undecided.
    pub no_verdict: Option<String>,
}

/// A median over the samples with its interval, in the metric's unit (nanoseconds, nanoseconds per task, KiB).
#[derive(Clone, Debug, PartialEq)]
pub struct MetricStats {
    /// Usable samples.
    pub samples: usize,
    /// The median.
    pub median: f64,
    /// Interval of `median` at the configured confidence.
    pub ci: [f64; 2],
}

/// Latency of one strategy's tasks in one cell: all usable samples together.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    /// Index of the cell.
    pub cell: usize,
    /// Index of the strategy.
    pub strategy: usize,
    /// Usable samples with a histogram.
    pub samples: usize,
    /// Usable samples whose histogram cannot be read; they are left out.
    pub unreadable: usize,
    /// Tasks in all of them.
    pub tasks: u64,
    /// The load; `None` is closed: each task counts from its own start, so that a stall hides the tasks it delays.
    pub open: Option<OpenLoad>,
    /// The median.
    pub p50_ns: f64,
    /// 90 % of the tasks took at most this.
    pub p90_ns: f64,
    /// 99 % of the tasks took at most this.
    pub p99_ns: f64,
    /// 99.9 % of the tasks took at most this; with fewer than 1000 tasks, the largest.
    pub p999_ns: f64,
    /// The largest.
    pub max_ns: f64,
    /// The percentile curve: (share of the tasks that took at most this, nanoseconds), ascending in both, the last one
    /// below 1; evenly spread over −log(1−share).
    pub points: Vec<(f64, f64)>,
}

/// An open load: tasks arrive whether or not earlier ones are done, and count from their intended start.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenLoad {
    /// Arrivals per second that were intended.
    pub rate: f64,
    /// Tasks completed per second once the first one was, median over the samples: what the last ones take after the arrivals
    /// have ended is their latency, and no falling behind.
    pub achieved: Option<f64>,
    /// Whether it fell behind: it completed less than 95 % of what arrived, in most samples.
    pub behind: bool,
    /// How late the generator handed tasks over (99th percentile), median over the samples.
    pub generator_lag_ns: Option<f64>,
    /// The generator's share of one core, median over the samples.
    pub generator_share: Option<f64>,
    /// Whether that share is above 20 % of a core: the generator then competes with what it measures.
    pub generator_flagged: bool,
}

/// How one strategy starts and becomes steady.
#[derive(Clone, Debug, PartialEq)]
pub struct Startup {
    /// Index of the strategy.
    pub strategy: usize,
    /// Median time to start it, where that was measured.
    pub start_ns: Option<f64>,
    /// Median over the warm-ups of the first, cold run divided by a steady one.
    pub cold_ratio: Option<f64>,
    /// Warm-ups of this strategy.
    pub warmups: usize,
    /// Warm-ups that tell whether the times became steady.
    pub told: usize,
    /// Of those: never steady.
    pub never_steady: usize,
    /// Median of the memory that a worker process shares with nobody, where it has some.
    pub worker_private_kib: Option<f64>,
}

/// Memory of one strategy against the number of tasks, the other parameters held fixed.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryLine {
    /// Index of the strategy.
    pub strategy: usize,
    /// The parameter that changes the number of tasks.
    pub param: String,
    /// The other swept parameters.
    pub fixed: Params,
    /// (tasks, median peak resident memory in KiB), ascending by tasks.
    pub points: Vec<(f64, f64)>,
    /// Bytes that each further task takes: the slope of the straight line through the points (Theil and Sen).
    pub bytes_per_task: f64,
    /// The steepest and the flattest slope between two neighbouring points: how straight the line is.
    pub range: [f64; 2],
}

/// What the harness itself takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Harness {
    /// Time around a sample that is not the sample, median over all usable ones.
    pub overhead_ns: Option<f64>,
    /// The same as a share of the sample's own time (batch × wall), median.
    pub overhead_share: Option<f64>,
    /// The smallest step of the clock.
    pub timer_resolution_ns: Option<f64>,
    /// A request to a trial process that does nothing.
    pub request_ns: Option<f64>,
    /// Cost of one empty task by strategy, in the order of `env.json`.
    pub empty_task_ns: Vec<(String, f64)>,
}

/// The self-calibration of the machine, as `env.json` holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// When it was measured (RFC 3339).
    pub measured: String,
    /// The version of the program that measured it.
    pub version: String,
    /// Whether it was a short one.
    pub quick: bool,
    /// Standard deviation of ln(time) between two quiet runs of one program.
    pub between_runs_sd: Option<f64>,
    /// Its rows, in the order of the file.
    pub rows: Vec<CalibrationRow>,
    /// How the calibrated machine differs from the run's, in words; empty where it is the same one.
    pub differs: Vec<String>,
}

impl Calibration {
    /// Whether it was measured on the machine of the run.
    #[must_use]
    pub fn matches(&self) -> bool {
        self.differs.is_empty()
    }

    /// The row with this id (`aa`, `slower`, `crossing`, `hog`, `open-loop`, `resume`, `again`).
    #[must_use]
    pub fn row(&self, id: &str) -> Option<&CalibrationRow> {
        self.rows.iter().find(|row| row.id == id)
    }
}

/// One row of a calibration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalibrationRow {
    /// Its id.
    pub id: String,
    /// What it tests.
    pub name: String,
    /// What came out, in words.
    pub detail: String,
    /// Whether it passed.
    pub passed: bool,
    /// How many trials went as they should, where it counts trials.
    pub count: Option<u64>,
    /// Of how many.
    pub of: Option<u64>,
    /// False wins, where it counts them.
    pub wins: Option<u64>,
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
    /// Strategies that fell behind an open load, by index; see [`OpenLoad::behind`].
    pub behind: Vec<usize>,
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
    /// Strategies that cannot do the work of a cell by their nature, as (cell, strategy, reason): nothing stands against the
    /// run by that.
    pub unfit: Vec<(String, String, String)>,
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
