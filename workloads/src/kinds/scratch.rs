//! Folders for files of a workload, which go with it.
//!
//! A folder's owner holds a lock on it. Whoever makes or drops one looks for others that nobody holds any more, such as those of
//! processes that were killed, and removes them: locks end with their process, however it ends, and unlike process
//! numbers mean the same in every container that shares the folder for temporary files.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};

/// What the names of all folders begin with.
const PREFIX: &str = "crossover-scratch-";
/// Other folders of the same name that may be in the way: those of processes with this one's number.
const TRIES: u32 = 1000;

/// A folder of this workload's own. Dropping it removes it and all that is in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Held while the folder is in use.
    _lock: File,
}

impl Scratch {
    /// A new, empty folder below the system's folder for temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new() -> io::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> io::Result<Self> {
        // Only names come from it: Relaxed is enough and there is no pair.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        sweep(parent);
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                // Somebody who sweeps may have come between the two.
                Ok(()) => {
                    if let Some(lock) = hold(&path) {
                        return Ok(Self { path, _lock: lock });
                    }
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept later. The lock is held meanwhile, so that nobody sweeps beside us.
        let _ = fs::remove_dir_all(&self.path);
        if let Some(parent) = self.path.parent() {
            sweep(parent);
        }
    }
}

/// Takes the lock of a folder, if it is there and nobody has it.
fn hold(path: &Path) -> Option<File> {
    let lock = File::open(path).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    // It is the folder of this name still, and not one that was removed before we had the lock.
    let (ours, named) = (lock.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    (ours.ino() == named.ino() && ours.dev() == named.dev()).then_some(lock)
}

/// Removes the folders that nobody holds. Errors mean that somebody else does so, or owns them.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(_lock) = hold(&entry.path())
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_with_their_owners_and_others_stay() {
        let outer = Scratch::new().unwrap();
        let parent = outer.path().join("below");
        fs::create_dir(&parent).unwrap();
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let (left, other) = (parent.join(format!("{PREFIX}1-0")), parent.join("other"));
        fs::create_dir_all(left.join("deep")).unwrap();
        fs::create_dir(&other).unwrap();
        let first = Scratch::below(&parent).unwrap();
        assert!(!left.exists(), "nobody holds it");
        fs::write(first.path().join("file"), "text").unwrap();
        let second = Scratch::below(&parent).unwrap();
        assert!(first.path().join("file").exists(), "it is held");
        assert_ne!(first.path(), second.path());
        drop((first, second));
        assert_eq!(names(), ["other"]);
    }
}
