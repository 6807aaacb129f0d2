//! The driver alone: a loop of turns on the test's own thread, no scheduler. Tests carry the ID of their hazard.

mod queues;
mod short;
mod timer;

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::error::is_rt_shutdown_err;
use crate::io::{Interest, Ready};
use crate::sync::prim::Mutex;

/// Counts its wake-ups and ends the turn.
struct Bell {
    handle: Handle,
    rung: AtomicUsize,
}

impl Bell {
    fn new(handle: &Handle) -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell { handle: handle.clone(), rung: AtomicUsize::new(0) });
        (bell.clone(), bell.into())
    }

    fn rung(&self) -> usize {
        self.rung.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        self.handle.unpark();
    }
}

fn block_on<F: Future>(driver: &mut Driver, handle: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    let (_bell, waker) = Bell::new(handle);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        driver.turn(None).expect("turn");
    }
}

/// Turns without waiting until nothing is left to fetch; bounded, because each turn fetches up to 1024 events.
fn settle(driver: &mut Driver) {
    for _ in 0..4 {
        driver.turn(Some(Duration::ZERO)).expect("turn");
    }
}

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("socketpair");
    a.set_nonblocking(true).expect("O_NONBLOCK");
    b.set_nonblocking(true).expect("O_NONBLOCK");
    (a, b)
}

fn is_ready(registration: &Registration, interest: Interest) -> bool {
    registration.try_io(interest, || Ok(())).is_ok()
}

#[test]
fn unpark_is_sticky_and_ends_a_turn_in_progress() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    handle.unpark();
    driver.turn(None).expect("a turn that was unparked before it began");

    let (started, wait_started) = mpsc::channel();
    let turner = thread::spawn(move || {
        for _ in 0..100 {
            started.send(()).expect("the test waits");
            driver.turn(None).expect("turn");
        }
    });
    for () in wait_started {
        handle.unpark();
    }
    turner.join().expect("turner");
}

#[test]
fn a_turn_lasts_as_long_as_its_limit() {
    let (mut driver, _handle) = Driver::new(BATCH).expect("driver");
    let begin = Instant::now();
    driver.turn(Some(Duration::from_millis(3))).expect("turn");
    assert!(begin.elapsed() >= Duration::from_millis(3));
}

/// A close followed by an open reuses the descriptor's number and the registry's slot. The event of the old one was
/// already fetched then: it must not make the new one ready.
#[test]
fn i1_stale_event_after_the_descriptor_number_was_reused() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let mut events = poller::Events::with_capacity(BATCH);
    for _ in 0..50 {
        let (old, mut peer) = pair();
        let mut reused = OwnedFd::from(old);
        let registration = Registration::new(&handle, reused.as_fd(), Ready::EMPTY).expect("register");
        let old_key = registration.key();
        peer.write_all(b"x").expect("write");
        handle.shared.queues.get(0).poller.wait(&mut events, Limit::Poll).expect("wait");
        assert!(events.iter().any(|event| event.ready.is_readable()), "the batch holds the old event");
        registration.deregister(reused.as_fd());

        // dup2 closes the old socket and gives its number to the new one, whatever other tests open meanwhile.
        let (new, _new_peer) = pair();
        rustix::io::dup2(&new, &mut reused).expect("dup2");
        let registration = Registration::new(&handle, reused.as_fd(), Ready::EMPTY).expect("register");
        assert_eq!(registration.key().slot(), old_key.slot(), "the slot is reused too");
        let mut woken = Vec::new();
        handle.shared.registry.dispatch(&events, &mut woken);
        assert!(!is_ready(&registration, Interest::READABLE), "a stale event reached the new descriptor");
        settle(&mut driver);
        assert!(is_ready(&registration, Interest::WRITABLE), "the new descriptor hears its own events");
        registration.deregister(reused.as_fd());
    }
    assert_eq!(handle.shared.registry.len(), 0);
}

#[test]
fn i1_failed_registration_is_rolled_back() {
    let (_driver, handle) = Driver::new(BATCH).expect("driver");
    let file = std::fs::File::open("/proc/self/exe").expect("open");
    // epoll refuses regular files with EPERM.
    let error = Registration::new(&handle, file.as_fd(), Ready::EMPTY).expect_err("a regular file");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(handle.shared.registry.len(), 0);

    let (a, _b) = pair();
    let first = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    let error = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect_err("registered twice");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(handle.shared.registry.len(), 1);
    first.deregister(a.as_fd());
    assert_eq!(handle.shared.registry.len(), 0);
}

#[test]
fn i1_duplicated_descriptors_are_independent() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, mut peer) = pair();
    let duplicate = a.try_clone().expect("dup");
    let first = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    let second = Registration::new(&handle, duplicate.as_fd(), Ready::EMPTY).expect("register");
    first.deregister(a.as_fd());
    drop((first, a));
    peer.write_all(b"x").expect("write");
    settle(&mut driver);
    assert!(is_ready(&second, Interest::READABLE));
    second.deregister(duplicate.as_fd());
}

/// An event between the failed attempt and the clearing keeps the source ready: 600 times, more than a byte counts.
#[test]
fn i2_readiness_between_would_block_and_clear_is_kept() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (mut a, mut peer) = pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::READABLE).expect("register");
    for round in 0..600_u32 {
        let raced = registration.try_io(Interest::READABLE, || {
            let result = a.read(&mut [0; 8]);
            assert_eq!(result.as_ref().expect_err("nothing sent yet").kind(), ErrorKind::WouldBlock);
            peer.write_all(&round.to_ne_bytes()).expect("write");
            settle(&mut driver);
            result
        });
        assert_eq!(raced.expect_err("the attempt failed").kind(), ErrorKind::WouldBlock);
        assert!(is_ready(&registration, Interest::READABLE), "round {round}: the readiness was cleared");
        let mut buffer = [0; 8];
        let count = registration.try_io(Interest::READABLE, || a.read(&mut buffer)).expect("read");
        assert_eq!(buffer[..count], round.to_ne_bytes());
    }
    registration.deregister(a.as_fd());
}

/// Events of one direction neither set nor keep the readiness of the other for good.
#[test]
fn i2_write_events_do_not_keep_a_reader_ready() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (mut a, mut peer) = pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::READABLE).expect("register");
    let mut attempts = 0;
    for _ in 0..300 {
        // Fill, so that the peer's reading causes an event that says writable only.
        while registration.try_io(Interest::WRITABLE, || a.write(&[0; 65536])).is_ok() {}
        let mut sink = vec![0; 1 << 20];
        while peer.read(&mut sink).is_ok() {}
        settle(&mut driver);
        assert!(is_ready(&registration, Interest::WRITABLE));
        while is_ready(&registration, Interest::READABLE) {
            attempts += 1;
            let read = registration.try_io(Interest::READABLE, || a.read(&mut [0; 8]));
            assert_eq!(read.expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
        }
    }
    assert_eq!(attempts, 1, "only the assumed readiness at the start was ever attempted");
    registration.deregister(a.as_fd());
}

/// One event wakes all who wait for its direction, and nobody else.
#[test]
fn an_event_wakes_every_waiter_of_its_direction() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, mut peer) = pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    settle(&mut driver);
    let mut waits = Vec::new();
    let mut bells = Vec::new();
    for interest in
        [Interest::READABLE, Interest::READABLE, Interest::READABLE | Interest::WRITABLE, Interest::ERROR]
    {
        waits.push((interest, Box::pin(registration.ready(interest))));
    }
    for (interest, wait) in &mut waits {
        let (bell, waker) = Bell::new(&handle);
        let polled = wait.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled.is_ready(), interest.is_writable(), "an empty socket is writable only");
        bells.push(bell);
    }
    let (slot, slot_waker) = Bell::new(&handle);
    assert!(registration.poll_ready(&mut Context::from_waker(&slot_waker), Direction::Read).is_pending());

    peer.write_all(b"x").expect("write");
    settle(&mut driver);
    assert_eq!(bells.iter().map(|bell| bell.rung()).collect::<Vec<_>>(), [1, 1, 0, 0]);
    assert_eq!(slot.rung(), 1);
    drop(waits);
    registration.deregister(a.as_fd());
}

#[test]
fn listeners_accept_what_arrives_while_nobody_waits() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let address = listener.local_addr().expect("address");
    let registration = Registration::new(&handle, listener.as_fd(), Ready::EMPTY).expect("register");
    let clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).expect("connect")).collect();
    for _ in &clients {
        let accept = registration.async_io(Interest::READABLE, || listener.accept());
        block_on(&mut driver, &handle, accept).expect("accept");
    }
    registration.deregister(listener.as_fd());
}

#[test]
fn shutdown_wakes_all_and_refuses_what_comes_later() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, _peer) = pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    let mut timer = Box::pin(Timer::new(&handle, Instant::now() + Duration::from_secs(3600)));
    let (bell, waker) = Bell::new(&handle);
    let mut cx = Context::from_waker(&waker);
    assert!(registration.poll_ready(&mut cx, Direction::Read).is_pending());
    assert!(timer.as_mut().poll(&mut cx).is_pending());
    let mut wait = pin!(registration.ready(Interest::READABLE));
    assert!(wait.as_mut().poll(&mut cx).is_pending());

    handle.shutdown();
    assert_eq!(bell.rung(), 3);
    assert!(matches!(wait.as_mut().poll(&mut cx), Poll::Ready(Err(error)) if is_rt_shutdown_err(&error)));
    assert!(matches!(registration.poll_ready(&mut cx, Direction::Write), Poll::Ready(Err(_))));
    assert_eq!(timer.as_mut().poll(&mut cx), Poll::Ready(Err(Shutdown)));
    let mut late = Box::pin(Timer::new(&handle, Instant::now() + Duration::from_secs(3600)));
    assert_eq!(late.as_mut().poll(&mut cx), Poll::Ready(Err(Shutdown)));
    registration.deregister(a.as_fd());
    let refused = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect_err("after shutdown");
    assert!(is_rt_shutdown_err(&refused), "{refused}");
    driver.turn(None).expect("a turn after the shutdown ends at once");
}

/// A waker that panics costs the ones behind it nothing.
#[test]
fn p1_a_waker_that_panics_does_not_take_the_others_along() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("from a waker"));
        }
    }
    let (_driver, handle) = Driver::new(BATCH).expect("driver");
    let (bell, waker) = Bell::new(&handle);
    let mut woken = vec![Waker::from(Arc::new(Panics)), waker.clone(), Waker::from(Arc::new(Panics)), waker];
    wake_all(&mut woken);
    assert_eq!(bell.rung(), 2);
}

#[test]
fn async_and_poll_io_carry_data_both_ways() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, b) = pair();
    let ra = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    let rb = Registration::new(&handle, b.as_fd(), Ready::EMPTY).expect("register");
    let payload: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
    let send = async {
        let mut rest = &payload[..];
        while !rest.is_empty() {
            let sent =
                poll_fn(|cx| ra.poll_io(cx, Direction::Write, || (&a).write(rest))).await.expect("write");
            rest = &rest[sent..];
        }
        a.shutdown(std::net::Shutdown::Write).expect("shutdown");
    };
    let receive = async {
        let mut received = Vec::new();
        let mut buffer = [0; 4000];
        loop {
            match rb.async_io(Interest::READABLE, || (&b).read(&mut buffer)).await.expect("read") {
                0 => return received,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
    };
    let ((), received) = block_on(&mut driver, &handle, futures_util::future::join(send, receive));
    assert!(received == payload);
    ra.deregister(a.as_fd());
    rb.deregister(b.as_fd());
}
