//! A server that stands in for what is not on every machine: a database, and a service that streams lines.
//!
//! It speaks lines over TCP on loopback, in a process of its own, and its delays are timers:
//! - `query MS`: answers `ok` after MS milliseconds, one query of a connection after the other, as a database does;
//! - `lines N MS`: answers with N lines, MS milliseconds apart.
//!
//! Anything else is answered with `what?`. The client's half is [`Connection`].
use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use crossover_runtime::net::{TcpListener, TcpStream};
use crossover_runtime::runtime::Builder;
use crossover_runtime::spawn;
use crossover_runtime::time::sleep;
use futures_util::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::figures::ms;
use crate::{server, trial};

/// Longest delay and most lines that it agrees to.
const DELAY_MAX_MS: u64 = 10_000;
const LINES_MAX: u64 = 1000;

/// Serves until the process is killed, or its parent ends.
///
/// # Errors
/// It cannot listen on loopback.
pub(super) fn serve(parent: u32) -> Result<u8> {
    trial::die_with(parent).map_err(anyhow::Error::msg)?;
    trial::allow_many_files();
    let runtime = Builder::new_current_thread().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        server::announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await.context("cannot accept")?;
            // Detached, and its errors with it: a client that goes away ends its connection.
            drop(spawn(converse(stream)));
        }
    })
}

async fn converse(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(&stream).lines();
    let mut answers = &stream;
    while let Some(line) = futures_util::StreamExt::next(&mut requests).await {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        match words.first() {
            Some(&"query") => {
                sleep(ms(number(1).min(DELAY_MAX_MS))).await;
                answers.write_all(b"ok\n").await?;
            }
            Some(&"lines") => {
                for n in 0..number(1).min(LINES_MAX) {
                    sleep(ms(number(2).min(DELAY_MAX_MS))).await;
                    answers.write_all(format!("line {n}\n").as_bytes()).await?;
                }
            }
            _ => answers.write_all(b"what?\n").await?,
        }
    }
    Ok(())
}

/// A connection to the stand-in, which asks one thing at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends `request` without waiting for anything.
    pub(super) async fn send(&mut self, request: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).await
    }

    /// The next line of an answer.
    pub(super) async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Asks, and waits for `ok`.
    pub(super) async fn ask(&mut self, request: &str) -> io::Result<()> {
        self.send(request).await?;
        match self.line().await?.as_str() {
            "ok" => Ok(()),
            other => Err(io::Error::other(format!("the stand-in answered {other:?}"))),
        }
    }
}
