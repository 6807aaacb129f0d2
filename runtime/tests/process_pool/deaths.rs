//! Workers that are killed, panic, abort or exit: what the callers are told, and what is left behind.

use crate::{
    jobs::{self, Then},
    roles::Role,
    runner::{count, judge},
    support::{Footprint, Gate, Ledger, Random, err, kill, ok, pid, pool, signal_of, warm_pool, zombies},
};
use crossover_runtime::process_pool::CallError;
use futures::{executor::block_on, future::join_all};
use rustix::process::{Signal, kill_process};
use serde_bytes::ByteBuf;
use std::time::{Duration, Instant};

/// Broken by: failing more than the job of the worker that died, or not filling its slot again.
pub(crate) fn p01_sigkill_of_a_busy_worker_fails_only_its_job() {
    let pool = warm_pool(2);
    let (victims, others) = (Gate::new(), Gate::new());
    let (doomed, spared) =
        (pool.call(jobs::gate, (victims.name(),)), pool.call(jobs::gate, (others.name(),)));
    let (victim, other) = (victims.guest(), others.guest());
    let killed = victim.pid;
    kill(killed, Signal::KILL);

    let error = err(doomed);
    assert_eq!(signal_of(&error), Some(9));
    assert!(error.to_string().contains("SIGKILL"), "{error}");
    block_on(pool.warm_up()).expect("the slot is filled again");
    let pids = pool.worker_pids();
    assert!(pids.len() == 2 && !pids.contains(&killed) && pids.contains(&other.pid), "{pids:?}");
    let survivor = other.pid;
    other.release();
    assert_eq!(ok(spared), survivor);
    assert_eq!(pool.metrics().deaths, 1);
}

/// Broken by: a back-off before the respawn of a worker that had served, or a death that is only found by looking.
pub(crate) fn p01_the_slot_of_a_killed_worker_is_back_at_once() {
    let pool = warm_pool(2);
    let gate = Gate::new();
    let (mut told, mut filled) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        // Both have served, the newest too: only a worker that achieved nothing makes the pool wait.
        let warmers = [pool.call(jobs::gate, (gate.name(),)), pool.call(jobs::gate, (gate.name(),))];
        let guests = [gate.guest(), gate.guest()];
        guests.into_iter().for_each(crate::support::Guest::release);
        block_on(join_all(warmers));
        let call = pool.call(jobs::gate, (gate.name(),));
        let victim = gate.guest();
        let start = Instant::now();
        kill(victim.pid, Signal::KILL);
        assert_eq!(signal_of(&err(call)), Some(9));
        told.push(start.elapsed());
        block_on(pool.warm_up()).expect("the slot is filled again");
        filled.push(start.elapsed());
    }
    judge("p01 death to error at the caller", Duration::from_millis(5), told);
    judge("p01 death to slot serving again", Duration::from_millis(5), filled);
}

/// Broken by: an error that waits for anything but the death, or a pool that is dead after it.
pub(crate) fn p02_a_worker_killed_for_memory_is_an_error_at_once() {
    let pool = warm_pool(1);
    let mut times = Vec::new();
    for _ in 0..10 {
        ok(pool.call(jobs::unit, ()));
        let start = Instant::now();
        assert_eq!(signal_of(&err(pool.call(jobs::killed_for_memory, (1 << 20,)))), Some(9));
        times.push(start.elapsed());
    }
    judge("p02 from the call of a job that is killed to its error", Duration::from_millis(10), times);
    assert_eq!(ok(pool.call(jobs::add, (1, 2))), 3);
}

/// Broken by: losing the stderr of a death, where the allocator says what it could not get.
pub(crate) fn p02_a_worker_without_memory_says_so_and_the_pool_goes_on() {
    // Without a backtrace, which would fill the tail of stderr.
    let story = Role::RunsOutOfMemory.start_with(&[("RUST_BACKTRACE", "0")]).line();
    assert!(
        story.contains("SIGABRT") && story.contains("memory allocation of 1073741824 bytes failed"),
        "{story}"
    );
    assert!(story.ends_with("then 3"), "the next worker has the old limit: {story}");
}

/// Broken by: anything that a worker can hold while it dies (a lock, half a frame), or an answer that is lost
/// although its worker finished it.
pub(crate) fn p03_kills_at_random_instants_hang_nothing() {
    let pool = warm_pool(2);
    let mut random = Random(12_345);
    let (mut fine, mut died) = (0, 0);
    let rounds = count(200, 1000);
    for round in 0..rounds {
        // Both ready: else five kills in a row might hit starting workers, and open the breaker rightly.
        block_on(pool.warm_up()).expect("two workers");
        let calls: Vec<_> = (0..4).map(|_| pool.call(jobs::busy, (random.below(300),))).collect();
        // Bytes on the way in both directions, too.
        let bytes = random.below(1 << 20) as usize;
        let large = pool.call(jobs::echo, (ByteBuf::from(vec![round as u8; bytes]),));
        jobs::busy(random.below(800));
        let pids = pool.worker_pids();
        if let Some(victim) = pids.get(random.below(2) as usize) {
            // It may have been reaped since; then there is nobody to kill.
            let _ = kill_process(pid(*victim), Signal::KILL);
        }
        let large = block_on(large).map(|echo| {
            assert!(echo.len() == bytes && echo.iter().all(|byte| *byte == round as u8));
            0
        });
        for result in block_on(join_all(calls)).into_iter().chain([large]) {
            match result {
                Ok(_) => fine += 1,
                Err(error) => {
                    assert_eq!(signal_of(&error), Some(9), "{error}");
                    died += 1;
                }
            }
        }
    }
    assert_eq!(fine + died, rounds * 5);
    assert!(died <= rounds, "each kill costs at most one job: {fine} fine, {died} died");
}

/// Broken by: a death that is dealt with before the answers that came earlier.
pub(crate) fn p03_an_answer_survives_its_worker() {
    let pool = warm_pool(1);
    let (ledger, gate) = (Ledger::new(), Gate::new());
    for round in 0..count(30, 1000) {
        // The pool learns that these are short: it sends both at once, and the worker need not announce each answer.
        for _ in 0..20 {
            ok(pool.call(jobs::logged, (ledger.name(), u64::MAX, Then::Return)));
        }
        let answered = pool.call(jobs::logged, (ledger.name(), round, Then::Return));
        let running = pool.call(jobs::logged, (ledger.name(), u64::MAX, Then::Wait(gate.name())));
        let guest = gate.guest();
        // The first was answered before the second began.
        kill(guest.pid, Signal::KILL);
        assert_eq!(ok(answered), round);
        assert_eq!(signal_of(&err(running)), Some(9));
    }
}

/// Broken by: giving up a job that its worker never started.
pub(crate) fn p04_a_job_that_its_dead_worker_never_read_runs_elsewhere() {
    let pool = warm_pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()));
    kill(worker, Signal::STOP);
    let call = pool.call(jobs::worker_pid, ());
    assert_eq!(pool.metrics().running, 1, "it was sent");
    kill(worker, Signal::KILL);
    let other = ok(call);
    assert_ne!(other, worker);

    // The same with one that is larger than any buffer on the way.
    kill(other, Signal::STOP);
    let call = pool.call(jobs::echo, (ByteBuf::from(vec![7; 4 << 20]),));
    kill(other, Signal::KILL);
    assert!(ok(call).iter().all(|byte| *byte == 7));
    assert_eq!(pool.metrics().failed, 0);
}

/// Broken by: blaming a job for deaths that came before it was started.
pub(crate) fn p04_an_unstarted_job_survives_any_number_of_deaths() {
    let pool = warm_pool(2);
    for round in 1..=10 {
        block_on(pool.warm_up()).expect("two workers");
        let workers = pool.worker_pids();
        for worker in &workers {
            kill(*worker, Signal::STOP);
        }
        // It is given to one of them, then perhaps to the other.
        let call = pool.call(jobs::worker_pid, ());
        for worker in &workers {
            kill(*worker, Signal::KILL);
        }
        assert!(!workers.contains(&ok(call)));
        // Both deaths are known by then, though perhaps not when the job is done.
        block_on(pool.warm_up()).expect("two workers");
        assert_eq!((pool.metrics().failed, pool.metrics().deaths), (0, 2 * round));
    }
}

/// Broken by: a panic that takes the worker with it, or that loses its message or place.
pub(crate) fn p08_a_panic_is_reported_and_the_worker_lives() {
    let pool = pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()));
    match err(pool.call(jobs::panics, ("no pixels".into(),))) {
        CallError::Panic { job, message, location, .. } => {
            assert!(job.ends_with("jobs::panics"), "{job}");
            assert_eq!(message, "no pixels");
            assert!(location.as_ref().is_some_and(|place| place.contains("jobs.rs:")), "{location:?}");
        }
        other => panic!("not a panic: {other}"),
    }
    let error = err(pool.call(jobs::panics_with_a_number, ()));
    assert!(error.is_panic() && error.to_string().contains("not a string"), "{error}");
    assert_eq!(ok(pool.call(jobs::worker_pid, ())), worker);
}

/// Broken by: a backtrace that is taken where the panic was caught instead of where it happened.
pub(crate) fn p08_a_panic_carries_its_backtrace_when_asked_for() {
    let with = Role::Panics.start_with(&[("RUST_BACKTRACE", "1")]).line();
    assert!(with.starts_with("backtrace: ") && with.contains("jobs::panics"), "{with}");
    let without = Role::Panics.start_with(&[("RUST_BACKTRACE", "0")]).line();
    assert_eq!(without, "no backtrace");
}

/// Broken by: a death that is reported before the worker's last words were read.
pub(crate) fn p08_an_abort_is_reported_with_the_tail_of_stderr() {
    let pool = pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()));
    match err(pool.call(jobs::aborts, ("out of paper".into(),))) {
        CallError::WorkerDied { signal, code, stderr_tail, jobs_served, .. } => {
            assert_eq!((signal, code, jobs_served), (Some(6), None, 1));
            assert!(stderr_tail.contains("out of paper"), "{stderr_tail:?}");
        }
        other => panic!("not a death: {other}"),
    }
    assert_ne!(ok(pool.call(jobs::worker_pid, ())), worker);
}

/// Broken by: taking an exit with code 0 for a success.
pub(crate) fn p08_an_exit_is_reported_with_its_code() {
    let pool = pool(1);
    for code in [0, 3] {
        match err(pool.call(jobs::exits, (code,))) {
            CallError::WorkerDied { signal: None, code: Some(got), .. } => assert_eq!(got, code),
            other => panic!("not an exit: {other}"),
        }
    }
}

/// Broken by: failing (or running twice) a job that was on its way to a worker when an earlier one killed it.
pub(crate) fn p17_an_abort_takes_no_other_job_with_it() {
    const BATCH: u64 = 32;
    let pool = warm_pool(1);
    let ledger = Ledger::new();
    let mut random = Random(17);
    // The pool learns that these are short, so it sends many at a time.
    for _ in 0..100 {
        ok(pool.call(jobs::logged, (ledger.name(), u64::MAX, Then::Return)));
    }
    for round in 0..count(10, 300) {
        let doomed = random.below(BATCH);
        let calls: Vec<_> = (0..BATCH)
            .map(|n| {
                let then = if n == doomed { Then::Abort } else { Then::Return };
                pool.call(jobs::logged, (ledger.name(), round * BATCH + n, then))
            })
            .collect();
        for (n, result) in (0..BATCH).zip(block_on(join_all(calls))) {
            match result {
                Ok(number) => assert_eq!((number, n == doomed), (round * BATCH + n, false)),
                Err(error) => assert_eq!((signal_of(&error), n), (Some(6), doomed), "{error}"),
            }
        }
    }
    let twice: Vec<_> =
        ledger.starts().into_iter().filter(|(n, starts)| *n < u64::MAX && *starts != 1).collect();
    assert!(twice.is_empty(), "job, starts: {twice:?}");
}

/// Broken by: a start that fails for want of descriptors and is not reported, or never tried again.
pub(crate) fn p13_without_descriptors_calls_fail_with_the_cause_and_recover() {
    let story = Role::RunsOutOfDescriptors.start().line();
    assert!(story.contains("os error 24") && story.ends_with("then 3"), "{story}");
}

/// Broken by: a descriptor, mapping, thread or zombie that a killed worker leaves.
pub(crate) fn p22_kill_cycles_leave_nothing() {
    let pool = warm_pool(2);
    let gate = Gate::new();
    let cycles = count(100, 1000);
    let before = Footprint::take();
    for round in 0..cycles {
        let call = pool.call(jobs::gate, (gate.name(),));
        let guest = gate.guest();
        kill(guest.pid, Signal::KILL);
        assert_eq!(signal_of(&err(call)), Some(9));
        drop(guest);
        assert_eq!(pool.metrics().deaths, round + 1);
    }
    block_on(pool.warm_up()).expect("two workers");
    before.expect_again();
    assert_eq!(zombies(), 0);
    let metrics = pool.metrics();
    assert_eq!(
        (metrics.failed, metrics.deaths, metrics.spawned, metrics.workers),
        (cycles, cycles, cycles + 2, 2)
    );
}

/// Broken by: waiting for a status that somebody else has taken.
pub(crate) fn p23_a_death_that_others_reaped_is_still_reported() {
    let mut parent = Role::IgnoresChildren.start();
    let story = parent.line();
    assert!(story.contains("unknown") && story.ends_with("then 3"), "{story}");
}
