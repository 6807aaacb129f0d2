//! "If you must choose one": how far each strategy is from the fastest over the whole sweep, by wall time, or by the tail of its
//! latency where that leads; there, a cell in which a strategy fell behind counts as not measured.
//!
//! Distances are medians against medians in every cell that has a verdict, decided or not; a distance is a description,
//! and proves nothing.
use super::{Call, call, is_plural};
use crate::analysis::model::{Analysis, CellAnalysis, Metric};
use crate::plot::units::{describe, times};

/// One strategy over all cells.
#[derive(Clone, Debug)]
pub(crate) struct Ranked<'a> {
    pub(crate) strategy: &'a str,
    /// Cells in which it was measured.
    pub(crate) cells: usize,
    /// Proven wins.
    pub(crate) wins: usize,
    /// Proven ties that it is part of.
    pub(crate) ties: usize,
    /// Geometric mean of its time over that of the fastest.
    pub(crate) mean: f64,
    /// The largest of these, and where.
    pub(crate) worst: (f64, &'a CellAnalysis),
    /// Geometric mean of its CPU time per task over the least; `None` where none was measured.
    pub(crate) cpu: Option<f64>,
}

/// All strategies, those that were measured everywhere first, then by their mean; empty where there is nothing to choose.
pub(crate) fn ranking(a: &Analysis) -> Vec<Ranked<'_>> {
    let cells: Vec<(usize, &CellAnalysis)> =
        a.cells.iter().enumerate().filter(|(_, cell)| cell.verdict.is_some()).collect();
    if cells.len() < 2 {
        return Vec::new();
    }
    let mut ranked: Vec<Ranked<'_>> =
        a.strategies.iter().enumerate().filter_map(|(i, name)| one(a, name, i, &cells)).collect();
    if ranked.len() < 2 {
        return Vec::new();
    }
    ranked.sort_by(|x, y| y.cells.cmp(&x.cells).then(x.mean.total_cmp(&y.mean)));
    ranked
}

fn one<'a>(
    a: &Analysis,
    strategy: &'a str,
    index: usize,
    cells: &[(usize, &'a CellAnalysis)],
) -> Option<Ranked<'a>> {
    let time = |cell: usize, s: usize| {
        let keeps_up = a.judged_by != Metric::Latency || !a.cells[cell].behind.contains(&s);
        a.figure(a.judged_by, cell, s).filter(|_| keeps_up).map(|stats| stats.median)
    };
    let cost =
        |cell: usize, s: usize| a.cells[cell].stats.get(s)?.as_ref().map(|stats| stats.cpu_per_task_ns);
    let count = a.strategies.len();
    let mut distances =
        cells.iter().filter_map(|(at, cell)| Some((over_least(count, index, |s| time(*at, s))?, *cell)));
    let first = distances.next()?;
    let all: Vec<(f64, &CellAnalysis)> = std::iter::once(first).chain(distances).collect();
    let cpu: Vec<f64> =
        cells.iter().filter_map(|(at, _)| over_least(count, index, |s| cost(*at, s))).collect();
    let (mut wins, mut ties) = (0, 0);
    for (_, cell) in cells {
        match call(cell) {
            Call::Wins(winner) if winner == strategy => wins += 1,
            Call::Tie(best) if best.contains(&strategy) => ties += 1,
            _ => {}
        }
    }
    Some(Ranked {
        strategy,
        cells: all.len(),
        wins,
        ties,
        mean: geometric_mean(all.iter().map(|(ratio, _)| *ratio))?,
        worst: all.iter().copied().fold(first, |a, b| if b.0 > a.0 { b } else { a }),
        cpu: geometric_mean(cpu.into_iter()),
    })
}

/// A figure of one of `count` strategies over the least of all.
fn over_least(count: usize, index: usize, figure: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let least = (0..count).filter_map(&figure).filter(|x| *x > 0.0).reduce(f64::min)?;
    let mine = figure(index)?;
    (mine > 0.0).then_some(mine / least)
}

fn geometric_mean(ratios: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = ratios.len();
    (n > 0).then(|| (ratios.map(f64::ln).sum::<f64>() / n as f64).exp())
}

/// The ranking as one sentence without its full stop.
pub(crate) fn choice(a: &Analysis, ranked: &[Ranked<'_>]) -> Option<String> {
    let best = ranked.first()?;
    let (worst, cell) = best.worst;
    let tails = a.judged_by == Metric::Latency;
    let (is, take) = if is_plural(best.strategy) { ("are", "take") } else { ("is", "takes") };
    let most = match (tails, worst < 1.05) {
        (false, true) => format!(" {is} never more than 5 % from the fastest"),
        (true, true) => ", with a tail never more than 5 % from the shortest".to_owned(),
        (false, false) => {
            format!(
                " {take} at most {} the time of the fastest (at {})",
                times(worst),
                describe(&cell.params)
            )
        }
        (true, false) => {
            format!(", with a tail at most {} the shortest (at {})", times(worst), describe(&cell.params))
        }
    };
    let partly = match (best.cells < a.cells.len(), tails) {
        (false, _) => "",
        (true, false) => " where measured",
        (true, true) => " where it kept up",
    };
    let what = if tails { "median p99 of all cells" } else { "medians of all cells" };
    Some(format!(
        "If you must choose one: {}{most}, {:.2}× on average{partly} ({what}: a ranking, not a proof)",
        best.strategy, best.mean
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn the_ranking_is_by_the_distance_from_the_fastest() {
        let run = synthetic::mixed();
        let ranked = ranking(&run);
        assert_eq!(ranked.len(), run.strategies.len());
        assert!(ranked.windows(2).all(|pair| pair[0].mean <= pair[1].mean));
        assert!(ranked.iter().all(|r| r.mean >= 1.0 && r.worst.0 >= r.mean && r.cells == run.cells.len()));
        let wins: usize = ranked.iter().map(|r| r.wins).sum();
        assert_eq!(wins, crate::facts::tally(&run).wins.iter().map(|(_, n)| n).sum::<usize>());
        assert_eq!(ranked[0].strategy, "work-stealing");
        assert!(choice(&run, &ranked).unwrap().starts_with("If you must choose one: work-stealing "));
    }

    #[test]
    fn who_was_not_measured_everywhere_stands_last_and_nothing_is_ranked_without_verdicts() {
        let find = |name: &str| synthetic::nasty().into_iter().find(|a| a.name == name).unwrap();
        let run = find("missing-strategies");
        let ranked = ranking(&run);
        assert!(ranked.windows(2).all(|pair| pair[0].cells >= pair[1].cells));
        assert!(ranked.last().unwrap().cells < run.cells.len());
        assert!(ranking(&find("contaminated")).is_empty() && ranking(&find("one-cell")).is_empty());
    }
}
