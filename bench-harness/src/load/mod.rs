//! Open loads: tasks that arrive at a rate of their own, and the latency of each from its intended start.
//!
//! A closed loop asks for the next work when the last is done: while the system stalls nobody asks, and the tasks that
//! would have waited are never counted (coordinated omission). Under an open load task `i` is due at `first + i / rate`,
//! whatever became of those before, and its latency counts from there.
//!
//! - `generator`: a process of its own that makes tasks arrive. It is a child of the trial, a fresh one for each run.
//! - `arrivals`: the trial's end of the pipe, for strategies that block and for those that await.
//! - `latency`: when each task was done, and the histogram of it. Closed loads use it as well.
//!
//! # Between the two processes
//! A pipe from the generator's stdout, numbers in little-endian order:
//!
//! | bytes | what |
//! |--|--|
//! | 8 | `first`: when task 0 is due, on the clock that all processes share (`CLOCK_MONOTONIC`) |
//! | 4 for each task | that it has arrived, and how late, in ns: the generator's lag. `u32::MAX` for all of 4.3 s and more |
//! | 8 | CPU time that the generator has used from `first` on |
//!
//! The pipe is made large enough for more tasks than a run has, so that a strategy which falls behind does not hold the
//! generator up. Whoever is left alone ends: the generator with its parent (PDEATHSIG) or by its broken pipe,
//! the trial by the end of the stream.
//!
//! Spacing is constant: a run of a few hundred tasks says more about the strategy that way than with random gaps, and
//! its latencies can be computed by hand.
mod arrivals;
pub(crate) mod generator;
mod latency;

pub use arrivals::{Arrivals, Generated, Pipe, Watched};
pub use latency::Latencies;
pub(crate) use latency::encode;

/// When task `task` is due, counted from the first one.
fn due_after_ns(task: u32, rate: f64) -> u64 {
    // At most a minute (the configuration's limit) for ours; anything larger saturates.
    (f64::from(task) * 1e9 / rate).round() as u64
}
