//! procspawn's pool, with its defaults. It has no futures: a call is joined by the thread that made it.

use std::collections::VecDeque;
use std::hint::spin_loop;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use procspawn::{JoinHandle, Pool, SpawnError};
use serde_bytes::ByteBuf;

use crate::harness::{Contestant, Turn, nanoseconds, time_each};
use crate::rows::{IN_FLIGHT, LARGE, WORKERS, Work};
use crate::system;

/// How long a call may take where it may never end.
const LOST: Duration = Duration::from_secs(2);

/// procspawn as a contestant.
#[derive(Default)]
pub struct Procspawn(Option<Pool>);

fn noop((): ()) {}

fn echo(bytes: ByteBuf) -> ByteBuf {
    bytes
}

fn process_id((): ()) -> u32 {
    // Long enough that two calls at a time go to two workers.
    thread::sleep(Duration::from_millis(5));
    std::process::id()
}

fn sleep_for_ever((): ()) {
    loop {
        thread::sleep(Duration::from_secs(1000));
    }
}

fn compute_for_ever((): ()) {
    loop {
        spin_loop();
    }
}

/// A pool whose workers have all answered.
pub fn warm_pool(workers: usize) -> Result<Pool, String> {
    let pool = Pool::new(workers).map_err(text)?;
    pids(&pool, workers)?;
    Ok(pool)
}

/// The workers' process ids.
pub fn pids(pool: &Pool, workers: usize) -> Result<Vec<u32>, String> {
    let mut pids = Vec::new();
    // A worker may get both calls; it has then made the other one wait.
    for _ in 0..100 {
        let calls: Vec<_> = (0..workers).map(|_| pool.spawn((), process_id)).collect();
        for call in calls {
            pids.push(call.join().map_err(text)?);
        }
        pids.sort_unstable();
        pids.dedup();
        if pids.len() == workers {
            return Ok(pids);
        }
    }
    Err("one of its workers never ran a job".to_owned())
}

/// Keeps every worker busy for ever.
pub fn keep_busy(pool: &Pool) {
    (0..WORKERS).for_each(|_| std::mem::forget(pool.spawn((), compute_for_ever)));
}

impl Procspawn {
    fn pool(&mut self) -> Result<&Pool, String> {
        if self.0.is_none() {
            self.0 = Some(warm_pool(WORKERS)?);
        }
        Ok(self.0.as_ref().expect("it was just made"))
    }
}

impl Contestant for Procspawn {
    fn turn(&mut self, work: Work, turn: &Turn) -> Result<Vec<f64>, String> {
        match work {
            Work::Noop => {
                let pool = self.pool()?;
                time_each(turn, || pool.spawn((), noop).join().map_err(text))
            }
            Work::NoopRate => rate(self.pool()?, turn, |pool| pool.spawn((), noop)),
            Work::EchoRate => rate(self.pool()?, turn, |pool| pool.spawn(ByteBuf::from(vec![7; 4096]), echo)),
            Work::Echo(len) => {
                let (pool, pattern) = (self.pool()?, system::bytes(len));
                time_with(turn, || ByteBuf::from(pattern.clone()), |bytes| pool.spawn(bytes, echo))
            }
            Work::Sum => {
                let (pool, bytes) = (self.pool()?, ByteBuf::from(system::bytes(LARGE)));
                time_with(turn, || bytes.clone(), |bytes| pool.spawn(bytes, |bytes| system::sum(&bytes)))
            }
            Work::Cold => (0..turn.operations).map(|_| cold()).collect(),
            Work::ColdLarge => {
                let memory = system::fill_memory(1 << 30);
                let times = (0..turn.operations).map(|_| cold()).collect();
                drop(memory);
                times
            }
            Work::Dirty => pids(self.pool()?, WORKERS)?.into_iter().map(system::private_dirty).collect(),
            Work::Death { busy } => deaths(turn, busy, false),
            Work::Revival => deaths(turn, false, true),
            Work::EchoAs(..) | Work::Map | Work::Deadline | Work::Orphans { .. } => {
                Err("it has no such thing".to_owned())
            }
        }
    }
}

fn rate<T>(pool: &Pool, turn: &Turn, call: impl Fn(&Pool) -> JoinHandle<T>) -> Result<Vec<f64>, String>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let start = Instant::now();
    let mut calls: VecDeque<_> = (0..IN_FLIGHT).map(|_| call(pool)).collect();
    let mut done = 0usize;
    while let Some(oldest) = calls.pop_front() {
        oldest.join().map_err(text)?;
        done += 1;
        if start.elapsed() < turn.slice {
            calls.push_back(call(pool));
        }
    }
    Ok(vec![done as f64 / start.elapsed().as_secs_f64()])
}

/// Times calls; their arguments are made, and their results dropped, while the clock stands.
fn time_with<A, T>(
    turn: &Turn,
    argument: impl Fn() -> A,
    call: impl Fn(A) -> JoinHandle<T>,
) -> Result<Vec<f64>, String>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut times = Vec::new();
    for index in 0..turn.warm_up + turn.operations {
        let argument = argument();
        let start = Instant::now();
        let result = call(argument).join();
        let time = start.elapsed();
        result.map_err(text)?;
        if index >= turn.warm_up {
            times.push(nanoseconds(time));
        }
    }
    Ok(times)
}

fn cold() -> Result<f64, String> {
    let start = Instant::now();
    let pool = Pool::new(WORKERS).map_err(text)?;
    pool.spawn((), noop).join().map_err(text)?;
    Ok(nanoseconds(start.elapsed()))
}

fn deaths(turn: &Turn, busy: bool, revived: bool) -> Result<Vec<f64>, String> {
    let pool = warm_pool(1)?;
    let one = |_| {
        let pid = pool.spawn((), process_id).join_timeout(LOST).map_err(text)?;
        let mut call = pool.spawn((), if busy { compute_for_ever } else { sleep_for_ever });
        let (tell, killed) = mpsc::channel();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            let start = Instant::now();
            let _received = tell.send(system::kill(pid).map(|()| start));
        });
        if call.join_timeout(LOST).is_ok() {
            return Err("a killed job has succeeded".to_owned());
        }
        if revived {
            pool.spawn((), noop).join_timeout(LOST).map_err(text)?;
        }
        let end = Instant::now();
        Ok(nanoseconds(end - killed.recv().expect("the killer tells")?))
    };
    (0..turn.operations).map(one).collect()
}

fn text(error: SpawnError) -> String {
    error.to_string()
}
