//! hyper 1 on this runtime (feature `hyper`): its executor, its timer, and its I/O traits on our streams.
//!
//! ```no_run
//! use crossover_runtime::{hyper_rt, net, spawn};
//! use hyper::{body::Incoming, client::conn::http1, server, service::Service, Request, Response};
//!
//! # async fn run<S>(service: S) -> Result<(), Box<dyn std::error::Error>>
//! # where
//! #     S: Service<Request<Incoming>, Response = Response<String>, Error = std::io::Error> + Send + 'static,
//! #     S::Future: Send,
//! # {
//! let listener = net::TcpListener::bind("127.0.0.1:0").await?;
//! let stream = net::TcpStream::connect(listener.local_addr()?).await?;
//! let (accepted, _) = listener.accept().await?;
//! let mut http = server::conn::http1::Builder::new();
//! http.timer(hyper_rt::Timer);
//! spawn(http.serve_connection(accepted, service));
//!
//! let (mut sender, connection) = http1::handshake(stream).await?;
//! spawn(connection);
//! let response = sender.send_request(Request::get("/").header("host", "x").body(String::new())?).await?;
//! # Ok(())
//! # }
//! ```

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::net::{TcpStream, UnixStream};
use crate::time::Sleep;

/// Spawns onto the current runtime; the tasks are detached.
///
/// # Panics
/// When hyper calls it outside of a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(crate::spawn(future));
    }
}

/// Timers of the current runtime.
///
/// # Panics
/// When hyper calls it outside of a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(crate::time::sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(crate::time::sleep_until(deadline.into()))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => ours.reset(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

impl hyper::rt::Sleep for Sleep {}

/// The traits are foreign, so that one generic implementation for both streams is not allowed.
macro_rules! hyper_io {
    ($($stream:ty),+) => {
        $(
            impl Read for $stream {
                fn poll_read(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    mut buffer: ReadBufCursor<'_>,
                ) -> Poll<io::Result<()>> {
                    // SAFETY: the slice is only written to, so that no initialised byte becomes uninitialised.
                    let unfilled = unsafe { buffer.as_mut() };
                    let count = ready!(self.inner.poll_read_uninit(cx, unfilled))?;
                    // SAFETY: `recv` has initialised the first `count` bytes of the slice.
                    unsafe { buffer.advance(count) };
                    Poll::Ready(Ok(()))
                }
            }

            impl Write for $stream {
                fn poll_write(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    data: &[u8],
                ) -> Poll<io::Result<usize>> {
                    self.inner.poll_write(cx, data)
                }

                fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(Ok(()))
                }

                fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(self.inner.close())
                }

                fn is_write_vectored(&self) -> bool {
                    true
                }

                fn poll_write_vectored(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                    data: &[IoSlice<'_>],
                ) -> Poll<io::Result<usize>> {
                    self.inner.poll_write_vectored(cx, data)
                }
            }
        )+
    };
}

hyper_io!(TcpStream, UnixStream);
