//! In what two runs differ that may explain a change: machine, kernel, versions, workers, the workload itself.
use std::collections::BTreeMap;

use serde_json::Value;

use crate::load::Folder;

/// Keys of `env.json` that should be equal, and what they are called.
const SAME: [(&[&str], &str); 10] = [
    (&["machine", "cpu"], "CPU"),
    (&["machine", "cores_usable"], "usable cores"),
    (&["machine", "memory_kib"], "memory (KiB)"),
    (&["machine", "governor"], "frequency governor"),
    (&["system", "kernel"], "kernel"),
    (&["system", "arch"], "architecture"),
    (&["toolchain", "rustc"], "rustc"),
    (&["toolchain", "profile"], "build profile"),
    (&["toolchain", "opt_level"], "optimisation"),
    (&["workers"], "workers"),
];

/// Every difference in words, A first.
pub(super) fn differences(a: &Folder, b: &Folder) -> Vec<String> {
    let mut found = Vec::new();
    settings(a, b, &mut found);
    match (&a.env, &b.env) {
        (Some(a), Some(b)) => {
            for (path, what) in SAME {
                let [a, b] = [at(a, path), at(b, path)];
                if a != b {
                    found.push(format!("{what}: {} in A, {} in B", word(a), word(b)));
                }
            }
            found.extend(crates(a, b));
            found.extend(workers(a, b));
        }
        (None, None) => {}
        (one, _) => {
            let which = if one.is_none() { "A" } else { "B" };
            found.push(format!("{which} has no env.json: its machine and versions are not known"));
        }
    }
    found
}

fn settings(a: &Folder, b: &Folder, found: &mut Vec<String>) {
    let (one, other) = (&a.settings, &b.settings);
    if let (Some(x), Some(y)) = (a.samples.first(), b.samples.first())
        && x.run == y.run
    {
        found.push(format!(
            "A and B are the same run, {}: this tells nothing of what differs between runs",
            x.run
        ));
    }
    for (what, x, y) in
        [("experiment", &one.name, &other.name), ("kind of workload", &one.workload, &other.workload)]
    {
        if x != y {
            found.push(format!("{what}: {x} in A, {y} in B"));
        }
    }
    for (what, x, y) in
        [("margin", one.margin, other.margin), ("confidence", one.confidence, other.confidence)]
    {
        if x != y {
            found.push(format!("{what}: {x} in A, {y} in B"));
        }
    }
    let constants = |f: &Folder| -> BTreeMap<String, String> {
        f.settings.constants.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    };
    let [x, y] = [constants(a), constants(b)];
    let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
    for name in names {
        let [x, y] = [x.get(name), y.get(name)].map(|v| v.map_or("unset", String::as_str));
        if x != y {
            found.push(format!("workload.{name}: {x} in A, {y} in B"));
        }
    }
    let seeds = |f: &Folder| f.samples.iter().map(|s| s.seed).collect::<std::collections::BTreeSet<u64>>();
    if seeds(a).is_disjoint(&seeds(b)) && !a.samples.is_empty() && !b.samples.is_empty() {
        found.push("the inputs differ (another --seed): their cost may differ a little".to_owned());
    }
    let startup = |included: bool| if included { "included" } else { "excluded" };
    if one.startup_included != other.startup_included {
        let [x, y] = [one, other].map(|settings| startup(settings.startup_included));
        found.push(format!("start-up: {x} in A, {y} in B"));
    }
    let rates = |f: &Folder| f.samples.iter().find_map(|s| s.rate);
    let rate = |rate: Option<f64>| rate.map_or_else(|| "closed".to_owned(), |r| format!("{r}/s, open"));
    if rates(a) != rates(b) {
        found.push(format!("load: {} in A, {} in B", rate(rates(a)), rate(rates(b))));
    }
}

/// Crates of another version, all in one line.
fn crates(a: &Value, b: &Value) -> Option<String> {
    let [x, y] = [a, b].map(|env| env.get("crates").and_then(Value::as_object));
    let (x, y) = (x?, y?);
    let names: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| x.get(*name) != y.get(*name))
        .map(|name| {
            format!("{name} {} → {}", word(x.get(name).unwrap_or(&NULL)), word(y.get(name).unwrap_or(&NULL)))
        })
        .collect();
    (!changed.is_empty()).then(|| format!("versions: {}", changed.join(", ")))
}

/// Strategies with another number of workers.
fn workers(a: &Value, b: &Value) -> Vec<String> {
    let all = |env: &Value| -> BTreeMap<String, Value> {
        let strategies = env.get("strategies").and_then(Value::as_array).into_iter().flatten();
        strategies
            .filter_map(|s| Some((s.get("name")?.as_str()?.to_owned(), s.get("workers")?.clone())))
            .collect()
    };
    let [x, y] = [all(a), all(b)];
    x.iter()
        .filter_map(|(name, one)| {
            let other = y.get(name)?;
            (one != other).then(|| format!("workers of {name}: {} in A, {} in B", word(one), word(other)))
        })
        .collect()
}

static NULL: Value = Value::Null;

fn at<'a>(env: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(env, |value, key| value.get(key)).unwrap_or(&NULL)
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
