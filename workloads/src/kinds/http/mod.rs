//! Kind `http`: a task sends one GET to the test server, waits for the answer, and reads it.
//!
//! Two clients do the same: `client_async` is hyper on the streams of the runtime that it runs on, `client_blocking` is ureq. They send
//! the same headers, use buffers of the same size, keep their connections alive, and give up after the same time.
//! A body is 16 hexadecimal digits that depend on seed and task: the client compares them with what it expects, and
//! returns what it read as the digest.

mod client_async;
mod client_blocking;
pub mod server;
mod stall;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Kind;
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// How long a client waits beyond the delay that it asked for before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a right body.
const BODY_BYTES: usize = 16;
/// Bytes of a body after which a client stops reading.
const BODY_LIMIT: usize = 1024;
/// Bytes of each buffer of a connection, for reading and for writing: hyper's own size.
const BUFFER_BYTES: usize = 8192;

/// What the server answers to task `task`: a function of seed and task, so that the digest proves that this very
/// answer was read.
fn body(seed: u64, task: u32) -> String {
    format!("{:016x}", word(seed, u64::from(task)))
}

/// Both clients of one server. Connections open on first use; dropping the clients closes them.
#[derive(Debug)]
pub(crate) struct Clients {
    server: SocketAddr,
    asynchronous: client_async::Client,
    blocking: client_blocking::Client,
}

impl Clients {
    /// Clients that keep up to `connections` idle connections each.
    pub(crate) fn new(server: SocketAddr, connections: u32) -> Self {
        Self {
            server,
            asynchronous: client_async::Client::new(server),
            blocking: client_blocking::Client::new(connections as usize),
        }
    }
}

/// The requests of one workload.
#[derive(Debug)]
pub(crate) struct Http {
    clients: Arc<Clients>,
    delay_us: u64,
    seed: u64,
    limit: Duration,
}

/// What came back: the status and the body.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Why nothing usable came back.
enum Failure {
    Transport(String),
    Timeout,
    /// More than [`BODY_LIMIT`] bytes.
    Endless,
}

impl Kind for Http {
    const INFO: KindInfo = KindInfo {
        about: "a task sends one HTTP/1.1 GET over loopback TCP to a server in another process, which answers after a delay, and reads the answer",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "delay_ms",
                about: "how long the server waits before it answers; 0 answers at once",
                value: ParamKind::Float { min: 0.0, max: 60_000.0 },
                default: Some(DefaultValue::Float(1.0)),
            },
        ],
        needs_server: true,
        ..KindInfo::new("http", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let server = setup.server()?;
        let clients = relative
            .map_or_else(|| Arc::new(Clients::new(server, setup.tasks())), |http| Arc::clone(&http.clients));
        Ok(Self::new(clients, setup.params.number("delay_ms")?, setup.seed()))
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let url = format!("http://{}{}", self.clients.server, self.target(task));
        let answer = self.clients.blocking.get(&url, self.limit);
        self.digest(task, answer)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        let exchange = Box::pin(self.clients.asynchronous.get::<R>(self.target(task)));
        let answer = R::timeout(self.limit, exchange).await.unwrap_or(Err(Failure::Timeout));
        self.digest(task, answer)
    }

    fn estimate_us(params: &Params) -> f64 {
        // A round trip over loopback between two processes, and what a timer adds.
        params.guess("delay_ms") * 1000.0 + 150.0
    }
}

impl Http {
    fn new(clients: Arc<Clients>, delay_ms: f64, seed: u64) -> Self {
        let delay_us = (delay_ms * 1000.0).round() as u64;
        Self { clients, delay_us, seed, limit: PATIENCE + Duration::from_micros(delay_us) }
    }

    fn target(&self, task: u32) -> String {
        format!("/delay?us={}&n={task}&seed={}", self.delay_us, self.seed)
    }

    /// Accepts only this task's answer.
    fn digest(&self, task: u32, answer: Result<Answer, Failure>) -> Result<u64, WorkloadError> {
        let server = || self.clients.server.to_string();
        let answer = answer.map_err(|failure| match failure {
            Failure::Transport(reason) => WorkloadError::Transport { task, server: server(), reason },
            Failure::Timeout => WorkloadError::Timeout { task, server: server(), limit: self.limit },
            Failure::Endless => {
                let reason = format!("longer than {BODY_LIMIT} bytes, expected {BODY_BYTES}");
                WorkloadError::Body { task, server: server(), reason }
            }
        })?;
        if answer.status != 200 {
            return Err(WorkloadError::Status { task, server: server(), status: answer.status });
        }
        let read = std::str::from_utf8(&answer.body)
            .ok()
            .filter(|text| text.len() == BODY_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|text| u64::from_str_radix(text, 16).ok());
        let expected = word(self.seed, u64::from(task));
        match read {
            Some(digest) if digest == expected => Ok(digest),
            _ => {
                let found = String::from_utf8_lossy(&answer.body);
                let reason = format!("found {found:?}, expected \"{expected:016x}\"");
                Err(WorkloadError::Body { task, server: server(), reason })
            }
        }
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
        let http = Http { limit: Duration::from_millis(20), ..Http::new(clients, 0.0, 1) };
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
    fn delays_are_rounded_to_microseconds() {
        let clients = Arc::new(Clients::new("127.0.0.1:9".parse().unwrap(), 1));
        assert_eq!(Http::new(Arc::clone(&clients), 0.2504, 1).target(5), "/delay?us=250&n=5&seed=1");
        assert_eq!(Http::new(clients, 0.2505, 1).target(0), "/delay?us=251&n=0&seed=1");
    }
}
