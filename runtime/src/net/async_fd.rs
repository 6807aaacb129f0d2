//! `AsyncFd`: readiness for any descriptor that the operating system can watch (pidfds, pipes, eventfds, ...).

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use super::Evented;
use crate::driver::{Direction, ReadyEvent};
use crate::io::{Interest, Ready};

/// A descriptor whose readiness can be awaited.
///
/// The descriptor must be in non-blocking mode when it is read or written; watching alone (a pidfd, say) asks for
/// nothing. Readiness is edge-triggered: it stays set until [`AsyncFdReadyGuard::try_io`] meets `WouldBlock`, or
/// [`AsyncFdReadyGuard::clear_ready`] takes it back. Regular files are refused by the operating system.
pub struct AsyncFd<T: AsFd> {
    inner: Evented<T>,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers `inner` with the current runtime.
    ///
    /// # Errors
    /// When the operating system cannot watch it, and after the runtime's shutdown.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        Ok(AsyncFd { inner: Evented::new(inner, Ready::EMPTY)? })
    }

    /// The descriptor's owner.
    pub fn get_ref(&self) -> &T {
        self.inner.get()
    }

    /// The descriptor's owner. Do not replace it by another one: the registration belongs to this descriptor.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Ends the registration.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }

    /// Waits until any of `interest` is ready. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let event = self.inner.ready(interest).await?;
        Ok(AsyncFdReadyGuard { fd: self, event: Some(event) })
    }

    /// Waits until it is readable. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// Waits until it is writable. Any number of tasks may wait.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// Like [`readable`](Self::readable); the latest caller is the one that is woken.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        let event = ready!(self.inner.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, event: Some(event) }))
    }

    /// Like [`writable`](Self::writable); the latest caller is the one that is woken.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        let event = ready!(self.inner.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, event: Some(event) }))
    }

    /// Repeats `attempt` until it returns something else than `WouldBlock`, waiting in between.
    ///
    /// # Cancel safety
    /// Cancel safe as far as `attempt` is: it is not interrupted.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.inner.async_io(interest, || attempt(self.get_ref())).await
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("inner", self.get_ref()).finish()
    }
}

/// Says that an [`AsyncFd`] was ready. Dropping it leaves the readiness as it is.
#[must_use = "the readiness stays set until try_io or clear_ready is called"]
pub struct AsyncFdReadyGuard<'a, T: AsFd> {
    fd: &'a AsyncFd<T>,
    event: Option<ReadyEvent>,
}

impl<'a, T: AsFd> AsyncFdReadyGuard<'a, T> {
    /// One attempt; clears the readiness when it would block.
    ///
    /// # Errors
    /// [`TryIoError`] when it would block; the attempt's own result otherwise.
    pub fn try_io<R>(
        &mut self,
        attempt: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match attempt(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Ready::EMPTY);
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }

    /// Takes the readiness back, unless the system has announced another since the guard was made. Only right after
    /// an attempt that would have blocked: the system does not announce twice what is there. That a side is closed
    /// stays set, since it will never be announced again.
    pub fn clear_ready(&mut self) {
        self.clear(Ready::READ_CLOSED | Ready::WRITE_CLOSED);
    }

    /// Takes the readiness back, but for `kept`.
    fn clear(&mut self, kept: Ready) {
        if let Some(mut event) = self.event.take() {
            event.ready = event.ready - kept;
            self.fd.inner.clear(event);
        }
    }

    /// Leaves the readiness as it is.
    pub fn retain_ready(&mut self) {
        self.event = None;
    }

    /// What was ready.
    pub fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// The descriptor.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// The descriptor's owner.
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard").field("fd", self.fd).field("event", &self.event).finish()
    }
}

/// The attempt of [`AsyncFdReadyGuard::try_io`] would have blocked.
#[derive(Debug)]
pub struct TryIoError(());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the I/O attempt would have blocked")
    }
}

impl Error for TryIoError {}
