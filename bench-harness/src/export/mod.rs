//! `crossover export`: a run's folder as a table, as text, or as a trace for a viewer.
//!
//! What comes out is a function of the folder alone: no time, no path, nothing of this machine.
mod csv;
mod order;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use crossover_reports::load::{Folder, Suite};
use crossover_reports::{analysis, markdown};

use crate::text;
use crate::trace::chrome::Chrome;

/// What a run is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Every sample as a row, every parameter a column (RFC 4180)
    Csv,
    /// The findings and the tables of winners as Markdown
    Md,
    /// Who ran when, for <https://ui.perfetto.dev> or chrome://tracing
    Trace,
}

/// One of these stands in every folder of a run, or of several.
pub(crate) const RUN: [&str; 2] = ["config.toml", "suite.json"];

/// A run of the folder: its experiment's name, and what was read.
struct Run {
    name: String,
    folder: Folder,
}

/// Writes the run in `dir`, or every run of a suite, as `format` to standard output, or to the new file `out`.
///
/// # Errors
/// When the folder holds no run, or the file exists or cannot be written.
pub fn execute(dir: &Path, format: Format, out: Option<&Path>) -> Result<u8> {
    if let Some(out) = out {
        refuse_existing(out)?;
    }
    let runs = read(dir)?;
    let exported = match format {
        Format::Csv => csv::render(&runs),
        Format::Md => summaries(&runs),
        Format::Trace => viewer(&runs),
    };
    match out {
        Some(out) => write_new(out, exported.as_bytes())?,
        None => text::print(&exported).context("standard output")?,
    }
    Ok(0)
}

/// The runs of a folder; those of a suite that have not begun are left out.
fn read(dir: &Path) -> Result<Vec<Run>> {
    expect_run(dir)?;
    let mut dirs = match Suite::read(dir)? {
        None => vec![dir.to_owned()],
        Some(suite) => suite.experiments.iter().map(|name| dir.join(name)).collect(),
    };
    if dirs.iter().any(|dir| has_samples(dir)) {
        dirs.retain(|dir| has_samples(dir));
    }
    let open = |dir: &std::path::PathBuf| {
        let folder = Folder::read(dir)?;
        Ok(Run { name: folder.settings.name.clone(), folder })
    };
    dirs.iter().map(open).collect()
}

/// Refuses what is not the folder of a run or a suite, before anything is read.
pub(crate) fn expect_run(dir: &Path) -> Result<()> {
    if !dir.is_dir() {
        bail!("{} is no folder: it holds no run", dir.display());
    }
    if dir.join(crossover_reports::claims::FILE).exists() {
        bail!("{0} holds claims and no run: `crossover claims --report {0}` draws them again", dir.display());
    }
    if !RUN.iter().any(|file| dir.join(file).exists()) {
        bail!("{} holds no run: it has no config.toml", dir.display());
    }
    Ok(())
}

fn has_samples(dir: &Path) -> bool {
    dir.join("samples.jsonl").exists()
}

fn summaries(runs: &[Run]) -> String {
    let options = crossover_reports::Options::default();
    let each = runs.iter().map(|Run { folder, .. }| {
        markdown::render(&analysis::analyse(folder, &options), &[], folder.env.as_ref())
    });
    each.collect::<Vec<_>>().join("\n")
}

fn viewer(runs: &[Run]) -> String {
    let mut chrome = Chrome::default();
    for run in runs {
        order::add(&mut chrome, &run.name, &run.folder.samples);
        run.folder.timelines.iter().for_each(|timeline| chrome.timeline(timeline));
    }
    chrome.render()
}

/// Refuses a file that exists, before any work is done for it.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(exists(path)),
        Err(_) => Ok(()),
    }
}

fn exists(path: &Path) -> anyhow::Error {
    anyhow!("{} exists, and nothing is overwritten: remove it or choose another name", path.display())
}

/// Writes a file that must not exist yet; what cannot be written whole is removed again.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(path)),
        opened => opened.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(bytes).map_err(|error| {
        // The error that matters is that of writing.
        let _ = std::fs::remove_file(path);
        anyhow!(error).context(format!("cannot write {}", path.display()))
    })
}
