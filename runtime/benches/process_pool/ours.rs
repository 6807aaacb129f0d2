//! Our pool, awaited by a task of our current-thread runtime, of our multi-thread runtime, or by a foreign executor.

use std::future::Future;
use std::hint::black_box;
use std::ops::Deref;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crossover_runtime::process_pool::{Blob, Call, CallError, ProcessPool, job};
use crossover_runtime::runtime::{Builder, Runtime};
use futures::future::{BoxFuture, try_join_all};
use futures::stream::TryStreamExt;

use serde::de::DeserializeOwned;

use crate::harness::{Contestant, Turn, nanoseconds};
use crate::rows::{Form, IN_FLIGHT, LARGE, WORKERS, Who, Work};
use crate::system;

#[job]
fn noop() {}

#[job]
fn echo(bytes: Blob) -> Blob {
    bytes
}

#[job]
fn echo_new_blob(bytes: Blob) -> Blob {
    Blob::from(&bytes[..])
}

#[job]
fn echo_vec(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[job]
fn sum(bytes: Blob) -> u64 {
    system::sum(&bytes)
}

#[job]
fn add_one(number: u64) -> u64 {
    number + 1
}

#[job]
fn process_id() -> u32 {
    std::process::id()
}

#[job]
fn sleep_for_ever() {
    loop {
        thread::sleep(Duration::from_secs(1000));
    }
}

#[job]
fn compute_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

/// The deadline of [`Work::Deadline`].
const DEADLINE: Duration = Duration::from_millis(5);
/// How long a job runs before its worker is killed.
const BEFORE_DEATH: Duration = Duration::from_millis(5);

/// Where the calls are awaited.
enum Home {
    Runtime(Runtime),
    Foreign,
}

impl Home {
    fn start(who: Who) -> Home {
        let runtime =
            |mut builder: Builder| Home::Runtime(builder.enable_all().build().expect("our runtime starts"));
        match who {
            Who::Multi => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(2);
                runtime(builder)
            }
            Who::Foreign => Home::Foreign,
            _ => runtime(Builder::new_current_thread()),
        }
    }

    /// Runs a future as a task, and waits for it.
    fn run<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        match self {
            Home::Runtime(runtime) => {
                let task = runtime.spawn(future);
                runtime.block_on(task).expect("a task of a benchmark neither panics nor is aborted")
            }
            Home::Foreign => futures::executor::block_on(future),
        }
    }

    /// Runs futures side by side: as tasks in a runtime of ours.
    async fn side_by_side<T: Send + 'static>(
        in_runtime: bool,
        all: Vec<BoxFuture<'static, Result<T, CallError>>>,
    ) -> Result<Vec<T>, CallError> {
        if !in_runtime {
            return try_join_all(all).await;
        }
        let mut results = Vec::new();
        for task in all.into_iter().map(crossover_runtime::spawn).collect::<Vec<_>>() {
            results.push(task.await.expect("a task of a benchmark neither panics nor is aborted")?);
        }
        Ok(results)
    }
}

/// Our contestant.
pub struct Ours {
    home: Home,
    /// Warm, for the rows that need it so.
    pool: Option<ProcessPool>,
}

/// A pool of [`WORKERS`] workers, or of one, all of which have answered.
pub fn warm_pool(workers: usize) -> Result<ProcessPool, String> {
    let pool = ProcessPool::builder().workers(workers).build().map_err(|error| error.to_string())?;
    futures::executor::block_on(pool.warm_up()).map_err(text)?;
    Ok(pool)
}

/// Keeps every worker of a pool busy for ever, and detaches the calls.
pub fn keep_busy(pool: &ProcessPool) {
    (0..WORKERS).for_each(|_| std::mem::forget(pool.call(compute_for_ever, ())));
}

impl Ours {
    pub fn start(who: Who) -> Ours {
        Ours { home: Home::start(who), pool: None }
    }

    fn pool(&mut self) -> Result<ProcessPool, String> {
        if self.pool.is_none() {
            self.pool = Some(warm_pool(WORKERS)?);
        }
        Ok(self.pool.clone().expect("it was just made"))
    }
}

impl Contestant for Ours {
    fn turn(&mut self, work: Work, turn: &Turn) -> Result<Vec<f64>, String> {
        let turn = *turn;
        let in_runtime = matches!(self.home, Home::Runtime(_));
        match work {
            Work::Noop => {
                let pool = self.pool()?;
                self.home.run(noops(pool, turn)).map_err(text)
            }
            Work::NoopRate => {
                let pool = self.pool()?;
                let one = |pool: ProcessPool| async move { pool.call(noop, ()).await };
                self.home.run(rate(pool, turn.slice, in_runtime, one)).map_err(text)
            }
            Work::EchoRate => {
                let pool = self.pool()?;
                let one = |pool: ProcessPool| async move {
                    let back = pool.call(echo, (Blob::from(vec![7; 4096]),)).await?;
                    assert!(back.len() == 4096 && back[4095] == 7, "the echo is what was sent");
                    Ok(())
                };
                self.home.run(rate(pool, turn.slice, in_runtime, one)).map_err(text)
            }
            Work::Echo(len) => self.echo(Form::Blob, len, turn),
            Work::EchoAs(form, len) => self.echo(form, len, turn),
            Work::Sum => {
                let pool = self.pool()?;
                self.home.run(sums(pool, turn)).map_err(text)
            }
            Work::Map => {
                let pool = self.pool()?;
                self.home.run(map(pool, turn.items)).map_err(text)
            }
            Work::Cold => (0..turn.operations).map(|_| self.cold()).collect(),
            Work::ColdLarge => {
                let memory = system::fill_memory(1 << 30);
                let times = (0..turn.operations).map(|_| self.cold()).collect();
                drop(memory);
                times
            }
            Work::Dirty => self.pool()?.worker_pids().into_iter().map(system::private_dirty).collect(),
            Work::Death { busy } => self.deaths(turn, busy, false),
            Work::Revival => self.deaths(turn, false, true),
            Work::Deadline => {
                let pool = self.pool()?;
                self.home.run(deadlines(pool, turn)).map_err(text)
            }
            Work::Orphans { .. } => Err("orphans are counted in another process".to_owned()),
        }
    }
}

impl Ours {
    fn echo(&mut self, form: Form, len: usize, turn: Turn) -> Result<Vec<f64>, String> {
        let pool = self.pool()?;
        let times = match form {
            Form::Blob => {
                self.home.run(echoes(pool, turn, len, |pool, bytes| pool.call(echo, (Blob::from(bytes),))))
            }
            Form::NewBlob => self
                .home
                .run(echoes(pool, turn, len, |pool, bytes| pool.call(echo_new_blob, (Blob::from(bytes),)))),
            Form::Vec => self.home.run(echoes(pool, turn, len, |pool, bytes| pool.call(echo_vec, (bytes,)))),
        };
        times.map_err(text)
    }

    fn cold(&self) -> Result<f64, String> {
        let start = Instant::now();
        let pool = ProcessPool::builder().workers(WORKERS).build().map_err(|error| error.to_string())?;
        let used = pool.clone();
        self.home.run(async move { used.call(noop, ()).await }).map_err(text)?;
        let time = start.elapsed();
        drop(pool);
        Ok(nanoseconds(time))
    }

    /// Kills the worker of a pool of one: the times until the caller knows, or until the next job's result.
    fn deaths(&self, turn: Turn, busy: bool, revived: bool) -> Result<Vec<f64>, String> {
        let pool = warm_pool(1)?;
        self.home.run(async move {
            let mut times = Vec::new();
            for _ in 0..turn.operations {
                let pid = pool.call(process_id, ()).await.map_err(text)?;
                let call = match busy {
                    true => pool.call(compute_for_ever, ()),
                    false => pool.call(sleep_for_ever, ()),
                };
                let (tell, killed) = mpsc::channel();
                thread::spawn(move || {
                    thread::sleep(BEFORE_DEATH);
                    let start = Instant::now();
                    let _received = tell.send(system::kill(pid).map(|()| start));
                });
                let error = call.await.expect_err("its worker was killed");
                if revived {
                    pool.call(noop, ()).await.map_err(text)?;
                }
                let end = Instant::now();
                assert!(matches!(error, CallError::WorkerDied { signal: Some(9), .. }), "{error}");
                let start = killed.recv().expect("the killer tells")?;
                times.push(nanoseconds(end - start));
            }
            Ok(times)
        })
    }
}

async fn noops(pool: ProcessPool, turn: Turn) -> Result<Vec<f64>, CallError> {
    for _ in 0..turn.warm_up {
        pool.call(noop, ()).await?;
    }
    let mut times = Vec::with_capacity(turn.operations);
    for _ in 0..turn.operations {
        let start = Instant::now();
        pool.call(noop, ()).await?;
        times.push(nanoseconds(start.elapsed()));
    }
    Ok(times)
}

/// [`IN_FLIGHT`] tasks make one call after the other: calls per second of them all.
async fn rate<F, C>(
    pool: ProcessPool,
    slice: Duration,
    in_runtime: bool,
    one: F,
) -> Result<Vec<f64>, CallError>
where
    F: Fn(ProcessPool) -> C + Copy + Send + Sync + 'static,
    C: Future<Output = Result<(), CallError>> + Send + 'static,
{
    let start = Instant::now();
    let task = |_| -> BoxFuture<'static, _> {
        let pool = pool.clone();
        Box::pin(async move {
            let mut calls = 0usize;
            while !calls.is_multiple_of(8) || start.elapsed() < slice {
                one(pool.clone()).await?;
                calls += 1;
            }
            Ok(calls)
        })
    };
    let calls = Home::side_by_side(in_runtime, (0..IN_FLIGHT).map(task).collect()).await?;
    Ok(vec![calls.iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64()])
}

/// From bytes that the caller owns to bytes that the caller reads.
async fn echoes<T>(
    pool: ProcessPool,
    turn: Turn,
    len: usize,
    call: fn(&ProcessPool, Vec<u8>) -> Call<T>,
) -> Result<Vec<f64>, CallError>
where
    T: DeserializeOwned + Deref<Target = [u8]>,
{
    let pattern = system::bytes(len);
    let mut times = Vec::with_capacity(turn.operations);
    for index in 0..turn.warm_up + turn.operations {
        let bytes = pattern.clone();
        let start = Instant::now();
        let back = call(&pool, bytes).await?;
        // Every page is really there.
        black_box(back.iter().step_by(4096).fold(0, |pages, byte| pages ^ byte));
        let time = start.elapsed();
        assert!(*back == pattern, "the echo is what was sent");
        if index >= turn.warm_up {
            times.push(nanoseconds(time));
        }
    }
    Ok(times)
}

async fn sums(pool: ProcessPool, turn: Turn) -> Result<Vec<f64>, CallError> {
    let bytes = Blob::from(system::bytes(LARGE));
    let expected = system::sum(&bytes);
    let mut times = Vec::with_capacity(turn.operations);
    for index in 0..turn.warm_up + turn.operations {
        let argument = bytes.clone();
        let start = Instant::now();
        let sum = pool.call(sum, (argument,)).await?;
        let time = start.elapsed();
        assert_eq!(sum, expected, "the sum");
        if index >= turn.warm_up {
            times.push(nanoseconds(time));
        }
    }
    Ok(times)
}

/// Items per second, with everything left at its default.
async fn map(pool: ProcessPool, items: usize) -> Result<Vec<f64>, CallError> {
    let start = Instant::now();
    let results: Vec<u64> = pool.map(add_one, 0..items as u64).try_collect().await?;
    let time = start.elapsed();
    assert!(results.into_iter().eq(1..=items as u64), "each number's successor, in order");
    Ok(vec![items as f64 / time.as_secs_f64()])
}

/// How much later than its deadline an endless job's caller has the error. The clock of the deadline starts with the job, so the way to the
/// worker counts here, too.
async fn deadlines(pool: ProcessPool, turn: Turn) -> Result<Vec<f64>, CallError> {
    let mut times = Vec::with_capacity(turn.operations);
    for _ in 0..turn.operations {
        pool.call(noop, ()).await?;
        let start = Instant::now();
        let outcome = pool.call(compute_for_ever, ()).timeout(DEADLINE).await;
        let time = start.elapsed();
        assert!(matches!(outcome, Err(CallError::Timeout { .. })), "{outcome:?}");
        times.push(nanoseconds(time.saturating_sub(DEADLINE)));
    }
    Ok(times)
}

fn text(error: CallError) -> String {
    error.to_string()
}
