//! Where the time of the traced runs went, as a table beside the pictures.
use super::parts::{Grid, dash};
use crate::analysis::model::Analysis;
use crate::plot::units::{Unit, describe, significant};
use crate::record::{Breakdown, Timeline};

/// A row per traced run that tells; the fastest of a cell first, cells in the order of the file.
pub(super) fn breakdowns(a: &Analysis) -> Grid {
    let told = a.timelines.iter().filter_map(|t| Some((t, t.breakdown.as_ref()?)));
    let mut told: Vec<(&Timeline, &Breakdown)> = told.filter(|(t, _)| t.wall_ns > 0).collect();
    let first = |cell: &str| a.timelines.iter().position(|t| t.cell == cell);
    told.sort_by_key(|(t, _)| (first(&t.cell), t.wall_ns));
    let row = |(t, b): (&Timeline, &Breakdown)| {
        let time = |ns: u64| Unit::NS.show(ns as f64);
        let each = |sum: u64| Unit::NS.show(sum as f64 / b.tasks.max(1) as f64);
        vec![
            cell(a, &t.cell),
            t.strategy.clone(),
            time(t.wall_ns),
            time(b.spawn_ns),
            each(b.queue_ns),
            each(b.work_ns),
            each(b.wait_ns),
            time(b.join_ns),
            significant(b.work_ns as f64 / t.wall_ns as f64, 3),
        ]
    };
    let header = [
        "cell",
        "strategy",
        "run",
        "handing over",
        "a task is queued for",
        "on a worker for",
        "waiting aside for",
        "collecting",
        "on workers at a time",
    ];
    Grid::new(&header, told.into_iter().map(row).collect())
}

fn cell(a: &Analysis, name: &str) -> String {
    match a.cells.iter().find(|cell| cell.cell == name) {
        Some(cell) if !cell.params.is_empty() => describe(&cell.params),
        _ => dash(),
    }
}
