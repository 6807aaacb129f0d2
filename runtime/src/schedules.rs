//! The whole scheduler under schedules drawn at random: real runtimes, with shuttle's threads, locks and atomics under
//! them (`sync/prim.rs`). A lost wake-up is a deadlock that shuttle reports; a livelock runs out of steps.
//!
//! What is not real: the event queue (`driver/poller/memory.rs`: no sockets), the deques (locked), the clock, which moves
//! on when somebody waits. shuttle knows no weak memory; that is the models' part.
//!
//! `scripts/shuttle.sh` runs them. Each scenario prints its seed; `SCHEDULES_SEED` repeats a run, `SCHEDULES_RUNS` says
//! how many schedules are tried per scenario, `SCHEDULES_REPLAY` takes the one that a failure has printed.

use crate::runtime::{Builder, Handle, Runtime};
use crate::sync::prim::{Condvar, Mutex, restart, thread};
use crate::task::{JoinHandle, block_in_place, yield_now};
use crate::time::{sleep, timeout};
use crate::{spawn, spawn_blocking};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Runs `scenario` under many schedules: half of them random at each step, half with few changes of priority (PCT).
fn explore(name: &str, scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(300_000);
    config.failure_persistence = FailurePersistence::Print;
    let run = move || {
        restart();
        scenario();
    };
    if let Ok(schedule) = std::env::var("SCHEDULES_REPLAY") {
        Runner::new(ReplayScheduler::new_from_encoded(&schedule), config).run(run);
        return;
    }
    let fresh = || std::time::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64);
    let seed = number("SCHEDULES_SEED").unwrap_or_else(fresh);
    let runs = number("SCHEDULES_RUNS").unwrap_or(200) as usize;
    println!("{name}: SCHEDULES_SEED={seed} SCHEDULES_RUNS={runs}");
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new_from_seed(seed, runs.div_ceil(2)), config.clone()).run(run);
    Runner::new(PctScheduler::new_from_seed(seed, 5, runs / 2), config).run(run);
}

macro_rules! scenarios {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            fn scenario() $body
            explore(stringify!($name), scenario);
        }
    )*};
}

fn multi(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).max_blocking_threads(2).event_interval(3).global_queue_interval(2);
    builder.build().unwrap()
}

fn current() -> Runtime {
    Builder::new_current_thread().event_interval(3).global_queue_interval(2).build().unwrap()
}

/// After a runtime's end.
fn check_books(handle: &Handle) {
    let metrics = handle.metrics();
    assert_eq!(metrics.num_alive_tasks(), 0, "{metrics:?}");
    assert_eq!(
        metrics.spawned_tasks_count(),
        metrics.completed_tasks_count() + metrics.cancelled_tasks_count(),
        "{metrics:?}"
    );
}

/// Counts the drops of values that tasks hold.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Value(Drops);

impl Drops {
    fn value(&self) -> Value {
        Value(self.clone())
    }
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A gate between tasks and threads, from our own primitives: others' locks are not shuttle's.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(bool, Vec<Waker>)>, Condvar)>);

impl Gate {
    fn open(&self) {
        let wakers = {
            let mut state = self.0.0.lock();
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        self.0.1.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn pass(&self) {
        poll_fn(|cx| {
            let mut state = self.0.0.lock();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Blocks the thread.
    fn wait(&self) {
        let mut state = self.0.0.lock();
        while !state.0 {
            state = self.0.1.wait(state);
        }
    }
}

scenarios! {
    fn tasks_spawn_and_join_tasks() {
        let rt = multi(2);
        let sum = rt.block_on(async {
            let tasks: Vec<JoinHandle<u32>> = (0..3)
                .map(|n| spawn(async move {
                    let inner = spawn(async move { n });
                    yield_now().await;
                    inner.await.unwrap()
                }))
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 3);
        let handle = rt.handle().clone();
        drop(rt);
        check_books(&handle);
    }

    /// Threads outside spawn and wait, while the workers fall asleep.
    fn spawns_from_outside_are_run() {
        let rt = multi(2);
        let threads: Vec<_> = (0..2)
            .map(|n| {
                let handle = rt.handle().clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        assert_eq!(handle.block_on(handle.spawn(async move { n })).unwrap(), n);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(rt);
    }

    fn aborts_race_everything() {
        let drops = Drops::default();
        let rt = multi(2);
        let handle = rt.handle().clone();
        let gate = Gate::default();
        let tasks: Vec<_> = (0..3)
            .map(|n| {
                let (value, gate) = (drops.value(), gate.clone());
                rt.spawn(async move {
                    let _value = value;
                    match n {
                        0 => gate.pass().await,
                        1 => yield_now().await,
                        _ => pending().await,
                    }
                })
            })
            .collect();
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let aborting = thread::spawn(move || aborts.iter().for_each(|abort| abort.abort()));
        gate.open();
        for task in tasks {
            let _ = rt.block_on(task);
        }
        aborting.join().unwrap();
        drop(rt);
        check_books(&handle);
        assert_eq!(drops.get(), 3);
    }

    /// Workers give their seats to deputies and take them back, and the runtime ends in the middle of it.
    fn workers_leave_their_seats() {
        let rt = multi(1);
        let handle = rt.handle().clone();
        let gate = Gate::default();
        let (opens, waits) = (gate.clone(), gate);
        let first = rt.spawn(async move {
            // The deputy's: the only worker is here.
            let child = spawn(async move { opens.open() });
            block_in_place(|| waits.wait());
            child.await.unwrap();
            block_in_place(|| ());
            yield_now().await;
            1
        });
        assert_eq!(rt.block_on(first).unwrap(), 1);
        for _ in 0..2 {
            drop(rt.spawn(async move {
                block_in_place(|| thread::yield_now());
                yield_now().await;
                block_in_place(|| ());
                pending::<()>().await;
            }));
        }
        drop(rt);
        check_books(&handle);
    }

    /// Tasks that wait, yield, are woken and are spawned, all while the runtime ends.
    fn a_shutdown_in_the_middle_of_everything() {
        let drops = Drops::default();
        let rt = multi(2);
        let handle = rt.handle().clone();
        let gate = Gate::default();
        for n in 0..4 {
            let (value, gate) = (drops.value(), gate.clone());
            drop(rt.spawn(async move {
                let _value = value;
                match n {
                    0 => gate.pass().await,
                    // Not for ever: an unfair schedule would run nothing else.
                    1 => {
                        for _ in 0..4 {
                            yield_now().await;
                        }
                        pending().await
                    }
                    2 => pending().await,
                    _ => drop(spawn_blocking(|| ()).await),
                }
            }));
        }
        let others = {
            let (handle, value, gate) = (handle.clone(), drops.value(), gate);
            thread::spawn(move || {
                drop(handle.spawn(async move {
                    let _value = value;
                    yield_now().await;
                }));
                gate.open();
                drop(handle.spawn_blocking(|| ()));
            })
        };
        drop(rt);
        others.join().unwrap();
        check_books(&handle);
        assert_eq!(drops.get(), 5);
    }

    /// The thread in `block_on` and a task wake each other; a lost wake-up would stop both.
    fn block_on_and_a_task_wake_each_other() {
        for rt in [current(), multi(2)] {
            let gates: Vec<_> = (0..4).map(|_| Gate::default()).collect();
            let theirs = gates.clone();
            rt.block_on(async {
                let task = spawn(async move {
                    theirs[0].pass().await;
                    theirs[1].open();
                    theirs[2].pass().await;
                    theirs[3].open();
                });
                gates[0].open();
                gates[1].pass().await;
                gates[2].open();
                gates[3].pass().await;
                task.await.unwrap();
            });
        }
    }

    /// Wakes that come from threads of nobody's.
    fn a_plain_thread_wakes_a_task() {
        for rt in [current(), multi(1), multi(2)] {
            let gate = Gate::default();
            let inside = gate.clone();
            let task = rt.spawn(async move { inside.pass().await });
            let opens = thread::spawn(move || gate.open());
            rt.block_on(task).unwrap();
            opens.join().unwrap();
        }
    }

    /// A worker computes on after it has woken a task: another one has to run that, from the slot or the queue.
    fn a_task_behind_a_worker_that_computes_on() {
        let rt = multi(2);
        rt.block_on(async {
            let (go, ran) = (Gate::default(), Gate::default());
            let (mine, done) = (go.clone(), ran.clone());
            let waits = spawn(async move {
                mine.pass().await;
                done.open();
            });
            let computes = spawn(async move {
                go.open();
                // No await: as far as the scheduler can tell this computes.
                ran.wait();
            });
            computes.await.unwrap();
            waits.await.unwrap();
        });
    }

    /// Tasks that need a worker each at the same time, from outside and from a worker: whoever finds one and sees more has
    /// to wake another worker.
    fn tasks_that_meet_need_a_worker_each() {
        let rt = multi(2);
        for inside in [false, true] {
            let gates = [Gate::default(), Gate::default()];
            let meet = |n: usize| {
                let (mine, other) = (gates[n].clone(), gates[1 - n].clone());
                async move {
                    mine.open();
                    other.wait();
                }
            };
            let (first, second) = (meet(0), meet(1));
            let tasks = if inside {
                let both = rt.spawn(async move { [spawn(first), spawn(second)] });
                rt.block_on(both).unwrap()
            } else {
                [rt.spawn(first), rt.spawn(second)]
            };
            for task in tasks {
                rt.block_on(task).unwrap();
            }
        }
    }

    /// The worker that turned the driver is stuck in a task; the timer has to fire on the other one.
    fn the_driver_is_not_left_alone() {
        let rt = multi(2);
        rt.block_on(async {
            let fired = Gate::default();
            let waits = fired.clone();
            let stuck = spawn(async move {
                sleep(Duration::from_millis(1)).await;
                waits.wait();
            });
            let fires = spawn(async move {
                sleep(Duration::from_millis(2)).await;
                fired.open();
            });
            stuck.await.unwrap();
            fires.await.unwrap();
        });
    }

    fn timers_fire_and_are_cancelled() {
        for rt in [current(), multi(2)] {
            rt.block_on(async {
                let tasks: Vec<_> = (1..4_u64)
                    .map(|n| spawn(async move {
                        let limit = Duration::from_millis(n);
                        assert!(timeout(limit, pending::<()>()).await.is_err());
                        assert!(timeout(Duration::from_secs(1 << 20), async {}).await.is_ok());
                    }))
                    .collect();
                sleep(Duration::from_millis(2)).await;
                for task in tasks {
                    task.await.unwrap();
                }
            });
        }
    }

    /// Bursts of jobs on a pool whose threads time out at any moment.
    fn blocking_jobs_each_run_once() {
        let drops = Drops::default();
        let mut builder = Builder::new_multi_thread();
        let keep_alive = Duration::from_millis(1);
        let rt = builder.worker_threads(1).max_blocking_threads(2).thread_keep_alive(keep_alive).build().unwrap();
        for _ in 0..2 {
            let jobs: Vec<_> = (0..3)
                .map(|_| {
                    let value = drops.value();
                    rt.spawn_blocking(move || drop(value))
                })
                .collect();
            for job in jobs {
                rt.block_on(job).unwrap();
            }
        }
        drop(rt);
        assert_eq!(drops.get(), 6);
    }

    fn jobs_and_tasks_at_shutdown() {
        let drops = Drops::default();
        let rt = multi(1);
        let handle = rt.handle().clone();
        for _ in 0..3 {
            let (inner, outer) = (drops.value(), drops.value());
            let job = rt.spawn_blocking(move || drop(inner));
            drop(rt.spawn(async move {
                let _outer = outer;
                let _ = job.await;
                pending::<()>().await;
            }));
        }
        drop(rt);
        check_books(&handle);
        assert_eq!(drops.get(), 6);
    }

    /// Two threads in `block_on` of one current-thread runtime: whoever has the core runs the other's task, too.
    fn two_threads_share_a_current_thread_runtime() {
        let rt = Arc::new(current());
        let other = {
            let rt = Arc::clone(&rt);
            thread::spawn(move || rt.block_on(rt.spawn(async { yield_now().await; 1 })).unwrap())
        };
        assert_eq!(rt.block_on(rt.spawn(async { 2 })).unwrap(), 2);
        assert_eq!(other.join().unwrap(), 1);
    }

    /// Handles that are polled, dropped and awaited elsewhere while their tasks end.
    fn handles_move_between_threads() {
        let drops = Drops::default();
        let rt = multi(2);
        let handles: Vec<_> = (0..3)
            .map(|_| {
                let value = drops.value();
                rt.spawn(async move {
                    yield_now().await;
                    value
                })
            })
            .collect();
        let threads: Vec<_> = handles
            .into_iter()
            .enumerate()
            .map(|(n, task)| {
                let handle = rt.handle().clone();
                thread::spawn(move || match n {
                    0 => drop(task),
                    1 => drop(handle.block_on(task)),
                    _ => {
                        let limited = async { timeout(Duration::from_millis(1), task).await };
                        drop(handle.block_on(limited));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let handle = rt.handle().clone();
        drop(rt);
        check_books(&handle);
        assert_eq!(drops.get(), 3);
    }
}
