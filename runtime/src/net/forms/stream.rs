//! Byte streams: what reads, what writes, and the I/O traits of futures-io on both.

/// The reading functions of a stream, a half or a pipe, and the traits.
macro_rules! reading {
    ($stream:ty, $path:literal) => {
        impl $stream {
            /// Waits until a read is worth an attempt. Any number of tasks may wait. The readiness may be
            /// stale: [`try_read`](Self::try_read) may still return `WouldBlock`.
            ///
            /// # Cancel safety
            /// Cancel safe: whoever waits next hears of the readiness, too.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 64];
let count = loop {
    socket.readable().await?;
    match socket.try_read(&mut buffer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
        result => break result?,
    }
};
println!("{:?}", &buffer[..count]);
"#)]
            pub async fn readable(&self) -> std::io::Result<()> {
                self.evented().ready(crate::io::Interest::READABLE).await.map(drop)
            }

            /// Reads what is there, up to `buffer.len()` bytes; 0 bytes mean the end of the stream (or an
            /// empty buffer).
            ///
            /// # Errors
            /// `WouldBlock` when there is nothing yet: then wait for [`readable`](Self::readable).
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 64];
match socket.try_read(&mut buffer) {
    Ok(0) => println!("the end"),
    Ok(count) => println!("{:?}", &buffer[..count]),
    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => println!("nothing yet"),
    Err(error) => return Err(error),
}
"#)]
            pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.evented().try_read(buffer)
            }

            /// Like [`try_read`](Self::try_read), into several buffers, one after the other.
            #[doc = $crate::net::forms::example!($path, r#"
use std::io::IoSliceMut;

let (mut head, mut body) = ([0; 8], [0; 56]);
let count = socket.try_read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)])?;
println!("{count} of {} bytes", head.len() + body.len());
"#)]
            pub fn try_read_vectored(
                &self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.evented().try_read_vectored(buffers)
            }

            /// Like [`try_read`](Self::try_read), to the end of `buffer` (a `Vec<u8>`, `BytesMut`, ...),
            /// whose length grows by what was read. One piece of its spare capacity is filled at most; a
            /// `Vec` without any gets some.
            #[doc = $crate::net::forms::example!($path, "
let mut buffer = Vec::with_capacity(4096);
let count = socket.try_read_buf(&mut buffer)?;
assert_eq!(buffer.len(), count);
")]
            pub fn try_read_buf<B: bytes::BufMut>(&self, buffer: &mut B) -> std::io::Result<usize> {
                self.evented().try_read_buf(buffer)
            }
        }

        $crate::net::forms::async_read!($stream);
    };
}
pub(in crate::net) use reading;

/// The writing functions of a stream, a half or a pipe, and the traits.
macro_rules! writing {
    ($stream:ty, $path:literal) => {
        impl $stream {
            /// Waits until a write is worth an attempt. Any number of tasks may wait. The readiness may be
            /// stale: [`try_write`](Self::try_write) may still return `WouldBlock`.
            ///
            /// # Cancel safety
            /// Cancel safe: whoever waits next hears of the readiness, too.
            #[doc = $crate::net::forms::example!($path, r#"
let mut rest = &b"hello"[..];
while !rest.is_empty() {
    socket.writable().await?;
    match socket.try_write(rest) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
        result => rest = &rest[result?..],
    }
}
"#)]
            pub async fn writable(&self) -> std::io::Result<()> {
                self.evented().ready(crate::io::Interest::WRITABLE).await.map(drop)
            }

            /// Writes what there is room for, and returns how many bytes that were.
            ///
            /// # Errors
            /// `WouldBlock` when there is no room: then wait for [`writable`](Self::writable).
            #[doc = $crate::net::forms::example!($path, r#"
match socket.try_write(b"hello") {
    Ok(count) => println!("{count} bytes"),
    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => println!("no room"),
    Err(error) => return Err(error),
}
"#)]
            pub fn try_write(&self, data: &[u8]) -> std::io::Result<usize> {
                self.evented().try_write(data)
            }

            /// Like [`try_write`](Self::try_write), from several buffers, one after the other.
            #[doc = $crate::net::forms::example!($path, r#"
use std::io::IoSlice;

let count = socket.try_write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")])?;
println!("{count} of 8 bytes");
"#)]
            pub fn try_write_vectored(&self, data: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.evented().try_write_vectored(data)
            }
        }

        $crate::net::forms::async_write!($stream);
    };
}
pub(in crate::net) use writing;

/// The reading trait of futures-io. Those of others are in files of their own (`hyper_rt.rs`, ...).
macro_rules! async_read {
    ($stream:ty) => {
        impl futures_io::AsyncRead for $stream {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.evented().poll_read(cx, buffer)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.evented().poll_read_vectored(cx, buffers)
            }
        }
    };
}
pub(in crate::net) use async_read;

/// The writing trait of futures-io.
macro_rules! async_write {
    ($stream:ty) => {
        impl futures_io::AsyncWrite for $stream {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                data: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.evented().poll_write(cx, data)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                data: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.evented().poll_write_vectored(cx, data)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(self.evented().close())
            }
        }
    };
}
pub(in crate::net) use async_write;

/// Readiness of a stream or a pipe for `poll` functions of one's own.
macro_rules! poll_ready {
    ($stream:ty, $path:literal, $poll:ident, $direction:ident, $ready:literal) => {
        impl $stream {
            #[doc = concat!("Like [`", $ready, "`](Self::", $ready, "); of all callers, the latest is woken.")]
            #[doc = concat!("
# Example
```
# async fn example(socket: &", $path, ") -> std::io::Result<()> {
std::future::poll_fn(|cx| socket.", stringify!($poll), "(cx)).await?;
# Ok(())
# }
```")]
            pub fn $poll(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
                self.evented().poll_ready(cx, crate::driver::Direction::$direction).map_ok(drop)
            }
        }
    };
}
pub(in crate::net) use poll_ready;

/// Looking at what is there without taking it, for TCP.
macro_rules! peeking {
    ($stream:ty, $path:literal) => {
        impl $stream {
            /// Reads without taking the bytes out of the socket: the next read or peek returns them again. 0
            /// bytes mean the end of the stream. Any number of tasks may wait.
            ///
            /// # Cancel safety
            /// Cancel safe.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 4];
if socket.peek(&mut buffer).await? >= 1 && buffer[0] == 0x16 {
    println!("TLS");
}
"#)]
            pub async fn peek(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let attempt = || $crate::net::transfer::peek(self.evented().get(), buffer);
                self.evented().async_io(crate::io::Interest::READABLE, attempt).await
            }

            /// Like [`peek`](Self::peek); of all callers, the latest is woken.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 4];
let count = std::future::poll_fn(|cx| socket.poll_peek(cx, &mut buffer)).await?;
println!("{:?}", &buffer[..count]);
"#)]
            pub fn poll_peek<B: $crate::net::RecvBuffer + ?Sized>(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut B,
            ) -> std::task::Poll<std::io::Result<usize>> {
                let attempt = || $crate::net::transfer::peek(self.evented().get(), buffer.space());
                let peeked =
                    std::task::ready!(self.evented().poll_io(cx, crate::driver::Direction::Read, attempt))?;
                buffer.received(peeked);
                std::task::Poll::Ready(Ok(peeked))
            }
        }
    };
}
pub(in crate::net) use peeking;
