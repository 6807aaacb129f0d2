//! The operating system's event queue behind one small door: `epoll` itself on Linux, the `polling` crate elsewhere.
//! Nothing above this folder knows which.
//!
//! Descriptors are registered once, for both directions, edge-triggered: an event says that something *changed*,
//! and it is `driver/io.rs` that remembers the state. The key of a registration is a slot of the registry plus a
//! generation, so that an event which was already fetched when its descriptor was closed (and its slot given to
//! another) is recognised as stale.
//!
//! **What an event holds** is the state of the descriptor when the event was *fetched*, not when it came up: whatever
//! happened before is in it, and whatever happens later brings another event. `SAYS_CLOSED` says whether that state
//! includes the end of the stream; `driver/io.rs` tells what depends on it.
//!
//! One thread at a time waits, with an `Events` of its own; registering and notifying may happen meanwhile.

#[cfg(all(target_os = "linux", not(runtime_shuttle)))]
mod epoll;
#[cfg(runtime_shuttle)]
mod memory;
/// In tests on Linux too, so that it is compiled and tried out somewhere.
#[cfg(any(not(target_os = "linux"), all(test, not(runtime_loom))))]
mod portable;
#[cfg(all(test, not(runtime_loom)))]
mod tests;

use std::time::Instant;

use crate::io::Ready;

#[cfg(all(target_os = "linux", not(runtime_shuttle)))]
use epoll as imp;
#[cfg(runtime_shuttle)]
use memory as imp;
#[cfg(not(any(target_os = "linux", runtime_shuttle)))]
use portable as imp;

pub(super) use imp::{Events, Poller, SAYS_CLOSED};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a registration's key packs a 32-bit slot and a 32-bit generation into one usize");

/// Names one registration for ever: `generation << 32 | slot`. The slot `u32::MAX` is the pollers' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(usize);

impl Key {
    /// `slot` must be below `u32::MAX`.
    pub(super) fn new(slot: usize, generation: u32) -> Key {
        debug_assert!(slot < u32::MAX as usize);
        Key((generation as usize) << 32 | slot)
    }

    pub(super) fn slot(self) -> usize {
        self.0 & u32::MAX as usize
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One event: which registration, and what it is now ready for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) key: Key,
    pub(super) ready: Ready,
}

/// Until when a wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Fetch what is there, do not wait.
    Poll,
    /// To the nanosecond, as far as the system can: a high-resolution timer wakes the thread.
    Until(Instant),
    /// Until an event or a notification.
    Forever,
}
