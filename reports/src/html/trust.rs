//! "Can it be trusted?": the machine's calibration, what disturbed the run, what the harness itself takes, what failed.
use std::collections::BTreeSet;

use super::parts::{Grid, dash, or_all, percent};
use crate::analysis::model::{Analysis, CalibrationRow};
use crate::plot::units::Unit;
use crate::record::Look;

/// What the statements of [`crate::facts::badges`] leave out, as pairs.
pub(super) fn trust(a: &Analysis) -> Vec<(String, String)> {
    let t = &a.trust;
    let quarantined = a.blocks.iter().filter(|b| b.quarantined).count();
    let mut pairs = vec![
        (
            "Quarantined",
            format!("{} of {} samples, {quarantined} of {} blocks", t.quarantined, t.samples, a.blocks.len()),
        ),
        ("Measured", measured(a)),
    ];
    pairs.extend(looks(a).map(|words| ("Looks", words)));
    if t.duplicates > 0 {
        let words = format!("{} samples stand twice in the file; each counts once", t.duplicates);
        pairs.push(("Duplicates", words));
    }
    if let Some(share) = t.server_share_max {
        pairs.push(("Test server", format!("at most {} of one core", percent(share))));
    }
    pairs.extend(overhead(a));
    if let Some(sd) = a.calibration.as_ref().and_then(|c| c.between_runs_sd) {
        pairs.push((
            "Two quiet runs differ by",
            format!("{} (standard deviation, from the calibration)", percent(sd)),
        ));
    }
    pairs.into_iter().map(|(name, words)| (name.to_owned(), words)).collect()
}

/// How much was measured, and whether any of it counts.
fn measured(a: &Analysis) -> String {
    let (processes, rounds) = match a.process_rounds {
        // Nothing was analysed: what was measured all the same is told by the blocks.
        0 => {
            let processes: BTreeSet<u32> = a.blocks.iter().map(|block| block.process).collect();
            let rounds: BTreeSet<u32> = a.blocks.iter().map(|block| block.round).collect();
            (processes.len(), rounds.len())
        }
        processes => (processes, a.rounds),
    };
    let none = if a.process_rounds == 0 { "; none of them counts" } else { "" };
    format!("{processes} process rounds of up to {rounds} rounds{none}")
}

/// What was measured beyond the base plan, where verdicts were open, and why it ended.
fn looks(a: &Analysis) -> Option<String> {
    let stopped = a.looks.iter().rev().find_map(|look| look.stopped.as_deref());
    let looks: Vec<&Look> = a.looks.iter().filter(|look| look.stopped.is_none()).collect();
    let plural = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let again: BTreeSet<&String> = looks.iter().flat_map(|look| &look.undecided).collect();
    let new: BTreeSet<&String> = looks.iter().flat_map(|look| &look.refined).collect();
    let added = || {
        let rounds = looks.iter().map(|look| look.processes as usize).sum();
        let new = match new.len() {
            0 => String::new(),
            n => format!(" and {} where two strategies cross", plural(n, "new cell")),
        };
        format!(
            "{} after the base plan, for {} more; {} measured again{new}",
            plural(looks.len(), "look"),
            plural(rounds, "process round"),
            plural(again.len(), "open cell"),
        )
    };
    let added = if looks.is_empty() { "none after the base plan".to_owned() } else { added() };
    match (stopped, looks.is_empty()) {
        (None, true) => None,
        (Some(reason), _) => Some(format!("{added}. No further one: {reason}")),
        (None, false) => Some(format!("{added}. The run was cut short before the next")),
    }
}

/// What the harness takes around a sample, and how fine its clock is.
fn overhead(a: &Analysis) -> Vec<(&'static str, String)> {
    let h = &a.harness;
    let mut pairs = Vec::new();
    if let Some(ns) = h.overhead_ns {
        let share = h.overhead_share.map(|share| format!(", {} of the time measured", percent(share)));
        let words = format!(
            "median {} around a sample{}; not part of it",
            Unit::NS.show(ns),
            share.unwrap_or_default()
        );
        pairs.push(("Harness", words));
    }
    if let Some(ns) = h.request_ns {
        pairs.push(("Empty request", format!("{} to a trial process and back", Unit::NS.show(ns))));
    }
    if let Some(ns) = h.timer_resolution_ns {
        pairs.push((
            "Clock",
            format!("steps of {}; a sample is batched to at least 1000 of them", Unit::NS.show(ns)),
        ));
    }
    pairs
}

/// What one task costs a strategy when it does nothing.
pub(super) fn empty_tasks(a: &Analysis) -> Grid {
    let row = |(name, ns): &(String, f64)| vec![name.clone(), Unit::NS.show(*ns)];
    Grid::new(&["strategy", "an empty task costs"], a.harness.empty_task_ns.iter().map(row).collect())
}

/// The rows of the machine's calibration.
pub(super) fn calibration(a: &Analysis) -> Grid {
    let row = |row: &CalibrationRow| {
        let count = row.count.zip(row.of).map(|(count, of)| format!("{count} of {of}"));
        vec![
            row.name.clone(),
            if row.passed { "passed".to_owned() } else { "failed".to_owned() },
            count.unwrap_or_else(dash),
            if row.detail.is_empty() { dash() } else { row.detail.clone() },
        ]
    };
    let rows = a.calibration.iter().flat_map(|c| &c.rows).map(row).collect();
    Grid::new(&["self-test", "result", "as it should be", "what came out"], rows)
}

/// The measurements that failed, with their reasons.
pub(super) fn failures(a: &Analysis) -> Grid {
    let row =
        |(cell, who, why): &(String, String, String)| vec![or_all(cell).to_owned(), who.clone(), why.clone()];
    Grid::new(&["cell", "strategy", "what went wrong"], a.trust.failures.iter().map(row).collect())
}

/// What a reader should know about the workload before its figures.
pub(super) fn notes(a: &Analysis) -> Vec<String> {
    let mut notes = Vec::new();
    if a.workload == "http" {
        notes.push(
            "Both kinds of client keep their connections alive: the async strategies use hyper's client on the runtime's own \
             sockets, the blocking ones ureq with a pool as large as the number of tasks. The server runs in another process."
                .to_owned(),
        );
    }
    notes
}
