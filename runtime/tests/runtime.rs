//! Runtimes from outside: spawn, join, abort, panics, nesting, settings, shutdown. Every test runs on both flavours
//! where both have the behaviour.

use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::task::{self, JoinSet, yield_now};
use crossover_runtime::{spawn, spawn_blocking, sync::channel};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// One runtime of each flavour.
fn both() -> [Runtime; 2] {
    [Builder::new_current_thread().build().unwrap(), multi(2)]
}

fn multi(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().unwrap()
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

#[test]
fn a_task_returns_its_output() {
    for rt in both() {
        let sum = rt.block_on(async {
            let handles: Vec<_> = (0..100_u32).map(|n| spawn(async move { n })).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 4950);
    }
}

#[test]
fn tasks_spawn_tasks_and_yield() {
    for rt in both() {
        let total = Arc::new(AtomicUsize::new(0));
        rt.block_on(async {
            let mut set = JoinSet::new();
            for _ in 0..50 {
                let total = Arc::clone(&total);
                set.spawn(async move {
                    for _ in 0..20 {
                        let total = Arc::clone(&total);
                        let inner = spawn(async move {
                            yield_now().await;
                            total.fetch_add(1, Ordering::Relaxed);
                        });
                        inner.await.unwrap();
                    }
                });
            }
            set.join_all().await;
        });
        assert_eq!(total.load(Ordering::Relaxed), 1000);
    }
}

#[test]
fn an_aborted_task_is_dropped_and_its_handle_says_cancelled() {
    for rt in both() {
        rt.block_on(async {
            let probe = Arc::new(());
            let inside = Arc::clone(&probe);
            let handle = spawn(async move {
                let _inside = inside;
                pending::<()>().await;
            });
            yield_now().await;
            let aborter = handle.abort_handle();
            assert!(!aborter.is_finished());
            aborter.abort();
            let id = handle.id();
            let error = handle.await.unwrap_err();
            assert!(error.is_cancelled() && !error.is_panic());
            assert_eq!(error.id(), id);
            assert!(error.to_string().contains("cancelled"), "{error}");
            assert_eq!(Arc::strong_count(&probe), 1, "the future is gone before its joiner knows");
            assert!(aborter.is_finished());
            aborter.abort();
        });
    }
}

#[test]
fn aborting_a_finished_task_keeps_its_output() {
    for rt in both() {
        rt.block_on(async {
            let handle = spawn(async { 5 });
            while !handle.is_finished() {
                yield_now().await;
            }
            handle.abort();
            assert_eq!(handle.await.unwrap(), 5);
        });
    }
}

#[test]
fn a_panic_reaches_the_handle_and_nothing_else() {
    for rt in both() {
        rt.block_on(async {
            let handle = spawn(async { panic!("went {}", "wrong") });
            let error = handle.await.unwrap_err();
            assert!(error.is_panic());
            assert!(error.to_string().contains("went wrong"), "{error}");
            assert_eq!(panic_text(&*error.into_panic()), "went wrong");
            assert_eq!(spawn(async { 1 }).await.unwrap(), 1, "the worker lives");
        });
    }
}

#[test]
fn a_dropped_handle_detaches_its_task() {
    for rt in both() {
        let (sender, receiver) = channel::bounded(1);
        rt.block_on(async move {
            drop(spawn(async move {
                yield_now().await;
                sender.send(3).await.unwrap();
            }));
            assert_eq!(receiver.recv().await.unwrap(), 3);
        });
    }
}

#[test]
fn nested_block_on_is_a_clear_panic() {
    for rt in both() {
        let handle = rt.handle().clone();
        let inner = handle.clone();
        let in_main = rt.block_on(async { catch_unwind(AssertUnwindSafe(|| handle.block_on(async {}))) });
        let text = panic_text(&*in_main.unwrap_err()).to_owned();
        assert!(text.starts_with("Cannot start a runtime from within a runtime"), "{text}");
        let error = rt.block_on(async { spawn(async move { inner.block_on(async {}) }).await.unwrap_err() });
        assert!(error.to_string().contains("Cannot start a runtime"), "{error}");
        assert_eq!(rt.block_on(async { 1 }), 1, "the mark is taken off again");
    }
}

#[test]
fn a_blocking_job_may_wait_for_tasks() {
    for rt in both() {
        let sum = rt.block_on(async {
            spawn_blocking(|| {
                let task = spawn(async { 20 });
                Handle::current().block_on(async { task.await.unwrap() + 1 })
            })
            .await
        });
        assert_eq!(sum.unwrap(), 21);
    }
}

#[test]
fn the_main_future_may_panic_and_the_runtime_goes_on() {
    for rt in both() {
        let waiting = rt.spawn(async { 7 });
        let main = catch_unwind(AssertUnwindSafe(|| rt.block_on(async { panic!("main") })));
        assert!(main.is_err());
        assert_eq!(rt.block_on(waiting).unwrap(), 7);
    }
}

#[test]
fn tasks_have_ids_and_others_do_not() {
    for rt in both() {
        assert!(task::try_id().is_none());
        rt.block_on(async {
            assert!(task::try_id().is_none());
            let handle = spawn(async { task::id() });
            let id = handle.id();
            assert_eq!(handle.await.unwrap(), id);
            let job = spawn_blocking(task::id);
            let id = job.id();
            assert_eq!(job.await.unwrap(), id);
        });
    }
}

#[test]
fn outside_of_a_runtime_spawning_is_a_clear_panic() {
    assert!(Handle::try_current().unwrap_err().is_missing_context());
    let panicked = catch_unwind(|| drop(spawn(async {}))).unwrap_err();
    assert!(panic_text(&*panicked).contains("there is no runtime on this thread"));
}

#[test]
fn guards_nest_and_put_back_what_was_there() {
    let [a, b] = both();
    let outer = a.enter();
    let inner = b.enter();
    assert_eq!(Handle::current().id(), b.handle().id());
    drop(inner);
    assert_eq!(Handle::current().id(), a.handle().id());
    drop(outer);
    assert!(Handle::try_current().is_err());
}

#[test]
fn several_threads_block_on_one_current_thread_runtime() {
    let rt = Arc::new(Builder::new_current_thread().build().unwrap());
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let rt = Arc::clone(&rt);
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let value = rt.block_on(async move { spawn(async move { n }).await.unwrap() });
                    assert_eq!(value, n);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_join_set_returns_tasks_as_they_end() {
    for rt in both() {
        rt.block_on(async {
            let mut set = JoinSet::new();
            assert!(set.join_next().await.is_none());
            let stuck = set.spawn(pending::<usize>());
            (0..10).for_each(|n| drop(set.spawn(async move { n })));
            set.spawn_blocking(|| 10);
            let mut seen = Vec::new();
            while set.len() > 1 {
                seen.push(set.join_next().await.unwrap().unwrap());
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..=10).collect::<Vec<_>>());
            assert!(set.try_join_next().is_none());
            stuck.abort();
            assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
            assert!(set.is_empty());
        });
    }
}

#[test]
fn dropping_a_join_set_aborts_its_tasks() {
    for rt in both() {
        rt.block_on(async {
            let probe = Arc::new(());
            let mut set = JoinSet::new();
            for _ in 0..10 {
                let probe = Arc::clone(&probe);
                set.spawn(async move {
                    pending::<()>().await;
                    drop(probe);
                });
            }
            drop(set);
            while Arc::strong_count(&probe) > 1 {
                yield_now().await;
            }
        });
    }
}

#[test]
fn impossible_settings_are_errors_that_name_the_knob() {
    type Set = fn(&mut Builder) -> &mut Builder;
    let cases: [(&str, Set); 8] = [
        ("worker_threads", |b| b.worker_threads(0)),
        ("worker_threads", |b| b.worker_threads(usize::MAX)),
        ("max_blocking_threads", |b| b.max_blocking_threads(0)),
        ("event_interval", |b| b.event_interval(0)),
        ("global_queue_interval", |b| b.global_queue_interval(0)),
        ("max_io_events_per_tick", |b| b.max_io_events_per_tick(0)),
        ("max_io_events_per_tick", |b| b.max_io_events_per_tick(usize::MAX)),
        ("thread_stack_size", |b| b.thread_stack_size(usize::MAX)),
    ];
    for (knob, set) in cases {
        let error = set(&mut Builder::new_multi_thread()).build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(knob), "{error}");
    }
}

#[test]
fn the_extremes_of_the_settings_work() {
    let mut extreme = Builder::new_multi_thread();
    extreme
        .worker_threads(1)
        .max_blocking_threads(usize::MAX)
        .event_interval(u32::MAX)
        .global_queue_interval(u32::MAX)
        .thread_stack_size(0)
        .thread_keep_alive(Duration::MAX)
        .name("extreme")
        .thread_name("a name longer than the system's limit\0of fifteen bytes");
    let rt = extreme.build().unwrap();
    assert_eq!(rt.handle().name(), Some("extreme"));
    assert_eq!(rt.block_on(async { spawn_blocking(|| 1).await.unwrap() }), 1);
    drop(rt);
    let rt =
        extreme.thread_keep_alive(Duration::ZERO).event_interval(1).global_queue_interval(1).build().unwrap();
    for n in 0..20 {
        assert_eq!(rt.block_on(async { spawn_blocking(move || n).await.unwrap() }), n);
    }
}

#[test]
fn hooks_run_in_pairs_on_each_thread() {
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let (started, stopped) = (Arc::clone(&counts), Arc::clone(&counts));
    let rt = Builder::new_multi_thread()
        .worker_threads(3)
        .on_thread_start(move || {
            started[0].fetch_add(1, Ordering::SeqCst);
        })
        .on_thread_stop(move || {
            stopped[1].fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    rt.block_on(async { spawn_blocking(|| {}).await.unwrap() });
    drop(rt);
    assert_eq!([4, 4], [counts[0].load(Ordering::SeqCst), counts[1].load(Ordering::SeqCst)]);
}

#[test]
fn metrics_add_up() {
    for rt in both() {
        rt.block_on(async {
            for _ in 0..10 {
                spawn(async { yield_now().await }).await.unwrap();
            }
            let stuck = spawn(pending::<()>());
            yield_now().await;
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
            stuck.abort();
            assert!(stuck.await.is_err());
        });
        let metrics = rt.metrics();
        assert_eq!(metrics.spawned_tasks_count(), 11);
        assert_eq!(metrics.completed_tasks_count(), 10);
        assert_eq!(metrics.cancelled_tasks_count(), 1);
        let polls: u64 = (0..metrics.num_workers()).map(|worker| metrics.worker_poll_count(worker)).sum();
        assert!(polls >= 21, "{metrics:?}");
    }
}

#[test]
fn a_future_that_panics_is_dropped_while_that_unwinds() {
    struct Panics {
        panicking: Arc<AtomicBool>,
        drop_panics: bool,
    }
    impl Future for Panics {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("the poll's")
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            self.panicking.store(std::thread::panicking(), Ordering::Relaxed);
            assert!(!self.drop_panics, "the drop's");
        }
    }
    for rt in both() {
        for drop_panics in [false, true] {
            let panicking = Arc::new(AtomicBool::new(false));
            let handle = rt.spawn(Panics { panicking: Arc::clone(&panicking), drop_panics });
            let payload = rt.block_on(handle).unwrap_err().into_panic();
            assert_eq!(panic_text(&*payload), "the poll's");
            assert!(panicking.load(Ordering::Relaxed));
            assert!(rt.block_on(async { !std::thread::panicking() }));
        }
    }
}

#[test]
fn the_panic_of_a_runtime_dropped_inside_of_a_task_is_a_plain_text() {
    let outer = multi(1);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        outer.block_on(async { drop(Builder::new_current_thread().build().unwrap()) });
    }));
    let text: &'static str = payload.unwrap_err().downcast_ref::<&'static str>().unwrap();
    assert!(text.contains("Cannot drop a runtime"));
}

#[test]
fn a_block_on_that_never_parks_is_busy() {
    let rt = Builder::new_current_thread().build().unwrap();
    rt.block_on(yield_now());
    assert!(rt.metrics().worker_total_busy_duration(0) > Duration::ZERO);
}

#[test]
fn a_set_of_finished_tasks_is_joined_within_the_budget() {
    let rt = Builder::new_current_thread().build().unwrap();
    rt.block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..1000 {
            set.spawn(async {});
        }
        while rt.metrics().completed_tasks_count() < 1000 {
            yield_now().await;
        }
        let mut polls = 0_u32;
        let mut joined = 0;
        std::future::poll_fn(|cx| {
            polls += 1;
            while let Some(result) = std::task::ready!(set.poll_join_next(cx)) {
                result.unwrap();
                joined += 1;
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(joined, 1000);
        assert_eq!(polls, 1000_u32.div_ceil(128));
    });
}

/// That it compiles is the test.
#[test]
fn a_set_whose_outputs_are_not_send_can_be_joined() {
    async fn join(set: &mut JoinSet<std::rc::Rc<()>>) {
        let _ = set.try_join_next();
        let _ = set.join_next().await;
        set.shutdown().await;
    }
    let mut set = JoinSet::new();
    multi(1).block_on(join(&mut set));
    assert!(set.is_empty());
}
