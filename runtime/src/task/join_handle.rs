//! The handle side of a task: waiting for its result, asking it to end.
//!
//! Both handles are thin: all state is in the [`Meeting`]. A `JoinHandle` is the only one that takes the result;
//! dropping it detaches the task.

use super::Id;
use super::state::{Meeting, Remote};
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// A task's or blocking job's owner: awaiting it yields what the task returned.
///
/// The result is `Err` when the task panicked, or was cancelled by [`abort`](JoinHandle::abort) or its runtime's
/// shutdown. Dropping the handle **detaches** the task: it runs on, and its output is dropped when it ends.
///
/// # Cancel safety
/// Awaiting `&mut handle` may be given up and taken up again: nothing is lost. Giving up `handle` itself
/// detaches the task.
///
/// # Panics
/// Polling it again after it returned its result panics.
#[must_use = "a JoinHandle does nothing unless awaited; drop it on purpose to detach the task"]
pub struct JoinHandle<T> {
    meeting: Arc<Meeting<T>>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(meeting: Arc<Meeting<T>>) -> JoinHandle<T> {
        JoinHandle { meeting }
    }

    /// Asks the task to end, without waiting for it.
    ///
    /// A task that is not running is dropped soon by a worker; one that is being polled, when that poll returns
    /// Pending. A task that finishes first keeps its result. A job of the blocking pool can be aborted only
    /// before it starts. Awaiting the handle then yields an error with [`JoinError::is_cancelled`].
    pub fn abort(&self) {
        self.meeting.cancel();
    }

    /// Has the task ended? True also while its result is still to be read.
    pub fn is_finished(&self) -> bool {
        self.meeting.is_finished()
    }

    /// A handle that can abort the task but not wait for it.
    pub fn abort_handle(&self) -> AbortHandle
    where
        T: Send + 'static,
    {
        AbortHandle { remote: Arc::clone(&self.meeting) as _ }
    }

    /// The task's id, unique among the live tasks of the process.
    pub fn id(&self) -> Id {
        self.meeting.id()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // No poll budget is asked for: a finished task is always Ready, and each handle is so only once.
        self.meeting.poll_join(cx)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.meeting.detach();
    }
}

// A panic elsewhere cannot leave the meeting half-changed: no foreign code runs under its lock.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id()).finish()
    }
}

/// Asks a task to end, from anywhere; made by [`JoinHandle::abort_handle`] or a
/// [`JoinSet`](crate::task::JoinSet). It keeps neither the task nor its output alive.
#[derive(Clone)]
pub struct AbortHandle {
    remote: Arc<dyn Remote>,
}

impl AbortHandle {
    /// Asks the task to end; see [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.remote.cancel();
    }

    /// Has the task ended?
    pub fn is_finished(&self) -> bool {
        self.remote.is_finished()
    }

    /// The task's id.
    pub fn id(&self) -> Id {
        self.remote.id()
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
pub struct JoinError {
    id: Id,
    why: Why,
}

enum Why {
    Cancelled,
    /// In a mutex only to make the error `Sync`; nothing ever contends for it.
    Panic(Mutex<Box<dyn Any + Send>>),
    /// A blocking job for which no thread could be started.
    NoThread(io::Error),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> JoinError {
        JoinError { id, why: Why::Cancelled }
    }

    pub(crate) fn panic(id: Id, payload: Box<dyn Any + Send>) -> JoinError {
        JoinError { id, why: Why::Panic(Mutex::new(payload)) }
    }

    pub(crate) fn no_thread(id: Id, error: io::Error) -> JoinError {
        JoinError { id, why: Why::NoThread(error) }
    }

    /// True when the task was aborted, its runtime shut down, or it was a blocking job that never started.
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// True when the task panicked, in its poll or in the `Drop` of its future.
    pub fn is_panic(&self) -> bool {
        matches!(self.why, Why::Panic(_))
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// When the task did not panic; see [`try_into_panic`](JoinError::try_into_panic).
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("JoinError::into_panic: {error}, it did not panic"),
        }
    }

    /// The panic's payload, or the error itself if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.why {
            Why::Panic(payload) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            why => Err(JoinError { id: self.id, why }),
        }
    }

    /// The id of the task that failed.
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
        match &self.why {
            Why::Cancelled => write!(f, "task {} was cancelled", self.id),
            Why::NoThread(error) => {
                write!(
                    f,
                    "blocking job {} was cancelled: no thread could be started for it: {error}",
                    self.id
                )
            }
            Why::Panic(payload) => JoinError::with_message(payload, |message| match message {
                Some(message) => write!(f, "task {} panicked with message {message:?}", self.id),
                None => write!(f, "task {} panicked", self.id),
            }),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Cancelled => write!(f, "JoinError::Cancelled({:?})", self.id),
            Why::NoThread(error) => write!(f, "JoinError::NoThread({:?}, {error:?})", self.id),
            Why::Panic(payload) => JoinError::with_message(payload, |message| match message {
                Some(message) => write!(f, "JoinError::Panic({:?}, {message:?}, ...)", self.id),
                None => write!(f, "JoinError::Panic({:?}, ...)", self.id),
            }),
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::NoThread(error) => Some(error),
            Why::Cancelled | Why::Panic(_) => None,
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
