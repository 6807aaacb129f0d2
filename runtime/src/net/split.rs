//! Halves of a stream, so that one task reads while another writes.
//!
//! Reading and writing need no lock: they are independent directions of one socket, and each half is the only
//! one to use the waker slot of its direction. The owned halves share the stream by an `Arc`; there are never
//! more than one of each, so that the two of one stream can be put together again.

/// The halves of `$stream`, as types of the module that invokes this, and the functions that make them.
macro_rules! halves {
    (
        $stream:ident, $std:ty, $address:ty,
        $read:literal, $write:literal, $owned_read:literal, $owned_write:literal,
        $path:literal, $pair:literal
    ) => {
        #[doc = concat!("The borrowed reading half of a [`", stringify!($stream), "`], made by its `split`.")]
        #[doc = concat!("
# Example
```
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};

# async fn example(mut stream: ", $path, r#") -> std::io::Result<()> {
let (mut read, mut write) = stream.split();
let mut byte = [0];
futures::try_join!(read.read_exact(&mut byte), write.write_all(b"x"))?;
# Ok(())
# }
```"#)]
        #[derive(Debug)]
        pub struct ReadHalf<'a>(&'a $stream);

        #[doc = concat!("The borrowed writing half of a [`", stringify!($stream), "`], made by its `split`.")]
        /// Dropping it shuts nothing down; closing it does.
        #[doc = concat!("
# Example
```
use futures::io::AsyncWriteExt as _;

# async fn example(mut stream: ", $path, r#") -> std::io::Result<()> {
let (_, mut write) = stream.split();
write.write_all(b"the last").await?;
write.close().await?;
# Ok(())
# }
```"#)]
        #[derive(Debug)]
        pub struct WriteHalf<'a>(&'a $stream);

        #[doc = concat!("The owned reading half of a [`", stringify!($stream), "`], made by its `into_split`.")]
        #[doc = concat!("
# Example
```
use futures::io::AsyncReadExt as _;

# async fn example(stream: ", $path, r#") -> std::io::Result<()> {
let (mut read, write) = stream.into_split();
let reader = crossover_runtime::spawn(async move {
    let mut text = String::new();
    read.read_to_string(&mut text).await.map(|_| text)
});
drop(write);
println!("{}", reader.await??);
# Ok(())
# }
```"#)]
        #[derive(Debug)]
        pub struct OwnedReadHalf {
            stream: std::sync::Arc<$stream>,
        }

        #[doc = concat!("The owned writing half of a [`", stringify!($stream), "`], made by its `into_split`.")]
        /// Dropping it shuts the writing half of the socket down, which the peer sees as the end of the stream;
        /// [`forget`](OwnedWriteHalf::forget) leaves it open.
        #[doc = concat!("
# Example
```
use futures::io::AsyncWriteExt as _;

# async fn example(stream: ", $path, r#") -> std::io::Result<()> {
let (read, mut write) = stream.into_split();
write.write_all(b"the last").await?;
drop(write); // the peer reads it, and then the end
# drop(read); Ok(())
# }
```"#)]
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: std::sync::Arc<$stream>,
            shut_down_on_drop: bool,
        }

        /// Two halves did not belong together; both are handed back.
        #[doc = concat!("
# Example
```
# async fn example(one: ", $path, ", other: ", $path, ") {
let (read, write) = one.into_split();
let (_, foreign) = other.into_split();
let error = read.reunite(foreign).unwrap_err();
error.0.reunite(write).unwrap();
# }
```")]
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tried to reunite halves that are not from the same socket")
            }
        }

        impl std::error::Error for ReuniteError {}

        impl $stream {
            /// The halves, borrowed: for two futures of one task. Beware: where `futures::AsyncReadExt` is
            /// imported, its `split`, which takes the stream by value and puts a lock between the halves, is
            /// preferred to this by method call syntax; then
            #[doc = concat!("write `", stringify!($stream), "::split(&mut stream)`.")]
            #[doc = concat!("
# Example
```
use futures::io::{AsyncReadExt, AsyncWriteExt};

# ", $pair, "
let (mut read, mut write) = ", $path, r#"::split(&mut stream);
let mut byte = [0];
futures::try_join!(write.write_all(b"x"), peer.read_exact(&mut byte))?;
peer.close().await?;
assert_eq!(read.read(&mut byte).await?, 0);
# std::io::Result::Ok(())
# })?;
# std::io::Result::Ok(())
```"#)]
            pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// The halves, each to be moved to a task of its own. [`reunite`](OwnedReadHalf::reunite) puts
            /// them together again.
            #[doc = concat!("
# Example
```
# async fn example(stream: ", $path, ") -> std::io::Result<()> {
let (mut read, mut write) = stream.into_split();
let echo = crossover_runtime::spawn(async move { futures::io::copy(&mut read, &mut write).await });
echo.await??;
# Ok(())
# }
```")]
            pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
                let stream = std::sync::Arc::new(self);
                (OwnedReadHalf { stream: stream.clone() }, OwnedWriteHalf { stream, shut_down_on_drop: true })
            }
        }

        impl OwnedReadHalf {
            /// Puts the stream together again; nothing is shut down.
            ///
            /// # Errors
            /// When the halves come from two streams.
            #[doc = concat!("
# Example
```
# async fn example(stream: ", $path, r#") {
let (read, write) = stream.into_split();
let stream = read.reunite(write).expect("the halves of one stream");
# drop(stream); }
```"#)]
            pub fn reunite(self, write: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                if !std::sync::Arc::ptr_eq(&self.stream, &write.stream) {
                    return Err(ReuniteError(self, write));
                }
                write.forget();
                // The two halves were the only owners, and the other one has just gone.
                std::sync::Arc::try_unwrap(self.stream).map_err(|stream| {
                    let write = OwnedWriteHalf { stream: stream.clone(), shut_down_on_drop: true };
                    ReuniteError(OwnedReadHalf { stream }, write)
                })
            }
        }

        impl OwnedWriteHalf {
            /// Puts the stream together again; nothing is shut down.
            ///
            /// # Errors
            /// When the halves come from two streams.
            #[doc = concat!("
# Example
```
# async fn example(stream: ", $path, r#") {
let (read, write) = stream.into_split();
let stream = write.reunite(read).expect("the halves of one stream");
# drop(stream); }
```"#)]
            pub fn reunite(self, read: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                read.reunite(self)
            }

            /// Drops this half without shutting anything down.
            #[doc = concat!("
# Example
```
# async fn example(stream: ", $path, ") {
let (read, write) = stream.into_split();
write.forget(); // the peer hears of it only when `read` goes, too
# drop(read); }
```")]
            pub fn forget(mut self) {
                self.shut_down_on_drop = false;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.shut_down_on_drop {
                    // There is nobody to tell; a connection that is gone needs no shutting down.
                    let _ = self.stream.inner.close();
                }
            }
        }

        $crate::net::split::half!(ReadHalf<'_>, 0, $stream, $std, $address, $read);
        $crate::net::split::half!(WriteHalf<'_>, 0, $stream, $std, $address, $write);
        $crate::net::split::half!(OwnedReadHalf, stream, $stream, $std, $address, $owned_read);
        $crate::net::split::half!(OwnedWriteHalf, stream, $stream, $std, $address, $owned_write);
        $crate::net::forms::reading!(ReadHalf<'_>, $read);
        $crate::net::forms::reading!(OwnedReadHalf, $owned_read);
        $crate::net::forms::writing!(WriteHalf<'_>, $write);
        $crate::net::forms::writing!(OwnedWriteHalf, $owned_write);
    };
}
pub(super) use halves;

/// What each half has: its stream in the field `$field`, and the addresses.
macro_rules! half {
    ($half:ty, $field:tt, $stream:ident, $std:ty, $address:ty, $path:literal) => {
        impl $half {
            fn evented(&self) -> &$crate::net::Evented<$std> {
                self.$field.evented()
            }

            /// The address of this side.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.local_addr()?);"#)]
            pub fn local_addr(&self) -> std::io::Result<$address> {
                self.$field.local_addr()
            }

            /// The address of the other side.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.peer_addr()?);"#)]
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                self.$field.peer_addr()
            }
        }

        impl AsRef<$stream> for $half {
            fn as_ref(&self) -> &$stream {
                &self.$field
            }
        }

        $crate::net::forms::readiness!($half, $path);
    };
}
pub(super) use half;
