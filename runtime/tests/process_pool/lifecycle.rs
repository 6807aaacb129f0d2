//! Calls that are dropped, pools that are closed, dropped, full; and what surrounds the process.

use crate::{
    jobs,
    roles::Role,
    support::{Gate, SOON, Watched, err, kill, ok, open_fds, pool, warm_pool, zombies},
};
use crossover_runtime::process_pool::{OnDrop, ProcessPool};
use futures::{executor::block_on, future::join_all};
use rustix::process::{Signal, kill_process_group};
use std::{
    env, fs, panic,
    path::PathBuf,
    pin::Pin,
    process,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

pub(crate) fn p10_a_worker_survives_the_thread_that_called_first() {
    let gate = Gate::new();
    let name = gate.name();
    let starter = thread::spawn(move || {
        let pool = pool(1);
        let call = pool.call(jobs::gate, (name,));
        (pool, call)
    });
    let (pool, call) = starter.join().expect("the thread that built the pool");
    let guest = gate.guest();
    let worker = guest.pid;
    guest.release();
    assert_eq!(ok(call), worker);
    assert_eq!(ok(pool.call(jobs::worker_pid, ())), worker);
}

pub(crate) fn p12_every_call_resolves_when_the_pool_is_dropped_early() {
    for workers in [1, 2] {
        let pool = pool(workers);
        let first = pool.call(jobs::add, (1, 1));
        let calls: Vec<_> = (0..2000).map(|n| pool.call(jobs::add, (n, 1))).collect();
        assert_eq!(ok(first), 2);
        drop(pool);
        for result in block_on(join_all(calls)) {
            if let Err(error) = result {
                assert!(error.is_closed() || error.is_cancelled(), "{error}");
            }
        }
    }
}

pub(crate) fn p16_a_queued_job_whose_call_is_dropped_never_runs() {
    let pool = pool(1);
    let gate = Gate::new();
    let marker = marker("queued");
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

pub(crate) fn p19_ctrl_c_reaches_the_parent_only() {
    let mut parent = Role::SurvivesCtrlC.start();
    let mut ids = parent.line().split_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let (worker, group) = (ids.pop().unwrap(), ids.pop().unwrap());
    assert_eq!(worker, group, "the worker leads its own group");
    // What a terminal does: the whole foreground group is signalled.
    kill_process_group(crate::support::pid(parent.id()), Signal::INT).expect("the group lives");
    assert_eq!(parent.line(), "interrupted");
    parent.say("go on");
    assert_eq!(parent.line(), format!("the job ended in {worker}"));
}

pub(crate) fn p21_what_a_job_prints_reaches_stdout_and_breaks_nothing() {
    let (stdout, stderr) = Role::Prints.output();
    assert!(stdout.contains("printed by a job"), "{stdout}");
    assert!(stdout.contains("and the result is 3"), "{stdout}");
    assert!(stderr.contains("printed by a job"), "stderr is passed on: {stderr}");
}

pub(crate) fn p25_a_replaced_program_file_does_not_matter() {
    let copy = env::temp_dir().join(format!("crossover-p25-{}", process::id()));
    fs::copy(env::current_exe().unwrap(), &copy).expect("a copy of this program");
    let mut parent = Role::Respawns.start_as(&copy);
    let first: u32 = parent.line().parse().unwrap();
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, "not a program").unwrap();
    kill(first, Signal::KILL);
    parent.say("go on");
    let second: u32 = parent.line().parse().unwrap();
    assert_ne!(first, second);
    fs::remove_file(&copy).unwrap();
}

pub(crate) fn p28_a_full_queue_refuses_or_holds_back() {
    let pool = ProcessPool::builder().workers(1).queue_limit(2).build().unwrap();
    let gate = Gate::new();
    let running = pool.call(jobs::gate, (gate.name(),));
    let guest = gate.guest();
    let queued = [pool.call(jobs::add, (1, 0)), pool.try_call(jobs::add, (2, 0)).unwrap()];
    assert!(pool.try_call(jobs::add, (3, 0)).unwrap_err().is_full());
    let held_back = pool.call(jobs::add, (4, 0));
    let (forgotten, metrics) = (pool.call(jobs::add, (5, 0)), pool.metrics());
    assert_eq!((metrics.queued, metrics.submitted), (2, 3), "what is held back is not queued");
    drop(forgotten);
    guest.release();
    ok(running);
    assert_eq!(ok(held_back), 4);
    assert_eq!(block_on(join_all(queued)).into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
}

pub(crate) fn close_finishes_what_was_taken_and_reaps_all() {
    let fds = open_fds();
    let pool = warm_pool(2);
    let watched: Vec<Watched> = pool.worker_pids().into_iter().map(Watched::new).collect();
    let calls: Vec<_> = (0..100).map(|n| pool.call(jobs::add, (n, 1))).collect();
    let done_before = pool.metrics().completed;
    let report = block_on(pool.close(SOON));
    assert_eq!(report.cancelled, 0);
    assert!(report.finished <= 100 - done_before);
    assert!(watched.iter().all(|worker| worker.ends_within(Duration::ZERO)), "all are reaped");
    drop(watched);
    assert!(block_on(join_all(calls)).into_iter().all(|result| result.is_ok()));
    assert!(err(pool.call(jobs::add, (1, 2))).is_closed());
    assert!(block_on(pool.warm_up()).unwrap_err().is_closed());
    assert_eq!(block_on(pool.close(SOON)), report, "closing twice is harmless");
    assert!(pool.worker_pids().is_empty());
    drop(pool);
    assert_eq!((open_fds(), zombies()), (fds, 0));
}

pub(crate) fn close_cuts_off_what_is_not_done_by_its_deadline() {
    let pool = pool(1);
    let gate = Gate::new();
    let running = pool.call(jobs::endless, (gate.name(),));
    let guest = gate.guest();
    let queued = pool.call(jobs::add, (1, 2));
    let report = block_on(pool.close(Duration::from_millis(20)));
    assert_eq!((report.finished, report.cancelled), (0, 2));
    assert!(err(running).is_cancelled());
    assert!(err(queued).is_closed());
    guest.wait_gone();
}

pub(crate) fn dropping_the_pool_kills_and_reaps_busy_workers() {
    let fds = open_fds();
    let pool = pool(2);
    let gate = Gate::new();
    let calls = [pool.call(jobs::endless, (gate.name(),)), pool.call(jobs::endless, (gate.name(),))];
    let (first, second) = (gate.guest(), gate.guest());
    let clone = pool.clone();
    drop(pool);
    assert_eq!(clone.metrics().running, 2, "a clone keeps the pool");
    drop(clone);
    assert_eq!(zombies(), 0);
    first.wait_gone();
    second.wait_gone();
    for call in calls {
        assert!(err(call).is_cancelled());
    }
    drop(gate);
    assert_eq!(open_fds(), fds);
}

pub(crate) fn dropping_the_pool_while_a_worker_starts_leaves_nothing() {
    let fds = open_fds();
    for delay in 0..60 {
        let pool = pool(1);
        let call = pool.call(jobs::add, (1, 2));
        // From before the spawn to after the hello: together these take one to two milliseconds.
        jobs::busy(delay * 50);
        drop(pool);
        assert_eq!(zombies(), 0, "everything is reaped when the drop returns");
        if let Err(error) = block_on(call) {
            assert!(error.is_closed() || error.is_cancelled(), "{error}");
        }
        assert_eq!(open_fds(), fds);
    }
}

/// The last handle goes where a waker runs: on the pool's own thread, which must not wait for itself.
pub(crate) fn a_waker_may_drop_the_pool() {
    struct DropsThePool(Mutex<Option<ProcessPool>>, mpsc::Sender<()>);
    impl Wake for DropsThePool {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.send(()).unwrap();
        }
    }
    let pool = pool(1);
    let gate = Gate::new();
    let (sender, woken) = mpsc::channel();
    let mut call = pool.call(jobs::gate, (gate.name(),));
    let waker = Waker::from(Arc::new(DropsThePool(Mutex::new(Some(pool)), sender)));
    let guest = gate.guest();
    assert!(matches!(Pin::new(&mut call).poll(&mut Context::from_waker(&waker)), Poll::Pending));
    guest.release();
    woken.recv().expect("the waker ran to its end");
    ok(call);
}

pub(crate) fn a_waker_whose_panic_cannot_be_dropped_hurts_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::panic_any(Self);
        }
    }
    struct Throws;
    impl Wake for Throws {
        fn wake(self: Arc<Self>) {
            panic::panic_any(Bomb);
        }
    }
    let pool = pool(1);
    let gate = Gate::new();
    let mut call = pool.call(jobs::gate, (gate.name(),));
    let waker = Waker::from(Arc::new(Throws));
    let guest = gate.guest();
    assert!(matches!(Pin::new(&mut call).poll(&mut Context::from_waker(&waker)), Poll::Pending));
    guest.release();
    // Answered after the wake, by the same dispatcher.
    assert_eq!(ok(pool.call(jobs::add, (1, 2))), 3);
    ok(call);
}

/// A path that no other test uses.
fn marker(name: &str) -> PathBuf {
    env::temp_dir().join(format!("crossover-{name}-{}", process::id()))
}
