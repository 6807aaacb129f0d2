//! Two ends in one process, each with a mapping of its own, as in two. `models/channel.rs` has the interleavings.

use super::page::Ordering::Relaxed;
use super::pass::{Wait, send_descriptors};
use super::payload::SMALL;
use super::*;
use crate::process_pool::frame::{Header, Kind};
use proptest::prelude::*;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::time::Timespec;
use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;

fn lane(ring_bytes: usize) -> (ParentEnd, WorkerEnd) {
    let (parent, handed) = create_with(ring_bytes).unwrap();
    (parent, WorkerEnd::attach_with(handed, ring_bytes).unwrap())
}

fn header(id: u64) -> Header {
    Header { kind: Kind::Job, flags: 0x5a, job: 0xabcd, id }
}

/// As `Result<Option<_>>::unwrap().unwrap()`, in plain values.
fn take(received: Result<Option<(Header, Payload)>, Broken>) -> (Header, Vec<u8>) {
    let (header, payload) = received.unwrap().expect("a frame");
    (header, payload.into_vec())
}

fn rings(parent: &ParentEnd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(parent.bell(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

/// Sleeps until the bell rings.
fn listen(parent: &ParentEnd) {
    let mut fds = [PollFd::from_borrowed_fd(parent.bell(), PollFlags::IN)];
    while poll(&mut fds, None) != Ok(1) {}
    silence(parent.bell());
}

/// The next frame, however long it takes.
fn receive_waiting(parent: &mut ParentEnd) -> (Header, Payload) {
    loop {
        if let Some(frame) = parent.receive().unwrap() {
            return frame;
        }
        if parent.arm() {
            listen(parent);
        }
    }
}

#[test]
fn frames_arrive_as_they_were_sent_both_ways() {
    let (mut parent, mut worker) = lane(RING_BYTES);
    for length in [0, 1, 7, 8, SMALL, SMALL + 1, 1000, INLINE_MAX] {
        let payload = (0..length).map(|at| (at * 7) as u8).collect::<Vec<_>>();
        let (first, second) = payload.split_at(length / 3);
        let header = header(length as u64 | 1 << 63);
        parent.send(header, &[first, &[], second]).unwrap();
        assert!(worker.has_input());
        assert_eq!(take(worker.receive()), (header, payload.clone()));
        worker.send(header, &[&payload]).unwrap();
        let (_, received) = parent.receive().unwrap().unwrap();
        assert_eq!((&*received, received.len()), (&payload[..], length));
    }
    assert!(parent.receive().unwrap().is_none() && worker.receive().unwrap().is_none());
    assert!(!worker.has_input());
}

#[test]
fn a_full_ring_refuses_and_what_never_fits_is_told_apart() {
    let (mut parent, mut worker) = lane(64);
    parent.send(header(0), &[&[1; 16]]).unwrap();
    parent.send(header(1), &[&[2; 16]]).unwrap();
    assert_eq!(parent.send(header(2), &[]), Err(SendError::Full));
    take(worker.receive());
    parent.send(header(2), &[&[3; 9]]).unwrap();
    assert_eq!(parent.send(header(3), &[&[4; 49]]), Err(SendError::TooLong { length: 49 }));
    assert_eq!(take(worker.receive()), (header(1), vec![2; 16]));
    assert_eq!(take(worker.receive()), (header(2), vec![3; 9]));
    parent.send(header(3), &[&[4; 48]]).unwrap();
    assert_eq!(take(worker.receive()), (header(3), vec![4; 48]), "the whole ring, around its end");

    let (mut parent, mut worker) = lane(RING_BYTES);
    let long = vec![0; INLINE_MAX];
    let error = SendError::TooLong { length: INLINE_MAX + 1 };
    assert_eq!(parent.send(header(0), &[&long, b"x"]), Err(error));
    assert_eq!(worker.send(header(0), &[&long, b"x"]), Err(error));
}

#[test]
fn a_job_is_claimed_or_recalled() {
    let (mut parent, mut worker) = lane(RING_BYTES);
    assert_eq!(parent.recall(0), Ok(0), "nothing was sent");
    (0..5).for_each(|id| parent.send(header(id), &[]).unwrap());
    for id in 0..2 {
        take(worker.receive());
        assert!(worker.claim(id, 1000 + id));
    }
    assert_eq!((parent.next(), parent.started_at()), (2, 1001));
    assert_eq!(parent.recall(5), Ok(2));
    assert_eq!(parent.recall(5), Ok(5), "once only");
    parent.send(header(5), &[]).unwrap();
    let mut claimed = Vec::new();
    for id in 2..6 {
        let (header, _) = take(worker.receive());
        if worker.claim(header.id, 2000 + id) {
            claimed.push(id);
        }
    }
    assert_eq!(claimed, [5]);
    assert_eq!((parent.next(), parent.started_at(), parent.recall(6)), (6, 2005, Ok(6)));
}

#[test]
fn the_bell_rings_once_and_only_for_a_parent_that_sleeps() {
    let (mut parent, mut worker) = lane(RING_BYTES);
    worker.send(header(0), &[]).unwrap();
    worker.ring_bell();
    assert!(!rings(&parent), "it is awake");
    assert!(!parent.arm(), "there is a frame");
    take(parent.receive());
    assert!(parent.arm());
    worker.ring_bell();
    assert!(!rings(&parent), "nothing is new");
    worker.send(header(1), &[]).unwrap();
    assert!(!rings(&parent), "the worker says when");
    worker.ring_bell();
    assert!(rings(&parent));
    silence(parent.bell());
    worker.send(header(2), &[]).unwrap();
    worker.ring_bell();
    assert!(!rings(&parent), "it has been woken");
    assert_eq!([take(parent.receive()).0.id, take(parent.receive()).0.id], [1, 2]);
    assert!(parent.arm());
    assert!(parent.receive().unwrap().is_none(), "looks by itself, so it is awake");
    worker.send(header(3), &[]).unwrap();
    worker.ring_bell();
    assert!(!rings(&parent));
}

#[test]
fn a_bell_that_the_worker_made_blocking_holds_nobody_up() {
    let (mut parent, mut worker) = lane(64);
    fcntl_setfl(parent.bell(), OFlags::empty()).unwrap();
    assert!(parent.arm());
    worker.send(header(0), &[]).unwrap();
    worker.ring_bell();
    for _ in 0..2 {
        silence(parent.bell());
        assert!(!rings(&parent));
    }
}

/// The worker echoes; both sides sleep and wake as they do in a pool. The rings are so small that both get full.
#[test]
fn two_threads_lose_nothing_and_never_hang() {
    const FRAMES: u64 = 20_000;
    let (mut parent, mut worker) = lane(256);
    let echo = thread::spawn(move || {
        loop {
            while let Some((header, payload)) = worker.receive().unwrap() {
                if header.kind == Kind::Shut {
                    return worker.ring_bell();
                }
                worker.send(header, &[&payload]).unwrap();
            }
            worker.wait();
        }
    });
    let content = |id: u64| vec![id as u8; (id % 101) as usize];
    let (mut sent, mut received) = (0, 0);
    while received < FRAMES {
        while sent < FRAMES && parent.send(header(sent), &[&content(sent)]).is_ok() {
            sent += 1;
        }
        let (header, payload) = receive_waiting(&mut parent);
        assert_eq!((header.id, &*payload), (received, &content(received)[..]));
        received += 1;
    }
    parent.send(Header { kind: Kind::Shut, ..header(0) }, &[]).unwrap();
    echo.join().unwrap();
}

#[test]
fn a_worker_that_waits_for_space_is_woken_when_there_is_some() {
    let (mut parent, mut worker) = lane(64);
    let (starts, started) = mpsc::channel();
    let sender = thread::spawn(move || {
        for id in 0..100 {
            worker.send(header(id), &[&[id as u8; 40]]).unwrap();
            let _ = starts.send(id);
        }
        worker.ring_bell();
    });
    // The ring has room for one. Nobody looks, until it is full.
    started.recv().unwrap();
    while parent.memory().page().worker_sleeps.load(Relaxed) != super::page::FOR_SPACE {
        thread::yield_now();
    }
    for id in 0..100 {
        assert_eq!(receive_waiting(&mut parent).0.id, id);
    }
    sender.join().unwrap();
}

/// What a worker gone mad writes into the page: the parent says so, and does not touch what it should not.
#[test]
fn impossible_positions_are_found_out() {
    for tail in [1, 8, 15, 65, 1 << 40, u64::MAX, u64::MAX - 7] {
        let (mut parent, worker) = lane(64);
        worker.memory().page().to_parent.tail.store(tail, Relaxed);
        assert_eq!(parent.receive().unwrap_err(), Broken::Position { head: 0, tail });
        assert!(!parent.arm(), "it must not sleep over it");
        assert_eq!(parent.receive().unwrap_err(), Broken::Position { head: 0, tail }, "it stays");
    }
    for (sent, head) in [(2, 65), (2, 1 << 40), (2, u64::MAX)] {
        let (mut parent, worker) = lane(64);
        (0..sent).for_each(|id| parent.send(header(id), &[&[0; 16]]).unwrap());
        worker.memory().page().to_worker.head.store(head, Relaxed);
        let error = Broken::Position { head, tail: 64 };
        assert_eq!(parent.send(header(9), &[]), Err(SendError::Broken(error)));
    }
    let (mut parent, mut worker) = lane(64);
    worker.send(header(0), &[]).unwrap();
    take(parent.receive());
    worker.memory().page().to_parent.tail.store(0, Relaxed);
    assert_eq!(parent.receive().unwrap_err(), Broken::Position { head: 16, tail: 0 }, "backwards");
}

#[test]
fn impossible_frames_are_found_out() {
    let broken = |first: u64, tail: u64| {
        let (mut parent, worker) = lane(RING_BYTES);
        worker.memory().to_parent().write_word(0, first);
        worker.memory().page().to_parent.tail.store(tail, Relaxed);
        parent.receive().map(|frame| frame.is_some())
    };
    let job = u64::from(Kind::Job as u8) << 32;
    assert_eq!(broken(job | 8, 24), Ok(true));
    for (length, available) in [(9, 24), (1, 16), (u32::MAX, 64), (INLINE_MAX as u32 + 1, RING_BYTES as u64)]
    {
        let error = Broken::Length { length, available };
        assert_eq!(broken(job | u64::from(length), available), Err(error));
    }
    for kind in [0, 12, 255] {
        assert_eq!(broken(u64::from(kind) << 32, 16), Err(Broken::Kind(kind)));
    }
}

#[test]
fn impossible_claims_are_found_out() {
    let (mut parent, mut worker) = lane(64);
    parent.send(header(0), &[]).unwrap();
    assert!(worker.claim(0, 0));
    assert_eq!(parent.recall(1), Ok(1));
    for next in [0, 2, u64::MAX] {
        worker.memory().page().claim.next.store(next, Relaxed);
        assert_eq!(parent.recall(1), Err(Broken::Claim { next, least: 1, end: 1 }));
    }

    // What was answered was started, though the worker denies it; and so was what it has admitted once.
    let (mut parent, mut worker) = lane(256);
    (0..3).for_each(|id| parent.send(header(id), &[]).unwrap());
    assert!(worker.claim(0, 0));
    worker.send(Header { kind: Kind::Done, ..header(0) }, &[]).unwrap();
    worker.memory().page().claim.next.store(0, Relaxed);
    take(parent.receive());
    assert_eq!((parent.next(), parent.recall(3)), (1, Err(Broken::Claim { next: 0, least: 1, end: 3 })));
    worker.memory().page().claim.next.store(2, Relaxed);
    assert_eq!(parent.next(), 2);
    worker.memory().page().claim.next.store(1, Relaxed);
    assert_eq!((parent.next(), parent.recall(3)), (2, Err(Broken::Claim { next: 1, least: 2, end: 3 })));
}

#[test]
fn the_descriptors_of_a_lane_pass_through_a_socket() {
    let socket =
        || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let (ours, theirs) = socket();
    let (mut parent, handed) = create().unwrap();
    handed.send(ours.as_fd()).unwrap();
    drop(handed);
    let mut worker = WorkerEnd::attach(Handed::receive(theirs.as_fd()).unwrap()).unwrap();
    parent.send(header(1), &[b"hello"]).unwrap();
    assert_eq!(take(worker.receive()), (header(1), b"hello".to_vec()));

    let kind = |result: io::Result<Handed>| result.unwrap_err().kind();
    for (tag, count) in [(&b"lane 0"[..], 2), (TAG, 1), (TAG, 3)] {
        send_descriptors(ours.as_fd(), tag, &[parent.bell(); 3][..count], Wait::No).unwrap();
        assert_eq!(kind(Handed::receive(theirs.as_fd())), io::ErrorKind::InvalidData);
    }
    drop(ours);
    assert_eq!(kind(Handed::receive(theirs.as_fd())), io::ErrorKind::UnexpectedEof);
}

#[test]
fn memory_of_another_layout_is_not_attached() {
    let (_parent, handed) = create_with(64).unwrap();
    assert_eq!(WorkerEnd::attach(handed).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[derive(Clone, Debug)]
enum Step {
    /// Payload sizes of the parts.
    Send(Vec<usize>),
    Receive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![4 => 0_usize..50, 1 => 0_usize..1200];
    let step = prop_oneof![prop::collection::vec(size, 0..4).prop_map(Step::Send), Just(Step::Receive),];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Against a queue: what goes in comes out, once, in order; `Full` exactly when there is no room.
    #[test]
    fn a_ring_is_a_bounded_queue(steps in steps()) {
        const CAPACITY: usize = 1024;
        let (mut parent, mut worker) = lane(CAPACITY);
        let (mut queue, mut used, mut id) = (VecDeque::new(), 0, 0);
        for step in steps {
            match step {
                Step::Send(sizes) => {
                    let parts = sizes.iter().map(|size| vec![id as u8; *size]).collect::<Vec<_>>();
                    let slices = parts.iter().map(Vec::as_slice).collect::<Vec<_>>();
                    let (payload, record) = (slices.concat(), (16 + sizes.iter().sum::<usize>()).next_multiple_of(8));
                    let expected = if record > CAPACITY {
                        Err(SendError::TooLong { length: payload.len() })
                    } else if used + record > CAPACITY {
                        Err(SendError::Full)
                    } else {
                        queue.push_back((header(id), payload));
                        used += record;
                        Ok(())
                    };
                    prop_assert_eq!(parent.send(header(id), &slices), expected);
                    id += 1;
                }
                Step::Receive => {
                    let received = worker.receive().unwrap().map(|(header, payload)| (header, payload.into_vec()));
                    prop_assert_eq!(&received, &queue.pop_front());
                    used -= received.map_or(0, |(_, payload)| (16 + payload.len()).next_multiple_of(8));
                }
            }
            prop_assert_eq!(worker.has_input(), !queue.is_empty());
        }
    }

    /// Whatever lies in the memory, the parent neither panics nor leaves it, and comes to an end.
    #[test]
    fn rubbish_is_survived(words in prop::collection::vec(any::<u64>(), 8), page in prop::array::uniform4(any::<u64>()),
        small in any::<bool>()) {
        let (mut parent, worker) = lane(64);
        parent.send(header(0), &[&[0; 40]]).unwrap();
        for (at, word) in (0..).zip(&words) {
            // Mostly frames that nearly are some: a short length, a known kind.
            let word = if small { word & 0xb_0000_001f } else { *word };
            worker.memory().to_parent().write_word(at * 8, word);
        }
        let [tail, head, next, sleeps] = page.map(|word| if small { word % 80 } else { word });
        worker.memory().page().to_parent.tail.store(tail, Relaxed);
        worker.memory().page().to_worker.head.store(head, Relaxed);
        worker.memory().page().claim.next.store(next, Relaxed);
        worker.memory().page().worker_sleeps.store(sleeps as u32, Relaxed);
        let mut frames = 0;
        while let Ok(Some(_)) = parent.receive() {
            frames += 1;
        }
        prop_assert!(frames <= 4, "64 bytes are four frames at most");
        let _ = parent.send(header(1), &[&[0; 40]]);
        let _ = parent.recall(1);
        parent.arm();
    }
}
