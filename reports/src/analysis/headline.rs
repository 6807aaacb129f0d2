//! One sentence per experiment, with its numbers, from verdicts and crossovers alone.
//!
//! Under an open load it is about the tails of the latency (`tails`). It claims what is proven and says so when nothing is: "leans" and "undecided" never become "wins" here.
use std::collections::BTreeMap;

use crate::analysis::model::{Analysis, CellAnalysis};
use crate::analysis::table::PROCESSES_MIN;
use crate::analysis::tails;
use crate::analysis::verdict::ONE_PROCESS;
use crate::facts::{self, is_plural};
use crate::plot::units::label;
use crate::record::{Crossover, ParamValue, Verdict, VerdictKind};

/// The headline of an analysis.
pub(crate) fn headline(analysis: &Analysis) -> String {
    let trust = &analysis.trust;
    if trust.samples == 0 {
        return "Nothing was measured yet".to_owned();
    }
    if trust.contaminated {
        return format!("No verdict: every round is contaminated ({})", trust.disturbance);
    }
    let verdicts: Vec<(&CellAnalysis, &Verdict)> =
        analysis.cells.iter().filter_map(|c| Some((c, c.verdict.as_ref()?))).collect();
    let finding = match (tails::finding(analysis), verdicts.as_slice()) {
        (Some(tails), _) => tails,
        (None, []) => nothing_to_compare(analysis),
        (None, [(cell, verdict)]) => single(analysis, cell, verdict),
        (None, many) => sweep(analysis, many),
    };
    let invalid: std::collections::BTreeSet<&str> =
        trust.mismatches.iter().map(|(c, _)| c.as_str()).collect();
    match invalid.len() {
        0 => finding,
        n => format!("{finding}; {} invalid, a checksum differs", cells(n)),
    }
}

fn nothing_to_compare(analysis: &Analysis) -> String {
    let measured = |(i, name): (usize, &String)| {
        analysis.cells.iter().any(|c| c.stats[i].is_some()).then(|| name.clone())
    };
    let names: Vec<String> = analysis.strategies.iter().enumerate().filter_map(measured).collect();
    match (names.as_slice(), analysis.cells.as_slice()) {
        ([], _) => "No verdict: no strategy has a usable sample".to_owned(),
        ([name], [cell]) => {
            let wall = cell.stats.iter().flatten().next().map_or(0.0, |s| s.wall_ns);
            format!("Only {name} was measured, at {}: nothing to compare it with", duration(wall))
        }
        ([name], _) => format!("Only {name} was measured: nothing to compare it with"),
        _ => "No verdict in any cell".to_owned(),
    }
}

/// One cell: the verdict with its interval.
fn single(analysis: &Analysis, cell: &CellAnalysis, verdict: &Verdict) -> String {
    let winner = verdict.winner.clone().unwrap_or_default();
    // Against the baseline where it is not the winner itself, else against the closest other.
    let other = verdict
        .versus
        .get_key_value(&analysis.baseline)
        .or_else(|| verdict.versus.iter().min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio)));
    let Some((other, versus)) = other else {
        return format!("Undecided between {}: no round has both", list(&verdict.best));
    };
    let ci = interval(analysis, versus.ci);
    let times = factor(versus.ratio);
    match verdict.verdict {
        VerdictKind::Wins => {
            format!("{winner} {}: {times} as fast as {other} ({ci})", verb(&winner, "win", "wins"))
        }
        VerdictKind::Tie => format!(
            "{} tie within {}: {other} takes {times} the time of {winner} ({ci})",
            list(&verdict.best),
            percent(analysis.margin)
        ),
        VerdictKind::Leans => format!(
            "{winner} {} ahead of {} without proof of {}: {times} as fast as {other} ({ci})",
            verb(&winner, "lean", "leans"),
            list(&others(&verdict.best, &winner)),
            percent(analysis.margin)
        ),
        VerdictKind::Undecided => match &cell.no_verdict {
            Some(reason) => format!("Undecided between {}: {reason}", list(&verdict.best)),
            None => format!(
                "Undecided between {}: {times} between {winner} and {other} ({ci}); more rounds are needed",
                list(&verdict.best)
            ),
        },
    }
}

/// Several cells: who wins most of them or beats the baseline, by how much, and from where on.
fn sweep(analysis: &Analysis, verdicts: &[(&CellAnalysis, &Verdict)]) -> String {
    let total = verdicts.len();
    let mut wins: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, verdict) in verdicts.iter().filter(|(_, v)| v.verdict == VerdictKind::Wins) {
        *wins.entry(verdict.winner.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let crossing = crossing(analysis, &wins);
    if let (Some(crossing), [_, _], [_]) = (&crossing, &*analysis.strategies, &*analysis.axes) {
        // Two strategies along one line: the crossing is the whole story.
        return crossing.clone();
    }
    let most = wins.iter().max_by_key(|&(name, n)| (n, std::cmp::Reverse(name)));
    let won = most.map(|(&name, &n)| {
        let all =
            if n == total { format!("all {}", cells(total)) } else { format!("{n} of {}", cells(total)) };
        (format!("{name} {} {all}", verb(name, "win", "wins")), name, n)
    });
    let mut clauses = Vec::new();
    match (won, beaten(analysis)) {
        (Some((text, name, n)), Some(beaten)) if 2 * n < total || name == analysis.baseline => {
            clauses.extend([beaten, text]);
        }
        (None, Some(beaten)) => clauses.extend([beaten, "no strategy wins a cell alone".to_owned()]),
        (Some((text, name, _)), _) => {
            clauses.push(format!("{text}{}", largest_gain(analysis, verdicts, name)))
        }
        (None, None) => {
            let count = |kind: VerdictKind| verdicts.iter().filter(|(_, v)| v.verdict == kind).count();
            let kinds = [VerdictKind::Tie, VerdictKind::Leans, VerdictKind::Undecided];
            clauses.push(unproven(analysis, total, kinds.map(count)));
        }
    }
    clauses.extend(crossing);
    clauses.join("; ")
}

/// Who is proven faster than the baseline, where, and by how much at most.
fn beaten(analysis: &Analysis) -> Option<String> {
    let gain = |cell: usize, s: usize| analysis.cells[cell].gains.get(s).copied().flatten();
    let faster = |cell: usize, s: usize| gain(cell, s).is_some();
    let strategies = 0..analysis.strategies.len();
    let cells_beaten: Vec<usize> =
        (0..analysis.cells.len()).filter(|&c| strategies.clone().any(|s| faster(c, s))).collect();
    let largest = analysis.cells.iter().flat_map(|c| &c.gains).flatten().copied().reduce(f64::max)?;
    let often = |s: &usize| 2 * cells_beaten.iter().filter(|&&c| faster(c, *s)).count() > cells_beaten.len();
    let names: Vec<usize> = strategies.filter(often).collect();
    let most = |s: &usize| cells_beaten.iter().filter_map(|&c| gain(c, *s)).fold(0.0, f64::max);
    let first = names.iter().copied().reduce(|a, b| if most(&b) > most(&a) { b } else { a });
    let (who, plural) = match (first, names.len()) {
        (None, _) => ("some of the others".to_owned(), true),
        (Some(first), 1..=3) => {
            let names: Vec<String> = names.iter().map(|&s| analysis.strategies[s].clone()).collect();
            let plural = names.len() > 1 || is_plural(&analysis.strategies[first]);
            (list(&names), plural)
        }
        (Some(first), n) => (format!("{} and {} others", analysis.strategies[first], n - 1), true),
    };
    let verb = if plural { "beat" } else { "beats" };
    let place = place(analysis, &cells_beaten, |c| analysis.cells[c].verdict.is_some());
    Some(format!("{who} {verb} {} {place}, by up to {}", analysis.baseline, factor(largest)))
}

/// Some of the cells that count in words: all of them, from a value of one parameter on, or how many.
pub(super) fn place(analysis: &Analysis, chosen: &[usize], counts: impl Fn(usize) -> bool) -> String {
    let judged = |c: &usize| counts(*c);
    let total = (0..analysis.cells.len()).filter(judged).count();
    if chosen.len() == total {
        return format!("in all {}", cells(total));
    }
    for axis in analysis.axes.iter().filter(|axis| axis.is_numeric()) {
        let x = |c: usize| analysis.cells[c].params.get(&axis.param).and_then(ParamValue::as_f64);
        let Some(least) = chosen.iter().filter_map(|&c| x(c)).reduce(f64::min) else { continue };
        if (0..analysis.cells.len())
            .filter(judged)
            .all(|c| chosen.contains(&c) == x(c).is_some_and(|x| x >= least))
        {
            return format!("from {} on", at(&axis.param, least).0);
        }
    }
    format!("in {} of {}", chosen.len(), cells(total))
}

fn unproven(analysis: &Analysis, total: usize, [ties, leans, undecided]: [usize; 3]) -> String {
    let margin = percent(analysis.margin);
    if ties == total {
        return format!("The fastest tie within {margin} in all {}", cells(total));
    }
    if undecided == total {
        let reason =
            if analysis.process_rounds < PROCESSES_MIN { ONE_PROCESS } else { "more rounds are needed" };
        return format!("Undecided in all {}: {reason}", cells(total));
    }
    let parts = [(ties, "proven ties"), (leans, "leaning"), (undecided, "undecided")];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    format!("No strategy wins any of {}: {}", cells(total), parts.join(", "))
}

/// How much faster than the baseline the winner is where it gains most.
fn largest_gain(analysis: &Analysis, verdicts: &[(&CellAnalysis, &Verdict)], name: &str) -> String {
    let won =
        verdicts.iter().filter(|(_, v)| v.verdict == VerdictKind::Wins && v.winner.as_deref() == Some(name));
    let against = |baseline: &str| {
        won.clone().filter_map(|(_, v)| v.versus.get(baseline)).map(|v| v.ratio).reduce(f64::max)
    };
    if let Some(ratio) = against(&analysis.baseline) {
        return format!(", up to {} as fast as {}", factor(ratio), analysis.baseline);
    }
    let gain = |v: &Verdict| v.versus.values().map(|v| v.ratio).reduce(f64::min);
    match won.clone().filter_map(|(_, v)| gain(v)).reduce(f64::max) {
        Some(ratio) => format!(", up to {} as fast as the next", factor(ratio)),
        None => String::new(),
    }
}

/// The crossing most worth telling: between strategies that win cells, then with the baseline, then the narrowest. Of
/// those with the baseline along one line, only the one that stands for the line counts; the picture shows the same.
fn crossing(analysis: &Analysis, wins: &BTreeMap<&str, usize>) -> Option<String> {
    let won = |name: &str| wins.get(name).copied().unwrap_or(0);
    let unseen = |c: &Crossover| below_the_first(analysis, c).is_some();
    let rank = |c: &&Crossover| {
        let width = c.ci.map_or(f64::INFINITY, |[low, high]| (high - low) / c.at.unwrap_or(1.0).abs());
        let involved = c.from == analysis.baseline || c.to == analysis.baseline;
        (!unseen(c), won(&c.from).min(1) + won(&c.to).min(1), involved, won(&c.from) + won(&c.to), -width)
    };
    let stands = |c: &&Crossover| {
        let hero = if c.from == analysis.baseline { facts::hero(analysis, &c.param, &c.fixed) } else { None };
        hero.is_none_or(|hero| hero == *c)
    };
    let sure = analysis.crossovers.iter().filter(|c| c.at.is_some() && facts::is_sure(c)).filter(stands);
    let best =
        sure.reduce(|a, b| if rank(&b).partial_cmp(&rank(&a)).is_some_and(|o| o.is_gt()) { b } else { a })?;
    let (value, [low, high]) = (best.at?, best.ci?);
    let fixed = held(&best.fixed);
    let Crossover { param, from, to, .. } = best;
    if let Some(first) = below_the_first(analysis, best) {
        let (first, overtake) = (at(param, first).0, verb(to, "overtake", "overtakes"));
        return Some(format!("{to} {overtake} {from} somewhere below {first}{fixed}"));
    }
    if let Some(place) = facts::from_on(analysis, best) {
        let confidence = percent(analysis.confidence);
        return Some(format!("{to} {} {from} {place}{fixed} ({confidence} CI)", verb(to, "beat", "beats")));
    }
    if low > 0.0 && high / low < 2.0 {
        let (place, scale) = at(param, value);
        let ci = interval(analysis, [low / scale, high / scale]);
        return Some(format!("{to} {} {from} from {place}{fixed} ({ci})", verb(to, "beat", "beats")));
    }
    let confidence = percent(analysis.confidence);
    // "1.6 KiB and 2 MiB input per task", "n = 3 and 8": the name once is enough.
    let (low, high) = (at(param, low).0, at(param, high).0);
    let low = low.strip_suffix(&format!(" {}", label(param))).unwrap_or(&low);
    let high = high.strip_prefix(&format!("{param} = ")).unwrap_or(&high);
    let overtake = verb(to, "overtake", "overtakes");
    Some(format!("{to} {overtake} {from} between {low} and {high}{fixed} ({confidence} CI)"))
}

/// The first value above 0 of the crossing's axis, where the crossing lies between it and 0: nothing was measured there, so
/// its place is no finding.
fn below_the_first(analysis: &Analysis, crossing: &Crossover) -> Option<f64> {
    let axis = analysis.axes.iter().find(|axis| axis.param == crossing.param)?;
    let mut values = axis.values.iter().filter_map(ParamValue::as_f64);
    let (zero, first) = (values.next()?, values.next()?);
    (zero == 0.0 && crossing.at? < first).then_some(first)
}

/// The parameters that a line holds fixed: " at 500 µs wait per task".
fn held(fixed: &crate::record::Params) -> String {
    let one = |(param, value): (&String, &ParamValue)| match value.as_f64() {
        Some(x) => at(param, x).0,
        None => format!("{} {value}", label(param)),
    };
    match fixed.is_empty() {
        true => String::new(),
        false => format!(" at {}", fixed.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

/// A value of a parameter in words, and what a number in its unit must be divided by: `cpu_us` 20.2 is "20.2 µs CPU work
/// per task", `tasks` 8 is "8 tasks", `n` 8 is "n = 8".
fn at(param: &str, value: f64) -> (String, f64) {
    const TIMES: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    const SIZES: [(&str, f64); 4] =
        [("bytes", 1.0), ("KiB", 1024.0), ("MiB", 1048576.0), ("GiB", 1073741824.0)];
    let suffixes = [
        ("_ns", 1.0, TIMES),
        ("_us", 1e3, TIMES),
        ("_ms", 1e6, TIMES),
        ("_s", 1e9, TIMES),
        ("_bytes", 1.0, SIZES),
        ("_kib", 1024.0, SIZES),
    ];
    let Some((_, base, units)) = suffixes.into_iter().find(|(suffix, ..)| param.ends_with(suffix)) else {
        let words = match is_plural(param) && value != 1.0 {
            true => format!("{} {param}", number(value)),
            false => format!("{param} = {}", number(value)),
        };
        return (words, 1.0);
    };
    let largest = units.into_iter().rev().find(|(_, size)| value.abs() * base >= *size);
    // Zero, and what is smaller than the smallest unit, stays in the parameter's own.
    let (unit, size) = largest.or(units.into_iter().find(|(_, size)| *size == base)).unwrap_or(units[0]);
    (format!("{} {unit} {}", number(value * base / size), label(param)), size / base)
}

pub(super) fn interval(analysis: &Analysis, [low, high]: [f64; 2]) -> String {
    let confidence = percent(analysis.confidence);
    // As many digits as it takes to tell the ends apart, and the same decimals at both.
    let decimals = |digits: i32| digits - 1 - high.abs().max(1e-9).log10().floor() as i32;
    let both = |digits: i32| {
        let decimals = decimals(digits).clamp(0, 12) as usize;
        (format!("{low:.decimals$}"), format!("{high:.decimals$}"))
    };
    let wide = high > 1e12 || (3..=6).all(|digits| both(digits).0 == both(digits).1);
    let (low, high) = match (3..=6).map(both).find(|(low, high)| low != high) {
        Some(ends) if !wide => ends,
        _ => (number(low), number(high)),
    };
    format!("{confidence} CI {low}–{high}")
}

pub(super) fn percent(share: f64) -> String {
    format!("{} %", rounded(share * 100.0, 4))
}

pub(super) fn factor(ratio: f64) -> String {
    format!("{}×", number(ratio))
}

pub(super) fn number(x: f64) -> String {
    rounded(x, 3)
}

/// A number with `digits` significant digits and no idle zeros.
fn rounded(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let magnitude = x.abs().log10().floor() as i32;
    if !(-6..=12).contains(&magnitude) {
        return format!("{x:.*e}", digits - 1);
    }
    let decimals = (digits as i32 - 1 - magnitude).max(0) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn duration(ns: f64) -> String {
    let (divisor, unit) = match ns {
        ns if ns < 1e3 => (1.0, "ns"),
        ns if ns < 1e6 => (1e3, "µs"),
        ns if ns < 1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", number(ns / divisor))
}

pub(super) fn cells(n: usize) -> String {
    if n == 1 { "1 cell".to_owned() } else { format!("{n} cells") }
}

/// "threads beat", "event-loop beats".
pub(super) fn verb<'a>(name: &str, plural: &'a str, singular: &'a str) -> &'a str {
    if is_plural(name) { plural } else { singular }
}

fn others(names: &[String], without: &str) -> Vec<String> {
    names.iter().filter(|n| *n != without).cloned().collect()
}

pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_no_idle_zeros() {
        for (x, text) in [
            (0.0, "0"),
            (20.2349, "20.2"),
            (3.0, "3"),
            (0.0412345, "0.0412"),
            (253259.0, "253259"),
            (1e300, "1.00e300"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn a_value_is_told_in_the_unit_that_fits() {
        for (param, value, text) in [
            ("cpu_us", 20.2, "20.2 µs CPU work per task"),
            ("cpu_us", 12_345.0, "12.3 ms CPU work per task"),
            ("delay_ms", 0.25, "250 µs server delay"),
            ("wait_us", 0.0, "0 µs wait per task"),
            ("input_bytes", 253_259.0, "247 KiB input per task"),
            ("tasks", 8.0, "8 tasks"),
            ("depth", 8.0, "depth = 8"),
        ] {
            assert_eq!(at(param, value).0, text);
        }
        assert_eq!(at("cpu_us", 12_345.0).1, 1000.0);
    }

    #[test]
    fn verbs_follow_the_name() {
        assert_eq!(
            ["threads", "work-stealing", "processes", "express"].map(is_plural),
            [true, false, true, false]
        );
    }
}
