//! UDP.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;

use crossover_runtime::io::Interest;
use crossover_runtime::net::UdpSocket;
use crossover_runtime::spawn;
use futures::future::join;

use super::{assert_pending, runtimes};

#[test]
fn udp_carries_datagrams() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let a = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            let b = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            let (to_a, to_b) = (a.local_addr().expect("address"), b.local_addr().expect("address"));
            let mut buffer = [0; 16];
            let receive = async {
                let (count, from) = b.recv_from(&mut buffer).await.expect("recv");
                (buffer[..count].to_vec(), from)
            };
            let (sent, received) = join(a.send_to(b"ping", to_b), receive).await;
            assert_eq!(sent.expect("send"), 4);
            assert_eq!(received, (b"ping".to_vec(), to_a));

            b.connect(to_a).await.expect("connect");
            a.connect(to_b).await.expect("connect");
            for number in 0..100_u8 {
                b.send(&[number]).await.expect("send");
                let mut one = [0; 4];
                assert_eq!(a.recv(&mut one).await.expect("recv"), 1);
                assert_eq!(one[0], number);
            }
            let blocked = a.try_recv(&mut [0; 4]).expect_err("nothing is left");
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
        });
    }
}

async fn connected_pair() -> (UdpSocket, UdpSocket) {
    let a = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let b = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    a.connect(b.local_addr().expect("address")).await.expect("connect");
    b.connect(a.local_addr().expect("address")).await.expect("connect");
    (a, b)
}

#[test]
fn polling_sends_receives_and_peeks() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = connected_pair().await;
            let to_b = b.local_addr().expect("address");
            let from_a = a.local_addr().expect("address");
            assert_eq!(poll_fn(|cx| a.poll_send(cx, b"one")).await.expect("send"), 3);
            let mut buffer = [0; 16];
            assert_eq!(poll_fn(|cx| b.poll_peek(cx, &mut buffer)).await.expect("peek"), 3);
            assert_eq!(poll_fn(|cx| b.poll_peek_sender(cx)).await.expect("peek"), from_a);
            let peeked = poll_fn(|cx| b.poll_peek_from(cx, &mut buffer[..2])).await.expect("peek");
            assert_eq!(peeked, (2, from_a), "as much as fits");
            assert_eq!(poll_fn(|cx| b.poll_recv(cx, &mut buffer)).await.expect("recv"), 3);
            assert_eq!(&buffer[..3], b"one");
            let unconnected = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            let target = unconnected.local_addr().expect("address");
            let sender = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            assert_eq!(poll_fn(|cx| sender.poll_send_to(cx, b"two", target)).await.expect("send"), 3);
            let received = poll_fn(|cx| unconnected.poll_recv_from(cx, &mut buffer)).await.expect("recv");
            assert_eq!(received, (3, sender.local_addr().expect("address")));
            poll_fn(|cx| a.poll_send_ready(cx)).await.expect("ready");
            assert_eq!(a.try_send(b"three").expect("send"), 5);
            poll_fn(|cx| b.poll_recv_ready(cx)).await.expect("ready");
            assert_eq!(b.peer_addr().expect("address"), from_a);
            assert_eq!(a.peer_addr().expect("address"), to_b);
        });
    }
}

#[test]
fn trying_never_waits_and_peeking_leaves_the_datagram() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = connected_pair().await;
            let from_a = a.local_addr().expect("address");
            let mut buffer = [0; 16];
            for blocked in [
                b.try_recv(&mut buffer),
                b.try_peek(&mut buffer),
                b.try_recv_from(&mut buffer).map(|(count, _)| count),
                b.try_peek_from(&mut buffer).map(|(count, _)| count),
                b.try_peek_sender().map(|_| 0),
                b.try_recv_buf(&mut Vec::new()),
                b.try_recv_buf_from(&mut Vec::new()).map(|(count, _)| count),
            ] {
                assert_eq!(blocked.expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
            }
            assert_eq!(a.try_send_to(b"data", b.local_addr().expect("address")).expect("send"), 4);
            assert_eq!(b.peek_sender().await.expect("peek"), from_a);
            assert_eq!(b.try_peek_sender().expect("peek"), from_a);
            assert_eq!(b.peek(&mut buffer).await.expect("peek"), 4);
            assert_eq!(b.peek_from(&mut buffer).await.expect("peek"), (4, from_a));
            assert_eq!(b.try_peek(&mut buffer[..1]).expect("peek"), 1);
            assert_eq!(b.try_peek_from(&mut buffer).expect("peek"), (4, from_a));
            assert_eq!(b.try_recv_from(&mut buffer).expect("recv"), (4, from_a));
            let gone = b.try_recv_from(&mut buffer).expect_err("it was received");
            assert_eq!(gone.kind(), ErrorKind::WouldBlock);
            assert_pending(pin!(b.readable())).await;
        });
    }
}

#[test]
fn buffers_grow_by_the_datagram_and_an_empty_one_loses_it() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = connected_pair().await;
            let from_a = a.local_addr().expect("address");
            let mut buffer = Vec::with_capacity(64);
            for text in [&b"one"[..], b"two", b"three"] {
                a.send(text).await.expect("send");
            }
            assert_eq!(b.recv_buf(&mut buffer).await.expect("recv"), 3);
            assert_eq!(b.recv_buf_from(&mut buffer).await.expect("recv"), (3, from_a));
            b.readable().await.expect("readable");
            assert_eq!(b.try_recv_buf_from(&mut buffer).expect("recv"), (5, from_a));
            assert_eq!(buffer, b"onetwothree");
            a.send(b"").await.expect("an empty datagram is one");
            assert_eq!(b.recv(&mut [0; 4]).await.expect("recv"), 0);
            a.send(b"lost").await.expect("send");
            a.send(b"kept").await.expect("send");
            assert_eq!(b.recv(&mut []).await.expect("recv"), 0);
            b.readable().await.expect("readable");
            assert_eq!(b.try_recv_buf(&mut buffer).expect("recv"), 4);
            assert!(buffer.ends_with(b"kept"));
        });
    }
}

#[test]
fn one_socket_sends_in_one_task_and_receives_in_another() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("bind"));
            let own = socket.local_addr().expect("address");
            let sender = socket.clone();
            let sending = spawn(async move {
                for number in 0..50_u8 {
                    sender.send_to(&[number], own).await.expect("send");
                    sender.writable().await.expect("writable");
                }
            });
            for number in 0..50_u8 {
                let mut byte = [0];
                assert_eq!(socket.recv_from(&mut byte).await.expect("recv"), (1, own));
                assert_eq!(byte, [number]);
            }
            sending.await.expect("sending");
        });
    }
}

#[test]
fn taken_ports_dead_peers_and_datagrams_too_long_are_errors() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = connected_pair().await;
            let taken = UdpSocket::bind(a.local_addr().expect("address")).await.expect_err("taken");
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            assert!(UdpSocket::bind("127.0.0.1").await.is_err(), "no port");
            let target = b.local_addr().expect("address");
            assert!(a.send_to(&[0; 70_000], target).await.is_err(), "too long");
            assert!(a.send_to(b"x", &[] as &[std::net::SocketAddr]).await.is_err(), "no target");
            let unconnected = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            assert!(unconnected.send(b"x").await.is_err(), "no target");
            assert!(unconnected.peer_addr().is_err(), "no peer");
            drop(b);
            a.send(b"to nobody").await.expect("nobody knows yet");
            let refused = a.recv(&mut [0; 4]).await.expect_err("the system says so");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
    }
}

#[test]
fn options_are_what_they_were_set_to() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
            assert!(!socket.broadcast().expect("get"));
            socket.set_broadcast(true).expect("set");
            assert!(socket.broadcast().expect("get"));
            socket.set_ttl(9).expect("set");
            assert_eq!(socket.ttl().expect("get"), 9);
            socket.set_tos_v4(0x60).expect("set");
            assert_eq!(socket.tos_v4().expect("get"), 0x60);
            socket.set_multicast_ttl_v4(3).expect("set");
            assert_eq!(socket.multicast_ttl_v4().expect("get"), 3);
            socket.set_multicast_loop_v4(false).expect("set");
            assert!(!socket.multicast_loop_v4().expect("get"));
            assert_eq!(socket.device().expect("get"), None);
            assert!(socket.bind_device(Some(b"no-such-device")).is_err());
            assert!(socket.take_error().expect("get").is_none());
            let no_group = socket.join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
            assert_eq!(no_group.expect_err("not a group").kind(), ErrorKind::InvalidInput);
            let group = Ipv4Addr::new(224, 0, 0, 123);
            if socket.join_multicast_v4(group, Ipv4Addr::LOCALHOST).is_ok() {
                socket.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).expect("leave");
            }
            assert!(socket.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).is_err(), "not a member any more");
            // Where there is IPv6.
            if let Ok(socket) = UdpSocket::bind("[::1]:0").await {
                socket.set_tclass_v6(0x60).expect("set");
                assert_eq!(socket.tclass_v6().expect("get"), 0x60);
                socket.set_multicast_loop_v6(false).expect("set");
                assert!(!socket.multicast_loop_v6().expect("get"));
                assert!(socket.join_multicast_v6(&Ipv6Addr::LOCALHOST, 0).is_err(), "not a group");
                assert!(socket.leave_multicast_v6(&Ipv6Addr::LOCALHOST, 0).is_err(), "not a group");
            }
        });
    }
}

#[test]
fn sockets_convert_and_do_io_of_ones_own() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = connected_pair().await;
            let a = UdpSocket::try_from(a.into_std().expect("into_std")).expect("try_from");
            a.send(b"own").await.expect("send");
            let mut buffer = [0; 8];
            let count = b.async_io(Interest::READABLE, || Ok(rustix::io::read(&b, &mut buffer)?)).await;
            assert_eq!(count.expect("read"), 3);
            let blocked = b.try_io(Interest::READABLE, || Ok(rustix::io::read(&b, &mut buffer)?));
            assert_eq!(blocked.expect_err("nothing is left").kind(), ErrorKind::WouldBlock);
            assert_pending(pin!(b.ready(Interest::READABLE))).await;
        });
    }
}
