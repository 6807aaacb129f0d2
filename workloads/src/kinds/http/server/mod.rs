//! The test server: hyper's HTTP/1.1 on our runtime, answering each request after the delay that it names, and what else
//! the kinds talk to, all on one port of one process.
//!
//! - `GET /delay?us=N&n=TASK&seed=S` waits N µs on a timer of the runtime (0: not at all), then answers 200 with the
//!   16 hexadecimal digits that belong to S and TASK. With `capacity=C` at most C such requests are worked on at once,
//!   the others queue. With `every=E&try=K` task E - 1 of each E tasks is answered 503 at its try 0, at once.
//! - `GET /page?us=N&n=TASK&seed=S&bytes=B` answers with a generated web page of B bytes or a little more.
//! - `GET /lines?us=N&n=TASK&seed=S&count=L` answers with L lines in chunks, each after N µs.
//! - `GET /chat?us=N` upgrades to WebSocket: what is said there comes back after N µs.
//! - `GET /stats` answers `{"connections":…,"requests":…}`: how many connections were accepted and how many `/delay`
//!   requests arrived since the start, by which keeping alive can be seen.
//! - A connection whose first byte is 0 is not HTTP but raw echo: see `echo`.
//!
//! With a [`Stall`], `/delay` requests queue for a server with one hand, and are answered when it has served them; what they
//! ask for comes on top.
//!
//! Anything else is answered with 400, 404 or 405 and a line that says why. Connections stay open until the client
//! closes them. The server runs in a process of its own; nothing in it is meant for the open network.

mod body;
mod chat;
mod echo;
pub(crate) mod page;
mod query;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossover_runtime::net::{TcpListener, TcpStream};
use crossover_runtime::sync::Semaphore;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use socket2::{Domain, Protocol, Socket, Type};

use super::stall::Queue;
pub use super::stall::Stall;
use body::{Answer, Lines};
use query::Query;

/// Connections that may wait to be accepted: a thousand tasks connect at once.
const BACKLOG: i32 = 4096;
/// The largest capacity that a request may name.
const CAPACITY_MAX: u64 = 10_000;
/// The most lines that the server agrees to.
const LINES_MAX: u64 = 1_000_000;
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
    // For each capacity that was ever asked for; held for a look-up only.
    capacities: Mutex<HashMap<u64, Arc<Semaphore>>>,
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

    /// The places of a server of this capacity.
    fn places(&self, capacity: u64) -> Arc<Semaphore> {
        let mut capacities = self.capacities.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(usize::try_from(capacity).unwrap_or(usize::MAX)));
        Arc::clone(capacities.entry(capacity).or_insert_with(new))
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
    let mut first = [1];
    // An error here and below is a client that went away or that speaks neither protocol: hyper has told it so where it
    // could.
    if matches!(stream.peek(&mut first).await, Ok(1)) && first == [0] {
        let _ = echo::serve(stream).await;
        return;
    }
    let service = service_fn(|request| answer(request, &stats));
    let _ = http1::Builder::new()
        .keep_alive(true)
        // Clients are idle between rounds for as long as they like.
        .header_read_timeout(None)
        .serve_connection(stream, service)
        .with_upgrades()
        .await;
}

async fn answer(request: Request<Incoming>, stats: &Stats) -> Result<Response<Answer>, Infallible> {
    let text = request.uri().query().unwrap_or_default().to_owned();
    let served = match (request.method(), request.uri().path()) {
        (&Method::GET, "/delay") => delayed(&text, stats).await,
        (&Method::GET, "/page") => paged(&text).await,
        (&Method::GET, "/lines") => lined(&text),
        (&Method::GET, "/chat") => Query::read(&text, &["us"])
            .and_then(|query| query.delay())
            .and_then(|delay| chat::open(request, delay)),
        (&Method::GET, "/stats") => {
            let (connections, requests) = (stats.connections(), stats.requests());
            Ok(plain(StatusCode::OK, format!("{{\"connections\":{connections},\"requests\":{requests}}}")))
        }
        (_, "/delay" | "/page" | "/lines" | "/chat" | "/stats") => {
            Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n".to_owned()))
        }
        (_, path) => {
            let text = format!("there is no {path}; try /delay?us=1000&n=0&seed=0 or /stats\n");
            Ok(plain(StatusCode::NOT_FOUND, text))
        }
    };
    Ok(served.unwrap_or_else(|reason| plain(StatusCode::BAD_REQUEST, reason)))
}

fn plain(status: StatusCode, text: String) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(text));
    *response.status_mut() = status;
    response
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        crossover_runtime::time::sleep(time).await;
    }
}

/// `/delay`.
async fn delayed(text: &str, stats: &Stats) -> Result<Response<Answer>, String> {
    stats.requests.fetch_add(1, Ordering::Relaxed);
    let query = Query::read(text, &["us", "n", "seed", "capacity", "every", "try"])?;
    let (delay, (task, seed)) = (query.delay()?, query.task_and_seed()?);
    let every = query.optional("every", u64::MAX)?.unwrap_or(0);
    let attempt = query.optional("try", u64::MAX)?.unwrap_or(0);
    if attempt == 0 && every > 0 && u64::from(task) % every == every - 1 {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "once more, please\n".to_owned()));
    }
    let places = query.optional("capacity", CAPACITY_MAX)?.filter(|&capacity| capacity > 0);
    let places = places.map(|capacity| stats.places(capacity));
    let _place = match &places {
        Some(places) => Some(places.acquire().await),
        None => None,
    };
    wait(delay + stats.queue()).await;
    Ok(plain(StatusCode::OK, super::body(seed, task)))
}

/// `/page`.
async fn paged(text: &str) -> Result<Response<Answer>, String> {
    let query = Query::read(text, &["us", "n", "seed", "bytes"])?;
    let (delay, (task, seed)) = (query.delay()?, query.task_and_seed()?);
    let bytes = query.required("bytes", page::PAGE_BYTES_MAX as u64)?;
    wait(delay).await;
    Ok(plain(StatusCode::OK, page::page(seed, task, usize::try_from(bytes).unwrap_or(page::PAGE_BYTES_MAX))))
}

/// `/lines`.
fn lined(text: &str) -> Result<Response<Answer>, String> {
    let query = Query::read(text, &["us", "n", "seed", "count"])?;
    let (delay, (task, seed)) = (query.delay()?, query.task_and_seed()?);
    let count = u32::try_from(query.required("count", LINES_MAX)?).unwrap_or(u32::MAX);
    Ok(Response::new(Answer::Lines(Lines::new(seed, task, count, delay))))
}
