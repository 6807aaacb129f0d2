//! `AsyncFd`.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::pin::pin;
use std::time::Duration;

use crossover_runtime::io::{Interest, Ready};
use crossover_runtime::net::AsyncFd;
use crossover_runtime::runtime::{Builder, is_rt_shutdown_err};
use crossover_runtime::time;
use futures::future::join;

use super::{assert_pending, runtimes};

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

fn pair() -> (OwnedFd, OwnedFd) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("socketpair")
}

fn read(fd: impl AsFd) -> io::Result<usize> {
    Ok(rustix::io::read(fd, &mut [0; 16])?)
}

#[test]
fn a_guard_clears_what_it_was_made_for_and_no_more() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (near, far) = pair();
            let mut near = AsyncFd::new(near).expect("register");
            rustix::io::write(&far, b"x").expect("write");
            let both = Interest::READABLE | Interest::WRITABLE;
            near.readable().await.expect("readable").retain_ready();
            let mut guard = near.ready(both).await.expect("ready");
            assert_eq!(guard.ready(), Ready::READABLE | Ready::WRITABLE);
            guard.clear_ready_matching(Ready::READABLE);
            assert_eq!(guard.ready(), Ready::WRITABLE);
            assert_pending(pin!(near.readable())).await;
            drop(near.writable().await.expect("still writable"));
            let mut guard = near.ready_mut(both).await.expect("ready");
            guard.clear_ready();
            assert_eq!(guard.ready(), Ready::EMPTY);
            assert_pending(pin!(near.writable_mut())).await;
            // Edges that come later are heard of.
            rustix::io::write(&far, b"y").expect("write");
            assert_eq!(read(near.readable().await.expect("readable").get_inner()).expect("read"), 2);
        });
    }
}

/// The end of the stream is announced once: a write that would block must not take it back.
#[test]
fn a_guard_of_both_directions_keeps_the_end_of_the_stream() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (near, far) = pair();
            let mut near = AsyncFd::new(near).expect("register");
            rustix::net::shutdown(&far, rustix::net::Shutdown::Write).expect("shutdown");
            assert!(near.readable().await.expect("readable").ready().is_readable());
            let both = Interest::READABLE | Interest::WRITABLE;
            let mut guard = near.ready(both).await.expect("ready");
            assert!(guard.ready().is_read_closed());
            while let Ok(written) = guard.try_io(|fd| Ok(rustix::io::write(fd, &[0; 4096])?)) {
                written.expect("write");
            }
            assert_eq!(read(near.readable().await.expect("readable").get_inner()).expect("read"), 0);
            let mut guard = near.ready_mut(both).await.expect("ready");
            guard.try_io(|fd| Ok(rustix::io::write(fd, b"x")?)).expect_err("no room");
            drop(near.readable_mut().await.expect("readable"));
        });
    }
}

#[test]
fn a_readiness_that_came_after_the_guard_is_not_cleared_by_it() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (near, far) = pair();
            let near = AsyncFd::new(near).expect("register");
            rustix::io::write(&far, b"x").expect("write");
            let mut guard = near.readable().await.expect("readable");
            assert_eq!(read(near.get_ref()).expect("read"), 1);
            rustix::io::write(&far, b"y").expect("write");
            // The driver hears of it.
            time::sleep(Duration::from_millis(2)).await;
            guard.clear_ready();
            drop(near.readable().await.expect("not lost"));
        });
    }
}

#[test]
fn closing_stays_set_when_a_guard_clears() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (near, far) = pair();
            let near = AsyncFd::new(near).expect("register");
            drop(far);
            let mut guard = near.readable().await.expect("readable");
            assert!(guard.ready().is_read_closed());
            guard.clear_ready();
            assert!(near.readable().await.expect("readable").ready().is_read_closed());
        });
    }
}

#[test]
fn mutable_guards_and_attempts_lend_the_owner() {
    struct Counting(OwnedFd, u32);
    impl AsFd for Counting {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    for runtime in runtimes() {
        runtime.block_on(async {
            let (near, far) = pair();
            let mut near = AsyncFd::with_interest(Counting(near, 0), Interest::READABLE).expect("register");
            let unasked = near.try_io_mut(Interest::READABLE, |_| -> io::Result<()> { panic!("not ready") });
            assert_eq!(unasked.expect_err("not ready").kind(), ErrorKind::WouldBlock);
            rustix::io::write(&far, b"x").expect("write");
            let mut guard = near.readable_mut().await.expect("readable");
            guard.get_inner_mut().1 += 1;
            let count = guard.try_io(|fd| {
                fd.get_mut().1 += 1;
                read(fd.get_ref())
            });
            assert_eq!(count.expect("ready").expect("read"), 1);
            let blocked = guard.try_io(|fd| read(fd.get_ref())).expect_err("nothing is left");
            assert!(blocked.to_string().contains("would have blocked"));
            assert_eq!((guard.get_inner().1, guard.get_ref().get_ref().1), (2, 2));
            let reading = near.async_io_mut(Interest::READABLE, |owner| {
                owner.1 += 1;
                read(&*owner)
            });
            let (count, ()) =
                join(reading, async { assert_eq!(rustix::io::write(&far, b"yz"), Ok(2)) }).await;
            assert_eq!(count.expect("read"), 2);
            assert!(near.get_ref().1 >= 3);
            near.get_mut().1 = 0;
            poll_fn(|cx| near.poll_write_ready_mut(cx).map_ok(|guard| assert!(guard.ready().is_writable())))
                .await
                .expect("writable");
            rustix::io::write(&far, b"x").expect("write");
            drop(poll_fn(|cx| near.poll_read_ready(cx)).await.expect("readable"));
            poll_fn(|cx| near.poll_read_ready_mut(cx).map_ok(drop)).await.expect("readable");
            assert_eq!(near.into_inner().1, 0);
        });
    }
}

#[test]
fn what_is_only_a_raw_descriptor_registers_by_a_promise() {
    #[derive(Debug)]
    struct Raw(Option<OwnedFd>);
    impl AsRawFd for Raw {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_ref().map_or(-1, AsRawFd::as_raw_fd)
        }
    }
    for runtime in runtimes() {
        runtime.block_on(async {
            let (near, far) = pair();
            // SAFETY: it owns its descriptor, and never exchanges it.
            let near = unsafe { AsyncFd::register(Raw(Some(near))) }.expect("register");
            assert_eq!(near.as_raw_fd(), near.get_ref().as_raw_fd());
            rustix::io::write(&far, b"x").expect("write");
            let mut guard = near.readable().await.expect("readable");
            assert_eq!(guard.try_io(read).expect("ready").expect("read"), 1);
            drop(near.into_inner());
            // SAFETY: a negative one is allowed.
            let refused = unsafe { AsyncFd::register_with_interest(Raw(None), Interest::READABLE) };
            let (owner, error) = refused.expect_err("no descriptor").into_parts();
            assert!(owner.0.is_none());
            assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::BADF.raw_os_error()));
            let file = std::fs::File::open("/proc/self/exe").expect("open");
            let number = file.as_raw_fd();
            let error = AsyncFd::try_with_interest(file, Interest::READABLE).expect_err("a regular file");
            assert!(std::error::Error::source(&error).is_some());
            assert_eq!(error.into_parts().0.as_raw_fd(), number, "handed back, open");
        });
    }
}

#[test]
fn after_the_shutdown_waiting_fails_and_the_owner_comes_out() {
    let runtime = Builder::new_current_thread().build().expect("runtime");
    let guard = runtime.enter();
    let (near, far) = pair();
    let near = AsyncFd::new(near).expect("register");
    let watched = AsyncFd::new(far).expect("register");
    drop(guard);
    drop(runtime);
    let error = futures::executor::block_on(near.readable()).expect_err("shut down");
    assert!(is_rt_shutdown_err(&error), "{error}");
    let error =
        futures::executor::block_on(near.async_io(Interest::WRITABLE, |_| Ok(()))).expect_err("shut down");
    assert!(is_rt_shutdown_err(&error), "{error}");
    let far = watched.into_inner();
    assert_eq!(rustix::io::write(&far, b"x"), Ok(1), "the descriptor is as it was");
}
