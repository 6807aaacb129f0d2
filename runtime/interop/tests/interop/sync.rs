//! `tokio::sync` between tasks on our workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossover_runtime::task::consume_budget;
use crossover_runtime::time::timeout;
use crossover_runtime::{spawn, spawn_blocking};
use futures::future::join_all;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};

use crate::on_both;

#[test]
fn mpsc_with_many_producers_and_back_pressure() {
    on_both(|| async {
        let (sender, mut receiver) = mpsc::channel(4);
        let producers: Vec<_> = (0..8_u64)
            .map(|producer| {
                let sender = sender.clone();
                spawn(async move {
                    for number in 0..1000 {
                        sender.send(producer * 1000 + number).await.expect("the receiver lives");
                    }
                })
            })
            .collect();
        // A thread of no runtime's produces, too.
        let blocking = spawn_blocking(move || sender.blocking_send(8000).expect("the receiver lives"));
        let mut last = [None; 8];
        let mut sum = 0;
        while let Some(number) = receiver.recv().await {
            if let Some(last) = last.get_mut((number / 1000) as usize) {
                assert!(*last < Some(number), "the order of each producer is kept");
                *last = Some(number);
            }
            sum += number;
        }
        assert_eq!(sum, (0..=8000).sum());
        join_all(producers).await.into_iter().for_each(|producer| producer.expect("a producer"));
        blocking.await.expect("the job");
    });
}

#[test]
fn mpsc_ends_on_both_sides() {
    on_both(|| async {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(1).expect("there is room");
        assert!(matches!(sender.try_send(2), Err(TrySendError::Full(2))));
        let waiting = spawn(async move { sender.send(3).await });
        assert_eq!(receiver.recv().await, Some(1));
        waiting.await.expect("the task").expect("room was made");
        assert_eq!(receiver.recv().await, Some(3));
        assert_eq!(receiver.recv().await, None, "the last sender is gone");
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        sender.send(4).await.expect_err("the receiver is gone");
    });
}

#[test]
fn oneshots_answer_requests() {
    on_both(|| async {
        let (requests, mut inbox) = mpsc::unbounded_channel::<(u32, oneshot::Sender<u32>)>();
        let server = spawn(async move {
            while let Some((number, answer)) = inbox.recv().await {
                // One that asked and left is no error.
                let _ = answer.send(number * 2);
            }
        });
        let clients = (0..1000).map(|number| {
            let requests = requests.clone();
            spawn(async move {
                let (answer, answered) = oneshot::channel();
                requests.send((number, answer)).expect("the server lives");
                assert_eq!(answered.await, Ok(number * 2));
            })
        });
        join_all(clients).await.into_iter().for_each(|client| client.expect("a client"));
        drop(requests);
        server.await.expect("the server");
        let (answer, answered) = oneshot::channel::<()>();
        drop(answer);
        answered.await.expect_err("nobody will answer");
    });
}

#[test]
fn a_watch_shows_the_latest_value() {
    on_both(|| async {
        let (sender, receiver) = watch::channel(0_u32);
        let watchers: Vec<_> = (0..4)
            .map(|_| {
                let mut receiver = receiver.clone();
                spawn(async move {
                    let mut last = 0;
                    while receiver.changed().await.is_ok() {
                        let seen = *receiver.borrow_and_update();
                        assert!(seen > last, "values may be skipped but not turned back");
                        last = seen;
                    }
                    last
                })
            })
            .collect();
        for value in 1..=1000 {
            sender.send(value).expect("somebody watches");
            consume_budget().await;
        }
        drop(sender);
        for watcher in watchers {
            assert_eq!(watcher.await.expect("a watcher"), 1000, "the last value is never missed");
        }
    });
}

#[test]
fn a_broadcast_reaches_all_and_tells_the_slow() {
    on_both(|| async {
        let (sender, _) = broadcast::channel(2000);
        let listeners: Vec<_> = (0..4)
            .map(|_| {
                let mut receiver = sender.subscribe();
                spawn(async move {
                    for number in 0..1000 {
                        assert_eq!(receiver.recv().await, Ok(number));
                    }
                    assert_eq!(receiver.recv().await, Err(RecvError::Closed));
                })
            })
            .collect();
        (0..1000).for_each(|number| assert_eq!(sender.send(number).expect("listeners"), 4));
        drop(sender);
        for listener in listeners {
            listener.await.expect("a listener");
        }
        let (sender, mut slow) = broadcast::channel(2);
        (0..5).for_each(|number| assert_eq!(sender.send(number).expect("a listener"), 1));
        assert_eq!(slow.recv().await, Err(RecvError::Lagged(3)));
        assert_eq!(slow.recv().await, Ok(3));
    });
}

#[test]
fn a_semaphore_bounds_how_many_are_inside() {
    on_both(|| async {
        let semaphore = Arc::new(Semaphore::new(3));
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..200).map(|_| {
            let (semaphore, inside, most) = (semaphore.clone(), inside.clone(), most.clone());
            spawn(async move {
                let _permit = semaphore.acquire_owned().await.expect("open");
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                crossover_runtime::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            })
        });
        join_all(tasks).await.into_iter().for_each(|task| task.expect("a task"));
        assert_eq!(most.load(Ordering::SeqCst), 3);
        let all = semaphore.acquire_many(3).await.expect("open");
        let waiting = semaphore.clone();
        let refused = spawn(async move { waiting.acquire_owned().await.map(drop) });
        semaphore.close();
        refused.await.expect("the task").expect_err("closed");
        drop(all);
    });
}

#[test]
fn a_notification_wakes_one_or_all() {
    on_both(|| async {
        let notify = Arc::new(Notify::new());
        notify.notify_one();
        notify.notified().await;
        let (ready, mut waiting) = mpsc::channel(1);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (notify, ready) = (notify.clone(), ready.clone());
                spawn(async move {
                    let mut notified = std::pin::pin!(notify.notified());
                    notified.as_mut().enable();
                    ready.send(()).await.expect("the test counts");
                    notified.await;
                })
            })
            .collect();
        for _ in 0..100 {
            waiting.recv().await.expect("each task is waiting");
        }
        notify.notify_waiters();
        join_all(tasks).await.into_iter().for_each(|task| task.expect("a task"));
    });
}

#[test]
fn locks_and_cells_are_held_across_awaits() {
    on_both(|| async {
        let (mutex, lock) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)));
        let cell = Arc::new(OnceCell::new());
        let tasks = (0..100).map(|_| {
            let (mutex, lock, cell) = (mutex.clone(), lock.clone(), cell.clone());
            spawn(async move {
                let mut guard = mutex.lock().await;
                let seen = *guard;
                crossover_runtime::task::yield_now().await;
                *guard = seen + 1;
                drop(guard);
                *lock.write().await += 1;
                assert!(*lock.read().await > 0);
                *cell.get_or_init(|| async { 7 }).await
            })
        });
        for task in join_all(tasks).await {
            assert_eq!(task.expect("a task"), 7);
        }
        assert_eq!((*mutex.lock().await, *lock.read().await), (100, 100));
    });
}

/// A wait of `tokio::sync` under our timer, dropped when that fires.
#[test]
fn our_timeout_cancels_a_wait() {
    on_both(|| async {
        let semaphore = Semaphore::new(0);
        timeout(Duration::from_millis(2), semaphore.acquire()).await.expect_err("nobody adds a permit");
        semaphore.add_permits(1);
        timeout(Duration::from_secs(30), semaphore.acquire()).await.expect("in time").expect("open").forget();
        assert_eq!(semaphore.available_permits(), 0, "the wait that was dropped has taken none");
    });
}

/// tokio's budget is without limit here; ours is charged by hand, so that others run beside a channel that is never
/// empty.
#[test]
fn a_loop_over_a_full_channel_yields_by_our_budget() {
    on_both(|| async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (stop, mut stopped) = oneshot::channel();
        sender.send(()).expect("the receiver lives");
        let greedy = spawn(async move {
            let mut polls = 0_u64;
            while stopped.try_recv().is_err() {
                receiver.recv().await.expect("never empty");
                sender.send(()).expect("never closed");
                consume_budget().await;
                polls += 1;
            }
            polls
        });
        spawn(async move { stop.send(()).expect("the greedy task runs") }).await.expect("it gets its turn");
        greedy.await.expect("the greedy task ends");
    });
}
