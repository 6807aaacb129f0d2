//! Frames: what parent and worker say to each other through a lane.
//!
//! A frame is a [`Header`] and a payload of at most [`INLINE_MAX`](super::channel::INLINE_MAX) bytes; `channel` knows
//! how they lie in a ring, `blob` what its two low flags mean.
//!
//! | kind | from | `job` | `id` | payload |
//! |---|---|---|---|---|
//! | `Setup` | parent, first | | | `spawn::Setup` |
//! | `Init` | parent, once | number in the table | `u64::MAX` | arguments |
//! | `Hello` | worker, first but for `Init`'s answer | | | [`Hello`] |
//! | `Job`, `Chunk` | parent | number in the table | sequence number | arguments |
//! | `Done`, `Panic` | worker | time that it ran, packed | of the job | result, [`PanicReport`] |
//! | `Codec` | worker | time that it ran, packed | of the job | the reason; the flags are the stage |
//! | `Release`, `Forget` | both | | see `blob::link` | |
//! | `Shut` | parent, last | | | |

use serde::{Deserialize, Serialize};

/// The version of everything in this file; part of the hello.
pub(super) const PROTOCOL: u32 = 1;

/// In the flags of a `Chunk`: each item has the time limit to itself, so the worker tells when it starts one.
pub(super) const TIMED: u8 = 0x04;

/// In the flags of an answer: the worker's memory is over its limit, so it should go.
pub(super) const HEAVY: u8 = 0x08;

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
    /// Worker → parent: a value of job `id` did not encode or decode; `flags` is the stage, the payload the
    /// reason.
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
    /// The job's number in the table; in an answer, how long it ran ([`pack_ns`]).
    pub(crate) job: u16,
    /// The job's number in its lane. See the table above for other frames.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
