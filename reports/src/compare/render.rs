//! A comparison as text, Markdown and JSON.
use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Change, Compared, Comparison, Row};
use crate::plot::units::Unit;

/// Rows of the text that are proven the same are listed up to this many.
const MOST_SAME: usize = 12;

impl Comparison {
    /// For a terminal of `width` columns: what changed first.
    #[must_use]
    pub fn text(&self, width: u16) -> String {
        let mut out =
            format!("A: {}\nB: {}\n", clean(&self.a.to_string_lossy()), clean(&self.b.to_string_lossy()));
        for compared in &self.experiments {
            let _ = writeln!(out, "\n{}: {}", clean(&compared.experiment), compared.tally());
            for line in compared.method() {
                wrapped(&mut out, &line, width);
            }
            for warning in &compared.warnings {
                wrapped(&mut out, &format!("!! {}", clean(warning)), width);
            }
            let rows = compared.sorted();
            let same = rows.iter().filter(|row| row.change == Change::Same).count();
            let hidden = if same > MOST_SAME { same } else { 0 };
            let shown: Vec<&Row> = rows[..rows.len() - hidden].to_vec();
            if !shown.is_empty() {
                let mut table = table(&shown);
                table.load_style(presets::NOTHING).set_width(width.max(60));
                let _ = writeln!(out, "{}", table.trim_fmt());
            }
            if hidden > 0 {
                let _ = writeln!(out, "  {hidden} rows that are proven the same are in --format json and md");
            }
            for what in &compared.unmatched {
                wrapped(&mut out, &format!("not compared: {}", clean(what)), width);
            }
        }
        for what in &self.unmatched {
            let _ = writeln!(out, "\nnot compared: {}", clean(what));
        }
        out
    }

    /// As Markdown, with every row.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::from("# Two runs compared\n\n");
        let _ = writeln!(
            out,
            "- A: `{}`\n- B: `{}`",
            clean(&self.a.to_string_lossy()),
            clean(&self.b.to_string_lossy())
        );
        for compared in &self.experiments {
            let _ = writeln!(out, "\n## {}\n\n{}\n", clean(&compared.experiment), compared.tally());
            for line in compared.method() {
                let _ = writeln!(out, "{line}");
            }
            let notes = compared.warnings.iter().map(|w| format!("- differs: {}", clean(w)));
            let missing = compared.unmatched.iter().map(|u| format!("- not compared: {}", clean(u)));
            for (i, line) in notes.chain(missing).enumerate() {
                let _ = writeln!(out, "{}{line}", if i == 0 { "\n" } else { "" });
            }
            if !compared.rows.is_empty() {
                let mut table = table(&compared.sorted());
                table
                    .load_style(presets::ASCII_MARKDOWN)
                    .set_content_arrangement(ContentArrangement::Disabled);
                let _ = writeln!(out, "\n{table}");
            }
        }
        for what in &self.unmatched {
            let _ = writeln!(out, "\nNot compared: {}", clean(what));
        }
        out
    }

    /// As JSON, with every row in the order of A.
    #[must_use]
    pub fn json(&self) -> String {
        // Strings, numbers and lists only: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl Compared {
    /// `2 regressions, 1 improvement, 3 undecided, 9 the same`.
    fn tally(&self) -> String {
        if self.rows.is_empty() {
            return "nothing to compare".to_owned();
        }
        let plural = |n: usize, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
        [
            plural(self.count(Change::Regression), "regression", "regressions"),
            plural(self.count(Change::Improvement), "improvement", "improvements"),
            format!("{} undecided", self.count(Change::Undecided)),
            format!("{} proven the same", self.count(Change::Same)),
        ]
        .join(", ")
    }

    /// How the verdicts came about.
    fn method(&self) -> Vec<String> {
        let percent = |share: f64| format!("{} %", (share * 1e4).round() / 100.0);
        let sd = percent(self.between_runs_sd);
        let source = if self.calibrated {
            "calibrated on this machine"
        } else {
            "assumed, which lets little be proven the same; a full crossover calibrate measures it"
        };
        let mut lines = vec![format!(
            "B / A with {} intervals, margin {}; widened for what differs between runs of one program: {sd} ({source}).",
            percent(self.confidence),
            percent(self.margin),
        )];
        if let Some(base) = self.rows.iter().find_map(|row| row.against.as_ref()) {
            lines.push(format!(
                "Rows marked * are judged by their ratio to {}, which cancels what touches both alike.",
                clean(base)
            ));
        }
        lines
    }

    /// Regressions first, the largest change first within each kind.
    fn sorted(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by(|a, b| a.change.cmp(&b.change).then(b.ratio.ln().abs().total_cmp(&a.ratio.ln().abs())));
        rows
    }
}

fn table(rows: &[&Row]) -> Table {
    let mut table = Table::new();
    table.set_header(["", "cell", "strategy", "A", "B", "B / A", "interval"]);
    for row in rows {
        let word = match row.change {
            Change::Regression => "regression",
            Change::Improvement => "improvement",
            Change::Undecided => "undecided",
            Change::Same => "same",
        };
        let mark = if row.against.is_some() { "*" } else { "" };
        table.add_row([
            word.to_owned(),
            clean(&row.cell),
            clean(&row.strategy),
            time(row.wall_ns[0]),
            time(row.wall_ns[1]),
            format!("{:.3}{mark}", row.ratio),
            format!("{:.3}–{:.3}", row.ci[0], row.ci[1]),
        ]);
    }
    for column in 3..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn time(ns: f64) -> String {
    Unit::Time(1).show(ns)
}

/// A paragraph, indented and wrapped to `width`; a word that is longer stays whole.
fn wrapped(out: &mut String, text: &str, width: u16) {
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > usize::from(width) {
            out.push('\n');
            used = 0;
        }
        out.push_str(if used == 0 { "  " } else { " " });
        out.push_str(word);
        used += length + if used == 0 { 2 } else { 1 };
    }
    out.push('\n');
}

/// `text` without control characters, which could steer the terminal, and without what ends a cell of a table.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '|' { ' ' } else { c }).collect()
}
