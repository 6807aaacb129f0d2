//! Work in other processes: on all cores, and safe from crashes and endless loops.
//!
//! ```text
//! cargo run -p crossover-runtime --example process_pool                # primes below 1000000
//! cargo run -p crossover-runtime --example process_pool -- 5000000
//! cargo run -p crossover-runtime --example process_pool -- --check
//! ```

use crossover_runtime::process_pool::{CallError, ProcessPool, job, worker_entry};
use crossover_runtime::runtime::Runtime;
use futures::future::try_join_all;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str =
    "usage: process_pool [LIMIT | --check]   counts the primes below LIMIT, at most 100000000";
const LIMIT_MAX: u64 = 100_000_000;

/// How many primes there are from `from` to below `to`.
#[job]
fn count_primes(from: u64, to: u64) -> u64 {
    let is_prime = |n: u64| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (from..to).filter(|&n| is_prime(n)).count() as u64
}

/// What a fault in a C library would do.
#[job]
fn crash(last_words: String) {
    eprintln!("{last_words}");
    std::process::abort();
}

#[job]
fn never_end() {
    loop {
        std::hint::spin_loop();
    }
}

fn main() -> ExitCode {
    // The first line of `main`: the workers are copies of this program, and go no further.
    worker_entry();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let limit = match arguments[..] {
        [] | ["--check"] => 1_000_000,
        [limit] => match limit.parse() {
            Ok(limit) if limit <= LIMIT_MAX => limit,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(limit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("process_pool: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(limit: u64) -> Result<(), Box<dyn Error>> {
    let pool = ProcessPool::new()?; // a worker per core
    Runtime::new()?.block_on(async {
        pool.warm_up().await?;
        let begun = Instant::now();
        let primes = primes_below(&pool, limit).await?;
        println!("{primes} primes below {limit}, in {:?}", begun.elapsed());
        if limit == 1_000_000 && primes != 78_498 {
            return Err("there are 78498 primes below a million".into());
        }

        // A worker that dies fails its own job. The others, and later calls, do not notice.
        let (crashed, primes) = futures::join!(
            pool.call(crash, ("these are my last words".to_owned(),)),
            pool.call(count_primes, (0, 100_000))
        );
        match crashed {
            Err(CallError::WorkerDied { signal, stderr_tail, .. }) => {
                println!("a worker died of signal {signal:?}; it said {:?}", stderr_tail.trim_end());
            }
            other => return Err(format!("the crash went unnoticed: {other:?}").into()),
        }
        println!("beside it {} primes were counted", primes?);

        // A thread cannot be stopped from outside; a process can.
        match pool.call(never_end, ()).timeout(Duration::from_millis(100)).await {
            Err(CallError::Timeout { after, .. }) => {
                println!("a job without an end was killed after {after:?}")
            }
            other => return Err(format!("an endless job has ended: {other:?}").into()),
        }

        // Jobs that are under way may finish; after this no worker is left.
        let report = pool.close(Duration::from_secs(10)).await;
        println!("the pool has closed, {} jobs were cut off", report.cancelled);
        Ok(())
    })
}

/// Divides the work into more pieces than there are workers, so that none is left with nothing to do, and large ones, so that
/// the way there and back (tens of microseconds) does not count.
async fn primes_below(pool: &ProcessPool, limit: u64) -> Result<u64, CallError> {
    const PIECES: u64 = 32;
    let bound = |piece: u64| limit * piece / PIECES;
    // `call` submits at once; joining them only waits.
    let calls = (0..PIECES).map(|piece| pool.call(count_primes, (bound(piece), bound(piece + 1))));
    Ok(try_join_all(calls).await?.into_iter().sum())
}
