//! What a sample and a block cost, as the kernel counts it: CPU time, memory, switches, foreign load.
//!
//! Everything here reads; the one thing that is written is `/proc/PID/clear_refs` of our own processes, which
//! resets their memory's high-water mark. A figure that this kernel does not offer is `None` or 0, never an error.
mod machine;
mod process;

use std::time::{Duration, Instant};

pub use machine::{Load, LoadWindow};
pub use process::{Usage, cpu_ns, descendants, exists, peak_kib, private_kib, reset_peak, resident_kib};

/// The smallest step of the clock that times samples: the median of the smallest steps seen in several bursts.
#[must_use]
pub fn timer_resolution() -> Duration {
    let mut steps: Vec<Duration> = (0..15).map(|_| smallest_step()).collect();
    steps.sort_unstable();
    steps[steps.len() / 2]
}

/// The smallest difference above zero between neighbouring readings of a burst.
fn smallest_step() -> Duration {
    let mut last = Instant::now();
    let mut smallest = Duration::from_millis(1);
    for _ in 0..200 {
        let now = Instant::now();
        let step = now - last;
        if !step.is_zero() {
            smallest = smallest.min(step);
        }
        last = now;
    }
    smallest
}
