//! `summary.md`: the findings of a run as Markdown, to paste into an issue or a README.
//!
//! Data cannot change the layout: what Markdown would read as markup is escaped, line ends become spaces.
use std::fmt::Write as _;

use serde_json::Value;

use crate::analysis::model::{Analysis, CellAnalysis, Metric};
use crate::facts;
use crate::plot::units::{Unit, label, show_param, significant, times};
use crate::plot::{Figure, crossing_words};
use crate::record::Crossover;

/// The most crossovers that the summary lists.
const MOST_CROSSINGS: usize = 12;

/// The summary of one experiment; `figures` are linked as files of `plots/`, `env` is its `env.json`.
#[must_use]
pub fn render(analysis: &Analysis, figures: &[Figure], env: Option<&Value>) -> String {
    let mut out = format!("# {}\n\n", escape(&analysis.name));
    if !analysis.question.is_empty() {
        push(&mut out, &format!("*{}*\n", escape(&analysis.question)));
    }
    push(&mut out, &format!("**{}**\n", escape(&analysis.headline)));
    for warning in facts::warnings(analysis) {
        push(&mut out, &format!("> **{}** {}\n", escape(warning.title), escape(&warning.text)));
    }
    if let Some(first) = figures.first() {
        push(&mut out, &format!("![{}](plots/{}.png)\n", escape(&first.title), first.stem));
    }
    at_a_glance(&mut out, analysis, env);
    // By the metric that leads.
    let led = analysis.led();
    push(&mut out, &format!("{}.\n", escape(&facts::tally(&led).words())));
    winners(&mut out, &led);
    crossings(&mut out, analysis);
    if figures.len() > 1 {
        out.push_str("## Pictures\n\n");
        for figure in &figures[1..] {
            let _ = writeln!(out, "- [{}](plots/{}.png)", escape(&figure.title), figure.stem);
        }
        out.push('\n');
    }
    conditions(&mut out, analysis);
    out
}

fn push(out: &mut String, paragraph: &str) {
    out.push_str(paragraph);
    out.push('\n');
}

/// The numbers to take home, and what speaks for the run.
fn at_a_glance(out: &mut String, analysis: &Analysis, env: Option<&Value>) {
    for fact in facts::at_a_glance(analysis) {
        let _ = writeln!(out, "- {}: **{}** ({})", fact.name, escape(&fact.value), escape(&fact.note));
    }
    let led = analysis.led();
    if let Some(choice) = facts::choice(&led, &facts::ranking(&led)) {
        let _ = writeln!(out, "- {}", escape(&choice));
    }
    for badge in facts::badges(analysis, env) {
        let _ = writeln!(out, "- {}", escape(&badge.long));
    }
    for skipped in facts::skipped(env) {
        let _ = writeln!(out, "- skipped: {}", escape(&skipped));
    }
    for unfit in facts::unfit(analysis) {
        let _ = writeln!(out, "- {}", escape(&unfit));
    }
    out.push('\n');
}

fn winners(out: &mut String, analysis: &Analysis) {
    let mut header: Vec<String> = analysis.axes.iter().map(|axis| escape(&label(&axis.param))).collect();
    header.extend(["verdict".to_owned(), escape(&facts::score_title(analysis)), "CPU per task".to_owned()]);
    let rows = analysis.cells.iter().map(|cell| winner(analysis, cell));
    table(out, &header, rows);
}

fn winner(analysis: &Analysis, cell: &CellAnalysis) -> Vec<String> {
    let value = |param: &String| cell.params.get(param).map_or_else(String::new, |v| show_param(param, v));
    let mut row: Vec<String> = analysis.axes.iter().map(|axis| escape(&value(&axis.param))).collect();
    let mut verdict = escape(&facts::call_words(&facts::call(cell)));
    if let Some(burn) = facts::burn(analysis, cell) {
        let _ = write!(verdict, " (burns {} the CPU of {})", times(burn.ratio), escape(burn.runner_up));
    }
    if let Some(behind) = facts::behind_words(analysis, cell).filter(|_| tails(analysis)) {
        let _ = write!(verdict, "; {}", escape(&behind));
    }
    if let Some(unfit) = facts::unfit_words(analysis, cell) {
        let _ = write!(verdict, "; {}", escape(&unfit));
    }
    row.push(verdict);
    row.push(facts::score_words(analysis, cell).unwrap_or_else(|| "–".to_owned()));
    let fastest = cell.verdict.as_ref().and_then(|v| v.winner.as_deref());
    let cost =
        fastest.and_then(|name| facts::stats(analysis, cell, name)).filter(|s| s.cpu_per_task_ns > 0.0);
    row.push(cost.map_or_else(|| "–".to_owned(), |s| Unit::NS.show(s.cpu_per_task_ns)));
    row
}

/// Whether the cells are judged by latency.
fn tails(analysis: &Analysis) -> bool {
    analysis.judged_by == Metric::Latency
}

fn crossings(out: &mut String, analysis: &Analysis) {
    let mut found: Vec<&Crossover> = analysis.crossovers.iter().filter(|c| c.at.is_some()).collect();
    // Those with the baseline first.
    found.sort_by_key(|c| c.from != analysis.baseline && c.to != analysis.baseline);
    if found.is_empty() {
        return;
    }
    out.push_str("## Crossovers\n\n");
    for crossing in found.iter().take(MOST_CROSSINGS) {
        let fixed = crate::plot::units::describe(&crossing.fixed);
        let with = if fixed.is_empty() { String::new() } else { format!(" With {}.", escape(&fixed)) };
        let _ = writeln!(out, "- {}{with}", escape(&crossing_words(analysis, crossing)));
    }
    if found.len() > MOST_CROSSINGS {
        let _ = writeln!(out, "- {} more stand in crossovers.json", found.len() - MOST_CROSSINGS);
    }
    out.push('\n');
}

fn conditions(out: &mut String, analysis: &Analysis) {
    let t = &analysis.trust;
    if let Some(words) = facts::startup_words(analysis) {
        push(out, &format!("Start-up {words}.\n"));
    }
    let _ = writeln!(
        out,
        "Run {}: up to {} rounds in each of {} process rounds; margin {} %, intervals {} %; foreign load at most {} cores \
         (limit {}); {} of {} samples quarantined.",
        escape(&analysis.run),
        analysis.rounds,
        analysis.process_rounds,
        significant(analysis.margin * 100.0, 3),
        significant(analysis.confidence * 100.0, 3),
        significant(t.foreign_cores_max, 2),
        significant(t.foreign_cores_limit, 2),
        t.quarantined,
        t.samples
    );
}

fn table(out: &mut String, header: &[String], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(out, "| {} |", header.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(header.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
}

/// `text` as Markdown that shows it as it is, on one line.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '!' | '&' => {
                out.push('\\');
                out.push(c);
            }
            // Inside a word an underscore is plain text.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plot, synthetic};

    #[test]
    fn every_row_of_a_table_has_the_columns_of_its_header() {
        for analysis in synthetic::nasty() {
            let text = render(&analysis, &plot::figures(&analysis), None);
            let columns = |line: &str| line.replace("\\|", "").matches('|').count();
            let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
            assert!(rows.iter().all(|row| columns(row) == columns(rows[0])), "{}", analysis.name);
            assert!(!text.contains("<script>"), "{}", analysis.name);
        }
    }

    #[test]
    fn a_wrong_checksum_stands_before_the_winners() {
        let runs = synthetic::nasty();
        let run = runs.iter().find(|a| a.name == "mismatched").unwrap();
        let text = render(run, &[], None);
        let (warning, table) =
            (text.find("Wrong checksum").unwrap(), text.find("| --").or(text.find("|---")).unwrap());
        assert!(warning < table, "{text}");
    }
}
