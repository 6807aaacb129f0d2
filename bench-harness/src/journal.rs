//! `samples.jsonl`: every sample of a run, one line each, only ever appended to.
//!
//! The journal is what a run survives by. A block's samples are written together and synced before the next
//! block starts, so `kill -9` costs at most the block in progress. What holds of a journal that a crash cut
//! short is for [`crossover_reports::load::Journal`] to say; opening it here cuts off the rest. A write that fails
//! (full disk) leaves the whole lines that were written and cuts off the torn one.
//!
//! The journal has one writer: the holder of the run folder's lock ([`crate::run::folder`]).
use std::path::Path;

use anyhow::{Context, Result};
use crossover_reports::load;
use crossover_reports::record::Sample;

use crate::log::Lines;
use crate::protocol;

/// The file's name in a run folder.
pub const FILE_NAME: &str = "samples.jsonl";

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    lines: Lines,
}

impl Journal {
    /// Opens the journal of the run folder `dir`, or starts one, and gives the samples that it holds.
    ///
    /// A torn last line is cut off.
    ///
    /// # Errors
    /// When the file cannot be read or written, or when a line of it is broken other than by a torn end.
    pub fn open(dir: &Path) -> Result<(Self, Vec<Sample>)> {
        let path = dir.join(FILE_NAME);
        Lines::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let read = load::Journal::read(&path)?;
        Ok((Self { lines: Lines::open(&path, read.valid_len as u64)? }, read.samples))
    }

    /// Appends the samples of a block and waits until the disk has them.
    ///
    /// # Errors
    /// When they cannot be written; the whole lines that were written stay.
    pub fn append(&mut self, samples: &[Sample]) -> Result<()> {
        let mut text = Vec::new();
        for sample in samples {
            text.extend(protocol::line_of(sample).context("cannot tell a sample in JSON")?);
        }
        self.lines.append(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    fn sample(order: u64) -> Sample {
        let line = format!(
            r#"{{"schema":1,"run":"r-1","cell":"x=1","params":{{"x":1}},"strategy":"s","process":0,"round":0,
            "order":{order},"seed":1,"batch":1,"tasks":1,"wall_ns":5,"ok":true}}"#
        );
        serde_json::from_str(&line).unwrap()
    }

    fn orders(samples: &[Sample]) -> Vec<u64> {
        samples.iter().map(|sample| sample.order).collect()
    }

    /// A journal of two samples in a new folder.
    fn two() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, before) = Journal::open(dir.path()).unwrap();
        assert!(before.is_empty());
        journal.append(&[sample(0), sample(1)]).unwrap();
        dir
    }

    fn read(dir: &Path) -> Vec<Sample> {
        load::Journal::read(&dir.join(FILE_NAME)).unwrap().samples
    }

    fn add(dir: &Path, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).open(dir.join(FILE_NAME)).unwrap();
        file.write_all(bytes).unwrap();
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_next_sample_stands_in_its_place() {
        let whole = serde_json::to_vec(&sample(2)).unwrap();
        let nuls = [0_u8; 700];
        for torn in [&whole[..40], b"{", &nuls, b"\0\0\n"] {
            let dir = two();
            add(dir.path(), torn);
            let (mut journal, samples) = Journal::open(dir.path()).unwrap();
            assert_eq!(orders(&samples), [0, 1]);
            journal.append(&[sample(2)]).unwrap();
            assert_eq!(orders(&read(dir.path())), [0, 1, 2]);
            let text = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
            assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), 3);
        }
    }

    #[test]
    fn a_whole_last_line_without_its_newline_is_kept() {
        let dir = two();
        add(dir.path(), &serde_json::to_vec(&sample(2)).unwrap());
        let (mut journal, samples) = Journal::open(dir.path()).unwrap();
        assert_eq!(orders(&samples), [0, 1, 2]);
        journal.append(&[sample(3)]).unwrap();
        assert_eq!(orders(&read(dir.path())), [0, 1, 2, 3]);
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_with_its_number_and_changes_nothing() {
        let dir = two();
        add(dir.path(), b"{\"schema\":1\n");
        add(dir.path(), &protocol::line_of(&sample(3)).unwrap());
        let before = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
        let error = format!("{:#}", Journal::open(dir.path()).unwrap_err());
        assert!(error.contains("samples.jsonl:3: "), "{error}");
        assert_eq!(std::fs::read(dir.path().join(FILE_NAME)).unwrap(), before);
    }

    #[test]
    fn a_full_disk_keeps_the_whole_lines_and_names_the_file() {
        let dir = two();
        let path = dir.path().join(FILE_NAME);
        let len = std::fs::metadata(&path).unwrap().len();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut journal = Journal { lines: Lines::on(full, path, len) };
        let error = format!("{:#}", journal.append(&[sample(2)]).unwrap_err());
        assert!(error.contains("samples.jsonl") && error.contains("No space left"), "{error}");
        assert_eq!(orders(&read(dir.path())), [0, 1]);
    }
}
