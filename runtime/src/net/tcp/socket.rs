//! `TcpSocket`: options first, then a connection or a listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::{TcpListener, TcpStream};
use crate::net::buffer::socket_addr;
use crate::net::forms::{options, packet_options};

/// A TCP socket that has yet to [`connect`](TcpSocket::connect) or to [`listen`](TcpSocket::listen), for
/// options that must be set before, or for a source address. It needs no runtime until then.
///
/// Unlike [`TcpListener::bind`], it sets no options by itself: servers mostly want
/// [`set_reuseaddr`](TcpSocket::set_reuseaddr).
///
/// # Example
/// ```
/// use crossover_runtime::net::TcpSocket;
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseaddr(true)?;
/// socket.bind("127.0.0.1:0".parse().unwrap())?;
/// let listener = socket.listen(1024)?;
///
/// let stream = TcpSocket::new_v4()?.connect(listener.local_addr()?).await?;
/// # drop(stream);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TcpSocket {
    inner: Socket,
}

options! { TcpSocket, "crossover_runtime::net::TcpSocket";
    /// Whether the system asks from time to time if a silent peer is still there.
    keepalive = keepalive,
    /// Sets whether the system asks from time to time if a silent peer is still there.
    set_keepalive = set_keepalive: bool, "true";
    /// Whether an address may be bound where connections of an earlier listener have not expired.
    reuseaddr = reuse_address,
    /// Sets whether an address may be bound where connections of an earlier listener have not expired. Set it
    /// before [`bind`](Self::bind).
    set_reuseaddr = set_reuse_address: bool, "true";
    /// Whether several sockets, all with this set, may be bound to one address.
    reuseport = reuse_port,
    /// Sets whether several sockets, all with this set, may be bound to one address; the system spreads new
    /// connections over them. Set it before [`bind`](Self::bind).
    set_reuseport = set_reuse_port: bool, "true";
    /// Whether small writes are sent at once (Nagle's algorithm is off).
    nodelay = tcp_nodelay,
    /// Sets whether small writes are sent at once, instead of waiting for the acknowledgement of earlier
    /// ones.
    set_nodelay = set_tcp_nodelay: bool, "true";
    /// How long closing may go on to send what is left; `None`: closing does not wait.
    linger = linger,
    /// Sets how long closing may go on to send what is left (whole seconds).
    #[deprecated = "dropping such a socket blocks the worker that drops it; see `set_zero_linger`"]
    set_linger = set_linger: Option<Duration>, "None";
}

packet_options!(TcpSocket, "crossover_runtime::net::TcpSocket");

impl TcpSocket {
    /// A socket for IPv4, in non-blocking mode.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    ///
    /// # Example
    /// ```
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// # drop(socket);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// A socket for IPv6, in non-blocking mode.
    ///
    /// # Errors
    /// When the process is out of descriptors, or the system has no IPv6.
    ///
    /// # Example
    /// ```no_run
    /// let socket = crossover_runtime::net::TcpSocket::new_v6()?;
    /// # drop(socket);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        Ok(TcpSocket { inner: Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))? })
    }

    /// Takes over a socket of the standard library, which should neither be connected nor listen yet.
    ///
    /// # Errors
    /// None: a socket that cannot be set to non-blocking mode fails when it is used.
    ///
    /// # Example
    /// ```
    /// # fn example(std_stream: std::net::TcpStream) {
    /// let socket = crossover_runtime::net::TcpSocket::from_std_stream(std_stream);
    /// # drop(socket); }
    /// ```
    pub fn from_std_stream(stream: std::net::TcpStream) -> TcpSocket {
        TcpSocket { inner: stream.into() }
    }

    /// The size of the buffer for what is to be sent, in bytes. Linux doubles what was set, for its own
    /// records.
    ///
    /// # Example
    /// ```
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// socket.set_send_buffer_size(1 << 16)?;
    /// assert!(socket.send_buffer_size()? >= 1 << 16);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(saturating(self.inner.send_buffer_size()?))
    }

    /// Sets the size of the buffer for what is to be sent, in bytes; the system has limits of its own. See
    /// [`send_buffer_size`](Self::send_buffer_size) for an example.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.inner.set_send_buffer_size(bytes as usize)
    }

    /// The size of the buffer for what was received, in bytes. Linux doubles what was set, for its own
    /// records.
    ///
    /// # Example
    /// ```
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// socket.set_recv_buffer_size(1 << 16)?;
    /// assert!(socket.recv_buffer_size()? >= 1 << 16);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(saturating(self.inner.recv_buffer_size()?))
    }

    /// Sets the size of the buffer for what was received, in bytes; the system has limits of its own. Before
    /// a connection is made, since the window's scale is agreed upon then. See
    /// [`recv_buffer_size`](Self::recv_buffer_size) for an example.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.inner.set_recv_buffer_size(bytes as usize)
    }

    /// Closing will drop what was not sent yet, and reset the connection.
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    ///
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// socket.set_zero_linger()?;
    /// assert_eq!(socket.linger()?, Some(Duration::ZERO));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.inner.set_linger(Some(Duration::ZERO))
    }

    /// The address that it is bound to.
    ///
    /// # Example
    /// ```
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// socket.bind("127.0.0.1:0".parse().unwrap())?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket_addr(&self.inner.local_addr()?)
    }

    /// The pending error of the socket, which is cleared.
    ///
    /// # Example
    /// ```
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// assert!(socket.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }

    /// Binds it to an address; port 0 lets the system choose.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there; when the address is none of this machine's or of the other
    /// family.
    ///
    /// # Example
    /// See [`local_addr`](Self::local_addr).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.inner.bind(&address.into())
    }

    /// Connects.
    ///
    /// # Errors
    /// Those of the system; the socket is closed then.
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up and closes the socket.
    ///
    /// # Example
    /// ```
    /// # async fn example() -> std::io::Result<()> {
    /// let socket = crossover_runtime::net::TcpSocket::new_v4()?;
    /// let stream = socket.connect("127.0.0.1:80".parse().unwrap()).await?;
    /// # drop(stream); Ok(())
    /// # }
    /// ```
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        self.inner.set_nonblocking(true)?;
        TcpStream::on(self.inner, address).await
    }

    /// Listens. `backlog` is how many connections may wait to be accepted; the system may lower it.
    ///
    /// # Errors
    /// Those of the system; the socket is closed then.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`TcpSocket`].
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.inner.set_nonblocking(true)?;
        TcpListener::on(self.inner, i32::try_from(backlog).unwrap_or(i32::MAX))
    }
}

fn saturating(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> OwnedFd {
        socket.inner.into()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpSocket")
            .field("fd", &self.as_raw_fd())
            .field("local_addr", &self.local_addr().ok())
            .finish()
    }
}
