//! The slots as a whole: how many workers there are and should be, where the next one goes, and who reads their lanes.

use super::{
    super::{CallError, Rejection},
    Stage, State,
    lanes::Life,
};
use crate::handle::Handle;
use std::{os::fd::OwnedFd, sync::Arc, task::Waker, time::Instant};

impl State {
    // ---- readers ---------------------------------------------------------------------------------------

    /// Whether the keeper is to wait for the lanes' bells.
    pub(in crate::process_pool) fn keeper_reads(&self) -> bool {
        self.keeper_reads
    }

    /// Somebody awaits a call on this runtime: its tasks are to read the lanes, unless another's do.
    pub(in crate::process_pool) fn attach(&mut self, handle: Handle) {
        if self.reader.is_none() {
            self.reader = Some(handle);
            self.want_keeper();
        } else {
            self.keeper_reads = false;
            self.look.unread = 0;
        }
    }

    /// The runtime on which lanes are to be read.
    pub(in crate::process_pool) fn reader(&self) -> Option<Handle> {
        self.reader.clone()
    }

    /// The reader of this lane is gone. If its worker is not, its runtime is.
    pub(in crate::process_pool) fn reader_left(&mut self, slot: usize, bell: &Arc<OwnedFd>) {
        if self.slots[slot].worker.as_ref().is_some_and(|worker| Arc::ptr_eq(&worker.bell, bell)) {
            self.reader = None;
            self.keeper_reads = true;
            self.want_keeper();
        }
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
