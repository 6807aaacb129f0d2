//! `UnixDatagram`: datagrams between processes of one machine.

use std::io;
use std::net::Shutdown;
use std::os::unix::net;
use std::path::Path;
use std::task::{Context, Poll};

use socket2::Socket;

use super::SocketAddr;
use crate::driver::Direction;
use crate::io::{Interest, Ready};
use crate::net::Evented;
use crate::net::forms::{datagrams, example};
use crate::runtime::Handle;

/// A Unix-domain socket for datagrams, which are neither lost nor reordered: a sender waits while its
/// receiver's queue is full. Any number of tasks may send and receive on it through the async functions
/// (share it by `Arc`). Dropping it leaves its path in the file system.
///
/// # Example
/// ```
/// use crossover_runtime::net::UnixDatagram;
///
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let (a, b) = UnixDatagram::pair()?;
/// a.send(b"hello").await?;
/// let mut buffer = [0; 64];
/// let count = b.recv(&mut buffer).await?;
/// assert_eq!(&buffer[..count], b"hello");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UnixDatagram {
    inner: Evented<net::UnixDatagram>,
}

datagrams!(
    UnixDatagram,
    net::UnixDatagram,
    SocketAddr,
    "crossover_runtime::net::UnixDatagram",
    "std::os::unix::net::UnixDatagram"
);

impl UnixDatagram {
    /// Binds to `path`, which must not exist yet.
    ///
    /// # Errors
    /// `AddrInUse` when the path exists, also where nobody receives any more: remove it before.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::net::UnixDatagram;
    /// # let folder = std::env::temp_dir().join(format!("crossover-doc-datagram-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("socket");
    ///
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// let receiver = UnixDatagram::bind(&path)?;
    /// UnixDatagram::unbound()?.send_to(b"hello", &path).await?;
    /// let mut buffer = [0; 64];
    /// let (count, from) = receiver.recv_from(&mut buffer).await?;
    /// assert!(count == 5 && from.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        // Panics, if it does, before there is a file.
        drop(Handle::current());
        UnixDatagram::fresh(net::UnixDatagram::bind(path)?)
    }

    /// A socket without an address: it can send, and receive once it is connected to a peer that is connected
    /// to it.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`bind`](Self::bind).
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::fresh(net::UnixDatagram::unbound()?)
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
    /// See [`UnixDatagram`].
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (a, b) = net::UnixDatagram::pair()?;
        Ok((UnixDatagram::fresh(a)?, UnixDatagram::fresh(b)?))
    }

    /// Registers a socket with which nothing was sent yet, so that it has room for something.
    #[track_caller]
    fn fresh(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        socket.set_nonblocking(true)?;
        Ok(UnixDatagram { inner: Evented::new(socket, Ready::WRITABLE)? })
    }

    /// Registers a socket that is in non-blocking mode.
    #[track_caller]
    pub(super) fn on(socket: Socket) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram { inner: Evented::new(socket.into(), Ready::WRITABLE)? })
    }

    /// Fixes the address for [`send`](Self::send), and the only one that [`recv`](Self::recv) accepts from.
    ///
    /// # Errors
    /// `NotFound`: no such path. `ConnectionRefused`: nobody is bound to it.
    #[doc = example!("crossover_runtime::net::UnixDatagram", r#"
socket.connect("/run/service.sock")?;
socket.send(b"hello").await?;
"#)]
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.inner.get().connect(path)
    }

    /// Sends a datagram to the socket at the path `target`, and returns its length.
    ///
    /// # Errors
    /// `NotFound`: no such path. `ConnectionRefused`: nobody is bound to it. When the datagram is too long.
    ///
    /// # Cancel safety
    /// Cancel safe: it was sent only if this returns.
    #[doc = example!("crossover_runtime::net::UnixDatagram", r#"socket.send_to(b"hello", "/run/service.sock").await?;"#)]
    pub async fn send_to<P: AsRef<Path>>(&self, data: &[u8], target: P) -> io::Result<usize> {
        self.inner.async_io(Interest::WRITABLE, || self.inner.get().send_to(data, target.as_ref())).await
    }

    /// Like [`send_to`](Self::send_to); of all callers, the latest is woken.
    #[doc = example!("crossover_runtime::net::UnixDatagram", r#"std::future::poll_fn(|cx| socket.poll_send_to(cx, b"hello", "/run/service.sock")).await?;"#)]
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
        target: P,
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_io(cx, Direction::Write, || self.inner.get().send_to(data, target.as_ref()))
    }

    /// Like [`send_to`](Self::send_to), at once.
    ///
    /// # Errors
    /// Also `WouldBlock`, when there is no room: then wait for [`writable`](Self::writable).
    #[doc = example!("crossover_runtime::net::UnixDatagram", r#"socket.try_send_to(b"hello", "/run/service.sock")?;"#)]
    pub fn try_send_to<P: AsRef<Path>>(&self, data: &[u8], target: P) -> io::Result<usize> {
        self.inner.try_io(Interest::WRITABLE, || self.inner.get().send_to(data, target.as_ref()))
    }

    /// Shuts one direction down, or both: sending fails with `BrokenPipe` from then on, also at the other end
    /// where this one receives no more. A `recv` that waits goes on waiting: the system does not tell it.
    #[doc = example!("crossover_runtime::net::UnixDatagram", "socket.shutdown(std::net::Shutdown::Both)?;")]
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get().shutdown(how)
    }
}
