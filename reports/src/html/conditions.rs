//! Under which conditions a run was made, and how to make it again.
use serde::Serialize;
use serde_json::Value;

use super::Page;
use super::parts::{Grid, dash, link, plain};
use crate::analysis::model::Analysis;
use crate::facts;
use crate::plot::units::{label, show_param};
use crate::record::Sample;

/// The files of a run's folder that a page may link, in the order of the links.
pub(crate) const FILES: [&str; 12] = [
    "config.toml",
    "config.resolved.toml",
    "env.json",
    "plan.jsonl",
    "samples.jsonl",
    "warmups.jsonl",
    "timelines.jsonl",
    "looks.jsonl",
    "verdicts.json",
    "metrics.json",
    "crossovers.json",
    "summary.md",
];

/// A file beside the page.
#[derive(Debug, Serialize)]
pub(super) struct File {
    name: String,
    link: String,
}

pub(super) fn files(page: &Page<'_>) -> Vec<File> {
    page.files.iter().map(|name| File { name: (*name).to_owned(), link: link(page.folder, name) }).collect()
}

/// What was the same for every strategy, as pairs.
pub(super) fn conditions(page: &Page<'_>) -> Vec<(String, String)> {
    let a = page.analysis;
    let known = |path: &[&str]| {
        let value = path.iter().try_fold(page.env?, |value, key| value.get(key))?;
        (!value.is_null()).then(|| plain(value))
    };
    let mut pairs = Vec::new();
    let mut add =
        |name: &str, words: Option<String>| pairs.extend(words.map(|words| (name.to_owned(), words)));
    add("Workload", (!a.workload.is_empty()).then(|| a.workload.clone()));
    for (param, value) in &a.constants {
        add(&capital(&label(param)), Some(show_param(param, value)));
    }
    add("Load", Some(facts::load_words(a)));
    add("Start-up", facts::startup_words(a).map(str::to_owned));
    add(
        "Workers",
        known(&["workers"]).map(|n| format!("{n} (a strategy with another number says so below)")),
    );
    let skipped = facts::skipped(page.env);
    add("Skipped", (!skipped.is_empty()).then(|| skipped.join("; ")));
    let unfit = facts::unfit(a);
    add("No part", (!unfit.is_empty()).then(|| unfit.join("; ")));
    add("Batch", batch(page.samples));
    add(
        "Allocator",
        known(&["toolchain", "allocator"]).map(|name| format!("{name}, for every strategy of the suite")),
    );
    add("Processor", known(&["machine", "cpu"]));
    add("Cores", known(&["machine", "cores_usable"]));
    add("Kernel", known(&["system", "kernel"]));
    add("Compiler", known(&["toolchain", "rustc"]));
    add("Began", known(&["started_at"]));
    pairs
}

/// `text` with a capital first letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How often the work ran within a sample: the same for all strategies of a cell.
fn batch(samples: &[Sample]) -> Option<String> {
    let least = samples.iter().map(|s| s.batch).min()?;
    let most = samples.iter().map(|s| s.batch).max()?;
    Some(match (least, most) {
        (1, 1) => "every sample is one run of the work".to_owned(),
        (least, most) if least == most => format!("every sample is {least} runs of the work"),
        (least, most) => {
            format!("a sample is {least} to {most} runs of the work, so that the clock is fine enough")
        }
    })
}

/// The strategies in the order of the experiment, with what `env.json` knows about them.
pub(super) fn strategies(a: &Analysis, env: Option<&Value>) -> Grid {
    let known = env.and_then(|e| e.get("strategies")).and_then(Value::as_array);
    let row = |name: &String| {
        let info =
            known.and_then(|all| all.iter().find(|s| s.get("name").and_then(Value::as_str) == Some(name)));
        let field = |key: &str, none: &str| match info.map(|s| s.get(key).unwrap_or(&Value::Null)) {
            None => dash(),
            Some(Value::Null) => none.to_owned(),
            Some(value) => plain(value),
        };
        vec![name.clone(), field("workers", "–"), field("concurrency_cap", "none"), field("about", "–")]
    };
    Grid::new(
        &["strategy", "workers", "tasks in flight at most", "what it is"],
        a.strategies.iter().map(row).collect(),
    )
}

/// The command that measures the experiment again.
pub(super) fn command(page: &Page<'_>) -> String {
    let file = if page.folder.is_empty() {
        "config.toml".to_owned()
    } else {
        format!("{}/config.toml", page.folder)
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let file = if file.chars().all(safe) { file } else { format!("'{}'", file.replace('\'', r"'\''")) };
    let seed = page.env.and_then(|e| e.get("seed")).and_then(Value::as_u64);
    format!("crossover run {file}{}", seed.map_or_else(String::new, |seed| format!(" --seed {seed}")))
}

/// `env.json` as pairs; nested names are joined by dots, what has its own table is left out, and so is
/// where the config stood: only `resume` needs that, and a page that is passed on need not tell the paths of a machine.
pub(super) fn environment(env: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    if let Some(map) = env.as_object() {
        let hidden = ["strategies", "schema", "config_dir"];
        for (key, value) in map.iter().filter(|(key, _)| !hidden.contains(&key.as_str())) {
            flatten(key, value, 0, &mut pairs);
        }
    }
    pairs
}

/// Deeper values than any that the harness writes are shown as JSON.
pub(super) const DEEPEST: usize = 6;

pub(super) fn flatten(name: &str, value: &Value, depth: usize, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if depth < DEEPEST => {
            for (key, value) in map {
                flatten(&format!("{name}.{key}"), value, depth + 1, pairs);
            }
        }
        Value::Null => pairs.push((name.to_owned(), "–".to_owned())),
        other => pairs.push((name.to_owned(), plain(other))),
    }
}
