//! What can go wrong between a run's folder and its report, said so that the reader knows where to look.
//!
//! Every error names the file, and the line or key where there is one. All of them are exit code 2.
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a report could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was tried: `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason. It stands in the message and is therefore no `source`: a chain of causes would show it
        /// twice.
        reason: std::io::Error,
    },
    /// A line of `samples.jsonl` is not a sample.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line of `samples.jsonl` was written by a later version.
    #[error("{}:{line}: schema {found} is newer than this program reads ({newest}); use a newer crossover", path.display())]
    LaterSchema {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The schema that the line says it has.
        found: u64,
        /// The newest schema that this program reads.
        newest: u32,
    },
    /// `config.toml` or `suite.json` does not say what it must.
    #[error("{}{}: {reason}", path.display(), line.map_or(String::new(), |n| format!(":{n}")))]
    Config {
        /// The file.
        path: PathBuf,
        /// Line number, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong, with the key.
        reason: String,
    },
    /// A picture or the HTML could not be drawn.
    #[error("cannot draw {what}: {reason}")]
    Draw {
        /// Which picture.
        what: String,
        /// Why.
        reason: String,
    },
}

impl ReportError {
    pub(crate) fn io(action: &'static str, path: &Path, reason: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), reason }
    }

    /// The program's exit code for this error: always 2, bad input.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        2
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_reason_is_told_once_alone_and_in_a_chain() {
        let error = ReportError::io("read", Path::new("runs/x"), std::io::Error::other("out of luck"));
        assert_eq!(error.to_string(), "cannot read runs/x: out of luck");
        assert!(error.source().is_none(), "a chain would repeat it");
    }
}
