//! What Crossover computes and waits for, each verified by checksum.

pub mod catalog;
mod checksum;
mod cpu;
mod error;
pub mod experiments;
mod mixed;
mod spec;
mod workload;

pub use checksum::{combine, format_checksum};
pub use error::WorkloadError;
pub use mixed::calibrate_spin;
pub use spec::{Spec, Value};
pub use workload::{Workload, estimate};
