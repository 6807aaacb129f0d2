//! TCP: listener and stream.

#[cfg(target_os = "linux")]
mod inq;
mod listener;
mod stream;

use super::split;

#[cfg(target_os = "linux")]
pub(super) use inq::{read_and_ask, set_answers};
pub use listener::TcpListener;
pub use stream::TcpStream;

/// The borrowed reading half of a [`TcpStream`].
pub type ReadHalf<'a> = split::ReadHalf<'a, TcpStream>;
/// The borrowed writing half of a [`TcpStream`].
pub type WriteHalf<'a> = split::WriteHalf<'a, TcpStream>;
/// The owned reading half of a [`TcpStream`].
pub type OwnedReadHalf = split::OwnedReadHalf<TcpStream>;
/// The owned writing half of a [`TcpStream`]; dropping it shuts the writing half down.
pub type OwnedWriteHalf = split::OwnedWriteHalf<TcpStream>;
/// Two halves did not belong to the same [`TcpStream`].
pub type ReuniteError = split::ReuniteError<TcpStream>;
