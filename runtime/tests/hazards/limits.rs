//! Q1, Q2, X1, C1: the queues under stealing, an almost idle runtime, what other processes see, the builder's knobs; and
//! what must hold after each shutdown.

use crate::{alone, eventually, watchdog};
use crossover_runtime::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use crossover_runtime::runtime::{Builder, RuntimeMetrics};
use crossover_runtime::spawn;
use crossover_runtime::task::yield_now;
use crossover_runtime::time::{sleep, timeout};
use std::future::pending;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One worker fills its queue in bursts of every size, so that it grows and shrinks, and empties it itself, while the
/// others steal. Each task runs once.
#[test]
fn q1_two_stealers_and_an_owner_whose_queue_is_resized() {
    watchdog(|watch| {
        let rt = watch.multi(3);
        for round in 0..30_usize {
            let tasks = [1, 31, 33, 64, 257, 1000, 5000][round % 7];
            let runs: Arc<[AtomicU8]> = (0..tasks).map(|_| AtomicU8::new(0)).collect();
            let left = Arc::new(AtomicUsize::new(tasks));
            let (seen, count) = (Arc::clone(&runs), Arc::clone(&left));
            let owner = rt.spawn(async move {
                for n in 0..tasks {
                    let (seen, count) = (Arc::clone(&seen), Arc::clone(&count));
                    drop(spawn(async move {
                        seen[n].fetch_add(1, Ordering::Relaxed);
                        if n % 3 == 0 {
                            yield_now().await;
                        }
                        count.fetch_sub(1, Ordering::Release);
                    }));
                    // The owner takes part, too.
                    if n % 100 == 99 {
                        yield_now().await;
                    }
                }
            });
            rt.block_on(owner).unwrap();
            eventually("all have run", || left.load(Ordering::Acquire) == 0);
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "a task ran twice or never");
        }
        eventually("none is left", || rt.metrics().num_alive_tasks() == 0);
    });
}

/// The same with several owners at once and tasks that move between them, through wakes from everywhere.
#[test]
fn q1_every_worker_is_owner_and_stealer() {
    watchdog(|watch| {
        let rt = watch.multi(4);
        let polls = Arc::new(AtomicUsize::new(0));
        let owners: Vec<_> = (0..8)
            .map(|_| {
                let polls = Arc::clone(&polls);
                rt.spawn(async move {
                    for burst in 1..60 {
                        let tasks: Vec<_> = (0..burst)
                            .map(|_| {
                                let polls = Arc::clone(&polls);
                                spawn(async move {
                                    yield_now().await;
                                    polls.fetch_add(1, Ordering::Relaxed)
                                })
                            })
                            .collect();
                        for task in tasks {
                            task.await.unwrap();
                        }
                    }
                })
            })
            .collect();
        owners.into_iter().for_each(|owner| rt.block_on(owner).unwrap());
        assert_eq!(polls.load(Ordering::Relaxed), 8 * (1..60).sum::<usize>());
    });
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn sum(metrics: &RuntimeMetrics, counter: fn(&RuntimeMetrics, usize) -> u64) -> u64 {
    (0..metrics.num_workers()).map(|worker| counter(metrics, worker)).sum()
}

/// One tiny task per millisecond on 32 workers: it wakes one of them, not all, and does not keep the machine busy.
#[test]
fn q2_a_tiny_spawn_per_millisecond_on_32_workers() {
    alone("limits::q2_a_tiny_spawn_per_millisecond_on_32_workers", || {
        watchdog(|watch| {
            let rt = watch.multi(32);
            let metrics = rt.metrics();
            eventually("all sleep", || sum(&metrics, RuntimeMetrics::worker_park_unpark_count) >= 32);
            let parks = sum(&metrics, RuntimeMetrics::worker_park_count);
            let (cpu, begin) = (cpu_time(), Instant::now());
            let mut spawned = 0;
            while begin.elapsed() < Duration::from_secs(1) {
                rt.handle().block_on(rt.spawn(async {})).unwrap();
                spawned += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            let (cpu, wall) = (cpu_time() - cpu, begin.elapsed());
            let parks = sum(&metrics, RuntimeMetrics::worker_park_count) - parks;
            // One is woken; the next only if it finds more. Waking all would be 32 for each.
            assert!(parks <= 6 * spawned + 64, "{parks} parks for {spawned} tasks: {metrics:#?}");
            assert!(cpu < wall / 2, "{cpu:?} of CPU time in {wall:?} for {spawned} tasks");
        });
    });
}

/// And with nothing at all to do, a runtime with armed timers and open sockets uses no CPU time.
#[test]
fn q2_an_idle_runtime_sleeps() {
    alone("limits::q2_an_idle_runtime_sleeps", || {
        watchdog(|watch| {
            let rt = watch.multi(8);
            let (socket, _other) = rt.block_on(async { UnixStream::pair() }).unwrap();
            drop(rt.spawn(async move { socket.readable().await }));
            drop(rt.spawn(async { sleep(Duration::from_secs(3600)).await }));
            let metrics = rt.metrics();
            eventually("all sleep", || sum(&metrics, RuntimeMetrics::worker_park_unpark_count) >= 8);
            // Until the watch has retired, which on a busy machine may take long. It has if nobody parks in many times its
            // longest sleep, or is kept from its last few looks by others.
            let mut parks = 0;
            eventually("nobody looks any more", || {
                std::thread::sleep(Duration::from_millis(100));
                let before = std::mem::replace(&mut parks, sum(&metrics, RuntimeMetrics::worker_park_count));
                before == parks
            });
            let cpu = cpu_time();
            std::thread::sleep(Duration::from_millis(500));
            let parks = sum(&metrics, RuntimeMetrics::worker_park_count) - parks;
            assert!(parks <= 16, "{parks} parks with nothing to do");
            let cpu = cpu_time() - cpu;
            assert!(cpu < Duration::from_millis(100), "{cpu:?} of CPU time with nothing to do");
        });
    });
}

/// Nor does the detector of stalls, while all workers sleep or a current-thread runtime is in no `block_on`.
#[test]
fn q2_the_detector_of_an_idle_runtime_sleeps() {
    use nix::sys::resource::{UsageWho, getrusage};
    alone("limits::q2_the_detector_of_an_idle_runtime_sleeps", || {
        watchdog(|_| {
            for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
                let rt = builder.worker_threads(2).stall_threshold(Duration::from_millis(1)).build().unwrap();
                rt.block_on(rt.spawn(async {})).unwrap();
                let metrics = rt.metrics();
                eventually("all sleep", || {
                    metrics.num_workers() == 1 || sum(&metrics, RuntimeMetrics::worker_park_unpark_count) >= 2
                });
                std::thread::sleep(Duration::from_millis(200));
                let sleeps = || getrusage(UsageWho::RUSAGE_SELF).unwrap().voluntary_context_switches();
                let before = sleeps();
                std::thread::sleep(Duration::from_millis(500));
                // It looks every quarter of a millisecond while somebody is awake.
                let sleeps = sleeps() - before;
                assert!(sleeps < 200, "{sleeps} sleeps in half a second, with nothing to do");
            }
        });
    });
}

/// The descriptors that a child process has.
fn descriptors_of_a_child() -> String {
    let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Whatever this runtime opens is closed by an exec; and a child that is started from a task does not hurt the parent.
#[test]
fn x1_no_descriptor_reaches_a_child() {
    alone("limits::x1_no_descriptor_reaches_a_child", || {
        watchdog(|watch| {
            let before = descriptors_of_a_child();
            for rt in watch.both() {
                rt.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    let near = TcpStream::connect(address).await.unwrap();
                    let (far, _) = listener.accept().await.unwrap();
                    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    let pair = UnixStream::pair().unwrap();
                    let path = std::env::temp_dir().join(format!("crossover-x1-{}", std::process::id()));
                    let _ = std::fs::remove_file(&path);
                    let unix = UnixListener::bind(&path).unwrap();
                    let by_path = UnixStream::connect(&path).await.unwrap();
                    let (accepted, _) = unix.accept().await.unwrap();
                    std::fs::remove_file(&path).unwrap();
                    sleep(Duration::from_millis(1)).await;
                    let inside = spawn(async { descriptors_of_a_child() }).await.unwrap();
                    assert_eq!(inside, before, "opened here and seen by a child");
                    drop((near, far, udp, pair, by_path, accepted));
                });
                assert_eq!(rt.block_on(rt.spawn(async { 1 })).unwrap(), 1);
            }
        });
    });
}

/// Each knob at nothing, at one and at the most: a runtime that works, or a typed error that names the knob.
#[test]
fn c1_every_knob_at_its_extremes() {
    type Set = fn(&mut Builder, usize) -> &mut Builder;
    /// A knob, how to set it, and which of 0, 1 and the most is refused. The most is what its type holds.
    const KNOBS: [(&str, Set, [bool; 3]); 7] = [
        ("worker_threads", |builder, n| builder.worker_threads(n), [true, false, true]),
        ("max_blocking_threads", |builder, n| builder.max_blocking_threads(n), [true, false, false]),
        ("thread_stack_size", |builder, n| builder.thread_stack_size(n), [false, false, true]),
        ("event_interval", |builder, n| builder.event_interval(n as u32), [true, false, false]),
        ("global_queue_interval", |builder, n| builder.global_queue_interval(n as u32), [true, false, false]),
        ("max_io_events_per_tick", |builder, n| builder.max_io_events_per_tick(n), [true, false, true]),
        (
            "thread_keep_alive",
            |builder, n| {
                builder.thread_keep_alive(match n {
                    usize::MAX => Duration::MAX,
                    _ => Duration::from_nanos(n as u64),
                })
            },
            [false, false, false],
        ),
    ];
    watchdog(|watch| {
        for make in [Builder::new_current_thread, Builder::new_multi_thread] {
            for (knob, set, refused) in KNOBS {
                for (value, refused) in [0, 1, usize::MAX].into_iter().zip(refused) {
                    let mut builder = make();
                    builder.worker_threads(2);
                    let built = set(&mut builder, value).build();
                    if refused {
                        let error = built.err().unwrap_or_else(|| panic!("{knob} = {value} is accepted"));
                        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
                        assert!(error.to_string().contains(knob), "{error}");
                        continue;
                    }
                    let rt = built.unwrap_or_else(|error| panic!("{knob} = {value}: {error}"));
                    watch.add(&rt);
                    for n in 0..10 {
                        let sum = rt.block_on(async move {
                            sleep(Duration::from_micros(50)).await;
                            let job = crossover_runtime::spawn_blocking(move || n);
                            spawn(async move { n + job.await.unwrap() }).await.unwrap()
                        });
                        assert_eq!(sum, 2 * n, "{knob} = {value}");
                    }
                }
            }
        }
    });
}

/// The most workers that are allowed.
#[test]
fn c1_a_thousand_workers() {
    alone("limits::c1_a_thousand_workers", || {
        watchdog(|_| {
            let mut builder = Builder::new_multi_thread();
            let rt = builder.worker_threads(1024).thread_stack_size(64 << 10).build().unwrap();
            assert_eq!(rt.metrics().num_workers(), 1024);
            for n in 0..50 {
                assert_eq!(rt.block_on(rt.spawn(async move { n })).unwrap(), n);
            }
            drop(rt);
            assert_eq!(
                builder.worker_threads(1025).build().unwrap_err().kind(),
                std::io::ErrorKind::InvalidInput
            );
        });
    });
}

/// After each of many different ends: spawned = completed + cancelled, no task alive, no queue with anything in it, and
/// as many descriptors as before.
#[test]
fn after_shutdown_the_books_balance() {
    alone("limits::after_shutdown_the_books_balance", || {
        watchdog(|watch| {
            let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = descriptors();
            for round in 0..40_u64 {
                for rt in watch.both() {
                    let stop = Arc::new(AtomicBool::new(false));
                    let tasks = 10 + round;
                    for n in 0..tasks {
                        let stop = Arc::clone(&stop);
                        let task = rt.spawn(async move {
                            match n % 6 {
                                0 => {}
                                1 => pending().await,
                                2 => sleep(Duration::from_secs(3600)).await,
                                3 => {
                                    while !stop.load(Ordering::Relaxed) {
                                        yield_now().await;
                                    }
                                }
                                4 => {
                                    // An error when the runtime's end comes first.
                                    if let Ok((near, far)) = UnixStream::pair() {
                                        let _ = timeout(Duration::from_secs(3600), near.readable()).await;
                                        drop(far);
                                    }
                                }
                                _ => drop(crossover_runtime::spawn_blocking(|| ()).await),
                            }
                        });
                        if n % 7 == 0 {
                            task.abort();
                        }
                    }
                    rt.block_on(async {
                        for _ in 0..round {
                            yield_now().await;
                        }
                    });
                    let (handle, metrics) = (rt.handle().clone(), rt.metrics());
                    match round % 3 {
                        0 => assert_eq!(rt.shutdown_timeout(Duration::from_secs(1000)), 0),
                        1 => rt.shutdown_background(),
                        _ => drop(rt),
                    }
                    eventually("no task is alive", || metrics.num_alive_tasks() == 0);
                    // Refused: it does not count.
                    assert!(handle.spawn(async {}).is_finished());
                    assert_eq!(metrics.spawned_tasks_count(), tasks);
                    let ended = metrics.completed_tasks_count() + metrics.cancelled_tasks_count();
                    assert_eq!(ended, tasks, "{metrics:#?}");
                    eventually("the queues are empty", || {
                        metrics.global_queue_depth() == 0
                            && metrics.blocking_queue_depth() == 0
                            && (0..metrics.num_workers())
                                .all(|worker| metrics.worker_local_queue_depth(worker) == 0)
                    });
                }
                // The watch keeps the metrics of runtimes that are gone, which must not keep their descriptors.
                eventually("their threads are gone", || {
                    std::fs::read_dir("/proc/self/task").unwrap().count() <= 3
                });
            }
            drop(std::mem::take(&mut *watch.0.lock().unwrap()));
            assert_eq!(descriptors(), before);
        });
    });
}
