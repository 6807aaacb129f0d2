//! Lost wake-ups.

use crate::{eventually, watchdog};
use crossover_runtime::runtime::{Builder, Handle};
use crossover_runtime::task::{self, AbortHandle, JoinHandle, JoinSet, yield_now};
use crossover_runtime::{spawn, spawn_blocking, sync::channel, time};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A worker is woken by the driver (not out of the list of sleepers), runs a task and sleeps again; then a task comes
/// from outside. The list must neither have lost the worker nor hold it twice.
#[test]
fn w1_unpark_outside_the_idle_list() {
    watchdog(|watch| {
        for workers in [1, 2, 3] {
            let rt = watch.multi(workers);
            let stop = Arc::new(AtomicBool::new(false));
            let ticking = {
                let stop = Arc::clone(&stop);
                rt.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        time::sleep(Duration::from_micros(150)).await;
                    }
                })
            };
            for n in 0..600_u64 {
                assert_eq!(rt.block_on(rt.spawn(async move { n })).unwrap(), n);
                if n % 3 == 0 {
                    // Long enough for the workers to stop spinning now and then.
                    std::thread::park_timeout(Duration::from_micros(n));
                }
            }
            stop.store(true, Ordering::Relaxed);
            rt.block_on(ticking).unwrap();
        }
    });
}

/// Bursts of blocking jobs from several threads, while the pool's threads go idle, time out and end.
#[test]
fn w2_blocking_bursts_while_threads_go_idle() {
    watchdog(|watch| {
        for keep_alive in [Duration::ZERO, Duration::from_micros(200)] {
            let rt = Builder::new_current_thread()
                .thread_keep_alive(keep_alive)
                .max_blocking_threads(4)
                .build()
                .unwrap();
            watch.add(&rt);
            let handle = rt.handle().clone();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for round in 0..150 {
                            let jobs: Vec<_> =
                                (0..1 + round % 6).map(|n| handle.spawn_blocking(move || n)).collect();
                            for (n, job) in jobs.into_iter().enumerate() {
                                assert_eq!(handle.block_on(job).unwrap(), n);
                            }
                        }
                    });
                }
            });
        }
    });
}

/// Sixty jobs that wait for each other: each needs a thread of its own at once.
#[test]
fn w2_a_burst_of_blocking_jobs_gets_a_thread_each() {
    watchdog(|watch| {
        for rt in watch.both() {
            // Twice: from a cold pool, and from one with idle threads.
            for _ in 0..2 {
                let barrier = Arc::new(Barrier::new(60));
                rt.block_on(async {
                    let mut set = JoinSet::new();
                    for _ in 0..60 {
                        let barrier = Arc::clone(&barrier);
                        set.spawn_blocking(move || barrier.wait());
                    }
                    set.join_all().await;
                });
            }
        }
    });
}

/// At the limit of threads, jobs wait in the queue and all are run.
#[test]
fn w2_jobs_beyond_the_limit_wait_for_a_thread() {
    watchdog(|watch| {
        let rt = Builder::new_multi_thread().worker_threads(2).max_blocking_threads(1).build().unwrap();
        watch.add(&rt);
        let most = Arc::new(AtomicUsize::new(0));
        let running = Arc::new(AtomicUsize::new(0));
        rt.block_on(async {
            let mut set = JoinSet::new();
            for _ in 0..500 {
                let (most, running) = (Arc::clone(&most), Arc::clone(&running));
                set.spawn_blocking(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
            set.join_all().await;
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
    });
}

/// A task in the queue of a worker that is stuck; the only other worker sleeps or has just gone to sleep.
#[test]
fn w3_a_task_in_a_stuck_workers_queue_is_run_by_another() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        rt.block_on(async {
            for round in 0..300 {
                let stuck = spawn(async move {
                    let (sender, receiver) = mpsc::channel();
                    // It goes to this worker's local queue, and this worker now waits for it.
                    let other = spawn(async move { sender.send(round).unwrap() });
                    assert_eq!(receiver.recv().unwrap(), round);
                    other.await.unwrap();
                });
                stuck.await.unwrap();
            }
        });
    });
}

/// As before, with the other worker asleep for certain, and an outside thread that spawns meanwhile.
#[test]
fn w3_with_the_other_worker_asleep_and_an_outside_thread() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        for _ in 0..20 {
            eventually("all workers sleep", || {
                (0..2).all(|worker| rt.metrics().worker_park_unpark_count(worker) % 2 == 1)
            });
            let (sender, receiver) = mpsc::channel();
            let stuck = rt.spawn(async move {
                let (inner, done) = mpsc::channel();
                drop(spawn(async move { inner.send(()).unwrap() }));
                done.recv().unwrap();
                sender.send(()).unwrap();
            });
            let outside = rt.spawn(async { 1 });
            receiver.recv().unwrap();
            assert_eq!(rt.block_on(outside).unwrap(), 1);
            rt.block_on(stuck).unwrap();
        }
    });
}

/// Data published just before waking a task that is notified already is seen by the poll that follows.
#[test]
fn w4_data_published_before_a_redundant_wake_is_seen() {
    const WAKERS: usize = 3;
    watchdog(|watch| {
        let rt = watch.multi(2);
        for _ in 0..300 {
            let flags: Arc<[AtomicBool; WAKERS]> = Arc::default();
            let waker = Arc::new(OnceLock::<Waker>::new());
            let (seen, published) = (Arc::clone(&flags), Arc::clone(&waker));
            let task = rt.spawn(poll_fn(move |cx| {
                published.get_or_init(|| cx.waker().clone());
                // Relaxed: only the wake orders it.
                if seen.iter().all(|flag| flag.load(Ordering::Relaxed)) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }));
            std::thread::scope(|scope| {
                for n in 0..WAKERS {
                    let (flags, waker) = (&flags, &waker);
                    scope.spawn(move || {
                        flags[n].store(true, Ordering::Relaxed);
                        // Without a waker there was no poll yet, so there is one to come.
                        if let Some(waker) = waker.get() {
                            waker.wake_by_ref();
                        }
                        eventually("the first poll", || waker.get().is_some());
                        waker.get().unwrap().wake_by_ref();
                    });
                }
            });
            rt.block_on(task).unwrap();
        }
    });
}

/// A task whose Drop wakes, aborts and spawns.
struct Meddler {
    wakers: Arc<Mutex<Vec<Waker>>>,
    dropped: Arc<AtomicUsize>,
    other: Option<JoinHandle<()>>,
}

impl Drop for Meddler {
    fn drop(&mut self) {
        let wakers = self.wakers.lock().unwrap().clone();
        wakers.iter().for_each(Waker::wake_by_ref);
        if let Some(other) = self.other.take() {
            other.abort();
        }
        if let Ok(handle) = Handle::try_current() {
            drop(handle.spawn(async { unreachable!("spawned during shutdown") }));
            drop(handle.spawn_blocking(|| unreachable!("offloaded during shutdown")));
        }
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Drops during shutdown that wake and abort other tasks, in every order, and spawn new ones.
#[test]
fn w5_drops_that_wake_others_during_shutdown() {
    watchdog(|watch| {
        for _ in 0..20 {
            for rt in watch.both() {
                let wakers = Arc::new(Mutex::new(Vec::new()));
                let dropped = Arc::new(AtomicUsize::new(0));
                let mut other = None;
                for _ in 0..20 {
                    let meddler = Meddler {
                        wakers: Arc::clone(&wakers),
                        dropped: Arc::clone(&dropped),
                        other: other.take(),
                    };
                    other = Some(rt.spawn(async move {
                        let meddler = meddler;
                        poll_fn(|cx| {
                            meddler.wakers.lock().unwrap().push(cx.waker().clone());
                            Poll::Ready(())
                        })
                        .await;
                        pending::<()>().await;
                    }));
                }
                drop(other);
                rt.block_on(async {
                    while wakers.lock().unwrap().len() < 10 {
                        yield_now().await
                    }
                });
                drop(rt);
                assert_eq!(dropped.load(Ordering::SeqCst), 20);
            }
        }
    });
}

/// A joiner's waker whose clone, wake and drop all use the handles of the task that it waits for, and of its runtime.
#[test]
fn w5_a_joiners_waker_that_comes_back() {
    struct Back {
        abort: AbortHandle,
        runtime: Handle,
        woken: AtomicUsize,
    }
    impl Back {
        fn meddle(&self) {
            let _ = self.abort.is_finished();
            self.abort.abort();
            drop(self.runtime.spawn(async {}));
        }
    }
    impl Wake for Back {
        fn wake(self: Arc<Self>) {
            self.meddle();
            self.woken.fetch_add(1, Ordering::SeqCst);
        }
    }
    impl Drop for Back {
        fn drop(&mut self) {
            self.meddle();
        }
    }
    watchdog(|watch| {
        for rt in watch.both() {
            for round in 0..200 {
                let (go, gone) = channel::bounded::<()>(1);
                let mut task = rt.spawn(async move {
                    let _ = gone.recv().await;
                });
                let back = |task: &JoinHandle<()>| {
                    let (abort, runtime) = (task.abort_handle(), rt.handle().clone());
                    Arc::new(Back { abort, runtime, woken: AtomicUsize::new(0) })
                };
                let (first, second) = (back(&task), back(&task));
                for waker in [&first, &second, &second] {
                    let waker = Waker::from(Arc::clone(waker));
                    let _ = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
                }
                // The first one's last reference is in the task no more; this drop aborts it.
                drop(first);
                match round % 3 {
                    0 => drop(go),
                    1 => drop(task),
                    _ => {
                        let end = rt.block_on(&mut task);
                        assert!(end.is_ok() || end.unwrap_err().is_cancelled());
                        assert!(second.woken.load(Ordering::SeqCst) <= 1);
                    }
                }
            }
            rt.block_on(async { yield_now().await });
            eventually("no task is left", || {
                rt.block_on(async { yield_now().await });
                rt.metrics().num_alive_tasks() == 0
            });
        }
    });
}

/// A hook that spawns while its worker is about to sleep: the task must not wait for the next wake-up.
#[test]
fn w6_a_park_hook_that_spawns() {
    watchdog(|watch| {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let (sender, receiver) = channel::unbounded();
            let left = Arc::new(AtomicUsize::new(100));
            let rt = builder
                .worker_threads(2)
                .on_thread_park(move || {
                    if left
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        let sender = sender.clone();
                        drop(spawn(async move { sender.send(()).await.unwrap() }));
                    }
                })
                .build()
                .unwrap();
            watch.add(&rt);
            rt.block_on(async {
                for _ in 0..100 {
                    receiver.recv().await.unwrap();
                }
            });
        }
    });
}

/// Threads outside spawn without pause; nothing is lost, and nothing runs twice.
#[test]
fn storm_of_spawns_from_outside() {
    watchdog(|watch| {
        for workers in [1, 2, 4] {
            let rt = watch.multi(workers);
            let count = Arc::new(AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let mut last = None;
                        for n in 0..3000 {
                            let count = Arc::clone(&count);
                            last = Some(rt.spawn(async move {
                                if n % 3 == 0 {
                                    yield_now().await;
                                }
                                count.fetch_add(1, Ordering::Relaxed);
                            }));
                            // Now and then let the workers fall asleep.
                            if n % 1000 == 0 {
                                rt.handle().block_on(last.take().unwrap()).unwrap();
                            }
                        }
                        rt.handle().block_on(last.unwrap()).unwrap();
                    });
                }
            });
            eventually("all tasks run", || count.load(Ordering::Relaxed) == 12_000);
            eventually("all tasks end", || rt.metrics().num_alive_tasks() == 0);
            assert_eq!(rt.metrics().completed_tasks_count(), 12_000);
        }
    });
}

/// Pairs of tasks, and a task and a plain thread, wake each other back and forth.
#[test]
fn storm_of_ping_pong() {
    watchdog(|watch| {
        for workers in [1, 2, 3] {
            let rt = watch.multi(workers);
            rt.block_on(async {
                let mut set = JoinSet::new();
                for _ in 0..8 {
                    let (ping, pinged) = channel::bounded(1);
                    let (pong, ponged) = channel::bounded(1);
                    set.spawn(async move {
                        for n in 0..500 {
                            ping.send(n).await.unwrap();
                            assert_eq!(ponged.recv().await.unwrap(), n);
                        }
                    });
                    set.spawn(async move {
                        while let Ok(n) = pinged.recv().await {
                            if pong.send(n).await.is_err() {
                                return;
                            }
                        }
                    });
                }
                set.join_all().await;
            });
            for _ in 0..500 {
                assert_eq!(rt.block_on(rt.spawn(async { 3 })).unwrap(), 3);
            }
        }
    });
}

/// Blocking jobs and tasks wait for each other in turns.
#[test]
fn storm_between_tasks_and_blocking_jobs() {
    watchdog(|watch| {
        for rt in watch.both() {
            rt.block_on(async {
                let mut set = JoinSet::new();
                for _ in 0..4 {
                    set.spawn(async {
                        for n in 0..100 {
                            assert_eq!(spawn_blocking(move || n).await.unwrap(), n);
                            task::yield_now().await;
                        }
                    });
                }
                set.join_all().await;
            });
        }
    });
}
