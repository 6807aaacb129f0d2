//! `claims.md`: the table as Markdown, to paste into an issue or a README.
use std::fmt::Write as _;

use super::judge::judge;
use super::record::{Group, Record, Row};
use super::{Tally, terminal, words};
use crate::markdown::escape;

/// The headings, by whose claims they are.
pub(super) const GROUPS: [(Group, &str, &str); 3] = [
    (Group::Articles, "articles", "What the articles say"),
    (Group::Learned, "learned", "What was learned by trying them"),
    (Group::Public, "public", "What others have published"),
];

/// The whole file.
pub(super) fn render(record: &Record) -> String {
    let mut out = String::from("# Claims put to the test\n\n");
    let _ = writeln!(out, "**{}.**\n", Tally::of(&record.rows).sentence());
    let pass = if record.full { "in full" } else { "in a quick pass" };
    let _ =
        writeln!(out, "Measured {pass} by crossover {}, seed {}.\n", escape(&record.version), record.seed);
    for (group, _, title) in GROUPS {
        let rows: Vec<&Row> = record.rows.iter().filter(|row| row.group == group).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(out, "## {title}\n");
        out.push_str("| id | the claim | CPython here | ours here | verdict |\n|---|---|---|---|---|\n");
        for row in rows {
            let judgement = judge(row);
            let cells = [
                terminal::ids(row),
                terminal::claim(row),
                words::lines(row, &row.cpython).join("; "),
                terminal::ours(row).join("; "),
                terminal::verdict(&judgement, row),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        out.push('\n');
    }
    surprises(&mut out, record);
    out
}

fn surprises(out: &mut String, record: &Record) {
    let mut lines = String::new();
    for row in &record.rows {
        for surprise in judge(row).surprises {
            let _ = writeln!(lines, "- **{}** {}: {}", escape(&row.id), escape(&row.says), escape(&surprise));
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "## Otherwise than expected\n\n{lines}");
    }
}
