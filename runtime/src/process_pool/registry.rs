//! [`Registry`]: jobs that are named one by one, without the linker's help.
//!
//! `#[job]` collects functions through a section of the executable (linkme). Where that is not to be had, or where a
//! non-capturing closure is to be a job, a registry lists them: the same list goes to the pool (through
//! [`Builder::registry`](super::Builder::registry)) and to the workers (at the first line of `main`). Both kinds
//! live in one [`Table`](super::job::Table).

use super::job::{Entry, JobFn};
use serde::de::DeserializeOwned;

/// A list of jobs by name, for programs that do not use `#[job]`, or not only.
///
/// A function item or a closure that captures nothing can be a job: a worker finds it by its name, and the pool by
/// its type. Such a closure is named once and used by that name; two closures with the same text are two types.
///
/// ```no_run
/// use crossover_runtime::process_pool::{ProcessPool, Registry};
///
/// fn area(width: u32, height: u32) -> u64 {
///     u64::from(width) * u64::from(height)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let double = |x: u64| 2 * x;
///     let registry = Registry::new().job("area", area).job("double", double);
/// ///
///     let pool = ProcessPool::builder().workers(1).registry(registry).build()?;
///     futures::executor::block_on(async {
///         assert_eq!(pool.call(area, (3, 4)).await?, 12);
///         assert_eq!(pool.call(double, (21,)).await?, 42);
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a registry does nothing until a pool gets it"]
pub struct Registry {
    entries: Vec<Entry>,
}

impl Registry {
    /// An empty registry. The program's `#[job]` functions are known to every pool besides.
    ///
    /// ```
    /// use crossover_runtime::process_pool::Registry;
    ///
    /// let registry = Registry::new();
    /// # drop(registry);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a job. The name is part of errors and must be unique in the program, `#[job]` functions included (those
    /// have their path as the name): [`Builder::build`](super::Builder::build) refuses
    /// another.
    ///
    /// A closure that captures something, or a function pointer, does not compile: only the type of the function
    /// crosses to the worker.
    ///
    /// ```
    /// use crossover_runtime::process_pool::Registry;
    ///
    /// let registry = Registry::new().job("double", |x: u64| 2 * x).job("len", |text: String| text.len());
    /// # drop(registry);
    /// ```
    ///
    /// ```compile_fail
    /// use crossover_runtime::process_pool::Registry;
    ///
    /// let factor = 2;
    /// let registry = Registry::new().job("scale", move |x: u64| factor * x);
    /// ```
    pub fn job<F, Args>(mut self, name: &'static str, job: F) -> Self
    where
        F: JobFn<Args>,
        Args: DeserializeOwned + 'static,
    {
        self.entries.push(Entry::explicit(name, job));
        self
    }

    /// The jobs, in the order in which they were added.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
