//! "Can it be trusted?": what disturbed the run, what was left out, what failed.
use super::parts::{Grid, or_all, percent};
use crate::analysis::model::Analysis;
use crate::plot::units::significant;

pub(super) fn trust(a: &Analysis) -> Vec<(String, String)> {
    let t = &a.trust;
    let quarantined = a.blocks.iter().filter(|b| b.quarantined).count();
    let mut pairs = vec![
        (
            "Foreign load".to_owned(),
            format!(
                "median {}, at most {} cores; limit {}",
                significant(t.foreign_cores_median, 2),
                significant(t.foreign_cores_max, 2),
                significant(t.foreign_cores_limit, 2)
            ),
        ),
        (
            "Quarantined".to_owned(),
            format!("{} of {} samples, {quarantined} of {} blocks", t.quarantined, t.samples, a.blocks.len()),
        ),
        ("Measured".to_owned(), format!("{} process rounds of up to {} rounds", a.process_rounds, a.rounds)),
        (
            "Checksums".to_owned(),
            if t.mismatches.is_empty() {
                "all equal to the sequential oracle's".to_owned()
            } else {
                format!("{} wrong, see above", t.mismatches.len())
            },
        ),
    ];
    if t.duplicates > 0 {
        pairs.push((
            "Duplicates".to_owned(),
            format!("{} samples stand twice in the file; each counts once", t.duplicates),
        ));
    }
    if let Some(share) = t.server_share_max {
        pairs.push(("Test server".to_owned(), format!("at most {} of one core", percent(share))));
    }
    pairs
}

pub(super) fn failures(a: &Analysis) -> Grid {
    let row =
        |(cell, who, why): &(String, String, String)| vec![or_all(cell).to_owned(), who.clone(), why.clone()];
    Grid::new(&["cell", "strategy", "what went wrong"], a.trust.failures.iter().map(row).collect())
}
