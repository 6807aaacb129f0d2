//! Workers of programs whose `main` belongs to the harness of `#[test]`.
//!
//! [`enable_in_tests!`](crate::enable_in_tests) leaves two things in a test program: a test that calls
//! [`worker_entry`](super::worker_entry), which returns at once in the program itself, and that test's name in
//! [`TESTS`]. Where there is such a name, a pool starts its workers with the arguments that make the harness run this
//! one test on its main thread: so a worker becomes one inside it, and never returns to the harness.

/// The paths of the tests that turn a worker into one; at most one is needed.
#[linkme::distributed_slice]
pub static TESTS: [&'static str];

/// Makes the pool work in a test program that has the standard harness (`cargo test` without `harness = false`). Put it
/// once into the program, at the top level of a file of `tests/` or into a `#[cfg(test)]` module of the library.
///
/// The harness owns `main`, so [`worker_entry`](crate::process_pool::worker_entry) cannot be its first line. This adds
/// a test of the name `crossover_worker`, which does nothing in the test program itself; the pool starts its workers
/// so that they run this test alone, and there they turn into workers. They print the harness's "running 1 test" to
/// their stdout.
///
/// With a [`Registry`](crate::process_pool::Registry) as the argument, workers know its jobs too:
/// `enable_in_tests!(my_registry())`.
///
/// Outside of `cargo test` it expands to nothing.
///
/// ```
/// use crossover_runtime::process_pool::{ProcessPool, job};
///
/// crossover_runtime::enable_in_tests!();
///
/// #[job]
/// fn add(a: u32, b: u32) -> u32 {
///     a + b
/// }
///
/// #[test]
/// fn sums_are_right_in_another_process_too() {
///     let pool = ProcessPool::builder().workers(1).build().unwrap();
///     assert_eq!(futures::executor::block_on(pool.call(add, (1, 2))).unwrap(), 3);
/// }
/// # fn main() {}
/// ```
#[allow(clippy::test_attr_in_doctest, reason = "the macro is for programs that have such tests")]
#[macro_export]
macro_rules! enable_in_tests {
    () => {
        $crate::enable_in_tests!(@ $crate::process_pool::worker_entry());
    };
    (@ $enter:expr) => {
        #[cfg(test)]
        #[test]
        fn crossover_worker() {
            use $crate::process_pool::__private as private;
            #[private::linkme::distributed_slice(private::TESTS)]
            #[linkme(crate = private::linkme)]
            static TEST: &str = ::core::concat!(::core::module_path!(), "::crossover_worker");
            $enter
        }
    };
    ($registry:expr) => {
        $crate::enable_in_tests!(@ $crate::process_pool::worker_entry_with(&$registry));
    };
}

/// What a worker's command line needs besides the program: nothing, but in a test program the choice of the test
/// that makes it a worker.
pub(super) fn arguments() -> Vec<String> {
    TESTS.iter().min().map_or_else(Vec::new, |path| {
        // The harness knows a test by its path in the crate.
        let name = path.split_once("::").map_or(*path, |(_, name)| name);
        [name, "--exact", "--nocapture", "--test-threads=1"].map(str::to_owned).into()
    })
}
