//! The table of results: as text and as Markdown.

use std::fmt::Write;

use crate::harness::Measured;
use crate::rows::{Unit, Who};
use crate::stats::Samples;

/// `met` when the whole 95 % interval of our median is on the good side of the goal; with a question mark when the goal
/// lies inside the interval.
fn verdict(row: &Measured) -> &'static str {
    let (Some(goal), Some(ours)) = (row.goal, figures(row, Who::Ours)) else { return "" };
    if goal == 0.0 {
        return if ours.median() <= 0.0 { "met" } else { "MISSED" };
    }
    let goals = Samples::new(vec![goal; ours.by_round().len()]);
    let share = if row.unit.more_is_better() { goals.ratio_to(&ours) } else { ours.ratio_to(&goals) };
    match (share.high <= 1.0, share.low > 1.0, share.median <= 1.0) {
        (true, _, _) => "met",
        (_, true, _) => "MISSED",
        (_, _, true) => "met?",
        _ => "MISSED?",
    }
}

fn figures(row: &Measured, who: Who) -> Option<Samples> {
    let found = row.figures.iter().find(|(of, figures)| *of == who && !figures.is_empty());
    found.map(|(_, figures)| Samples::new(figures.clone()))
}

/// How many times better ours is than the executor of Python's standard library, or else than procspawn, in the same rounds.
fn ratio(row: &Measured) -> String {
    let ours = figures(row, Who::Ours);
    let peer = [(Who::Ppe, ""), (Who::Procspawn, " (procspawn)")]
        .into_iter()
        .find_map(|(who, note)| figures(row, who).map(|figures| (figures, note)));
    match (ours, peer) {
        (Some(ours), Some((peer, note))) if row.unit != Unit::Processes => {
            let times = if row.unit.more_is_better() { ours.ratio_to(&peer) } else { peer.ratio_to(&ours) };
            let decimals = if times.median < 9.95 { 1 } else { 0 };
            format!("{:.decimals$}×{note}", times.median)
        }
        _ => "-".to_owned(),
    }
}

/// Three significant digits and a unit.
fn figure(value: f64, unit: Unit) -> String {
    let scales: &[(f64, &str)] = match unit {
        Unit::Nanoseconds => &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")],
        Unit::PerSecond => &[(1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")],
        Unit::Bytes => &[(1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")],
        Unit::Processes => &[(1.0, "")],
    };
    let (scale, name) = scales.iter().find(|(scale, _)| value >= *scale).unwrap_or(&scales[scales.len() - 1]);
    let value = value / scale;
    let decimals = match (unit, value) {
        (Unit::Processes, _) => 0,
        (_, 100.0..) => 0,
        (_, 10.0..) => 1,
        _ => 2,
    };
    format!("{value:.decimals$}{name}")
}

fn shown(rows: &[Measured]) -> Vec<Who> {
    Who::ALL.into_iter().filter(|&who| rows.iter().any(|row| figures(row, who).is_some())).collect()
}

fn cells(row: &Measured, shown: &[Who]) -> Vec<String> {
    let mut cells = vec![row.row.clone()];
    for &who in shown {
        cells.push(figures(row, who).map_or("-".to_owned(), |figures| figure(figures.median(), row.unit)));
    }
    cells.push(ratio(row));
    let sign = if row.unit.more_is_better() { "≥" } else { "≤" };
    cells.push(row.goal.map_or("-".to_owned(), |goal| format!("{sign} {}", figure(goal, row.unit))));
    cells.push(verdict(row).to_owned());
    cells.push(row.figures.iter().map(|(_, figures)| figures.len()).max().unwrap_or(0).to_string());
    cells
}

fn table(rows: &[Measured]) -> Vec<Vec<String>> {
    let shown = shown(rows);
    let mut heading = vec!["row".to_owned()];
    heading.extend(shown.iter().map(|who| who.name().to_owned()));
    heading.extend(["times better", "goal", "met", "rounds"].map(str::to_owned));
    std::iter::once(heading).chain(rows.iter().map(|row| cells(row, &shown))).collect()
}

const LEGEND: &str = "Medians over the rounds. ours: awaited by a task of our current-thread runtime; multi: of our multi-thread runtime; \
foreign: by the block_on of `futures`. Times better: ours than ppe in the same rounds. With a question mark the goal lies within the \
95 % interval of our median.";

/// The table for a terminal.
pub fn text(rows: &[Measured]) -> String {
    let table = table(rows);
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    let mut out = String::new();
    for row in &table {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            // Names to the left, figures to the right.
            let (before, after) = if column == 0 { ("", pad.as_str()) } else { (pad.as_str(), "") };
            let _infallible = write!(out, "{before}{cell}{after}  ");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out + "\n" + LEGEND + "\n"
}

/// The table as Markdown.
pub fn markdown(rows: &[Measured]) -> String {
    let mut out = String::new();
    for (index, row) in table(rows).iter().enumerate() {
        let _infallible = writeln!(out, "| {} |", row.join(" | "));
        if index == 0 {
            let _infallible = writeln!(out, "|---|{}", "---:|".repeat(row.len() - 1));
        }
    }
    out + "\n" + LEGEND + "\n"
}
