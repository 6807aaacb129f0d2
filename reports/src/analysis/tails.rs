//! The headline under an open load, from the verdicts by latency.
//!
//! All who keep up take the wall time of the arrivals, so the tail tells more: whose is proven the shortest, and who falls behind.
use std::collections::BTreeMap;

use super::headline::{cells, duration, factor, interval, list, number, percent, place, verb};
use crate::analysis::model::{Analysis, CellAnalysis, Metric};
use crate::facts;
use crate::record::{Verdict, VerdictKind};

/// The most groups of strategies of which it is told where they fall behind.
const MOST: usize = 2;

/// The finding, where the tail of the latency leads.
pub(super) fn finding(analysis: &Analysis) -> Option<String> {
    if analysis.leading() != Metric::Latency {
        return None;
    }
    let seen = analysis.led();
    let tasks = if seen.workload == "http" { "requests" } else { "tasks" };
    let load = seen.rate.map_or_else(String::new, |rate| format!("At {} {tasks}/s ", number(rate)));
    let verdicts: Vec<(&CellAnalysis, &Verdict)> =
        seen.cells.iter().filter_map(|c| Some((c, c.verdict.as_ref()?))).collect();
    let all_behind = seen.cells.iter().all(|cell| {
        let measured = cell.stats.iter().flatten().count();
        measured > 0 && cell.behind.len() == measured
    });
    if all_behind {
        return Some(format!("{load}every strategy falls behind"));
    }
    let tails = match verdicts.as_slice() {
        [] => return None,
        [(cell, verdict)] if seen.cells.len() == 1 => single(&seen, cell, verdict),
        many => sweep(&seen, many),
    };
    Some(format!("{load}{tails}; {}", behind(&seen)))
}

/// The tail of the fastest in a cell: `p99 5.41 ms`.
fn p99(seen: &Analysis, cell: &CellAnalysis) -> String {
    facts::tail(seen, cell).map_or_else(String::new, |stats| format!("p99 {}", duration(stats.median)))
}

fn single(seen: &Analysis, cell: &CellAnalysis, verdict: &Verdict) -> String {
    let winner = verdict.winner.as_deref().unwrap_or_default();
    let (has, p99) = (verb(winner, "have", "has"), p99(seen, cell));
    match (verdict.verdict, facts::runner_up(verdict)) {
        (VerdictKind::Wins, None) => format!("only {winner} {}: {p99}", verb(winner, "keep up", "keeps up")),
        (VerdictKind::Wins, Some((other, versus))) => {
            let (longer, ci) = (factor(versus.ratio), interval(seen, versus.ci));
            format!("{winner} {has} the shortest tail: {p99}, that of {other} is {longer} as long ({ci})")
        }
        (VerdictKind::Tie, _) => {
            format!("the tails of {} tie within {}: {p99}", list(&verdict.best), percent(seen.margin))
        }
        (VerdictKind::Leans, _) => {
            format!("{winner} {has} the shortest tail, {p99}, without proof of {}", percent(seen.margin))
        }
        (VerdictKind::Undecided, _) => match &cell.no_verdict {
            Some(reason) => format!("the shortest tail is undecided: {reason}"),
            None => format!("the shortest tail is undecided between {}: {p99} at best", list(&verdict.best)),
        },
    }
}

/// Several cells: whose tail is proven the shortest in most of them, and how long the shortest ones are.
fn sweep(seen: &Analysis, verdicts: &[(&CellAnalysis, &Verdict)]) -> String {
    let total = verdicts.len();
    let mut wins: BTreeMap<&str, Vec<&CellAnalysis>> = BTreeMap::new();
    for (cell, verdict) in verdicts.iter().filter(|(_, v)| v.verdict == VerdictKind::Wins) {
        wins.entry(verdict.winner.as_deref().unwrap_or_default()).or_default().push(cell);
    }
    let mut won: Vec<(&str, Vec<&CellAnalysis>)> = wins.into_iter().collect();
    won.sort_by_key(|(_, cells)| std::cmp::Reverse(cells.len()));
    let all: Vec<&CellAnalysis> = verdicts.iter().map(|(cell, _)| *cell).collect();
    let place = |n: usize| match n == total {
        true => format!("all {}", cells(total)),
        false => format!("{n} of {}", cells(total)),
    };
    let count = |kind: VerdictKind| verdicts.iter().filter(|(_, v)| v.verdict == kind).count();
    match won.as_slice() {
        [] if count(VerdictKind::Tie) == total => {
            let margin = percent(seen.margin);
            format!("the shortest tails tie within {margin} in all {}{}", cells(total), range(seen, &all))
        }
        [] => format!(
            "no strategy's tail is proven the shortest in any of {}{}",
            cells(total),
            range(seen, &all)
        ),
        [(name, theirs), rest @ ..] => {
            let mut words = format!(
                "{name} {} the shortest tail in {}{}",
                verb(name, "have", "has"),
                place(theirs.len()),
                range(seen, theirs)
            );
            if let Some((second, theirs)) = rest.first() {
                words.push_str(&format!(", {second} in {}", theirs.len()));
            }
            words
        }
    }
}

/// The shortest tails of some cells: ` (p99 1.6 ms to 41 ms)`.
fn range(seen: &Analysis, cells: &[&CellAnalysis]) -> String {
    let tails = || cells.iter().filter_map(|cell| Some(facts::tail(seen, cell)?.median));
    let (Some(least), Some(most)) = (tails().reduce(f64::min), tails().reduce(f64::max)) else {
        return String::new();
    };
    match (duration(least), duration(most)) {
        (least, most) if least == most => format!(" (p99 {least})"),
        (least, most) => format!(" (p99 {least} to {most})"),
    }
}

/// Who falls behind, and where: strategies that do so in the same cells are told together.
fn behind(seen: &Analysis) -> String {
    let mut groups: BTreeMap<Vec<usize>, Vec<String>> = BTreeMap::new();
    for (s, name) in seen.strategies.iter().enumerate() {
        let cells: Vec<usize> =
            (0..seen.cells.len()).filter(|&c| seen.cells[c].behind.contains(&s)).collect();
        groups.entry(cells).or_default().push(name.clone());
    }
    groups.remove(&Vec::new());
    let mut groups: Vec<(Vec<usize>, Vec<String>)> = groups.into_iter().collect();
    groups.sort_by_key(|(cells, _)| std::cmp::Reverse(cells.len()));
    if groups.is_empty() {
        return "every strategy keeps up".to_owned();
    }
    let measured = |c: usize| seen.cells[c].stats.iter().any(Option::is_some);
    let told = groups.iter().take(MOST).map(|(chosen, names)| {
        let falls = if names.len() > 1 { "fall" } else { verb(&names[0], "fall", "falls") };
        let place = match seen.cells.len() {
            1 => String::new(),
            _ => format!(" {}", place(seen, chosen, measured)),
        };
        format!("{} {falls} behind{place}", list(names))
    });
    let mut words = told.collect::<Vec<_>>().join(", ");
    let others: usize = groups.iter().skip(MOST).map(|(_, names)| names.len()).sum();
    match others {
        0 => {}
        1 => words.push_str(", 1 other elsewhere"),
        n => words.push_str(&format!(", {n} others elsewhere")),
    }
    words
}
