//! Blobs by themselves, and two links that talk over a socket pair within this process.

mod alone;
mod hostile;

use super::*;
use crate::process_pool::{
    codec::{Encoded, decode, encode},
    frame::Kind,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::{sync::Arc, thread};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place * 31 + place / 255) as u8).collect()
}

/// A parent's and a worker's link.
struct Pair {
    parent: Link,
    worker: Link,
}

impl Pair {
    fn new() -> Self {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        Self {
            parent: Link::new(Arc::new(ours), Side::Parent),
            worker: Link::new(Arc::new(theirs), Side::Worker),
        }
    }

    /// Sends a value down and gives what arrives.
    fn down<T: serde::Serialize>(&mut self, value: &T) -> Encoded {
        send(&mut self.parent, &mut self.worker, &encode(value).unwrap())
    }

    fn up<T: serde::Serialize>(&mut self, value: &T) -> Encoded {
        send(&mut self.worker, &mut self.parent, &encode(value).unwrap())
    }

    /// Delivers all notes, in both directions.
    fn settle(&mut self) {
        pass_notes(&mut self.parent, &mut self.worker);
        pass_notes(&mut self.worker, &mut self.parent);
    }
}

fn pass_notes(from: &mut Link, to: &mut Link) -> Vec<(Kind, u64)> {
    let notes = from.notes();
    for (kind, value) in &notes {
        to.on_note(*kind, *value).unwrap();
    }
    notes
}

fn frame(from: &mut Link, message: &Encoded) -> (u8, Vec<u8>) {
    let wire = from.wrap(message).unwrap();
    (wire.flags, wire.parts(message).concat())
}

fn send(from: &mut Link, to: &mut Link, message: &Encoded) -> Encoded {
    pass_notes(from, to);
    let (flags, payload) = frame(from, message);
    to.unwrap(flags, payload).unwrap()
}

#[test]
fn a_blob_is_its_bytes() {
    for len in [0, 1, 100, LEAST - 1, LEAST, LEAST + 1, 3 * LEAST] {
        let vec = bytes(len);
        let blob = Blob::from(vec.clone());
        assert_eq!((&blob[..], blob.len(), blob.is_empty()), (&vec[..], len, len == 0));
        assert_eq!(blob.shared().is_some(), len >= LEAST);
        assert_eq!(blob, Blob::from(&*vec));
        assert_eq!(blob, vec);
        assert_eq!(blob.slice(len / 3..), Blob::from(&vec[len / 3..]));
        assert_eq!(Vec::from(blob.clone()), vec);
        assert_eq!(serde_json::to_string(&blob).unwrap(), serde_json::to_string(&vec).unwrap());
        let json: Blob = serde_json::from_str(&serde_json::to_string(&vec).unwrap()).unwrap();
        assert_eq!(json, blob);
        let plain = postcard::to_stdvec(&blob).unwrap();
        assert_eq!(plain, postcard::to_stdvec(&vec).unwrap());
        assert_eq!(postcard::from_bytes::<Blob>(&plain).unwrap(), blob);
    }
    assert_eq!(format!("{:?}", Blob::from(b"a\0b".as_slice())), "Blob(3 bytes: a\\x00b)");
    assert_eq!(format!("{:?}", Blob::new()), "Blob(0 bytes)");
    assert_eq!(format!("{:?}", Blob::from(vec![b'x'; LEAST])), "Blob(32768 bytes: xxxxxxxxxxxxxxxx…)");
}

#[test]
#[should_panic(expected = "a slice 3..40000 of a blob of 32768 bytes")]
fn a_slice_beyond_the_end_panics() {
    let _ = Blob::from(bytes(LEAST)).slice(3..40_000);
}

#[test]
fn a_message_crosses_and_its_uses_end() {
    let mut pair = Pair::new();
    let _keep = CacheUse::new(1 << 30);
    let data = bytes(5 * LEAST);
    let blob = Blob::from(data.clone());
    let place = blob.as_ptr();
    let arrived = pair.down(&("text".to_owned(), blob.clone(), blob.slice(LEAST..), vec![true; 20_000]));
    let (text, whole, part, body) = decode::<(String, Blob, Blob, Vec<bool>)>(&arrived).unwrap();
    drop(arrived);
    assert_eq!((text.as_str(), body.len()), ("text", 20_000));
    assert_ne!(whole.as_ptr(), place, "another mapping");
    assert_eq!((&whole[..], &part[..]), (&data[..], &data[LEAST..]));
    drop((whole, blob));
    pair.settle();
    assert_eq!(part, data[LEAST..], "still in use there");
    let other = Blob::from(data.clone());
    assert_ne!(other.as_ptr(), place, "so not to be written here");
    drop(part);
    pair.settle();
    pair.settle();
    assert_eq!(pair.parent.outstanding(), 0);
}

#[test]
fn an_echo_returns_the_very_segment_without_notes() {
    let mut pair = Pair::new();
    let blob = Blob::from(bytes(LEAST));
    let place = blob.as_ptr();
    let arrived = pair.down(&blob);
    drop(blob);
    let argument: Blob = decode(&arrived).unwrap();
    drop(arrived);
    let result = encode(&argument).unwrap();
    drop(argument);
    let back = send(&mut pair.worker, &mut pair.parent, &result);
    drop(result);
    assert!(pair.worker.notes().is_empty());
    assert_eq!(pair.parent.outstanding(), 0);
    assert_eq!(decode::<Blob>(&back).unwrap().as_ptr(), place);
}

#[test]
fn an_echo_of_what_the_worker_keeps_stays_in_use() {
    let mut pair = Pair::new();
    let blob = Blob::from(bytes(LEAST));
    let kept: Blob = decode(&pair.down(&blob)).unwrap();
    let back = pair.up(&kept);
    assert_eq!(decode::<Blob>(&back).unwrap().as_ptr(), blob.as_ptr());
    pair.settle();
    assert_eq!(pair.parent.outstanding(), 1);
    drop((back, kept));
    pair.settle();
    assert_eq!(pair.parent.outstanding(), 0);
}

#[test]
fn one_workers_blob_goes_on_to_another() {
    let (mut a, mut b) = (Pair::new(), Pair::new());
    let made = Blob::from(bytes(2 * LEAST));
    let in_parent: Blob = decode(&a.up(&made)).unwrap();
    let in_b: Blob = decode(&b.down(&in_parent)).unwrap();
    assert_eq!(in_b, made);
    drop(in_parent);
    a.settle();
    assert_eq!(a.worker.outstanding(), 1, "the other worker still uses it");
    // The maker dies: what it made stays.
    let copy = made.to_vec();
    drop((a, made));
    assert_eq!(in_b, copy);
    let back: Blob = decode(&b.up(&in_b)).unwrap();
    assert_eq!(back, copy);
    drop((in_b, back));
    b.settle();
    assert_eq!(b.parent.outstanding(), 0);
}

#[test]
fn a_dead_worker_gives_its_uses_back() {
    let mut pair = Pair::new();
    let blob = Blob::from(bytes(LEAST));
    let kept: Blob = decode(&pair.down(&blob)).unwrap();
    let Pair { parent, worker } = pair;
    assert_eq!(parent.outstanding(), 1);
    drop(parent);
    let (shared, _) = blob.shared().unwrap();
    let Shared::Own(segment) = shared else { panic!("our own") };
    assert_eq!(Arc::strong_count(segment), 1);
    drop((kept, worker));
}

#[test]
fn what_was_not_sent_or_not_wanted_is_not_used() {
    let mut pair = Pair::new();
    let message = encode(&Blob::from(bytes(LEAST))).unwrap();
    let wire = pair.parent.wrap(&message).unwrap();
    pair.parent.take_back(wire);
    assert_eq!(pair.parent.outstanding(), 0);
    let (flags, payload) = frame(&mut pair.parent, &message);
    pair.worker.skip(flags, &payload).unwrap();
    pair.settle();
    assert_eq!(pair.parent.outstanding(), 0);
    assert_eq!(pair.worker.mapped(), 1, "its descriptor is not left in the socket");
    // It is sent once only, and later messages can be read.
    assert_eq!(decode::<Blob>(&send(&mut pair.parent, &mut pair.worker, &message)).unwrap(), bytes(LEAST));
}

#[test]
fn a_lease_may_end_on_any_thread() {
    let mut pair = Pair::new();
    let blobs: Vec<Blob> = (0..8).map(|n| Blob::from(bytes(LEAST + n))).collect();
    let arrived: Vec<Blob> = decode(&pair.down(&blobs)).unwrap();
    assert_eq!(pair.parent.outstanding(), 8);
    let threads: Vec<_> = arrived.into_iter().map(|blob| thread::spawn(move || blob.len())).collect();
    let lens: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(lens, (0..8).map(|n| LEAST + n).collect::<Vec<_>>());
    assert_eq!(pass_notes(&mut pair.worker, &mut pair.parent).len(), 8);
    assert_eq!(pair.parent.outstanding(), 0);
    // And after the link is gone.
    let last: Blob = decode(&pair.down(&blobs[0])).unwrap();
    drop(pair);
    thread::spawn(move || assert_eq!(last, bytes(LEAST))).join().unwrap();
}

#[test]
fn a_full_socket_is_no_error_and_is_emptied_by_a_nudge() {
    let mut pair = Pair::new();
    let messages: Vec<Encoded> =
        (0..400).map(|n| encode(&Blob::from(vec![n as u8; LEAST])).unwrap()).collect();
    let mut frames = Vec::new();
    let full = messages.iter().position(|message| match pair.parent.wrap(message) {
        Ok(wire) => {
            frames.push((wire.flags, wire.parts(message).concat()));
            false
        }
        Err(WrapError::WouldBlock) => true,
        Err(error) => panic!("{error}"),
    });
    let full = full.expect("the socket has no room for 400 messages");
    assert_eq!(pair.parent.outstanding(), full, "no use has begun");
    assert!(matches!(pair.parent.wrap(&messages[full]), Err(WrapError::WouldBlock)));
    // One note, however often it is tried.
    assert_eq!(pass_notes(&mut pair.parent, &mut pair.worker).len(), 1);
    assert_eq!(pair.worker.mapped(), full);
    frames.push(frame(&mut pair.parent, &messages[full]));
    for (n, (flags, payload)) in frames.into_iter().enumerate() {
        let blob: Blob = decode(&pair.worker.unwrap(flags, payload).unwrap()).unwrap();
        assert_eq!(blob, [n as u8; LEAST]);
    }
}

#[test]
fn a_peer_that_has_hung_up_fails_no_message() {
    let Pair { mut parent, worker } = Pair::new();
    drop(worker);
    let message = encode(&Blob::from(bytes(LEAST))).unwrap();
    assert!(matches!(parent.wrap(&message), Err(WrapError::WouldBlock)));
    assert_eq!(parent.outstanding(), 0);
}

#[test]
fn a_fill_that_panics_leaves_the_rest_in_order() {
    let caught = std::panic::catch_unwind(|| Blob::with_len(LEAST, |_| panic!("in the middle")));
    assert!(caught.is_err());
    assert_eq!(Blob::from(bytes(LEAST)), bytes(LEAST));
}
