//! Blocks: asking in the plan's order, judging the load, writing the journal, repeating what was disturbed.
//!
//! A block is (process round, round). Its samples are written together when it ends, because each carries the load of
//! the whole block. `order` counts what was measured in the order in which it was measured, over repeats and
//! resumes.
//!
//! The strategies of a block are compared with each other because they ran side by side. So a block that Ctrl-C cuts
//! short keeps its samples, set aside as [`INTERRUPTED`], and `resume` measures the whole block anew.
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use crossover_reports::record::{SCHEMA, Sample, Warmup};
use crossover_workloads::Workload;

use super::pilot::Pilot;
use super::session::{Asked, Helpers, Question, Session, Stop};
use super::shares::Shares;
use super::warmups::Warmups;
use crate::journal::Journal;
use crate::plan::Planned;
use crate::probe::{Load, LoadWindow};
use crate::protocol::{Measured, one_line};

/// How often one block is measured at most where the budget sets no limit: once more.
const ATTEMPTS_WITHOUT_BUDGET: u32 = 2;

/// How often one block is measured at most, however much of the budget is left.
const ATTEMPTS_MAX: u32 = 4;

/// Why the samples of a block that was not finished do not count.
pub(super) const INTERRUPTED: &str = "the run was interrupted in this block";

/// What identifies a planned sample within a run.
pub(super) type Key = (u32, u32, String, String);

/// The key of a planned sample.
pub(super) fn key_of_planned(planned: &Planned) -> Key {
    (planned.process, planned.round, planned.cell.clone(), planned.strategy.clone())
}

/// The key of a recorded sample.
pub(super) fn key_of_sample(sample: &Sample) -> Key {
    (sample.process, sample.round, sample.cell.clone(), sample.strategy.clone())
}

/// What measuring a plan takes along.
#[derive(Debug)]
pub(super) struct Recorder<'r> {
    pub(super) run: &'r str,
    pub(super) pilot: Pilot,
    pub(super) journal: Journal,
    pub(super) warmups: Warmups,
    /// The next sample's `order`.
    pub(super) next_order: u64,
    /// When the budget ends.
    pub(super) deadline: Option<Instant>,
    /// Estimated time of what is planned and not yet measured.
    pub(super) left: Duration,
    /// Warm-ups that did not become steady.
    pub(super) unsteady: u64,
    pub(super) load: LoadCounts,
    /// What the test server and the load generator took.
    pub(super) shares: Shares,
}

/// How many blocks were measured, and what other programs did to them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoadCounts {
    pub(super) blocks: u64,
    pub(super) disturbed: u64,
    pub(super) repeated: u64,
}

/// The processes of one process round, and what each of them has already run.
#[derive(Debug)]
struct Round {
    helpers: Helpers,
    /// (cell, strategy) pairs.
    warm: HashSet<(String, String)>,
}

impl Round {
    /// Gives a sample a trial process of its own. Where memory is what is asked for, none may show what cells before it
    /// took: allocators and runtimes keep what was freed.
    fn renew(&mut self, session: &mut Session<'_>, planned: &Planned) {
        let strategy = &planned.strategy;
        if !self.warm.iter().any(|(_, other)| other == strategy) {
            return;
        }
        self.warm.retain(|(_, other)| other != strategy);
        if let Some(helper) = self.helpers.remove(strategy) {
            helper.wait_closed();
            self.helpers.extend(session.start(std::slice::from_ref(strategy)));
        }
    }
}

impl Recorder<'_> {
    /// Measures one process round: `plan` holds its samples that are missing, in order.
    pub(super) fn process_round(&mut self, session: &mut Session<'_>, plan: &[&Planned]) -> Result<(), Stop> {
        let names = session.exp.strategies.include.clone();
        let mut round = Round { helpers: session.start(&names), warm: HashSet::new() };
        let mut disturbed = Vec::new();
        for block in plan.chunk_by(|a, b| a.round == b.round) {
            disturbed.push(self.block(session, &mut round, block)?);
            self.left = self.left.saturating_sub(self.cost(block));
        }
        self.repeat(session, &mut round, disturbed)?;
        Session::close(round.helpers);
        Ok(())
    }

    /// Measures what was disturbed again, block by block, while there is time.
    fn repeat(
        &mut self,
        session: &mut Session<'_>,
        round: &mut Round,
        mut disturbed: Vec<Vec<&Planned>>,
    ) -> Result<(), Stop> {
        let attempts = if self.deadline.is_some() { ATTEMPTS_MAX } else { ATTEMPTS_WITHOUT_BUDGET };
        for _ in 1..attempts {
            let mut again = Vec::new();
            for block in disturbed {
                if !block.is_empty() && self.has_time_for(&block) {
                    self.load.repeated += 1;
                    again.push(self.block(session, round, &block)?);
                }
            }
            disturbed = again;
        }
        Ok(())
    }

    /// Whether the budget has room for one more run of `block` beside all that is planned.
    fn has_time_for(&self, block: &[&Planned]) -> bool {
        let Some(deadline) = self.deadline else { return true };
        deadline.saturating_duration_since(Instant::now()) > self.left + self.cost(block)
    }

    /// Measures one block and writes it to the journal, also when it is interrupted. What was disturbed is given
    /// back; what failed would fail again.
    fn block<'p>(
        &mut self,
        session: &mut Session<'_>,
        round: &mut Round,
        block: &[&'p Planned],
    ) -> Result<Vec<&'p Planned>, Stop> {
        let window = LoadWindow::open();
        let mut samples = Vec::with_capacity(block.len());
        let mut stopped = Ok(());
        for planned in block {
            match self.sample(session, round, planned) {
                Ok(sample) => samples.push(sample),
                Err(stop) => {
                    stopped = Err(stop);
                    break;
                }
            }
            session.progress.advance(self.sample_cost(planned));
        }
        let load = window.close();
        let contamination = load.contamination(session.exp.measure.max_foreign_cores);
        let set_aside = if stopped.is_err() { Some(INTERRUPTED) } else { contamination.as_deref() };
        for sample in &mut samples {
            sample.order = self.next_order;
            self.next_order += 1;
            stamp(sample, load, set_aside);
            self.shares.note(sample);
        }
        // Warm-ups first: where a sample stands, its warm-up does.
        let written = self.warmups.write().and_then(|()| self.journal.append(&samples));
        stopped?;
        written?;
        let samples_cost = block.iter().map(|planned| self.sample_cost(planned)).sum();
        session.progress.advance(self.cost(block).saturating_sub(samples_cost));
        self.load.blocks += 1;
        if let Some(reason) = contamination {
            if self.load.disturbed == 0 {
                session.progress.say(&format!(
                    "{reason} during block {}.{}; such blocks are set aside and measured again while there is time",
                    block[0].process + 1,
                    block[0].round + 1
                ));
            }
            self.load.disturbed += 1;
        }
        let pairs = block.iter().zip(&samples);
        Ok(pairs.filter(|(_, sample)| sample.quarantined.is_some()).map(|(planned, _)| *planned).collect())
    }

    /// Takes one sample, after a warm-up where the process has not run the cell yet.
    fn sample(
        &mut self,
        session: &mut Session<'_>,
        round: &mut Round,
        planned: &Planned,
    ) -> Result<Sample, Stop> {
        let Planned { cell, strategy, batch, .. } = planned;
        let found = self.pilot.cell(cell)?;
        if let Some(reason) = found.unfit.get(strategy) {
            return Ok(self.unfit(planned, reason));
        }
        if let Some(reason) = found.failed.get(strategy) {
            return Ok(self.failed(planned, reason));
        }
        let estimate = self.sample_cost(planned);
        if Workload::waits_together(&session.exp.workload.kind) {
            round.renew(session, planned);
        }
        if round.warm.insert((cell.clone(), strategy.clone())) {
            let question = Question::warm_up(cell, *batch);
            let asked = session.ask(&mut round.helpers, strategy, question, estimate)?;
            let cost = self.pilot.cell(cell)?.warmup_cost(strategy);
            session.progress.advance(cost);
            self.left = self.left.saturating_sub(cost);
            match asked {
                Asked::Done { measured, .. } => {
                    self.unsteady += u64::from(measured.answer.steady == Some(false));
                    self.warmups.note(self.warmup(planned, &measured));
                }
                Asked::Failed(reason) => return Ok(self.failed(planned, &reason)),
                Asked::Unfit(reason) => return Ok(self.unfit_from_now_on(planned, reason)),
            }
        }
        match session.ask(&mut round.helpers, strategy, Question::sample(cell, *batch), estimate)? {
            Asked::Done { measured, server_cpu_ns, overhead_ns } => {
                let sample = self.done(planned, *measured)?;
                Ok(Sample { server_cpu_ns, overhead_ns: Some(overhead_ns), rate: session.rate, ..sample })
            }
            Asked::Failed(reason) => Ok(self.failed(planned, &reason)),
            Asked::Unfit(reason) => Ok(self.unfit_from_now_on(planned, reason)),
        }
    }

    /// The sample of work that was done: well, if its checksum is the oracle's.
    fn done(&self, planned: &Planned, measured: Measured) -> Result<Sample, Stop> {
        let oracle = &self.pilot.cell(&planned.cell)?.checksum;
        let Measured { wall_ns, checksum, answer } = measured;
        let ok = checksum == *oracle;
        let error = (!ok)
            .then(|| one_line(&format!("checksum {checksum} differs from the sequential oracle's {oracle}")));
        Ok(Sample {
            wall_ns,
            user_ns: answer.user_ns.unwrap_or(0),
            sys_ns: answer.sys_ns.unwrap_or(0),
            rss_peak_kib: answer.rss_peak_kib.unwrap_or(0),
            vcsw: answer.vcsw.unwrap_or(0),
            ivcsw: answer.ivcsw.unwrap_or(0),
            latency: answer.latency,
            achieved_rate: answer.achieved_rate,
            generator_lag_ns: answer.generator_lag_ns,
            generator_cpu_ns: answer.generator_cpu_ns,
            checksum,
            ok,
            error,
            ..self.blank(planned)
        })
    }

    /// What a warm-up's answer tells.
    fn warmup(&self, planned: &Planned, measured: &Measured) -> Warmup {
        let Measured { wall_ns, answer, .. } = measured;
        Warmup {
            schema: SCHEMA,
            run: self.run.to_owned(),
            process: planned.process,
            cell: planned.cell.clone(),
            strategy: planned.strategy.clone(),
            start_ns: answer.start_ns,
            first_ns: answer.first_ns,
            wall_ns: *wall_ns,
            batches: answer.batches,
            steady: answer.steady,
            worker_private_kib: answer.worker_private_kib,
        }
    }

    /// The sample of work that was not done.
    fn failed(&self, planned: &Planned, reason: &str) -> Sample {
        Sample { error: Some(one_line(reason)), ..self.blank(planned) }
    }

    /// The sample of work that is nothing for its strategy.
    fn unfit(&self, planned: &Planned, reason: &str) -> Sample {
        Sample { unfit: true, ..self.failed(planned, reason) }
    }

    /// The same, and nobody asks again: a strategy that is picky may have said nothing of it in the pilot.
    fn unfit_from_now_on(&mut self, planned: &Planned, reason: String) -> Sample {
        let sample = self.unfit(planned, &reason);
        if let Some(cell) = self.pilot.cells.get_mut(&planned.cell) {
            cell.unfit.insert(planned.strategy.clone(), reason);
        }
        sample
    }

    /// A sample that says nothing yet.
    fn blank(&self, planned: &Planned) -> Sample {
        Sample {
            schema: SCHEMA,
            run: self.run.to_owned(),
            cell: planned.cell.clone(),
            params: planned.params.clone(),
            strategy: planned.strategy.clone(),
            process: planned.process,
            round: planned.round,
            order: 0,
            seed: planned.seed,
            batch: planned.batch,
            tasks: planned.tasks.into(),
            wall_ns: 0,
            user_ns: 0,
            sys_ns: 0,
            rss_peak_kib: 0,
            vcsw: 0,
            ivcsw: 0,
            steal_ticks: 0,
            foreign_cores: 0.0,
            psi_cpu: None,
            server_cpu_ns: None,
            checksum: String::new(),
            ok: false,
            error: None,
            unfit: false,
            quarantined: None,
            latency: None,
            rate: None,
            achieved_rate: None,
            generator_lag_ns: None,
            generator_cpu_ns: None,
            overhead_ns: None,
        }
    }

    /// What measuring all of `plan` takes, warm-ups apart.
    pub(super) fn cost(&self, plan: &[&Planned]) -> Duration {
        self.pilot.samples_cost(plan.iter().copied())
    }

    /// What warming up takes in a process round that measures `plan`.
    pub(super) fn warmup_cost(&self, plan: &[&Planned]) -> Duration {
        let pairs: HashSet<(&str, &str)> =
            plan.iter().map(|planned| (planned.cell.as_str(), planned.strategy.as_str())).collect();
        let cost = |(cell, strategy): (&str, &str)| {
            self.pilot.cells.get(cell).map_or(Duration::ZERO, |cell| cell.warmup_cost(strategy))
        };
        pairs.into_iter().map(cost).sum()
    }

    /// What one sample takes, as of the pilot.
    fn sample_cost(&self, planned: &Planned) -> Duration {
        self.pilot.cells.get(&planned.cell).map_or(Duration::ZERO, |cell| cell.sample_cost(&planned.strategy))
    }
}

/// Writes the block's load into a sample, and why it is set aside, if so. A failure stays one, whatever the load was.
fn stamp(sample: &mut Sample, load: Load, set_aside: Option<&str>) {
    let rounded = |x: f64| (x * 1e4).round() / 1e4;
    sample.steal_ticks = load.steal_ticks;
    sample.foreign_cores = rounded(load.foreign_cores);
    sample.psi_cpu = load.psi_cpu.map(rounded);
    if sample.ok || set_aside == Some(INTERRUPTED) {
        sample.quarantined = set_aside.map(str::to_owned);
    }
}

/// What went wrong in a run, for its last lines.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Wrong results by strategy and cell: the sentence of the first.
    mismatches: BTreeMap<(String, String), String>,
    /// Failures by strategy and reason: in how many cells.
    failures: BTreeMap<(String, String), HashSet<String>>,
    /// By strategy and reason: the cells that are nothing for it. No trouble, but said all the same.
    unfit: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Troubles {
    /// Of all samples of a run.
    pub(super) fn of(samples: &[Sample]) -> Self {
        let mut troubles = Self::default();
        for sample in samples.iter().filter(|sample| !sample.ok) {
            let reason = sample.error.clone().unwrap_or_else(|| "failed".to_owned());
            let strategy = sample.strategy.clone();
            if sample.unfit {
                troubles.unfit.entry((strategy, reason)).or_default().insert(sample.cell.clone());
            } else if sample.checksum.is_empty() {
                troubles.failures.entry((strategy, reason)).or_default().insert(sample.cell.clone());
            } else {
                troubles.mismatches.entry((strategy, sample.cell.clone())).or_insert(reason);
            }
        }
        troubles
    }

    /// The lines to print, the worst first.
    pub(super) fn lines(&self) -> Vec<String> {
        let wrong = self.mismatches.iter().map(|((strategy, cell), reason)| {
            format!("WRONG RESULT: {strategy} in cell {cell}: {reason}; the cell gets no verdict")
        });
        let failed = self.failures.iter().map(|((strategy, reason), cells)| {
            let cells = if cells.len() == 1 { "1 cell".to_owned() } else { format!("{} cells", cells.len()) };
            format!("FAILED: {strategy} in {cells}: {reason}")
        });
        let unfit = self.unfit.iter().map(|((strategy, reason), cells)| {
            /// Cells that are named; there may be thousands.
            const NAMED: usize = 4;
            let mut names: Vec<&str> = cells.iter().take(NAMED).map(String::as_str).collect();
            let more = format!("{} more", cells.len().saturating_sub(NAMED));
            if cells.len() > NAMED {
                names.push(&more);
            }
            format!("{strategy} {reason} ({})", names.join("; "))
        });
        wrong.chain(failed).chain(unfit).collect()
    }
}

/// What the journal holds of the plan: every sample of a block that was measured to its end.
pub(super) fn recorded(samples: &[Sample]) -> HashSet<Key> {
    let ended = samples.iter().filter(|sample| sample.quarantined.as_deref() != Some(INTERRUPTED));
    ended.map(key_of_sample).collect()
}
