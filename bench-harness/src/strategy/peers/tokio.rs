//! `tokio` and `tokio-current-thread`: async on tokio's own runtimes.
//!
//! Sockets are tokio's, hyper takes them through hyper-util, and where a kind asks for the traits of futures-io, through
//! tokio-util's adapter: two thin types of tokio's own people. Timers are tokio's, which count in milliseconds: a wait is
//! rounded up to the next one, so that one of 100 µs takes 1 to 2 ms. Files go through `tokio::fs`, other blocking work to
//! `spawn_blocking`, whose pool keeps tokio's default of 512 threads.
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use crossover_workloads::{AsyncRuntime, WorkloadError};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::{self, Builder, Handle, Runtime};
use tokio::task::JoinError;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::Peer;
use crate::load::{Arrivals, Pipe};
use crate::strategy::settle::Lost;
use crate::strategy::{Job, Strategy, spawned};

/// See the module.
#[derive(Debug)]
pub(super) struct Tokio {
    runtime: Runtime,
}

impl Tokio {
    pub(super) fn multi_thread(workers: u32) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers as usize)
            .thread_name_fn(spawned::thread_names(workers))
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a runtime of tokio's with {workers} workers: {error}"))?;
        Ok(Self { runtime })
    }

    pub(super) fn current_thread() -> Result<Self, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start tokio's current-thread runtime: {error}"))?;
        Ok(Self { runtime })
    }
}

impl Strategy for Tokio {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        self.runtime.block_on(super::run_all(&Current, job))
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        self.runtime.block_on(super::serve_all(&Current, job, arrivals))
    }
}

/// The runtime of tokio's that the caller runs on.
#[derive(Debug)]
pub(super) struct Current;

impl Peer for Current {
    type Runtime = OnTokio;
    type Pipe = Receiver;

    fn spawn(
        &self,
        task: impl Future<Output = Result<u64, WorkloadError>> + Send + 'static,
    ) -> impl Future<Output = Result<Result<u64, WorkloadError>, Lost>> {
        let handle = tokio::spawn(task);
        async move { handle.await.map_err(lost) }
    }
}

fn lost(error: JoinError) -> Lost {
    error.try_into_panic().map_or_else(|error| Lost::Otherwise(error.to_string()), Lost::Panicked)
}

impl Pipe for Receiver {
    fn register(pipe: OwnedFd) -> io::Result<Self> {
        Self::from_owned_fd(pipe)
    }

    async fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read(chunk) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// What tasks see of tokio.
#[derive(Debug)]
pub(super) struct OnTokio;

impl AsyncRuntime for OnTokio {
    type Id = runtime::Id;
    type Stream = Compat<TcpStream>;
    type HyperStream = TokioIo<TcpStream>;

    fn id() -> Self::Id {
        Handle::current().id()
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream.compat())
    }

    fn for_hyper(stream: Self::Stream) -> Self::HyperStream {
        TokioIo::new(stream.into_inner())
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }

    async fn timeout<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output>
    where
        F::Output: Send,
    {
        tokio::time::timeout(limit, future).await.ok()
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
    }
    async fn read_file(path: PathBuf) -> io::Result<Vec<u8>> {
        tokio::fs::read(path).await
    }

    async fn write_file(path: PathBuf, bytes: Vec<u8>, sync: bool) -> io::Result<()> {
        if !sync {
            return tokio::fs::write(path, bytes).await;
        }
        let mut file = tokio::fs::File::create(path).await?;
        file.write_all(&bytes).await?;
        file.sync_all().await
    }
}
