//! CPython's column: `scripts/python/claims.py`, asked for one repeat of one row at a time.
//!
//! Where there is no script or no python3 the column says so; nothing else changes. The script prints a line of JSON per row:
//! `{"id", "value", "samples": {"value": [...], NAME: [...]}, "detail"}`, or `"skipped"`, or `"error"`.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::child;
use super::table::Claim;
use super::trial::Answer;

/// The script, from the root of the repository.
const SCRIPT: &str = "scripts/python/claims.py";

/// The interpreter that is used where none is named.
const INTERPRETER: &str = "python3";

/// A Python that takes part.
#[derive(Clone, Debug)]
pub(super) struct Python {
    interpreter: PathBuf,
    script: PathBuf,
    /// What it says it is.
    pub(super) version: String,
}

/// A line of the script.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    value: Option<f64>,
    #[serde(default)]
    samples: BTreeMap<String, Vec<f64>>,
    #[serde(default)]
    values: BTreeMap<String, serde_json::Value>,
    skipped: Option<String>,
    error: Option<String>,
    detail: Option<String>,
}

impl Python {
    /// Finds interpreter and script, or says what is missing.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, String> {
        let script = script().ok_or_else(|| {
            format!("there is no {SCRIPT} here: start the program from the root of its repository")
        })?;
        let interpreter = named.map_or_else(|| PathBuf::from(INTERPRETER), Path::to_owned);
        let said = Command::new(&interpreter)
            .args([
                "-I",
                "-c",
                "import platform; print(platform.python_implementation(), platform.python_version())",
            ])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("there is no {}: {error}", interpreter.display()))?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        if !said.status.success() || version.is_empty() {
            return Err(format!("{} does not run: {}", interpreter.display(), said.status));
        }
        Ok(Self { interpreter, script, version })
    }

    /// What makes one repeat of a row.
    pub(super) fn command(&self, claim: &Claim, full: bool, server: SocketAddr) -> Command {
        let mut command = child::ourselves(&["guard"]);
        command.arg(&self.interpreter).args(["-I", "-B"]).arg(&self.script);
        command.args(["--row", claim.id(), "--repeats", "1"]);
        command.args([if full { "--full" } else { "--quick" }, "--server", &server.to_string()]);
        command
    }
}

/// The script, seen from here or from where the program is (`target/release/` in the repository).
fn script() -> Option<PathBuf> {
    let here = PathBuf::from(SCRIPT);
    let beside = std::env::current_exe().ok().into_iter().flat_map(|program| {
        program.ancestors().skip(1).take(5).map(|folder| folder.join(SCRIPT)).collect::<Vec<_>>()
    });
    std::iter::once(here).chain(beside).find(|path| path.is_file())
}

/// What the script said about this row.
pub(super) fn answer(claim: &Claim, text: &str) -> Answer {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parsed: Result<Vec<Line>, _> = lines.map(serde_json::from_str).collect();
    let failed = |reason: String| Answer { failed: Some(reason), ..Answer::default() };
    let line = match parsed {
        Ok(lines) => lines.into_iter().find(|line| line.id == claim.id()),
        Err(error) => return failed(format!("not an answer: {error}")),
    };
    let Some(line) = line else { return failed("no answer".to_owned()) };
    if let Some(reason) = line.error {
        return failed(reason);
    }
    let mut figures = BTreeMap::new();
    for (name, _) in claim.figures {
        let main = claim.python == Some(*name);
        let sample = |key: &str| line.samples.get(key).and_then(|all| all.first().copied());
        let named = || sample(name).or_else(|| line.values.get(*name).and_then(serde_json::Value::as_f64));
        let value = if main { sample("value").or(line.value) } else { None };
        if let Some(value) = value.or_else(named) {
            figures.insert((*name).to_owned(), value);
        }
    }
    Answer { figures, notes: line.detail.into_iter().collect(), skipped: line.skipped, ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn an_answer_is_read_by_the_names_of_the_row() {
        let claim = table::find("55").unwrap();
        let line = r#"{"id":"55","value":0.262,"unit":"s","low":0.26,"high":0.27,"n":1,"values":{"peak":20},
            "samples":{"value":[0.263]},"detail":"100 x 50 ms","python":"3.11.7"}"#;
        let answer = answer(claim, &line.replace('\n', " "));
        assert_eq!(answer.figures, BTreeMap::from([("wall".into(), 0.263), ("peak".into(), 20.0)]));
        assert_eq!(answer.notes, ["100 x 50 ms"]);
    }

    #[test]
    fn whatever_goes_wrong_is_told() {
        let claim = table::find("55").unwrap();
        for (text, part) in [
            ("", "no answer"),
            ("Traceback", "not an answer"),
            (r#"{"id":"54","value":1}"#, "no answer"),
            (r#"{"id":"55","error":"it broke"}"#, "it broke"),
        ] {
            assert!(answer(claim, text).failed.unwrap().contains(part), "{text}");
        }
        let skipped = answer(claim, r#"{"id":"55","skipped":"no aiohttp"}"#);
        assert_eq!(skipped.skipped.as_deref(), Some("no aiohttp"));
    }
}
