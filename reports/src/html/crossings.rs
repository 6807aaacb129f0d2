//! The tables of crossovers, and of pairs that do not cross.
use super::parts::{Grid, percent};
use crate::analysis::model::Analysis;
use crate::facts;
use crate::plot::crossing_place;
use crate::plot::units::{Unit, describe, label};
use crate::record::Crossover;

pub(super) fn crossings(a: &Analysis, rows: &[&Crossover]) -> Grid {
    let row = |c: &&Crossover| {
        let counted = facts::whole(a, c);
        // Of a count, only the whole numbers say something.
        let span = |[low, high]: [f64; 2]| match () {
            () if low > high => "–".to_owned(),
            () if low == high => format!("{low}"),
            () => format!("{low} – {high}"),
        };
        let unit = Unit::of(&c.param);
        let range = |r: Option<[f64; 2]>| {
            r.map_or_else(
                || "–".to_owned(),
                |[low, high]| format!("{} – {}", unit.show(low), unit.show(high)),
            )
        };
        vec![
            label(&c.param),
            if c.fixed.is_empty() { "–".to_owned() } else { describe(&c.fixed) },
            c.from.clone(),
            c.to.clone(),
            match counted {
                Some((at, _)) => format!("from {at} on"),
                None => crossing_place(a, c),
            },
            counted.map_or_else(|| range(c.ci), |(_, ends)| span(ends)),
            match (counted, c.indifference) {
                (Some(_), Some([low, high])) => span([low.ceil(), high.floor()]),
                _ => range(c.indifference),
            },
            percent(c.p_none),
        ]
    };
    let header = [
        "along",
        "with",
        "faster below",
        "faster above",
        "crossover",
        "interval",
        "within the margin",
        "share of resamples without it",
    ];
    Grid::new(&header, rows.iter().map(row).collect())
}

pub(super) fn no_crossings(rows: &[&Crossover]) -> Grid {
    let row = |c: &&Crossover| {
        let fixed = if c.fixed.is_empty() { "–".to_owned() } else { describe(&c.fixed) };
        vec![label(&c.param), fixed, format!("{} and {}", c.from, c.to), percent(c.p_none)]
    };
    Grid::new(
        &["along", "with", "pair", "share of resamples without a crossing"],
        rows.iter().map(row).collect(),
    )
}
