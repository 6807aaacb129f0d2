//! What stands in for memory and system calls under loom: the same doors as `mapping` and `sleep`.
//!
//! Each 8-byte word of a ring is a cell whose accesses loom checks: one that is not ordered after the last write is an
//! error. A futex and an eventfd are a lock and a condition variable, and a lost wake-up is a deadlock.

use super::page::{AtomicU32, Ordering, Page};
use crate::sync::prim::{Condvar, Mutex};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Of one process: other processes are out of a model's reach.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<(Page, Bytes, Bytes)>);

impl Memory {
    pub(super) fn new(ring_bytes: usize) -> Memory {
        Memory(Arc::new((Page::default(), Bytes::new(ring_bytes), Bytes::new(ring_bytes))))
    }

    pub(super) fn create(_ring_bytes: usize) -> io::Result<(Memory, OwnedFd)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn attach(_fd: BorrowedFd<'_>, _ring_bytes: usize) -> io::Result<Memory> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn page(&self) -> &Page {
        &self.0.0
    }

    pub(super) fn to_worker(&self) -> &Bytes {
        &self.0.1
    }

    pub(super) fn to_parent(&self) -> &Bytes {
        &self.0.2
    }
}

#[derive(Debug)]
pub(super) struct Bytes(Box<[UnsafeCell<[u8; 8]>]>);

// SAFETY: loom checks that no two threads are at a cell at the same time.
unsafe impl Sync for Bytes {}

impl Bytes {
    fn new(bytes: usize) -> Bytes {
        Bytes((0..bytes / 8).map(|_| UnsafeCell::new([0; 8])).collect())
    }

    pub(super) fn capacity(&self) -> u64 {
        self.0.len() as u64 * 8
    }

    fn word(&self, position: u64) -> &UnsafeCell<[u8; 8]> {
        &self.0[(position / 8) as usize % self.0.len()]
    }

    pub(super) fn write_word(&self, position: u64, word: u64) {
        // SAFETY: loom checks that nobody else is at it.
        self.word(position).with_mut(|cell| unsafe { *cell = word.to_ne_bytes() });
    }

    pub(super) fn read_word(&self, position: u64) -> u64 {
        // SAFETY: as above.
        u64::from_ne_bytes(self.word(position).with(|cell| unsafe { *cell }))
    }

    pub(super) fn write(&self, position: u64, from: &[u8]) {
        for (at, byte) in (position..).zip(from) {
            // SAFETY: as above.
            self.word(at).with_mut(|cell| unsafe { (*cell)[at as usize % 8] = *byte });
        }
    }

    pub(super) fn read(&self, position: u64, to: &mut [MaybeUninit<u8>]) {
        for (at, byte) in (position..).zip(to) {
            // SAFETY: as above.
            byte.write(self.word(at).with(|cell| unsafe { (*cell)[at as usize % 8] }));
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Futex {
    word: AtomicU32,
    sleeper: (Mutex<()>, Condvar),
}

impl Deref for Futex {
    type Target = AtomicU32;

    fn deref(&self) -> &AtomicU32 {
        &self.word
    }
}

impl Futex {
    pub(super) fn wait(&self, expected: u32) {
        let guard = self.sleeper.0.lock();
        if self.word.load(Ordering::Relaxed) == expected {
            drop(self.sleeper.1.wait(guard));
        }
    }

    pub(super) fn wake(&self) {
        let _guard = self.sleeper.0.lock();
        self.sleeper.1.notify_all();
    }
}

#[derive(Clone, Debug)]
pub(super) struct Bell {
    rung: Arc<(Mutex<bool>, Condvar)>,
    /// Only to have a descriptor to show.
    fd: std::sync::Arc<OwnedFd>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        Ok(Bell::from_fd(eventfd(0, EventfdFlags::CLOEXEC)?))
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Bell {
        Bell { rung: Arc::new((Mutex::new(false), Condvar::new())), fd: std::sync::Arc::new(fd) }
    }

    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    pub(super) fn ring(&self) {
        *self.rung.0.lock() = true;
        self.rung.1.notify_all();
    }

    /// What a poller does with the descriptor: sleeps until the bell has been rung.
    pub(super) fn await_ring(&self) {
        let mut rung = self.rung.0.lock();
        while !*rung {
            rung = self.rung.1.wait(rung);
        }
        *rung = false;
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
