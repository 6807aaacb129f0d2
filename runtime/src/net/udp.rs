//! `UdpSocket`: datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};

use super::addr::{first_that_works, resolve};
use super::forms::{datagrams, example, options, packet_options};
use super::{Evented, RecvBuffer, ToSocketAddrs, buffer};
use crate::driver::Direction;
use crate::io::{Interest, Ready};

/// A UDP socket. Any number of tasks may send and receive on it through the async functions (share it by
/// `Arc`).
///
/// # Example
/// ```
/// use crossover_runtime::net::UdpSocket;
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let a = UdpSocket::bind("127.0.0.1:0").await?;
/// let b = UdpSocket::bind("127.0.0.1:0").await?;
/// a.send_to(b"hello", b.local_addr()?).await?;
/// let mut buffer = [0; 1500];
/// let (count, from) = b.recv_from(&mut buffer).await?;
/// assert_eq!((&buffer[..count], from), (&b"hello"[..], a.local_addr()?));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UdpSocket {
    inner: Evented<std::net::UdpSocket>,
}

datagrams!(
    UdpSocket,
    std::net::UdpSocket,
    SocketAddr,
    "crossover_runtime::net::UdpSocket",
    "std::net::UdpSocket"
);

options! { UdpSocket, "crossover_runtime::net::UdpSocket";
    /// Whether datagrams may be sent to broadcast addresses.
    broadcast = broadcast,
    /// Sets whether datagrams may be sent to broadcast addresses.
    set_broadcast = set_broadcast: bool, "true";
    /// The time to live of outgoing packets, in hops.
    ttl = ttl_v4,
    /// Sets the time to live of outgoing packets, in hops.
    set_ttl = set_ttl_v4: u32, "64";
    /// Whether this machine hears its own IPv4 multicasts.
    multicast_loop_v4 = multicast_loop_v4,
    /// Sets whether this machine hears its own IPv4 multicasts.
    set_multicast_loop_v4 = set_multicast_loop_v4: bool, "false";
    /// The time to live of outgoing IPv4 multicasts, in hops; 1, where nothing was set, keeps them in the
    /// local network.
    multicast_ttl_v4 = multicast_ttl_v4,
    /// Sets the time to live of outgoing IPv4 multicasts, in hops.
    set_multicast_ttl_v4 = set_multicast_ttl_v4: u32, "4";
    /// Whether this machine hears its own IPv6 multicasts.
    multicast_loop_v6 = multicast_loop_v6,
    /// Sets whether this machine hears its own IPv6 multicasts.
    set_multicast_loop_v6 = set_multicast_loop_v6: bool, "false";
}

packet_options!(UdpSocket, "crossover_runtime::net::UdpSocket");

impl UdpSocket {
    /// Binds to the first of the addresses that works; port 0 lets the system choose.
    ///
    /// # Errors
    /// When no address could be resolved, or the last of them could not be bound (`AddrInUse`: somebody is
    /// bound to it).
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: a socket exists only if this returns.
    ///
    /// # Example
    /// See [`UdpSocket`].
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        first_that_works(resolve(addr).await?, |address| {
            let socket = std::net::UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(UdpSocket { inner: Evented::new(socket, Ready::WRITABLE)? })
        })
    }

    /// Fixes the address for [`send`](Self::send), and the only one that [`recv`](Self::recv) accepts from.
    /// Sends nothing.
    ///
    /// # Errors
    /// When no address could be resolved, or the last of them is refused by the system.
    ///
    /// # Cancel safety
    /// Cancel safe: the address changes only if this returns.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
socket.connect("127.0.0.1:53").await?;
socket.send(b"hello").await?;
"#)]
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        first_that_works(resolve(addr).await?, |address| self.inner.get().connect(address))
    }

    /// Sends a datagram to `target`, and returns its length; when it is a name, to the first address that it
    /// resolves to.
    ///
    /// # Errors
    /// When `target` cannot be resolved, or the datagram is too long.
    ///
    /// # Cancel safety
    /// Cancel safe: it was sent only if this returns.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"socket.send_to(b"hello", "127.0.0.1:53").await?;"#)]
    pub async fn send_to<A: ToSocketAddrs>(&self, data: &[u8], target: A) -> io::Result<usize> {
        let target = resolve(target).await?.first().copied().ok_or(io::ErrorKind::InvalidInput)?;
        self.inner.async_io(Interest::WRITABLE, || self.inner.get().send_to(data, target)).await
    }

    /// Like [`send_to`](Self::send_to); of all callers, the latest is woken.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let target = socket.local_addr()?;
std::future::poll_fn(|cx| socket.poll_send_to(cx, b"hello", target)).await?;
"#)]
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_io(cx, Direction::Write, || self.inner.get().send_to(data, target))
    }

    /// Like [`send_to`](Self::send_to), at once.
    ///
    /// # Errors
    /// Also `WouldBlock`, when there is no room: then wait for [`writable`](Self::writable).
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"socket.try_send_to(b"hello", socket.local_addr()?)?;"#)]
    pub fn try_send_to(&self, data: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.inner.try_io(Interest::WRITABLE, || self.inner.get().send_to(data, target))
    }

    /// Like [`recv`](Self::recv), but leaves the datagram in the queue. What does not fit into `buffer` is
    /// left out.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let mut head = [0; 4];
let count = socket.peek(&mut head).await?;
println!("{:?}", &head[..count]);
"#)]
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.async_io(Interest::READABLE, || self.inner.get().peek(buffer)).await
    }

    /// Like [`peek`](Self::peek); of all callers, the latest is woken.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let mut head = [0; 4];
let count = std::future::poll_fn(|cx| socket.poll_peek(cx, &mut head)).await?;
println!("{:?}", &head[..count]);
"#)]
    pub fn poll_peek<B: RecvBuffer + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut B,
    ) -> Poll<io::Result<B::Received>> {
        let attempt = || self.inner.get().peek(buffer.space());
        let count = ready!(self.inner.poll_io(cx, Direction::Read, attempt))?;
        Poll::Ready(Ok(buffer.received(count)))
    }

    /// Like [`peek`](Self::peek), at once.
    ///
    /// # Errors
    /// Also `WouldBlock`, when there is no datagram: then wait for [`readable`](Self::readable).
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let mut head = [0; 4];
let count = socket.try_peek(&mut head)?;
println!("{:?}", &head[..count]);
"#)]
    pub fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.try_io(Interest::READABLE, || self.inner.get().peek(buffer))
    }

    /// Like [`recv_from`](Self::recv_from), but leaves the datagram in the queue. What does not fit into
    /// `buffer` is left out.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let mut head = [0; 4];
let (count, from) = socket.peek_from(&mut head).await?;
println!("{from}: {:?}", &head[..count]);
"#)]
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.async_io(Interest::READABLE, || self.inner.get().peek_from(buffer)).await
    }

    /// Like [`peek_from`](Self::peek_from); of all callers, the latest is woken.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let mut head = [0; 4];
let (count, from) = std::future::poll_fn(|cx| socket.poll_peek_from(cx, &mut head)).await?;
println!("{from}: {:?}", &head[..count]);
"#)]
    pub fn poll_peek_from<B: RecvBuffer + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut B,
    ) -> Poll<io::Result<B::ReceivedFrom<SocketAddr>>> {
        let attempt = || self.inner.get().peek_from(buffer.space());
        let (count, from) = ready!(self.inner.poll_io(cx, Direction::Read, attempt))?;
        Poll::Ready(Ok(buffer.received_from(count, from)))
    }

    /// Like [`peek_from`](Self::peek_from), at once.
    ///
    /// # Errors
    /// Also `WouldBlock`, when there is no datagram: then wait for [`readable`](Self::readable).
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"
let mut head = [0; 4];
let (count, from) = socket.try_peek_from(&mut head)?;
println!("{from}: {:?}", &head[..count]);
"#)]
    pub fn try_peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.try_io(Interest::READABLE, || self.inner.get().peek_from(buffer))
    }

    /// Whose the next datagram is, which stays in the queue.
    ///
    /// # Cancel safety
    /// Cancel safe.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"println!("{}", socket.peek_sender().await?);"#)]
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        self.inner.async_io(Interest::READABLE, || buffer::peek_sender(self.inner.get())).await
    }

    /// Like [`peek_sender`](Self::peek_sender); of all callers, the latest is woken.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"println!("{}", std::future::poll_fn(|cx| socket.poll_peek_sender(cx)).await?);"#)]
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.inner.poll_io(cx, Direction::Read, || buffer::peek_sender(self.inner.get()))
    }

    /// Like [`peek_sender`](Self::peek_sender), at once.
    ///
    /// # Errors
    /// Also `WouldBlock`, when there is no datagram: then wait for [`readable`](Self::readable).
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"println!("{}", socket.try_peek_sender()?);"#)]
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.inner.try_io(Interest::READABLE, || buffer::peek_sender(self.inner.get()))
    }

    /// Joins an IPv4 multicast group on the interface that has this address; `UNSPECIFIED`: the system
    /// chooses.
    #[doc = example!("crossover_runtime::net::UdpSocket", "
use std::net::Ipv4Addr;

socket.join_multicast_v4(Ipv4Addr::new(224, 0, 0, 123), Ipv4Addr::UNSPECIFIED)?;
")]
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.inner.get().join_multicast_v4(&group, &interface)
    }

    /// Leaves a group; see [`join_multicast_v4`](Self::join_multicast_v4).
    #[doc = example!("crossover_runtime::net::UdpSocket", "
use std::net::Ipv4Addr;

socket.leave_multicast_v4(Ipv4Addr::new(224, 0, 0, 123), Ipv4Addr::UNSPECIFIED)?;
")]
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.inner.get().leave_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 multicast group on the interface of this number; 0: the system chooses.
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"socket.join_multicast_v6(&"ff02::123".parse().unwrap(), 0)?;"#)]
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.get().join_multicast_v6(group, interface)
    }

    /// Leaves a group; see [`join_multicast_v6`](Self::join_multicast_v6).
    #[doc = example!("crossover_runtime::net::UdpSocket", r#"socket.leave_multicast_v6(&"ff02::123".parse().unwrap(), 0)?;"#)]
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.get().leave_multicast_v6(group, interface)
    }
}
