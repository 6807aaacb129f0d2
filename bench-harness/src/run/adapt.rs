//! After the base plan: looking at the samples, and measuring more where that may still decide something.
//!
//! **With a budget** the base plan is all that is configured, or what of it fits into about half of the budget. Then, as
//! long as there is time, each look asks [`crossover_reports::needs`] which cells are undecided and, with `refine_crossover`, where the
//! grid should be finer; what fits is added to the plan as one process round and measured. **Without a budget** the
//! configured rounds are all that a cell gets, and `refine_crossover` adds cells in at most [`LOOKS_WITHOUT_BUDGET`]
//! looks, each measured in as many process rounds as the grid was.
//!
//! **What a kill leaves.** A look writes `pilot.json` with the new cells, then `plan.jsonl` as a whole with the new lines
//! at its end, then its line in `looks.jsonl`; each is as before or as after. A killed run therefore has a plan that
//! `resume` measures to its end, and then looks again unless the last line of `looks.jsonl` says that it stopped. The
//! order within a process round follows from the seed; which cells it holds, from the samples; how many, from the time
//! that is left. After a resume that time is the budget less what the samples tell to have taken.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossover_reports::load;
use crossover_reports::record::{ParamValue, Params, Sample, cell_name};
use crossover_reports::settings::Settings;
use crossover_reports::{Needs, Options, needs};

use super::block::Recorder;
use super::files::Begun;
use super::looks::{Look, Looks};
use super::measure::rounds;
use super::pilot::{BLOCK_COST_MIN, Pilot, PilotCell};
use super::session::{Session, Stop};
use crate::config::{Cell, Experiment, Value, limits};
use crate::journal;
use crate::plan::{Planned, extend_plan};
use crate::text;

/// How often crossings are refined at most where no budget ends it.
pub(crate) const LOOKS_WITHOUT_BUDGET: u32 = 3;

/// A cell is only added where there is time for this many process rounds of it: fewer would prove nothing.
const PROCESSES_OF_NEW_CELLS: u32 = 3;

/// The fewest rounds in a process round that a look adds.
const ROUNDS_MIN: u32 = 2;

/// What a look decided to measure.
#[derive(Debug, Default)]
struct Choice {
    /// Cells that the plan knows.
    again: Vec<Cell>,
    /// Cells that it does not.
    new: Vec<Cell>,
    processes: u32,
    rounds: u32,
}

/// Why there is nothing more to measure.
struct Reason(String);

/// Looks and measures until there is nothing more to measure, and writes down why.
pub(super) fn go_on(
    begun: &Begun,
    recorder: &mut Recorder<'_>,
    session: &mut Session<'_>,
    plan: &mut Vec<Planned>,
    looks: &mut Looks,
) -> Result<(), Stop> {
    let exp = &begun.exp;
    if looks.have_stopped() {
        return Ok(());
    }
    if exp.measure.budget.is_none() && !exp.analysis_opts.refine_crossover {
        return Ok(looks.stop("all that is configured was measured")?);
    }
    let reason = loop {
        session.interrupted()?;
        let needs = look(begun)?;
        let number = plan.iter().map(|planned| planned.look).max().unwrap_or(0) + 1;
        let choice = match choose(recorder, session, plan, &needs, number) {
            Ok(choice) => choice,
            Err(Reason(reason)) => break reason,
        };
        session.progress.say(&announced(number, &choice, &needs));
        if let Err(stop) = recorder.pilot.visit(session, &choice.new) {
            match stop {
                Stop::Failed(error) => break format!("the new cells could not be measured: {error:#}"),
                Stop::Interrupted => return Err(stop),
            }
        }
        let from = plan.len();
        extend(begun, recorder, plan, looks, number, &choice)?;
        let added: Vec<&Planned> = plan[from..].iter().collect();
        rounds(recorder, session, &added, &format!("look {number}, "))?;
    };
    session.progress.say(&format!("no further look: {reason}"));
    Ok(looks.stop(&reason)?)
}

/// What the samples so far leave open.
fn look(begun: &Begun) -> anyhow::Result<Needs> {
    let samples = load::Journal::read(&begun.folder.file(journal::FILE_NAME))?.samples;
    let path = begun.folder.file("config.toml");
    let settings = Settings::parse(&begun.exp.text, &path, &begun.exp.name)?;
    let mut needs = needs(&samples, &settings, &Options::default());
    if begun.exp.measure.budget.is_none() {
        needs.undecided.clear();
    }
    if !begun.exp.analysis_opts.refine_crossover {
        needs.refine.clear();
    }
    Ok(needs)
}

/// What look `number` measures of what is needed.
fn choose(
    recorder: &Recorder<'_>,
    session: &mut Session<'_>,
    plan: &[Planned],
    needs: &Needs,
    number: u32,
) -> Result<Choice, Reason> {
    if needs.is_empty() {
        return Err(Reason("nothing is left to decide".to_owned()));
    }
    let exp = session.exp;
    let new = needs.refine.iter().map(|params| cell_of(exp, params));
    let new: Vec<Cell> = new.filter(|cell| !session.cells.contains_key(&cell.name)).collect();
    let mut again: Vec<Cell> =
        needs.undecided.iter().filter_map(|name| session.cells.get(name)).cloned().collect();
    // What was added by a look before, and is thinly measured, comes first: it was begun to be brought to an end.
    again.sort_by_key(|cell| !is_thin(plan, &cell.name));
    let base = |of: fn(&Planned) -> u32| {
        let base = plan.iter().filter(|planned| planned.look == 0);
        base.map(|planned| of(planned) + 1).max().unwrap_or(1)
    };
    let rounds = base(|planned| planned.round);
    let choice = match recorder.deadline {
        None if number > LOOKS_WITHOUT_BUDGET => {
            return Err(Reason(format!(
                "crossings are refined in {LOOKS_WITHOUT_BUDGET} looks where no budget is given"
            )));
        }
        None => Choice { again: Vec::new(), new, processes: base(|planned| planned.process), rounds },
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            fitting(&recorder.pilot, session, &again, &new, rounds, left)
        }
    };
    let cells = choice.again.len() + choice.new.len();
    if cells == 0 {
        let open = needs.undecided.len() + needs.refine.len();
        return Err(Reason(match recorder.deadline {
            Some(_) => format!("the budget is spent, {} left open", text::count(open as u64, "cell")),
            None => "nothing is left to decide".to_owned(),
        }));
    }
    let samples = cells * exp.strategies.include.len() * (choice.processes * choice.rounds) as usize;
    let processes = plan.iter().map(|planned| planned.process + 1).max().unwrap_or(0) + choice.processes;
    if (plan.len() + samples) as u64 > limits::SAMPLES || processes > limits::PROCESSES {
        return Err(Reason("the plan is as large as one may be".to_owned()));
    }
    for cell in &choice.new {
        session.cells.insert(cell.name.clone(), cell.clone());
    }
    Ok(choice)
}

/// Whether a look added the cell, in fewer process rounds than are enough.
fn is_thin(plan: &[Planned], cell: &str) -> bool {
    let mut processes: Vec<u32> =
        plan.iter().filter(|planned| planned.cell == cell).map(|planned| planned.process).collect();
    processes.dedup();
    let is_new = !plan.iter().any(|planned| planned.look == 0 && planned.cell == cell);
    is_new && processes.len() < PROCESSES_OF_NEW_CELLS as usize
}

/// One process round of as many cells as fit into `left`, new and known ones by turns; of fewer rounds where not
/// even one cell fits otherwise.
fn fitting(
    pilot: &Pilot,
    session: &Session<'_>,
    again: &[Cell],
    new: &[Cell],
    rounds: u32,
    left: Duration,
) -> Choice {
    let mut tried = rounds.max(ROUNDS_MIN);
    loop {
        let mut choice = Choice { processes: 1, rounds: tried, ..Choice::default() };
        let (mut process, mut block, mut later) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let (mut again, mut new) = (again.iter(), new.iter());
        loop {
            let (known, fresh) = (again.next(), new.next());
            if known.is_none() && fresh.is_none() {
                break;
            }
            for (cell, is_new) in [(known, false), (fresh, true)] {
                let Some(cell) = cell else { continue };
                let expected = expected(pilot, &session.cells, cell);
                let (warmup, sample) = costs(expected, &session.exp.strategies.include);
                let repeats = if is_new { PROCESSES_OF_NEW_CELLS - 1 } else { 0 };
                // A new cell is visited by a pilot, which costs about a warm-up.
                let start = if is_new { warmup * 2 } else { warmup };
                let once = (process + start) + (block + sample).max(BLOCK_COST_MIN) * tried;
                let more = later + (warmup + sample * tried) * repeats;
                if once + more <= left {
                    (process, block, later) = (process + start, block + sample, more);
                    if is_new { &mut choice.new } else { &mut choice.again }.push(cell.clone());
                }
            }
        }
        if !(choice.again.is_empty() && choice.new.is_empty()) || tried == ROUNDS_MIN {
            return choice;
        }
        tried = (tried / 2).max(ROUNDS_MIN);
    }
}

/// What warming up and one sample cost, all strategies together.
fn costs(cell: Option<&PilotCell>, strategies: &[String]) -> (Duration, Duration) {
    let Some(cell) = cell else { return (Duration::ZERO, Duration::ZERO) };
    let warmup = strategies.iter().map(|name| cell.warmup_cost(name)).sum();
    (warmup, strategies.iter().map(|name| cell.sample_cost(name)).sum())
}

/// What the pilot found in a cell, or for one that it has not visited in the nearest that differs in one parameter: the
/// next above it where there is one, because costs rise with most parameters.
fn expected<'p>(pilot: &'p Pilot, cells: &BTreeMap<String, Cell>, cell: &Cell) -> Option<&'p PilotCell> {
    if let Some(own) = pilot.cells.get(&cell.name) {
        return Some(own);
    }
    let distance = |other: &Cell| {
        let mut differing =
            cell.params.iter().filter(|(name, value)| other.params.get(*name) != Some(*value));
        let (name, value) = differing.next()?;
        let (x, y) = (value.as_f64()?, other.params.get(name)?.as_f64()?);
        differing.next().is_none().then_some((y < x, (y - x).abs()))
    };
    let visited = cells.values().filter_map(|other| Some((distance(other)?, pilot.cells.get(&other.name)?)));
    visited.min_by(|(a, _), (b, _)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))).map(|(_, cell)| cell)
}

/// Grows the plan by what was chosen, and writes everything down in the order that a kill may interrupt.
fn extend(
    begun: &Begun,
    recorder: &Recorder<'_>,
    plan: &mut Vec<Planned>,
    looks: &mut Looks,
    number: u32,
    choice: &Choice,
) -> anyhow::Result<()> {
    let process = plan.iter().map(|planned| planned.process + 1).max().unwrap_or(0);
    let cells: Vec<Cell> = choice.again.iter().chain(&choice.new).cloned().collect();
    let batches = recorder.pilot.batches();
    for _ in 0..choice.processes {
        extend_plan(plan, &begun.exp, begun.seed, number, choice.rounds, &cells, &batches);
    }
    let names = |cells: &[Cell]| cells.iter().map(|cell| cell.name.clone()).collect();
    begun.extend_plan(&recorder.pilot, plan)?;
    looks.add(Look {
        look: number,
        process,
        processes: choice.processes,
        undecided: names(&choice.again),
        refined: names(&choice.new),
        plan: plan.len() as u64,
        ..Look::default()
    })
}

/// The sentence before a look's choice is measured.
fn announced(number: u32, choice: &Choice, needs: &Needs) -> String {
    /// New cells that are named one by one.
    const NAMED: usize = 4;
    let mut parts = Vec::new();
    if !needs.undecided.is_empty() {
        let (open, again) = (needs.undecided.len(), choice.again.len());
        let open = text::count(open as u64, "cell");
        parts.push(format!("{open} undecided, {again} measured again"));
    }
    if !choice.new.is_empty() {
        let mut names: Vec<&str> = choice.new.iter().take(NAMED).map(|cell| cell.name.as_str()).collect();
        if choice.new.len() > NAMED {
            names.push("…");
        }
        let new = text::count(choice.new.len() as u64, "new cell");
        parts.push(format!("{new} around crossings ({})", names.join("; ")));
    }
    format!("look {number}: {}", parts.join(", "))
}

/// The cell of an experiment at `params`, which need not be on its grid.
pub(crate) fn cell_of(exp: &Experiment, params: &Params) -> Cell {
    let mut all = exp.workload.constants.clone();
    for (name, value) in params {
        let value = match value {
            ParamValue::Int(n) => Value::Int(*n),
            ParamValue::Float(x) => Value::Float(*x),
            ParamValue::Text(text) => Value::Text(text.clone()),
        };
        all.insert(name.clone(), value);
    }
    let tasks = all.get("tasks").and_then(Value::as_i64).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    Cell { name: cell_name(params), params: params.clone(), all, tasks }
}

/// About how long the samples of a run took to measure, with its pilot: what a resumed run has spent of its budget.
pub(super) fn spent(pilot: &Pilot, samples: &[Sample]) -> Duration {
    let mut blocks: BTreeMap<(u32, u32), Duration> = BTreeMap::new();
    let mut warm: BTreeSet<(u32, &str, &str)> = BTreeSet::new();
    for sample in samples {
        let told = sample.wall_ns.saturating_mul(u64::from(sample.batch));
        let took = Duration::from_nanos(told.saturating_add(sample.overhead_ns.unwrap_or(0)));
        *blocks.entry((sample.process, sample.round)).or_default() += took;
        warm.insert((sample.process, &sample.cell, &sample.strategy));
    }
    let warmup = |(_, cell, strategy): (u32, &str, &str)| {
        pilot.cells.get(cell).map_or(Duration::ZERO, |cell| cell.warmup_cost(strategy))
    };
    let pilots = pilot.cells.values().flat_map(|cell| cell.warmup_ns.values().copied());
    let pilots: Duration = pilots.map(Duration::from_nanos).sum();
    let blocks: Duration = blocks.into_values().map(|took| took.max(BLOCK_COST_MIN)).sum();
    pilots + blocks + warm.into_iter().map(warmup).sum::<Duration>()
}
