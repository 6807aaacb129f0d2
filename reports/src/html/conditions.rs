//! Under which conditions a run was made, and how to make it again.
use serde::Serialize;
use serde_json::Value;

use super::Page;
use super::parts::{Grid, link, plain};
use crate::analysis::model::Analysis;

#[derive(Serialize)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) link: String,
}

pub(super) fn files(page: &Page<'_>) -> Vec<File> {
    let names = [
        "config.toml",
        "config.resolved.toml",
        "env.json",
        "plan.jsonl",
        "samples.jsonl",
        "verdicts.json",
        "crossovers.json",
        "summary.md",
    ];
    // The environment is the only file that the page knows to be there or not; a plan and it come together.
    let there = |name: &&str| {
        page.env.is_some() || !["config.resolved.toml", "env.json", "plan.jsonl"].contains(name)
    };
    names
        .iter()
        .filter(|name| there(name))
        .map(|name| File { name: (*name).to_owned(), link: link(page.folder, name) })
        .collect()
}

/// The strategies in the order of the experiment, with what `env.json` knows about them.
pub(super) fn strategies(a: &Analysis, env: Option<&Value>) -> Grid {
    let known = env.and_then(|e| e.get("strategies")).and_then(Value::as_array);
    let row = |name: &String| {
        let info =
            known.and_then(|all| all.iter().find(|s| s.get("name").and_then(Value::as_str) == Some(name)));
        let field = |key: &str, none: &str| match info.map(|s| s.get(key).unwrap_or(&Value::Null)) {
            None => "–".to_owned(),
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

/// `env.json` as pairs; nested names are joined by dots, what has its own table is left out.
pub(super) fn environment(env: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    if let Some(map) = env.as_object() {
        for (key, value) in map.iter().filter(|(key, _)| !["strategies", "schema"].contains(&key.as_str())) {
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
