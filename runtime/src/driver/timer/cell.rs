//! `UnsafeCell` as loom wants it: accesses are closures, which loom checks for overlapping.

#[cfg(runtime_loom)]
pub(super) use loom::cell::UnsafeCell;

/// Without loom, `std`'s.
#[cfg(not(runtime_loom))]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(runtime_loom))]
impl<T> UnsafeCell<T> {
    pub(super) fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// The pointer is valid for `f`; whether it may be followed is the caller's affair.
    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
