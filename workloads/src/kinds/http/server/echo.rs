//! Raw echo: a connection that begins with a zero byte, which no HTTP request does. Four bytes follow, the length of each
//! message in little-endian order; then messages of exactly that length, each of which is sent back when it is whole.
//!
//! Only whole ones: a client that sends all of a long message before it reads would otherwise wait for a server that waits
//! for it.

use std::io;

use crossover_runtime::net::TcpStream;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use crate::kinds::echo::{MESSAGE_BYTES_MAX, PREAMBLE_BYTES};

/// Serves until the client closes.
///
/// # Errors
/// What the system says, and a length that no message has.
pub(super) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut preamble = [0; PREAMBLE_BYTES];
    stream.read_exact(&mut preamble).await?;
    let [_, length @ ..] = preamble;
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 || length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&message).await?;
    }
}
