//! Halves of a stream, so that one task reads while another writes. The same code serves TCP and Unix streams; the
//! public names are aliases in `net::tcp` and `net::unix`.
//!
//! Reading and writing need no lock: they are independent directions of one socket, and each half is the only one to
//! use the waker slot of its direction.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

/// A stream that can be split: its shared reference reads and writes.
pub trait Split: fmt::Debug {
    /// Shuts the writing half down.
    #[doc(hidden)]
    fn close_write(&self) -> io::Result<()>;
}

/// The borrowed reading half of a stream.
#[derive(Debug)]
pub struct ReadHalf<'a, S: Split>(&'a S);

/// The borrowed writing half of a stream.
#[derive(Debug)]
pub struct WriteHalf<'a, S: Split>(&'a S);

/// The owned reading half of a stream.
#[derive(Debug)]
pub struct OwnedReadHalf<S: Split>(Arc<S>);

/// The owned writing half of a stream. Dropping it shuts the writing half of the socket down, which the peer sees as
/// the end of the stream; [`forget`](OwnedWriteHalf::forget) leaves it open.
#[derive(Debug)]
pub struct OwnedWriteHalf<S: Split> {
    stream: Arc<S>,
    shut_down_on_drop: bool,
}

/// Two halves did not belong together; both are handed back.
pub struct ReuniteError<S: Split>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

pub(super) fn borrowed<S: Split>(stream: &mut S) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn owned<S: Split>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, shut_down_on_drop: true })
}

impl<S: Split> OwnedReadHalf<S> {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// When the halves come from two streams.
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.0, &write.stream) {
            return Err(ReuniteError(self, write));
        }
        write.forget();
        // The two halves were the only owners, and the other one has just gone.
        Arc::try_unwrap(self.0).map_err(|stream| {
            let write = OwnedWriteHalf { stream: stream.clone(), shut_down_on_drop: true };
            ReuniteError(OwnedReadHalf(stream), write)
        })
    }
}

impl<S: Split> OwnedWriteHalf<S> {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// When the halves come from two streams.
    pub fn reunite(self, read: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        read.reunite(self)
    }

    /// Drops this half without shutting anything down.
    pub fn forget(mut self) {
        self.shut_down_on_drop = false;
    }
}

impl<S: Split> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.shut_down_on_drop {
            // There is nobody to tell; a connection that is gone needs no shutting down.
            let _ = self.stream.close_write();
        }
    }
}

impl<S: Split> AsRef<S> for ReadHalf<'_, S> {
    fn as_ref(&self) -> &S {
        self.0
    }
}

impl<S: Split> AsRef<S> for WriteHalf<'_, S> {
    fn as_ref(&self) -> &S {
        self.0
    }
}

impl<S: Split> AsRef<S> for OwnedReadHalf<S> {
    fn as_ref(&self) -> &S {
        &self.0
    }
}

impl<S: Split> AsRef<S> for OwnedWriteHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

macro_rules! read_half {
    ($($half:ty),+) => {
        $(impl<S: Split> AsyncRead for $half
        where
            for<'s> &'s S: AsyncRead,
        {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.get_mut().as_ref()).poll_read(cx, buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.get_mut().as_ref()).poll_read_vectored(cx, buffers)
            }
        })+
    };
}

macro_rules! write_half {
    ($($half:ty),+) => {
        $(impl<S: Split> AsyncWrite for $half
        where
            for<'s> &'s S: AsyncWrite,
        {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.get_mut().as_ref()).poll_write(cx, data)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.get_mut().as_ref()).poll_write_vectored(cx, data)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().as_ref()).poll_flush(cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.get_mut().as_ref()).poll_close(cx)
            }
        })+
    };
}

read_half!(ReadHalf<'_, S>, OwnedReadHalf<S>);
write_half!(WriteHalf<'_, S>, OwnedWriteHalf<S>);

impl<S: Split> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReuniteError").field(&self.0).field(&self.1).finish()
    }
}

impl<S: Split> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same socket")
    }
}

impl<S: Split> Error for ReuniteError<S> {}
