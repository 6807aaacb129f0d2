//! Which cells are still open, and where a further point would place a crossing better; `adaptive` explains why a look is free.
//!
//! A cell is open by what its verdict is led by: the tail of the latency under an open load, among those that keep up, else the
//! wall time. Crossings are of wall time always.
use std::collections::BTreeSet;

use crate::adaptive::Needs;
use crate::analysis::latency::Tails;
use crate::analysis::pairs::Pairs;
use crate::analysis::stage::Stage;
use crate::analysis::table::{self, Estimate};
use crate::analysis::verdict::{self, Relation};
use crate::record::{Crossover, ParamValue, Params, cell_name};

/// The confidence at which a look counts a cell as decided.
const STRICT: f64 = 0.999;
/// A ratio known to within this share of the margin and still not decided lies on the margin's edge: it is left there.
const ON_THE_EDGE: f64 = 0.25;
/// A crossing is placed well enough when its interval is narrower than this share of it.
const NARROW: f64 = 0.1;
/// A new point keeps this distance from all others, as a share of the value.
const APART: f64 = 0.02;
/// New points in a look.
const POINTS_MAX: usize = 6;

/// What the run behind `stage` should measure next.
pub(crate) fn needs(stage: &Stage<'_>) -> Needs {
    let logs = table::logs(stage.samples, table::wall);
    let pairs = Pairs::new(&stage.context(&logs));
    let mut undecided = if stage.samples.iter().any(|sample| sample.rate.is_some()) {
        let tails = Tails::new(stage);
        let pairs = Pairs::new(&stage.context(&tails.p99));
        open(stage, &pairs, |cell, strategy| !tails.is_behind(cell, strategy))
    } else {
        open(stage, &pairs, |_, _| true)
    };
    let mut refine: Vec<Params> = Vec::new();
    if stage.settings.refine_crossover {
        let mut wide: Vec<(f64, &Crossover)> = pairs
            .crossovers()
            .filter(|c| matters(stage, &pairs, c))
            .filter_map(|c| Some((width(c)?, c)))
            .filter(|(width, _)| *width > NARROW)
            .collect();
        wide.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, crossing) in wide {
            match place(stage, crossing) {
                Some(point) => {
                    if refine.len() < POINTS_MAX && !refine.contains(&point) {
                        refine.push(point);
                    }
                }
                None => undecided.extend(around(stage, crossing)),
            }
        }
    }
    let mut seen = BTreeSet::new();
    undecided.retain(|cell| seen.insert(*cell));
    Needs { undecided: undecided.into_iter().map(|c| stage.index.cells[c].name.clone()).collect(), refine }
}

/// The cells that are open between the strategies that are `compared` there, the most hopeful first.
fn open(stage: &Stage<'_>, pairs: &Pairs, compared: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let effort = |cell: usize| {
        let present: Vec<usize> =
            stage.present[cell].iter().copied().filter(|&strategy| compared(cell, strategy)).collect();
        Some((effort(stage, pairs, cell, &present)?, cell))
    };
    let mut open: Vec<(f64, usize)> = (0..stage.index.cells.len()).filter_map(effort).collect();
    open.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    open.into_iter().map(|(_, cell)| cell).collect()
}

/// The one of the `present` strategies that a cell's verdict is about.
fn candidate(present: &[usize], pairs: &Pairs, cell: usize) -> Option<usize> {
    verdict::candidate(present, |a, b| pairs.estimate(cell, a, b).map(|e| e.centre))
}

/// How many times its data an open cell may take to be decided; `None` where it is decided, may not be judged, or lies on the
/// edge of the margin.
fn effort(stage: &Stage<'_>, pairs: &Pairs, cell: usize, present: &[usize]) -> Option<f64> {
    if stage.integrity.no_verdict[cell].is_some() || present.len() < 2 {
        return None;
    }
    let candidate = candidate(present, pairs, cell)?;
    let mut most: Option<f64> = None;
    for &other in present.iter().filter(|&&other| other != candidate) {
        let one = match pairs.estimate(cell, candidate, other) {
            Some(estimate) if estimate.is_enough() => effort_of(stage, &estimate)?,
            // Nothing can be said yet: one process more, before the others.
            _ => Some(1.0),
        };
        most = [most, one].into_iter().flatten().reduce(f64::max);
    }
    most
}

/// The same for one comparison: `None` where it is too much, `Some(None)` where it is decided.
#[expect(clippy::option_option, reason = "the outer one is used by `?` only")]
fn effort_of(stage: &Stage<'_>, estimate: &Estimate) -> Option<Option<f64>> {
    let settings = stage.settings;
    let edge = |confidence: f64| statrs::function::erf::erfc_inv(1.0 - confidence);
    let half = estimate.half * (edge(STRICT) / edge(settings.confidence)).max(1.0);
    let strict = Estimate { half, ..*estimate };
    if matches!(verdict::relation(&strict, settings.margin), Relation::Slower | Relation::Tie) {
        return Some(None);
    }
    let margin = settings.margin.ln_1p();
    // What is known badly may turn out anywhere.
    let room = (estimate.centre.abs() - margin).abs().max(estimate.half / 2.0);
    (estimate.half > ON_THE_EDGE * margin).then_some(Some((half / room).powi(2)))
}

/// Whether a crossing is worth points: it is the baseline's, or between two strategies that may be the best there.
fn matters(stage: &Stage<'_>, pairs: &Pairs, crossing: &Crossover) -> bool {
    let index = |name: &String| stage.index.strategies.iter().position(|s| s == name);
    let (Some(from), Some(to), Some(at)) = (index(&crossing.from), index(&crossing.to), crossing.at) else {
        return false;
    };
    if crossing.from == stage.baseline || crossing.to == stage.baseline {
        return true;
    }
    let near = line(stage, crossing).into_iter().min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
    let Some((_, cell)) = near else { return false };
    let Some(candidate) = candidate(&stage.present[cell], pairs, cell) else { return false };
    let may_be_best = |s: usize| {
        s == candidate
            || pairs
                .estimate(cell, candidate, s)
                .is_none_or(|e| verdict::relation(&e, stage.settings.margin) != Relation::Slower)
    };
    may_be_best(from) && may_be_best(to)
}

/// The width of a crossing's interval as a share of its place.
fn width(crossing: &Crossover) -> Option<f64> {
    let (at, [low, high]) = (crossing.at?, crossing.ci?);
    Some(if low > 0.0 { high / low - 1.0 } else { (high - low) / at.abs().max(f64::MIN_POSITIVE) })
}

/// The cells of a crossing's line: (value of the parameter, cell), ascending.
fn line(stage: &Stage<'_>, crossing: &Crossover) -> Vec<(f64, usize)> {
    let mut points: Vec<(f64, usize)> = Vec::new();
    for (i, cell) in stage.index.cells.iter().enumerate() {
        let others = cell.params.iter().filter(|(name, _)| **name != crossing.param);
        if let Some(x) = cell.params.get(&crossing.param).and_then(ParamValue::as_f64)
            && others.eq(crossing.fixed.iter())
        {
            points.push((x, i));
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// A new cell within the crossing's interval: its middle, which leaves the least to interpolate, else one of its ends;
/// `None` where the grid is as fine as it may be.
fn place(stage: &Stage<'_>, crossing: &Crossover) -> Option<Params> {
    let [low, high] = crossing.ci?;
    let grid: Vec<f64> = line(stage, crossing).into_iter().map(|(x, _)| x).collect();
    let whole = stage.index.cells.iter().filter_map(|c| c.params.get(&crossing.param));
    let whole = whole.clone().all(|v| matches!(v, ParamValue::Int(_)));
    let middle = if low > 0.0 { (low * high).sqrt() } else { f64::midpoint(low, high) };
    [middle, low, high].into_iter().find_map(|x| {
        let x = if whole { x.round() } else { three_digits(x) };
        let far = |other: &f64| (x - other).abs() >= APART * x.abs().max(other.abs()) && x != *other;
        let inside = grid.first().is_some_and(|&g| g < x) && grid.last().is_some_and(|&g| x < g);
        if !inside || !grid.iter().all(far) {
            return None;
        }
        let value = if whole { ParamValue::Int(x as i64) } else { ParamValue::Float(x) };
        let mut params = crossing.fixed.clone();
        params.insert(crossing.param.clone(), value);
        let name = cell_name(&params);
        stage.index.cells.iter().all(|cell| cell.name != name).then_some(params)
    })
}

fn three_digits(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

/// The cells in and next to the interval of a crossing that noise keeps wide, unless the two are proven equal all over it.
fn around(stage: &Stage<'_>, crossing: &Crossover) -> Vec<usize> {
    let Some([low, high]) = crossing.ci else { return Vec::new() };
    let equal = crossing.indifference.is_some_and(|[from, to]| from <= low && high <= to);
    if equal {
        return Vec::new();
    }
    let points = line(stage, crossing);
    let first = points.partition_point(|p| p.0 < low).saturating_sub(1);
    let last = (points.partition_point(|p| p.0 <= high) + 1).min(points.len());
    points[first..last].iter().map(|p| p.1).filter(|&c| stage.integrity.no_verdict[c].is_none()).collect()
}
