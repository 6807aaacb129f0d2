//! The few numbers to take home of a run under an open load: the tails, who keeps up, and at what price.
use super::glance::{Fact, decided, price};
use super::{is_plural, tail, tally};
use crate::analysis::model::Analysis;
use crate::plot::units::Unit;

/// The most strategies of which it is told where they fall behind.
const MOST: usize = 3;

/// The numbers of `seen`, which is judged by latency.
pub(super) fn at_a_glance(seen: &Analysis) -> Vec<Fact> {
    [shortest(seen), pace(seen), price(seen), decided(seen)].into_iter().flatten().collect()
}

/// How long the shortest tails are, and whose they are.
fn shortest(seen: &Analysis) -> Option<Fact> {
    let tails = || seen.cells.iter().filter_map(|cell| Some(tail(seen, cell)?.median));
    let show = |ns: f64| Unit::NS.show(ns);
    let (least, most) = (show(tails().reduce(f64::min)?), show(tails().reduce(f64::max)?));
    let value = if least == most { least } else { format!("{least} – {most}") };
    Some(Fact { name: "shortest tail (p99)", value, note: tally(seen).words() })
}

/// How many strategies keep up in every cell.
fn pace(seen: &Analysis) -> Option<Fact> {
    let measured: Vec<usize> = (0..seen.strategies.len())
        .filter(|&s| seen.cells.iter().any(|cell| cell.stats.get(s).is_some_and(Option::is_some)))
        .collect();
    let count = |s: usize| seen.cells.iter().filter(|cell| cell.behind.contains(&s)).count();
    let mut behind: Vec<(usize, &str)> = measured
        .iter()
        .map(|&s| (count(s), seen.strategies[s].as_str()))
        .filter(|(count, _)| *count > 0)
        .collect();
    behind.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let value = format!("{} of {}", measured.len() - behind.len(), measured.len());
    let note = match (behind.as_slice(), seen.cells.len()) {
        ([], _) => "no strategy falls behind the load".to_owned(),
        ([(_, only)], 1) => format!("{only} {} behind", if is_plural(only) { "fall" } else { "falls" }),
        (all, 1) => {
            let names: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
            format!("behind: {}", names.join(", "))
        }
        (all, cells) => {
            let part = |(count, name): &(usize, &str)| format!("{name} in {count} of {cells} cells");
            let mut parts: Vec<String> = all.iter().take(MOST).map(part).collect();
            if all.len() > MOST {
                parts.push(format!("{} more", all.len() - MOST));
            }
            format!("behind: {}", parts.join(", "))
        }
    };
    (!measured.is_empty()).then_some(Fact { name: "keep up with the load", value, note })
}
