//! The stall detector and the trace, from outside. Tasks that stall wait for events, or sleep for many times the
//! threshold; nothing here depends on a short poll being fast.

use crossover_runtime::runtime::{Builder, Runtime, RuntimeMetrics, Span, Stall, Trace};
use crossover_runtime::task::{JoinSet, yield_now};
use crossover_runtime::{spawn, spawn_blocking, time};
use serde_json::Value;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(30);

/// A runtime of each flavour that reports stalls of 10 ms, the default, with its reports.
fn both() -> [(Runtime, Receiver<Stall>); 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
        let (report, reports) = channel();
        let report = move |stall: &Stall| drop(report.send(stall.clone()));
        (builder.worker_threads(2).on_stall(report).build().unwrap(), reports)
    })
}

/// Blocks its worker for many thresholds.
fn stall() {
    thread::sleep(100 * MS);
}

fn long_polls(metrics: &RuntimeMetrics) -> u64 {
    (0..metrics.num_workers()).map(|worker| metrics.worker_long_poll_count(worker)).sum()
}

#[test]
fn a_poll_that_blocks_is_reported_with_the_place_of_its_spawn() {
    for (rt, reports) in both() {
        let (line, task) = (line!(), rt.spawn(async { stall() }));
        let id = task.id();
        rt.block_on(task).unwrap();
        let stall = reports.recv_timeout(LONG).unwrap();
        assert_eq!((stall.spawned_at().file(), stall.spawned_at().line()), (file!(), line));
        assert_eq!(stall.task(), Some(id));
        assert!(stall.worker() < rt.metrics().num_workers());
        assert!(stall.is_over());
        // It may be seen a tick late, but never as longer than it was, plus what the machine took.
        assert!((50 * MS..LONG).contains(&stall.duration()), "{stall}");
        assert!(stall.to_string().contains("observe.rs"), "{stall}");
        assert_eq!(long_polls(&rt.metrics()), 1);
    }
}

#[test]
fn a_place_is_reported_once_and_its_stalls_are_all_counted() {
    for (rt, reports) in both() {
        for _ in 0..3 {
            rt.block_on(async { spawn(async { stall() }).await.unwrap() });
        }
        rt.block_on(async { spawn(async { stall() }).await.unwrap() });
        let metrics = rt.metrics();
        // The worker counts after the task's end was told to who awaits it.
        drop(rt);
        assert_eq!(long_polls(&metrics), 4);
        drop(metrics);
        let lines: Vec<_> = reports.iter().map(|stall| stall.spawned_at().line()).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_ne!(lines[0], lines[1]);
    }
}

#[test]
fn a_poll_that_goes_on_is_reported_before_its_end() {
    let (report, reports) = channel();
    let rt = Builder::new_multi_thread()
        .worker_threads(1)
        .on_stall(move |stall| report.send(stall.clone()).unwrap())
        .build()
        .unwrap();
    // The poll ends only after it was reported.
    let task = rt.spawn(async move { reports.recv_timeout(LONG).unwrap() });
    let stall = rt.block_on(task).unwrap();
    assert!(!stall.is_over());
    assert!(stall.duration() >= Duration::from_secs(1), "{stall}");
    assert!(stall.to_string().contains("has been polled"), "{stall}");
    drop(rt);
}

#[test]
fn what_yields_or_blocks_elsewhere_is_no_stall() {
    for (rt, reports) in both() {
        rt.block_on(async {
            let yields = spawn(async {
                for _ in 0..50 {
                    thread::sleep(MS);
                    yield_now().await;
                }
            });
            let blocks = spawn_blocking(stall);
            let sleeps = spawn(time::sleep(50 * MS));
            yields.await.unwrap();
            blocks.await.unwrap();
            sleeps.await.unwrap();
        });
        drop(rt);
        // A sleep of 1 ms may take 10 times that on a machine that is busy; the others never run on a worker.
        for stall in reports.iter() {
            assert!(stall.duration() >= 10 * MS, "{stall}");
            assert!(stall.spawned_at().line() > line!() - 20, "{stall}");
        }
    }
}

#[test]
fn spawns_by_any_road_have_their_callers_place() {
    for (rt, reports) in both() {
        let first = line!();
        rt.block_on(async {
            let handle = crossover_runtime::runtime::Handle::current();
            handle.spawn(async { stall() }).await.unwrap();
            let mut set = JoinSet::new();
            set.spawn(async { stall() });
            set.spawn_on(async { stall() }, &handle);
            while set.join_next().await.is_some() {}
        });
        let lines = first + 1..line!();
        drop(rt);
        let places: HashSet<_> = reports.iter().map(|stall| stall.spawned_at().line()).collect();
        assert_eq!(places.len(), 3, "{places:?}");
        assert!(places.iter().all(|line| lines.contains(line)), "{places:?} are not in {lines:?}");
    }
}

#[test]
fn the_future_of_a_current_threads_block_on_is_watched_too() {
    let [(rt, reports), _] = both();
    let line = line!() + 1;
    rt.block_on(async { stall() });
    let stall = reports.recv_timeout(LONG).unwrap();
    assert_eq!((stall.spawned_at().line(), stall.task()), (line, None));
}

#[test]
fn a_stall_after_a_long_sleep_is_seen() {
    for (rt, reports) in both() {
        // All workers are parked for a while, and the detector with them.
        rt.block_on(async { time::sleep(150 * MS).await });
        rt.block_on(async { spawn(async { stall() }).await.unwrap() });
        reports.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn a_callback_that_panics_harms_nothing() {
    let rt =
        Builder::new_multi_thread().worker_threads(1).on_stall(|_| panic!("the callback")).build().unwrap();
    rt.block_on(async {
        spawn(async { stall() }).await.unwrap();
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    let metrics = rt.metrics();
    drop(rt);
    assert_eq!(long_polls(&metrics), 1);
}

/// As on a worker: here it is the detector's thread, as the poll goes on until the callback's task has run.
#[test]
fn a_callback_may_spawn() {
    let (report, reports) = channel();
    let rt = Builder::new_multi_thread()
        .worker_threads(2)
        .on_stall(move |stall| {
            let (report, stall) = (report.clone(), stall.clone());
            drop(spawn(async move { report.send(stall).unwrap() }));
        })
        .build()
        .unwrap();
    let task = rt.spawn(async move { reports.recv_timeout(LONG).unwrap() });
    assert!(!rt.block_on(task).unwrap().is_over());
}

/// Its end would have to wait for the callback. The poll goes on until the callback has ended.
#[test]
fn a_callback_that_drops_its_runtime_panics() {
    let (report, reports) = channel();
    let (give, given) = channel::<Runtime>();
    let given = Mutex::new(given);
    let rt = Builder::new_multi_thread()
        .worker_threads(1)
        .on_stall(move |stall| {
            assert!(!stall.is_over());
            let rt = given.lock().unwrap().recv().unwrap();
            report.send(catch_unwind(AssertUnwindSafe(|| drop(rt))).is_err()).unwrap();
        })
        .build()
        .unwrap();
    let (end, ending) = channel();
    drop(rt.spawn(async move { end.send(reports.recv_timeout(LONG)).unwrap() }));
    give.send(rt).unwrap();
    assert_eq!(ending.recv().unwrap(), Ok(true));
}

#[test]
fn a_threshold_out_of_range_is_refused_by_name() {
    for threshold in [Duration::ZERO, 999 * Duration::from_micros(1), Duration::MAX] {
        let error = Builder::new_multi_thread().stall_threshold(threshold).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("stall_threshold"), "{error}");
    }
}

#[test]
fn without_the_detector_nothing_is_counted() {
    let rt = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    rt.block_on(async { spawn(async { stall() }).await.unwrap() });
    let metrics = rt.metrics();
    drop(rt);
    assert_eq!(long_polls(&metrics), 0);
}

/// The events of a trace, after a look at the format's rules.
fn chrome_events(trace: &Trace) -> Vec<Value> {
    let mut json = Vec::new();
    trace.write_chrome_json(&mut json).unwrap();
    let value: Value = serde_json::from_slice(&json).unwrap();
    let events = value["traceEvents"].as_array().unwrap().clone();
    for event in &events {
        assert!(event["pid"].is_u64() && event["tid"].is_u64() && event["name"].is_string(), "{event}");
        match event["ph"].as_str().unwrap() {
            "M" => assert!(event["args"]["name"].is_string(), "{event}"),
            "X" => assert!(event["ts"].as_f64().unwrap() >= 0.0 && event["dur"].as_f64().unwrap() >= 0.0),
            other => panic!("{other} in {event}"),
        }
    }
    events
}

#[test]
fn a_trace_tells_which_worker_polled_which_task_when() {
    for (rt, _) in both() {
        let recorder = rt.handle().record().unwrap();
        let (line, task) = (line!(), rt.spawn(async { (0..3).for_each(|_| thread::sleep(MS)) }));
        let id = task.id();
        rt.block_on(task).unwrap();
        rt.block_on(async { spawn(time::sleep(5 * MS)).await.unwrap() });
        let trace = recorder.stop();
        assert_eq!((trace.lost(), trace.num_workers()), (0, rt.metrics().num_workers()));
        let mut polled: Vec<Span> = Vec::new();
        for worker in 0..trace.num_workers() {
            let mut end = Duration::ZERO;
            for span in trace.spans(worker) {
                assert!(span.start() >= end, "a worker does one thing at a time: {span:?} before {end:?}");
                end = span.start() + span.duration();
                assert!(end <= trace.duration());
                polled.extend((span.task() == Some(id)).then_some(*span));
            }
        }
        assert_eq!(polled.len(), 1, "{polled:?}");
        assert!(polled[0].duration() >= 3 * MS);
        assert_eq!(polled[0].spawned_at().unwrap().line(), line);
        let events = chrome_events(&trace);
        let named = format!("{}:{line}", file!());
        assert!(events.iter().any(|event| event["name"] == named.as_str() && event["cat"] == "poll"));
        assert!(events.iter().any(|event| event["cat"] == "park"), "the runtime slept for 5 ms");
    }
}

#[test]
fn one_recorder_at_a_time_and_a_dropped_one_makes_room() {
    let rt = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let first = rt.handle().record().unwrap();
    let error = rt.handle().record().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    drop(first);
    let second = rt.handle().record_at_most(1).unwrap();
    rt.block_on(async {
        for _ in 0..10 {
            spawn(yield_now()).await.unwrap();
        }
    });
    let trace = second.stop();
    assert!(trace.lost() > 0 && (0..2).all(|worker| trace.spans(worker).len() <= 1), "{trace:?}");
    drop(chrome_events(&trace));
}

/// Whoever stops takes what belongs to its own recording, also where the next one begins in the same moment.
#[test]
fn a_recording_that_begins_while_another_ends_is_whole() {
    let rt = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut recorded = 0;
                while recorded < 2000 {
                    let Ok(recorder) = rt.handle().record() else { continue };
                    recorded += 1;
                    assert_eq!(recorder.stop().num_workers(), 2);
                }
            });
        }
    });
}

#[test]
fn a_recorder_may_outlive_its_runtime() {
    let rt = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let recorder = rt.handle().record().unwrap();
    rt.block_on(async { spawn(async {}).await.unwrap() });
    drop(rt);
    let trace = recorder.stop();
    assert!((0..2).any(|worker| trace.spans(worker).iter().any(|span| span.task().is_some())));
}

#[test]
fn schedules_are_counted_where_they_happen() {
    for (rt, _reports) in both() {
        let (send, receive) = futures::channel::oneshot::channel::<()>();
        let waits = rt.spawn(receive);
        rt.block_on(async {
            // Woken on a worker, by a task that was spawned on one.
            spawn(async { spawn(time::sleep(MS)).await.unwrap() }).await.unwrap();
        });
        let metrics = rt.metrics();
        let workers = 0..metrics.num_workers();
        let local: u64 = workers.clone().map(|worker| metrics.worker_local_schedule_count(worker)).sum();
        let woken: u64 = workers.map(|worker| metrics.worker_wake_count(worker)).sum();
        // The timer woke the sleeper, and its end its parent.
        assert!(woken >= 2 && local > woken, "{local} {woken}");
        let before = metrics.remote_schedule_count();
        assert!(before >= 1, "spawned outside");
        send.send(()).unwrap();
        assert_eq!(metrics.remote_schedule_count(), before + 1, "woken outside");
        rt.block_on(waits).unwrap().unwrap();
    }
}
