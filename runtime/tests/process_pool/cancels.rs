//! Time limits and dropped calls: what ends early, and that nothing else does.

use crate::{
    jobs::{self, Then},
    runner::{SOON, count, judge},
    support::{Footprint, Gate, Ledger, Random, err, ok, pool, scratch, warm_pool},
};
use crossover_runtime::process_pool::{CallError, OnDrop};
use futures::{executor::block_on, future::join_all};
use std::time::{Duration, Instant};

/// Broken by: a cancel that removes, answers or re-sends any job but its own.
pub(crate) fn p04_cancels_race_completions() {
    let pool = warm_pool(2);
    let ledger = Ledger::new();
    let mut random = Random(4);
    let mut kept = Vec::new();
    let (mut number, mut dropped) = (0, 0);
    while dropped < count(5000, 100_000) {
        let batch: Vec<_> = (0..64)
            .map(|_| {
                number += 1;
                let call = pool.call(jobs::logged, (ledger.name(), number, Then::Work(random.below(20))));
                (number, call)
            })
            .collect();
        jobs::busy(random.below(500));
        // The dropped ones go first, while the others run, complete and are re-sent.
        let (cancelled, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|_| random.below(4) > 0);
        dropped += cancelled.len() as u64;
        drop(cancelled);
        let (numbers, calls): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
        for (number, result) in numbers.into_iter().zip(block_on(join_all(calls))) {
            assert_eq!(result.unwrap_or_else(|error| panic!("job {number}: {error}")), number);
            kept.push(number);
        }
    }
    assert_eq!(block_on(pool.close(SOON)).cancelled, 0);
    let starts = ledger.starts();
    assert!(starts.values().all(|starts| *starts == 1), "a job ran twice");
    assert!(kept.iter().all(|number| starts.contains_key(number)), "a job was answered that never ran");
}

/// Broken by: a kill that was meant for a job and hits the next one of that worker.
pub(crate) fn p04_a_kill_hits_the_dropped_job_only() {
    let pool = warm_pool(2);
    let ledger = Ledger::new();
    let mut random = Random(44);
    let mut number = 0;
    for _ in 0..count(100, 3000) {
        let metrics = pool.metrics();
        let over = metrics.completed + metrics.failed;
        let batch: Vec<_> = (0..8)
            .map(|_| {
                number += 1;
                let arguments = (ledger.name(), number, Then::Work(500 + random.below(2000)));
                (number, pool.call(jobs::logged, arguments).on_drop(OnDrop::Kill))
            })
            .collect();
        // One of those that run now, or are about to.
        let progress = random.below(7);
        let done = || {
            let metrics = pool.metrics();
            metrics.completed + metrics.failed - over
        };
        while done() < progress {
            std::thread::yield_now();
        }
        let (mut numbers, mut calls): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let doomed = (progress + random.below(2)) as usize;
        numbers.swap_remove(doomed);
        drop(calls.swap_remove(doomed));
        for (number, result) in numbers.into_iter().zip(block_on(join_all(calls))) {
            assert_eq!(result.unwrap_or_else(|error| panic!("job {number}: {error}")), number);
        }
    }
    let starts = ledger.starts();
    assert!(starts.values().all(|starts| *starts == 1), "a job ran twice");
    assert!(pool.metrics().deaths > 0, "some were running");
}

/// Broken by: a clock that starts at the submission, or a limit that only ends the waiting.
pub(crate) fn p15_an_endless_job_ends_at_its_timeout() {
    let limit = Duration::from_millis(50);
    let pool = pool(1);
    let gate = Gate::new();
    let mut overshoots = Vec::new();
    for _ in 0..5 {
        ok(pool.call(jobs::unit, ()));
        // The hand-over to a warm worker is included.
        let start = Instant::now();
        let call = pool.call(jobs::endless, (gate.name(),)).timeout(limit);
        let guest = gate.guest();
        // Queued behind it: its clock has not started.
        let patient = pool.call(jobs::add, (1, 2)).timeout(limit);
        match err(call) {
            CallError::Timeout { after, .. } => assert_eq!(after, limit),
            other => panic!("not a timeout: {other}"),
        }
        overshoots.push(start.elapsed().checked_sub(limit).expect("it is not killed early"));
        guest.wait_gone();
        assert_eq!(ok(patient), 3);
    }
    judge("p15 a timeout's overshoot", Duration::from_millis(5), overshoots);
    assert_eq!(ok(pool.call(jobs::add, (1, 2)).timeout(Duration::MAX)), 3);
}

/// Broken by: a clock that starts when the job is sent.
pub(crate) fn p15_the_clock_starts_with_the_job() {
    let pool = warm_pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()));
    let watched = crate::support::Watched::new(worker);
    rustix::process::kill_process(crate::support::pid(worker), rustix::process::Signal::STOP)
        .expect("it lives");
    let call = pool.call(jobs::worker_pid, ()).timeout(Duration::from_millis(20));
    // The limit passes while the job lies in the lane of a worker that cannot take it.
    assert!(
        !watched.ends_within(Duration::from_millis(80)),
        "it was killed for a job that it had not started"
    );
    rustix::process::kill_process(crate::support::pid(worker), rustix::process::Signal::CONT)
        .expect("it lives");
    assert_eq!(ok(call), worker);
}

/// Broken by: a limit that is kept for a job that is done, or that waits for a stopped worker's help.
pub(crate) fn p15_a_stopped_worker_is_killed_at_the_timeout() {
    let pool = pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()).timeout(Duration::from_secs(1)));
    let gate = Gate::new();
    let call = pool.call(jobs::gate, (gate.name(),)).timeout(Duration::from_millis(20));
    let guest = gate.guest();
    assert_eq!(guest.pid, worker);
    // It has ended already where this comes late.
    let _ = rustix::process::kill_process(crate::support::pid(worker), rustix::process::Signal::STOP);
    assert!(err(call).is_timeout());
    guest.wait_gone();
    assert_ne!(ok(pool.call(jobs::worker_pid, ())), worker);
}

/// Broken by: a dropped call that leaves its job in the queue.
pub(crate) fn p16_a_queued_job_whose_call_is_dropped_never_runs() {
    let pool = pool(1);
    let gate = Gate::new();
    let marker = scratch("queued");
    let running = pool.call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    drop(pool.call(jobs::touch, (marker.display().to_string(),)));
    assert_eq!(pool.metrics().queued, 0);
    guest.release();
    ok(running);
    // Jobs start in order: had it run, then before this one.
    ok(pool.call(jobs::unit, ()));
    assert!(!marker.exists());
}

/// Broken by: killing where detaching was asked for.
pub(crate) fn p16_a_running_job_whose_call_is_dropped_finishes_by_default() {
    let pool = pool(1);
    let gate = Gate::new();
    let running = pool.call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    drop(running);
    let worker = guest.pid;
    guest.release();
    assert_eq!(ok(pool.call(jobs::worker_pid, ())), worker, "it was left to run");
    assert_eq!(pool.metrics().completed, 2);
}

/// Broken by: detaching where killing was asked for. (A signal to the parent's group would end this test.)
pub(crate) fn p16_a_running_job_whose_call_is_dropped_is_killed_on_request() {
    let pool = pool(1);
    let gate = Gate::new();
    let running = pool.call(jobs::gate, (gate.name(),)).on_drop(OnDrop::Kill);
    let guest = gate.guest();
    drop(running);
    let worker = guest.pid;
    guest.wait_gone();
    assert_ne!(ok(pool.call(jobs::worker_pid, ())), worker);
}

/// Broken by: killing a worker for a job that only waits in its lane.
pub(crate) fn p16_a_job_behind_another_is_dropped_without_a_kill() {
    let pool = warm_pool(1);
    let (ledger, gate) = (Ledger::new(), Gate::new());
    let mut together = 0;
    for round in 1..=50 {
        // The pool learns that these are short, so it sends both below at once.
        for _ in 0..20 {
            ok(pool.call(jobs::logged, (ledger.name(), 0, Then::Return)));
        }
        let running = pool.call(jobs::logged, (ledger.name(), round, Then::Wait(gate.name())));
        let behind =
            pool.call(jobs::logged, (ledger.name(), 1000 + round, Then::Return)).on_drop(OnDrop::Kill);
        together += u32::from(pool.metrics().running == 2);
        drop(behind);
        gate.guest().release();
        assert_eq!(ok(running), round);
    }
    assert!(together > 0, "some waited in the lane and not in the queue");
    assert!(ledger.starts().keys().all(|number| *number < 1000), "none of them ran");
    assert_eq!(pool.metrics().deaths, 0);
}

/// Broken by: a call that is dropped before its worker said hello, and what it holds of the pool.
pub(crate) fn p16_calls_dropped_while_a_worker_starts_leave_nothing() {
    let before = Footprint::take();
    let mut random = Random(16);
    for _ in 0..50 {
        let pool = pool(2);
        let calls: Vec<_> = (0..10).map(|n| pool.call(jobs::add, (n, 1)).on_drop(OnDrop::Kill)).collect();
        jobs::busy(random.below(3000));
        drop(calls);
        assert_eq!(ok(pool.call(jobs::add, (1, 2))), 3);
        let metrics = pool.metrics();
        assert_eq!((metrics.queued, metrics.running), (0, 0));
    }
    before.expect_again();
}

/// Broken by: jobs that wait behind a long one although another worker is idle.
pub(crate) fn p18_a_long_job_blocks_no_short_ones() {
    let pool = warm_pool(2);
    let (ledger, gate) = (Ledger::new(), Gate::new());
    // The pool learns that these are short, so it sends many at a time.
    for _ in 0..200 {
        ok(pool.call(jobs::logged, (ledger.name(), 0, Then::Return)));
    }
    let mut times = Vec::new();
    for round in 0..20_u64 {
        // A long one among short ones, at another place each time.
        let first = 1 + round * 64;
        let mut calls: Vec<_> = (first..first + 64)
            .map(|n| {
                let then = if n == first + round * 3 { Then::Wait(gate.name()) } else { Then::Return };
                pool.call(jobs::logged, (ledger.name(), n, then))
            })
            .collect();
        let long = calls.remove(round as usize * 3);
        let guest = gate.guest();
        let start = Instant::now();
        // The long one waits until all of these are done.
        assert!(block_on(join_all(calls)).into_iter().all(|result| result.is_ok()));
        times.push(start.elapsed());
        guest.release();
        assert_eq!(ok(long), first + round * 3);
    }
    judge("p18 63 short jobs beside a long one", Duration::from_millis(5), times);
    assert!(ledger.starts().into_iter().all(|(n, starts)| n == 0 || starts == 1), "a job ran twice");
}
