//! `UnixListener`: waits for connections at a path.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use rustix::net::SocketAddrUnix;
use socket2::{Domain, SockAddr, Socket, Type};

use super::UnixStream;
use crate::io::Ready;
use crate::net::accept::{Acceptor, accept_nonblocking};
use crate::net::{BACKLOG, Evented};

/// A Unix-domain socket that accepts connections. Dropping it leaves its path in the file system.
pub struct UnixListener {
    acceptor: Acceptor<net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`, which must not exist yet.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        UnixListener::from_std(socket.into())
    }

    /// Takes over a listener of the standard library, and sets it to non-blocking mode.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        Ok(UnixListener { acceptor: Acceptor::new(Evented::new(listener, Ready::EMPTY)?) })
    }

    /// Hands the listener to the standard library. It stays in non-blocking mode.
    pub fn into_std(self) -> io::Result<net::UnixListener> {
        Ok(self.acceptor.inner.into_inner())
    }

    /// The next connection, and whose it is. Any number of tasks may wait; each connection goes to one of them.
    ///
    /// # Errors
    /// Those of the system. After one that says that it is out of descriptors or memory (`EMFILE`, ...), the next
    /// attempt waits for 20 ms, so that a loop around `accept` does not spin while the connection stays queued.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection is accepted only when it is returned.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        self.adopt(self.acceptor.accept(accept).await?)
    }

    /// Like [`accept`](Self::accept); the latest caller is the one that is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.acceptor.poll_accept(cx, accept).map(|accepted| self.adopt(accepted?))
    }

    /// The new connection belongs to the same runtime, and has room for a write.
    fn adopt(
        &self,
        (stream, address): (net::UnixStream, SocketAddr),
    ) -> io::Result<(UnixStream, SocketAddr)> {
        let inner = Evented::new_on(self.acceptor.inner.driver(), stream, Ready::WRITABLE)?;
        Ok((UnixStream { inner }, address))
    }

    /// The address that it listens at.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.inner.get().local_addr()
    }
}

fn accept(listener: &net::UnixListener) -> io::Result<(net::UnixStream, SocketAddr)> {
    let (stream, address) = accept_nonblocking(listener)?;
    let stream = net::UnixStream::from(stream);
    // Nearly all clients are unnamed. Whatever is neither that nor a path is asked for again.
    let path = match address.map(SocketAddrUnix::try_from) {
        Some(Ok(address)) if address.is_unnamed() => Some(Vec::new()),
        Some(Ok(address)) => address.path_bytes().map(Vec::from),
        _ => None,
    };
    let address = match path {
        Some(path) => SocketAddr::from_pathname(OsStr::from_bytes(&path))?,
        None => stream.peer_addr()?,
    };
    Ok((stream, address))
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.acceptor.inner.get().as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.acceptor.inner.get().as_raw_fd()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.acceptor.inner.get().fmt(f)
    }
}
