//! The worker's end of a lane. It belongs to the thread that runs the jobs.

use super::page::{AWAKE, FOR_INPUT, FOR_SPACE, Ordering, fence};
use super::payload::Payload;
use super::ring::{Consumer, Producer};
use super::{Bell, Broken, Handed, Memory, RING_BYTES, SendError};
use crate::process_pool::frame::Header;
use std::io;
use std::os::fd::AsFd;

/// See the [module](super).
#[derive(Debug)]
pub(crate) struct WorkerEnd {
    memory: Memory,
    output: Producer,
    input: Consumer,
    bell: Bell,
    /// Frames were sent since the bell was last rung.
    unannounced: bool,
}

impl WorkerEnd {
    /// Maps the memory.
    ///
    /// # Errors
    /// It is not what a parent of this version hands out, or cannot be mapped.
    pub(crate) fn attach(handed: Handed) -> io::Result<WorkerEnd> {
        WorkerEnd::attach_with(handed, RING_BYTES)
    }

    pub(super) fn attach_with(handed: Handed, ring_bytes: usize) -> io::Result<WorkerEnd> {
        let memory = Memory::attach(handed.memory.as_fd(), ring_bytes)?;
        Ok(WorkerEnd::new(memory, Bell::from_fd(handed.bell)))
    }

    pub(super) fn new(memory: Memory, bell: Bell) -> WorkerEnd {
        let (output, input) = (Producer::default(), Consumer::default());
        WorkerEnd { memory, output, input, bell, unannounced: false }
    }

    /// The next frame, or `None`.
    ///
    /// # Errors
    /// The parent is broken.
    #[inline]
    pub(crate) fn receive(&mut self) -> Result<Option<(Header, Payload)>, Broken> {
        self.input.pop(&self.memory.page().to_worker, self.memory.to_worker())
    }

    /// Whether [`receive`](Self::receive) has something to say.
    #[inline]
    pub(crate) fn has_input(&self) -> bool {
        self.input.has_more(&self.memory.page().to_worker)
    }

    /// Starts job `sequence`, at `now_ns` nanoseconds of CLOCK_MONOTONIC. False: it was recalled, so its frame is to
    /// be skipped. The answer of the job before must have been sent.
    #[inline]
    pub(crate) fn claim(&mut self, sequence: u64, now_ns: u64) -> bool {
        let claim = &self.memory.page().claim;
        claim.started_at.store(now_ns, Ordering::Relaxed);
        // Release: pairs with the Acquire loads of `ParentEnd::recall` and `next`. Nothing comes back by it.
        claim
            .next
            .compare_exchange(sequence, sequence.wrapping_add(1), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// The job that was claimed last begins anew, as far as time-outs go.
    #[inline]
    pub(crate) fn restart(&self, now_ns: u64) {
        // Relaxed: only the time counts.
        self.memory.page().claim.started_at.store(now_ns, Ordering::Relaxed);
    }

    /// Sends a frame with the payload `parts`; waits while the ring is full. Rings no bell otherwise.
    ///
    /// # Errors
    /// `TooLong`; `Broken`: the parent is. Never `Full`.
    #[inline]
    pub(crate) fn send(&mut self, header: Header, parts: &[&[u8]]) -> Result<(), SendError> {
        loop {
            match self.output.push(&self.memory.page().to_parent, self.memory.to_parent(), header, parts) {
                Err(SendError::Full) => self.wait_for_space(parts),
                Err(error) => return Err(error),
                Ok(()) => {
                    self.unannounced = true;
                    return Ok(());
                }
            }
        }
    }

    /// Tells a parent that sleeps of the frames sent since the last time.
    #[inline]
    pub(crate) fn ring_bell(&mut self) {
        if !std::mem::take(&mut self.unannounced) {
            return;
        }
        let sleeps = &self.memory.page().parent_sleeps;
        // Pairs with the fence in `ParentEnd::arm`: either it sees the frames, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        // Relaxed: the bell is all that is handed over. A parent that is up will arm, and look, again.
        if sleeps.load(Ordering::Relaxed) != 0 && sleeps.swap(0, Ordering::Relaxed) != 0 {
            self.bell.ring();
        }
    }

    /// Sleeps until there is a frame, after ringing the bell if any are unannounced.
    pub(crate) fn wait(&mut self) {
        self.ring_bell();
        self.sleep_until(FOR_INPUT, |end| end.has_input());
    }

    #[cold]
    fn wait_for_space(&mut self, parts: &[&[u8]]) {
        self.ring_bell();
        self.sleep_until(FOR_SPACE, |end| {
            end.output.may_push(&end.memory.page().to_parent, end.memory.to_parent(), parts)
        });
    }

    /// Sleeps until `over`, which the parent is to tell of by waking those that sleep for `reason`.
    fn sleep_until(&mut self, reason: u32, mut over: impl FnMut(&mut WorkerEnd) -> bool) {
        loop {
            self.memory.page().worker_sleeps.swap(reason, Ordering::Relaxed);
            // Pairs with the fence in `ParentEnd::wake_from`: either it sees that this sleeps, or this sees the change.
            fence(Ordering::SeqCst);
            if over(self) {
                // Relaxed: at worst it is woken in vain.
                self.memory.page().worker_sleeps.swap(AWAKE, Ordering::Relaxed);
                return;
            }
            self.memory.page().worker_sleeps.wait(reason);
        }
    }

    #[cfg(all(test, not(runtime_loom)))]
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}
