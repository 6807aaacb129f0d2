//! TCP, UDP and Unix sockets for async code, with tokio's names and semantics.
//!
//! The streams implement `futures_io::{AsyncRead, AsyncWrite}`, also for `&TcpStream` and `&UnixStream`, and hyper's
//! traits under the feature `hyper`. Every socket belongs to the runtime that was current when it was made, and may
//! be used from any executor; after that runtime's shutdown its operations fail (see
//! [`is_rt_shutdown_err`](crate::runtime::is_rt_shutdown_err)).
//!
//! How many tasks may wait on one socket:
//! - **async functions** (`accept`, `recv`, `readable`, ...): any number per direction, an event wakes them all;
//! - **`poll_*` functions and the I/O traits**: one per direction, the one that polled last.
//!
//! `Evented` below is what all of them are made of: a descriptor with its registration.

mod accept;
mod addr;
mod async_fd;
mod split;
mod stream;
pub mod tcp;
mod udp;
pub mod unix;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;

pub use addr::{ToSocketAddrs, lookup_host};
pub use async_fd::{AsyncFd, AsyncFdReadyGuard, TryIoError};
#[doc(inline)]
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
#[doc(inline)]
pub use unix::{UnixListener, UnixStream};

use crate::driver::{self, Direction, ReadyEvent, Registration, Transfer};
use crate::io::{Interest, Ready};
use crate::runtime::Handle;
use crate::scheduler::budget;
use crate::sync::prim::atomic::{AtomicU8, Ordering};

/// How many connections the kernel may complete before somebody accepts them. std's 128 makes a burst of
/// connections wait for the retransmission of dropped SYNs; the kernel caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A descriptor in non-blocking mode and its registration, which ends before the descriptor is closed.
pub(crate) struct Evented<T: AsFd> {
    /// `None` only inside of `into_inner` and `drop`.
    io: Option<T>,
    registration: Registration,
    read_style: ReadStyle,
}

impl<T: AsFd> Evented<T> {
    /// Registers with the driver of the current runtime; see `Registration::new` for `initial`.
    #[track_caller]
    pub(crate) fn new(io: T, initial: Ready) -> io::Result<Evented<T>> {
        Evented::new_on(Handle::current().driver(), io, initial)
    }

    /// Registers with a given driver.
    pub(crate) fn new_on(driver: &driver::Handle, io: T, initial: Ready) -> io::Result<Evented<T>> {
        let registration = Registration::new(driver, io.as_fd(), initial)?;
        Ok(Evented { io: Some(io), registration, read_style: ReadStyle::default() })
    }

    pub(crate) fn driver(&self) -> &driver::Handle {
        self.registration.handle()
    }

    pub(crate) fn get(&self) -> &T {
        self.io.as_ref().expect("taken only by into_inner and drop, which end the borrow of self")
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.io.as_mut().expect("taken only by into_inner and drop, which end the borrow of self")
    }

    /// Ends the registration and hands out the descriptor, still in non-blocking mode.
    pub(crate) fn into_inner(mut self) -> T {
        self.deregister().expect("taken only here and in drop, and each consumes self")
    }

    fn deregister(&mut self) -> Option<T> {
        let io = self.io.take()?;
        self.registration.deregister(io.as_fd());
        Some(io)
    }

    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<ReadyEvent> {
        budget::consume_budget().await;
        self.registration.ready(interest).await
    }

    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<ReadyEvent>> {
        let charge = ready!(budget::poll_proceed(cx));
        let event = ready!(self.registration.poll_ready(cx, direction))?;
        charge.made_progress();
        Poll::Ready(Ok(event))
    }

    pub(crate) fn clear(&self, event: ReadyEvent) {
        self.registration.clear(event);
    }

    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        attempt: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration.try_io(interest, attempt)
    }

    /// One waiter per direction: the latest.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        attempt: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let charge = ready!(budget::poll_proceed(cx));
        let result = ready!(self.registration.poll_io(cx, direction, attempt));
        charge.made_progress();
        Poll::Ready(result)
    }

    /// Any number of waiters. The budget is charged before, because after the attempt there is something to lose.
    pub(crate) async fn async_io<R>(
        &self,
        interest: Interest,
        attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        budget::consume_budget().await;
        self.registration.async_io(interest, attempt).await
    }
}

/// A connected byte stream.
pub(crate) trait ByteStream: AsFd {
    /// A read or write moves fewer bytes than asked for only when there are no more (no room for more) at that
    /// moment; the end of the stream, errors and urgent data aside, of which the driver hears. True for TCP. A read
    /// from a Unix stream also stops where descriptors were sent along.
    const STOPS_ONLY_WHEN_DRAINED: bool;

    /// Makes `read_and_ask` answer, or not any more; an error: it never will.
    fn set_answers(&self, _on: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Reads, and says how much is left to be read if that is known.
    fn read_and_ask(&self, buffer: &mut [u8]) -> io::Result<Transfer>;
}

impl ByteStream for std::net::TcpStream {
    const STOPS_ONLY_WHEN_DRAINED: bool = true;

    #[cfg(target_os = "linux")]
    fn set_answers(&self, on: bool) -> io::Result<()> {
        tcp::set_answers(self, on)
    }

    #[cfg(target_os = "linux")]
    fn read_and_ask(&self, buffer: &mut [u8]) -> io::Result<Transfer> {
        tcp::read_and_ask(self, buffer).map(|(count, left)| Transfer { count, left })
    }

    #[cfg(not(target_os = "linux"))]
    fn read_and_ask(&self, buffer: &mut [u8]) -> io::Result<Transfer> {
        (&mut &*self).read(buffer).map(Transfer::from)
    }
}

impl ByteStream for std::os::unix::net::UnixStream {
    const STOPS_ONLY_WHEN_DRAINED: bool = false;

    fn read_and_ask(&self, buffer: &mut [u8]) -> io::Result<Transfer> {
        (&mut &*self).read(buffer).map(Transfer::from)
    }
}

/// How the reads of a connection have gone: counts those in vain, up to `ASKING` or `NEVER_ASK`. Only a hint for speed,
/// hence Relaxed throughout.
#[derive(Debug, Default)]
struct ReadStyle(AtomicU8);

impl ReadStyle {
    const ENOUGH_IN_VAIN: u8 = 4;
    const ASKING: u8 = 254;
    const NEVER_ASK: u8 = 255;

    fn is_asking(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ReadStyle::ASKING
    }

    /// A read found nothing; true: that has happened often enough to begin asking.
    fn in_vain(&self) -> bool {
        let count = self.0.load(Ordering::Relaxed).saturating_add(1);
        if count <= ReadStyle::ENOUGH_IN_VAIN {
            self.0.store(count, Ordering::Relaxed);
        }
        count == ReadStyle::ENOUGH_IN_VAIN
    }

    /// A read stopped short, and thereby said that nothing is left: nobody needs to ask.
    fn short(&self) {
        if (1..ReadStyle::ENOUGH_IN_VAIN).contains(&self.0.load(Ordering::Relaxed)) {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    fn settle(&self, asking: bool) {
        let style = if asking { ReadStyle::ASKING } else { ReadStyle::NEVER_ASK };
        self.0.store(style, Ordering::Relaxed);
    }
}

/// What all byte streams share.
impl<T: ByteStream> Evented<T>
where
    for<'a> &'a T: Read + Write,
{
    /// One waiter per direction: the latest. `wanted` is how many bytes `attempt` would move at most.
    fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        wanted: usize,
        mut attempt: impl FnMut() -> io::Result<Transfer>,
    ) -> Poll<io::Result<usize>> {
        let charge = ready!(budget::poll_proceed(cx));
        let result = if T::STOPS_ONLY_WHEN_DRAINED {
            ready!(self.registration.poll_transfer(cx, direction, wanted, attempt))
        } else {
            ready!(self.registration.poll_io(cx, direction, || attempt().map(|transfer| transfer.count)))
        };
        charge.made_progress();
        Poll::Ready(result)
    }

    /// One attempt at moving up to `wanted` bytes.
    pub(crate) fn try_transfer(
        &self,
        direction: Direction,
        wanted: usize,
        attempt: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        if T::STOPS_ONLY_WHEN_DRAINED {
            self.registration.try_transfer(direction, wanted, attempt)
        } else {
            self.registration.try_io(direction.interest(), attempt)
        }
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_transfer(cx, Direction::Read, buffer.len(), || self.read(buffer))
    }

    /// Leaves the socket as it was.
    pub(crate) fn end_asking(&self) -> io::Result<()> {
        if self.read_style.is_asking() { self.get().set_answers(false) } else { Ok(()) }
    }

    /// Reads, and learns from it whether to ask how much is left.
    fn read(&self, buffer: &mut [u8]) -> io::Result<Transfer> {
        if self.read_style.is_asking() {
            return self.get().read_and_ask(buffer);
        }
        let result = self.get().read(buffer);
        match &result {
            Ok(count) if *count < buffer.len() => self.read_style.short(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.read_style.in_vain() => {
                self.read_style.settle(self.get().set_answers(true).is_ok());
            }
            _ => {}
        }
        result.map(Transfer::from)
    }

    pub(crate) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = wanted(buffers.iter().map(|buffer| buffer.len()));
        self.poll_transfer(cx, Direction::Read, wanted, || Ok(self.get().read_vectored(buffers)?.into()))
    }

    /// Reads into memory that need not be initialised; the first `n` bytes are, when `Ok(n)` is returned.
    #[cfg_attr(not(feature = "hyper"), allow(dead_code, reason = "hyper's Read is its only user so far"))]
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        let wanted = buffer.len();
        let socket = socket2::SockRef::from(self.get());
        self.poll_transfer(cx, Direction::Read, wanted, || Ok(socket.recv(buffer)?.into()))
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_transfer(cx, Direction::Write, data.len(), || Ok(self.get().write(data)?.into()))
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = wanted(data.iter().map(|data| data.len()));
        self.poll_transfer(cx, Direction::Write, wanted, || Ok(self.get().write_vectored(data)?.into()))
    }

    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(self.get(), buffer, RecvFlags::PEEK)?;
        Ok(count)
    }

    /// Shuts the writing half down. A connection that is gone already is as closed as one can ask for.
    pub(crate) fn close(&self) -> io::Result<()> {
        match socket2::SockRef::from(self.get()).shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Waits until a connection that was begun without blocking stands, or says why it does not.
    pub(crate) async fn connected(&self) -> io::Result<()> {
        let event = poll_fn(|cx| self.poll_ready(cx, Direction::Write)).await?;
        debug_assert!(event.ready.is_writable());
        match socket2::SockRef::from(self.get()).take_error()? {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

/// How many bytes a vectored transfer moves at least, unless it stops short: those of as many buffers as any system
/// takes by one call (`_XOPEN_IOV_MAX`).
fn wanted(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.take(16).fold(0, usize::saturating_add)
}

impl<T: AsFd> Drop for Evented<T> {
    fn drop(&mut self) {
        drop(self.deregister());
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Evented<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evented").field("io", &self.io).field("registration", &self.registration).finish()
    }
}
