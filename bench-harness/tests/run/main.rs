//! The coordinator from outside: the real program on experiments of a few small cells.
//!
//! Nothing here waits for a time to pass: a strategy of ours in Python (`gate.py`) stops at the request that a test
//! names and says so in a file. The bounds of waiting are wide; they only turn a hang into a failure. What a test
//! measures is measured on a busy machine, so experiments allow any foreign load.
mod adaptive;
mod advising;
mod calibrating;
mod comparing;
mod crashes;
mod externals;
mod interruptions;
mod leaks;
mod lives;
mod loads;
mod support;
mod trial;
mod whole_runs;
