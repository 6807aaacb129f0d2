//! Unix-domain sockets (listener, stream, datagrams, the socket that is none of them yet), their addresses
//! and peers, and [pipes](pipe).

mod address;
mod datagram;
mod listener;
pub mod pipe;
mod socket;
mod stream;

pub use address::SocketAddr;
pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use socket::UnixSocket;
pub use stream::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, UCred, UnixStream, WriteHalf};

/// The number of a user.
#[allow(non_camel_case_types, reason = "the system's name, and tokio's")]
pub type uid_t = u32;

/// The number of a group.
#[allow(non_camel_case_types, reason = "the system's name, and tokio's")]
pub type gid_t = u32;

/// The number of a process.
#[allow(non_camel_case_types, reason = "the system's name, and tokio's")]
pub type pid_t = i32;
