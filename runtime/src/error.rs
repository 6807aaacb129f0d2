//! Errors that belong to no single module, and what to do with a panic's payload nobody will see.
//!
//! [`JoinError`](crate::task::JoinError) lives with the task, `Elapsed` with time, `CallError` with the process
//! pool. This file owns the errors of the runtime as a whole.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// There is no current runtime: the thread neither runs tasks nor holds an
/// [`EnterGuard`](crate::runtime::EnterGuard).
///
/// Returned by [`Handle::try_current`](crate::runtime::Handle::try_current).
///
/// ```
/// let error = crossover_runtime::runtime::Handle::try_current().unwrap_err();
/// println!("{error}");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .kind { TryCurrentKind::NoContext => NO_RUNTIME, TryCurrentKind::ThreadLocalDestroyed => DESTROYED })]
pub struct TryCurrentError {
    pub(crate) kind: TryCurrentKind,
}

/// Why there is no current runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TryCurrentKind {
    NoContext,
    ThreadLocalDestroyed,
}

const NO_RUNTIME: &str = "there is no runtime on this thread: this must be called from a task, from inside \
    `Runtime::block_on`, or while a guard of `Runtime::enter` lives";
const DESTROYED: &str = "the thread's link to its runtime is already destroyed: the thread is exiting";

impl TryCurrentError {
    /// True outside of any runtime.
    ///
    /// ```
    /// let error = crossover_runtime::runtime::Handle::try_current().unwrap_err();
    /// assert!(error.is_missing_context());
    /// ```
    pub fn is_missing_context(&self) -> bool {
        self.kind == TryCurrentKind::NoContext
    }

    /// True when the thread is exiting and its thread-locals are gone.
    ///
    /// ```
    /// let error = crossover_runtime::runtime::Handle::try_current().unwrap_err();
    /// assert!(!error.is_thread_local_destroyed());
    /// ```
    pub fn is_thread_local_destroyed(&self) -> bool {
        self.kind == TryCurrentKind::ThreadLocalDestroyed
    }
}

/// The reason inside the [`io::Error`] that sockets return once their runtime is shut down.
#[derive(Debug, thiserror::Error)]
#[error("the runtime that this resource belongs to has been shut down")]
struct RuntimeShutDown;

/// The error that I/O resources and timers report after their runtime's shutdown.
pub(crate) fn shutdown_error() -> io::Error {
    io::Error::other(RuntimeShutDown)
}

/// Does this error say that the runtime behind the I/O resource was shut down?
///
/// ```
/// use crossover_runtime::{net::UdpSocket, runtime::{Runtime, is_rt_shutdown_err}};
///
/// let runtime = Runtime::new()?;
/// let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0"))?;
/// drop(runtime);
/// let error = futures::executor::block_on(socket.recv(&mut [0; 8])).unwrap_err();
/// assert!(is_rt_shutdown_err(&error));
/// # std::io::Result::Ok(())
/// ```
pub fn is_rt_shutdown_err(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<RuntimeShutDown>())
}

/// Drops a panic's payload that has no one to go to. A payload whose own `Drop` panics is leaked at the second
/// attempt: the thread that cleans up must survive.
pub(crate) fn discard_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// Runs foreign code (a hook, a waker, somebody's `Drop`) whose panic nobody can receive. The panic hook has
/// already reported it on stderr; the thread goes on.
pub(crate) fn contain(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        discard_payload(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_error_is_recognised_and_others_are_not() {
        assert!(is_rt_shutdown_err(&shutdown_error()));
        assert!(!is_rt_shutdown_err(&io::Error::other("the runtime has been shut down")));
        assert!(!is_rt_shutdown_err(&io::Error::from(io::ErrorKind::NotConnected)));
    }

    #[test]
    fn a_payload_that_panics_in_drop_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb);
            }
        }
        contain(|| std::panic::panic_any(Bomb));
    }
}
