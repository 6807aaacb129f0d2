//! A task's state: one word that says who may do what with it.
//!
//! | bit | name | meaning |
//! |---|---|---|
//! | 0 | `SCHEDULED` | a [`Notified`](super::header::Notified) exists: in a queue, in a slot, or in somebody's hands |
//! | 1 | `RUNNING` | a thread polls the future or drops it; the *stage* (future or output) is its alone |
//! | 2 | `DONE` | the future is gone; the output, if wanted, is in the stage and belongs to the `JoinHandle` |
//! | 3 | `JOIN` | the `JoinHandle` lives and has not let go of the output |
//! | 4 | `JOIN_WAKER` | the join waker is set and belongs to the completer; without this bit it is the handle's |
//! | 5 | `CANCEL` | an abort was asked for |
//! | 6… | references | `JoinHandle`, `AbortHandle`s, `Waker`s, and **one** for the scheduler until the task has ended |
//!
//! | from → to | who | how |
//! |---|---|---|
//! | idle → `SCHEDULED` | any waker, an abort, shutdown | [`State::wake_by_ref`], [`State::wake_by_value`], [`State::abort`], [`State::abort_idle`]; who sets the bit has the `Notified` and must queue it |
//! | `SCHEDULED` → `RUNNING` | the owner of the `Notified` | [`State::start`] |
//! | `RUNNING` → idle or `SCHEDULED` | the runner, after Pending | [`State::pause`]; a wake-up or yield meanwhile makes it `SCHEDULED`, and the runner queues it |
//! | `RUNNING` → `DONE` | the runner, after Ready, a panic or an abort | [`State::finish_unjoined`], [`State::finish_joined`] |
//! | `JOIN` cleared | the handle when dropped | [`State::detach`]; after `DONE` it owns the output instead |
//! | `JOIN_WAKER` set, cleared | the handle, and only before `DONE` | [`State::give_waker`], [`State::take_waker_back`] |
//!
//! **Every wake-up is a read-modify-write with Release, even one that changes nothing**: data that was published
//! before a wake of an already scheduled task is seen by its next poll, whose `start` acquires.
//!
//! **The solo path.** When the word holds nothing but the scheduler's reference, no handle and no waker exists, so
//! nobody else changes the word of a scheduled or running task: plain loads and stores take the place of the
//! read-modify-writes. (Shutdown reaches tasks by the live list, without a reference. It therefore changes the word of
//! an *idle* task only, see [`State::abort_idle`].) The load that
//! finds this is an Acquire: it pairs with the Release of the `ref_dec` or `detach` that let go of the last other
//! reference, and thus orders after everything that its owner did. New wakers are made during a poll only, by code
//! that the runner calls; they are counted in this word before they can leave the thread.
//!
//! **Who drops what.** The future: the runner. The output: the handle if `DONE` came first, else (`JOIN` gone) the
//! runner. The join waker: the completer if `JOIN_WAKER` is set at `DONE`, else the handle. The memory: whoever
//! lets go of the last reference.

use crate::sync::prim::atomic::{AtomicUsize, Ordering};

const SCHEDULED: usize = 1;
const RUNNING: usize = 1 << 1;
const DONE: usize = 1 << 2;
const JOIN: usize = 1 << 3;
const JOIN_WAKER: usize = 1 << 4;
const CANCEL: usize = 1 << 5;
const REF: usize = 1 << 6;
/// What is left when only the scheduler knows the task.
const SOLO: usize = REF;
/// More references than memory can hold wakers for: they have been leaked, and would wrap.
const REFS_MAX: usize = usize::MAX / 2;

/// The word; see the module's tables.
#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

/// What [`State::start`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// Poll it.
    Run,
    /// An abort was asked for: drop the future instead.
    Cancelled,
}

/// What is to be done with a task that is Pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    /// Nothing: a waker will schedule it.
    Idle,
    /// Queue it: it was woken while it ran, or yielded.
    Again,
    /// Drop the future: an abort was asked for. Still `RUNNING`.
    Cancelled,
}

/// What is left to do after [`State::finish_joined`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Nothing; the scheduler's reference has been let go of, so the task must not be touched any more.
    HandedOver,
    /// Take the join waker, wake it, then let go of the scheduler's reference.
    WakeJoiner,
    /// The handle went away meanwhile: drop the output, then let go of the scheduler's reference.
    Unwanted,
}

/// What is left to do after a wake-up by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Nothing,
    /// The caller has the `Notified` now.
    Schedule,
    /// It was the last reference to a task that has ended.
    Free,
}

/// What the handle owns when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Detached {
    /// The task has ended: what is left of its output is the handle's.
    pub(crate) done: bool,
    /// The join waker, if any, is the handle's: the completer will not look at it.
    pub(crate) waker: bool,
}

impl State {
    /// A task that is about to be queued, with the scheduler's and its handle's reference.
    pub(crate) fn new() -> State {
        State(AtomicUsize::new(SCHEDULED | JOIN | (2 * REF)))
    }

    /// The owner of the `Notified` begins to run it.
    #[inline]
    pub(crate) fn start(&self) -> Started {
        // Acquire: see "The solo path".
        if self.0.load(Ordering::Acquire) == SOLO | SCHEDULED {
            // Relaxed: nobody else can look.
            self.0.store(SOLO | RUNNING, Ordering::Relaxed);
            return Started::Run;
        }
        // One bit is set and the other not, so exclusive-or swaps them. Acquire pairs with the Release of wakers and
        // of the runner before; Release carries on what this thread did before it ran the task.
        let before = self.0.fetch_xor(SCHEDULED | RUNNING, Ordering::AcqRel);
        debug_assert_eq!(
            before & (SCHEDULED | RUNNING | DONE),
            SCHEDULED,
            "a task was run without its right"
        );
        if before & CANCEL == 0 { Started::Run } else { Started::Cancelled }
    }

    /// The poll returned Pending. `yielded`: queue it again.
    #[inline]
    pub(crate) fn pause(&self, yielded: bool) -> Paused {
        let (idle, again) = (SOLO, SOLO | SCHEDULED);
        // Acquire: see "The solo path".
        let mut word = self.0.load(Ordering::Acquire);
        if word == SOLO | RUNNING {
            // Release pairs with the Acquire of `abort_idle`, for a task that is idle now. Whoever takes one from a
            // queue is ordered by the queue.
            self.0.store(if yielded { again } else { idle }, Ordering::Release);
            return if yielded { Paused::Again } else { Paused::Idle };
        }
        loop {
            debug_assert_eq!(word & (RUNNING | DONE), RUNNING);
            let (next, paused) = if yielded || word & SCHEDULED != 0 {
                ((word & !RUNNING) | SCHEDULED, Paused::Again)
            } else if word & CANCEL != 0 {
                return Paused::Cancelled;
            } else {
                (word & !RUNNING, Paused::Idle)
            };
            // Release pairs with the Acquire of the next `start`: that runner sees what this poll wrote.
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return paused,
                Err(now) => word = now,
            }
        }
    }

    /// For the running task's own code: was it woken during this poll? Once true it stays true until the poll ends.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        // Relaxed: what was published before the wake is for the next poll, whose `start` acquires.
        self.0.load(Ordering::Relaxed) & SCHEDULED != 0
    }

    #[cfg(all(test, not(runtime_loom)))]
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) & (SCHEDULED | RUNNING | DONE) == 0
    }

    /// Does the handle want the output? Once false it stays false. For the runner.
    #[inline]
    pub(crate) fn is_joined(&self) -> bool {
        // Acquire pairs with the Release of `detach`, for the caller may find itself alone.
        self.0.load(Ordering::Acquire) & JOIN != 0
    }

    /// Ends a task whose handle is gone, and lets go of the scheduler's reference. True: it was the last.
    #[inline]
    pub(crate) fn finish_unjoined(&self) -> bool {
        if self.0.load(Ordering::Acquire) == SOLO | RUNNING {
            return true;
        }
        // `RUNNING` is set and `DONE` is not, and there is our reference, so this is the same as three changes of
        // bits. Release: the memory's next owner sees what we did; Acquire: as that owner we see what others did.
        let before = self.0.fetch_sub(REF + RUNNING - DONE, Ordering::AcqRel);
        debug_assert_eq!(before & (RUNNING | DONE | JOIN), RUNNING);
        before / REF == 1
    }

    /// Ends a task whose output has been stored for the handle.
    #[inline]
    pub(crate) fn finish_joined(&self) -> Finished {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert_eq!(word & (RUNNING | DONE), RUNNING);
            let (next, finished) = match (word & JOIN != 0, word & JOIN_WAKER != 0) {
                (true, false) => (word - REF - RUNNING + DONE, Finished::HandedOver),
                (true, true) => (word - RUNNING + DONE, Finished::WakeJoiner),
                (false, _) => (word - RUNNING + DONE, Finished::Unwanted),
            };
            // Release pairs with the Acquire of the handle that finds `DONE`, and reads the output; Acquire with the
            // Release of `give_waker`, for the waker.
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return finished,
                Err(now) => word = now,
            }
        }
    }

    /// True: the task was idle, and the caller has the `Notified` now.
    #[inline]
    #[must_use = "the task has to be queued"]
    pub(crate) fn wake_by_ref(&self) -> bool {
        // Release pairs with the Acquire of `start`, also when the bit was set already.
        let before = self.0.fetch_or(SCHEDULED, Ordering::AcqRel);
        before & (SCHEDULED | RUNNING | DONE) == 0
    }

    /// Wakes and lets go of the caller's reference in one step.
    #[inline]
    #[must_use = "the task has to be queued or freed"]
    pub(crate) fn wake_by_value(&self) -> Woken {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = (word | SCHEDULED) - REF;
            // As in `wake_by_ref`, and as in `ref_dec`.
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if word / REF == 1 => return Woken::Free,
                Ok(_) if word & (SCHEDULED | RUNNING | DONE) == 0 => return Woken::Schedule,
                Ok(_) => return Woken::Nothing,
                Err(now) => word = now,
            }
        }
    }

    /// Asks for an abort. True: the task was idle, and the caller has the `Notified` now.
    #[inline]
    #[must_use = "the task has to be queued"]
    pub(crate) fn abort(&self) -> bool {
        // A running task looks at `CANCEL` when its poll is over; it must not find `SCHEDULED` there too, which is
        // harmless but would cost it a round through the queue. Hence no plain `fetch_or` of both.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let scheduled = if word & (RUNNING | DONE) == 0 { SCHEDULED } else { 0 };
            match self.0.compare_exchange_weak(
                word,
                word | CANCEL | scheduled,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return word & (SCHEDULED | RUNNING | DONE) == 0,
                Err(now) => word = now,
            }
        }
    }

    /// Asks for an abort if the task is idle, for shutdown, which has no reference to it. True: the caller has the
    /// `Notified` now. A task that is scheduled or running is left alone, for its runner may be on the solo path.
    #[inline]
    #[must_use = "the task has to be queued"]
    pub(crate) fn abort_idle(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while word & (SCHEDULED | RUNNING | DONE) == 0 {
            let next = word | SCHEDULED | CANCEL;
            // Acquire pairs with the Release of `pause`: what the last poll wrote comes before the future's drop.
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // Acquire pairs with the Release of `finish_joined`: the output is visible.
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    /// The handle has filled the waker's place and gives it to the completer; false: too late, it is done.
    #[inline]
    #[must_use = "a waker that was not given is still the handle's"]
    pub(crate) fn give_waker(&self) -> bool {
        // Release pairs with the Acquire of `finish_joined`.
        self.change_unless_done(|word| {
            debug_assert_eq!(word & (JOIN | JOIN_WAKER), JOIN);
            word | JOIN_WAKER
        })
        .is_ok()
    }

    /// The waker's place is the handle's again if it was given away; false: too late, it is done.
    #[inline]
    #[must_use = "a waker that was not taken back is the completer's"]
    pub(crate) fn take_waker_back(&self) -> bool {
        // A handle that never gave one needs no change: only it sets `JOIN_WAKER`.
        let word = self.0.load(Ordering::Acquire);
        if word & (DONE | JOIN_WAKER) == 0 {
            return true;
        }
        self.change_unless_done(|word| word & !JOIN_WAKER).is_ok()
    }

    /// The handle goes: what it owns from now on, see [`Detached`]. It keeps its reference.
    #[inline]
    pub(crate) fn detach(&self) -> Detached {
        match self.change_unless_done(|word| word & !(JOIN | JOIN_WAKER)) {
            Ok(_) => Detached { done: false, waker: true },
            Err(word) => Detached { done: true, waker: word & JOIN_WAKER == 0 },
        }
    }

    /// Has nothing happened to the task yet? A hint, for `detach_fresh`.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SCHEDULED | JOIN | (2 * REF)
    }

    /// The commonest way for a handle to go, in one step: at once, before anything has happened to its task.
    #[inline]
    pub(crate) fn detach_fresh(&self) -> bool {
        let (fresh, detached) = (SCHEDULED | JOIN | (2 * REF), SCHEDULED | REF);
        // Release pairs with the Acquire of the solo path.
        self.0.compare_exchange(fresh, detached, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Changes the word unless it is done, and then returns it.
    fn change_unless_done(&self, change: impl Fn(usize) -> usize) -> Result<(), usize> {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            if word & DONE != 0 {
                return Err(word);
            }
            match self.0.compare_exchange_weak(word, change(word), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// A further reference, made from one that the caller has.
    #[inline]
    pub(crate) fn ref_inc(&self) {
        // Relaxed: the new reference reaches other threads by a way that orders.
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        if before > REFS_MAX {
            std::process::abort();
        }
    }

    /// Lets go of a reference. True: it was the last, the caller frees the memory.
    #[inline]
    #[must_use = "the last reference has to free the memory"]
    pub(crate) fn ref_dec(&self) -> bool {
        // Release: what was done through this reference comes before the memory is freed, or the solo path is taken;
        // Acquire: for the one who frees it.
        let before = self.0.fetch_sub(REF, Ordering::AcqRel);
        debug_assert!(before >= REF, "a reference too many was let go of");
        before / REF == 1
    }
}

#[cfg(all(test, not(runtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_detached_task_runs_solo_to_its_end() {
        let state = State::new();
        assert!(state.detach_fresh());
        assert_eq!(state.start(), Started::Run);
        assert_eq!(state.pause(true), Paused::Again);
        assert_eq!(state.start(), Started::Run);
        assert!(!state.is_joined());
        assert!(state.finish_unjoined(), "the scheduler's was the last reference");
    }

    #[test]
    fn a_wake_during_the_poll_queues_again_and_only_once() {
        let state = State::new();
        assert_eq!(state.start(), Started::Run);
        assert!(!state.wake_by_ref());
        assert!(!state.wake_by_ref());
        assert_eq!(state.pause(false), Paused::Again);
        assert_eq!(state.start(), Started::Run);
        assert_eq!(state.pause(false), Paused::Idle);
        assert!(state.is_idle());
        state.ref_inc();
        assert_eq!(state.wake_by_value(), Woken::Schedule);
        assert!(!state.wake_by_ref());
    }

    #[test]
    fn an_abort_reaches_idle_scheduled_and_running_tasks() {
        let state = State::new();
        assert!(!state.abort(), "it is scheduled already");
        assert_eq!(state.start(), Started::Cancelled);
        let state = State::new();
        assert_eq!(state.start(), Started::Run);
        assert!(!state.abort());
        assert_eq!(state.pause(false), Paused::Cancelled);
        let state = State::new();
        assert_eq!(state.start(), Started::Run);
        assert_eq!(state.pause(false), Paused::Idle);
        assert!(state.abort());
        assert!(!state.abort());
        assert_eq!(state.start(), Started::Cancelled);
        assert_eq!(state.finish_joined(), Finished::HandedOver);
        assert!(!state.abort(), "it is done");
        assert!(state.ref_dec());
    }

    #[test]
    fn the_join_waker_changes_hands() {
        let state = State::new();
        assert!(state.take_waker_back());
        assert!(state.give_waker());
        assert!(state.take_waker_back());
        assert!(state.give_waker());
        assert_eq!(state.start(), Started::Run);
        assert_eq!(state.finish_joined(), Finished::WakeJoiner);
        assert!(!state.take_waker_back());
        assert!(!state.ref_dec());
        assert_eq!(state.detach(), Detached { done: true, waker: false });
        assert!(state.ref_dec());
    }

    #[test]
    fn a_handle_that_goes_first_leaves_the_output_to_the_runner() {
        let state = State::new();
        assert_eq!(state.start(), Started::Run);
        assert!(state.give_waker());
        assert_eq!(state.detach(), Detached { done: false, waker: true });
        assert!(!state.ref_dec());
        assert!(!state.is_joined());
        assert!(state.finish_unjoined());
    }
}
