//! Files of JSON lines that are only ever appended to, and survive being cut short.
//!
//! [`Lines`] appends: text is written and synced, and a write that fails (full disk) leaves the whole lines that were
//! written and cuts off the torn one. [`Log`] is such a file of one type of record: opening it reads what it holds and
//! cuts off a torn end, the mark of a kill. `samples.jsonl` has rules of its own, see [`crate::journal`].
//!
//! A file has one writer: the holder of the run folder's lock ([`crate::run::folder`]).
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol;

/// An open file of lines.
#[derive(Debug)]
pub struct Lines {
    file: File,
    path: PathBuf,
    /// Bytes of whole lines.
    len: u64,
}

impl Lines {
    /// Opens the file `path`, or makes it, keeps its first `whole` bytes, and is ready to append to them.
    ///
    /// # Errors
    /// When the file cannot be opened, shortened or written.
    pub fn open(path: &Path, whole: u64) -> Result<Self> {
        let fail = || format!("cannot open {}", path.display());
        let file = Self::create(path).with_context(fail)?;
        let mut lines = Self { file, path: path.to_owned(), len: whole };
        let size = lines.file.metadata().with_context(fail)?.len();
        if size > whole {
            lines.cut().with_context(|| format!("cannot drop the torn end of {}", path.display()))?;
        }
        lines.file.seek(SeekFrom::Start(whole)).with_context(fail)?;
        if whole > 0 && !lines.ends_with_newline().with_context(fail)? {
            lines.append(b"\n")?;
        }
        Ok(lines)
    }

    /// Opens the file `path` for reading and writing, and makes it where there is none.
    pub(crate) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    /// Appends `text`, which ends with a newline, and waits until the disk has it.
    ///
    /// # Errors
    /// When it cannot be written; the whole lines that were written stay.
    pub fn append(&mut self, text: &[u8]) -> Result<()> {
        let mut written = 0;
        let outcome = loop {
            match self.file.write(&text[written..]) {
                _ if written == text.len() => break self.file.sync_data(),
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let whole = text[..written].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        self.len += whole as u64;
        if let Err(error) = outcome {
            // The first error is the one to tell; a tail that cannot be cut off now is cut off on resume.
            let _ = self.cut();
            return Err(error).with_context(|| {
                format!("cannot write {}: the lines before stay, and `resume` goes on", self.path.display())
            });
        }
        Ok(())
    }

    /// Shortens the file to its whole lines.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.sync_data()
    }

    /// A file may end with a whole line that lacks its newline.
    fn ends_with_newline(&self) -> io::Result<bool> {
        let mut last = [0];
        self.file.read_exact_at(&mut last, self.len.saturating_sub(1))?;
        Ok(last == *b"\n")
    }

    #[cfg(test)]
    pub(crate) fn on(file: File, path: PathBuf, len: u64) -> Self {
        Self { file, path, len }
    }
}

/// An open file of records of one type, a line each.
#[derive(Debug)]
pub struct Log<T> {
    lines: Lines,
    records: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Log<T> {
    /// Opens the file `path`, or starts one, and gives the records that it holds. A torn end is cut off.
    ///
    /// # Errors
    /// When the file cannot be read or written, or when a line before its end is broken.
    pub fn open(path: &Path) -> Result<(Self, Vec<T>)> {
        let (records, whole) = Self::read(path)?;
        Ok((Self { lines: Lines::open(path, whole)?, records: PhantomData }, records))
    }

    /// The records of the file `path`, and the bytes of its whole lines; nothing where there is none.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn read(path: &Path) -> Result<(Vec<T>, u64)> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let (mut records, mut whole) = (Vec::new(), 0);
        for (line, number) in bytes.split_inclusive(|&byte| byte == b'\n').zip(1..) {
            if !line.ends_with(b"\n") {
                break;
            }
            match serde_json::from_slice(line) {
                Ok(record) => records.push(record),
                // Blocks that never reached the disk are NULs after a crash of the machine.
                Err(_) if bytes[whole..].iter().all(|&byte| byte == 0 || byte == b'\n') => break,
                Err(error) => {
                    return Err(error).with_context(|| format!("{}:{number}: broken line", path.display()));
                }
            }
            whole += line.len();
        }
        Ok((records, whole as u64))
    }

    /// Appends records and waits until the disk has them.
    ///
    /// # Errors
    /// When they cannot be written; the whole lines that were written stay.
    pub fn append(&mut self, records: &[T]) -> Result<()> {
        let mut text = Vec::new();
        for record in records {
            text.extend(protocol::line_of(record).context("cannot tell a record in JSON")?);
        }
        if text.is_empty() { Ok(()) } else { self.lines.append(&text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_after_a_torn_end_and_names_a_broken_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let (mut log, before) = Log::<u32>::open(&path).unwrap();
        assert!(before.is_empty());
        log.append(&[1, 22]).unwrap();
        log.append(&[]).unwrap();
        for torn in [&b"3"[..], b"[", b"\0\0\0", b"\0\0\n"] {
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, [&whole, torn].concat()).unwrap();
            let (mut log, records) = Log::<u32>::open(&path).unwrap();
            assert_eq!(records[..2], [1, 22], "{torn:?}");
            assert_eq!(std::fs::read(&path).unwrap(), whole, "{torn:?}");
            log.append(&[4]).unwrap();
        }
        assert_eq!(Log::<u32>::read(&path).unwrap().0, [1, 22, 4, 4, 4, 4]);
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        let error = format!("{:#}", Log::<u32>::open(&path).unwrap_err());
        assert!(error.contains("x.jsonl:2: "), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"1\nx\n3\n", "nothing is changed");
    }
}
