//! What `TcpStream` and `UnixStream` have in common, beyond what any reader and writer has.

/// Everything but making connections and the options of TCP, for a type whose field `inner` is an `Evented`.
macro_rules! byte_stream {
    ($stream:ident, $std:ty, $address:ty, $path:literal, $std_path:literal) => {
        impl $stream {
            fn from_evented(inner: $crate::net::Evented<$std>) -> $stream {
                $stream { inner }
            }

            pub(super) fn evented(&self) -> &$crate::net::Evented<$std> {
                &self.inner
            }

            /// Hands the stream to the standard library. It stays in non-blocking mode.
            ///
            /// # Errors
            /// Of TCP, when the socket cannot be made as it was: it is closed then.
            #[doc = concat!("
# Example
```
# fn example(socket: ", $path, ") -> std::io::Result<()> {
let stream: ", $std_path, " = socket.into_std()?;
stream.set_nonblocking(false)?;
# Ok(())
# }
```")]
            pub fn into_std(self) -> std::io::Result<$std> {
                self.inner.end_asking()?;
                Ok(self.inner.into_inner())
            }

            /// The address of this side.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.local_addr()?);"#)]
            pub fn local_addr(&self) -> std::io::Result<$address> {
                Ok(self.inner.get().local_addr()?.into())
            }

            /// The address of the other side.
            ///
            /// # Errors
            /// When it is not connected any more.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.peer_addr()?);"#)]
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                Ok(self.inner.get().peer_addr()?.into())
            }
        }

        impl AsRef<$stream> for $stream {
            fn as_ref(&self) -> &$stream {
                self
            }
        }

        $crate::net::forms::readiness!($stream, $path);
        $crate::net::forms::own_io!($stream, $path);
        $crate::net::forms::reading!($stream, $path);
        $crate::net::forms::writing!($stream, $path);
        $crate::net::forms::async_read!(&$stream);
        $crate::net::forms::async_write!(&$stream);
        $crate::net::forms::poll_ready!($stream, $path, poll_read_ready, Read, "readable");
        $crate::net::forms::poll_ready!($stream, $path, poll_write_ready, Write, "writable");
        $crate::net::forms::from_std!($stream, $std, $path, $std_path);
        $crate::net::forms::descriptor!($stream);
    };
}
pub(super) use byte_stream;
