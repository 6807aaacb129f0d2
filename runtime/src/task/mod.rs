//! Tasks: futures that a runtime runs.
//!
//! [`spawn`] makes a task of a future and returns its [`JoinHandle`]. A task is polled by one worker at a
//! time and may move between workers at each `.await`. A panic ends its task alone and reaches the handle as a
//! [`JoinError`].
//!
//! Inside: `cell` is the task itself, behind a `header` that all cells share; `state` says who may do what with it;
//! `pool` is where its memory comes from; `live` the list by which shutdown finds it. This module owns the task's
//! identity, and knows which task runs on a thread.

pub(crate) mod cell;
pub(crate) mod header;
mod in_place;
mod join_handle;
mod join_set;
pub(crate) mod live;
mod pool;
pub(crate) mod state;
mod yielding;

pub use crate::handle::{spawn, spawn_blocking};
pub use crate::scheduler::budget::{Unconstrained, consume_budget, has_budget_remaining, unconstrained};
pub use in_place::block_in_place;
pub use join_handle::{AbortHandle, JoinError, JoinHandle};
pub use join_set::JoinSet;
pub use yielding::yield_now;

/// The poll budget, at the path that it has in tokio: what this module has of it, again.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task::coop};
///
/// let task = spawn(async {
///     while coop::has_budget_remaining() {
///         coop::consume_budget().await;
///     }
///     coop::consume_budget().await; // yields: the next poll has a budget of its own
///     coop::has_budget_remaining()
/// });
/// assert!(task.await.unwrap());
/// # });
/// # std::io::Result::Ok(())
/// ```
pub mod coop {
    pub use crate::scheduler::budget::{Unconstrained, consume_budget, has_budget_remaining, unconstrained};
}

use crate::sync::prim::thread_local;
use header::Header;
use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A task's or blocking job's identity: unique within the process, never used again.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::spawn;
///
/// let (one, two) = (spawn(async {}), spawn(async {}));
/// assert_ne!(one.id(), two.id());
/// # });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(NonZeroU64);

impl Id {
    /// As a number, for counters and traces; never zero.
    pub(crate) fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// What `to_bits` made of it; `None` for zero.
    pub(crate) fn from_bits(bits: u64) -> Option<Id> {
        NonZeroU64::new(bits).map(Id)
    }

    /// A new identity. Ids are handed out to threads in runs, so that spawning threads do not contend.
    #[inline]
    pub(crate) fn next() -> Id {
        const RUN: u64 = 64;
        static RUNS: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static OURS: Cell<u64> = const { Cell::new(0) };
        }
        // A thread that is exiting draws a run for a single id. Relaxed: only uniqueness counts.
        let fresh = || RUNS.fetch_add(1, Ordering::Relaxed) * RUN;
        let raw = OURS
            .try_with(|ours| {
                let raw = if ours.get() % RUN == 0 { fresh() } else { ours.get() };
                ours.set(raw + 1);
                raw
            })
            .unwrap_or_else(|_| fresh());
        Id(NonZeroU64::MIN.saturating_add(raw))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a thread knows about the task whose code it runs.
struct Running {
    task: Cell<*const Header>,
    /// It asked for another turn; counts when its poll returns Pending.
    yielded: Cell<bool>,
}

thread_local! {
    static RUNNING: Running =
        const { Running { task: Cell::new(std::ptr::null()), yielded: Cell::new(false) } };
}

/// Marks the thread as running a task's code for as long as it lives; then puts back what was there before.
pub(crate) struct Current {
    before: *const Header,
    yielded_before: bool,
}

impl Current {
    /// `task` must not be freed while this lives.
    #[inline]
    fn enter(task: NonNull<Header>) -> Current {
        RUNNING.with(|running| Current {
            before: running.task.replace(task.as_ptr()),
            yielded_before: running.yielded.replace(false),
        })
    }

    /// Ends it; did the task yield?
    #[inline]
    fn leave(self) -> bool {
        RUNNING.with(|running| running.yielded.get())
    }

    /// Marks the thread as running no task's code.
    pub(crate) fn nobody() -> Current {
        RUNNING.with(|running| Current {
            before: running.task.replace(std::ptr::null()),
            yielded_before: running.yielded.replace(false),
        })
    }

    /// Does this thread run a task's code?
    pub(crate) fn is_in_task() -> bool {
        !Current::is(std::ptr::null())
    }

    fn is(task: *const Header) -> bool {
        RUNNING.with(|running| std::ptr::eq(running.task.get(), task))
    }

    fn set_yielded() {
        RUNNING.with(|running| running.yielded.set(true));
    }

    /// Has the future of a `block_on` yielded since the last call, or a part of it?
    pub(crate) fn take_yielded() -> bool {
        RUNNING.with(|running| running.yielded.take())
    }

    fn has_yielded() -> bool {
        RUNNING.with(|running| running.yielded.get())
    }
}

impl Drop for Current {
    #[inline]
    fn drop(&mut self) {
        RUNNING.with(|running| {
            running.task.set(self.before);
            running.yielded.set(self.yielded_before);
        });
    }
}

/// The id of the task, or blocking job, that is running on this thread.
///
/// # Panics
/// Outside of any task, also inside the future given to `block_on`. See [`try_id`].
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task};
///
/// let task = spawn(async { println!("task {} here", task::id()) });
/// task.await.unwrap();
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("task::id() was called outside of a task"),
    }
}

/// The id of the task, or blocking job, that is running on this thread; `None` outside of any.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task};
///
/// assert_eq!(task::try_id(), None); // `block_on`'s future is no task
/// assert!(spawn(async { task::try_id() }).await.unwrap().is_some());
/// # });
/// # std::io::Result::Ok(())
/// ```
pub fn try_id() -> Option<Id> {
    let task = RUNNING.with(|running| running.task.get());
    // SAFETY: whoever entered it keeps it until it is left.
    unsafe { task.as_ref() }.map(|task| task.id)
}

#[cfg(all(test, not(runtime_loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_several_threads_never_meet() {
        let drawn: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| Id::next()).collect::<Vec<_>>()))
            .collect();
        let ids: Vec<_> = drawn.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 4000);
    }

    #[test]
    fn the_running_id_nests_and_ends() {
        let mut handles = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let (job, handle) = cell::create_job(|| (), std::panic::Location::caller());
            ids.push(handle.id());
            handles.push((job, handle));
        }
        assert_eq!(try_id(), None);
        let guard = Current::enter(handles[0].1.raw());
        drop(Current::enter(handles[1].1.raw()));
        assert_eq!(id(), ids[0]);
        drop(guard);
        assert_eq!(try_id(), None);
    }
}
