//! The words that both sides share. All zero at first, which is a valid beginning.
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `to_worker.tail`, `to_parent.head` | parent | its positions |
//! | `to_parent.tail`, `to_worker.head` | worker | its positions |
//! | `claim.next` | both | the number of the first job that nobody has started |
//! | `claim.started_at` | worker | when it made its last claim |
//! | `worker_sleeps` | both | [`AWAKE`], or what the worker sleeps for |
//! | `parent_sleeps` | both | 1: nobody looks at the ring until the bell rings |
//!
//! The last two are changed by exchanges only, never by plain stores. That costs nothing where somebody goes to sleep,
//! and each change is known to come after the one before it: loom does not order stores and the other side's exchanges.

#[cfg(runtime_loom)]
use super::model::Futex;
#[cfg(not(runtime_loom))]
use super::sleep::Futex;
use crossbeam_utils::CachePadded;

#[cfg(runtime_loom)]
pub(super) use crate::sync::prim::atomic::{AtomicU32, AtomicU64, Ordering, fence};
// Whatever checker runs: these lie in memory that is mapped, so they must be the plain ones.
#[cfg(not(runtime_loom))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// `worker_sleeps`: the worker looks by itself.
pub(super) const AWAKE: u32 = 0;
/// `worker_sleeps`: wake it after publishing a frame.
pub(super) const FOR_INPUT: u32 = 1;
/// `worker_sleeps`: wake it after freeing space.
pub(super) const FOR_SPACE: u32 = 2;

/// The positions of one ring: bytes since the beginning of time.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// The producer has written up to here. Its Release store pairs with the consumer's Acquire load, and carries
    /// the bytes.
    pub(super) tail: CachePadded<AtomicU64>,
    /// The consumer has read up to here. Its Release store pairs with the producer's Acquire load: it has done with
    /// the bytes.
    pub(super) head: CachePadded<AtomicU64>,
}

/// Who has which job.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) next: AtomicU64,
    /// Nanoseconds of CLOCK_MONOTONIC. Relaxed: the claim after it releases it.
    pub(super) started_at: AtomicU64,
}

/// The page. What one side writes often has a cache line of its own.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) to_worker: Positions,
    pub(super) to_parent: Positions,
    pub(super) claim: CachePadded<Claim>,
    pub(super) worker_sleeps: CachePadded<Futex>,
    pub(super) parent_sleeps: CachePadded<AtomicU32>,
}
