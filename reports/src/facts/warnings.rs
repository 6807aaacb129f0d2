//! Everything that stands against a run, loudest first.
use serde::Serialize;

use crate::analysis::model::Analysis;
use crate::plot::units::{Unit, describe, significant};

/// Above this share of one core, a helper process competes with what is measured.
const HELPER_SHARE: f64 = 0.2;

/// One thing that a reader must know before any figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Warning {
    /// A few words with a full stop.
    pub(crate) title: &'static str,
    /// What it means.
    pub(crate) text: String,
    /// Where it was, one by one.
    pub(crate) items: Vec<String>,
}

/// What stands against `a`.
pub(crate) fn warnings(a: &Analysis) -> Vec<Warning> {
    let mut found = results(a);
    found.extend(helpers(a));
    found
}

fn results(a: &Analysis) -> Vec<Warning> {
    let trust = &a.trust;
    let mut found = Vec::new();
    if !trust.mismatches.is_empty() {
        let items = trust.mismatches.iter().map(|(cell, who)| format!("{who} in {}", or_all(cell))).collect();
        let text = "A strategy returned another result than the sequential oracle. These cells get no verdict: a fast wrong \
                    answer is no answer.";
        found.push(Warning { title: "Wrong checksum.", text: text.to_owned(), items });
    }
    if trust.contaminated {
        let text = format!(
            "Every block was disturbed: {}. No verdict and no crossover is given. Run again on a machine that is quiet.",
            trust.disturbance
        );
        found.push(Warning { title: "Contaminated run.", text, items: Vec::new() });
    }
    if !trust.failures.is_empty() {
        let n = trust.failures.len();
        let text = format!("{n} of the measurements failed; see the reasons under “Can it be trusted?”.");
        found.push(Warning { title: "Failures.", text, items: Vec::new() });
    }
    found
}

/// Servers and load generators that take the processor from what is measured, and loads that were not kept up.
fn helpers(a: &Analysis) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(share) = a.trust.server_share_max.filter(|share| *share > HELPER_SHARE) {
        let text = format!(
            "The test server used up to {} % of a core. It shares the machine with its clients, so part of a difference may be \
             the server's.",
            significant(share * 100.0, 2)
        );
        found.push(Warning { title: "A busy test server.", text, items: Vec::new() });
    }
    let open = || a.latency.iter().filter_map(|l| Some((l, l.open.as_ref()?)));
    let place = |cell: usize, strategy: usize| {
        let name = a.strategies.get(strategy).map_or("?", String::as_str);
        match a.cells.get(cell).filter(|cell| !cell.params.is_empty()) {
            Some(cell) => format!("{name} at {}", describe(&cell.params)),
            None => name.to_owned(),
        }
    };
    let flagged = || open().filter(|(_, load)| load.generator_flagged);
    if flagged().next().is_some() {
        let most = flagged().filter_map(|(_, load)| load.generator_share).fold(0.0, f64::max);
        let text = format!(
            "The load generator used up to {} % of a core. It shares the machine with what it loads, so part of the latency may \
             be its own.",
            significant(most * 100.0, 2)
        );
        let items = flagged().map(|(l, _)| place(l.cell, l.strategy)).collect();
        found.push(Warning { title: "A busy load generator.", text, items });
    }
    let behind = || open().filter(|(_, load)| load.behind);
    if behind().next().is_some() {
        let text = "Less than 95 % of the arrivals were completed in time. Under an open load the queue then only grows: read \
                    such latencies as “overloaded”, not as numbers. They win nothing.";
        found.push(Warning { title: "Overloaded.", text: text.to_owned(), items: overloads(a) });
    }
    found
}

/// A line per strategy that fell behind: what it completed, and where.
fn overloads(a: &Analysis) -> Vec<String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (latency, load) in a.latency.iter().filter_map(|l| Some((l, l.open.as_ref()?))) {
        let place = match a.cells.get(latency.cell).filter(|cell| !cell.params.is_empty()) {
            Some(cell) => format!(" at {}", describe(&cell.params)),
            None => String::new(),
        };
        let achieved = load.achieved.map_or_else(|| "fewer".to_owned(), |rate| Unit::Plain.show(rate));
        if !load.behind {
            continue;
        }
        match lines.iter_mut().find(|(strategy, _)| *strategy == latency.strategy) {
            Some((_, line)) => line.push_str(&format!(", {achieved}{place}")),
            None => {
                let name = a.strategies.get(latency.strategy).map_or("?", String::as_str);
                let rate = Unit::Plain.show(load.rate);
                lines.push((latency.strategy, format!("{name}: {achieved} of {rate} per second{place}")));
            }
        }
    }
    lines.sort_by_key(|(strategy, _)| *strategy);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// A cell's name, or words where nothing is swept.
fn or_all(cell: &str) -> &str {
    if cell.is_empty() { "the only cell" } else { cell }
}
