//! A test server in this process, and requests to it as raw text.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_workloads::server;

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A server on a runtime of its own, and its counters.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Arc<server::Stats>,
    _runtime: Runtime,
}

pub(crate) fn start() -> Server {
    let runtime = runtime();
    let listener = server::bind(LOOPBACK).unwrap();
    let address = listener.local_addr().unwrap();
    let stats = Arc::new(server::Stats::default());
    drop(runtime.spawn(server::serve_counting(listener, Arc::clone(&stats))));
    Server { address, stats, _runtime: runtime }
}

/// Sends one request as raw text and returns the whole answer.
pub(crate) fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
