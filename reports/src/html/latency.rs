//! Latency of the tasks: percentiles by cell and strategy, and how well the load was kept up.
use super::parts::{Grid, dash, or_all, percent};
use crate::analysis::model::{Analysis, Latency, OpenLoad};
use crate::plot::units::{Unit, describe};

/// The percentiles; empty where none were recorded.
pub(super) fn percentiles(a: &Analysis) -> Grid {
    let row = |l: &Latency| {
        let time = |ns: f64| Unit::NS.show(ns);
        vec![
            cell(a, l),
            strategy(a, l),
            load(l.open.as_ref()),
            time(l.p50_ns),
            time(l.p90_ns),
            time(l.p99_ns),
            time(l.p999_ns),
            time(l.max_ns),
            l.tasks.to_string(),
        ]
    };
    Grid::new(
        &["cell", "strategy", "load", "p50", "p90", "p99", "p99.9", "largest", "tasks"],
        a.latency.iter().map(row).collect(),
    )
}

/// How the open loads were kept up: what was achieved, and whether the generator was in the way.
pub(super) fn loads(a: &Analysis) -> Grid {
    let row = |(l, open): (&Latency, &OpenLoad)| {
        let rate = |rate: f64| format!("{}/s", Unit::Plain.show(rate));
        let achieved = open.achieved.map_or_else(dash, rate);
        let share = open.generator_share.map_or_else(dash, percent);
        vec![
            cell(a, l),
            strategy(a, l),
            rate(open.rate),
            if open.behind { format!("{achieved}, overloaded") } else { achieved },
            open.generator_lag_ns.map_or_else(dash, |ns| Unit::NS.show(ns)),
            if open.generator_flagged { format!("{share}, above 20 %") } else { share },
        ]
    };
    let open = a.latency.iter().filter_map(|l| Some((l, l.open.as_ref()?)));
    Grid::new(
        &[
            "cell",
            "strategy",
            "arrivals",
            "completed",
            "generator late by (p99)",
            "generator’s share of a core",
        ],
        open.map(row).collect(),
    )
}

fn load(open: Option<&OpenLoad>) -> String {
    open.map_or_else(|| "closed".to_owned(), |open| format!("open, {}/s", Unit::Plain.show(open.rate)))
}

fn cell(a: &Analysis, l: &Latency) -> String {
    match a.cells.get(l.cell) {
        Some(cell) if !cell.params.is_empty() => describe(&cell.params),
        _ => or_all("").to_owned(),
    }
}

fn strategy(a: &Analysis, l: &Latency) -> String {
    a.strategies.get(l.strategy).cloned().unwrap_or_else(dash)
}

/// What a reader must know about the kind of load, as a label and a sentence.
pub(super) fn kind(a: &Analysis) -> Option<(&'static str, &'static str)> {
    let open = a.latency.iter().filter(|l| l.open.is_some()).count();
    match (a.latency.len(), open) {
        (0, _) => None,
        (_, 0) => Some((
            "closed loop",
            "Each task counts from its own start, so a stall hides the tasks that wait behind it: real users would see longer \
             tails. An open load (load = { mode = \"open\", rate = … }) shows them.",
        )),
        (all, open) if open == all => Some((
            "open loop",
            "Tasks arrive whether or not earlier ones are done, and count from their intended start, so a stall shows in every \
             task that it delays.",
        )),
        _ => Some((
            "open and closed loop",
            "Under the open load tasks count from their intended start; under the closed one from their own, which hides the \
             tasks that wait behind a stall.",
        )),
    }
}
