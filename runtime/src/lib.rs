//! A work-stealing async executor with its own reactor and timers, a blocking pool and a process pool.

#[allow(dead_code, reason = "the doors that use it land next")]
mod driver;
pub mod io;
pub mod process_pool;
