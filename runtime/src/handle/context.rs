//! What a thread knows about its runtime: which is the current one, and whether it may block.
//!
//! A thread has a current runtime while it runs tasks or blocking jobs of it, is inside its `block_on`, or holds an
//! [`EnterGuard`]. Guards nest; each puts back what was there before.
//!
//! A second word says whether the thread must not block: workers and `block_on` set it. It makes a
//! nested `block_on`, and dropping a runtime inside a task, a clear panic instead of a deadlock.
//!
//! No foreign code runs while the thread-local is borrowed: handles taken out of it are dropped after.

use super::Handle;
use crate::error::{TryCurrentError, TryCurrentKind};
use crate::sync::prim::thread_local;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

/// What a thread knows about its runtime.
struct Context {
    current: RefCell<Option<Handle>>,
    /// How many guards are open on this thread.
    depth: Cell<usize>,
    may_block: Cell<MayBlock>,
}

/// May this thread block?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayBlock {
    Yes,
    /// Only in `block_in_place`.
    InPlace,
    No,
}

thread_local! {
    static CONTEXT: Context = const {
        Context { current: RefCell::new(None), depth: Cell::new(0), may_block: Cell::new(MayBlock::Yes) }
    };
}

impl Handle {
    /// Runs `f`, which must be no foreign code, with the current runtime's handle, without a clone of it.
    pub(crate) fn with_current<R>(f: impl FnOnce(&Handle) -> R) -> Result<R, TryCurrentError> {
        let kind = CONTEXT.try_with(|context| match &*context.current.borrow() {
            Some(handle) => Ok(f(handle)),
            None => Err(TryCurrentKind::NoContext),
        });
        let kind = kind.unwrap_or(Err(TryCurrentKind::ThreadLocalDestroyed));
        kind.map_err(|kind| TryCurrentError { kind })
    }
}

/// Keeps a runtime current on this thread; made by [`Handle::enter`] and `Runtime::enter`.
///
/// # Panics
/// When guards are not dropped in the reverse order of their making.
///
/// # Example
/// ```
/// use crossover_runtime::{runtime::Runtime, time::sleep};
///
/// let runtime = Runtime::new()?;
/// let nap = {
///     let _guard = runtime.enter();
///     sleep(std::time::Duration::from_millis(1)) // made with a runtime, awaited anywhere
/// };
/// futures::executor::block_on(nap);
/// # std::io::Result::Ok(())
/// ```
#[must_use = "the runtime is current only while the guard lives"]
pub struct EnterGuard<'a> {
    _link: Link,
    _lifetime: PhantomData<&'a Handle>,
}

impl<'a> EnterGuard<'a> {
    pub(super) fn new(handle: &'a Handle) -> EnterGuard<'a> {
        EnterGuard { _link: Link::enter(handle.clone()), _lifetime: PhantomData }
    }
}

impl fmt::Debug for EnterGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// Links this thread to a runtime until it is dropped. Not `Send`: it belongs to its thread. `Sync`, for a shared one is
/// good for nothing.
pub(crate) struct Link {
    previous: Option<Handle>,
    depth: usize,
    _not_send: PhantomData<std::sync::MutexGuard<'static, ()>>,
}

impl Link {
    pub(crate) fn enter(handle: Handle) -> Link {
        let entered = CONTEXT.try_with(|context| {
            let depth = context.depth.get() + 1;
            context.depth.set(depth);
            (context.current.replace(Some(handle)), depth)
        });
        // A thread whose thread-locals are gone cannot have a current runtime; the guard is then empty.
        let (previous, depth) = entered.unwrap_or((None, 0));
        Link { previous, depth, _not_send: PhantomData }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let left = CONTEXT.try_with(|context| {
            if context.depth.get() != self.depth {
                return Err(());
            }
            context.depth.set(self.depth - 1);
            Ok(context.current.replace(self.previous.take()))
        });
        if let Ok(Err(())) = left
            && !std::thread::panicking()
        {
            panic!("EnterGuard: guards must be dropped in the reverse order of their making");
        }
    }
}

/// Marks this thread as one that runs async code, which must not block; puts back what was there before.
pub(crate) struct MustNotBlock {
    _not_send: PhantomData<*const ()>,
}

impl MustNotBlock {
    /// # Panics
    /// When the thread is marked already.
    #[track_caller]
    pub(crate) fn enter(kind: MayBlock) -> MustNotBlock {
        let nested = MustNotBlock::applies();
        if !nested {
            let _ = CONTEXT.try_with(|context| context.may_block.set(kind));
        } else {
            panic!(
                "Cannot start a runtime from within a runtime: `block_on` would block a thread that is running \
                 async tasks. Await the future instead, or call `block_on` from `spawn_blocking` or a plain thread."
            );
        }
        MustNotBlock { _not_send: PhantomData }
    }

    /// Is this thread marked?
    pub(crate) fn applies() -> bool {
        MustNotBlock::kind() != MayBlock::Yes
    }

    /// How it is marked.
    pub(crate) fn kind() -> MayBlock {
        CONTEXT.try_with(|context| context.may_block.get()).unwrap_or(MayBlock::Yes)
    }

    /// Takes the mark away until what it returns is dropped.
    pub(crate) fn lift() -> Lifted {
        Lifted(CONTEXT.try_with(|context| context.may_block.replace(MayBlock::Yes)).unwrap_or(MayBlock::Yes))
    }
}

/// The thread may block although it runs async code.
pub(crate) struct Lifted(MayBlock);

impl Drop for Lifted {
    fn drop(&mut self) {
        let _ = CONTEXT.try_with(|context| context.may_block.set(self.0));
    }
}

impl Drop for MustNotBlock {
    fn drop(&mut self) {
        let _ = CONTEXT.try_with(|context| context.may_block.set(MayBlock::Yes));
    }
}
