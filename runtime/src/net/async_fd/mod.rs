//! `AsyncFd`: readiness for any descriptor that the operating system can watch (pidfds, pipes, eventfds,
//! ...).
//!
//! The descriptor is asked for anew whenever it is needed, by the function that came with the registration:
//! `as_fd` where that is offered, else `as_raw_fd`, whose descriptor the caller of an `unsafe` function has
//! vouched for.

mod guard;

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;

use guard::example;
pub use guard::{AsyncFdReadyGuard, AsyncFdReadyMutGuard, TryIoError};

use super::Evented;
use crate::driver::Direction;
use crate::io::{Interest, Ready};
use crate::runtime::Handle;

/// A descriptor whose readiness can be awaited.
///
/// The descriptor must be in non-blocking mode when it is read or written; watching alone (a pidfd, say) asks
/// for nothing. Readiness is edge-triggered: it stays set until [`AsyncFdReadyGuard::try_io`] meets
/// `WouldBlock`, or [`AsyncFdReadyGuard::clear_ready`] takes it back. Regular files are refused by the
/// operating system.
///
/// # Example
/// A process is awaited.
/// ```
/// use crossover_runtime::net::AsyncFd;
/// use rustix::process::{Pid, PidfdFlags, pidfd_open};
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let mut child = std::process::Command::new("true").spawn()?;
/// let pidfd = AsyncFd::new(pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?)?;
/// let _guard = pidfd.readable().await?;
/// assert!(child.try_wait()?.is_some());
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct AsyncFd<T> {
    inner: Evented<Watched<T>>,
}

/// The descriptor's owner, and how it tells its descriptor.
struct Watched<T> {
    owner: T,
    borrow: for<'a> fn(&'a T) -> BorrowedFd<'a>,
}

impl<T> AsFd for Watched<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (self.borrow)(&self.owner)
    }
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers `inner` with the current runtime, for reading and writing. For what is only [`AsRawFd`], and
    /// so cannot promise that its descriptor is open, see [`register`](Self::register).
    ///
    /// # Errors
    /// When the operating system cannot watch it, and after the runtime's shutdown.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`AsyncFd`].
    #[track_caller]
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        Ok(AsyncFd::watch(inner, T::as_fd)?)
    }

    /// Like [`new`](Self::new). `interest` is there for tokio's sake: everything is watched in any case.
    ///
    /// # Example
    /// ```
    /// # async fn example(descriptor: std::os::fd::OwnedFd) -> std::io::Result<()> {
    /// use crossover_runtime::{io::Interest, net::AsyncFd};
    ///
    /// let fd = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
    /// # drop(fd); Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
        let _ = interest;
        AsyncFd::new(inner)
    }

    /// Like [`new`](Self::new), but hands `inner` back in its error.
    ///
    /// # Example
    /// ```
    /// # async fn example(descriptor: std::os::fd::OwnedFd) {
    /// use crossover_runtime::net::AsyncFd;
    ///
    /// let descriptor = match AsyncFd::try_new(descriptor) {
    ///     Ok(fd) => fd.into_inner(),
    ///     Err(error) => error.into_parts().0,
    /// };
    /// # drop(descriptor); }
    /// ```
    #[track_caller]
    pub fn try_new(inner: T) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        AsyncFd::watch(inner, T::as_fd)
    }

    /// Like [`try_new`](Self::try_new). `interest` is there for tokio's sake: everything is watched in any
    /// case.
    ///
    /// # Example
    /// See [`with_interest`](Self::with_interest).
    #[track_caller]
    pub fn try_with_interest(inner: T, interest: Interest) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        let _ = interest;
        AsyncFd::try_new(inner)
    }
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers `inner` with the current runtime, for reading and writing; for owners that are not `AsFd`
    /// (else see [`new`](Self::new)).
    ///
    /// # Errors
    /// When the operating system cannot watch it, and after the runtime's shutdown. The error holds `inner`.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Safety
    /// Until the `AsyncFd` is dropped or taken apart, `inner.as_raw_fd()` returns one and the same
    /// descriptor, which stays open and refers to the same open file. One that is negative is allowed here:
    /// it is refused by an error.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::net::AsyncFd;
    /// use std::os::fd::{AsRawFd, OwnedFd, RawFd};
    ///
    /// struct Device(OwnedFd);
    ///
    /// impl AsRawFd for Device {
    ///     fn as_raw_fd(&self) -> RawFd {
    ///         self.0.as_raw_fd()
    ///     }
    /// }
    ///
    /// # async fn example(device: Device) -> std::io::Result<()> {
    /// // SAFETY: a device owns its descriptor, and never exchanges it.
    /// let device = unsafe { AsyncFd::register(device) }?;
    /// let _guard = device.readable().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub unsafe fn register(inner: T) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        fn borrow<T: AsRawFd>(inner: &T) -> BorrowedFd<'_> {
            // SAFETY: the caller of `register` vouches that it is open, and it is not negative: see below.
            unsafe { BorrowedFd::borrow_raw(inner.as_raw_fd()) }
        }
        if inner.as_raw_fd() < 0 {
            return Err(AsyncFdRegisterError { inner, cause: Errno::BADF.into() });
        }
        AsyncFd::watch(inner, borrow)
    }

    /// Like [`register`](Self::register). `interest` is there for tokio's sake: everything is watched in any
    /// case.
    ///
    /// # Safety
    /// As of [`register`](Self::register).
    ///
    /// # Example
    /// See [`register`](Self::register).
    #[track_caller]
    pub unsafe fn register_with_interest(
        inner: T,
        interest: Interest,
    ) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        let _ = interest;
        // SAFETY: the caller promises the same.
        unsafe { AsyncFd::register(inner) }
    }
}

impl<T> AsyncFd<T> {
    #[track_caller]
    fn watch(
        owner: T,
        borrow: for<'a> fn(&'a T) -> BorrowedFd<'a>,
    ) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        let handle = Handle::current();
        match Evented::try_new_on(handle.driver(), Watched { owner, borrow }, Ready::EMPTY) {
            Ok(inner) => Ok(AsyncFd { inner }),
            Err((watched, cause)) => Err(AsyncFdRegisterError { inner: watched.owner, cause }),
        }
    }

    /// The descriptor's owner.
    #[doc = example!(r#"println!("{:?}", fd.get_ref());"#)]
    pub fn get_ref(&self) -> &T {
        &self.inner.get().owner
    }

    /// The descriptor's owner. Do not replace it by another one: the registration belongs to this descriptor.
    #[doc = example!(r#"println!("{:?}", fd.get_mut());"#)]
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner.get_mut().owner
    }

    /// Ends the registration.
    #[doc = example!("let descriptor: std::os::fd::OwnedFd = fd.into_inner();")]
    pub fn into_inner(self) -> T {
        self.inner.into_inner().owner
    }

    /// Waits until any of `interest` is ready. Any number of tasks may wait.
    ///
    /// # Errors
    /// After the runtime's shutdown.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc = example!(r#"
use crossover_runtime::io::Interest;

let guard = fd.ready(Interest::READABLE | Interest::WRITABLE).await?;
if guard.ready().is_readable() {
    println!("there is something");
}
"#)]
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let event = self.inner.ready(interest).await?;
        Ok(AsyncFdReadyGuard::new(self, event, interest))
    }

    /// Like [`ready`](Self::ready), for a guard that lends the owner out mutably.
    #[doc = example!(r#"
use crossover_runtime::io::Interest;

let mut guard = fd.ready_mut(Interest::READABLE).await?;
println!("{:?}", guard.get_inner_mut());
"#)]
    pub async fn ready_mut(&mut self, interest: Interest) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        // Only the registration is borrowed while it waits, so that the owner need not be `Sync`.
        let event = self.inner.registration.ready(interest).await?;
        Ok(AsyncFdReadyMutGuard::new(self, event, interest))
    }

    /// Waits until it is readable. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc = example!(r#"
let mut buffer = [0; 64];
let count = loop {
    let mut guard = fd.readable().await?;
    match guard.try_io(|fd| Ok(rustix::io::read(fd, &mut buffer)?)) {
        Ok(result) => break result?,
        Err(_would_block) => continue,
    }
};
println!("{:?}", &buffer[..count]);
"#)]
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// Like [`readable`](Self::readable), for a guard that lends the owner out mutably.
    #[doc = example!(r#"
let mut guard = fd.readable_mut().await?;
println!("{:?}", guard.get_inner_mut());
"#)]
    pub async fn readable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::READABLE).await
    }

    /// Waits until it is writable. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc = example!(r#"
let mut guard = fd.writable().await?;
let written = guard.try_io(|fd| Ok(rustix::io::write(fd, b"hello")?));
"#)]
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// Like [`writable`](Self::writable), for a guard that lends the owner out mutably.
    #[doc = example!(r#"
let mut guard = fd.writable_mut().await?;
println!("{:?}", guard.get_inner_mut());
"#)]
    pub async fn writable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::WRITABLE).await
    }

    /// Like [`readable`](Self::readable); of all callers, the latest is woken.
    #[doc = example!("
let guard = std::future::poll_fn(|cx| fd.poll_read_ready(cx)).await?;
assert!(guard.ready().is_readable());
")]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        let event = ready!(self.inner.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(AsyncFdReadyGuard::new(self, event, Interest::READABLE)))
    }

    /// Like [`poll_read_ready`](Self::poll_read_ready), for a guard that lends the owner out mutably.
    pub fn poll_read_ready_mut(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        let event = ready!(self.inner.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(self, event, Interest::READABLE)))
    }

    /// Like [`writable`](Self::writable); of all callers, the latest is woken.
    #[doc = example!("
let guard = std::future::poll_fn(|cx| fd.poll_write_ready(cx)).await?;
assert!(guard.ready().is_writable());
")]
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        let event = ready!(self.inner.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(AsyncFdReadyGuard::new(self, event, Interest::WRITABLE)))
    }

    /// Like [`poll_write_ready`](Self::poll_write_ready), for a guard that lends the owner out mutably.
    pub fn poll_write_ready_mut(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'_, T>>> {
        let event = ready!(self.inner.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(self, event, Interest::WRITABLE)))
    }

    /// Repeats `attempt` until it returns something else than `WouldBlock`, waiting in between. Any number of
    /// tasks may wait.
    ///
    /// # Cancel safety
    /// Cancel safe as far as `attempt` is: it is not interrupted.
    #[doc = example!(r#"
use crossover_runtime::io::Interest;

let mut buffer = [0; 64];
let count = fd.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut buffer)?)).await?;
println!("{:?}", &buffer[..count]);
"#)]
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.inner.async_io(interest, || attempt(self.get_ref())).await
    }

    /// Like [`async_io`](Self::async_io), with the owner borrowed mutably.
    #[doc = example!(r#"
use crossover_runtime::io::Interest;

let count = fd.async_io_mut(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, b"hello")?)).await?;
println!("{count} bytes");
"#)]
    pub async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut attempt: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.inner.async_io_mut(interest, |watched| attempt(&mut watched.owner)).await
    }

    /// One attempt; its `WouldBlock` clears the readiness.
    ///
    /// # Errors
    /// `WouldBlock`, without an attempt, when `interest` is not ready; else what `attempt` returns.
    #[doc = example!(r#"
use crossover_runtime::io::Interest;

let count = fd.try_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, b"hello")?))?;
println!("{count} bytes");
"#)]
    pub fn try_io<R>(&self, interest: Interest, attempt: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.inner.try_io(interest, || attempt(self.get_ref()))
    }

    /// Like [`try_io`](Self::try_io), with the owner borrowed mutably.
    #[doc = example!(r#"
use crossover_runtime::io::Interest;

let count = fd.try_io_mut(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, b"hello")?))?;
println!("{count} bytes");
"#)]
    pub fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        attempt: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.inner.try_io_mut(interest, |watched| attempt(&mut watched.owner))
    }
}

impl<T> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.get().as_fd()
    }
}

impl<T> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("inner", self.get_ref()).finish()
    }
}

/// The operating system cannot watch a descriptor, or the runtime has shut down; holds the descriptor's
/// owner.
///
/// # Example
/// ```
/// use crossover_runtime::net::AsyncFd;
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let error = AsyncFd::try_new(file).unwrap_err();
/// let (file, error) = error.into_parts();
/// println!("{file:?}: {error}");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct AsyncFdRegisterError<T> {
    inner: T,
    cause: io::Error,
}

impl<T> AsyncFdRegisterError<T> {
    /// The descriptor's owner, and why it could not be registered.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<T> fmt::Debug for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdRegisterError").field("cause", &self.cause).finish_non_exhaustive()
    }
}

impl<T> Error for AsyncFdRegisterError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(error: AsyncFdRegisterError<T>) -> io::Error {
        error.cause
    }
}
