//! Crossover's records into verdicts, pictures and HTML.
//!
//! The only door into this crate is the schema of a run's folder ([`record`]): it knows nothing of the
//! runtime, the workloads or the harness. Data flows one way:
//!
//! ```text
//! samples.jsonl, config.toml ─ load ─► Folder ─ analysis ─► Analysis ─► verdicts.json, crossovers.json
//!                                                           └─ plot ─► plots/*.{svg,png} ─ html ─► report.html
//!                                                           └─ markdown, terminal ─► summary.md, the screen
//! ```
//!
//! A report is a pure function of the folder and the [`Options`]: the same folder and seed give the same bytes.
pub mod analysis;
pub mod claims;
pub mod compare;
pub mod html;
pub mod load;
pub mod markdown;
pub mod plot;
pub mod record;
pub mod settings;
pub mod terminal;

mod adaptive;
mod error;
mod facts;
mod output;
#[cfg(test)]
mod synthetic;

pub use adaptive::{Needs, needs};
pub use error::ReportError;
pub use output::{Outcome, report};

/// How an analysis is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bootstrap replicates. Fewer are drawn where blocks × replicates would not fit into memory.
    pub bootstrap: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { bootstrap: 2000, seed: 1 }
    }
}
