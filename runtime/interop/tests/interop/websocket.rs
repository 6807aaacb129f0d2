//! async-tungstenite over our streams, through the traits of futures-io.

use async_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use async_tungstenite::{WebSocketStream, accept_async, accept_async_with_config, client_async};
use crossover_runtime::net::{TcpListener, TcpStream, UnixStream};
use crossover_runtime::spawn;
use futures::StreamExt;
use futures::future::join_all;

use crate::on_both;

/// A client and a server that have shaken hands.
async fn pair() -> (WebSocketStream<UnixStream>, WebSocketStream<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (client, server) = futures::join!(client_async("ws://localhost/", ours), accept_async(theirs));
    (client.expect("the client's handshake").0, server.expect("the server's handshake"))
}

/// Sends back what arrives, until the client closes.
async fn echo(mut server: WebSocketStream<TcpStream>) {
    while let Some(message) = server.next().await {
        let message = message.expect("a message");
        if message.is_text() || message.is_binary() {
            server.send(message).await.expect("sent");
        }
    }
}

#[test]
fn many_clients_are_echoed() {
    on_both(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let server = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(spawn(async move { echo(accept_async(stream).await.expect("the handshake")).await }));
            }
        });
        let clients = (0..50).map(|client| {
            spawn(async move {
                let stream = TcpStream::connect(address).await.expect("connect");
                let (mut socket, _) = client_async("ws://localhost/", stream).await.expect("the handshake");
                for round in 0..20 {
                    let text = Message::text(format!("{client}: {round}"));
                    socket.send(text.clone()).await.expect("sent");
                    assert_eq!(socket.next().await.expect("an answer").expect("a message"), text);
                }
                socket.close(None).await.expect("closed");
                while let Some(message) = socket.next().await {
                    assert!(message.expect("the other side closes, too").is_close());
                }
            })
        });
        for client in join_all(clients).await {
            client.expect("a client");
        }
        server.abort();
    });
}

/// Far larger than what the sockets hold: the writer waits for the reader, who echoes as it goes.
#[test]
fn large_messages_arrive_whole() {
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        let data: Vec<u8> = (0..8_000_000_u32).map(|number| (number % 251) as u8).collect();
        let sent = Message::binary(data);
        let echoing = spawn(async move {
            let message = server.next().await.expect("a message").expect("whole");
            server.send(message).await.expect("sent");
            server
        });
        client.send(sent.clone()).await.expect("sent");
        let received = client.next().await.expect("an answer").expect("whole");
        assert!(received == sent);
        echoing.await.expect("the server");
    });
}

#[test]
fn a_message_beyond_the_limit_is_refused() {
    on_both(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let limits = WebSocketConfig::default().max_message_size(Some(1000)).max_frame_size(Some(1000));
        let (client, server) = futures::join!(
            client_async("ws://localhost/", ours),
            accept_async_with_config(theirs, Some(limits))
        );
        let ((mut client, _), mut server) = (client.expect("the handshake"), server.expect("the handshake"));
        client.send(Message::binary(vec![0; 1001])).await.expect("sent");
        match server.next().await.expect("an answer") {
            Err(Error::Capacity(CapacityError::MessageTooLong { size: 1001, max_size: 1000 })) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn pings_are_answered_while_the_other_side_reads() {
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        client.send(Message::Ping("are you there?".into())).await.expect("sent");
        let serving = spawn(async move {
            let ping = server.next().await.expect("a message").expect("a ping");
            assert_eq!(ping, Message::Ping("are you there?".into()));
            assert!(server.next().await.expect("a message").expect("the client's close").is_close());
            server
        });
        let pong = client.next().await.expect("a message").expect("a pong");
        assert_eq!(pong, Message::Pong("are you there?".into()));
        client.close(None).await.expect("closed");
        serving.await.expect("the server");
    });
}

#[test]
fn closing_is_agreed_on_by_both_sides() {
    on_both(|| async {
        let (mut client, mut server) = pair().await;
        let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        client.close(Some(frame.clone())).await.expect("the close is sent");
        match client.send(Message::text("too late")).await {
            Err(Error::Protocol(ProtocolError::SendAfterClosing)) => {}
            other => panic!("{other:?}"),
        }
        let heard = server.next().await.expect("a message").expect("the client's close");
        assert_eq!(heard, Message::Close(Some(frame.clone())));
        assert!(server.next().await.is_none(), "the server has answered, and closes first");
        drop(server);
        let answer = client.next().await.expect("a message").expect("the server's close");
        assert_eq!(answer, Message::Close(Some(frame)));
        assert!(client.next().await.is_none());
    });
}

#[test]
fn a_peer_that_vanishes_is_an_error() {
    on_both(|| async {
        let (client, mut server) = pair().await;
        drop(client.into_inner());
        match server.next().await.expect("an answer") {
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {}
            other => panic!("{other:?}"),
        }
        assert!(server.next().await.is_none());
    });
}

/// The halves of a socket in two tasks.
#[test]
fn a_socket_is_split_between_tasks() {
    on_both(|| async {
        let (client, server) = pair().await;
        let (mut sender, mut receiver) = client.split();
        let echoing = spawn(async move {
            let (mut back, mut messages) = server.split();
            while let Some(Ok(message)) = messages.next().await {
                if message.is_text() {
                    back.send(message).await.expect("sent");
                }
            }
        });
        let sending = spawn(async move {
            for number in 0..1000 {
                sender.send(Message::text(number.to_string())).await.expect("sent");
            }
            sender.close(None).await.expect("closed");
        });
        for number in 0..1000 {
            let message = receiver.next().await.expect("a message").expect("whole");
            assert_eq!(message.to_text().expect("text"), number.to_string());
        }
        sending.await.expect("the sender");
        while let Some(Ok(message)) = receiver.next().await {
            assert!(message.is_close());
        }
        echoing.await.expect("the server");
    });
}
