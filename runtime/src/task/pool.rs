//! Memory for task cells: free lists by size, per thread, on top of the global allocator.
//!
//! A task's memory is often allocated on one thread and freed on another, thousands at a time; a general allocator
//! takes its slow path for that (glibc keeps seven blocks per size and thread). Here each thread keeps two
//! *magazines* of up to [`BATCH`] blocks per size class. A thread whose magazines are full gives one to the shared
//! *depot*, one whose magazines are empty takes one from there, so a lock is taken once per [`BATCH`] blocks.
//!
//! **A burst's memory is given back.** The depot holds at most [`DEPOT_BYTES`] in all; what comes beyond that is
//! returned to the allocator, and so is what a thread holds when it ends. A thread holds at most 2 × `BATCH` blocks
//! per class: 128 KiB of the largest class.
//!
//! Size classes are 16 bytes apart, at 8, 24, 40, …: glibc puts 8 bytes before each block and rounds to 16, so that
//! these sizes waste nothing. Larger or stricter aligned cells go to the allocator directly; so does everything
//! under `--cfg runtime_asan` and `--cfg runtime_loom`, where reuse would hide a use after free.
//!
//! Invariants: a block on a list is owned by the list, and its first word is the list's link; its size is its
//! class's. Lock order: the depot's lock is a leaf.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// Blocks per magazine.
const BATCH: usize = 64;
/// What the depot may hold, in bytes over all classes: ten thousand tasks of some hundred bytes, several times.
const DEPOT_BYTES: usize = 8 << 20;
const STEP: usize = 16;
const CLASSES: usize = 64;
/// The largest block that is pooled.
const POOLED_MAX: usize = size_of_class(CLASSES - 1);
const BYPASS: bool = cfg!(runtime_asan) || cfg!(runtime_loom);

const fn size_of_class(class: usize) -> usize {
    class * STEP + 8
}

/// The class for a layout, if it is pooled.
fn class_of(layout: Layout) -> Option<usize> {
    let class = layout.size().saturating_sub(8).div_ceil(STEP);
    (!BYPASS && layout.size() <= POOLED_MAX && layout.align() <= STEP).then_some(class)
}

fn layout_of_class(class: usize) -> Layout {
    // The size is far below the limit and the alignment a power of two, so this is never an error.
    Layout::from_size_align(size_of_class(class), STEP).unwrap_or(Layout::new::<u64>())
}

/// A block that is free.
struct Free {
    next: *mut Free,
}

/// A stack of free blocks of one class.
struct Magazine {
    head: *mut Free,
    len: usize,
}

// SAFETY: the blocks of a magazine belong to it alone, and memory is not bound to a thread.
unsafe impl Send for Magazine {}

impl Magazine {
    const EMPTY: Magazine = Magazine { head: ptr::null_mut(), len: 0 };

    fn pop(&mut self) -> Option<NonNull<u8>> {
        let block = NonNull::new(self.head)?;
        // SAFETY: a block on the list is ours and starts with its link.
        self.head = unsafe { block.as_ref().next };
        self.len -= 1;
        Some(block.cast())
    }

    /// # Safety
    /// The block must be of this magazine's class, and belong to the caller.
    unsafe fn push(&mut self, block: NonNull<u8>) {
        let free = block.cast::<Free>();
        // SAFETY: the caller gives the block away; it is large enough and aligned for a link.
        unsafe { free.write(Free { next: self.head }) };
        self.head = free.as_ptr();
        self.len += 1;
    }

    /// Returns all blocks to the allocator.
    fn release(&mut self, class: usize) {
        while let Some(block) = self.pop() {
            // SAFETY: it was allocated with its class's layout, in `allocate`.
            unsafe { dealloc(block.as_ptr(), layout_of_class(class)) };
        }
    }
}

/// The two magazines of one class: `loaded` is used, `spare` is full or empty.
struct Pair {
    loaded: Magazine,
    spare: Magazine,
}

/// A thread's magazines.
struct Pool {
    pairs: [Pair; CLASSES],
}

thread_local! {
    static POOL: UnsafeCell<Pool> = const {
        UnsafeCell::new(Pool { pairs: [const { Pair { loaded: Magazine::EMPTY, spare: Magazine::EMPTY } }; CLASSES] })
    };
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (class, pair) in self.pairs.iter_mut().enumerate() {
            deposit(class, std::mem::replace(&mut pair.loaded, Magazine::EMPTY));
            deposit(class, std::mem::replace(&mut pair.spare, Magazine::EMPTY));
        }
    }
}

/// Magazines that no thread needs now.
struct Depot {
    classes: [Vec<Magazine>; CLASSES],
    bytes: usize,
}

static DEPOT: Mutex<Depot> = Mutex::new(Depot { classes: [const { Vec::new() }; CLASSES], bytes: 0 });

/// Gives a magazine to the depot, or its blocks to the allocator if the depot is full.
#[cold]
fn deposit(class: usize, mut magazine: Magazine) {
    if magazine.len == 0 {
        return;
    }
    let bytes = magazine.len * size_of_class(class);
    {
        let mut depot = DEPOT.lock().unwrap_or_else(PoisonError::into_inner);
        if depot.bytes + bytes <= DEPOT_BYTES {
            depot.bytes += bytes;
            depot.classes[class].push(magazine);
            return;
        }
    }
    magazine.release(class);
}

#[cold]
fn withdraw(class: usize) -> Option<Magazine> {
    let mut depot = DEPOT.lock().unwrap_or_else(PoisonError::into_inner);
    let magazine = depot.classes[class].pop()?;
    depot.bytes -= magazine.len * size_of_class(class);
    Some(magazine)
}

impl Pair {
    #[inline]
    fn take(&mut self, class: usize) -> Option<NonNull<u8>> {
        if let Some(block) = self.loaded.pop() {
            return Some(block);
        }
        if self.spare.len > 0 {
            std::mem::swap(&mut self.loaded, &mut self.spare);
        } else {
            self.loaded = withdraw(class)?;
        }
        self.loaded.pop()
    }

    /// # Safety
    /// As for [`Magazine::push`].
    #[inline]
    unsafe fn give(&mut self, class: usize, block: NonNull<u8>) {
        if self.loaded.len >= BATCH {
            let full = std::mem::replace(&mut self.loaded, Magazine::EMPTY);
            deposit(class, std::mem::replace(&mut self.spare, full));
        }
        // SAFETY: passed on to the caller.
        unsafe { self.loaded.push(block) };
    }
}

/// Runs `f` on the thread's magazines of a class; `None` while the thread ends and they are gone.
#[inline]
fn with_pair<R>(class: usize, f: impl FnOnce(&mut Pair) -> R) -> Option<R> {
    POOL.try_with(|pool| {
        // SAFETY: the pool belongs to this thread, and `f`, which is `take` or `give`, does not come back here: it
        // calls the global allocator at most, which must not use a runtime.
        let pool = unsafe { &mut *pool.get() };
        f(&mut pool.pairs[class])
    })
    .ok()
}

/// Memory for a value of this layout, whose size must not be zero. Aborts the process when there is none.
#[inline]
pub(super) fn allocate(layout: Layout) -> NonNull<u8> {
    debug_assert!(layout.size() > 0);
    let layout = match class_of(layout) {
        None => layout,
        Some(class) => match with_pair(class, |pair| pair.take(class)).flatten() {
            Some(block) => return block,
            None => layout_of_class(class),
        },
    };
    // SAFETY: the size is not zero.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Takes memory back.
///
/// # Safety
/// `block` must come from [`allocate`] with the same layout, and not be used any more.
#[inline]
pub(super) unsafe fn release(block: NonNull<u8>, layout: Layout) {
    let layout = match class_of(layout) {
        None => layout,
        Some(class) => {
            // SAFETY: the block has this class's size, for that is what `allocate` gave it, and is given away.
            let given = with_pair(class, |pair| unsafe { pair.give(class, block) });
            if given.is_some() {
                return;
            }
            layout_of_class(class)
        }
    };
    // SAFETY: allocated with this layout in `allocate`.
    unsafe { dealloc(block.as_ptr(), layout) };
}

#[cfg(all(test, not(runtime_loom), not(runtime_asan)))]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_smallest_that_fits() {
        for size in 1..=POOLED_MAX {
            let layout = Layout::from_size_align(size, 8).unwrap();
            let class = class_of(layout).unwrap();
            assert!(size_of_class(class) >= size, "size {size}");
            assert!(class == 0 || size_of_class(class - 1) < size, "size {size}");
        }
        assert_eq!(class_of(Layout::from_size_align(POOLED_MAX + 1, 8).unwrap()), None);
        assert_eq!(class_of(Layout::from_size_align(8, 64).unwrap()), None);
    }

    #[test]
    fn blocks_come_back_and_do_not_overlap() {
        let layout = Layout::from_size_align(72, 8).unwrap();
        for _ in 0..3 {
            let blocks: Vec<_> = (0..1000).map(|_| allocate(layout)).collect();
            for (n, block) in blocks.iter().enumerate() {
                // SAFETY: 72 bytes are ours.
                unsafe { block.as_ptr().write_bytes(n as u8, 72) };
            }
            for (n, block) in blocks.into_iter().enumerate() {
                // SAFETY: within the 72 bytes.
                let last = unsafe { block.as_ptr().add(71) };
                // SAFETY: written above.
                let last = unsafe { last.read() };
                assert_eq!(last, n as u8);
                // SAFETY: allocated above with this layout.
                unsafe { release(block, layout) };
            }
        }
    }

    #[test]
    fn blocks_freed_on_another_thread_are_found_again_and_the_depot_is_bounded() {
        let layout = Layout::from_size_align(1000, 8).unwrap();
        let blocks: Vec<usize> = (0..20_000).map(|_| allocate(layout).as_ptr() as usize).collect();
        std::thread::spawn(move || {
            for block in blocks {
                // SAFETY: allocated above with this layout; the addresses were exposed by the cast.
                unsafe { release(NonNull::new(block as *mut u8).unwrap(), layout) };
            }
        })
        .join()
        .unwrap();
        let bytes = DEPOT.lock().unwrap().bytes;
        assert!((1000 * BATCH..=DEPOT_BYTES).contains(&bytes), "{bytes}");
    }
}
