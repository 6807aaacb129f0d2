//! S1, S2: destructors of thread-locals that use the runtime, on threads of its own and others, while it lives, while it
//! ends, and after; that end it; and that block.
//!
//! A thread drops its thread-locals in the reverse order of their first use. So each scenario runs twice: with ours made
//! before the runtime has made its own on that thread (ours goes last, with the runtime's gone), and after.

use crate::{eventually, watchdog};
use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::task::{AbortHandle, JoinHandle, yield_now};
use crossover_runtime::{spawn, spawn_blocking};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Done when the thread exits.
type Deed = Box<dyn FnOnce()>;

struct AtExit(Vec<Deed>);

impl Drop for AtExit {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|deed| deed());
    }
}

thread_local! {
    static AT_EXIT: RefCell<AtExit> = const { RefCell::new(AtExit(Vec::new())) };
}

fn at_exit(deed: impl FnOnce() + 'static) {
    AT_EXIT.with(|cell| cell.borrow_mut().0.push(Box::new(deed)));
}

/// A task that ends once it is woken with the flag up, and how to wake it.
fn sleeper(rt: &Runtime) -> (JoinHandle<()>, Waker, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    let waker = Arc::new(Mutex::new(None));
    let (up, stored) = (Arc::clone(&flag), Arc::clone(&waker));
    let task = rt.spawn(poll_fn(move |cx| {
        if up.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        *stored.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }));
    rt.block_on(async {
        while waker.lock().unwrap().is_none() {
            yield_now().await;
        }
    });
    let waker = waker.lock().unwrap().take().unwrap();
    (task, waker, flag)
}

/// A thread uses the runtime, exits, and wakes, spawns, offloads, aborts and drops handles at its very end. All of it
/// must arrive.
#[test]
fn s2_thread_local_destructors_of_other_threads_while_the_runtime_lives() {
    watchdog(|watch| {
        for rt in watch.both() {
            for ours_first in [false, true] {
                let (task, waker, flag) = sleeper(&rt);
                let (aborted, other, _) = sleeper(&rt);
                let (dropped, another, _) = sleeper(&rt);
                let probe = Arc::new(());
                let ran = Arc::new(AtomicUsize::new(0));
                let (handle, count, captured) = (rt.handle().clone(), Arc::clone(&ran), Arc::clone(&probe));
                let abort: AbortHandle = aborted.abort_handle();
                let (spawned, handles) = mpsc::channel();
                std::thread::spawn(move || {
                    let deed_handle = handle.clone();
                    let deed = move || {
                        flag.store(true, Ordering::Relaxed);
                        waker.wake();
                        abort.abort();
                        drop((other, dropped, another));
                        let _captured = captured;
                        let counted = Arc::clone(&count);
                        let task = deed_handle.spawn(async move { counted.fetch_add(1, Ordering::SeqCst) });
                        let job = deed_handle.spawn_blocking(move || count.fetch_add(1, Ordering::SeqCst));
                        spawned.send((task, job)).unwrap();
                        let _ = Handle::try_current();
                        let _ = crossover_runtime::task::try_id();
                    };
                    let used = || {
                        drop(handle.spawn(async {}));
                        drop(handle.enter());
                    };
                    if ours_first {
                        at_exit(deed);
                        used();
                    } else {
                        used();
                        at_exit(deed);
                    }
                })
                .join()
                .unwrap();
                rt.block_on(task).unwrap();
                assert!(rt.block_on(aborted).unwrap_err().is_cancelled());
                let (task, job) = handles.recv().unwrap();
                rt.block_on(task).unwrap();
                rt.block_on(job).unwrap();
                assert_eq!(ran.load(Ordering::SeqCst), 2);
                assert_eq!(Arc::strong_count(&probe), 1);
            }
        }
    });
}

/// Workers, blocking threads and the thread in `block_on` exit with wakers of live tasks, handles and whole tasks in
/// their thread-locals, during the shutdown that ends those tasks.
#[test]
fn s2_thread_local_destructors_of_own_threads_during_shutdown() {
    watchdog(|watch| {
        for round in 0..20 {
            for rt in watch.both() {
                let probe = Arc::new(());
                let exits = Arc::new(AtomicUsize::new(0));
                for n in 0..6 {
                    let (task, waker, flag) = sleeper(&rt);
                    let (captured, done) = (Arc::clone(&probe), Arc::clone(&exits));
                    let deed = move |handle: Handle| {
                        move || {
                            let _captured = captured;
                            flag.store(true, Ordering::Relaxed);
                            waker.wake_by_ref();
                            task.abort();
                            let late = Arc::new(());
                            let inside = Arc::clone(&late);
                            // Refused: then it is dropped here, at once.
                            let task = handle.spawn(async move {
                                let _inside = inside;
                                pending::<()>().await;
                            });
                            drop(handle.spawn_blocking(|| {}));
                            if task.is_finished() {
                                assert_eq!(Arc::strong_count(&late), 1);
                            }
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                    };
                    if n % 2 == round % 2 {
                        let job = rt.spawn_blocking(move || at_exit(deed(Handle::current())));
                        rt.block_on(job).unwrap();
                    } else {
                        let task = rt.spawn(async move { at_exit(deed(Handle::current())) });
                        rt.block_on(task).unwrap();
                    }
                }
                let multi = rt.metrics().num_workers() > 1;
                drop(rt);
                // A current-thread runtime's tasks have run on this thread, which lives on.
                if multi {
                    assert_eq!(exits.load(Ordering::SeqCst), 6, "the threads are joined");
                    assert_eq!(Arc::strong_count(&probe), 1);
                }
            }
        }
    });
}

/// Threads exit after the runtime is gone, with its wakers, handles and results in their thread-locals.
#[test]
fn s2_thread_local_destructors_after_shutdown() {
    watchdog(|watch| {
        for rt in watch.both() {
            for ours_first in [false, true] {
                let rt = match rt.metrics().num_workers() {
                    1 => watch.current(),
                    workers => watch.multi(workers),
                };
                let (waiting, waker, _) = sleeper(&rt);
                let probe = Arc::new(());
                let value = Arc::clone(&probe);
                let unread = rt.spawn(async move { value });
                rt.block_on(async {
                    while !unread.is_finished() {
                        yield_now().await;
                    }
                });
                let handle = rt.handle().clone();
                let (end, ended) = mpsc::channel::<()>();
                let (ready, is_ready) = mpsc::channel();
                let thread = std::thread::spawn(move || {
                    let last = handle.clone();
                    let deed = move || {
                        waker.wake_by_ref();
                        assert!(waiting.is_finished());
                        drop((waiting, waker, unread));
                        assert!(last.spawn(async {}).is_finished());
                        assert!(last.spawn_blocking(|| {}).is_finished());
                    };
                    if ours_first {
                        at_exit(deed);
                        drop(handle.enter());
                    } else {
                        drop(handle.enter());
                        at_exit(deed);
                    }
                    drop(handle);
                    ready.send(()).unwrap();
                    let _ = ended.recv();
                });
                is_ready.recv().unwrap();
                drop(rt);
                drop(end);
                thread.join().unwrap();
                assert_eq!(Arc::strong_count(&probe), 1);
            }
        }
    });
}

/// A thread with a waker in its thread-locals exits while the runtime is shutting down: neither before nor after.
#[test]
fn s2_thread_local_destructors_race_the_shutdown() {
    watchdog(|watch| {
        for _ in 0..60 {
            for rt in watch.both() {
                let sleepers: Vec<_> = (0..4).map(|_| sleeper(&rt)).collect();
                let threads: Vec<_> = sleepers
                    .into_iter()
                    .map(|(task, waker, flag)| {
                        let handle = rt.handle().clone();
                        std::thread::spawn(move || {
                            at_exit(move || {
                                flag.store(true, Ordering::Relaxed);
                                waker.wake();
                                drop(handle.spawn(async { drop(spawn(async {})) }));
                                drop(handle.spawn_blocking(|| drop(spawn_blocking(|| {}))));
                                drop(task);
                            });
                        })
                    })
                    .collect();
                let metrics = rt.metrics();
                drop(rt);
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                eventually("no task is left", || metrics.num_alive_tasks() == 0);
            }
        }
    });
}

/// A thread of the pool has ended but for its thread-locals, one of which owns the runtime; another one ends meanwhile. The
/// first waits for the second, so the second must not wait for the first.
#[test]
fn s1_a_thread_local_of_a_pool_thread_ends_the_runtime_while_another_thread_ends() {
    watchdog(|watch| {
        for _ in 0..20 {
            let rt = Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(2)
                .thread_keep_alive(Duration::ZERO)
                .build()
                .unwrap();
            watch.add(&rt);
            let (owner, is_owned) = mpsc::channel::<Runtime>();
            let (exiting, exits) = mpsc::channel();
            let (ended, has_ended) = mpsc::channel();
            let job = rt.spawn_blocking(move || {
                at_exit(move || {
                    exiting.send(()).unwrap();
                    drop(is_owned.recv().unwrap());
                    ended.send(()).unwrap();
                });
            });
            rt.block_on(job).unwrap();
            exits.recv().unwrap();
            let other = rt.spawn_blocking(|| ());
            rt.block_on(other).unwrap();
            eventually("the other thread ends", || rt.metrics().num_blocking_threads() == 0);
            owner.send(rt).unwrap();
            has_ended.recv().unwrap();
        }
    });
}

/// A thread's thread-local blocks when the thread ends. An end of the runtime that has a deadline keeps it all the same.
#[test]
fn s1_a_thread_local_that_blocks_meets_the_deadline() {
    watchdog(|watch| {
        for on_worker in [false, true] {
            for background in [false, true] {
                let rt = watch.multi(1);
                let (release, released) = mpsc::channel::<()>();
                let (ended, has_ended) = mpsc::channel();
                let deed = move || {
                    at_exit(move || {
                        let _ = released.recv();
                        ended.send(()).unwrap();
                    });
                };
                let done = if on_worker { rt.spawn(async { deed() }) } else { rt.spawn_blocking(deed) };
                rt.block_on(done).unwrap();
                let start = Instant::now();
                match background {
                    true => rt.shutdown_background(),
                    false => assert_eq!(rt.shutdown_timeout(Duration::from_secs(4)), 0, "its work is done"),
                }
                assert!(start.elapsed() < Duration::from_secs(4));
                drop(release);
                has_ended.recv().unwrap();
            }
        }
    });
}
