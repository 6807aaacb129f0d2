//! The I/O traits of [`File`], futures-io's and tokio's, and its descriptor.

use super::File;
use super::lease::Lease;
use super::state::Inner;
use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};
use std::io::{self, IoSlice, IoSliceMut, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

impl File {
    /// The state, the open file for a job, and the largest operation.
    fn parts(self: Pin<&mut Self>) -> (&mut Inner, impl FnOnce() -> Lease, usize) {
        let File { std, inner, max_buf_size, returned } = self.get_mut();
        (inner.get_mut(), || Lease::new(std, returned), *max_buf_size)
    }
}

impl AsyncRead for File {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buffer)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let (inner, file, max) = self.parts();
        inner.poll_read(cx, file, max, buffers)
    }
}

impl AsyncWrite for File {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (inner, file, max) = self.parts();
        inner.poll_write(cx, file, max, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.parts().0.poll_flush(cx)
    }

    /// Flushes; the file is closed when it is dropped.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.parts().0.poll_flush(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        let (inner, file, _) = self.parts();
        inner.poll_seek(cx, file, to)
    }
}

#[cfg(feature = "tokio-io")]
mod tokio_io {
    use super::*;
    use crate::scheduler::budget::poll_proceed;
    use std::task::ready;
    use tokio::io::ReadBuf;

    impl tokio::io::AsyncRead for File {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (inner, file, max) = self.parts();
            // Initialises it, once for each byte of the reader's memory, as a read on the spot needs it.
            let unfilled = buffer.initialize_unfilled_to(buffer.remaining().min(max));
            inner
                .poll_read(cx, file, max, &mut [IoSliceMut::new(unfilled)])
                .map_ok(|count| buffer.advance(count))
        }
    }

    impl tokio::io::AsyncWrite for File {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            AsyncWrite::poll_write(self, cx, data)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            AsyncWrite::poll_flush(self, cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            AsyncWrite::poll_close(self, cx)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            data: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            AsyncWrite::poll_write_vectored(self, cx, data)
        }
    }

    impl tokio::io::AsyncSeek for File {
        fn start_seek(self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
            let (inner, file, _) = self.parts();
            if inner.is_busy() {
                return Err(io::Error::other("another operation is under way: call poll_complete first"));
            }
            inner.begin_seek(file(), to)
        }

        fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
            let inner = self.parts().0;
            // A seek on the spot is charged here, as `start_seek` cannot wait; a job charges by itself.
            if !inner.is_busy() {
                ready!(poll_proceed(cx)).made_progress();
            }
            inner.poll_sought(cx)
        }
    }
}

impl From<std::fs::File> for File {
    fn from(std: std::fs::File) -> File {
        File::from_std(std)
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        File::from_std(fd.into())
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.std.as_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> File {
        // SAFETY: the caller vouches for the descriptor, as std asks.
        File::from_std(unsafe { std::fs::File::from_raw_fd(fd) })
    }
}
