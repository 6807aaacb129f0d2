//! Unix-domain sockets: listener and stream.

mod listener;
mod stream;

use super::split;

pub use listener::UnixListener;
pub use std::os::unix::net::SocketAddr;
pub use stream::{UCred, UnixStream};

/// The borrowed reading half of a [`UnixStream`].
pub type ReadHalf<'a> = split::ReadHalf<'a, UnixStream>;
/// The borrowed writing half of a [`UnixStream`].
pub type WriteHalf<'a> = split::WriteHalf<'a, UnixStream>;
/// The owned reading half of a [`UnixStream`].
pub type OwnedReadHalf = split::OwnedReadHalf<UnixStream>;
/// The owned writing half of a [`UnixStream`]; dropping it shuts the writing half down.
pub type OwnedWriteHalf = split::OwnedWriteHalf<UnixStream>;
/// Two halves did not belong to the same [`UnixStream`].
pub type ReuniteError = split::ReuniteError<UnixStream>;
