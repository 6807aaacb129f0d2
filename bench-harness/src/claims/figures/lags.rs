//! Claims about a loop that is held up: by blocking calls, by computing, and by where the computing goes instead.
use std::time::{Duration, Instant};

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::time::{MissedTickBehavior, interval, sleep, timeout};
use crossover_runtime::{spawn, spawn_blocking};
use futures_util::future::{Either, join_all, select};

use super::cpu::{chew, chew_in_worker, pool};
use super::{Outcome, Setup, Trouble, found, largest, median, ms, one_loop, seconds, seconds_of, workers};

/// Runs `work` beside a ticker on the same task: the longest time between two ticks, in seconds, and the output.
pub(crate) async fn longest_gap<F: Future>(period: Duration, work: F) -> (f64, F::Output) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut last, mut gap) = (Instant::now(), 0.0_f64);
    let mut work = std::pin::pin!(work);
    loop {
        let done = match select(std::pin::pin!(ticks.tick()), work.as_mut()).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        };
        gap = gap.max(last.elapsed().as_secs_f64());
        last = Instant::now();
        if let Some(output) = done {
            return (gap, output);
        }
    }
}

/// How late the ticks of a `period` are, in seconds, while `work` is under way.
async fn lateness<F: Future>(period: Duration, work: F) -> (Vec<f64>, F::Output) {
    let mut late = Vec::new();
    let mut work = std::pin::pin!(work);
    loop {
        let due = Instant::now() + period;
        match select(std::pin::pin!(sleep(period)), work.as_mut()).await {
            Either::Left(_) => late.push(due.elapsed().as_secs_f64()),
            Either::Right((output, _)) => {
                // What held the loop up also held up the tick that was due.
                late.push(due.elapsed().as_secs_f64());
                return (late, output);
            }
        }
    }
}

/// 21: the longest gap of a 10 ms ticker beside a second that blocks the loop, that is awaited, and that is on the blocking pool.
pub(crate) fn blocked_loop(_: &Setup) -> Outcome {
    let runtime = one_loop()?;
    let second = ms(1000);
    let gap = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| -> Result<f64, Trouble> {
        let (gap, done) = runtime.block_on(longest_gap(ms(10), async { spawn(work).await }));
        done?;
        Ok(gap)
    };
    let blocked = gap(Box::pin(async move { std::thread::sleep(second) }))?;
    let awaited = gap(Box::pin(async move { sleep(second).await }))?;
    let executor = gap(Box::pin(async move {
        // A job that panics would end as no gap at all, which the bounds tell.
        let _ = spawn_blocking(move || std::thread::sleep(second)).await;
    }))?;
    Ok(found("blocked_gap", blocked).and("async_gap", awaited).and("executor_gap", executor))
}

/// 23: three blocking calls of 300 ms, inline and on the blocking pool.
pub(crate) fn executor(setup: &Setup) -> Outcome {
    let runtime = workers(setup)?;
    let call = || std::thread::sleep(ms(300));
    let (pooled, done) =
        runtime.block_on(seconds_of(async { join_all((0..3).map(|_| spawn_blocking(call))).await }));
    for result in done {
        result?;
    }
    let (inline, ()) = seconds(|| runtime.block_on(async { (0..3).for_each(|_| call()) }));
    Ok(found("executor", pooled).and("inline", inline))
}

/// 24: 60 blocking calls of 100 ms on the blocking pool as it is, and limited to six threads.
pub(crate) fn default_executor(setup: &Setup) -> Outcome {
    let wall = |runtime: Runtime| -> Result<f64, Trouble> {
        let call = || spawn_blocking(|| std::thread::sleep(ms(100)));
        let (wall, done) = runtime.block_on(seconds_of(async { join_all((0..60).map(|_| call())).await }));
        for result in done {
            result?;
        }
        Ok(wall)
    };
    let free = wall(workers(setup)?)?;
    let six = wall(Builder::new_multi_thread().worker_threads(setup.cores).max_blocking_threads(6).build()?)?;
    Ok(found("wall", free).and("six_threads", six))
}

/// 50: how late the ticks of 5 ms are on an idle loop.
pub(crate) fn tick_lag(_: &Setup) -> Outcome {
    let (mut late, ()) = one_loop()?.block_on(lateness(ms(5), async { sleep(ms(1000)).await }));
    late.pop();
    let worst = largest(&late);
    Ok(found("tick_lag_p50", median(&mut late)).and("tick_lag_max", worst))
}

/// The longest delay of a 5 ms ticker on a loop while `work` is under way.
fn worst_lag<F: Future>(work: F) -> Result<f64, Trouble> {
    Ok(largest(&one_loop()?.block_on(lateness(ms(5), work)).0))
}

/// loop-lag: the same, by where a job of 200 ms computes.
pub(crate) fn by_place(_: &Setup) -> Outcome {
    let job = ms(200);
    let idle = worst_lag(async { sleep(job).await })?;
    // Awaited, so that the ticker has begun.
    let in_loop = worst_lag(async {
        sleep(ms(20)).await;
        chew(job)
    })?;
    let one_thread = worst_lag(spawned(1, job))?;
    let two_threads = worst_lag(spawned(2, job))?;
    let pool = pool(1)?;
    let process = worst_lag(pool.call(chew_in_worker, (job.as_micros() as u64,)))?;
    Ok(found("loop", in_loop)
        .and("idle", idle)
        .and("one_thread", one_thread)
        .and("two_threads", two_threads)
        .and("process", process)
        .and("loop_over_process", in_loop / process.max(1e-6)))
}

async fn spawned(threads: usize, job: Duration) {
    // A job that panics shows as a short one.
    let _ = join_all((0..threads).map(|_| spawn_blocking(move || chew(job)))).await;
}

/// 42: the loop's lag beside four jobs of 100 ms in the process pool, and idle.
pub(crate) fn offloaded(setup: &Setup) -> Outcome {
    let idle = worst_lag(async { sleep(ms(200)).await })?;
    let pool = pool(setup.cores.saturating_sub(1).max(1))?;
    let jobs = (0..4).map(|_| pool.call(chew_in_worker, (100_000,)));
    let lag = worst_lag(join_all(jobs))?;
    Ok(found("offloaded_lag", lag).and("idle_lag", idle))
}

/// 37: CPU time over wall time of four computing tasks on one loop.
pub(crate) fn cores_used(_: &Setup) -> Outcome {
    let runtime = one_loop()?;
    let before = crate::probe::Usage::own();
    let (wall, _) = seconds(|| {
        runtime.block_on(async { join_all((0..4).map(|_| spawn(async { chew(ms(100)) }))).await })
    });
    let used = crate::probe::Usage::own().since(before);
    Ok(found("cores_used", (used.user_ns + used.sys_ns) as f64 / 1e9 / wall))
}

/// x1: a limit of 100 ms on an async function that blocks for 300 ms.
pub(crate) fn limit_on_blocking(_: &Setup) -> Outcome {
    let blocking = async { std::thread::sleep(ms(300)) };
    let (returned, result) = one_loop()?.block_on(seconds_of(timeout(ms(100), blocking)));
    Ok(found("timed_out", f64::from(result.is_err())).and("returned", returned))
}

/// x2: a limit of 100 ms on a job of 300 ms in the blocking pool: how long the job runs on after the limit.
pub(crate) fn limit_on_job(setup: &Setup) -> Outcome {
    let (sender, receiver) = std::sync::mpsc::channel();
    let job = move || {
        std::thread::sleep(ms(300));
        // Nobody listens only after a failure that is told below.
        let _ = sender.send(Instant::now());
    };
    let result = workers(setup)?.block_on(async {
        let result = timeout(ms(100), spawn_blocking(job)).await;
        let given_up = Instant::now();
        // Awaited elsewhere: the runtime's end would wait for the job.
        let ended = spawn_blocking(move || receiver.recv_timeout(ms(5000))).await;
        (result.is_err(), given_up, ended)
    });
    match result {
        (true, given_up, Ok(Ok(ended))) => Ok(found("ran", (ended - given_up).as_secs_f64())),
        other => Err(Trouble::Failed(format!("the job was not given up, or did not end: {other:?}"))),
    }
}
