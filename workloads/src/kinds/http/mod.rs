//! Kind `http`: a task sends one GET to the test server, waits for the answer, and reads it.
//!
//! Two clients do the same: `client_async` is hyper on the streams of the runtime that it runs on, `client_blocking` is ureq. They send
//! the same headers, use buffers of the same size, keep their connections alive, and give up after the same time.
//! A body is 16 hexadecimal digits that depend on seed and task: the client compares them with what it expects, and
//! returns what it read as the digest.

mod client_async;
mod client_blocking;
mod clients;
mod delays;
pub mod server;
mod stall;

use std::sync::Arc;
use std::time::Duration;

use clients::{BUFFER_BYTES, IGNORED_BYTES_MAX};
pub(crate) use clients::{Clients, Failure, PATIENCE, Sink, Whole};
use delays::Delays;

use super::Kind;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Bytes of a right body.
const BODY_BYTES: usize = 16;
/// Bytes of a body after which a client stops reading.
const BODY_LIMIT: usize = 1024;

/// What the server answers to task `task`: a function of seed and task, so that the digest proves that this very
/// answer was read.
fn body(seed: u64, task: u32) -> String {
    format!("{:016x}", word(seed, u64::from(task)))
}

/// The parameter that says how long the server waits.
pub(crate) const fn delay_ms(about: &'static str) -> ParamInfo {
    ParamInfo {
        name: "delay_ms",
        about,
        value: ParamKind::Float { min: 0.0, max: 60_000.0 },
        default: Some(DefaultValue::Float(1.0)),
    }
}

/// Milliseconds in whole microseconds, as requests carry them: halves are rounded up.
pub(crate) fn whole_us(ms: f64) -> u64 {
    (ms * 1000.0).round() as u64
}

/// The requests of one workload.
#[derive(Debug)]
pub(crate) struct Http {
    clients: Arc<Clients>,
    seed: u64,
    delays: Delays,
    /// Requests that the server works on at once; 0: all.
    capacity: usize,
    /// Of how many requests one fails at first; 0: none.
    error_every: usize,
    patience: Duration,
}

impl Kind for Http {
    const INFO: KindInfo = KindInfo {
        about: "a task sends one HTTP/1.1 GET over loopback TCP to a server in another process, which answers after a delay, and reads the answer",
        params: &[
            catalog::tasks(10_000),
            delay_ms("how long the server waits before it answers, on average; 0 answers at once"),
            ParamInfo {
                name: "delay_distribution",
                about: "how the delays are spread around delay_ms; drawn by seed and task, so the same for every strategy",
                value: ParamKind::Choice(Delays::NAMES),
                default: Some(DefaultValue::Text("constant")),
            },
            ParamInfo {
                name: "capacity",
                about: "requests that the server works on at once, while the others queue there; 0 has no limit",
                value: ParamKind::Int { min: 0, max: 10_000 },
                default: Some(DefaultValue::Int(0)),
            },
            ParamInfo {
                name: "error_every",
                about: "of so many tasks one is refused with 503 at its first try, and tries again; 0 refuses none",
                value: ParamKind::Int { min: 0, max: 1_000_000 },
                default: Some(DefaultValue::Int(0)),
            },
        ],
        needs_server: true,
        ..KindInfo::new("http", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let clients = Clients::shared(setup, relative.map(|http| &http.clients))?;
        let params = &setup.params;
        let delays =
            Delays::new(params.text("delay_distribution")?, params.number("delay_ms")?, setup.seed());
        Ok(Self {
            capacity: params.count("capacity")?,
            error_every: params.count("error_every")?,
            ..Self::new(clients, delays, setup.seed(), setup.tasks())
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let mut attempt = 0;
        loop {
            let mut body = Whole::new(BODY_LIMIT);
            let status =
                self.clients.get_blocking(task, &self.target(task, attempt), self.limit(task), &mut body)?;
            if !self.must_retry(status, attempt) {
                return self.digest(task, status, &body);
            }
            attempt += 1;
        }
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        let mut attempt = 0;
        loop {
            let target = self.target(task, attempt);
            // Boxed, because of its size: see the table of kinds.
            let (status, body) = Box::pin(async {
                let mut body = Whole::new(BODY_LIMIT);
                let status = self.clients.get::<R>(task, &target, self.limit(task), &mut body).await?;
                Ok((status, body))
            })
            .await?;
            if !self.must_retry(status, attempt) {
                return self.digest(task, status, &body);
            }
            attempt += 1;
        }
    }

    fn estimate_us(params: &Params) -> f64 {
        // A round trip over loopback between two processes, and what a timer adds.
        params.guess("delay_ms") * 1000.0 + 150.0
    }
}

impl Http {
    fn new(clients: Arc<Clients>, delays: Delays, seed: u64, tasks: u32) -> Self {
        // Where the server has a capacity, a task may wait for all others.
        let queue = Duration::from_micros(delays.mean_us()).saturating_mul(tasks);
        Self { clients, seed, delays, capacity: 0, error_every: 0, patience: PATIENCE + queue }
    }

    fn limit(&self, task: u32) -> Duration {
        self.patience + Duration::from_micros(self.delays.us(task))
    }

    /// What is asked for. Parameters that do nothing are not sent.
    fn target(&self, task: u32, attempt: u32) -> String {
        let mut target = format!("/delay?us={}&n={task}&seed={}", self.delays.us(task), self.seed);
        if self.capacity > 0 {
            target += &format!("&capacity={}", self.capacity);
        }
        if self.error_every > 0 {
            target += &format!("&every={}&try={attempt}", self.error_every);
        }
        target
    }

    /// Whether a refusal is one that was asked for.
    fn must_retry(&self, status: u16, attempt: u32) -> bool {
        status == 503 && attempt == 0 && self.error_every > 0
    }

    /// Accepts only this task's answer.
    fn digest(&self, task: u32, status: u16, body: &Whole) -> Result<u64, WorkloadError> {
        self.clients.expect_ok(task, status)?;
        read_body(body.bytes(), word(self.seed, u64::from(task)))
            .map_err(|reason| self.clients.wrong_body(task, reason))
    }
}

/// The number that a body says, if it is the expected one.
pub(crate) fn read_body(body: &[u8], expected: u64) -> Result<u64, String> {
    let read = std::str::from_utf8(body)
        .ok()
        .filter(|text| text.len() == BODY_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|text| u64::from_str_radix(text, 16).ok());
    match read {
        Some(digest) if digest == expected => Ok(digest),
        _ => Err(format!("found {:?}, expected \"{expected:016x}\"", String::from_utf8_lossy(body))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, Store, Value};

    #[test]
    fn clients_are_shared_within_a_server_and_a_number_of_tasks() {
        let spec = |tasks, delay| Spec {
            kind: "http".into(),
            params: [("delay_ms".to_owned(), Value::Int(delay))].into(),
            tasks,
            seed: 1,
            server: Some(std::net::SocketAddr::from(([127, 0, 0, 1], 9))),
            spin_per_us: None,
        };
        let mut store = Store::new();
        let mut clients = |tasks, delay| match store.get(&spec(tasks, delay)).unwrap().work() {
            crate::kinds::Work::Http(http) => Arc::clone(&http.clients),
            other => panic!("{other:?}"),
        };
        let first = clients(4, 1);
        assert!(Arc::ptr_eq(&first, &clients(4, 5)));
        assert!(!Arc::ptr_eq(&first, &clients(5, 5)));
    }

    /// A listener that nobody accepts from: clients connect, send, and wait.
    #[test]
    fn a_server_that_does_not_answer_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clients = Arc::new(Clients::new(silent.local_addr().unwrap(), 1));
        let delays = Delays::new("constant", 0.0, 1);
        let http = Http { patience: Duration::from_millis(20), ..Http::new(clients, delays, 1, 4) };
        let runtime = crossover_runtime::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for error in [
            http.run_blocking(3).unwrap_err(),
            runtime.block_on(http.run_async::<crate::Crossover>(3)).unwrap_err(),
        ] {
            assert!(matches!(error, WorkloadError::Timeout { task: 3, .. }), "{error}");
            assert!(error.to_string().contains("within 20ms"), "{error}");
        }
    }

    #[test]
    fn requests_carry_what_was_asked_for() {
        let clients = Arc::new(Clients::new("127.0.0.1:9".parse().unwrap(), 1));
        let http = |ms| Http::new(Arc::clone(&clients), Delays::new("constant", ms, 1), 1, 4);
        assert_eq!(http(0.2504).target(5, 0), "/delay?us=250&n=5&seed=1");
        assert_eq!(http(0.2505).target(0, 0), "/delay?us=251&n=0&seed=1");
        let http = Http { capacity: 3, error_every: 2, ..http(1.0) };
        assert_eq!(http.target(1, 1), "/delay?us=1000&n=1&seed=1&capacity=3&every=2&try=1");
        assert!(http.must_retry(503, 0) && !http.must_retry(503, 1) && !http.must_retry(500, 0));
    }
}
