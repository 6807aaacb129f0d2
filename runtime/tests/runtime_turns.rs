//! When the driver is turned though there is always something else to do: short `block_on`s, park hooks that make work, tasks
//! that yield.

use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::task::{JoinSet, yield_now};
use crossover_runtime::time::sleep;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

fn multi(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().unwrap()
}

/// Polls itself again without yielding.
async fn wake_oneself() {
    let mut woken = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Spawns a task that waits for a timer, and says when it is over.
fn spawn_sleeper(rt: &Runtime) -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&over);
    drop(rt.spawn(async move {
        sleep(Duration::from_millis(1)).await;
        says.store(true, Ordering::Relaxed);
    }));
    over
}

#[test]
fn many_short_block_ons_serve_timers() {
    let rt = Builder::new_current_thread().build().unwrap();
    let over = spawn_sleeper(&rt);
    let start = Instant::now();
    while !over.load(Ordering::Relaxed) {
        assert!(start.elapsed() < Duration::from_secs(20), "the timer is never served");
        rt.block_on(wake_oneself());
    }
}

#[test]
fn a_park_hook_that_always_makes_work_does_not_stall_timers() {
    let main: Arc<Mutex<Option<Waker>>> = Arc::default();
    let wake = Arc::clone(&main);
    let hook = move || {
        let waker = wake.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    };
    let rt = Builder::new_current_thread().on_thread_park(hook).build().unwrap();
    let over = spawn_sleeper(&rt);
    let start = Instant::now();
    rt.block_on(std::future::poll_fn(|cx| {
        if over.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the timer is never served");
        *main.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    }));
}

#[test]
fn who_yields_alone_comes_after_a_turn_of_the_driver() {
    const YIELDS: u64 = 10;
    async fn yield_some(handle: Handle) -> u64 {
        let before = handle.metrics().worker_turn_count(0);
        for _ in 0..YIELDS {
            yield_now().await;
        }
        handle.metrics().worker_turn_count(0) - before
    }
    for rt in [Builder::new_current_thread().build().unwrap(), multi(1)] {
        let turns = rt.block_on(rt.spawn(yield_some(rt.handle().clone()))).unwrap();
        assert!(turns >= YIELDS, "{turns}");
    }
    let rt = Builder::new_current_thread().build().unwrap();
    let turns = rt.block_on(yield_some(rt.handle().clone()));
    assert!(turns >= YIELDS, "{turns}");
}

#[test]
fn tasks_that_yield_by_turns_share_a_turn_of_the_driver() {
    for rt in [Builder::new_current_thread().build().unwrap(), multi(1)] {
        let handle = rt.handle().clone();
        let turns = rt.block_on(rt.spawn(async move {
            let before = handle.metrics().worker_turn_count(0);
            let mut set = JoinSet::new();
            for _ in 0..50 {
                set.spawn(async {
                    for _ in 0..20 {
                        yield_now().await;
                    }
                });
            }
            set.join_all().await;
            handle.metrics().worker_turn_count(0) - before
        }));
        // One for each round, and those of the event interval; not one for each of the thousand yields.
        let turns = turns.unwrap();
        assert!((20..200).contains(&turns), "{turns}");
    }
}
