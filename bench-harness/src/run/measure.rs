//! Measuring one experiment, from wherever its folder stands to its end: the base plan, what looks at the samples add
//! to it ([`adapt`]), and the timelines.
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::adapt;
use super::block::{LoadCounts, Recorder, Troubles, key_of_planned, recorded};
use super::files::Begun;
use super::looks::Looks;
use super::pilot::{self, Pilot};
use super::session::{Session, Stop};
use super::shares::Shares;
use super::timelines;
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
        && is_complete(begun, plan)?
    {
        return Ok(());
    }
    let mut session = open_session(begun, interrupt)?;
    let goes_on = existing.is_some();
    let (pilot, mut plan) = match existing {
        Some(existing) => existing,
        None => make_plan(begun, &mut session, started)?,
    };
    session.know(&plan);
    session.spin_per_us = pilot.spin_per_us;
    session.gone = pilot.gone.clone();
    let spent = if goes_on { adapt::spent(&pilot, &samples) } else { Duration::ZERO };
    let budget = begun.exp.measure.budget;
    let left = budget.map(|budget| budget.saturating_sub(spent + timelines::reserve(Some(budget))));
    let mut recorder = Recorder {
        run: &begun.run,
        pilot,
        journal,
        warmups: Warmups::open(&begun.folder)?,
        next_order: samples.iter().map(|sample| sample.order + 1).max().unwrap_or(0),
        deadline: left.map(|left| started + left),
        left: Duration::ZERO,
        unsteady: 0,
        load: LoadCounts::default(),
        shares: Shares::default(),
    };
    let missing: Vec<&Planned> = plan.iter().filter(is_missing).collect();
    rounds(&mut recorder, &mut session, &missing, "")?;
    if !Looks::is_missing(&begun.folder) {
        let mut looks = Looks::open(&begun.folder, &plan)?;
        adapt::go_on(begun, &mut recorder, &mut session, &mut plan, &mut looks)?;
        timelines::record(begun, &recorder.pilot, &mut session)?;
    }
    say_troubles(&recorder, &session);
    Ok(())
}

/// Whether a run whose planned samples are all there needs nothing else.
fn is_complete(begun: &Begun, plan: &[Planned]) -> anyhow::Result<bool> {
    if Looks::is_missing(&begun.folder) {
        return Ok(true);
    }
    Ok(Looks::open(&begun.folder, plan)?.have_stopped() && timelines::exist(begun))
}

/// Measures process round after process round; `label` goes before their names on the screen.
pub(super) fn rounds(
    recorder: &mut Recorder<'_>,
    session: &mut Session<'_>,
    missing: &[&Planned],
    label: &str,
) -> Result<(), Stop> {
    let processes: Vec<&[&Planned]> = missing.chunk_by(|a, b| a.process == b.process).collect();
    let warmups: Duration = processes.iter().map(|plan| recorder.warmup_cost(plan)).sum();
    recorder.left = recorder.cost(missing) + warmups;
    session.progress.set_total(recorder.left);
    for (index, plan) in processes.iter().enumerate() {
        session.progress.stage(&format!("{label}process round {} of {}", index + 1, processes.len()));
        recorder.process_round(session, plan)?;
    }
    Ok(())
}

/// Says what disturbed the measuring.
fn say_troubles(recorder: &Recorder<'_>, session: &Session<'_>) {
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
    for line in recorder.shares.lines() {
        session.progress.say(&line);
    }
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
        let left = budget.saturating_sub(started.elapsed() + timelines::reserve(Some(budget)));
        let share = pilot::base_share(&exp.measure, process, block, left);
        let (processes, rounds, said) = pilot::fit(&exp.measure, process, block, share);
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
