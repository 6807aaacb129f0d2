//! Pipes: the two ends of an anonymous one, and FIFOs of the file system.
//!
//! ```
//! use crossover_runtime::net::unix::pipe;
//! use futures::{AsyncReadExt, AsyncWriteExt};
//!
//! # crossover_runtime::runtime::Runtime::new()?.block_on(async {
//! let (mut sender, mut receiver) = pipe::pipe()?;
//! sender.write_all(b"hello").await?;
//! drop(sender); // the end of the stream
//! let mut text = String::new();
//! receiver.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FileType, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::io::{Interest, Ready};
use crate::net::Evented;
use crate::net::forms::{descriptor, example, poll_ready, readiness, reading, writing};

/// A new pipe.
///
/// # Errors
/// When the process is out of descriptors.
///
/// # Panics
/// Outside of a runtime.
///
/// # Example
/// See [the module](self).
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    // An empty pipe has room.
    let sender = Sender { inner: Evented::new(write.into(), Ready::WRITABLE)? };
    let receiver = Receiver { inner: Evented::new(read.into(), Ready::EMPTY)? };
    Ok((sender, receiver))
}

/// How to open a FIFO of the file system.
///
/// # Example
/// ```no_run
/// use crossover_runtime::net::unix::pipe;
///
/// # async fn example() -> std::io::Result<()> {
/// let receiver = pipe::OpenOptions::new().open_receiver("/run/fifo")?;
/// # drop(receiver); Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    #[cfg(target_os = "linux")]
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// Opens only FIFOs, and each end for its own direction.
    ///
    /// # Example
    /// See [`OpenOptions`].
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// Whether each end is opened for both directions, which Linux allows: a sender then needs no receiver to
    /// be there, and a receiver does not see the end of the stream when the last sender goes. It is its own
    /// other end.
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::net::unix::pipe;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let sender = pipe::OpenOptions::new().read_write(true).open_sender("/run/fifo")?;
    /// # drop(sender); Ok(())
    /// # }
    /// ```
    #[cfg(target_os = "linux")]
    pub fn read_write(&mut self, read_write: bool) -> &mut OpenOptions {
        self.read_write = read_write;
        self
    }

    /// Whether to leave out the check that it is a FIFO. Whatever else can be watched works, too.
    ///
    /// # Example
    /// ```no_run
    /// use crossover_runtime::net::unix::pipe;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let receiver = pipe::OpenOptions::new().unchecked(true).open_receiver("/dev/tty")?;
    /// # drop(receiver); Ok(())
    /// # }
    /// ```
    pub fn unchecked(&mut self, unchecked: bool) -> &mut OpenOptions {
        self.unchecked = unchecked;
        self
    }

    /// Opens the end to read from. It reads the end of the stream while there is no sender.
    ///
    /// # Errors
    /// Those of opening a file; `InvalidInput` when it is no FIFO.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`OpenOptions`].
    #[track_caller]
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        Receiver::from_file_unchecked(self.open(path.as_ref(), std::fs::OpenOptions::new().read(true))?)
    }

    /// Opens the end to write to.
    ///
    /// # Errors
    /// Those of opening a file; `ENXIO` while there is no receiver (see [`read_write`](Self::read_write));
    /// `InvalidInput` when it is no FIFO.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Example
    /// See [`read_write`](Self::read_write).
    #[track_caller]
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        Sender::from_file_unchecked(self.open(path.as_ref(), std::fs::OpenOptions::new().write(true))?)
    }

    fn open(&self, path: &Path, options: &mut std::fs::OpenOptions) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        if self.read_write {
            options.read(true).write(true);
        }
        let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
        if !self.unchecked {
            must_be_pipe(&file)?;
        }
        Ok(file)
    }
}

/// The end of a pipe to write to. Dropping the last one is the end of the stream.
///
/// Writing when the last receiver is gone fails with `BrokenPipe`. Closing it (`AsyncWrite::poll_close`) does
/// nothing: drop it.
///
/// # Example
/// See [the module](self).
pub struct Sender {
    pub(crate) inner: Evented<File>,
}

/// The end of a pipe to read from.
///
/// # Example
/// See [the module](self).
pub struct Receiver {
    pub(crate) inner: Evented<File>,
}

writing!(Sender, "crossover_runtime::net::unix::pipe::Sender");
poll_ready!(Sender, "crossover_runtime::net::unix::pipe::Sender", poll_write_ready, Write, "writable");
reading!(Receiver, "crossover_runtime::net::unix::pipe::Receiver");
poll_ready!(Receiver, "crossover_runtime::net::unix::pipe::Receiver", poll_read_ready, Read, "readable");

/// What both ends share; a file that is opened for `$refused` only is no such end.
macro_rules! end {
    ($end:ident, $path:literal, $interest:ident, $refused:ident, $error:literal) => {
        impl $end {
            fn evented(&self) -> &Evented<File> {
                &self.inner
            }

            /// Takes over a file, which must be a pipe or a FIFO, and sets it to non-blocking mode.
            ///
            /// # Errors
            /// `InvalidInput` when it is no pipe, or not opened for this direction.
            ///
            /// # Panics
            /// Outside of a runtime.
            #[doc = concat!("
# Example
```
# fn example(file: std::fs::File) -> std::io::Result<()> {
let end = ", $path, "::from_file(file)?;
# drop(end); Ok(())
# }
```")]
            #[track_caller]
            pub fn from_file(file: File) -> io::Result<$end> {
                must_be_pipe(&file)?;
                let flags = rustix::fs::fcntl_getfl(&file)?;
                if flags & OFlags::RWMODE == OFlags::$refused {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, $error));
                }
                rustix::fs::fcntl_setfl(&file, flags | OFlags::NONBLOCK)?;
                $end::from_file_unchecked(file)
            }

            /// Like [`from_file`](Self::from_file), for a descriptor.
            #[doc = concat!("
# Example
```
# fn example(descriptor: std::os::fd::OwnedFd) -> std::io::Result<()> {
let end = ", $path, "::from_owned_fd(descriptor)?;
# drop(end); Ok(())
# }
```")]
            #[track_caller]
            pub fn from_owned_fd(descriptor: OwnedFd) -> io::Result<$end> {
                $end::from_file(descriptor.into())
            }

            /// Takes over a file without a check. It should be opened for this direction and be in
            /// non-blocking mode, else its operations fail or block the worker.
            ///
            /// # Errors
            /// When the system cannot watch it (a regular file).
            ///
            /// # Panics
            /// Outside of a runtime.
            #[doc = concat!("
# Example
```
# fn example(file: std::fs::File) -> std::io::Result<()> {
let end = ", $path, "::from_file_unchecked(file)?;
# drop(end); Ok(())
# }
```")]
            #[track_caller]
            pub fn from_file_unchecked(file: File) -> io::Result<$end> {
                Ok($end { inner: Evented::new(file, Ready::EMPTY)? })
            }

            /// Like [`from_file_unchecked`](Self::from_file_unchecked), for a descriptor.
            #[doc = concat!("
# Example
```
# fn example(descriptor: std::os::fd::OwnedFd) -> std::io::Result<()> {
let end = ", $path, "::from_owned_fd_unchecked(descriptor)?;
# drop(end); Ok(())
# }
```")]
            #[track_caller]
            pub fn from_owned_fd_unchecked(descriptor: OwnedFd) -> io::Result<$end> {
                $end::from_file_unchecked(descriptor.into())
            }

            /// One attempt at I/O of your own; its `WouldBlock` clears the readiness.
            ///
            /// # Errors
            /// `WouldBlock`, without an attempt, when this end is not ready; else what `attempt` returns.
            #[doc = example!($path, r#"
let bytes = socket.try_io(|| Ok(rustix::io::ioctl_fionread(socket)?))?;
println!("{bytes} bytes are in the pipe");
"#)]
            pub fn try_io<R>(&self, attempt: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                self.inner.try_io(Interest::$interest, attempt)
            }

            /// Hands the descriptor out, in blocking mode: for a child process, say.
            #[doc = concat!("
# Example
```
# fn example(end: ", $path, ") -> std::io::Result<()> {
let descriptor = end.into_blocking_fd()?;
let file = std::fs::File::from(descriptor);
# drop(file); Ok(())
# }
```")]
            pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
                let descriptor = self.into_nonblocking_fd()?;
                let flags = rustix::fs::fcntl_getfl(&descriptor)?;
                rustix::fs::fcntl_setfl(&descriptor, flags - OFlags::NONBLOCK)?;
                Ok(descriptor)
            }

            /// Hands the descriptor out; it stays in non-blocking mode.
            #[doc = concat!("
# Example
```
# fn example(end: ", $path, ") -> std::io::Result<()> {
let descriptor = end.into_nonblocking_fd()?;
# drop(descriptor); Ok(())
# }
```")]
            pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
                Ok(self.inner.into_inner().into())
            }
        }

        readiness!($end, $path);
        descriptor!($end);
    };
}

end!(
    Sender,
    "crossover_runtime::net::unix::pipe::Sender",
    WRITABLE,
    RDONLY,
    "not in O_WRONLY or O_RDWR access mode"
);
end!(
    Receiver,
    "crossover_runtime::net::unix::pipe::Receiver",
    READABLE,
    WRONLY,
    "not in O_RDONLY or O_RDWR access mode"
);

fn must_be_pipe(file: &impl AsFd) -> io::Result<()> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    if kind == FileType::Fifo {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a pipe"))
    }
}
