//! The claims on a terminal: a table of what is said, what was seen, and the verdict.
use comfy_table::{ContentArrangement, Table, presets};

use super::judge::{Judgement, called, judge, word};
use super::record::{Kind, Record, Row, Verdict, Whose};
use super::{Tally, words};

/// The narrowest terminal that is laid out for.
const NARROWEST: u16 = 60;

/// The table for a terminal of `width` columns, and a sentence that counts the verdicts.
#[must_use]
pub fn render(record: &Record, width: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width.max(NARROWEST))
        .set_header(["id", "the claim", "CPython here", "ours here", "verdict"]);
    let mut surprises = String::new();
    for row in &record.rows {
        let judgement = judge(row);
        for surprise in &judgement.surprises {
            surprises += &format!("  {}: {surprise}\n", row.id);
        }
        table.add_row([
            ids(row),
            claim(row),
            words::lines(row, &row.cpython).join("\n"),
            ours(row).join("\n"),
            verdict(&judgement, row),
        ]);
    }
    let mut out = format!("{table}\n\n{}\n", Tally::of(&record.rows).sentence());
    if !surprises.is_empty() {
        out += &format!("\nOtherwise than expected:\n{surprises}");
    }
    out
}

/// `16, 59`.
pub(super) fn ids(row: &Row) -> String {
    std::iter::once(&row.id).chain(&row.also).cloned().collect::<Vec<_>>().join(", ")
}

/// What is claimed, with its figure.
pub(super) fn claim(row: &Row) -> String {
    if row.cited.is_empty() { row.says.clone() } else { format!("{}: {}", row.says, row.cited) }
}

/// Our column: figures, then facts, then what the project did that the claim is about.
pub(super) fn ours(row: &Row) -> Vec<String> {
    let mut out = words::lines(row, &row.ours);
    for check in &row.checks {
        let sign = match check.holds {
            Some(true) => "holds",
            Some(false) => "DOES NOT HOLD",
            None => "not checked",
        };
        out.push(format!("{sign}: {}", check.detail));
    }
    out.extend(words::peer(row));
    out
}

/// The verdict in words; everybody's, where they differ.
pub(super) fn verdict(judgement: &Judgement, row: &Row) -> String {
    if row.kind == Kind::Qualitative && judgement.verdict == Verdict::NotDecided {
        return "not decided: a judgement".to_owned();
    }
    let peer = judgement.peer.map(|verdict| (Whose::Peer, verdict));
    let cpython = judgement.cpython.map(|verdict| (Whose::Cpython, verdict));
    let all: Vec<_> = peer.into_iter().chain([(Whose::Ours, judgement.ours)]).chain(cpython).collect();
    if all.iter().all(|(_, verdict)| *verdict == judgement.verdict) {
        return word(judgement.verdict).to_owned();
    }
    let one = |(who, verdict): &(Whose, Verdict)| format!("{}: {}", called(row, *who), word(*verdict));
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}
