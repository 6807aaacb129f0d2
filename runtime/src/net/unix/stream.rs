//! `UnixStream`: a connection between processes of one machine, or a pair within one.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::driver::Direction;
use crate::io::{Interest, Ready};
use crate::net::Evented;
use crate::net::stream::byte_stream;

/// A Unix-domain connection. Dropping it closes it, also in the middle of a read.
pub struct UnixStream {
    pub(crate) inner: Evented<net::UnixStream>,
}

byte_stream!(UnixStream);

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// Those of the system. When the listener's queue is full, Linux answers `WouldBlock` and offers nothing to wait
    /// for; it is the caller's to try again later, as with tokio.
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&address)?;
        Ok(UnixStream { inner: Evented::new(socket.into(), Ready::WRITABLE)? })
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = net::UnixStream::pair()?;
        a.set_nonblocking(true)?;
        b.set_nonblocking(true)?;
        let a = UnixStream { inner: Evented::new(a, Ready::WRITABLE)? };
        let b = UnixStream { inner: Evented::new(b, Ready::WRITABLE)? };
        Ok((a, b))
    }

    /// Takes over a stream of the standard library, and sets it to non-blocking mode.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: net::UnixStream) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        Ok(UnixStream { inner: Evented::new(stream, Ready::EMPTY)? })
    }

    /// Hands the stream to the standard library. It stays in non-blocking mode.
    pub fn into_std(self) -> io::Result<net::UnixStream> {
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

    /// The process at the other end, as of the time when it connected.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        let cred = rustix::net::sockopt::socket_peercred(self.inner.get())?;
        Ok(UCred { uid: cred.uid.as_raw(), gid: cred.gid.as_raw(), pid: cred.pid.as_raw_pid() })
    }
}

/// User, group and process of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    uid: u32,
    gid: u32,
    pid: i32,
}

impl UCred {
    /// The effective user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process, where the system tells.
    pub fn pid(&self) -> Option<i32> {
        (self.pid > 0).then_some(self.pid)
    }
}
