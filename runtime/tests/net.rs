//! Sockets through the public door: what carries data, what fails and how.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use crossover_runtime::io::Interest;
use crossover_runtime::net::{
    AsyncFd, TcpListener, TcpStream, ToSocketAddrs, UdpSocket, UnixListener, UnixStream, lookup_host,
};
use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::{spawn, time};
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().build().expect("runtime"),
        Builder::new_multi_thread().worker_threads(2).build().expect("runtime"),
    ]
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (client, server) = join(TcpStream::connect(address), listener.accept()).await;
    (client.expect("connect"), server.expect("accept").0)
}

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

#[test]
fn unix_sockets_by_pair_and_by_path() {
    let folder = Folder::new();
    for (number, runtime) in runtimes().into_iter().enumerate() {
        let path = folder.0.join(number.to_string());
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

/// A folder of this test's own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("crossover-net-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_pidfd_becomes_readable_when_its_process_ends() {
    for runtime in runtimes() {
        runtime.block_on(async {
            // `cat` ends when its stdin does; `true` has perhaps ended before it is registered.
            for (program, wait_first) in [("cat", true), ("true", false)] {
                let mut child = std::process::Command::new(program)
                    .stdin(std::process::Stdio::piped())
                    .spawn()
                    .expect("spawn");
                let pid = rustix::process::Pid::from_child(&child);
                let pidfd: OwnedFd =
                    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("pidfd");
                let pidfd = AsyncFd::new(pidfd).expect("register");
                if wait_first {
                    let early = time::timeout(Duration::from_millis(1), pidfd.readable()).await;
                    assert!(early.is_err(), "it runs");
                }
                drop(child.stdin.take());
                let guard = pidfd.readable().await.expect("readable");
                assert!(guard.ready().is_readable());
                drop(guard);
                assert!(child.try_wait().expect("wait").is_some(), "it has ended");
                drop(pidfd.readable().await.expect("stays readable"));
            }
        });
    }
}

#[test]
fn an_async_fd_clears_its_readiness_when_an_attempt_would_block() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (read, write) =
                rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK | rustix::pipe::PipeFlags::CLOEXEC)
                    .expect("pipe");
            let read = AsyncFd::new(read).expect("register");
            let attempt = |fd: &AsyncFd<OwnedFd>| {
                let mut byte = [0; 1];
                Ok(rustix::io::read(fd.as_fd(), &mut byte)?)
            };
            for _ in 0..300 {
                rustix::io::write(&write, b"x").expect("write");
                let mut guard = read.readable().await.expect("readable");
                assert_eq!(guard.try_io(attempt).expect("ready").expect("read"), 1);
                guard.try_io(attempt).expect_err("the pipe is empty");
                assert!(time::timeout(Duration::ZERO, read.readable()).await.is_err());
            }
            let byte = read.async_io(Interest::READABLE, |fd| {
                let mut byte = [0; 1];
                rustix::io::read(fd, &mut byte)?;
                Ok(byte[0])
            });
            let (byte, ()) = join(byte, async { assert_eq!(rustix::io::write(&write, b"y"), Ok(1)) }).await;
            assert_eq!(byte.expect("read"), b'y');
            let file = std::fs::File::open("/proc/self/exe").expect("open");
            assert_eq!(AsyncFd::new(file).expect_err("a regular file").kind(), ErrorKind::PermissionDenied);
        });
    }
}

#[test]
fn public_types_are_send_sync_and_unpin_as_tokios_are() {
    fn checks<T: Send + Sync + Unpin>() {}
    fn sends<T: Send>(_: T) {}
    checks::<TcpListener>();
    checks::<TcpStream>();
    checks::<UdpSocket>();
    checks::<UnixListener>();
    checks::<UnixStream>();
    checks::<AsyncFd<OwnedFd>>();
    checks::<crossover_runtime::net::tcp::OwnedReadHalf>();
    checks::<crossover_runtime::net::unix::OwnedWriteHalf>();
    checks::<time::Interval>();
    checks::<time::Instant>();
    fn two<T: Send + Sync>() {}
    two::<time::Sleep>();
    two::<time::Timeout<std::future::Ready<()>>>();
    sends(TcpStream::connect("127.0.0.1:1"));
    sends(UdpSocket::bind("127.0.0.1:1"));
    sends(UnixStream::connect("x"));
}
