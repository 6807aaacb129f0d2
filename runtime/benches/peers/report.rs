//! The table of results: as text, as Markdown, as JSON with every sample.

use std::fmt::Write;

use crate::bars::{Bar, Goal, bar};
use crate::contestants::Who;
use crate::harness::Measured;
use crate::stats::Ratio;

/// What a row says against its bar.
struct Outcome {
    against: Who,
    ratio: Option<Ratio>,
    bar: Option<Bar>,
    verdict: &'static str,
}

fn outcome(row: &Measured) -> Outcome {
    let samples = |who: Who| row.samples.iter().find(|(of, _)| *of == who).map(|(_, samples)| samples);
    let bar = bar(row.row, row.workers);
    let against = match bar {
        Some(Bar { goal: Goal::Share { of, .. }, .. }) => of,
        _ => Who::Tokio,
    };
    let (ours, reference) = (samples(Who::Ours), samples(against));
    let ratio = ours.zip(reference).map(|(ours, reference)| ours.ratio_to(reference));
    let verdict =
        match (bar, ours, ratio) {
            (Some(Bar { goal: Goal::Share { at_most, .. }, .. }), _, Some(ratio)) => judge(ratio, at_most),
            (Some(Bar { goal: Goal::Absolute { at_most }, .. }), Some(ours), _) => {
                if ours.median() <= at_most { "met" } else { "MISSED" }
            }
            _ => "",
        };
    Outcome { against, ratio, bar, verdict }
}

/// With a question mark, the bar lies within the ratio's interval.
fn judge(ratio: Ratio, at_most: f64) -> &'static str {
    if ratio.high <= at_most {
        "met"
    } else if ratio.low > at_most {
        "MISSED"
    } else if ratio.median <= at_most {
        "met?"
    } else {
        "MISSED?"
    }
}

/// Three significant digits, at most two decimals.
fn figure(value: f64) -> String {
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

fn share(value: f64) -> String {
    let decimals = if value < 0.1995 { 3 } else { 2 };
    format!("{value:.decimals$}")
}

fn heading(others: &[Who]) -> Vec<String> {
    let mut cells = vec!["row".to_owned(), "unit".to_owned()];
    cells.extend(others.iter().map(|who| who.name().to_owned()));
    cells.extend(["ratio", "95 % interval", "bar", "verdict", "rounds"].map(str::to_owned));
    cells
}

fn cells(row: &Measured, shown: &[Who]) -> Vec<String> {
    let Outcome { against, ratio, bar, verdict } = outcome(row);
    let name = if row.workers == 2 { row.row.to_owned() } else { format!("{} /{}", row.row, row.workers) };
    let mut cells = vec![name, row.unit.name().to_owned()];
    for who in shown {
        let samples = row.samples.iter().find(|(of, _)| of == who);
        cells.push(samples.map_or("-".to_owned(), |(_, samples)| figure(samples.median())));
    }
    let to = if against == Who::Tokio { String::new() } else { format!(" of {}", against.name()) };
    cells.push(ratio.map_or("-".to_owned(), |ratio| share(ratio.median) + &to));
    cells.push(ratio.map_or("-".to_owned(), |r| format!("{}–{}", share(r.low), share(r.high))));
    let goal = |value: f64, goal: Goal| match goal {
        Goal::Share { .. } => format!("{value:.2}"),
        Goal::Absolute { .. } => format!("{value:.0} {}", row.unit.name()),
    };
    cells.push(bar.map_or("-".to_owned(), |bar| {
        let (Goal::Share { at_most, .. } | Goal::Absolute { at_most }) = bar.goal;
        let stretch = bar.stretch.map_or(String::new(), |stretch| format!(" ({})", goal(stretch, bar.goal)));
        format!("≤ {}{stretch}", goal(at_most, bar.goal))
    }));
    cells.push(verdict.to_owned());
    cells.push(row.samples[0].1.by_round().len().to_string());
    cells
}

/// The contestants that have a figure in any row.
fn shown(rows: &[Measured]) -> Vec<Who> {
    let takes_part = |who: &Who| rows.iter().any(|row| row.samples.iter().any(|(of, _)| of == who));
    Who::ALL.into_iter().filter(takes_part).collect()
}

fn table(rows: &[Measured]) -> Vec<Vec<String>> {
    let shown = shown(rows);
    let body = rows.iter().map(|row| cells(row, &shown));
    std::iter::once(heading(&shown)).chain(body).collect()
}

const LEGEND: &str = "Medians per operation. Ratio: ours to tokio unless another is named, within each round, then the \
median. Bar: goal, in brackets the stretch. With a question mark the bar lies within the interval.";

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

/// Every sample. Names need no escapes.
pub fn json(rows: &[Measured]) -> String {
    let contestant = |(who, samples): &(Who, crate::stats::Samples)| {
        format!("\"{}\":{:?}", who.name(), samples.by_round())
    };
    let row = |row: &Measured| {
        let Outcome { against, ratio, verdict, .. } = outcome(row);
        let ratio = ratio.map_or("null".to_owned(), |r| format!("[{},{},{}]", r.low, r.median, r.high));
        let samples: Vec<String> = row.samples.iter().map(contestant).collect();
        format!(
            "{{\"row\":\"{}\",\"workers\":{},\"unit\":\"{}\",\"against\":\"{}\",\"ratio\":{ratio},\"verdict\":\"{verdict}\",\
             \"samples\":{{{}}}}}",
            row.row,
            row.workers,
            row.unit.name(),
            against.name(),
            samples.join(",")
        )
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}
