//! A server that stands in for a database, which is not on every machine.
//!
//! It speaks lines over TCP on loopback, in a process of its own, and its delays are timers: `query MS` is answered with `ok` after
//! MS milliseconds, one query of a connection after the other, as a database does; anything else with `what?`. The client's half is
//! [`Connection`]. Where `CROSSOVER_POSTGRES` names a real one, nobody asks this one: see `figures/database.rs`.
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

/// Longest delay that it agrees to.
const DELAY_MAX_MS: u64 = 10_000;

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
        match (words.as_slice(), words.get(1).map(|word| word.parse::<u64>())) {
            (["query", _], Some(Ok(delay))) => {
                sleep(ms(delay.min(DELAY_MAX_MS))).await;
                answers.write_all(b"ok\n").await?;
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

    /// Waits for the `ok` of a request that was sent.
    pub(super) async fn answer(&mut self) -> io::Result<()> {
        match self.line().await?.as_str() {
            "ok" => Ok(()),
            other => Err(io::Error::other(format!("the stand-in answered {other:?}"))),
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Asks, and waits for `ok`.
    pub(super) async fn ask(&mut self, request: &str) -> io::Result<()> {
        self.send(request).await?;
        self.answer().await
    }
}
