//! What all byte streams share: moving bytes, and what the driver may conclude from how many were moved.
//!
//! The **poll functions** (the I/O traits) clear the readiness after a short transfer on TCP, which saves the
//! attempt that would only find that out; `driver/io.rs` says why they may. The **`try_*` functions** clear
//! it only when one would have blocked, so that a socket that was written to in part still counts as
//! writable, as in tokio.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use rustix::net::RecvFlags;

use super::buffer;
use super::evented::Evented;
#[cfg(target_os = "linux")]
use super::tcp;
use crate::driver::{Direction, Transfer};
use crate::io::Interest;
use crate::scheduler::budget;
use crate::sync::prim::atomic::{AtomicU8, Ordering};

/// A connected byte stream.
pub(crate) trait ByteStream: AsFd + Sized {
    /// A read or write moves fewer bytes than asked for only when there are no more (no room for more) at
    /// that moment; the end of the stream, errors and urgent data aside, of which the driver hears. True for
    /// TCP. A read from a Unix stream also stops where descriptors were sent along.
    const STOPS_ONLY_WHEN_DRAINED: bool;

    /// Makes `read_and_ask` answer, or not any more; an error: it never will.
    fn set_answers(&self, _on: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Reads, and says how much is left to be read if that is known.
    fn read_and_ask(&self, buffer: &mut [u8]) -> io::Result<Transfer>;

    /// Is this the end of a connection within this machine that moves to where the other end is?
    fn follows(&self) -> bool {
        false
    }

    /// The CPU from which the last data came.
    fn incoming_cpu(&self) -> Option<usize> {
        None
    }

    /// Shuts the writing half down. A connection that is gone already is as closed as one can ask for.
    fn close_write(&self) -> io::Result<()> {
        match socket2::SockRef::from(self).shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

impl ByteStream for std::net::TcpStream {
    const STOPS_ONLY_WHEN_DRAINED: bool = true;

    #[cfg(target_os = "linux")]
    fn follows(&self) -> bool {
        tcp::follows(self)
    }

    #[cfg(target_os = "linux")]
    fn incoming_cpu(&self) -> Option<usize> {
        rustix::net::sockopt::socket_incoming_cpu(self).ok()?.try_into().ok()
    }

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

/// One end of a pipe. A read stops short between the writes of a pipe in packet mode.
impl ByteStream for std::fs::File {
    const STOPS_ONLY_WHEN_DRAINED: bool = false;

    fn read_and_ask(&self, buffer: &mut [u8]) -> io::Result<Transfer> {
        (&mut &*self).read(buffer).map(Transfer::from)
    }

    /// Only dropping the last descriptor of this end closes it.
    fn close_write(&self) -> io::Result<()> {
        Ok(())
    }
}

/// How the reads of a connection have gone: counts those in vain, up to `ASKING` or `NEVER_ASK`. Only a hint
/// for speed, hence Relaxed throughout.
#[derive(Debug, Default)]
pub(super) struct ReadStyle(AtomicU8);

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
        let polled = if T::STOPS_ONLY_WHEN_DRAINED {
            self.registration.poll_transfer(cx, direction, wanted, attempt)
        } else {
            self.registration.poll_io(cx, direction, || attempt().map(|transfer| transfer.count))
        };
        match polled.is_ready() {
            true => charge.made_progress(),
            false => self.waits_here(direction),
        }
        polled
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
    #[cfg_attr(
        not(any(feature = "hyper", feature = "tokio-io")),
        allow(dead_code, reason = "only the traits of hyper and tokio offer such memory")
    )]
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        let wanted = buffer.len();
        self.poll_transfer(cx, Direction::Read, wanted, || {
            buffer::read_uninit(self.get(), buffer).map(Transfer::from)
        })
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

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || self.get().read(buffer))
    }

    pub(crate) fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || self.get().read_vectored(buffers))
    }

    pub(crate) fn try_read_buf<B: BufMut>(&self, buffer: &mut B) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || buffer::read_buf(self.get(), buffer))
    }

    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, || self.get().write(data))
    }

    pub(crate) fn try_write_vectored(&self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, || self.get().write_vectored(data))
    }

    /// Shuts the writing half down.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.get().close_write()
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

/// Reads from a socket without taking the bytes out of it.
pub(super) fn peek(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::PEEK)?;
    Ok(count)
}

/// How many bytes a vectored transfer moves at least, unless it stops short: those of as many buffers as any
/// system takes by one call (`_XOPEN_IOV_MAX`).
fn wanted(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.take(16).fold(0, usize::saturating_add)
}
