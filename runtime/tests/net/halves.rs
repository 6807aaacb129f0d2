//! Halves of TCP streams, borrowed and owned.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::pin;

use crossover_runtime::io::Interest;
use crossover_runtime::net::TcpStream;
use crossover_runtime::net::tcp::ReuniteError;
use crossover_runtime::{spawn, task::yield_now};
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};

use super::{assert_pending, runtimes, tcp_pair};

#[test]
fn tcp_echo_of_a_megabyte_through_split_halves() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, server) = tcp_pair().await;
            let echo = spawn(async move {
                let (mut read, mut write) = server.into_split();
                futures::io::copy(&mut read, &mut write).await.expect("copy");
            });
            let payload: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
            let (mut read, mut write) = client.into_split();
            let sent = payload.clone();
            let writer = spawn(async move {
                write.write_all(&sent).await.expect("write");
                drop(write); // shuts the writing half down
            });
            let mut received = Vec::new();
            read.read_to_end(&mut received).await.expect("read");
            assert!(received == payload);
            writer.await.expect("writer");
            echo.await.expect("echo");
        });
    }
}

#[test]
fn peeking_leaves_the_bytes_also_on_halves_and_by_polling() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut client, mut server) = tcp_pair().await;
            client.write_all(b"peek").await.expect("write");
            let mut buffer = [0; 8];
            assert_eq!(poll_fn(|cx| server.poll_peek(cx, &mut buffer)).await.expect("peek"), 4);
            {
                let (read, write) = TcpStream::split(&mut server);
                assert_eq!(read.peek(&mut buffer).await.expect("peek"), 4);
                assert_eq!(read.local_addr().expect("address"), write.local_addr().expect("address"));
            }
            let (mut read, write) = server.into_split();
            assert_eq!(poll_fn(|cx| read.poll_peek(cx, &mut buffer[..2])).await.expect("peek"), 2);
            assert_eq!(read.read(&mut buffer).await.expect("read"), 4);
            assert_eq!(&buffer[..4], b"peek");
            assert_eq!(write.peer_addr().expect("address"), client.local_addr().expect("address"));
            drop(client);
            assert_eq!(read.peek(&mut buffer).await.expect("peek"), 0, "the end");
        });
    }
}

#[test]
fn halves_try_and_wait_by_themselves() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, server) = tcp_pair().await;
            let (read, write) = client.into_split();
            let (peer_read, peer_write) = server.into_split();
            write.writable().await.expect("writable");
            assert!(write.ready(Interest::WRITABLE).await.expect("ready").is_writable());
            assert_eq!(write.try_write(b"ab").expect("write"), 2);
            assert_eq!(write.try_write_vectored(&[IoSlice::new(b"c")]).expect("write"), 1);
            let mut buffer = Vec::new();
            while buffer.len() < 3 {
                peer_read.readable().await.expect("readable");
                match peer_read.try_read_buf(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => drop(result.expect("read")),
                }
            }
            assert_eq!(buffer, b"abc");
            let blocked = read.try_read(&mut [0]).expect_err("nothing was sent");
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
            drop((peer_write, peer_read));
            let closed = loop {
                let ready = read.ready(Interest::READABLE).await.expect("ready");
                if ready.is_read_closed() {
                    break ready;
                }
                yield_now().await;
            };
            assert!(closed.is_readable());
        });
    }
}

#[test]
fn dropping_the_writing_half_ends_the_stream_unless_it_is_forgotten() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, server) = tcp_pair().await;
            let (mut read, write) = client.into_split();
            let (mut peer_read, mut peer_write) = server.into_split();
            write.forget();
            assert_pending(pin!(peer_read.read(&mut [0]))).await;
            peer_write.write_all(b"x").await.expect("write");
            drop(peer_write);
            let mut text = String::new();
            read.read_to_string(&mut text).await.expect("read");
            assert_eq!(text, "x");
            drop(read); // the last of that side
            assert_eq!(peer_read.read(&mut [0]).await.expect("read"), 0);
        });
    }
}

#[test]
fn halves_of_two_streams_are_handed_back() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let ((one, _a), (other, _b)) = join(tcp_pair(), tcp_pair()).await;
            let (read, write) = one.into_split();
            let (foreign_read, foreign_write) = other.into_split();
            let error = read.reunite(foreign_write).expect_err("of two streams");
            assert!(error.to_string().contains("not from the same socket"), "{error}");
            let ReuniteError(read, foreign_write) = error;
            write.reunite(read).expect("of one stream");
            foreign_read.reunite(foreign_write).expect("of one stream");
        });
    }
}
