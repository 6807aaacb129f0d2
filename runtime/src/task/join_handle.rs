//! The handle side of a task: waiting for its result, asking it to end.
//!
//! Both handles are one pointer: everything else is in the task's cell. A `JoinHandle` is the only one that takes the
//! result; dropping it detaches the task. Who owns the output and the join waker is said in `state.rs`.

use super::Id;
use super::header::{Stage, TaskRef, drop_output};
use crate::error::contain;
use crate::scheduler::budget::charge_one;
use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A task's or blocking job's owner: awaiting it yields what the task returned.
///
/// The result is `Err` when the task panicked, or was cancelled by [`abort`](JoinHandle::abort) or its runtime's
/// shutdown. Dropping the handle **detaches** the task: it runs on, and its output is dropped when it ends.
///
/// The output of a task that has ended is dropped with its handle, in the same call; only where outputs hold handles of
/// tasks whose outputs hold handles, more than a few deep, are the inner ones dropped after the outer, so that a long chain
/// does not overflow the stack.
///
/// # Cancel safety
/// Awaiting `&mut handle` may be given up and taken up again: nothing is lost. Giving up `handle` itself
/// detaches the task.
///
/// # Panics
/// Polling it again after it returned its result panics.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::spawn;
///
/// let mut task = spawn(async { 42 });
/// assert_eq!((&mut task).await.unwrap(), 42); // `task.await` where the handle is not needed any more
///
/// drop(spawn(async { println!("nobody waits for this one") }));
/// # });
/// # std::io::Result::Ok(())
/// ```
#[must_use = "a JoinHandle does nothing unless awaited; drop it on purpose to detach the task"]
pub struct JoinHandle<T> {
    /// `None` only while it is dropped.
    task: Option<TaskRef>,
    _output: PhantomData<T>,
}

/// What a task or job ends with.
pub(crate) type JoinResult<T> = Result<T, JoinError>;

// SAFETY: a handle gives away `T`, and `TaskRef` is `Send` itself.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: nothing of `T` can be reached through a shared handle.
unsafe impl<T: Send> Sync for JoinHandle<T> {}
// The output is in the task's cell: moving the handle moves none of it.
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// `task` must be the one reference that counts as the handle's, to a task with this output.
    pub(super) fn new(task: TaskRef) -> JoinHandle<T> {
        JoinHandle { task: Some(task), _output: PhantomData }
    }

    fn task(&self) -> &TaskRef {
        match &self.task {
            Some(task) => task,
            None => unreachable!("a handle lets go of its task when it is dropped, not before"),
        }
    }

    #[cfg(all(test, not(runtime_loom)))]
    pub(super) fn raw(&self) -> std::ptr::NonNull<super::header::Header> {
        self.task().raw()
    }

    /// Asks the task to end, without waiting for it.
    ///
    /// A task that is not running is dropped soon by a worker; one that is being polled, when that poll returns
    /// Pending. A task that finishes first keeps its result. A job of the blocking pool can be aborted only
    /// before it starts. Awaiting the handle then yields an error with [`JoinError::is_cancelled`].
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(std::future::pending::<()>());
    /// task.abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn abort(&self) {
        self.task().abort();
    }

    /// Has the task ended? True also while its result is still to be read.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let mut task = spawn(async {});
    /// (&mut task).await.unwrap();
    /// assert!(task.is_finished());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_finished(&self) -> bool {
        self.task().header().state.is_done()
    }

    /// A handle that can abort the task but not wait for it.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(std::future::pending::<()>());
    /// let abort = task.abort_handle(); // for somebody else
    /// abort.abort();
    /// assert!(task.await.is_err());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { task: self.task().clone() }
    }

    /// The task's id, unique among the live tasks of the process.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::{spawn, task};
    ///
    /// let task = spawn(async { task::id() });
    /// let id = task.id();
    /// assert_eq!(task.await.unwrap(), id);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn id(&self) -> Id {
        self.task().header().id
    }

    /// Leaves `waker` to be woken when the task ends; false: it has ended.
    fn register(&mut self, waker: &Waker) -> bool {
        let header = self.task().header();
        if !header.state.take_waker_back() {
            return false;
        }
        // SAFETY: the place is ours until it is given away. Cloning and dropping a waker is foreign code, but none that
        // could come back here: that takes a mutable borrow of this handle.
        let place = unsafe { &mut *header.join_waker.get() };
        if !place.as_ref().is_some_and(|ours| ours.will_wake(waker)) {
            let old = place.replace(waker.clone());
            drop(old);
        }
        if header.state.give_waker() {
            return true;
        }
        // SAFETY: the task was done before the place was given away, so it is still ours.
        drop(unsafe { header.take_join_waker() });
        false
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_finished() && self.register(cx.waker()) {
            return Poll::Pending;
        }
        let header = self.task().header();
        assert!(
            header.stage.get() == Stage::Output,
            "JoinHandle polled after it returned its result (task {})",
            header.id
        );
        // A finished task is Ready whether or not any budget is left: each is so only once.
        charge_one();
        let mut output = MaybeUninit::<Self::Output>::uninit();
        // SAFETY: the task is done, so the output is the handle's, and it is still there; the type is that of the task.
        unsafe { (header.vtable.take_output)(self.task().raw(), output.as_mut_ptr().cast()) };
        // SAFETY: written by `take_output`.
        Poll::Ready(unsafe { output.assume_init() })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let header = task.header();
        if header.state.is_fresh() && header.state.detach_fresh() {
            // That let go of the handle's reference too.
            task.forget();
            return;
        }
        let left = header.state.detach();
        if left.waker {
            // SAFETY: the state says that the place is ours.
            let waker = unsafe { header.take_join_waker() };
            if waker.is_some() {
                contain(|| drop(waker));
            }
        }
        if left.done && header.stage.get() == Stage::Output {
            // SAFETY: the task is done, so the output is the handle's.
            unsafe { drop_output(task) };
        }
    }
}

// A panic elsewhere cannot leave the task half-changed: its state is one atomic word.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id()).finish()
    }
}

/// Asks a task to end, from anywhere; made by [`JoinHandle::abort_handle`] or a
/// [`JoinSet`](crate::task::JoinSet). It keeps the task's memory, but neither its future nor its output.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::{spawn, task::AbortHandle};
///
/// let tasks: Vec<_> = (0..3).map(|_| spawn(std::future::pending::<()>())).collect();
/// let aborts: Vec<AbortHandle> = tasks.iter().map(|task| task.abort_handle()).collect();
/// aborts.iter().for_each(AbortHandle::abort);
/// for task in tasks {
///     assert!(task.await.unwrap_err().is_cancelled());
/// }
/// # });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    task: TaskRef,
}

impl AbortHandle {
    /// Asks the task to end; see [`JoinHandle::abort`].
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(std::future::pending::<()>());
    /// task.abort_handle().abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Has the task ended?
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(async {});
    /// let abort = task.abort_handle();
    /// task.await.unwrap();
    /// assert!(abort.is_finished());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_finished(&self) -> bool {
        self.task.header().state.is_done()
    }

    /// The task's id.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(async {});
    /// assert_eq!(task.abort_handle().id(), task.id());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn id(&self) -> Id {
        self.task.header().id
    }
}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("id", &self.id()).finish()
    }
}

/// Why a task has no output: it panicked, or it was cancelled.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::spawn;
///
/// let error = spawn(async { panic!("no money left") }).await.map(|()| ()).unwrap_err();
/// assert!(error.is_panic());
/// println!("{error}");
/// # });
/// # std::io::Result::Ok(())
/// ```
pub struct JoinError {
    id: Id,
    /// `None`: it was cancelled. In a box, because every task has room for an error in its cell.
    why: Option<Box<Why>>,
}

enum Why {
    /// In a mutex only to make the error `Sync`; nothing ever contends for it.
    Panic(Mutex<Box<dyn Any + Send>>),
    /// A blocking job for which no thread could be started.
    NoThread(io::Error),
}

impl JoinError {
    /// `no_thread`: it is a blocking job for which no thread could be started.
    pub(super) fn cancelled(id: Id, no_thread: Option<io::Error>) -> JoinError {
        JoinError { id, why: no_thread.map(|error| Box::new(Why::NoThread(error))) }
    }

    pub(super) fn panic(id: Id, payload: Box<dyn Any + Send>) -> JoinError {
        JoinError { id, why: Some(Box::new(Why::Panic(Mutex::new(payload)))) }
    }

    /// True when the task was aborted, its runtime shut down, or it was a blocking job that never started.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(std::future::pending::<()>());
    /// task.abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// True when the task panicked, in its poll or in the `Drop` of its future.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn_blocking;
    /// let job = spawn_blocking(|| u8::try_from(1000).unwrap());
    /// assert!(job.await.unwrap_err().is_panic());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(self.why.as_deref(), Some(Why::Panic(_)))
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// When the task did not panic; see [`try_into_panic`](JoinError::try_into_panic).
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn_blocking;
    /// let job = spawn_blocking(|| -> u32 { std::panic::panic_any("a payload") });
    /// let payload = job.await.unwrap_err().into_panic();
    /// assert_eq!(payload.downcast_ref(), Some(&"a payload"));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("JoinError::into_panic: {error}, it did not panic"),
        }
    }

    /// The panic's payload, or the error itself if the task did not panic.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(std::future::pending::<()>());
    /// task.abort();
    /// match task.await.unwrap_err().try_into_panic() {
    ///     Ok(payload) => std::panic::resume_unwind(payload),
    ///     Err(error) => assert!(error.is_cancelled()),
    /// }
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.why.map(|why| *why) {
            Some(Why::Panic(payload)) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            why => Err(JoinError { id: self.id, why: why.map(Box::new) }),
        }
    }

    /// The id of the task that failed.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::spawn;
    /// let task = spawn(std::future::pending::<()>());
    /// let id = task.id();
    /// task.abort();
    /// assert_eq!(task.await.unwrap_err().id(), id);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn id(&self) -> Id {
        self.id
    }

    /// Runs `with` on the panic's message, if its payload is a string.
    fn with_message<R>(payload: &Mutex<Box<dyn Any + Send>>, with: impl FnOnce(Option<&str>) -> R) -> R {
        let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
        let text = payload.downcast_ref::<&'static str>().copied();
        with(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why.as_deref() {
            None => write!(f, "task {} was cancelled", self.id),
            Some(Why::NoThread(error)) => {
                write!(
                    f,
                    "blocking job {} was cancelled: no thread could be started for it: {error}",
                    self.id
                )
            }
            Some(Why::Panic(payload)) => JoinError::with_message(payload, |message| match message {
                Some(message) => write!(f, "task {} panicked with message {message:?}", self.id),
                None => write!(f, "task {} panicked", self.id),
            }),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why.as_deref() {
            None => write!(f, "JoinError::Cancelled({:?})", self.id),
            Some(Why::NoThread(error)) => write!(f, "JoinError::NoThread({:?}, {error:?})", self.id),
            Some(Why::Panic(payload)) => JoinError::with_message(payload, |message| match message {
                Some(message) => write!(f, "JoinError::Panic({:?}, {message:?}, ...)", self.id),
                None => write!(f, "JoinError::Panic({:?}, ...)", self.id),
            }),
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.why.as_deref() {
            Some(Why::NoThread(error)) => Some(error),
            None | Some(Why::Panic(_)) => None,
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
