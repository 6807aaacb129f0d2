//! What can be said about a cell: the call, the speed-up over the baseline, what the win costs.
//!
//! Pictures, tables and prose all ask here, so that they cannot contradict each other. Nothing is computed from
//! samples; everything follows from the [`Analysis`].
use crate::analysis::model::{Analysis, CellAnalysis, StrategyStats};
use crate::plot::units::{describe, times};
use crate::record::{Verdict, VerdictKind, Versus};

/// A win that burns at least this many times the CPU of the runner-up is marked.
pub(crate) const BURN: f64 = 2.0;

/// The outcome of a cell, with the names in the order in which they are shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call<'a> {
    /// Proven fastest.
    Wins(&'a str),
    /// Proven equal, the faster first.
    Tie(Vec<&'a str>),
    /// Faster, by less than what is proven to matter.
    Leans(&'a str),
    /// Nothing is proven; these may be the best, the faster first.
    Undecided(Vec<&'a str>),
    /// There may be no verdict, for this reason.
    Refused(&'a str),
}

/// What the cell says.
pub(crate) fn call(cell: &CellAnalysis) -> Call<'_> {
    let Some(verdict) = &cell.verdict else {
        return Call::Refused(cell.no_verdict.as_deref().unwrap_or("no usable samples"));
    };
    let best = in_order(verdict);
    match (verdict.verdict, verdict.winner.as_deref().or_else(|| best.first().copied())) {
        (VerdictKind::Wins, Some(winner)) => Call::Wins(winner),
        (VerdictKind::Leans, Some(winner)) => Call::Leans(winner),
        (VerdictKind::Tie, Some(_)) => Call::Tie(best),
        _ => Call::Undecided(best),
    }
}

/// The best strategies, the winner first, the others by how close they are.
fn in_order(verdict: &Verdict) -> Vec<&str> {
    let ratio = |name: &str| verdict.versus.get(name).map_or(f64::INFINITY, |versus| versus.ratio);
    let winner = verdict.winner.as_deref();
    let mut rest: Vec<&str> =
        verdict.best.iter().map(String::as_str).filter(|name| Some(*name) != winner).collect();
    rest.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    winner.into_iter().chain(rest).collect()
}

/// The call as words: `threads wins`, `threads ≈ event-loop`.
pub(crate) fn call_words(call: &Call<'_>) -> String {
    match call {
        Call::Wins(winner) => format!("{winner} wins"),
        Call::Tie(best) => format!("tie: {}", best.join(" ≈ ")),
        Call::Leans(winner) => format!("leans {winner}"),
        Call::Undecided(best) if best.is_empty() => "undecided".to_owned(),
        Call::Undecided(best) => format!("undecided: {}", best.join(", ")),
        Call::Refused(reason) => format!("no verdict: {reason}"),
    }
}

/// How much faster the winner is than the baseline, where the winner is another one.
pub(crate) fn speed_up<'a>(analysis: &Analysis, cell: &'a CellAnalysis) -> Option<&'a Versus> {
    cell.verdict.as_ref()?.versus.get(&analysis.baseline)
}

/// The speed-up as it stands in pictures: `23.9×`; the baseline's own is `1.0×`.
pub(crate) fn speed_up_words(analysis: &Analysis, cell: &CellAnalysis) -> Option<String> {
    let verdict = cell.verdict.as_ref()?;
    if verdict.winner.as_deref() == Some(analysis.baseline.as_str()) {
        return Some(times(1.0));
    }
    speed_up(analysis, cell).map(|versus| times(versus.ratio))
}

/// The closest rival of the winner.
pub(crate) fn runner_up(verdict: &Verdict) -> Option<(&str, &Versus)> {
    let closest = verdict.versus.iter().min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio));
    closest.map(|(name, versus)| (name.as_str(), versus))
}

/// The figures of `strategy` in `cell`.
pub(crate) fn stats<'a>(
    analysis: &Analysis,
    cell: &'a CellAnalysis,
    strategy: &str,
) -> Option<&'a StrategyStats> {
    let index = analysis.strategies.iter().position(|name| name == strategy)?;
    cell.stats.get(index)?.as_ref()
}

/// A win that is paid for with CPU time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Burn<'a> {
    pub(crate) winner: &'a str,
    pub(crate) runner_up: &'a str,
    /// CPU time per task of the winner over that of the runner-up.
    pub(crate) ratio: f64,
}

/// The burn of `cell`, where its win is clear and costs at least [`BURN`] times the runner-up's CPU time.
pub(crate) fn burn<'a>(analysis: &Analysis, cell: &'a CellAnalysis) -> Option<Burn<'a>> {
    let Call::Wins(winner) = call(cell) else { return None };
    let (runner_up, _) = runner_up(cell.verdict.as_ref()?)?;
    let cost = |name: &str| stats(analysis, cell, name).map(|s| s.cpu_per_task_ns).filter(|c| *c > 0.0);
    let ratio = cost(winner)? / cost(runner_up)?;
    (ratio >= BURN).then_some(Burn { winner, runner_up, ratio })
}

/// The cell as words, or `all` where nothing is swept.
pub(crate) fn cell_words(cell: &CellAnalysis) -> String {
    if cell.params.is_empty() { "all".to_owned() } else { describe(&cell.params) }
}

/// How many cells ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally<'a> {
    /// Clear wins per strategy, most first.
    pub(crate) wins: Vec<(&'a str, usize)>,
    pub(crate) ties: usize,
    pub(crate) leans: usize,
    pub(crate) undecided: usize,
    pub(crate) refused: usize,
}

/// Counts the calls of all cells.
pub(crate) fn tally(analysis: &Analysis) -> Tally<'_> {
    tally_of(analysis, &analysis.cells.iter().collect::<Vec<_>>())
}

/// Counts the calls of some cells.
pub(crate) fn tally_of<'a>(analysis: &'a Analysis, cells: &[&CellAnalysis]) -> Tally<'a> {
    let mut tally = Tally::default();
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
    /// `event-loop wins 12 of 30 cells, threads 8; 5 ties, 2 undecided`.
    pub(crate) fn words(&self) -> String {
        let won: usize = self.wins.iter().map(|(_, count)| count).sum();
        let all = won + self.ties + self.leans + self.undecided + self.refused;
        let cells = if all == 1 { "cell" } else { "cells" };
        let mut parts = Vec::new();
        match self.wins.split_first() {
            Some(((first, count), rest)) => {
                let mut text = format!("{first} wins {count} of {all} {cells}");
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
