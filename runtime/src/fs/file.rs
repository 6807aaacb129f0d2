//! An open file.
//!
//! [`File`] owns the open file, together with the jobs that work on it (`lease`). What is under way, and the
//! buffer, are in `state`, whose head says how they go together; `traits` are the I/O traits on top of it.
//!
//! Lock order: `inner` is an async lock, for the operations by `&self` only, and is held while such an operation waits
//! for the one under way.

mod lease;
mod state;
mod traits;

use super::{OpenOptions, run_for};
use async_lock::Mutex;
use futures_util::task::AtomicWaker;
use lease::Lease;
use state::Inner;
use std::fmt;
use std::fs::{FileTimes, Metadata, Permissions};
use std::future::poll_fn;
use std::io::{self, Seek, SeekFrom};
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::SystemTime;

/// tokio's number.
const MAX_BUF_SIZE: usize = 2 << 20;

/// An open file, to be read, written and sought by futures-io's [`AsyncRead`](futures_io::AsyncRead),
/// [`AsyncWrite`](futures_io::AsyncWrite) and [`AsyncSeek`](futures_io::AsyncSeek), and by tokio's of the same names
/// under the feature `tokio-io`.
///
/// One operation is under way at a time; the next one waits for it.
///
/// - **A write is done when its bytes are in the file's buffer**: at most [`max_buf_size`](File::max_buf_size) of them.
///   They go to the system in the background, and an error is returned by the next write or flush. So **flush** before
///   the file is dropped: it waits for the bytes to be with the system (and [`sync_all`](File::sync_all) until they are
///   on the disk).
/// - **Drop** waits for nothing. A write under way goes on without the file, but nobody will see its error, and a process
///   that ends in the meantime loses its bytes.
/// - **The end of the runtime** waits for writes under way, as for all jobs that run. A write that comes later is
///   refused, and accepts nothing.
/// - **A read** may return fewer bytes than there are. Zero means the end of the file, or that none were asked for.
/// - **A clone** ([`try_clone`](File::try_clone)) has the same cursor: what one reads or seeks moves the other.
///
/// # Cancel safety
/// A read that is given up has read nothing as far as its file is concerned: its bytes are there for the next one. A
/// write has accepted its bytes or has done nothing. A seek may have moved the cursor, or may do so before the next
/// operation. A write of all of several pieces, or a read to the end, is as cancel safe as its makers say (`write_all` is
/// not).
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs::{self, File};
/// use futures_util::io::{AsyncReadExt, AsyncWriteExt};
///
/// let path = std::env::temp_dir().join(format!("crossover-doc-file-{}", std::process::id()));
/// let mut file = File::create(&path).await?;
/// file.write_all(b"written").await?;
/// file.flush().await?;
///
/// let mut file = File::open(&path).await?;
/// let mut buffer = [0; 32];
/// let count = file.read(&mut buffer).await?;
/// assert_eq!(&buffer[..count], b"written");
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct File {
    std: Arc<std::fs::File>,
    inner: Mutex<Inner>,
    max_buf_size: usize,
    returned: Arc<AtomicWaker>,
}

impl File {
    /// Opens a file that is there, to read it.
    ///
    /// # Errors
    /// `NotFound` if it is not there; others as [`OpenOptions::open`], also for cancel safety and panics.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::fs::File;
    /// let error = File::open("/no/such/file").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        File::options().read(true).open(path)
    }

    /// Opens a file to write to it: one that is there is made empty.
    ///
    /// # Errors
    /// As [`OpenOptions::open`], also for cancel safety and panics.
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        File::options().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file, to read and write it.
    ///
    /// # Errors
    /// `AlreadyExists` if it is there; others as [`OpenOptions::open`], also for cancel safety and panics.
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        File::options().read(true).write(true).create_new(true).open(path)
    }

    /// All other ways to open a file.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// An open file of std's. Needs no runtime.
    ///
    /// As it may have other handles, all of its operations are jobs: it is not read on the spot.
    pub fn from_std(std: std::fs::File) -> File {
        File::new(std, false)
    }

    /// One that we have opened ourselves.
    pub(super) fn opened(std: std::fs::File) -> File {
        File::new(std, true)
    }

    fn new(std: std::fs::File, ours: bool) -> File {
        File {
            std: Arc::new(std),
            inner: Mutex::new(Inner::new(ours)),
            max_buf_size: MAX_BUF_SIZE,
            returned: Arc::default(),
        }
    }

    /// Waits until all that was written is on the disk, with the file's metadata (`fsync`).
    ///
    /// # Cancel safety
    /// What was written before stays written; whether it is on the disk nobody knows.
    ///
    /// # Errors
    /// Those of the system's call. An error of an earlier write is left for the next write or flush.
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.after_writes(|file| file.sync_all())
    }

    /// As [`sync_all`](File::sync_all), without the metadata that reading it back does not need (`fdatasync`).
    ///
    /// # Errors
    /// As `sync_all`, also for cancel safety and panics.
    #[track_caller]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.after_writes(|file| file.sync_data())
    }

    /// Cuts the file off, or makes it longer by zeros. The cursor stays where it is.
    ///
    /// # Cancel safety
    /// Given up, it may be done, or be done before the next operation.
    ///
    /// # Errors
    /// `InvalidInput` for a file that is not open for writing; others as [`std::fs::File::set_len`].
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn set_len(&self, size: u64) -> impl Future<Output = io::Result<()>> + Send {
        let location = Location::caller();
        async move {
            let mut inner = self.inner.lock().await;
            poll_fn(|cx| inner.poll_settle(cx)).await;
            inner.begin_set_len(location, self.lease(), size);
            poll_fn(|cx| inner.poll_set_len(cx)).await
        }
    }

    /// What the system knows about the file: length, permissions, times. Does not wait for a write under way.
    ///
    /// # Errors
    /// As [`std::fs::File::metadata`]. For cancel safety see the [module](super#what-holds-for-all-of-it).
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + Send {
        self.at_once(|file| file.metadata())
    }

    /// Another handle of the same open file, with the same cursor. It comes after the writes so far, and has the same
    /// `max_buf_size`.
    ///
    /// From then on neither is read on the spot: one could hold up the other's worker by the lock of the cursor.
    ///
    /// # Errors
    /// When there are too many open files. Cancel safe: nothing is lost.
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn try_clone(&self) -> impl Future<Output = io::Result<File>> + Send {
        let location = Location::caller();
        async move {
            {
                let mut inner = self.inner.lock().await;
                poll_fn(|cx| inner.poll_settle(cx)).await;
                inner.shared();
            }
            let lease = self.lease();
            let mut file = File::from_std(run_for(location, move || lease.try_clone()).await?);
            file.max_buf_size = self.max_buf_size;
            Ok(file)
        }
    }

    /// The open file as std's, after all that is under way, also by calls that were given up.
    ///
    /// Bytes that a given-up read has fetched are given back, by a seek, if the file can seek. An error of an earlier
    /// write is lost: flush before. It needs a runtime only in so far as it waits for jobs of one.
    ///
    /// # Cancel safety
    /// Given up, the file is closed.
    pub async fn into_std(self) -> std::fs::File {
        let File { std, inner, returned, .. } = self;
        let mut inner = inner.into_inner();
        let mut shared = Some(std);
        poll_fn(|cx| {
            ready!(inner.poll_settle(cx));
            let std = ready!(lease::poll_alone(cx, &mut shared, &returned));
            give_back(&std, &inner);
            Poll::Ready(std)
        })
        .await
    }

    /// As [`into_std`](File::into_std), without waiting.
    ///
    /// # Errors
    /// The file itself, if something is under way.
    pub fn try_into_std(mut self) -> Result<std::fs::File, File> {
        // A job that has ended, but that nobody has waited for, still has the bytes that it has read.
        if self.inner.get_mut().poll_settle(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Err(self);
        }
        match Arc::try_unwrap(self.std) {
            Ok(std) => {
                give_back(&std, self.inner.get_mut());
                Ok(std)
            }
            Err(shared) => {
                self.std = shared;
                Err(self)
            }
        }
    }

    /// Sets the permissions. Does not wait for a write under way.
    ///
    /// # Errors
    /// As [`std::fs::File::set_permissions`]. For cancel safety see the [module](super#what-holds-for-all-of-it).
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn set_permissions(&self, permissions: Permissions) -> impl Future<Output = io::Result<()>> + Send {
        self.at_once(move |file| file.set_permissions(permissions))
    }

    /// Sets the times of the last access and change, after the writes so far, which would set them, too.
    ///
    /// # Errors
    /// As [`std::fs::File::set_times`]. For cancel safety see the [module](super#what-holds-for-all-of-it).
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn set_times(&self, times: FileTimes) -> impl Future<Output = io::Result<()>> + Send {
        self.after_writes(move |file| file.set_times(times))
    }

    /// Sets the time of the last change; as [`set_times`](File::set_times).
    ///
    /// # Errors
    /// As `set_times`, also for cancel safety and panics.
    #[track_caller]
    pub fn set_modified(&self, time: SystemTime) -> impl Future<Output = io::Result<()>> + Send {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// The most that one read or write moves, in bytes; at first 2 MiB. The buffer is as large as the largest of them.
    ///
    /// # Panics
    /// For 0.
    #[track_caller]
    pub fn set_max_buf_size(&mut self, max_buf_size: usize) {
        assert!(max_buf_size > 0, "`max_buf_size` must be greater than 0");
        self.max_buf_size = max_buf_size;
    }

    /// The most that one read or write moves, in bytes.
    pub fn max_buf_size(&self) -> usize {
        self.max_buf_size
    }

    /// Does not wait for what is under way.
    #[track_caller]
    fn at_once<T, F>(&self, work: F) -> impl Future<Output = io::Result<T>> + Send + use<T, F>
    where
        F: FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let lease = self.lease();
        run_for(Location::caller(), move || work(&lease))
    }

    #[track_caller]
    fn after_writes<T, F>(&self, work: F) -> impl Future<Output = io::Result<T>> + Send
    where
        F: FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        async move {
            let mut inner = self.inner.lock().await;
            poll_fn(|cx| inner.poll_settle(cx)).await;
            let lease = self.lease();
            run_for(location, move || work(&lease)).await
        }
    }

    fn lease(&self) -> Lease {
        Lease::new(&self.std, &self.returned)
    }
}

/// Takes the cursor back over bytes that nobody has read: where there is none they are lost.
fn give_back(mut std: &std::fs::File, inner: &Inner) {
    let ahead = i64::try_from(inner.ahead()).unwrap_or(0);
    if ahead > 0 {
        let _ = std.seek(SeekFrom::Current(-ahead));
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("std", &self.std).finish_non_exhaustive()
    }
}
