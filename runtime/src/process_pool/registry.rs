//! [`Registry`]: jobs that are named one by one, without the linker's help.
//!
//! `#[job]` collects functions through a section of the executable (linkme). Where that is not to be had, or where a
//! non-capturing closure is to be a job, a registry lists them: the same list goes to the pool (through
//! [`Builder::registry`](super::Builder::registry)) and to the workers (through [`worker_entry_with`]). Both kinds
//! live in one [`Table`](super::job::Table).

use super::{
    job::{Entry, JobFn},
    worker,
};
use serde::de::DeserializeOwned;

/// A list of jobs by name, for programs that do not use `#[job]`, or not only.
///
/// A function item or a closure that captures nothing can be a job: a worker finds it by its name, and the pool by
/// its type. Such a closure is named once and used by that name; two closures with the same text are two types.
///
/// ```standalone_crate
/// use crossover_runtime::process_pool::{ProcessPool, Registry, worker_entry_with};
///
/// fn area(width: u32, height: u32) -> u64 {
///     u64::from(width) * u64::from(height)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let double = |x: u64| 2 * x;
///     let registry = Registry::new().job("area", area).job("double", double);
///     worker_entry_with(&registry); // before anything else: the workers are copies of this program
///
///     let pool = ProcessPool::builder().workers(1).registry(registry).build()?;
///     futures::executor::block_on(async {
///         assert_eq!(pool.call(area, (3, 4)).await?, 12);
///         assert_eq!(pool.call(double, (21,)).await?, 42);
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a registry does nothing until a pool and `worker_entry_with` get it"]
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
    /// have their path as the name): [`Builder::build`](super::Builder::build) and [`worker_entry_with`] refuse
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

/// As [`worker_entry`](super::worker_entry), for workers that also know the jobs of `registry`. **The first line of
/// `main`**, but for what builds the registry.
///
/// A worker serves pools with this registry and pools without one. When its pool has other jobs than it can find, it
/// says so and leaves, and the calls fail with [`CallError::Spawn`](super::CallError::Spawn).
///
/// See [`Registry`] for an example.
///
/// ```no_run
/// use crossover_runtime::process_pool::{Registry, worker_entry_with};
///
/// fn main() {
///     let registry = Registry::new().job("double", |x: u64| 2 * x);
///     worker_entry_with(&registry);
///     println!("not a worker");
/// }
/// ```
pub fn worker_entry_with(registry: &Registry) {
    worker::enter(Some(registry));
}
