//! `UnixStream`: a connection between processes of one machine, or a pair within one.

use std::io;
use std::os::unix::net;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{SocketAddr, gid_t, pid_t, uid_t};
use crate::io::Ready;
use crate::net::Evented;
use crate::net::forms::example;
use crate::net::split::halves;
use crate::net::stream::byte_stream;

/// A Unix-domain connection. Dropping it closes it, also in the middle of a read.
///
/// # Example
/// ```
/// use crossover_runtime::net::UnixStream;
/// use futures::{AsyncReadExt, AsyncWriteExt};
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let (mut a, mut b) = UnixStream::pair()?;
/// a.write_all(b"hello").await?;
/// let mut buffer = [0; 5];
/// b.read_exact(&mut buffer).await?;
/// assert_eq!(&buffer, b"hello");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixStream {
    pub(crate) inner: Evented<net::UnixStream>,
}

byte_stream!(
    UnixStream,
    net::UnixStream,
    SocketAddr,
    "crossover_runtime::net::UnixStream",
    "std::os::unix::net::UnixStream"
);

halves!(
    UnixStream,
    net::UnixStream,
    SocketAddr,
    "crossover_runtime::net::unix::ReadHalf<'_>",
    "crossover_runtime::net::unix::WriteHalf<'_>",
    "crossover_runtime::net::unix::OwnedReadHalf",
    "crossover_runtime::net::unix::OwnedWriteHalf",
    "crossover_runtime::net::UnixStream",
    "crossover_runtime::runtime::Runtime::new()?.block_on(async {
# let (mut stream, mut peer) = crossover_runtime::net::UnixStream::pair()?;"
);

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    /// `NotFound`: no such path. `ConnectionRefused`: nobody listens there. When the listener's queue is
    /// full, Linux answers
    /// `WouldBlock` and offers nothing to wait for; it is the caller's to try again later, as with tokio.
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: it is ready at its first poll.
    ///
    /// # Example
    /// ```
    /// # async fn example() -> std::io::Result<()> {
    /// let stream = crossover_runtime::net::UnixStream::connect("/run/service.sock").await?;
    /// println!("{:?}", stream.peer_cred()?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        let address = SockAddr::unix(path)?;
        UnixStream::on(Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?, &address)
    }

    /// Connects to the listener at an address: a path, or on Linux an abstract name.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); `InvalidInput` when the address is unnamed.
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: it is ready at its first poll.
    ///
    /// # Example
    /// See [`UnixListener::bind_addr`](super::UnixListener::bind_addr).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        rustix::net::connect(&socket, &address.to_system()?)?;
        UnixStream::connected(socket)
    }

    /// Connects a socket that is in non-blocking mode, which Unix sockets do at once or not at all.
    pub(super) fn on(socket: Socket, address: &SockAddr) -> io::Result<UnixStream> {
        socket.connect(address)?;
        UnixStream::connected(socket)
    }

    fn connected(socket: Socket) -> io::Result<UnixStream> {
        Ok(UnixStream { inner: Evented::new(socket.into(), Ready::WRITABLE)? })
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`UnixStream`].
    #[track_caller]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (a, b) = net::UnixStream::pair()?;
        a.set_nonblocking(true)?;
        b.set_nonblocking(true)?;
        let a = UnixStream { inner: Evented::new(a, Ready::WRITABLE)? };
        let b = UnixStream { inner: Evented::new(b, Ready::WRITABLE)? };
        Ok((a, b))
    }

    /// The process at the other end, as of the time when it connected (or made the pair, or began to listen).
    #[doc = example!("crossover_runtime::net::UnixStream", r#"println!("user {}", socket.peer_cred()?.uid());"#)]
    pub fn peer_cred(&self) -> io::Result<UCred> {
        let cred = rustix::net::sockopt::socket_peercred(self.inner.get())?;
        Ok(UCred { uid: cred.uid.as_raw(), gid: cred.gid.as_raw(), pid: cred.pid.as_raw_pid() })
    }
}

/// User, group and process of a peer; see [`UnixStream::peer_cred`].
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let (a, _b) = crossover_runtime::net::UnixStream::pair()?;
/// assert_eq!(a.peer_cred()?.pid(), Some(std::process::id() as i32));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    uid: uid_t,
    gid: gid_t,
    pid: pid_t,
}

impl UCred {
    /// The effective user.
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// The effective group.
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// The process; `None` where the system does not tell, as of one in another PID namespace.
    pub fn pid(&self) -> Option<pid_t> {
        (self.pid > 0).then_some(self.pid)
    }
}
