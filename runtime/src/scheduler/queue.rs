//! The queues of woken tasks on the workers: one slot and one local queue each.
//!
//! - A **local queue** is a FIFO deque (crossbeam): its worker pushes and pops, any worker steals half of it. FIFO
//!   because tasks woken first should run first.
//! - A **slot** holds the task that its worker woke or spawned last, to be run next: what the woken task needs is still
//!   in the cache, and the one who woke it often waits for it. Others take a task from there only if its worker has been
//!   in the same poll for long (`worker.rs`, the watch).
//!
//! Invariant: a task is in one queue at most, and is popped once.

use crate::sync::prim::atomic::{AtomicPtr, Ordering};
use crate::sync::prim::deque::{Steal, Stealer, Worker};
use crate::task::header::{Header, Notified};
use std::cell::UnsafeCell;
use std::ptr;

/// A worker's place for the task to run next.
#[derive(Debug, Default)]
pub(crate) struct Slot(AtomicPtr<Header>);

impl Slot {
    /// For its worker only. Returns the task that was there.
    #[inline]
    pub(crate) fn put(&self, task: Notified) -> Option<Notified> {
        // Only its worker fills it, so an empty slot stays empty. Release, here and below, pairs with the Acquire of
        // `take` on another thread.
        if self.is_empty() {
            self.0.store(task.into_raw(), Ordering::Release);
            return None;
        }
        let before = self.0.swap(task.into_raw(), Ordering::AcqRel);
        // SAFETY: put there by `into_raw`; the swap took it out for good.
        unsafe { Notified::from_raw(before) }
    }

    /// Takes the task, for whoever it is.
    #[inline]
    pub(crate) fn take(&self) -> Option<Notified> {
        if self.is_empty() {
            return None;
        }
        let task = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: put there by `into_raw`; the swap took it out for good.
        unsafe { Notified::from_raw(task) }
    }

    /// Relaxed: exact for its worker, but for thieves; a hint for others.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A worker's own queue.
#[derive(Debug)]
pub(crate) struct Local(UnsafeCell<Worker<Notified>>);

impl Local {
    pub(crate) fn new() -> Local {
        Local(UnsafeCell::new(Worker::new_fifo()))
    }

    #[inline]
    fn worker(&self) -> &Worker<Notified> {
        // SAFETY: only `put_back` changes it, on this thread, and no reference outlives a call of a method here, none of
        // which runs foreign code.
        unsafe { &*self.0.get() }
    }

    /// Takes the queue out and leaves an empty one, which nobody can steal from.
    pub(crate) fn take(&self) -> Local {
        self.put_back(Local::new())
    }

    /// Puts a queue in this one's place, which is returned.
    pub(crate) fn put_back(&self, queue: Local) -> Local {
        // SAFETY: as in `worker`: there is no other reference.
        let place = unsafe { &mut *self.0.get() };
        Local(UnsafeCell::new(std::mem::replace(place, queue.0.into_inner())))
    }

    #[inline]
    pub(crate) fn push(&self, task: Notified) {
        self.worker().push(task);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<Notified> {
        self.worker().pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.worker().is_empty()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.worker().len()
    }

    pub(crate) fn stealer(&self) -> Stealer<Notified> {
        self.worker().stealer()
    }
}

/// All workers' queues, as others see them.
#[derive(Debug)]
pub(crate) struct Stealers(Box<[Stealer<Notified>]>);

impl Stealers {
    pub(crate) fn of(locals: &[Local]) -> Stealers {
        Stealers(locals.iter().map(Local::stealer).collect())
    }

    /// Goes round all queues but `thief`'s own, from `start` on, and takes half of the first that has tasks: one
    /// to run, the rest into `into`. Contended queues are tried again until they are empty or give something, so
    /// `None` means that each queue was seen empty once.
    pub(crate) fn steal(&self, thief: usize, start: usize, into: &Local) -> Option<Notified> {
        loop {
            let mut contended = false;
            for step in 0..self.0.len() {
                let victim = (start + step) % self.0.len();
                if victim == thief {
                    continue;
                }
                match self.0[victim].steal_batch_and_pop(into.worker()) {
                    Steal::Success(task) => return Some(task),
                    Steal::Retry => contended = true,
                    Steal::Empty => {}
                }
            }
            if !contended {
                return None;
            }
            crate::sync::prim::spin_loop();
        }
    }

    /// Is any queue not empty?
    pub(crate) fn any_work(&self) -> bool {
        self.0.iter().any(|stealer| !stealer.is_empty())
    }

    /// How many tasks stand in the given worker's queue.
    pub(crate) fn len_of(&self, worker: usize) -> usize {
        self.0.get(worker).map_or(0, Stealer::len)
    }
}
