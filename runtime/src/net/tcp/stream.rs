//! `TcpStream`: a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::io::Ready;
use crate::net::addr::resolve;
use crate::net::forms::{options, peeking};
use crate::net::split::halves;
use crate::net::stream::byte_stream;
use crate::net::{Evented, ToSocketAddrs};

/// A TCP connection. Dropping it closes it, also in the middle of a read.
///
/// # Example
/// ```
/// use crossover_runtime::net::TcpStream;
/// use futures::{AsyncReadExt, AsyncWriteExt};
///
/// # async fn example() -> std::io::Result<()> {
/// let mut stream = TcpStream::connect("localhost:7").await?;
/// stream.write_all(b"hello").await?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    pub(crate) inner: Evented<std::net::TcpStream>,
}

byte_stream!(
    TcpStream,
    std::net::TcpStream,
    SocketAddr,
    "crossover_runtime::net::TcpStream",
    "std::net::TcpStream"
);

peeking!(TcpStream, "crossover_runtime::net::TcpStream");

halves!(
    TcpStream,
    std::net::TcpStream,
    SocketAddr,
    "crossover_runtime::net::tcp::ReadHalf<'_>",
    "crossover_runtime::net::tcp::WriteHalf<'_>",
    "crossover_runtime::net::tcp::OwnedReadHalf",
    "crossover_runtime::net::tcp::OwnedWriteHalf",
    "crossover_runtime::net::TcpStream",
    "crossover_runtime::runtime::Runtime::new()?.block_on(async {
# let listener = crossover_runtime::net::TcpListener::bind(\"127.0.0.1:0\").await?;
# let mut stream = crossover_runtime::net::TcpStream::connect(listener.local_addr()?).await?;
# let mut peer = listener.accept().await?.0;"
);

peeking!(ReadHalf<'_>, "crossover_runtime::net::tcp::ReadHalf<'_>");
peeking!(OwnedReadHalf, "crossover_runtime::net::tcp::OwnedReadHalf");

options! { TcpStream, "crossover_runtime::net::TcpStream";
    /// Whether small writes are sent at once (Nagle's algorithm is off).
    nodelay = tcp_nodelay,
    /// Sets whether small writes are sent at once, instead of waiting for the acknowledgement of earlier
    /// ones.
    set_nodelay = set_tcp_nodelay: bool, "true";
    /// The time to live of outgoing packets, in hops.
    ttl = ttl_v4,
    /// Sets the time to live of outgoing packets, in hops.
    set_ttl = set_ttl_v4: u32, "64";
}

#[cfg(target_os = "linux")]
options! { TcpStream, "crossover_runtime::net::TcpStream";
    /// Whether received data is acknowledged at once. The system changes it by itself.
    quickack = tcp_quickack,
    /// Sets whether received data is acknowledged at once, until the system changes it again.
    set_quickack = set_tcp_quickack: bool, "true";
}

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// When no address could be resolved; else the error of the last one.
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up and closes its socket.
    ///
    /// # Example
    /// ```
    /// # async fn example() -> std::io::Result<()> {
    /// let stream = crossover_runtime::net::TcpStream::connect("localhost:80").await?;
    /// println!("{}", stream.peer_addr()?);
    /// # Ok(())
    /// # }
    /// ```
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

    /// Connects a socket that is in non-blocking mode.
    pub(super) async fn on(socket: Socket, address: SocketAddr) -> io::Result<TcpStream> {
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

    /// How long closing may go on to send what is left; `None`: closing does not wait, and the system sends
    /// what is left in the background.
    ///
    /// # Example
    /// ```
    /// # fn example(socket: &crossover_runtime::net::TcpStream) -> std::io::Result<()> {
    /// println!("{:?}", socket.linger()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets how long closing may go on to send what is left (whole seconds).
    ///
    /// # Example
    /// ```
    /// # #[allow(deprecated)]
    /// # fn example(socket: &crossover_runtime::net::TcpStream) -> std::io::Result<()> {
    /// socket.set_linger(None)?;
    /// # Ok(())
    /// # }
    /// ```
    #[deprecated = "dropping such a socket blocks the worker that drops it; see `set_zero_linger`"]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// Closing drops what was not sent yet, and resets the connection: the peer's reads fail with
    /// `ConnectionReset`.
    ///
    /// # Example
    /// ```
    /// # fn example(socket: crossover_runtime::net::TcpStream) -> std::io::Result<()> {
    /// socket.set_zero_linger()?;
    /// drop(socket); // the connection is gone, on both sides
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    TcpStream::on(socket, address).await
}

fn in_progress(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::INPROGRESS, Errno::INTR].iter().any(|errno| errno.raw_os_error() == code))
}
