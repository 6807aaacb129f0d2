//! A peer that does not keep to the protocol: always an error, never a signal.

use super::*;
use crate::process_pool::{
    blob::wire::{self, Entry, Name, Owner},
    channel::pass::{Wait, send_descriptors},
};
use proptest::prelude::*;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

fn memory(size: u64, seals: SealFlags) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, size).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file
}

/// What a parent says about a message that names a segment with that descriptor.
fn verdict(
    tag: &[u8],
    files: &[BorrowedFd<'_>],
    entry: Entry,
    body: Option<usize>,
) -> Result<Encoded, UnwrapError> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut parent = Link::new(Arc::new(ours), Side::Parent);
    if !files.is_empty() {
        send_descriptors(theirs.as_fd(), tag, files, Wait::No).unwrap();
    }
    let (flags, payload) = wire::write(&[entry], body);
    parent.unwrap(flags, payload)
}

fn entry(owner: Owner, number: u64, name: Name) -> Entry {
    Entry { owner, number, name }
}

fn is_broken<T>(result: Result<T, UnwrapError>) -> bool {
    matches!(result, Err(UnwrapError::Broken(_)))
}

#[test]
fn memory_that_could_change_its_size_is_refused() {
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let size = 2 * LEAST as u64;
    let name = Name::new(7, 16);
    let tag = name.word().to_le_bytes();
    let offered = |file: BorrowedFd<'_>, name: Name, body| {
        verdict(&name.word().to_le_bytes(), &[file], entry(Owner::Sender, 1, name), body)
    };
    let good = memory(size, all);
    assert!(offered(good.as_fd(), name, None).is_ok());
    assert!(offered(good.as_fd(), name, Some(2 * LEAST)).is_ok());
    assert!(is_broken(offered(good.as_fd(), name, Some(2 * LEAST + 1))), "a body beyond the end");
    assert!(is_broken(offered(good.as_fd(), Name::new(7, 15), None)), "too large");
    assert!(is_broken(offered(good.as_fd(), Name::new(7, 17), None)), "too small");
    for bits in [0, 14, 41, 63] {
        assert!(is_broken(offered(good.as_fd(), Name::new(7, bits), None)), "2^{bits}");
    }
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL, all] {
        assert!(is_broken(offered(memory(size, all - missing).as_fd(), name, None)), "{missing:?}");
    }
    let (pipe, _writer) = rustix::pipe::pipe().unwrap();
    assert!(is_broken(offered(pipe.as_fd(), name, None)), "no memory at all");
    let named = entry(Owner::Sender, 1, name);
    assert!(is_broken(verdict(&tag, &[], named, None)), "no descriptor");
    assert!(is_broken(verdict(&tag, &[good.as_fd(); 2], named, None)), "two for one name");
    assert!(is_broken(verdict(&tag[..7], &[good.as_fd()], named, None)), "half a name");
    assert!(is_broken(verdict(&tag, &[good.as_fd()], entry(Owner::Sender, 1, Name::new(8, 16)), None)));
}

#[test]
fn uses_that_were_never_begun_are_refused() {
    let mut pair = Pair::new();
    let _kept = pair.down(&Blob::from(bytes(LEAST)));
    for owner in [Owner::Receiver, Owner::Returned] {
        let (flags, payload) = wire::write(&[entry(owner, 2, Name::NONE)], None);
        assert!(is_broken(pair.parent.unwrap(flags, payload)));
    }
    assert!(is_broken(pair.parent.on_note(Kind::Release, 2)));
    assert!(is_broken(pair.parent.on_note(Kind::Done, 1)));
    assert!(is_broken(pair.parent.unwrap(wire::BODY, Vec::new())));
    assert!(is_broken(pair.parent.skip(wire::SEGMENTS, &[1, 0])));
    // A name that nobody knows does no harm.
    pair.parent.on_note(Kind::Forget, u64::MAX).unwrap();
    pair.parent.on_note(Kind::Forget, u64::MAX - 1).unwrap();
    pair.parent.on_note(Kind::Release, 1).unwrap();
}

#[test]
fn a_segment_can_neither_be_cut_nor_written_by_others() {
    let blob = Blob::from(bytes(LEAST));
    let (shared, _) = blob.shared().unwrap();
    let file = shared.map().file();
    assert_eq!(ftruncate(file, 0), Err(Errno::PERM));
    assert_eq!(ftruncate(file, 1 << 20), Err(Errno::PERM));
    assert_eq!(rustix::io::pwrite(file, b"x", 0), Err(Errno::PERM));
    // SAFETY: nothing is there, and nothing comes there: it is refused.
    let mapped = unsafe {
        mmap(std::ptr::null_mut(), LEAST, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
    };
    assert_eq!(mapped.err(), Some(Errno::PERM));
    assert_eq!(blob, bytes(LEAST));
}

proptest! {
    #[test]
    fn any_frame_is_taken_or_refused(
        flags in 0_u8..4,
        mut payload in prop::collection::vec(any::<u8>(), 0..200),
        plausible in any::<bool>(),
    ) {
        let mut pair = Pair::new();
        let _kept = pair.down(&(Blob::from(bytes(LEAST)), Blob::from(bytes(2 * LEAST))));
        if plausible && payload.len() > 30 {
            // One or two segments, with small numbers.
            payload[0] %= 3;
            payload[1] = 0;
            for word in payload[2..].chunks_mut(8) {
                word[1..].fill(0);
            }
        }
        let _ = pair.parent.unwrap(flags, payload.clone()).map(|message| decode::<Vec<Blob>>(&message));
        let _ = pair.parent.skip(flags, &payload);
    }
}
