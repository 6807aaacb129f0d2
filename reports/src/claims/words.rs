//! Figures, bounds and columns as words: the same in the terminal, in `claims.md` and in `claims.html`.
use super::judge::{Interval, Outcome, called, column, interval};
use super::record::{Column, Must, Row, Test, Unit};
use crate::plot::units::{self, significant};

/// `value` in its unit.
pub(crate) fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Seconds => units::Unit::Time(1_000_000_000).show(value),
        Unit::Times => format!("{}×", significant(value, 3)),
        Unit::Share => format!("{} %", significant(value * 100.0, 3)),
        Unit::Count => units::Unit::Plain.show(value),
        Unit::Bytes => units::Unit::Size(1).show(value),
    }
}

/// How long everything took: `22 min 11 s`.
pub(crate) fn minutes(seconds: f64) -> String {
    if seconds < 60.0 {
        return show(Unit::Seconds, seconds);
    }
    let whole = seconds.round() as u64;
    format!("{} min {} s", whole / 60, whole % 60)
}

fn unit_of(row: &Row, figure: &str) -> Unit {
    row.figures.iter().find(|f| f.name == figure).map_or(Unit::Count, |f| f.unit)
}

/// A figure with its interval: `1.002 s (1.001 s to 1.003 s)`.
pub(crate) fn with_interval(row: &Row, figure: &str, interval: &Interval) -> String {
    let unit = unit_of(row, figure);
    let value = show(unit, interval.value);
    match interval.ci {
        None => format!("{value} (once)"),
        Some([low, high]) if low == high => value,
        Some([low, high]) => {
            let (low, high) = (show(unit, low), show(unit, high));
            // Ends that are rounded to the same digits say all there is to say.
            if low == high { value } else { format!("{value} ({low} to {high})") }
        }
    }
}

/// Whose figure was seen, and what it was: `tokio: growth 7.26× (7× to 7.53×)`; `None` where there is none.
pub(crate) fn seen(row: &Row, outcome: &Outcome) -> Option<String> {
    let figure = &outcome.test.figure;
    let value = with_interval(row, figure, &interval(column(row, outcome.who)?, figure)?);
    Some(format!("{}: {} {value}", called(row, outcome.who), name(figure)))
}

/// A bound in words: `at most 1.1 s`.
pub(crate) fn bound(row: &Row, test: &Test) -> String {
    let unit = unit_of(row, &test.figure);
    match test.must {
        Must::AtMost(high) => format!("at most {}", show(unit, high)),
        Must::AtLeast(low) => format!("at least {}", show(unit, low)),
        Must::Between(low, high) if low == high => show(unit, low),
        Must::Between(low, high) => format!("{} to {}", show(unit, low), show(unit, high)),
    }
}

/// A figure's name for readers.
pub(crate) fn name(figure: &str) -> String {
    figure.replace('_', " ")
}

/// What a column holds, a line per figure, then why something is missing.
pub(crate) fn lines(row: &Row, column: &Column) -> Vec<String> {
    some(row, column, |_| true)
}

/// The same of the peer's column, and of its figures only those that a bound is about: for a table that has little room.
pub(crate) fn peer(row: &Row) -> Vec<String> {
    let Some(peer) = &row.peer else { return Vec::new() };
    let bounds = || row.tests.iter().chain(&peer.tests);
    some(row, &peer.column, |figure| bounds().any(|test| test.figure == figure))
        .into_iter()
        .map(|line| format!("{}: {line}", peer.name))
        .collect()
}

fn some(row: &Row, column: &Column, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    let several = row.figures.len() > 1;
    for figure in row.figures.iter().filter(|figure| wanted(&figure.name)) {
        let Some(interval) = interval(column, &figure.name) else { continue };
        let value = with_interval(row, &figure.name, &interval);
        out.push(if several { format!("{} {value}", name(&figure.name)) } else { value });
    }
    if column.disturbed > 0 {
        let plural = if column.disturbed == 1 { "repeat does" } else { "repeats do" };
        out.push(format!("{} disturbed {plural} not count", column.disturbed));
    }
    if !column.missing.is_empty() {
        out.push(column.missing.clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_units() {
        assert_eq!(show(Unit::Seconds, 1.0021), "1 s");
        assert_eq!(show(Unit::Seconds, 3.5e-7), "350 ns");
        assert_eq!((minutes(12.5), minutes(1331.1)), ("12.5 s".to_owned(), "22 min 11 s".to_owned()));
        assert_eq!(show(Unit::Times, 31.84), "31.8×");
        assert_eq!(show(Unit::Share, 0.081), "8.1 %");
        assert_eq!(show(Unit::Count, 20.0), "20");
        assert_eq!(show(Unit::Bytes, 889.0), "889 B");
    }
}
