//! The slots as a whole: how many workers there are and should be, where the next one goes, and who reads their lanes.

use super::{
    super::{CallError, Rejection},
    Stage, State,
    worker::{Life, Worker},
};
use crate::handle::Handle;
use std::{
    os::fd::OwnedFd,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

/// A runtime whose tasks have left answers unread is not tried again before, unless they read by themselves.
const DISTRUST: Duration = Duration::from_secs(1);

/// Who reads the lanes besides the keeper: a task for each, on one runtime.
#[derive(Debug, Default)]
pub(super) struct Readers {
    handle: Option<Handle>,
    /// Changes with the runtime. Tasks with an earlier number are on their way out.
    number: u64,
    /// They were found absent: no new ones, and until then no other try on that runtime.
    missed: Option<Instant>,
}

impl State {
    // ---- readers ---------------------------------------------------------------------------------------

    /// Whether the keeper is to wait for the lanes' bells.
    pub(in crate::process_pool) fn keeper_reads(&self) -> bool {
        self.keeper_reads
    }

    /// Somebody awaits a call on this runtime: its tasks are to read the lanes, unless another's do. The keeper reads
    /// until they say that they have begun. What comes back is to be dropped outside the lock.
    pub(in crate::process_pool) fn attach(&mut self, handle: Handle) -> Option<Handle> {
        let readers = &mut self.readers;
        if let Some(present) = &readers.handle {
            let replace =
                readers.missed.is_some_and(|until| present.id() != handle.id() || Instant::now() >= until);
            if !replace {
                return Some(handle);
            }
        }
        readers.number += 1;
        readers.missed = None;
        let old = readers.handle.replace(handle);
        self.want_keeper();
        old
    }

    /// The runtime on which lanes are to be read, and the number of the readers there.
    pub(in crate::process_pool) fn reader(&self) -> Option<(u64, Handle)> {
        let handle = self.readers.handle.as_ref().filter(|_| self.readers.missed.is_none())?;
        Some((self.readers.number, handle.clone()))
    }

    /// Those with another number are to be replaced.
    pub(in crate::process_pool) fn readers_number(&self) -> u64 {
        self.readers.number
    }

    /// One of these readers has drained a lane: so they are at work.
    pub(in crate::process_pool) fn was_read(&mut self, number: u64) {
        if number == self.readers.number && self.readers.handle.is_some() {
            self.look.found_a_reader();
            self.readers.missed = None;
            self.keeper_reads = false;
        }
    }

    /// The readers leave answers unread: their runtime is stuck, or not run.
    pub(super) fn miss_readers(&mut self, now: Instant) {
        if !self.keeper_reads {
            self.keeper_reads = true;
            self.readers.missed = now.checked_add(DISTRUST);
        }
    }

    /// The reader of this lane is gone. If its worker is not, its runtime is. What comes back is to be dropped outside
    /// the lock.
    pub(in crate::process_pool) fn reader_left(
        &mut self,
        number: u64,
        slot: usize,
        bell: &Arc<OwnedFd>,
    ) -> Option<Handle> {
        let its = |worker: &Worker| Arc::ptr_eq(&worker.bell, bell);
        if number != self.readers.number || !self.slots[slot].worker.as_ref().is_some_and(its) {
            return None;
        }
        self.readers.number += 1;
        self.readers.missed = None;
        self.keeper_reads = true;
        self.want_keeper();
        self.readers.handle.take()
    }

    // ---- slots -----------------------------------------------------------------------------------------

    /// The slot to start a worker in now, if one is wanted and may be started.
    pub(in crate::process_pool) fn slot_to_fill(&self, now: Instant) -> Option<usize> {
        if !self.wants_worker() || !self.breaker.allows(now, self.starting()) {
            return None;
        }
        self.slot_for_pinned().or_else(|| self.slots.iter().position(|slot| slot.worker.is_none()))
    }

    pub(super) fn wants_worker(&self) -> bool {
        let occupied = self.occupied();
        match self.stage {
            Stage::Open => occupied < self.desired,
            Stage::Draining(_) => occupied < self.desired && self.queued > 0,
            Stage::Leaving | Stage::Killing | Stage::Finished => false,
        }
    }

    pub(super) fn occupied(&self) -> usize {
        self.slots.iter().filter(|slot| slot.worker.is_some()).count()
    }

    pub(super) fn starting(&self) -> usize {
        self.count(|life| matches!(life, Life::Starting(_)))
    }

    pub(super) fn ready_workers(&self) -> usize {
        self.count(|life| life == Life::Ready)
    }

    /// Some worker is ready, or the one in that slot.
    pub(super) fn has_worker_for(&self, slot: Option<usize>) -> bool {
        match slot {
            Some(slot) => self.slots[slot].worker.as_ref().is_some_and(Worker::is_ready),
            None => self.ready_workers() > 0,
        }
    }

    fn count(&self, is: impl Fn(Life) -> bool) -> usize {
        self.slots.iter().filter(|slot| slot.worker.as_ref().is_some_and(|worker| is(worker.life))).count()
    }

    /// The processes that are not yet reaped.
    pub(in crate::process_pool) fn pids(&self) -> Vec<u32> {
        self.slots.iter().filter_map(|slot| slot.worker.as_ref()).map(|worker| worker.process.pid()).collect()
    }

    /// Asks for all workers, and tells whether they are ready. Otherwise `waker` is woken at the next change.
    pub(in crate::process_pool) fn poll_all_ready(
        &mut self,
        waker: &mut Option<Waker>,
    ) -> Option<Result<(), CallError>> {
        if self.stage != Stage::Open {
            return Some(Err(CallError::Rejected(Rejection::Closed)));
        }
        if self.ready_workers() == self.slots.len() {
            return Some(Ok(()));
        }
        if let Some(cause) = self.breaker.refuses(Instant::now()) {
            return Some(Err(CallError::Spawn(cause.to_error())));
        }
        self.desired = self.slots.len();
        self.want_keeper();
        self.watch(waker);
        None
    }
}
