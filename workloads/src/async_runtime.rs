//! What the async form of a workload asks of an async runtime, so that the same tasks run on ours and on its peers.
//!
//! Each runtime answers in its own best way (its sockets, its timers, its hand-over to hyper), not through a layer over one
//! of them: a peer must not pay for being a guest. Types of the runtime do not appear in prepared workloads, because a
//! workload is prepared before it is known who runs it.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossover_runtime::net::TcpStream;
use crossover_runtime::runtime::{self, Handle};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::io::AsyncWriteExt;

/// An async runtime that a workload's tasks may run on. All functions are called from within it.
pub trait AsyncRuntime: Send + Sync + 'static {
    /// Tells runtimes of one process apart: a stream belongs to the one that opened it.
    type Id: PartialEq + Send + 'static;
    /// A TCP stream whose readiness this runtime watches.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The same stream as hyper takes it.
    type HyperStream: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static;

    /// The runtime that the caller runs on.
    ///
    /// # Panics
    /// Outside of a runtime, where the runtime can tell.
    fn id() -> Self::Id;

    /// Connects, with Nagle's algorithm off.
    ///
    /// Cancel safety: a dropped future closes the socket.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The stream for hyper.
    fn for_hyper(stream: Self::Stream) -> Self::HyperStream;

    /// Waits on a timer of the runtime.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;

    /// `future`'s output, or `None` if it is not ready within `limit`.
    fn timeout<F: Future + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send
    where
        F::Output: Send;

    /// Runs `work` where the runtime wants blocking calls to be.
    ///
    /// # Errors
    /// Why there is no result, in words: it panicked, or the runtime is shutting down.
    fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, String>> + Send;

    /// The bytes of a file, by the runtime's own functions for files, where it has any.
    fn read_file(path: PathBuf) -> impl Future<Output = io::Result<Vec<u8>>> + Send {
        async { flat(Self::unblock(move || std::fs::read(path)).await) }
    }

    /// Writes a file anew, as [`read_file`](Self::read_file) reads one; with `sync` it is on the disk afterwards.
    fn write_file(path: PathBuf, bytes: Vec<u8>, sync: bool) -> impl Future<Output = io::Result<()>> + Send {
        async move { flat(Self::unblock(move || write_file_blocking(&path, &bytes, sync)).await) }
    }
}

/// The error of a job that gave no result, as one of I/O.
fn flat<T>(result: Result<io::Result<T>, String>) -> io::Result<T> {
    result.unwrap_or_else(|reason| Err(io::Error::other(reason)))
}

/// [`AsyncRuntime::write_file`] in blocking style.
pub(crate) fn write_file_blocking(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    if sync { file.sync_all() } else { Ok(()) }
}

/// The runtime of this project.
#[derive(Clone, Copy, Debug)]
pub struct Crossover;

impl AsyncRuntime for Crossover {
    type Id = runtime::Id;
    type Stream = TcpStream;
    type HyperStream = TcpStream;

    fn id() -> Self::Id {
        Handle::current().id()
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn for_hyper(stream: TcpStream) -> TcpStream {
        stream
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        crossover_runtime::time::sleep(duration)
    }

    async fn timeout<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output>
    where
        F::Output: Send,
    {
        crossover_runtime::time::timeout(limit, future).await.ok()
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        crossover_runtime::spawn_blocking(work).await.map_err(|error| error.to_string())
    }

    async fn read_file(path: PathBuf) -> io::Result<Vec<u8>> {
        crossover_runtime::fs::read(path).await
    }

    async fn write_file(path: PathBuf, bytes: Vec<u8>, sync: bool) -> io::Result<()> {
        if !sync {
            return crossover_runtime::fs::write(path, bytes).await;
        }
        let mut file = crossover_runtime::fs::File::create(path).await?;
        file.write_all(&bytes).await?;
        file.flush().await?;
        file.sync_all().await
    }
}
