//! Every kind gives the same digests in blocking style, async, offloaded and in worker processes.
//!
//! Without libtest (`harness = false`): the worker processes are copies of this program, and start in its `main`.
//!
//! Kind `postgres` needs a server: where none is named, this program runs once more beside a private one, and without that
//! kind where none is installed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, ExitStatus};

use crossover_runtime::process_pool::{self, Blob, CallError, ProcessPool};
use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::task::JoinHandle;
use crossover_workloads::{
    Seen, Shipped, Spec, Value, Workload, WorkloadError, catalog, run_in_worker, server, ship_in_worker,
};

const TASKS: u32 = 6;

/// At least one spec for every kind, and for every path that a kind has.
fn specs(server: SocketAddr) -> Vec<Spec> {
    let cases: &[(&str, &[(&str, Value)])] = &[
        ("cpu", &[("kernel", Value::Text(String::new())), ("input_bytes", Value::Int(5000))]),
        ("mixed", &[("cpu_us", Value::Int(3)), ("wait_us", Value::Int(0))]),
        ("mixed", &[("cpu_us", Value::Int(0)), ("wait_us", Value::Int(300))]),
        ("mixed", &[("cpu_us", Value::Float(0.5)), ("wait_us", Value::Int(300))]),
        ("http", &[("delay_ms", Value::Float(0.5))]),
        ("http", &[("delay_ms", Value::Int(0))]),
        (
            "http",
            &[
                ("delay_ms", Value::Float(0.5)),
                ("delay_distribution", Value::Text("exponential".into())),
                ("capacity", Value::Int(2)),
                ("error_every", Value::Int(2)),
            ],
        ),
        ("gateway", &[("delay_ms", Value::Int(2)), ("backends", Value::Int(4))]),
        ("lines", &[("delay_ms", Value::Float(0.5)), ("lines", Value::Int(3))]),
        ("lines", &[("delay_ms", Value::Int(0)), ("lines", Value::Int(1000))]),
        ("scraper", &[("delay_ms", Value::Float(0.5)), ("page_bytes", Value::Int(50_000))]),
        ("echo", &[("round_trips", Value::Int(3))]),
        ("echo", &[("message_bytes", Value::Int(3_000_000))]),
        ("websocket", &[("delay_ms", Value::Float(0.5))]),
        ("websocket", &[("delay_ms", Value::Int(0)), ("message_bytes", Value::Int(100_000))]),
        ("file", &[("op", Value::Text("read".into())), ("file_bytes", Value::Int(100_000))]),
        ("file", &[("op", Value::Text("write".into()))]),
        ("file", &[("op", Value::Text("write".into())), ("sync", Value::Text("fsync".into()))]),
        ("sqlite", &[("op", Value::Text("read".into()))]),
        ("sqlite", &[("op", Value::Text("write".into()))]),
        ("queue", &[("messages", Value::Int(50)), ("wait_ms", Value::Float(0.5))]),
        ("queue", &[("messages", Value::Int(1000)), ("wait_ms", Value::Int(0))]),
        ("postgres", &[("delay_ms", Value::Int(2)), ("connections", Value::Int(3))]),
        ("postgres", &[("delay_ms", Value::Int(0))]),
        ("empty", &[]),
        ("idle", &[("wait_ms", Value::Int(5))]),
        ("idle", &[("wait_ms", Value::Int(0))]),
        ("payload", &[("in_bytes", Value::Int(1)), ("out_bytes", Value::Int(7))]),
        // Beyond what is copied into a message.
        ("payload", &[("in_bytes", Value::Int(300_000)), ("out_bytes", Value::Int(100_000))]),
        ("skewed", &[("cpu_us", Value::Int(3)), ("skew", Value::Int(2))]),
        ("blocker", &[("every", Value::Int(3)), ("block_ms", Value::Int(2)), ("wait_ms", Value::Int(1))]),
        ("blocker", &[("every", Value::Int(2)), ("block_ms", Value::Int(0)), ("wait_ms", Value::Int(0))]),
        ("crash", &[("every", Value::Int(0)), ("cpu_us", Value::Int(3))]),
        ("crash", &[("every", Value::Int(2)), ("cpu_us", Value::Int(3))]),
        ("crash", &[("every", Value::Int(1)), ("cpu_us", Value::Int(0))]),
        ("leak", &[("leak_bytes", Value::Int(100_000)), ("cpu_us", Value::Int(3))]),
        ("leak", &[("leak_bytes", Value::Int(0)), ("cpu_us", Value::Int(0))]),
    ];
    let mut specs = Vec::new();
    for (kind, params) in cases {
        let params: BTreeMap<_, _> =
            params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let spec = Spec {
            kind: (*kind).to_owned(),
            params,
            tasks: TASKS,
            seed: 0xC0FFEE,
            server: Workload::needs_server(kind).then_some(server),
            spin_per_us: Some(500.0),
        };
        if *kind == "cpu" {
            let kernels =
                match catalog::find("cpu").and_then(|kind| kind.param("kernel")).map(|info| info.value) {
                    Some(catalog::ParamKind::Choice(names)) => names,
                    other => panic!("{other:?}"),
                };
            for kernel in kernels {
                for lock_fraction in [0.0, 0.3, 1.0] {
                    let mut spec = spec.clone();
                    spec.params.insert("kernel".into(), Value::Text((*kernel).into()));
                    spec.params.insert("lock_fraction".into(), Value::Float(lock_fraction));
                    specs.push(spec);
                }
            }
        } else {
            specs.push(spec);
        }
    }
    for kind in catalog::KINDS {
        assert!(specs.iter().any(|spec| spec.kind == kind.name), "no spec for {}", kind.name);
    }
    specs
}

/// One task in blocking style. A planned crash has a digest too.
fn on_this_thread(workload: &Workload, task: u32) -> u64 {
    match catch_unwind(AssertUnwindSafe(|| workload.run_blocking(task))) {
        Ok(result) => result.expect("the task succeeds"),
        Err(payload) => workload.crashed(task, Seen::Panic(&*payload)).expect("a planned crash"),
    }
}

/// The same for a task of a runtime.
async fn joined(workload: &Workload, task: u32, handle: JoinHandle<Result<u64, WorkloadError>>) -> u64 {
    match handle.await.map_err(|error| error.try_into_panic().expect("nobody cancels it")) {
        Ok(Ok(digest)) => digest,
        Ok(Err(error)) => workload.crashed(task, Seen::Error(&error)).expect("a planned crash"),
        Err(payload) => workload.crashed(task, Seen::Panic(&*payload)).expect("a planned crash"),
    }
}

/// The same for a call of a worker process.
fn answered(workload: &Workload, task: u32, answer: Result<Result<Shipped, String>, CallError>) -> u64 {
    match answer {
        Ok(shipped) => workload.unpack(task, &shipped.expect("the task succeeds")),
        Err(CallError::WorkerDied { signal: Some(signal), .. }) => {
            workload.crashed(task, Seen::Signal(signal)).expect("a planned crash")
        }
        Err(error) => panic!("{error}"),
    }
}

/// All tasks at once on this runtime: async, and offloaded.
fn on_runtime(runtime: &Runtime, workload: &Workload) -> [Vec<u64>; 2] {
    runtime.block_on(async {
        let inline: Vec<_> = (0..TASKS)
            .map(|task| {
                let workload = workload.clone();
                crossover_runtime::spawn(async move { workload.run_async(task).await })
            })
            .collect();
        let offloaded: Vec<_> = (0..TASKS)
            .map(|task| {
                let workload = workload.clone();
                crossover_runtime::spawn(async move { workload.run_offloaded(task).await })
            })
            .collect();
        let mut digests = [Vec::new(), Vec::new()];
        for (handles, digests) in [inline, offloaded].into_iter().zip(&mut digests) {
            for (task, handle) in (0..).zip(handles) {
                digests.push(joined(workload, task, handle).await);
            }
        }
        digests
    })
}

fn styles_agree(spec: &Spec, runtimes: &[(&str, Runtime)], pool: &ProcessPool) {
    let workload = Workload::prepare(spec).unwrap();
    let blocking: Vec<u64> = (0..TASKS).map(|task| on_this_thread(&workload, task)).collect();
    let mut distinct = blocking.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), TASKS as usize, "digests depend on the task: {spec:?}");

    let mut reseeded = spec.clone();
    reseeded.seed += 1;
    let reseeded = Workload::prepare(&reseeded).unwrap();
    assert_ne!(on_this_thread(&reseeded, 0), blocking[0], "digests depend on the seed: {spec:?}");

    for (flavour, runtime) in runtimes {
        let [inline, offloaded] = on_runtime(runtime, &workload);
        assert_eq!(inline, blocking, "async on {flavour}: {spec:?}");
        assert_eq!(offloaded, blocking, "offloaded on {flavour}: {spec:?}");
    }

    let [called, shipped] = in_workers(spec, &workload, &runtimes[0].1, pool);
    assert_eq!(called, blocking, "in worker processes: {spec:?}");
    assert_eq!(shipped, blocking, "shipped to worker processes: {spec:?}");
}

/// All tasks at once in worker processes: called, and sent what they need. What is not shipped may be asked for the same
/// way.
fn in_workers(spec: &Spec, workload: &Workload, runtime: &Runtime, pool: &ProcessPool) -> [Vec<u64>; 2] {
    runtime.block_on(async {
        // All calls are on their way before the first answer is awaited.
        let calls: Vec<_> = (0..TASKS).map(|task| pool.call(run_in_worker, (spec.clone(), task))).collect();
        let ship = |task| {
            let message = workload.shipment(task).unwrap_or_default();
            pool.call(ship_in_worker, (spec.clone(), task, message))
        };
        let shipments: Vec<_> = (0..TASKS).map(ship).collect();
        let mut digests = [Vec::new(), Vec::new()];
        for (task, call) in (0..).zip(calls) {
            let answer =
                call.await.map(|digest| digest.map(|part| Shipped { part, answer: Blob::default() }));
            // Only what is shipped is made a digest of by the caller.
            digests[0].push(match answer {
                Ok(Ok(shipped)) => shipped.part,
                other => answered(workload, task, other),
            });
        }
        for (task, call) in (0..).zip(shipments) {
            digests[1].push(answered(workload, task, call.await));
        }
        digests
    })
}

/// A wrong spec or task is an error of the job, in words; the worker lives on.
fn workers_explain_what_they_refuse(good: &Spec, runtime: &Runtime, pool: &ProcessPool) {
    let pids = pool.worker_pids();
    let mut bad = good.clone();
    bad.kind = "gpu".into();
    let error = runtime.block_on(pool.call(run_in_worker, (bad, 0))).unwrap().unwrap_err();
    assert!(error.contains("unknown workload kind `gpu`; known: http, cpu, mixed"), "{error}");
    let error = runtime.block_on(pool.call(run_in_worker, (good.clone(), TASKS))).unwrap().unwrap_err();
    assert!(error.contains("task 6 does not exist"), "{error}");
    assert_eq!(pool.worker_pids(), pids);
}

/// A worker's death is that of one task: those behind it in its pipe run elsewhere, and each victim costs one process.
fn a_death_hurts_nobody_else(runtime: &Runtime) {
    const MANY: u32 = 600;
    let params = [("every".to_owned(), Value::Int(7)), ("cpu_us".to_owned(), Value::Int(1))].into();
    let kind = "crash".to_owned();
    let spec = Spec { kind, params, tasks: MANY, seed: 3, server: None, spin_per_us: Some(100.0) };
    let workload = Workload::prepare(&spec).unwrap();
    let pool = ProcessPool::builder().workers(2).queue_limit(MANY as usize).build().unwrap();
    runtime.block_on(async {
        let calls: Vec<_> = (0..MANY).map(|task| pool.call(run_in_worker, (spec.clone(), task))).collect();
        for (task, call) in (0..).zip(calls) {
            let whole = workload.crashed(task, Seen::Signal(6)).is_none();
            match call.await {
                Ok(digest) => assert_eq!(digest, Ok(on_this_thread(&workload, task)), "task {task}"),
                Err(error) => assert!(!whole && error.is_worker_died(), "task {task}: {error}"),
            }
        }
    });
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.failed), (u64::from(MANY - MANY / 7), u64::from(MANY / 7)));
    assert_eq!(metrics.deaths, u64::from(MANY / 7), "{metrics:?}");
}

/// Futures of tasks can be spawned on any runtime that moves tasks between threads.
fn futures_are_send(workload: &Workload) {
    fn send<T: Send>(_: T) {}
    send(workload.run_async(0));
    send(workload.run_offloaded(0));
}

/// What `scripts/postgres.sh` ends with where no server is installed.
const NOT_INSTALLED: i32 = 77;

/// Runs this program beside a private PostgreSQL server, if one is installed: how it ended.
fn beside_postgres() -> Option<ExitStatus> {
    let program = std::env::current_exe().expect("this program has a path");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres.sh");
    let status = Command::new(script).arg(program).status().expect("the script starts");
    (status.code() != Some(NOT_INSTALLED)).then_some(status)
}

fn main() -> ExitCode {
    process_pool::worker_entry();
    let postgres = std::env::var_os("CROSSOVER_POSTGRES").is_some();
    if !postgres && let Some(status) = beside_postgres() {
        return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }

    let host = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let specs = specs(listener.local_addr().unwrap());
    drop(host.spawn(server::serve(listener)));

    let runtimes = [
        ("multi-thread", Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
        ("current-thread", Builder::new_current_thread().enable_all().build().unwrap()),
    ];
    let pool = ProcessPool::builder().workers(2).build().unwrap();
    for spec in &specs {
        if spec.kind == "postgres" && !postgres {
            println!("skipped, because no PostgreSQL server is installed: {:?}", spec.params);
            continue;
        }
        styles_agree(spec, &runtimes, &pool);
        println!("digests of {} {:?} agree", spec.kind, spec.params);
    }
    workers_explain_what_they_refuse(&specs[0], &runtimes[0].1, &pool);
    a_death_hurts_nobody_else(&runtimes[0].1);
    futures_are_send(&Workload::prepare(&specs[0]).unwrap());
    ExitCode::SUCCESS
}
