//! Other claims: what spawning costs, whether computing starves I/O, and what small scripts and parsing take.
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossover_runtime::runtime::Runtime;
use crossover_runtime::task::yield_now;
use crossover_runtime::{spawn, spawn_blocking};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::super::child;
use super::cpu::chew;
use super::engine::Engine;
use super::{
    Outcome, Setup, Trouble, found, largest, median, ms, one_loop, requests, seconds, seconds_of, workers,
};

/// spawn-cost: a task and a thread that end at once, in µs each, started one after the other and then awaited; the middle of
/// several turns.
pub(crate) fn spawn_cost<E: Engine>(setup: &Setup) -> Outcome {
    const TASKS: u32 = 100_000;
    const THREADS: u32 = 1000;
    const TURNS: usize = 7;
    let runtime = E::workers(setup.cores)?;
    let tasks = || {
        E::block_on(&runtime, async {
            let all: Vec<_> = (0..TASKS).map(|_| E::spawn(async {})).collect();
            for task in all {
                task.await?;
            }
            Ok::<_, E::Lost>(())
        })
    };
    // Once for nothing: the memory is there then.
    tasks()?;
    let (mut by_task, mut by_thread, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (task, done) = seconds(tasks);
        done?;
        let (thread, done) = seconds(|| start_threads(THREADS));
        done?;
        let (task, thread) = (task * 1e6 / f64::from(TASKS), thread * 1e6 / f64::from(THREADS));
        by_task.push(task);
        by_thread.push(thread);
        ratios.push(thread / task);
    }
    Ok(found("thread_over_task", median(&mut ratios))
        .and("task_us", median(&mut by_task))
        .and("thread_us", median(&mut by_thread)))
}

/// Starts `count` threads that end at once, and waits for all of them.
fn start_threads(count: u32) -> std::io::Result<()> {
    let all: Vec<_> =
        (0..count).map(|_| std::thread::Builder::new().spawn(|| ())).collect::<Result<_, _>>()?;
    for thread in all {
        // It does nothing, so it cannot panic.
        let _ = thread.join();
    }
    Ok(())
}

/// io-starve: requests of 5 ms beside tasks that compute 20 ms at a stretch: their 99th percentile where both share a
/// runtime, where computing is on the blocking pool, and alone.
pub(crate) fn starved_io(setup: &Setup) -> Outcome {
    let shared = latency(setup, |_| spawn_hogs(setup.cores * 2))?;
    let apart = latency(setup, |stop| {
        for _ in 0..setup.cores.saturating_sub(1).max(1) {
            let stop = Arc::clone(stop);
            drop(spawn_blocking(move || {
                // Relaxed: it only ends the computing.
                while !stop.load(Ordering::Relaxed) {
                    chew(ms(20));
                }
            }));
        }
    })?;
    let alone = latency(setup, |_| ())?;
    Ok(found("shared_over_apart", shared / apart)
        .and("shared", shared)
        .and("apart", apart)
        .and("alone", alone))
}

/// Tasks that compute, and yield in between, until the runtime ends.
fn spawn_hogs(count: usize) {
    for _ in 0..count {
        drop(spawn(async {
            loop {
                chew(ms(20));
                yield_now().await;
            }
        }));
    }
}

/// The worst but two of 60 requests in turn, beside what `load` starts.
fn latency(setup: &Setup, load: impl FnOnce(&Arc<AtomicBool>)) -> Result<f64, Trouble> {
    let work = requests(ms(5), 60, setup)?;
    let runtime = workers(setup)?;
    let stop = Arc::new(AtomicBool::new(false));
    let result = runtime.block_on(async {
        load(&stop);
        let client = spawn(async move {
            let mut all = Vec::new();
            for task in 0..work.tasks() {
                let (took, done) = seconds_of(work.run_async(task)).await;
                done?;
                all.push(took);
            }
            Ok::<_, crossover_workloads::WorkloadError>(all)
        });
        client.await
    });
    stop.store(true, Ordering::Relaxed);
    runtime.shutdown_timeout(ms(1000));
    let mut all = result??;
    all.sort_by(f64::total_cmp);
    all.iter().rev().nth(2).copied().ok_or_else(|| Trouble::Failed("no request was answered".to_owned()))
}

/// 63: a script with one request of 50 ms, start-up included: in plain code, and with a runtime. Five of each, in turn.
pub(crate) fn short_script(setup: &Setup) -> Outcome {
    let server = super::server(setup)?.to_string();
    let run = |style: &str| -> Result<f64, Trouble> {
        let (wall, status) = seconds(|| {
            child::ourselves(&["claim-script", style, &server])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
        });
        if status?.success() { Ok(wall) } else { Err(Trouble::Failed(format!("the {style} script failed"))) }
    };
    let (mut ratios, mut plain, mut asynchronous) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let (one, other) = (run("plain")?, run("async")?);
        ratios.push(other / one);
        plain.push(one);
        asynchronous.push(other);
    }
    Ok(found("ratio", median(&mut ratios))
        .and("sync", median(&mut plain))
        .and("async", median(&mut asynchronous)))
}

/// The script of [`short_script`]: what `crossover claim-script` does. The value is the process's exit code.
///
/// # Errors
/// The request fails, or `style` is none of the two.
pub(crate) fn script(style: &str, server: std::net::SocketAddr) -> anyhow::Result<u8> {
    let setup = Setup { full: false, seed: 1, server: Some(server), stand_in: None, cores: num_cpus::get() };
    let fail = |trouble: Trouble| anyhow::anyhow!("{trouble:?}");
    let work = requests(ms(50), 1, &setup).map_err(fail)?;
    match style {
        "plain" => work.run_blocking(0)?,
        "async" => Runtime::new()?.block_on(work.run_async(0))?,
        other => anyhow::bail!("there is no script {other}"),
    };
    Ok(0)
}

/// What a service answers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    tags: Vec<String>,
    score: f64,
}

/// 45: a typed value from 10 KB of JSON within a task: what parsing takes.
pub(crate) fn parsing(_: &Setup) -> Outcome {
    let users: Vec<User> = (0..100)
        .map(|id| User {
            id,
            name: format!("user number {id}"),
            tags: vec!["async".to_owned(), "threads".to_owned(), "processes".to_owned()],
            score: id as f64 / 7.0,
        })
        .collect();
    let text = serde_json::to_string(&users)?;
    let bytes = text.len();
    let mut times: Vec<f64> = one_loop()?.block_on(async {
        let one = || {
            let text = text.clone();
            spawn(async move {
                let begun = Instant::now();
                let parsed: Result<Vec<User>, _> = serde_json::from_str(&text);
                (begun.elapsed().as_secs_f64(), parsed.is_ok_and(|users| users.len() == 100))
            })
        };
        let all = join_all((0..200).map(|_| one()).collect::<Vec<_>>()).await;
        all.into_iter().filter_map(Result::ok).filter(|(_, right)| *right).map(|(time, _)| time).collect()
    });
    if times.len() != 200 {
        return Err(Trouble::Failed("a value was not parsed".to_owned()));
    }
    let worst = largest(&times);
    Ok(found("parse", median(&mut times))
        .and("parse_max", worst)
        .note(format!("{bytes} bytes of JSON, 100 records")))
}
