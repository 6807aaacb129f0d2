//! What is worth a picture: the slices of a sweep, and the crossings worth a mark.
//!
//! A slice runs along one axis with the other parameters fixed. A sweep has more slices than a reader wants, so
//! they are ranked by how much happens in them; ties keep the order of the sweep, so the choice is deterministic.
use crate::analysis::model::{Analysis, Axis, CellAnalysis};
use crate::facts::{self, Call};
use crate::record::{Crossover, ParamValue, Params, Verdict, VerdictKind};

/// The most pictures of slices per experiment.
const MOST_SLICES: usize = 6;
/// Of these, the most along an axis that is not the main one.
const MOST_ASIDE: usize = 2;
/// The most crossings that one picture marks.
const MOST_MARKS: usize = 3;

/// Cells along one axis.
#[derive(Clone, Debug)]
pub(crate) struct Slice<'a> {
    pub(crate) axis: &'a Axis,
    /// The other parameters.
    pub(crate) fixed: Params,
    /// The cells by ascending value, each with its position: the value itself, or the index of a name.
    pub(crate) cells: Vec<(f64, &'a CellAnalysis)>,
}

/// All slices along `axis`, in the order of the sweep.
fn slices_along<'a>(analysis: &'a Analysis, axis: &'a Axis) -> Vec<Slice<'a>> {
    let numeric = axis.is_numeric();
    let mut slices: Vec<Slice<'a>> = Vec::new();
    for cell in &analysis.cells {
        let Some(value) = cell.params.get(&axis.param) else { continue };
        let index = axis.values.iter().position(|v| v == value).map(|i| i as f64);
        let Some(at) = (if numeric { value.as_f64() } else { index }).filter(|x| x.is_finite()) else {
            continue;
        };
        let mut fixed = cell.params.clone();
        fixed.remove(&axis.param);
        match slices.iter_mut().find(|slice| slice.fixed == fixed) {
            Some(slice) => slice.cells.push((at, cell)),
            None => slices.push(Slice { axis, fixed, cells: vec![(at, cell)] }),
        }
    }
    slices.iter_mut().for_each(|slice| slice.cells.sort_by(|a, b| a.0.total_cmp(&b.0)));
    slices
}

/// The axis that carries most of the experiment: the numeric one with the most values, the first of equals.
pub(crate) fn main_axis(analysis: &Analysis) -> Option<&Axis> {
    let rank = |axis: &&Axis| (axis.is_numeric(), axis.values.len());
    // `max_by_key` keeps the last of equals; the first is wanted.
    analysis.axes.iter().rev().max_by_key(rank)
}

/// The slices worth a picture, the main axis first.
pub(crate) fn telling_slices(analysis: &Analysis) -> Vec<Slice<'_>> {
    let Some(main) = main_axis(analysis) else { return Vec::new() };
    let others =
        analysis.axes.iter().filter(|a| a.param != main.param && a.is_numeric() && a.values.len() > 2);
    let mut aside: Vec<Slice<'_>> = others.flat_map(|axis| slices_along(analysis, axis)).collect();
    // A slice of another axis earns its place with a crossing only.
    aside.retain(|slice| !crossings(analysis, slice).is_empty());
    let aside = most_telling(analysis, aside, MOST_ASIDE);
    let mut slices = most_telling(analysis, slices_along(analysis, main), MOST_SLICES - aside.len());
    slices.extend(aside);
    slices
}

/// The `most` slices in which most happens, in the order of the sweep.
fn most_telling<'a>(analysis: &Analysis, slices: Vec<Slice<'a>>, most: usize) -> Vec<Slice<'a>> {
    let mut ranked: Vec<(usize, f64)> =
        slices.iter().enumerate().map(|(i, slice)| (i, weight(analysis, slice))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(most);
    let mut kept: Vec<usize> = ranked.into_iter().map(|(i, _)| i).collect();
    kept.sort_unstable();
    slices.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, slice)| slice).collect()
}

/// How much happens in a slice: its best crossing, and how often the winner changes.
fn weight(analysis: &Analysis, slice: &Slice<'_>) -> f64 {
    let best = ranked_crossings(analysis, slice).first().map_or(0.0, |(score, _)| *score);
    let proven = |v: &&Verdict| v.verdict == VerdictKind::Wins;
    let winners: Vec<&Option<String>> = slice
        .cells
        .iter()
        .filter_map(|(_, c)| c.verdict.as_ref())
        .filter(proven)
        .map(|v| &v.winner)
        .collect();
    let changes = winners.windows(2).filter(|pair| pair[0] != pair[1]).count();
    best + changes as f64 * 0.5
}

/// The crossings of `slice` worth a mark, the most interesting first.
pub(crate) fn crossings<'a>(analysis: &'a Analysis, slice: &Slice<'_>) -> Vec<&'a Crossover> {
    let ranked = ranked_crossings(analysis, slice);
    let mut kept: Vec<&Crossover> = Vec::new();
    for (score, crossing) in ranked {
        // One that changes the answer, and not where one stands already; otherwise the best one.
        let near = |other: &&Crossover| {
            let (a, b) = (crossing.at.unwrap_or(0.0), other.at.unwrap_or(0.0));
            (a - b).abs() <= 0.1 * a.abs().max(b.abs()) || overlap(crossing.ci, other.ci)
        };
        let telling = kept.is_empty() || score >= ON_ENVELOPE;
        if kept.len() < MOST_MARKS && telling && !kept.iter().any(near) {
            kept.push(crossing);
        }
    }
    kept
}

fn overlap(a: Option<[f64; 2]>, b: Option<[f64; 2]>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a[0] <= b[1] && b[0] <= a[1])
}

/// Score of a crossing at which the fastest strategy of all changes.
const ON_ENVELOPE: f64 = 8.0;
/// What is added for the crossing of [`facts::hero`]: more than any other can have.
const STANDS_FOR_ALL: f64 = 16.0;

/// The crossing that stands for the slice, then those between one core and several that are more likely there than not,
/// with a score, best first.
///
/// Two parallel strategies of nearly the same speed cross wherever the noise takes them; a strategy of others may be of
/// either kind, so it counts as both.
fn ranked_crossings<'a>(analysis: &'a Analysis, slice: &Slice<'_>) -> Vec<(f64, &'a Crossover)> {
    let hero = facts::hero(analysis, &slice.axis.param, &slice.fixed);
    let stands = |c: &Crossover| hero == Some(c);
    let kinds = |c: &Crossover| kind(analysis, &c.from).zip(kind(analysis, &c.to));
    // Two that are proven equal everywhere swap places, but nobody needs to know where.
    let equal = |c: &Crossover, cell: &CellAnalysis| match facts::call(cell) {
        Call::Tie(best) => best.contains(&c.from.as_str()) && best.contains(&c.to.as_str()),
        _ => false,
    };
    let mut ranked: Vec<(f64, &Crossover)> = analysis
        .crossovers
        .iter()
        .filter(|c| c.param == slice.axis.param && c.fixed == slice.fixed && c.p_none <= 0.5)
        .filter(|c| !slice.cells.iter().all(|(_, cell)| equal(c, cell)))
        .filter(|c| stands(c) || kinds(c).is_none_or(|(from, to)| from != to))
        .filter_map(|c| {
            let score = score(analysis, slice, c, c.at.filter(|x| x.is_finite())?)?;
            Some((if stands(c) { score + STANDS_FOR_ALL } else { score }, c))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked
}

/// Whether a strategy runs on one core; `None` where that is not known.
fn kind(analysis: &Analysis, strategy: &str) -> Option<bool> {
    match strategy {
        "sequential" | "event-loop" => Some(true),
        "work-stealing" | "threads" | "thread-per-task" | "blocking-pool" | "processes" => Some(false),
        other => (other == analysis.baseline).then_some(true),
    }
}

/// How interesting a crossing is: where the overall winner changes, against the baseline, well resolved.
fn score(analysis: &Analysis, slice: &Slice<'_>, crossing: &Crossover, at: f64) -> Option<f64> {
    let y = wall_at(analysis, slice, &crossing.from, at)?;
    let least = analysis
        .strategies
        .iter()
        .filter_map(|name| wall_at(analysis, slice, name, at))
        .fold(f64::INFINITY, f64::min);
    let baseline = crossing.from == analysis.baseline || crossing.to == analysis.baseline;
    let narrow = crossing.ci.filter(|ci| ci[0] > 0.0).map_or(0.0, |ci| 1.0 / (1.0 + (ci[1] / ci[0]).ln()));
    let on_envelope = if y <= 1.06 * least { ON_ENVELOPE } else { 0.0 };
    let certain = 1.0 - crossing.p_none;
    Some(on_envelope + if baseline { 1.0 } else { 0.0 } + narrow + certain)
}

/// Wall time of `strategy` at `x`, between the cells of a slice as a straight line on logarithmic axes shows it.
pub(crate) fn wall_at(analysis: &Analysis, slice: &Slice<'_>, strategy: &str, x: f64) -> Option<f64> {
    let dots: Vec<(f64, f64)> = slice
        .cells
        .iter()
        .filter_map(|(at, cell)| Some((*at, facts::stats(analysis, cell, strategy)?.wall_ns)))
        .filter(|(_, y)| *y > 0.0)
        .collect();
    let after = dots.iter().position(|(at, _)| *at >= x)?;
    if dots[after].0 == x || after == 0 {
        return (dots[after].0 == x).then_some(dots[after].1);
    }
    let ((x0, y0), (x1, y1)) = (dots[after - 1], dots[after]);
    let share = if x0 > 0.0 { (x / x0).ln() / (x1 / x0).ln() } else { (x - x0) / (x1 - x0) };
    Some((y0.ln() + share * (y1.ln() - y0.ln())).exp())
}

/// A file name's part that tells slices apart: `wait_us-500`.
pub(crate) fn stem(fixed: &Params) -> String {
    let part = |(param, value): (&String, &ParamValue)| format!("{param}-{value}");
    fixed.iter().map(part).collect::<Vec<_>>().join("_")
}
