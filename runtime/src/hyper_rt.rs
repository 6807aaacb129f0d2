//! hyper 1 on this runtime (feature `hyper`): its executor, its timer, and its I/O traits on our streams.
//!
//! `TcpStream` and `UnixStream` go to hyper as they are; a TLS stream over one of them, or anything else with the traits
//! of futures-io, goes there inside of [`FuturesIo`]. [`Executor`] is what HTTP/2 asks for, [`Timer`] what every timeout
//! and keep-alive of hyper asks for.
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
//!
//! HTTP/2 differs in its builders: `server::conn::http2::Builder::new(hyper_rt::Executor)` and
//! `client::conn::http2::handshake(hyper_rt::Executor, stream)`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;

use crate::net::{TcpStream, UnixStream};
use crate::runtime::Handle;
use crate::time::Sleep;

/// Spawns onto the current runtime; the tasks are detached. A [`Handle`] is an executor, too: of its own runtime,
/// wherever hyper calls it from.
///
/// # Panics
/// When hyper calls it outside of a runtime.
///
/// # Example
/// ```no_run
/// use crossover_runtime::hyper_rt::Executor;
/// use hyper::rt::Executor as _;
///
/// # async fn example() {
/// Executor.execute(async { println!("a task of its own") }); // what HTTP/2 does for each stream
/// # }
/// ```
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

impl<F> hyper::rt::Executor<F> for Handle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.spawn(future));
    }
}

/// Timers of the current runtime, as exact as its [`sleep`](crate::time::sleep).
///
/// # Panics
/// When hyper calls it outside of a runtime, or polls one of its timers after the runtime's shutdown.
///
/// # Example
/// ```no_run
/// use crossover_runtime::hyper_rt::Timer;
/// use std::time::Duration;
///
/// let mut http = hyper::server::conn::http1::Builder::new();
/// http.timer(Timer).header_read_timeout(Duration::from_secs(10)); // without a timer it would panic
/// ```
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
                    // SAFETY: the read has initialised the first `count` bytes of the slice.
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

pin_project! {
    /// hyper's I/O traits on a stream that has those of futures-io: TLS over a stream of ours, say.
    ///
    /// A read initialises hyper's buffer first, which the streams of this crate, used directly, do without.
    ///
    /// ```
    /// use crossover_runtime::{hyper_rt::FuturesIo, net::UnixStream, runtime::Runtime};
    /// use futures::io::BufWriter;
    /// use hyper::{client::conn::http1, Request, Response, server, service::service_fn};
    ///
    /// Runtime::new()?.block_on(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let greet = service_fn(async |_| std::io::Result::Ok(Response::new("hello".to_string())));
    ///     // Buffered writes stand for TLS here.
    ///     let buffered = FuturesIo::new(BufWriter::new(theirs));
    ///     let server = server::conn::http1::Builder::new().serve_connection(buffered, greet);
    ///
    ///     let (mut sender, client) = http1::handshake(ours).await?;
    ///     // The connection ends with its only sender.
    ///     let request = async move { sender.send_request(Request::new(String::new())).await };
    ///     let (response, _, _) = futures::join!(request, server, client);
    ///     assert_eq!(response?.status(), 200);
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Debug)]
    pub struct FuturesIo<T> {
        #[pin]
        io: T,
    }
}

impl<T> FuturesIo<T> {
    /// Wraps a stream.
    ///
    /// ```
    /// use crossover_runtime::hyper_rt::FuturesIo;
    /// use futures::io::Cursor;
    ///
    /// let stream = FuturesIo::new(Cursor::new(vec![0; 64]));
    /// # drop(stream);
    /// ```
    pub fn new(io: T) -> FuturesIo<T> {
        FuturesIo { io }
    }

    /// The stream.
    ///
    /// ```
    /// use crossover_runtime::hyper_rt::FuturesIo;
    /// use futures::io::Cursor;
    ///
    /// let stream = FuturesIo::new(Cursor::new(vec![0; 64]));
    /// assert_eq!(stream.get_ref().position(), 0);
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// The stream.
    ///
    /// ```
    /// use crossover_runtime::hyper_rt::FuturesIo;
    /// use futures::io::Cursor;
    ///
    /// let mut stream = FuturesIo::new(Cursor::new(vec![0; 64]));
    /// stream.get_mut().set_position(8);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io
    }

    /// Unwraps the stream.
    ///
    /// ```
    /// use crossover_runtime::hyper_rt::FuturesIo;
    /// use futures::io::Cursor;
    ///
    /// let stream = FuturesIo::new(Cursor::new(vec![0; 64]));
    /// assert_eq!(stream.into_inner().position(), 0);
    /// ```
    pub fn into_inner(self) -> T {
        self.io
    }
}

impl<T: futures_io::AsyncRead> Read for FuturesIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let unfilled = buffer.initialize_unfilled();
        let room = unfilled.len();
        let count = ready!(self.project().io.poll_read(cx, unfilled))?;
        if count > room {
            return Poll::Ready(Err(io::Error::other(
                "a stream claims to have read more than it had room for",
            )));
        }
        // SAFETY: all of the unfilled part is initialised, and `count` bytes of it exist.
        unsafe { buffer.advance(count) };
        Poll::Ready(Ok(()))
    }
}

impl<T: futures_io::AsyncWrite> Write for FuturesIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_close(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, data)
    }
}
