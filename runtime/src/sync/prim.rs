//! The primitives that the runtime itself is built on, behind one door, so that a checker can take the place of the
//! operating system:
//!
//! | cfg | primitives | what for |
//! |---|---|---|
//! | none | `std`'s, crossbeam's deque | everything |
//! | `runtime_loom` | loom's | models of one protocol each, all interleavings and memory orders (`src/models`) |
//! | `runtime_shuttle` | shuttle's | the whole scheduler, schedules drawn at random (`src/schedules`) |
//!
//! Its locks ignore poisoning: no foreign code (wakers, drops, hooks) ever runs under one of them, so a lock is never
//! left with broken invariants.
//!
//! Both checkers run all threads of a model as coroutines of one thread. So whatever blocks, spins, or is local to a
//! thread has to come from here; plain atomics elsewhere work, but are no places at which a checker switches threads.
//!
//! **Time under shuttle** is a count that only waiting moves on: every wait with a limit may end at any time, and then
//! that much time has passed ([`now`]). Thus timeouts and timers take part in the schedule, and runs can be repeated.

#[cfg(not(runtime_shuttle))]
mod locks;
#[cfg(runtime_shuttle)]
mod model;

#[cfg(not(runtime_shuttle))]
pub(crate) use locks::{Condvar, Mutex, MutexGuard};
#[cfg(runtime_loom)]
pub(crate) use loom::sync::atomic;
#[cfg(runtime_shuttle)]
pub(crate) use shuttle::sync::atomic;
#[cfg(not(any(runtime_loom, runtime_shuttle)))]
pub(crate) use std::sync::atomic;

#[cfg(not(runtime_shuttle))]
pub(crate) use crossbeam_deque as deque;
#[cfg(all(test, runtime_shuttle))]
pub(crate) use model::restart;
#[cfg(runtime_shuttle)]
pub(crate) use model::{Condvar, Mutex, MutexGuard, deque, now, spin_loop, thread, wait_until};
#[cfg(runtime_shuttle)]
pub(crate) use shuttle::thread_local;
#[cfg(not(any(runtime_loom, runtime_shuttle)))]
pub(crate) use std::thread_local;
/// Under loom too: its models start their threads themselves.
#[cfg(not(runtime_shuttle))]
pub(crate) use std::{hint::spin_loop, thread};

/// The present.
#[cfg(not(runtime_shuttle))]
#[inline]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// loom's macro does not know `const`.
#[cfg(runtime_loom)]
macro_rules! loom_thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $value:block;)*) => {
        $(loom::thread_local! { $(#[$attribute])* static $name: $type = $value; })*
    };
}
#[cfg(runtime_loom)]
pub(crate) use loom_thread_local as thread_local;
