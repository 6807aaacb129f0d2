//! Fairness: nobody waits for ever, however busy the others are.

use crate::{on_both, watchdog};
use crossover_runtime::net::UnixStream;
use crossover_runtime::task::{self, yield_now};
use crossover_runtime::{spawn, sync::channel, time};
use futures::{AsyncReadExt, AsyncWriteExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Two tasks wake each other without end; a third one's wait is bounded in polls.
#[test]
fn f1_a_third_task_runs_beside_a_ping_pong() {
    watchdog(|watch| {
        for rt in [watch.current(), watch.multi(1)] {
            rt.block_on(async {
                let done = Arc::new(AtomicBool::new(false));
                let turns = Arc::new(AtomicU64::new(0));
                let (a, from_a) = channel::bounded::<()>(1);
                let (b, from_b) = channel::bounded::<()>(1);
                let (stop, count) = (Arc::clone(&done), Arc::clone(&turns));
                let first = spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        count.fetch_add(1, Ordering::Relaxed);
                        a.send(()).await.unwrap();
                        from_b.recv().await.unwrap();
                    }
                });
                let second = spawn(async move {
                    while from_a.recv().await.is_ok() {
                        if b.send(()).await.is_err() {
                            return;
                        }
                    }
                });
                let count = Arc::clone(&turns);
                let waited = spawn(async move {
                    let mut worst = 0;
                    for _ in 0..100 {
                        let before = count.load(Ordering::Relaxed);
                        yield_now().await;
                        worst = worst.max(count.load(Ordering::Relaxed) - before);
                    }
                    worst
                });
                let worst = waited.await.unwrap();
                done.store(true, Ordering::Relaxed);
                first.await.unwrap();
                second.await.unwrap();
                assert!(worst <= 64, "the third task waited for {worst} rounds of the other two");
            });
        }
    });
}

/// A task was woken last by a worker that then computes on: another worker takes it.
#[test]
fn f2_a_task_woken_by_a_worker_that_computes_on() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        rt.block_on(async {
            for _ in 0..100 {
                let (go, gone) = channel::bounded::<()>(1);
                let (sender, receiver) = mpsc::channel();
                let waits = spawn(async move {
                    gone.recv().await.unwrap();
                    sender.send(()).unwrap();
                });
                yield_now().await;
                let computes = spawn(async move {
                    go.send(()).await.unwrap();
                    // Computing, as far as the scheduler can tell: no await until the other task has run.
                    receiver.recv().unwrap();
                });
                computes.await.unwrap();
                waits.await.unwrap();
            }
        });
    });
}

/// All tasks are always ready; a timer and a socket must fire within a bounded number of polls.
#[test]
fn f3_timers_and_sockets_beside_tasks_that_are_always_ready() {
    const INTERVAL: u64 = 61;
    watchdog(|watch| {
        for rt in [watch.current(), watch.multi(1)] {
            rt.block_on(async {
                let stop = Arc::new(AtomicBool::new(false));
                let polls = Arc::new(AtomicU64::new(0));
                for _ in 0..3 {
                    let (stop, polls) = (Arc::clone(&stop), Arc::clone(&polls));
                    drop(spawn(async move {
                        while !stop.load(Ordering::Relaxed) {
                            polls.fetch_add(1, Ordering::Relaxed);
                            yield_now().await;
                        }
                    }));
                }
                // The byte is there when the reader first waits for it: only the driver's latency remains.
                let (mut near, mut far) = UnixStream::pair().unwrap();
                let count = Arc::clone(&polls);
                let socket = spawn(async move {
                    let mut worst = 0;
                    for _ in 0..20 {
                        far.write_all(&[1]).await.unwrap();
                        let before = count.load(Ordering::Relaxed);
                        near.readable().await.unwrap();
                        near.read_exact(&mut [0]).await.unwrap();
                        worst = worst.max(count.load(Ordering::Relaxed) - before);
                    }
                    worst
                });
                let worst = socket.await.unwrap();
                assert!(worst <= 4 * INTERVAL, "the socket waited for {worst} polls");
                let timer = spawn(async {
                    for _ in 0..20 {
                        time::sleep(Duration::from_micros(500)).await;
                    }
                });
                timer.await.unwrap();
                stop.store(true, Ordering::Relaxed);
            });
        }
    });
}

/// A main future that is always woken, with no task beside it: its own timer must fire.
#[test]
fn f3_a_greedy_main_future_still_times_out() {
    on_both(|rt| {
        rt.block_on(async {
            let greedy = async {
                loop {
                    task::consume_budget().await;
                }
            };
            assert!(time::timeout(Duration::from_millis(2), greedy).await.is_err());
            let yields = async {
                loop {
                    yield_now().await;
                }
            };
            assert!(time::timeout(Duration::from_millis(2), yields).await.is_err());
        });
    });
}

/// The worker that the driver woke blocks in its task; timers and sockets must fire on the other meanwhile.
#[test]
fn f4_the_driver_is_handed_on_before_the_task_runs() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        for round in 0..100_u32 {
            let (sender, receiver) = mpsc::channel();
            let blocks = rt.spawn(async move {
                time::sleep(Duration::from_micros(300)).await;
                // Until the other timer has fired, this worker is gone.
                receiver.recv().unwrap();
            });
            let fires = rt.spawn(async move {
                time::sleep(Duration::from_micros(300 + 20 * u64::from(round))).await;
                sender.send(()).unwrap();
            });
            rt.block_on(async {
                blocks.await.unwrap();
                fires.await.unwrap();
            });
        }
    });
}

/// Local queues are never empty; tasks from outside are run nevertheless.
#[test]
fn f5_outside_spawns_while_local_queues_are_never_empty() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        let stop = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..8)
            .map(|_| {
                let stop = Arc::clone(&stop);
                rt.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for n in 0..200 {
            assert_eq!(rt.block_on(rt.spawn(async move { n })).unwrap(), n);
        }
        stop.store(true, Ordering::Relaxed);
        for task in busy {
            rt.block_on(task).unwrap();
        }
    });
}

/// The same for a current-thread runtime: neither tasks from outside nor the main future starve.
#[test]
fn f5_outside_spawns_beside_a_busy_current_thread() {
    watchdog(|watch| {
        let rt = watch.current();
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..4 {
            let stop = Arc::clone(&stop);
            drop(rt.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    yield_now().await;
                }
            }));
        }
        let handle = rt.handle().clone();
        let outside = std::thread::spawn(move || {
            for n in 0..100 {
                assert_eq!(handle.block_on(handle.spawn(async move { n })).unwrap(), n);
            }
        });
        rt.block_on(async {
            while !outside.is_finished() {
                yield_now().await;
            }
        });
        outside.join().unwrap();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Many handles awaited by one task: a finished one is always ready, whatever was charged before.
#[test]
fn f6_a_task_that_joins_hundreds_of_finished_tasks() {
    watchdog(|watch| {
        for rt in watch.both() {
            let total = rt.block_on(async {
                let collector = spawn(async {
                    let handles: Vec<_> = (0..500_u32).map(|n| spawn(async move { n })).collect();
                    while !handles.iter().all(|handle| handle.is_finished()) {
                        yield_now().await;
                    }
                    let mut total = 0;
                    for handle in handles {
                        total += handle.await.unwrap();
                    }
                    total
                });
                collector.await.unwrap()
            });
            assert_eq!(total, 124_750);
        }
    });
}
