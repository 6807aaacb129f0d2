//! A lane's memory as one side has it mapped: the page of words, and the bytes of two rings.
//!
//! The other side is a process that may do anything to this memory at any time. So no reference to its bytes is ever
//! formed: they are copied, in and out, through raw pointers, and every access is within the mapping whatever position
//! it is given.

use super::memory;
use super::page::Page;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

/// The words come first, and have all of this.
const PAGE_BYTES: usize = 4096;

const _: () = assert!(size_of::<Page>() <= PAGE_BYTES);

/// A mapped lane.
#[derive(Debug)]
pub(super) struct Memory {
    base: NonNull<u8>,
    to_worker: Bytes,
    to_parent: Bytes,
}

// SAFETY: a mapping belongs to the process, not to a thread; the rest are words that any thread may use.
unsafe impl Send for Memory {}

impl Memory {
    /// New shared memory, mapped here, and the descriptor to map it elsewhere. `ring_bytes` is a power of two.
    pub(super) fn create(ring_bytes: usize) -> io::Result<(Memory, OwnedFd)> {
        let fd = memory::sealed("crossover-lane", size(ring_bytes) as u64)?;
        Ok((Memory::map(fd.as_fd(), ring_bytes)?, fd))
    }

    /// Maps what the other side has created, after a look at its size and seals.
    ///
    /// A copy of this process, forked by a job, does not have the mapping: two that send through one lane would mix up
    /// their answers. A copy that goes on as if it were the worker dies of SIGSEGV when it comes to the lane.
    pub(super) fn attach(fd: BorrowedFd<'_>, ring_bytes: usize) -> io::Result<Memory> {
        memory::verify(fd, size(ring_bytes) as u64)?;
        let mapped = Memory::map(fd, ring_bytes)?;
        // SAFETY: it is this mapping as a whole, and its bytes stay as they are.
        unsafe { madvise(mapped.base.as_ptr().cast(), size(ring_bytes), Advice::LinuxDontFork) }?;
        Ok(mapped)
    }

    fn map(fd: BorrowedFd<'_>, ring_bytes: usize) -> io::Result<Memory> {
        assert!(ring_bytes.is_power_of_two() && ring_bytes >= 8);
        let (length, access) = (size(ring_bytes), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: the kernel chooses a place where nothing is.
        let base = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, fd, 0) }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the mapping is larger.
        let first = unsafe { base.add(PAGE_BYTES) };
        // SAFETY: as above: it has two rings after the page.
        let second = unsafe { first.add(ring_bytes) };
        let ring = |base| Bytes { base, capacity: ring_bytes };
        Ok(Memory { base, to_worker: ring(first), to_parent: ring(second) })
    }

    #[inline]
    pub(super) fn page(&self) -> &Page {
        // SAFETY: mapped for as long as `self` lives, aligned to a page, large enough; and the page consists of
        // atomics, for which any bytes are valid and which anybody may change.
        unsafe { self.base.cast::<Page>().as_ref() }
    }

    #[inline]
    pub(super) fn to_worker(&self) -> &Bytes {
        &self.to_worker
    }

    #[inline]
    pub(super) fn to_parent(&self) -> &Bytes {
        &self.to_parent
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is what was mapped; whatever borrowed from it borrowed `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), size(self.to_worker.capacity)) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

fn size(ring_bytes: usize) -> usize {
    PAGE_BYTES + 2 * ring_bytes
}

/// The bytes of a ring. Positions are taken modulo the capacity.
///
/// That the two sides do not work at the same bytes at the same time is up to the positions in the page. A peer that
/// breaks this makes rubbish of what is read here, and no more.
#[derive(Debug)]
pub(super) struct Bytes {
    base: NonNull<u8>,
    /// A power of two, at least 8.
    capacity: usize,
}

impl Bytes {
    #[inline]
    pub(super) fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// The offset of a position: less than the capacity.
    #[inline]
    fn offset(&self, position: u64) -> usize {
        // Truncation keeps the low bits, which are all that counts.
        position as usize & (self.capacity - 1)
    }

    /// The place at an offset that is less than the capacity.
    #[inline]
    fn place(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: within the mapping.
        unsafe { self.base.add(offset) }
    }

    /// The 8-byte word that `position` lies in: aligned, as the base is, and within the mapping.
    #[inline]
    fn word(&self, position: u64) -> *mut u64 {
        self.place(self.offset(position) & !7).as_ptr().cast()
    }

    #[inline]
    pub(super) fn write_word(&self, position: u64, word: u64) {
        // SAFETY: mapped for as long as `self` lives, and aligned.
        unsafe { self.word(position).write(word) };
    }

    /// Reads a word, once: what is checked afterwards is what was read.
    #[inline]
    pub(super) fn read_word(&self, position: u64) -> u64 {
        // SAFETY: as for `write_word`.
        unsafe { self.word(position).read_volatile() }
    }

    /// Copies `from` in, around the end if need be.
    ///
    /// # Panics
    /// There is more than the capacity.
    #[inline]
    pub(super) fn write(&self, position: u64, from: &[u8]) {
        let (place, first) = self.pieces(position, from.len());
        // SAFETY: `first` bytes fit between `place` and the end, and `from` has as many.
        unsafe { place.copy_from_nonoverlapping(source(from), first) };
        if first < from.len() {
            let rest = &from[first..];
            // SAFETY: less than the capacity, so the beginning of the ring has room.
            unsafe { self.base.copy_from_nonoverlapping(source(rest), rest.len()) };
        }
    }

    /// Copies out and fills `to`.
    ///
    /// # Panics
    /// It asks for more than the capacity.
    #[inline]
    pub(super) fn read(&self, position: u64, to: &mut [MaybeUninit<u8>]) {
        let (place, first) = self.pieces(position, to.len());
        let (head, rest) = to.split_at_mut(first);
        // SAFETY: as in `write`, the other way round.
        unsafe { place.copy_to_nonoverlapping(target(head), first) };
        if !rest.is_empty() {
            // SAFETY: as in `write`.
            unsafe { self.base.copy_to_nonoverlapping(target(rest), rest.len()) };
        }
    }

    /// Where a copy begins, and how many bytes it can take before the end.
    #[inline]
    fn pieces(&self, position: u64, length: usize) -> (NonNull<u8>, usize) {
        assert!(length <= self.capacity);
        let offset = self.offset(position);
        (self.place(offset), length.min(self.capacity - offset))
    }
}

fn source(from: &[u8]) -> NonNull<u8> {
    NonNull::from(from).cast()
}

fn target(to: &mut [MaybeUninit<u8>]) -> NonNull<u8> {
    NonNull::from(to).cast()
}
