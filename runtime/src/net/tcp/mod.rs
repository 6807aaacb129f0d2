//! TCP: listener, stream, its halves, and the socket that is neither yet.

#[cfg(target_os = "linux")]
mod inq;
mod listener;
mod socket;
mod stream;

#[cfg(target_os = "linux")]
pub(super) use inq::{follows, read_and_ask, set_answers};
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use stream::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpStream, WriteHalf};
