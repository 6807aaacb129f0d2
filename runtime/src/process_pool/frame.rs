//! Frames: what goes over a worker's socket, in both directions.
//!
//! ```text
//! length u32 | kind u8 | flags u8 | job u16 | id u64 | payload (length bytes)         little-endian
//! ```
//!
//! Invariants: a frame is built whole in one buffer and never copied again; [`Decoder`] allocates in proportion
//! to the bytes that really arrived, never to a length that a peer merely claims; a length above the limit
//! or an unknown kind is an error that ends the connection, because nothing after it can be trusted.

use super::{error::CodecStage, job};
use serde::{Deserialize, Serialize};

/// The bytes before the payload.
pub(super) const HEADER_BYTES: usize = 16;

/// What one read asks for at least.
const READ_BYTES: usize = 64 * 1024;

/// A frame of at least this size that fills the decoder's buffer is handed on without a copy.
const HAND_ON_BYTES: usize = 32 * 1024;

/// The version of everything in this file; part of the hello.
pub(super) const PROTOCOL: u32 = 1;

/// In the flags of a `Chunk`: each item has the time limit to itself, so the worker tells when it starts one.
#[expect(dead_code, reason = "map sets it next")]
pub(super) const TIMED: u8 = 0x04;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Worker → parent, first frame: a [`Hello`].
    Hello = 1,
    /// Parent → worker: run job `job` with the encoded arguments.
    Job = 2,
    /// Worker → parent: the encoded result of job `id`.
    Done = 3,
    /// Worker → parent: job `id` panicked; a [`PanicReport`].
    Panic = 4,
    /// Worker → parent: a value of job `id` did not encode or decode; `flags` is the [`CodecStage`], the
    /// payload its reason.
    Codec = 5,
    /// Parent → worker: leave.
    Shut = 6,
    /// Parent → worker: run job `job` once for each of several arguments.
    Chunk = 7,
    /// Either way: the last `Blob` of use `id` is gone.
    Release = 8,
    /// Either way: the sender has destroyed segment `id`.
    Forget = 9,
    /// Parent → worker, first frame: what the worker has to know before anything else.
    Setup = 10,
    /// Parent → worker: run job `job` to initialise the worker. It has no number.
    Init = 11,
}

impl Kind {
    #[inline]
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Job,
            3 => Self::Done,
            4 => Self::Panic,
            5 => Self::Codec,
            6 => Self::Shut,
            7 => Self::Chunk,
            8 => Self::Release,
            9 => Self::Forget,
            10 => Self::Setup,
            11 => Self::Init,
            _ => return None,
        })
    }
}

/// The worker's first words.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// [`PROTOCOL`] of the worker.
    pub(super) protocol: u32,
    /// `Table::fingerprint` of the worker: version and registry in one number.
    pub(super) fingerprint: u64,
    /// The worker's process id, which must be the one that was spawned.
    pub(super) pid: u32,
}

/// A job's panic.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PanicReport {
    pub(super) message: String,
    pub(super) location: Option<String>,
    pub(super) backtrace: Option<String>,
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    /// The job's number in the registry.
    pub(crate) job: u16,
    /// The call's number; unique within a pool.
    pub(crate) id: u64,
}

/// Bits of the mantissa in a packed duration.
const MANTISSA_BITS: u32 = 11;

/// A duration in nanoseconds, in 16 bits: answers say in [`Header::job`] how long their job ran. Exact below 4096 ns,
/// then rounded down by less than 0.05 %; 73 minutes and more are one and the same.
pub(super) fn pack_ns(ns: u64) -> u16 {
    // How far the highest bit is above the mantissa: this much has to go.
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(MANTISSA_BITS + 1);
    if shift > 30 {
        return u16::MAX;
    }
    // The highest bit, set from 2048 on, is not stored: it is added to the exponent, which thus is one more.
    ((shift << MANTISSA_BITS) + (ns >> shift) as u32) as u16
}

/// What [`pack_ns`] packed.
pub(super) fn unpack_ns(packed: u16) -> u64 {
    let (exponent, mantissa) = (packed >> MANTISSA_BITS, u64::from(packed) & ((1 << MANTISSA_BITS) - 1));
    match exponent {
        0 => mantissa,
        _ => (mantissa | 1 << MANTISSA_BITS) << (exponent - 1),
    }
}

/// A payload together with the buffer it arrived in.
#[derive(Debug)]
pub(super) struct Payload {
    buffer: Vec<u8>,
    start: usize,
}

impl Payload {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// Why a frame cannot be built or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a payload of {length} bytes exceeds the limit of {limit} bytes (Builder::max_frame_bytes)")]
    TooLong { length: u64, limit: u32 },
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
}

/// Starts a frame: a header whose length is filled in by [`seal`]. Append the payload in between.
pub(super) fn begin(header: Header) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    frame.extend_from_slice(&[0; 4]);
    frame.push(header.kind as u8);
    frame.push(header.flags);
    frame.extend_from_slice(&header.job.to_le_bytes());
    frame.extend_from_slice(&header.id.to_le_bytes());
    frame
}

/// Completes a frame that [`begin`] started.
pub(super) fn seal(frame: &mut [u8], limit: u32) -> Result<(), FrameError> {
    let length = frame.len() - HEADER_BYTES;
    match u32::try_from(length) {
        Ok(short) if short <= limit => {
            frame[..4].copy_from_slice(&short.to_le_bytes());
            Ok(())
        }
        _ => Err(FrameError::TooLong { length: length as u64, limit }),
    }
}

/// Writes the call's number into a finished frame: it is known only once the pool accepts the call.
pub(super) fn set_id(frame: &mut [u8], id: u64) {
    frame[8..HEADER_BYTES].copy_from_slice(&id.to_le_bytes());
}

/// A frame with a serialisable payload.
pub(super) fn message<T: Serialize>(header: Header, payload: &T, limit: u32) -> Result<Vec<u8>, String> {
    let mut frame = job::encode(payload, begin(header))?;
    seal(&mut frame, limit).map_err(|error| error.to_string())?;
    Ok(frame)
}

/// A `Codec` frame: the stage in the flags, the reason as the payload (cut to the limit).
pub(super) fn codec(job: u16, id: u64, stage: CodecStage, reason: &str, limit: u32) -> Vec<u8> {
    let mut frame = begin(Header { kind: Kind::Codec, flags: stage.to_byte(), job, id });
    let end = reason.floor_char_boundary(limit as usize);
    frame.extend_from_slice(&reason.as_bytes()[..end]);
    // The reason was just cut to the limit.
    let _ = seal(&mut frame, limit);
    frame
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Bytes that arrived; those before `start` are spent.
    buffer: Vec<u8>,
    start: usize,
    limit: u32,
}

impl Decoder {
    /// `limit`: the longest payload accepted, in bytes.
    pub(super) fn new(limit: u32) -> Self {
        Self { buffer: Vec::new(), start: 0, limit }
    }

    /// The buffer to append newly arrived bytes to, with spare capacity for a good read.
    ///
    /// The capacity grows with what has arrived (at most to its double), so a peer that claims 4 GiB and
    /// sends ten bytes costs one ordinary read buffer.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            // Do not sit on the memory of one huge frame for ever.
            self.buffer.shrink_to(READ_BYTES * 4);
        } else if self.start >= READ_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// The stream is broken; the decoder must not be used any more.
    pub(super) fn next(&mut self) -> Result<Option<(Header, Payload)>, FrameError> {
        let Some((head, rest)) = self.buffer[self.start..].split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, kind, flags, j0, j1, id @ ..] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = Kind::from_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
        if length > self.limit {
            return Err(FrameError::TooLong { length: u64::from(length), limit: self.limit });
        }
        let header = Header { kind, flags, job: u16::from_le_bytes([j0, j1]), id: u64::from_le_bytes(id) };
        let Some(payload) = rest.get(..length as usize) else { return Ok(None) };

        let end = self.start + HEADER_BYTES + payload.len();
        let payload = if end == self.buffer.len() && payload.len() >= HAND_ON_BYTES {
            // The frame is all that is left: give the buffer away instead of copying it.
            let start = self.start + HEADER_BYTES;
            self.start = 0;
            Payload { buffer: std::mem::take(&mut self.buffer), start }
        } else {
            let payload = payload.to_vec();
            self.start = end;
            Payload { buffer: payload, start: 0 }
        };
        Ok(Some((header, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u32 = 200_000;

    fn frame(id: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = begin(Header { kind: Kind::Job, flags: 7, job: 0xabcd, id: 0 });
        frame.extend_from_slice(payload);
        seal(&mut frame, LIMIT).unwrap();
        set_id(&mut frame, id);
        frame
    }

    /// All frames in `bytes`, fed in pieces of the given sizes (repeated as needed).
    fn decode_in_pieces(mut bytes: &[u8], sizes: &[usize]) -> Result<Vec<(Header, Vec<u8>)>, FrameError> {
        let mut decoder = Decoder::new(LIMIT);
        let mut frames = Vec::new();
        let mut sizes = sizes.iter().cycle();
        while !bytes.is_empty() {
            let size = (*sizes.next().unwrap()).clamp(1, bytes.len());
            decoder.room().extend_from_slice(&bytes[..size]);
            bytes = &bytes[size..];
            while let Some((header, payload)) = decoder.next()? {
                frames.push((header, payload.bytes().to_vec()));
            }
        }
        Ok(frames)
    }

    #[test]
    fn the_header_is_laid_out_as_documented() {
        let frame = frame(0x0102_0304_0506_0708, b"xyz");
        assert_eq!(frame, [3, 0, 0, 0, 2, 7, 0xcd, 0xab, 8, 7, 6, 5, 4, 3, 2, 1, b'x', b'y', b'z']);
    }

    #[test]
    fn a_length_above_the_limit_is_refused_on_both_sides() {
        let mut long = begin(Header { kind: Kind::Job, flags: 0, job: 0, id: 0 });
        long.resize(HEADER_BYTES + 11, 0);
        let error = FrameError::TooLong { length: 11, limit: 10 };
        assert_eq!(seal(&mut long, 10), Err(error));
        seal(&mut long, 11).unwrap();

        let mut decoder = Decoder::new(10);
        decoder.room().extend_from_slice(&long[..HEADER_BYTES]);
        assert_eq!(decoder.next().unwrap_err(), error, "known from the header, before the payload arrives");
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let mut bytes = frame(1, b"");
        for kind in [0, 12, 255] {
            bytes[4] = kind;
            assert_eq!(decode_in_pieces(&bytes, &[100]).unwrap_err(), FrameError::UnknownKind(kind));
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut decoder = Decoder::new(u32::MAX);
        let mut header = frame(1, b"");
        header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        decoder.room().extend_from_slice(&header);
        assert!(decoder.next().unwrap().is_none());
        assert!(decoder.room().capacity() <= 4 * READ_BYTES, "{}", decoder.room().capacity());
    }

    #[test]
    fn a_large_payload_is_handed_on_in_its_own_buffer() {
        let mut decoder = Decoder::new(LIMIT);
        decoder.room().extend_from_slice(&frame(1, &[5; HAND_ON_BYTES]));
        let before = decoder.buffer.as_ptr();
        let (_, payload) = decoder.next().unwrap().unwrap();
        assert_eq!(payload.buffer.as_ptr(), before);
        assert_eq!(payload.bytes(), [5; HAND_ON_BYTES]);
    }

    #[test]
    fn durations_survive_packing() {
        for exact in (0..4096).chain([4098, 1 << 20, 4095 << 30]) {
            assert_eq!(unpack_ns(pack_ns(exact)), exact);
        }
        assert_eq!(unpack_ns(pack_ns(u64::MAX)), 4095 << 30, "saturates, at 73 minutes");
        for code in 0..=u16::MAX {
            assert_eq!(pack_ns(unpack_ns(code)), code);
            assert!(code == 0 || unpack_ns(code) > unpack_ns(code - 1));
        }
        for ns in (0..1000).map(|step| 4096 + step * 12_345_677) {
            let unpacked = unpack_ns(pack_ns(ns));
            assert!(unpacked <= ns && ns - unpacked <= ns / 2048, "{ns} became {unpacked}");
        }
    }

    #[test]
    fn a_codec_reason_is_cut_to_the_limit() {
        let frame = codec(1, 2, CodecStage::EncodeResult, &"é".repeat(1000), 1025);
        assert_eq!(frame.len(), HEADER_BYTES + 1024, "cut at a character, below the limit");
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90_000), 0..5),
            sizes in prop::collection::vec(1_usize..70_000, 1..6),
        ) {
            let mut bytes = Vec::new();
            for (id, payload) in (0..).zip(&payloads) {
                bytes.extend_from_slice(&frame(id, payload));
            }
            let frames = decode_in_pieces(&bytes, &sizes).unwrap();
            prop_assert_eq!(frames.len(), payloads.len());
            for ((id, payload), (header, got)) in (0..).zip(&payloads).zip(&frames) {
                prop_assert_eq!(header, &Header { kind: Kind::Job, flags: 7, job: 0xabcd, id });
                prop_assert!(payload == got);
            }
        }

        #[test]
        fn hostile_bytes_neither_panic_nor_allocate_beyond_what_arrived(
            bytes in prop::collection::vec(any::<u8>(), 0..4096),
            kind in 1_u8..7,
            sizes in prop::collection::vec(1_usize..512, 1..4),
        ) {
            // Half of the cases get past the check of the kind.
            let mut bytes = bytes;
            if bytes.len() % 2 == 0 && bytes.len() > 4 {
                bytes[4] = kind;
            }
            let mut decoder = Decoder::new(u32::MAX);
            let mut sizes = sizes.iter().cycle();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let size = (*sizes.next().unwrap()).min(rest.len());
                decoder.room().extend_from_slice(&rest[..size]);
                rest = &rest[size..];
                match decoder.next() {
                    Ok(Some((_, payload))) => prop_assert!(payload.bytes().len() < bytes.len()),
                    Ok(None) => {}
                    Err(_) => return Ok(()),
                }
                prop_assert!(decoder.buffer.capacity() <= 4 * READ_BYTES + 2 * bytes.len());
            }
            // What a decoder lets through must not hurt the codec either.
            let _ = job::decode::<PanicReport>(&bytes);
            let _ = job::decode::<Hello>(&bytes);
            let _ = job::decode::<Vec<String>>(&bytes);
        }
    }
}
