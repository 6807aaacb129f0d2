//! What measuring one experiment holds in its hands: its cells, the test server, and who is out.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use crossover_workloads::{Spec, Workload};

use super::adapt::cell_of;
use super::helper::{AskError, Helper};
use crate::config::{Cell, Experiment};
use crate::interrupt::Interrupt;
use crate::notes;
use crate::plan::Planned;
use crate::progress::Progress;
use crate::protocol::{self, Measured, Request};
use crate::server::{Death, Server};
use crate::strategy;

/// What a trial may take beside twenty times the estimate: programs load, compilers warm up, machines are busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shortens [`PATIENCE`] (milliseconds) for tests of what happens at its end; no part of the public contract.
const PATIENCE_VARIABLE: &str = "CROSSOVER_TEST_PATIENCE_MS";

/// Why measuring ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody wants the run to end.
    Interrupted,
    /// It cannot go on.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Asked {
    /// The work was done; whether well is for its checksum to say.
    Done {
        /// The checked answer.
        measured: Box<Measured>,
        /// CPU time that the test server used meanwhile, of one run.
        server_cpu_ns: Option<u64>,
        /// What the request took beside the `batch` runs that it tells of: pipes, `/proc`, wake-ups. Says nothing for a
        /// warm-up, which runs more than it tells of.
        overhead_ns: u64,
    },
    /// It was not done, and why.
    Failed(String),
    /// It is nothing for this strategy, and why.
    Unfit(String),
}

/// What is asked of a trial: one cell, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'q> {
    /// The cell's name.
    pub(super) cell: &'q str,
    /// How many times its whole work runs.
    pub(super) batch: u32,
    /// Whether this only warms up.
    pub(super) warmup: bool,
    /// Whether to tell what each task did when.
    pub(super) trace: bool,
}

impl<'q> Question<'q> {
    /// Asks to warm up, with samples of `batch` runs.
    pub(super) fn warm_up(cell: &'q str, batch: u32) -> Self {
        Self { cell, batch, warmup: true, trace: false }
    }

    /// Asks for a sample of `batch` runs.
    pub(super) fn sample(cell: &'q str, batch: u32) -> Self {
        Self { cell, batch, warmup: false, trace: false }
    }
}

/// One process round's trial processes, by strategy.
pub(super) type Helpers = BTreeMap<String, Helper>;

/// Whether what the experiment's workload needs from outside is there.
///
/// # Errors
/// What is missing, and how to get it.
pub(super) fn available(exp: &Experiment) -> Result<()> {
    Workload::available(&exp.workload.kind)
        .map_err(|reason| anyhow!("{}: workload `{}`: {reason}", exp.name, exp.workload.kind))
}

/// One experiment that is being measured.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) exp: &'a Experiment,
    pub(super) cells: BTreeMap<String, Cell>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: Progress,
    pub(super) seed: u64,
    /// Steps of the mixed kernel per microsecond, for the workloads that ask for it.
    pub(super) spin_per_us: Option<f64>,
    /// Arrivals per second under an open load.
    pub(super) rate: Option<f64>,
    /// Strategies that are out until the end of this session, and why.
    pub(super) gone: BTreeMap<String, String>,
    server: Option<Server>,
    pub(super) patience: Duration,
}

impl<'a> Session<'a> {
    /// Prepares an experiment; starts the test server when its workload needs one.
    pub(super) fn open(
        exp: &'a Experiment,
        seed: u64,
        progress: Progress,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        available(exp)?;
        let cells = exp.cells().into_iter().map(|cell| (cell.name.clone(), cell)).collect();
        let server = match Workload::needs_server(&exp.workload.kind) {
            true => Some(Server::start(interrupt)?),
            false => None,
        };
        let patience = std::env::var(PATIENCE_VARIABLE).ok().and_then(|ms| ms.parse().ok());
        Ok(Self {
            exp,
            cells,
            interrupt,
            progress,
            seed,
            spin_per_us: None,
            rate: exp.measure.rate,
            gone: BTreeMap::new(),
            server,
            patience: patience.map_or(PATIENCE, Duration::from_millis),
        })
    }

    /// Starts a fresh process for each of `names`; one that does not start is out.
    pub(super) fn start(&mut self, names: &[String]) -> Helpers {
        let mut helpers = Helpers::new();
        for name in names {
            if self.gone.contains_key(name) {
                continue;
            }
            let padding = rand::random();
            let started = match self.exp.strategies.external.get(name) {
                Some(external) => Helper::external(name, external, padding),
                None => Helper::built_in(self.exp.strategies.base_of(name), padding),
            };
            match started {
                Ok(helper) => drop(helpers.insert(name.clone(), helper)),
                Err(error) => self.is_gone(name, format!("{error:#}")),
            }
        }
        helpers
    }

    /// Ends a process round: all are told first, so that they leave side by side.
    pub(super) fn close(mut helpers: Helpers) {
        for helper in helpers.values_mut() {
            helper.close();
        }
        for helper in helpers.into_values() {
            helper.wait_closed();
        }
    }

    /// Asks `strategy`; `estimate` is what one sample should take.
    pub(super) fn ask(
        &mut self,
        helpers: &mut Helpers,
        strategy: &str,
        question: Question<'_>,
        estimate: Duration,
    ) -> Result<Asked, Stop> {
        let request = self.request(strategy, question)?;
        self.send(helpers, strategy, request, &format!("cell {}", question.cell), estimate)
    }

    /// Sends `request` to `strategy` and waits for what becomes of it; `place` says in an error where that was.
    pub(super) fn send(
        &mut self,
        helpers: &mut Helpers,
        strategy: &str,
        request: Request,
        place: &str,
        estimate: Duration,
    ) -> Result<Asked, Stop> {
        if let Some(reason) = self.gone.get(strategy) {
            return Ok(Asked::Failed(reason.clone()));
        }
        let Some(helper) = helpers.get_mut(strategy) else {
            return Err(Stop::Failed(anyhow::anyhow!("no trial of {strategy} was started")));
        };
        let batch = request.batch;
        let timeout = self.patience + estimate.saturating_mul(20);
        let before = self.server.as_ref().and_then(Server::cpu_ns);
        let outcome = helper.ask(request, timeout, self.interrupt);
        let after = self.server.as_ref().and_then(Server::cpu_ns);
        let spent = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        match outcome {
            Ok((measured, elapsed)) => {
                let told = measured.wall_ns.saturating_mul(u64::from(batch));
                Ok(Asked::Done {
                    server_cpu_ns: spent.map(|ns| ns / u64::from(batch.max(1))),
                    overhead_ns: ns(elapsed).saturating_sub(told),
                    measured: Box::new(measured),
                })
            }
            Err(AskError::Interrupted) => Err(Stop::Interrupted),
            Err(AskError::Unfit(reason)) => Ok(Asked::Unfit(reason)),
            Err(AskError::Failed(reason)) => {
                self.check_server()?;
                // The system's own words ("Too many open files") do not say what to do.
                let no_files = reason.contains("(os error 24)");
                Ok(Asked::Failed(if no_files {
                    format!("{reason}; {}", notes::more_files())
                } else {
                    reason
                }))
            }
            Err(AskError::Gone(reason)) => {
                self.check_server()?;
                helpers.remove(strategy);
                let reason = format!("in {place} it {reason}");
                self.is_gone(strategy, reason.clone());
                Ok(Asked::Failed(reason))
            }
        }
    }

    /// Whether to go on.
    pub(super) fn interrupted(&self) -> Result<(), Stop> {
        if self.interrupt.is_raised() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// The request for a question about a cell of the experiment.
    fn request(&self, strategy: &str, question: Question<'_>) -> Result<Request> {
        let Question { cell, batch, warmup, trace } = question;
        let cell = self.cell(cell)?;
        Ok(Request {
            schema: protocol::SCHEMA,
            id: 0,
            workload: self.exp.workload.kind.clone(),
            params: cell.all.clone(),
            tasks: cell.tasks,
            batch,
            seed: self.seed,
            workers: self.exp.strategies.workers_of(strategy),
            jobs_per_worker: self.exp.strategies.jobs_per_worker_of(strategy),
            server: self.server.as_ref().map(Server::address),
            spin_per_us: self.spin_per_us,
            warmup,
            rate: self.rate,
            trace,
            startup: self.exp.measure.startup,
        })
    }

    /// The cell `name` of the experiment.
    pub(super) fn cell(&self, name: &str) -> Result<&Cell> {
        self.cells.get(name).with_context(|| format!("the experiment {} has no cell {name}", self.exp.name))
    }

    /// Takes in the cells of a plan that are not on the experiment's grid.
    pub(super) fn know(&mut self, plan: &[Planned]) {
        for planned in plan {
            if !self.cells.contains_key(&planned.cell) {
                self.cells.insert(planned.cell.clone(), cell_of(self.exp, &planned.params));
            }
        }
    }

    /// What one sequential run of `cell` may take, before anything was measured.
    pub(super) fn first_estimate(&self, cell: &Cell) -> Duration {
        let estimate = crossover_workloads::estimate(&Spec {
            kind: self.exp.workload.kind.clone(),
            params: cell.all.clone(),
            tasks: cell.tasks,
            seed: self.seed,
            server: self.server.as_ref().map(Server::address),
            spin_per_us: self.spin_per_us,
        });
        estimate.max(arrivals(cell.tasks, self.rate))
    }

    /// Whether a strategy is one of ours: what it tells of its times is measured by our own code.
    pub(super) fn is_built_in(&self, name: &str) -> bool {
        !self.exp.strategies.external.contains_key(name)
            && strategy::find(self.exp.strategies.base_of(name)).is_some()
    }

    fn is_gone(&mut self, strategy: &str, reason: String) {
        self.progress.say(&format!("{strategy} is out: {reason}"));
        self.gone.insert(strategy.to_owned(), reason);
    }

    /// Without its server nothing of the experiment can be measured: that is no strategy's failure.
    fn check_server(&mut self) -> Result<()> {
        match self.server.as_mut().and_then(Server::death) {
            None => Ok(()),
            Some(Death::NoFiles) => bail!("the test server ran out of files: {}", notes::more_files()),
            Some(Death::Other) => bail!("the test server has died; `crossover resume` starts another"),
        }
    }
}

/// How long `tasks` tasks take to arrive at `rate` per second; no time where all are ready at once.
pub(crate) fn arrivals(tasks: u32, rate: Option<f64>) -> Duration {
    let seconds = rate.map_or(0.0, |rate| f64::from(tasks) / rate);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_hours(1))
}

/// A time as nanoseconds.
pub(super) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
