//! S4, S5, S6: the blocking pool, waits on plain threads, and jobs on their owners' stacks.

use crate::{alone, eventually, watchdog};
use crossover_runtime::runtime::{Builder, Handle};
use crossover_runtime::sync::channel;
use crossover_runtime::task::{JoinError, yield_now};
use crossover_runtime::{spawn, spawn_blocking};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// A job, or a thread, holds a lock and waits for a task, while hundreds of other tasks want the lock. Would the wait run
/// one of them, it would wait for itself.
#[test]
fn s4_a_blocking_wait_runs_no_foreign_task() {
    watchdog(|watch| {
        for rt in watch.both() {
            let lock = Arc::new(Mutex::new(()));
            let (release, released) = channel::bounded::<()>(1);
            let (holding, is_held) = mpsc::channel();
            let waits = {
                let (lock, handle) = (Arc::clone(&lock), rt.handle().clone());
                move || {
                    let awaited = handle.spawn(async move {
                        let _ = released.recv().await;
                        thread::current().id()
                    });
                    let guard = lock.lock().unwrap();
                    holding.send(()).unwrap();
                    let polled_by = handle.block_on(awaited).unwrap();
                    drop(guard);
                    assert_ne!(polled_by, thread::current().id(), "the wait has run a task");
                }
            };
            let job = rt.spawn_blocking(waits);
            is_held.recv().unwrap();
            let tasks: Vec<_> = (0..200)
                .map(|_| {
                    let lock = Arc::clone(&lock);
                    rt.spawn(async move {
                        // Not `lock`: on a current-thread runtime it would hold up what the holder waits for.
                        while lock.try_lock().is_err() {
                            yield_now().await;
                        }
                        thread::current().id()
                    })
                })
                .collect();
            rt.block_on(async {
                for _ in 0..100 {
                    yield_now().await;
                }
                drop(release);
                job.await.unwrap();
                for task in tasks {
                    task.await.unwrap();
                }
            });
        }
    });
}

/// Nobody but the thread that is in `Runtime::block_on` runs the tasks of a current-thread runtime.
#[test]
fn s4_a_handles_block_on_runs_nothing_of_a_current_thread_runtime() {
    watchdog(|watch| {
        let rt = watch.current();
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let task = rt.spawn(async move { count.fetch_add(1, Ordering::SeqCst) });
        assert_eq!(rt.handle().block_on(async { 1 }), 1);
        let handle = rt.handle().clone();
        thread::scope(|scope| {
            scope.spawn(move || assert_eq!(handle.block_on(async { 2 }), 2)).join().unwrap();
        });
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        rt.block_on(task).unwrap();
    });
}

/// One thread, and its job waits for a job in the queue: a deadlock that the caller has built. It can be given up after a
/// while, and the runtime's end resolves it: the queued job is cancelled, which ends the wait.
#[test]
fn s5_a_job_that_waits_for_a_job_at_the_limit_of_one_thread() {
    watchdog(|watch| {
        let rt = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().unwrap();
        watch.add(&rt);
        let (waits, is_waiting) = mpsc::channel();
        let outer = rt.spawn_blocking(move || {
            let handle = Handle::current();
            let mut inner = handle.spawn_blocking(|| ());
            handle.block_on(async {
                let limit = Duration::from_millis(20);
                assert!(
                    crossover_runtime::time::timeout(limit, &mut inner).await.is_err(),
                    "there is no thread"
                );
            });
            waits.send(()).unwrap();
            handle.block_on(inner)
        });
        is_waiting.recv().unwrap();
        let handle = rt.handle().clone();
        drop(rt);
        let inner: Result<(), JoinError> = handle.block_on(outer).unwrap();
        assert!(inner.unwrap_err().is_cancelled());
    });
}

/// No thread can be started (EAGAIN): an error while the pool has none, a place in the queue while it has one.
#[test]
fn s5_threads_that_cannot_be_started() {
    alone("pool::s5_threads_that_cannot_be_started", || {
        let stack = 1 << 30;
        let rt = Builder::new_current_thread().thread_stack_size(stack).build().unwrap();
        let limit = getrlimit(Resource::As);
        let forbid = || {
            // All address space that is in use, and less than another stack.
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
            let kib: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
            let current = kib * 1024 + stack as u64 / 2;
            setrlimit(Resource::As, Rlimit { current: Some(current), maximum: limit.maximum }).unwrap();
        };
        // None there.
        forbid();
        for _ in 0..3 {
            let probe = Arc::new(());
            let captured = Arc::clone(&probe);
            let job = rt.spawn_blocking(move || drop(captured));
            let error = rt.block_on(job).unwrap_err();
            assert!(
                error.is_cancelled() && error.to_string().contains("no thread could be started"),
                "{error}"
            );
            assert_eq!(Arc::strong_count(&probe), 1, "the job was dropped");
            assert_eq!(rt.metrics().num_blocking_threads(), 0);
        }
        setrlimit(Resource::As, limit).unwrap();
        // One there: it does the work of all.
        let (release, released) = mpsc::channel::<()>();
        let first = rt.spawn_blocking(move || {
            let _ = released.recv();
            thread::current().id()
        });
        eventually("it runs", || rt.metrics().blocking_queue_depth() == 0);
        forbid();
        let jobs: Vec<_> = (0..10).map(|_| rt.spawn_blocking(|| thread::current().id())).collect();
        assert!(jobs.iter().all(|job| !job.is_finished()));
        drop(release);
        let thread = rt.block_on(first).unwrap();
        for job in jobs {
            assert_eq!(rt.block_on(job).unwrap(), thread);
        }
        setrlimit(Resource::As, limit).unwrap();
        assert_eq!(rt.block_on(rt.spawn_blocking(|| 5)).unwrap(), 5);
        drop(rt);

        // The same for workers: an error of the builder, and nothing is left of those that had been started.
        forbid();
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        let built = Builder::new_multi_thread().worker_threads(4).thread_stack_size(stack / 4).build();
        assert!(built.is_err());
        eventually("its threads are gone", || threads() == before);
        setrlimit(Resource::As, limit).unwrap();
    });
}

/// Jobs that offload jobs, many levels deep, on a pool that is large enough, beside tasks that do the same.
#[test]
fn s5_jobs_that_wait_for_jobs_within_the_limit() {
    fn nest(depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let handle = Handle::current();
        1 + handle.block_on(handle.spawn_blocking(move || nest(depth - 1))).unwrap()
    }
    watchdog(|watch| {
        let rt = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(20).build().unwrap();
        watch.add(&rt);
        for _ in 0..10 {
            let depth =
                rt.block_on(async { spawn(async { spawn_blocking(|| nest(18)).await.unwrap() }).await });
            assert_eq!(depth.unwrap(), 18);
        }
    });
}

/// Overwrites what a function that was called before has left on the stack.
#[inline(never)]
fn scribble() {
    std::hint::black_box([0xA5_u8; 8 << 10]);
}

/// The owner of a job on the stack returns as soon as it sees the completion, and its frame is used for other things at
/// once; whoever signals must not look at the job after. From threads of no worker, which park at once and are gone right
/// after; and between two workers, whose jobs are so short that the owner sees the signal while the thief is at it.
#[test]
fn s6_the_signal_is_the_last_touch_of_a_job_on_the_stack() {
    #[inline(never)]
    fn short(value: u64) -> u64 {
        let text = Box::new(value);
        let (a, b) = crossover_runtime::join(|| *text + 1, || *text + 2);
        drop(text);
        a + b
    }
    fn run(rounds: u64) {
        for value in 0..rounds {
            assert_eq!(short(value), 2 * value + 3);
            scribble();
        }
    }
    fn tree(depth: u32) -> u64 {
        let (a, b) = match depth {
            0 => (1, 0),
            _ => crossover_runtime::join(|| tree(depth - 1), || tree(depth - 1)),
        };
        scribble();
        a + b
    }
    watchdog(|watch| {
        let rt = watch.multi(2);
        let inside = rt.spawn(async {
            for _ in 0..10 {
                assert_eq!(tree(8), 256);
                yield_now().await;
            }
        });
        thread::scope(|scope| {
            for _ in 0..3 {
                let handle = rt.handle();
                scope.spawn(move || {
                    for _ in 0..20 {
                        let handle = handle.clone();
                        let last = move || {
                            let _guard = handle.enter();
                            run(20);
                        };
                        thread::spawn(last).join().unwrap();
                    }
                });
            }
        });
        rt.block_on(inside).unwrap();
    });
}
