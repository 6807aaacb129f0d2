//! What the tests of HTTP/1 and HTTP/2 share: services, bodies and the conversation chunk by chunk.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::{Request, Response};
use tokio::sync::Barrier;

/// A body of one piece.
pub(crate) fn full(data: impl Into<Bytes>) -> BoxBody<Bytes, Infallible> {
    Full::new(data.into()).boxed()
}

/// A body whose chunks the sender hands out while it is on its way.
pub(crate) fn streamed() -> (mpsc::Sender<Bytes>, BoxBody<Bytes, Infallible>) {
    let (sender, receiver) = mpsc::channel(0);
    (sender, BodyExt::boxed(StreamBody::new(receiver.map(|chunk| Ok(Frame::data(chunk))))))
}

/// A POST to `path`.
pub(crate) fn post<B>(path: &str, body: B) -> Request<B> {
    Request::post(format!("http://localhost{path}"))
        .header("host", "localhost")
        .body(body)
        .expect("a request")
}

/// Answers with the path and the body.
pub(crate) async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(Bytes::from([path.as_bytes(), b":", &body].concat()))))
}

/// Sends the body back while it arrives.
pub(crate) async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}

/// Answers once as many requests are here as the barrier wants.
pub(crate) async fn answer_together(
    request: Request<Incoming>,
    barrier: Arc<Barrier>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let response = answer(request).await;
    barrier.wait().await;
    response
}

/// The whole body.
pub(crate) async fn collect<B: Body>(response: Response<B>) -> Bytes
where
    B::Error: std::fmt::Debug,
{
    response.into_body().collect().await.expect("a body").to_bytes()
}

/// Sends a chunk once the one before has come back: neither side may hold a chunk until it has more of them.
pub(crate) async fn converse_by_chunks(mut chunks: mpsc::Sender<Bytes>, response: Response<Incoming>) {
    let mut body = response.into_body();
    for round in 0..50_usize {
        let chunk = Bytes::from(format!("chunk {round} ").repeat(1 + round * 20));
        chunks.send(chunk.clone()).await.expect("the connection reads the body");
        let mut echoed = Vec::new();
        while echoed.len() < chunk.len() {
            let frame = body.frame().await.expect("the body goes on").expect("a frame");
            echoed.extend_from_slice(&frame.into_data().expect("data"));
        }
        assert_eq!(echoed, chunk);
    }
    drop(chunks);
    // It ends when the client's does; HTTP/2 may say so by an empty chunk.
    let rest = body.collect().await.expect("the end").to_bytes();
    assert_eq!(rest, "");
}
