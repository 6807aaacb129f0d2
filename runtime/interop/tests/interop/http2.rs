//! hyper's HTTP/2, server and client.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossover_runtime::hyper_rt::{Executor, Timer};
use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::{runtime, spawn};
use futures::AsyncReadExt;
use futures::future::{Either, join_all, select};
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder as Client, SendRequest, handshake};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::sync::{Barrier, Notify};

use crate::http::{answer, answer_together, collect, converse_by_chunks, echo, full, post, streamed};
use crate::on_both;

type Sender = SendRequest<BoxBody<Bytes, Infallible>>;

async fn client<S>(stream: S) -> Sender
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(Executor, stream).await.expect("handshake");
    drop(spawn(connection));
    sender
}

/// A thousand streams of one connection, each with a request that waits for all the others.
#[test]
fn a_thousand_requests_at_once_over_one_connection() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        drop(spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let barrier = Arc::new(Barrier::new(1000));
            let service = service_fn(move |request| answer_together(request, barrier.clone()));
            let mut http = Builder::new(Executor);
            http.timer(Timer).max_concurrent_streams(1000);
            http.serve_connection(stream, service).await.expect("served");
        }));
        let sender = client(TcpStream::connect(address).await.expect("connect")).await;
        let requests = (0..1000).map(|number| {
            let mut sender = sender.clone();
            spawn(async move {
                let response = sender.send_request(post(&format!("/{number}"), full("x"))).await;
                assert_eq!(collect(response.expect("a response")).await, format!("/{number}:x"));
            })
        });
        for request in join_all(requests).await {
            request.expect("a request");
        }
    });
}

#[test]
fn bodies_are_streamed_both_ways() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(spawn(Builder::new(Executor).serve_connection(theirs, service_fn(echo))));
        let sender = client(ours).await;
        let conversations = (0..10).map(|_| {
            let mut sender = sender.clone();
            spawn(async move {
                let (chunks, body) = streamed();
                let response = sender.send_request(post("/", body)).await.expect("before the body's end");
                converse_by_chunks(chunks, response).await;
            })
        });
        for conversation in join_all(conversations).await {
            conversation.expect("a conversation");
        }
    });
}

/// Far larger than the windows, which both sides must keep opening.
#[test]
fn a_large_body_flows() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(spawn(Builder::new(Executor).serve_connection(theirs, service_fn(echo))));
        let body = Bytes::from_iter((0..4_000_000_u32).map(|number| number as u8));
        let response = client(ours).await.send_request(post("/", full(body.clone()))).await;
        assert!(collect(response.expect("a response")).await == body);
    });
}

#[test]
fn graceful_shutdown_finishes_what_is_under_way() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (entered, gate, stop) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inside, opened, told) = (entered.clone(), gate.clone(), stop.clone());
        let server = spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let (inside, opened) = (inside.clone(), opened.clone());
                async move {
                    inside.notify_one();
                    opened.notified().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
                }
            });
            let mut connection = pin!(Builder::new(Executor).serve_connection(theirs, service));
            match select(connection.as_mut(), pin!(told.notified())).await {
                Either::Left((result, _)) => panic!("ended before it was told to: {result:?}"),
                Either::Right(_) => connection.as_mut().graceful_shutdown(),
            }
            // It ends; an error when the client, who has all it wanted, hangs up before the server's last frame.
            let _ = connection.await;
        });
        let mut sender = client(ours).await;
        let mut late = sender.clone();
        let slow = spawn(async move { sender.send_request(post("/slow", full(""))).await });
        entered.notified().await;
        stop.notify_one();
        assert!(!slow.is_finished() && !server.is_finished());
        gate.notify_one();
        let response = slow.await.expect("the slow client").expect("it is not cut off");
        assert_eq!(collect(response).await, "done");
        server.await.expect("the server");
        late.send_request(post("/late", full(""))).await.expect_err("too late");
    });
}

/// A peer that does not answer pings is given up: that takes hyper's timer and ours.
#[test]
fn keep_alive_gives_a_silent_peer_up() {
    on_both(|| async {
        let (ours, mut silent) = UnixStream::pair().expect("a pair");
        let mut http = Client::new(Executor);
        http.timer(Timer).keep_alive_interval(Duration::from_millis(10));
        http.keep_alive_timeout(Duration::from_millis(10)).keep_alive_while_idle(true);
        let (sender, connection): (Sender, _) = http.handshake(ours).await.expect("the preface is sent");
        let listening = spawn(async move {
            let mut heard = Vec::new();
            silent.read_to_end(&mut heard).await.map(|_| heard)
        });
        let start = Instant::now();
        // hyper has two tasks for a connection; the one that we see may only see that the other one has ended.
        if let Err(error) = connection.await {
            assert!(error.is_timeout(), "{error:?}");
        }
        assert!(start.elapsed() >= Duration::from_millis(20), "an interval and a timeout have passed");
        drop(sender);
        let heard = listening.await.expect("the peer").expect("it was closed in good order");
        assert!(heard.starts_with(b"PRI * HTTP/2.0"));
    });
}

/// With a handle as the executor, the connection may be driven by any other executor; its tasks run on ours.
#[test]
fn a_handle_is_an_executor_for_a_connection_driven_elsewhere() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let handle = runtime::Handle::current();
        let server = std::thread::spawn(move || {
            let connection = Builder::new(handle).serve_connection(theirs, service_fn(answer));
            futures::executor::block_on(connection)
        });
        let mut sender = client(ours).await;
        let response = sender.send_request(post("/elsewhere", full("x"))).await.expect("a response");
        assert_eq!(collect(response).await, "/elsewhere:x");
        drop(sender);
        let joined = crossover_runtime::spawn_blocking(move || server.join()).await.expect("a job");
        joined.expect("the thread").expect("the connection ended in good order");
    });
}
