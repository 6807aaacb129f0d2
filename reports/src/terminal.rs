//! The report on a terminal: a headline and a table of winners per experiment, then the path of the page.
//!
//! A sweep over two parameters becomes a map, one over fewer or more a list. Nothing depends on colour, and no line is
//! wider than asked for as long as one column fits.
use std::collections::BTreeSet;

use comfy_table::{ContentArrangement, Table, presets};

use crate::analysis::model::{Analysis, Axis, CellAnalysis, Metric};
use crate::facts::{self, Call};
use crate::output::Outcome;
use crate::plot::style::short_name;
use crate::plot::units::{Unit, label, show_param, times};
use crate::record::ParamValue;

/// The narrowest terminal that is laid out for.
const NARROWEST: u16 = 40;
/// The longest list of cells; longer ones end with a pointer to the report.
const MOST_ROWS: usize = 40;
/// The most failures that are told one by one.
const MOST_FAILURES: usize = 5;

/// The report of a run or a suite for a terminal of `width` columns.
#[must_use]
pub fn render(outcome: &Outcome, width: u16) -> String {
    let mut out = tables(&outcome.analyses, width);
    if let Some(first) = outcome.analyses.first() {
        let trust = facts::badges(first, outcome.env.as_ref()).remove(0);
        paragraph(&mut out, &format!("{}.", trust.long), width.max(NARROWEST));
    }
    out.push_str(&format!("Report: {}\n", outcome.report_html().display()));
    out
}

/// The experiments one after another.
fn tables(analyses: &[Analysis], width: u16) -> String {
    let width = width.max(NARROWEST);
    let mut out = String::new();
    for analysis in analyses {
        experiment(&mut out, analysis, width);
    }
    out
}

fn experiment(out: &mut String, analysis: &Analysis, width: u16) {
    paragraph(out, &format!("{}: {}", analysis.name, analysis.headline), width);
    for warning in warnings(analysis) {
        paragraph(out, &format!("!! {warning}"), width);
    }
    failures(out, analysis, width);
    unfit(out, analysis, width);
    if let Some(words) = facts::startup_words(analysis) {
        paragraph(out, &format!("Start-up {words}."), width);
    }
    // By the metric that leads.
    let analysis = &*analysis.led();
    match analysis.axes.as_slice() {
        [first, second] if analysis.cells.len() > 6 => {
            // The longer axis runs to the right, as in the picture.
            let across_first = first.values.len() >= second.values.len();
            let (across, down) = if across_first { (first, second) } else { (second, first) };
            map(out, analysis, (across, down), width);
        }
        _ => list(out, analysis, width),
    }
    out.push('\n');
}

fn warnings(analysis: &Analysis) -> Vec<String> {
    let trust = &analysis.trust;
    let mut lines = Vec::new();
    if !trust.mismatches.is_empty() {
        let mut who: Vec<&str> = trust.mismatches.iter().map(|(_, strategy)| strategy.as_str()).collect();
        who.sort_unstable();
        who.dedup();
        let cells: BTreeSet<&str> = trust.mismatches.iter().map(|(cell, _)| cell.as_str()).collect();
        let place = match cells.len() {
            1 => "1 cell: it gets".to_owned(),
            n => format!("{n} cells: they get"),
        };
        lines.push(format!("wrong checksum from {} in {place} no verdict", who.join(", ")));
    }
    if trust.contaminated {
        lines.push(format!(
            "contaminated: every block was disturbed ({}); no verdict is given",
            trust.disturbance
        ));
    }
    match trust.duplicates {
        0 => {}
        1 => lines.push("1 sample stands twice in samples.jsonl: it counts once".to_owned()),
        n => lines.push(format!("{n} samples stand twice in samples.jsonl: each counts once")),
    }
    lines
}

/// A line per strategy that takes no part somewhere, and reason, cut to the width.
fn unfit(out: &mut String, analysis: &Analysis, width: u16) {
    for line in facts::unfit(analysis).iter().take(MOST_FAILURES) {
        let line = clean(line).split_whitespace().collect::<Vec<_>>().join(" ");
        out.push_str(&cut(&line, usize::from(width)));
        out.push('\n');
    }
}

/// A line per failure, cut to the width: a reason may be a whole page of a program's complaints.
fn failures(out: &mut String, analysis: &Analysis, width: u16) {
    let failures = &analysis.trust.failures;
    for (cell, strategy, reason) in failures.iter().take(MOST_FAILURES) {
        let cell = if cell.is_empty() { String::new() } else { format!(" in {cell}") };
        let line = clean(&format!("!! {strategy} failed{cell}: {reason}"));
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        out.push_str(&cut(&line, usize::from(width)));
        out.push('\n');
    }
    if failures.len() > MOST_FAILURES {
        let more = failures.len() - MOST_FAILURES;
        paragraph(out, &format!("!! and {more} more failed; the reasons stand in the report"), width);
    }
}

/// At most `width` characters of `text`; "…" stands for what is left out.
fn cut(text: &str, width: usize) -> String {
    if text.chars().nth(width).is_none() {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// A row per cell.
fn list(out: &mut String, analysis: &Analysis, width: u16) {
    let tails = analysis.judged_by == Metric::Latency;
    let mut table = new_table(width);
    let mut header: Vec<String> = analysis.axes.iter().map(|axis| label(&axis.param)).collect();
    let speed = match analysis.judged_by {
        Metric::Latency => "its tail (p99)".to_owned(),
        _ => format!("vs {}", analysis.baseline),
    };
    header.extend(["winner".to_owned(), speed, "CPU/task".to_owned()]);
    table.set_header(header);
    for cell in analysis.cells.iter().take(MOST_ROWS) {
        let value =
            |axis: &Axis| cell.params.get(&axis.param).map_or_else(String::new, |v| shown(&axis.param, v));
        let mut row: Vec<String> = analysis.axes.iter().map(value).collect();
        let mut words = clean(&facts::call_words(&facts::call(cell)));
        if let Some(burn) = facts::burn(analysis, cell) {
            words.push_str(&format!(", burns {} the CPU of {}", times(burn.ratio), clean(burn.runner_up)));
        }
        let fastest = cell.verdict.as_ref().and_then(|v| v.winner.as_deref());
        let cost =
            fastest.and_then(|name| facts::stats(analysis, cell, name)).filter(|s| s.cpu_per_task_ns > 0.0);
        if let Some(behind) = facts::behind_words(analysis, cell).filter(|_| tails) {
            words.push_str(&format!("; {}", clean(&behind)));
        }
        row.push(words);
        row.push(facts::score_words(analysis, cell).unwrap_or_else(|| "–".to_owned()));
        row.push(cost.map_or_else(|| "–".to_owned(), |s| Unit::NS.show(s.cpu_per_task_ns)));
        table.add_row(row);
    }
    print(out, &table);
    if analysis.cells.len() > MOST_ROWS {
        let more = analysis.cells.len() - MOST_ROWS;
        paragraph(
            out,
            &format!("{more} more cells stand in the report. {}.", facts::tally(analysis).words()),
            width,
        );
    }
}

/// The winner map in words, in as many pieces side by side as the width needs.
fn map(out: &mut String, analysis: &Analysis, (across, down): (&Axis, &Axis), width: u16) {
    let columns = across.values.len();
    let rows: Vec<&ParamValue> =
        if down.is_numeric() { down.values.iter().rev().collect() } else { down.values.iter().collect() };
    let words: Vec<Vec<String>> = rows
        .iter()
        .map(|y| across.values.iter().map(|x| cell_sign(analysis, (across, x), (down, y))).collect())
        .collect();
    let head = rows.iter().map(|y| shown(&down.param, y).chars().count()).max().unwrap_or(0);
    let head = head.max(label(&down.param).chars().count().min(12));
    let widest = words.iter().flatten().map(|w| w.chars().count()).max().unwrap_or(1);
    let widest =
        widest.max(across.values.iter().map(|x| shown(&across.param, x).chars().count()).max().unwrap_or(1));
    // Three characters of frame per column.
    let fit = (usize::from(width).saturating_sub(head + 4) / (widest + 3)).clamp(1, columns.max(1));
    paragraph(out, &format!("{} to the right, {} upwards", label(&across.param), label(&down.param)), width);
    for start in (0..columns).step_by(fit) {
        let end = (start + fit).min(columns);
        let mut table = new_table(width);
        let mut header = vec![String::new()];
        header.extend(across.values[start..end].iter().map(|x| shown(&across.param, x)));
        table.set_header(header);
        for (y, signs) in rows.iter().zip(&words) {
            let mut row = vec![shown(&down.param, y)];
            row.extend(signs[start..end].iter().cloned());
            table.add_row(row);
        }
        print(out, &table);
    }
    legend(out, analysis, width);
}

/// A cell of the map in a few characters.
fn cell_sign(
    analysis: &Analysis,
    (across, x): (&Axis, &ParamValue),
    (down, y): (&Axis, &ParamValue),
) -> String {
    let here = |cell: &&CellAnalysis| {
        cell.params.get(&across.param) == Some(x) && cell.params.get(&down.param) == Some(y)
    };
    let Some(cell) = analysis.cells.iter().find(here) else { return String::new() };
    let name = |full: &str| clean(short_name(full)).chars().take(12).collect::<String>();
    let speed = facts::score_words(analysis, cell).map_or_else(String::new, |s| format!(" {s}"));
    let burn = if facts::burn(analysis, cell).is_some() { "*" } else { "" };
    let behind = match cell.behind.len() {
        n if n > 0 && analysis.judged_by == Metric::Latency => format!(" ↓{n}"),
        _ => String::new(),
    };
    let sign = match facts::call(cell) {
        Call::Wins(winner) => format!("{}{speed}{burn}", name(winner)),
        Call::Tie(best) => {
            let more = if best.len() > 2 { format!("+{}", best.len() - 2) } else { String::new() };
            let pair: Vec<String> = best.iter().take(2).map(|n| name(n)).collect();
            format!("{}{more}{speed}", pair.join("≈"))
        }
        Call::Leans(winner) => format!("~{}{speed}", name(winner)),
        Call::Undecided(best) => {
            let more = if best.len() > 2 { format!("+{}", best.len() - 2) } else { String::new() };
            let pair: Vec<String> = best.iter().take(2).map(|n| name(n)).collect();
            format!("? {}{more}{speed}", pair.join("/")).trim_end().to_owned()
        }
        Call::Refused(_) => "no verdict".to_owned(),
    };
    format!("{sign}{behind}")
}

/// The signs and short names that occur in a map.
fn legend(out: &mut String, analysis: &Analysis, width: u16) {
    let calls: Vec<Call<'_>> = analysis.cells.iter().map(facts::call).collect();
    let named = |name: &str| {
        calls.iter().any(|call| match call {
            Call::Wins(n) | Call::Leans(n) => *n == name,
            Call::Tie(best) | Call::Undecided(best) => best.iter().take(2).any(|n| *n == name),
            Call::Refused(_) => false,
        })
    };
    let mut parts: Vec<String> = Vec::new();
    for name in analysis.strategies.iter().filter(|name| named(name) && short_name(name) != name.as_str()) {
        parts.push(format!("{} = {name}", short_name(name)));
    }
    let any = |sign: fn(&Call<'_>) -> bool| calls.iter().any(sign);
    let burns = analysis.cells.iter().any(|cell| facts::burn(analysis, cell).is_some());
    let signs = [
        (any(|c| matches!(c, Call::Tie(_))), "A≈B proven tie"),
        (any(|c| matches!(c, Call::Leans(_))), "~A leans"),
        (any(|c| matches!(c, Call::Undecided(_))), "? A/B undecided"),
        (burns, "* burns at least twice the CPU of the runner-up"),
    ];
    parts.extend(signs.into_iter().filter(|(there, _)| *there).map(|(_, words)| words.to_owned()));
    match analysis.judged_by {
        Metric::Latency => {
            parts.push("the time is its tail (p99)".to_owned());
            let behind = analysis.cells.iter().any(|cell| !cell.behind.is_empty());
            parts.extend(behind.then(|| "↓2 two strategies fell behind the load".to_owned()));
        }
        _ => parts.push(format!("× over {}", analysis.baseline)),
    }
    paragraph(out, &parts.join(" · "), width);
}

fn new_table(width: u16) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    table
}

fn print(out: &mut String, table: &Table) {
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn shown(param: &str, value: &ParamValue) -> String {
    clean(&show_param(param, value))
}

/// `text` without control characters, which could steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Words wrapped to `width`; a word that is longer is broken.
fn paragraph(out: &mut String, text: &str, width: u16) {
    let width = usize::from(width);
    let mut used = 0;
    for word in clean(text).split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + letters.len() > width {
            out.push('\n');
            used = 0;
        }
        if used > 0 {
            out.push(' ');
            used += 1;
        }
        for letter in letters {
            if used == width {
                out.push('\n');
                used = 0;
            }
            out.push(letter);
            used += 1;
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for analysis in synthetic::nasty() {
            for width in [60, 80, 120, 200] {
                let outcome = Outcome { analyses: vec![analysis.clone()], env: None, dir: "runs/x".into() };
                let text = render(&outcome, width);
                for line in text.lines() {
                    assert!(
                        line.chars().count() <= usize::from(width),
                        "{} at {width}: {line}",
                        analysis.name
                    );
                }
                assert!(text.ends_with("Report: runs/x/report.html\n"));
            }
        }
    }

    #[test]
    fn wrong_checksums_are_counted_by_cell() {
        let mut run = synthetic::one_axis();
        let wrong = |cell: &str, who: &str| (cell.to_owned(), who.to_owned());
        run.trust.mismatches = vec![wrong("n=1", "b"), wrong("n=1", "c")];
        let text = tables(std::slice::from_ref(&run), 100);
        assert!(text.contains("wrong checksum from b, c in 1 cell: it gets no verdict"), "{text}");
        run.trust.mismatches.push(wrong("n=2", "b"));
        let text = tables(&[run], 100);
        assert!(text.contains("wrong checksum from b, c in 2 cells: they get no verdict"), "{text}");
    }

    #[test]
    fn contamination_names_the_reason_that_was_recorded() {
        let mut run = synthetic::one_axis();
        run.trust.contaminated = true;
        run.trust.disturbance = "the hypervisor took 4.0 % of the CPUs' time".to_owned();
        let text = tables(&[run], 200);
        assert!(
            text.contains("!! contaminated: every block was disturbed (the hypervisor took 4.0 %"),
            "{text}"
        );
        assert!(!text.contains("other work"), "{text}");
    }

    #[test]
    fn failures_with_long_reasons_do_not_flood_the_terminal() {
        let mut run = synthetic::one_axis();
        let page = "Traceback:\n  a line\n\tanother\n".repeat(200);
        let failure = |i: usize| (format!("n={i}"), "external".to_owned(), page.clone());
        run.trust.failures = (0..12).map(failure).collect();
        let text = tables(&[run], 60);
        let told: Vec<&str> = text.lines().filter(|line| line.contains("external failed in")).collect();
        assert_eq!(told.len(), MOST_FAILURES);
        assert!(told.iter().all(|line| line.chars().count() == 60 && line.ends_with('…')), "{told:?}");
        assert!(!text.contains("Traceback: a line another Traceback: a line another Traceback"), "{text}");
        assert!(text.contains("!! and 7 more failed"), "{text}");
        assert_eq!((cut("abc", 3).as_str(), cut("abcd", 3).as_str()), ("abc", "ab…"));
    }

    #[test]
    fn whoever_does_not_fit_is_named_once_for_each_reason_and_calmly() {
        let mut run = synthetic::one_axis();
        let cells: Vec<String> = run.cells.iter().map(|cell| cell.cell.clone()).collect();
        let of =
            |cell: &String, who: &str| (cell.clone(), who.to_owned(), "does not fit: no GPU\n".to_owned());
        run.trust.unfit =
            cells.iter().map(|cell| of(cell, "cuda")).chain([of(&cells[0], "vulkan")]).collect();
        let text = tables(&[run], 100);
        assert!(text.contains("\ncuda does not fit: no GPU (everywhere)\n"), "{text}");
        assert!(text.contains(&format!("\nvulkan does not fit: no GPU ({})\n", cells[0])), "{text}");
        assert!(!text.contains("!!"), "{text}");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let mut run = synthetic::one_axis();
        run.name = "a\u{1b}[31mred\nname".to_owned();
        let text = tables(&[run], 80);
        assert!(!text.contains('\u{1b}') && text.starts_with("a [31mred name:"), "{text}");
    }

    #[test]
    fn the_tables_look_as_they_should() {
        let runs = [
            synthetic::mixed(),
            synthetic::one_axis(),
            synthetic::experiment("one-cell", vec![], &synthetic::SUITE, &synthetic::mixed_cost),
        ];
        insta::assert_snapshot!(tables(&runs, 100));
    }

    #[test]
    fn the_end_tells_the_calibration_and_the_page() {
        let outcome = Outcome { analyses: vec![synthetic::one_axis()], env: None, dir: "runs/x".into() };
        let text = render(&outcome, 100);
        assert!(text.contains("\nNot calibrated on this machine: "), "{text}");
        assert!(text.ends_with("\nReport: runs/x/report.html\n"), "{text}");
    }
}
