//! The parent's end of a lane. One thread at a time, under whatever lock the lane is under: no call waits.

use super::page::{AWAKE, FOR_INPUT, FOR_SPACE, Ordering, fence};
use super::payload::Payload;
use super::ring::{Consumer, Producer};
use super::{Bell, Broken, Memory, SendError};
use crate::process_pool::frame::{Header, Kind};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};

/// See the [module](super).
#[derive(Debug)]
pub(crate) struct ParentEnd {
    memory: Memory,
    output: Producer,
    input: Consumer,
    bell: Bell,
    /// `parent_sleeps` may be 1.
    armed: bool,
    /// The position of `input` when the worker was last told of freed space.
    freed: u64,
    /// What `next` is at least, by all that was seen of it.
    claimed: Cell<u64>,
}

impl ParentEnd {
    pub(super) fn new(memory: Memory, bell: Bell) -> ParentEnd {
        let (output, input) = (Producer::default(), Consumer::default());
        ParentEnd { memory, output, input, bell, armed: false, freed: 0, claimed: Cell::new(0) }
    }

    /// Sends a frame with the payload `parts`; wakes the worker if it waits for one.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    #[inline]
    pub(crate) fn send(&mut self, header: Header, parts: &[&[u8]]) -> Result<(), SendError> {
        self.push(header, parts)?;
        self.wake();
        Ok(())
    }

    /// Publishes a frame, for a worker that is awake. After some of these, [`wake`](Self::wake).
    ///
    /// # Errors
    /// `Full`: try again when the worker has read something. `TooLong`: more than [`INLINE_MAX`](super::INLINE_MAX).
    #[inline]
    pub(crate) fn push(&mut self, header: Header, parts: &[&[u8]]) -> Result<(), SendError> {
        self.output.push(&self.memory.page().to_worker, self.memory.to_worker(), header, parts)
    }

    /// Wakes the worker if it sleeps and waits for frames.
    #[inline]
    pub(crate) fn wake(&self) {
        self.wake_from(FOR_INPUT);
    }

    /// After a change that a worker sleeping for `reason` waits for.
    #[inline]
    fn wake_from(&self, reason: u32) {
        let sleeps = &self.memory.page().worker_sleeps;
        // Pairs with the fence in `WorkerEnd::sleep_until`: either it sees the change, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if sleeps.load(Ordering::Relaxed) == reason {
            // Relaxed: a worker that is up looks at what changed by itself. Another value: it got up.
            if sleeps.compare_exchange(reason, AWAKE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                sleeps.wake();
            }
        }
    }

    /// The next frame, or `None`. Go on until there is none: only then is a worker sure to be told of the space.
    ///
    /// # Errors
    /// The worker is broken, and has to go.
    #[inline]
    pub(crate) fn receive(&mut self) -> Result<Option<(Header, Payload)>, Broken> {
        let page = self.memory.page();
        if std::mem::take(&mut self.armed) {
            // Whoever is here needs no bell. Relaxed: at worst it rings in vain.
            page.parent_sleeps.swap(0, Ordering::Relaxed);
        }
        let frame = self.input.pop(&page.to_parent, self.memory.to_parent())?;
        let unannounced = self.input.position() - self.freed;
        if unannounced > 0 && (frame.is_none() || unannounced >= self.memory.to_parent().capacity() / 4) {
            self.freed = self.input.position();
            self.wake_from(FOR_SPACE);
        }
        if let Some((Header { kind: Kind::Done | Kind::Panic | Kind::Codec, id, .. }, _)) = frame {
            // It was started, so a claim that says less is wrong. An initializer's answer has the number `u64::MAX`.
            self.claimed.update(|least| least.max(id.wrapping_add(1)));
        }
        Ok(frame)
    }

    /// Before the parent goes to sleep. True: there is no frame, and the bell will ring when there is one. False:
    /// there is something to [`receive`](Self::receive).
    #[inline]
    pub(crate) fn arm(&mut self) -> bool {
        let page = self.memory.page();
        self.armed = true;
        page.parent_sleeps.swap(1, Ordering::Relaxed);
        // Pairs with the fence in `WorkerEnd::ring_bell`: either it sees the 1, or this sees its frames.
        fence(Ordering::SeqCst);
        !self.input.has_more(&page.to_parent)
    }

    /// Takes back all jobs that have not been started. `end`: one past the number of the last job sent. Returns
    /// `n`: the jobs `n..end` will never be started by this worker, and those before `n` have been. The next job to
    /// be sent is number `end`.
    ///
    /// # Errors
    /// The worker's claims are impossible.
    pub(crate) fn recall(&mut self, end: u64) -> Result<u64, Broken> {
        let next = &self.memory.page().claim.next;
        // Acquire, here and where the exchange fails: pairs with `WorkerEnd::claim`. The answers of the jobs before
        // `n - 1` are visible.
        let mut seen = next.load(Ordering::Acquire);
        // Each turn sees a greater number than the one before: the worker cannot keep the parent here.
        loop {
            let least = self.claimed.get();
            if seen < least || seen > end {
                return Err(Broken::Claim { next: seen, least, end });
            }
            self.claimed.set(seen);
            if seen == end {
                return Ok(end);
            }
            // Relaxed: `seen` was acquired already, and nothing is handed over. (An exchange carries on what earlier
            // claims released, so a later Acquire load still has it.)
            match next.compare_exchange(seen, end, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => {
                    self.claimed.set(end);
                    return Ok(seen);
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Whether the worker has read every frame.
    pub(crate) fn is_read(&self) -> bool {
        self.output.is_read(&self.memory.page().to_worker)
    }

    /// The first job that has not been started, by the worker's word, or that of [`recall`](Self::recall). The answers
    /// of all jobs before the last started one are in the ring, or have been received. It never goes back, whatever
    /// the worker writes; nothing says that it is not too great.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        // Pairs with `WorkerEnd::claim`.
        let next = self.memory.page().claim.next.load(Ordering::Acquire).max(self.claimed.get());
        self.claimed.set(next);
        next
    }

    /// When the worker made its last claim, by its word: nanoseconds of CLOCK_MONOTONIC. Read after
    /// [`next`](Self::next) it is the start of job `next - 1`, or later.
    #[inline]
    pub(crate) fn started_at(&self) -> u64 {
        self.memory.page().claim.started_at.load(Ordering::Relaxed)
    }

    /// Becomes readable when the worker rings, until it is [silenced](super::silence): an eventfd.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// What a poller does with [`bell`](Self::bell).
    #[cfg(all(test, runtime_loom))]
    pub(crate) fn await_bell(&self) {
        self.bell.await_ring();
    }

    #[cfg(all(test, not(runtime_loom)))]
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}
