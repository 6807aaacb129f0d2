//! Kind `echo`: a task sends messages over raw TCP, one after another, and reads each one back.
//!
//! No protocol stands between the task and its socket: what is left is two system calls and a wake-up per message. The
//! connection is kept for the next task.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use super::Kind;
use super::http::PATIENCE;
use super::idle::{Idle, IdleBlocking};
use super::stamp::{STAMP_BYTES, Stamped};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::fold;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// The longest message.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 24;
/// What a connection begins with: a zero byte and the length of its messages.
pub(super) const PREAMBLE_BYTES: usize = 5;

/// The messages of one workload, and the connections that they go over.
#[derive(Debug)]
pub(crate) struct Echo {
    server: SocketAddr,
    stamped: Stamped,
    round_trips: u64,
    idle: Idle,
    idle_blocking: IdleBlocking<TcpStream>,
}

impl Kind for Echo {
    const INFO: KindInfo = KindInfo {
        about: "a task sends messages over a raw TCP connection to a server in another process, one after another, and reads each one back",
        params: &[
            catalog::tasks(10_000),
            ParamInfo {
                name: "message_bytes",
                about: "length of a message",
                value: ParamKind::Int { min: STAMP_BYTES as i64, max: MESSAGE_BYTES_MAX as i64 },
                default: Some(DefaultValue::Int(64)),
            },
            ParamInfo {
                name: "round_trips",
                about: "messages of a task, each sent when the one before has come back",
                value: ParamKind::Int { min: 1, max: 100_000 },
                default: Some(DefaultValue::Int(1)),
            },
        ],
        needs_server: true,
        ..KindInfo::new("echo", Class::Io)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        Ok(Self {
            server: setup.server()?,
            stamped: Stamped::new(setup.seed(), setup.params.count("message_bytes")?),
            round_trips: setup.params.count("round_trips")? as u64,
            idle: Idle::default(),
            idle_blocking: IdleBlocking::default(),
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        let failed = |error: io::Error| self.failed(task, &error);
        let mut stream = match self.idle_blocking.take() {
            Some(stream) => stream,
            None => self.connect_blocking().map_err(failed)?,
        };
        let (mut message, mut answer) = (self.stamped.copy(0), vec![0; self.stamped.len()]);
        let mut digest = 0;
        for number in self.numbers(task) {
            self.stamped.stamp(&mut message, number);
            stream.write_all(&message).map_err(failed)?;
            stream.read_exact(&mut answer).map_err(failed)?;
            digest = fold(digest, self.check(task, &answer, number)?);
        }
        self.idle_blocking.put(stream);
        Ok(digest)
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        // Boxed, because of its size: see the table of kinds.
        let talk = Box::pin(R::timeout(PATIENCE, self.talk::<R>(task)));
        talk.await.unwrap_or_else(|| Err(self.failed(task, &io::ErrorKind::TimedOut.into())))
    }

    fn estimate_us(params: &Params) -> f64 {
        // A round trip over loopback between two processes, and four copies of the message.
        params.guess("round_trips") * (40.0 + params.guess("message_bytes") / 2000.0)
    }

    fn input_bytes(&self) -> usize {
        self.stamped.len()
    }
}

impl Echo {
    /// The numbers of a task's messages.
    fn numbers(&self, task: u32) -> std::ops::Range<u64> {
        let first = u64::from(task) * self.round_trips;
        first..first + self.round_trips
    }

    fn preamble(&self) -> [u8; PREAMBLE_BYTES] {
        // The catalog bounds the length.
        let [a, b, c, d] = u32::try_from(self.stamped.len()).unwrap_or(u32::MAX).to_le_bytes();
        [0, a, b, c, d]
    }

    fn connect_blocking(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&self.preamble())?;
        Ok(stream)
    }

    async fn connect<R: AsyncRuntime>(&self) -> io::Result<R::Stream> {
        let mut stream = R::connect(self.server).await?;
        stream.write_all(&self.preamble()).await?;
        Ok(stream)
    }

    /// The task in async style. A dropped future closes its connection.
    async fn talk<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        let failed = |error: io::Error| self.failed(task, &error);
        let mut stream = match self.idle.take::<R, R::Stream>() {
            Some(stream) => stream,
            None => self.connect::<R>().await.map_err(failed)?,
        };
        let (mut message, mut answer) = (self.stamped.copy(0), vec![0; self.stamped.len()]);
        let mut digest = 0;
        for number in self.numbers(task) {
            self.stamped.stamp(&mut message, number);
            stream.write_all(&message).await.map_err(failed)?;
            stream.read_exact(&mut answer).await.map_err(failed)?;
            digest = fold(digest, self.check(task, &answer, number)?);
        }
        self.idle.put::<R, R::Stream>(stream);
        Ok(digest)
    }

    fn check(&self, task: u32, answer: &[u8], number: u64) -> Result<u64, WorkloadError> {
        self.stamped.check(answer, number).map_err(|reason| WorkloadError::Body {
            task,
            server: self.server.to_string(),
            reason,
        })
    }

    fn failed(&self, task: u32, error: &io::Error) -> WorkloadError {
        let server = self.server.to_string();
        match error.kind() {
            // A read that was given a limit says the first, a connection that was the second.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                WorkloadError::Timeout { task, server, limit: PATIENCE }
            }
            _ => WorkloadError::Transport { task, server, reason: error.to_string() },
        }
    }
}
