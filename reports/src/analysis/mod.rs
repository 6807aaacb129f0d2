//! Pure statistics: samples in, verdicts and crossovers out; no file is touched here.
pub mod model;
