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
use crate::html::{self, Page};
use crate::load::{Folder, Suite};
use crate::markdown;
use crate::plot::{self, Figure};
use crate::record::{Sample, Verdict};

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
    /// The path of the page that shows everything.
    #[must_use]
    pub fn report_html(&self) -> PathBuf {
        self.dir.join("report.html")
    }

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
/// Writes `verdicts.json`, `metrics.json`, `crossovers.json`, `summary.md`, `plots/` and `report.html` into every run's folder, and one
/// `report.html` over all of them into a suite's. Experiments of a suite that have no sample yet (an interrupted
/// suite) are left out.
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
    let mut runs = Vec::new();
    for folder in &folders {
        runs.push(Run::report(folder, options)?);
    }
    if folders.iter().all(|folder| folder != dir) {
        let pages: Vec<Page<'_>> =
            runs.iter().zip(&folders).map(|(run, folder)| run.page(inside(dir, folder))).collect();
        write(
            &dir.join("report.html"),
            html::render("Crossover: when async, threads or processes win", &pages)?.as_bytes(),
        )?;
    }
    let env = runs.iter().find_map(|run| run.env.clone());
    Ok(Outcome { analyses: runs.into_iter().map(|run| run.analysis).collect(), env, dir: dir.to_owned() })
}

/// The name of a suite's run folder.
fn inside<'a>(suite: &Path, folder: &'a Path) -> &'a str {
    folder.strip_prefix(suite).ok().and_then(Path::to_str).unwrap_or_default()
}

/// One analysed run with its pictures.
struct Run {
    analysis: Analysis,
    figures: Vec<Figure>,
    env: Option<serde_json::Value>,
    samples: Vec<Sample>,
    /// The files of its folder that a page links.
    files: Vec<&'static str>,
}

impl Run {
    /// Analyses a run's folder and writes everything but what spans a suite.
    fn report(dir: &Path, options: &Options) -> Result<Self, ReportError> {
        let folder = Folder::read(dir)?;
        let analysis = analyse(&folder, options);
        let verdicts: Vec<&Verdict> = analysis.cells.iter().filter_map(|c| c.verdict.as_ref()).collect();
        write(&dir.join("verdicts.json"), &json_rows(&verdicts))?;
        write(&dir.join("crossovers.json"), &json_rows(&analysis.crossovers))?;
        write_metrics(dir, &analysis)?;
        let figures = plot::figures(&analysis);
        write_figures(&dir.join("plots"), &figures)?;
        let summary = markdown::render(&analysis, &figures, folder.env.as_ref());
        write(&dir.join("summary.md"), summary.as_bytes())?;
        let files = html::FILES.into_iter().filter(|name| dir.join(name).is_file()).collect();
        let run = Self { analysis, figures, env: folder.env, samples: folder.samples, files };
        let title = format!("Crossover: {}", run.analysis.name);
        write(&dir.join("report.html"), html::render(&title, &[run.page("")])?.as_bytes())?;
        Ok(run)
    }

    /// What the page shows of this run, whose folder is `folder` as seen from the page.
    fn page<'a>(&'a self, folder: &'a str) -> Page<'a> {
        Page {
            analysis: &self.analysis,
            figures: &self.figures,
            env: self.env.as_ref(),
            samples: &self.samples,
            files: &self.files,
            folder,
        }
    }
}

/// Writes `metrics.json`, the verdicts by CPU time and by memory; without any, an earlier one is removed.
fn write_metrics(dir: &Path, analysis: &Analysis) -> Result<(), ReportError> {
    let path = dir.join("metrics.json");
    let cells = analysis.by_metric.iter().flat_map(|metric| &metric.cells);
    let verdicts: Vec<&Verdict> = cells.filter_map(|cell| cell.verdict.as_ref()).collect();
    if !analysis.by_metric.is_empty() {
        return write(&path, &json_rows(&verdicts));
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ReportError::io("remove", &path, e)),
        _ => Ok(()),
    }
}

/// Writes every picture as SVG and PNG. Pictures of an earlier report that are gone now are removed: a report must not
/// stand beside pictures that contradict it.
fn write_figures(dir: &Path, figures: &[Figure]) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|e| ReportError::io("create", dir, e))?;
    let mut current = Vec::new();
    for figure in figures {
        for (extension, bytes) in [("svg", figure.svg("").into_bytes()), ("png", figure.png()?)] {
            let path = dir.join(format!("{}.{extension}", figure.stem));
            write(&path, &bytes)?;
            current.push(path);
        }
    }
    for entry in fs::read_dir(dir).map_err(|e| ReportError::io("list", dir, e))? {
        let path = entry.map_err(|e| ReportError::io("list", dir, e))?.path();
        let ours = path.file_name().and_then(|n| n.to_str()).is_some_and(plot::is_picture);
        if ours && !current.contains(&path) {
            fs::remove_file(&path).map_err(|e| ReportError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

/// A JSON array with one element per line.
fn json_rows<T: Serialize>(rows: &[T]) -> Vec<u8> {
    // Strings, numbers and maps with string keys only: this cannot fail, and a hole would be seen at once.
    let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default()).collect();
    let body = lines.join(",\n");
    if body.is_empty() { b"[]\n".to_vec() } else { format!("[\n{body}\n]\n").into_bytes() }
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
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
