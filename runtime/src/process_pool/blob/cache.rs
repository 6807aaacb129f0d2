//! The process's spare segments, kept because their memory is populated: writing 16 MiB into a reused one takes a
//! fraction of what it takes in a fresh one, which faults page by page.
//!
//! The last one put in is the first to come out: its bytes are the likeliest to be in a processor's cache, and a program
//! in a steady state uses one segment again and again. Segments are kept only while somebody wants them ([`CacheUse`]),
//! and only up to a number of bytes; the oldest go first.
//!
//! [`put`] is called wherever the last reference ends, also under a pool's lock, so it never destroys a segment (which
//! may take a millisecond) while they are wanted; [`trim`] does, and is called where time may be spent. The lock here is
//! a leaf: nothing is created, destroyed or called under it.

use super::segment::{Map, Spare};
use rustix::process::getpid;
use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// At most so many spares, as each has a descriptor, of which a process often may have no more than 1024.
const MOST_SPARES: usize = 128;

static CACHE: Mutex<Cache> = Mutex::new(Cache::new());

/// There is something for [`trim`] to do. Only spares a lock: seen late, it is done the next time.
static EXCESS: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
struct Cache {
    /// The bounds asked for by those who want the cache; the largest counts.
    bounds: Vec<usize>,
    /// Oldest first; few enough to search through.
    spares: VecDeque<Spare>,
    /// The memory that the spares hold.
    bytes: usize,
    /// Maps of other processes' segments, to be unmapped when there is time.
    buried: Vec<Arc<Map>>,
}

impl Cache {
    const fn new() -> Self {
        Self { bounds: Vec::new(), spares: VecDeque::new(), bytes: 0, buried: Vec::new() }
    }

    fn bound(&self) -> usize {
        self.bounds.iter().copied().max().unwrap_or(0)
    }

    fn excess(&self) -> bool {
        self.bytes > self.bound() || self.spares.len() > MOST_SPARES
    }

    /// The last one of that class.
    fn take(&mut self, bits: u32) -> Option<Spare> {
        let place = self.spares.iter().rposition(|spare| spare.bits() == bits)?;
        let spare = self.spares.remove(place)?;
        self.bytes -= spare.touched();
        Some(spare)
    }

    fn clear(&mut self) -> VecDeque<Spare> {
        self.bytes = 0;
        mem::take(&mut self.spares)
    }

    /// Gives up what is beyond the bounds, for the caller to drop.
    fn shed(&mut self) -> (Vec<Spare>, Vec<Arc<Map>>) {
        let mut shed = Vec::new();
        while self.excess() {
            let Some(oldest) = self.spares.pop_front() else { break };
            self.bytes -= oldest.touched();
            shed.push(oldest);
        }
        (shed, mem::take(&mut self.buried))
    }
}

fn lock() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While one of these lives, segments that nobody uses any more are kept for reuse; with the last they go.
#[derive(Debug)]
pub(in crate::process_pool) struct CacheUse {
    bound: usize,
}

impl CacheUse {
    /// Wants up to `bound` bytes kept.
    pub(in crate::process_pool) fn new(bound: usize) -> Self {
        lock().bounds.push(bound);
        Self { bound }
    }
}

impl Drop for CacheUse {
    fn drop(&mut self) {
        let shed = {
            let mut cache = lock();
            if let Some(place) = cache.bounds.iter().position(|bound| *bound == self.bound) {
                cache.bounds.swap_remove(place);
            }
            cache.shed()
        };
        drop(shed);
    }
}

/// A segment for `len` bytes: a spare one, or a new one.
///
/// # Errors
/// The system's, out of descriptors or memory also after the cache has given up what it held; `InvalidInput` for a
/// length beyond all reason.
pub(super) fn take(len: usize) -> io::Result<Spare> {
    let bits = Spare::class(len).ok_or(io::ErrorKind::InvalidInput)?;
    let process = getpid();
    loop {
        let spare = lock().take(bits);
        match spare {
            Some(spare) if spare.is_from(process) => {
                trim();
                return Ok(spare);
            }
            // Inherited in a fork: another process may be using it.
            Some(spare) => drop(spare),
            None => break,
        }
    }
    trim();
    Spare::create(bits).or_else(|_| {
        let spares = lock().clear();
        drop(spares);
        Spare::create(bits)
    })
}

/// Takes back a segment that nobody uses any more.
pub(super) fn put(spare: Spare) {
    let mut cache = lock();
    if cache.bounds.is_empty() {
        drop(cache);
        drop(spare);
        return;
    }
    cache.bytes += spare.touched();
    cache.spares.push_back(spare);
    if cache.excess() {
        EXCESS.store(true, Ordering::Relaxed);
    }
}

/// Takes maps of segments that are not ours, to be ended at the next [`trim`], unless somebody else uses them still.
pub(super) fn bury(maps: impl IntoIterator<Item = Arc<Map>>) {
    lock().buried.extend(maps);
    EXCESS.store(true, Ordering::Relaxed);
}

/// Destroys what is beyond the cache's bounds. Cheap when there is nothing; not to be called under a pool's lock.
pub(in crate::process_pool) fn trim() {
    if EXCESS.load(Ordering::Relaxed) {
        EXCESS.store(false, Ordering::Relaxed);
        let shed = lock().shed();
        drop(shed);
    }
}
