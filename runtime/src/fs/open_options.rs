//! How to open a file: std's `OpenOptions`, opened on the blocking pool.

use super::file::File;
use super::{keep, run_for};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::Location;
use std::path::Path;

/// What a file is opened for, and what becomes of one that is there, or not there; as [`std::fs::OpenOptions`].
///
/// At first, all options are off.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs::{self, OpenOptions};
/// use futures_util::io::AsyncWriteExt;
///
/// let path = std::env::temp_dir().join(format!("crossover-doc-options-{}", std::process::id()));
/// fs::write(&path, "log:").await?;
/// let mut file = OpenOptions::new().append(true).open(&path).await?;
/// file.write_all(b" line").await?;
/// file.flush().await?;
/// assert_eq!(fs::read_to_string(&path).await?, "log: line");
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    inner: std::fs::OpenOptions,
}

impl OpenOptions {
    /// With all options off.
    #[must_use]
    pub fn new() -> OpenOptions {
        OpenOptions { inner: std::fs::OpenOptions::new() }
    }

    /// To read from it.
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.inner.read(read);
        self
    }

    /// To write to it.
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.inner.write(write);
        self
    }

    /// To write to its end, wherever that is at the moment of the write.
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.inner.append(append);
        self
    }

    /// Makes it empty at first.
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.inner.truncate(truncate);
        self
    }

    /// Makes it if it is not there.
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.inner.create(create);
        self
    }

    /// Makes it, and fails if it is there.
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.inner.create_new(create_new);
        self
    }

    /// The permissions of a file that is made, before the process's umask; at first `0o666`.
    pub fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.inner.mode(mode);
        self
    }

    /// More flags for the system's `open`, such as `O_DIRECT`; those of the access mode are ignored.
    pub fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.inner.custom_flags(flags);
        self
    }

    /// Opens the file.
    ///
    /// # Cancel safety
    /// A file that nobody waits for any more is closed again, but stays made, or made empty.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `PermissionDenied` and others as [`std::fs::OpenOptions::open`], `InvalidInput` for
    /// options that contradict each other.
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn open<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<File>> + use<P> {
        let owned = path.as_ref().to_owned();
        let location = Location::caller();
        let options = self.inner.clone();
        keep(path, async move { run_for(location, move || options.open(owned)).await.map(File::opened) })
    }
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(inner: std::fs::OpenOptions) -> OpenOptions {
        OpenOptions { inner }
    }
}
