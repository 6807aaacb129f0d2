//! The async client: hyper's HTTP/1.1 connections on the runtime's streams, with a pool that never closes one.
//!
//! A connection is polled by the task that uses it, beside the exchange itself: no task per connection, so that a
//! request costs no hop between tasks. An idle connection is polled by nobody; that the server has closed it is
//! noticed at the next use, which then opens another one.
//!
//! The pool is a stack behind a lock that is held for a push or a search only: the connection that was used last is
//! used next. A connection belongs to the runtime that opened it, whose driver reports what arrives; another runtime
//! opens its own, because nobody may be turning the first one's driver.

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;

use crate::AsyncRuntime;

use super::{Answer, BODY_LIMIT, BUFFER_BYTES, Failure};

/// Halves of the same connection: one takes requests, the other moves bytes when polled.
struct Connection {
    /// An [`AsyncRuntime::Id`].
    runtime: Box<dyn Any + Send>,
    sender: http1::SendRequest<Empty<Bytes>>,
    mover: Mover,
}

/// A connection of hyper's, whatever its stream: which runtime will open it is not known when the client is made.
type Mover = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// See the module's comment.
pub(super) struct Client {
    server: SocketAddr,
    host: String,
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).field("idle", &self.idle().len()).finish()
    }
}

impl Client {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, host: server.to_string(), idle: Mutex::new(Vec::new()) }
    }

    /// Sends a GET and reads the whole answer. No limit in time: the caller sets it.
    ///
    /// Cancel safety: a dropped future drops its connection; no later request sees half an answer.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(super) async fn get<R: AsyncRuntime>(&self, target: String) -> Result<Answer, Failure> {
        loop {
            let idle = self.take_idle::<R>();
            let reused = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connect::<R>().await.map_err(Failure::Transport)?,
            };
            match connection.exchange(self.request(&target)?).await {
                Ok(answer) => {
                    if !connection.sender.is_closed() {
                        self.idle().push(connection);
                    }
                    return Ok(answer);
                }
                // The server may have closed a connection while it was idle. A GET may be sent again, on the next
                // idle connection or, when all of them are gone, on a new one.
                Err(Failure::Transport(_)) if reused => {}
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
        Ok(Connection { runtime: Box::new(R::id()), sender, mover: Box::pin(mover) })
    }

    fn request(&self, target: &str) -> Result<Request<Empty<Bytes>>, Failure> {
        Request::get(target)
            .header(hyper::header::HOST, self.host.as_str())
            .body(Empty::new())
            .map_err(|e| Failure::Transport(e.to_string()))
    }

    /// The connection of this runtime that was used last: the last of all, unless runtimes share the client.
    fn take_idle<R: AsyncRuntime>(&self) -> Option<Connection> {
        let here = Some(R::id());
        let mut idle = self.idle();
        let place = idle.iter().rposition(|connection| connection.runtime.downcast_ref() == here.as_ref())?;
        Some(idle.remove(place))
    }

    /// The idle connections. A panic elsewhere cannot leave the stack half changed.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    async fn exchange(&mut self, request: Request<Empty<Bytes>>) -> Result<Answer, Failure> {
        let Self { sender, mover, .. } = self;
        let exchange = pin!(async move {
            sender.ready().await.map_err(transport)?;
            let response = sender.send_request(request).await.map_err(transport)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await.map_err(|e| {
                if e.is::<LengthLimitError>() { Failure::Endless } else { Failure::Transport(e.to_string()) }
            })?;
            Ok(Answer { status, body: body.to_bytes().to_vec() })
        });
        Both { exchange, mover }.await
    }
}

fn transport(error: hyper::Error) -> Failure {
    // hyper says what it was doing, the source says what the system answered.
    let cause = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
    Failure::Transport(format!("{error}{cause}"))
}

/// An exchange, and the connection that moves its bytes.
struct Both<'a, F> {
    exchange: Pin<&'a mut F>,
    mover: &'a mut Mover,
}

impl<F: Future<Output = Result<Answer, Failure>>> Future for Both<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // One half wakes the other: the head of an answer first, its body after the exchange has asked for it. Taking
        // turns finishes an answer that is already here in one poll instead of three.
        for _ in 0..2 {
            if let Poll::Ready(answer) = self.exchange.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if let Poll::Ready(end) = self.mover.as_mut().poll(cx) {
                // Nothing moves any more: what the exchange has not got by now, it will never get.
                return match (self.exchange.as_mut().poll(cx), end) {
                    (Poll::Ready(answer), _) => Poll::Ready(answer),
                    (Poll::Pending, Err(error)) => Poll::Ready(Err(transport(error))),
                    (Poll::Pending, Ok(())) => {
                        Poll::Ready(Err(Failure::Transport("the connection was closed".to_owned())))
                    }
                };
            }
        }
        self.exchange.as_mut().poll(cx)
    }
}
