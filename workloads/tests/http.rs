//! Both HTTP clients against our server, and against servers that do wrong.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::{Spec, Value, Workload, WorkloadError};
use support::{LOOPBACK, raw, runtime, start};

fn workload(server: SocketAddr, tasks: u32, delay_ms: f64) -> Workload {
    let params = BTreeMap::from([("delay_ms".to_owned(), Value::Float(delay_ms))]);
    let spec = Spec { kind: "http".into(), params, tasks, seed: 42, server: Some(server), spin_per_us: None };
    Workload::prepare(&spec).unwrap()
}

/// Every task of the workload at once, each in a task of `runtime`.
fn all_async(runtime: &Runtime, workload: &Workload) -> Vec<Result<u64, WorkloadError>> {
    let handles: Vec<_> = (0..workload.tasks())
        .map(|task| {
            let workload = workload.clone();
            runtime.spawn(async move { workload.run_async(task).await })
        })
        .collect();
    runtime.block_on(async {
        let mut results = Vec::new();
        for handle in handles {
            results.push(handle.await.unwrap());
        }
        results
    })
}

/// Every task of the workload at once, each in a thread.
fn all_threads(workload: &Workload) -> Vec<Result<u64, WorkloadError>> {
    thread::scope(|scope| {
        let handles: Vec<_> =
            (0..workload.tasks()).map(|task| scope.spawn(move || workload.run_blocking(task))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

fn digests(results: Vec<Result<u64, WorkloadError>>) -> Vec<u64> {
    results.into_iter().map(|result| result.unwrap()).collect()
}

#[test]
fn both_clients_read_the_same_answers() {
    let server = start();
    let runtime = runtime();
    let workload = workload(server.address, 32, 2.0);
    let blocking = digests(all_threads(&workload));
    assert_eq!(digests(all_async(&runtime, &workload)), blocking);
    let offloaded = (0..32).map(|task| runtime.block_on(workload.run_offloaded(task)));
    assert_eq!(digests(offloaded.collect()), blocking);
    let mut different = blocking;
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 32);
}

#[test]
fn the_async_client_keeps_connections_alive() {
    let server = start();
    let runtime = runtime();
    let workload = workload(server.address, 8, 0.0);
    for _ in 0..10 {
        for task in 0..8 {
            runtime.block_on(workload.run_async(task)).unwrap();
        }
    }
    assert_eq!((server.stats.connections(), server.stats.requests()), (1, 80));
    for _ in 0..10 {
        digests(all_async(&runtime, &workload));
    }
    assert_eq!(server.stats.requests(), 160);
    assert!(server.stats.connections() <= 8, "{} connections", server.stats.connections());
}

#[test]
fn the_blocking_client_keeps_connections_alive() {
    let server = start();
    let workload = workload(server.address, 8, 0.0);
    for _ in 0..10 {
        for task in 0..8 {
            workload.run_blocking(task).unwrap();
        }
    }
    assert_eq!((server.stats.connections(), server.stats.requests()), (1, 80));
    for _ in 0..10 {
        digests(all_threads(&workload));
    }
    assert_eq!(server.stats.requests(), 160);
    assert!(server.stats.connections() <= 8, "{} connections", server.stats.connections());
}

/// The clients of a workload outlive the runtime that opened their connections.
#[test]
fn the_async_client_survives_its_runtime() {
    let server = start();
    let workload = workload(server.address, 1, 0.0);
    let first = runtime().block_on(workload.run_async(0)).unwrap();
    let second = runtime().block_on(workload.run_async(0)).unwrap();
    assert_eq!(first, second);
}

/// A connection is of no use to another runtime while its own is not running.
#[test]
fn runtimes_do_not_share_connections() {
    let server = start();
    let workload = workload(server.address, 1, 0.0);
    let resting = Builder::new_current_thread().enable_all().build().unwrap();
    let other = runtime();
    for _ in 0..3 {
        resting.block_on(workload.run_async(0)).unwrap();
        other.block_on(workload.run_async(0)).unwrap();
    }
    assert_eq!((server.stats.connections(), server.stats.requests()), (2, 6));
}

#[test]
fn a_dropped_request_leaves_nothing_for_the_next_one() {
    let server = start();
    let runtime = runtime();
    let slow = workload(server.address, 2, 60_000.0);
    let request = runtime.spawn({
        let slow = slow.clone();
        async move { slow.run_async(0).await }
    });
    // The request has arrived, so the connection is in use.
    while server.stats.requests() == 0 {
        thread::yield_now();
    }
    request.abort();
    assert!(runtime.block_on(request).is_err());
    let quick = workload(server.address, 2, 0.0);
    assert!(runtime.block_on(quick.run_async(1)).is_ok());
}

/// Reads one request from a stream: everything up to the empty line.
fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A server that answers the first request of each of `connections` connections with these bytes, and closes.
fn canned(answer: Vec<u8>, connections: usize) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            // A client may close as soon as it has seen enough.
            let _ = stream.write_all(&answer);
        }
    });
    address
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What each client makes of this answer.
fn both(answer: &[u8]) -> [WorkloadError; 2] {
    let workload = workload(canned(answer.to_vec(), 2), 1, 0.0);
    let blocking = workload.run_blocking(0).unwrap_err();
    [blocking, runtime().block_on(workload.run_async(0)).unwrap_err()]
}

#[test]
fn a_status_other_than_200_is_an_error() {
    for status in [204, 302, 404, 500] {
        let answer = format!(
            "HTTP/1.1 {status} X\r\nlocation: /\r\n{}\r\n",
            if status == 204 { "" } else { "content-length: 0\r\n" }
        );
        for error in both(answer.as_bytes()) {
            assert!(
                matches!(error, WorkloadError::Status { task: 0, status: s, .. } if s == status),
                "{error}"
            );
            assert!(error.is_server() && !error.is_spec());
        }
    }
}

#[test]
fn a_wrong_body_is_an_error_that_shows_it() {
    let other_task = "28efe333b266f103";
    for body in ["", "hello", "+8efe333b266f103", "zzzzzzzzzzzzzzzz", other_task, "bdd732262feb6e95\n"] {
        for error in both(&ok(body)) {
            assert!(matches!(error, WorkloadError::Body { .. }), "{body:?}: {error}");
            let text = error.to_string();
            assert!(text.contains(&format!("{body:?}")) && text.contains("bdd732262feb6e95"), "{text}");
        }
    }
}

#[test]
fn an_endless_body_is_cut_off() {
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 1 << 20]].concat();
    for error in both(&endless) {
        assert!(matches!(error, WorkloadError::Body { .. }), "{error}");
        assert!(error.to_string().contains("longer than 1024 bytes"), "{error}");
    }
}

#[test]
fn no_answer_is_an_error_that_names_the_server() {
    for answer in [&b""[..], b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\nbdd7"] {
        for error in both(answer) {
            assert!(matches!(error, WorkloadError::Transport { .. }), "{answer:?}: {error}");
        }
    }
    // A port that was free a moment ago.
    let address = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
    let workload = workload(address, 1, 0.0);
    let errors =
        [workload.run_blocking(0).unwrap_err(), runtime().block_on(workload.run_async(0)).unwrap_err()];
    for error in errors {
        assert!(matches!(error, WorkloadError::Transport { .. }), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

/// The server closes each connection after one answer without saying so. Both clients open another one.
#[test]
fn a_connection_that_was_closed_while_idle_is_replaced() {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, on_close) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().take(6) {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            stream.write_all(&ok("bdd732262feb6e95")).unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
    });
    let workload = workload(address, 1, 0.0);
    let runtime = runtime();
    for _ in 0..3 {
        assert_eq!(workload.run_blocking(0).unwrap(), 0xbdd7_3226_2feb_6e95);
        on_close.recv().unwrap();
    }
    for _ in 0..3 {
        assert_eq!(runtime.block_on(workload.run_async(0)).unwrap(), 0xbdd7_3226_2feb_6e95);
        on_close.recv().unwrap();
    }
}

#[test]
fn the_server_explains_what_it_refuses() {
    let server = start();
    for (request, status, part) in [
        ("GET /delay?us=0&n=0&seed=42", 200, "bdd732262feb6e95"),
        ("GET /delay?us=0&n=0", 400, "seed is missing"),
        ("GET /delay", 400, "us is missing"),
        ("POST /delay?us=0&n=0&seed=42", 405, "only GET"),
        ("GET /", 404, "there is no /; try /delay"),
        ("GET /stats", 200, "{\"connections\":6,\"requests\":3}"),
    ] {
        let answer = raw(server.address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(part), "{request}: {answer}");
    }
}

#[test]
fn both_clients_send_the_same_request() {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let address = listener.local_addr().unwrap();
    let reader = thread::spawn(move || {
        let mut requests = Vec::new();
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            requests.push(read_request(&mut stream).to_ascii_lowercase());
            stream.write_all(&ok("bdd732262feb6e95")).unwrap();
        }
        requests
    });
    let workload = workload(address, 1, 1.5);
    workload.run_blocking(0).unwrap();
    runtime().block_on(workload.run_async(0)).unwrap();
    let expected = format!("get /delay?us=1500&n=0&seed=42 http/1.1\r\nhost: {address}\r\n\r\n");
    assert_eq!(reader.join().unwrap(), [expected.clone(), expected]);
}
