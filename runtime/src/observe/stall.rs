//! The stall detector: finds polls that hold up their worker, and says where their task was spawned.
//!
//! A worker that computes or blocks in a poll keeps its other tasks, and perhaps sockets and timers, waiting. To read the
//! clock around each poll would cost more than most polls. So a worker only notes *what* it polls, and a thread of the
//! detector's own looks at the notes every quarter of the threshold:
//!
//! ```text
//!  worker: task, location := …; number += 1; poll; number += 1; is `suspect` this number? ──► ended: how long was it?
//!  detector, every tick: an odd number, not the one of the last look? ──► since := now; suspect := number
//! ```
//!
//! The **number** is odd while a poll is under way, and different for each. `since` is when the poll was first seen, hence
//! not before it began: what is measured is at most a tick too short and never too long, so a poll that is shorter than the
//! threshold is never reported.
//!
//! # The words of a worker
//!
//! | word | written by | read by | order |
//! |---|---|---|---|
//! | `number` | who has the seat | the detector | Release and Acquire: who sees an odd number sees what is polled |
//! | `task`, `location` | who has the seat | the detector | Relaxed; may belong to a later poll, which a second look at `number` tells |
//! | `suspect` | the detector | who has the seat | Relaxed: a number that is seen too late belongs to a poll that was short enough |
//! | `suspicion` | both | both | its lock |
//! | `parked` | who has the seat | the detector | see *Sleep* |
//!
//! Whoever has the worker's seat is one thread at a time; the seat goes from thread to thread under a lock (`hand_over.rs`).
//!
//! **What is polled** is read as under a sequence lock: `number`, the words, a fence, `number` again. The writer has a fence
//! between the end of one poll and the words of the next: a reader that gets a word of the next poll also gets a later number
//! at its second look, and drops what it has read.
//!
//! # Who reports
//! Whoever ends a suspected poll; for one that does not end the detector, after `patience`. That not both do is clear, as
//! `known` lets one report of each place through. That one of them does is decided under the lock of `suspicion`:
//!
//! - The detector sets `reported` only when the number is still that of the poll *while it has the lock*, and then reports.
//!   The end of the poll, which takes the suspicion out under the lock, comes later and sees `reported`.
//! - Otherwise the poll has ended, and the suspicion is left as it is for its end.
//!
//! A poll whose worker **hands over** its seat has no end here: `hand_over` closes its number, and that is all. A suspicion of
//! it, entered before or after, is of a number that never comes again; the next one overwrites it.
//!
//! # Sleep
//! While all workers are parked the detector sleeps, too. It sets `asleep`, fence, looks at every `parked`; a
//! worker that wakes clears `parked`, fence, looks at `asleep`. One of the two sees the other. The detector keeps the lock of
//! `closed` from before its look until it waits, and the worker takes it before it notifies, which is hence not too early.
//!
//! Lock order: all three locks are leaves, and foreign code (the callback, `tracing`) runs under none. Modelled in
//! `stall/models.rs`.

#[cfg(all(test, runtime_loom))]
mod models;

use super::Subject;
use crate::error::contain;
use crate::sync::prim::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence};
use crate::sync::prim::{Condvar, Mutex, MutexGuard, now};
use crate::task::Id;
use crossbeam_utils::CachePadded;
use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A poll that goes on for so long, and for the threshold, is reported before its end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the detector looks, at most and at least.
const TICK: (Duration, Duration) = (Duration::from_micros(250), Duration::from_millis(100));

/// A poll that held up its worker; given to the callback of
/// [`Builder::on_stall`](crate::runtime::Builder::on_stall).
///
/// Displayed as `the task spawned at src/main.rs:10:5 was polled for 52.1 ms`.
///
/// ```
/// use crossover_runtime::runtime::Builder;
///
/// let runtime = Builder::new_multi_thread()
///     .on_stall(|stall| eprintln!("{stall}"))
///     .build()?;
/// # drop(runtime);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    location: &'static Location<'static>,
    task: Option<Id>,
    worker: usize,
    duration: Duration,
    over: bool,
}

impl Stall {
    /// Where the task was spawned: the place of the `spawn`, or of the `block_on`, in the source.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread()
    ///     .on_stall(|stall| eprintln!("{}:{}", stall.spawned_at().file(), stall.spawned_at().line()))
    ///     .build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.location
    }

    /// The task; `None` for the future of a current-thread runtime's `block_on`.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread()
    ///     .on_stall(|stall| eprintln!("{:?}", stall.task()))
    ///     .build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn task(&self) -> Option<Id> {
        self.task
    }

    /// The worker that polled it, from zero.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread()
    ///     .on_stall(|stall| eprintln!("worker {}", stall.worker()))
    ///     .build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// How long the poll took, or has taken so far. At most a quarter of the threshold too short, never too long.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread()
    ///     .on_stall(|stall| eprintln!("{:?}", stall.duration()))
    ///     .build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Has the poll ended? One that goes on is reported after a second, and not again at its end.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread()
    ///     .on_stall(|stall| eprintln!("{}", if stall.is_over() { "it was long" } else { "it goes on" }))
    ///     .build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_over(&self) -> bool {
        self.over
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.task.is_some() { "task spawned" } else { "`block_on` called" };
        let verb = if self.over { "was" } else { "has been" };
        write!(f, "the {what} at {} {verb} polled for {:.1?}", self.location, self.duration)
    }
}

/// What is called for each stall.
pub(crate) type Callback = Arc<dyn Fn(&Stall) + Send + Sync>;

/// Watches the workers of one runtime.
pub(crate) struct Detector {
    threshold: Duration,
    /// A poll that goes on for so long is reported before its end.
    patience: Duration,
    tick: Duration,
    callback: Option<Callback>,
    workers: Box<[CachePadded<Watched>]>,
    /// The detector's thread sleeps until a worker wakes; see the module's docs.
    asleep: AtomicBool,
    /// The runtime has ended.
    closed: Mutex<bool>,
    wake: Condvar,
    /// Places that were reported.
    known: Mutex<HashSet<Location<'static>>>,
}

/// A worker's words, on a cache line of their own.
struct Watched {
    number: AtomicU64,
    location: AtomicPtr<Location<'static>>,
    /// Zero: none.
    task: AtomicU64,
    suspect: AtomicU64,
    parked: AtomicBool,
    long_polls: AtomicU64,
    suspicion: Mutex<Option<Suspicion>>,
}

/// A poll that was seen by two looks, or one.
#[derive(Clone, Copy)]
struct Suspicion {
    number: u64,
    since: Instant,
    reported: bool,
}

impl Watched {
    /// What the poll of this number is of, if it goes on.
    fn polled(&self, number: u64) -> Option<(&'static Location<'static>, Option<Id>)> {
        let location = self.location.load(Ordering::Relaxed);
        let task = Id::from_bits(self.task.load(Ordering::Relaxed));
        // The two belong to that poll if it still goes on; pairs with the fence in `around`.
        fence(Ordering::Acquire);
        if self.number.load(Ordering::Relaxed) != number {
            return None;
        }
        // SAFETY: made of a `&'static Location` in `around`, and set before any number is odd.
        let location = unsafe { location.as_ref() }?;
        Some((location, task))
    }
}

impl Detector {
    /// `threshold` is at least a millisecond.
    pub(crate) fn new(workers: usize, threshold: Duration, callback: Option<Callback>) -> Detector {
        Detector::with_patience(workers, threshold, PATIENCE.max(threshold), callback)
    }

    fn with_patience(
        workers: usize,
        threshold: Duration,
        patience: Duration,
        callback: Option<Callback>,
    ) -> Detector {
        let watched = || Watched {
            number: AtomicU64::new(0),
            location: AtomicPtr::new(ptr::null_mut()),
            task: AtomicU64::new(0),
            suspect: AtomicU64::new(0),
            parked: AtomicBool::new(false),
            long_polls: AtomicU64::new(0),
            suspicion: Mutex::new(None),
        };
        Detector {
            threshold,
            patience,
            tick: (threshold / 4).clamp(TICK.0, TICK.1),
            callback,
            workers: (0..workers).map(|_| CachePadded::new(watched())).collect(),
            asleep: AtomicBool::new(false),
            closed: Mutex::new(false),
            wake: Condvar::new(),
            known: Mutex::default(),
        }
    }

    #[inline]
    pub(super) fn around<R>(&self, worker: usize, subject: Subject, poll: impl FnOnce() -> R) -> R {
        /// Ends the poll also when it panics: the future of a `block_on` may.
        struct End<'a>(&'a Detector, usize, Subject, u64);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                let &mut End(detector, worker, subject, number) = self;
                let watched = &detector.workers[worker];
                // After `hand_over` the number is another one, for good, and perhaps another thread's.
                if watched.number.load(Ordering::Relaxed) != number {
                    return;
                }
                watched.number.store(number + 1, Ordering::Release);
                if watched.suspect.load(Ordering::Relaxed) == number {
                    detector.ended(worker, subject, number);
                }
            }
        }
        let watched = &self.workers[worker];
        // Pairs with the fence in `polled`: who sees what is stored below sees the end of the poll before.
        fence(Ordering::Release);
        watched.location.store(ptr::from_ref(subject.location).cast_mut(), Ordering::Relaxed);
        watched.task.store(subject.task.map_or(0, Id::to_bits), Ordering::Relaxed);
        // Only this worker writes it.
        let number = watched.number.load(Ordering::Relaxed) + 1;
        debug_assert!(!number.is_multiple_of(2), "a poll inside of a poll");
        watched.number.store(number, Ordering::Release);
        let _end = End(self, worker, subject, number);
        poll()
    }

    /// A suspected poll has ended.
    #[cold]
    fn ended(&self, worker: usize, subject: Subject, number: u64) {
        let watched = &self.workers[worker];
        let suspicion = {
            let mut place = watched.suspicion.lock();
            place.take_if(|suspicion| suspicion.number == number)
        };
        let Some(suspicion) = suspicion else { return };
        let duration = now().duration_since(suspicion.since);
        if duration < self.threshold {
            return;
        }
        watched.long_polls.fetch_add(1, Ordering::Relaxed);
        if !suspicion.reported {
            self.report(Stall {
                location: subject.location,
                task: subject.task,
                worker,
                duration,
                over: true,
            });
        }
    }

    /// Ends the watch over the poll that is under way: its thread is about to leave its seat.
    pub(super) fn hand_over(&self, worker: usize) {
        let watched = &self.workers[worker];
        let number = watched.number.load(Ordering::Relaxed);
        if !number.is_multiple_of(2) {
            watched.number.store(number + 1, Ordering::Release);
        }
    }

    pub(super) fn park(&self, worker: usize) {
        // Release pairs with the Acquire in `while_all_parked`: what this worker did before is not seen as done by a parked
        // one.
        self.workers[worker].parked.store(true, Ordering::Release);
    }

    pub(super) fn unpark(&self, worker: usize) {
        self.workers[worker].parked.store(false, Ordering::Relaxed);
        // Pairs with the fence in `while_all_parked`.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            let _closed = self.closed.lock();
            self.wake.notify_one();
        }
    }

    pub(super) fn long_polls(&self, worker: usize) -> u64 {
        self.workers.get(worker).map_or(0, |watched| watched.long_polls.load(Ordering::Relaxed))
    }

    /// Ends the detector's thread.
    pub(super) fn close(&self) {
        *self.closed.lock() = true;
        self.wake.notify_one();
    }

    /// The work of the detector's thread, until `close`.
    pub(crate) fn run(&self) {
        while self.sleep() {
            for worker in 0..self.workers.len() {
                self.look(worker);
            }
        }
    }

    /// Sleeps while all workers are parked, and for a tick; false: it is over.
    fn sleep(&self) -> bool {
        let mut closed = self.while_all_parked();
        if !*closed {
            (closed, _) = self.wake.wait_timeout(closed, self.tick);
        }
        !*closed
    }

    /// Sleeps until a worker is not parked, or it is over.
    fn while_all_parked(&self) -> MutexGuard<'_, bool> {
        let mut closed = self.closed.lock();
        self.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `unpark`.
        fence(Ordering::SeqCst);
        let all_parked = || self.workers.iter().all(|watched| watched.parked.load(Ordering::Acquire));
        while !*closed && all_parked() {
            closed = self.wake.wait(closed);
        }
        self.asleep.store(false, Ordering::Relaxed);
        closed
    }

    fn look(&self, worker: usize) {
        let watched = &self.workers[worker];
        let number = watched.number.load(Ordering::Acquire);
        if number.is_multiple_of(2) {
            return;
        }
        let mut place = watched.suspicion.lock();
        match &mut *place {
            Some(suspicion) if suspicion.number == number => {
                let duration = now().duration_since(suspicion.since);
                if suspicion.reported || duration < self.patience {
                    return;
                }
                // Under the lock: see "Who reports" in the module's docs.
                let Some((location, task)) = watched.polled(number) else { return };
                suspicion.reported = true;
                drop(place);
                self.report(Stall { location, task, worker, duration, over: false });
            }
            place => {
                *place = Some(Suspicion { number, since: now(), reported: false });
                watched.suspect.store(number, Ordering::Relaxed);
            }
        }
    }

    /// Reports a stall, the first of its place. The callback is foreign code: no lock is held.
    fn report(&self, stall: Stall) {
        if !self.known.lock().insert(*stall.location) {
            return;
        }
        tracing::warn!(
            spawned_at = %stall.location,
            task = stall.task.map(Id::to_bits),
            worker = stall.worker,
            duration_ms = stall.duration.as_secs_f64() * 1e3,
            over = stall.over,
            "{stall}; while it lasts its worker runs nothing else: split it, or use `spawn_blocking`"
        );
        if let Some(callback) = &self.callback {
            contain(|| callback(&stall));
        }
    }
}
