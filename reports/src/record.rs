//! The schema of a run's folder, version 1: samples, verdicts and crossovers as they stand in the files.
//!
//! Units stand last in every name (`wall_ns`, `rss_peak_kib`). Optional fields are additions within version 1:
//! a reader must not need them.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the schema that this crate writes, and the newest one that it reads.
pub const SCHEMA: u32 = 1;

/// The value of one parameter of a cell: a number of the sweep, or a name (`kernel = "sha256"`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A name.
    Text(String),
}

impl ParamValue {
    /// The value as a number, or `None` for a name.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(s) => f.write_str(s),
        }
    }
}

/// The swept parameters of a cell, by name.
pub type Params = BTreeMap<String, ParamValue>;

/// The name of a cell: its parameters as `name=value`, sorted by name and joined by commas.
#[must_use]
pub fn cell_name(params: &Params) -> String {
    params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// One line of `samples.jsonl`: one strategy measured once in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Version of the schema.
    pub schema: u32,
    /// The run's id, one per folder.
    pub run: String,
    /// The cell's name, see [`cell_name`].
    pub cell: String,
    /// The cell's swept parameters.
    pub params: Params,
    /// The strategy's name.
    pub strategy: String,
    /// Index of the process round, from 0.
    pub process: u32,
    /// Index of the round within the process round, from 0. `(process, round)` is a block.
    pub round: u32,
    /// Position in the run, unique.
    pub order: u64,
    /// Seed of the workload's input.
    pub seed: u64,
    /// How many times the whole work ran within this sample.
    pub batch: u32,
    /// Tasks in one run of the whole work.
    pub tasks: u64,
    /// Wall time of one run of the whole work, already divided by `batch`.
    pub wall_ns: u64,
    /// CPU time in user mode of one run, already divided by `batch`.
    #[serde(default)]
    pub user_ns: u64,
    /// CPU time in the kernel of one run, already divided by `batch`.
    #[serde(default)]
    pub sys_ns: u64,
    /// Peak resident memory during the sample.
    #[serde(default)]
    pub rss_peak_kib: u64,
    /// Voluntary context switches during the sample.
    #[serde(default)]
    pub vcsw: u64,
    /// Involuntary context switches during the sample.
    #[serde(default)]
    pub ivcsw: u64,
    /// Ticks that the hypervisor took from this machine during the block.
    #[serde(default)]
    pub steal_ticks: u64,
    /// Cores that were busy with work that is not ours during the block.
    #[serde(default)]
    pub foreign_cores: f64,
    /// Pressure stall: share of the block in which some task waited for a CPU, in percent.
    #[serde(default)]
    pub psi_cpu: Option<f64>,
    /// CPU time of the test server per run of the whole work, where the workload has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_cpu_ns: Option<u64>,
    /// Checksum of the results, equal to the sequential oracle's; empty where the strategy failed.
    #[serde(default)]
    pub checksum: String,
    /// Whether the strategy did the work and its checksum is right.
    pub ok: bool,
    /// What went wrong where `ok` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where `ok` is false: that the strategy cannot do such work by its nature. No failure, and `error` says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfit: bool,
    /// Why this attempt does not count (foreign load, steal), else `None`.
    #[serde(default)]
    pub quarantined: Option<String>,
    /// Latency histogram of the tasks, in nanoseconds (HdrHistogram V2 with compression, base64), where one is recorded: from
    /// the intended start under an open load, from the task's own start under a closed one.
    #[serde(default)]
    pub latency: Option<String>,
    /// Under an open load: arrivals per second that were intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Under an open load: tasks completed per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub achieved_rate: Option<f64>,
    /// Under an open load: how late the generator handed tasks over, 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_lag_ns: Option<u64>,
    /// Under an open load: CPU time of the load generator during the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_cpu_ns: Option<u64>,
    /// What the harness took around the sample: the request's time less `batch` × `wall_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead_ns: Option<u64>,
}

/// One line of `warmups.jsonl`: how a strategy started, and how it became steady, in one cell of one process round.
///
/// All times are of one run of the whole work unless their name says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    /// Version of the schema.
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// Index of the process round.
    pub process: u32,
    /// The cell's name.
    pub cell: String,
    /// The strategy's name.
    pub strategy: String,
    /// Time to start the strategy (its threads, runtime and worker processes), where this request did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    /// The first run, cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<u64>,
    /// The shortest of the last runs.
    pub wall_ns: u64,
    /// How many batches the warm-up took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<u32>,
    /// Whether the times became steady; `None` where too few fitted the limit to tell.
    #[serde(default)]
    pub steady: Option<bool>,
    /// Memory that a worker process shares with nobody, on average, once it has done some work; `None` where the strategy has
    /// no worker processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_private_kib: Option<u64>,
}

/// One line of `looks.jsonl`, of either kind: a look at what was measured so far, which made the plan grow, or the last line, which
/// says why there was no further one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Version of the schema.
    pub schema: u32,
    /// How many process rounds it added.
    #[serde(default)]
    pub processes: u32,
    /// Cells that it had measured again.
    #[serde(default)]
    pub undecided: Vec<String>,
    /// Cells that are new, where two strategies cross.
    #[serde(default)]
    pub refined: Vec<String>,
    /// Only in the last line: why there was no further look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// One line of `timelines.jsonl`: one traced run of a cell, beside the measured ones. Times are nanoseconds from the start of
/// the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Version of the schema.
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// The cell's name.
    pub cell: String,
    /// The strategy's name.
    pub strategy: String,
    /// Wall time of the traced run.
    pub wall_ns: u64,
    /// Names of the workers, which `segments` number.
    pub workers: Vec<String>,
    /// `[task, handed over, started, ended]`.
    pub tasks: Vec<[u64; 4]>,
    /// `[task, worker, from, to]`: the task was on the worker (computing, or blocking it).
    pub segments: Vec<[u64; 4]>,
    /// Whether tasks or segments were left out, because there are too many.
    #[serde(default)]
    pub truncated: bool,
    /// Where the run's time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<Breakdown>,
}

/// Where the time of a traced run went, over all of its tasks, also where its [`Timeline`] leaves some out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakdown {
    /// Tasks that ran.
    pub tasks: u64,
    /// Handing over: until the last task was handed over, less the time in which the thread that does it ran tasks itself.
    pub spawn_ns: u64,
    /// From handed over to started, summed over the tasks.
    pub queue_ns: u64,
    /// On a worker, computing or blocking it, summed over the tasks.
    pub work_ns: u64,
    /// Started, not ended, and on no worker, summed over the tasks.
    pub wait_ns: u64,
    /// From the end of the last task to the end of the run.
    pub join_ns: u64,
    /// Wall time in which at least one task was on a worker.
    pub working_ns: u64,
    /// Wall time in which none was, and at least one had started and not ended.
    pub waiting_ns: u64,
    /// Wall time in which none was in progress, and at least one was handed over.
    pub queued_ns: u64,
}

/// The four outcomes of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// Proven faster than every other strategy by more than the margin.
    Wins,
    /// Proven equal within the margin.
    Tie,
    /// Faster, but not proven to be by more than the margin.
    Leans,
    /// Nothing is proven: more rounds are needed.
    Undecided,
}

/// How one strategy compares with the winner of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versus {
    /// This strategy's time divided by the winner's.
    pub ratio: f64,
    /// Interval of `ratio` at the configured confidence.
    pub ci: [f64; 2],
}

/// One entry of `verdicts.json`: who wins a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The cell's name.
    pub cell: String,
    /// The cell's swept parameters.
    pub params: Params,
    /// What was compared: `wall`.
    pub metric: String,
    /// The outcome.
    pub verdict: VerdictKind,
    /// The winner, or the faster one where nothing is proven; `None` where there is none.
    pub winner: Option<String>,
    /// The strategies not proven slower than the best (Holm-adjusted across cells).
    pub best: Vec<String>,
    /// Every other strategy against the winner.
    pub versus: BTreeMap<String, Versus>,
}

/// One entry of `crossovers.json`: where two strategies swap places along a swept parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// What was compared: `wall`.
    pub metric: String,
    /// The swept parameter.
    pub param: String,
    /// The other parameters, held fixed.
    pub fixed: Params,
    /// The strategy that is faster below `at`.
    pub from: String,
    /// The strategy that is faster above `at`.
    pub to: String,
    /// Where they cross, in the parameter's unit; `None` where they do not within the range.
    pub at: Option<f64>,
    /// Interval of `at` at the configured confidence.
    pub ci: Option<[f64; 2]>,
    /// Share of the bootstrap replicates without a crossing.
    pub p_none: f64,
    /// Where the two are within the margin of each other.
    pub indifference: Option<[f64; 2]>,
    /// Where `at` is null and one is proven faster on all but an end of the range: that end, from the last value up to the
    /// nearest proven one. The order is open there; if the two cross, it is there or beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<[f64; 2]>,
}
