//! The registry: which descriptors are registered, and to which of them an event belongs.
//!
//! **Stale events are harmless.** A slot's generation differs for each registration. An event whose key does not match
//! the slot any more belonged to a descriptor that is closed by now, and is dropped.
//!
//! Lock order: a shard's lock, one at a time, then a source's waiters. A source that is taken out is dropped without the lock,
//! for it may own the last reference to wakers.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use crossbeam_utils::CachePadded;
use slab::Slab;

use super::Shutdown;
use super::io::Source;
use super::poller::{Events, Key};
use crate::sync::prim::{Mutex, MutexGuard};

/// Finds the source that an event belongs to.
pub(super) struct Registry {
    /// One for each queue, so that turns of different queues seldom meet. Slot `n` is in shard `n` modulo their number.
    shards: Box<[CachePadded<Mutex<Slots>>]>,
}

struct Slots {
    slab: Slab<Slot>,
    next_generation: u32,
    shut_down: bool,
}

struct Slot {
    generation: u32,
    source: Arc<Source>,
}

impl Registry {
    pub(super) fn new(shards: usize) -> Registry {
        let shard = |_| {
            CachePadded::new(Mutex::new(Slots { slab: Slab::new(), next_generation: 0, shut_down: false }))
        };
        Registry { shards: (0..shards).map(shard).collect() }
    }

    pub(super) fn insert(&self, source: Arc<Source>, shard: usize) -> Result<Key, Shutdown> {
        let mut slots = self.shards[shard].lock();
        if slots.shut_down {
            return Err(Shutdown);
        }
        let generation = slots.next_generation;
        slots.next_generation = generation.wrapping_add(1);
        let slot = slots.slab.insert(Slot { generation, source });
        Ok(Key::new(slot * self.shards.len() + shard, generation))
    }

    pub(super) fn remove(&self, key: Key) -> Option<Arc<Source>> {
        let (shard, slot) = self.place(key);
        let mut slots = self.shards[shard].lock();
        let matches = slots.slab.get(slot).is_some_and(|slot| slot.generation == key.generation());
        // The source may own the last reference to wakers: it is handed out, to be dropped without the lock.
        matches.then(|| slots.slab.remove(slot).source)
    }

    /// Shard, and slot in it.
    fn place(&self, key: Key) -> (usize, usize) {
        (key.slot() % self.shards.len(), key.slot() / self.shards.len())
    }

    /// Marks the sources of `events` as ready, and collects the wakers of those who wait for it.
    pub(super) fn dispatch(&self, events: &Events, woken: &mut Vec<Waker>) {
        let mut locked: Option<(usize, MutexGuard<'_, Slots>)> = None;
        for event in events.iter() {
            let (shard, slot) = self.place(event.key);
            if locked.as_ref().is_none_or(|&(other, _)| other != shard) {
                drop(locked.take());
                locked = Some((shard, self.shards[shard].lock()));
            }
            if let Some((_, slots)) = &locked
                && let Some(slot) = slots.slab.get(slot)
                && slot.generation == event.key.generation()
            {
                slot.source.set(event.ready, woken);
            }
        }
    }

    pub(super) fn shutdown(&self, woken: &mut Vec<Waker>) {
        for shard in &self.shards {
            let slots = {
                let mut slots = shard.lock();
                slots.shut_down = true;
                std::mem::take(&mut slots.slab)
            };
            for (_, slot) in slots.iter() {
                slot.source.shut_down(woken);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().slab.len()).sum()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("registered", &self.len()).finish()
    }
}
