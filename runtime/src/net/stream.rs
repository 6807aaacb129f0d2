//! What `TcpStream` and `UnixStream` have in common, written once.
//!
//! The I/O traits are foreign, so that a generic implementation for both types is not allowed; hence the macro. It
//! only forwards: the work is done in `Evented`.

/// Implements readiness, `try_*`, splitting, the futures-io traits and descriptor access for a type whose field
/// `inner` is an `Evented`.
macro_rules! byte_stream {
    ($stream:ident) => {
        impl $stream {
            /// Waits until any of `interest` is ready. Any number of tasks may wait. The readiness may be stale: a
            /// `try_*` call may still return `WouldBlock`.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                Ok(self.inner.ready(interest).await?.ready)
            }

            /// Waits until a read is worth an attempt. Any number of tasks may wait.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn readable(&self) -> io::Result<()> {
                self.ready(Interest::READABLE).await.map(drop)
            }

            /// Waits until a write is worth an attempt. Any number of tasks may wait.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn writable(&self) -> io::Result<()> {
                self.ready(Interest::WRITABLE).await.map(drop)
            }

            /// Like [`readable`](Self::readable); the latest caller is the one that is woken.
            pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.inner.poll_ready(cx, Direction::Read).map_ok(drop)
            }

            /// Like [`writable`](Self::writable); the latest caller is the one that is woken.
            pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.inner.poll_ready(cx, Direction::Write).map_ok(drop)
            }

            /// Reads what is there; 0 bytes mean the end of the stream.
            ///
            /// # Errors
            /// `WouldBlock` when there is nothing yet: then wait for [`readable`](Self::readable).
            pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.inner.try_transfer(Direction::Read, buffer.len(), || self.inner.get().read(buffer))
            }

            /// Like [`try_read`](Self::try_read), into several buffers.
            pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                let wanted = crate::net::wanted(buffers.iter().map(|buffer| buffer.len()));
                self.inner.try_transfer(Direction::Read, wanted, || self.inner.get().read_vectored(buffers))
            }

            /// Writes what there is room for.
            ///
            /// # Errors
            /// `WouldBlock` when there is none: then wait for [`writable`](Self::writable).
            pub fn try_write(&self, data: &[u8]) -> io::Result<usize> {
                self.inner.try_transfer(Direction::Write, data.len(), || self.inner.get().write(data))
            }

            /// Like [`try_write`](Self::try_write), from several buffers.
            pub fn try_write_vectored(&self, data: &[IoSlice<'_>]) -> io::Result<usize> {
                let wanted = crate::net::wanted(data.iter().map(|data| data.len()));
                self.inner.try_transfer(Direction::Write, wanted, || self.inner.get().write_vectored(data))
            }

            /// One attempt at I/O of your own on this socket; its `WouldBlock` clears the readiness.
            ///
            /// # Errors
            /// `WouldBlock`, without an attempt, when it is not ready; else what `attempt` returns.
            pub fn try_io<R>(
                &self,
                interest: Interest,
                attempt: impl FnOnce() -> io::Result<R>,
            ) -> io::Result<R> {
                self.inner.try_io(interest, attempt)
            }

            /// Repeats `attempt` until it returns something else than `WouldBlock`, waiting in between.
            pub async fn async_io<R>(
                &self,
                interest: Interest,
                attempt: impl FnMut() -> io::Result<R>,
            ) -> io::Result<R> {
                self.inner.async_io(interest, attempt).await
            }

            /// Reads without taking the bytes out of the socket. Any number of tasks may wait.
            ///
            /// # Cancel safety
            /// Cancel safe.
            pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.inner.async_io(Interest::READABLE, || self.inner.peek(buffer)).await
            }

            /// The halves, borrowed.
            pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
                crate::net::split::borrowed(self)
            }

            /// The halves, each to be moved to a task of its own.
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                crate::net::split::owned(self)
            }

            /// The pending error of the socket, which is cleared.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.inner.get().take_error()
            }
        }

        impl crate::net::split::Split for $stream {
            fn close_write(&self) -> io::Result<()> {
                self.inner.close()
            }
        }

        byte_stream!(@traits $stream, $stream);
        byte_stream!(@traits $stream, &$stream);

        impl AsFd for $stream {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.inner.get().as_fd()
            }
        }

        impl AsRawFd for $stream {
            fn as_raw_fd(&self) -> RawFd {
                self.inner.get().as_raw_fd()
            }
        }

        impl fmt::Debug for $stream {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.get().fmt(f)
            }
        }
    };
    (@traits $stream:ident, $self_type:ty) => {
        impl futures_io::AsyncRead for $self_type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.inner.poll_read(cx, buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.inner.poll_read_vectored(cx, buffers)
            }
        }

        impl futures_io::AsyncWrite for $self_type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.inner.poll_write(cx, data)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.inner.poll_write_vectored(cx, data)
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.inner.close())
            }
        }
    };
}

pub(super) use byte_stream;
