//! Claims about requests: concurrent ones, limits of clients and servers, fan-out, errors, and running out of sockets.
//!
//! Every request is a GET of the test server in another process, over loopback TCP, by hyper on our streams or by ureq.
use std::sync::Arc;
use std::time::Duration;

use crossover_runtime::spawn;
use crossover_runtime::sync::Semaphore;
use crossover_runtime::time::timeout;
use crossover_workloads::{Value, Workload, WorkloadError};
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Found, Outcome, Setup, Trouble, found, ms, one_loop, requests, seconds, seconds_of, share, spec, workers,
};

/// All tasks of `work` at once: how long they take.
async fn gather(work: &Workload) -> Result<f64, Trouble> {
    let tasks = (0..work.tasks()).map(|task| work.run_async(task));
    let (wall, done) = seconds_of(try_join_all(tasks)).await;
    done?;
    Ok(wall)
}

/// All tasks of `work`, `limit` at once.
async fn limited(work: &Workload, limit: usize) -> Result<f64, Trouble> {
    let tasks = stream::iter(0..work.tasks()).map(|task| work.run_async(task));
    let (wall, done) = seconds_of(tasks.buffer_unordered(limit).collect::<Vec<_>>()).await;
    for result in done {
        result?;
    }
    Ok(wall)
}

/// All tasks of `work` in plain, blocking code.
fn plain(work: &Workload) -> Result<f64, Trouble> {
    let (wall, done) = seconds(|| (0..work.tasks()).try_for_each(|task| work.run_blocking(task).map(drop)));
    done?;
    Ok(wall)
}

fn concurrent(tasks: u32, delay: Duration, setup: &Setup) -> Result<f64, Trouble> {
    let work = requests(delay, tasks, setup)?;
    one_loop()?.block_on(gather(&work))
}

/// 11: 100 requests of 300 ms by one client.
pub(crate) fn hundred(setup: &Setup) -> Outcome {
    Ok(found("wall", concurrent(100, ms(300), setup)?))
}

/// 19: ten requests of a second; one after the other only in full.
pub(crate) fn ten_of_a_second(setup: &Setup) -> Outcome {
    let out = found("wall", concurrent(10, ms(1000), setup)?);
    if !setup.full {
        return Ok(out);
    }
    Ok(out.and("sequential", plain(&requests(ms(1000), 10, setup)?)?))
}

/// 51: 100 requests of 300 ms; one after the other only in full.
pub(crate) fn slowest_of_hundred(setup: &Setup) -> Outcome {
    let out = hundred(setup)?;
    if !setup.full {
        return Ok(out);
    }
    Ok(out.and("sequential", plain(&requests(ms(300), 100, setup)?)?))
}

/// 68: three requests of 200 ms, one after the other and at once.
pub(crate) fn three_requests(setup: &Setup) -> Outcome {
    let sequential = plain(&requests(ms(200), 3, setup)?)?;
    Ok(found("wall", concurrent(3, ms(200), setup)?).and("sequential", sequential))
}

/// 28: one request of 200 ms, in plain code and in async code.
pub(crate) fn one_request(setup: &Setup) -> Outcome {
    let sync = plain(&requests(ms(200), 1, setup)?)?;
    let work = requests(ms(200), 1, setup)?;
    let (with_loop, done) = seconds(|| one_loop()?.block_on(gather(&work)));
    done?;
    Ok(found("ratio", with_loop / sync).and("sync", sync).and("async", with_loop))
}

/// 22: three blocking requests of 200 ms inside of tasks, on a loop with one worker and on all workers.
pub(crate) fn blocking_requests(setup: &Setup) -> Outcome {
    let work = requests(ms(200), 3, setup)?;
    let wall = |runtime: crossover_runtime::runtime::Runtime| -> Result<f64, Trouble> {
        let (wall, done) = seconds(|| {
            let work = &work;
            runtime.block_on(async {
                let tasks = (0..3).map(|task| {
                    let work = work.clone();
                    spawn(async move { work.run_blocking(task) })
                });
                join_all(tasks.collect::<Vec<_>>()).await
            })
        });
        for result in done {
            result??;
        }
        Ok(wall)
    };
    let (one, all) = (wall(one_loop()?)?, wall(workers(setup)?)?);
    let turns = 3_usize.div_ceil(setup.cores) as f64;
    Ok(found("wall", one)
        .and("all_workers_turns", all / 0.2)
        .note(format!("on all {} workers it takes {turns} turns of 200 ms", setup.cores)))
}

/// 15: a gateway that asks five backends, which take 50 to 300 ms, for each request.
pub(crate) fn gateway(setup: &Setup) -> Outcome {
    let backends: Vec<Workload> =
        [50, 100, 150, 200, 300].iter().map(|&n| requests(ms(n), 10, setup)).collect::<Result<_, _>>()?;
    let backends = Arc::new(backends);
    let (wall, answers) = workers(setup)?.block_on(seconds_of(async {
        let one = |task| {
            let backends = Arc::clone(&backends);
            spawn(async move { try_join_all(backends.iter().map(|backend| backend.run_async(task))).await })
        };
        join_all((0..10).map(one)).await
    }));
    for answer in answers {
        answer??;
    }
    Ok(found("over_slowest", wall / 0.3).and("wall", wall))
}

/// 29: a scraper that fetches pages of 50 ms and parses each.
pub(crate) fn scraper(setup: &Setup) -> Outcome {
    let tasks = if setup.full { 100 } else { 25 };
    let work = Workload::prepare(&spec("scraper", &[("delay_ms", Value::Int(50))], tasks, setup)?)?;
    let sequential = plain(&work)?;
    let wall = one_loop()?.block_on(gather(&work))?;
    Ok(found("speedup", sequential / wall).and("wall", wall).and("sequential", sequential))
}

/// 14: 200 clients of a chat that say five messages each, 100 ms apiece, over WebSocket.
pub(crate) fn chat(setup: &Setup) -> Outcome {
    let params = [("delay_ms", Value::Int(100)), ("messages", Value::Int(5))];
    let work = Workload::prepare(&spec("websocket", &params, 200, setup)?)?;
    let wall = one_loop()?.block_on(gather(&work))?;
    Ok(found("wall", wall).and("speedup", 200.0 * 0.5 / wall))
}

/// 100 requests of 50 ms under limits of the client: the wall time over ceil(n / limit) · d, at worst.
fn client_limits(setup: &Setup) -> Outcome {
    let runtime = one_loop()?;
    let mut out = Found::default();
    let mut worst: f64 = 0.0;
    for (name, limit) in
        [("limit_5", 5), ("limit_10", 10), ("limit_20", 20), ("limit_50", 50), ("limit_100", 100)]
    {
        let work = requests(ms(50), 100, setup)?;
        let wall = runtime.block_on(limited(&work, limit))?;
        worst = worst.max(wall / (100_usize.div_ceil(limit) as f64 * 0.05));
        out = out.and(name, wall);
    }
    Ok(out.and("over_bound", worst))
}

/// 52: limits of the client, then of the server.
pub(crate) fn bounds(setup: &Setup) -> Outcome {
    let mut out = client_limits(setup)?;
    out.figures.insert("over_server_bound", server_limits(setup)?);
    Ok(out)
}

/// 60 requests of 50 ms to a server that works on some at once, under limits of the client: the wall time over
/// ceil(n / the smaller limit) · d, at worst.
fn server_limits(setup: &Setup) -> Result<f64, Trouble> {
    let runtime = one_loop()?;
    let mut worst: f64 = 0.0;
    for capacity in [5_u32, 20] {
        for limit in [10_u32, 30] {
            let params = [("delay_ms", Value::Int(50)), ("capacity", Value::Int(capacity.into()))];
            let work = Workload::prepare(&spec("http", &params, 60, setup)?)?;
            let wall = runtime.block_on(limited(&work, limit as usize))?;
            worst = worst.max(wall / (f64::from(60_u32.div_ceil(limit.min(capacity))) * 0.05));
        }
    }
    Ok(worst)
}

/// x4: 1000 requests of 300 ms, with a hidden limit of 100 connections and without.
pub(crate) fn hidden_limit(setup: &Setup) -> Outcome {
    let runtime = one_loop()?;
    let (free, tight) = (requests(ms(300), 1000, setup)?, requests(ms(300), 1000, setup)?);
    let unlimited = runtime.block_on(gather(&free))?;
    drop(free);
    let gate = Semaphore::new(100);
    let behind = async |task| {
        let _permit = gate.acquire().await;
        tight.run_async(task).await
    };
    let (limited, done) = runtime.block_on(seconds_of(try_join_all((0..1000).map(behind))));
    done?;
    Ok(found("limited", limited).and("unlimited", unlimited))
}

/// 54: 300 requests at once where the process may open 100 files: how many fail, whether each says why, and whether the rest is served.
pub(crate) fn out_of_sockets(setup: &Setup) -> Outcome {
    let work = requests(ms(100), 300, setup)?;
    let runtime = one_loop()?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), ..limit })?;
    let all = timeout(ms(10_000), join_all((0..300).map(|task| work.run_async(task))));
    let Ok(answers) = runtime.block_on(all) else {
        return Err(Trouble::Failed("requests hang where no socket is left".to_owned()));
    };
    let failed: Vec<&WorkloadError> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let typed = failed.iter().filter(|error| error.to_string().contains("Too many open files")).count();
    Ok(found("failed", failed.len() as f64).and("typed", share(typed, failed.len())))
}

/// 58: files that are open before a client is used, and after it is gone.
pub(crate) fn files_left(setup: &Setup) -> Outcome {
    let open = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    let runtime = one_loop()?;
    let before = open()?;
    let work = requests(ms(10), 50, setup)?;
    runtime.block_on(gather(&work))?;
    let during = open()?;
    drop(work);
    Ok(found("left", open()? as f64 - before as f64).and("kept_alive", during as f64 - before as f64))
}

/// 74: requests that exceed a limit on the whole exchange: the share that a handler for the client's own errors catches.
pub(crate) fn caught(setup: &Setup) -> Outcome {
    let work = requests(ms(300), 10, setup)?;
    let fetch = async |task| -> Result<u64, Box<dyn std::error::Error>> {
        Ok(timeout(ms(50), work.run_async(task)).await??)
    };
    let results = one_loop()?.block_on(join_all((0..10).map(fetch)));
    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    if errors.len() != 10 {
        return Err(Trouble::Failed(format!("{} of 10 requests exceeded their limit", errors.len())));
    }
    let caught = errors.iter().filter(|error| error.is::<WorkloadError>()).count();
    Ok(found("caught", share(caught, 10)).note(format!("each is {:?}", errors[0].to_string())))
}

/// 77: requests a second, with 100 connections that are kept alive and with one, to a server that takes a millisecond for each.
pub(crate) fn throughput(setup: &Setup) -> Outcome {
    let (many, few) = if setup.full { (10_000, 500) } else { (5_000, 200) };
    let runtime = workers(setup)?;
    let work = requests(ms(1), many, setup)?;
    let rate = |tasks: u32, limit: usize| -> Result<f64, Trouble> {
        let next = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let client = || {
            let (work, next) = (work.clone(), Arc::clone(&next));
            spawn(async move {
                loop {
                    // Relaxed: it only hands out numbers.
                    let task = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if task >= tasks {
                        return Ok::<_, WorkloadError>(());
                    }
                    work.run_async(task).await?;
                }
            })
        };
        let (wall, done) =
            runtime.block_on(seconds_of(async { join_all((0..limit).map(|_| client())).await }));
        for result in done {
            result??;
        }
        Ok(f64::from(tasks) / wall)
    };
    let one = rate(few, 1)?;
    let hundred = rate(many, 100)?;
    Ok(found("requests_per_s", hundred).and("speedup", hundred / one))
}

/// 67: the longest gap of a 10 ms ticker while 100 requests of 200 ms are under way.
pub(crate) fn heartbeat(setup: &Setup) -> Outcome {
    let work = requests(ms(200), 100, setup)?;
    let (gap, done) = one_loop()?.block_on(super::lags::longest_gap(ms(10), gather(&work)));
    done?;
    Ok(found("gap", gap))
}
