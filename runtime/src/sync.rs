//! Synchronisation: what async code uses (public), and the crate's only door to `std`'s primitives (private).
//!
//! The public half re-exports [`async_lock`] and [`async_channel`]. They know nothing of any runtime, so they
//! work on ours, on tokio and under `futures::executor::block_on` alike; `tokio::sync` and `futures::channel`
//! run on our runtime as well, but `tokio::sync` charges tokio's poll budget, not ours.
//!
//! | tokio::sync | here |
//! |---|---|
//! | `Mutex`, `RwLock`, `Semaphore`, `Barrier`, `OnceCell` | the same names |
//! | `mpsc::channel(n)` | [`channel::bounded`] (many receivers are allowed too) |
//! | `mpsc::unbounded_channel()` | [`channel::unbounded`] |
//! | `oneshot::channel()` | `channel::bounded(1)` |
//!
//! The private half, `prim`, is what the runtime's own protocols are built on. Under `--cfg runtime_loom` it
//! becomes loom's primitives, so that the idle protocol, the parker and the blocking pool are model-checked as
//! they are. Its locks ignore poisoning: no foreign code (wakers, drops, hooks) ever runs under one of them, so
//! a lock is never left with broken invariants.

pub use async_lock::{
    Barrier, BarrierWaitResult, Mutex, MutexGuard, MutexGuardArc, OnceCell, RwLock, RwLockReadGuard,
    RwLockReadGuardArc, RwLockUpgradableReadGuard, RwLockUpgradableReadGuardArc, RwLockWriteGuard,
    RwLockWriteGuardArc, Semaphore, SemaphoreGuard, SemaphoreGuardArc,
};

/// Channels for messages between tasks and threads: [`async_channel`] under a shorter name.
pub mod channel {
    pub use async_channel::{
        Receiver, Recv, RecvError, Send, SendError, Sender, TryRecvError, TrySendError, WeakReceiver,
        WeakSender, bounded, unbounded,
    };
}

/// The primitives that the runtime itself is built on: `std`'s, or loom's under `--cfg runtime_loom`.
pub(crate) mod prim {
    #[cfg(runtime_loom)]
    use loom::sync as imp;
    #[cfg(not(runtime_loom))]
    use std::sync as imp;
    use std::time::Duration;

    pub(crate) use imp::{MutexGuard, atomic};

    /// A lock whose `lock` cannot fail: poisoning is ignored (see the module's docs).
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(imp::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(imp::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            use std::sync::TryLockError::{Poisoned, WouldBlock};
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(WouldBlock) => None,
            }
        }
    }

    /// A condition variable for [`Mutex`]; it may wake spuriously.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(imp::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar(imp::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        /// Waits for a notification or until `limit` has passed; the flag says whether it passed.
        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            limit: Duration,
        ) -> (MutexGuard<'a, T>, bool) {
            let (guard, timed_out) =
                self.0.wait_timeout(guard, limit).unwrap_or_else(|poisoned| poisoned.into_inner());
            (guard, timed_out.timed_out())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
