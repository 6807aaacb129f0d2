//! I1, I2, I3: descriptors that come and go, readiness that must not be lost, and none left to accept with. What needs
//! the driver's inside is tested in `src/driver/tests`.

use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossover_runtime::net::{AsyncFd, TcpListener, TcpStream, UnixStream};
use crossover_runtime::runtime::is_rt_shutdown_err;
use crossover_runtime::task::yield_now;
use crossover_runtime::time::timeout;
use crossover_runtime::{runtime::Runtime, spawn};
use futures::{AsyncReadExt, AsyncWriteExt};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{alone, on_both, watchdog};

/// Sockets are closed in the middle of reads, and their numbers are reused at once, while traffic goes on.
#[test]
fn i1_sockets_dropped_in_the_middle_of_a_read() {
    on_both(|runtime| {
        runtime.block_on(async {
            for round in 0..200_u8 {
                let (mut a, mut b) = UnixStream::pair().expect("pair");
                let reader = spawn(async move {
                    let mut buffer = [0; 16];
                    a.read_exact(&mut buffer).await
                });
                b.write_all(&[round; 8]).await.expect("write");
                reader.abort();
                assert!(reader.await.is_err(), "half of the bytes never come");
                let (mut c, mut d) = UnixStream::pair().expect("pair");
                c.write_all(&[round]).await.expect("write");
                let mut byte = [0];
                d.read_exact(&mut byte).await.expect("read");
                assert_eq!(byte, [round]);
            }
        });
    });
}

/// A clone of the descriptor outlives the registered one; its own registration works, and nothing spins.
#[test]
fn i1_a_duplicated_descriptor_outlives_the_registered_one() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (std_a, std_b) = std::os::unix::net::UnixStream::pair().expect("pair");
            let duplicate = std_a.try_clone().expect("dup");
            drop(UnixStream::from_std(std_a).expect("register"));
            let mut a = UnixStream::from_std(duplicate).expect("register");
            let mut b = UnixStream::from_std(std_b).expect("register");
            b.write_all(b"x").await.expect("write");
            let mut byte = [0];
            a.read_exact(&mut byte).await.expect("read");
            assert_eq!(&byte, b"x");
        });
    });
}

/// Ping-pong with reads that empty the socket exactly, partly and beyond: 2000 chances to lose a readiness.
#[test]
fn i2_no_readiness_is_lost_in_2000_round_trips() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (mut a, mut b) = UnixStream::pair().expect("pair");
            let echo = spawn(async move {
                let mut buffer = [0; 7];
                loop {
                    match b.read(&mut buffer).await.expect("read") {
                        0 => return,
                        count => b.write_all(&buffer[..count]).await.expect("write"),
                    }
                }
            });
            for round in 0..2000_usize {
                let sent = vec![round as u8; 1 + round % 15];
                a.write_all(&sent).await.expect("write");
                let mut received = vec![0; sent.len()];
                a.read_exact(&mut received).await.expect("read");
                assert_eq!(received, sent);
            }
            a.close().await.expect("close");
            echo.await.expect("echo");
        });
    });
}

/// Readiness that comes between an attempt that would block and the clearing of what was known before it, a thousand
/// times: a counter of eight bits would have wrapped, and have taken the new readiness for the old.
#[test]
fn i2_readiness_between_would_block_and_clear_1000_times() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
            ours.set_nonblocking(true).expect("non-blocking");
            let fd = AsyncFd::new(ours).expect("registers");
            let mut buffer = [0; 8];
            std::io::Write::write_all(&mut theirs, b"x").expect("write");
            for round in 0..1000_u32 {
                let mut guard = fd.readable().await.expect("readable");
                while std::io::Read::read(&mut guard.get_inner(), &mut buffer).is_ok() {}
                std::io::Write::write_all(&mut theirs, b"x").expect("write");
                // The event is, or is not yet, with us when the old one is cleared.
                for _ in 0..round % 4 {
                    yield_now().await;
                }
                if round % 5 == 0 {
                    crossover_runtime::time::sleep(Duration::from_micros(100)).await;
                }
                guard.clear_ready();
            }
        });
    });
}

/// The same under 300 events that come while nobody looks, and with events of the other direction in between.
#[test]
fn i2_hundreds_of_events_before_a_look() {
    on_both(|runtime| {
        runtime.block_on(async {
            // Not a pair of Unix sockets: for those each byte that waits is a buffer of its own, and 300 are too many.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
            let ours =
                std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
            let theirs = listener.accept().expect("accept").0;
            theirs.set_nodelay(true).expect("no delay");
            ours.set_nonblocking(true).expect("non-blocking");
            theirs.set_nonblocking(true).expect("non-blocking");
            let fd = AsyncFd::new(ours).expect("registers");
            let mut buffer = [0; 512];
            for events in [1_usize, 2, 255, 256, 257, 300] {
                std::io::Write::write_all(&mut &theirs, b"x").expect("write");
                let mut guard = fd.readable().await.expect("readable");
                assert_eq!(std::io::Read::read(&mut guard.get_inner(), &mut buffer).expect("read"), 1);
                for n in 0..events {
                    // Both directions change: a byte comes in, room for ours is made.
                    std::io::Write::write_all(&mut &theirs, b"y").expect("write");
                    std::io::Write::write_all(&mut guard.get_inner(), b"z").expect("write");
                    let _ = std::io::Read::read(&mut &theirs, &mut [0; 4]);
                    if n % 16 == 0 {
                        yield_now().await;
                    }
                }
                crossover_runtime::time::sleep(Duration::from_millis(1)).await;
                // What was known before all these events must not clear what they have announced.
                guard.clear_ready();
                let mut read = 0;
                while read < events {
                    let mut guard = fd.readable().await.expect("readable");
                    match guard.try_io(|fd| std::io::Read::read(&mut fd.get_ref(), &mut buffer)) {
                        Ok(count) => read += count.expect("read"),
                        Err(_) => continue,
                    }
                }
                assert_eq!(read, events);
            }
        });
    });
}

/// The end of the stream arrives together with the last bytes: the kernel announces both by one event.
#[test]
fn i2_the_end_of_the_stream_that_came_with_the_last_bytes_is_seen() {
    on_both(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let address = listener.local_addr().expect("address");
            for _ in 0..100 {
                let client = std::net::TcpStream::connect(address).expect("connect");
                std::io::Write::write_all(&mut &client, b"last words").expect("write");
                drop(client);
                let (mut server, _) = listener.accept().await.expect("accept");
                let mut buffer = [0; 64];
                assert_eq!(server.read(&mut buffer).await.expect("read"), 10, "a short read");
                assert_eq!(server.read(&mut buffer).await.expect("read"), 0, "the end");
            }
        });
    });
}

/// Several tasks accept from one listener; each connection goes to one of them and none is left behind.
#[test]
fn i2_many_tasks_accept_from_one_listener() {
    on_both(|runtime| {
        runtime.block_on(async {
            let listener = std::sync::Arc::new(TcpListener::bind("127.0.0.1:0").await.expect("bind"));
            let address = listener.local_addr().expect("address");
            let accepts: Vec<_> = (0..20)
                .map(|_| {
                    let listener = listener.clone();
                    spawn(async move { listener.accept().await.expect("accept").1 })
                })
                .collect();
            let mut clients = Vec::new();
            for _ in 0..20 {
                clients.push(TcpStream::connect(address).await.expect("connect"));
            }
            let mut expected: Vec<_> =
                clients.iter().map(|client| client.local_addr().expect("address")).collect();
            let mut accepted = Vec::new();
            for accept in accepts {
                accepted.push(accept.await.expect("task"));
            }
            expected.sort_unstable();
            accepted.sort_unstable();
            assert_eq!(accepted, expected);
        });
    });
}

/// A closed side is announced once: taking the readiness back by hand must not lose it.
#[test]
fn i2_clear_ready_keeps_what_is_closed() {
    on_both(|runtime| {
        runtime.block_on(async {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
            ours.set_nonblocking(true).expect("non-blocking");
            let fd = AsyncFd::new(ours).expect("registers");
            drop(theirs);
            for _ in 0..2 {
                let mut guard = fd.readable().await.expect("readable");
                assert!(guard.ready().is_read_closed());
                guard.clear_ready();
            }
        });
    });
}

/// Accepting while the process is out of descriptors, in the loop that everybody writes: on an error, go on. Each
/// error is returned, the loop does not spin, and the connections that waited are served in the end.
#[test]
fn i3_accept_under_emfile_with_a_backlog() {
    alone("io::i3_accept_under_emfile_with_a_backlog", || {
        watchdog(|watch| {
            let runtime = watch.current();
            runtime.block_on(accept_without_descriptors());
        });
    });
}

async fn accept_without_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let clients: Vec<_> = (0..4).map(|_| std::net::TcpStream::connect(address).expect("connect")).collect();

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: limit.maximum }).expect("a lower limit");
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    for through_poll in [false, true] {
        let begin = Instant::now();
        let mut errors = 0;
        while begin.elapsed() < Duration::from_millis(1000) {
            let accepted = if through_poll {
                std::future::poll_fn(|cx| listener.poll_accept(cx)).await
            } else {
                listener.accept().await
            };
            let error = accepted.expect_err("no descriptor is left");
            assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()), "{error}");
            errors += 1;
        }
        let allowed = 1 + begin.elapsed().as_millis() / 20;
        assert!((1..=allowed).contains(&errors), "{errors} attempts, allowed are {allowed}");
    }
    // However many tasks accept, the attempts of one listener are as few.
    let begin = Instant::now();
    let accept_in_a_loop = async || {
        let mut errors = 0;
        while begin.elapsed() < Duration::from_millis(500) {
            listener.accept().await.expect_err("no descriptor is left");
            errors += 1;
        }
        errors
    };
    let errors: u128 = futures::future::join_all((0..8).map(|_| accept_in_a_loop())).await.iter().sum();
    let allowed = 1 + begin.elapsed().as_millis() / 20;
    assert!((1..=allowed).contains(&errors), "{errors} attempts of 8 tasks, allowed are {allowed}");
    drop(hoard);
    for _ in &clients {
        timeout(Duration::from_secs(5), listener.accept()).await.expect("recovers").expect("accept");
    }
    setrlimit(Resource::Nofile, limit).expect("the old limit");
}

/// What outlives its runtime reports an error instead of hanging.
#[test]
fn s2_sockets_that_outlive_their_runtime_fail() {
    on_both(|runtime| {
        let runtime_of_socket = Runtime::new().expect("runtime");
        let (mut a, _b) = runtime_of_socket.block_on(async { UnixStream::pair() }).expect("pair");
        let mut buffer = [0; 1];
        {
            let mut read = pin!(a.read(&mut buffer));
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(runtime_of_socket);
        let error = runtime.block_on(a.read(&mut buffer)).expect_err("shut down");
        assert!(is_rt_shutdown_err(&error), "{error}");
        assert!(a.try_read(&mut buffer).is_err_and(|error| error.kind() != ErrorKind::WouldBlock));
        let mut readable = pin!(a.readable());
        let polled = readable.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(_))));
    });
}
