//! A lane: how the parent and one worker process talk, through memory that both have mapped.
//!
//! ```text
//!                 parent                    shared memory                     worker
//!            ParentEnd::send    ──►  ring to the worker, 256 KiB  ──►  WorkerEnd::receive, claim
//!            ParentEnd::receive ◄──  ring to the parent, 256 KiB  ◄──  WorkerEnd::send, ring_bell
//!            ParentEnd::recall  ◄──  the claim: who has which job ──►
//! ```
//!
//! As long as both are busy no system call is made. The worker sleeps on a futex in the page, and is woken by `send`.
//! The parent has others to wait for as well, so it sleeps wherever it likes and the worker rings its bell, an eventfd.
//!
//! # The claim
//! `Job` frames are numbered 0, 1, 2, … in the order in which they are sent. The worker starts job `s` by moving
//! `next` from `s` to `s + 1`; the parent takes back what has not been started by moving `next` from `n` to its own
//! end, one past the last number. Both are one compare-exchange on one word, so each job is on exactly one side. What
//! was taken back keeps its frame and its number: the worker's claim of it fails, and it goes on.
//! An answer is published before the next claim. So when a worker dies, the job `next - 1` may be lost in it, those
//! below are answered in the ring, those above were never started.
//!
//! # Sleeping
//! Both protocols are the same three steps on either side: *write what I do; fence; read what the other does*, with
//! fences that are sequentially consistent, so that one of the two sees the other:
//!
//! | sleeper | its word | it looks again for | who wakes it, after what |
//! |---|---|---|---|
//! | worker | `worker_sleeps` = `FOR_INPUT` | frames | the parent, after publishing frames |
//! | worker | `worker_sleeps` = `FOR_SPACE` | space in its ring | the parent, once it has read everything, and every 64 KiB |
//! | parent | `parent_sleeps` = 1 | frames | the worker, when it rings the bell |
//!
//! Whoever wakes sets the word back, so a sleeper is woken once. The worker may let answers gather before it rings
//! the bell, but never sleeps before it has. `models/channel.rs` checks all of this under loom.
//!
//! # Trust
//! A worker may be out of its mind: it runs other people's code. All that the parent reads from the page or a ring is
//! checked, and ends in [`Broken`] when it cannot be; the worker treats the parent alike.
//! Frames are copied out before anybody looks at them.
//!
//! # Files
//! `parent`, `worker` (the ends) → `ring` (frames), `page` (words) → `mapping` (bytes), `sleep` (futex, eventfd; both
//! are replaced by `model` under loom) → `memory` (sealed files). `pass` sends descriptors over a socket.

#[cfg(not(runtime_loom))]
mod mapping;
pub(crate) mod memory;
#[cfg(runtime_loom)]
mod model;
mod page;
mod parent;
pub(crate) mod pass;
mod payload;
mod ring;
#[cfg(not(runtime_loom))]
mod sleep;
#[cfg(all(test, not(runtime_loom)))]
mod tests;
mod worker;

#[cfg(all(test, runtime_loom))]
pub(crate) use super::frame::{Header, Kind};
pub(crate) use parent::ParentEnd;
pub(crate) use payload::Payload;
pub(crate) use worker::WorkerEnd;

#[cfg(not(runtime_loom))]
use mapping::Memory;
#[cfg(runtime_loom)]
use model::Bell;
#[cfg(runtime_loom)]
use model::Memory;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::time::{ClockId, clock_gettime};
#[cfg(not(runtime_loom))]
use sleep::Bell;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most payload bytes of a frame. What is longer has to go another way.
pub(crate) const INLINE_MAX: usize = 16 * 1024;

/// The bytes of one ring.
const RING_BYTES: usize = 256 * 1024;

/// What tells a lane's descriptors from others on the socket; changes with the layout of the memory.
const TAG: &[u8] = b"lane 1";

/// A peer that does not keep to the protocol. There is no way back from it: the worker has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("impossible positions in a ring: read up to {head}, written up to {tail}")]
    Position { head: u64, tail: u64 },
    #[error("a frame that claims {length} bytes of payload, of {available} bytes in the ring")]
    Length { length: u32, available: u64 },
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("an impossible claim: job {next} is the next one to start, of {least} to {end}")]
    Claim { next: u64, least: u64, end: u64 },
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// For now: the other side has not read enough yet.
    #[error("the ring is full")]
    Full,
    #[error("a payload of {length} bytes is too long for a frame")]
    TooLong { length: usize },
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// What the worker needs to [`attach`](WorkerEnd::attach).
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) memory: OwnedFd,
    pub(crate) bell: OwnedFd,
}

impl Handed {
    /// Sends the descriptors; the copies here can be closed then.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        pass::send_descriptors(socket, TAG, &[self.memory.as_fd(), self.bell.as_fd()], pass::Wait::Yes)
    }

    /// Waits for what [`send`](Self::send) sends.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof`: the other side is gone; `InvalidData`: it sent something else.
    pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Handed> {
        let Some(passed) = pass::receive_descriptors(socket, pass::Wait::Yes)? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let invalid = io::Error::new(io::ErrorKind::InvalidData, "expected the descriptors of a lane");
        if passed.tag() != TAG {
            return Err(invalid);
        }
        match <[OwnedFd; 2]>::try_from(passed.descriptors) {
            Ok([memory, bell]) => Ok(Handed { memory, bell }),
            Err(_) => Err(invalid),
        }
    }
}

/// Makes a lane.
///
/// # Errors
/// Out of descriptors or memory.
pub(crate) fn create() -> io::Result<(ParentEnd, Handed)> {
    create_with(RING_BYTES)
}

/// The present, as both sides see it: nanoseconds of CLOCK_MONOTONIC.
#[inline]
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Since boot, so neither is negative, nor too much for 64 bits within centuries.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Makes a bell unreadable again, for pollers that look at levels; before the last look at the ring, not after.
///
/// It never waits, though the worker shares the open file and may have set it to block.
pub(crate) fn silence(bell: BorrowedFd<'_>) {
    let mut count = [0; 8];
    // No offset: an eventfd has none.
    let read = preadv2(bell, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT);
    // Before Linux 5.8 eventfds knew no other way than to trust the flag. EAGAIN: it was silent.
    if read == Err(Errno::OPNOTSUPP) {
        let _ = rustix::io::read(bell, &mut count);
    }
}

fn create_with(ring_bytes: usize) -> io::Result<(ParentEnd, Handed)> {
    let bell = Bell::new()?;
    let (memory, fd) = Memory::create(ring_bytes)?;
    let handed = Handed { memory: fd, bell: bell.try_clone()? };
    Ok((ParentEnd::new(memory, bell), handed))
}

/// Both ends, of rings as small as a checker needs.
#[cfg(all(test, runtime_loom))]
pub(crate) fn pair(ring_bytes: usize) -> (ParentEnd, WorkerEnd) {
    let (memory, bell) = (Memory::new(ring_bytes), Bell::new().expect("an eventfd"));
    (ParentEnd::new(memory.clone(), bell.clone()), WorkerEnd::new(memory, bell))
}
