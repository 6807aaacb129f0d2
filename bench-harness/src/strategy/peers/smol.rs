//! `smol`: async on async-executor and async-io, which is what the crate smol consists of.
//!
//! As many threads as workers run one executor until a channel is closed, as smol's documentation has it; each of them turns
//! the reactor when it has nothing to do (`async_io::block_on`), as do the thread that waits for the results and the one
//! that async-io keeps for the case that nobody else does. Sockets and timers are async-io's. Blocking work goes to the
//! crate blocking, whose pool keeps its default of 500 threads; so do files, as a whole, which is what async-fs does.
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::Executor;
use async_io::{Async, Timer};
use crossover_workloads::{AsyncRuntime, WorkloadError};
use futures_io::AsyncWrite;
use futures_lite::{FutureExt as _, future};
use hyper::rt::ReadBufCursor;

use super::Peer;
use crate::load::{Arrivals, Pipe};
use crate::strategy::settle::Lost;
use crate::strategy::{Job, Strategy, panic_message};

/// See the module.
#[derive(Debug)]
pub(super) struct Smol {
    executor: Arc<Executor<'static>>,
    /// Never used: the threads end when it is closed.
    end: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Smol {
    pub(super) fn start(workers: u32) -> Result<Self, String> {
        let (end, ended) = async_channel::bounded(1);
        let mut smol = Self { executor: Arc::default(), end, threads: Vec::with_capacity(workers as usize) };
        for index in 0..workers {
            let (executor, ended) = (Arc::clone(&smol.executor), ended.clone());
            let thread = thread::Builder::new()
                .name(format!("worker {index}"))
                .spawn(move || work(&executor, &ended))
                .map_err(|error| format!("cannot start thread {index} of {workers}: {error}"))?;
            smol.threads.push(thread);
        }
        Ok(smol)
    }
}

/// The life of a thread: runs tasks until the channel is closed.
fn work(executor: &Executor<'_>, ended: &Receiver<()>) {
    // A closed channel is what it waits for. A task that panics gives its panic to whoever awaits it.
    let _ = async_io::block_on(executor.run(ended.recv()));
}

impl Strategy for Smol {
    fn run(&mut self, job: &Job) -> Result<u64, String> {
        async_io::block_on(super::run_all(self, job))
    }

    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String> {
        async_io::block_on(super::serve_all(self, job, arrivals))
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.end.close();
        for thread in self.threads.drain(..) {
            // A thread does not panic: see `work`.
            let _ = thread.join();
        }
    }
}

impl Peer for Smol {
    type Runtime = OnSmol;
    type Pipe = Async<OwnedFd>;

    fn spawn(
        &self,
        task: impl Future<Output = Result<u64, WorkloadError>> + Send + 'static,
    ) -> impl Future<Output = Result<Result<u64, WorkloadError>, Lost>> {
        let task = self.executor.spawn(task);
        async move { AssertUnwindSafe(task).catch_unwind().await.map_err(Lost::Panicked) }
    }
}

impl Pipe for Async<OwnedFd> {
    fn register(pipe: OwnedFd) -> io::Result<Self> {
        Self::new_nonblocking(pipe)
    }

    async fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        self.read_with(|pipe| Ok(rustix::io::read(pipe, &mut *chunk)?)).await
    }
}

/// What tasks see of smol.
#[derive(Debug)]
pub(super) struct OnSmol;

impl AsyncRuntime for OnSmol {
    /// One reactor serves the whole process, whatever executors there are: streams belong to all of them.
    type Id = ();
    type Stream = Async<TcpStream>;
    type HyperStream = HyperStream;

    fn id() -> Self::Id {}

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = Async::<TcpStream>::connect(address).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    fn for_hyper(stream: Self::Stream) -> Self::HyperStream {
        HyperStream(stream)
    }

    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    async fn timeout<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output>
    where
        F::Output: Send,
    {
        let late = async {
            Timer::after(limit).await;
            None
        };
        future::or(async { Some(future.await) }, late).await
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let caught = blocking::unblock(move || catch_unwind(AssertUnwindSafe(work))).await;
        caught.map_err(|payload| panic_message(&*payload))
    }
}

/// A stream of async-io's as hyper takes it.
///
/// It reads into memory that nobody has zeroed, as tokio's does; everything else is async-io's own.
#[derive(Debug)]
pub(super) struct HyperStream(Async<TcpStream>);

impl hyper::rt::Read for HyperStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // SAFETY: a read only ever writes bytes into it, so what was initialised stays so.
            let memory: &mut [MaybeUninit<u8>] = unsafe { cursor.as_mut() };
            match rustix::io::read(self.0.get_ref(), memory).map(|(bytes, _)| bytes.len()) {
                Ok(read) => {
                    // SAFETY: the kernel has just written so many bytes to where the cursor stands.
                    unsafe { cursor.advance(read) };
                    return Poll::Ready(Ok(()));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => ready!(self.0.poll_readable(context))?,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl hyper::rt::Write for HyperStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }
}
