//! `warmups.jsonl`: how each strategy started and became steady, in each cell of each process round.
//!
//! A line per (process round, cell, strategy). The warm-ups of a block are written before its samples, so that a kill
//! between the two costs samples, which `resume` measures again, and no warm-up. What `resume` warms up again in a
//! process round that was begun before is not a cold start of the plan's own and gets no second line.
use std::collections::HashSet;

use anyhow::Result;
use crossover_reports::record::Warmup;

use super::folder::Folder;
use crate::log::Log;

/// The file's name in a run folder.
const FILE_NAME: &str = "warmups.jsonl";

/// The open file, and what waits to be written to it.
#[derive(Debug)]
pub(super) struct Warmups {
    log: Log<Warmup>,
    /// What the file holds, or will once the block has ended.
    known: HashSet<(u32, String, String)>,
    unwritten: Vec<Warmup>,
}

impl Warmups {
    /// Opens the file of a run folder, or starts one.
    ///
    /// # Errors
    /// When it cannot be read or written, or is broken before its end.
    pub(super) fn open(folder: &Folder) -> Result<Self> {
        let (log, warmups) = Log::open(&folder.file(FILE_NAME))?;
        let known = warmups.iter().map(key).collect();
        Ok(Self { log, known, unwritten: Vec::new() })
    }

    /// Takes note of a warm-up; one that is known is left out.
    pub(super) fn note(&mut self, warmup: Warmup) {
        if self.known.insert(key(&warmup)) {
            self.unwritten.push(warmup);
        }
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// When it cannot be written; the lines before stay.
    pub(super) fn write(&mut self) -> Result<()> {
        self.log.append(&std::mem::take(&mut self.unwritten))
    }
}

fn key(warmup: &Warmup) -> (u32, String, String) {
    (warmup.process, warmup.cell.clone(), warmup.strategy.clone())
}
