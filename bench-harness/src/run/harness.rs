//! What measuring itself costs: the clock's step, a task that does nothing, a request.
//!
//! Measured in the pilot, told in `env.json`, subtracted from nothing. Only strategies of ours are asked: a program of
//! someone else's need not know the workload whose tasks do nothing.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::session::{Asked, Helpers, Session, Stop, ns};
use crate::config::Startup;
use crate::probe;
use crate::protocol::{self, Request};

/// Empty tasks in one run: many to a hand-over's price, few enough for a thread each.
const TASKS: u32 = 256;

/// How often the cost of a request is measured with each strategy.
const REQUESTS: usize = 5;

/// What one request may take at most for the sake of its time-out.
const ESTIMATE: Duration = Duration::from_millis(200);

/// The harness's own share, as `env.json` tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Harness {
    /// The smallest step of the clock that times samples.
    pub(super) timer_resolution_ns: u64,
    /// Wall time of a run of empty tasks divided by their number, by strategy.
    pub(super) empty_task_ns: BTreeMap<String, f64>,
    /// Median of what a request takes beside the work that it times.
    pub(super) request_ns: Option<u64>,
}

impl Harness {
    /// Measures with the trials in `helpers` that are ours.
    pub(super) fn measure(session: &mut Session<'_>, helpers: &mut Helpers) -> Result<Self, Stop> {
        let names: Vec<String> = helpers.keys().filter(|name| session.is_built_in(name)).cloned().collect();
        let mut harness = Self { timer_resolution_ns: ns(probe::timer_resolution()), ..Self::default() };
        let mut requests = Vec::new();
        for name in names {
            let many = request(session, &name, TASKS, true);
            if let Asked::Done { measured, .. } = ask(session, helpers, &name, many)? {
                let each = measured.wall_ns as f64 / f64::from(TASKS);
                harness.empty_task_ns.insert(name.clone(), (each * 10.0).round() / 10.0);
            }
            for _ in 0..REQUESTS {
                let one = request(session, &name, 1, false);
                if let Asked::Done { overhead_ns, .. } = ask(session, helpers, &name, one)? {
                    requests.push(overhead_ns);
                }
            }
        }
        requests.sort_unstable();
        harness.request_ns = requests.get(requests.len() / 2).copied();
        Ok(harness)
    }
}

fn ask(
    session: &mut Session<'_>,
    helpers: &mut Helpers,
    name: &str,
    request: Request,
) -> Result<Asked, Stop> {
    session.send(helpers, name, request, "an empty task", ESTIMATE)
}

/// Asks for `tasks` tasks that do nothing.
fn request(session: &Session<'_>, strategy: &str, tasks: u32, warmup: bool) -> Request {
    Request {
        schema: protocol::SCHEMA,
        id: 0,
        workload: "empty".to_owned(),
        params: BTreeMap::new(),
        tasks,
        batch: 1,
        seed: session.seed,
        workers: session.exp.strategies.workers_of(strategy),
        jobs_per_worker: session.exp.strategies.jobs_per_worker_of(strategy),
        server: None,
        spin_per_us: None,
        warmup,
        rate: None,
        trace: false,
        startup: Startup::Excluded,
    }
}
