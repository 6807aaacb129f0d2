//! What each job of a run is: drawn from the seed and the job's number alone, so the same seed plans the same run, and
//! the outcome that must come of it is known without asking any worker.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A stream of its own for each pair.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        rng.0 = rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn ending(&mut self) -> Ending {
        match self.below(8) {
            0..3 => Ending::Abort,
            3..6 => Ending::Exit(self.below(3) as u8),
            // SIGKILL, SIGSEGV, SIGTERM.
            _ => Ending::Signal([9, 11, 15][self.below(3) as usize]),
        }
    }

    /// A length up to `limit`, small ones more often: each order of magnitude is as likely as the next.
    pub(crate) fn length(&mut self, limit: usize) -> usize {
        let bits = self.below(u64::from(usize::BITS - limit.leading_zeros()));
        (self.below(2 << bits) as usize).min(limit)
    }
}

/// How a payload crosses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Carrier {
    /// A `Vec<u8>`.
    Plain,
    /// A `ByteBuf`.
    Bytes,
    /// A `Blob`.
    Blob,
}

/// How a job ends its worker.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Abort,
    Exit(u8),
    /// A signal to itself.
    Signal(i32),
}

impl Ending {
    /// Whether a worker that ended so ended like this.
    pub(crate) fn is(self, signal: Option<i32>, code: Option<i32>) -> bool {
        match self {
            Self::Abort => signal == Some(6),
            Self::Signal(wanted) => signal == Some(wanted),
            Self::Exit(wanted) => signal.is_none() && code == Some(wanted.into()),
        }
    }
}

/// Where a value fails to cross.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    EncodeArguments,
    DecodeArguments,
    EncodeResult,
    DecodeResult,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    Add,
    /// The same with a limit that it keeps.
    AddInTime,
    Work(u64),
    Echo(Carrier, usize),
    /// The payload is the result's only.
    Produce(Carrier, usize),
    Print(usize),
    CloseStdio,
    Grandchild,
    Panic,
    Fault(Fault),
    End(Ending),
    /// An endless loop with a limit.
    Endless(Duration),
    /// More memory than the pool allows.
    Hog,
    /// On the worker of a key.
    Keyed(u8),
    /// With a limit on the waiting, which it may keep or not.
    Impatient(Duration),
    /// Ends its worker the first time, and is tried again.
    Retried(Ending),
    /// Many items at once, some of which panic; the stream is dropped after so many of them.
    Map {
        items: u64,
        chunk: usize,
        ordered: bool,
        taken: u64,
    },
    /// The call is dropped after so many polls, unless it is done by then.
    Drop {
        polls: u64,
        kill: bool,
        work: u64,
    },
}

/// The largest payload.
pub(crate) const HUGE: usize = 16 << 20;

impl Deed {
    /// What job `id` of the run does.
    pub(crate) fn draw(seed: u64, id: u64) -> Self {
        let mut rng = Rng::new(seed, id);
        let carrier = [Carrier::Plain, Carrier::Bytes, Carrier::Blob][rng.below(3) as usize];
        match rng.below(10_000) {
            0..3000 => Self::Add,
            3000..3500 => Self::Keyed(rng.below(16) as u8),
            3500..3900 => Self::Impatient(Duration::from_micros(rng.below(5000))),
            3900..3950 => Self::Retried(rng.ending()),
            3950..3999 => {
                let items = rng.length(3000) as u64;
                Self::Map {
                    items,
                    chunk: rng.below(2) as usize * rng.length(300),
                    ordered: rng.below(2) == 0,
                    taken: if rng.below(4) == 0 { rng.below(items + 1) } else { items },
                }
            }
            3999 => Self::Hog,
            4000..4400 => Self::AddInTime,
            4400..5400 => Self::Work(rng.below(200)),
            5400..7400 => Self::Echo(carrier, rng.length(4 << 10)),
            7400..7900 => Self::Produce(carrier, rng.length(64 << 10)),
            7900..8100 => Self::Echo(carrier, rng.length(1 << 20)),
            8100..8110 => Self::Echo(carrier, rng.length(HUGE)),
            8110..8120 => Self::Produce(carrier, rng.length(HUGE)),
            8120..8320 => Self::Print(rng.length(8 << 10)),
            8320..8330 => Self::CloseStdio,
            8330..8340 => Self::Grandchild,
            8340..8600 => Self::Panic,
            8600..8800 => Self::Fault(
                [Fault::EncodeArguments, Fault::DecodeArguments, Fault::EncodeResult, Fault::DecodeResult]
                    [rng.below(4) as usize],
            ),
            8800..8880 => Self::End(rng.ending()),
            8880..8900 => Self::Endless(Duration::from_micros(1000 + rng.below(5000))),
            _ => {
                Self::Drop { polls: rng.length(2000) as u64, kill: rng.below(20) == 0, work: rng.below(100) }
            }
        }
    }

    /// The row of the table that it counts in.
    pub(crate) fn row(&self) -> usize {
        match self {
            Self::Add => 0,
            Self::AddInTime => 1,
            Self::Work(_) => 2,
            Self::Echo(_, bytes) | Self::Produce(_, bytes) if *bytes <= 16 << 10 => 3,
            Self::Echo(_, bytes) | Self::Produce(_, bytes) if *bytes <= 1 << 20 => 4,
            Self::Echo(..) | Self::Produce(..) => 5,
            Self::Print(_) => 6,
            Self::CloseStdio => 7,
            Self::Grandchild => 8,
            Self::Panic => 9,
            Self::Fault(_) => 10,
            Self::End(_) => 11,
            Self::Endless(_) => 12,
            Self::Hog => 13,
            Self::Keyed(_) => 14,
            Self::Impatient(_) => 15,
            Self::Retried(_) => 16,
            Self::Map { .. } => 17,
            Self::Drop { kill: false, .. } => 18,
            Self::Drop { kill: true, .. } => 19,
        }
    }
}

/// The names of the rows.
pub(crate) const ROWS: [&str; 20] = [
    "add",
    "add, with a limit",
    "work up to 200 us",
    "payloads up to 16 KiB",
    "payloads up to 1 MiB",
    "payloads up to 16 MiB",
    "prints",
    "closes stdio",
    "leaves a grandchild",
    "panics",
    "does not cross",
    "ends its worker",
    "endless, with a limit",
    "wants too much memory",
    "on a key's worker",
    "impatient",
    "dies once, is retried",
    "map streams",
    "dropped: detach",
    "dropped: kill",
];

/// The memory that a worker may have.
pub(crate) const MEMORY: u64 = 512 << 20;

/// The number that job `id` must add up to.
pub(crate) fn sum_of(id: u64) -> u64 {
    id.wrapping_mul(3).wrapping_add(7)
}

/// The payload of job `id`: as cheap as copying, and different for each.
pub(crate) fn payload(id: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(0x7061_796c_6f61_6421, id);
    let block: Vec<u8> = (0..512).flat_map(|_| rng.next().to_le_bytes()).collect();
    let mut payload = Vec::with_capacity(bytes + block.len());
    while payload.len() < bytes {
        // Blocks differ too: a block that took another's place is seen.
        let turn = (payload.len() / block.len()) % block.len();
        payload.extend_from_slice(&block[turn..]);
        payload.extend_from_slice(&block[..turn]);
    }
    payload.truncate(bytes);
    payload
}

/// What an echo does to its payload, so that an answer which is only the question is wrong.
pub(crate) fn stamp(id: u64, payload: &mut [u8]) {
    let mask = (id as u8).wrapping_mul(31) | 1;
    for place in [0, payload.len() / 2, payload.len().wrapping_sub(1)] {
        if let Some(byte) = payload.get_mut(place) {
            *byte = byte.wrapping_add(mask);
        }
    }
}

/// What item `item` of the map of job `id` becomes; `None`: it panics.
pub(crate) fn mapped(id: u64, item: u64) -> Option<u64> {
    let number = Rng::new(id, item).next();
    (!number.is_multiple_of(97)).then_some(number)
}
