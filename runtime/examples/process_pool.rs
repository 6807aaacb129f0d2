//! Work in other processes: on all cores, and safe from crashes and endless loops. `map`, `Blob`, `Offload`, time limits.
//!
//! ```text
//! cargo run -p crossover-runtime --example process_pool                # primes below 1000000
//! cargo run -p crossover-runtime --example process_pool -- 5000000
//! cargo run -p crossover-runtime --example process_pool -- --check
//! ```

use crossover_runtime::process_pool::{Blob, CallError, Offload, ProcessPool, job, worker_entry};
use crossover_runtime::runtime::Runtime;
use futures::{TryStreamExt, future::try_join_all};
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

/// The same for `map`, which gives a job one argument.
#[job]
fn count_primes_in((from, to): (u64, u64)) -> u64 {
    count_primes(from, to)
}

#[job]
fn sum(bytes: Blob) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

#[job]
fn process() -> u32 {
    std::process::id()
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
        count(&pool, limit).await?;
        share(&pool).await?;
        move_by_one_word(&pool).await?;
        survive(&pool).await?;

        // Jobs that are under way may finish; after this no worker is left.
        let report = pool.close(Duration::from_secs(10)).await;
        println!("the pool has closed, {} jobs were cut off", report.cancelled);
        Ok(())
    })
}

/// One job for many items: the pool puts as many into a chunk as are worth the way there and back.
async fn count(pool: &ProcessPool, limit: u64) -> Result<(), Box<dyn Error>> {
    const PIECE: u64 = 1000;
    let begun = Instant::now();
    let pieces = (0..limit).step_by(PIECE as usize).map(|from| (from, limit.min(from + PIECE)));
    let mut counts = pool.map(count_primes_in, pieces).ordered(false);
    let mut primes = 0;
    while let Some(count) = counts.try_next().await? {
        primes += count; // in any order, as they are ready
    }
    println!("{primes} primes below {limit}, in {:?}", begun.elapsed());
    if limit == 1_000_000 && primes != 78_498 {
        return Err("there are 78498 primes below a million".into());
    }
    Ok(())
}

/// A large input for several jobs: it is written once, into shared memory, and the workers read it there.
async fn share(pool: &ProcessPool) -> Result<(), Box<dyn Error>> {
    const LEN: usize = 16 << 20;
    let data = Blob::with_len(LEN, |bytes| {
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = place as u8;
        }
    });
    let begun = Instant::now();
    let parts = (0..4).map(|n| data.slice(n * LEN / 4..(n + 1) * LEN / 4)); // no copy
    let sums = try_join_all(parts.map(|part| pool.call(sum, (part,)))).await?;
    let total: u64 = sums.into_iter().sum();
    println!("the bytes of a blob of 16 MiB sum up to {total}, in {:?}", begun.elapsed());
    if total != LEN as u64 / 256 * (255 * 256 / 2) {
        return Err("the sum is wrong".into());
    }
    Ok(())
}

/// The same job in this task, on a thread of the blocking pool, in a process.
async fn move_by_one_word(pool: &ProcessPool) -> Result<(), CallError> {
    for place in [Offload::Inline, Offload::Blocking, Offload::Processes(pool.clone())] {
        let primes = place.call(count_primes, (0, 10_000)).await?;
        println!("{primes} primes below 10000, says process {}", place.call(process, ()).await?);
    }
    Ok(())
}

/// What a thread cannot do.
async fn survive(pool: &ProcessPool) -> Result<(), Box<dyn Error>> {
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
            println!("a job without an end was killed after {after:?}");
        }
        other => return Err(format!("an endless job has ended: {other:?}").into()),
    }
    Ok(())
}
