//! The blocking pool: jobs that need each other get their threads at once, whatever the threads are doing.

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::spawn_blocking;
use crossover_runtime::task::JoinSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

fn pool(threads: usize, keep_alive: Duration) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(threads)
        .thread_keep_alive(keep_alive)
        .build()
        .unwrap()
}

/// Fails, with the process, if the test's body hangs.
fn watchdog(body: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(body));
        let _ = sender.send(());
        outcome
    });
    receiver.recv_timeout(Duration::from_secs(20)).expect("the test hangs");
    if let Err(payload) = thread.join().unwrap() {
        resume_unwind(payload);
    }
}

/// Submits `jobs` jobs, each of which ends only when all of them run, and waits for them.
async fn burst(jobs: usize) {
    let meet = Arc::new(Barrier::new(jobs));
    let mut set = JoinSet::new();
    for _ in 0..jobs {
        let meet = Arc::clone(&meet);
        set.spawn_blocking(move || meet.wait().is_leader());
    }
    set.join_all().await;
}

#[test]
fn a_burst_of_jobs_that_block_runs_at_once() {
    watchdog(|| {
        let runtime = pool(60, Duration::from_secs(10));
        // First without any thread, then with threads that sleep, spin, or are on their way back.
        for _ in 0..20 {
            runtime.block_on(burst(60));
        }
        assert_eq!(runtime.metrics().num_blocking_threads(), 60);
    });
}

#[test]
fn bursts_of_all_sizes_get_through_while_threads_come_and_go() {
    watchdog(|| {
        for keep_alive in [Duration::ZERO, Duration::from_micros(20), Duration::from_micros(200)] {
            let runtime = pool(12, keep_alive);
            runtime.block_on(async {
                for size in (1..=12).chain((1..=12).rev()).cycle().take(100) {
                    burst(size).await;
                }
            });
        }
    });
}

#[test]
fn small_jobs_between_long_ones_do_not_wait_for_them() {
    watchdog(|| {
        let runtime = pool(4, Duration::from_secs(10));
        runtime.block_on(async {
            for _ in 0..200 {
                let (end, until) = mpsc::channel::<()>();
                // Blocks one thread until the others have run everything else.
                let long = spawn_blocking(move || until.recv().is_err());
                let done = Arc::new(AtomicUsize::new(0));
                let mut set = JoinSet::new();
                for _ in 0..8 {
                    let done = Arc::clone(&done);
                    set.spawn_blocking(move || done.fetch_add(1, Ordering::Relaxed));
                }
                set.join_all().await;
                assert_eq!(done.load(Ordering::Relaxed), 8);
                drop(end);
                assert!(long.await.unwrap());
            }
        });
    });
}

#[test]
fn submitters_on_many_threads() {
    watchdog(|| {
        let runtime = pool(3, Duration::from_micros(100));
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        assert_eq!(runtime.handle().block_on(runtime.spawn_blocking(|| 7)).unwrap(), 7);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::Relaxed), 6 * 300);
        assert!(runtime.metrics().num_blocking_threads() <= 3);
    });
}
