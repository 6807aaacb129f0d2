//! The blocking pool: threads for jobs that block or compute for long, so that workers need not.
//!
//! [`Queue`] is the protocol, [`Pool`] gives it threads. Everything that decides whether a job has a thread to
//! take it, the queue's length and the counts, is under **one lock**:
//!
//! - `idle` counts the threads that are bound to look at the queue: waiting ones, and new ones from the moment
//!   their creation is decided;
//! - **invariant**: `queue.len() <= idle`, or `threads == max`, or a thread creation is about to be decided. So a
//!   burst of jobs gets a thread each at once, and no job waits for a thread that is not coming;
//! - a thread that gives up after `keep_alive` looks at the queue a last time under the same lock, so a job is
//!   never left behind by threads that are on their way out.
//!
//! A job is run, or refused (dropped unrun, its handle told): at shutdown, or when no thread can be started and
//! none is there. Jobs are foreign code and never run or drop under a lock.
//!
//! Lock order: `handles` before nothing; `state` is a leaf. `handles` is held while a thread is created, so that a
//! thread finds its own handle when it ends.

use crate::error::{contain, discard_payload};
use crate::scheduler::{Hook, run_hook};
use crate::sync::prim::{Condvar, Mutex, now, thread};
use crate::task::JoinHandle;
use crate::task::cell::create_job;
use crate::task::header::{Notified, Site};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What has to be done after [`Queue::submit`].
#[must_use]
pub(crate) enum Submitted<J> {
    /// A thread that is there takes it.
    Queued,
    /// Start a thread that calls [`Queue::next`], or report that with [`Queue::thread_failed`].
    StartThread,
    /// The pool is closed.
    Refused(J),
}

/// Jobs and the counts of threads.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    /// A job for an idle thread, or the end.
    work: Condvar,
    /// The last thread has gone.
    gone: Condvar,
    threads_max: usize,
    keep_alive: Duration,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that take jobs, at most `threads_max`.
    threads: usize,
    /// Those of them that are bound to look at the queue.
    idle: usize,
    /// Threads that have not ended, including those that take no more jobs.
    present: usize,
    closed: bool,
}

/// Counts for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) threads: usize,
    pub(crate) idle: usize,
    pub(crate) queued: usize,
}

impl<J> Queue<J> {
    pub(crate) fn new(threads_max: usize, keep_alive: Duration) -> Queue<J> {
        Queue {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                threads: 0,
                idle: 0,
                present: 0,
                closed: false,
            }),
            work: Condvar::new(),
            gone: Condvar::new(),
            threads_max,
            keep_alive,
        }
    }

    pub(crate) fn submit(&self, job: J) -> Submitted<J> {
        let mut state = self.state.lock();
        if state.closed {
            return Submitted::Refused(job);
        }
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads < self.threads_max {
            state.threads += 1;
            state.idle += 1;
            state.present += 1;
            return Submitted::StartThread;
        }
        drop(state);
        self.work.notify_one();
        Submitted::Queued
    }

    /// The thread that `submit` asked for cannot be started. Returns the jobs that nobody will take now: all of
    /// them if there is no other thread, else none.
    pub(crate) fn thread_failed(&self) -> VecDeque<J> {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.idle -= 1;
        state.present -= 1;
        let last = state.present == 0;
        let orphans = if state.threads == 0 { std::mem::take(&mut state.jobs) } else { VecDeque::new() };
        drop(state);
        if last {
            self.gone.notify_all();
        }
        orphans
    }

    /// The next job of a thread. `first`: its first call, for which it is counted as idle already. `None`: it
    /// should end, and then call [`Queue::thread_gone`].
    pub(crate) fn next(&self, first: bool) -> Option<J> {
        let mut state = self.state.lock();
        if !first {
            state.idle += 1;
        }
        let mut timed_out = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                return Some(job);
            }
            if state.closed || timed_out {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
            (state, timed_out) = self.work.wait_timeout(state, self.keep_alive);
        }
    }

    /// The last thing that a thread does with the queue.
    pub(crate) fn thread_gone(&self) {
        let mut state = self.state.lock();
        state.present -= 1;
        let last = state.present == 0;
        drop(state);
        if last {
            self.gone.notify_all();
        }
    }

    /// Refuses all jobs from now on; returns those that wait, for the caller to refuse. Threads end when their
    /// job is done.
    pub(crate) fn close(&self) -> VecDeque<J> {
        let mut state = self.state.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.work.notify_all();
        jobs
    }

    /// Waits until no thread is left, or for `deadline`; returns how many are left.
    pub(crate) fn wait_until_gone(&self, deadline: Option<Instant>) -> usize {
        let mut state = self.state.lock();
        while state.present > 0 {
            match deadline.map(|deadline| deadline.saturating_duration_since(now())) {
                None => state = self.gone.wait(state),
                Some(Duration::ZERO) => break,
                Some(limit) => (state, _) = self.gone.wait_timeout(state, limit),
            }
        }
        state.present
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts { threads: state.threads, idle: state.idle, queued: state.jobs.len() }
    }
}

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
    queue: Queue<Notified>,
    settings: Settings,
    handles: Mutex<Handles>,
}

#[derive(Default)]
struct Handles {
    next: u64,
    running: HashMap<u64, thread::JoinHandle<()>>,
    /// Of threads that have ended, or are about to; the next one to end joins them.
    ended: Vec<thread::JoinHandle<()>>,
}

impl Pool {
    pub(crate) fn new(settings: Settings) -> Arc<Pool> {
        Arc::new(Pool {
            queue: Queue::new(settings.threads_max, settings.keep_alive),
            settings,
            handles: Mutex::default(),
        })
    }

    /// Queues a closure. `enter` links a new thread to its runtime; what it returns lives as long as the thread.
    pub(crate) fn spawn<F, R, G>(
        self: &Arc<Self>,
        f: F,
        enter: impl FnOnce() -> G + Send + 'static,
    ) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (job, handle) = create_job(f);
        match self.queue.submit(job) {
            Submitted::Queued => {}
            Submitted::Refused(job) => job.cancel(&Site::default(), None),
            Submitted::StartThread => {
                if let Err(error) = self.start_thread(enter) {
                    for job in self.queue.thread_failed() {
                        let error = io::Error::new(error.kind(), error.to_string());
                        job.cancel(&Site::default(), Some(error));
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
            let _presence = PresentThread { pool: &pool, key };
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
        let mut first = true;
        while let Some(job) = self.queue.next(std::mem::take(&mut first)) {
            // A job is never scheduled again: it ends with its only poll, and contains its own panics.
            let _ = job.run(&Site::default());
        }
        run_hook(self.settings.on_stop.as_ref());
    }

    fn end_thread(&self, key: u64) {
        let ended = {
            let mut handles = self.handles.lock();
            let ended = std::mem::take(&mut handles.ended);
            let ours = handles.running.remove(&key);
            handles.ended.extend(ours);
            ended
        };
        join_all(ended);
        self.queue.thread_gone();
    }

    /// Refuses jobs from now on, and those that wait.
    pub(crate) fn close(&self) {
        for job in self.queue.close() {
            job.cancel(&Site::default(), None);
        }
    }

    /// After `close`: waits until all threads have ended, or for `deadline`; returns how many have not.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> usize {
        let left = self.queue.wait_until_gone(deadline);
        if left == 0 {
            let ended = {
                let mut handles = self.handles.lock();
                let mut ended = std::mem::take(&mut handles.ended);
                ended.extend(handles.running.drain().map(|(_, thread)| thread));
                ended
            };
            join_all(ended);
        }
        left
    }

    /// Is the calling thread one of the pool's?
    pub(crate) fn is_own_thread(&self) -> bool {
        let ours = thread::current().id();
        self.handles.lock().running.values().any(|thread| thread.thread().id() == ours)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.queue.counts()
    }
}

/// A thread's mark of being there: a guard, so that no unwind can make the runtime's end wait for ever.
struct PresentThread<'a> {
    pool: &'a Pool,
    key: u64,
}

impl Drop for PresentThread<'_> {
    fn drop(&mut self) {
        self.pool.end_thread(self.key);
    }
}

/// Joins threads that have done all their work; one of them may be the caller.
fn join_all(threads: Vec<thread::JoinHandle<()>>) {
    let ours = thread::current().id();
    for thread in threads {
        if thread.thread().id() != ours
            && let Err(payload) = thread.join()
        {
            discard_payload(payload);
        }
    }
}
