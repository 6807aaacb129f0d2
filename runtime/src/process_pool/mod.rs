//! Run functions in other processes: `pool.call(f, (args,)).await`.
//!
//! A process isolates what a thread cannot: a crash, a leak, a library that is not thread-safe, an endless loop that
//! must be stopped. A killed worker fails the one job it ran, and is replaced; no worker outlives its parent.
//!
//! ```standalone_crate
//! use crossover_runtime::process_pool::{self, ProcessPool, job};
//!
//! #[job]
//! fn add(a: u64, b: u64) -> u64 {
//!     a + b
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     process_pool::worker_entry(); // the first line: the workers are copies of this program
//!     let pool = ProcessPool::builder().workers(2).build()?;
//!     let sum = futures::executor::block_on(pool.call(add, (40, 2)))?; // any executor will do
//!     assert_eq!(sum, 42);
//!     Ok(())
//! }
//! ```
//!
//! # What a job is
//! A free function with `#[job]`: at most six owned arguments, which like the result implement serde's traits and cross
//! in postcard's format. It does not describe itself, so types that look at what comes (`serde_json::Value`,
//! `#[serde(untagged)]`) cannot cross. `Vec<u8>`, `Vec<f32>`, `Vec<f64>` and `String` are copied whole, wherever they are
//! in a value; a [`Blob`] is not copied at all. Functions and closures without the attribute: [`Registry`].
//!
//! Jobs run one at a time on a worker's main thread. They may print (stdout is the parent's; stderr is passed on
//! to the parent's, its tail is part of [`CallError::WorkerDied`]); their stdin is `/dev/null`. What a job leaves behind
//! in statics is there for the next job of the same worker: a cache, never a channel.
//!
//! # Ways to call
//! [`call`](ProcessPool::call) one job; [`map`](ProcessPool::map) one over many items, in chunks that size themselves;
//! [`affinity`](ProcessPool::affinity) to find again what an earlier job left. [`Call::timeout`], [`Call::queue_timeout`],
//! [`Call::retry`] and [`Call::on_drop`] say what a call allows. [`Offload`] runs the same job inline, on a thread or
//! here, by changing one word. Who knows Python's pool: [`guide::from_concurrent_futures`](crate::guide::from_concurrent_futures).
//!
//! # In tests
//! The harness of `#[test]` owns `main`. [`enable_in_tests!()`](crate::enable_in_tests), once in the test program, makes
//! its copies workers. A test target without the harness (`harness = false` in `Cargo.toml`) is a program like any other:
//! [`worker_entry`] first in its `main`. Jobs must be linked into the test program.
//!
//! # How it works
//! The pool starts `/proc/self/exe` (never a fork without exec) with one end of a socket pair as stdin and a token
//! in the environment; [`worker_entry`] recognises both. Each worker shares a piece of sealed memory with the pool, its
//! *lane*: two rings of frames, and a word by which the worker claims a job before it starts it. So as long as both
//! sides are busy no system call is made; tiny jobs are handed over several at a time and can be taken back until the
//! moment they start; and of a dead worker it is known which job it ran. Large values lie in shared memory of their
//! own ([`Blob`]), and cross without a copy.
//!
//! One thread per pool, the keeper, starts, watches and reaps the workers. Answers are read where calls are awaited: by
//! tasks on the runtime of this crate, or by the keeper for callers on other executors. Linux only (pidfds: 5.4 or
//! later).
//!
//! # Floors of this module
//! `pool`, `call`, `map`, `offload`, `builder` (doors) → `keeper` (the thread), `reader` (the tasks) → `state` (the
//! books, one lock) → `channel` (lanes), `blob` and `codec` (values), `breaker`, `spawn`, `prompt`, `output`, `frame`, `job`,
//! `error`. `worker` is the other process; it uses `channel`, `blob`, `codec`, `frame`, `job` and `error` only.

mod blob;
mod breaker;
mod builder;
mod call;
pub(crate) mod channel;
mod codec;
mod descriptor;
mod error;
mod frame;
mod job;
mod keeper;
mod libtest;
mod map;
mod metrics;
mod offload;
mod options;
mod output;
mod pool;
mod prompt;
mod reader;
mod registry;
mod spawn;
mod state;
mod worker;

pub use blob::Blob;
pub use builder::Builder;
pub use call::{Call, OnDrop, Retry};
pub use crossover_runtime_macros::job;
pub use error::{CallError, CodecStage, Rejection, TimedOut};
pub use job::JobFn;
pub use map::{Chunk, Map};
pub use metrics::{CloseReport, PoolMetrics, WorkerMetrics};
pub use offload::Offload;
pub use options::{LineCallback, Stdio};
pub use pool::ProcessPool;
pub use registry::{Registry, worker_entry_with};
pub use worker::worker_entry;

/// What the expansion of `#[job]` names. Not an interface.
#[doc(hidden)]
pub mod __private {
    pub use super::{
        job::{Declared, JOBS, runner},
        libtest::TESTS,
    };
    pub use linkme;
}
