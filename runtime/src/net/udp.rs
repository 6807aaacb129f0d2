//! `UdpSocket`: datagrams.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use super::addr::{first_that_works, resolve};
use super::{Evented, ToSocketAddrs};
use crate::driver::Direction;
use crate::io::{Interest, Ready};

/// A UDP socket. Any number of tasks may send and receive on it through the async functions.
pub struct UdpSocket {
    inner: Evented<std::net::UdpSocket>,
}

impl UdpSocket {
    /// Binds to the first of the addresses that works; port 0 lets the system choose.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        first_that_works(resolve(addr).await?, |address| {
            let socket = std::net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(UdpSocket { inner: Evented::new(socket, Ready::WRITABLE)? })
        })
    }

    /// Takes over a socket of the standard library, and sets it to non-blocking mode.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        socket.set_nonblocking(true)?;
        Ok(UdpSocket { inner: Evented::new(socket, Ready::EMPTY)? })
    }

    /// Hands the socket to the standard library. It stays in non-blocking mode.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        Ok(self.inner.into_inner())
    }

    /// Fixes the address for [`send`](Self::send), and the only one that [`recv`](Self::recv) accepts from.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        first_that_works(resolve(addr).await?, |address| self.inner.get().connect(address))
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// The address it is connected to.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().peer_addr()
    }

    /// Waits until any of `interest` is ready.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Ok(self.inner.ready(interest).await?.ready)
    }

    /// Waits until a datagram can be received.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a datagram can be sent.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Like [`readable`](Self::readable); the latest caller is the one that is woken.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(cx, Direction::Read).map_ok(drop)
    }

    /// Like [`writable`](Self::writable); the latest caller is the one that is woken.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(cx, Direction::Write).map_ok(drop)
    }

    /// Sends a datagram to the connected address.
    ///
    /// # Cancel safety
    /// Cancel safe: it was sent only if this returns.
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.inner.async_io(Interest::WRITABLE, || self.inner.get().send(data)).await
    }

    /// Sends a datagram to `target`; when it is a name, to the first address that it resolves to.
    ///
    /// # Cancel safety
    /// Cancel safe: it was sent only if this returns.
    pub async fn send_to<A: ToSocketAddrs>(&self, data: &[u8], target: A) -> io::Result<usize> {
        let target = resolve(target).await?.first().copied().ok_or(io::ErrorKind::InvalidInput)?;
        self.inner.async_io(Interest::WRITABLE, || self.inner.get().send_to(data, target)).await
    }

    /// Receives a datagram from the connected address. What does not fit into `buffer` is lost.
    ///
    /// # Cancel safety
    /// Cancel safe: it was received only if this returns.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.async_io(Interest::READABLE, || self.inner.get().recv(buffer)).await
    }

    /// Receives a datagram, and says whose it is. What does not fit into `buffer` is lost.
    ///
    /// # Cancel safety
    /// Cancel safe: it was received only if this returns.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.async_io(Interest::READABLE, || self.inner.get().recv_from(buffer)).await
    }

    /// Like [`recv_from`](Self::recv_from), but leaves the datagram in the queue.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.async_io(Interest::READABLE, || self.inner.get().peek_from(buffer)).await
    }

    /// Like [`send`](Self::send); the latest caller is the one that is woken.
    pub fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_io(cx, Direction::Write, || self.inner.get().send(data))
    }

    /// Like [`send_to`](Self::send_to); the latest caller is the one that is woken.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_io(cx, Direction::Write, || self.inner.get().send_to(data, target))
    }

    /// Like [`recv`](Self::recv); the latest caller is the one that is woken.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_io(cx, Direction::Read, || self.inner.get().recv(buffer))
    }

    /// Like [`recv_from`](Self::recv_from); the latest caller is the one that is woken.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.inner.poll_io(cx, Direction::Read, || self.inner.get().recv_from(buffer))
    }

    /// Sends to the connected address, or returns `WouldBlock`.
    pub fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        self.inner.try_io(Interest::WRITABLE, || self.inner.get().send(data))
    }

    /// Sends to `target`, or returns `WouldBlock`.
    pub fn try_send_to(&self, data: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.inner.try_io(Interest::WRITABLE, || self.inner.get().send_to(data, target))
    }

    /// Receives from the connected address, or returns `WouldBlock`.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.try_io(Interest::READABLE, || self.inner.get().recv(buffer))
    }

    /// Receives, or returns `WouldBlock`.
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.try_io(Interest::READABLE, || self.inner.get().recv_from(buffer))
    }

    /// One attempt at I/O of your own; its `WouldBlock` clears the readiness.
    pub fn try_io<R>(&self, interest: Interest, attempt: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.inner.try_io(interest, attempt)
    }

    /// Whether datagrams may be sent to broadcast addresses.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.inner.get().broadcast()
    }

    /// Sets whether datagrams may be sent to broadcast addresses.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.inner.get().set_broadcast(on)
    }

    /// The time to live of outgoing packets, in hops.
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.get().ttl()
    }

    /// Sets the time to live of outgoing packets, in hops.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.get().set_ttl(ttl)
    }

    /// The pending error of the socket, which is cleared.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get().take_error()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.get().as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.get().as_raw_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.get().fmt(f)
    }
}
