//! When the driver is turned though there is always something else to do: short `block_on`s, park hooks that make work, tasks
//! that yield. And how much a turn fetches.

use crossover_runtime::net::UnixStream;
use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::task::{JoinSet, yield_now};
use crossover_runtime::time::sleep;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

/// Sends a byte; false: the peer has closed its end.
async fn send(end: &UnixStream) -> bool {
    loop {
        match end.try_write(b"x") {
            Ok(_) => return true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => end.writable().await.unwrap(),
            Err(_) => return false,
        }
    }
}

/// Waits for a byte; false: the peer has closed its end.
async fn receive(end: &UnixStream) -> bool {
    loop {
        end.readable().await.unwrap();
        match end.try_read(&mut [0]) {
            Ok(count) => return count == 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
}

/// How many turns it takes until all of `count` tasks are served that wait for a socket each, when all sockets become
/// ready at once.
async fn turns_for_a_burst(handle: Handle, count: usize) -> u64 {
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    let mut peers = Vec::new();
    for _ in 0..count {
        let (near, far) = UnixStream::pair().unwrap();
        peers.push(far);
        let waiting = Arc::clone(&waiting);
        set.spawn(async move {
            // Counted in the poll that finds nothing to read.
            waiting.fetch_add(1, Ordering::Relaxed);
            assert!(receive(&near).await);
        });
    }
    while waiting.load(Ordering::Relaxed) < count {
        yield_now().await;
    }
    let before = handle.metrics().worker_turn_count(0);
    for peer in &peers {
        assert!(send(peer).await);
    }
    assert_eq!(set.join_all().await.len(), count);
    handle.metrics().worker_turn_count(0) - before
}

#[test]
fn a_turn_fetches_no_more_events_than_it_may() {
    const SOCKETS: usize = 64;
    for (limit, at_least) in [(Some(1), 64), (Some(4), 16), (Some(63), 2), (None, 1)] {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            builder.worker_threads(1);
            if let Some(limit) = limit {
                builder.max_io_events_per_tick(limit);
            }
            let rt = builder.build().unwrap();
            let turns = rt.block_on(rt.spawn(turns_for_a_burst(rt.handle().clone(), SOCKETS))).unwrap();
            assert!(turns >= at_least, "{turns} with {limit:?}");
            assert!(limit.is_some() || turns < 16, "{turns} without a limit");
        }
    }
}

/// A single event per turn, and sockets that are ready again and again: each of them gets on, and a timer fires.
#[test]
fn a_turn_of_one_event_starves_nobody() {
    const PAIRS: usize = 16;
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let rt = builder.worker_threads(1).max_io_events_per_tick(1).build().unwrap();
        let timer = spawn_sleeper(&rt);
        let received: Arc<[AtomicUsize; PAIRS]> = Arc::new([const { AtomicUsize::new(0) }; PAIRS]);
        let all_served = {
            let received = Arc::clone(&received);
            move || timer.load(Ordering::Relaxed) && received.iter().all(|n| n.load(Ordering::Relaxed) > 20)
        };
        rt.block_on(rt.spawn(async move {
            let mut set = JoinSet::new();
            for pair in 0..PAIRS {
                let (near, far) = UnixStream::pair().unwrap();
                assert!(send(&near).await);
                for end in [near, far] {
                    let (received, all_served) = (Arc::clone(&received), all_served.clone());
                    // Whoever ends closes its end, and thereby ends the other.
                    set.spawn(async move {
                        while receive(&end).await {
                            received[pair].fetch_add(1, Ordering::Relaxed);
                            if all_served() || !send(&end).await {
                                break;
                            }
                        }
                    });
                }
            }
            set.join_all().await;
            assert!(all_served());
        }))
        .unwrap();
    }
}
