//! Shutdown: a deadline, no panic, no leak, never a deadlock.

use crate::{alone, eventually, watchdog};
use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::sync::channel;
use crossover_runtime::task::yield_now;
use crossover_runtime::time::sleep;
use crossover_runtime::{spawn, spawn_blocking};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const FOREVER: Duration = Duration::from_secs(1_000_000);

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}

/// Tasks of all kinds: waiting, busy, waiting for a job, holding handles of each other.
fn populate(rt: &Runtime) {
    for _ in 0..20 {
        drop(rt.spawn(pending::<()>()));
        drop(rt.spawn(async {
            loop {
                yield_now().await;
            }
        }));
        let job = rt.spawn_blocking(|| 1);
        let inner = rt.spawn(pending::<()>());
        drop(rt.spawn(async move {
            job.await.unwrap();
            inner.await.unwrap();
        }));
    }
}

#[test]
fn shutdown_leaves_no_thread_no_descriptor_and_no_task() {
    alone("s::shutdown_leaves_no_thread_no_descriptor_and_no_task", || {
        let before = (threads(), descriptors());
        for round in 0..30 {
            let rt = match round % 2 {
                0 => Builder::new_current_thread().build().unwrap(),
                _ => Builder::new_multi_thread().worker_threads(3).build().unwrap(),
            };
            populate(&rt);
            let metrics = rt.metrics();
            rt.block_on(async {
                for _ in 0..round {
                    yield_now().await;
                }
            });
            match round % 3 {
                0 => assert_eq!(rt.shutdown_timeout(Duration::from_secs(20)), 0),
                _ => drop(rt),
            }
            assert_eq!(metrics.num_alive_tasks(), 0, "{metrics:?}");
            assert_eq!(metrics.global_queue_depth(), 0);
            drop(metrics);
            // A joined thread may show for a moment longer in /proc.
            eventually("the threads are gone", || threads() == before.0);
            assert_eq!(descriptors(), before.1, "round {round}");
        }
    });
}

#[test]
fn s1_a_blocking_job_that_never_returns_meets_the_deadline() {
    watchdog(|watch| {
        for rt in watch.both() {
            let (started, has_started) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let (ended, has_ended) = mpsc::channel();
            let stuck = rt.spawn_blocking(move || {
                started.send(()).unwrap();
                let _ = released.recv();
                ended.send(()).unwrap();
            });
            has_started.recv().unwrap();
            let start = Instant::now();
            assert_eq!(rt.shutdown_timeout(Duration::from_millis(50)), 1, "one job is left");
            assert!(start.elapsed() >= Duration::from_millis(50));
            assert!(!stuck.is_finished());
            drop(release);
            has_ended.recv().unwrap();
        }
    });
}

#[test]
fn s1_a_task_that_never_awaits_meets_the_deadline_and_cleans_up_later() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        let metrics = rt.metrics();
        populate(&rt);
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let stuck = rt.spawn(async move {
            started.send(()).unwrap();
            let _ = released.recv();
            pending::<()>().await;
        });
        has_started.recv().unwrap();
        assert_eq!(rt.shutdown_timeout(Duration::from_millis(50)), 1, "one worker is left");
        assert_eq!(metrics.num_alive_tasks(), 1, "only the stuck task lives");
        drop(release);
        eventually("the stuck task has ended", || stuck.is_finished() && metrics.num_alive_tasks() == 0);
    });
}

#[test]
#[cfg_attr(runtime_asan, ignore = "it leaks on purpose")]
fn s1_a_job_that_leaks_its_guard_does_not_hang_the_drop() {
    watchdog(|watch| {
        for rt in watch.both() {
            let job = rt.spawn_blocking(|| std::mem::forget(Handle::current().enter()));
            rt.block_on(job).unwrap();
            drop(rt);
        }
    });
}

#[test]
fn s1_a_task_that_waits_for_a_thread_that_waits_for_the_driver_does_not_hang_the_drop() {
    watchdog(|watch| {
        for job in [false, true] {
            let rt = watch.multi(2);
            let (started, has_started) = mpsc::channel();
            let handle = rt.handle().clone();
            drop(rt.spawn(async move {
                let (sender, ended) = mpsc::channel::<()>();
                let waits = move || {
                    let _sender = sender;
                    // The runtime's end makes this a panic, of which only the end counts here.
                    let wait = AssertUnwindSafe(|| handle.block_on(async { sleep(FOREVER).await }));
                    drop(catch_unwind(wait));
                };
                match job {
                    true => drop(spawn_blocking(waits)),
                    false => drop(std::thread::spawn(waits)),
                }
                started.send(()).unwrap();
                let _ = ended.recv();
            }));
            has_started.recv().unwrap();
            drop(rt);
        }
    });
}

#[test]
fn s1_queued_jobs_are_cancelled_and_plain_drop_waits_for_the_running_one() {
    watchdog(|watch| {
        let rt = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().unwrap();
        watch.add(&rt);
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let running = rt.spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = released.recv();
            7
        });
        has_started.recv().unwrap();
        let handle = rt.handle().clone();
        let queued = rt.spawn_blocking(|| unreachable!("cancelled in the queue"));
        let dropper = std::thread::spawn(move || drop(rt));
        // The queued job is cancelled while the drop waits for the running one.
        let error: crossover_runtime::task::JoinError = handle.block_on(queued).unwrap_err();
        assert!(error.is_cancelled());
        assert!(!dropper.is_finished());
        drop(release);
        assert_eq!(handle.block_on(running).unwrap(), 7);
        dropper.join().unwrap();
    });
}

#[test]
fn s2_spawn_and_offload_after_shutdown_are_cancelled_at_once() {
    watchdog(|watch| {
        for rt in watch.both() {
            let probe = Arc::new(());
            let handle = rt.handle().clone();
            drop(rt);
            let (a, b) = (Arc::clone(&probe), Arc::clone(&probe));
            let task = handle.spawn(async move {
                let _a = a;
                pending::<()>().await;
            });
            let job = handle.spawn_blocking(move || {
                let _b = b;
            });
            assert!(task.is_finished() && job.is_finished());
            assert_eq!(Arc::strong_count(&probe), 1, "nothing is kept");
            let error: crossover_runtime::task::JoinError = handle.block_on(task).unwrap_err();
            assert!(error.is_cancelled());
            let error: crossover_runtime::task::JoinError = handle.block_on(job).unwrap_err();
            assert!(error.is_cancelled());
        }
    });
}

#[test]
fn s2_wakes_after_shutdown_do_nothing() {
    watchdog(|watch| {
        for rt in watch.both() {
            let waker = Arc::new(Mutex::new(None::<Waker>));
            let stored = Arc::clone(&waker);
            let task = rt.spawn(poll_fn(move |cx| -> Poll<()> {
                *stored.lock().unwrap() = Some(cx.waker().clone());
                Poll::Pending
            }));
            rt.block_on(async {
                while waker.lock().unwrap().is_none() {
                    yield_now().await;
                }
            });
            let handle = rt.handle().clone();
            drop(rt);
            let waker = waker.lock().unwrap().take().unwrap();
            let clone = waker.clone();
            waker.wake_by_ref();
            clone.wake();
            drop(waker);
            task.abort();
            assert!(handle.block_on(task).unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn s2_storms_of_spawns_and_wakes_while_shutting_down() {
    watchdog(|watch| {
        for round in 0..30_u32 {
            for rt in watch.both() {
                let started = Arc::new(AtomicUsize::new(0));
                let ended = Arc::new(AtomicUsize::new(0));
                let handle = rt.handle().clone();
                std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            for _ in 0..100 {
                                struct Ended(Arc<AtomicUsize>);
                                impl Drop for Ended {
                                    fn drop(&mut self) {
                                        self.0.fetch_add(1, Ordering::SeqCst);
                                    }
                                }
                                started.fetch_add(2, Ordering::SeqCst);
                                let (a, b) = (Ended(Arc::clone(&ended)), Ended(Arc::clone(&ended)));
                                let inner = handle.spawn_blocking(move || drop(a));
                                let task = handle.spawn(async move {
                                    let _b = b;
                                    let _ = inner.await;
                                    pending::<()>().await;
                                });
                                task.abort();
                            }
                        });
                    }
                    (0..round * 10).for_each(|_| std::thread::yield_now());
                    drop(rt);
                });
                // Whoever was refused has been dropped by its spawner, all others by the runtime's end.
                let started = started.load(Ordering::SeqCst);
                eventually("all are dropped", || ended.load(Ordering::SeqCst) == started);
            }
        }
    });
}

/// Reports each poll at its end: before that, what happens meanwhile could be noticed by the same poll.
async fn reporting<F: Future>(future: F, polled: mpsc::Sender<()>) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let state = future.as_mut().poll(cx);
        let _ = polled.send(());
        state
    })
    .await
}

#[test]
fn s2_a_task_that_awaits_a_queued_job_does_not_go_on_at_shutdown() {
    /// Part of a queued job: when that is refused, waits until the task has gone on (`Ok`) or was dropped.
    struct Trap(mpsc::Receiver<()>, mpsc::Sender<bool>);
    impl Drop for Trap {
        fn drop(&mut self) {
            self.1.send(self.0.recv().is_ok()).unwrap();
        }
    }
    watchdog(|watch| {
        let rt = Builder::new_multi_thread().worker_threads(2).max_blocking_threads(1).build().unwrap();
        watch.add(&rt);
        let (verdict, went_on) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        drop(rt.spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = released.recv();
        }));
        has_started.recv().unwrap();
        let awaited = rt.spawn_blocking(|| ());
        let (go_on, goes_on) = mpsc::channel();
        let (polled, is_polled) = mpsc::channel();
        drop(rt.spawn(async move {
            let _ = reporting(awaited, polled).await;
            go_on.send(()).unwrap();
        }));
        is_polled.recv().unwrap();
        let trap = Trap(goes_on, verdict);
        drop(rt.spawn_blocking(move || drop((trap, release))));
        drop(rt);
        assert!(!went_on.recv().unwrap(), "the task went on after its job was refused");
    });
}

#[test]
fn s2_a_cancelled_task_does_not_make_others_go_on_at_shutdown() {
    watchdog(|watch| {
        for _ in 0..20 {
            let rt = watch.multi(2);
            let went_on = Arc::new(AtomicUsize::new(0));
            let (polled, are_polled) = mpsc::channel();
            // The earlier a task is cancelled, the more of those that wait for it are not yet.
            for _ in 0..100 {
                let (sender, receiver) = channel::unbounded::<()>();
                let started = polled.clone();
                drop(rt.spawn(async move {
                    let _sender = sender;
                    started.send(()).unwrap();
                    pending::<()>().await;
                }));
                for _ in 0..15 {
                    let (receiver, started) = (receiver.clone(), polled.clone());
                    let went_on = Arc::clone(&went_on);
                    drop(rt.spawn(async move {
                        let _ = reporting(receiver.recv(), started).await;
                        went_on.fetch_add(1, Ordering::SeqCst);
                    }));
                }
            }
            (0..1600).for_each(|_| are_polled.recv().unwrap());
            drop(rt);
            assert_eq!(went_on.load(Ordering::SeqCst), 0, "tasks went on when others were dropped");
        }
    });
}

#[test]
fn s2_thread_local_destructors_that_wake_and_spawn() {
    struct AtExit(Waker, Handle);
    impl Drop for AtExit {
        fn drop(&mut self) {
            self.0.wake_by_ref();
            drop(self.1.spawn(async {}));
            drop(self.1.spawn_blocking(|| {}));
            let _ = Handle::try_current();
            let _ = crossover_runtime::task::try_id();
        }
    }
    thread_local! {
        static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
    }
    watchdog(|watch| {
        for rt in watch.both() {
            rt.block_on(async {
                for _ in 0..4 {
                    let task = spawn(async {
                        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                        let handle = Handle::current();
                        AT_EXIT.with(|cell| drop(cell.replace(Some(AtExit(waker, handle)))));
                        yield_now().await;
                    });
                    task.await.unwrap();
                    let handle = Handle::current();
                    spawn_blocking(move || {
                        AT_EXIT.with(|cell| drop(cell.replace(Some(AtExit(Waker::noop().clone(), handle)))));
                    })
                    .await
                    .unwrap();
                }
            });
            // On the worker and pool threads the destructors run during this.
            drop(rt);
        }
        AT_EXIT.with(|cell| drop(cell.take()));
    });
}

#[test]
fn s3_a_runtime_dropped_inside_a_task_is_a_clear_panic() {
    watchdog(|watch| {
        for inner in watch.both() {
            for outer in watch.both() {
                let victim = watch.multi(1);
                populate(&victim);
                let error = outer.block_on(async { spawn(async move { drop(victim) }).await.unwrap_err() });
                let payload = error.into_panic();
                let text = text_of(&*payload);
                assert!(
                    text.starts_with("Cannot drop a runtime in a context where blocking is not allowed"),
                    "{text}"
                );
            }
            // In `block_on` of another one.
            let outer = watch.current();
            let panicked = outer.block_on(async { catch_unwind(AssertUnwindSafe(|| drop(inner))) });
            let payload = panicked.unwrap_err();
            assert!(text_of(&*payload).contains("inside of an async context"));
        }
    });
}

#[test]
fn s3_a_runtime_dropped_by_its_own_task_or_job_is_a_clear_panic() {
    watchdog(|watch| {
        // The task holds the last reference to the runtime that runs it.
        let rt = Arc::new(watch.multi(2));
        let metrics = rt.metrics();
        let (sender, receiver) = mpsc::channel();
        let inside = Arc::clone(&rt);
        let (go, gone) = mpsc::channel::<()>();
        let task = rt.spawn(async move {
            gone.recv().unwrap();
            let outcome = catch_unwind(AssertUnwindSafe(|| drop(Arc::try_unwrap(inside).unwrap())));
            sender.send(text_of(&*outcome.unwrap_err()).to_owned()).unwrap();
        });
        drop(rt);
        go.send(()).unwrap();
        assert!(receiver.recv().unwrap().contains("would have to wait for itself"));
        eventually("the runtime ends in the background", || {
            task.is_finished() && metrics.num_alive_tasks() == 0
        });

        let rt = watch.multi(1);
        let handle = rt.handle().clone();
        let job = handle.spawn_blocking(move || drop(rt));
        let error = handle.block_on(job).unwrap_err();
        assert!(error.to_string().contains("inside of one of its own blocking jobs"), "{error}");
    });
}

#[test]
fn s3_shutdown_in_the_background_is_allowed_inside_a_task() {
    watchdog(|watch| {
        for outer in watch.both() {
            for inner in watch.both() {
                populate(&inner);
                let metrics = inner.metrics();
                outer.block_on(async { spawn(async move { inner.shutdown_background() }).await.unwrap() });
                eventually("the inner runtime has ended", || metrics.num_alive_tasks() == 0);
            }
        }
    });
}

#[test]
fn s3_a_nested_runtime_in_a_blocking_job_is_fine() {
    watchdog(|watch| {
        let outer = watch.multi(2);
        let value = outer.block_on(async {
            spawn_blocking(|| {
                let inner = Builder::new_current_thread().build().unwrap();
                inner.block_on(async { spawn(async { 3 }).await.unwrap() })
            })
            .await
        });
        assert_eq!(value.unwrap(), 3);
    });
}
