//! Datagram sockets.

/// What UDP and Unix datagrams share: all but making sockets, connecting them, naming targets and peeking.
macro_rules! datagrams {
    ($socket:ident, $std:ty, $address:ty, $path:literal, $std_path:literal) => {
        impl $socket {
            fn from_evented(inner: $crate::net::Evented<$std>) -> $socket {
                $socket { inner }
            }

            fn evented(&self) -> &$crate::net::Evented<$std> {
                &self.inner
            }

            /// Hands the socket to the standard library. It stays in non-blocking mode.
            #[doc = concat!("
# Example
```
# fn example(socket: ", $path, ") -> std::io::Result<()> {
let socket: ", $std_path, " = socket.into_std()?;
socket.set_nonblocking(false)?;
# Ok(())
# }
```")]
            pub fn into_std(self) -> std::io::Result<$std> {
                Ok(self.inner.into_inner())
            }

            /// The address of this side.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.local_addr()?);"#)]
            pub fn local_addr(&self) -> std::io::Result<$address> {
                Ok(self.evented().get().local_addr()?.into())
            }

            /// The address it is connected to.
            ///
            /// # Errors
            /// When it is not connected.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.peer_addr()?);"#)]
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                Ok(self.evented().get().peer_addr()?.into())
            }

            /// Waits until a datagram can be received. Any number of tasks may wait. The readiness may be
            /// stale: [`try_recv`](Self::try_recv) may still return `WouldBlock`.
            ///
            /// # Cancel safety
            /// Cancel safe: whoever waits next hears of the readiness, too.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let count = loop {
    socket.readable().await?;
    match socket.try_recv(&mut buffer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
        result => break result?,
    }
};
println!("{:?}", &buffer[..count]);
"#)]
            pub async fn readable(&self) -> std::io::Result<()> {
                self.evented().ready(crate::io::Interest::READABLE).await.map(drop)
            }

            /// Waits until a datagram can be sent. Any number of tasks may wait. The readiness may be stale:
            /// [`try_send`](Self::try_send) may still return `WouldBlock`.
            ///
            /// # Cancel safety
            /// Cancel safe: whoever waits next hears of the readiness, too.
            #[doc = $crate::net::forms::example!($path, r#"
socket.writable().await?;
socket.try_send(b"hello")?;
"#)]
            pub async fn writable(&self) -> std::io::Result<()> {
                self.evented().ready(crate::io::Interest::WRITABLE).await.map(drop)
            }

            /// Sends a datagram to the address that the socket is connected to, and returns its length.
            ///
            /// # Errors
            /// When it is not connected, the datagram is too long, or an earlier one came back
            /// (`ConnectionRefused`).
            ///
            /// # Cancel safety
            /// Cancel safe: it was sent only if this returns.
            #[doc = $crate::net::forms::example!($path, r#"socket.send(b"hello").await?;"#)]
            pub async fn send(&self, data: &[u8]) -> std::io::Result<usize> {
                let attempt = || self.evented().get().send(data);
                self.evented().async_io(crate::io::Interest::WRITABLE, attempt).await
            }

            /// Like [`send`](Self::send); of all callers, the latest is woken.
            #[doc = $crate::net::forms::example!($path, r#"std::future::poll_fn(|cx| socket.poll_send(cx, b"hello")).await?;"#)]
            pub fn poll_send(
                &self,
                cx: &mut std::task::Context<'_>,
                data: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.evented().poll_io(cx, crate::driver::Direction::Write, || self.evented().get().send(data))
            }

            /// Like [`send`](Self::send), at once.
            ///
            /// # Errors
            /// Also `WouldBlock`, when there is no room: then wait for [`writable`](Self::writable).
            #[doc = $crate::net::forms::example!($path, r#"socket.try_send(b"hello")?;"#)]
            pub fn try_send(&self, data: &[u8]) -> std::io::Result<usize> {
                self.evented().try_io(crate::io::Interest::WRITABLE, || self.evented().get().send(data))
            }

            /// Receives a datagram into `buffer`, and returns its length; what does not fit is lost. From a
            /// connected socket's peer only. Any number of tasks may wait.
            ///
            /// # Errors
            /// Also that an earlier datagram to the peer came back (`ConnectionRefused`).
            ///
            /// # Cancel safety
            /// Cancel safe: it was received only if this returns.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let count = socket.recv(&mut buffer).await?;
println!("{:?}", &buffer[..count]);
"#)]
            pub async fn recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let attempt = || self.evented().get().recv(buffer);
                self.evented().async_io(crate::io::Interest::READABLE, attempt).await
            }

            /// Like [`recv`](Self::recv); of all callers, the latest is woken.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let count = std::future::poll_fn(|cx| socket.poll_recv(cx, &mut buffer)).await?;
println!("{:?}", &buffer[..count]);
"#)]
            pub fn poll_recv<B: $crate::net::RecvBuffer + ?Sized>(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut B,
            ) -> std::task::Poll<std::io::Result<B::Received>> {
                let attempt = || self.evented().get().recv(buffer.space());
                let count = std::task::ready!(self.evented().poll_io(cx, crate::driver::Direction::Read, attempt))?;
                std::task::Poll::Ready(Ok(buffer.received(count)))
            }

            /// Like [`recv`](Self::recv), at once.
            ///
            /// # Errors
            /// Also `WouldBlock`, when there is none: then wait for [`readable`](Self::readable).
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let count = socket.try_recv(&mut buffer)?;
println!("{:?}", &buffer[..count]);
"#)]
            pub fn try_recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.evented().try_io(crate::io::Interest::READABLE, || self.evented().get().recv(buffer))
            }

            /// Like [`recv`](Self::recv), to the end of `buffer` (a `Vec<u8>`, `BytesMut`, ...), whose length
            /// grows by the datagram's. What does not fit into its next piece of spare capacity is lost:
            /// reserve enough.
            ///
            /// # Cancel safety
            /// Cancel safe.
            #[doc = $crate::net::forms::example!($path, "
let mut buffer = Vec::with_capacity(1500);
let count = socket.recv_buf(&mut buffer).await?;
assert_eq!(buffer.len(), count);
")]
            pub async fn recv_buf<B: bytes::BufMut>(&self, buffer: &mut B) -> std::io::Result<usize> {
                let attempt = || $crate::net::buffer::read_buf(self.evented().get(), buffer);
                self.evented().async_io(crate::io::Interest::READABLE, attempt).await
            }

            /// Like [`recv_buf`](Self::recv_buf), at once.
            ///
            /// # Errors
            /// Also `WouldBlock`, when there is no datagram: then wait for [`readable`](Self::readable).
            #[doc = $crate::net::forms::example!($path, "
let mut buffer = Vec::with_capacity(1500);
let count = socket.try_recv_buf(&mut buffer)?;
assert_eq!(buffer.len(), count);
")]
            pub fn try_recv_buf<B: bytes::BufMut>(&self, buffer: &mut B) -> std::io::Result<usize> {
                let attempt = || $crate::net::buffer::read_buf(self.evented().get(), buffer);
                self.evented().try_io(crate::io::Interest::READABLE, attempt)
            }

            /// Like [`recv`](Self::recv), and says whose the datagram is.
            ///
            /// # Cancel safety
            /// Cancel safe: it was received only if this returns.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let (count, from) = socket.recv_from(&mut buffer).await?;
println!("{from:?}: {:?}", &buffer[..count]);
"#)]
            pub async fn recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, $address)> {
                let attempt = || self.evented().get().recv_from(buffer);
                let (count, from) = self.evented().async_io(crate::io::Interest::READABLE, attempt).await?;
                Ok((count, from.into()))
            }

            /// Like [`recv_from`](Self::recv_from); of all callers, the latest is woken.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let (count, from) = std::future::poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await?;
println!("{from:?}: {:?}", &buffer[..count]);
"#)]
            pub fn poll_recv_from<B: $crate::net::RecvBuffer + ?Sized>(
                &self,
                cx: &mut std::task::Context<'_>,
                buffer: &mut B,
            ) -> std::task::Poll<std::io::Result<B::ReceivedFrom<$address>>> {
                let attempt = || self.evented().get().recv_from(buffer.space());
                let (count, from) =
                    std::task::ready!(self.evented().poll_io(cx, crate::driver::Direction::Read, attempt))?;
                std::task::Poll::Ready(Ok(buffer.received_from(count, from.into())))
            }

            /// Like [`recv_from`](Self::recv_from), at once.
            ///
            /// # Errors
            /// Also `WouldBlock`, when there is none: then wait for [`readable`](Self::readable).
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = [0; 1500];
let (count, from) = socket.try_recv_from(&mut buffer)?;
println!("{from:?}: {:?}", &buffer[..count]);
"#)]
            pub fn try_recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, $address)> {
                let attempt = || self.evented().get().recv_from(buffer);
                let (count, from) = self.evented().try_io(crate::io::Interest::READABLE, attempt)?;
                Ok((count, from.into()))
            }

            /// Like [`recv_buf`](Self::recv_buf), and says whose the datagram is.
            ///
            /// # Cancel safety
            /// Cancel safe.
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = Vec::with_capacity(1500);
let (count, from) = socket.recv_buf_from(&mut buffer).await?;
println!("{count} bytes of {from:?}");
"#)]
            pub async fn recv_buf_from<B: bytes::BufMut>(
                &self,
                buffer: &mut B,
            ) -> std::io::Result<(usize, $address)> {
                let attempt = || $crate::net::buffer::recv_buf_from(self.evented().get(), buffer);
                self.evented().async_io(crate::io::Interest::READABLE, attempt).await
            }

            /// Like [`recv_buf_from`](Self::recv_buf_from), at once.
            ///
            /// # Errors
            /// Also `WouldBlock`, when there is no datagram: then wait for [`readable`](Self::readable).
            #[doc = $crate::net::forms::example!($path, r#"
let mut buffer = Vec::with_capacity(1500);
let (count, from) = socket.try_recv_buf_from(&mut buffer)?;
println!("{count} bytes of {from:?}");
"#)]
            pub fn try_recv_buf_from<B: bytes::BufMut>(
                &self,
                buffer: &mut B,
            ) -> std::io::Result<(usize, $address)> {
                let attempt = || $crate::net::buffer::recv_buf_from(self.evented().get(), buffer);
                self.evented().try_io(crate::io::Interest::READABLE, attempt)
            }
        }

        $crate::net::forms::readiness!($socket, $path);
        $crate::net::forms::own_io!($socket, $path);
        $crate::net::forms::poll_ready!($socket, $path, poll_recv_ready, Read, "readable");
        $crate::net::forms::poll_ready!($socket, $path, poll_send_ready, Write, "writable");
        $crate::net::forms::from_std!($socket, $std, $path, $std_path);
        $crate::net::forms::descriptor!($socket);
    };
}
pub(in crate::net) use datagrams;
