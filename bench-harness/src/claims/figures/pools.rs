//! Claims about pools: when processes pay, what tiny jobs cost, what a death breaks, how a pool bears many submitters.
use std::time::Duration;

use crossover_runtime::process_pool::{CallError, job};
use futures_util::future::join_all;

use super::cpu::{chain, chain_in_worker, chains_in_worker, pool, root_in_worker, steps_of};
use super::engine::Engine;
use super::{Outcome, Setup, Trouble, found, median, ms, one_loop, seconds, seconds_of, share};

/// Jobs of one run of the break-even.
const JOBS: u64 = 64;

/// Jobs of a chunk.
const CHUNK: usize = 16;

/// Lengths that are tried, in µs; the break-even lies between two of them.
const LENGTHS_US: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// break-even: the length of a job, in µs, from which 64 of them take as long in two worker processes as in a loop.
pub(crate) fn break_even(setup: &Setup) -> Outcome {
    let (pool, runtime) = (pool(2)?, one_loop()?);
    let (mut single, mut chunked) = (Vec::new(), Vec::new());
    for length in LENGTHS_US {
        let steps = steps_of(Duration::from_micros(length));
        let (mut singles, mut chunks) = (Vec::new(), Vec::new());
        // Short jobs scatter most and cost least.
        let turns = if length <= 50 { 41 } else { 7 };
        for _ in 0..if setup.full { turns } else { turns / 2 } {
            let (plain, _) = seconds(|| (0..JOBS).fold(0, |sum, x| sum ^ chain(x, steps)));
            let calls = || (0..JOBS).map(|x| pool.call(chain_in_worker, (x, steps)));
            let (unbatched, done) = seconds(|| runtime.block_on(join_all(calls())));
            done.into_iter().collect::<Result<Vec<_>, _>>()?;
            let numbers: Vec<u64> = (0..JOBS).collect();
            let calls = || numbers.chunks(CHUNK).map(|x| pool.call(chains_in_worker, (x.to_vec(), steps)));
            let (batched, done) = seconds(|| runtime.block_on(join_all(calls())));
            done.into_iter().collect::<Result<Vec<_>, _>>()?;
            singles.push((unbatched / plain).ln());
            chunks.push((batched / plain).ln());
        }
        single.push(median(&mut singles));
        chunked.push(median(&mut chunks));
    }
    let (single, chunked) = (crossing(&single), crossing(&chunked));
    let (Some(single), Some(chunked)) = (single, chunked) else {
        return Err(Trouble::Failed("no break-even between 1 µs and 1 ms".to_owned()));
    };
    Ok(found("unbatched_us", single).and("chunked_us", chunked).and("chunks_gain", single / chunked))
}

/// Where the last of the crossings from above zero to below lies, on a log scale; the first length where all lie below.
fn crossing(ratios: &[f64]) -> Option<f64> {
    let lengths = LENGTHS_US.map(|length| (length as f64).ln());
    let Some(last) = ratios.iter().rposition(|ratio| *ratio > 0.0) else {
        return Some(LENGTHS_US[0] as f64);
    };
    let (above, below) = (ratios[last], *ratios.get(last + 1)?);
    let part = above / (above - below);
    Some((lengths[last] + part * (lengths[last + 1] - lengths[last])).exp())
}

/// loky-short: a million square roots in a loop, and one by one in a process pool (a tenth of them in the quick pass).
pub(crate) fn tiny_jobs(setup: &Setup) -> Outcome {
    let jobs = if setup.full { 1_000_000_u32 } else { 100_000 };
    let (plain, sum) = seconds(|| (0..jobs).map(|n| std::hint::black_box(f64::from(n)).sqrt()).sum::<f64>());
    let pool = pool(setup.cores)?;
    let (pooled, total) = one_loop()?.block_on(seconds_of(async {
        let mut total = 0.0;
        // As a pool's user would: all of them at once, but no more than memory bears.
        for first in (0..jobs).step_by(10_000) {
            let calls =
                (first..(first + 10_000).min(jobs)).map(|n| pool.call(root_in_worker, (f64::from(n),)));
            for root in join_all(calls).await {
                total += root?;
            }
        }
        Ok::<f64, CallError>(total)
    }));
    if (total? - sum).abs() > 1e-6 * sum {
        return Err(Trouble::Failed("the pool's sum differs from the loop's".to_owned()));
    }
    Ok(found("ratio", pooled / plain).and("loop", plain).and("pool", pooled))
}

/// Ends its worker process at once, as a crash does.
#[job]
fn dies(how: bool) -> u64 {
    if how {
        std::process::abort();
    }
    1
}

/// A job of 20 ms.
#[job]
fn lives(n: u64) -> u64 {
    std::thread::sleep(ms(20));
    n
}

/// x5: one of nine jobs kills its worker: the share of the others that fail, and of eight jobs that are submitted later.
pub(crate) fn dead_worker(_: &Setup) -> Outcome {
    let pool = pool(2)?;
    let failed = |results: &[Result<u64, CallError>]| {
        share(results.iter().filter(|result| result.is_err()).count(), results.len())
    };
    let (victim, others, later) = one_loop()?.block_on(async {
        let others: Vec<_> = (0..8).map(|n| pool.call(lives, (n,))).collect();
        let victim = pool.call(dies, (true,));
        let (victim, others) = futures_util::join!(victim, join_all(others));
        (victim, others, join_all((0..8).map(|n| pool.call(lives, (n,)))).await)
    });
    match victim {
        Err(CallError::WorkerDied { .. }) => {
            Ok(found("others_failed", failed(&others)).and("later_failed", failed(&later)))
        }
        other => Err(Trouble::Failed(format!("the victim came back as {other:?}"))),
    }
}

/// How often one submitter and eight take turns, in full and in the quick pass: the pool's threads come and go between two turns, and
/// the middle bears it.
const TURNS: usize = 7;
const TURNS_QUICK: usize = 3;

/// blocking-pool: 10,000 empty jobs from each of 1 and of 8 submitters: the time of the latter over the former's, per job and in all.
pub(crate) fn submitters<E: Engine>(setup: &Setup) -> Outcome {
    let each = if setup.full { 25_000 } else { 10_000 };
    let runtime = E::workers(setup.cores)?;
    // Once for nothing: the pool has its threads then.
    submit::<E>(&runtime, 8, each)?;
    let (mut one, mut eight, mut growth) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if setup.full { TURNS } else { TURNS_QUICK } {
        let (single, many) = (submit::<E>(&runtime, 1, each)?, submit::<E>(&runtime, 8, each)?);
        growth.push(many / single);
        one.push(single);
        eight.push(many);
    }
    let growth = median(&mut growth);
    Ok(found("growth", growth)
        .and("one", median(&mut one))
        .and("eight", median(&mut eight))
        .and("per_job", growth / 8.0))
}

fn submit<E: Engine>(runtime: &E::Runtime, submitters: usize, each: usize) -> Result<f64, Trouble> {
    let submitter = || {
        E::spawn(async move {
            let jobs: Vec<_> = (0..each).map(|_| E::spawn_blocking(|| ())).collect();
            let mut done = 0;
            for job in jobs {
                done += usize::from(job.await.is_ok());
            }
            done
        })
    };
    let (wall, done) = E::block_on(
        runtime,
        seconds_of(async { join_all((0..submitters).map(|_| submitter()).collect::<Vec<_>>()).await }),
    );
    let done: usize = done.into_iter().map(Result::unwrap_or_default).sum();
    if done != submitters * each {
        return Err(Trouble::Failed(format!("{done} of {} jobs were done", submitters * each)));
    }
    Ok(wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_break_even_is_where_the_ratio_falls_to_one() {
        let ratios: Vec<f64> = LENGTHS_US.iter().map(|&us| (30.0 / us as f64).ln()).collect();
        assert!((crossing(&ratios).unwrap() - 30.0).abs() < 1e-6);
        assert_eq!(crossing(&[-0.1; 10]), Some(1.0));
        assert_eq!(crossing(&[0.1; 10]), None);
    }
}
