//! How many cells ended how.
use super::{Call, call, is_plural, wins};
use crate::analysis::model::{Analysis, CellAnalysis, Metric};

/// How many cells ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally<'a> {
    /// Clear wins per strategy, most first.
    pub(crate) wins: Vec<(&'a str, usize)>,
    pub(crate) ties: usize,
    pub(crate) leans: usize,
    pub(crate) undecided: usize,
    pub(crate) refused: usize,
    /// What they are judged by.
    judged_by: Metric,
}

/// Counts the calls of all cells.
pub(crate) fn tally(analysis: &Analysis) -> Tally<'_> {
    tally_of(analysis, &analysis.cells.iter().collect::<Vec<_>>())
}

/// Counts the calls of some cells.
pub(crate) fn tally_of<'a>(analysis: &'a Analysis, cells: &[&CellAnalysis]) -> Tally<'a> {
    let mut tally = Tally { judged_by: analysis.judged_by, ..Tally::default() };
    let mut wins = vec![0_usize; analysis.strategies.len()];
    for cell in cells {
        match call(cell) {
            Call::Wins(winner) => {
                if let Some(at) = analysis.strategies.iter().position(|name| name == winner) {
                    wins[at] += 1;
                }
            }
            Call::Tie(_) => tally.ties += 1,
            Call::Leans(_) => tally.leans += 1,
            Call::Undecided(_) => tally.undecided += 1,
            Call::Refused(_) => tally.refused += 1,
        }
    }
    let counted = analysis.strategies.iter().map(String::as_str).zip(wins);
    tally.wins = counted.filter(|(_, count)| *count > 0).collect();
    tally.wins.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    tally
}

impl Tally<'_> {
    /// `event-loop wins 12 of 30 cells, threads 8; 5 ties, 2 undecided`; by latency, who wins has the shortest tail.
    pub(crate) fn words(&self) -> String {
        let won: usize = self.wins.iter().map(|(_, count)| count).sum();
        let all = won + self.ties + self.leans + self.undecided + self.refused;
        let cells = if all == 1 { "cell" } else { "cells" };
        let mut parts = Vec::new();
        match self.wins.split_first() {
            Some(((first, count), rest)) => {
                let place = match (*count == all, all) {
                    (true, 1) => "the only cell".to_owned(),
                    (true, _) => format!("all {all} cells"),
                    (false, _) => format!("{count} of {all} {cells}"),
                };
                let mut text = match (self.judged_by, is_plural(first)) {
                    (Metric::Latency, true) => format!("{first} have the shortest tail (p99) in {place}"),
                    (Metric::Latency, false) => format!("{first} has the shortest tail (p99) in {place}"),
                    _ => format!("{first} {} {place}", wins(first)),
                };
                for (name, count) in rest.iter().take(2) {
                    text.push_str(&format!(", {name} {count}"));
                }
                let others: usize = rest.iter().skip(2).map(|(_, count)| count).sum();
                if others > 0 {
                    text.push_str(&format!(", others {others}"));
                }
                parts.push(text);
            }
            None if self.refused == all => return format!("no verdict in any of {all} {cells}"),
            None if self.judged_by == Metric::Latency => {
                parts.push(format!("no tail (p99) is clearly the shortest in {all} {cells}"));
            }
            None => parts.push(format!("no clear win in {all} {cells}")),
        }
        let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let others = [
            (self.ties, plural(self.ties, "proven tie", "proven ties")),
            (self.leans, plural(self.leans, "leaning", "leaning")),
            (self.undecided, plural(self.undecided, "undecided", "undecided")),
            (self.refused, plural(self.refused, "without a verdict", "without a verdict")),
        ];
        let others: Vec<String> =
            others.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| words).collect();
        if !others.is_empty() {
            parts.push(others.join(", "));
        }
        parts.join("; ")
    }
}
