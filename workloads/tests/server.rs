//! The test server beyond plain delays: capacity, refusals, streams, and two protocols on one port.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crossover_runtime::runtime::Builder;
use crossover_workloads::{Spec, Value, Workload};
use support::{raw, start};

fn workload(server: SocketAddr, kind: &str, tasks: u32, params: &[(&str, Value)]) -> Workload {
    let params: BTreeMap<_, _> =
        params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let spec = Spec { kind: kind.into(), params, tasks, seed: 42, server: Some(server), spin_per_us: None };
    Workload::prepare(&spec).unwrap()
}

/// Every task at once, each in a thread; how long all of them took.
fn all(workload: &Workload) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for task in 0..workload.tasks() {
            scope.spawn(move || workload.run_blocking(task).unwrap());
        }
    });
    start.elapsed()
}

#[test]
fn a_full_server_makes_requests_wait() {
    let server = start();
    let delay = ("delay_ms", Value::Int(20));
    let one = workload(server.address, "http", 4, &[delay.clone(), ("capacity", Value::Int(1))]);
    assert!(all(&one) >= Duration::from_millis(80), "one at a time");
    let two = workload(server.address, "http", 4, &[delay, ("capacity", Value::Int(2))]);
    assert!(all(&two) >= Duration::from_millis(40), "two at a time");
}

#[test]
fn what_is_refused_is_sent_once_more() {
    let server = start();
    let workload =
        workload(server.address, "http", 6, &[("delay_ms", Value::Int(0)), ("error_every", Value::Int(3))]);
    for task in 0..6 {
        workload.run_blocking(task).unwrap();
    }
    assert_eq!(server.stats.requests(), 8, "tasks 2 and 5 twice");
    assert!(raw(server.address, "GET /delay?us=0&n=2&seed=1&every=3&try=0").starts_with("HTTP/1.1 503 "));
    assert!(raw(server.address, "GET /delay?us=0&n=1&seed=1&every=3&try=0").starts_with("HTTP/1.1 200 "));
}

#[test]
fn lines_come_one_by_one() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let start = Instant::now();
    write!(stream, "GET /lines?us=30000&n=0&seed=1&count=3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let (mut seen, mut times, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        let bytes = stream.read(&mut buffer).unwrap();
        if bytes == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..bytes]);
        // A chunk of a line is its length, 11 in hexadecimal, and the line.
        let lines = seen.windows(4).filter(|window| window == b"11\r\n").count();
        times.resize(lines, start.elapsed());
    }
    let text = String::from_utf8(seen).unwrap();
    assert!(text.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{text}");
    assert_eq!(times.len(), 3, "{text}");
    for (time, least) in times.into_iter().zip([30, 60, 90]) {
        assert!(time >= Duration::from_millis(least), "a line came after {time:?}");
    }
}

#[test]
fn requests_that_make_no_sense_are_explained() {
    let server = start();
    for (request, status, part) in [
        ("GET /page?us=0&n=0&seed=1&bytes=100", 200, "<title>page 0</title>"),
        ("GET /page?us=0&n=0&seed=1", 400, "bytes is missing"),
        ("GET /page?us=0&n=0&seed=1&bytes=99999999", 400, "bytes must be at most 4194304"),
        ("GET /lines?us=0&n=0&seed=1&count=99999999", 400, "count must be at most 1000000"),
        ("GET /delay?us=0&n=0&seed=1&capacity=10001", 400, "capacity must be at most 10000"),
        ("GET /chat?us=0", 400, "speaks WebSocket only"),
        ("GET /chat", 400, "us is missing"),
        ("POST /lines", 405, "only GET"),
    ] {
        let answer = raw(server.address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(part), "{request}: {answer}");
    }
}

#[test]
fn a_zero_byte_begins_an_echo() {
    let server = start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&[0, 3, 0, 0, 0]).unwrap();
    let mut answer = [0; 3];
    for message in [b"one", b"two"] {
        // In two pieces: it comes back whole.
        stream.write_all(&message[..1]).unwrap();
        stream.write_all(&message[1..]).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, message);
    }
    for length in [[0, 0, 0, 0], [1, 0, 0, 1]] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&[&[0], &length[..], b"message"].concat()).unwrap();
        // Closed, politely or not, because something was left unread.
        assert!(matches!(stream.read(&mut answer), Ok(0) | Err(_)));
    }
}

/// Connections are kept from task to task, by both clients of each kind.
#[test]
fn connections_are_kept() {
    let server = start();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for (at, kind) in ["echo", "websocket", "lines", "scraper"].into_iter().enumerate() {
        let delay = [("delay_ms", Value::Int(0))];
        let workload = workload(server.address, kind, 4, if kind == "echo" { &[] } else { &delay });
        for task in 0..4 {
            assert_eq!(
                workload.run_blocking(task).unwrap(),
                runtime.block_on(workload.run_async(task)).unwrap()
            );
        }
        assert_eq!(server.stats.connections(), 2 * (at as u64 + 1), "{kind}");
    }
}
