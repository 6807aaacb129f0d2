//! The test server: hyper's HTTP/1.1 on our runtime, answering each request after the delay that it names.
//!
//! - `GET /delay?us=N&n=TASK&seed=S` waits N µs on a timer of the runtime (0: not at all), then answers 200 with the
//!   16 hexadecimal digits that belong to S and TASK.
//! - `GET /stats` answers `{"connections":…,"requests":…}`: how many connections were accepted and how many `/delay`
//!   requests arrived since the start, by which keeping alive can be seen.
//!
//! With a [`Stall`], `/delay` requests queue for a server with one hand, and are answered when it has served them; what they
//! ask for comes on top.
//!
//! Anything else is answered with 400, 404 or 405 and a line that says why. Connections stay open until the client
//! closes them. The server runs in a process of its own; nothing in it is meant for the open network.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossover_runtime::net::{TcpListener, TcpStream};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use socket2::{Domain, Protocol, Socket, Type};

use super::stall::Queue;
pub use super::stall::Stall;

/// Connections that may wait to be accepted: a thousand tasks connect at once.
const BACKLOG: i32 = 4096;
/// The longest delay that the server agrees to.
const DELAY_MAX_US: u64 = 60_000_000;
/// Pause after a failed accept, for instance when the process has no descriptor left: at most 50 tries a second.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Failed accepts in a row after which the listener counts as broken: ten seconds.
const ACCEPT_FAILURES_MAX: u32 = 500;

/// What a server has seen since its start, and who waits for it.
#[derive(Debug, Default)]
pub struct Stats {
    // Plain counters: they order nothing, so Relaxed is enough and there is no pair.
    connections: AtomicU64,
    requests: AtomicU64,
    stalling: Option<Mutex<Stalling>>,
}

/// The queue of a server that stalls, and when its first request came.
#[derive(Debug)]
struct Stalling {
    queue: Queue,
    first: Option<Instant>,
}

impl Stats {
    /// Counters of a server with one hand, which stalls.
    #[must_use]
    pub fn stalling(stall: Stall) -> Self {
        let stalling = Stalling { queue: Queue::new(stall), first: None };
        Self { stalling: Some(Mutex::new(stalling)), ..Self::default() }
    }

    /// Takes a place in the queue, if there is one: how long it takes until it is served.
    fn queue(&self) -> Duration {
        let Some(stalling) = &self.stalling else { return Duration::ZERO };
        // A panic elsewhere cannot leave it half changed.
        let mut stalling = stalling.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = now.saturating_duration_since(*stalling.first.get_or_insert(now));
        stalling.queue.enter(at).saturating_sub(at)
    }

    /// Connections accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests for `/delay`, right or wrong.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// A listener as the server wants it: non-blocking, with room for thousands of clients that connect at once. Port 0
/// takes a free one. Needs no runtime.
///
/// # Errors
/// What the system says to `socket`, `bind` or `listen`, such as an address in use.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until the future is dropped. Connections that are open then end with the runtime.
///
/// # Errors
/// When the listener cannot be registered with the runtime, or when accepting fails for ten seconds without a pause.
///
/// # Panics
/// Outside a runtime.
pub async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    serve_counting(listener, Arc::default()).await
}

/// Like [`serve`], with counters that the caller can read.
///
/// # Errors
/// As [`serve`].
///
/// # Panics
/// Outside a runtime.
pub async fn serve_counting(listener: std::net::TcpListener, stats: Arc<Stats>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failures = 0;
                stats.connections.fetch_add(1, Ordering::Relaxed);
                let stats = Arc::clone(&stats);
                // Detached: it ends when the client closes, or with the runtime.
                drop(crossover_runtime::spawn(serve_connection(stream, stats)));
            }
            Err(error) => {
                failures += 1;
                if failures >= ACCEPT_FAILURES_MAX {
                    return Err(error);
                }
                crossover_runtime::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, stats: Arc<Stats>) {
    // Without it an answer may wait for the client's acknowledgement. Failing that, answers are slow, not wrong.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &stats));
    // An error here is a client that went away or that speaks no HTTP: hyper has told it so where it could.
    let _ = http1::Builder::new()
        .keep_alive(true)
        // Clients are idle between rounds for as long as they like.
        .header_read_timeout(None)
        .serve_connection(stream, service)
        .await;
}

async fn answer(request: Request<Incoming>, stats: &Stats) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/delay") => {
            stats.requests.fetch_add(1, Ordering::Relaxed);
            match Delay::parse(request.uri().query().unwrap_or_default()) {
                Ok(delay) => {
                    let time = delay.time + stats.queue();
                    if !time.is_zero() {
                        crossover_runtime::time::sleep(time).await;
                    }
                    (StatusCode::OK, super::body(delay.seed, delay.task))
                }
                Err(reason) => (StatusCode::BAD_REQUEST, reason),
            }
        }
        (&Method::GET, "/stats") => {
            let (connections, requests) = (stats.connections(), stats.requests());
            (StatusCode::OK, format!("{{\"connections\":{connections},\"requests\":{requests}}}"))
        }
        (_, "/delay" | "/stats") => (StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n".to_owned()),
        (_, path) => {
            (StatusCode::NOT_FOUND, format!("there is no {path}; try /delay?us=1000&n=0&seed=0 or /stats\n"))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    Ok(response)
}

/// A request for `/delay`.
#[derive(Debug, PartialEq)]
struct Delay {
    time: Duration,
    task: u32,
    seed: u64,
}

impl Delay {
    /// Reads `us=…&n=…&seed=…`, in any order, each exactly once.
    fn parse(query: &str) -> Result<Self, String> {
        let (mut us, mut task, mut seed) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "us" => &mut us,
                "n" => &mut task,
                "seed" => &mut seed,
                _ => return Err(format!("unknown parameter {name}; known: us, n, seed\n")),
            };
            let number: u64 = text.parse().map_err(|_| format!("{name} must be a whole number\n"))?;
            if slot.replace(number).is_some() {
                return Err(format!("{name} is given twice\n"));
            }
        }
        let required = |slot: Option<u64>, name| slot.ok_or_else(|| format!("{name} is missing\n"));
        let us = required(us, "us")?;
        if us > DELAY_MAX_US {
            return Err(format!("us must be at most {DELAY_MAX_US}\n"));
        }
        let task =
            u32::try_from(required(task, "n")?).map_err(|_| format!("n must be at most {}\n", u32::MAX))?;
        Ok(Self { time: Duration::from_micros(us), task, seed: required(seed, "seed")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_in_any_order() {
        let expected = Delay { time: Duration::from_millis(1), task: 7, seed: u64::MAX };
        assert_eq!(Delay::parse("us=1000&n=7&seed=18446744073709551615"), Ok(expected));
        assert_eq!(Delay::parse("seed=1&us=0&n=0"), Ok(Delay { time: Duration::ZERO, task: 0, seed: 1 }));
    }

    #[test]
    fn wrong_queries_say_what_is_wrong() {
        for (query, part) in [
            ("", "us is missing"),
            ("us=1&n=2", "seed is missing"),
            ("us=1&n=2&seed=x", "seed must be a whole number"),
            ("us=1&n=2&seed=-3", "seed must be"),
            ("us=1&us=1&n=2&seed=3", "us is given twice"),
            ("us=60000001&n=2&seed=3", "at most 60000000"),
            ("us=1&n=4294967296&seed=3", "at most 4294967295"),
            ("us=1&n=2&seed=3&x=4", "unknown parameter x"),
            ("us", "us must be a whole number"),
        ] {
            let reason = Delay::parse(query).unwrap_err();
            assert!(reason.contains(part), "{query}: {reason}");
        }
    }
}
