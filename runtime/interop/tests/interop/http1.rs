//! hyper's HTTP/1, server and client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossover_runtime::hyper_rt::{Executor, FuturesIo, Timer};
use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::{runtime, spawn};
use futures::future::{Either, FutureExt, join_all, select};
use futures::{AsyncReadExt, AsyncWriteExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{Barrier, Notify, Semaphore, oneshot, watch};

use crate::http::{answer, answer_together, collect, converse_by_chunks, echo, full, post, streamed};
use crate::on_both;

/// A client on a stream of ours.
async fn client<S, B>(stream: S) -> SendRequest<B>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (sender, connection) = handshake(stream).await.expect("handshake");
    drop(spawn(connection));
    sender
}

/// Sends the paths one after the other over one connection, each with `body`.
async fn converse<S>(stream: S, paths: &[&str], body: &Bytes)
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let mut sender = client(stream).await;
    for path in paths {
        let response = sender.send_request(post(path, full(body.clone()))).await.expect("a response");
        assert_eq!(collect(response).await, [path.as_bytes(), b":", body].concat());
        sender.ready().await.expect("the connection is kept alive");
    }
}

#[test]
fn connections_are_kept_alive() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = accepted.clone();
        let server = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let mut http = Builder::new();
                http.timer(Timer).header_read_timeout(Duration::from_secs(30));
                drop(spawn(http.serve_connection(stream, service_fn(answer))));
            }
        });
        let large = Bytes::from(vec![b'x'; 300_000]);
        let clients = (0..20).map(|_| {
            let large = large.clone();
            spawn(async move {
                let stream = TcpStream::connect(address).await.expect("connect");
                converse(stream, &["/a", "/b", "/c"], &Bytes::from_static(b"body")).await;
                let stream = TcpStream::connect(address).await.expect("connect");
                converse(stream, &["/large", "/again"], &large).await;
            })
        });
        for client in join_all(clients).await {
            client.expect("a client");
        }
        assert_eq!(accepted.load(Ordering::Relaxed), 40, "a connection for each stream and no more");
        server.abort();

        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(spawn(Builder::new().serve_connection(theirs, service_fn(answer))));
        converse(ours, &["/unix"], &large).await;
    });
}

#[test]
fn bodies_are_streamed_both_ways() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(spawn(Builder::new().serve_connection(theirs, service_fn(echo))));
        let mut sender = client(ours).await;
        let (chunks, body) = streamed();
        let response = sender.send_request(post("/", body)).await.expect("a response before the body's end");
        converse_by_chunks(chunks, response).await;
    });
}

/// Two descriptors for each connection, if the system lets us have them.
fn connections_possible(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    limit.current.map_or(wanted, |most| wanted.min((most as usize).saturating_sub(200) / 2))
}

/// A thousand connections, each with a request that waits for all the others.
#[test]
fn a_thousand_requests_at_once() {
    on_both(|| async {
        let count = connections_possible(1000);
        let barrier = Arc::new(Barrier::new(count));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let server = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let barrier = barrier.clone();
                let service = service_fn(move |request| answer_together(request, barrier.clone()));
                drop(spawn(Builder::new().serve_connection(stream, service)));
            }
        });
        let clients = (0..count).map(|number| {
            spawn(async move {
                let mut sender = client(TcpStream::connect(address).await.expect("connect")).await;
                let response = sender.send_request(post(&format!("/{number}"), full("x"))).await;
                assert_eq!(collect(response.expect("a response")).await, format!("/{number}:x"));
            })
        });
        for client in join_all(clients).await {
            client.expect("a client");
        }
        server.abort();
    });
}

/// Serves each connection until `stop` says so; then lets it finish what it has begun.
async fn serve_until(
    listener: TcpListener,
    entered: Arc<Semaphore>,
    gate: Arc<Notify>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = Vec::new();
    let mut stopped = stop.clone();
    let mut told = pin!(stopped.wait_for(|stop| *stop).map(drop));
    while let Either::Left((accepted, _)) = select(pin!(listener.accept()), told.as_mut()).await {
        let (entered, gate, mut stop) = (entered.clone(), gate.clone(), stop.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (entered, gate) = (entered.clone(), gate.clone());
            async move {
                if request.uri().path() == "/slow" {
                    entered.add_permits(1);
                    gate.notified().await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        });
        let stream = accepted.expect("a connection").0;
        connections.push(spawn(async move {
            let mut connection = pin!(Builder::new().serve_connection(stream, service));
            if let Either::Right(_) =
                select(connection.as_mut(), pin!(stop.wait_for(|stop| *stop).map(drop))).await
            {
                connection.as_mut().graceful_shutdown();
                connection.await.expect("it ends in good order");
            }
        }));
    }
    drop(listener);
    for connection in connections {
        connection.await.expect("a connection");
    }
}

#[test]
fn graceful_shutdown_finishes_what_is_under_way() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (stop, stopped) = watch::channel(false);
        let server = spawn(serve_until(listener, entered.clone(), gate.clone(), stopped));

        let mut idle = client(TcpStream::connect(address).await.expect("connect")).await;
        let response = idle.send_request(post("/quick", full(""))).await.expect("a response");
        assert_eq!(collect(response).await, "done");
        let mut busy = client(TcpStream::connect(address).await.expect("connect")).await;
        let slow = spawn(async move {
            let response = busy.send_request(post("/slow", full(""))).await.expect("it is not cut off");
            assert_eq!(response.headers()["connection"], "close");
            collect(response).await
        });
        entered.acquire().await.expect("open").forget();

        stop.send(true).expect("the server listens");
        // The idle connection is closed while the other one is still under way.
        while idle.ready().await.is_ok() {
            crossover_runtime::task::yield_now().await;
        }
        assert!(!slow.is_finished() && !server.is_finished());
        gate.notify_one();
        assert_eq!(slow.await.expect("the slow client"), "done");
        server.await.expect("the server");
        TcpStream::connect(address).await.expect_err("nobody listens any more");
    });
}

/// The server closes a connection whose client does not finish its headers: that takes hyper's timer and ours.
#[test]
fn the_header_read_timeout_is_our_timer() {
    on_both(|| async {
        for beginning in ["", "GET / HTTP/1.1\r\nhost: local"] {
            let (mut slow, theirs) = UnixStream::pair().expect("a pair");
            slow.write_all(beginning.as_bytes()).await.expect("the pair holds it");
            let mut http = Builder::new();
            http.timer(Timer).header_read_timeout(Duration::from_millis(20));
            let start = Instant::now();
            let result = http.serve_connection(theirs, service_fn(answer)).await;
            assert!(result.expect_err("a timeout").is_timeout());
            assert!(start.elapsed() >= Duration::from_millis(20));
        }
    });
}

/// A peer that is gone in the middle of a body is an error for the one who waits for it, and for nobody else.
#[test]
fn a_dead_peer_is_an_error() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        drop(spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            assert!(stream.read(&mut [0; 1000]).await.expect("a request") > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.expect("written");
            stream.close().await.expect("closed");
        }));
        let mut sender = client(TcpStream::connect(address).await.expect("connect")).await;
        let response = sender.send_request(post("/", full(""))).await.expect("the head of a response");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.expect_err("96 bytes are missing");
    });
}

/// A stream of somebody else's, with the traits of futures-io.
#[test]
fn a_foreign_stream_is_served_through_futures_io() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (ours, theirs) = (futures::io::BufWriter::new(ours), futures::io::BufWriter::new(theirs));
        drop(spawn(Builder::new().serve_connection(FuturesIo::new(theirs), service_fn(answer))));
        converse(FuturesIo::new(ours), &["/a", "/b"], &Bytes::from(vec![b'x'; 300_000])).await;
    });
}

#[test]
fn executors_spawn_and_the_timer_resets() {
    use hyper::rt::{Executor as _, Timer as _};
    on_both(|| async {
        let (send, receive) = oneshot::channel();
        Executor.execute(async move { send.send(7).expect("the test waits") });
        assert_eq!(receive.await, Ok(7));
        let (send, receive) = oneshot::channel();
        let handle = runtime::Handle::current();
        let thread =
            std::thread::spawn(move || handle.execute(async move { send.send(8).expect("the test waits") }));
        assert_eq!(receive.await, Ok(8));
        thread.join().expect("a handle spawns from any thread");

        let near = Instant::now() + Duration::from_millis(2);
        let mut sleep = Timer.sleep(Duration::MAX);
        Timer.reset(&mut sleep, near);
        sleep.await;
        assert!(Instant::now() >= near);
    });
}
