//! Measuring one experiment, from wherever its folder stands to the last planned sample.
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::block::{LoadCounts, Recorder, Troubles, key_of_planned, recorded};
use super::files::Begun;
use super::pilot::{self, Pilot};
use super::session::{Session, Stop};
use super::warmups::Warmups;
use crate::interrupt::Interrupt;
use crate::journal::Journal;
use crate::plan::{Planned, build_plan};
use crate::progress::{Progress, rough};

/// Measures what is missing of a run: all of it, the rest, or nothing.
pub(super) fn measure(begun: &Begun, interrupt: &Interrupt) -> Result<(), Stop> {
    let started = Instant::now();
    let (journal, samples) = Journal::open(begun.folder.path())?;
    let existing = begun.read_plan()?;
    if existing.is_none() && !samples.is_empty() {
        return Err(Stop::Failed(anyhow!(
            "{} holds samples but no plan.jsonl: this run cannot go on, its report can still be made",
            begun.folder.path().display()
        )));
    }
    let recorded = recorded(&samples);
    let is_missing = |planned: &&Planned| !recorded.contains(&key_of_planned(planned));
    if let Some((_, plan)) = &existing
        && !plan.iter().any(|planned| is_missing(&planned))
    {
        return Ok(());
    }
    let mut session = open_session(begun, interrupt)?;
    let (pilot, plan) = match existing {
        Some(existing) => existing,
        None => make_plan(begun, &mut session, started)?,
    };
    session.spin_per_us = pilot.spin_per_us;
    session.gone = pilot.gone.clone();
    let missing: Vec<&Planned> = plan.iter().filter(is_missing).collect();
    let mut recorder = Recorder {
        run: &begun.run,
        pilot: &pilot,
        journal,
        warmups: Warmups::open(&begun.folder)?,
        next_order: samples.iter().map(|sample| sample.order + 1).max().unwrap_or(0),
        deadline: begun.exp.measure.budget.map(|budget| started + budget),
        left: Duration::ZERO,
        unsteady: 0,
        load: LoadCounts::default(),
    };
    let outcome = rounds(&mut recorder, &mut session, &missing);
    drop(session);
    outcome
}

/// Measures process round after process round.
fn rounds(recorder: &mut Recorder<'_>, session: &mut Session<'_>, missing: &[&Planned]) -> Result<(), Stop> {
    let include = &session.exp.strategies.include;
    let processes = missing.chunk_by(|a, b| a.process == b.process).count();
    let warmups = recorder.pilot.process_cost(include) * u32::try_from(processes).unwrap_or(u32::MAX);
    recorder.left = recorder.cost(missing) + warmups;
    session.progress.set_total(recorder.left);
    for (index, plan) in missing.chunk_by(|a, b| a.process == b.process).enumerate() {
        session.progress.stage(&format!("process round {} of {processes}", index + 1));
        recorder.process_round(session, plan)?;
    }
    let LoadCounts { blocks, disturbed, repeated } = recorder.load;
    if disturbed > 0 {
        session
            .progress
            .say(&format!("{disturbed} of {blocks} blocks were disturbed; {repeated} were repeats"));
    }
    if recorder.unsteady > 0 {
        session
            .progress
            .say(&format!("{} warm-ups ended at their limit without becoming steady", recorder.unsteady));
    }
    Ok(())
}

fn open_session<'a>(begun: &'a Begun, interrupt: &'a Interrupt) -> Result<Session<'a>, Stop> {
    let progress = Progress::new(&begun.exp.name);
    Session::open(&begun.exp, begun.seed, progress, interrupt).map_err(|error| match interrupt.is_raised() {
        true => Stop::Interrupted,
        false => Stop::Failed(error),
    })
}

/// Runs the pilot, fits the rounds to the budget, and writes the plan.
fn make_plan(
    begun: &Begun,
    session: &mut Session<'_>,
    started: Instant,
) -> Result<(Pilot, Vec<Planned>), Stop> {
    let pilot = Pilot::run(session)?;
    let include = &begun.exp.strategies.include;
    let (process, block) = (pilot.process_cost(include), pilot.block_cost(include));
    let mut exp = begun.exp.clone();
    if let Some(budget) = exp.measure.budget {
        let left = budget.saturating_sub(started.elapsed());
        let (processes, rounds, said) = pilot::fit(&exp.measure, process, block, left);
        (exp.measure.processes, exp.measure.rounds) = (processes, rounds);
        if let Some(sentence) = said {
            session.progress.say(&sentence);
        }
    }
    let (processes, rounds) = (exp.measure.processes, exp.measure.rounds);
    let takes = (process + block * rounds) * processes;
    session.progress.say(&format!(
        "{} cells × {} strategies, {processes} process rounds of {rounds} rounds, about {}",
        exp.cells().len(),
        include.len(),
        rough(takes)
    ));
    let plan = build_plan(&exp, begun.seed, processes, rounds, &pilot.batches());
    begun.write_plan(&exp, &pilot, &plan)?;
    Ok((pilot, plan))
}

/// The sentences about what went wrong in a run, from its samples.
pub(super) fn troubles(begun: &Begun) -> anyhow::Result<Vec<String>> {
    let (_, samples) = Journal::open(begun.folder.path())?;
    Ok(Troubles::of(&samples).lines())
}
