//! From a folder to its report: reads, analyses and writes.
//!
//! Every file is written whole or not at all (a temporary file beside it, then a rename), so a full disk or a kill
//! leaves the previous report standing. No file holds a time or a path, so that the same folder gives the same bytes.
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Options;
use crate::analysis::{analyse, model::Analysis};
use crate::error::ReportError;
use crate::load::{Folder, Suite};
use crate::record::Verdict;

/// What a report found, and where it stands.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One analysis per experiment, in the order of the suite.
    pub analyses: Vec<Analysis>,
    /// `env.json` of the first experiment that has one.
    pub env: Option<serde_json::Value>,
    /// The folder that was reported.
    pub dir: PathBuf,
}

impl Outcome {
    /// The program's exit code: 3 where a checksum differs, else 4 where an experiment is contaminated beyond
    /// use, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.analyses.iter().any(|a| !a.trust.mismatches.is_empty()) {
            3
        } else if self.analyses.iter().any(|a| a.trust.contaminated) {
            4
        } else {
            0
        }
    }
}

/// Analyses a run's folder, or a suite's folder with several runs, and writes the report into it.
///
/// Writes `verdicts.json` and `crossovers.json` into every run's folder. Experiments of a suite that have no sample
/// yet (an interrupted suite) are left out.
///
/// # Errors
/// A file is missing, broken or cannot be written; see [`ReportError`]. Files written before the error stay.
pub fn report(dir: &Path, options: &Options) -> Result<Outcome, ReportError> {
    let folders = match Suite::read(dir)? {
        None => vec![dir.to_owned()],
        Some(suite) => {
            let all: Vec<PathBuf> = suite.experiments.iter().map(|name| dir.join(name)).collect();
            let begun: Vec<PathBuf> =
                all.iter().filter(|d| d.join("samples.jsonl").exists()).cloned().collect();
            // With none begun, the first is read for the error that says what is missing.
            if begun.is_empty() { all.into_iter().take(1).collect() } else { begun }
        }
    };
    let mut outcome = Outcome { analyses: Vec::new(), env: None, dir: dir.to_owned() };
    for run in &folders {
        let folder = Folder::read(run)?;
        let analysis = analyse(&folder, options);
        let verdicts: Vec<&Verdict> = analysis.cells.iter().filter_map(|c| c.verdict.as_ref()).collect();
        write(&run.join("verdicts.json"), &json_rows(&verdicts))?;
        write(&run.join("crossovers.json"), &json_rows(&analysis.crossovers))?;
        outcome.env = outcome.env.or(folder.env);
        outcome.analyses.push(analysis);
    }
    Ok(outcome)
}

/// A JSON array with one element per line.
fn json_rows<T: Serialize>(rows: &[T]) -> Vec<u8> {
    // Strings, numbers and maps with string keys only: this cannot fail, and a hole would be seen at once.
    let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default()).collect();
    let body = lines.join(",\n");
    if body.is_empty() { b"[]\n".to_vec() } else { format!("[\n{body}\n]\n").into_bytes() }
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // The error that matters is the first one; the leftover may not even exist.
        let _ = fs::remove_file(&temporary);
        ReportError::io("write", path, e)
    })
}
