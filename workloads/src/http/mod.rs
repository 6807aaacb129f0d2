//! Kind `http`: a task sends one GET to the test server, waits for the answer, and reads it.
//!
//! Two clients do the same: `client_async` is hyper on our runtime's streams, `client_blocking` is ureq. They send
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

use crate::WorkloadError;
use crate::checksum::word;

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

impl Http {
    pub(crate) fn prepare(clients: Arc<Clients>, delay_ms: f64, seed: u64) -> Self {
        let delay_us = (delay_ms * 1000.0).round() as u64;
        Self { clients, delay_us, seed, limit: PATIENCE + Duration::from_micros(delay_us) }
    }

    /// The clients that this workload uses.
    pub(crate) fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// One request in blocking style.
    pub(crate) fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let url = format!("http://{}{}", self.clients.server, self.target(task));
        let answer = self.clients.blocking.get(&url, self.limit);
        self.digest(task, answer)
    }

    /// One request in async style. Dropping the future closes the connection in use.
    pub(crate) async fn run_async(&self, task: u32) -> Result<u64, WorkloadError> {
        let exchange = self.clients.asynchronous.get(self.target(task));
        let answer = match crossover_runtime::time::timeout(self.limit, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Failure::Timeout),
        };
        self.digest(task, answer)
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

    /// A listener that nobody accepts from: clients connect, send, and wait.
    #[test]
    fn a_server_that_does_not_answer_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clients = Arc::new(Clients::new(silent.local_addr().unwrap(), 1));
        let http = Http { limit: Duration::from_millis(20), ..Http::prepare(clients, 0.0, 1) };
        let runtime = crossover_runtime::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for error in [http.run_blocking(3).unwrap_err(), runtime.block_on(http.run_async(3)).unwrap_err()] {
            assert!(matches!(error, WorkloadError::Timeout { task: 3, .. }), "{error}");
            assert!(error.to_string().contains("within 20ms"), "{error}");
        }
    }

    #[test]
    fn delays_are_rounded_to_microseconds() {
        let clients = Arc::new(Clients::new("127.0.0.1:9".parse().unwrap(), 1));
        assert_eq!(Http::prepare(Arc::clone(&clients), 0.2504, 1).target(5), "/delay?us=250&n=5&seed=1");
        assert_eq!(Http::prepare(clients, 0.2505, 1).target(0), "/delay?us=251&n=0&seed=1");
    }
}
