//! Unix datagrams.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;

use crossover_runtime::io::Interest;
use crossover_runtime::net::{UnixDatagram, UnixSocket};
use crossover_runtime::spawn;
use futures::future::join;

use super::{Folder, assert_pending, runtimes};

#[test]
fn a_pair_exchanges_datagrams_and_starts_writable_only() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = UnixDatagram::pair().expect("pair");
            assert_eq!(a.try_send(b"no turn of the driver is needed").expect("send"), 31);
            assert_pending(pin!(a.readable())).await;
            let mut buffer = [0; 8];
            assert_eq!(b.recv(&mut buffer).await.expect("recv"), 8, "the rest is lost");
            assert_eq!(&buffer, b"no turn ");
            assert_eq!(b.try_recv(&mut buffer).expect_err("it is").kind(), ErrorKind::WouldBlock);
            assert!(a.local_addr().expect("address").is_unnamed());
            assert!(a.peer_addr().expect("address").is_unnamed());
            assert!(a.take_error().expect("get").is_none());
        });
    }
}

#[test]
fn datagrams_go_by_path_and_say_whose_they_are() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let (here, there) = (folder.path(&format!("a{number}")), folder.path(&format!("b{number}")));
        runtime.block_on(async {
            let a = UnixDatagram::bind(&here).expect("bind");
            let b = UnixSocket::new_datagram().expect("socket");
            b.bind(&there).expect("bind");
            let b = b.datagram().expect("datagram");
            let mut buffer = [0; 16];
            assert_eq!(a.send_to(b"1", &there).await.expect("send"), 1);
            assert_eq!(a.try_send_to(b"2", &there).expect("send"), 1);
            assert_eq!(poll_fn(|cx| a.poll_send_to(cx, b"3", &there)).await.expect("send"), 1);
            UnixDatagram::unbound().expect("unbound").send_to(b"4", &there).await.expect("send");

            let (count, from) = b.recv_from(&mut buffer).await.expect("recv");
            assert_eq!((count, from.as_pathname()), (1, Some(here.as_path())));
            let (count, from) = b.try_recv_from(&mut buffer).expect("recv");
            assert_eq!((count, from.as_pathname()), (1, Some(here.as_path())));
            let (count, from) = poll_fn(|cx| b.poll_recv_from(cx, &mut buffer)).await.expect("recv");
            assert_eq!((count, from.as_pathname()), (1, Some(here.as_path())));
            assert!(b.recv_from(&mut buffer).await.expect("recv").1.is_unnamed());

            a.connect(&there).expect("connect");
            assert_eq!(a.peer_addr().expect("address").as_pathname(), Some(there.as_path()));
            assert_eq!(a.local_addr().expect("address").as_pathname(), Some(here.as_path()));
            assert_eq!(poll_fn(|cx| a.poll_send(cx, b"five")).await.expect("send"), 4);
            assert_eq!(poll_fn(|cx| b.poll_recv(cx, &mut buffer)).await.expect("recv"), 4);
        });
    }
}

#[test]
fn buffers_grow_by_the_datagram() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let path = folder.path(&number.to_string());
        runtime.block_on(async {
            let receiver = UnixDatagram::bind(&path).expect("bind");
            let named = folder.path(&format!("sender{number}"));
            let sender = UnixDatagram::bind(&named).expect("bind");
            sender.connect(&path).expect("connect");
            for text in [&b"one"[..], b"two", b"three", b"four"] {
                sender.send(text).await.expect("send");
            }
            let mut buffer = Vec::with_capacity(64);
            assert_eq!(receiver.recv_buf(&mut buffer).await.expect("recv"), 3);
            let (count, from) = receiver.recv_buf_from(&mut buffer).await.expect("recv");
            assert_eq!((count, from.as_pathname()), (3, Some(named.as_path())));
            assert_eq!(receiver.try_recv_buf(&mut buffer).expect("recv"), 5);
            let (count, from) = receiver.try_recv_buf_from(&mut buffer).expect("recv");
            assert_eq!((count, from.as_pathname()), (4, Some(named.as_path())));
            assert_eq!(buffer, b"onetwothreefour");
            UnixDatagram::unbound().expect("unbound").send_to(b"", &path).await.expect("send");
            let (count, from) = receiver.recv_buf_from(&mut buffer).await.expect("recv");
            assert!(count == 0 && from.is_unnamed());
            let nothing = receiver.try_recv_buf_from(&mut buffer).expect_err("nothing is left");
            assert_eq!((nothing.kind(), buffer.len()), (ErrorKind::WouldBlock, 15));
        });
    }
}

#[test]
fn a_sender_waits_while_the_queue_of_its_receiver_is_full() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = UnixDatagram::pair().expect("pair");
            let mut sent = 0_u32;
            loop {
                poll_fn(|cx| a.poll_send_ready(cx)).await.expect("ready");
                match a.try_send(&sent.to_ne_bytes()) {
                    Ok(_) => sent += 1,
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            let last = sent.to_ne_bytes();
            let mut sending = pin!(a.send(&last));
            assert_pending(sending.as_mut()).await;
            let receiving = async {
                for expected in 0..=sent {
                    let mut number = [0; 4];
                    b.recv(&mut number).await.expect("recv");
                    assert_eq!(u32::from_ne_bytes(number), expected, "neither lost nor reordered");
                }
            };
            join(sending, receiving).await.0.expect("send");
        });
    }
}

#[test]
fn one_socket_sends_in_one_task_and_receives_in_another() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let path = folder.path(&number.to_string());
        runtime.block_on(async {
            let socket = Arc::new(UnixDatagram::bind(&path).expect("bind"));
            let (sender, target) = (socket.clone(), path.clone());
            let sending = spawn(async move { sender.send_to(b"x", target).await });
            let (count, from) = socket.recv_from(&mut [0; 4]).await.expect("recv");
            assert_eq!((count, from.as_pathname()), (1, Some(path.as_path())));
            sending.await.expect("sending").expect("send");
        });
    }
}

#[test]
fn taken_paths_and_absent_or_dead_peers_are_errors() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let path = folder.path(&number.to_string());
        runtime.block_on(async {
            let receiver = UnixDatagram::bind(&path).expect("bind");
            assert_eq!(UnixDatagram::bind(&path).expect_err("taken").kind(), ErrorKind::AddrInUse);
            let sender = UnixDatagram::unbound().expect("unbound");
            assert_eq!(sender.send(b"x").await.expect_err("no peer").kind(), ErrorKind::NotConnected);
            assert!(sender.peer_addr().is_err(), "no peer");
            let absent = sender.send_to(b"x", folder.path("absent")).await.expect_err("no such path");
            assert_eq!(absent.kind(), ErrorKind::NotFound);
            assert!(sender.send_to(&vec![0; 1 << 24], &path).await.is_err(), "too long");
            sender.connect(&path).expect("connect");
            drop(receiver);
            let refused = sender.send(b"x").await.expect_err("nobody");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(sender.connect(&path).expect_err("nobody").kind(), ErrorKind::ConnectionRefused);
        });
    }
}

#[test]
fn shutting_down_ends_sending_and_conversions_keep_the_socket() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = UnixDatagram::pair().expect("pair");
            b.shutdown(Shutdown::Read).expect("shutdown");
            assert_eq!(a.send(b"x").await.expect_err("nobody receives").kind(), ErrorKind::BrokenPipe);
            a.shutdown(Shutdown::Write).expect("shutdown");
            assert_eq!(a.send(b"x").await.expect_err("shut down").kind(), ErrorKind::BrokenPipe);
            let (c, d) = UnixDatagram::pair().expect("pair");
            let c = UnixDatagram::try_from(c.into_std().expect("into_std")).expect("try_from");
            let d = UnixDatagram::from_std(d.into_std().expect("into_std")).expect("from_std");
            c.send(b"own").await.expect("send");
            poll_fn(|cx| d.poll_recv_ready(cx)).await.expect("ready");
            let mut buffer = [0; 8];
            let count = d.async_io(Interest::READABLE, || Ok(rustix::io::read(&d, &mut buffer)?)).await;
            assert_eq!(count.expect("read"), 3);
            let blocked = d.try_io(Interest::READABLE, || Ok(rustix::io::read(&d, &mut buffer)?));
            assert_eq!(blocked.expect_err("nothing is left").kind(), ErrorKind::WouldBlock);
            assert!(d.ready(Interest::WRITABLE).await.expect("ready").is_writable());
        });
    }
}
