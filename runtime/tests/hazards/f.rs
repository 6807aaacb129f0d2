//! Fairness: nobody waits for ever, however busy the others are.

use crate::{eventually, on_both, watchdog};
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

/// The same for several tasks at once, wherever they stand: the last one woken, those before it, and those spawned.
#[test]
fn f2_several_tasks_behind_a_worker_that_computes_on() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        for round in 0..100_usize {
            rt.block_on(async {
                let (sender, receiver) = mpsc::channel();
                let mut gates = Vec::new();
                for _ in 0..round % 7 + 1 {
                    let (go, gone) = channel::bounded::<()>(1);
                    let sender = sender.clone();
                    drop(spawn(async move {
                        gone.recv().await.unwrap();
                        sender.send(()).unwrap();
                    }));
                    gates.push(go);
                }
                yield_now().await;
                let computes = spawn(async move {
                    let count = gates.len() + 2;
                    let early = sender.clone();
                    drop(spawn(async move { early.send(()).unwrap() }));
                    for go in &gates {
                        go.try_send(()).unwrap();
                    }
                    drop(spawn(async move { sender.send(()).unwrap() }));
                    for _ in 0..count {
                        receiver.recv().unwrap();
                    }
                });
                computes.await.unwrap();
            });
        }
    });
}

/// The other worker sleeps for certain, alone or on the driver, when the first one is given a task and computes on.
#[test]
fn f2_with_the_other_worker_asleep() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        for round in 0..40_u32 {
            eventually("all workers sleep", || {
                (0..2).all(|worker| rt.metrics().worker_park_unpark_count(worker) % 2 == 1)
            });
            let (sender, receiver) = mpsc::channel();
            let (go, gone) = channel::bounded::<()>(1);
            let waits = rt.spawn(async move {
                gone.recv().await.unwrap();
                sender.send(()).unwrap();
            });
            eventually("it waits, and all workers sleep", || {
                (0..2).all(|worker| rt.metrics().worker_park_unpark_count(worker) % 2 == 1)
            });
            let computes = rt.spawn(async move {
                // By a timer: its worker comes from the driver.
                if round % 2 == 0 {
                    time::sleep(Duration::from_micros(200)).await;
                }
                go.try_send(()).unwrap();
                receiver.recv().unwrap();
            });
            rt.block_on(async {
                computes.await.unwrap();
                waits.await.unwrap();
            });
        }
    });
}

/// A chain of tasks, each of which wakes the next and computes until all behind it have run: as many workers as links.
#[test]
fn f2_each_of_a_chain_computes_until_the_next_has_run() {
    watchdog(|watch| {
        const LINKS: usize = 4;
        let rt = watch.multi(LINKS);
        for _ in 0..100 {
            rt.block_on(async {
                let (mut wake, mut waits) = channel::bounded::<()>(1);
                let (mut done, end) = mpsc::channel::<()>();
                let first = wake;
                for link in 0..LINKS {
                    let (next, woken) = channel::bounded::<()>(1);
                    let (ended, has_ended) = mpsc::channel::<()>();
                    let (mine, my_end) = (waits, done);
                    drop(spawn(async move {
                        mine.recv().await.unwrap();
                        if link + 1 < LINKS {
                            next.try_send(()).unwrap();
                            has_ended.recv().unwrap();
                        }
                        my_end.send(()).unwrap();
                    }));
                    (waits, done) = (woken, ended);
                }
                drop((waits, done));
                yield_now().await;
                wake = first;
                wake.try_send(()).unwrap();
                // The main future's thread is no worker of a multi-thread runtime: it may wait.
                end.recv().unwrap();
            });
        }
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

/// The handles are polled before their tasks have ended, all by one task, which is woken for each of them.
#[test]
fn f6_a_task_that_joins_hundreds_of_running_tasks() {
    watchdog(|watch| {
        for rt in watch.both() {
            for _ in 0..10 {
                let collector = rt.spawn(async {
                    let handles = (0..300_u32).map(|n| {
                        spawn(async move {
                            for _ in 0..n % 5 {
                                yield_now().await;
                            }
                            n
                        })
                    });
                    let results = futures::future::join_all(handles).await;
                    results.into_iter().map(Result::unwrap).sum::<u32>()
                });
                assert_eq!(rt.block_on(collector).unwrap(), 300 * 299 / 2);
            }
        }
    });
}

/// A greedy `join!`: one branch uses up the whole budget in each poll. The handles beside it are ready
/// all the same.
#[test]
fn f6_a_greedy_branch_does_not_starve_the_branches_beside_it() {
    on_both(|rt| {
        rt.block_on(async {
            let all = spawn(async {
                let stop = AtomicBool::new(false);
                let greedy = async {
                    while !stop.load(Ordering::Relaxed) {
                        task::consume_budget().await;
                    }
                };
                let others = async {
                    let handles: Vec<_> = (0..200_u32).map(|n| spawn(async move { n })).collect();
                    let mut sum = 0;
                    for handle in handles {
                        sum += handle.await.unwrap();
                    }
                    stop.store(true, Ordering::Relaxed);
                    sum
                };
                // The greedy one goes first in each poll, so the budget is gone when the others' turn comes.
                futures::future::join(greedy, others).await.1
            });
            assert_eq!(all.await.unwrap(), 200 * 199 / 2);
        });
    });
}

/// A finished handle is ready with no budget left: its one result costs nobody anything, and many of them in a row must
/// not make a task wait that has nothing to wait for.
#[test]
fn f6_a_finished_handle_is_ready_without_budget() {
    on_both(|rt| {
        rt.block_on(async {
            let done = spawn(async {
                let handles: Vec<_> = (0..10_u32).map(|n| spawn(async move { n })).collect();
                while !handles.iter().all(|handle| handle.is_finished()) {
                    yield_now().await;
                }
                std::future::poll_fn(|cx| {
                    let mut spends = std::pin::pin!(async {
                        loop {
                            task::consume_budget().await;
                        }
                    });
                    assert!(Future::poll(spends.as_mut(), cx).is_pending());
                    assert!(!task::has_budget_remaining());
                    std::task::Poll::Ready(())
                })
                .await;
                let mut sum = 0;
                for mut handle in handles {
                    let polled = std::future::poll_fn(|cx| {
                        std::task::Poll::Ready(std::pin::Pin::new(&mut handle).poll(cx))
                    });
                    match polled.await {
                        std::task::Poll::Ready(result) => sum += result.unwrap(),
                        std::task::Poll::Pending => panic!("a finished handle is not ready"),
                    }
                }
                sum
            });
            assert_eq!(done.await.unwrap(), 45);
        });
    });
}

/// The other worker is not idle: it has small tasks to run all the while, and sleeps in between. It still looks after the
/// task that the first one has left in its slot.
#[test]
fn f2_beside_a_worker_that_is_often_woken() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        let (sender, receiver) = mpsc::channel();
        let computes = rt.spawn(async move {
            drop(spawn(async move { sender.send(()).unwrap() }));
            receiver.recv_timeout(Duration::from_millis(500)).is_ok()
        });
        while !computes.is_finished() {
            drop(rt.spawn(async {}));
            std::thread::sleep(Duration::from_micros(100));
        }
        assert!(rt.block_on(computes).unwrap(), "the task waited until the poll was over");
    });
}

/// The other worker never sleeps at all.
#[test]
fn f2_beside_a_worker_that_is_always_busy() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        let (sender, receiver) = mpsc::channel();
        let (started, starts) = mpsc::channel();
        let computes = rt.spawn(async move {
            drop(spawn(async move { sender.send(()).unwrap() }));
            started.send(()).unwrap();
            receiver.recv_timeout(Duration::from_secs(2)).is_ok()
        });
        starts.recv().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let busy = rt.spawn(async move {
            while !end.load(Ordering::Relaxed) {
                yield_now().await;
            }
        });
        let ran = rt.block_on(computes).unwrap();
        over.store(true, Ordering::Relaxed);
        rt.block_on(busy).unwrap();
        assert!(ran, "the task waited until the poll was over");
    });
}

/// While one worker computes on, the other serves timers at once, not when the watch next looks.
#[test]
fn f4_timers_beside_a_worker_that_computes_on() {
    watchdog(|watch| {
        let rt = watch.multi(2);
        let (end, ended) = mpsc::channel::<()>();
        let computes = rt.spawn(async move { ended.recv().unwrap_err() });
        let sleeps = rt.spawn(async move {
            let start = std::time::Instant::now();
            for _ in 0..100 {
                time::sleep(Duration::from_millis(1)).await;
            }
            start.elapsed()
        });
        let took = rt.block_on(sleeps).unwrap();
        drop(end);
        rt.block_on(computes).unwrap();
        assert!(took < Duration::from_millis(400), "100 sleeps of 1 ms took {took:?}");
    });
}
