//! From the name of an experiment, or the path of its file, to its text.
//!
//! A word with a slash, or that ends in `.toml`, is a path. Any other word is a name: of a file in
//! `workloads/experiments/` of the current folder, or else of an experiment that is built in. Relative paths of a
//! built-in experiment start from that folder too, so that it means the same as its file there.
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crossover_workloads::experiments;

use super::error::ConfigError;
use super::limits;
use super::suggest::{did_you_mean, shown};

/// An experiment's text, and what it is called in errors.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) label: String,
    /// Where relative paths of the text start: absolute.
    pub(super) dir: PathBuf,
}

/// The folder of the current one in which names are looked up before those that are built in.
pub(super) const FOLDER: &str = "workloads/experiments";

/// How the labels of built-in experiments begin.
pub(super) const BUILT_IN: &str = "<built-in";

/// Finds the text of the experiment that `word` means.
pub(super) fn find(word: &str) -> Result<Found, ConfigError> {
    if word.contains('/') || word.ends_with(".toml") {
        return file(Path::new(word));
    }
    let local = Path::new(FOLDER).join(format!("{word}.toml"));
    if !word.is_empty() && local.exists() {
        return file(&local);
    }
    if let Some((name, text)) = experiments::ALL.iter().find(|(name, _)| *name == word) {
        let dir = std::path::absolute(FOLDER).unwrap_or_else(|_| PathBuf::from("/"));
        return Ok(Found { text: (*text).to_owned(), label: format!("{BUILT_IN} {name}>"), dir });
    }
    let known = names();
    let near = did_you_mean(word, known.iter().map(String::as_str));
    let error =
        ConfigError::whole(format!("\"{}\"", shown(word)), format!("there is no such experiment{near}"));
    Err(error
        .help(format!("known experiments: {}", known.join(", ")))
        .help("a file of your own: give its path, such as ./my.toml (crossover init my.toml writes one)"))
}

/// The names of experiments that can be loaded: built in, and in the folder.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = experiments::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    for path in files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "toml")) {
        if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
            && !names.iter().any(|name| name == stem)
        {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    names
}

/// Reads a file, no more of it than a configuration may hold.
pub(super) fn file(path: &Path) -> Result<Found, ConfigError> {
    let label = path.display().to_string();
    let fail = |message: String| ConfigError::whole(label.clone(), message);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limits::FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            let error = fail("is a folder, not a configuration file".to_owned());
            return Err(if path.join("samples.jsonl").exists() {
                error.help(format!("it holds a run: crossover resume {label} or crossover report {label}"))
            } else {
                error
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(
                fail("there is no such file".to_owned()).help(format!("crossover init {label} writes one"))
            );
        }
        Err(error) => return Err(fail(format!("cannot be read: {error}"))),
    }
    if bytes.len() as u64 > limits::FILE_BYTES {
        return Err(fail(format!(
            "is larger than {} bytes: too large for a configuration",
            limits::FILE_BYTES
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::whole(format!("{label}:{line}"), "is not UTF-8 text")
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = std::path::absolute(parent).map_err(|error| fail(error.to_string()))?;
    Ok(Found { text, label, dir })
}
