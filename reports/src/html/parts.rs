//! What several sections share: tables, links, and numbers as words.
use serde::Serialize;
use serde_json::Value;

use crate::plot::Table;
use crate::plot::units::significant;
use crate::record::Versus;

/// A table of words with a class per column, by which the style sheet lays it out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Grid {
    header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    kinds: Vec<&'static str>,
}

/// A value with more characters than this may be broken into lines.
const SHORT: usize = 30;

impl From<&Table> for Grid {
    fn from(table: &Table) -> Self {
        Self::of(table.header.clone(), table.rows.clone())
    }
}

impl Grid {
    pub(super) fn new(header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self::of(header.iter().map(|name| (*name).to_owned()).collect(), rows)
    }

    fn of(header: Vec<String>, rows: Vec<Vec<String>>) -> Self {
        let kind = |column: usize| {
            let mut values = rows.iter().filter_map(|row| row.get(column)).filter(|value| *value != "–");
            let wide = values.clone().any(|value| value.chars().count() > SHORT);
            let number = |value: &String| value.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            match (wide, values.all(number)) {
                (true, _) => "wide",
                (false, true) => "num",
                (false, false) => "word",
            }
        };
        let kinds = (0..header.len()).map(kind).collect();
        Self { header, rows, kinds }
    }
}

/// The link to `file` in a run's folder.
pub(super) fn link(folder: &str, file: &str) -> String {
    let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let mut link = String::with_capacity(path.len() + 2);
    for byte in path.bytes() {
        if safe(byte) { link.push(byte as char) } else { link.push_str(&format!("%{byte:02X}")) }
    }
    // A first segment with a colon would be a scheme, one with two slashes a host.
    format!("./{}", link.trim_start_matches('/'))
}

/// A cell's name, or words where nothing is swept.
pub(super) fn or_all(cell: &str) -> &str {
    if cell.is_empty() { "the only cell" } else { cell }
}

/// `text` with every number tied to its unit by a no-break space, and ranges in one piece.
pub(super) fn tied(text: &str) -> String {
    const UNITS: [&str; 13] =
        ["ns", "µs", "ms", "s", "B", "KiB", "MiB", "GiB", "%", "cores", "cells", "of", "–"];
    let mut words = text.split(' ').peekable();
    let mut out = String::with_capacity(text.len());
    while let Some(word) = words.next() {
        out.push_str(word);
        let Some(next) = words.peek() else { break };
        let unit = next.trim_end_matches([',', ';', '.', ')', ':']);
        let number = word.trim_end_matches('×').ends_with(|c: char| c.is_ascii_digit());
        let tied = (number && UNITS.contains(&unit)) || word == "–" || (unit == "–" && UNITS.contains(&word));
        out.push(if tied { '\u{a0}' } else { ' ' });
    }
    out
}

/// What is not known or does not apply.
pub(super) fn dash() -> String {
    "–".to_owned()
}

/// `1.90× (1.80 – 2.00)`.
pub(super) fn with_interval(versus: &Versus) -> String {
    let two = |x: f64| if x < 9.995 { format!("{x:.2}") } else { significant(x, 3) };
    format!("{}× ({} – {})", two(versus.ratio), two(versus.ci[0]), two(versus.ci[1]))
}

pub(super) fn percent(share: f64) -> String {
    format!("{} %", significant((share * 1000.0).round() / 10.0, 3))
}

/// A JSON value without its quotes.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_unit_stay_together() {
        assert_eq!(
            tied("at 20.2 µs (20 µs – 21 µs) of it"),
            "at 20.2\u{a0}µs (20\u{a0}µs\u{a0}–\u{a0}21\u{a0}µs) of it"
        );
        assert_eq!(
            (tied("wins 5 of 30 cells"), tied("a b")),
            ("wins 5\u{a0}of 30\u{a0}cells".into(), "a b".into())
        );
    }

    #[test]
    fn links_stay_inside_the_folder() {
        assert_eq!(link("", "plots/a b.svg"), "./plots/a%20b.svg");
        assert_eq!(link("javascript:x", "a"), "./javascript%3Ax/a");
        assert_eq!(link("//host", "a"), "./host/a");
    }
}
