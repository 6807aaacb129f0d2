//! The timing wheel: armed timers, found by deadline. No clock, no lock, no thread: those are `mod.rs`'s.
//!
//! Time is nanoseconds since some base, cut into **ticks** of 2^15 ns (33 µs). A level has 64 slots; a slot of level 0
//! holds the timers of one tick, one of level 1 those of 64, and so on: nine levels hold every tick that 64 bits of
//! nanoseconds have, so that no deadline is too far for the wheel.
//!
//! With `elapsed` the tick up to which the wheel has been served, a timer lies on the level of the highest base-64
//! digit in which its tick differs from `elapsed`, in the slot that this digit of its own names. Hence:
//! - on a level, and from a level to the next, later slots hold later timers; nothing wraps around;
//! - serving the first slot, again and again while it begins at or before the clock, serves all that is due. A slot
//!   above level 0 is dealt out to lower levels on that occasion (`elapsed` moves to its beginning; below it there
//!   is nothing left).
//!
//! **Exact.** Ticks sort, they do not round: an entry keeps its deadline in nanoseconds, and fires when the clock has
//! reached it, never before; each slot keeps the least deadline that was put there, so that `first_deadline` needs no
//! search and wakes nobody to deal slots out. After a removal it may be too low: that costs one wait that ends early.
//!
//! **Intrusive.** A slot is a ring of entries, which live inside of their owners' `Timer`s. Whoever calls `insert`
//! promises that the entry neither moves nor dies before it has been removed or has fired.

use std::cell::Cell;
use std::ptr::NonNull;
use std::task::Waker;

use super::cell::UnsafeCell;
use crate::sync::prim::atomic::{AtomicU8, Ordering};

/// A tick is `1 << TICK_BITS` nanoseconds.
const TICK_BITS: u32 = 15;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// As many as the 49 bits of a tick need.
const LEVELS: usize = 9;
/// "No deadline".
pub(super) const NEVER: u64 = u64::MAX;

/// The states of an entry. Only `ARMED` gives the wheel a say; it ends under the wheel's lock.
pub(super) const IDLE: u8 = 0;
pub(super) const ARMED: u8 = 1;
pub(super) const FIRED: u8 = 2;
pub(super) const SHUT_DOWN: u8 = 3;

/// A timer's place in the wheel. While it is armed its fields belong to whoever holds the wheel's lock, otherwise to
/// the owner; `state` alone is read by the owner at any time.
pub(super) struct Entry {
    /// Leaves `ARMED` by a Release store, the wheel's last touch; an owner who reads something else (Acquire) has the
    /// entry for itself.
    state: AtomicU8,
    level: Cell<u8>,
    slot: Cell<u8>,
    deadline: Cell<u64>,
    next: Cell<Option<NonNull<Entry>>>,
    previous: Cell<Option<NonNull<Entry>>>,
    waker: UnsafeCell<Option<Waker>>,
}

impl Entry {
    pub(super) fn new() -> Entry {
        Entry {
            state: AtomicU8::new(IDLE),
            level: Cell::new(0),
            slot: Cell::new(0),
            deadline: Cell::new(NEVER),
            next: Cell::new(None),
            previous: Cell::new(None),
            waker: UnsafeCell::new(None),
        }
    }

    pub(super) fn state(&self) -> u8 {
        // Acquire pairs with Release in `finish`: the wheel is done with the entry.
        self.state.load(Ordering::Acquire)
    }

    /// For the owner of an entry that is not armed.
    pub(super) fn reset(&self) {
        debug_assert_ne!(self.state(), ARMED);
        self.state.store(IDLE, Ordering::Relaxed);
    }

    /// Exchanges the waker.
    ///
    /// # Safety
    /// The caller holds the wheel's lock, or the entry is not armed and the caller owns it.
    pub(super) unsafe fn swap_waker(&self, waker: Option<Waker>) -> Option<Waker> {
        // SAFETY: by the rule of the fields, the caller is the only one to use it now.
        self.waker.with_mut(|slot| unsafe { std::mem::replace(&mut *slot, waker) })
    }

    /// Whether the waker that is kept wakes the same task.
    ///
    /// # Safety
    /// As for `swap_waker`.
    pub(super) unsafe fn would_wake(&self, waker: &Waker) -> bool {
        // SAFETY: by the rule of the fields, the caller is the only one to use it now.
        self.waker.with_mut(|slot| unsafe { (*slot).as_ref().is_some_and(|kept| kept.will_wake(waker)) })
    }

    /// The wheel's last touch of an entry that it has unlinked; hands out the waker.
    fn finish(&self, state: u8) -> Option<Waker> {
        // SAFETY: the entry is still armed and the caller, a method of the wheel, runs under its lock.
        let waker = unsafe { self.swap_waker(None) };
        // Release pairs with Acquire in `state`: the owner may free the entry from here on.
        self.state.store(state, Ordering::Release);
        waker
    }
}

struct Slot {
    head: Option<NonNull<Entry>>,
    /// No entry of this slot is due before; `NEVER` if there is none.
    least: u64,
}

struct Level {
    /// Bit i: slot i has entries.
    occupied: u64,
    slots: [Slot; SLOTS],
}

impl Level {
    fn new() -> Box<Level> {
        Box::new(Level { occupied: 0, slots: [const { Slot { head: None, least: NEVER } }; SLOTS] })
    }
}

pub(super) struct Wheel {
    /// The highest reading of the clock so far: what is due by then has fired.
    now: u64,
    /// The tick that places are relative to; not above that of `now`.
    elapsed: u64,
    /// Levels with entries, as a bit set.
    occupied: u16,
    /// Made when first used: most runtimes never need the higher ones.
    levels: [Option<Box<Level>>; LEVELS],
    len: usize,
}

// SAFETY: what is not `Send` are the pointers to entries. They are followed only by the methods below, that is by
// whoever holds the wheel, and `insert` has been promised that the entries stay. Entries may be used on any thread:
// their fields follow the rule at `Entry`.
unsafe impl Send for Wheel {}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel { now: 0, elapsed: 0, occupied: 0, levels: Default::default(), len: 0 }
    }

    /// The highest reading of the clock that the wheel has been shown.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Arms an entry. `deadline` must be above `now()`.
    ///
    /// # Safety
    /// The entry is not armed, and the caller owns it. It neither moves nor dies until `remove`, or until its state
    /// is no longer `ARMED`.
    pub(super) unsafe fn insert(&mut self, entry: &Entry, deadline: u64) {
        debug_assert!(deadline > self.now);
        entry.deadline.set(deadline);
        // Relaxed: the owner is the one who calls; to others the entry is shown by the wheel's lock.
        entry.state.store(ARMED, Ordering::Relaxed);
        self.link(entry);
        self.len += 1;
    }

    /// Disarms an entry, which the wheel then forgets.
    ///
    /// # Safety
    /// The entry is armed, in this wheel.
    pub(super) unsafe fn remove(&mut self, entry: &Entry) -> Option<Waker> {
        debug_assert_eq!(entry.state.load(Ordering::Relaxed), ARMED);
        // SAFETY: it is armed, hence linked.
        unsafe { self.unlink(entry) };
        self.len -= 1;
        entry.finish(IDLE)
    }

    /// When to call `advance` next: at the first deadline, or earlier for nothing if that one was removed.
    pub(super) fn first_deadline(&self) -> u64 {
        self.first().map_or(NEVER, |(level, slot, _)| self.level(level).slots[slot].least)
    }

    /// Shows the wheel the clock, and moves the wakers of what is due to `due`, slot by slot, until there are `enough`.
    /// False: there may be more. (An order by deadline is not promised: what one call finds due is simultaneous.)
    pub(super) fn advance(&mut self, clock: u64, due: &mut Vec<Waker>, enough: usize) -> bool {
        self.now = self.now.max(clock);
        let present = self.now >> TICK_BITS;
        let before = due.len();
        while let Some((level, slot, begin)) = self.first() {
            if begin > present {
                break;
            }
            self.elapsed = begin;
            let rest = self.serve(level, slot, due);
            if level == 0 && rest {
                break; // the present tick, of which a part lies ahead
            }
            if due.len() - before >= enough {
                return false;
            }
        }
        self.elapsed = present;
        true
    }

    /// Fires all; the entries learn of the shutdown.
    pub(super) fn shut_down(&mut self, due: &mut Vec<Waker>) {
        while let Some((level, slot, _)) = self.first() {
            self.take_each(level, slot, |wheel, entry| {
                wheel.len -= 1;
                due.extend(entry.finish(SHUT_DOWN));
            });
        }
    }

    /// Fires what is due in a slot, deals out the rest; true if there is a rest.
    fn serve(&mut self, level: usize, slot: usize, due: &mut Vec<Waker>) -> bool {
        let mut rest = false;
        self.take_each(level, slot, |wheel, entry| {
            if entry.deadline.get() <= wheel.now {
                wheel.len -= 1;
                due.extend(entry.finish(FIRED));
            } else {
                wheel.link(entry);
                rest = true;
            }
        });
        rest
    }

    /// Empties a slot, and calls `f` with each of its former entries, unlinked.
    fn take_each(&mut self, level: usize, slot: usize, mut f: impl FnMut(&mut Wheel, &Entry)) {
        let Some(head) = self.vacate(level, slot) else { return };
        let mut cursor = head;
        loop {
            // SAFETY: it was linked, hence is alive until `f` fires it; what follows it is read before.
            let entry = unsafe { cursor.as_ref() };
            let next = entry.next.get();
            f(self, entry);
            match next {
                Some(next) if next != head => cursor = next,
                _ => return,
            }
        }
    }

    /// Level, slot and first tick of the first slot that has entries.
    fn first(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.trailing_zeros() as usize;
        if level >= LEVELS {
            return None;
        }
        let slot = self.level(level).occupied.trailing_zeros() as usize;
        let shift = SLOT_BITS * level as u32;
        // The digits above this level are those of `elapsed`; the ones below are zero.
        let above = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS;
        Some((level, slot, (above | slot as u64) << shift))
    }

    fn level(&self, level: usize) -> &Level {
        self.levels[level].as_deref().expect("made before its bit in `occupied` was set")
    }

    /// Puts an entry where its deadline belongs, behind those that are there.
    fn link(&mut self, entry: &Entry) {
        let deadline = entry.deadline.get();
        let tick = deadline >> TICK_BITS;
        let highest = ((tick ^ self.elapsed) | 1).ilog2() / SLOT_BITS;
        let slot = (tick >> (highest * SLOT_BITS)) as usize % SLOTS;
        entry.level.set(highest as u8);
        entry.slot.set(slot as u8);
        self.occupied |= 1 << highest;
        let level = self.levels[highest as usize].get_or_insert_with(Level::new);
        level.occupied |= 1 << slot;
        let slot = &mut level.slots[slot];
        slot.least = slot.least.min(deadline);
        let this = NonNull::from(entry);
        let (previous, next) = match slot.head {
            None => {
                slot.head = Some(this);
                (this, this)
            }
            Some(head) => {
                // SAFETY: what is linked is alive.
                let first = unsafe { head.as_ref() };
                let tail = first.previous.replace(Some(this)).unwrap_or(head);
                // SAFETY: what is linked is alive.
                unsafe { tail.as_ref() }.next.set(Some(this));
                (tail, head)
            }
        };
        entry.previous.set(Some(previous));
        entry.next.set(Some(next));
    }

    /// Takes an entry out of its ring.
    ///
    /// # Safety
    /// It is linked.
    unsafe fn unlink(&mut self, entry: &Entry) {
        let (level, slot) = (usize::from(entry.level.get()), usize::from(entry.slot.get()));
        let this = NonNull::from(entry);
        let (Some(previous), Some(next)) = (entry.previous.get(), entry.next.get()) else { return };
        if next == this {
            self.vacate(level, slot);
            return;
        }
        // SAFETY: its neighbours are linked, hence alive.
        unsafe { previous.as_ref() }.next.set(Some(next));
        // SAFETY: as before.
        unsafe { next.as_ref() }.previous.set(Some(previous));
        if let Some(level) = &mut self.levels[level]
            && level.slots[slot].head == Some(this)
        {
            level.slots[slot].head = Some(next);
        }
    }

    /// Marks a slot as empty; its former head.
    fn vacate(&mut self, level: usize, slot: usize) -> Option<NonNull<Entry>> {
        let place = self.levels[level].as_deref_mut()?;
        place.occupied &= !(1 << slot);
        if place.occupied == 0 {
            self.occupied &= !(1 << level);
        }
        place.slots[slot].least = NEVER;
        place.slots[slot].head.take()
    }
}
