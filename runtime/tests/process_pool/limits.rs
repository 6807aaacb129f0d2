//! What the builder and the calls limit: jobs per worker, memory, waiting, retries; and where keys go.

use crate::{
    jobs::{self, Then},
    runner::{SOON, count, judge},
    sabotage,
    support::{
        Footprint, Gate, Ledger, Random, Watched, err, kill, ok, pid, pool, scratch, signal_of, warm_pool,
    },
};
use crossover_runtime::process_pool::{CallError, ProcessPool, Retry, TimedOut};
use futures::{executor::block_on, future::join_all};
use rustix::process::Signal;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// Broken by: sending a worker more jobs than it may serve, or losing those that it was sent too many.
pub(crate) fn p12_a_worker_serves_one_job_when_told_so() {
    let pool = ProcessPool::builder().workers(2).max_jobs_per_worker(1).build().unwrap();
    let all = count(200, 10_000);
    let calls: Vec<_> = (0..all).map(|_| pool.call(jobs::worker_pid, ())).collect();
    let pids: Vec<u32> = block_on(join_all(calls)).into_iter().map(Result::unwrap).collect();
    // A number may come again, but not while its zombie has it, and 32768 processes later at the soonest.
    let distinct = pids.iter().collect::<HashSet<_>>().len() as u64;
    assert!(distinct == all || all > 1000, "{distinct} workers served {all} jobs");
    assert_eq!(pool.metrics().completed, all);
    assert!(pool.metrics().spawned >= all);
}

/// Broken by: a call that is forgotten between a worker's retirement and the pool's end.
pub(crate) fn p12_every_call_resolves_when_a_recycling_pool_is_dropped_early() {
    let before = Footprint::take();
    let mut random = Random(12);
    for _ in 0..count(20, 300) {
        let pool = ProcessPool::builder().workers(2).max_jobs_per_worker(1).build().unwrap();
        let calls: Vec<_> = (0..30).map(|n| pool.call(jobs::add, (n, 1))).collect();
        jobs::busy(random.below(10_000));
        drop(pool);
        for (n, result) in (0..30).zip(block_on(join_all(calls))) {
            match result {
                Ok(sum) => assert_eq!(sum, n + 1),
                Err(error) => assert!(error.is_closed() || error.is_cancelled(), "{error}"),
            }
        }
    }
    before.expect_again();
}

/// Broken by: giving a job to a worker that is being sent away for having had nothing to do.
pub(crate) fn p12_idle_workers_go_and_no_job_is_lost_with_them() {
    let pool = ProcessPool::builder()
        .workers(2)
        .min_workers(0)
        .idle_timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    let mut random = Random(120);
    for n in 0..count(150, 5000) {
        let calls = [pool.call(jobs::add, (n, 1)), pool.call(jobs::add, (n, 2))];
        let sums: Vec<_> = block_on(join_all(calls)).into_iter().map(Result::unwrap).collect();
        assert_eq!(sums, [n + 1, n + 2]);
        // About as long as a worker may be idle.
        jobs::busy(500 + random.below(1500));
    }
    let watched: Vec<_> = pool.worker_pids().into_iter().filter_map(Watched::find).collect();
    assert!(watched.into_iter().all(|worker| worker.ends_within(SOON)), "idle workers go");
    assert_eq!(pool.metrics().failed, 0);
    assert!(pool.metrics().spawned > 2);
}

/// Broken by: one clock for waiting and running.
pub(crate) fn p15_waiting_has_a_limit_of_its_own() {
    let limit = Duration::from_millis(20);
    let pool = pool(1);
    let gate = Gate::new();
    let marker = scratch("waiting");
    let mut overshoots = Vec::new();
    for _ in 0..5 {
        // Started at once, so the limit on waiting is nothing to it.
        ok(pool.call(jobs::unit, ()));
        let running = pool.call(jobs::gate, (gate.name(),)).queue_timeout(limit);
        let guest = gate.guest();
        let start = Instant::now();
        let path = marker.display().to_string();
        match err(pool.call(jobs::touch, (path,)).queue_timeout(limit).timeout(SOON)) {
            CallError::Timeout { after, phase: TimedOut::Queued, .. } => assert_eq!(after, limit),
            other => panic!("not a timeout in the queue: {other}"),
        }
        overshoots.push(start.elapsed().checked_sub(limit).expect("it is not given up early"));
        let worker = guest.pid;
        guest.release();
        assert_eq!(ok(running), worker);
        assert_eq!(ok(pool.call(jobs::worker_pid, ())), worker, "nobody was killed for it");
    }
    assert!(!marker.exists(), "it never ran");
    judge("p15 a queue timeout's overshoot", Duration::from_millis(5), overshoots);
}

/// Broken by: limits of nothing that wait, hang or pass.
pub(crate) fn p15_no_time_at_all_is_a_limit_too() {
    let pool = warm_pool(1);
    let gate = Gate::new();
    match err(pool.call(jobs::endless, (gate.name(),)).timeout(Duration::ZERO)) {
        CallError::Timeout { phase: TimedOut::Running, .. } => {}
        other => panic!("not a timeout while running: {other}"),
    }
    // Another gate: the endless one may have come to its own before it was killed.
    let gate = Gate::new();
    let running = pool.call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    assert!(err(pool.call(jobs::add, (1, 2)).queue_timeout(Duration::ZERO)).is_timeout());
    guest.release();
    ok(running);
    assert_eq!(ok(pool.call(jobs::add, (1, 2)).queue_timeout(Duration::MAX).timeout(Duration::MAX)), 3);
}

/// Broken by: a retry where none was asked for, none where one was, or a third run.
pub(crate) fn p17_a_retry_is_one_more_run_and_only_after_a_death() {
    let pool = warm_pool(2);
    let ledger = Ledger::new();
    let call = |number, then| pool.call(jobs::logged, (ledger.name(), number, then));
    assert_eq!(signal_of(&err(call(1, Then::Abort))), Some(6));
    assert_eq!(signal_of(&err(call(2, Then::Abort).retry(Retry::OnDeath))), Some(6));
    assert_eq!(ok(call(3, Then::AbortFirst).retry(Retry::OnDeath)), 3);
    assert_eq!(ok(call(4, Then::Return).retry(Retry::OnDeath)), 4);
    let gate = Gate::new();
    let limited = call(5, Then::Wait(gate.name())).retry(Retry::OnDeath).timeout(Duration::from_millis(20));
    assert!(err(limited).is_timeout());
    let starts = ledger.starts();
    assert_eq!([1, 2, 3, 4, 5].map(|number| starts[&number]), [1, 2, 2, 1, 1]);
}

/// Broken by: a hog that takes the others with it, or that is told it was killed and not why.
pub(crate) fn p24_a_memory_hog_fails_alone() {
    const LIMIT: u64 = 128 << 20;
    let pool = ProcessPool::builder().workers(2).memory_limit(LIMIT).build().unwrap();
    let gate = Gate::new();
    let spared = pool.call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    for step in [1 << 20, 16 << 20, 1 << 30] {
        match err(pool.call(sabotage::hog, (2 << 30, step))) {
            CallError::MemoryLimit { limit, used, job } => {
                assert!(job.ends_with("hog") && limit == LIMIT, "{job} {limit}");
                assert!(used > 0, "{used}");
            }
            other => panic!("not the limit on memory: {other}"),
        }
        assert_eq!(ok(pool.call(sabotage::hog, (LIMIT as usize / 2, 1 << 20))), LIMIT as usize / 2);
    }
    let other = guest.pid;
    guest.release();
    assert_eq!(ok(spared), other, "the other worker was left alone");
}

/// Broken by: a worker that is kept although every job leaves something behind, or killed for it in the midst of one.
pub(crate) fn p24_a_worker_that_leaks_is_replaced_between_jobs() {
    let pool = ProcessPool::builder().workers(1).memory_limit(128 << 20).build().unwrap();
    let pids: HashSet<u32> = (0..40).map(|_| ok(pool.call(sabotage::leak, (16 << 20,)))).collect();
    assert!(pids.len() >= 4, "640 MiB were leaked by {} workers of at most 128 MiB", pids.len());
    assert_eq!(pool.metrics().failed, 0);
}

/// Broken by: a key that is served by any idle worker, or that is lost with its worker.
pub(crate) fn a_key_stays_with_its_worker() {
    let pool = warm_pool(2);
    let keys: Vec<String> = (0..16).map(|n| format!("key {n}")).collect();
    let homes: Vec<u32> = keys.iter().map(|key| ok(pool.affinity(key).call(jobs::worker_pid, ()))).collect();
    assert_eq!(homes.iter().collect::<HashSet<_>>().len(), 2, "both workers have keys: {homes:?}");
    for _ in 0..20 {
        let calls: Vec<_> = keys.iter().map(|key| pool.affinity(key).call(jobs::worker_pid, ())).collect();
        let pids: Vec<u32> = block_on(join_all(calls)).into_iter().map(Result::unwrap).collect();
        assert_eq!(pids, homes);
    }
    // A busy home is waited for, though the other is idle.
    let gate = Gate::new();
    let busy = pool.affinity(&keys[0]).call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    let patient = pool.affinity(&keys[0]).call(jobs::worker_pid, ());
    ok(pool.call(jobs::unit, ()));
    assert_eq!(pool.metrics().completed as usize, keys.len() * 21 + 1);
    let home = guest.pid;
    guest.release();
    assert_eq!((ok(busy), ok(patient)), (home, home));
    // The keys of a dead worker get a new one; the others notice nothing.
    kill(homes[0], Signal::KILL);
    for (key, home) in keys.iter().zip(&homes) {
        let now = ok(pool.affinity(key).call(jobs::worker_pid, ()));
        assert_eq!(now == *home, *home != homes[0], "{key}");
    }
}

/// Broken by: jobs that wait for a worker which does not even take them, while another is idle.
pub(crate) fn p18_a_job_sent_to_a_stopped_worker_runs_elsewhere() {
    let pool = warm_pool(2);
    let mut times = Vec::new();
    for round in 0..20 {
        let workers = pool.worker_pids();
        let stopped = workers[round % 2];
        kill(stopped, Signal::STOP);
        let start = Instant::now();
        let calls: Vec<_> = (0..4).map(|_| pool.call(jobs::worker_pid, ())).collect();
        for result in block_on(join_all(calls)) {
            assert_ne!(result.unwrap(), stopped);
        }
        times.push(start.elapsed());
        rustix::process::kill_process(pid(stopped), Signal::CONT).expect("it lives");
        // It goes on as if nothing had happened.
        let all: Vec<_> = (0..50).map(|n| pool.call(jobs::add, (n, 1))).collect();
        assert!((1..).zip(block_on(join_all(all))).all(|(sum, result)| result.unwrap() == sum));
    }
    judge("p18 four jobs while one of two workers is stopped", Duration::from_millis(5), times);
    assert_eq!(pool.metrics().deaths, 0);
}
