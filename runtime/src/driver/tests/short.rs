//! I2: short reads and writes on TCP clear the readiness without an `EAGAIN`, and lose nothing by it.

use std::cell::Cell;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::*;

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let a = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (b, _) = listener.accept().expect("accept");
    a.set_nonblocking(true).expect("O_NONBLOCK");
    a.set_nodelay(true).expect("TCP_NODELAY");
    (a, b)
}

/// Turns until the source is ready; the loopback device may take a moment.
fn await_ready(driver: &mut Driver, handle: &Handle, registration: &Registration, interest: Interest) {
    block_on(driver, handle, registration.ready(interest)).expect("no shutdown");
}

/// What a reader gets until nothing is left, and how many attempts it took.
fn read_all(registration: &Registration, a: &TcpStream, wanted: usize) -> (Vec<u8>, usize) {
    let (mut received, attempts) = (Vec::new(), Cell::new(0));
    let mut buffer = vec![0; wanted];
    loop {
        let attempt = || {
            attempts.set(attempts.get() + 1);
            (&*a).read(&mut buffer)
        };
        match registration.try_transfer(Direction::Read, wanted, attempt) {
            Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
            Ok(_) => return (received, attempts.get()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return (received, attempts.get());
            }
        }
    }
}

#[test]
fn i2_a_short_read_saves_the_attempt_that_would_block() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, mut b) = tcp_pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    for (wanted, attempts) in [(100, 1), (5, 1), (4, 2), (2, 3)] {
        b.write_all(b"abcd").expect("write");
        await_ready(&mut driver, &handle, &registration, Interest::READABLE);
        assert_eq!(read_all(&registration, &a, wanted), (b"abcd".to_vec(), attempts), "buffer of {wanted}");
        settle(&mut driver);
        assert!(!is_ready(&registration, Interest::READABLE));
    }
    registration.deregister(a.as_fd());
}

/// A reader whose buffer is as large as the messages soon asks what is left, and then needs one read for each; the
/// answer costs neither data nor the end.
#[test]
fn i2_full_reads_learn_to_ask_what_is_left() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, mut b) = tcp_pair();
    let stream = crate::net::Evented::new_on(&handle, a, Ready::EMPTY).expect("register");
    let mut buffer = [0; 4];
    for round in 0..20_u32 {
        let rounds = if round % 3 == 0 { 2 } else { 1 };
        for _ in 0..rounds {
            b.write_all(&round.to_ne_bytes()).expect("write");
        }
        for _ in 0..rounds {
            let read = block_on(&mut driver, &handle, poll_fn(|cx| stream.poll_read(cx, &mut buffer)));
            assert_eq!((read.expect("read"), buffer), (4, round.to_ne_bytes()));
        }
        let mut cx = Context::from_waker(Waker::noop());
        if round > 10 {
            let ready = stream.poll_ready(&mut cx, Direction::Read);
            assert!(ready.is_pending(), "round {round}: the last read has said that it was the last");
        }
        assert!(stream.poll_read(&mut cx, &mut buffer).is_pending());
    }
    drop(b);
    let read = block_on(&mut driver, &handle, poll_fn(|cx| stream.poll_read(cx, &mut buffer)));
    assert_eq!(read.expect("the end"), 0);
}

/// The peer's end is known before, with, and after the last bytes have been read short.
#[test]
fn i2_the_end_after_a_short_read_is_heard() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    for end_before_the_event in [true, false] {
        for _ in 0..50 {
            let (a, mut b) = tcp_pair();
            let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
            b.write_all(b"last words").expect("write");
            if end_before_the_event {
                b.shutdown(std::net::Shutdown::Write).expect("shutdown");
            }
            await_ready(&mut driver, &handle, &registration, Interest::READABLE);
            let mut buffer = [0; 64];
            let read = registration.try_transfer(Direction::Read, 64, || (&a).read(&mut buffer));
            assert_eq!(read.expect("read"), 10);
            if !end_before_the_event {
                b.shutdown(std::net::Shutdown::Write).expect("shutdown");
            }
            let read = registration.async_io(Interest::READABLE, || (&a).read(&mut buffer));
            assert_eq!(block_on(&mut driver, &handle, read).expect("read"), 0);
            let state = block_on(&mut driver, &handle, registration.ready(Interest::READABLE));
            assert!(state.expect("no shutdown").ready.is_read_closed());
            registration.deregister(a.as_fd());
        }
    }
}

/// A read stops short before urgent data, with more behind it that no event will announce again.
#[test]
fn i2_a_read_that_stops_at_urgent_data_clears_nothing() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, b) = tcp_pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::EMPTY).expect("register");
    let peer = socket2::SockRef::from(&b);
    for (data, flags) in [(&b"before"[..], 0), (b"!", rustix::net::SendFlags::OOB.bits()), (b"after", 0)] {
        peer.send_with_flags(data, flags as i32).expect("send");
    }
    // All of it is there before the first turn.
    let mut peeked = [0; 64];
    while rustix::net::recv(&a, &mut peeked, rustix::net::RecvFlags::PEEK).map_or(0, |(count, _)| count) == 0
    {
        thread::yield_now();
    }
    await_ready(&mut driver, &handle, &registration, Interest::READABLE);
    let mut received = Vec::new();
    while received.len() < b"beforeafter".len() {
        await_ready(&mut driver, &handle, &registration, Interest::READABLE);
        received.extend(read_all(&registration, &a, 64).0);
    }
    assert_eq!(received, b"beforeafter");
    registration.deregister(a.as_fd());
}

/// A writer that was stopped short by a full socket goes on when the peer has read.
#[test]
fn i2_a_short_write_waits_for_room() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, mut b) = tcp_pair();
    let registration = Registration::new(&handle, a.as_fd(), Ready::WRITABLE).expect("register");
    let data = vec![7; 1 << 20];
    let mut in_flight = 0;
    let mut sink = vec![0; 1 << 16];
    for _ in 0..20 {
        let mut stopped_short = false;
        while let Ok(count) = registration.try_transfer(Direction::Write, data.len(), || (&a).write(&data)) {
            in_flight += count;
            stopped_short = count < data.len();
        }
        assert!(stopped_short || in_flight > 0);
        while in_flight > 0 {
            in_flight -= b.read(&mut sink).expect("read");
        }
        await_ready(&mut driver, &handle, &registration, Interest::WRITABLE);
    }
    registration.deregister(a.as_fd());
}

/// A read from a Unix stream stops short behind bytes that carry a descriptor; the stream's type says so, and the
/// bytes behind are read without another event.
#[test]
fn i2_a_unix_stream_that_stops_at_a_descriptor_keeps_its_readiness() {
    let (mut driver, handle) = Driver::new(BATCH).expect("driver");
    let (a, b) = pair();
    let stream = crate::net::Evented::new_on(&handle, a, Ready::EMPTY).expect("register");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let carried = [b.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&carried)));
    let first = [std::io::IoSlice::new(b"first")];
    rustix::net::sendmsg(&b, &first, &mut ancillary, SendFlags::empty()).expect("sendmsg");
    (&b).write_all(b"second").expect("write");
    let mut received = Vec::new();
    while received.len() < b"firstsecond".len() {
        let mut buffer = [0; 64];
        let read = poll_fn(|cx| stream.poll_read(cx, &mut buffer));
        let count = block_on(&mut driver, &handle, read).expect("read");
        received.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(received, b"firstsecond");
}
