//! `TcpListener`: waits for connections.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::TcpStream;
use crate::net::accept::Acceptor;
use crate::net::addr::{first_that_works, resolve};
use crate::net::forms::{listener, options};
use crate::net::{BACKLOG, ToSocketAddrs};

/// A TCP socket that accepts connections.
///
/// # Example
/// ```
/// use crossover_runtime::net::{TcpListener, TcpStream};
/// use futures::{AsyncReadExt, AsyncWriteExt};
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (mut server, address) = listener.accept().await?;
/// assert_eq!(address, client.local_addr()?);
/// client.write_all(b"hello").await?;
/// client.close().await?;
/// let mut text = String::new();
/// server.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TcpListener {
    acceptor: Acceptor<std::net::TcpListener>,
}

listener!(TcpListener, std::net::TcpListener => TcpStream, std::net::TcpStream, SocketAddr,
    "crossover_runtime::net::TcpListener", "std::net::TcpListener");

options! { TcpListener, "crossover_runtime::net::TcpListener";
    /// The time to live of outgoing packets, in hops.
    ttl = ttl_v4,
    /// Sets the time to live of outgoing packets, in hops.
    set_ttl = set_ttl_v4: u32, "64";
}

impl TcpListener {
    /// Listens at the first of the addresses that works; port 0 lets the system choose (see
    /// [`local_addr`](Self::local_addr)). Sets `SO_REUSEADDR`, so that a restarted server need not wait for the
    /// connections of the old one to expire, and a backlog of 4096 (the system may lower it).
    ///
    /// # Errors
    /// When no address could be resolved, or the last of them could not be bound (`AddrInUse`: somebody
    /// listens there).
    ///
    /// # Panics
    /// When it is polled outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: a socket exists only if this returns.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::net::TcpListener;
    ///
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// println!("port {}", listener.local_addr()?.port());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        first_that_works(resolve(addr).await?, bind)
    }

    /// Begins to listen on a socket that is in non-blocking mode.
    #[track_caller]
    pub(super) fn on(socket: Socket, backlog: i32) -> io::Result<TcpListener> {
        socket.listen(backlog)?;
        TcpListener::register(socket.into())
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    TcpListener::on(socket, BACKLOG)
}
