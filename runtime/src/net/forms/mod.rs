//! The functions that sockets share, each written once, as macros: a type that has a private `evented()` (its
//! `Evented`) invokes those that fit it. They only forward; the work is done in `Evented`.
//!
//! Macros and not one generic socket, because people should see `TcpStream` in their errors and in the docs,
//! and because the I/O traits are foreign, which rules one implementation for all types out.
//!
//! | macro | functions | for |
//! |---|---|---|
//! | `readiness` | `ready` | all but listeners |
//! | `own_io` | `async_io`, `try_io`, `take_error` | sockets but listeners |
//! | `descriptor` | `AsFd`, `AsRawFd`, `Debug` | all |
//! | `from_std` | `from_std`, `TryFrom` | sockets |
//! | `options`, `packet_options` | getters and setters of socket options | sockets |
//! | `reading`, `writing` (`stream.rs`) | readiness by direction, `try_read`, ..., futures-io | streams, halves, pipes |
//! | `poll_ready`, `peeking` (`stream.rs`) | `poll_read_ready`, ...; `peek`, `poll_peek` | streams, pipes; TCP |
//! | `listener` (`listener.rs`) | `accept`, ... | listeners |
//! | `datagrams` (`datagram.rs`) | `send`, `recv`, ... | UDP, Unix datagrams |
//!
//! `$path` is how a doc example writes the type of its `socket`.

macro_rules! example {
    ($path:literal, $code:literal) => {
        concat!(
            "\n# Example\n```\n# async fn example(socket: &",
            $path,
            ") -> std::io::Result<()> {\n",
            $code,
            "\n# Ok(())\n# }\n```"
        )
    };
}
pub(in crate::net) use example;

/// Waiting for any interest.
macro_rules! readiness {
    ($socket:ty, $path:literal) => {
        impl $socket {
            /// Waits until any of `interest` is ready. Any number of tasks may wait. The readiness may be
            /// stale: a
            /// `try_` function may still return `WouldBlock`.
            ///
            /// # Errors
            /// After the runtime's shutdown.
            ///
            /// # Cancel safety
            /// Cancel safe: whoever waits next hears of the readiness, too.
            #[doc = $crate::net::forms::example!($path, r#"
use crossover_runtime::io::Interest;

let ready = socket.ready(Interest::READABLE | Interest::WRITABLE).await?;
println!("read: {}, write: {}", ready.is_readable(), ready.is_writable());
"#)]
            pub async fn ready(&self, interest: crate::io::Interest) -> std::io::Result<crate::io::Ready> {
                Ok(self.evented().ready(interest).await?.ready)
            }
        }
    };
}
pub(in crate::net) use readiness;

/// I/O of one's own, and the error that waits on a socket.
macro_rules! own_io {
    ($socket:ty, $path:literal) => {
        impl $socket {
            /// One attempt at I/O of your own on this socket; its `WouldBlock` clears the readiness. Return
            /// that only when the system did, else later waits wait for an event that does not come.
            /// `attempt` should not use this socket's own `try_` functions, which would clear the readiness
            /// on their part.
            ///
            /// # Errors
            /// `WouldBlock`, without an attempt, when `interest` is not ready; else what `attempt` returns.
            #[doc = $crate::net::forms::example!($path, r#"
use crossover_runtime::io::Interest;

let bytes = socket.try_io(Interest::READABLE, || Ok(rustix::io::ioctl_fionread(socket)?))?;
println!("{bytes} bytes can be read");
"#)]
            pub fn try_io<R>(
                &self,
                interest: crate::io::Interest,
                attempt: impl FnOnce() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.evented().try_io(interest, attempt)
            }

            /// Repeats `attempt`, I/O of your own on this socket, until it returns something else than
            /// `WouldBlock`, waiting for `interest` in between. Any number of tasks may wait.
            ///
            /// # Cancel safety
            /// Cancel safe as far as `attempt` is: it is not interrupted.
            #[doc = $crate::net::forms::example!($path, r#"
use crossover_runtime::io::Interest;

let mut buffer = [0; 64];
let count = socket.async_io(Interest::READABLE, || Ok(rustix::io::read(socket, &mut buffer)?)).await?;
println!("{:?}", &buffer[..count]);
"#)]
            pub async fn async_io<R>(
                &self,
                interest: crate::io::Interest,
                attempt: impl FnMut() -> std::io::Result<R>,
            ) -> std::io::Result<R> {
                self.evented().async_io(interest, attempt).await
            }

            /// The pending error of the socket, which is cleared.
            #[doc = $crate::net::forms::example!($path, r#"
if let Some(error) = socket.take_error()? {
    println!("{error}");
}
"#)]
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.evented().get().take_error()
            }
        }
    };
}
pub(in crate::net) use own_io;

/// Access to the descriptor.
macro_rules! descriptor {
    ($socket:ty) => {
        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.evented().get().as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(self.evented().get())
            }
        }

        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.evented().get(), f)
            }
        }
    };
}
pub(in crate::net) use descriptor;

/// Taking over a socket of the standard library.
macro_rules! from_std {
    ($socket:ident, $std:ty, $path:literal, $std_path:literal) => {
        impl $socket {
            /// Takes over a socket of the standard library, and sets it to non-blocking mode (tokio leaves
            /// that to you, and blocks its threads where you forget it).
            ///
            /// # Errors
            /// When the system cannot watch it, and after the runtime's shutdown.
            ///
            /// # Panics
            /// Outside of a runtime.
            #[doc = concat!("
# Example
```
# fn example(std_socket: ", $std_path, ") -> std::io::Result<()> {
let socket = ", $path, "::from_std(std_socket)?;
# drop(socket); Ok(())
# }
```")]
            #[track_caller]
            pub fn from_std(socket: $std) -> std::io::Result<$socket> {
                socket.set_nonblocking(true)?;
                Ok(<$socket>::from_evented($crate::net::Evented::new(socket, crate::io::Ready::EMPTY)?))
            }
        }

        /// Like `from_std`.
        impl TryFrom<$std> for $socket {
            type Error = std::io::Error;

            #[track_caller]
            fn try_from(socket: $std) -> std::io::Result<$socket> {
                <$socket>::from_std(socket)
            }
        }
    };
}
pub(in crate::net) use from_std;

/// Getters and setters of socket options, by their names here and in socket2.
macro_rules! options {
    ($socket:ty, $path:literal; $(
        $(#[$get_doc:meta])*
        $get:ident = $inner_get:ident,
        $(#[$set_doc:meta])*
        $set:ident = $inner_set:ident: $value:ty, $sample:literal;
    )+) => {
        impl $socket {$(
            $(#[$get_doc])*
            #[doc = concat!("
# Example
```
# fn example(socket: &", $path, ") -> std::io::Result<()> {
println!(\"{:?}\", socket.", stringify!($get), "()?);
# Ok(())
# }
```")]
            pub fn $get(&self) -> std::io::Result<$value> {
                socket2::SockRef::from(self).$inner_get()
            }

            $(#[$set_doc])*
            #[doc = concat!("
# Example
```
# fn example(socket: &", $path, ") -> std::io::Result<()> {
socket.", stringify!($set), "(", $sample, ")?;
# Ok(())
# }
```")]
            pub fn $set(&self, value: $value) -> std::io::Result<()> {
                socket2::SockRef::from(self).$inner_set(value)
            }
        )+}
    };
}
pub(in crate::net) use options;

/// Options of sockets that send IP packets, where Linux has them.
macro_rules! packet_options {
    ($socket:ty, $path:literal) => {
        $crate::net::forms::options! { $socket, $path;
            /// The type of service of outgoing IPv4 packets (DSCP and ECN).
            tos_v4 = tos_v4,
            /// Sets the type of service of outgoing IPv4 packets (DSCP and ECN). The two bits of ECN are
            /// TCP's own.
            set_tos_v4 = set_tos_v4: u32, "0x10";
        }

        #[cfg(target_os = "linux")]
        $crate::net::forms::options! { $socket, $path;
            /// The traffic class of outgoing IPv6 packets (DSCP and ECN).
            tclass_v6 = tclass_v6,
            /// Sets the traffic class of outgoing IPv6 packets (DSCP and ECN).
            set_tclass_v6 = set_tclass_v6: u32, "0x10";
        }

        #[cfg(target_os = "linux")]
        impl $socket {
            /// The name of the network interface that it is bound to.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.device()?);"#)]
            pub fn device(&self) -> std::io::Result<Option<Vec<u8>>> {
                socket2::SockRef::from(self).device()
            }

            /// Binds it to the network interface of this name; `None`: to none. It then hears only what comes
            /// in there.
            #[doc = $crate::net::forms::example!($path, r#"socket.bind_device(Some(b"lo"))?;"#)]
            pub fn bind_device(&self, interface: Option<&[u8]>) -> std::io::Result<()> {
                socket2::SockRef::from(self).bind_device(interface)
            }
        }
    };
}
pub(in crate::net) use packet_options;

mod datagram;
mod listener;
mod stream;

pub(in crate::net) use datagram::datagrams;
pub(in crate::net) use listener::listener;
pub(in crate::net) use stream::{async_read, async_write, peeking, poll_ready, reading, writing};
