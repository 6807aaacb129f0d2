//! Keeping the two ends of a connection within this machine together.
//!
//! Over loopback the kernel delivers data in the context of the sender, on its CPU. If the receiver's task runs there too,
//! the message does not change CPUs at all. So one end of such a connection, not both, looks from time to time where its data
//! come from, and has its registration moved to the worker there (`driver/queues.rs`). All other connections are served where
//! their tasks wait.

use super::evented::Evented;
use super::transfer::ByteStream;
use crate::driver::Direction;
use crate::sync::prim::atomic::{AtomicU8, Ordering};

/// What is known of the other end, in one byte: `role << 4 | waits modulo 16`. All hints, hence Relaxed.
#[derive(Debug, Default)]
pub(super) struct Company(AtomicU8);

const UNKNOWN: u8 = 0;
const LEADS: u8 = 1 << 4;
const FOLLOWS: u8 = 2 << 4;
/// Every so many waits the follower looks: that is seldom enough not to be felt. A power of two.
const WAITS_PER_LOOK: u8 = 16;

impl<T: ByteStream> Evented<T> {
    /// A task waits in this direction, on this thread.
    pub(super) fn waits_here(&self, direction: Direction) {
        let word = self.company.0.load(Ordering::Relaxed);
        let role = word & !(WAITS_PER_LOOK - 1);
        if role == LEADS || direction == Direction::Write {
            if role != FOLLOWS {
                self.registration.waits_here(self.get().as_fd());
            }
            return;
        }
        let waits = (word + 1) % WAITS_PER_LOOK;
        self.company.0.store(role | waits, Ordering::Relaxed);
        if role == UNKNOWN {
            self.registration.waits_here(self.get().as_fd());
        }
        if waits == 0 {
            self.look(role);
        }
    }

    #[cold]
    fn look(&self, mut role: u8) {
        if role == UNKNOWN {
            role = if self.get().follows() { FOLLOWS } else { LEADS };
            self.company.0.store(role, Ordering::Relaxed);
        }
        if role == FOLLOWS
            && let Some(cpu) = self.get().incoming_cpu()
        {
            self.registration.follow(self.get().as_fd(), cpu);
        }
    }
}
