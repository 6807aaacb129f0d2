//! `TcpSocket` and `UnixSocket`: options and addresses before there is a connection.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use crossover_runtime::net::{TcpSocket, UnixSocket};
use futures::future::join;

use super::{Folder, runtimes};

fn local() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

#[test]
fn a_socket_listens_and_another_connects_from_an_address_of_its_own() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let mut addresses = vec![local()];
            if std::net::TcpListener::bind("[::1]:0").is_ok() {
                addresses.push("[::1]:0".parse().expect("an address"));
            }
            for any in addresses {
                let socket = || if any.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
                let server = socket().expect("socket");
                server.set_reuseaddr(true).expect("set");
                server.bind(any).expect("bind");
                let address = server.local_addr().expect("address");
                let listener = server.listen(u32::MAX).expect("listen");
                assert_eq!(listener.local_addr().expect("address"), address);
                let client = socket().expect("socket");
                client.bind(any).expect("bind");
                let from = client.local_addr().expect("address");
                let (client, accepted) = join(client.connect(address), listener.accept()).await;
                assert_eq!(client.expect("connect").local_addr().expect("address"), from);
                assert_eq!(accepted.expect("accept").1, from);
            }
        });
    }
}

#[test]
fn ports_that_are_taken_absent_peers_and_the_wrong_family_are_errors() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let first = TcpSocket::new_v4().expect("socket");
            first.bind(local()).expect("bind");
            let address = first.local_addr().expect("address");
            let listener = first.listen(1).expect("listen");
            let second = TcpSocket::new_v4().expect("socket");
            assert_eq!(second.bind(address).expect_err("taken").kind(), ErrorKind::AddrInUse);
            drop(listener);
            let refused = TcpSocket::new_v4().expect("socket").connect(address).await.expect_err("nobody");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let family: SocketAddr = "[::1]:1".parse().expect("an address");
            assert!(TcpSocket::new_v4().expect("socket").bind(family).is_err());
            assert!(TcpSocket::new_v4().expect("socket").connect(family).await.is_err());
        });
    }
}

#[test]
fn one_port_is_shared_by_those_who_all_say_so() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let sharing = || {
                let socket = TcpSocket::new_v4().expect("socket");
                assert!(!socket.reuseport().expect("get"));
                socket.set_reuseport(true).expect("set");
                assert!(socket.reuseport().expect("get"));
                socket
            };
            let first = sharing();
            first.bind(local()).expect("bind");
            let address = first.local_addr().expect("address");
            let _first = first.listen(8).expect("listen");
            let second = sharing();
            second.bind(address).expect("shared");
            let _second = second.listen(8).expect("listen");
        });
    }
}

#[test]
fn options_are_what_they_were_set_to() {
    // No runtime: a socket needs one only when it connects or listens.
    let socket = TcpSocket::new_v4().expect("socket");
    for (set, get) in [
        (
            TcpSocket::set_keepalive as fn(&TcpSocket, bool) -> std::io::Result<()>,
            TcpSocket::keepalive as fn(&_) -> _,
        ),
        (TcpSocket::set_nodelay, TcpSocket::nodelay),
        (TcpSocket::set_reuseaddr, TcpSocket::reuseaddr),
        (TcpSocket::set_reuseport, TcpSocket::reuseport),
    ] {
        for on in [true, false] {
            set(&socket, on).expect("set");
            assert_eq!(get(&socket).expect("get"), on);
        }
    }
    socket.set_send_buffer_size(4096).expect("set");
    socket.set_recv_buffer_size(4096).expect("set");
    // Linux doubles it.
    assert!([4096, 8192].contains(&socket.send_buffer_size().expect("get")));
    assert!([4096, 8192].contains(&socket.recv_buffer_size().expect("get")));
    assert_eq!(socket.linger().expect("get"), None);
    socket.set_zero_linger().expect("set");
    assert_eq!(socket.linger().expect("get"), Some(Duration::ZERO));
    socket.set_tos_v4(0x60).expect("set");
    assert_eq!(socket.tos_v4().expect("get"), 0x60);
    assert_eq!(socket.device().expect("get"), None);
    assert!(socket.bind_device(Some(b"no-such-device")).is_err());
    assert!(socket.take_error().expect("get").is_none());
    // Where there is IPv6.
    if let Ok(socket) = TcpSocket::new_v6() {
        socket.set_tclass_v6(0x60).expect("set");
        assert_eq!(socket.tclass_v6().expect("get"), 0x60);
    }
}

#[test]
#[allow(deprecated, reason = "it is there for tokio's sake, and must work")]
fn a_linger_can_be_set_and_taken_back() {
    let socket = TcpSocket::new_v4().expect("socket");
    for linger in [Some(Duration::from_secs(10)), None] {
        socket.set_linger(linger).expect("set");
        assert_eq!(socket.linger().expect("get"), linger);
    }
    for runtime in runtimes() {
        runtime.block_on(async {
            let (client, _server) = super::tcp_pair().await;
            for linger in [Some(Duration::from_secs(1)), None] {
                client.set_linger(linger).expect("set");
                assert_eq!(client.linger().expect("get"), linger);
            }
        });
    }
}

#[test]
fn sockets_convert() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = std::net::TcpListener::bind(local()).expect("bind");
            // A socket of std's that is in blocking mode and not connected yet.
            let raw =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
            let socket = TcpSocket::from_std_stream(raw.into());
            assert_eq!(socket.as_fd().as_raw_fd(), socket.as_raw_fd());
            assert!(format!("{socket:?}").contains("TcpSocket"));
            let connecting = socket.connect(listener.local_addr().expect("address"));
            connecting.await.expect("connect");
            let number = TcpSocket::new_v4().map(|socket| {
                let number = socket.as_raw_fd();
                (number, OwnedFd::from(socket))
            });
            let (number, descriptor) = number.expect("socket");
            assert_eq!(descriptor.as_raw_fd(), number);
        });
    }
}

#[test]
fn a_unix_socket_becomes_a_listener_and_a_client_with_a_path() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let (server, client) = (folder.path(&format!("s{number}")), folder.path(&format!("c{number}")));
        runtime.block_on(async {
            let socket = UnixSocket::new_stream().expect("socket");
            socket.bind(&server).expect("bind");
            assert!(format!("{socket:?}").contains("UnixSocket"));
            let listener = socket.listen(16).expect("listen");
            let socket = UnixSocket::new_stream().expect("socket");
            assert_eq!(socket.bind(&server).expect_err("taken").kind(), ErrorKind::AddrInUse);
            socket.bind(&client).expect("bind");
            let (stream, accepted) = join(socket.connect(&server), listener.accept()).await;
            assert_eq!(accepted.expect("accept").1.as_pathname(), Some(client.as_path()));
            assert_eq!(
                stream.expect("connect").peer_addr().expect("address").as_pathname(),
                Some(server.as_path())
            );
            drop(listener);
            let refused =
                UnixSocket::new_stream().expect("socket").connect(&server).await.expect_err("nobody");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
    }
}

#[test]
fn a_unix_socket_of_the_other_kind_is_refused_by_name() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let datagram = || UnixSocket::new_datagram().expect("socket");
            let error = datagram().connect("x").await.expect_err("no stream");
            assert_eq!(error.to_string(), "connect cannot be called on a datagram socket");
            let error = datagram().listen(1).expect_err("no stream");
            assert_eq!(error.to_string(), "listen cannot be called on a datagram socket");
            let error = UnixSocket::new_stream().expect("socket").datagram().expect_err("a stream");
            assert_eq!(error.to_string(), "datagram cannot be called on a stream socket");
        });
    }
}
