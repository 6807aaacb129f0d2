//! Workers that panic, abort, exit, are killed or lose their parent.

use crate::{
    jobs,
    roles::Role,
    support::{Gate, SOON, Watched, err, kill, ok, open_fds, pool, signal_of, warm_pool, zombies},
};
use crossover_runtime::process_pool::CallError;
use futures::{executor::block_on, future::join_all};
use rustix::process::Signal;
use serde_bytes::ByteBuf;
use std::time::Duration;

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

pub(crate) fn p03_kills_at_random_instants_hang_nothing() {
    let pool = warm_pool(2);
    // A linear congruential generator: the instants need no more.
    let mut random = 12_345_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let (mut fine, mut died) = (0, 0);
    for _ in 0..200 {
        // Both ready: else five kills in a row might hit starting workers, and open the breaker rightly.
        block_on(pool.warm_up()).expect("two workers");
        let calls: Vec<_> = (0..4).map(|_| pool.call(jobs::busy, (next(300),))).collect();
        jobs::busy(next(500));
        let pids = pool.worker_pids();
        if let Some(victim) = pids.get(next(2) as usize) {
            // It may have been reaped since; then there is nobody to kill.
            let _ = rustix::process::kill_process(crate::support::pid(*victim), Signal::KILL);
        }
        for result in block_on(join_all(calls)) {
            match result {
                Ok(_) => fine += 1,
                Err(error) => {
                    assert_eq!(signal_of(&error), Some(9), "{error}");
                    died += 1;
                }
            }
        }
    }
    assert_eq!(fine + died, 800);
    assert!(fine >= 400, "each kill costs at most one job of four: {fine} fine, {died} died");
}

pub(crate) fn p04_a_job_that_its_dead_worker_never_read_runs_elsewhere() {
    let pool = warm_pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()));
    kill(worker, Signal::STOP);
    let call = pool.call(jobs::worker_pid, ());
    assert_eq!(pool.metrics().running, 1, "it was sent");
    kill(worker, Signal::KILL);
    let other = ok(call);
    assert_ne!(other, worker);

    // The same with a frame that only fits its socket in part.
    kill(other, Signal::STOP);
    let call = pool.call(jobs::echo, (ByteBuf::from(vec![7; 4 << 20]),));
    kill(other, Signal::KILL);
    assert!(ok(call).iter().all(|byte| *byte == 7));
    assert_eq!(pool.metrics().failed, 0);
}

pub(crate) fn p04_a_job_on_the_way_to_two_workers_that_died_is_not_sent_to_a_third() {
    let pool = warm_pool(2);
    let workers = pool.worker_pids();
    for worker in &workers {
        kill(*worker, Signal::STOP);
    }
    // Slots are tried in order, so the job goes to the first, and from there to the second, which is idle too.
    let call = pool.call(jobs::worker_pid, ());
    kill(workers[0], Signal::KILL);
    while pool.metrics().deaths == 0 {
        std::thread::yield_now();
    }
    assert_eq!(pool.metrics().running, 1);
    kill(workers[1], Signal::KILL);
    let error = err(call);
    assert_eq!(signal_of(&error), Some(9), "{error}");
    assert_eq!(ok(pool.call(jobs::add, (1, 2))), 3);
}

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

pub(crate) fn p08_an_exit_is_reported_with_its_code() {
    let pool = pool(1);
    for code in [0, 3] {
        match err(pool.call(jobs::exits, (code,))) {
            CallError::WorkerDied { signal: None, code: Some(got), .. } => assert_eq!(got, code),
            other => panic!("not an exit: {other}"),
        }
    }
}

pub(crate) fn p09_busy_workers_die_with_their_parent() {
    kill_the_parent_of(Role::BusyPool);
}

pub(crate) fn p09_idle_workers_die_with_their_parent() {
    kill_the_parent_of(Role::IdlePool);
}

pub(crate) fn p09_the_watchdog_alone_kills_a_busy_worker() {
    kill_the_parent_of(Role::BusyPoolWithoutDeathSignal);
}

/// Starts a process with a pool, kills it, and expects its workers to be gone.
fn kill_the_parent_of(role: Role) {
    let mut parent = role.start();
    let workers: Vec<Watched> =
        parent.line().split_whitespace().map(|pid| Watched::new(pid.parse().unwrap())).collect();
    assert_eq!(workers.len(), 2);
    assert!(workers.iter().all(|worker| !worker.ends_within(Duration::ZERO)));
    parent.kill();
    for worker in workers {
        assert!(worker.ends_within(SOON), "a worker outlived its parent");
    }
}

pub(crate) fn p15_an_endless_job_ends_at_its_timeout() {
    let limit = Duration::from_millis(50);
    let pool = pool(1);
    let gate = Gate::new();
    let call = pool.call(jobs::endless, (gate.name(),)).timeout(limit);
    let guest = gate.guest();
    // Queued behind it: its clock has not started.
    let patient = pool.call(jobs::add, (1, 2)).timeout(SOON);
    match err(call) {
        CallError::Timeout { after, .. } => assert_eq!(after, limit),
        other => panic!("not a timeout: {other}"),
    }
    guest.wait_gone();
    assert_eq!(ok(patient), 3);
    assert_eq!(ok(pool.call(jobs::add, (1, 2)).timeout(Duration::MAX)), 3);
}

pub(crate) fn p20_a_grandchild_neither_delays_nor_outlives_its_worker() {
    let pool = pool(1);
    let gate = Gate::new();
    let call = pool.call(jobs::leaves_a_grandchild, (gate.name(),));
    let guest = gate.guest();
    let grandchild = Watched::new(guest.pid);
    guest.release();
    assert_eq!(signal_of(&err(call)), Some(6));
    assert!(grandchild.ends_within(SOON));
    assert_eq!(ok(pool.call(jobs::add, (1, 2))), 3);
}

pub(crate) fn p22_a_hundred_kills_leave_no_descriptor_and_no_zombie() {
    let pool = warm_pool(2);
    let gate = Gate::new();
    let fds = open_fds();
    let dead_before = zombies();
    for round in 0..100 {
        let call = pool.call(jobs::gate, (gate.name(),));
        let guest = gate.guest();
        kill(guest.pid, Signal::KILL);
        assert_eq!(signal_of(&err(call)), Some(9));
        drop(guest);
        assert_eq!(pool.metrics().deaths, round + 1);
    }
    block_on(pool.warm_up()).expect("two workers");
    assert_eq!((open_fds(), zombies()), (fds, dead_before));
    let metrics = pool.metrics();
    assert_eq!((metrics.failed, metrics.deaths, metrics.spawned, metrics.workers), (100, 100, 102, 2));
}

pub(crate) fn p23_a_death_that_others_reaped_is_still_reported() {
    let mut parent = Role::IgnoresChildren.start();
    let story = parent.line();
    assert!(story.contains("unknown") && story.ends_with("then 3"), "{story}");
}
