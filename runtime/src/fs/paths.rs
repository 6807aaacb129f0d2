//! What needs no open file: one job each, around the function of `std::fs` that has the name.

use super::{keep, run};
use std::fs::{Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

/// The absolute path, with all links followed; as [`std::fs::canonicalize`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if it is not there; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-canonicalize-{}", std::process::id()));
/// assert_eq!(fs::canonicalize("/tmp/..").await?, std::path::Path::new("/"));
/// assert!(fs::canonicalize(&path).await.is_err());
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn canonicalize(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::canonicalize(owned)))
}

/// Copies a file and its permissions, in the place of one that may be there; returns its length in bytes. As
/// [`std::fs::copy`], which has the system copy where it can.
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if `from` is not there, `InvalidInput` if it is no file; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-copy-{}", std::process::id()));
/// let copy = path.with_extension("copy");
/// fs::write(&path, "text").await?;
/// assert_eq!(fs::copy(&path, &copy).await?, 4);
/// assert_eq!(fs::read(&copy).await?, b"text");
/// fs::remove_file(&copy).await?;
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<u64>> {
    let owned = (from.as_ref().to_owned(), to.as_ref().to_owned());
    keep((from, to), run(move || std::fs::copy(owned.0, owned.1)))
}

/// Gives the file `original` the further name `link`; as [`std::fs::hard_link`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `AlreadyExists` if `link` is there, `NotFound` if `original` is not; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-hard_link-{}", std::process::id()));
/// let other = path.with_extension("other");
/// fs::write(&path, "text").await?;
/// fs::hard_link(&path, &other).await?;
/// fs::remove_file(&path).await?;
/// assert_eq!(fs::read(&other).await?, b"text");
/// fs::remove_file(&other).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = (original.as_ref().to_owned(), link.as_ref().to_owned());
    keep((original, link), run(move || std::fs::hard_link(owned.0, owned.1)))
}

/// Length, kind, permissions and times of what the path leads to, links followed; as [`std::fs::metadata`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if it is not there; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-metadata-{}", std::process::id()));
/// fs::write(&path, "text").await?;
/// assert_eq!(fs::metadata(&path).await?.len(), 4);
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::metadata(owned)))
}

/// Where a symbolic link leads; as [`std::fs::read_link`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `InvalidInput` if it is no link, `NotFound` if it is not there; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-read_link-{}", std::process::id()));
/// fs::symlink("/no/matter", &path).await?;
/// assert_eq!(fs::read_link(&path).await?, std::path::Path::new("/no/matter"));
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn read_link(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::read_link(owned)))
}

/// Takes a file's name away, and so the file when it has no other and nobody has it open; as [`std::fs::remove_file`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if it is not there; an error if it is a folder; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-remove-{}", std::process::id()));
/// fs::write(&path, "text").await?;
/// fs::remove_file(&path).await?;
/// assert!(!fs::try_exists(&path).await?);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn remove_file(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::remove_file(owned)))
}

/// Renames a file or folder, in the place of a file that may have the new name; as [`std::fs::rename`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if `from` is not there, `CrossesDevices` if `to` is on another file system; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-rename-{}", std::process::id()));
/// let other = path.with_extension("other");
/// fs::write(&path, "text").await?;
/// fs::rename(&path, &other).await?;
/// assert!(!fs::try_exists(&path).await?);
/// fs::remove_file(&other).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = (from.as_ref().to_owned(), to.as_ref().to_owned());
    keep((from, to), run(move || std::fs::rename(owned.0, owned.1)))
}

/// Sets the permissions of what the path leads to; as [`std::fs::set_permissions`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if it is not there, `PermissionDenied` if it is someone else's; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-permissions-{}", std::process::id()));
/// fs::write(&path, "text").await?;
/// let mut permissions = fs::metadata(&path).await?.permissions();
/// permissions.set_readonly(true);
/// fs::set_permissions(&path, permissions).await?;
/// assert!(fs::metadata(&path).await?.permissions().readonly());
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn set_permissions(
    path: impl AsRef<Path>,
    permissions: Permissions,
) -> impl Future<Output = io::Result<()>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::set_permissions(owned, permissions)))
}

/// Makes a symbolic link to `original`, which need not be there; as [`std::os::unix::fs::symlink`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `AlreadyExists` if `link` is there; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-symlink-{}", std::process::id()));
/// fs::symlink("/no/matter", &path).await?;
/// assert!(fs::symlink_metadata(&path).await?.is_symlink());
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    let owned = (original.as_ref().to_owned(), link.as_ref().to_owned());
    keep((original, link), run(move || std::os::unix::fs::symlink(owned.0, owned.1)))
}

/// As [`metadata`], of the link itself where it is one; as [`std::fs::symlink_metadata`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// `NotFound` if it is not there; otherwise as std's.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-link-metadata-{}", std::process::id()));
/// fs::symlink("/", &path).await?;
/// assert!(fs::symlink_metadata(&path).await?.is_symlink());
/// assert!(fs::metadata(&path).await?.is_dir());
/// fs::remove_file(&path).await
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn symlink_metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || std::fs::symlink_metadata(owned)))
}

/// Does the path lead to anything? As [`std::fs::exists`].
///
/// # Cancel safety
/// See the [module](super#what-holds-for-all-of-it).
///
/// # Errors
/// If that cannot be found out, for want of a permission for instance.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::fs;
/// let path = std::env::temp_dir().join(format!("crossover-doc-exists-{}", std::process::id()));
/// assert!(fs::try_exists("/").await?);
/// assert!(!fs::try_exists(&path).await?);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn try_exists(path: impl AsRef<Path>) -> impl Future<Output = io::Result<bool>> {
    let owned = path.as_ref().to_owned();
    keep(path, run(move || owned.try_exists()))
}
