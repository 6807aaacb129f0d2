//! The blocking client: a ureq agent that never has to close a connection, shared by all threads.
//!
//! ureq checks an idle connection before it uses it (a read that must not find anything), as a client that lives
//! for long has to. It walks over all idle connections at each request, so its pool is meant for hundreds of them.

use std::io::{self, Read};
use std::time::Duration;

use ureq::Agent;

use super::{BUFFER_BYTES, Failure, IGNORED_BYTES_MAX, PATIENCE, Sink, Whole};

/// How long an idle connection may be kept: longer than any run.
const IDLE_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
}

impl Client {
    /// A client that keeps up to `connections` idle connections.
    pub(super) fn new(connections: usize) -> Self {
        let config = Agent::config_builder()
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .max_idle_age(IDLE_AGE)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .no_delay(true)
            // The environment's proxy is not for a server on this machine.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // The same bare request as the async client sends.
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .timeout_connect(Some(PATIENCE))
            .build();
        Self { agent: Agent::new_with_config(config) }
    }

    /// Sends a GET and reads the whole answer: the status, and the pieces of a good answer's body into `sink` as they
    /// arrive. Gives up when `limit` passes without a byte.
    pub(super) fn get(&self, url: &str, limit: Duration, sink: &mut impl Sink) -> Result<u16, Failure> {
        // A limit per read is set once per connection. One over the whole call would cost system calls at each read,
        // and a thread for looking up the address.
        let request = self.agent.get(url).config().timeout_per_read(Some(limit)).build();
        let mut response = request.call().map_err(failure)?;
        let status = response.status().as_u16();
        let mut body = response.body_mut().as_reader();
        let mut buffer = [0; BUFFER_BYTES];
        let mut ignored = Whole::new(IGNORED_BYTES_MAX);
        loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(status),
                Ok(bytes) if status == 200 => sink.take(&buffer[..bytes])?,
                Ok(bytes) => ignored.take(&buffer[..bytes])?,
                Err(error) => return Err(failure(error.into())),
            }
        }
    }
}

fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::Timeout,
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => Failure::Timeout,
        other => Failure::Transport(other.to_string()),
    }
}
