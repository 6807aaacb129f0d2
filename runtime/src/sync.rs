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
//! The private half, `prim`, is what the runtime's own protocols are built on, and can be exchanged for a model
//! checker's.

pub use async_lock::{
    Barrier, BarrierWaitResult, Mutex, MutexGuard, MutexGuardArc, OnceCell, RwLock, RwLockReadGuard,
    RwLockReadGuardArc, RwLockUpgradableReadGuard, RwLockUpgradableReadGuardArc, RwLockWriteGuard,
    RwLockWriteGuardArc, Semaphore, SemaphoreGuard, SemaphoreGuardArc,
};

/// Channels for messages between tasks and threads: [`async_channel`] under a shorter name.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, sync::channel};
///
/// let (sender, receiver) = channel::bounded(1);
/// drop(spawn(async move {
///     for n in 0..3 {
///         sender.send(n).await.unwrap(); // waits while the channel is full
///     }
/// }));
/// let mut received = Vec::new();
/// while let Ok(n) = receiver.recv().await {
///     received.push(n);
/// }
/// assert_eq!(received, [0, 1, 2]);
/// # });
/// # std::io::Result::Ok(())
/// ```
pub mod channel {
    pub use async_channel::{
        Receiver, Recv, RecvError, Send, SendError, Sender, TryRecvError, TrySendError, WeakReceiver,
        WeakSender, bounded, unbounded,
    };
}

pub(crate) mod prim;
