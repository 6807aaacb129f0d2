//! `UnixListener`: waits for connections at a path or an abstract name.

use std::io;
use std::os::unix::net;
use std::path::Path;

use socket2::{Domain, Socket, Type};

use super::{SocketAddr, UnixStream};
use crate::net::BACKLOG;
use crate::net::accept::Acceptor;
use crate::net::forms::{example, listener};
use crate::runtime::Handle;

/// A Unix-domain socket that accepts connections. Dropping it leaves its path in the file system.
///
/// # Example
/// ```
/// use crossover_runtime::net::{UnixListener, UnixStream};
/// # let folder = std::env::temp_dir().join(format!("crossover-doc-listener-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("socket");
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let listener = UnixListener::bind(&path)?;
/// let client = UnixStream::connect(&path).await?;
/// let (server, address) = listener.accept().await?;
/// assert!(address.is_unnamed());
/// # drop((client, server));
/// # std::io::Result::Ok(())
/// # })?;
/// # std::fs::remove_dir_all(&folder)?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixListener {
    acceptor: Acceptor<net::UnixListener>,
}

listener!(UnixListener, net::UnixListener => UnixStream, net::UnixStream, SocketAddr,
    "crossover_runtime::net::UnixListener", "std::os::unix::net::UnixListener");

impl UnixListener {
    /// Listens at `path`, which must not exist yet, with a backlog of 4096 (the system may lower it).
    ///
    /// # Errors
    /// `AddrInUse` when the path exists, also where nobody listens any more: remove it before.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`UnixListener`].
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        // Panics, if it does, before there is a file.
        drop(Handle::current());
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        UnixListener::on(socket, BACKLOG)
    }

    /// Listens at an address: a path, or on Linux an abstract name, which leaves nothing behind.
    ///
    /// # Errors
    /// `AddrInUse` when it is taken, or its path exists; `InvalidInput` when it is unnamed.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::net::{UnixListener, UnixStream};
    /// use std::os::linux::net::SocketAddrExt;
    ///
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// let name = format!("example of {}", std::process::id());
    /// let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?.into();
    /// let listener = UnixListener::bind_addr(&address)?;
    /// let client = UnixStream::connect_addr(&address).await?;
    /// # drop((listener, client));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        drop(Handle::current());
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        rustix::net::bind(&socket, &address.to_system()?)?;
        UnixListener::on(socket, BACKLOG)
    }

    /// Begins to listen on a socket that is in non-blocking mode.
    #[track_caller]
    pub(super) fn on(socket: Socket, backlog: i32) -> io::Result<UnixListener> {
        socket.listen(backlog)?;
        UnixListener::register(socket.into())
    }

    /// The pending error of the socket, which is cleared.
    #[doc = example!("crossover_runtime::net::UnixListener", "assert!(socket.take_error()?.is_none());")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.evented().get().take_error()
    }
}
