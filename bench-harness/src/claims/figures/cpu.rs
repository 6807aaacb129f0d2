//! What the experiments compute with: jobs of a given length, jobs that share a lock as Python's threads share theirs, and worker processes.
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossover_runtime::process_pool::{ProcessPool, job};

use super::{Trouble, one_loop, seconds};

/// Steps of the chain in one slice: some ten microseconds.
const SLICE: u64 = 10_000;

/// `steps` steps of integer arithmetic, each of which needs the one before.
pub(crate) fn chain(mut x: u64, steps: u64) -> u64 {
    for _ in 0..steps {
        x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x9E37_79B9_7F4A_7C15);
    }
    black_box(x)
}

/// Computes until `time` has passed.
pub(crate) fn chew(time: Duration) {
    let begun = Instant::now();
    let mut x = 1;
    while begun.elapsed() < time {
        x = chain(x, SLICE);
    }
    black_box(x);
}

/// As [`chew`], in a worker process; the time is in µs.
#[job]
pub(crate) fn chew_in_worker(time_us: u64) -> u64 {
    chew(Duration::from_micros(time_us));
    time_us
}

/// Steps of the chain in a worker process.
#[job]
pub(crate) fn chain_in_worker(x: u64, steps: u64) -> u64 {
    chain(x, steps)
}

/// The square root of a number in a worker process: as small as a job can be.
#[job]
pub(crate) fn root_in_worker(x: f64) -> f64 {
    x.sqrt()
}

/// Steps of the chain in chunks, in a worker process.
#[job]
pub(crate) fn chains_in_worker(starts: Vec<u64>, steps: u64) -> u64 {
    starts.into_iter().fold(0, |sum, x| sum ^ chain(x, steps))
}

/// A pool of worker processes that are up.
pub(crate) fn pool(workers: usize) -> Result<ProcessPool, Trouble> {
    let pool =
        ProcessPool::builder().workers(workers).min_workers(workers).queue_limit(usize::MAX).build()?;
    one_loop()?.block_on(pool.warm_up())?;
    Ok(pool)
}

/// Steps of the chain that take about `time` on a core of this machine.
pub(crate) fn steps_of(time: Duration) -> u64 {
    (crossover_workloads::calibrate_spin() * time.as_secs_f64() * 1e6).round().max(1.0) as u64
}

/// A lock that the whole process shares, held for a share of all computing: at 1 it is Python's global lock, at 0 there is none.
///
/// A job is a row of slices, each computed with the lock or without. The lock is a `Mutex`, which a thread may take again at once; Python's makes a thread
/// that has run for 5 ms wait for another one, which lets both proceed and is no faster.
#[derive(Clone, Debug)]
pub(crate) struct Locked {
    lock: Arc<Mutex<()>>,
    share: f64,
    slices: u64,
}

impl Locked {
    /// Jobs of about `time`, with the lock held for `share` of it.
    pub(crate) fn new(time: Duration, share: f64) -> Self {
        let slices = (steps_of(time) / SLICE).max(10);
        Self { lock: Arc::default(), share, slices }
    }

    fn job(&self, x: u64) -> u64 {
        let mut x = x;
        let mut owed = 0.0;
        for _ in 0..self.slices {
            owed += self.share;
            if owed >= 1.0 {
                owed -= 1.0;
                let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
                x = chain(x, SLICE);
            } else {
                x = chain(x, SLICE);
            }
        }
        x
    }

    /// The time of `jobs` jobs in a loop over their time on `threads` threads.
    pub(crate) fn speedup(&self, jobs: u64, threads: usize) -> Result<f64, Trouble> {
        let (alone, expected) = seconds(|| (0..jobs).fold(0, |sum, n| sum ^ self.job(n)));
        let (together, sum) = seconds(|| {
            std::thread::scope(|scope| {
                let shares: Vec<_> = (0..threads as u64)
                    .map(|first| {
                        let numbers = (first..jobs).step_by(threads);
                        scope.spawn(move || numbers.fold(0, |sum, n| sum ^ self.job(n)))
                    })
                    .collect();
                shares.into_iter().map(|share| share.join().unwrap_or_default()).fold(0, |sum, x| sum ^ x)
            })
        });
        if sum != expected {
            return Err(Trouble::Failed("the threads computed something else than the loop".to_owned()));
        }
        Ok(alone / together)
    }
}
