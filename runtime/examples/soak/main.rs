//! A long mixed run: runtimes of all shapes are made, driven by actors that do everything at random, and ended in every
//! way, one after the other. After each the books must balance; over all of them memory, descriptors and threads must
//! not grow.
//!
//! `soak [seconds] [seed]`: 600 seconds unless said. The seed decides what the actors do, not how the threads run, so the
//! same seed makes a failure likely again, not certain. `scripts/soak.sh` builds and starts it.
//!
//! The deeds are in `tasks.rs` (tasks, handles, jobs, timers), `forks.rs` (fork-join) and `sockets.rs`, what they share in `base.rs`.
//!
//! Exit code 0: all held. A panic in this program itself, a hang (nothing done for 30 s) or growth ends it with another.

mod base;
mod forks;
mod sockets;
mod tasks;

use base::{ALIVE, CURRENT, DOING, DONE, Doing, Hub, OnPurpose, Rng, Value, be_woken};
use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::spawn;
use crossover_runtime::task::{JoinSet, yield_now};
use crossover_runtime::time::sleep;
use forks::fork_and_join;
use sockets::{lose_a_peer, send_datagrams, talk};
use std::future::pending;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tasks::{burst_of_jobs, child, handle_a_child, move_timers, offload, pass_messages, storm_of_aborts};

/// Does one thing; says which it is about to do.
async fn deed(rng: &mut Rng, hub: &Hub, doing: &mut Doing) {
    match doing.begin(rng.below(22)) {
        0 => be_woken(rng, hub).await,
        1 => pass_messages(rng).await,
        2 => drop(talk(rng).await),
        3 => offload(rng, hub).await,
        4 => sleep(Duration::from_micros(rng.below(3000))).await,
        5 => {
            let mut set = JoinSet::new();
            for _ in 0..rng.below(20) {
                set.spawn(child(rng.fork(), hub.clone(), Value::new()));
            }
            for _ in 0..rng.below(20) {
                drop(set.join_next().await);
            }
        }
        6 => drop(spawn(pending::<()>())),
        7 => hub.wake_some(rng),
        8 => yield_now().await,
        9 => storm_of_aborts(rng, hub).await,
        10 => move_timers(rng).await,
        11 => burst_of_jobs(rng, hub).await,
        12 => fork_and_join(rng, hub).await,
        13 => drop(lose_a_peer(rng, doing).await),
        14 => drop(send_datagrams(rng).await),
        _ => handle_a_child(rng, hub).await,
    }
}

async fn actor(mut rng: Rng, hub: Hub, stop: Arc<AtomicBool>) {
    let mut doing = Doing::new();
    while !stop.load(Ordering::Relaxed) {
        DONE.fetch_add(1, Ordering::Relaxed);
        deed(&mut rng, &hub, &mut doing).await;
    }
}

fn build(rng: &mut Rng) -> Runtime {
    let mut builder = match rng.below(4) {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(1 + rng.below(4) as usize)
        .max_blocking_threads(1 + rng.below(8) as usize)
        .thread_keep_alive(Duration::from_micros(rng.below(3000)))
        .event_interval(1 + rng.below(61) as u32)
        .global_queue_interval(1 + rng.below(61) as u32)
        // Often just one.
        .max_io_events_per_tick(1 << rng.below(11));
    builder.build().expect("a runtime")
}

/// One runtime from its making to its end.
fn round(rng: &mut Rng) {
    let rt = build(rng);
    let metrics = rt.metrics();
    *CURRENT.lock().unwrap() = Some(metrics.clone());
    let (hub, stop) = (Hub::default(), Arc::new(AtomicBool::new(false)));
    let actors: Vec<_> =
        (0..1 + rng.below(24)).map(|_| rt.spawn(actor(rng.fork(), hub.clone(), Arc::clone(&stop)))).collect();
    let time = Duration::from_millis(rng.below(300));
    rt.block_on(async { sleep(time).await });
    // In half of the rounds the end comes when nobody is in the middle of anything of ours.
    if rng.below(2) == 0 {
        stop.store(true, Ordering::Relaxed);
        rt.block_on(async {
            for actor in actors {
                if let Err(error) = actor.await {
                    assert!(error.is_cancelled(), "{error}");
                }
            }
        });
    }
    match rng.below(4) {
        0 => assert_eq!(rt.shutdown_timeout(Duration::from_secs(60)), 0),
        1 => rt.shutdown_background(),
        _ => drop(rt),
    }
    stop.store(true, Ordering::Relaxed);
    until("no task is alive", || metrics.num_alive_tasks() == 0);
    until("the queues are empty", || {
        let workers = 0..metrics.num_workers();
        metrics.global_queue_depth() == 0
            && metrics.blocking_queue_depth() == 0
            && workers.map(|worker| metrics.worker_local_queue_depth(worker)).sum::<usize>() == 0
    });
    until("spawned = completed + cancelled", || {
        metrics.spawned_tasks_count() == metrics.completed_tasks_count() + metrics.cancelled_tasks_count()
    });
    // Wakers keep their tasks' memory, and may still be called.
    hub.wake_some(rng);
    hub.0.lock().unwrap().clear();
    until("all values are dropped", || ALIVE.load(Ordering::Relaxed) == 0);
    *CURRENT.lock().unwrap() = None;
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(20) {
            let metrics = CURRENT.lock().unwrap();
            panic!("never: {what}; {} values alive; {metrics:#?}", ALIVE.load(Ordering::Relaxed));
        }
        std::thread::yield_now();
    }
}

/// (resident KiB, descriptors, threads) of this process.
fn footprint() -> (u64, usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let resident = line.trim().trim_end_matches(" kB").parse().expect("a number");
    let entries = |path| std::fs::read_dir(path).expect("/proc").count();
    (resident, entries("/proc/self/fd"), entries("/proc/self/task"))
}

fn watch_for_hangs() {
    let mut last = (u64::MAX, Instant::now());
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let done = DONE.load(Ordering::Relaxed);
        if done != last.0 {
            last = (done, Instant::now());
        } else if last.1.elapsed() > Duration::from_secs(30) {
            let doing = DOING.lock().unwrap();
            eprintln!("soak: nothing done for 30 s: a hang in {doing:?}\n{:#?}", CURRENT.lock().unwrap());
            std::process::exit(2);
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_millis() as u64);
    let (Ok(seconds), Ok(seed)) = (number(600), number(now)) else {
        eprintln!("usage: soak [seconds] [seed]");
        return ExitCode::from(64);
    };
    println!("soak: {seconds} s, seed {seed}");
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<OnPurpose>() {
            report(info);
            // Also one in a task, which would only end that task.
            std::process::exit(1);
        }
    }));
    std::thread::spawn(watch_for_hangs);

    let (begin, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut rng = Rng::new(seed);
    let (mut rounds, mut next_report) = (0_u64, limit / 10);
    // Growth is measured from a tenth of the time on: by then the allocator has what it needs.
    let mut base = None;
    while begin.elapsed() < limit {
        round(&mut rng);
        rounds += 1;
        DONE.fetch_add(1, Ordering::Relaxed);
        if begin.elapsed() >= next_report {
            next_report += limit / 10;
            let now = footprint();
            base.get_or_insert(now);
            let done = DONE.load(Ordering::Relaxed);
            println!("soak: {:?}: {rounds} runtimes, {done} deeds, {now:?}", begin.elapsed());
        }
    }
    let first = base.unwrap_or_else(footprint);
    until("threads and descriptors are as many as before", || {
        let now = footprint();
        now.1 <= first.1 && now.2 <= 2
    });
    let last = footprint();
    println!("soak: {rounds} runtimes; (KiB, descriptors, threads) from {first:?} to {last:?}");
    // One burst that needs more than all before it is no leak; steady growth over the rounds is.
    let allowed = first.0 + first.0 / 2 + 32 * 1024;
    if last.0 > allowed {
        eprintln!("soak: memory has grown from {} to {} KiB (seed {seed})", first.0, last.0);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
