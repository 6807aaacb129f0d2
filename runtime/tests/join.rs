//! Scoped fork-join: results, borrows, panics, places, and that a wait runs nothing foreign.

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::{join, spawn, spawn_blocking};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

fn multi(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().unwrap()
}

fn current() -> Runtime {
    Builder::new_current_thread().build().unwrap()
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
        std::panic::resume_unwind(payload);
    }
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(|| fib(n - 1), || fib(n - 2));
    a + b
}

/// All the ways to be somewhere: on a worker, elsewhere with a runtime, without one.
fn everywhere(body: impl Fn() + Send + Sync + Copy + 'static) {
    watchdog(move || {
        body();
        for workers in [1, 2, 4] {
            let runtime = multi(workers);
            runtime.block_on(async { body() });
            runtime.block_on(async { spawn(async move { body() }).await.unwrap() });
            runtime.block_on(async { spawn_blocking(body).await.unwrap() });
            let guard = runtime.enter();
            body();
            drop(guard);
        }
        let runtime = current();
        runtime.block_on(async { body() });
        runtime.block_on(async { spawn(async move { body() }).await.unwrap() });
        runtime.block_on(async { spawn_blocking(body).await.unwrap() });
    });
}

#[test]
fn nested() {
    everywhere(|| assert_eq!(fib(16), 987));
}

#[test]
fn borrowed_data_is_changed_in_place() {
    fn sort(values: &mut [u32]) {
        if values.len() <= 16 {
            return values.sort_unstable();
        }
        let middle = values.len() / 2;
        values.select_nth_unstable(middle);
        let (left, right) = values.split_at_mut(middle);
        join(|| sort(left), || sort(right));
    }
    everywhere(|| {
        let mut values: Vec<u32> = (0..5000_u32).map(|i| i.wrapping_mul(2_654_435_761) % 10_007).collect();
        let mut expected = values.clone();
        expected.sort_unstable();
        sort(&mut values);
        assert_eq!(values, expected);
    });
}

#[test]
fn unbalanced() {
    /// A list: one side is always a leaf.
    fn left(depth: u32) -> u32 {
        if depth == 0 { 0 } else { join(|| left(depth - 1), || 1).0 + 1 }
    }
    fn right(depth: u32) -> u32 {
        if depth == 0 { 0 } else { join(|| 1, || right(depth - 1)).1 + 1 }
    }
    everywhere(|| {
        assert_eq!(left(1000), 1000);
        assert_eq!(right(1000), 1000);
    });
}

#[test]
fn values_of_any_size_come_back_and_are_dropped_once() {
    everywhere(|| {
        let probe = Arc::new(());
        let big = [7_u64; 500];
        let (a, b) = join(|| (Arc::clone(&probe), big), || (vec![Arc::clone(&probe)], ()));
        assert_eq!(a.1, big);
        assert_eq!(Arc::strong_count(&probe), 3);
        drop((a, b));
        assert_eq!(Arc::strong_count(&probe), 1);
    });
}

/// Both closures are at work at the same time, so `b` is stolen for certain. Needs two workers.
fn in_parallel<RA: Send, RB: Send>(a: impl FnOnce() -> RA + Send, b: impl FnOnce() -> RB + Send) -> (RA, RB) {
    let meet = Barrier::new(2);
    join(
        || {
            meet.wait();
            a()
        },
        || {
            meet.wait();
            b()
        },
    )
}

#[test]
fn both_sides_run_at_once_on_two_workers() {
    watchdog(|| {
        let runtime = multi(2);
        for _ in 0..200 {
            let both = runtime.block_on(async { spawn(async { in_parallel(|| 1, || 2) }).await.unwrap() });
            assert_eq!(both, (1, 2));
            assert_eq!(runtime.block_on(async { in_parallel(|| 1, || 2) }), (1, 2));
        }
    });
}

#[test]
fn a_sleeping_worker_is_woken_for_a_job() {
    watchdog(|| {
        let runtime = multi(2);
        for _ in 0..5 {
            // Long enough for both workers to go to sleep; what follows is right in any case.
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(
                runtime.block_on(async { spawn(async { in_parallel(|| 1, || 2) }).await.unwrap() }),
                (1, 2)
            );
        }
    });
}

#[test]
fn a_waiting_worker_helps_the_thief_even_after_it_fell_asleep() {
    watchdog(|| {
        let runtime = multi(2);
        for pause in [0, 0, 0, 10] {
            let both = runtime.block_on(async {
                spawn(async move {
                    in_parallel(
                        || 1,
                        || {
                            // The owner waits meanwhile; if it did not come to help, this would never end.
                            std::thread::sleep(Duration::from_millis(pause));
                            in_parallel(|| 2, || 3)
                        },
                    )
                })
                .await
                .unwrap()
            });
            assert_eq!(both, (1, (2, 3)));
        }
    });
}

#[test]
fn a_panic_of_either_side_comes_after_both_have_ended() {
    everywhere(|| {
        let ended = AtomicBool::new(false);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            join(|| panic_any("a"), || ended.store(true, Ordering::Relaxed));
        }));
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"a"));
        assert!(ended.load(Ordering::Relaxed));

        let ended = AtomicBool::new(false);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            join(|| ended.store(true, Ordering::Relaxed), || panic_any("b"));
        }));
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"b"));
        assert!(ended.load(Ordering::Relaxed));

        let payload = catch_unwind(|| join(|| panic_any("a"), || panic_any("b")));
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"a"));
        // The worker has survived.
        assert_eq!(fib(10), 55);
    });
}

#[test]
fn a_panic_waits_for_the_stolen_side() {
    watchdog(|| {
        let runtime = multi(2);
        for _ in 0..50 {
            let error = runtime.block_on(async {
                spawn(async {
                    let mut data = vec![0_u8; 64];
                    let (gone, seen) = (AtomicBool::new(false), AtomicBool::new(false));
                    let outcome = catch_unwind(AssertUnwindSafe(|| {
                        in_parallel(
                            || {
                                gone.store(true, Ordering::Release);
                                panic_any(1)
                            },
                            || {
                                while !gone.load(Ordering::Acquire) {
                                    std::thread::yield_now();
                                }
                                data.fill(9);
                                seen.store(true, Ordering::Relaxed);
                            },
                        )
                    }));
                    assert!(outcome.is_err() && seen.load(Ordering::Relaxed));
                    assert_eq!(data, [9; 64]);
                    // And the other way round, through the task.
                    in_parallel(|| (), || panic_any(2));
                })
                .await
                .unwrap_err()
            });
            assert_eq!(error.into_panic().downcast_ref(), Some(&2));
        }
    });
}

#[test]
fn results_are_dropped_when_the_other_side_panics() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a result that panics when it is dropped");
        }
    }
    everywhere(|| {
        let probe = Arc::new(());
        for _ in 0..10 {
            let _ = catch_unwind(AssertUnwindSafe(|| join(|| Arc::clone(&probe), || panic_any(1))));
            let _ = catch_unwind(AssertUnwindSafe(|| join(|| panic_any(1), || Arc::clone(&probe))));
        }
        assert_eq!(Arc::strong_count(&probe), 1);
        let payload = catch_unwind(|| join(|| panic_any(1), || Bomb));
        assert_eq!(payload.err().and_then(|payload| payload.downcast_ref().copied()), Some(1));
    });
}

thread_local! {
    /// The joins that this thread is inside of, outermost first: paths from the root of their computation.
    static INSIDE: RefCell<Vec<Vec<u32>>> = const { RefCell::new(Vec::new()) };
}

/// A tree of joins, each of which asserts that nothing below it on its thread's stack is foreign to it.
fn tree(path: &[u32], depth: u32, leaves: &AtomicUsize) {
    INSIDE.with_borrow(|inside| {
        assert!(inside.iter().all(|below| path.starts_with(below)), "{path:?} runs on top of {inside:?}");
    });
    if depth == 0 {
        leaves.fetch_add(1, Ordering::Relaxed);
        if path.last() == Some(&0) {
            std::thread::yield_now();
        }
        return;
    }
    let child = |side| [path, &[side]].concat();
    INSIDE.with_borrow_mut(|inside| inside.push(path.to_vec()));
    join(|| tree(&child(0), depth - 1, leaves), || tree(&child(1), depth - 1, leaves));
    INSIDE.with_borrow_mut(|inside| assert_eq!(inside.pop().as_deref(), Some(path)));
}

/// Hazard S4 in full: under many computations at once, with sides of different lengths, a worker that waits for a stolen
/// closure runs nothing but parts of it.
#[test]
fn a_wait_runs_only_what_it_waits_for() {
    watchdog(|| {
        for workers in [2, 3, 5] {
            let runtime = multi(workers);
            let leaves = Arc::new(AtomicUsize::new(0));
            runtime.block_on(async {
                let tasks: Vec<_> = (0..300)
                    .map(|root| {
                        let leaves = Arc::clone(&leaves);
                        spawn(async move { tree(&[root], root % 9, &leaves) })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            let expected: usize = (0..300_u32).map(|root| 1 << (root % 9)).sum();
            assert_eq!(leaves.load(Ordering::Relaxed), expected);
        }
    });
}

/// Hazard S4 as it happens: a lock is held across a join, and other tasks and jobs want it.
#[test]
fn a_lock_held_across_a_join_is_no_deadlock() {
    watchdog(|| {
        let runtime = multi(2);
        let lock = Arc::new(Mutex::new(0_u64));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..200)
                .map(|_| {
                    let lock = Arc::clone(&lock);
                    spawn(async move {
                        let (_, ()) = join(
                            || fib(5),
                            || {
                                let mut total = lock.lock().unwrap();
                                *total += fib(9);
                            },
                        );
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(*lock.lock().unwrap(), 200 * 34);
    });
}

#[test]
fn tasks_and_jobs_do_not_starve_one_another() {
    watchdog(|| {
        let runtime = multi(2);
        let over = Arc::new(AtomicBool::new(false));
        // Tasks that are always ready, on both workers.
        let busy: Vec<_> = (0..4)
            .map(|_| {
                let over = Arc::clone(&over);
                runtime.spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        crossover_runtime::task::yield_now().await;
                    }
                })
            })
            .collect();
        // A job from outside gets through.
        let guard = runtime.enter();
        assert_eq!(fib(12), 144);
        // And tasks get through while both workers are always inside of some join.
        let computing: Vec<_> = (0..2)
            .map(|_| {
                let over = Arc::clone(&over);
                runtime.spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        fib(12);
                        crossover_runtime::task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            runtime.block_on(runtime.spawn(async {})).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        for task in busy.into_iter().chain(computing) {
            runtime.block_on(task).unwrap();
        }
        drop(guard);
    });
}

#[test]
fn joins_from_many_threads_at_once() {
    watchdog(|| {
        let runtime = multi(2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _guard = runtime.enter();
                    (0..50).for_each(|_| assert_eq!(fib(10), 55));
                });
            }
        });
    });
}

#[test]
fn a_join_during_and_after_the_shutdown_still_ends() {
    watchdog(|| {
        for workers in [1, 2] {
            for _ in 0..30 {
                let runtime = multi(workers);
                let handle = runtime.handle().clone();
                let started = Arc::new(Barrier::new(2));
                let job = {
                    let started = Arc::clone(&started);
                    spawn_on(&runtime, move || {
                        started.wait();
                        (0..200).for_each(|_| assert_eq!(fib(8), 21));
                    })
                };
                let task = runtime.spawn(async { assert_eq!(fib(12), 144) });
                started.wait();
                // Waits for the blocking job, whose joins find the workers there, leaving, and gone.
                drop(runtime);
                let guard = handle.enter();
                assert_eq!(fib(10), 55);
                drop(guard);
                assert!(job.is_finished() && task.is_finished());
            }
        }
    });
}

fn spawn_on(
    runtime: &Runtime,
    job: impl FnOnce() + Send + 'static,
) -> crossover_runtime::task::JoinHandle<()> {
    runtime.spawn_blocking(job)
}
