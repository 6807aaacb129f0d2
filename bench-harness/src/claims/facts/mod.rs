//! Claims about how calls behave, as checks: one function each, which `crossover claims` runs in a process of its own and the test
//! of the same name calls.
//!
//! A check returns what it saw, as `Ok` where the claim holds. None of them sleeps to synchronise: who has to be first is
//! waited for.
mod ending;
mod errors;
mod running;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::strategy;

/// A claim that is true or not.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// The row that it belongs to.
    pub row: &'static str,
    /// Its name, which is also the test's.
    pub name: &'static str,
    /// What is checked at its place by the compiler when the tests are built, if anything is.
    pub compiled: Option<&'static str>,
    run: fn() -> Result<String, String>,
}

const fn fact(row: &'static str, name: &'static str, run: fn() -> Result<String, String>) -> Fact {
    Fact { row, name, compiled: None, run }
}

/// Every fact, in the order of the rows.
pub const ALL: &[Fact] = &[
    fact("1", "claim_001_no_switch_between_awaits", running::no_switch_between_awaits),
    fact("3", "claim_003_gather_keeps_call_order", running::gather_keeps_call_order),
    fact("4", "claim_004_three_ways_to_run_concurrently", running::three_ways_to_run_concurrently),
    fact("5", "claim_005_a_task_runs_in_the_background", running::a_task_runs_in_the_background),
    fact("7", "claim_007_teardown_on_every_way_out", ending::teardown_on_every_way_out),
    fact("8", "claim_008_a_stream_comes_in_order", running::a_stream_comes_in_order),
    fact("10", "claim_010_abort_before_in_and_after", ending::abort_before_in_and_after),
    Fact {
        compiled: Some(
            "`await` outside of async code does not compile (E0728): a doc-test of facts/running.rs, in cargo test",
        ),
        ..fact("20", "claim_020_block_on_is_the_edge", running::block_on_is_the_edge)
    },
    fact("25", "claim_025_nothing_outlives_its_runtime", ending::nothing_outlives_its_runtime),
    fact("26", "claim_026_a_runtime_is_a_loop_to_keep", running::a_runtime_is_a_loop_to_keep),
    Fact {
        compiled: Some(
            "a future that nobody uses is a warning, hence an error here (unused_must_use): a doc-test of facts/running.rs, in cargo test",
        ),
        ..fact("27", "claim_027_not_awaited_never_runs", running::not_awaited_never_runs)
    },
    fact("32", "claim_032_one_facade_same_checksums", running::one_facade_same_checksums),
    fact("35", "claim_035_one_poll_per_wake", running::one_poll_per_wake),
    fact("41", "claim_041_nested_block_on_says_so", errors::nested_block_on_says_so),
    fact("53", "claim_053_errors_have_kinds", errors::errors_have_kinds),
    fact("56", "claim_056_the_nearest_deadline_wins", errors::the_nearest_deadline_wins),
    fact("57", "claim_057_cleanup_runs_on_cancel", ending::cleanup_runs_on_cancel),
    fact("66", "claim_066_a_generator_is_a_stream", running::a_generator_is_a_stream),
    fact("75", "claim_075_errors_are_values_in_order", errors::errors_are_values_in_order),
    Fact {
        compiled: Some("each example beside the table is a doc-test, in cargo test"),
        ..fact("80", "claim_080_every_call_has_its_line", errors::every_call_has_its_line)
    },
];

/// The fact of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Fact> {
    ALL.iter().find(|fact| fact.name == name)
}

/// Checks a fact: what was seen.
///
/// # Errors
/// It does not hold, or the check itself failed: why.
pub fn check(fact: &Fact) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(fact.run)).unwrap_or_else(|payload| Err(strategy::panic_message(&*payload)))
}

/// `seen` where it is what was `expected`.
fn same<T: PartialEq + std::fmt::Debug>(seen: T, expected: T, what: &str) -> Result<(), String> {
    if seen == expected { Ok(()) } else { Err(format!("{what}: {seen:?}, not {expected:?}")) }
}

/// An error as text.
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
