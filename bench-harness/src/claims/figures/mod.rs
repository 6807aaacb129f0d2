//! The experiments behind the figures, by topic. A driver makes one repeat, in a process of its own, and returns its figures
//! by name; what is compared (async against plain, threads against a loop) is measured inside the same repeat.
//!
//! Where a claim names I/O there is I/O: a server in another process, whose delays are timers. Where it names `sleep` there are timers.
pub(super) mod brigade;
pub(super) mod clients;
pub(super) mod cpu;
pub(super) mod database;
pub(super) mod engine;
pub(super) mod files;
pub(super) mod idle;
pub(super) mod kernels;
pub(super) mod lags;
pub(super) mod memory;
pub(super) mod pools;
pub(super) mod public;
pub(super) mod streams;
pub(super) mod waiting;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::{Spec, Value, Workload, catalog};

use super::trial::Setup;

/// Why a repeat has no figures.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Something that it needs is not here.
    Skipped(String),
    /// It went wrong.
    Failed(String),
}

impl<E: Display> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a repeat found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) notes: Vec<String>,
}

impl Found {
    /// With one figure more.
    pub(crate) fn and(mut self, name: &'static str, value: f64) -> Self {
        self.figures.insert(name, value);
        self
    }

    /// With a remark.
    pub(crate) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }
}

/// A single figure, to begin with.
pub(crate) fn found(name: &'static str, value: f64) -> Found {
    Found::default().and(name, value)
}

/// What a driver returns.
pub(crate) type Outcome = Result<Found, Trouble>;

/// Milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The multi-thread runtime with a worker per core.
pub(crate) fn workers(setup: &Setup) -> Result<Runtime, Trouble> {
    Ok(Builder::new_multi_thread().worker_threads(setup.cores).build()?)
}

/// The current-thread runtime: what asyncio is.
pub(crate) fn one_loop() -> Result<Runtime, Trouble> {
    Ok(Builder::new_current_thread().build()?)
}

/// How long `work` takes, in seconds.
pub(crate) fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let output = work();
    (begun.elapsed().as_secs_f64(), output)
}

/// The same of async work.
pub(crate) async fn seconds_of<F: Future>(work: F) -> (f64, F::Output) {
    let begun = Instant::now();
    let output = work.await;
    (begun.elapsed().as_secs_f64(), output)
}

/// The test server, for rows that need it.
pub(crate) fn server(setup: &Setup) -> Result<SocketAddr, Trouble> {
    setup.server.ok_or_else(|| Trouble::Failed("the test server is not there".to_owned()))
}

/// The stand-in for a database.
pub(crate) fn stand_in(setup: &Setup) -> Result<SocketAddr, Trouble> {
    setup.stand_in.ok_or_else(|| Trouble::Failed("the stand-in is not there".to_owned()))
}

/// The specification of `tasks` tasks of a kind; skips where this build has no such kind.
pub(crate) fn spec(kind: &str, params: &[(&str, Value)], tasks: u32, setup: &Setup) -> Result<Spec, Trouble> {
    if catalog::find(kind).is_none() {
        return Err(Trouble::Skipped(format!("this build has no workload `{kind}`")));
    }
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let spin_per_us = Workload::needs_spin(kind).then(crossover_workloads::calibrate_spin);
    let server = Workload::needs_server(kind).then(|| server(setup)).transpose()?;
    Ok(Spec { kind: kind.to_owned(), params, tasks, seed: setup.seed, server, spin_per_us })
}

/// `tasks` GETs of the test server, which answers each after `delay`.
pub(crate) fn requests(delay: Duration, tasks: u32, setup: &Setup) -> Result<Workload, Trouble> {
    let delay = Value::Float(delay.as_secs_f64() * 1000.0);
    Ok(Workload::prepare(&spec("http", &[("delay_ms", delay)], tasks, setup)?)?)
}

/// The middle of what is given; 0 of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The largest of what is given.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// The share of `all` that `part` is; 0 of nothing.
pub(crate) fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
