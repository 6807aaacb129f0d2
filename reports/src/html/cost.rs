//! What tasks take of memory, as a table beside the pictures.
use super::parts::{Grid, dash};
use crate::analysis::model::{Analysis, MemoryLine, Startup};
use crate::plot::units::{Unit, describe};

/// A row per strategy and line of cells along which the number of tasks grows; empty where it never does.
pub(super) fn memory(a: &Analysis) -> Grid {
    let row = |line: &MemoryLine| {
        let first = line.points.first().map_or(0.0, |p| p.0);
        let last = line.points.last().map_or(0.0, |p| p.0);
        vec![
            a.strategies.get(line.strategy).cloned().unwrap_or_else(dash),
            if line.fixed.is_empty() { dash() } else { describe(&line.fixed) },
            bytes(line.bytes_per_task),
            format!("{} to {}", bytes(line.range[0]), bytes(line.range[1])),
            format!("{} – {}", Unit::Plain.show(first), Unit::Plain.show(last)),
        ]
    };
    let header = ["strategy", "with", "memory per further task", "from point to point", "tasks"];
    Grid::new(&header, a.memory.iter().map(row).collect())
}

/// What a worker process takes, by strategy; empty where none has any. Its peak, which the figures show, holds pages that all
/// of them share.
pub(super) fn workers(a: &Analysis) -> Grid {
    let row = |start: &Startup| {
        let private = Unit::Size(1024).show(start.worker_private_kib?);
        Some(vec![a.strategies.get(start.strategy).cloned().unwrap_or_else(dash), private])
    };
    Grid::new(&["strategy", "private memory of a worker process"], a.startup.iter().filter_map(row).collect())
}

/// A slope below a byte is none.
fn bytes(slope: f64) -> String {
    if slope.abs() < 1.0 { "below 1 B".to_owned() } else { Unit::Size(1).show(slope) }
}
