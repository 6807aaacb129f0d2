//! What the experiments compute with: jobs of a given length, here and in worker processes.
use std::hint::black_box;
use std::time::{Duration, Instant};

use crossover_runtime::process_pool::{ProcessPool, job};

use super::{Trouble, one_loop};

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
