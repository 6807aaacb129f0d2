//! `UnixSocket`: an address of one's own first, then a connection, a listener or datagrams.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{UnixDatagram, UnixListener, UnixStream};

/// A Unix-domain socket that has yet to become a stream, a listener or a datagram socket. It needs no runtime
/// until then.
///
/// # Example
/// ```
/// use crossover_runtime::net::UnixSocket;
/// # let folder = std::env::temp_dir().join(format!("crossover-doc-socket-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let (server, client) = (folder.join("server"), folder.join("client"));
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let socket = UnixSocket::new_stream()?;
/// socket.bind(&server)?;
/// let listener = socket.listen(16)?;
///
/// // A client with an address of its own.
/// let socket = UnixSocket::new_stream()?;
/// socket.bind(&client)?;
/// let stream = socket.connect(&server).await?;
/// let (_, address) = listener.accept().await?;
/// assert_eq!(address.as_pathname(), Some(client.as_path()));
/// # drop(stream);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::fs::remove_dir_all(&folder)?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixSocket {
    inner: Socket,
    kind: Type,
}

impl UnixSocket {
    /// A socket for a byte stream, in non-blocking mode.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    ///
    /// # Example
    /// See [`UnixSocket`].
    pub fn new_stream() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::STREAM)
    }

    /// A socket for datagrams, in non-blocking mode.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    ///
    /// # Example
    /// See [`datagram`](UnixSocket::datagram).
    pub fn new_datagram() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::DGRAM)
    }

    fn new(kind: Type) -> io::Result<UnixSocket> {
        Ok(UnixSocket { inner: Socket::new(Domain::UNIX, kind.nonblocking(), None)?, kind })
    }

    /// Binds it to a path, which must not exist yet.
    ///
    /// # Errors
    /// `AddrInUse` when the path exists; `InvalidInput` when it is too long.
    ///
    /// # Example
    /// See [`UnixSocket`].
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.inner.bind(&SockAddr::unix(path)?)
    }

    /// Listens. `backlog` is how many connections may wait to be accepted; the system may lower it.
    ///
    /// # Errors
    /// When it is a socket for datagrams; those of the system. The socket is closed then.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`UnixSocket`].
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.only(Type::STREAM, "listen cannot be called on a datagram socket")?;
        UnixListener::on(self.inner, i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// When it is a socket for datagrams; those of [`UnixStream::connect`]. The socket is closed then.
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: it is ready at its first poll.
    ///
    /// # Example
    /// See [`UnixSocket`].
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.only(Type::STREAM, "connect cannot be called on a datagram socket")?;
        UnixStream::on(self.inner, &SockAddr::unix(path)?)
    }

    /// Makes it a socket for datagrams.
    ///
    /// # Errors
    /// When it is a socket for a byte stream. The socket is closed then.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::net::UnixSocket;
    ///
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// let socket = UnixSocket::new_datagram()?.datagram()?;
    /// assert!(socket.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.only(Type::DGRAM, "datagram cannot be called on a stream socket")?;
        UnixDatagram::on(self.inner)
    }

    fn only(&self, kind: Type, otherwise: &'static str) -> io::Result<()> {
        if self.kind == kind { Ok(()) } else { Err(io::Error::other(otherwise)) }
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl From<UnixSocket> for OwnedFd {
    fn from(socket: UnixSocket) -> OwnedFd {
        socket.inner.into()
    }
}

impl fmt::Debug for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixSocket").field("fd", &self.as_raw_fd()).field("kind", &self.kind).finish()
    }
}
