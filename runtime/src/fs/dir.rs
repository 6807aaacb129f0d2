//! Folders: making, listing, removing.
//!
//! A listing is read by jobs, up to [`AT_ONCE`] entries each; the job has the listing meanwhile.

use super::{keep, no_result, run, start};
use crate::scheduler::budget::poll_proceed;
use crate::task::JoinHandle;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Entries that one job reads.
const AT_ONCE: usize = 32;

/// Makes a folder, in one that is there; as [`std::fs::create_dir`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `AlreadyExists` if it is there, `NotFound` if the one around it is not; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-folder-{}", std::process::id()));
/// fs::create_dir(&path).await?;
/// assert!(fs::metadata(&path).await?.is_dir());
/// fs::remove_dir(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn create_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::create_dir(owned)))
}

/// Makes a folder, and those around it that are missing; as [`std::fs::create_dir_all`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// If one of them is there but is no folder; otherwise as std's. Some may have been made then.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-folders-{}", std::process::id()));
/// fs::create_dir_all(path.join("inner/most")).await?;
/// fs::create_dir_all(path.join("inner/most")).await?;
/// fs::remove_dir_all(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn create_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::create_dir_all(owned)))
}

/// Removes an empty folder; as [`std::fs::remove_dir`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `DirectoryNotEmpty`, `NotFound`, `NotADirectory`; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-remove-folder-{}", std::process::id()));
/// fs::create_dir(&path).await?;
/// fs::remove_dir(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn remove_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::remove_dir(owned)))
}

/// Removes a folder with all that is in it, links not followed; as [`std::fs::remove_dir_all`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// As std's. A part may have been removed then.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-remove-folders-{}", std::process::id()));
/// fs::create_dir_all(path.join("inner/most")).await?;
/// fs::remove_dir_all(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn remove_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::remove_dir_all(owned)))
}

/// Opens a folder to list it, in no special order and without `.` and `..`; as [`std::fs::read_dir`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound`, `NotADirectory`; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-list-{}", std::process::id()));
/// fs::create_dir_all(path.join("inner")).await?;
/// let mut entries = fs::read_dir(&path).await?;
/// while let Some(entry) = entries.next_entry().await? {
///     assert_eq!(entry.file_name(), "inner");
///     assert!(entry.file_type().await?.is_dir());
/// }
/// fs::remove_dir_all(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<ReadDir>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || ReadDir::open(&owned)))
}

/// How to make a folder; as [`std::fs::DirBuilder`].
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs::{self, DirBuilder};
/// let path = std::env::temp_dir().join(format!("crossover-doc-dir-builder-{}", std::process::id()));
/// DirBuilder::new().recursive(true).mode(0o700).create(path.join("inner")).await?;
/// fs::remove_dir_all(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Default)]
pub struct DirBuilder {
    recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// One folder at a time, with the usual permissions.
    pub fn new() -> DirBuilder {
        DirBuilder::default()
    }

    /// Makes those around it that are missing, and does not mind if it is there.
    pub fn recursive(&mut self, recursive: bool) -> &mut DirBuilder {
        self.recursive = recursive;
        self
    }

    /// The permissions of what is made, before the process's umask; at first `0o777`.
    pub fn mode(&mut self, mode: u32) -> &mut DirBuilder {
        self.mode = Some(mode);
        self
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// As [`create_dir`] and [`create_dir_all`]. For cancel safety see the [module](super#what-holds-for-all-of-it).
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn create<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<()>> + use<P> {
        let owned = path.as_ref().to_owned();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(self.recursive);
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        keep(path, run(move || builder.create(owned)))
    }
}

/// The entries of a folder; made by [`read_dir`].
#[derive(Debug)]
#[must_use = "it lists nothing unless asked for entries"]
pub struct ReadDir {
    state: Listing,
}

#[derive(Debug)]
enum Listing {
    Idle(Chunk),
    Busy(JoinHandle<Chunk>),
}

/// The next entries, and where more come from: `None` after the last one.
#[derive(Debug)]
struct Chunk {
    entries: VecDeque<io::Result<DirEntry>>,
    rest: Option<std::fs::ReadDir>,
}

impl Chunk {
    /// Reads more, up to the first error. Blocks.
    fn fill(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        while self.entries.len() < AT_ONCE {
            let Some(result) = rest.next() else {
                self.rest = None;
                return;
            };
            let failed = result.is_err();
            self.entries.push_back(
                result.map(|std| DirEntry { file_type: std.file_type().ok(), std: Arc::new(std) }),
            );
            if failed {
                return;
            }
        }
    }
}

impl ReadDir {
    /// Blocks.
    fn open(path: &Path) -> io::Result<ReadDir> {
        let mut chunk =
            Chunk { entries: VecDeque::with_capacity(AT_ONCE), rest: Some(std::fs::read_dir(path)?) };
        chunk.fill();
        Ok(ReadDir { state: Listing::Idle(chunk) })
    }

    /// The next entry; `None` after the last one.
    ///
    /// # Cancel safety
    /// Given up, it loses no entry.
    ///
    /// # Errors
    /// Those of the system; the listing may go on after it. After one that says that the runtime is shut down, it is at
    /// its end.
    ///
    /// # Panics
    /// When polled outside of a runtime, unless the entry is there already.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// The poll form of [`next_entry`](ReadDir::next_entry). Only the latest caller's task is woken.
    ///
    /// # Errors
    /// As `next_entry`, also for panics.
    #[track_caller]
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            match &mut self.state {
                Listing::Busy(job) => {
                    let result = ready!(Pin::new(job).poll(cx));
                    let (chunk, failed) = match result {
                        Ok(chunk) => (chunk, None),
                        Err(error) => {
                            (Chunk { entries: VecDeque::new(), rest: None }, Some(no_result(error)))
                        }
                    };
                    self.state = Listing::Idle(chunk);
                    if let Some(error) = failed {
                        return Poll::Ready(Err(error));
                    }
                }
                Listing::Idle(chunk) if !chunk.entries.is_empty() => {
                    let charge = ready!(poll_proceed(cx));
                    charge.made_progress();
                    return Poll::Ready(chunk.entries.pop_front().transpose());
                }
                Listing::Idle(Chunk { rest: None, .. }) => return Poll::Ready(Ok(None)),
                Listing::Idle(chunk) => {
                    let entries = std::mem::take(&mut chunk.entries);
                    let mut next = Chunk { entries, rest: chunk.rest.take() };
                    let job = start(Location::caller(), move || {
                        next.fill();
                        next
                    });
                    self.state = Listing::Busy(job);
                }
            }
        }
    }
}

/// One entry of a folder.
///
/// # Example
/// See [`read_dir`].
#[derive(Debug)]
pub struct DirEntry {
    /// Where the listing says it.
    file_type: Option<FileType>,
    std: Arc<std::fs::DirEntry>,
}

impl DirEntry {
    /// The folder's path as given to [`read_dir`], with the entry's name.
    pub fn path(&self) -> PathBuf {
        self.std.path()
    }

    /// The entry's name.
    pub fn file_name(&self) -> OsString {
        self.std.file_name()
    }

    /// Its inode's number.
    pub fn ino(&self) -> u64 {
        self.std.ino()
    }

    /// As [`symlink_metadata`](super::symlink_metadata): links are not followed.
    ///
    /// # Errors
    /// `NotFound` if it has been removed; otherwise as [`std::fs::DirEntry::metadata`]. For cancel safety see the
    /// [module](super#what-holds-for-all-of-it).
    ///
    /// # Panics
    /// When polled outside of a runtime.
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + Send + use<> {
        let std = Arc::clone(&self.std);
        run(move || std.metadata())
    }

    /// File, folder, or what else. Most file systems say so in the listing: then it is here already, and needs no runtime.
    ///
    /// # Errors
    /// As [`metadata`](DirEntry::metadata), also for cancel safety and panics.
    #[track_caller]
    pub fn file_type(&self) -> impl Future<Output = io::Result<FileType>> + Send + use<> {
        let known = self.file_type;
        let std = Arc::clone(&self.std);
        let ask = run(move || std.file_type());
        async move {
            match known {
                Some(file_type) => Ok(file_type),
                None => ask.await,
            }
        }
    }
}
