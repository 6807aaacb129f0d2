//! The blocking pool's protocol: jobs, threads, and who is woken for what.
//!
//! Everything that decides whether a job has a thread to take it is under **one lock**. A thread of the pool is
//!
//! | state | counted in | what it does next |
//! |---|---|---|
//! | busy | `threads` | ends its job, looks at the queue |
//! | starting | `threads`, `idle` | looks at the queue; counted from the moment its creation is decided |
//! | spinning | `threads`, `idle`, `spinning` | looks at the queue when it has seen that something is there, or after a while |
//! | called | `threads`, `idle`, `called` | was woken, looks at the queue |
//! | sleeping | `threads`, `idle`, `sleeping` | waits to be called, or gives up after `keep_alive` |
//!
//! Two invariants hold whenever the lock is free:
//!
//! 1. **A burst gets its threads at once**: `jobs.len() <= idle`, or `threads == max`, or no thread could be started. So no
//!    job waits for a thread that is busy with another one, as long as there may be more.
//! 2. **A chain of calls**: `jobs.is_empty()`, or `sleeping == 0`, or a thread is called or spinning. Whoever leaves the
//!    queue with a job restores it, by calling the next sleeper **before it runs the job**, which may block. So at most one
//!    call is under way at a time, and small jobs, of which the first thread to come takes several, cost few of them: it
//!    is the calls that cost, a microsecond or more to make and several until the thread is there.
//!
//! A call is a token (`called`) that whichever thread holds the lock next after its sleep takes: the one that was notified,
//! or one that has given up in the same moment. A thread that gives up looks at the queue a last time under the lock, so
//! no job is left behind by threads that are on their way out.
//!
//! **Jobs that wait for jobs** can use up the threads: each waits for one in the queue, for which none is left. Nobody but the
//! jobs knows what they wait for, so nothing can be refused; but it can be said. A busy thread that has been in `block_on`
//! for long counts itself in `stalled`; when all threads do and there are jobs, [`Stuck`] is reported, once.
//!
//! Spinning is for threads that have just done a job: as long as jobs come often, nobody needs to be called at all. One
//! thread may spin at a time, and how long is its own experience ([`Wait`]).
//!
//! Lock order: `state` is a leaf; threads are notified outside of it.

use crate::sync::prim::atomic::{AtomicUsize, Ordering};
use crate::sync::prim::{Condvar, Mutex, MutexGuard, now};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What has to be done after [`Queue::submit`].
#[must_use]
pub(crate) enum Submitted<J> {
    /// A thread that is there takes it.
    Queued,
    /// Start a thread that calls [`Queue::next`], or report that with [`Queue::thread_failed`].
    StartThread,
    /// As `Queued`, but all threads have been waiting for long.
    Stuck(Stuck),
    /// The pool is closed.
    Refused(J),
}

/// All of so many threads have been waiting in `block_on` for long, while there are jobs for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stuck {
    pub(crate) threads: usize,
}

/// How a thread passes the time until there is a job.
pub(crate) trait Wait {
    /// Looks whether it is over, again and again, for as long as that seems worth it.
    fn spin(&mut self, is_over: impl FnMut() -> bool);
    /// Learns how long a sleep was.
    fn slept(&mut self, time: Duration);
}

/// Jobs and the counts of threads.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    /// A call of a sleeping thread, or the end.
    work: Condvar,
    /// The last thread has gone.
    gone: Condvar,
    /// Not zero: there are jobs, or the queue is closed. For the spinning thread; written under the lock, Relaxed, as the
    /// lock settles what it finds.
    stirring: AtomicUsize,
    threads_max: usize,
    keep_alive: Duration,
}

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that take jobs, at most `threads_max`.
    threads: usize,
    /// Those of them that are bound to look at the queue.
    idle: usize,
    /// Those of the idle ones that have to be called for that.
    sleeping: usize,
    /// A sleeper was called and has not come yet. It is not counted in `sleeping` any more.
    called: bool,
    spinning: bool,
    /// Busy threads that have waited for long, and do so still.
    stalled: usize,
    /// It was said that all of them do.
    stuck_reported: bool,
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

impl<J> State<J> {
    /// Restores invariant 2. True: the caller notifies a thread, after it has given the lock back.
    #[must_use]
    fn call(&mut self) -> bool {
        if self.jobs.is_empty() || self.sleeping == 0 || self.called || self.spinning {
            return false;
        }
        self.sleeping -= 1;
        self.called = true;
        true
    }

    /// Is it time to report it?
    fn stuck(&mut self) -> Option<Stuck> {
        let stuck = self.stalled > 0 && self.stalled == self.threads && !self.jobs.is_empty();
        (stuck && !std::mem::replace(&mut self.stuck_reported, true))
            .then_some(Stuck { threads: self.threads })
    }
}

impl<J> Queue<J> {
    pub(crate) fn new(threads_max: usize, keep_alive: Duration) -> Queue<J> {
        Queue {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                threads: 0,
                idle: 0,
                sleeping: 0,
                called: false,
                spinning: false,
                stalled: 0,
                stuck_reported: false,
                present: 0,
                closed: false,
            }),
            work: Condvar::new(),
            gone: Condvar::new(),
            stirring: AtomicUsize::new(0),
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
        let start = state.jobs.len() > state.idle && state.threads < self.threads_max;
        if start {
            state.threads += 1;
            state.idle += 1;
            state.present += 1;
        }
        let stuck = state.stuck();
        self.release(state);
        match stuck {
            Some(stuck) => Submitted::Stuck(stuck),
            None if start => Submitted::StartThread,
            None => Submitted::Queued,
        }
    }

    /// A thread that runs a job has been waiting for long. [`Queue::resume`] has to follow.
    pub(crate) fn stall(&self) -> Option<Stuck> {
        let mut state = self.state.lock();
        state.stalled += 1;
        state.stuck()
    }

    /// The wait of a thread that stalled is over.
    pub(crate) fn resume(&self) {
        self.state.lock().stalled -= 1;
    }

    /// Gives the lock back, and calls a thread if one is needed.
    fn release(&self, mut state: MutexGuard<'_, State<J>>) {
        let call = state.call();
        self.stirring.store(state.jobs.len() + usize::from(state.closed), Ordering::Relaxed);
        drop(state);
        if call {
            self.work.notify_one();
        }
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
        self.release(state);
        if last {
            self.gone.notify_all();
        }
        orphans
    }

    /// The next job of a thread. `first`: its first call, for which it is counted as idle already. `None`: it
    /// should end, and then call [`Queue::thread_gone`].
    pub(crate) fn next(&self, first: bool, wait: &mut impl Wait) -> Option<J> {
        let mut state = self.state.lock();
        if !first {
            state.idle += 1;
        }
        let (mut may_spin, mut gave_up) = (!first, false);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.idle -= 1;
                self.release(state);
                return Some(job);
            }
            if state.closed || gave_up {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
            if std::mem::take(&mut may_spin) && !state.spinning {
                state = self.spin(state, wait);
            } else {
                (state, gave_up) = self.sleep(state, wait);
            }
        }
    }

    fn spin<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<J>>,
        wait: &mut impl Wait,
    ) -> MutexGuard<'a, State<J>> {
        state.spinning = true;
        self.release(state);
        wait.spin(|| self.stirring.load(Ordering::Relaxed) != 0);
        let mut state = self.state.lock();
        state.spinning = false;
        state
    }

    /// Waits for a call; the flag says that the thread has waited for as long as it should.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<J>>,
        wait: &mut impl Wait,
    ) -> (MutexGuard<'a, State<J>>, bool) {
        state.sleeping += 1;
        let start = now();
        let (mut state, timed_out) = self.work.wait_timeout(state, self.keep_alive);
        wait.slept(now().duration_since(start));
        if std::mem::take(&mut state.called) {
            // Whoever called has counted us, or another sleeper in our place.
            return (state, false);
        }
        state.sleeping -= 1;
        (state, timed_out)
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

    /// Refuses all jobs from now on; returns those that wait, for the caller to refuse, but for those that `must_run`: they
    /// have threads by invariant 1, or a busy one to come, and a thread ends only when it finds none.
    pub(crate) fn close(&self, must_run: impl Fn(&J) -> bool) -> VecDeque<J> {
        let mut state = self.state.lock();
        state.closed = true;
        let (stay, go) = std::mem::take(&mut state.jobs).into_iter().partition(must_run);
        state.jobs = stay;
        self.release(state);
        self.work.notify_all();
        go
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

#[cfg(all(test, not(runtime_loom), not(runtime_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn stuck_is_reported_once_and_only_while_all_threads_wait() {
        let queue = Queue::new(2, Duration::MAX);
        let submit = |job| queue.submit(job);
        assert!(matches!(submit(1), Submitted::StartThread));
        assert!(matches!(submit(2), Submitted::StartThread));
        let mut never = NoWait;
        assert_eq!(queue.next(true, &mut never), Some(1));
        assert_eq!(queue.next(true, &mut never), Some(2));
        assert_eq!(queue.stall(), None, "the other thread is at work");
        assert!(matches!(submit(3), Submitted::Queued));
        queue.resume();
        assert_eq!(queue.stall(), None);
        assert_eq!(queue.stall(), Some(Stuck { threads: 2 }));
        assert!(matches!(submit(4), Submitted::Queued), "said already");
        queue.resume();
        assert_eq!(queue.stall(), None);
    }

    #[test]
    fn a_job_for_threads_that_all_wait_already_is_reported() {
        let queue = Queue::new(1, Duration::MAX);
        assert!(matches!(queue.submit(1), Submitted::StartThread));
        assert_eq!(queue.next(true, &mut NoWait), Some(1));
        assert_eq!(queue.stall(), None, "nothing waits for a thread");
        assert!(matches!(queue.submit(2), Submitted::Stuck(Stuck { threads: 1 })));
    }

    struct NoWait;

    impl Wait for NoWait {
        fn spin(&mut self, _: impl FnMut() -> bool) {}
        fn slept(&mut self, _: Duration) {}
    }
}
