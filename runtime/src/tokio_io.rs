//! tokio's I/O traits on our streams (feature `tokio-io`), for crates that ask for `tokio::io::{AsyncRead, AsyncWrite}`.
//!
//! `TcpStream`, `UnixStream`, their halves, borrowed and owned, and the ends of pipes implement them. Of tokio only the traits are built
//! (no cargo feature of it is on): no runtime of tokio runs beside ours, and what needs one, such as `tokio::net` or
//! `tokio::time`, still does. There is nothing to import from this module.
//!
//! ```
//! use crossover_runtime::{net::UnixStream, runtime::Runtime};
//! use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
//!
//! Runtime::new()?.block_on(async {
//!     let (ours, mut theirs) = UnixStream::pair()?;
//!     theirs.write_all(b"one line\nanother").await?;
//!     theirs.shutdown().await?;
//!     let mut lines = BufReader::new(ours).lines();
//!     assert_eq!(lines.next_line().await?.as_deref(), Some("one line"));
//!     assert_eq!(lines.next_line().await?.as_deref(), Some("another"));
//!     assert_eq!(lines.next_line().await?, None);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - **Two families.** The streams implement `futures_io`'s traits, too. A module imports the extension traits of one of
//!   them only, else `stream.read(..)` is ambiguous.
//! - **`AsyncBufRead`** fits none of them: a stream has no buffer. `tokio::io::BufReader` adds one, as above.
//! - **Shutdown** ends the writing half; the other one reads on. A connection that is gone already counts as shut down. Of
//!   a pipe it does nothing: drop the sender.
//! - **Budgets.** Each read and write charges one unit of [this runtime's budget](crate::task::consume_budget), whatever
//!   traits it comes through.
//!
//! # `tokio::sync`
//! Its channels, locks and `Notify` need no runtime and no feature of this crate: they run here unmodified. They charge
//! *tokio's* budget, which is without limit outside of tokio's own executor, and not ours. So a task whose loop awaits
//! nothing else than a channel that is never empty does not yield by itself, as it would on tokio. Give such a loop a
//! [`consume_budget`](crate::task::consume_budget):
//!
//! ```
//! use crossover_runtime::{runtime::Runtime, spawn, task::consume_budget};
//!
//! let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
//! let sum = Runtime::new()?.block_on(async {
//!     let summing = spawn(async move {
//!         let mut sum = 0;
//!         while let Some(number) = receiver.recv().await {
//!             sum += number;
//!             consume_budget().await;
//!         }
//!         sum
//!     });
//!     (1..=1000).for_each(|number| sender.send(number).unwrap());
//!     drop(sender);
//!     summing.await.unwrap()
//! });
//! assert_eq!(sum, 500_500);
//! # std::io::Result::Ok(())
//! ```

use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::transfer::ByteStream;
use crate::net::unix::pipe;
use crate::net::{Evented, TcpStream, UnixStream, tcp, unix};

/// Reads into the unfilled part of `buffer`, without initialising it first.
fn poll_read<T: ByteStream>(
    io: &Evented<T>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>>
where
    for<'a> &'a T: Read + Write,
{
    // SAFETY: the slice is only written to, so that no initialised byte becomes uninitialised.
    let unfilled = unsafe { buffer.unfilled_mut() };
    let count = ready!(io.poll_read_uninit(cx, unfilled))?;
    // SAFETY: the read has initialised the first `count` bytes of the unfilled part.
    unsafe { buffer.assume_init(count) };
    buffer.advance(count);
    Poll::Ready(Ok(()))
}

/// The traits are foreign, so that one generic implementation for all types is not allowed. `$io` leads from a shared
/// reference `$this` to the `Evented`.
macro_rules! tokio_read {
    ($($type:ty),+ => |$this:ident| $io:expr) => {
        $(
            impl AsyncRead for $type {
                fn poll_read(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    buffer: &mut ReadBuf<'_>,
                ) -> Poll<io::Result<()>> {
                    let $this = &*self;
                    poll_read($io, cx, buffer)
                }
            }
        )+
    };
}

macro_rules! tokio_write {
    ($($type:ty),+ => |$this:ident| $io:expr) => {
        $(
            impl AsyncWrite for $type {
                fn poll_write(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    data: &[u8],
                ) -> Poll<io::Result<usize>> {
                    let $this = &*self;
                    $io.poll_write(cx, data)
                }

                fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(Ok(()))
                }

                fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    let $this = &*self;
                    Poll::Ready($io.close())
                }

                fn is_write_vectored(&self) -> bool {
                    true
                }

                fn poll_write_vectored(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    data: &[IoSlice<'_>],
                ) -> Poll<io::Result<usize>> {
                    let $this = &*self;
                    $io.poll_write_vectored(cx, data)
                }
            }
        )+
    };
}

tokio_read!(TcpStream, UnixStream, pipe::Receiver => |stream| &stream.inner);
tokio_read!(tcp::ReadHalf<'_>, tcp::OwnedReadHalf, unix::ReadHalf<'_>, unix::OwnedReadHalf
    => |half| &half.as_ref().inner);
tokio_write!(TcpStream, UnixStream, pipe::Sender => |stream| stream.inner);
tokio_write!(tcp::WriteHalf<'_>, tcp::OwnedWriteHalf, unix::WriteHalf<'_>, unix::OwnedWriteHalf
    => |half| half.as_ref().inner);
