//! A work-stealing async executor with its own reactor and timers, a blocking pool and a process pool.
//!
//! ```text
//!            spawn                    wake
//!              │                        │
//!              ▼                        ▼
//!   ┌─────────────────────────────────────────────┐   pushed by a worker: its local queue
//!   │ queue     local queues  ◄─ grab ─  injector │   pushed by any other thread: the injector
//!   └──────────────────┬──────────────────────────┘
//!               next,  │  steal
//!                      ▼
//!                   worker ──► poll the task, under a budget ──► done: its JoinHandle is woken
//!                      │                └──► pending: whoever it waits for will wake it
//!                      │ nothing to do
//!                      ▼
//!                    park ──► one worker turns the driver: sockets and timers wake their tasks
//!                             the others wait for a token
//! ```
//!
//! Work that would hold up a worker goes elsewhere, by one word: [`spawn`] for async tasks, [`spawn_blocking`] for code
//! that blocks or computes, [`join`] for computing that divides itself over the workers, [`process_pool`] for worker processes.
//!
//! ```
//! use crossover_runtime::{runtime::Builder, spawn, spawn_blocking};
//!
//! let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
//! let text = runtime.block_on(async {
//!     let task = spawn(async { "async" });
//!     let job = spawn_blocking(|| "threads");
//!     format!("{}, {}", task.await.unwrap(), job.await.unwrap())
//! });
//! assert_eq!(text, "async, threads");
//! # std::io::Result::Ok(())
//! ```
//!
//! Names and meanings are tokio's where tokio has the thing; a doc comment says so where they differ. `futures`,
//! `async-lock`, `async-channel` and `tokio::sync` run on it unmodified.
//!
//! # Where to begin
//! - [`guide::from_tokio`], [`guide::from_asyncio`] and [`guide::from_concurrent_futures`]: what one knows, and what it
//!   is called here.
//! - `examples/`: `echo`, `http` (hyper), `chat` (WebSocket), `blocking_library`, `process_pool`, `graceful_shutdown`, `trace`. Each says
//!   in its first lines how to run it.
//! - [`runtime::Builder`] for the settings, [`net`], [`fs`], [`time`], [`sync`] and [`task`] for the rest.
//!
//! # Features
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `hyper` | `hyper_rt`: hyper 1's executor, timer and I/O traits on this runtime: `TcpStream` goes to hyper as it is |
//! | `tokio-io` | `tokio_io`: tokio's `AsyncRead` and `AsyncWrite` on the streams, for crates such as tokio-postgres |
//!
//! # Seeing inside
//! A task that blocks, or computes without an `.await`, holds up its worker, and everything that waits there:
//!
//! - **Which one?** [`Builder::detect_stalls`](runtime::Builder::detect_stalls) warns by `tracing`, and
//!   [`on_stall`](runtime::Builder::on_stall) calls you, with the file and line where the task was spawned. Off unless chosen.
//! - **What happened when?** [`Handle::record`](runtime::Handle::record) records which worker polled which task when; the
//!   [`Trace`](runtime::Trace) opens as a timeline in Perfetto or `chrome://tracing`.
//! - **How much?** [`Handle::metrics`](runtime::Handle::metrics): polls, steals, parks, queues, threads. Always on.
//!
//! ```
//! use crossover_runtime::{runtime::Builder, spawn, task::yield_now};
//!
//! let runtime = Builder::new_multi_thread()
//!     .worker_threads(2)
//!     .on_stall(|stall| eprintln!("{stall}")) // the task spawned at src/main.rs:10:5 was polled for 52.1 ms
//!     .build()?;
//! let recorder = runtime.handle().record()?;
//! runtime.block_on(async { spawn(yield_now()).await }).unwrap();
//! recorder.stop().write_chrome_json(std::io::sink())?; // a file, in a `BufWriter`
//! assert_eq!(runtime.metrics().spawned_tasks_count(), 1);
//! # std::io::Result::Ok(())
//! ```
//!
//! # Inside
//! A module uses only its own floor or lower ones:
//!
//! | floor | modules |
//! |---|---|
//! | doors | `lib`, [`runtime`] and its `Builder`, `net`, `fs`, `time` |
//! | services | `handle`, `blocking`, `join`, `process_pool` |
//! | machine | `scheduler` (`worker`, `current_thread`), `driver` |
//! | mechanism | `scheduler::queue`, `scheduler::idle`, `scheduler::budget`, `join::hub`, `join::job`, `park` |
//! | unit | [`task`] |
//! | ground | [`sync`], `rng`, `error`, `metrics`, `observe` |
//!
//! The protocol that keeps wake-ups from being lost is written down, with its proof, in `scheduler/idle.rs`.

mod blocking;
mod builder;
mod driver;
mod error;
pub mod fs;
#[cfg(doc)]
pub mod guide;
mod handle;
#[cfg(feature = "hyper")]
pub mod hyper_rt;
pub mod io;
mod join;
mod metrics;
#[cfg(doctest)]
mod misuse;
#[cfg(all(test, runtime_loom))]
mod models;
pub mod net;
mod observe;
mod park;
pub mod process_pool;
mod rng;
pub mod runtime;
mod scheduler;
#[cfg(all(test, runtime_shuttle))]
mod schedules;
pub mod sync;
pub mod task;
pub mod time;
#[cfg(feature = "tokio-io")]
pub mod tokio_io;

pub use handle::{spawn, spawn_blocking};
pub use join::join;

/// The programs of this crate's README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// Those of the workspace's README: the calls of Python and ours.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod workspace_readme {}
