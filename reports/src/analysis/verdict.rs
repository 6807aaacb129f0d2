//! Who wins a cell.
//!
//! Two strategies compare in one of four ways, by the interval of r = ln(t_slower / t_faster) and the margin
//! δ: *slower* (wholly above ln(1+δ)), *tie* (wholly inside ±ln(1+δ)), *leans* (excludes 0 and crosses δ), *undecided*
//! (anything else). With fewer than two processes or four pairs everything is undecided.
//!
//! A cell's candidate is the strategy that is faster than most others by the medians. Its comparisons with the
//! others make the verdict, word for word as the table says:
//! - all others *slower*: it **wins**;
//! - otherwise, of those that are not slower: all *tie*: a proven **tie**; any *undecided*: **undecided**; else **leans**.
//!
//! By latency under an open load, a strategy that falls behind counts as slower than all that keep up, whatever its percentiles:
//! its queue grows as long as the run is, so they say nothing. It is no candidate, has no ratio, and is never among the best. Who
//! alone keeps up **wins**. Where falling behind, or the candidate's keeping up, is not itself proven (the interval of the pace
//! holds the limit), the cell is **undecided**.
//!
//! `best` is the candidate and every strategy not proven slower than it by more than the margin, where "proven" is
//! Holm-adjusted over all comparisons of all cells. Only a win, which rests on its own cell's intervals, has the winner
//! alone whatever the other cells say.
use std::collections::BTreeMap;

use crate::analysis::hierarchy::tail;
use crate::analysis::holm;
use crate::analysis::index::Cell;
use crate::analysis::model::Metric;
use crate::analysis::table::{Estimate, PAIRS_MIN, PROCESSES_MIN};
use crate::record::{Verdict, VerdictKind, Versus};

/// Why one process proves nothing, however many rounds it ran.
pub(crate) const ONE_PROCESS: &str = "only one process round: at least two are needed";

/// How a strategy compares with the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Slower,
    Tie,
    Leans,
    Undecided,
}

/// How a strategy bears an open load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Whether it falls behind.
    pub(crate) behind: bool,
    /// Whether that, or its keeping up, is proven.
    pub(crate) proven: bool,
}

impl Default for Pace {
    /// Without an open load, everybody keeps up.
    fn default() -> Self {
        Self { behind: false, proven: true }
    }
}

/// Compares by the interval of ln(t_other / t_candidate).
pub(crate) fn relation(estimate: &Estimate, margin: f64) -> Relation {
    let delta = margin.ln_1p();
    let (low, high) = (estimate.centre - estimate.half, estimate.centre + estimate.half);
    if !estimate.is_enough() {
        Relation::Undecided
    } else if low > delta {
        Relation::Slower
    } else if high < delta && low > -delta {
        Relation::Tie
    } else if low > 0.0 || high < 0.0 {
        Relation::Leans
    } else {
        Relation::Undecided
    }
}

/// A cell's verdict, or why it has none or can have no more than "undecided".
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) verdict: Option<Verdict>,
    pub(crate) reason: Option<String>,
}

struct Comparison {
    cell: usize,
    other: usize,
    /// `None` where no block has both.
    estimate: Option<Estimate>,
}

impl Comparison {
    fn enough(&self) -> Option<&Estimate> {
        self.estimate.as_ref().filter(|e| e.is_enough())
    }
}

/// What the cells of a run are judged by, and how.
pub(crate) struct Bench<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) strategies: &'a [String],
    /// By cell: the strategies that are compared, those with usable samples.
    pub(crate) present: &'a [Vec<usize>],
    /// By cell and strategy, where strategies must keep up with a load; those behind are not `present`.
    pub(crate) paces: Option<&'a [Vec<Pace>]>,
    /// By cell: why it may not be judged.
    pub(crate) reasons: &'a [Option<String>],
    pub(crate) metric: Metric,
    pub(crate) margin: f64,
    pub(crate) confidence: f64,
}

impl Bench<'_> {
    /// The strategies that fall behind in a cell, with whether that is proven.
    fn behind(&self, cell: usize) -> impl Iterator<Item = (usize, bool)> {
        let paces = self.paces.and_then(|paces| paces.get(cell)).into_iter().flatten().enumerate();
        paces.filter(|(_, pace)| pace.behind).map(|(s, pace)| (s, pace.proven))
    }

    /// Whose pace in a cell, of the candidate and of those that fall behind, is not proven.
    fn unproven(&self, cell: usize, candidate: usize) -> Option<String> {
        let open = |s: usize, verb: &str| format!("not proven that {} {verb} the load", self.strategies[s]);
        let (keeps, falls) = ("keeps up with", "falls behind");
        let pace = self.paces.and_then(|paces| paces.get(cell)?.get(candidate));
        match pace.filter(|pace| !pace.proven) {
            Some(_) => Some(open(candidate, keeps)),
            None => self.behind(cell).find(|(_, proven)| !proven).map(|(s, _)| open(s, falls)),
        }
    }
}

/// Judges every cell by its candidate and the candidate's comparisons; `estimate(cell, a, b)` is ln(t_b / t_a).
pub(crate) fn judge(
    bench: &Bench<'_>,
    candidate: impl Fn(usize) -> Option<usize>,
    estimate: impl Fn(usize, usize, usize) -> Option<Estimate>,
) -> Vec<Judged> {
    let cells = bench.cells.len();
    let mut judged = vec![Judged::default(); cells];
    let mut candidates = vec![None; cells];
    let mut comparisons: Vec<Comparison> = Vec::new();
    for cell in 0..cells {
        let present = &bench.present[cell];
        let alone = || match (bench.behind(cell).count(), present.len()) {
            (0, _) => lonely(present, bench.strategies),
            (1, 0) => Some("the only strategy falls behind the load".to_owned()),
            (_, 0) => Some("every strategy falls behind the load".to_owned()),
            _ => None,
        };
        judged[cell].reason = bench.reasons[cell].clone().or_else(alone);
        if judged[cell].reason.is_some() {
            continue;
        }
        let Some(candidate) = candidate(cell) else { continue };
        candidates[cell] = Some(candidate);
        comparisons.extend(present.iter().filter(|&&other| other != candidate).map(|&other| {
            let estimate = estimate(cell, candidate, other);
            Comparison { cell, other, estimate }
        }));
    }
    let slower = proven_slower(&comparisons, bench.margin, bench.confidence);
    let mut rest = comparisons.as_slice();
    let mut proven = slower.as_slice();
    for cell in 0..cells {
        let count = rest.iter().take_while(|c| c.cell == cell).count();
        let (here, later) = rest.split_at(count);
        let (slower, unread) = proven.split_at(count);
        (rest, proven) = (later, unread);
        if let Some(candidate) = candidates[cell] {
            judged[cell] = one(bench, cell, candidate, here, slower);
        }
    }
    judged
}

fn lonely(present: &[usize], strategies: &[String]) -> Option<String> {
    match present {
        [] => Some("no usable sample".to_owned()),
        [one] => Some(format!("only {} was measured", strategies[*one])),
        _ => None,
    }
}

/// The strategy that is faster than most others by the medians of the pairs; the earlier one where two are level.
/// `centre(a, b)` is the median of ln(t_b / t_a).
pub(crate) fn candidate(present: &[usize], centre: impl Fn(usize, usize) -> Option<f64>) -> Option<usize> {
    let score = |a: usize| -> (usize, f64) {
        let centres = present.iter().filter_map(|&b| centre(a, b));
        centres.fold((0, 0.0), |(wins, sum), centre| (wins + usize::from(centre > 0.0), sum + centre))
    };
    let scored = present.iter().map(|&a| (a, score(a)));
    scored.reduce(|x, y| if (y.1.0, y.1.1) > (x.1.0, x.1.1) { y } else { x }).map(|(a, _)| a)
}

/// Which comparisons prove "slower by more than the margin" when all of them are claimed together.
fn proven_slower(comparisons: &[Comparison], margin: f64, confidence: f64) -> Vec<bool> {
    let p = |c: &Comparison| match c.enough() {
        Some(e) if e.centre > margin.ln_1p() => tail(e.centre - margin.ln_1p(), e.half, confidence),
        _ => 1.0,
    };
    holm::rejected(&comparisons.iter().map(p).collect::<Vec<_>>(), 1.0 - confidence)
}

fn one(
    bench: &Bench<'_>,
    index: usize,
    candidate: usize,
    comparisons: &[Comparison],
    slower: &[bool],
) -> Judged {
    let (cell, strategies, margin) = (&bench.cells[index], bench.strategies, bench.margin);
    let unproven = bench.unproven(index, candidate);
    let relations: Vec<Relation> = comparisons
        .iter()
        .map(|c| c.estimate.map_or(Relation::Undecided, |e| relation(&e, margin)))
        .chain(bench.behind(index).map(|_| Relation::Slower))
        .chain(unproven.iter().map(|_| Relation::Undecided))
        .collect();
    let any = |r: Relation| relations.contains(&r);
    let verdict =
        if !any(Relation::Tie) && !any(Relation::Leans) && !any(Relation::Undecided) && !relations.is_empty()
        {
            VerdictKind::Wins
        } else if any(Relation::Undecided) || relations.is_empty() {
            VerdictKind::Undecided
        } else if any(Relation::Leans) {
            VerdictKind::Leans
        } else {
            VerdictKind::Tie
        };
    let mut best = vec![candidate];
    if verdict != VerdictKind::Wins {
        best.extend(comparisons.iter().zip(slower).filter(|(_, proven)| !**proven).map(|(c, _)| c.other));
        best.sort_unstable();
    }
    let versus: BTreeMap<String, Versus> = comparisons
        .iter()
        .filter_map(|c| {
            let Estimate { centre, half, .. } = c.estimate?;
            let ci = [(centre - half).exp(), (centre + half).exp()];
            Some((strategies[c.other].clone(), Versus { ratio: centre.exp(), ci }))
        })
        .collect();
    let short = comparisons.iter().find(|c| c.enough().is_none());
    Judged {
        verdict: Some(Verdict {
            cell: cell.name.clone(),
            params: cell.params.clone(),
            metric: bench.metric.name().to_owned(),
            verdict,
            winner: Some(strategies[candidate].clone()),
            best: best.into_iter().map(|s| strategies[s].clone()).collect(),
            versus,
        }),
        reason: short
            .map(|c| {
                let (pairs, processes) = c.estimate.map_or((0, 0), |e| (e.pairs, e.processes));
                if processes == 1 {
                    return ONE_PROCESS.to_owned();
                }
                format!(
                    "too few rounds: {pairs} pairs with {} from {processes} processes; a verdict needs {PAIRS_MIN} from {PROCESSES_MIN}",
                    strategies[c.other]
                )
            })
            .or(unproven),
    }
}
