//! What a thread does whose turns of the driver fail: it leaves the driver alone for a while, longer each time.
//!
//! The event queue hardly ever fails; but if it does, because its descriptor was closed by somebody else's mistake, say, it
//! fails at once and for good, and a thread that meant to sleep on it would spin. During the rest the thread sleeps on its
//! parker, so tasks, wakes and joins go on; timers that are due are served by the failing turns between two rests.
//!
//! Each thread learns for itself: this is its own, and needs no lock.

use crate::sync::prim::now;
use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

/// The rest after the first failure; each further one doubles it, [`DOUBLINGS`] times.
const FIRST_REST: Duration = Duration::from_millis(1);
const DOUBLINGS: u32 = 6;

/// The last failures of a thread's turns.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// In a row, but for looks that did not wait and may not have asked the event queue at all.
    failures: Cell<u32>,
    rest_until: Cell<Option<Instant>>,
}

impl Trouble {
    /// How long the driver is still to be left alone.
    #[inline]
    pub(super) fn rest(&self) -> Option<Duration> {
        let until = self.rest_until.get()?;
        Some(until.saturating_duration_since(now())).filter(|left| !left.is_zero())
    }

    /// Calls `turn`, a turn of the driver that waits or not, unless the driver is to be left alone.
    pub(super) fn turn(&self, waits: bool, turn: impl FnOnce() -> io::Result<()>) {
        if self.rest().is_some() {
            return;
        }
        match turn() {
            Ok(()) if waits => {
                self.failures.set(0);
                self.rest_until.set(None);
            }
            Ok(()) => {}
            Err(error) => {
                let failures = self.failures.get().saturating_add(1);
                self.failures.set(failures);
                let rest = FIRST_REST * (1 << (failures - 1).min(DOUBLINGS));
                self.rest_until.set(now().checked_add(rest));
                // Said less and less often: it may go on for ever.
                if failures.is_power_of_two() {
                    tracing::error!(
                        %error, failures,
                        "the driver's turn failed: sockets of this runtime stall, its timers are late"
                    );
                }
            }
        }
    }
}
