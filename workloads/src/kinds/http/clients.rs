//! Both clients of one server, and what the kinds that speak HTTP have in common: limits, and errors in words.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{client_async, client_blocking};
use crate::params::Setup;
use crate::{AsyncRuntime, WorkloadError};

/// How long a client waits beyond the delay that it asked for before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of each buffer of a connection, for reading and for writing: hyper's own size.
pub(super) const BUFFER_BYTES: usize = 8192;
/// Bytes of the body of an answer other than 200, which nobody looks at.
pub(super) const IGNORED_BYTES_MAX: usize = 65_536;

/// Why nothing usable came back.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection was refused, reset or closed.
    Transport(String),
    /// Nothing came in time.
    Timeout,
    /// The body is not what it should be.
    Body(String),
}

/// Takes the body of an answer, piece by piece as it arrives. Where the pieces are cut says nothing.
pub(crate) trait Sink: Send {
    /// The next piece.
    ///
    /// # Errors
    /// [`Failure::Body`], which ends the reading.
    fn take(&mut self, piece: &[u8]) -> Result<(), Failure>;
}

/// A whole body in memory.
#[derive(Debug)]
pub(crate) struct Whole {
    bytes: Vec<u8>,
    limit: usize,
}

impl Whole {
    /// Of `limit` bytes at most.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// What has arrived.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Sink for Whole {
    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if self.bytes.len() + piece.len() > self.limit {
            return Err(Failure::Body(format!("longer than {} bytes", self.limit)));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
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

    /// Those of a relative, or new ones with a connection per task.
    ///
    /// # Errors
    /// [`WorkloadError::NeedsServer`].
    pub(crate) fn shared(
        setup: &Setup<'_>,
        relative: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, WorkloadError> {
        let server = setup.server()?;
        Ok(relative.map_or_else(|| Arc::new(Self::new(server, setup.tasks())), Arc::clone))
    }

    /// Sends a GET for `target` in blocking style. Returns the status; the body of an answer with 200 goes into `sink`.
    /// Gives up when `limit` passes without a byte.
    ///
    /// # Errors
    /// Those of [`WorkloadError::is_server`].
    pub(crate) fn get_blocking(
        &self,
        task: u32,
        target: &str,
        limit: Duration,
        sink: &mut impl Sink,
    ) -> Result<u16, WorkloadError> {
        let url = format!("http://{}{target}", self.server);
        self.blocking.get(&url, limit, sink).map_err(|failure| self.failed(task, failure, limit))
    }

    /// The same in async style. Gives up when the whole answer is not there within `limit`.
    ///
    /// Cancel safety: a dropped future closes its connection.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn get<R: AsyncRuntime>(
        &self,
        task: u32,
        target: &str,
        limit: Duration,
        sink: &mut impl Sink,
    ) -> Result<u16, WorkloadError> {
        let answer = R::timeout(limit, self.asynchronous.get::<R>(target, sink)).await;
        answer.unwrap_or(Err(Failure::Timeout)).map_err(|failure| self.failed(task, failure, limit))
    }

    /// Accepts no status but 200.
    ///
    /// # Errors
    /// [`WorkloadError::Status`].
    pub(crate) fn expect_ok(&self, task: u32, status: u16) -> Result<(), WorkloadError> {
        match status {
            200 => Ok(()),
            status => Err(WorkloadError::Status { task, server: self.server.to_string(), status }),
        }
    }

    /// The error of an answer that is not this task's.
    pub(crate) fn wrong_body(&self, task: u32, reason: String) -> WorkloadError {
        WorkloadError::Body { task, server: self.server.to_string(), reason }
    }

    fn failed(&self, task: u32, failure: Failure, limit: Duration) -> WorkloadError {
        let server = self.server.to_string();
        match failure {
            Failure::Transport(reason) => WorkloadError::Transport { task, server, reason },
            Failure::Timeout => WorkloadError::Timeout { task, server, limit },
            Failure::Body(reason) => self.wrong_body(task, reason),
        }
    }
}
