//! Sleeping, timeouts and intervals, with tokio's names and semantics.
//!
//! What differs from tokio, and why:
//! - **Precision.** Deadlines are kept in nanoseconds and waited for by a high-resolution timer. A sleep of 100 µs takes
//!   about that, where tokio rounds up to the next millisecond. Longer ones may take up to 1/32 longer, but never more
//!   than a millisecond, so that many of them end in one go. Nothing is ever early.
//! - **No limit.** tokio refuses nothing either, but its wheel ends after about two years. Here a deadline that the
//!   clock cannot express ([`Duration::MAX`], say) stands for "not in this century".
//! - **A timeout begins when it is first polled**, where tokio's begins when it is made; [`timeout()`] says why.
//!
//! All of them need a runtime: sleeps and intervals are made, timeouts are polled, inside a task, inside `block_on`, or
//! while a runtime is entered. They are driven by that runtime wherever they are polled later, and panic when they are
//! polled after its shutdown, because nobody is left who could wake them.

pub mod error;
mod instant;
mod interval;
mod sleep;
mod timeout;

pub use std::time::Duration;

pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};

use crate::driver;
use crate::runtime::Handle;
use crate::scheduler;
use std::task::Poll;

/// A timer of the current runtime.
#[track_caller]
fn timer(deadline: Instant) -> driver::Timer {
    // Only the shard passes through the result: a whole timer would be copied more than once on its way.
    match Handle::with_current(|handle| driver::Timer::local_shard(handle.driver())) {
        Ok(shard) => driver::Timer::in_shard(shard, deadline.into_std()),
        Err(error) => panic!("{error}"),
    }
}

/// A timer that is polled after the shutdown could only hang; a panic names the mistake. No mistake is it of a task that was
/// being polled when its runtime's end began: that one is dropped after this poll.
#[cold]
fn polled_after_shutdown<T>() -> Poll<T> {
    if scheduler::is_ending() {
        return Poll::Pending;
    }
    panic!(
        "a timer was polled after its runtime had been shut down; nobody is left to wake it. Keep the runtime alive \
         for as long as its timers are in use"
    )
}
