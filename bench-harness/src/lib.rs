//! The suite behind the program `crossover`: config → plan → run → record.
//!
//! `main.rs` is the program; everything it calls lives here, so that benches and tests reach it too.
//! Data flows one way: an experiment's file (`config`) → its plan (`plan`) → trial processes asked block by
//! block (`run`, `trial`, `strategy`) → the journal (`journal`) → `crossover_reports`.
pub mod advise;
pub mod calibrate;
pub mod calibration_file;
pub mod claims;
pub mod cli;
pub mod compare;
pub mod config;
pub mod doctor;
pub mod environment;
pub mod explain;
pub mod export;
pub mod guard;
pub mod init;
pub mod interrupt;
pub mod journal;
pub mod list;
pub mod load;
pub mod log;
pub mod notes;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod protocol;
pub mod run;
pub mod server;
pub mod stall;
pub mod strategy;
pub mod text;
pub mod trace;
pub mod trial;
