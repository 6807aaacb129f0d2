//! Pools that are closed, dropped or full, and wakers that misbehave.

use crate::{
    jobs,
    runner::{SOON, count},
    support::{Gate, Watched, err, ok, open_fds, pool, warm_pool, zombies},
};
use crossover_runtime::{process_pool::ProcessPool, runtime};
use futures::{executor::block_on, future::join_all};
use std::{
    panic,
    pin::Pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Broken by: a call that a dying pool forgets.
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

/// Broken by: a queue without an end, or a held-back call that is never queued.
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

/// Broken by: a caller that is not woken when there is room again.
pub(crate) fn p28_submits_without_end_wait_for_room() {
    let pool = ProcessPool::builder().workers(2).queue_limit(32).build().unwrap();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..count(3000, 200_000))
        .map(|n| {
            let pool = pool.clone();
            runtime.spawn(async move { pool.call(jobs::add, (n, 1)).await.unwrap() })
        })
        .collect();
    for (n, sum) in (1..).zip(runtime.block_on(join_all(tasks))) {
        assert_eq!(sum.unwrap(), n);
    }
    assert_eq!(pool.metrics().queued, 0);
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
