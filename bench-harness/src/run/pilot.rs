//! The pilot: one pass over everything before anything counts.
//!
//! One set of trial processes warms up every (cell, strategy) pair once. That yields what the plan needs: the
//! sequential oracle's checksum of every cell, the batch that makes its samples long enough, and how long all of it
//! takes. Whoever fails here is recorded as failed and not asked again, and so is, in its own way, whoever does not fit.
//! The pilot's figures decide no verdict.
//!
//! `pilot.json` is written before `plan.jsonl`: where there is a plan, there is its pilot.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::harness::Harness;
use super::session::{Asked, Helpers, Question, Session, Stop, ns};
use crate::config::{Cell, Measure};
use crate::plan::Planned;
use crate::progress::rough;
use crate::strategy::SEQUENTIAL;
use crate::{plan, probe};

/// The file's name in a run folder.
pub(super) const FILE_NAME: &str = "pilot.json";

/// The version of the file that this program writes and reads.
const SCHEMA: u32 = 1;

/// What a request costs beside the work: pipes, `/proc`, wake-ups.
const REQUEST_COST: Duration = Duration::from_micros(500);

/// What closing a block costs, at least: its load window, and the disk.
pub(super) const BLOCK_COST_MIN: Duration = Duration::from_millis(260);

/// What the pilot found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pilot {
    /// Version of the schema.
    pub(super) schema: u32,
    /// Steps of the mixed kernel per microsecond: the work itself depends on it, so it is fixed for the run.
    pub(super) spin_per_us: Option<f64>,
    /// By cell name.
    pub(super) cells: BTreeMap<String, PilotCell>,
    /// Strategies that were out at the end of the pilot, and why.
    pub(super) gone: BTreeMap<String, String>,
    /// What measuring itself costs.
    #[serde(default)]
    pub(super) harness: Harness,
}

/// What the pilot found in one cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PilotCell {
    /// The sequential oracle's checksum.
    pub(super) checksum: String,
    /// How many times the whole work runs in a sample, the same for all.
    pub(super) batch: u32,
    /// Wall time of one run, by strategy.
    pub(super) wall_ns: BTreeMap<String, u64>,
    /// What warming up took, by strategy.
    pub(super) warmup_ns: BTreeMap<String, u64>,
    /// Who failed, and why.
    pub(super) failed: BTreeMap<String, String>,
    /// Who cannot do such work, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unfit: BTreeMap<String, String>,
}

impl Pilot {
    /// Runs the pilot.
    pub(super) fn run(session: &mut Session<'_>) -> Result<Self, Stop> {
        session.progress.stage("pilot");
        let names = names(session);
        if crossover_workloads::Workload::needs_spin(&session.exp.workload.kind) {
            // Few digits, so that every language reads the same number from JSON.
            session.spin_per_us = Some((crossover_workloads::calibrate_spin() * 100.0).round() / 100.0);
        }
        let cells: Vec<Cell> = session.exp.cells();
        let total: Duration = cells.iter().map(|cell| guess(session, cell)).sum();
        session.progress.set_total(total);
        let mut helpers = session.start(&names);
        let found = visit_all(session, &mut helpers, &names, &cells)?;
        let harness = Harness::measure(session, &mut helpers)?;
        Session::close(helpers);
        let gone = session.gone.clone();
        Ok(Self { schema: SCHEMA, spin_per_us: session.spin_per_us, cells: found, gone, harness })
    }

    /// Visits cells that were not in the experiment when the pilot ran, in trial processes of their own.
    pub(super) fn visit(&mut self, session: &mut Session<'_>, cells: &[Cell]) -> Result<(), Stop> {
        let names = names(session);
        let mut helpers = session.start(&names);
        self.cells.extend(visit_all(session, &mut helpers, &names, cells)?);
        Session::close(helpers);
        Ok(())
    }

    /// Reads what an earlier pilot wrote.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let pilot: Self = serde_json::from_str(text)?;
        if pilot.schema != SCHEMA {
            bail!("its schema is {}, this program reads {SCHEMA}", pilot.schema);
        }
        Ok(pilot)
    }

    /// What the pilot found in the cell `name`.
    pub(super) fn cell(&self, name: &str) -> Result<&PilotCell> {
        self.cells.get(name).with_context(|| format!("{FILE_NAME} knows no cell {name}"))
    }

    /// Batches by cell, for the plan.
    pub(super) fn batches(&self) -> BTreeMap<String, u32> {
        self.cells.iter().map(|(name, cell)| (name.clone(), cell.batch)).collect()
    }

    /// What one block of all pairs of `strategies` takes.
    pub(super) fn block_cost(&self, strategies: &[String]) -> Duration {
        let pairs = self.cells.values().flat_map(|cell| strategies.iter().map(|name| cell.sample_cost(name)));
        pairs.sum::<Duration>().max(BLOCK_COST_MIN)
    }

    /// What measuring `plan` takes, which may be of several blocks in their order: each lasts its least time at least, so the
    /// samples of small cells are not all of it.
    pub(super) fn samples_cost<'p>(&self, plan: impl IntoIterator<Item = &'p Planned>) -> Duration {
        let mut blocks: BTreeMap<(u32, u32), Duration> = BTreeMap::new();
        for planned in plan {
            let cost = self.cells.get(&planned.cell).map(|cell| cell.sample_cost(&planned.strategy));
            *blocks.entry((planned.process, planned.round)).or_default() += cost.unwrap_or_default();
        }
        blocks.into_values().map(|samples| samples.max(BLOCK_COST_MIN)).sum()
    }

    /// What a process round takes beside its blocks: starting and warming up.
    pub(super) fn process_cost(&self, strategies: &[String]) -> Duration {
        self.cells.values().flat_map(|cell| strategies.iter().map(|name| cell.warmup_cost(name))).sum()
    }
}

/// Who is asked in a pilot. The oracle first: it says how long a cell takes, and without it nothing can be verified.
fn names(session: &Session<'_>) -> Vec<String> {
    let mut names = session.exp.strategies.include.clone();
    if !names.iter().any(|name| name == SEQUENTIAL) {
        names.push(SEQUENTIAL.to_owned());
    }
    names.sort_by_key(|name| name != SEQUENTIAL);
    names
}

/// What visiting `cell` may take, before anything was measured.
fn guess(session: &Session<'_>, cell: &Cell) -> Duration {
    session.first_estimate(cell) * 2
}

/// Asks everybody once in each of `cells`.
fn visit_all(
    session: &mut Session<'_>,
    helpers: &mut Helpers,
    names: &[String],
    cells: &[Cell],
) -> Result<BTreeMap<String, PilotCell>, Stop> {
    let mut found = BTreeMap::new();
    let sample_min = plan::sample_min(session.exp);
    for cell in cells {
        let mut pilot = PilotCell::default();
        for name in names {
            pilot.visit(session, helpers, name, cell)?;
        }
        pilot.batch = match session.rate {
            // Arrivals are what takes the time; a batch would only repeat them.
            Some(_) => 1,
            None => batch(&pilot, sample_min, |name| session.is_built_in(name)),
        };
        session.progress.advance(guess(session, cell));
        found.insert(cell.name.clone(), pilot);
    }
    Ok(found)
}

impl PilotCell {
    /// Asks one strategy once.
    fn visit(
        &mut self,
        session: &mut Session<'_>,
        helpers: &mut Helpers,
        name: &str,
        cell: &Cell,
    ) -> Result<(), Stop> {
        let estimate = self.wall_ns.get(SEQUENTIAL).map(|&ns| Duration::from_nanos(ns));
        let estimate = estimate.unwrap_or_else(|| session.first_estimate(cell));
        let start = Instant::now();
        match session.ask(helpers, name, Question::warm_up(&cell.name, 1), estimate)? {
            Asked::Done { measured, .. } => {
                self.wall_ns.insert(name.to_owned(), measured.wall_ns);
                self.warmup_ns.insert(name.to_owned(), ns(start.elapsed()));
                if name == SEQUENTIAL {
                    self.checksum = measured.checksum;
                }
            }
            Asked::Failed(reason) | Asked::Unfit(reason) if name == SEQUENTIAL => {
                let error = anyhow::anyhow!("cell {}: {reason}", cell.name);
                return Err(Stop::Failed(
                    error.context("the sequential oracle failed, so nothing can be verified"),
                ));
            }
            Asked::Failed(reason) => drop(self.failed.insert(name.to_owned(), reason)),
            Asked::Unfit(reason) => drop(self.unfit.insert(name.to_owned(), reason)),
        }
        Ok(())
    }

    /// What one sample of `strategy` takes.
    pub(super) fn sample_cost(&self, strategy: &str) -> Duration {
        let Some(&wall_ns) = self.wall_ns.get(strategy) else { return Duration::ZERO };
        Duration::from_nanos(wall_ns.saturating_mul(u64::from(self.batch))) + REQUEST_COST
    }

    /// What warming `strategy` up takes in a fresh process: as in the pilot, with whole batches.
    pub(super) fn warmup_cost(&self, strategy: &str) -> Duration {
        let Some(&warmup_ns) = self.warmup_ns.get(strategy) else { return Duration::ZERO };
        let batches = self.sample_cost(strategy).min(Duration::from_millis(15)) * 3;
        Duration::from_nanos(warmup_ns).max(batches)
    }
}

/// The batch of a cell, so that a sample of the fastest strategy of ours takes `sample_min` where that can be afforded, and at
/// least 1000 × the clock's resolution. What external programs tell of their times must not stretch everyone's samples.
fn batch(cell: &PilotCell, sample_min: Duration, is_built_in: impl Fn(&str) -> bool) -> u32 {
    let floor = plan::SAMPLE_FLOOR.max(probe::timer_resolution() * 1000);
    let fastest = cell.wall_ns.iter().filter(|(name, _)| is_built_in(name)).map(|(_, &ns)| ns).min();
    let Some(fastest) = fastest.map(Duration::from_nanos) else { return 1 };
    let together = cell.wall_ns.values().fold(0, |sum: u64, ns| sum.saturating_add(*ns));
    plan::batch_of(sample_min.max(floor), fastest, Duration::from_nanos(together), cell.wall_ns.len(), floor)
}

/// How much of the `left` time the base plan may take: half, because the rest is for what it leaves undecided; but as
/// much as three process rounds of three rounds need.
pub(super) fn base_share(measure: &Measure, process: Duration, block: Duration, left: Duration) -> Duration {
    let cost = |processes: u32, rounds: u32| (process + block * rounds) * processes;
    let least = cost(measure.processes.min(3), measure.rounds.min(3));
    (left / 2).max(least.min(left))
}

/// How many process rounds and rounds fit into `left`, and the sentence to say when they are fewer than asked for.
///
/// Rounds are given up first, down to three; then process rounds, down to three; then both to two. Two by two
/// is measured however long it takes.
pub(super) fn fit(
    measure: &Measure,
    process: Duration,
    block: Duration,
    left: Duration,
) -> (u32, u32, Option<String>) {
    let cost = |processes: u32, rounds: u32| (process + block * rounds) * processes;
    let (most_processes, most_rounds) = (measure.processes, measure.rounds);
    let (mut processes, mut rounds) = (most_processes, most_rounds);
    for floor in [3, 2] {
        while cost(processes, rounds) > left && rounds > floor {
            rounds -= 1;
        }
        while cost(processes, rounds) > left && processes > floor {
            processes -= 1;
        }
    }
    let needs = cost(processes, rounds);
    let kept = format!("{processes} process rounds of {rounds} rounds");
    let said = if needs > left {
        Some(format!(
            "the budget is too short: {kept} take about {}, {} are left of it",
            rough(needs),
            rough(left)
        ))
    } else if (processes, rounds) != (most_processes, most_rounds) {
        Some(format!(
            "measuring {kept} first instead of {most_processes} of {most_rounds}, which would take about {}; the rest \
             of the budget goes where verdicts are still undecided",
            rough(cost(most_processes, most_rounds))
        ))
    } else {
        None
    };
    (processes, rounds, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(processes: u32, rounds: u32) -> Measure {
        let startup = crate::config::Startup::Excluded;
        Measure { processes, rounds, budget: None, max_foreign_cores: 0.15, rate: None, startup }
    }

    #[test]
    fn a_budget_costs_rounds_before_process_rounds() {
        let second = Duration::from_secs(1);
        let fit = |left: u64| {
            let (processes, rounds, said) =
                fit(&measure(5, 8), second, second, second * u32::try_from(left).unwrap());
            (processes, rounds, said.is_some())
        };
        assert_eq!(fit(45), (5, 8, false));
        assert_eq!(fit(44), (5, 7, true));
        assert_eq!(fit(20), (5, 3, true));
        assert_eq!(fit(19), (4, 3, true));
        assert_eq!(fit(12), (3, 3, true));
        assert_eq!(fit(11), (3, 2, true));
        assert_eq!(fit(6), (2, 2, true));
        assert_eq!(fit(0), (2, 2, true));
    }

    #[test]
    fn the_base_plan_takes_half_of_the_budget_and_at_least_three_by_three() {
        let second = Duration::from_secs(1);
        let share = |left: u32| base_share(&measure(5, 8), second, second, second * left);
        for (left, expected) in
            [(100, 50), (46, 23), (44, 22), (24, 12), (20, 12), (12, 12), (11, 11), (0, 0)]
        {
            assert_eq!(share(left), second * expected, "{left}");
        }
    }

    #[test]
    fn fewer_rounds_than_two_are_measured_when_asked_for() {
        let second = Duration::from_secs(1);
        let (processes, rounds, said) = fit(&measure(1, 1), second, second, second);
        assert_eq!((processes, rounds), (1, 1));
        assert!(said.unwrap().contains("too short"));
    }

    #[test]
    fn the_blocks_of_small_cells_take_their_least_time_each() {
        let pilot = |wall_ns: u64| {
            let wall_ns = BTreeMap::from([("threads".to_owned(), wall_ns)]);
            let cell = PilotCell { batch: 1, wall_ns, ..PilotCell::default() };
            Pilot {
                schema: SCHEMA,
                spin_per_us: None,
                cells: BTreeMap::from([("n=1".to_owned(), cell)]),
                gone: BTreeMap::new(),
                harness: Harness::default(),
            }
        };
        let line = |process: u32, round: u32| {
            let line = format!(
                r#"{{"order":0,"process":{process},"round":{round},"cell":"n=1","params":{{}},"strategy":"threads","batch":1,
                "seed":1,"tasks":1}}"#
            );
            serde_json::from_str::<Planned>(&line).unwrap()
        };
        let plan = [line(0, 0), line(0, 0), line(0, 1), line(1, 0), line(1, 1)];
        assert_eq!(pilot(1000).samples_cost(&plan), BLOCK_COST_MIN * 4);
        let second = Duration::from_secs(1);
        assert_eq!(pilot(1_000_000_000).samples_cost(&plan), (second + REQUEST_COST) * 5);
        assert_eq!(pilot(1000).samples_cost(&[]), Duration::ZERO);
        let names = ["threads".to_owned()];
        assert_eq!(pilot(1000).samples_cost(&plan[..1]), pilot(1000).block_cost(&names), "as it was told");
    }

    #[test]
    fn the_batch_follows_the_fastest_of_ours() {
        let wall_ns = [("sequential", 10_000), ("threads", 25_000), ("alien", 1)];
        let cell = PilotCell {
            wall_ns: wall_ns.into_iter().map(|(name, ns)| (name.to_owned(), ns)).collect(),
            ..PilotCell::default()
        };
        let batch_of_ours = batch(&cell, Duration::from_millis(1), |name| name != "alien");
        assert_eq!(batch_of_ours, 100, "1 ms of the fastest of ours");
        assert_eq!(batch(&PilotCell::default(), Duration::from_millis(1), |_| true), 1);
    }
}
