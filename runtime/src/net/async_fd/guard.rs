//! What `AsyncFd` returns when it is ready: a guard, by which the readiness can be taken back.

use std::error::Error;
use std::fmt;
use std::io;

use super::AsyncFd;
use crate::driver::ReadyEvent;
use crate::io::{Interest, Ready};

/// An example around `$code`, with an `AsyncFd` as `fd`.
macro_rules! example {
    ($code:literal) => {
        concat!(
            "\n# Example\n```\n# #[allow(unused_mut)]\n",
            "# async fn example(mut fd: crossover_runtime::net::AsyncFd<std::os::fd::OwnedFd>) -> std::io::Result<()> {\n",
            $code,
            "\n# Ok(())\n# }\n```"
        )
    };
}
pub(super) use example;

/// The readiness that a guard was made for.
#[derive(Debug)]
pub(super) struct Noted {
    /// `None`: cleared or retained.
    event: Option<ReadyEvent>,
    /// What an attempt that would block takes back.
    disproved: Ready,
}

impl Noted {
    /// `interest` is what was waited for. If that is one direction, an attempt that would block disproves all of it, its
    /// end, too (a FIFO has a new writer). If it is both, which one would block cannot be told, and the end of the other
    /// one must not be lost.
    pub(super) fn new(event: ReadyEvent, interest: Interest) -> Noted {
        let mask = interest.mask();
        let disproved = if mask.is_readable() && mask.is_writable() { open() } else { Ready::ALL };
        Noted { event: Some(event), disproved }
    }

    fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// Takes `cleared` back, unless the system has announced another readiness since.
    pub(super) fn clear<T>(&mut self, fd: &AsyncFd<T>, cleared: Ready) {
        if let Some(event) = &mut self.event {
            let mut part = *event;
            part.ready = event.ready & cleared;
            fd.inner.clear(part);
            event.ready = event.ready - cleared;
        }
    }

    /// What an attempt says about the readiness.
    fn note<T, R>(&mut self, fd: &AsyncFd<T>, result: io::Result<R>) -> Result<io::Result<R>, TryIoError> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(fd, self.disproved);
                self.event = None;
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }
}

/// That a side is closed is announced once only, so that a guard's `clear_ready` keeps it.
fn open() -> Ready {
    Ready::ALL - (Ready::READ_CLOSED | Ready::WRITE_CLOSED)
}

/// The functions of both guards.
macro_rules! guard {
    () => {
        /// Takes the readiness back, unless the system has announced another since the guard was made. Only
        /// right after an attempt that would have blocked: the system does not announce twice what is there.
        /// That a side is closed stays set, since it will never be announced again.
        #[doc = example!("
let mut guard = fd.readable_mut().await?;
// ... a read has found nothing
guard.clear_ready();
")]
        pub fn clear_ready(&mut self) {
            self.noted.clear(&*self.fd, open());
            self.noted.event = None;
        }

        /// Like [`clear_ready`](Self::clear_ready), for these bits of it only.
        #[doc = example!("
use crossover_runtime::io::{Interest, Ready};

let mut guard = fd.ready_mut(Interest::READABLE | Interest::WRITABLE).await?;
// ... a read has found nothing
guard.clear_ready_matching(Ready::READABLE);
")]
        pub fn clear_ready_matching(&mut self, ready: Ready) {
            self.noted.clear(&*self.fd, ready & open());
        }

        /// Leaves the readiness as it is, as dropping the guard does.
        #[doc = example!("fd.readable_mut().await?.retain_ready();")]
        pub fn retain_ready(&mut self) {
            self.noted.event = None;
        }

        /// What was ready, and has not been cleared by this guard.
        #[doc = example!("
let guard = fd.readable_mut().await?;
assert!(guard.ready().is_readable());
")]
        pub fn ready(&self) -> Ready {
            self.noted.ready()
        }
    };
}

/// Says that an [`AsyncFd`] was ready. Dropping it leaves the readiness as it is.
///
/// # Example
/// See [`AsyncFd::readable`].
#[must_use = "the readiness stays set until try_io or clear_ready is called"]
pub struct AsyncFdReadyGuard<'a, T> {
    fd: &'a AsyncFd<T>,
    noted: Noted,
}

impl<'a, T> AsyncFdReadyGuard<'a, T> {
    pub(super) fn new(fd: &'a AsyncFd<T>, event: ReadyEvent, interest: Interest) -> AsyncFdReadyGuard<'a, T> {
        AsyncFdReadyGuard { fd, noted: Noted::new(event, interest) }
    }

    guard!();

    /// One attempt; clears the readiness when it would block.
    ///
    /// # Errors
    /// [`TryIoError`] when it would block; the attempt's own result otherwise.
    ///
    /// # Example
    /// See [`AsyncFd::readable`].
    pub fn try_io<R>(
        &mut self,
        attempt: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        self.noted.note(self.fd, attempt(self.fd))
    }

    /// The descriptor.
    #[doc = example!(r#"
let guard = fd.readable().await?;
println!("{:?}", guard.get_ref());
"#)]
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// The descriptor's owner.
    #[doc = example!(r#"
let guard = fd.readable().await?;
println!("{:?}", guard.get_inner());
"#)]
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

/// Says that an [`AsyncFd`] was ready, and lends it out mutably. Dropping it leaves the readiness as it is.
///
/// # Example
/// See [`AsyncFd::readable_mut`].
#[must_use = "the readiness stays set until try_io or clear_ready is called"]
pub struct AsyncFdReadyMutGuard<'a, T> {
    fd: &'a mut AsyncFd<T>,
    noted: Noted,
}

impl<'a, T> AsyncFdReadyMutGuard<'a, T> {
    pub(super) fn new(
        fd: &'a mut AsyncFd<T>,
        event: ReadyEvent,
        interest: Interest,
    ) -> AsyncFdReadyMutGuard<'a, T> {
        AsyncFdReadyMutGuard { fd, noted: Noted::new(event, interest) }
    }

    guard!();

    /// One attempt; clears the readiness when it would block.
    ///
    /// # Errors
    /// [`TryIoError`] when it would block; the attempt's own result otherwise.
    #[doc = example!(r#"
let mut guard = fd.writable_mut().await?;
let written = guard.try_io(|fd| Ok(rustix::io::write(fd.get_mut(), b"hello")?));
"#)]
    pub fn try_io<R>(
        &mut self,
        attempt: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        let result = attempt(self.fd);
        self.noted.note(self.fd, result)
    }

    /// The descriptor.
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.fd
    }

    /// The descriptor.
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.fd
    }

    /// The descriptor's owner.
    pub fn get_inner(&self) -> &T {
        self.fd.get_ref()
    }

    /// The descriptor's owner. Do not replace it by another one: the registration belongs to this descriptor.
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.fd.get_mut()
    }
}

impl<T: fmt::Debug> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard").field("fd", self.fd).field("noted", &self.noted).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for AsyncFdReadyMutGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyMutGuard").field("fd", self.fd).field("noted", &self.noted).finish()
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
