//! "If you must choose one": the strategies over the whole sweep.
use super::parts::{Grid, dash};
use crate::analysis::model::{Analysis, Metric};
use crate::facts::Ranked;
use crate::plot::units::{describe, times};

/// A row per strategy, the best first; empty where there is nothing to choose.
pub(super) fn table(a: &Analysis, ranked: &[Ranked<'_>]) -> Grid {
    let everywhere = ranked.iter().all(|r| r.cells == a.cells.len());
    let row = |r: &Ranked<'_>| {
        let (worst, cell) = r.worst;
        let partly =
            if everywhere { String::new() } else { format!(" ({} of {} cells)", r.cells, a.cells.len()) };
        vec![
            format!("{}{partly}", r.strategy),
            format!("{:.2}×", r.mean),
            times(worst),
            describe(&cell.params),
            r.wins.to_string(),
            r.ties.to_string(),
            r.cpu.map_or_else(dash, |ratio| format!("{ratio:.2}×")),
        ]
    };
    let time = match a.judged_by {
        Metric::Latency => "p99 ÷ shortest, mean",
        _ => "time ÷ fastest, mean",
    };
    let header = ["strategy", time, "at worst", "where", "wins", "ties", "CPU ÷ least, mean"];
    Grid::new(&header, ranked.iter().map(row).collect())
}
