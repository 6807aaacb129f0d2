//! Kind `websocket`: a task sits in a chat room, says something, waits until the room has heard it, and goes on.
//!
//! Two clients of the same library do the same: async-tungstenite on the streams of the runtime that it runs on, and
//! tungstenite on a blocking socket. The connection, hands shaken, is kept for the next task.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{self, Error, HandshakeError, Message, WebSocket};
use async_tungstenite::{WebSocketStream, client_async_with_config};
use futures_util::StreamExt;

use super::Kind;
use super::http::{self, PATIENCE, whole_us};
use super::idle::{Idle, IdleBlocking};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::{fold, random_bytes, word};
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Characters that tell a message from all others.
const STAMP_CHARS: usize = 16;
/// The longest message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a connection's buffer for reading: that of the HTTP clients.
const BUFFER_BYTES: usize = 8192;

/// Limits and buffers of both sides.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(BUFFER_BYTES)
}

/// What is said in one workload, and the connections.
#[derive(Debug)]
pub(crate) struct Chat {
    server: SocketAddr,
    url: String,
    seed: u64,
    messages: u64,
    /// A message without its stamp.
    filler: String,
    limit: Duration,
    idle: Idle,
    idle_blocking: IdleBlocking<WebSocket<TcpStream>>,
}

impl Kind for Chat {
    const INFO: KindInfo = KindInfo {
        about: "a task says messages in a chat room over WebSocket, one after another, and reads each one back from a server in another process",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "messages",
                about: "messages of a task, each said when the one before has come back",
                value: ParamKind::Int { min: 1, max: 100_000 },
                default: Some(DefaultValue::Int(5)),
            },
            ParamInfo {
                name: "message_bytes",
                about: "length of a message",
                value: ParamKind::Int { min: STAMP_CHARS as i64, max: MESSAGE_BYTES_MAX as i64 },
                default: Some(DefaultValue::Int(64)),
            },
            http::delay_ms("how long the server waits before it sends a message back; 0 does so at once"),
        ],
        needs_server: true,
        ..KindInfo::new("websocket", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let (server, params) = (setup.server()?, &setup.params);
        let bytes = params.count("message_bytes")?;
        let delay_us = whole_us(params.number("delay_ms")?);
        let messages = params.count("messages")? as u64;
        let mut filler: String =
            random_bytes(setup.seed(), bytes.div_ceil(2)).iter().map(|byte| format!("{byte:02x}")).collect();
        filler.truncate(bytes);
        Ok(Self {
            server,
            url: format!("ws://{server}/chat?us={delay_us}"),
            seed: setup.seed(),
            messages,
            filler,
            limit: PATIENCE + Duration::from_micros(delay_us.saturating_mul(messages)),
            idle: Idle::default(),
            idle_blocking: IdleBlocking::default(),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let failed = |error| self.failed(task, error);
        let mut room = match self.idle_blocking.take() {
            Some(room) => room,
            None => self.enter_blocking().map_err(failed)?,
        };
        let mut digest = 0;
        for number in self.numbers(task) {
            let said = self.message(number);
            room.send(Message::text(said.clone())).map_err(failed)?;
            let heard = room.read().map_err(failed)?;
            digest = fold(digest, self.check(task, &said, &heard)?);
        }
        self.idle_blocking.put(room);
        Ok(digest)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        let talk = Box::pin(R::timeout(self.limit, self.talk::<R>(task)));
        talk.await.unwrap_or_else(|| Err(self.failed(task, Error::Io(io::ErrorKind::TimedOut.into()))))
    }

    fn estimate_us(params: &Params) -> f64 {
        params.guess("messages") * (params.guess("delay_ms") * 1000.0 + 80.0)
    }

    fn input_bytes(&self) -> usize {
        self.filler.len()
    }
}

impl Chat {
    /// The numbers of a task's messages.
    fn numbers(&self, task: u32) -> std::ops::Range<u64> {
        let first = u64::from(task) * self.messages;
        first..first + self.messages
    }

    fn message(&self, number: u64) -> String {
        let stamp = word(self.seed, number);
        format!("{stamp:016x}{}", &self.filler[STAMP_CHARS..])
    }

    fn enter_blocking(&self) -> Result<WebSocket<TcpStream>, Error> {
        let stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.limit))?;
        stream.set_write_timeout(Some(self.limit))?;
        match tungstenite::client::client_with_config(self.url.as_str(), stream, Some(limits())) {
            Ok((room, _)) => Ok(room),
            Err(HandshakeError::Failure(error)) => Err(error),
            Err(HandshakeError::Interrupted(_)) => Err(Error::Io(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn enter<R: AsyncRuntime>(&self) -> Result<WebSocketStream<R::Stream>, Error> {
        let stream = R::connect(self.server).await?;
        let (room, _) = client_async_with_config(self.url.as_str(), stream, Some(limits())).await?;
        Ok(room)
    }

    /// The task in async style. A dropped future closes its connection.
    async fn talk<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        let failed = |error| self.failed(task, error);
        let mut room = match self.idle.take::<R, WebSocketStream<R::Stream>>() {
            Some(room) => room,
            None => self.enter::<R>().await.map_err(failed)?,
        };
        let mut digest = 0;
        for number in self.numbers(task) {
            let said = self.message(number);
            room.send(Message::text(said.clone())).await.map_err(failed)?;
            let heard = room.next().await.unwrap_or(Err(Error::ConnectionClosed)).map_err(failed)?;
            digest = fold(digest, self.check(task, &said, &heard)?);
        }
        self.idle.put::<R, WebSocketStream<R::Stream>>(room);
        Ok(digest)
    }

    /// The stamp of what was heard, if that is what was said.
    fn check(&self, task: u32, said: &str, heard: &Message) -> Result<u64, WorkloadError> {
        let wrong = |reason| WorkloadError::Body { task, server: self.server.to_string(), reason };
        let text = match heard {
            Message::Text(text) => text.as_str(),
            other => return Err(wrong(format!("not a text but {other:?}"))),
        };
        match text.get(..STAMP_CHARS).and_then(|stamp| u64::from_str_radix(stamp, 16).ok()) {
            Some(stamp) if text == said => Ok(stamp),
            _ => Err(wrong(format!("heard {:?}, said {:?}", excerpt(text), excerpt(said)))),
        }
    }

    fn failed(&self, task: u32, error: Error) -> WorkloadError {
        let server = self.server.to_string();
        match error {
            Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                WorkloadError::Timeout { task, server, limit: self.limit }
            }
            error => WorkloadError::Transport { task, server, reason: error.to_string() },
        }
    }
}

/// The start of a message.
fn excerpt(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}
