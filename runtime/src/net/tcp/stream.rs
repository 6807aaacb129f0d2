//! `TcpStream`: a connection.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::driver::Direction;
use crate::io::{Interest, Ready};
use crate::net::addr::resolve;
use crate::net::stream::byte_stream;
use crate::net::{Evented, ToSocketAddrs};

/// A TCP connection. Dropping it closes it, also in the middle of a read.
pub struct TcpStream {
    pub(crate) inner: Evented<std::net::TcpStream>,
}

byte_stream!(TcpStream);

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// When no address could be resolved; else the error of the last one.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up and closes its socket.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let mut last = None;
        for address in resolve(addr).await? {
            match connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))
    }

    /// Takes over a stream of the standard library, and sets it to non-blocking mode. One that is still connecting is
    /// connected once it is [`writable`](Self::writable) and [`take_error`](Self::take_error) finds nothing.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        Ok(TcpStream { inner: Evented::new(stream, Ready::EMPTY)? })
    }

    /// Hands the stream to the standard library. It stays in non-blocking mode.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.inner.end_asking()?;
        Ok(self.inner.into_inner())
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().peer_addr()
    }

    /// Whether small writes are sent at once (Nagle's algorithm is off).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.get().nodelay()
    }

    /// Sets whether small writes are sent at once.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.get().set_nodelay(nodelay)
    }

    /// How long closing goes on in the background to send what is left; `None`: the system's way.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self.inner.get()).linger()
    }

    /// Closing drops what was not sent yet, and resets the connection.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        SockRef::from(self.inner.get()).set_linger(Some(Duration::ZERO))
    }

    /// The time to live of outgoing packets, in hops.
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.get().ttl()
    }

    /// Sets the time to live of outgoing packets, in hops.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.get().set_ttl(ttl)
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    let at_once = match socket.connect(&address.into()) {
        Ok(()) => true,
        // A connect that a signal interrupts goes on in the background as well.
        Err(error) if in_progress(&error) => false,
        Err(error) => return Err(error),
    };
    // Registered only now: a socket that has not begun to connect is reported as hung up.
    let initial = if at_once { Ready::WRITABLE } else { Ready::EMPTY };
    let stream = TcpStream { inner: Evented::new(socket.into(), initial)? };
    stream.inner.connected().await?;
    Ok(stream)
}

fn in_progress(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::INPROGRESS, Errno::INTR].iter().any(|errno| errno.raw_os_error() == code))
}
