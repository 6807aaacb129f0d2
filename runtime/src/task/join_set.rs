//! A set of tasks that are awaited in the order in which they end.
//!
//! Each entry has its own waker, which puts the entry's key on the set's ready list and wakes whoever polls the
//! set; so a call of `poll_join_next` looks only at entries that were woken. Keys are never used again: a late
//! waker of an entry that is gone names a key that is found no more.
//!
//! A result costs a unit of the poll budget, which its `JoinHandle` charges; without one left nobody asks for results.
//!
//! Lock order: the ready list's lock is a leaf; the parent's waker is cloned, woken and dropped outside of it.

use super::{AbortHandle, Id, JoinError, JoinHandle};
use crate::runtime::Handle;
use crate::scheduler::budget::poll_proceed;
use crate::sync::prim::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

/// Tasks of one output type, joined as they end. Dropping the set aborts them all.
///
/// ```
/// use crossover_runtime::{runtime::Runtime, task::JoinSet};
///
/// Runtime::new().unwrap().block_on(async {
///     let mut set: JoinSet<u32> = (0..10).map(|n| async move { n }).collect();
///     let mut sum = 0;
///     while let Some(result) = set.join_next().await {
///         sum += result.unwrap();
///     }
///     assert_eq!(sum, 45);
/// });
/// ```
pub struct JoinSet<T> {
    entries: HashMap<u64, Entry<T>>,
    next_key: u64,
    ready: Arc<ReadyList>,
}

struct Entry<T> {
    handle: JoinHandle<T>,
    waker: Arc<EntryWaker>,
}

/// Keys of woken entries, and whom to tell.
#[derive(Default)]
struct ReadyList {
    inner: Mutex<Ready>,
}

#[derive(Default)]
struct Ready {
    keys: VecDeque<u64>,
    parent: Option<Waker>,
}

struct EntryWaker {
    key: u64,
    /// On the list now? Swapped by wakers, cleared by the poll that takes the key off. What was written before the wake is
    /// seen by that poll because both take the list's lock; a wake that finds the flag set has nothing to add, as a task wakes
    /// its join waker once, and each poll clears the flag before it registers this one.
    queued: AtomicBool,
    ready: Arc<ReadyList>,
}

impl Wake for EntryWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let parent = {
            let mut ready = self.ready.inner.lock();
            ready.keys.push_back(self.key);
            ready.parent.take()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl<T> JoinSet<T> {
    /// An empty set.
    ///
    /// ```
    /// use crossover_runtime::task::JoinSet;
    /// let set = JoinSet::<u32>::new();
    /// assert!(set.is_empty());
    /// ```
    pub fn new() -> JoinSet<T> {
        JoinSet { entries: HashMap::new(), next_key: 0, ready: Arc::default() }
    }

    /// How many tasks have not been joined yet.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(async {});
    /// assert_eq!(set.len(), 1); // also when it has ended: it has not been joined
    /// set.join_next().await;
    /// assert_eq!(set.len(), 0);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is there nothing to join?
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// assert!(set.is_empty());
    /// set.spawn(async {});
    /// assert!(!set.is_empty());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Aborts every task; they stay in the set and are joined as cancelled.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.abort_all();
    /// assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn abort_all(&mut self) {
        self.entries.values().for_each(|entry| entry.handle.abort());
    }

    /// Empties the set; its tasks run on, detached.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let (sender, receiver) = crossover_runtime::sync::channel::bounded(1);
    /// let mut set = JoinSet::new();
    /// set.spawn(async move { sender.send("still running").await });
    /// set.detach_all();
    /// drop(set); // would have aborted it
    /// assert_eq!(receiver.recv().await, Ok("still running"));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn detach_all(&mut self) {
        self.entries.clear();
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Spawns a task of the set on the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(async { 1 });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.insert(crate::spawn(future))
    }

    /// Spawns a task of the set on the given runtime.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// use crossover_runtime::runtime::Handle;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn_on(async { 1 }, &Handle::current());
    /// assert_eq!(set.join_all().await, [1]);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.insert(handle.spawn(future))
    }

    /// Runs a blocking job of the set on the current runtime's blocking pool.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// for n in 1..=3_u64 {
    ///     set.spawn_blocking(move || (1..=n).product::<u64>());
    /// }
    /// assert_eq!(set.join_all().await.into_iter().sum::<u64>(), 1 + 2 + 6);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, job: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.insert(super::spawn_blocking(job))
    }

    /// Runs a blocking job of the set on the given runtime's blocking pool.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// use crossover_runtime::runtime::Handle;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn_blocking_on(|| 1, &Handle::current());
    /// assert_eq!(set.join_all().await, [1]);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, job: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.insert(handle.spawn_blocking(job))
    }
}

impl<T: 'static> JoinSet<T> {
    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let key = self.next_key;
        self.next_key += 1;
        let waker =
            Arc::new(EntryWaker { key, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        self.entries.insert(key, Entry { handle, waker: Arc::clone(&waker) });
        // The first look registers the entry's waker with its task.
        waker.wake_by_ref();
        abort
    }

    /// Waits for the next task to end; `None` when the set is empty.
    ///
    /// # Cancel safety
    /// Giving up the wait loses no result.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set: JoinSet<u32> = (0..3).map(|n| async move { n }).collect();
    /// while let Some(result) = set.join_next().await {
    ///     println!("{:?}", result);
    /// }
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](JoinSet::join_next), with the task's id.
    ///
    /// # Cancel safety
    /// Giving up the wait loses no result.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// let id = set.spawn(async { 1 }).id();
    /// assert_eq!(set.join_next_with_id().await.unwrap().unwrap(), (id, 1));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// The next result that is there already; `None` when no task has ended or the set is empty.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// assert!(set.try_join_next().is_none());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(|joined| joined.map(|(_, output)| output))
    }

    /// As [`try_join_next`](JoinSet::try_join_next), with the task's id.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// assert!(set.try_join_next_with_id().is_none());
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        match self.poll_woken() {
            Poll::Ready(joined) => joined,
            Poll::Pending => None,
        }
    }

    /// Polls for the next task to end; Ready with `None` when the set is empty.
    ///
    /// After Pending the current task is woken when a task of the set ends.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(async { 1 });
    /// let next = std::future::poll_fn(|cx| set.poll_join_next(cx)).await;
    /// assert_eq!(next.unwrap().unwrap(), 1);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_join_next_with_id(cx).map(|joined| joined.map(|joined| joined.map(|(_, output)| output)))
    }

    /// As [`poll_join_next`](JoinSet::poll_join_next), with the task's id.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// let id = set.spawn(async { 1 }).id();
    /// let next = std::future::poll_fn(|cx| set.poll_join_next_with_id(cx)).await;
    /// assert_eq!(next.unwrap().unwrap(), (id, 1));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        // So that a task that joins many which have ended lets others run in between; nothing is lost by it.
        drop(ready!(poll_proceed(cx)));
        // Register first, look second: an entry that is woken in between wakes us.
        let ours = cx.waker().clone();
        let stale = self.ready.inner.lock().parent.replace(ours);
        drop(stale);
        self.poll_woken()
    }

    /// Looks at the woken entries until one has ended.
    fn poll_woken(&mut self) -> Poll<Option<Result<(Id, T), JoinError>>> {
        while !self.entries.is_empty() {
            let Some(key) = self.ready.inner.lock().keys.pop_front() else { return Poll::Pending };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.waker.queued.store(false, Ordering::Release);
            let waker = Waker::from(Arc::clone(&entry.waker));
            let polled = Pin::new(&mut entry.handle).poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(result) = polled {
                let id = entry.handle.id();
                self.entries.remove(&key);
                return Poll::Ready(Some(result.map(|output| (id, output))));
            }
        }
        Poll::Ready(None)
    }

    /// Waits for all tasks and returns their outputs in the order in which they ended.
    ///
    /// # Panics
    /// When a task panicked, with its payload, or was cancelled. The others are then aborted.
    ///
    /// # Cancel safety
    /// Giving up the wait drops the set: the outputs so far are lost, the other tasks aborted.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let set: JoinSet<u32> = (0..3).map(|n| async move { n }).collect();
    /// let mut outputs = set.join_all().await;
    /// outputs.sort_unstable(); // they are in the order in which the tasks ended
    /// assert_eq!(outputs, [0, 1, 2]);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!("JoinSet::join_all: {error}"),
            }
        }
        outputs
    }

    /// Aborts all tasks and waits until they have ended.
    ///
    /// # Cancel safety
    /// Giving up the wait leaves those that have not ended in the set, aborted.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::task::JoinSet;
    /// let mut set = JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.shutdown().await;
    /// assert!(set.is_empty()); // and nothing of them is left
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

impl<F> Extend<F> for JoinSet<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        futures.into_iter().for_each(|future| {
            self.spawn(future);
        });
    }
}

/// Spawns each future on the current runtime; panics outside of one.
impl<F> FromIterator<F> for JoinSet<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}
