//! The blocking pool: threads for jobs that block or compute for long, so that workers need not.
//!
//! [`Queue`] (`queue.rs`) is the protocol: which job gets which thread, and when one is woken or started. [`Pool`] gives
//! it threads, and runs and refuses jobs.
//!
//! A job is run, or refused (dropped unrun, its handle told): at shutdown, or when no thread can be started and
//! none is there. Jobs are foreign code and never run or drop under a lock.
//!
//! **Nobody waits for a thread's thread-locals but the runtime's end**, and that only if it may take any time: their
//! destructors are foreign code, which may wait for anything, also for another thread of the pool, or drop the last owner of
//! this very runtime. So threads never join each other. Those that have ended leave their handles for the runtime's end;
//! while the pool is in use only the latest few are kept, and the others let go of.
//!
//! Lock order: `handles` before nothing; the queue's lock is a leaf. `handles` is held while a thread is created, so that
//! a thread finds its own handle when it ends.

mod queue;

use crate::error::{contain, discard_payload};
use crate::park::{Parker, Spin};
use crate::scheduler::{Hook, run_hook};
use crate::sync::prim::{Mutex, thread, thread_local};
use crate::task::JoinHandle;
use crate::task::cell::create_job;
use crate::task::header::{Notified, Site};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use queue::{Counts, Queue, Submitted, Wait};

use queue::Stuck;

/// A wait of this length in `block_on` is long: only then does a thread of the pool say that it waits.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// Handles of threads that have ended: so many are kept while the pool is in use.
const ENDED_KEPT: usize = 8;

/// What the builder sets for the pool's threads.
pub(crate) struct Settings {
    pub(crate) threads_max: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) name: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
}

/// The queue and its threads.
pub(crate) struct Pool {
    queue: Queue<Job>,
    settings: Settings,
    handles: Mutex<Handles>,
}

/// A job in the queue.
struct Job {
    task: Notified,
    /// It counts as done already: not to be refused by a shutdown that comes later.
    must_run: bool,
}

#[derive(Default)]
struct Handles {
    next: u64,
    running: HashMap<u64, thread::JoinHandle<()>>,
    /// Of threads that have ended, or are about to; the latest last.
    ended: VecDeque<thread::JoinHandle<()>>,
    /// The runtime ends, and joins all that are here.
    closed: bool,
}

thread_local! {
    /// The pool that this thread is one of. Valid while the thread is counted as present.
    static OURS: Cell<*const Pool> = const { Cell::new(ptr::null()) };
}

/// Parks a thread that waits in `block_on`. One of a pool that waits for long makes it known: if all do, see [`Stuck`].
pub(crate) fn park(parker: &Parker) {
    // SAFETY: `PresentThread` sets and clears it on this thread, and borrows the pool in between.
    match unsafe { OURS.with(Cell::get).as_ref() } {
        None => parker.park(),
        Some(pool) => pool.park(parker),
    }
}

impl Pool {
    pub(crate) fn new(settings: Settings) -> Arc<Pool> {
        Arc::new(Pool {
            queue: Queue::new(settings.threads_max, settings.keep_alive),
            settings,
            handles: Mutex::default(),
        })
    }

    /// Queues a closure, a job spawned at `location`. One that `must_run` is run also by a pool that is closed in the
    /// meantime; one that is closed already refuses it. `enter` links a new thread to its runtime; what it returns lives
    /// as long as the thread.
    pub(crate) fn spawn<F, R, G>(
        self: &Arc<Self>,
        f: F,
        location: &'static Location<'static>,
        must_run: bool,
        enter: impl FnOnce() -> G + Send + 'static,
    ) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (task, handle) = create_job(f, location);
        match self.queue.submit(Job { task, must_run }) {
            Submitted::Queued => {}
            Submitted::Stuck(stuck) => warn(stuck),
            Submitted::Refused(job) => job.task.cancel(&Site::default(), None),
            Submitted::StartThread => {
                if let Err(error) = self.start_thread(enter) {
                    for job in self.queue.thread_failed() {
                        let error = io::Error::new(error.kind(), error.to_string());
                        job.task.cancel(&Site::default(), Some(error));
                    }
                }
            }
        }
        handle
    }

    fn start_thread<G>(self: &Arc<Self>, enter: impl FnOnce() -> G + Send + 'static) -> io::Result<()> {
        let mut builder = thread::Builder::new();
        // The naming function is the user's: it may panic, and runs under no lock.
        let name = catch_unwind(AssertUnwindSafe(|| (self.settings.name)()));
        match name {
            Ok(name) => builder = builder.name(name.replace('\0', "")),
            Err(payload) => discard_payload(payload),
        }
        if let Some(bytes) = self.settings.stack_size {
            builder = builder.stack_size(bytes);
        }
        let pool = Arc::clone(self);
        let mut handles = self.handles.lock();
        let key = handles.next;
        handles.next += 1;
        let thread = builder.spawn(move || {
            // The first to be made, hence the last to go, and by an unwind too.
            let _presence = PresentThread::enter(&pool, key);
            let entered = enter();
            pool.run_thread();
            // A job may have leaked an `EnterGuard`, and then our link cannot be dropped in the proper order.
            contain(|| drop(entered));
        })?;
        handles.running.insert(key, thread);
        Ok(())
    }

    fn run_thread(&self) {
        run_hook(self.settings.on_start.as_ref());
        let mut wait = Adaptive(Spin::new());
        let mut first = true;
        while let Some(job) = self.queue.next(std::mem::take(&mut first), &mut wait) {
            // A job is never scheduled again: it ends with its only poll, and contains its own panics.
            let _ = job.task.run(&Site::default());
        }
        run_hook(self.settings.on_stop.as_ref());
    }

    fn park(&self, parker: &Parker) {
        if parker.park_for(Some(LONG_WAIT)) {
            return;
        }
        if let Some(stuck) = self.queue.stall() {
            warn(stuck);
        }
        parker.park();
        self.queue.resume();
    }

    fn end_thread(&self, key: u64) {
        let let_go = {
            let mut handles = self.handles.lock();
            let ours = handles.running.remove(&key);
            handles.ended.extend(ours);
            let too_many = !handles.closed && handles.ended.len() > ENDED_KEPT;
            if too_many { handles.ended.pop_front() } else { None }
        };
        drop(let_go);
        self.queue.thread_gone();
    }

    /// Refuses jobs from now on, and those that wait and need not run.
    pub(crate) fn close(&self) {
        self.handles.lock().closed = true;
        for job in self.queue.close(|job| job.must_run) {
            job.task.cancel(&Site::default(), None);
        }
    }

    /// After `close`: waits until all threads have done their work, or for `deadline`; returns how many have not. Without
    /// a deadline it also waits for the destructors of their thread-locals, which nothing could interrupt.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> usize {
        let left = self.queue.wait_until_gone(deadline);
        if deadline.is_none() {
            let ended = std::mem::take(&mut self.handles.lock().ended);
            join_all(ended);
        }
        left
    }

    /// Is the calling thread one of the pool's, and in its work?
    pub(crate) fn is_own_thread(&self) -> bool {
        ptr::eq(OURS.with(Cell::get), self)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.queue.counts()
    }
}

/// A pool thread's spin: as a worker's, it pays where jobs come often.
struct Adaptive(Spin);

impl Wait for Adaptive {
    fn spin(&mut self, mut is_over: impl FnMut() -> bool) {
        let _ = self.0.run(|| is_over().then_some(()));
    }

    fn slept(&mut self, time: Duration) {
        self.0.parked(time);
    }
}

/// A thread's mark of being there: a guard, so that no unwind can make the runtime's end wait for ever.
struct PresentThread<'a> {
    pool: &'a Pool,
    key: u64,
}

impl PresentThread<'_> {
    fn enter(pool: &Pool, key: u64) -> PresentThread<'_> {
        OURS.with(|cell| cell.set(pool));
        PresentThread { pool, key }
    }
}

impl Drop for PresentThread<'_> {
    fn drop(&mut self) {
        OURS.with(|cell| cell.set(ptr::null()));
        self.pool.end_thread(self.key);
    }
}

fn warn(Stuck { threads }: Stuck) {
    tracing::warn!(
        threads,
        "every thread of the blocking pool has been waiting in `block_on` for {LONG_WAIT:?} or longer, while jobs wait for a \
         thread. Jobs that wait for jobs in the queue do so for ever: raise `max_blocking_threads`, or await instead"
    );
}

/// Joins threads that have done all their work. One of them may be the caller, in the destructor of a thread-local.
fn join_all(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    let ours = thread::current().id();
    for thread in threads {
        if thread.thread().id() != ours
            && let Err(payload) = thread.join()
        {
            discard_payload(payload);
        }
    }
}
