//! `crossover list`: what there is to run, to sweep and to compare.
use crossover_workloads::catalog::{self, ParamInfo};

use crate::config::{self, Experiment};
use crate::{strategy, text};

/// Columns that an explanation may fill.
const WIDTH: usize = 90;

/// The experiments that can be named, with their questions; a file that does not load shows why.
#[must_use]
pub fn experiments() -> String {
    let mut out = String::from("experiments (crossover run NAME)\n");
    for name in config::names() {
        match Experiment::load(&name, &[]) {
            Ok(exp) => {
                let from = exp.source.to_string_lossy();
                let place = if from.starts_with('<') { "built in" } else { &*from };
                out += &format!("  {name}: {}\n", text::wrap(&exp.question, WIDTH, 4));
                let cells = exp.cells().len();
                let (kind, strategies) = (&exp.workload.kind, exp.strategies.include.len());
                out += &format!("    {kind}, {cells} cells, {strategies} strategies; {place}\n");
                for (name, reason) in &exp.strategies.skipped {
                    out += &format!("    skipped: {name}: {}\n", text::wrap(reason, WIDTH, 6));
                }
            }
            Err(error) => {
                out +=
                    &format!("  {name}: cannot be used\n    {}\n", error.to_string().replace('\n', "\n    "))
            }
        }
    }
    out
}

/// The kinds of workloads with their parameters.
#[must_use]
pub fn workloads() -> String {
    let mut out = String::from("workloads ([workload] kind = NAME)\n");
    for kind in catalog::KINDS {
        out += &format!("  {}: {}\n", kind.name, text::wrap(kind.about, WIDTH, 4));
        let rows: Vec<_> = kind.params.iter().map(param).collect();
        out += &text::columns(&rows, 3).lines().map(|line| format!("  {line}\n")).collect::<String>();
    }
    out
}

fn param(info: &ParamInfo) -> Vec<String> {
    let default = match info.default.map(catalog::DefaultValue::value) {
        None => "must be set".to_owned(),
        Some(config::Value::Text(name)) => format!("default {name}"),
        Some(number) => format!("default {number}"),
    };
    vec![info.name.to_owned(), format!("{}; {default}", info.value), info.about.to_owned()]
}

/// The strategies, each in a line, with what `workers` means to it and how much it does at once.
#[must_use]
pub fn strategies() -> String {
    let mut out = String::from("strategies ([strategies] include = [NAME, …])\n");
    for info in strategy::choices() {
        out += &format!("  {}: {}\n", info.name, text::wrap(info.about, WIDTH, 4));
        let workers =
            info.workers.map_or("no workers to set".to_owned(), |meaning| format!("workers: {meaning}"));
        // Whether the cap follows the workers shows in what two numbers of them give.
        let caps = [1, 2].map(|n| strategy::limits(info.name, n).and_then(|limits| limits.concurrency_cap));
        let at_once = match caps {
            [Some(one), Some(two)] if one == two => text::count(one, "task"),
            [Some(_), Some(_)] => "one task per worker".to_owned(),
            _ => "all tasks".to_owned(),
        };
        out += &format!("    {workers}; at once: {at_once}\n");
    }
    out += "  and the same under another name, with other workers: [strategies.variants.NAME] strategy = \"threads\", workers = 32\n";
    out += "  and programs of your own: [strategies.external.NAME] run = [\"./program\"] (bench-harness/TRIAL.md)\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_there_is_is_listed() {
        let listed = experiments() + &workloads() + &strategies();
        let kinds =
            catalog::KINDS.iter().flat_map(|kind| kind.params.iter().map(|p| p.about).chain([kind.name]));
        let strategies = strategy::choices().map(|info| info.name);
        let experiments = crossover_workloads::experiments::ALL.iter().map(|(name, _)| *name);
        for name in kinds.chain(strategies).chain(experiments) {
            assert!(listed.contains(name), "{name} is missing in\n{listed}");
        }
        assert!(listed.contains("one task per worker") && listed.contains("512 tasks"));
    }
}
