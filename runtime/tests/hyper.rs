//! hyper 1 on this runtime, client and server.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use crossover_runtime::hyper_rt::{Executor, Timer};
use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::runtime::Builder;
use crossover_runtime::{spawn, time};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("body").to_bytes();
    if path == "/slow" {
        time::sleep(Duration::from_millis(2)).await;
    }
    Ok(Response::new(Full::new(Bytes::from([path.as_bytes(), b":", &body].concat()))))
}

async fn converse<S>(stream: S, paths: &[&str], body: &Bytes)
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = client::conn::http1::handshake(stream).await.expect("handshake");
    drop(spawn(connection));
    for path in paths {
        let request =
            Request::post(*path).header("host", "x").body(Full::new(body.clone())).expect("request");
        let response = sender.send_request(request).await.expect("response");
        let received = response.into_body().collect().await.expect("body").to_bytes();
        assert_eq!(received, [path.as_bytes(), b":", body].concat());
        sender.ready().await.expect("the connection is kept alive");
    }
}

#[test]
fn http1_round_trips_over_tcp_and_unix_streams() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(2).build().expect("runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let address = listener.local_addr().expect("address");
            drop(spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let mut http = server::conn::http1::Builder::new();
                    http.timer(Timer).header_read_timeout(Duration::from_secs(30));
                    drop(spawn(http.serve_connection(stream, service_fn(answer))));
                }
            }));
            let large = Bytes::from(vec![b'x'; 300_000]);
            let clients: Vec<_> = (0..20)
                .map(|_| {
                    let large = large.clone();
                    spawn(async move {
                        let stream = TcpStream::connect(address).await.expect("connect");
                        converse(stream, &["/a", "/slow", "/b"], &Bytes::from_static(b"body")).await;
                        let stream = TcpStream::connect(address).await.expect("connect");
                        converse(stream, &["/large"], &large).await;
                    })
                })
                .collect();
            for client in clients {
                client.await.expect("client");
            }

            let (ours, theirs) = UnixStream::pair().expect("pair");
            drop(spawn(server::conn::http1::Builder::new().serve_connection(theirs, service_fn(answer))));
            converse(ours, &["/unix"], &large).await;
        });
    }
}

/// The server closes a connection whose client says nothing, which takes hyper's timer and ours.
#[test]
fn header_read_timeout_uses_our_timer() {
    let runtime = Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let (silent, theirs) = UnixStream::pair().expect("pair");
        let mut http = server::conn::http1::Builder::new();
        http.timer(Timer).header_read_timeout(Duration::from_millis(5));
        let result = http.serve_connection(theirs, service_fn(answer)).await;
        assert!(result.expect_err("timed out").is_timeout());
        drop(silent);
    });
}

#[test]
fn the_executor_spawns_and_the_timer_resets() {
    use hyper::rt::{Executor as _, Timer as _};
    let runtime = Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let (send, receive) = futures::channel::oneshot::channel();
        Executor.execute(async move { send.send(7).expect("the test waits") });
        assert_eq!(receive.await, Ok(7));

        let far = std::time::Instant::now() + Duration::from_secs(3600);
        let near = std::time::Instant::now() + Duration::from_millis(2);
        let mut sleep = Timer.sleep_until(far);
        Timer.reset(&mut sleep, near);
        sleep.await;
        assert!(std::time::Instant::now() >= near);
    });
}
