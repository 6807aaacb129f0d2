//! Listeners.

/// Accepting, for a type with a field `acceptor` whose connections are of the types `$std_stream` and
/// `$stream`.
macro_rules! listener {
    (
        $listener:ident, $std:ty => $stream:ident, $std_stream:ty, $address:ty,
        $path:literal, $std_path:literal
    ) => {
        impl $listener {
            /// Registers a listener that is in non-blocking mode.
            #[track_caller]
            fn register(listener: $std) -> std::io::Result<$listener> {
                Ok(<$listener>::from_evented($crate::net::Evented::new(listener, crate::io::Ready::EMPTY)?))
            }

            fn from_evented(inner: $crate::net::Evented<$std>) -> $listener {
                $listener { acceptor: $crate::net::accept::Acceptor::new(inner) }
            }

            fn evented(&self) -> &$crate::net::Evented<$std> {
                &self.acceptor.inner
            }

            /// The next connection, and whose it is. Any number of tasks may wait; each connection goes to
            /// one of them.
            ///
            /// # Errors
            /// Those of the system. After one that says that it is out of descriptors or memory (`EMFILE`,
            /// ...), the next attempt waits for 20 ms, so that a loop around `accept` does not spin while the
            /// connection stays queued.
            ///
            /// # Cancel safety
            /// Cancel safe: a connection is accepted only when it is returned.
            #[doc = $crate::net::forms::example!($path, r#"
loop {
    let (stream, address) = socket.accept().await?;
    crossover_runtime::spawn(async move {
        println!("{address:?}: {stream:?}");
    });
}
#[allow(unreachable_code)]
"#)]
            pub async fn accept(&self) -> std::io::Result<($stream, $address)> {
                self.adopt(self.acceptor.accept($crate::net::accept::accept_nonblocking).await?)
            }

            /// Like [`accept`](Self::accept); of all callers, the latest is woken.
            #[doc = $crate::net::forms::example!($path, r#"
let (stream, _) = std::future::poll_fn(|cx| socket.poll_accept(cx)).await?;
println!("{stream:?}");
"#)]
            pub fn poll_accept(
                &self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<($stream, $address)>> {
                let accepted = self.acceptor.poll_accept(cx, $crate::net::accept::accept_nonblocking);
                accepted.map(|accepted| self.adopt(accepted?))
            }

            /// The new connection belongs to the same runtime. It is taken for readable, since mostly the
            /// client has sent something by now (else the first read finds out), and for writable, since
            /// nothing was sent on it yet.
            fn adopt(
                &self,
                (descriptor, address): (std::os::fd::OwnedFd, Option<rustix::net::SocketAddrAny>),
            ) -> std::io::Result<($stream, $address)> {
                let stream = <$std_stream>::from(descriptor);
                let address = match $crate::net::buffer::Address::from_system(address) {
                    Some(address) => address,
                    None => stream.peer_addr()?.into(),
                };
                let initial = crate::io::Ready::READABLE | crate::io::Ready::WRITABLE;
                let inner = $crate::net::Evented::new_on(self.evented().driver(), stream, initial)?;
                Ok(($stream { inner }, address))
            }

            /// The address that it listens at.
            #[doc = $crate::net::forms::example!($path, r#"println!("{:?}", socket.local_addr()?);"#)]
            pub fn local_addr(&self) -> std::io::Result<$address> {
                Ok(self.evented().get().local_addr()?.into())
            }

            /// Hands the listener to the standard library. It stays in non-blocking mode.
            #[doc = concat!("
# Example
```
# fn example(socket: ", $path, ") -> std::io::Result<()> {
let listener: ", $std_path, " = socket.into_std()?;
listener.set_nonblocking(false)?;
# Ok(())
# }
```")]
            pub fn into_std(self) -> std::io::Result<$std> {
                Ok(self.acceptor.inner.into_inner())
            }
        }

        $crate::net::forms::from_std!($listener, $std, $path, $std_path);
        $crate::net::forms::descriptor!($listener);
    };
}
pub(in crate::net) use listener;
