//! Memory against the number of tasks: what each further task takes.
//!
//! The slope is Theil and Sen's, the median of the slopes of all pairs of points: a single odd point does not turn it.
use std::collections::BTreeMap;

use crate::analysis::hierarchy::median;
use crate::analysis::model::MemoryLine;
use crate::analysis::stage::Stage;
use crate::record::{ParamValue, cell_name};

/// The lines of every strategy along every numeric axis that changes the number of tasks, where there are two points.
pub(crate) fn analyse(stage: &Stage<'_>) -> Vec<MemoryLine> {
    let index = &stage.index;
    let mut lines = Vec::new();
    for axis in index.axes.iter().filter(|axis| axis.is_numeric()) {
        let mut slices: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut order = Vec::new();
        for (cell, at) in index.cells.iter().enumerate() {
            if at.params.get(&axis.param).and_then(ParamValue::as_f64).is_some() {
                let mut fixed = at.params.clone();
                fixed.remove(&axis.param);
                let name = cell_name(&fixed);
                if !slices.contains_key(&name) {
                    order.push(name.clone());
                }
                slices.entry(name).or_default().push(cell);
            }
        }
        for cells in order.iter().map(|name| &slices[name]) {
            let few = cells.iter().map(|&c| index.cells[c].tasks).min();
            if few == cells.iter().map(|&c| index.cells[c].tasks).max() {
                continue;
            }
            let one = |strategy| line(stage, &axis.param, cells, strategy);
            lines.extend((0..index.strategies.len()).filter_map(one));
        }
    }
    lines
}

fn line(stage: &Stage<'_>, param: &str, cells: &[usize], strategy: usize) -> Option<MemoryLine> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for &cell in cells {
        let series = stage.table.series(cell, strategy);
        let kib: Vec<f64> = series.iter().map(|&(_, i)| stage.samples[i].rss_peak_kib as f64).collect();
        if !kib.is_empty() && median(&kib) > 0.0 {
            points.push((stage.index.cells[cell].tasks as f64, median(&kib)));
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.dedup_by(|a, b| a.0 == b.0);
    let slope = |a: &(f64, f64), b: &(f64, f64)| 1024.0 * (b.1 - a.1) / (b.0 - a.0);
    let all: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(i, a)| points[i + 1..].iter().map(move |b| slope(a, b)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let neighbours = || points.windows(2).map(|w| slope(&w[0], &w[1]));
    let mut fixed = stage.index.cells[*cells.first()?].params.clone();
    fixed.remove(param);
    Some(MemoryLine {
        strategy,
        param: param.to_owned(),
        fixed,
        bytes_per_task: median(&all),
        range: [neighbours().fold(f64::INFINITY, f64::min), neighbours().fold(f64::NEG_INFINITY, f64::max)],
        points,
    })
}
