//! Segments: pieces of shared memory that another process can map.
//!
//! A [`Map`] is a memory file and its mapping. A file of ours passes through these hands, each of which owns it alone:
//!
//! ```text
//! Spare (in the cache, or being filled: the only writer)  --freeze-->  Segment (in Arcs: readers only)
//!      ^------------------------- the last Arc is dropped ------------------------'
//! ```
//!
//! Invariants:
//! - Bytes are written through a `Spare` only, and read through a `Segment` only, so never both. A peer that reads a
//!   segment has a use of it, and a use holds an Arc (see `link`).
//! - A file is sealed before anyone else can see it: it neither shrinks nor grows, and only the mapping made here can
//!   ever write to it.
//! - A file of somebody else is mapped read-only, after a look at its seals and its size: within the mapping no access
//!   can fail, whatever the other side does or however it ends.
//! - A forked child has all of this too, but never writes to what it did not make.
//! - A size is a power of two; [`LEAST`] is the smallest.

use super::{super::descriptor::kept_high, cache, lease::Lease};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::process::{Pid, getpid};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Fewer bytes than this are not worth a segment: copying them costs less than the bookkeeping.
pub(in crate::process_pool) const LEAST: usize = 1 << LEAST_BITS;
const LEAST_BITS: u32 = 15;
/// A tebibyte; a request for more is refused before it reaches the system.
const MOST_BITS: u32 = 40;

/// No page is smaller. Where they are larger, populating may be refused, to no harm.
const PAGE: usize = 4096;

/// How many mappings this process has ever ended. Written with Release after the last reference to a map is gone; a
/// link reads it with Acquire, and then sees which of the maps that its peer knows are gone.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// See [`ENDED`].
pub(super) fn ended() -> u64 {
    ENDED.load(Ordering::Acquire)
}

/// A number for a map or a link that is never used again in this process.
pub(super) fn fresh_number() -> u64 {
    // Only has to be unique: nothing is published through it.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A memory file, mapped whole until this is dropped.
#[derive(Debug)]
pub(super) struct Map {
    base: NonNull<u8>,
    bits: u32,
    file: OwnedFd,
    number: u64,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Map {}
// SAFETY: through a shared reference its bytes are only read, while (see the module) nobody writes.
unsafe impl Sync for Map {}

impl Map {
    /// A new file of `1 << bits` zeros.
    fn create(bits: u32) -> io::Result<Self> {
        let file = memfd_create("crossover-blob", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        // A program that has closed its standard streams must not find this in their place.
        let file = kept_high(file)?;
        ftruncate(&file, 1 << bits)?;
        let map = Self::new(file, bits, ProtFlags::READ | ProtFlags::WRITE)?;
        // After the mapping: from now on nobody else can make a writable one.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        fcntl_add_seals(&map.file, seals)?;
        Ok(map)
    }

    /// Maps a file that came from another process.
    ///
    /// # Errors
    /// `InvalidData`: it has not the size `1 << bits`, or could change it. Else the system's: no memory.
    pub(super) fn import(file: OwnedFd, bits: u32) -> io::Result<Self> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        if !(LEAST_BITS..=MOST_BITS).contains(&bits) {
            return invalid(format!("a segment of 2^{bits} bytes"));
        }
        let needed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        match fcntl_get_seals(&file) {
            Ok(seals) if seals.contains(needed) => {}
            Ok(seals) => return invalid(format!("a segment whose size can change: its seals are {seals:?}")),
            Err(error) => return invalid(format!("a segment that is no memory file: {error}")),
        }
        // After the seals: only now is the size final.
        let size = fstat(&file)?.st_size;
        if u64::try_from(size) != Ok(1 << bits) {
            return invalid(format!("a segment of {size} bytes that should have 2^{bits}"));
        }
        Self::new(file, bits, ProtFlags::READ)
    }

    fn new(file: OwnedFd, bits: u32, access: ProtFlags) -> io::Result<Self> {
        // SAFETY: the kernel chooses a place where nothing is.
        let base = unsafe { mmap(ptr::null_mut(), 1 << bits, access, MapFlags::SHARED, &file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bits, file, number: fresh_number() })
    }

    /// Has the system provide the pages of that range at once, which costs less than one fault after the other. If it does
    /// not (before Linux 5.14, or out of memory), they come one by one.
    fn populate(&self, start: usize, end: usize) {
        let start = start & !(PAGE - 1);
        debug_assert!(end <= self.size());
        // SAFETY: within the mapping.
        let place = unsafe { self.base.add(start) };
        // SAFETY: no byte changes by this.
        let _ = unsafe { madvise(place.as_ptr().cast(), end - start, Advice::LinuxPopulateWrite) };
    }

    pub(super) fn size(&self) -> usize {
        1 << self.bits
    }

    /// The size's logarithm.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The bytes. The caller upholds the module's first invariant: whoever may write them does not.
    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped, of this size (the seals keep it so), for as long as `self` lives; nobody writes meanwhile.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.size()) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this is what was mapped; whatever borrowed from it borrowed `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.size()) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
        ENDED.fetch_add(1, Ordering::Release);
    }
}

/// A file of ours that nobody reads: in the cache, or about to be filled.
#[derive(Debug)]
pub(super) struct Spare {
    map: Arc<Map>,
    /// How many bytes from the start have ever been written: so much memory it holds.
    touched: usize,
    process: Pid,
}

impl Spare {
    /// The class that `len` bytes belong to: the logarithm of the size. `None`: too many.
    pub(super) fn class(len: usize) -> Option<u32> {
        let bits = len.checked_next_power_of_two()?.trailing_zeros().max(LEAST_BITS);
        (bits <= MOST_BITS).then_some(bits)
    }

    pub(super) fn create(bits: u32) -> io::Result<Self> {
        Ok(Self { map: Arc::new(Map::create(bits)?), touched: 0, process: getpid() })
    }

    pub(super) fn bits(&self) -> u32 {
        self.map.bits
    }

    /// Whether this process made it. After a fork both processes have it, and only the one that made it may write.
    pub(super) fn is_from(&self, process: Pid) -> bool {
        self.process == process
    }

    pub(super) fn touched(&self) -> usize {
        self.touched
    }

    /// The first `len` bytes (no more than the size), to be written. They hold what was there before.
    pub(super) fn first(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= self.map.size());
        if len > self.touched {
            self.map.populate(self.touched, len);
        }
        self.touched = self.touched.max(len);
        // SAFETY: mapped and writable, since this is no import; borrowed from the only owner, who is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.map.base.as_ptr(), len) }
    }

    /// From now on for reading.
    pub(super) fn freeze(self) -> Arc<Segment> {
        Arc::new(Segment { map: self.map, touched: self.touched, process: self.process })
    }
}

/// A file of ours that is being read, here or by peers. Goes back to the cache when the last Arc is dropped.
#[derive(Debug)]
pub(in crate::process_pool) struct Segment {
    map: Arc<Map>,
    touched: usize,
    process: Pid,
}

impl Segment {
    pub(super) fn map(&self) -> &Arc<Map> {
        &self.map
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        cache::put(Spare { map: Arc::clone(&self.map), touched: self.touched, process: self.process });
    }
}

/// Shared memory that a [`Blob`](super::Blob) or a message refers to: it stays as it is while this lives.
#[derive(Clone, Debug)]
pub(in crate::process_pool) enum Shared {
    Own(Arc<Segment>),
    /// Another process's, for as long as its lease is held.
    Lent(Arc<Lease>),
}

impl Shared {
    /// A segment of our own, whose first `len` bytes `fill` writes; before that they hold anything.
    ///
    /// # Errors
    /// The system's: out of descriptors or memory.
    pub(in crate::process_pool) fn new(len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<Self> {
        let mut spare = cache::take(len)?;
        fill(spare.first(len));
        Ok(Self::Own(spare.freeze()))
    }

    pub(super) fn map(&self) -> &Arc<Map> {
        match self {
            Self::Own(segment) => segment.map(),
            Self::Lent(lease) => lease.map(),
        }
    }

    /// All of it.
    pub(in crate::process_pool) fn bytes(&self) -> &[u8] {
        // Nobody writes: a segment has no spare, and the owner of a lent one waits for the lease's end.
        self.map().bytes()
    }

    pub(in crate::process_pool) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.map(), other.map())
    }
}
