//! Crossover's records into verdicts, pictures and HTML.
//!
//! The only door into this crate is the schema of a run's folder ([`record`]): it knows nothing of the
//! runtime, the workloads or the harness. Data flows one way: `record` → [`analysis`] → plots → HTML.
pub mod analysis;
pub mod record;
