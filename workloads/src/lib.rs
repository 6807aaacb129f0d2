//! What Crossover computes and waits for, each verified by checksum.
//!
//! A [`Spec`] names a kind of the [`catalog`], its parameters, and a seed. [`Workload::prepare`] builds the inputs, which
//! is not timed; then each strategy runs every task once, in its own style, and gets one digest per task:
//!
//! | style | for | waits | computes |
//! |--|--|--|--|
//! | [`Workload::run_blocking`] | threads, processes, sequential code | block the thread | inline |
//! | [`Workload::run_async`] | tasks of the runtime | are awaited | inline |
//! | [`Workload::run_offloaded`] | tasks that keep their workers free | are awaited (timers, pages) or offloaded (calls) | on the blocking pool |
//! | [`run_in_worker`] | the process pool | block the worker process | in the worker process |
//! | [`ship_in_worker`] | the process pool, where bytes are [sent along](Workload::shipment) | block the worker process | in the worker process |
//!
//! All do the same work: the same kernel on the same input, with the same allocations. [`combine`] folds the
//! digests into a checksum that depends neither on the order nor on the style.
//!
//! ```
//! use crossover_workloads::{Spec, Workload, combine, format_checksum};
//!
//! let spec = Spec {
//!     kind: "cpu".into(),
//!     params: [("input_bytes".to_owned(), crossover_workloads::Value::Int(1000))].into(),
//!     tasks: 3,
//!     seed: 42,
//!     server: None,
//!     spin_per_us: None,
//! };
//! let workload = Workload::prepare(&spec)?;
//! let mut acc = 0;
//! for task in 0..workload.tasks() {
//!     acc = combine(acc, task, workload.run_blocking(task)?);
//! }
//! assert_eq!(format_checksum(acc), "37ddb27232cdf993");
//! # Ok::<(), crossover_workloads::WorkloadError>(())
//! ```
//!
//! The modules, from the top: `worker` (what a worker process runs) → [`Store`] (each workload prepared once) →
//! [`Workload`] → `kinds` (the trait, the table, a module per kind) → `params` → [`catalog`] → `checksum`. [`experiments`] holds the TOML files that come with the suite.
//!
//! The page below is DIGESTS.md: what a contestant in another language needs to know.
//!
#![doc = include_str!("../DIGESTS.md")]
#![forbid(unsafe_code)]

mod async_runtime;
pub mod catalog;
mod checksum;
mod error;
pub mod experiments;
mod kinds;
mod params;
mod spec;
mod store;
mod worker;
mod workload;

pub use async_runtime::{AsyncRuntime, Crossover};
pub use checksum::{combine, format_checksum};
pub use error::WorkloadError;
pub use kinds::{Shipped, calibrate_spin, give_back, server};
pub use spec::{Spec, Value};
pub use store::Store;
pub use worker::{
    Traced, give_back_in_worker, monotonic_ns, run_in_worker, ship_in_worker, trace_in_worker,
    trace_shipped_in_worker,
};
pub use workload::{Seen, Workload, estimate};
