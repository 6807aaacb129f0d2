//! What is measured, of whom, and the goals.

use serde::{Deserialize, Serialize};

/// Bytes of the large payload.
pub const LARGE: usize = 16 << 20;
/// Workers of every pool, unless a row says otherwise.
pub const WORKERS: usize = 2;
/// Jobs at a time in the rows of a rate.
pub const IN_FLIGHT: usize = 64;

/// A contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// Ours, awaited by a task of our current-thread runtime.
    Ours,
    /// Ours, awaited by a task of our multi-thread runtime.
    Multi,
    /// Ours, awaited by the `block_on` of `futures`.
    Foreign,
    /// Python's `ProcessPoolExecutor`, which forks.
    Ppe,
    /// The same with the start method `spawn`.
    PpeSpawn,
    Loky,
    Procspawn,
    /// Two processes, a socket pair and a shared mapping: nothing is checked and nothing survives.
    Floor,
}

impl Who {
    pub const ALL: [Who; 8] =
        [Who::Ours, Who::Multi, Who::Foreign, Who::Ppe, Who::PpeSpawn, Who::Loky, Who::Procspawn, Who::Floor];

    pub fn name(self) -> &'static str {
        match self {
            Who::Ours => "ours",
            Who::Multi => "multi",
            Who::Foreign => "foreign",
            Who::Ppe => "ppe",
            Who::PpeSpawn => "spawn",
            Who::Loky => "loky",
            Who::Procspawn => "procspawn",
            Who::Floor => "floor",
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Who::Ours | Who::Multi | Who::Foreign)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cpus {
    All,
    One,
}

/// What a contestant is asked to do in its turn. It gives a sample per operation, or one figure for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Jobs that do nothing, one after the other: the time of each.
    Noop,
    /// Jobs that do nothing, 64 at a time: jobs per second.
    NoopRate,
    /// Jobs that return the 4 KiB they got, 64 at a time: jobs per second.
    EchoRate,
    /// A job that returns the bytes it got, one after the other: the time of each.
    Echo(usize),
    /// The same, in a form that only ours has a choice of.
    EchoAs(Form, usize),
    /// A job that sums [`LARGE`] bytes, which are where the contestant likes them best: the time of each.
    Sum,
    /// A mapping of numbers, chunked as the contestant does by itself: items per second.
    Map,
    /// A pool is made and runs one job: the time from nothing to the result.
    Cold,
    /// The same in a process that has 1 GiB in use.
    ColdLarge,
    /// Bytes that a warm worker has for itself.
    Dirty,
    /// A worker is killed while its job sleeps, or computes: the time until the caller has the error.
    Death { busy: bool },
    /// The same until the only slot of the pool has answered the next job.
    Revival,
    /// A job that never ends, with a deadline: how much too late the caller has the error.
    Deadline,
    /// The parent is killed: workers that live 100 ms later.
    Orphans { busy: bool },
}

/// What our echo takes and returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A `Blob` that the job returns as it is: only the caller writes bytes.
    Blob,
    /// A `Blob` whose bytes the job copies to a new one, as a job that computes them would write them.
    NewBlob,
    /// A `Vec<u8>`, and the same returned.
    Vec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    Nanoseconds,
    PerSecond,
    Bytes,
    Processes,
}

impl Unit {
    pub fn more_is_better(self) -> bool {
        self == Unit::PerSecond
    }
}

/// How the samples of a round become its figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Median,
    P99,
    Most,
}

/// A figure of a case: its name, and the goal.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub figure: Figure,
    pub goal: Option<f64>,
}

/// What is measured together.
#[derive(Clone, Debug)]
pub struct Case {
    pub work: Work,
    pub cpus: Cpus,
    pub unit: Unit,
    pub rows: Vec<Row>,
    pub who: Vec<Who>,
    pub most_rounds: usize,
}

impl Case {
    fn new(work: Work, unit: Unit, name: &'static str, goal: f64, who: &[Who]) -> Case {
        let rows = vec![Row { name, figure: Figure::Median, goal: Some(goal) }];
        Case { work, cpus: Cpus::All, unit, rows, who: who.to_vec(), most_rounds: usize::MAX }
    }

    fn also(mut self, name: &'static str, figure: Figure, goal: f64) -> Case {
        self.rows.push(Row { name, figure, goal: Some(goal) });
        self
    }

    fn figure(mut self, figure: Figure) -> Case {
        self.rows[0].figure = figure;
        self
    }

    fn at_most(mut self, rounds: usize) -> Case {
        self.most_rounds = rounds;
        self
    }

    /// The same on one CPU, with the goal that the first row has there.
    fn on_one_cpu(&self, goal: Option<f64>) -> Case {
        let mut case = Case { cpus: Cpus::One, ..self.clone() };
        case.rows.iter_mut().for_each(|row| row.goal = None);
        case.rows[0].goal = goal;
        case
    }

    pub fn names(&self) -> Vec<String> {
        self.rows.iter().map(|row| name(row.name, self.cpus)).collect()
    }
}

pub fn name(row: &str, cpus: Cpus) -> String {
    match cpus {
        Cpus::All => row.to_owned(),
        Cpus::One => format!("{row}/1cpu"),
    }
}

/// Every case, in the order of the table.
pub fn cases() -> Vec<Case> {
    use Who::{Floor, Foreign, Loky, Multi, Ours, Ppe, PpeSpawn, Procspawn};
    const ALL: &[Who] = &[Ours, Multi, Foreign, Ppe, Loky, Procspawn, Floor];
    const POOLS: &[Who] = &[Ours, Multi, Foreign, Ppe, Loky, Procspawn];
    const STARTS: &[Who] = &[Ours, Ppe, PpeSpawn, Loky, Procspawn];
    const FORMS: &[Who] = &[Ours, Multi, Foreign, Floor];
    const SURVIVORS: &[Who] = &[Ours, Procspawn];
    const MICRO: f64 = 1e3;
    const MILLI: f64 = 1e6;
    let time = |work, name, goal, who| Case::new(work, Unit::Nanoseconds, name, goal, who);
    let rate = |work, name, goal, who| Case::new(work, Unit::PerSecond, name, goal, who);
    let noop = time(Work::Noop, "noop_p50", 65.0 * MICRO, ALL).also("noop_p99", Figure::P99, 100.0 * MICRO);
    let noop_rate = rate(Work::NoopRate, "noop_64_in_flight", 800e3, ALL);
    let echo_rate = rate(Work::EchoRate, "echo_4KiB_64_in_flight", 400e3, ALL);
    let echo_256k = time(Work::Echo(256 << 10), "echo_256KiB_p50", 80.0 * MICRO, ALL);
    let echo_large = time(Work::Echo(LARGE), "echo_16MiB_p50", 3.2 * MILLI, ALL);
    let new_256k =
        time(Work::EchoAs(Form::NewBlob, 256 << 10), "echo_256KiB_new_blob_p50", 80.0 * MICRO, FORMS);
    let new_large = time(Work::EchoAs(Form::NewBlob, LARGE), "echo_16MiB_new_blob_p50", 3.2 * MILLI, FORMS);
    let vec_256k = time(Work::EchoAs(Form::Vec, 256 << 10), "echo_256KiB_vec_p50", 80.0 * MICRO, FORMS);
    let vec_large = time(Work::EchoAs(Form::Vec, LARGE), "echo_16MiB_vec_p50", 3.2 * MILLI, FORMS);
    let sum = time(Work::Sum, "sum_16MiB_p50", 1.7 * MILLI, ALL);
    let map = rate(Work::Map, "map", 20e6, &[Ours, Multi, Foreign, Ppe, Loky]);
    let again: Vec<Case> = [&noop_rate, &echo_rate, &echo_256k, &echo_large, &sum, &map]
        .map(|case| case.on_one_cpu(None))
        .into();
    let one_cpu = std::iter::once(noop.on_one_cpu(Some(7.0 * MICRO))).chain(again);
    let all_cpus = [
        noop.clone(),
        noop_rate.clone(),
        echo_rate.clone(),
        echo_256k.clone(),
        new_256k,
        vec_256k,
        echo_large.clone(),
        new_large,
        vec_large,
        sum.clone(),
        map.clone(),
        time(Work::Cold, "first_job_cold_pool", 1.5 * MILLI, STARTS),
        time(Work::ColdLarge, "first_job_cold_pool_1GiB", 1.5 * MILLI, STARTS).at_most(5),
        Case::new(Work::Dirty, Unit::Bytes, "private_dirty", 0.3 * 1_048_576.0, STARTS).at_most(3),
        time(Work::Death { busy: false }, "death_to_error", 150.0 * MICRO, POOLS).at_most(20),
        time(Work::Death { busy: true }, "death_to_error_busy", 150.0 * MICRO, POOLS).at_most(20),
        time(Work::Revival, "death_to_serving", 1.5 * MILLI, SURVIVORS).at_most(20),
        time(Work::Deadline, "deadline_overshoot_p50", 2.0 * MILLI, &[Ours, Multi, Foreign])
            .also("deadline_overshoot_p99", Figure::P99, 2.0 * MILLI)
            .at_most(20),
        Case::new(
            Work::Orphans { busy: true },
            Unit::Processes,
            "orphans_busy",
            0.0,
            &[Ours, Ppe, Loky, Procspawn],
        )
        .figure(Figure::Most)
        .at_most(3),
        Case::new(
            Work::Orphans { busy: false },
            Unit::Processes,
            "orphans_idle",
            0.0,
            &[Ours, Ppe, Loky, Procspawn],
        )
        .figure(Figure::Most)
        .at_most(3),
    ];
    all_cpus.into_iter().chain(one_cpu).collect()
}
