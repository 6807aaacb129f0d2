//! `block_in_place`: where it may be called, that the worker's other tasks go on, and that a runtime ends whatever it is in.

use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::task::{JoinSet, block_in_place, yield_now};
use crossover_runtime::time::sleep;
use crossover_runtime::{join, spawn, spawn_blocking};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

fn multi(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().unwrap()
}

fn check_books(handle: &Handle) {
    let metrics = handle.metrics();
    assert_eq!(metrics.num_alive_tasks(), 0, "{metrics:?}");
    assert_eq!(
        metrics.spawned_tasks_count(),
        metrics.completed_tasks_count() + metrics.cancelled_tasks_count(),
        "{metrics:?}"
    );
}

#[test]
fn the_other_tasks_of_the_worker_go_on() {
    let rt = multi(1);
    let (sender, receiver) = mpsc::channel();
    rt.block_on(rt.spawn(async move {
        // Its only worker's next one, and one that waits in the queue and for a timer.
        drop(spawn(async move {
            sleep(Duration::from_millis(1)).await;
            yield_now().await;
            sender.send(1).unwrap();
        }));
        drop(spawn(yield_now()));
        assert_eq!(block_in_place(|| receiver.recv().unwrap()), 1);
        // This thread has lost its seat: the task goes on wherever there is one.
        yield_now().await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(spawn(async { 2 }).await.unwrap(), 2);
    }))
    .unwrap();
    let handle = rt.handle().clone();
    drop(rt);
    check_books(&handle);
}

#[test]
fn all_workers_may_block_at_once() {
    let rt = multi(2);
    let barrier = Arc::new(Barrier::new(5));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            rt.spawn(async move {
                block_in_place(|| {
                    barrier.wait();
                    barrier.wait();
                });
            })
        })
        .collect();
    barrier.wait();
    assert_eq!(rt.block_on(rt.spawn(async { 1 })).unwrap(), 1);
    barrier.wait();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
}

#[test]
fn it_nests_and_may_wait_for_tasks() {
    let rt = multi(1);
    for n in 0..100 {
        let task = rt.spawn(async move {
            block_in_place(|| {
                let handle = Handle::current();
                handle.block_on(async move {
                    yield_now().await;
                    let inner = spawn(async move { block_in_place(|| block_in_place(|| n)) });
                    block_in_place(|| ());
                    inner.await.unwrap()
                })
            })
        });
        assert_eq!(rt.block_on(task).unwrap(), n);
    }
}

#[test]
fn elsewhere_it_is_a_call() {
    assert_eq!(block_in_place(|| 1), 1);
    let rt = multi(1);
    assert_eq!(rt.block_on(async { block_in_place(|| Handle::current().block_on(async { 2 })) }), 2);
    let job = rt.spawn_blocking(|| block_in_place(|| 3));
    assert_eq!(rt.block_on(job).unwrap(), 3);
    // A current-thread runtime inside of it.
    let inner = rt.spawn(async {
        block_in_place(|| Builder::new_current_thread().build().unwrap().block_on(async { 4 }))
    });
    assert_eq!(rt.block_on(inner).unwrap(), 4);
}

#[test]
fn in_a_current_thread_runtime_it_panics() {
    let rt = Builder::new_current_thread().build().unwrap();
    let text = |payload: Box<dyn std::any::Any + Send>| *payload.downcast::<&'static str>().unwrap();
    let expected = "can call blocking only when running on the multi-threaded runtime";
    let in_task = rt.block_on(rt.spawn(async { block_in_place(|| ()) })).unwrap_err().into_panic();
    assert_eq!(text(in_task), expected);
    let in_main =
        catch_unwind(AssertUnwindSafe(|| rt.block_on(async { block_in_place(|| ()) }))).unwrap_err();
    assert_eq!(text(in_main), expected);
    // Not what waits for it on another thread.
    assert_eq!(rt.handle().block_on(async { block_in_place(|| 1) }), 1);
    rt.block_on(async { spawn_blocking(|| block_in_place(|| ())).await.unwrap() });
}

#[test]
fn a_panic_inside_ends_the_task_alone() {
    let rt = multi(1);
    for stray in [false, true] {
        let task = rt.spawn(async move {
            block_in_place(|| {
                if stray {
                    // Answered by a deputy only.
                    let (sender, receiver) = mpsc::channel();
                    drop(spawn(async move { sender.send(()).unwrap() }));
                    receiver.recv().unwrap();
                }
                panic!("inside");
            })
        });
        assert!(rt.block_on(task).unwrap_err().is_panic());
        assert_eq!(rt.block_on(rt.spawn(async { 1 })).unwrap(), 1);
    }
    let handle = rt.handle().clone();
    drop(rt);
    check_books(&handle);
}

#[test]
fn inside_of_a_join_and_of_a_hook_it_stays() {
    let (sender, parked) = mpsc::channel();
    let hook = move || {
        block_in_place(|| ());
        let _ = sender.send(());
    };
    let rt = Builder::new_multi_thread().worker_threads(2).on_thread_park(hook).build().unwrap();
    let sum = rt.block_on(rt.spawn(async {
        let (a, b) = join(|| block_in_place(|| 1), || block_in_place(|| join(|| 2, || block_in_place(|| 3))));
        a + b.0 + b.1
    }));
    assert_eq!(sum.unwrap(), 6);
    parked.recv().unwrap();
}

#[test]
fn joins_go_on_after_it() {
    let rt = multi(2);
    for n in 0..50_u64 {
        let task = rt.spawn(async move {
            let (a, b) = join(|| n, || 2 * n);
            block_in_place(thread::yield_now);
            let (c, d) = join(|| n, || block_in_place(|| 2 * n));
            yield_now().await;
            let (e, f) = join(|| n, || 2 * n);
            a + b + c + d + e + f
        });
        assert_eq!(rt.block_on(task).unwrap(), 9 * n);
    }
}

#[test]
fn many_of_them_at_once_lose_nothing() {
    const TASKS: u64 = 40;
    let rt = multi(2);
    let sum = rt.block_on(async {
        let mut set = JoinSet::new();
        for n in 0..TASKS {
            set.spawn(async move {
                for _ in 0..10 {
                    let child = spawn(async move {
                        yield_now().await;
                        n
                    });
                    block_in_place(thread::yield_now);
                    yield_now().await;
                    assert_eq!(block_in_place(|| Handle::current().block_on(child)).unwrap(), n);
                }
                n
            });
        }
        set.join_all().await.into_iter().sum::<u64>()
    });
    assert_eq!(sum, TASKS * (TASKS - 1) / 2);
    let handle = rt.handle().clone();
    drop(rt);
    check_books(&handle);
}

/// A runtime's end begins while its task blocks, with a deputy at work or not, and waits for it.
#[test]
fn the_end_waits_for_the_closure() {
    for (workers, stray) in [(1, false), (1, true), (2, true)] {
        let rt = multi(workers);
        let handle = rt.handle().clone();
        let (inside, is_inside) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let over = Arc::new(AtomicUsize::new(0));
        let says = Arc::clone(&over);
        drop(rt.spawn(async move {
            block_in_place(|| {
                if stray {
                    let (sender, receiver) = mpsc::channel();
                    drop(spawn(async move { sender.send(()).unwrap() }));
                    receiver.recv().unwrap();
                }
                inside.send(()).unwrap();
                may_go.recv().unwrap();
                says.fetch_add(1, Ordering::Relaxed);
            });
            // Not reached by a runtime that ends.
            sleep(Duration::from_secs(1000)).await;
        }));
        is_inside.recv().unwrap();
        let closing = handle.clone();
        let ending = thread::spawn(move || drop(rt));
        // Refused at once, when the end has begun.
        while !closing.spawn(std::future::pending::<()>()).is_finished() {
            thread::yield_now();
        }
        go.send(()).unwrap();
        ending.join().unwrap();
        assert_eq!(over.load(Ordering::Relaxed), 1);
        check_books(&handle);
    }
}

#[test]
fn an_end_with_a_limit_leaves_it_behind() {
    let rt = multi(1);
    let (inside, is_inside) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let handle = rt.handle().clone();
    let task = rt.spawn(async move {
        block_in_place(|| {
            inside.send(()).unwrap();
            may_go.recv().unwrap();
        });
        1
    });
    is_inside.recv().unwrap();
    assert!(rt.shutdown_timeout(Duration::from_millis(10)) >= 1);
    go.send(()).unwrap();
    assert_eq!(handle.block_on(task).unwrap(), 1);
}

#[test]
fn a_runtime_dropped_in_a_block_in_place_of_its_own_task_is_a_clear_panic() {
    let rt = Arc::new(multi(1));
    let inside = Arc::clone(&rt);
    let (go, gone) = mpsc::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    drop(rt.spawn(async move {
        block_in_place(|| {
            gone.recv().unwrap();
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(Arc::try_unwrap(inside).unwrap())));
            sender
                .send(dropped.unwrap_err().downcast_ref::<&'static str>().map(|text| text.to_string()))
                .unwrap();
        });
    }));
    drop(rt);
    go.send(()).unwrap();
    assert!(receiver.recv().unwrap().unwrap().contains("block_in_place"));
    // Another one's may be dropped there.
    let outer = multi(1);
    let task = outer.spawn(async { block_in_place(|| drop(multi(1))) });
    outer.block_on(task).unwrap();
}

#[test]
fn it_is_no_stall() {
    let stalls = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&stalls);
    let rt = Builder::new_multi_thread()
        .worker_threads(1)
        .stall_threshold(Duration::from_millis(100))
        .on_stall(move |stall| record.lock().unwrap().push(stall.to_string()))
        .build()
        .unwrap();
    let task = rt.spawn(async {
        for _ in 0..2 {
            block_in_place(|| thread::sleep(Duration::from_millis(300)));
            yield_now().await;
        }
    });
    rt.block_on(task).unwrap();
    assert_eq!(rt.metrics().worker_long_poll_count(0), 0);
    drop(rt);
    assert!(stalls.lock().unwrap().is_empty(), "{stalls:?}");
}
