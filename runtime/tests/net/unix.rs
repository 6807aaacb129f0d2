//! Unix-domain streams, listeners, addresses and peers.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::pin::pin;

use crossover_runtime::net::unix::SocketAddr;
use crossover_runtime::net::{UnixListener, UnixStream};
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};

use super::{Folder, assert_pending, runtimes};

#[test]
fn unix_sockets_by_pair_and_by_path() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let path = folder.path(&number.to_string());
        runtime.block_on(async {
            let (mut a, mut b) = UnixStream::pair().expect("pair");
            a.write_all(b"pair").await.expect("write");
            let mut buffer = [0; 4];
            b.read_exact(&mut buffer).await.expect("read");
            assert_eq!(&buffer, b"pair");
            assert_eq!(a.peer_cred().expect("cred").pid(), Some(std::process::id() as i32));

            let absent = UnixStream::connect(&path).await.expect_err("nobody listens");
            assert_eq!(absent.kind(), ErrorKind::NotFound);
            let listener = UnixListener::bind(&path).expect("bind");
            let (client, server) = join(UnixStream::connect(&path), listener.accept()).await;
            let (mut client, (mut server, _)) = (client.expect("connect"), server.expect("accept"));
            assert_eq!(client.peer_addr().expect("address").as_pathname(), Some(path.as_path()));
            client.write_all(b"path").await.expect("write");
            drop(client);
            let mut received = String::new();
            server.read_to_string(&mut received).await.expect("read");
            assert_eq!(received, "path");
        });
    }
}

#[test]
fn addresses_are_paths_abstract_names_or_nothing() {
    let folder = Folder::new();
    let named: SocketAddr =
        std::os::unix::net::SocketAddr::from_pathname(folder.path("socket")).expect("address").into();
    let name = format!("crossover-net-{}", std::process::id());
    let hidden: SocketAddr =
        std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("address").into();
    assert_eq!(named.as_pathname(), Some(folder.path("socket").as_path()));
    assert_eq!((named.as_abstract_name(), named.is_unnamed()), (None, false));
    assert_eq!((hidden.as_pathname(), hidden.as_abstract_name()), (None, Some(name.as_bytes())));
    for runtime in runtimes() {
        runtime.block_on(async {
            for address in [&named, &hidden] {
                let listener = UnixListener::bind_addr(address).expect("bind");
                let bound = listener.local_addr().expect("address");
                assert_eq!(bound.as_pathname(), address.as_pathname());
                assert_eq!(bound.as_abstract_name(), address.as_abstract_name());
                let taken = UnixListener::bind_addr(address).expect_err("taken");
                assert_eq!(taken.kind(), ErrorKind::AddrInUse);
                let (client, accepted) = join(UnixStream::connect_addr(address), listener.accept()).await;
                let (client, (server, from)) = (client.expect("connect"), accepted.expect("accept"));
                assert!(
                    from.is_unnamed() && from.as_pathname().is_none() && from.as_abstract_name().is_none()
                );
                assert!(server.peer_addr().expect("address").is_unnamed());
                assert_eq!(client.peer_addr().expect("address").as_pathname(), address.as_pathname());
                assert!(listener.take_error().expect("get").is_none());
            }
            let refused = UnixStream::connect_addr(&named).await.expect_err("the listener is gone");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            std::fs::remove_file(folder.path("socket")).expect("the file is left");
            let unnamed = UnixStream::pair().expect("pair").0.local_addr().expect("address");
            let nowhere = UnixStream::connect_addr(&unnamed).await.expect_err("no address");
            assert_eq!(nowhere.kind(), ErrorKind::InvalidInput);
            assert_eq!(
                UnixListener::bind_addr(&unnamed).expect_err("no address").kind(),
                ErrorKind::InvalidInput
            );
        });
    }
}

/// Linux takes a path that fills the address without a zero behind it; its length then exceeds the address.
#[test]
fn a_client_whose_path_fills_the_address_is_accepted() {
    let folder = Folder::new();
    let length = 108 - folder.0.as_os_str().len() - 1;
    let path = folder.path(&"x".repeat(length));
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = UnixListener::bind(folder.path("listener")).expect("bind");
            let client =
                socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("socket");
            let address = rustix::net::SocketAddrUnix::new(&path).expect("address");
            rustix::net::bind(&client, &address).expect("bind");
            let server = socket2::SockAddr::unix(folder.path("listener")).expect("address");
            client.connect(&server).expect("connect");
            let (_, from) = listener.accept().await.expect("accept");
            assert_eq!(from.as_pathname(), Some(path.as_path()));
        });
        std::fs::remove_file(&path).expect("remove");
        std::fs::remove_file(folder.path("listener")).expect("remove");
    }
}

#[test]
fn a_taken_path_and_a_path_too_long_are_errors() {
    let folder = Folder::new();
    for runtime in runtimes() {
        runtime.block_on(async {
            std::fs::write(folder.path("file"), "").expect("write");
            let taken = UnixListener::bind(folder.path("file")).expect_err("taken");
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            let long = UnixListener::bind(folder.path(&"x".repeat(200))).expect_err("too long");
            assert_eq!(long.kind(), ErrorKind::InvalidInput);
            let refused = UnixStream::connect(folder.path("file")).await.expect_err("nobody listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
    }
}

#[test]
fn both_ends_of_a_pair_are_writable_at_once_and_not_readable() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (a, b) = UnixStream::pair().expect("pair");
            assert_eq!(a.try_write(b"x").expect("no turn of the driver is needed"), 1);
            assert_pending(pin!(a.readable())).await;
            b.readable().await.expect("readable");
            let mut buffer = Vec::new();
            assert_eq!(b.try_read_buf(&mut buffer).expect("read"), 1);
            assert_eq!(a.peer_cred().expect("cred"), b.peer_cred().expect("cred"));
            assert_eq!(a.peer_cred().expect("cred").uid(), rustix::process::geteuid().as_raw());
            assert_eq!(a.peer_cred().expect("cred").gid(), rustix::process::getegid().as_raw());
        });
    }
}

#[test]
fn halves_read_write_and_reunite() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (mut a, b) = UnixStream::pair().expect("pair");
            {
                let (mut read, mut write) = UnixStream::split(&mut a);
                let (b_read, mut b_write) = b.into_split();
                write.write_all(b"there").await.expect("write");
                b_read.readable().await.expect("readable");
                let mut buffer = [0; 5];
                assert_eq!(b_read.try_read(&mut buffer).expect("read"), 5);
                b_write.write_all(b"back").await.expect("write");
                let b = b_write.reunite(b_read).expect("of one stream");
                drop(b);
                let mut text = String::new();
                read.read_to_string(&mut text).await.expect("read");
                assert_eq!(text, "back");
            }
            let (read, write) = a.into_split();
            let (_, foreign) = UnixStream::pair().expect("pair").0.into_split();
            let error = read.reunite(foreign).expect_err("of two streams");
            error.0.reunite(write).expect("of one stream");
        });
    }
}

#[test]
fn streams_and_listeners_convert() {
    let folder = Folder::new();
    for runtime in runtimes() {
        runtime.block_on(async {
            let path = folder.path("socket");
            let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
            let listener = UnixListener::try_from(listener).expect("try_from");
            let client = std::os::unix::net::UnixStream::connect(&path).expect("connect");
            let mut client = UnixStream::try_from(client).expect("try_from");
            let (server, _) = poll_fn(|cx| listener.poll_accept(cx)).await.expect("accept");
            client.write_all(b"x").await.expect("write");
            let mut server = UnixStream::from_std(server.into_std().expect("into_std")).expect("from_std");
            let mut byte = [0];
            server.read_exact(&mut byte).await.expect("read");
            drop(listener.into_std().expect("into_std"));
            std::fs::remove_file(&path).expect("remove");
        });
    }
}
