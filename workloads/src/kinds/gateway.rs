//! Kind `gateway`: a task asks several backends at once, which answer after different delays, and folds their answers, as
//! a gateway in front of services does.
//!
//! The async form awaits all requests together, in one task. The blocking form is what blocking programs do: a scoped thread
//! per backend. So a strategy that has one thread for its tasks still asks all backends of one task at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Kind;
use super::http::{self, Clients, PATIENCE, Whole, whole_us};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{fold, word};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// More than any right answer.
const BODY_LIMIT: usize = 1024;
/// Backends at most; with as many tasks as there may be their numbers fit into 32 bits.
const BACKENDS_MAX: i64 = 100;

/// The requests of one workload.
#[derive(Debug)]
pub(crate) struct Gateway {
    clients: Arc<Clients>,
    seed: u64,
    delay_ms: f64,
    backends: u32,
    limit: Duration,
}

impl Kind for Gateway {
    const INFO: KindInfo = KindInfo {
        about: "a task asks several backends in another process at once, over HTTP/1.1, and folds their answers; backend i of k answers after i/k of the delay",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "backends",
                about: "requests of a task, all at once; blocking code has a thread for each",
                value: ParamKind::Int { min: 1, max: BACKENDS_MAX },
                default: Some(DefaultValue::Int(5)),
            },
            http::delay_ms("how long the slowest backend waits before it answers; the others a share of it"),
        ],
        needs_server: true,
        ..KindInfo::new("gateway", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let delay_ms = setup.params.number("delay_ms")?;
        let backends = u32::try_from(setup.params.count("backends")?).unwrap_or(1);
        // Its relatives have as many tasks, but other numbers of backends.
        let relative = relative.filter(|other| other.backends == backends);
        let clients = match relative {
            Some(other) => Arc::clone(&other.clients),
            None => Arc::new(Clients::new(setup.server()?, setup.tasks().saturating_mul(backends))),
        };
        let limit = PATIENCE + Duration::from_micros(whole_us(delay_ms));
        Ok(Self { clients, seed: setup.seed(), delay_ms, backends, limit })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..self.backends)
                .map(|backend| {
                    let ask = move || self.ask_blocking(task, backend);
                    std::thread::Builder::new().spawn_scoped(scope, ask)
                })
                .collect();
            asked.into_iter().map(|thread| joined(task, thread)).collect()
        });
        fold_all(answers)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        let answers =
            Box::pin(join_all((0..self.backends).map(|backend| self.ask::<R>(task, backend)))).await;
        fold_all(answers)
    }

    fn estimate_us(params: &Params) -> f64 {
        params.guess("delay_ms") * 1000.0 + 150.0 * params.guess("backends")
    }
}

impl Gateway {
    /// The number of a task's request to a backend.
    fn number(&self, task: u32, backend: u32) -> u32 {
        task * self.backends + backend
    }

    fn target(&self, task: u32, backend: u32) -> String {
        let share = f64::from(backend + 1) / f64::from(self.backends);
        let us = whole_us(self.delay_ms * share);
        format!("/delay?us={us}&n={}&seed={}", self.number(task, backend), self.seed)
    }

    fn ask_blocking(&self, task: u32, backend: u32) -> Result<u64, WorkloadError> {
        let mut body = Whole::new(BODY_LIMIT);
        let target = self.target(task, backend);
        let status = self.clients.get_blocking(task, &target, self.limit, &mut body)?;
        self.read(task, backend, status, &body)
    }

    async fn ask<R: AsyncRuntime>(&self, task: u32, backend: u32) -> Result<u64, WorkloadError> {
        let mut body = Whole::new(BODY_LIMIT);
        let target = self.target(task, backend);
        let status = self.clients.get::<R>(task, &target, self.limit, &mut body).await?;
        self.read(task, backend, status, &body)
    }

    fn read(&self, task: u32, backend: u32, status: u16, body: &Whole) -> Result<u64, WorkloadError> {
        self.clients.expect_ok(task, status)?;
        let expected = word(self.seed, u64::from(self.number(task, backend)));
        http::read_body(body.bytes(), expected).map_err(|reason| self.clients.wrong_body(task, reason))
    }
}

/// What a thread that may not have been started has brought.
fn joined(
    task: u32,
    thread: std::io::Result<std::thread::ScopedJoinHandle<'_, Result<u64, WorkloadError>>>,
) -> Result<u64, WorkloadError> {
    let failed = |reason: String| WorkloadError::Storage { task, what: "a thread for a backend", reason };
    let thread = thread.map_err(|error| failed(error.to_string()))?;
    thread.join().unwrap_or_else(|_| Err(failed("it panicked".to_owned())))
}

/// The digest of a task, from the answers in the order of the backends.
fn fold_all(answers: Vec<Result<u64, WorkloadError>>) -> Result<u64, WorkloadError> {
    answers.into_iter().try_fold(0, |digest, answer| Ok(fold(digest, answer?)))
}
