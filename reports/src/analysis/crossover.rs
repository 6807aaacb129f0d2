//! Where two strategies swap places along a swept parameter.
//!
//! g(x) = median ln(t_B / t_A) is known at the grid points only. **What counts as a crossing**: two grid points at
//! which g is proven to have opposite signs (its interval excludes 0, Holm-adjusted along the line), with nothing
//! proven between them. So noise that wiggles around zero reports nothing, two real crossings report two
//! rows, and a tie in between does not split one crossing in two. The interval comes from the bootstrap: each
//! replicate is a whole line, and its sign changes in the same direction between the two proven points belong to the
//! crossing (else the nearest one outside, up to the next crossing). Where a replicate wiggles through a tie there are
//! several; its first counts for the lower end and its last for the upper one, so that a long tie has a long interval.
//! `p_none` is the share of replicates that have none. A line without a crossing is one row with `at` null,
//! whose `p_none` is the share of replicates without any sign change: near 1 when one side is clearly faster
//! everywhere, small when nothing is known. Where one is proven faster but at an end of the range nothing is, the two may
//! cross at that end or beyond it: no place can be told from one side alone, so the row names that end (`edge`).
//!
//! **Replicates** are widened to the estimate's calibrated half-width (`hierarchy`): their deviations are
//! stretched up to threefold, and what is still missing is a normal deviation shared by the points of the line.
//!
//! **Between the points** the curve is unknown, and on a coarse grid that matters more than noise. Costs a + b·x bend g on
//! a log scale: linear interpolation in log x misses their crossing by up to 8 % where the grid's factor is 3 and by
//! 22 % where it is 6. Hence three curves go through the same points: linear in log x (exact for power laws), the
//! difference of the times linear in x (exact for a + b·x), and a monotone cubic in log x that takes its slopes from
//! the neighbours. `at` is the cubic's median and the interval is the hull of the three, so that it says what the grid
//! does not know; where the grid is refined they agree. How often a 95 % interval covers a true crossing of costs
//! a + b·x at 20, of 100 (the grids, shapes and noise of the calibration test):
//!
//! ```text
//! grid factor   P×R   σ_u    σ_e    linear in log x   linear in x   cubic   hull
//!         3     5×8   0.5 %  1 %          41               96         94     98
//!         3     3×4   0.3 %  0.5 %        33               98         99     99
//!       1.7     3×5   1 %    3 %          98               98         98     98
//!         6     2×4   0      0.2 %         7              100         50    100
//! ```
use crate::analysis::bootstrap::quantile;
use crate::analysis::curve::{self, Axis};
use crate::analysis::hierarchy::tail;
use crate::analysis::holm;
use crate::analysis::index::Index;
use crate::analysis::table::Estimate;
use crate::record::{Crossover, Params};

/// Replicates are stretched at most this much; beyond it their lumps would be the message.
const STRETCH_MAX: f64 = 3.0;

/// The cells along one parameter, the others held fixed.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    param: String,
    fixed: Params,
    /// (value of the parameter, cell), ascending and distinct.
    points: Vec<(f64, usize)>,
}

/// A grid point of a line for one pair of strategies.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    estimate: Estimate,
    /// ln of the first strategy's time.
    level: f64,
    /// g in each replicate.
    replicates: Vec<f32>,
}

impl Point {
    /// Takes the bootstrap's medians and widens them to the estimate's half-width.
    pub(crate) fn new(
        estimate: Estimate,
        level: f64,
        mut medians: Vec<f32>,
        normals: &[f32],
        confidence: f64,
    ) -> Self {
        let Estimate { centre, half, half_bootstrap, .. } = estimate;
        let stretch =
            if half_bootstrap > 0.0 { (half / half_bootstrap).clamp(1.0, STRETCH_MAX) } else { 1.0 };
        let missing = (half.powi(2) - (stretch * half_bootstrap).powi(2)).max(0.0).sqrt();
        let edge = std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(1.0 - confidence);
        let (centre32, stretch, deviation) = (centre as f32, stretch as f32, (missing / edge) as f32);
        for (median, normal) in medians.iter_mut().zip(normals) {
            *median = centre32 + (*median - centre32) * stretch + deviation * normal;
        }
        Self { estimate, level, replicates: medians }
    }
}

/// All lines of a sweep: one for every numeric axis and every combination of the other parameters.
pub(crate) fn lines(index: &Index) -> Vec<Line> {
    let mut lines = Vec::new();
    for axis in index.axes.iter().filter(|axis| axis.is_numeric()) {
        let mut place = std::collections::HashMap::new();
        let first = lines.len();
        for (cell, at) in index.cells.iter().enumerate() {
            let Some(x) = at.params.get(&axis.param).and_then(crate::record::ParamValue::as_f64) else {
                continue;
            };
            let mut fixed = at.params.clone();
            fixed.remove(&axis.param);
            let line = *place.entry(crate::record::cell_name(&fixed)).or_insert_with(|| {
                lines.push(Line { param: axis.param.clone(), fixed, points: Vec::new() });
                lines.len() - 1
            });
            lines[line].points.push((x, cell));
        }
        for line in &mut lines[first..] {
            line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
            line.points.dedup_by(|a, b| a.0 == b.0);
        }
    }
    lines.retain(|line| line.points.len() > 1);
    lines
}

/// A crossing of the medians: the proven points on both sides, and the stretch of the line that belongs to it.
struct Bracket {
    left: usize,
    right: usize,
    window: [usize; 2],
    /// Sign of g on the left: positive where the first strategy is faster there.
    sign: f64,
}

/// The crossovers of a pair along a line; `points` are the pair's estimates by cell.
pub(crate) fn find(
    line: &Line,
    points: &[Option<Point>],
    names: [&String; 2],
    margin: f64,
    confidence: f64,
) -> Vec<Crossover> {
    let (xs, points): (Vec<f64>, Vec<&Point>) =
        line.points.iter().filter_map(|&(x, cell)| Some((x, points[cell].as_ref()?))).unzip();
    if points.len() < 2 {
        return Vec::new();
    }
    let axis = Axis::new(&xs);
    let row = |from: usize, at: Option<f64>, ci: Option<[f64; 2]>, p_none: f64| Crossover {
        metric: "wall".to_owned(),
        param: line.param.clone(),
        fixed: line.fixed.clone(),
        from: names[from].clone(),
        to: names[1 - from].clone(),
        at,
        ci,
        p_none,
        indifference: indifference(&axis, &points, margin.ln_1p(), at.map(|x| axis.place(x))),
        edge: None,
    };
    // Too few rounds prove no point, so they end as a row without `at` like every other line that proves no crossing.
    // Its `p_none` is the share of the replicates all the same, not 1: they are as wide as the model of so few rounds, and
    // where the medians do change sides, 1 would deny it.
    let brackets = brackets(&points, confidence);
    if brackets.is_empty() {
        let total: f64 = points.iter().map(|p| p.estimate.centre).sum();
        let none = row(usize::from(total < 0.0), None, None, share_without_change(&points));
        return vec![Crossover { edge: edge(&xs, &points, confidence), ..none }];
    }
    brackets
        .iter()
        .filter_map(|bracket| {
            let (at, ci, p_none) = locate(&axis, &points, bracket, confidence)?;
            Some(row(usize::from(bracket.sign < 0.0), Some(at), Some(ci), p_none))
        })
        .collect()
}

/// The points at which the sign of g is proven.
fn proven(points: &[&Point], confidence: f64) -> Vec<usize> {
    let p = |point: &&Point| {
        let Estimate { centre, half, .. } = point.estimate;
        if point.estimate.is_enough() { tail(centre.abs(), half, confidence) } else { 1.0 }
    };
    let proven = holm::rejected(&points.iter().map(p).collect::<Vec<_>>(), 1.0 - confidence);
    (0..points.len()).filter(|&i| proven[i]).collect()
}

/// The end of a line without a crossing at which the order is open; of two such ends the one where the medians have
/// changed sides, else the first.
fn edge(xs: &[f64], points: &[&Point], confidence: f64) -> Option<[f64; 2]> {
    let proven = proven(points, confidence);
    let (&first, &last) = (proven.first()?, proven.last()?);
    let end = points.len() - 1;
    let side = points[first].estimate.centre.signum();
    let turned = |i: usize| points[i].estimate.centre.signum() != side;
    let (low, high) = (first > 0, last < end);
    if high && (!low || (turned(end) && !turned(0))) {
        Some([xs[last], xs[end]])
    } else {
        low.then(|| [xs[0], xs[first]])
    }
}

/// Pairs of neighbouring proven points with opposite signs.
fn brackets(points: &[&Point], confidence: f64) -> Vec<Bracket> {
    let proven = proven(points, confidence);
    let mut found: Vec<Bracket> = Vec::new();
    for ends in proven.windows(2) {
        let (left, right) = (ends[0], ends[1]);
        let sign = points[left].estimate.centre.signum();
        if sign == points[right].estimate.centre.signum() {
            continue;
        }
        let from = found.last().map_or(0, |before| before.right);
        if let Some(before) = found.last_mut() {
            before.window[1] = left;
        }
        found.push(Bracket { left, right, window: [from, points.len() - 1], sign });
    }
    found
}

/// The places of one crossing in the replicates: of every curve the first and the last change of sign.
struct Places {
    first: [Vec<f32>; curve::KINDS],
    last: [Vec<f32>; curve::KINDS],
    /// The cubic's middle change.
    middle: Vec<f32>,
}

/// Looks for a crossing in every replicate: between its proven points, else anywhere in its window the nearest.
fn places(axis: &Axis, points: &[&Point], bracket: &Bracket) -> Option<Places> {
    let levels: Vec<f64> = points.iter().map(|p| p.level).collect();
    let mut g: Vec<f64> = points.iter().map(|p| p.estimate.centre).collect();
    let ends = [bracket.left, bracket.right];
    let inside = curve::changes(&g, bracket.sign, ends);
    let expected = *inside.get(inside.len() / 2)?;
    let mut places = Places { first: Default::default(), last: Default::default(), middle: Vec::new() };
    let mut note = |g: &[f64], [first, middle, last]: [usize; 3]| {
        let push = |to: &mut [Vec<f32>; curve::KINDS], segment: usize| {
            let roots = curve::roots(axis, g, &levels, segment);
            for (kind, root) in to.iter_mut().zip(roots) {
                kind.push(root as f32);
            }
            roots[curve::CUBIC] as f32
        };
        let cubic = push(&mut places.first, first);
        let same = first == middle && middle == last;
        push(&mut places.last, last);
        places.middle.push(if same {
            cubic
        } else {
            curve::roots(axis, g, &levels, middle)[curve::CUBIC] as f32
        });
    };
    let replicates = points.iter().map(|p| p.replicates.len()).min().unwrap_or(0);
    if replicates == 0 {
        // None was asked for: the point estimate with the hull of the three curves.
        note(&g, [expected; 3]);
    }
    for b in 0..replicates {
        for (value, point) in g.iter_mut().zip(points) {
            *value = f64::from(point.replicates[b]);
        }
        let changes = curve::changes(&g, bracket.sign, ends);
        if let (Some(&first), Some(&last)) = (changes.first(), changes.last()) {
            note(&g, [first, changes[changes.len() / 2], last]);
        } else {
            let anywhere = curve::changes(&g, bracket.sign, bracket.window);
            if let Some(nearest) = anywhere.into_iter().min_by_key(|segment| segment.abs_diff(expected)) {
                note(&g, [nearest; 3]);
            }
        }
    }
    Some(places)
}

/// The median, interval and share of missing replicates of one crossing.
fn locate(
    axis: &Axis,
    points: &[&Point],
    bracket: &Bracket,
    confidence: f64,
) -> Option<(f64, [f64; 2], f64)> {
    let mut places = places(axis, points, bracket)?;
    let outside = (1.0 - confidence) / 2.0;
    let low = places.first.iter_mut().map(|r| quantile(r, outside)).fold(f64::INFINITY, f64::min);
    let high = places.last.iter_mut().map(|r| quantile(r, 1.0 - outside)).fold(f64::NEG_INFINITY, f64::max);
    let found = places.middle.len();
    if found == 0 {
        return None;
    }
    let at = axis.value(quantile(&mut places.middle, 0.5));
    // lo < at < hi is promised: where all replicates agree, the interval is as wide as single precision is.
    let least = at.abs().max(1e-12) * 1e-6;
    let ci = [axis.value(low).min(at - least), axis.value(high).max(at + least)];
    let replicates = points.iter().map(|p| p.replicates.len()).min().unwrap_or(0);
    let p_none = if replicates == 0 { 0.0 } else { (replicates - found) as f64 / replicates as f64 };
    Some((at, ci, p_none))
}

/// Share of the replicates in which g keeps its sign over the whole line.
fn share_without_change(points: &[&Point]) -> f64 {
    let replicates = points.iter().map(|p| p.replicates.len()).min().unwrap_or(0);
    if replicates == 0 {
        let first = points[0].estimate.centre.signum();
        return f64::from(u8::from(points.iter().all(|p| p.estimate.centre.signum() == first)));
    }
    let keeps = |b: &usize| {
        let (mut above, mut below) = (false, false);
        for point in points {
            above |= point.replicates[*b] > 0.0;
            below |= point.replicates[*b] < 0.0;
        }
        !(above && below)
    };
    (0..replicates).filter(keeps).count() as f64 / replicates as f64
}

/// Where the whole interval of g lies inside ±δ: the stretch around `at`, or the widest one where nothing crosses.
fn indifference(axis: &Axis, points: &[&Point], delta: f64, at: Option<f64>) -> Option<[f64; 2]> {
    let mut zones: Vec<[f64; 2]> = Vec::new();
    for (i, pair) in points.windows(2).enumerate() {
        let [x0, x1] = [axis.places[i], axis.places[i + 1]];
        let (a, b) = (pair[0].estimate, pair[1].estimate);
        // Both edges of the band are straight lines between the points: v0 + s·(v1 - v0) < δ.
        let (mut from, mut to) = (0.0_f64, 1.0_f64);
        for (v0, v1) in [(a.centre + a.half, b.centre + b.half), (a.half - a.centre, b.half - b.centre)] {
            match (v0 < delta, v1 < delta) {
                (true, true) => {}
                (false, false) => to = -1.0,
                (true, false) => to = to.min((delta - v0) / (v1 - v0)),
                (false, true) => from = from.max((v0 - delta) / (v0 - v1)),
            }
        }
        if from < to {
            let zone = [x0 + from * (x1 - x0), x0 + to * (x1 - x0)];
            match zones.last_mut() {
                Some(last) if from == 0.0 && last[1] == x0 => last[1] = zone[1],
                _ => zones.push(zone),
            }
        }
    }
    let chosen = match at {
        Some(at) => zones.into_iter().find(|z| z[0] <= at && at <= z[1]),
        None => zones.into_iter().max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0]))),
    };
    chosen.map(|z| [axis.value(z[0]), axis.value(z[1])]).filter(|z| z[0] < z[1])
}
