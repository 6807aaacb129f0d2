//! Start-up against steady state: what a strategy takes before it is warm.
use super::parts::{Grid, dash};
use crate::analysis::model::{Analysis, Startup};
use crate::plot::units::{Unit, times};

/// A row per strategy; empty where no warm-up was recorded.
pub(super) fn table(a: &Analysis) -> Grid {
    let row = |s: &Startup| {
        let never = match (s.told, s.never_steady) {
            (0, _) => "too short to tell".to_owned(),
            (told, 0) => format!("steady in all {told}"),
            (told, never) => format!("never in {never} of {told}"),
        };
        vec![
            a.strategies.get(s.strategy).cloned().unwrap_or_else(dash),
            s.start_ns.map_or_else(dash, |ns| Unit::NS.show(ns)),
            s.cold_ratio.map_or_else(dash, times),
            never,
            s.warmups.to_string(),
        ]
    };
    let header = ["strategy", "to start it", "first run against a steady one", "became steady", "warm-ups"];
    Grid::new(&header, a.startup.iter().map(row).collect())
}

/// The strategies that did not always become steady, in a sentence.
pub(super) fn unsteady(a: &Analysis) -> Option<String> {
    let rows = a.startup.iter().filter(|s| s.never_steady > 0);
    let names: Vec<String> = rows
        .filter_map(|s| {
            let name = a.strategies.get(s.strategy)?;
            Some(format!("{name} ({} of {} warm-ups)", s.never_steady, s.told))
        })
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "Never steady: {}. Their times kept changing until the warm-up’s limit; what follows was measured all the same and \
             is the more uncertain for it.",
            names.join(", ")
        )
    })
}
