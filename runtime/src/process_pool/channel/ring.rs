//! One direction of a lane: a ring of bytes with one producer and one consumer.
//!
//! A record is a frame in the ring, at a position that is a multiple of 8:
//!
//! ```text
//! length u32 | kind u8 | flags u8 | job u16 | id u64 | payload (length bytes) | up to a multiple of 8
//! ```
//!
//! The header is two native 64-bit words, with `length` and `id` in their lowest bits. Records go around the ring's
//! end, even in the middle. Positions only grow, so `tail - head` is what is in the ring.
//! Each side keeps its own position for itself and only tells the other: what the page says of the own one is never
//! read. What it says of the other's is checked, so whatever a peer writes there, a record is read from within
//! the bytes between the two.

#[cfg(not(runtime_loom))]
use super::mapping::Bytes;
#[cfg(runtime_loom)]
use super::model::Bytes;
use super::page::{Ordering, Positions};
use super::payload::Payload;
use super::{Broken, INLINE_MAX, SendError};
use crate::process_pool::frame::{Header, Kind};

/// Before the payload: two words.
const HEADER_BYTES: u64 = 16;

/// What a record takes in the ring.
#[inline]
fn record_bytes(payload: usize) -> u64 {
    (HEADER_BYTES + payload as u64).next_multiple_of(8)
}

#[inline]
fn first_word(header: Header, length: u32) -> u64 {
    u64::from(length)
        | u64::from(header.kind as u8) << 32
        | u64::from(header.flags) << 40
        | u64::from(header.job) << 48
}

/// The side that writes.
#[derive(Debug, Default)]
pub(super) struct Producer {
    /// Written up to here.
    tail: u64,
    /// Read up to here by the consumer when last looked at.
    head: u64,
}

impl Producer {
    /// Appends a frame with the payload `parts`, and publishes it.
    ///
    /// # Errors
    /// `Full`: nothing was written, try again when the consumer has read. `TooLong`, `Broken`: it never will.
    #[inline]
    pub(super) fn push(
        &mut self,
        positions: &Positions,
        bytes: &Bytes,
        header: Header,
        parts: &[&[u8]],
    ) -> Result<(), SendError> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let needed = record_bytes(length);
        if length > INLINE_MAX || needed > bytes.capacity() {
            return Err(SendError::TooLong { length });
        }
        if !self.has_room(positions, bytes, needed)? {
            return Err(SendError::Full);
        }
        bytes.write_word(self.tail, first_word(header, length as u32));
        bytes.write_word(self.tail + 8, header.id);
        let mut at = self.tail + HEADER_BYTES;
        for part in parts {
            bytes.write(at, part);
            at += part.len() as u64;
        }
        self.tail += needed;
        // Pairs with the Acquire load in `Consumer::has_more`.
        positions.tail.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Whether the next `needed` bytes are the producer's; looks at the consumer's position only when it must.
    #[inline]
    fn has_room(&mut self, positions: &Positions, bytes: &Bytes, needed: u64) -> Result<bool, Broken> {
        let free = |head| bytes.capacity() - (self.tail - head);
        if free(self.head) >= needed {
            return Ok(true);
        }
        // Pairs with the Release store in `Consumer::pop`: it has copied what is to be overwritten.
        let head = positions.head.load(Ordering::Acquire);
        // Neither backwards nor past what was written.
        if head < self.head || head > self.tail {
            return Err(Broken::Position { head, tail: self.tail });
        }
        self.head = head;
        Ok(free(head) >= needed)
    }

    /// Whether the other side has read everything.
    pub(super) fn is_read(&self, positions: &Positions) -> bool {
        // Relaxed: nothing is concluded of any memory.
        positions.head.load(Ordering::Relaxed) == self.tail
    }

    /// As `push` would find it: `Full` is not to be expected for `parts` any more.
    pub(super) fn may_push(&mut self, positions: &Positions, bytes: &Bytes, parts: &[&[u8]]) -> bool {
        let needed = record_bytes(parts.iter().map(|part| part.len()).sum());
        // Broken: let `push` say so.
        self.has_room(positions, bytes, needed).unwrap_or(true)
    }
}

/// The side that reads.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// Read up to here.
    head: u64,
    /// Written up to here by the producer when last looked at.
    tail: u64,
}

impl Consumer {
    /// The next frame, copied out; its space is the producer's again.
    ///
    /// # Errors
    /// The producer does not keep to the format. Nothing after this can be trusted, and the error stays.
    #[inline]
    pub(super) fn pop(
        &mut self,
        positions: &Positions,
        bytes: &Bytes,
    ) -> Result<Option<(Header, Payload)>, Broken> {
        let Some((header, length)) = self.front(positions, bytes)? else { return Ok(None) };
        // SAFETY: `read` fills all that it is given.
        let payload = unsafe { Payload::filled(length, |to| bytes.read(self.head + HEADER_BYTES, to)) };
        self.head += record_bytes(length);
        // Pairs with the Acquire load in `Producer::has_room`.
        positions.head.store(self.head, Ordering::Release);
        Ok(Some((header, payload)))
    }

    /// The next frame's header and length, which are checked.
    #[inline]
    fn front(&mut self, positions: &Positions, bytes: &Bytes) -> Result<Option<(Header, usize)>, Broken> {
        if self.head == self.tail {
            // Pairs with the Release store in `Producer::push`.
            let tail = positions.tail.load(Ordering::Acquire);
            if tail == self.head {
                return Ok(None);
            }
            if tail < self.head || tail - self.head > bytes.capacity() {
                return Err(Broken::Position { head: self.head, tail });
            }
            self.tail = tail;
        }
        let available = self.tail - self.head;
        if available < HEADER_BYTES {
            return Err(Broken::Position { head: self.head, tail: self.tail });
        }
        let word = bytes.read_word(self.head);
        let length = word as u32;
        if length as usize > INLINE_MAX || record_bytes(length as usize) > available {
            return Err(Broken::Length { length, available });
        }
        let kind = (word >> 32) as u8;
        let kind = Kind::from_byte(kind).ok_or(Broken::Kind(kind))?;
        let id = bytes.read_word(self.head + 8);
        Ok(Some((Header { kind, flags: (word >> 40) as u8, job: (word >> 48) as u16, id }, length as usize)))
    }

    /// Whether `pop` has something to say.
    #[inline]
    pub(super) fn has_more(&self, positions: &Positions) -> bool {
        // Relaxed: whoever goes on to read looks again, in `front`.
        self.head != self.tail || self.head != positions.tail.load(Ordering::Relaxed)
    }

    /// How much has been read since the beginning of time.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        self.head
    }
}
