//! The reactor's half of I/O: what each registered descriptor is ready for, and who waits for it. How an event finds its
//! descriptor is in `registry.rs`.
//!
//! A **source** is shared by the registry (which finds it by an event's key) and by its `Registration` (which the
//! socket owns). Its state is one word and one locked list of waiters:
//!
//! ```text
//!   readiness:  tick (57 bits) << 7 | shut down << 6 | Ready (6 bits)
//! ```
//!
//! | field     | set by                                  | cleared by                                               |
//! |-----------|-----------------------------------------|----------------------------------------------------------|
//! | Ready     | the turn that serves an event           | whoever noted it, unless the tick has moved since        |
//! | shut down | `Registry::shutdown`                    | never                                                    |
//! | tick      | each event adds one                     | never; at an event per nanosecond it wraps in four years |
//!
//! **No readiness is lost.** Whoever performs I/O notes the word first, and clears what it noted only if the tick is
//! still the same: an event that was served between the attempt and the clearing keeps the source ready, and the
//! attempt is made again. Events of the other direction move the tick too; that costs one more `EAGAIN`. Two results
//! of an attempt allow the clearing:
//! - `EAGAIN`. Nothing was there; what arrives afterwards brings an event of its own.
//! - A **transfer of fewer bytes than asked for**, or one after which the kernel counts none that are left (`TCP_INQ`),
//!   on a TCP connection only. Let F be when the noted event was fetched,
//!   A the attempt, with F < A. The attempt stopped because nothing more was there (or no more room). What comes after
//!   A brings an event that is fetched after F, hence moves the tick or sets the bit again, whichever order the
//!   clearing has to it. What came before A and is *not* taken away by a read can be: the end of the stream, an error,
//!   urgent data, at which a read stops short. If it came after F, it has its own event, too; if before F, the noted
//!   word says so: `READ_CLOSED` stays, and with `PRIORITY` or `ERROR` there is no clearing. This needs a poller whose
//!   events hold the end of the stream (`SAYS_CLOSED`). Elsewhere than on TCP a read may stop short at other marks
//!   (descriptors sent along on a Unix stream, records), so there only `EAGAIN` counts.
//!
//! A descriptor that moves (`queues.rs`) may have events of two queues on their way, served in any order and at once. For F
//! take the latest fetch of those served before the noting. Whatever happened after F is in an event that is fetched after F, by the
//! queue where the descriptor was or by the one it entered since; it is served after the noting, hence moves the tick or sets the bit again.
//! One that was fetched before F and is served late says nothing new, and costs an `EAGAIN`.
//!
//! **No wake-up is lost.** A task stores its waker under the waiters' lock and then reads the word once more before it
//! sleeps; the turn sets the word before it takes that lock. One of the two sees the other.
//!
//! Lock order: registry, then waiters. Wakers are cloned before and dropped or called after either.

use std::fmt;
use std::future::Future;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::poller::{Key, SAYS_CLOSED};
use super::queues::Home;
use super::{Handle, Shutdown};
use crate::io::{Interest, Ready};
use crate::sync::prim::Mutex;
use crate::sync::prim::atomic::{AtomicU64, Ordering};

const SHUT_DOWN: u64 = 1 << 6;
const TICK: u64 = 1 << 7;

/// The state of one registered descriptor.
pub(super) struct Source {
    readiness: AtomicU64,
    waiters: Mutex<Waiters>,
}

/// Who waits. The two slots serve the `poll_*` functions, where the latest caller of a direction replaces the one
/// before, as `Future::poll` does; the list serves the async functions, of which any number may wait.
#[derive(Default)]
struct Waiters {
    reader: Option<Waker>,
    writer: Option<Waker>,
    list: Slab<Waiter>,
}

struct Waiter {
    mask: Ready,
    waker: Option<Waker>,
}

/// One of the two slots of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    pub(crate) fn interest(self) -> Interest {
        match self {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        }
    }
}

/// A readiness as noted before an attempt at I/O.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyEvent {
    /// What of it was waited for; what clearing takes back.
    pub(crate) ready: Ready,
    /// All of it.
    noted: Ready,
    tick: u64,
}

/// What the result of an attempt says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Another attempt is worth while.
    MaybeMore,
    /// `EAGAIN`.
    WouldBlock,
    /// Fewer bytes than asked for, on a descriptor for which that means that there were no more.
    Drained,
}

impl Source {
    pub(super) fn new(initial: Ready) -> Source {
        Source { readiness: AtomicU64::new(initial.bits().into()), waiters: Mutex::default() }
    }

    /// What `mask` has of the present state; `None` when it has nothing.
    fn check(&self, mask: Ready) -> Option<Result<ReadyEvent, Shutdown>> {
        // Acquire pairs with Release in `set` and `shut_down`: what was done before the event is visible.
        let word = self.readiness.load(Ordering::Acquire);
        if word & SHUT_DOWN != 0 {
            return Some(Err(Shutdown));
        }
        let noted = Ready::from_bits(word as u8);
        let ready = noted & mask;
        (!ready.is_empty()).then_some(Ok(ReadyEvent { ready, noted, tick: word / TICK }))
    }

    /// An event: adds `ready`, moves the tick, collects the wakers of those who waited for it.
    #[inline]
    pub(super) fn set(&self, ready: Ready, woken: &mut Vec<Waker>) {
        let update = |word: u64| Some(word.wrapping_add(TICK) | u64::from(ready.bits()));
        // Release pairs with Acquire in `check`. The closure never declines, so there is no error to look at.
        let _ = self.readiness.fetch_update(Ordering::AcqRel, Ordering::Relaxed, update);
        let mut waiters = self.waiters.lock();
        if ready.intersects(Direction::Read.interest().mask()) {
            woken.extend(waiters.reader.take());
        }
        if ready.intersects(Direction::Write.interest().mask()) {
            woken.extend(waiters.writer.take());
        }
        let listed = waiters.list.iter_mut().filter(|(_, waiter)| waiter.mask.intersects(ready));
        woken.extend(listed.filter_map(|(_, waiter)| waiter.waker.take()));
    }

    pub(super) fn shut_down(&self, woken: &mut Vec<Waker>) {
        // Release pairs with Acquire in `check`.
        self.readiness.fetch_or(SHUT_DOWN, Ordering::AcqRel);
        let mut waiters = self.waiters.lock();
        woken.extend(waiters.reader.take());
        woken.extend(waiters.writer.take());
        woken.extend(waiters.list.iter_mut().filter_map(|(_, waiter)| waiter.waker.take()));
    }

    /// Takes back what was noted in `event`, unless another event has arrived since.
    fn clear(&self, event: ReadyEvent) {
        let update = |word: u64| (word / TICK == event.tick).then_some(word & !u64::from(event.ready.bits()));
        // An Err means that the tick has moved: the readiness is newer than the attempt, and stays. AcqRel keeps the chain
        // from `set` to `check`: who sees the word without these bits sees what was done before the event, too.
        let _ = self.readiness.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    /// Clears what `outcome` of the attempt after `event` has disproved; the module's docs say why it may.
    pub(super) fn note(&self, event: ReadyEvent, outcome: Outcome) {
        match outcome {
            Outcome::MaybeMore => {}
            Outcome::WouldBlock => self.clear(event),
            Outcome::Drained if event.noted.intersects(Ready::PRIORITY | Ready::ERROR) => {}
            Outcome::Drained => {
                self.clear(ReadyEvent { ready: event.ready & (Ready::READABLE | Ready::WRITABLE), ..event });
            }
        }
    }

    pub(super) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<Result<ReadyEvent, Shutdown>> {
        let mask = direction.interest().mask();
        if let Some(state) = self.check(mask) {
            return Poll::Ready(state);
        }
        let waker = cx.waker().clone();
        let _old; // declared before the guard, hence dropped after it
        let mut waiters = self.waiters.lock();
        let slot = match direction {
            Direction::Read => &mut waiters.reader,
            Direction::Write => &mut waiters.writer,
        };
        _old = slot.replace(waker);
        self.check(mask).map_or(Poll::Pending, Poll::Ready)
    }
}

/// Waits in a source's list; leaves it when dropped.
struct Readiness<'a> {
    source: &'a Source,
    mask: Ready,
    listed: Option<usize>,
}

impl Future for Readiness<'_> {
    type Output = Result<ReadyEvent, Shutdown>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let source = self.source;
        if let Some(state) = source.check(self.mask) {
            return Poll::Ready(state);
        }
        let mut waker = Some(cx.waker().clone());
        let mut waiters = source.waiters.lock();
        match self.listed {
            // After the swap `waker` holds the old one, which is dropped after the guard.
            Some(entry) => std::mem::swap(&mut waiters.list[entry].waker, &mut waker),
            None => {
                self.listed = Some(waiters.list.insert(Waiter { mask: self.mask, waker: waker.take() }));
            }
        }
        source.check(self.mask).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Readiness<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.listed {
            let waiter = self.source.waiters.lock().list.remove(entry);
            drop(waiter);
        }
    }
}

/// The registration of one descriptor. Its owner calls `deregister` before it closes the descriptor.
pub(crate) struct Registration {
    handle: Handle,
    key: Key,
    source: Arc<Source>,
    home: Home,
}

impl Registration {
    /// Registers `fd`, which must be in non-blocking mode. `initial` is what it is assumed to be ready for until
    /// the kernel says otherwise: a wrong guess costs one `EAGAIN`, a right one saves a turn.
    pub(crate) fn new(handle: &Handle, fd: BorrowedFd<'_>, initial: Ready) -> std::io::Result<Registration> {
        let source = Arc::new(Source::new(initial));
        let queue = handle.shared.queues.for_new();
        let key = handle.shared.registry.insert(source.clone(), queue)?;
        if let Err(error) = handle.shared.queues.get(queue).add(fd, key) {
            drop(handle.shared.registry.remove(key));
            return Err(error);
        }
        Ok(Registration { handle: handle.clone(), key, source, home: Home::new(queue) })
    }

    /// To be called when a task has to wait, on the thread where it waits.
    #[inline]
    pub(crate) fn waits_here(&self, fd: BorrowedFd<'_>) {
        self.home.waits_here(&self.handle.shared.queues, fd, self.key);
    }

    /// Moves to the queue of the worker that runs on `cpu`, if any does.
    pub(crate) fn follow(&self, fd: BorrowedFd<'_>, cpu: usize) {
        self.home.follow(cpu, &self.handle.shared.queues, fd, self.key);
    }

    /// The driver that it is registered with.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// The queue that it is in, while nobody moves it.
    #[cfg(test)]
    pub(super) fn queue(&self) -> usize {
        self.home.last()
    }

    /// Ends the registration; events that are already on their way will not find it.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        self.handle.shared.queues.get(self.home.last()).delete(fd);
        drop(self.handle.shared.registry.remove(self.key));
    }

    /// Ready when an attempt at I/O in this direction is worth while. One waker is kept per direction: the latest.
    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<std::io::Result<ReadyEvent>> {
        self.source.poll_ready(cx, direction).map_err(Into::into)
    }

    /// Waits until any of `interest` is ready. Any number of tasks may wait. Cancel safe.
    pub(crate) async fn ready(&self, interest: Interest) -> std::io::Result<ReadyEvent> {
        Ok(Readiness { source: &self.source, mask: interest.mask(), listed: None }.await?)
    }

    /// To be called after `EAGAIN`, with what was noted before the attempt.
    pub(crate) fn clear(&self, event: ReadyEvent) {
        self.source.clear(event);
    }

    /// One attempt, if the source is ready; `WouldBlock` otherwise, and then without a system call.
    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        attempt: impl FnOnce() -> std::io::Result<R>,
    ) -> std::io::Result<R> {
        self.try_with(interest, attempt, |_| false)
    }

    /// `try_io` for moving up to `wanted` bytes, where fewer mean that there were no more (see the module's docs): what
    /// `poll_transfer` does, for tests that count the attempts.
    #[cfg(test)]
    pub(super) fn try_transfer(
        &self,
        direction: Direction,
        wanted: usize,
        attempt: impl FnOnce() -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        self.try_with(direction.interest(), attempt, |count| Transfer::from(*count).has_drained(wanted))
    }

    fn try_with<R>(
        &self,
        interest: Interest,
        attempt: impl FnOnce() -> std::io::Result<R>,
        drained: impl Fn(&R) -> bool,
    ) -> std::io::Result<R> {
        match self.source.check(interest.mask()) {
            None => Err(std::io::ErrorKind::WouldBlock.into()),
            Some(Err(shutdown)) => Err(shutdown.into()),
            Some(Ok(event)) => self.note(event, attempt(), drained),
        }
    }

    /// Attempts until one does not block, then registers the task in the slot of `direction`.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        attempt: impl FnMut() -> std::io::Result<R>,
    ) -> Poll<std::io::Result<R>> {
        self.poll_with(cx, direction, attempt, |_| false)
    }

    /// `poll_io` for moving up to `wanted` bytes, where fewer mean that there were no more (see the module's docs).
    pub(crate) fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        wanted: usize,
        attempt: impl FnMut() -> std::io::Result<Transfer>,
    ) -> Poll<std::io::Result<usize>> {
        let done = self.poll_with(cx, direction, attempt, |transfer| transfer.has_drained(wanted));
        done.map_ok(|transfer| transfer.count)
    }

    fn poll_with<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut() -> std::io::Result<R>,
        drained: impl Fn(&R) -> bool,
    ) -> Poll<std::io::Result<R>> {
        loop {
            let event = std::task::ready!(self.poll_ready(cx, direction))?;
            match self.note(event, attempt(), &drained) {
                Err(error) if is_again(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// The same for any number of tasks at once. Cancel safe where `attempt` is: it is never started in vain.
    pub(crate) async fn async_io<R>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut() -> std::io::Result<R>,
    ) -> std::io::Result<R> {
        loop {
            let event = self.ready(interest).await?;
            match self.note(event, attempt(), |_| false) {
                Err(error) if is_again(&error) => {}
                result => return result,
            }
        }
    }

    /// Passes the result of an attempt through, and clears the readiness that it has disproved.
    fn note<R>(
        &self,
        event: ReadyEvent,
        result: std::io::Result<R>,
        drained: impl FnOnce(&R) -> bool,
    ) -> std::io::Result<R> {
        let outcome = match &result {
            Ok(done) if drained(done) => Outcome::Drained,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Outcome::WouldBlock,
            _ => Outcome::MaybeMore,
        };
        self.source.note(event, outcome);
        result
    }
}

/// What a read or write has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    /// Bytes moved.
    pub(crate) count: usize,
    /// Bytes that are left to be moved, if the system said so.
    pub(crate) left: Option<usize>,
}

impl From<usize> for Transfer {
    fn from(count: usize) -> Transfer {
        Transfer { count, left: None }
    }
}

impl Transfer {
    /// Did it stop short, or leave nothing? Zero bytes are the end of the stream, which stays ready.
    fn has_drained(self, wanted: usize) -> bool {
        /// Less than any system moves by one call, so that its own limit is not taken for a short transfer.
        const LIMIT: usize = 1 << 30;
        SAYS_CLOSED && self.count > 0 && (self.count < wanted.min(LIMIT) || self.left == Some(0))
    }
}

/// Worth another attempt: the readiness was stale, or a signal came in between.
fn is_again(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("key", &self.key).finish_non_exhaustive()
    }
}
