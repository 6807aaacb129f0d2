//! Tasks: futures that a runtime runs.
//!
//! [`spawn`] makes a task of a future and returns its [`JoinHandle`]. A task is polled by one worker at a
//! time and may move between workers at each `.await`. A panic ends its task alone and reaches the handle as a
//! [`JoinError`].
//!
//! Inside: `cell` is the task itself (scheduling state and future), `state` where it meets its handles, `live`
//! the list by which shutdown finds it. This module owns the task's identity.

pub(crate) mod cell;
mod join_handle;
mod join_set;
pub(crate) mod live;
pub(crate) mod state;
mod yielding;

pub use crate::handle::{spawn, spawn_blocking};
pub use crate::scheduler::budget::{Unconstrained, consume_budget, has_budget_remaining, unconstrained};
pub use join_handle::{AbortHandle, JoinError, JoinHandle};
pub use join_set::JoinSet;
pub use yielding::yield_now;

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A task's or blocking job's identity: unique within the process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(NonZeroU64);

impl Id {
    /// A new identity. Ids are handed out to threads in runs, so that spawning threads do not contend.
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

thread_local! {
    static RUNNING: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Marks the thread as running a task's code for as long as it lives.
pub(crate) struct RunningId(Option<Id>);

impl RunningId {
    pub(crate) fn enter(id: Id) -> RunningId {
        RunningId(RUNNING.try_with(|running| running.replace(Some(id))).unwrap_or(None))
    }
}

impl Drop for RunningId {
    fn drop(&mut self) {
        // An error means that the thread is exiting: nobody can ask any more.
        let _ = RUNNING.try_with(|running| running.set(self.0));
    }
}

/// The id of the task, or blocking job, that is running on this thread.
///
/// # Panics
/// Outside of any task, also inside the future given to `block_on`. See [`try_id`].
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("task::id() was called outside of a task"),
    }
}

/// The id of the task, or blocking job, that is running on this thread; `None` outside of any.
pub fn try_id() -> Option<Id> {
    RUNNING.try_with(Cell::get).unwrap_or(None)
}

#[cfg(test)]
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
        assert_eq!(try_id(), None);
        let (outer, inner) = (Id::next(), Id::next());
        let guard = RunningId::enter(outer);
        drop(RunningId::enter(inner));
        assert_eq!(id(), outer);
        drop(guard);
        assert_eq!(try_id(), None);
    }
}
