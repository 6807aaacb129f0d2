//! TCP streams and listeners.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use crossover_runtime::io::Interest;
use crossover_runtime::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use crossover_runtime::{spawn, task::yield_now};
use futures::future::{join, join_all};
use futures::{AsyncReadExt, AsyncWriteExt};

use super::{assert_pending, runtimes, tcp_pair};

#[test]
fn hundreds_of_connections_echo_at_once() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let address = listener.local_addr().expect("address");
            drop(spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    drop(spawn(async move {
                        let mut byte = [0];
                        while stream.read(&mut byte).await.is_ok_and(|count| count > 0) {
                            stream.write_all(&byte).await.expect("write");
                        }
                    }));
                }
            }));
            let clients: Vec<_> = (0..300_u32)
                .map(|i| {
                    spawn(async move {
                        let mut stream = TcpStream::connect(address).await.expect("connect");
                        for round in 0..5 {
                            stream.write_all(&[(i + round) as u8]).await.expect("write");
                            let mut byte = [0];
                            stream.read_exact(&mut byte).await.expect("read");
                            assert_eq!(byte, [(i + round) as u8]);
                        }
                    })
                })
                .collect();
            for client in clients {
                client.await.expect("client");
            }
        });
    }
}

#[test]
fn vectored_io_peek_and_try() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut client, mut server) = tcp_pair().await;
            let written =
                client.write_vectored(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]).await.expect("write");
            assert_eq!(written, 5);
            let mut peeked = [0; 5];
            while server.peek(&mut peeked).await.expect("peek") < 5 {}
            assert_eq!(&peeked, b"hello");
            let (mut first, mut second) = ([0; 2], [0; 3]);
            let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            assert_eq!(server.read_vectored(&mut buffers).await.expect("read"), 5);
            assert_eq!((&first, &second), (b"he", b"llo"));

            let mut buffer = [0; 8];
            let blocked = server.try_read(&mut buffer).expect_err("nothing is left");
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
            client.writable().await.expect("writable");
            assert_eq!(client.try_write(b"x").expect("write"), 1);
            loop {
                assert!(server.ready(Interest::READABLE).await.expect("ready").is_readable());
                match server.try_read(&mut buffer) {
                    Ok(count) => break assert_eq!(&buffer[..count], b"x"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            client.close().await.expect("close");
            client.close().await.expect("closing twice does no harm");
            assert_eq!(server.read(&mut buffer).await.expect("read"), 0);
        });
    }
}

#[test]
fn connecting_to_nobody_is_refused_and_bad_addresses_are_named() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
            let address = gone.local_addr().expect("address");
            drop(gone);
            let refused = TcpStream::connect(address).await.expect_err("nobody listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

            // The second address works.
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let good = listener.local_addr().expect("address");
            TcpStream::connect(&[address, good][..]).await.expect("the second address");
            TcpStream::connect(("localhost", good.port())).await.expect("by name");

            let taken = TcpListener::bind(good).await.expect_err("in use");
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            for wrong in ["localhost", "localhost:http", "localhost:70000"] {
                let error = TcpStream::connect(wrong).await.expect_err("no address");
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            }
            let nothing = TcpStream::connect(&[] as &[std::net::SocketAddr]).await.expect_err("no address");
            assert_eq!(nothing.kind(), ErrorKind::InvalidInput);
            assert!(lookup_host("localhost:1").await.expect("lookup").all(|found| found.ip().is_loopback()));
        });
    }
}

#[test]
fn options_and_conversions() {
    fn takes_addresses<A: ToSocketAddrs>(_: A) {}
    takes_addresses("localhost:1".to_owned());
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, server) = tcp_pair().await;
            assert_eq!(client.peer_addr().expect("address"), server.local_addr().expect("address"));
            client.set_nodelay(true).expect("set");
            assert!(client.nodelay().expect("get"));
            client.set_ttl(40).expect("set");
            assert_eq!(client.ttl().expect("get"), 40);
            client.set_zero_linger().expect("set");
            assert_eq!(client.linger().expect("get"), Some(Duration::ZERO));
            assert!(client.take_error().expect("get").is_none());

            let client = client.into_std().expect("into_std");
            let mut client = TcpStream::from_std(client).expect("from_std");
            client.write_all(b"again").await.expect("write");
            let mut server = server;
            let mut buffer = [0; 5];
            server.read_exact(&mut buffer).await.expect("read");
            assert_eq!(&buffer, b"again");

            let (read, write) = client.into_split();
            let (other_read, other_write) = server.into_split();
            let error = read.reunite(other_write).expect_err("halves of two streams");
            let (read, other_write) = (error.0, error.1);
            let mut client = write.reunite(read).expect("halves of one stream");
            let mut server = other_read.reunite(other_write).expect("halves of one stream");
            client.write_all(b"whole").await.expect("reuniting shuts nothing down");
            server.read_exact(&mut buffer).await.expect("read");
            assert_eq!(&buffer, b"whole");
        });
    }
}

#[test]
fn a_reset_connection_is_an_error_and_not_a_hang() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, mut server) = tcp_pair().await;
            client.set_zero_linger().expect("set");
            let reader = spawn(async move {
                let mut buffer = [0; 1];
                server.read(&mut buffer).await
            });
            drop(client);
            let error = reader.await.expect("task").expect_err("reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn an_accepted_stream_counts_as_readable_until_a_read_finds_nothing() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (_client, server) = tcp_pair().await;
            server.readable().await.expect("assumed");
            let blocked = server.try_read(&mut [0]).expect_err("nothing was sent");
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
            assert_pending(pin!(server.readable())).await;
            let unasked =
                server.try_io(Interest::READABLE, || -> std::io::Result<()> { panic!("not ready") });
            assert_eq!(unasked.expect_err("not ready").kind(), ErrorKind::WouldBlock);
        });
    }
}

#[test]
fn a_stream_that_took_a_part_is_writable_until_an_attempt_would_block() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, mut server) = tcp_pair().await;
            let chunk = vec![7; 1 << 16];
            let parts = [IoSlice::new(&chunk), IoSlice::new(&chunk)];
            let mut sent = 0;
            loop {
                assert!(client.ready(Interest::WRITABLE).await.expect("ready").is_writable());
                match client.try_write_vectored(&parts) {
                    Ok(count) => sent += count,
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            let mut writable = pin!(client.writable());
            assert_pending(writable.as_mut()).await;
            let drained = async {
                let mut buffer = vec![0; 1 << 16];
                let mut read = 0;
                while read < sent {
                    read += server.read(&mut buffer).await.expect("read");
                }
            };
            join(drained, writable).await.1.expect("writable again");
        });
    }
}

#[test]
fn try_read_buf_grows_the_buffer_by_what_was_read() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut client, server) = tcp_pair().await;
            client.write_all(b"hello world").await.expect("write");
            let mut buffer = BytesMut::with_capacity(64);
            buffer.put_slice(b"> ");
            let mut limited = (&mut buffer).limit(5);
            let count = loop {
                server.readable().await.expect("readable");
                match server.try_read_buf(&mut limited) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => break result.expect("read"),
                }
            };
            assert_eq!((count, &buffer[..]), (5, &b"> hello"[..]));
            let mut rest = Vec::new(); // without capacity: it gets some
            assert_eq!(server.try_read_buf(&mut rest).expect("the rest is there"), 6);
            assert_eq!(rest, b" world");
            let mut full = [0_u8; 0];
            assert_eq!(server.try_read_buf(&mut &mut full[..]).expect("no room, no harm"), 0);
            let nothing = server.try_read_buf(&mut rest).expect_err("nothing is left");
            assert_eq!((nothing.kind(), rest.len()), (ErrorKind::WouldBlock, 6));
            drop(client);
            server.readable().await.expect("the end");
            assert_eq!(server.try_read_buf(&mut rest).expect("the end"), 0);
        });
    }
}

#[test]
fn an_empty_buffer_moves_nothing_and_is_no_end() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut client, mut server) = tcp_pair().await;
            // The system wants to have something before it reads nothing of it.
            assert_pending(pin!(server.read(&mut []))).await;
            assert_eq!(client.write(&[]).await.expect("write"), 0);
            assert_eq!(client.write_vectored(&[]).await.expect("write"), 0);
            client.write_all(b"x").await.expect("write");
            server.readable().await.expect("readable");
            assert_eq!(server.try_read(&mut []).expect("not the end"), 0);
            assert_eq!(server.try_read_vectored(&mut [IoSliceMut::new(&mut [])]).expect("not the end"), 0);
            let mut byte = [0];
            server.read_exact(&mut byte).await.expect("still there");
            assert_eq!(&byte, b"x");
        });
    }
}

#[test]
fn a_socket_dropped_in_the_middle_of_a_read_is_closed() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, mut server) = tcp_pair().await;
            let reader = spawn(async move {
                let mut client = client;
                client.read(&mut [0]).await
            });
            yield_now().await;
            reader.abort();
            assert!(reader.await.expect_err("aborted").is_cancelled());
            assert_eq!(server.read(&mut [0]).await.expect("read"), 0, "the peer sees the end");
            // By a future that is dropped after its first poll, too.
            let (mut client, mut server) = tcp_pair().await;
            {
                let mut byte = [0];
                assert_pending(pin!(client.read(&mut byte))).await;
            }
            server.write_all(b"x").await.expect("write");
            let mut byte = [0];
            client.read_exact(&mut byte).await.expect("nothing was lost with the read that was given up");
        });
    }
}

#[test]
fn a_dead_peer_ends_reads_and_breaks_writes() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut client, server) = tcp_pair().await;
            drop(server);
            assert_eq!(client.read(&mut [0]).await.expect("read"), 0);
            let broken = loop {
                // The first write is answered by a reset.
                if let Err(error) = client.write(&[0; 1024]).await {
                    break error;
                }
                yield_now().await;
            };
            assert!(matches!(broken.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{broken}");
        });
    }
}

#[test]
fn io_of_ones_own_waits_and_clears_as_the_built_in_does() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut client, server) = tcp_pair().await;
            let mut attempts = 0;
            let mut buffer = [0; 4];
            let read = server.async_io(Interest::READABLE, || {
                attempts += 1;
                Ok(rustix::io::read(&server, &mut buffer)?)
            });
            let (count, ()) = join(read, async {
                yield_now().await;
                client.write_all(b"own").await.expect("write");
            })
            .await;
            assert_eq!((count.expect("read"), &buffer[..3]), (3, &b"own"[..]));
            assert!(attempts <= 3, "{attempts} attempts");
            let other = server.async_io(Interest::WRITABLE, || -> std::io::Result<()> {
                Err(ErrorKind::InvalidData.into())
            });
            assert_eq!(other.await.expect_err("passed through").kind(), ErrorKind::InvalidData);
        });
    }
}

#[test]
fn any_number_of_tasks_accept_and_each_connection_goes_to_one() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = std::sync::Arc::new(TcpListener::bind("127.0.0.1:0").await.expect("bind"));
            let address = listener.local_addr().expect("address");
            let acceptors = (0..8).map(|_| {
                let listener = listener.clone();
                spawn(async move { listener.accept().await.expect("accept").1 })
            });
            let acceptors: Vec<_> = acceptors.collect();
            let clients = join_all((0..8).map(|_| TcpStream::connect(address))).await;
            let mut expected: Vec<SocketAddr> = clients
                .iter()
                .map(|client| client.as_ref().expect("connect").local_addr().expect("address"))
                .collect();
            let mut accepted = Vec::new();
            for acceptor in acceptors {
                accepted.push(acceptor.await.expect("acceptor"));
            }
            expected.sort_unstable();
            accepted.sort_unstable();
            assert_eq!(accepted, expected);
        });
    }
}

#[test]
fn listeners_convert_and_have_options() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let std_listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
            let listener = TcpListener::try_from(std_listener).expect("try_from");
            listener.set_ttl(33).expect("set");
            assert_eq!(listener.ttl().expect("get"), 33);
            let address = listener.local_addr().expect("address");
            let (client, accepted) =
                join(TcpStream::connect(address), poll_fn(|cx| listener.poll_accept(cx))).await;
            let (client, (server, from)) = (client.expect("connect"), accepted.expect("accept"));
            assert_eq!(from, client.local_addr().expect("address"));
            drop(server);
            let listener = listener.into_std().expect("into_std");
            assert_eq!(listener.local_addr().expect("address"), address);
            let client = TcpStream::try_from(client.into_std().expect("into_std")).expect("try_from");
            assert!(client.as_ref().take_error().expect("get").is_none());
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn acknowledgements_can_be_asked_for_at_once() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, _server) = tcp_pair().await;
            client.set_quickack(true).expect("set");
            assert!(client.quickack().expect("get"));
            client.set_quickack(false).expect("set");
            assert!(!client.quickack().expect("get"));
        });
    }
}
