//! `looks.jsonl`: what was looked at after the base plan, what it led to, and why it stopped.
//!
//! A line per look, written after the plan has grown by what the look asked for, and a last line that says why there was
//! no further one. The file is made, empty, before the plan: where there is a plan and no such file, an older version
//! made the run, and its plan is all that was wanted.
//!
//! What makes a run complete: every planned sample, the last line here, and `timelines.jsonl`.
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::log::Log;
use crate::plan::Planned;

/// The file's name in a run folder.
pub(super) const FILE_NAME: &str = "looks.jsonl";

/// The version of the file that this program writes.
const SCHEMA: u32 = 1;

/// One line: a look, or the end of looking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Look(Look),
    Stopped { schema: u32, stopped: String },
}

/// What a look led to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Look {
    pub(super) schema: u32,
    /// Its number, from 1.
    pub(super) look: u32,
    /// The first process round that it added, and how many.
    pub(super) process: u32,
    pub(super) processes: u32,
    /// Cells that are measured again.
    pub(super) undecided: Vec<String>,
    /// Cells that are new.
    pub(super) refined: Vec<String>,
    /// Lines of the plan with what it added.
    pub(super) plan: u64,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Looks {
    log: Log<Line>,
    /// Why there is no further look.
    stopped: Option<String>,
}

impl Looks {
    /// Opens the file of a run folder, or starts one.
    ///
    /// # Errors
    /// When it cannot be read or written, or `plan` is shorter than a look left it.
    pub(super) fn open(folder: &Folder, plan: &[Planned]) -> Result<Self> {
        let (log, lines) = Log::open(&folder.file(FILE_NAME))?;
        let mut stopped = None;
        for line in lines {
            match line {
                Line::Stopped { stopped: reason, .. } => stopped = Some(reason),
                Line::Look(look) if look.plan > plan.len() as u64 => bail!(
                    "{} was cut short: it has {} lines, but look {} of {FILE_NAME} left {}; restore it, or measure anew",
                    folder.file("plan.jsonl").display(),
                    plan.len(),
                    look.look,
                    look.plan
                ),
                Line::Look(_) => {}
            }
        }
        Ok(Self { log, stopped })
    }

    /// Whether a run folder has none: an older version made it.
    pub(super) fn is_missing(folder: &Folder) -> bool {
        !folder.file(FILE_NAME).exists()
    }

    /// Whether there is no further look.
    pub(super) fn have_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Records a look.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn add(&mut self, look: Look) -> Result<()> {
        self.log.append(&[Line::Look(Look { schema: SCHEMA, ..look })])
    }

    /// Records that there is no further look, and why.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn stop(&mut self, reason: &str) -> Result<()> {
        self.stopped = Some(reason.to_owned());
        self.log.append(&[Line::Stopped { schema: SCHEMA, stopped: reason.to_owned() }])
    }
}
