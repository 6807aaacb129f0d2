//! The report of `crossover claims`: what others say, put to the test.
//!
//! `record` (what `claims.json` holds) → [`judge`](judge()) (intervals and verdicts) → `words` → [`terminal`], `markdown`, `html`. Every
//! output is a pure function of the record: no clock, no path, no random ids. [`write()`] makes `claims.json`, `claims.md` and
//! `claims.html`; [`read`] gives the record back, so that the same file makes the same three, byte for byte.
mod html;
mod judge;
mod markdown;
mod record;
mod terminal;
mod words;

use std::fs;
use std::path::Path;

use serde::Serialize;

pub use judge::{Interval, Judgement, Outcome, interval, judge, word};
pub use record::{
    Check, Column, Figure, Group, Kind, Must, Peer, Record, Row, SCHEMA, Test, Unit, Verdict, Whose,
};
pub use terminal::render as terminal;

use crate::error::ReportError;

/// The file that holds everything.
pub const FILE: &str = "claims.json";

/// How many rows came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Rows.
    pub rows: usize,
    /// Reproduced.
    pub reproduced: usize,
    /// Refuted.
    pub refuted: usize,
    /// Not decided.
    pub not_decided: usize,
    /// Came out otherwise than was expected.
    pub surprises: usize,
}

impl Tally {
    /// Counts the rows.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let judged: Vec<Judgement> = rows.iter().map(judge).collect();
        let count = |verdict| judged.iter().filter(|j| j.verdict == verdict).count();
        Self {
            rows: rows.len(),
            reproduced: count(Verdict::Reproduced),
            refuted: count(Verdict::Refuted),
            not_decided: count(Verdict::NotDecided),
            surprises: judged.iter().filter(|j| !j.surprises.is_empty()).count(),
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { rows, reproduced, refuted, not_decided, surprises } = self;
        let claims = if *rows == 1 { "claim" } else { "claims" };
        let mut out =
            format!("{rows} {claims}: {reproduced} reproduced, {refuted} refuted, {not_decided} not decided");
        if *surprises > 0 {
            out += &format!("; {surprises} came out otherwise than expected");
        }
        out
    }
}

/// Reads `claims.json` in `dir`.
///
/// # Errors
/// It is missing, broken, or of a later schema.
pub fn read(dir: &Path) -> Result<Record, ReportError> {
    let path = dir.join(FILE);
    let text = fs::read_to_string(&path).map_err(|reason| ReportError::Io {
        action: "read",
        path: path.clone(),
        reason,
    })?;
    let config =
        |line: Option<usize>, reason: String| ReportError::Config { path: path.clone(), line, reason };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| config(Some(e.line()), e.to_string()))?;
    let found = value.get("schema").and_then(serde_json::Value::as_u64);
    match found {
        Some(schema) if schema > u64::from(SCHEMA) => {
            return Err(config(
                None,
                format!("schema {schema} is newer than this program reads ({SCHEMA}); use a newer crossover"),
            ));
        }
        Some(_) => {}
        None => {
            return Err(config(
                None,
                "`schema` is missing: this is no file of `crossover claims`".to_owned(),
            ));
        }
    }
    // Again from the text: an error then has its line.
    serde_json::from_str(&text).map_err(|e| config(Some(e.line()), e.to_string()))
}

/// Writes `claims.json`, `claims.md` and `claims.html` into `dir`.
///
/// # Errors
/// A file cannot be written, or the page not be filled.
pub fn write(dir: &Path, record: &Record) -> Result<(), ReportError> {
    let html = html::render(record)?;
    crate::output::write(&dir.join(FILE), json(record).as_bytes())?;
    crate::output::write(&dir.join("claims.md"), markdown::render(record).as_bytes())?;
    crate::output::write(&dir.join("claims.html"), html.as_bytes())
}

/// The record with what follows from it, which [`read`] does not look at.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    record: Shell<'a>,
    tally: Tally,
    rows: Vec<Judged<'a>>,
}

/// The record without its rows.
#[derive(Serialize)]
struct Shell<'a> {
    schema: u32,
    version: &'a str,
    seed: u64,
    full: bool,
    seconds: f64,
    env: &'a serde_json::Value,
}

#[derive(Serialize)]
struct Judged<'a> {
    #[serde(flatten)]
    row: &'a Row,
    judgement: Judgement,
    intervals: Intervals,
}

#[derive(Serialize)]
struct Intervals {
    ours: Vec<(String, Interval)>,
    cpython: Vec<(String, Interval)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peer: Vec<(String, Interval)>,
}

fn json(record: &Record) -> String {
    let Record { schema, version, seed, full, seconds, env, rows } = record;
    let judged = rows.iter().map(|row| {
        let all = |column: &Column| {
            row.figures.iter().filter_map(|f| Some((f.name.clone(), interval(column, &f.name)?))).collect()
        };
        Judged {
            row,
            judgement: judge(row),
            intervals: Intervals {
                ours: all(&row.ours),
                cpython: all(&row.cpython),
                peer: row.peer.as_ref().map(|peer| all(&peer.column)).unwrap_or_default(),
            },
        }
    });
    let whole = Whole {
        record: Shell { schema: *schema, version, seed: *seed, full: *full, seconds: *seconds, env },
        tally: Tally::of(rows),
        rows: judged.collect(),
    };
    // Strings, finite numbers and maps with string keys only: this cannot fail, and a hole would be seen at once.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
