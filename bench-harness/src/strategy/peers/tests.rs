//! Peers do the work that the oracle does, and fail as ours do.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::catalog::{self, KindInfo};
use crossover_workloads::{AsyncRuntime, Spec, Value, Workload, WorkloadError, server};

use super::smol::{OnSmol, Smol};
use super::tokio::{Current, OnTokio};
use super::*;
use crate::strategy::SEQUENTIAL;
use crate::strategy::start as start_any;

const TASKS: u32 = 9;

/// The test server on a runtime of its own.
struct Server {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        drop(runtime.spawn(server::serve(listener)));
        Self { address, _runtime: runtime }
    }
}

/// Parameters that make work small, in whatever kind they are.
const SMALL: &[(&str, f64)] = &[
    ("cpu_us", 10.0),
    ("delay_ms", 0.5),
    ("input_bytes", 1024.0),
    ("messages", 5.0),
    ("rows", 100.0),
    ("wait_ms", 1.0),
    ("wait_us", 200.0),
];

/// Work of a kind, made small.
fn job(kind: &KindInfo, server: SocketAddr) -> Result<Job, String> {
    let mut params = BTreeMap::new();
    for &(name, value) in SMALL.iter().filter(|(name, _)| kind.param(name).is_some()) {
        let value = if value.fract() == 0.0 { Value::Int(value as i64) } else { Value::Float(value) };
        params.insert(name.to_owned(), value);
    }
    Job::prepare(Spec {
        kind: kind.name.to_owned(),
        params,
        tasks: TASKS,
        seed: 11,
        server: Some(server),
        spin_per_us: Some(50.0),
    })
}

fn http(server: SocketAddr) -> Job {
    job(catalog::find("http").unwrap(), server).unwrap()
}

fn start_peer(name: &str, workers: u32) -> Box<dyn Strategy> {
    start(name, workers).unwrap_or_else(|| panic!("{name} is no peer")).unwrap()
}

#[test]
fn every_peer_comes_to_the_oracles_checksum_in_every_kind() {
    let server = Server::start();
    for kind in catalog::KINDS {
        if Workload::available(kind.name).is_err() {
            // It needs a server of somebody else's.
            continue;
        }
        let job = job(kind, server.address).unwrap_or_else(|reason| panic!("{}: {reason}", kind.name));
        let oracle = start_any(SEQUENTIAL, 1).unwrap().run(&job).unwrap();
        for (peer, workers) in PEERS.iter().flat_map(|peer| [(peer, 1), (peer, 3)]) {
            let mut strategy = start_peer(peer.name, workers);
            // Once with new connections, once with those that were kept.
            for run in 0..2 {
                assert_eq!(strategy.run(&job), Ok(oracle), "{} on {}, run {run}", kind.name, peer.name);
            }
        }
    }
}

#[test]
fn a_work_outlives_the_strategies_that_ran_it() {
    let server = Server::start();
    let job = http(server.address);
    let oracle = start_any(SEQUENTIAL, 1).unwrap().run(&job);
    for _ in 0..2 {
        for peer in PEERS {
            // Connections that an earlier runtime left behind are of no use to this one.
            assert_eq!(start_peer(peer.name, 2).run(&job), oracle, "{}", peer.name);
        }
    }
}

#[test]
fn every_peer_has_limits_and_is_no_strategy_of_ours() {
    for peer in PEERS {
        assert!(limits(peer.name, 7).is_some(), "{}", peer.name);
        assert_eq!(limits(peer.name, 7).unwrap().workers, if peer.workers.is_some() { 7 } else { 1 });
        assert!(!crate::strategy::BUILT_IN.iter().any(|ours| ours.name == peer.name));
        assert!(peer.about.starts_with("peer: "), "{}", peer.name);
    }
    assert!(start("threads", 1).is_none() && limits("threads", 1).is_none());
}

#[test]
fn a_server_that_is_gone_fails_a_task_by_its_number() {
    let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let job = http(address);
    drop(listener);
    for peer in PEERS {
        let error = start_peer(peer.name, 2).run(&job).unwrap_err();
        assert!(error.starts_with("task 0: ") && error.contains("no answer"), "{}: {error}", peer.name);
    }
}

/// A task that panics, then one that does not.
async fn panics_stay_with_their_tasks<P: Peer>(peer: &P) {
    async fn panic() -> Result<u64, WorkloadError> {
        panic!("out of luck")
    }
    let error = peer.spawn(panic()).await.unwrap_err().to_string();
    assert!(error.contains("panicked"), "{error}");
    assert_eq!(peer.spawn(async { Ok(7) }).await.unwrap().unwrap(), 7);
}

#[test]
fn a_panic_stays_with_its_task() {
    let runtime = tokio_runtime();
    runtime.block_on(panics_stay_with_their_tasks(&Current));
    let smol = Smol::start(1).unwrap();
    async_io::block_on(panics_stay_with_their_tasks(&smol));
}

fn tokio_runtime() -> ::tokio::runtime::Runtime {
    ::tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// What tasks ask of a runtime.
async fn services<R: AsyncRuntime>() {
    let wait = Duration::from_millis(3);
    let started = Instant::now();
    R::sleep(wait).await;
    assert!(started.elapsed() >= wait);
    assert_eq!(R::timeout(Duration::from_hours(1), async { 5 }).await, Some(5));
    assert_eq!(R::timeout(wait, std::future::pending::<()>()).await, None);
    assert_eq!(R::unblock(|| 6).await, Ok(6));
    let error = R::unblock(|| -> u32 { panic!("out of luck") }).await.unwrap_err();
    assert!(error.contains("panicked"), "{error}");
    assert!(R::id() == R::id());
    let folder = tempfile::tempdir().unwrap();
    for sync in [false, true] {
        let path = folder.path().join("file");
        R::write_file(path.clone(), vec![7; 9000], sync).await.unwrap();
        assert_eq!(R::read_file(path).await.unwrap(), vec![7; 9000]);
    }
    assert!(R::read_file(folder.path().join("none")).await.is_err());
    let refused = R::connect(SocketAddr::from(([127, 0, 0, 1], 1))).await;
    assert!(refused.is_err());
}

#[test]
fn runtimes_keep_what_they_promise() {
    tokio_runtime().block_on(services::<OnTokio>());
    async_io::block_on(services::<OnSmol>());
}

/// Bytes there and back through the traits of futures-io, which kinds without hyper use.
async fn echo<R: AsyncRuntime>(address: SocketAddr) -> Vec<u8> {
    use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = R::connect(address).await.unwrap();
    stream.write_all(b"GET /stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[test]
fn streams_read_and_write() {
    let server = Server::start();
    let answers = [
        tokio_runtime().block_on(echo::<OnTokio>(server.address)),
        async_io::block_on(echo::<OnSmol>(server.address)),
    ];
    for answer in answers {
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn dropping_a_peer_ends_its_threads() {
    let count = || std::fs::read_dir("/proc/self/task").unwrap().count();
    // Threads of other tests come and go beside this one, and rayon's end after their pool has: what counts is that
    // repeating leaves no more than a few.
    let many = 200;
    let before = count();
    for _ in 0..many {
        for peer in PEERS {
            drop(start_peer(peer.name, 2));
        }
    }
    let started = Instant::now();
    while count() >= before + many {
        assert!(started.elapsed() < Duration::from_secs(60), "{before} threads before, {} after", count());
        std::thread::yield_now();
    }
}
