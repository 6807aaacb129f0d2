//! Files and folders: what `std::fs` has, for async code, under tokio's names.
//!
//! An operating system has few ways to wait for a disk but to block, so each operation runs as a job of the [blocking
//! pool](crate::spawn_blocking), and the task waits for the job. Two exceptions, on Linux: a [`File`] reads on the spot
//! what the system has in memory, and it moves its cursor on the spot.
//!
//! ```
//! use crossover_runtime::{fs, runtime::Runtime};
//! use futures_util::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
//! use std::io::SeekFrom;
//!
//! Runtime::new()?.block_on(async {
//!     let path = std::env::temp_dir().join(format!("crossover-doc-fs-{}", std::process::id()));
//!     let mut file = fs::File::create_new(&path).await?;
//!     file.write_all(b"to be or not to be").await?;
//!     file.flush().await?;
//!
//!     file.seek(SeekFrom::Start(6)).await?;
//!     let mut text = String::new();
//!     file.read_to_string(&mut text).await?;
//!     assert_eq!(text, "or not to be");
//!     assert_eq!(fs::read(&path).await?, b"to be or not to be");
//!     fs::remove_file(&path).await
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What holds for all of it
//! - **Many small operations** cost a job each. [`read`] and [`write()`] do a whole file in one; for a file in pieces use
//!   large ones, or a `BufReader` or `BufWriter` around the [`File`]; for many operations in a row one
//!   [`spawn_blocking`](crate::spawn_blocking) around all of them.
//! - **Errors** are those of `std::fs`, with the same kinds; a path is not named in them. In addition there is an error
//!   if the runtime is shut down before the job has started (see
//!   [`is_rt_shutdown_err`](crate::runtime::is_rt_shutdown_err)), or if no thread can be started for it.
//! - **Cancel safety.** A future that is dropped before its first poll does nothing. One that is dropped later stops
//!   nothing: the job runs, now or later, and its result is dropped. So a given-up `remove_file` may remove the file,
//!   even after the next operation. No more than that happens: nothing is done by halves that would be done in full
//!   otherwise.
//! - **Panics**: at the first poll outside of a runtime, with a message that names the place of the call.
//! - **A pipe, terminal or other device** may keep a job, and so a thread of the pool, waiting for ever, and
//!   the end of the runtime with it: see [`Runtime::shutdown_timeout`](crate::runtime::Runtime::shutdown_timeout). Use
//!   [`net::unix::pipe`](crate::net::unix::pipe) or [`AsyncFd`](crate::net::AsyncFd) for those.
//! - **Beside tokio**: `{:?}` of a `File` says `File`; errors are kept whole, not by their kind alone; a seek that fails
//!   moves nothing; and what a given-up read has fetched is given back by `into_std`, too.
//!
//! Inside: `file/state.rs` has the protocol of a `File`; `paths` what needs no open file.

mod buffer;
mod dir;
mod file;
mod open_options;
mod paths;
mod whole;

pub use dir::{
    DirBuilder, DirEntry, ReadDir, create_dir, create_dir_all, read_dir, remove_dir, remove_dir_all,
};
pub use file::File;
pub use open_options::OpenOptions;
pub use paths::{
    canonicalize, copy, hard_link, metadata, read_link, remove_file, rename, set_permissions, symlink,
    symlink_metadata, try_exists,
};
pub use std::fs::FileTimes;
pub use whole::{read, read_to_string, write};

use crate::error::shutdown_error;
use crate::handle::{Handle, Link};
use crate::task::{JoinError, JoinHandle};
use std::error::Error;
use std::io;
use std::panic::Location;

/// Starts a job on the current runtime's pool, for whoever asked at `location`.
///
/// # Panics
/// Outside of a runtime.
fn start<T, F>(location: &'static Location<'static>, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    start_job(location, false, work)
}

/// As [`start`]; one that `must_run` and was not refused is run even if the runtime is shut down before.
fn start_job<T, F>(location: &'static Location<'static>, must_run: bool, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = match Handle::try_current() {
        Ok(handle) => handle,
        Err(error) => panic!("{error} (an operation of `fs`, called at {location})"),
    };
    let entered = handle.clone();
    handle.inner.blocking.spawn(work, location, must_run, move || Link::enter(entered))
}

/// One operation as a job, which starts at the first poll.
#[track_caller]
fn run<T, F>(work: F) -> impl Future<Output = io::Result<T>> + Send + use<T, F>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    run_for(Location::caller(), work)
}

async fn run_for<T, F>(location: &'static Location<'static>, work: F) -> io::Result<T>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    start(location, work).await.unwrap_or_else(|error| Err(no_result(error)))
}

/// Lets go of `path` after the operation only: what gives the path may remove the file when it is dropped.
async fn keep<P, F: Future>(path: P, operation: F) -> F::Output {
    let output = operation.await;
    drop(path);
    output
}

/// Why a job brought no result. Nobody aborts ours: one that is cancelled came too late for its runtime, or found no thread.
fn no_result(error: JoinError) -> io::Error {
    if error.is_panic() || error.source().is_some() { error.into() } else { shutdown_error() }
}
