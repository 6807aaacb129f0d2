//! Traced runs of one cell, made now: a fresh trial per strategy, warmed up, then traced a few times.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossover_reports::record::Timeline;
use crossover_workloads::{Spec, Workload, calibrate_spin};

use crate::config::{Cell, Experiment, Startup};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::protocol::{self, Request};
use crate::run::helper::{AskError, Helper};
use crate::server::Server;
use crate::trace;

/// Traced runs per strategy; the one whose time is in the middle is shown.
const RUNS: usize = 5;

/// No further traced run is started after this long.
const RUNS_LIMIT: Duration = Duration::from_secs(5);

/// What a request may take beside twenty times the estimate.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of the strategies that were asked.
#[derive(Debug, Default)]
pub(super) struct Traced {
    /// One run of each strategy that did the work.
    pub(super) timelines: Vec<Timeline>,
    /// Who did not, and why.
    pub(super) failed: Vec<(String, String)>,
}

/// Traces `cell` under each of `names`; `None` when interrupted.
pub(super) fn trace_cell(
    exp: &Experiment,
    cell: &Cell,
    names: &[String],
    seed: u64,
) -> Result<Option<Traced>> {
    let interrupt = Interrupt::install()?;
    let server = match Workload::needs_server(&exp.workload.kind) {
        true => Some(Server::start(&interrupt)?),
        false => None,
    };
    let spin_per_us = Workload::needs_spin(&exp.workload.kind).then(calibrate_spin);
    let mut progress = Progress::new(&exp.name);
    let mut traced = Traced::default();
    for name in names {
        progress.stage(&format!("tracing {name}"));
        let request = Request {
            schema: protocol::SCHEMA,
            id: 0,
            workload: exp.workload.kind.clone(),
            params: cell.all.clone(),
            tasks: cell.tasks,
            batch: 1,
            seed,
            workers: exp.strategies.workers_of(name),
            jobs_per_worker: exp.strategies.jobs_per_worker_of(name),
            server: server.as_ref().map(Server::address),
            spin_per_us,
            warmup: true,
            rate: exp.measure.rate,
            trace: false,
            // What is shown is a run of a strategy that is up.
            startup: Startup::Excluded,
        };
        let mut helper = Helper::built_in(exp.strategies.base_of(name), 0)?;
        match runs(&mut helper, &request, name, &interrupt) {
            Ok(mut runs) => {
                runs.sort_by_key(|run| run.wall_ns);
                let middle = runs.len() / 2;
                traced.timelines.extend(
                    runs.into_iter().nth(middle).map(|run| Timeline { cell: cell.name.clone(), ..run }),
                );
            }
            Err(AskError::Interrupted) => return Ok(None),
            Err(AskError::Failed(reason) | AskError::Unfit(reason) | AskError::Gone(reason)) => {
                traced.failed.push((name.clone(), reason))
            }
        }
        helper.wait_closed();
    }
    if traced.timelines.is_empty() {
        let (name, reason) = traced.failed.first().context("no strategy was asked")?;
        bail!("{name} cannot run cell {}: {reason}", cell.name);
    }
    Ok(Some(traced))
}

/// Warms up and traces as often as there is time for, at least once.
fn runs(
    helper: &mut Helper,
    request: &Request,
    name: &str,
    interrupt: &Interrupt,
) -> Result<Vec<Timeline>, AskError> {
    let timeout = PATIENCE + estimate(request).saturating_mul(20);
    helper.ask(request.clone(), timeout, interrupt)?;
    let started = Instant::now();
    let mut runs = Vec::new();
    while runs.is_empty() || runs.len() < RUNS && started.elapsed() < RUNS_LIMIT {
        let request = Request { warmup: false, trace: true, ..request.clone() };
        let (measured, _) = helper.ask(request, timeout, interrupt)?;
        let Some(trace) = measured.answer.trace else {
            return Err(AskError::Failed("it does not tell what its tasks do".to_owned()));
        };
        runs.push(trace::timeline("", "", name, measured.wall_ns, trace));
    }
    Ok(runs)
}

/// What one run may take: its tasks one after another, or as long as they take to arrive, which the configuration bounds.
fn estimate(request: &Request) -> Duration {
    let arriving = request.rate.map_or(0.0, |rate| f64::from(request.tasks) / rate);
    let working = crossover_workloads::estimate(&Spec {
        kind: request.workload.clone(),
        params: request.params.clone(),
        tasks: request.tasks,
        seed: request.seed,
        server: request.server,
        spin_per_us: request.spin_per_us,
    });
    working.max(Duration::try_from_secs_f64(arriving).unwrap_or_default())
}
