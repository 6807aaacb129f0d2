//! `timelines.jsonl`: what each task did when, in a few cells, once per strategy.
//!
//! These runs come after the last block, in fresh processes and untimed for every verdict, because writing down what
//! happens makes it slower. The cells are those next to crossings and those at the corners of the sweep. A strategy that
//! does not tell (a program of someone else's need not) is left out. The file is written as a whole at the end, so
//! that a run that is killed before has none and `resume` makes it.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use crossover_reports::load::Folder;
use crossover_reports::record::{Crossover, Timeline};
use crossover_reports::{Options, analysis};

use super::files::Begun;
use super::pilot::Pilot;
use super::session::{Asked, Helpers, Question, Session, Stop};
use crate::config::Cell;
use crate::protocol::{self, Measured};
use crate::trace;

/// The file's name in a run folder.
const FILE_NAME: &str = "timelines.jsonl";

/// Cells that are traced at most.
const CELLS_MAX: usize = 6;

/// How many of them may be next to crossings; the others are corners.
const NEXT_TO_CROSSINGS: usize = 4;

/// Cells of more tasks are traced only where there are no others: nobody can read such a picture.
const TASKS_MAX: u32 = 200;

/// What all of it may take by the pilot's figures.
const TIME_MAX: Duration = Duration::from_secs(3);

/// The part of a budget that is kept for it.
const PART_OF_BUDGET: u32 = 20;

/// How long a strategy may take to answer, beside its estimate: a program that does not know the request may wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time that is kept for timelines.
pub(super) fn reserve(budget: Option<Duration>) -> Duration {
    budget.map_or(TIME_MAX, |budget| (budget / PART_OF_BUDGET).min(TIME_MAX))
}

/// Whether a run has its timelines.
pub(super) fn exist(begun: &Begun) -> bool {
    begun.folder.file(FILE_NAME).exists()
}

/// Records timelines, unless the run has them.
pub(super) fn record(begun: &Begun, pilot: &Pilot, session: &mut Session<'_>) -> Result<(), Stop> {
    if exist(begun) {
        return Ok(());
    }
    session.interrupted()?;
    let crossovers = Folder::read(begun.folder.path())
        .map(|folder| analysis::analyse(&folder, &Options::default()).crossovers)
        .unwrap_or_default();
    let include = &begun.exp.strategies.include;
    let cells = affordable(chosen(session, &crossovers), pilot, include, reserve(begun.exp.measure.budget));
    let mut timelines = Vec::new();
    if !cells.is_empty() {
        session.progress.stage(&format!("timelines of {} cells", cells.len()));
        session.patience = session.patience.min(PATIENCE);
        let mut helpers = session.start(include);
        for cell in &cells {
            for strategy in include {
                timelines.extend(trace(begun, pilot, session, &mut helpers, cell, strategy)?);
            }
        }
        Session::close(helpers);
    }
    Ok(write(begun, &timelines)?)
}

/// One traced run, after a warm-up; `None` where it failed, came out wrong, or tells nothing.
fn trace(
    begun: &Begun,
    pilot: &Pilot,
    session: &mut Session<'_>,
    helpers: &mut Helpers,
    cell: &str,
    strategy: &str,
) -> Result<Option<Timeline>, Stop> {
    let found = pilot.cell(cell)?;
    if found.failed.contains_key(strategy) || found.unfit.contains_key(strategy) {
        return Ok(None);
    }
    let estimate = found.sample_cost(strategy);
    let warm = session.ask(helpers, strategy, Question::warm_up(cell, 1), estimate)?;
    if !matches!(warm, Asked::Done { .. }) {
        return Ok(None);
    }
    let question = Question { trace: true, ..Question::sample(cell, 1) };
    let Asked::Done { measured, .. } = session.ask(helpers, strategy, question, estimate)? else {
        return Ok(None);
    };
    let Measured { wall_ns, checksum, answer } = *measured;
    let trace = answer.trace.filter(|_| checksum == found.checksum);
    Ok(trace.map(|trace| trace::timeline(&begun.run, cell, strategy, wall_ns, trace)))
}

fn write(begun: &Begun, timelines: &[Timeline]) -> Result<()> {
    let mut lines = Vec::new();
    for timeline in timelines {
        lines.extend(protocol::line_of(timeline).context("cannot tell a timeline in JSON")?);
    }
    begun.folder.write(FILE_NAME, &lines)
}

/// The first of `cells` that together take no longer than `time`.
fn affordable(cells: Vec<&Cell>, pilot: &Pilot, strategies: &[String], mut time: Duration) -> Vec<String> {
    let mut kept = Vec::new();
    for cell in cells {
        let Some(found) = pilot.cells.get(&cell.name) else { continue };
        let one = |name: &String| found.warmup_cost(name) + found.sample_cost(name);
        if let Some(left) = time.checked_sub(strategies.iter().map(one).sum()) {
            time = left;
            kept.push(cell.name.clone());
        }
    }
    kept
}

/// Up to six cells, the most telling first: those next to most crossings, then corners.
fn chosen<'s>(session: &'s Session<'_>, crossovers: &[Crossover]) -> Vec<&'s Cell> {
    let few = session.cells.values().filter(|cell| cell.tasks <= TASKS_MAX);
    let mut cells: Vec<&Cell> = few.collect();
    if cells.is_empty() {
        cells = session.cells.values().collect();
    }
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for crossover in crossovers {
        for cell in neighbours(&cells, crossover) {
            *next.entry(&cell.name).or_default() += 1;
        }
    }
    let crossings = |cell: &&Cell| next.get(cell.name.as_str()).copied().unwrap_or(0);
    let mut by_crossings = cells.clone();
    by_crossings.sort_by_key(|cell| std::cmp::Reverse(crossings(cell)));
    by_crossings.retain(|cell| crossings(cell) > 0);
    by_crossings.truncate(NEXT_TO_CROSSINGS);
    for corner in corners(&cells) {
        if !by_crossings.iter().any(|cell| cell.name == corner.name) {
            by_crossings.push(corner);
        }
    }
    by_crossings.truncate(CELLS_MAX);
    by_crossings
}

/// The cells on both sides of a crossing, on its line.
fn neighbours<'c>(cells: &[&'c Cell], crossover: &Crossover) -> Vec<&'c Cell> {
    let Some(at) = crossover.at else { return Vec::new() };
    let on_line = cells.iter().filter(|cell| {
        crossover.fixed.iter().all(|(name, value)| cell.params.get(name) == Some(value))
            && cell.params.len() == crossover.fixed.len() + 1
    });
    let placed = on_line.filter_map(|cell| Some((cell.params.get(&crossover.param)?.as_f64()?, *cell)));
    let (below, above): (Vec<_>, Vec<_>) = placed.partition(|(x, _)| *x <= at);
    let low = below.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let high = above.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    low.into_iter().chain(high).map(|(_, cell)| cell).collect()
}

/// The cells whose every number is the smallest or the largest of its parameter; the two extremes of all first.
fn corners<'c>(cells: &[&'c Cell]) -> Vec<&'c Cell> {
    let mut ends: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (name, value) in cells.iter().flat_map(|cell| &cell.params) {
        let Some(x) = value.as_f64() else { continue };
        let (low, high) = ends.entry(name).or_insert((x, x));
        (*low, *high) = (low.min(x), high.max(x));
    }
    // How many numbers of a cell are the largest; `None` where one is neither.
    let highs = |cell: &Cell| {
        let mut count = 0;
        for (name, x) in cell.params.iter().filter_map(|(name, value)| Some((name, value.as_f64()?))) {
            let (low, high) = ends.get(name.as_str()).copied()?;
            if x != low && x != high {
                return None;
            }
            count += usize::from(x == high && low < high);
        }
        Some(count)
    };
    let mut corners: Vec<(usize, &Cell)> =
        cells.iter().filter_map(|cell| Some((highs(cell)?, *cell))).collect();
    let most = corners.iter().map(|(highs, _)| *highs).max().unwrap_or(0);
    corners.sort_by_key(|(highs, _)| match *highs {
        0 => 0,
        highs if highs == most => 1,
        _ => 2,
    });
    corners.into_iter().map(|(_, cell)| cell).collect()
}
