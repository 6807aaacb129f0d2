//! TCP, UDP and Unix sockets and pipes for async code, with tokio's names and semantics.
//!
//! The streams implement `futures_io::{AsyncRead, AsyncWrite}`, also for `&TcpStream` and `&UnixStream`;
//! hyper's traits under the feature `hyper`, tokio's under `tokio-io`. Every socket belongs to the runtime
//! that was current when it was made, and may be used from any executor; after that runtime's shutdown its
//! operations fail (see [`is_rt_shutdown_err`](crate::runtime::is_rt_shutdown_err)).
//!
//! How many tasks may wait on one socket:
//! - **async functions** (`accept`, `recv`, `readable`, ...): any number per direction, an event wakes them
//!   all;
//! - **`poll_*` functions and the I/O traits**: one per direction, the one that polled last.
//!
//! # Where it differs from tokio
//! - `from_std` sets the socket to non-blocking mode; tokio leaves that to the caller.
//! - `TcpListener::bind` and `UnixListener::bind` ask for a backlog of 4096 connections, tokio for 1024.
//! - `UnixStream::connect` is ready at its first poll: the system connects Unix sockets at once or not at
//!   all.
//! - Every runtime watches sockets; there is none without I/O.
//! - `accept` pauses for 20 ms after an error that says that the process is out of descriptors.
//! - The `poll_recv` family takes slices, too (see [`RecvBuffer`]).
//! - [`AsyncFd::new`] takes what is `AsFd`, and is sound; for what is `AsRawFd` only there is
//!   [`AsyncFd::register`].
//!
//! # Inside
//! `evented.rs`: a descriptor and its registration, which all types are made of. `transfer.rs`: what byte
//! streams do with it; `buffer.rs`: what is received into; `accept.rs`: what listeners do. `forms/`: the
//! public functions that types share.

mod accept;
mod addr;
mod async_fd;
mod buffer;
mod company;
mod evented;
mod forms;
mod split;
mod stream;
pub mod tcp;
pub(crate) mod transfer;
mod udp;
pub mod unix;

pub use addr::{ToSocketAddrs, lookup_host};
pub use async_fd::{AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdRegisterError, TryIoError};
pub use buffer::RecvBuffer;
pub(crate) use evented::Evented;
#[doc(inline)]
pub use tcp::{TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;
#[doc(inline)]
pub use unix::{UnixDatagram, UnixListener, UnixSocket, UnixStream};

/// How many connections the kernel may complete before somebody accepts them. std's 128 makes a burst of
/// connections wait for the retransmission of dropped SYNs; the kernel caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
