//! The async client: hyper's HTTP/1.1 connections on the runtime's streams, with a pool that never closes one.
//!
//! A connection is polled by the task that uses it: see [`beside`]. That the server has closed an idle one is noticed at its
//! next use, which then opens another one. The pool is [`Idle`].

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;

use crate::AsyncRuntime;
use crate::kinds::beside::{Mover, beside};
use crate::kinds::idle::Idle;

use super::{BUFFER_BYTES, Failure, IGNORED_BYTES_MAX, Sink, Whole};

/// Halves of the same connection: one takes requests, the other moves bytes when polled.
struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    mover: Mover,
}

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Client {
    server: SocketAddr,
    host: String,
    idle: Idle,
}

impl Client {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, host: server.to_string(), idle: Idle::default() }
    }

    /// Sends a GET and reads the whole answer: the status, and the pieces of a good answer's body into `sink` as they
    /// arrive. No limit in time: the caller sets it.
    ///
    /// Cancel safety: a dropped future drops its connection; no later request sees half an answer.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(super) async fn get<R: AsyncRuntime>(
        &self,
        target: &str,
        sink: &mut impl Sink,
    ) -> Result<u16, Failure> {
        loop {
            let idle = self.idle.take::<R, Connection>();
            let reused = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connect::<R>().await.map_err(Failure::Transport)?,
            };
            let mut begun = false;
            match connection.exchange(self.request(target)?, sink, &mut begun).await {
                Ok(status) => {
                    if !connection.sender.is_closed() {
                        self.idle.put::<R, Connection>(connection);
                    }
                    return Ok(status);
                }
                // The server may have closed a connection while it was idle. A GET may be sent again, on the next
                // idle connection or, when all of them are gone, on a new one.
                Err(Failure::Transport(_)) if reused && !begun => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn connect<R: AsyncRuntime>(&self) -> Result<Connection, String> {
        let stream = R::connect(self.server).await.map_err(|e| e.to_string())?;
        let (sender, mover) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(R::for_hyper(stream))
            .await
            .map_err(|e| e.to_string())?;
        let mover = async move { mover.await.map_err(|error| describe(&error)) };
        Ok(Connection { sender, mover: Box::pin(mover) })
    }

    fn request(&self, target: &str) -> Result<Request<Empty<Bytes>>, Failure> {
        Request::get(target)
            .header(hyper::header::HOST, self.host.as_str())
            .body(Empty::new())
            .map_err(|e| Failure::Transport(e.to_string()))
    }
}

impl Connection {
    /// `begun` tells whether a piece of the body has reached `sink`.
    async fn exchange(
        &mut self,
        request: Request<Empty<Bytes>>,
        sink: &mut impl Sink,
        begun: &mut bool,
    ) -> Result<u16, Failure> {
        let Self { sender, mover } = self;
        let exchange = async move {
            sender.ready().await.map_err(transport)?;
            let response = sender.send_request(request).await.map_err(transport)?;
            let status = response.status().as_u16();
            let mut body = response.into_body();
            let mut ignored = Whole::new(IGNORED_BYTES_MAX);
            while let Some(frame) = body.frame().await {
                match (frame.map_err(transport)?.data_ref(), status) {
                    (Some(piece), 200) => {
                        *begun = true;
                        sink.take(piece)?;
                    }
                    (Some(piece), _) => ignored.take(piece)?,
                    (None, _) => {}
                }
            }
            Ok(status)
        };
        beside(exchange, mover).await.unwrap_or_else(|reason| Err(Failure::Transport(reason)))
    }
}

fn transport(error: hyper::Error) -> Failure {
    Failure::Transport(describe(&error))
}

fn describe(error: &hyper::Error) -> String {
    // hyper says what it was doing, the source says what the system answered.
    let cause = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
    format!("{error}{cause}")
}
