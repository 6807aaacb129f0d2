//! A run's folder: made once, never overwritten, used by one process at a time.
//!
//! The lock is a `flock` on the folder itself, so it leaves no file behind, ends with the process that holds
//! it however that dies, and helpers do not inherit it (the descriptor is close-on-exec). Files that must be whole or
//! absent are written under another name, synced and renamed.
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// A locked run folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The folder, open: carries the lock.
    lock: File,
}

impl Folder {
    /// Makes the folder `path`, or takes it when it is there and empty.
    ///
    /// # Errors
    /// When it is not empty or cannot be made; nothing in it is touched.
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        let folder = Self::open(path)?;
        let mut entries =
            fs::read_dir(path).with_context(|| format!("cannot read the folder {}", path.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; a run needs a new or an empty folder (--out)", path.display());
        }
        Ok(folder)
    }

    /// Opens and locks a folder that is there.
    ///
    /// # Errors
    /// When it cannot be opened, or another process holds its lock.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = || format!("cannot open the folder {}", path.display());
        let lock = File::open(path).with_context(fail)?;
        if !lock.metadata().with_context(fail)?.is_dir() {
            bail!("{} is not a folder", path.display());
        }
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                bail!("{} is in use: another crossover is measuring in it", path.display())
            }
            Err(error) => {
                Err(io::Error::from(error)).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file `name`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the file `name` so that it is whole or as before, whenever this process dies.
    ///
    /// # Errors
    /// When the disk is full or the folder cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(name);
        let draft = self.file(&format!(".{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            self.lock.sync_all()
        };
        write().map_err(|error| {
            // Best effort: what matters is the error that led here.
            let _ = fs::remove_file(&draft);
            anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
        })
    }

    /// Reads the file `name`; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read as text.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_or_taken_empty_and_never_overwritten() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        let folder = Folder::create(&path).unwrap();
        folder.write("config.toml", b"x").unwrap();
        folder.write("config.toml", b"y").unwrap();
        assert_eq!(folder.read("config.toml").unwrap().as_deref(), Some("y"));
        assert_eq!(folder.read("plan.jsonl").unwrap(), None);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no draft is left behind");
        drop(folder);
        let error = format!("{:#}", Folder::create(&path).unwrap_err());
        assert!(error.contains("not empty"), "{error}");
        let error = format!("{:#}", Folder::create(&path.join("config.toml")).unwrap_err());
        assert!(error.contains("config.toml"), "{error}");
    }

    #[test]
    fn a_folder_in_use_is_refused_until_its_holder_lets_go() {
        let base = tempfile::tempdir().unwrap();
        let first = Folder::open(base.path()).unwrap();
        let error = format!("{:#}", Folder::open(base.path()).unwrap_err());
        assert!(error.contains("in use"), "{error}");
        drop(first);
        Folder::open(base.path()).unwrap();
    }
}
