//! Names of tokio's that have no other test here: what they mean.

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::task::{self, JoinSet, consume_budget, has_budget_remaining, unconstrained};
use crossover_runtime::time::{self, Duration, Instant, MissedTickBehavior};
use crossover_runtime::{spawn, sync::channel};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MS: Duration = Duration::from_millis(1);

fn both() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.worker_threads(2).enable_io().enable_time().enable_all().build().unwrap())
}

#[test]
fn the_queue_of_a_worker_that_does_not_exist_is_empty() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let rt = builder.worker_threads(1).build().unwrap();
        let metrics = rt.metrics();
        let depths = rt.block_on(rt.spawn(async move {
            let others: JoinSet<()> = (0..10).map(|_| task::yield_now()).collect();
            // They come first, and yield too.
            task::yield_now().await;
            let depths = [0, 1].map(|worker| metrics.worker_local_queue_depth(worker));
            drop(others);
            depths
        }));
        let [own, other] = depths.unwrap();
        assert!(own > 0 && other == 0, "{own} {other}");
    }
}

#[test]
fn sockets_and_timers_work_whatever_was_enabled() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        builder.worker_threads(1).build().unwrap().block_on(async {
            time::sleep(MS).await;
            crossover_runtime::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        });
    }
}

#[test]
fn each_park_hook_is_followed_by_its_unpark_hook() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let (parked, unparked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (parks, unparks) = (Arc::clone(&parked), Arc::clone(&unparked));
        let rt = builder
            .worker_threads(1)
            .on_thread_park(move || _ = parks.fetch_add(1, Ordering::SeqCst))
            .on_thread_unpark(move || _ = unparks.fetch_add(1, Ordering::SeqCst))
            .build()
            .unwrap();
        // On a busy machine a short sleep may be over before the worker comes to park.
        while unparked.load(Ordering::SeqCst) == 0 {
            rt.block_on(async { spawn(time::sleep(5 * MS)).await.unwrap() });
        }
        drop(rt);
        let (parked, unparked) = (parked.load(Ordering::SeqCst), unparked.load(Ordering::SeqCst));
        assert!(unparked <= parked, "{unparked} of {parked}");
    }
}

#[test]
fn what_is_unconstrained_has_no_budget_to_use_up() {
    for rt in both() {
        rt.block_on(async {
            let task = spawn(async {
                // Far more than a budget, in a single poll: it would be Pending in between otherwise.
                let mut work = std::pin::pin!(unconstrained(async {
                    for _ in 0..10_000 {
                        assert!(has_budget_remaining());
                        consume_budget().await;
                    }
                }));
                poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx).is_ready())).await
            });
            assert!(task.await.unwrap());
            // And with one it does not get through.
            let task = spawn(async {
                let mut work = Box::pin(async {
                    for _ in 0..10_000 {
                        consume_budget().await;
                    }
                });
                poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx).is_ready())).await
            });
            assert!(!task.await.unwrap());
        });
    }
}

#[test]
fn a_joined_tasks_id_comes_with_its_output() {
    for rt in both() {
        rt.block_on(async {
            let mut set = JoinSet::new();
            let id = set.spawn(async { task::id() }).id();
            assert_eq!(set.join_next_with_id().await.unwrap().unwrap(), (id, id));
            assert!(set.join_next_with_id().await.is_none());
            let failing = set.spawn(async { panic!("on purpose") }).id();
            assert_eq!(set.join_next_with_id().await.unwrap().unwrap_err().id(), failing);
        });
    }
}

#[test]
fn abort_all_ends_the_tasks_and_leaves_them_to_be_joined() {
    for rt in both() {
        rt.block_on(async {
            let mut set: JoinSet<()> = (0..10).map(|_| pending()).collect();
            set.abort_all();
            assert_eq!(set.len(), 10);
            let mut cancelled = 0;
            while let Some(joined) = set.join_next().await {
                assert!(joined.unwrap_err().is_cancelled());
                cancelled += 1;
            }
            assert_eq!(cancelled, 10);
            set.shutdown().await;
            assert!(set.is_empty());
        });
    }
}

#[test]
fn detached_tasks_outlive_their_set() {
    for rt in both() {
        rt.block_on(async {
            let (send, receive) = channel::bounded(1);
            let mut set = JoinSet::new();
            let go = Arc::new(crossover_runtime::sync::Semaphore::new(0));
            let wait = Arc::clone(&go);
            set.spawn(async move {
                let _permit = wait.acquire().await;
                send.send(7).await.unwrap();
            });
            set.detach_all();
            assert!(set.is_empty());
            drop(set);
            go.add_permits(1);
            assert_eq!(receive.recv().await.unwrap(), 7);
        });
    }
}

#[test]
fn poll_tick_is_ready_at_once_and_then_after_each_period() {
    for rt in both() {
        rt.block_on(async {
            let begin = Instant::now();
            let mut ticks = time::interval(5 * MS);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let first = poll_fn(|cx| ticks.poll_tick(cx)).await;
            let second = poll_fn(|cx| ticks.poll_tick(cx)).await;
            assert!(first >= begin && second >= first + 5 * MS, "{first:?} {second:?}");
        });
    }
}

#[test]
fn a_deadline_that_passes_is_an_elapsed_that_becomes_an_io_error() {
    for rt in both() {
        let elapsed = rt.block_on(async { time::timeout(MS, pending::<()>()).await }).unwrap_err();
        assert_eq!(elapsed.to_string(), "deadline has elapsed");
        let error = std::io::Error::from(elapsed);
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!(error.get_ref().is_some_and(|inner| inner.is::<time::error::Elapsed>()));
    }
}
