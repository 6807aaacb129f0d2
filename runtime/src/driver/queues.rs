//! The event queues, one per worker, and where a descriptor is registered: its **home**.
//!
//! An event is fetched by the worker whose queue the descriptor is in, and its task runs there next. So the home decides
//! which worker serves a connection; and a connection both of whose ends are at home on one worker costs little more than
//! half of one that two CPUs pass to and fro.
//!
//! # Where home is
//! - At first with the worker that makes the registration; for other threads the queues take turns.
//! - A task that has to wait may do so on another worker: it was stolen, or its socket was handed to it. The first time
//!   that says where it belongs; later it takes [`AWAY`] waits in a row away from home, since most stolen tasks are back
//!   at home with the next event. Then the descriptor **moves** to the queue of the worker on which its task waits.
//! - One end of a connection whose other end is on this machine may be told to move to the worker that runs on the CPU from which its data came
//!   ([`Registration::follow`](super::Registration::follow)); one end only, or they would change places.
//!
//! # Why a move loses nothing
//! The descriptor is put into the new queue before it is taken out of the old one. Entering a queue announces the state that
//! the descriptor is in; a later change is announced by the new queue. An event of the old queue that was fetched already is
//! served nevertheless, one that was not is covered by what the new queue announces. While a descriptor is in both, it
//! may be announced twice, which costs an `EAGAIN` at most.
//!
//! Two turns may thus serve events of one source at once, in another order than they were fetched. What `io.rs` builds on
//! remains true: an event adds to the readiness and never takes away; and what a reader has not noted, because its event is
//! not served yet, moves the tick when it is.
//!
//! # Who turns which queue
//! Its worker: between two polls every so often, when it runs out of tasks, and while it sleeps. If it does none of this for
//! a few milliseconds, being in a long poll, another worker serves the queue now and then (`scheduler/worker/sleep.rs`).
//!
//! `Home` is one word: `moving << 31 | queue << 8 | waits away from home`. Whoever sets `moving` (by compare-exchange) moves
//! the descriptor; others leave the word alone meanwhile. Deregistering needs the registration's owner, whom no move outlasts.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;

use super::poller::{Key, Poller};
use crate::sync::prim::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sync::prim::thread_local;

/// So many waits in a row away from home make a descriptor move.
const AWAY: u32 = 4;
const MOVING: u32 = 1 << 31;
/// No CPU.
const NOWHERE: usize = usize::MAX;
const QUEUE_SHIFT: u32 = 8;

/// One event queue.
pub(super) struct Queue {
    pub(super) poller: Poller,
    /// How many descriptors are registered. Relaxed: a turn that waits does not look at it, so a count that comes late
    /// only puts events off until the next turn.
    registered: AtomicUsize,
    /// The CPU on which its worker last turned it, [`NOWHERE`] while that sleeps. A hint, hence Relaxed.
    cpu: AtomicUsize,
}

impl Queue {
    pub(super) fn new() -> io::Result<Queue> {
        Ok(Queue { poller: Poller::new()?, registered: AtomicUsize::new(0), cpu: AtomicUsize::new(NOWHERE) })
    }

    pub(super) fn add(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        self.poller.add(fd, key)?;
        self.registered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn delete(&self, fd: BorrowedFd<'_>) {
        // It fails only for a descriptor that somebody else has closed, and then there is nothing to delete.
        let _ = self.poller.delete(fd);
        self.registered.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.registered.load(Ordering::Relaxed) == 0
    }
}

thread_local! {
    /// The driver whose worker this thread is, by its address, which is only compared; and its queue there.
    static HERE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// All queues of one driver; at least one.
pub(super) struct Queues {
    list: Box<[crossbeam_utils::CachePadded<Queue>]>,
    /// Whose turn it is to get a descriptor that no worker registers.
    next: AtomicUsize,
}

impl Queues {
    pub(super) fn new(count: usize) -> io::Result<Queues> {
        let list = (0..count.max(1)).map(|_| Ok(Queue::new()?.into())).collect::<io::Result<_>>()?;
        Ok(Queues { list, next: AtomicUsize::new(0) })
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, queue: usize) -> &Queue {
        &self.list[queue]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.list.iter().map(|queue| &**queue)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// This thread is from now on the worker of `queue`.
    pub(super) fn enter(&self, queue: usize) {
        HERE.with(|here| here.set((self.address(), queue)));
    }

    /// This thread is no worker any more.
    pub(super) fn leave(&self) {
        let _ = HERE.try_with(|here| here.set((0, 0)));
    }

    /// This thread's queue, if it is a worker of this driver.
    fn here(&self) -> Option<usize> {
        let (queues, queue) = HERE.try_with(Cell::get).ok()?;
        // What had this address before may have had more queues.
        (queues == self.address() && queue < self.list.len()).then_some(queue)
    }

    /// For a new registration of this thread.
    pub(super) fn for_new(&self) -> usize {
        self.here().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed) % self.list.len())
    }

    /// `queue` is being turned by this thread; notes the CPU if it is its own.
    pub(super) fn turned(&self, queue: usize) {
        if self.list.len() > 1 && self.here() == Some(queue) {
            let cpu = current_cpu();
            let noted = &self.list[queue].cpu;
            if noted.load(Ordering::Relaxed) != cpu {
                noted.store(cpu, Ordering::Relaxed);
            }
        }
    }

    /// The worker of `queue` is about to sleep.
    pub(super) fn sleeps(&self, queue: usize) {
        self.list[queue].cpu.store(NOWHERE, Ordering::Relaxed);
    }

    /// Whose worker is on this CPU, as far as is known.
    fn at_cpu(&self, cpu: usize) -> Option<usize> {
        self.list.iter().position(|queue| queue.cpu.load(Ordering::Relaxed) == cpu)
    }
}

#[cfg(target_os = "linux")]
fn current_cpu() -> usize {
    rustix::thread::sched_getcpu()
}

#[cfg(not(target_os = "linux"))]
fn current_cpu() -> usize {
    NOWHERE
}

/// In which queue a descriptor is. See the module's docs.
pub(super) struct Home(AtomicU32);

impl Home {
    /// Nobody has waited yet: the first to wait away from here takes the descriptor along.
    pub(super) fn new(queue: usize) -> Home {
        Home(AtomicU32::new((queue as u32) << QUEUE_SHIFT | (AWAY - 1)))
    }

    /// For the owner of the registration, while nobody else uses it: the queue.
    pub(super) fn last(&self) -> usize {
        queue_of(self.0.load(Ordering::Relaxed))
    }

    /// A task waits on this thread.
    #[inline]
    pub(super) fn waits_here(&self, queues: &Queues, fd: BorrowedFd<'_>, key: Key) {
        let word = self.0.load(Ordering::Relaxed);
        let Some(here) = queues.here() else { return };
        if word != (here as u32) << QUEUE_SHIFT {
            self.waits_at(word, here, queues, fd, key);
        }
    }

    #[cold]
    fn waits_at(&self, word: u32, here: usize, queues: &Queues, fd: BorrowedFd<'_>, key: Key) {
        if word & MOVING != 0 {
            return;
        }
        let away = (word & ((1 << QUEUE_SHIFT) - 1)) + 1;
        let next = match queue_of(word) == here {
            true => (here as u32) << QUEUE_SHIFT,
            false if away < AWAY => word + 1,
            false => return self.move_to(word, here, queues, fd, key),
        };
        // If it fails, another task of this descriptor has just changed it: as good.
        let _ = self.0.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Moves to the worker on `cpu`, if one is known to be there.
    pub(super) fn follow(&self, cpu: usize, queues: &Queues, fd: BorrowedFd<'_>, key: Key) {
        let word = self.0.load(Ordering::Relaxed);
        if word & MOVING == 0
            && queues.get(queue_of(word)).cpu.load(Ordering::Relaxed) != cpu
            && let Some(there) = queues.at_cpu(cpu)
        {
            self.move_to(word, there, queues, fd, key);
        }
    }

    fn move_to(&self, word: u32, to: usize, queues: &Queues, fd: BorrowedFd<'_>, key: Key) {
        // Acquire pairs with the Release below: one move after the other, also for the kernel.
        if self.0.compare_exchange(word, word | MOVING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        let from = queue_of(word);
        // Without memory for it the descriptor stays where it is, which is always allowed.
        let queue = match queues.get(to).add(fd, key) {
            Ok(()) => {
                queues.get(from).delete(fd);
                to
            }
            Err(_) => from,
        };
        self.0.store((queue as u32) << QUEUE_SHIFT, Ordering::Release);
    }
}

fn queue_of(word: u32) -> usize {
    ((word & !MOVING) >> QUEUE_SHIFT) as usize
}
