//! The contestants behind one small door, so that every row is written once and each of them runs the same code.
//!
//! | contestant | what it is here |
//! |---|---|
//! | ours | `crossover_runtime`, multi-thread flavour |
//! | tokio | `tokio`, multi-thread flavour, `enable_all` |
//! | smol | `async_executor::Executor` run by plain threads, as smol's own global executor does it |
//! | smol-io | the same, its threads in `async_io::block_on`: rows with sockets or timers |
//!
//! rayon and plain threads share no code with these; the rows that name them write them out.
//!
//! A contestant lives as long as the row that uses it: the workers of the others are parked while one is measured.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;

use async_executor::Executor;

/// Who takes part in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Ours,
    Tokio,
    Smol,
    Rayon,
    Threads,
}

impl Who {
    pub const ALL: [Who; 5] = [Who::Ours, Who::Tokio, Who::Smol, Who::Rayon, Who::Threads];

    pub fn name(self) -> &'static str {
        match self {
            Who::Ours => "ours",
            Who::Tokio => "tokio",
            Who::Smol => "smol",
            Who::Rayon => "rayon",
            Who::Threads => "threads",
        }
    }
}

/// Spawning from inside of a runtime, where it is the current one.
pub trait Spawn: Copy + Send + Sync + 'static {
    /// A task's handle, ready with the task's output; a task that fails ends the benchmark.
    type Task<T: Send + 'static>: Future<Output = T> + Send + Unpin + 'static;

    fn spawn<F>(self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Spawns a task that nobody waits for.
    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static;
}

/// The handle of a task of contestant `R`.
pub type Task<R, T> = <<R as Runtime>::Inside as Spawn>::Task<T>;

/// A contestant that runs futures.
pub trait Runtime: Send + Sync + Sized + 'static {
    type Inside: Spawn;

    fn start(workers: usize) -> Self;

    fn inside(&self) -> Self::Inside;

    /// Spawns from a thread that is outside of the runtime.
    fn spawn<F>(&self, future: F) -> Task<Self, F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    fn block_on<F: Future>(&self, future: F) -> F::Output;

    fn yield_now() -> impl Future<Output = ()> + Send;
}

/// A join handle whose failures are ours to report.
#[derive(Debug)]
pub struct Joined<H>(H);

impl<T, E, H> Future for Joined<H>
where
    E: std::fmt::Debug,
    H: Future<Output = Result<T, E>> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|joined| joined.expect("a task of a benchmark neither panics nor is aborted"))
    }
}

/// Whether our runtimes detect stalls. Set once, before any is started.
pub static WATCHED: AtomicBool = AtomicBool::new(false);

pub struct Ours(pub crossover_runtime::runtime::Runtime);

#[derive(Clone, Copy)]
pub struct InOurs;

impl Spawn for InOurs {
    type Task<T: Send + 'static> = Joined<crossover_runtime::task::JoinHandle<T>>;

    fn spawn<F>(self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Joined(crossover_runtime::spawn(future))
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(crossover_runtime::spawn(future));
    }
}

impl Runtime for Ours {
    type Inside = InOurs;

    fn start(workers: usize) -> Ours {
        let mut builder = crossover_runtime::runtime::Builder::new_multi_thread();
        if WATCHED.load(Ordering::Relaxed) {
            builder.detect_stalls();
        }
        Ours(builder.worker_threads(workers).enable_all().build().expect("our runtime starts"))
    }

    fn inside(&self) -> InOurs {
        InOurs
    }

    fn spawn<F>(&self, future: F) -> Task<Self, F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Joined(self.0.spawn(future))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        crossover_runtime::task::yield_now()
    }
}

pub struct Tokio(pub tokio::runtime::Runtime);

#[derive(Clone, Copy)]
pub struct InTokio;

impl Spawn for InTokio {
    type Task<T: Send + 'static> = Joined<tokio::task::JoinHandle<T>>;

    fn spawn<F>(self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Joined(tokio::spawn(future))
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(tokio::spawn(future));
    }
}

impl Runtime for Tokio {
    type Inside = InTokio;

    fn start(workers: usize) -> Tokio {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        Tokio(runtime.expect("tokio starts"))
    }

    fn inside(&self) -> InTokio {
        InTokio
    }

    fn spawn<F>(&self, future: F) -> Task<Self, F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Joined(self.0.spawn(future))
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}

/// smol's executor. With `IO`, its threads and `block_on` turn async-io's reactor while they have nothing to do.
pub struct Smol<const IO: bool = false> {
    /// Leaked, as smol's own is a static: a few hundred bytes a row.
    executor: &'static Executor<'static>,
    /// Closed to end the threads.
    stop: async_channel::Sender<()>,
    threads: Vec<thread::JoinHandle<()>>,
}

pub type SmolIo = Smol<true>;

#[derive(Clone, Copy)]
pub struct InSmol(&'static Executor<'static>);

impl Spawn for InSmol {
    type Task<T: Send + 'static> = async_executor::Task<T>;

    fn spawn<F>(self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    fn detach<F>(self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(future).detach();
    }
}

fn smol_block_on<const IO: bool, F: Future>(future: F) -> F::Output {
    if IO { async_io::block_on(future) } else { futures_lite::future::block_on(future) }
}

impl<const IO: bool> Runtime for Smol<IO> {
    type Inside = InSmol;

    fn start(workers: usize) -> Self {
        let executor: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
        let (stop, stopped) = async_channel::bounded(1);
        let worker = || {
            let stopped = stopped.clone();
            thread::spawn(move || {
                // An error is the end: the sender is gone.
                let _closed = smol_block_on::<IO, _>(executor.run(stopped.recv()));
            })
        };
        Smol { executor, stop, threads: (0..workers).map(|_| worker()).collect() }
    }

    fn inside(&self) -> InSmol {
        InSmol(self.executor)
    }

    fn spawn<F>(&self, future: F) -> Task<Self, F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.executor.spawn(future)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        smol_block_on::<IO, F>(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        futures_lite::future::yield_now()
    }
}

impl<const IO: bool> Drop for Smol<IO> {
    fn drop(&mut self) {
        self.stop.close();
        for thread in self.threads.drain(..) {
            thread.join().expect("smol's thread ends");
        }
    }
}
