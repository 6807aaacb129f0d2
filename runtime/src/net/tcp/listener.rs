//! `TcpListener`: waits for connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};

use super::TcpStream;
use crate::io::Ready;
use crate::net::accept::{Acceptor, accept_nonblocking};
use crate::net::addr::{first_that_works, resolve};
use crate::net::{BACKLOG, Evented, ToSocketAddrs};

/// A TCP socket that accepts connections.
pub struct TcpListener {
    acceptor: Acceptor<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens at the first of the addresses that works; port 0 lets the system choose (see
    /// [`local_addr`](Self::local_addr)). Sets `SO_REUSEADDR`, so that a restarted server need not wait for the
    /// connections of the old one to expire, and a backlog of 4096 (the system may lower it).
    ///
    /// # Errors
    /// When no address could be resolved, or the last of them could not be bound.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        first_that_works(resolve(addr).await?, bind)
    }

    /// Takes over a listener of the standard library, and sets it to non-blocking mode.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::register(listener)
    }

    /// Registers a listener that is in non-blocking mode.
    #[track_caller]
    fn register(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener { acceptor: Acceptor::new(Evented::new(listener, Ready::EMPTY)?) })
    }

    /// Hands the listener to the standard library. It stays in non-blocking mode.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
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
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.adopt(self.acceptor.accept(accept).await?)
    }

    /// Like [`accept`](Self::accept); the latest caller is the one that is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.acceptor.poll_accept(cx, accept).map(|accepted| self.adopt(accepted?))
    }

    /// The new connection belongs to the same runtime. Nothing was sent on it yet, so that it has room for a write.
    fn adopt(
        &self,
        (stream, address): (std::net::TcpStream, SocketAddr),
    ) -> io::Result<(TcpStream, SocketAddr)> {
        let inner = Evented::new_on(self.acceptor.inner.driver(), stream, Ready::WRITABLE)?;
        Ok((TcpStream { inner }, address))
    }

    /// The address that it listens at.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.inner.get().local_addr()
    }

    /// The time to live of outgoing packets, in hops.
    pub fn ttl(&self) -> io::Result<u32> {
        self.acceptor.inner.get().ttl()
    }

    /// Sets the time to live of outgoing packets, in hops.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.acceptor.inner.get().set_ttl(ttl)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::register(socket.into())
}

fn accept(listener: &std::net::TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let (stream, address) = accept_nonblocking(listener)?;
    let stream = std::net::TcpStream::from(stream);
    let address = match address.map(SocketAddr::try_from) {
        Some(Ok(address)) => address,
        _ => stream.peer_addr()?,
    };
    Ok((stream, address))
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.acceptor.inner.get().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.acceptor.inner.get().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.acceptor.inner.get().fmt(f)
    }
}
