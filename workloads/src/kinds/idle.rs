//! Connections that wait for their next use: a stack behind a lock that is held for a push or a search only, so that the
//! connection that was used last is used next, as connection pools of clients do.
//!
//! A connection belongs to the runtime that opened it, whose driver reports what arrives; another runtime opens its own,
//! because nobody may be turning the first one's driver. Which runtime that will be is not known when a workload is
//! prepared, and so neither is the connection's type: the stack holds any.

use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::AsyncRuntime;

/// See the module's comment.
#[derive(Default)]
pub(crate) struct Idle {
    // Each is a `(R::Id, C)`.
    stack: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Idle {
    /// The connection of this runtime that was used last: the last of all, unless runtimes share the stack.
    pub(crate) fn take<R: AsyncRuntime, C: Send + 'static>(&self) -> Option<C> {
        let here = R::id();
        let mut stack = self.stack();
        let place = stack.iter().rposition(|idle| {
            idle.downcast_ref::<(R::Id, C)>().is_some_and(|(runtime, _)| *runtime == here)
        })?;
        stack.remove(place).downcast::<(R::Id, C)>().ok().map(|pair| pair.1)
    }

    /// Puts a connection of this runtime back. One whose last use failed does not belong here.
    pub(crate) fn put<R: AsyncRuntime, C: Send + 'static>(&self, connection: C) {
        let idle = Box::new((R::id(), connection));
        self.stack().push(idle);
    }

    /// A panic elsewhere cannot leave the stack half changed.
    fn stack(&self) -> MutexGuard<'_, Vec<Box<dyn Any + Send>>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idle").field("connections", &self.stack().len()).finish()
    }
}

/// The same of blocking code, where a connection is of use to every thread.
#[derive(Debug)]
pub(crate) struct IdleBlocking<C> {
    stack: Mutex<Vec<C>>,
}

impl<C> Default for IdleBlocking<C> {
    fn default() -> Self {
        Self { stack: Mutex::new(Vec::new()) }
    }
}

impl<C> IdleBlocking<C> {
    /// The connection that was used last.
    pub(crate) fn take(&self) -> Option<C> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Puts a connection back.
    pub(crate) fn put(&self, connection: C) {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
