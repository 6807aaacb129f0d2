//! Seeing inside while it runs: which worker polls which task, for how long. Counters are elsewhere (`metrics.rs`); here is
//! what has to look at single polls:
//!
//! - `stall.rs`, the detector of polls that hold up a worker, chosen when the runtime is built;
//! - `trace.rs`, a recording of all polls, begun and ended while the runtime runs.
//!
//! ```text
//!  worker ── around(poll) ─┬► its Watched: what it polls ◄── looks ── the detector's thread
//!                          └► its Track: recorded spans ── Recorder::stop ──► Trace
//! ```
//!
//! Both are off unless asked for, and then cost a poll one load of [`Observers::mode`], a word that is never written.
//!
//! `Watched` and [`Track`] are a worker's: written by its thread, read by others. Lock order: every lock here is a leaf, and no foreign
//! code runs under one.

pub(crate) mod stall;
pub(crate) mod trace;

use crate::sync::prim::atomic::{AtomicU8, Ordering};
use crate::task::Id;
use crossbeam_utils::CachePadded;
use stall::Detector;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;
use trace::Track;

/// Polls are watched by the detector.
const STALLS: u8 = 1;
/// Polls are recorded.
const TRACE: u8 = 2;

/// What is about to be polled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// Where the task was spawned, or `block_on` called.
    pub(crate) location: &'static Location<'static>,
    /// `None`: the future of `block_on`.
    pub(crate) task: Option<Id>,
}

/// Who looks at the polls of a runtime.
pub(crate) struct Observers {
    /// Changed by the recorder only, one at a time. Workers read it Relaxed: who sees a change late records a poll too few
    /// or too many, and what a track holds is guarded by its own lock.
    mode: AtomicU8,
    detector: Option<Arc<Detector>>,
    tracks: Box<[CachePadded<Track>]>,
}

impl Observers {
    pub(crate) fn new(workers: usize, detector: Option<Arc<Detector>>) -> Observers {
        let mode = if detector.is_some() { STALLS } else { 0 };
        let tracks = (0..workers).map(|_| CachePadded::default()).collect();
        Observers { mode: AtomicU8::new(mode), detector, tracks }
    }

    #[inline]
    fn mode(&self) -> u8 {
        self.mode.load(Ordering::Relaxed)
    }

    /// Runs `poll` on this worker, with everybody looking who wants to.
    #[inline]
    pub(crate) fn around<R>(&self, worker: usize, subject: Subject, poll: impl FnOnce() -> R) -> R {
        match self.mode() {
            0 => poll(),
            mode => self.observed(mode, worker, subject, poll),
        }
    }

    fn observed<R>(&self, mode: u8, worker: usize, subject: Subject, poll: impl FnOnce() -> R) -> R {
        let start = (mode & TRACE != 0).then(crate::sync::prim::now);
        let result = match &self.detector {
            None => poll(),
            Some(detector) => detector.around(worker, subject, poll),
        };
        if let Some(start) = start {
            self.tracks[worker].record(trace::Activity::Poll(subject), start, crate::sync::prim::now());
        }
        result
    }

    /// The worker's thread hands its seat over in the middle of a poll, which is not watched from here on.
    pub(crate) fn hand_over(&self, worker: usize) {
        if let Some(detector) = &self.detector {
            detector.hand_over(worker);
        }
    }

    /// Somebody is this worker from now on. A current-thread runtime has none between two `block_on`s, which counts as parked.
    #[inline]
    pub(crate) fn begin(&self, worker: usize) {
        if let Some(detector) = &self.detector {
            detector.unpark(worker);
        }
    }

    /// The worker is about to park, or nobody is it any more.
    #[inline]
    pub(crate) fn park(&self, worker: usize) {
        if let Some(detector) = &self.detector {
            detector.park(worker);
        }
    }

    /// The worker has been parked from `start` to `end`.
    #[inline]
    pub(crate) fn unpark(&self, worker: usize, start: Instant, end: Instant) {
        let mode = self.mode();
        if mode == 0 {
            return;
        }
        if let Some(detector) = &self.detector {
            detector.unpark(worker);
        }
        if mode & TRACE != 0 {
            self.tracks[worker].record(trace::Activity::Park, start, end);
        }
    }

    /// The polls of a worker that the detector found too long.
    pub(crate) fn long_polls(&self, worker: usize) -> u64 {
        self.detector.as_ref().map_or(0, |detector| detector.long_polls(worker))
    }

    /// The runtime ends: the detector's thread does, too.
    pub(crate) fn close(&self) {
        if let Some(detector) = &self.detector {
            detector.close();
        }
    }

    /// Begins to record, at most `capacity` spans of each worker; false: somebody does already.
    pub(crate) fn start_trace(&self, start: Instant, capacity: usize) -> bool {
        // Acquire pairs with the Release in `stop_trace`.
        if self.mode.fetch_or(TRACE, Ordering::Acquire) & TRACE != 0 {
            return false;
        }
        self.tracks.iter().for_each(|track| track.start(start, capacity));
        true
    }

    /// Ends the recording; what was recorded, worker by worker.
    pub(crate) fn stop_trace(&self) -> Vec<trace::Recorded> {
        let recorded = self.tracks.iter().filter_map(|track| track.stop()).collect();
        // Release, after the tracks are taken: whoever begins the next recording (Acquire in `start_trace`) has them
        // for itself.
        self.mode.fetch_and(!TRACE, Ordering::Release);
        recorded
    }
}
