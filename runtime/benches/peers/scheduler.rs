//! The scheduler: tokio's published benches (`benches/rt_multi_threaded.rs`, `benches/remote_spawn.rs` of its repository)
//! with their sizes, and the same asked from inside a worker.
//!
//! An operation is a task, a yield, a ping or a round trip. The worker count is the harness's, 2 or 4.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::contestants::{Ours, Runtime, Smol, Spawn, Task, Tokio, Who};
use crate::harness::{Case, Countdown, Entry, Setup, Trial, rayon_pool};

/// Tasks that one iteration spawns.
const TASKS: usize = 10_000;
/// Tasks of `spawn_many_remote_busy2`.
const TASKS_BUSY2: usize = 1_000;
/// How long a busy task computes between two visits to the scheduler.
const STALL: Duration = Duration::from_micros(10);

pub fn cases() -> Vec<Case> {
    let mut local = crate::everyone!(spawn_many_local);
    local.push(Entry::new(Who::Rayon, spawn_many_local_rayon));
    let mut inside = crate::everyone!(spawn_many_inside);
    inside.push(Entry::new(Who::Rayon, spawn_many_inside_rayon));
    vec![
        Case::new("spawn_many_local", local).also_with_four(),
        Case::new("spawn_many_inside", inside).also_with_four(),
        Case::new("spawn_await_inside", crate::everyone!(spawn_await_inside)).also_with_four(),
        Case::new("spawn_many_remote_idle", crate::everyone!(spawn_many_remote_idle)).also_with_four(),
        Case::new("spawn_many_remote_busy1", crate::everyone!(spawn_many_remote_busy1)).also_with_four(),
        Case::new("spawn_many_remote_busy2", crate::everyone!(spawn_many_remote_busy2)).also_with_four(),
        Case::new("yield_many", crate::everyone!(yield_many)).also_with_four(),
        Case::new("ping_pong", crate::everyone!(ping_pong)).also_with_four(),
        Case::new("chained_spawn", crate::everyone!(chained_spawn)).also_with_four(),
        Case::new("remote_spawn_1", crate::everyone!(remote_spawn, 1)).also_with_four(),
        Case::new("remote_spawn_2", crate::everyone!(remote_spawn, 2)).also_with_four(),
        Case::new("wake_latency", crate::everyone!(wake_latency)).also_with_four(),
    ]
}

/// Tasks spawned by the thread in `block_on`, which then blocks until the last one has run.
fn spawn_many_local<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, tasks) = (R::start(setup.workers), setup.size(TASKS));
    let (countdown, over) = Countdown::new();
    Trial::wall(tasks, move || {
        countdown.set(tasks);
        let inside = rt.inside();
        rt.block_on(async {
            for _ in 0..tasks {
                let countdown = countdown.clone();
                inside.detach(async move { countdown.count() });
            }
            over.recv().expect("the last task says so");
        });
    })
}

fn spawn_many_local_rayon(setup: &Setup) -> Trial {
    let (pool, tasks) = (rayon_pool(setup), setup.size(TASKS));
    let (countdown, over) = Countdown::new();
    Trial::wall(tasks, move || {
        countdown.set(tasks);
        for _ in 0..tasks {
            let countdown = countdown.clone();
            pool.spawn(move || countdown.count());
        }
        over.recv().expect("the last task says so");
    })
}

/// The same, but the spawner is a task.
fn spawn_many_inside<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, tasks) = (R::start(setup.workers), setup.size(TASKS));
    let (countdown, over) = Countdown::new();
    Trial::wall(tasks, move || {
        countdown.set(tasks);
        let (inside, countdown) = (rt.inside(), countdown.clone());
        let spawner = rt.spawn(async move {
            for _ in 0..tasks {
                let countdown = countdown.clone();
                inside.detach(async move { countdown.count() });
            }
        });
        over.recv().expect("the last task says so");
        rt.block_on(spawner);
    })
}

fn spawn_many_inside_rayon(setup: &Setup) -> Trial {
    let (pool, tasks) = (rayon_pool(setup), setup.size(TASKS));
    let (countdown, over) = Countdown::new();
    Trial::wall(tasks, move || {
        countdown.set(tasks);
        pool.install(|| {
            for _ in 0..tasks {
                let countdown = countdown.clone();
                rayon::spawn(move || countdown.count());
            }
        });
        over.recv().expect("the last task says so");
    })
}

/// A task that spawns another and awaits it, again and again.
fn spawn_await_inside<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, tasks) = (R::start(setup.workers), setup.size(TASKS));
    Trial::wall(tasks, move || {
        let inside = rt.inside();
        let outer = rt.spawn(async move {
            let mut sum = 0;
            for i in 0..tasks {
                sum += inside.spawn(async move { i }).await;
            }
            sum
        });
        assert_eq!(rt.block_on(outer), tasks * (tasks - 1) / 2);
    })
}

/// Spawns from outside of the runtime, then awaits all.
fn spawn_remotely<R: Runtime>(rt: &R, tasks: usize, handles: &mut Vec<Task<R, ()>>) {
    handles.extend((0..tasks).map(|_| rt.spawn(async {})));
    rt.block_on(async {
        for handle in handles.drain(..) {
            handle.await;
        }
    });
}

fn spawn_many_remote_idle<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, tasks) = (R::start(setup.workers), setup.size(TASKS));
    let mut handles = Vec::with_capacity(tasks);
    Trial::wall(tasks, move || spawn_remotely(&rt, tasks, &mut handles))
}

/// What keeps a busy runtime busy, and how to end it.
#[derive(Clone)]
struct Busy {
    // Relaxed, all: hints without data behind them.
    go_on: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

impl Busy {
    /// Starts `chains` of them and returns when each has run.
    fn start(chains: usize, mut chain: impl FnMut(Busy)) -> Busy {
        let busy = Busy { go_on: Arc::new(AtomicBool::new(true)), running: Arc::default() };
        for _ in 0..chains {
            chain(busy.clone());
        }
        while busy.running.load(Relaxed) < chains {
            thread::yield_now();
        }
        busy
    }

    /// Ends them, so that they take no time from the other contestants.
    fn end(self) {
        self.go_on.store(false, Relaxed);
        while self.running.load(Relaxed) > 0 {
            thread::yield_now();
        }
    }
}

fn stall() {
    let start = Instant::now();
    while start.elapsed() < STALL {
        thread::yield_now();
    }
}

/// The workers are busy with tasks that compute and yield: 2 per worker.
fn spawn_many_remote_busy1<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, tasks, chains) = (R::start(setup.workers), setup.size(TASKS), 2 * setup.workers);
    let mut handles = Vec::with_capacity(tasks);
    Trial::timed(tasks, move || {
        let busy = Busy::start(chains, |busy| {
            detach_remotely::<R>(&rt, async move {
                busy.running.fetch_add(1, Relaxed);
                while busy.go_on.load(Relaxed) {
                    R::yield_now().await;
                    stall();
                }
                busy.running.fetch_sub(1, Relaxed);
            });
        });
        let start = Instant::now();
        spawn_remotely(&rt, tasks, &mut handles);
        let time = start.elapsed();
        busy.end();
        time
    })
}

/// Spawns a task from outside that nobody waits for.
fn detach_remotely<R: Runtime>(rt: &R, future: impl Future<Output = ()> + Send + 'static) {
    let inside = rt.inside();
    rt.block_on(async move { inside.detach(future) });
}

/// The workers are busy with tasks that compute and spawn their successor: one per worker.
fn spawn_many_remote_busy2<R: Runtime>(setup: &Setup) -> Trial {
    fn successor<S: Spawn>(inside: S, busy: Busy) {
        inside.detach(async move {
            if busy.go_on.load(Relaxed) {
                stall();
                successor(inside, busy);
            } else {
                busy.running.fetch_sub(1, Relaxed);
            }
        });
    }
    let (rt, tasks, chains) = (R::start(setup.workers), setup.size(TASKS_BUSY2), setup.workers);
    let mut handles = Vec::with_capacity(tasks);
    Trial::timed(tasks, move || {
        let inside = rt.inside();
        let busy = Busy::start(chains, |busy| {
            detach_remotely::<R>(&rt, async move {
                busy.running.fetch_add(1, Relaxed);
                successor(inside, busy);
            });
        });
        let start = Instant::now();
        spawn_remotely(&rt, tasks, &mut handles);
        let time = start.elapsed();
        busy.end();
        time
    })
}

/// 200 tasks that yield 1000 times each.
fn yield_many<R: Runtime>(setup: &Setup) -> Trial {
    const YIELDS: usize = 1_000;
    let (rt, tasks) = (R::start(setup.workers), setup.size(200));
    let (done, over) = mpsc::sync_channel(tasks);
    let inside = rt.inside();
    Trial::wall(tasks * YIELDS, move || {
        rt.block_on(async {
            for _ in 0..tasks {
                let done = done.clone();
                inside.detach(async move {
                    for _ in 0..YIELDS {
                        R::yield_now().await;
                    }
                    done.send(()).expect("the measuring thread waits");
                });
            }
        });
        for _ in 0..tasks {
            over.recv().expect("each task says so");
        }
    })
}

/// 1000 tasks, each of which spawns a partner and exchanges a message with it over two oneshot channels.
fn ping_pong<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, pings) = (R::start(setup.workers), setup.size(1_000));
    let (countdown, over) = Countdown::new();
    Trial::wall(pings, move || {
        countdown.set(pings);
        let (inside, countdown) = (rt.inside(), countdown.clone());
        rt.block_on(async {
            inside.detach(async move {
                for _ in 0..pings {
                    let countdown = countdown.clone();
                    inside.detach(async move {
                        let (ask, asked) = oneshot::channel();
                        let (answer, answered) = oneshot::channel();
                        inside.detach(async move {
                            asked.await.expect("the pinger asks");
                            answer.send(()).expect("the pinger listens");
                        });
                        ask.send(()).expect("the partner listens");
                        answered.await.expect("the partner answers");
                        countdown.count();
                    });
                }
            });
            over.recv().expect("the last pinger says so");
        });
    })
}

/// A task that spawns a task that spawns a task, 1000 deep.
fn chained_spawn<R: Runtime>(setup: &Setup) -> Trial {
    fn link<S: Spawn>(inside: S, done: mpsc::SyncSender<()>, left: usize) {
        if left == 0 {
            done.send(()).expect("the measuring thread waits");
        } else {
            inside.detach(async move { link(inside, done, left - 1) });
        }
    }
    let (rt, links) = (R::start(setup.workers), setup.size(1_000));
    let (done, over) = mpsc::sync_channel(1_000);
    Trial::wall(links, move || {
        let (inside, done) = (rt.inside(), done.clone());
        rt.block_on(async {
            inside.detach(async move { link(inside, done, links) });
            over.recv().expect("the last link says so");
        });
    })
}

/// `threads` plain threads spawn 12,800 empty tasks together; awaiting them is not timed, starting the threads is.
fn remote_spawn<R: Runtime>(setup: &Setup, threads: usize) -> Trial {
    let (rt, tasks) = (R::start(setup.workers), setup.size(12_800));
    let each = tasks / threads;
    let barrier = Barrier::new(threads);
    Trial::timed(each * threads, move || {
        let start = Instant::now();
        let spawned: Vec<Task<R, ()>> = thread::scope(|scope| {
            let spawner = || {
                let mut handles = Vec::with_capacity(each);
                barrier.wait();
                handles.extend((0..each).map(|_| rt.spawn(async {})));
                handles
            };
            let spawners: Vec<_> = (0..threads).map(|_| scope.spawn(spawner)).collect();
            spawners.into_iter().flat_map(|spawner| spawner.join().expect("the spawner ends")).collect()
        });
        let time = start.elapsed();
        assert_eq!(spawned.len(), each * threads);
        rt.block_on(async {
            for task in spawned {
                task.await;
            }
        });
        time
    })
}

/// A message from the thread in `block_on` to a task, and its answer: both sides are idle when it comes.
fn wake_latency<R: Runtime>(setup: &Setup) -> Trial {
    let (rt, trips) = (R::start(setup.workers), setup.size(50));
    let (ask, asked) = async_channel::bounded::<usize>(1);
    let (answer, answered) = async_channel::bounded::<usize>(1);
    let echo = rt.inside();
    rt.block_on(async {
        echo.detach(async move {
            while let Ok(n) = asked.recv().await {
                answer.send(n + 1).await.expect("the asker listens");
            }
        });
    });
    Trial::wall(trips, move || {
        rt.block_on(async {
            for n in 0..trips {
                ask.send(n).await.expect("the task listens");
                assert_eq!(answered.recv().await, Ok(n + 1));
            }
        });
    })
}
