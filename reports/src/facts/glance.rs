//! The few numbers that a reader takes home from an experiment. Each is proven, or says that it is not.
use serde::Serialize;

use super::{burn, hero, is_plural, is_sure, proven_speed_up, tails, tally, whole};
use crate::analysis::model::{Analysis, CellAnalysis, Metric};
use crate::facts::{Call, call};
use crate::plot::crossing_place;
use crate::plot::units::{Unit, describe, label, significant, times};
use crate::record::{Crossover, Params};

/// One number with what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    /// What it is.
    pub(crate) name: &'static str,
    /// The number, or a word where there is none.
    pub(crate) value: String,
    /// Where it holds, and its interval.
    pub(crate) note: String,
}

/// The numbers of `a`, the proven gain first; empty where there is no verdict at all.
pub(crate) fn at_a_glance(a: &Analysis) -> Vec<Fact> {
    if a.trust.contaminated || a.cells.iter().all(|cell| cell.verdict.is_none()) {
        return Vec::new();
    }
    if a.leading() == Metric::Latency {
        return tails::at_a_glance(&a.led());
    }
    [gain(a), crossing(a), price(a), decided(a)].into_iter().flatten().collect()
}

/// ` at wait per task 500 µs`, or nothing where nothing is swept.
fn at(params: &Params) -> String {
    if params.is_empty() { String::new() } else { format!(" at {}", describe(params)) }
}

fn gain(a: &Analysis) -> Option<Fact> {
    let name = "largest proven speed-up";
    let gains = a.cells.iter().filter_map(|cell| Some((cell, proven_speed_up(a, cell)?)));
    let Some((cell, versus)) = gains.reduce(|a, b| if b.1.ratio > a.1.ratio { b } else { a }) else {
        let note = format!("{} is nowhere proven slower by more than {}", a.baseline, margin(a));
        return (a.strategies.len() > 1).then(|| Fact { name, value: "none".to_owned(), note });
    };
    let who = cell.verdict.as_ref()?.winner.as_deref()?;
    let note = format!(
        "{who} over {}{}; interval {} – {}",
        a.baseline,
        at(&cell.params),
        times(versus.ci[0]),
        times(versus.ci[1])
    );
    Some(Fact { name, value: times(versus.ratio), note })
}

fn margin(a: &Analysis) -> String {
    format!("{} %", significant(a.margin * 100.0, 3))
}

/// The crossing that stands for the first line that has one, of the longest axis first.
fn crossing(a: &Analysis) -> Option<Fact> {
    let name = "crossover";
    let mut axes: Vec<_> = a.axes.iter().filter(|axis| axis.is_numeric() && axis.values.len() > 1).collect();
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.values.len()));
    if axes.is_empty() {
        return None;
    }
    // Each line of cells once: it has a row per pair of strategies.
    let on = |param: &str| {
        let mut lines: Vec<&Params> = Vec::new();
        for crossing in a.crossovers.iter().filter(|c| c.param == param) {
            if !lines.contains(&&crossing.fixed) {
                lines.push(&crossing.fixed);
            }
        }
        lines.into_iter().find_map(|fixed| hero(a, param, fixed))
    };
    let found = axes.iter().find_map(|axis| on(&axis.param));
    let sure: Vec<&Crossover> = a.crossovers.iter().filter(|c| c.at.is_some() && is_sure(c)).collect();
    let found = match (found, sure.as_slice()) {
        (Some(found), _) => found,
        (None, [only]) => only,
        (None, []) => {
            let note = format!("no strategy surely overtakes {} along a parameter", a.baseline);
            return Some(Fact { name, value: "none in range".to_owned(), note });
        }
        (None, many) => {
            let note = "crossings of pairs of strategies; none stands for them all".to_owned();
            return Some(Fact { name, value: many.len().to_string(), note });
        }
    };
    let unit = Unit::of(&found.param);
    let (value, ends) = match whole(a, found) {
        Some((at, ends)) if is_plural(&found.param) && at != 1.0 => {
            (format!("{at} {}", label(&found.param)), ends.map(|end| format!("{end}")))
        }
        Some((at, ends)) => (format!("{at}"), ends.map(|end| format!("{end}"))),
        None => {
            // As the pictures say it; a range is its own interval.
            let place = crossing_place(a, found);
            let ends = match found.ci.filter(|_| place == unit.show(found.at.unwrap_or(f64::NAN))) {
                Some(ci) => ci.map(|end| unit.show(end)),
                None => [const { String::new() }; 2],
            };
            (place, ends)
        }
    };
    Some(Fact { name, value, note: crossing_note(found, &ends) })
}

fn crossing_note(found: &Crossover, [low, high]: &[String; 2]) -> String {
    let interval = if low == high { String::new() } else { format!("; interval {low} – {high}") };
    format!(
        "{} {} {} along {}{}{interval}",
        found.to,
        if is_plural(&found.to) { "overtake" } else { "overtakes" },
        found.from,
        label(&found.param),
        at(&found.fixed)
    )
}

/// What winning costs: the win that burns most.
pub(super) fn price(a: &Analysis) -> Option<Fact> {
    let name = "CPU price of winning";
    let wins = a.cells.iter().filter(|cell| matches!(call(cell), Call::Wins(_))).count();
    let burns: Vec<(&CellAnalysis, _)> =
        a.cells.iter().filter_map(|cell| Some((cell, burn(a, cell)?))).collect();
    let dearest = burns.iter().reduce(|a, b| if b.1.ratio > a.1.ratio { b } else { a });
    match dearest {
        Some((cell, burn)) => {
            let of =
                if wins == 1 { "the only win".to_owned() } else { format!("{} of {wins} wins", burns.len()) };
            let note = format!(
                "CPU time of {} over {}{}; {of} cost twice or more",
                burn.winner,
                burn.runner_up,
                at(&cell.params)
            );
            Some(Fact { name, value: times(burn.ratio), note })
        }
        None if wins > 0 => {
            let note = "no win burns twice the CPU of its runner-up".to_owned();
            Some(Fact { name, value: "below 2×".to_owned(), note })
        }
        None => None,
    }
}

/// How much of the sweep is settled: proven wins and proven ties.
pub(super) fn decided(a: &Analysis) -> Option<Fact> {
    let tally = tally(a);
    let won: usize = tally.wins.iter().map(|(_, count)| count).sum();
    let note = format!("cells with a proven win ({won}) or a proven tie ({})", tally.ties);
    (a.cells.len() > 1).then(|| Fact {
        name: "settled",
        value: format!("{} of {}", won + tally.ties, a.cells.len()),
        note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::VerdictKind;
    use crate::synthetic;

    fn fact(a: &Analysis, name: &str) -> Option<Fact> {
        at_a_glance(a).into_iter().find(|fact| fact.name == name)
    }

    #[test]
    fn the_numbers_are_those_of_the_analysis() {
        let run = synthetic::one_axis();
        let crossing = fact(&run, "crossover").unwrap();
        assert!(
            crossing.note.starts_with("threads overtake sequential along CPU work per task"),
            "{crossing:?}"
        );
        let gain = fact(&run, "largest proven speed-up").unwrap();
        assert_eq!(gain.value, "2.0×");
        let settled = fact(&run, "settled").unwrap();
        assert!(settled.value.ends_with(" of 13"), "{settled:?}");
    }

    #[test]
    fn a_crossing_lies_where_the_pictures_say() {
        let mut run = synthetic::one_axis();
        let at = run.crossovers[0].at.unwrap();
        for (wide, begins) in [(1.05, ""), (9.0, "between ")] {
            run.crossovers[0].ci = Some([at / wide, at * wide]);
            let found = fact(&run, "crossover").unwrap();
            assert_eq!(found.value, crossing_place(&run, &run.crossovers[0]));
            assert!(found.value.starts_with(begins), "{found:?}");
            assert_eq!(found.note.contains("interval"), begins.is_empty(), "a range is its own interval");
        }
    }

    #[test]
    fn under_an_open_load_the_tails_come_first() {
        let run = synthetic::nasty().into_iter().find(|a| a.name == "open-load-line").unwrap();
        let facts = at_a_glance(&run);
        assert_eq!(facts[0].name, "shortest tail (p99)");
        assert!(facts[0].note.contains("the shortest tail (p99) in 4 of 6 cells"), "{:?}", facts[0]);
        let pace = fact(&run, "keep up with the load").unwrap();
        assert_eq!(pace.value, "0 of 7");
        assert!(pace.note.starts_with("behind: processes in 4 of 6 cells"), "{pace:?}");
        assert_eq!(fact(&run, "crossover"), None, "crossings are of wall time");
    }

    #[test]
    fn nothing_is_claimed_that_is_not_proven() {
        let mut run = synthetic::one_axis();
        run.crossovers.clear();
        for verdict in run.cells.iter_mut().filter_map(|cell| cell.verdict.as_mut()) {
            verdict.verdict = VerdictKind::Undecided;
            verdict.versus.clear();
        }
        assert_eq!(fact(&run, "largest proven speed-up").unwrap().value, "none");
        assert_eq!(fact(&run, "crossover").unwrap().value, "none in range");
        assert_eq!(fact(&run, "CPU price of winning"), None);
        assert_eq!(fact(&run, "settled").unwrap().value, "0 of 13");
        let contaminated = synthetic::nasty().into_iter().find(|a| a.name == "contaminated").unwrap();
        assert!(at_a_glance(&contaminated).is_empty());
    }
}
