//! Chat rooms over WebSocket, each with one guest: what it says comes back after a delay.

use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use crossover_runtime::net::TcpStream;
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Request, Response, StatusCode};

use super::body::Answer;
use crate::kinds::websocket::limits;

/// Agrees to the upgrade and serves the room in a task of its own until the guest leaves.
///
/// # Errors
/// A line that says what is missing.
pub(super) fn open(request: Request<Incoming>, delay: Duration) -> Result<Response<Answer>, String> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| "there is no sec-websocket-key: /chat speaks WebSocket only\n".to_owned())?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|e| format!("{e}\n"))?;
    // Detached: it ends when the guest leaves, or with the runtime.
    drop(crossover_runtime::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let Ok(parts) = upgraded.downcast::<TcpStream>() else { return };
        let begun = parts.read_buf.to_vec();
        let room = WebSocketStream::from_partially_read(parts.io, begun, Role::Server, Some(limits())).await;
        serve(room, delay).await;
    }));
    let mut response = Response::new(Answer::whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Messages come back in order. An error is a guest that went away.
async fn serve(mut room: WebSocketStream<TcpStream>, delay: Duration) {
    while let Some(Ok(message)) = room.next().await {
        if message.is_text() || message.is_binary() {
            if !delay.is_zero() {
                crossover_runtime::time::sleep(delay).await;
            }
            if room.send(message).await.is_err() {
                return;
            }
        }
    }
}
