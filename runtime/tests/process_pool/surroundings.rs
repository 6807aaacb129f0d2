//! What surrounds the processes: their parents, threads, children, signals, standard streams and the program file.

use crate::{
    jobs,
    roles::Role,
    runner::{SOON, count, judge},
    support::{
        Footprint, Gate, Random, Watched, err, kill, ok, pid, pool, processes_with, scratch, signal_of,
        warm_pool,
    },
};
use futures::executor::block_on;
use rustix::process::{Signal, kill_process_group};
use serde_bytes::ByteBuf;
use std::{
    env, fs, process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Broken by: workers that notice their parent's end between jobs only.
pub(crate) fn p09_busy_workers_die_with_their_parent() {
    kill_the_parent_of(Role::BusyPool);
}

/// Broken by: workers that wait for anything but their parent as well.
pub(crate) fn p09_idle_workers_die_with_their_parent() {
    kill_the_parent_of(Role::IdlePool);
}

/// Broken by: a watchdog that does not see the hang-up (the death signal would hide that).
pub(crate) fn p09_the_watchdog_alone_kills_a_busy_worker() {
    kill_the_parent_of(Role::BusyPoolWithoutDeathSignal);
}

/// Broken by: the moments of a worker's start before it is protected.
pub(crate) fn p09_starting_workers_die_with_their_parent() {
    let mut random = Random(9);
    let mut times = Vec::new();
    for round in 0..count(15, 500) {
        let value = format!("{}.{round}", process::id());
        let mark = format!("CROSSOVER_TEST_MARK={value}");
        let mut parent = Role::KeepsStarting.start_with(&[("CROSSOVER_TEST_MARK", &value)]);
        assert_eq!(parent.line(), "starting");
        jobs::busy(random.below(10_000));
        let start = Instant::now();
        parent.kill();
        // One that was being started may appear a moment later, so look until there is none.
        loop {
            let left = processes_with(&mark);
            if left.is_empty() {
                break;
            }
            for orphan in left.into_iter().filter_map(Watched::find) {
                assert!(orphan.ends_within(SOON), "a starting worker outlived its parent");
            }
        }
        times.push(start.elapsed());
    }
    judge("p09 parent's death to the end of starting workers", Duration::from_millis(100), times);
}

/// Starts a process with a pool, kills it, and expects its workers to be gone.
fn kill_the_parent_of(role: Role) {
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut parent = role.start();
        let workers: Vec<Watched> =
            parent.line().split_whitespace().map(|pid| Watched::new(pid.parse().unwrap())).collect();
        assert_eq!(workers.len(), 2);
        assert!(workers.iter().all(|worker| !worker.ends_within(Duration::ZERO)));
        let start = Instant::now();
        parent.kill();
        for worker in workers {
            assert!(worker.ends_within(SOON), "a worker outlived its parent");
        }
        times.push(start.elapsed());
    }
    judge(&format!("p09 parent's death to its workers', {role:?}"), Duration::from_millis(100), times);
}

/// Broken by: spawning on the thread that calls (workers ask for a signal when the thread that spawned them ends).
pub(crate) fn p10_a_worker_survives_the_thread_that_called_first() {
    let gate = Gate::new();
    let name = gate.name();
    let starter = thread::spawn(move || {
        let pool = pool(1);
        let call = pool.call(jobs::gate, (name,));
        // Spawned surely: this thread's end comes later.
        block_on(pool.warm_up()).expect("a worker");
        (pool, call)
    });
    let (pool, call) = starter.join().expect("the thread that built the pool");
    let guest = gate.guest();
    let worker = guest.pid;
    guest.release();
    assert_eq!(ok(call), worker);
    for _ in 0..50 {
        let pool = pool.clone();
        let caller = thread::spawn(move || ok(pool.call(jobs::worker_pid, ())));
        assert_eq!(caller.join().expect("the call"), worker, "it outlived all its callers");
    }
}

/// Broken by: a fork without exec. The copy would have this test's memory, and sooner or later the allocator's lock
/// as another thread held it at that moment.
pub(crate) fn p11_workers_start_under_threads_that_allocate() {
    static STOP: AtomicBool = AtomicBool::new(false);
    jobs::PARENT.store(true, Ordering::Relaxed);
    let threads: Vec<_> = (0..8_usize)
        .map(|n| {
            thread::spawn(move || {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                // Relaxed: only to end at some time.
                while !STOP.load(Ordering::Relaxed) {
                    kept.push(vec![n as u8; 16 << (kept.len() % 12)]);
                    if kept.len() > 100 {
                        kept.clear();
                    }
                }
            })
        })
        .collect();
    let pool = warm_pool(2);
    let spawns = count(60, 10_000);
    while pool.metrics().spawned < spawns {
        assert!(!ok(pool.call(jobs::is_forked_copy, ())));
        assert!(err(pool.call(jobs::exits, (0,))).is_worker_died());
    }
    STOP.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("a thread that allocates"));
}

/// Broken by: workers in the parent's process group.
pub(crate) fn p19_ctrl_c_reaches_the_parent_only() {
    let mut parent = Role::SurvivesCtrlC.start();
    let mut ids = parent.line().split_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let (worker, group) = (ids.pop().unwrap(), ids.pop().unwrap());
    assert_eq!(worker, group, "the worker leads its own group");
    // What a terminal does: the whole foreground group is signalled.
    kill_process_group(pid(parent.id()), Signal::INT).expect("the group lives");
    assert_eq!(parent.line(), "interrupted");
    parent.say("go on");
    assert_eq!(parent.line(), format!("the job ended in {worker}"));
}

/// Broken by: a shutdown that asks busy workers instead of killing them when its time is up.
pub(crate) fn p19_a_shutdown_takes_no_longer_than_its_grace() {
    let mut times = Vec::new();
    for _ in 0..5 {
        let pool = warm_pool(2);
        let gate = Gate::new();
        let calls = [pool.call(jobs::endless, (gate.name(),)), pool.call(jobs::endless, (gate.name(),))];
        let guests = [gate.guest(), gate.guest()];
        let start = Instant::now();
        let report = block_on(pool.close(Duration::from_millis(30)));
        times.push(start.elapsed());
        assert_eq!((report.finished, report.cancelled), (0, 2));
        calls.into_iter().for_each(|call| assert!(err(call).is_cancelled()));
        guests.into_iter().for_each(crate::support::Guest::wait_gone);
    }
    judge("p19 a shutdown with a grace of 30 ms", Duration::from_millis(35), times);
}

/// Broken by: taking the end of stderr for the end of the worker, or leaving its group alone.
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

/// Broken by: a call, a shutdown or a drop that waits for the end of pipes that a grandchild holds. One that left the
/// worker's group is not the pool's to kill.
pub(crate) fn p20_grandchildren_that_hold_the_pipes_delay_no_shutdown() {
    let before = Footprint::take();
    for own_group in [false, true] {
        for close in [true, false] {
            let pool = pool(1);
            let grandchild = Watched::new(ok(pool.call(jobs::has_a_child, (own_group,))));
            assert_eq!(ok(pool.call(jobs::add, (1, 2))), 3);
            if close {
                assert_eq!(block_on(pool.close(SOON)).cancelled, 0);
            }
            drop(pool);
            if own_group {
                assert!(!grandchild.ends_within(Duration::ZERO));
            } else {
                assert!(grandchild.ends_within(SOON));
            }
        }
    }
    before.expect_again();
}

/// Broken by: a protocol on stdout.
pub(crate) fn p21_what_a_job_prints_reaches_stdout_and_breaks_nothing() {
    let (stdout, stderr) = Role::Prints.output();
    assert!(stdout.contains("printed by a job"), "{stdout}");
    assert!(stdout.contains("and the result is 3"), "{stdout}");
    assert!(stderr.contains("printed by a job"), "stderr is passed on: {stderr}");
}

/// Broken by: any descriptor of the protocol that is opened late, and lands where a job prints.
pub(crate) fn p21_a_job_may_close_its_standard_streams() {
    let pool = pool(1);
    let worker = ok(pool.call(jobs::closes_stdio, ()));
    for round in 0..20_u8 {
        let bytes = vec![round; 64 << (10 + round % 5)];
        assert_eq!(ok(pool.call(jobs::echo, (ByteBuf::from(bytes.clone()),))), bytes);
        ok(pool.call(jobs::prints, ("into the void, or over what took its place\n".repeat(50),)));
        assert_eq!(ok(pool.call(jobs::closes_stdio, ())), worker, "the same worker serves on");
    }
    assert_eq!(pool.metrics().deaths, 0);
}

/// Broken by: a stdin that is the protocol's, or a stderr that nobody reads while a job runs.
pub(crate) fn p21_stdin_is_empty_and_stderr_never_full() {
    let (_, stderr) = Role::Floods.output();
    assert_eq!(stderr.bytes().filter(|byte| *byte == b'.').count(), 4 << 20, "all of it is passed on");
}

/// Broken by: starting the program's file instead of the running program.
pub(crate) fn p25_a_replaced_program_file_does_not_matter() {
    let copy = scratch("p25");
    fs::copy(env::current_exe().unwrap(), &copy).expect("a copy of this program");
    let mut parent = Role::Respawns.start_as(&copy, &[]);
    let first: u32 = parent.line().parse().unwrap();
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, "not a program").unwrap();
    kill(first, Signal::KILL);
    parent.say("go on");
    let second: u32 = parent.line().parse().unwrap();
    assert_ne!(first, second);
    fs::remove_file(&copy).unwrap();
}
