//! One sentence per experiment, with its numbers, from verdicts and crossovers alone.
//!
//! It claims what is proven and says so when nothing is: "leans" and "undecided" never become "wins" here.
use std::collections::BTreeMap;

use crate::analysis::model::{Analysis, CellAnalysis};
use crate::record::{Crossover, Verdict, VerdictKind};

/// A crossing that this share of the replicates or more do not have stays out of the headline.
const P_NONE_MAX: f64 = 0.05;

/// The headline of an analysis.
pub(crate) fn headline(analysis: &Analysis) -> String {
    let trust = &analysis.trust;
    if trust.samples == 0 {
        return "Nothing was measured yet".to_owned();
    }
    if trust.contaminated {
        return format!(
            "No verdict: every round is contaminated (more than {} foreign cores, up to {:.2})",
            trust.foreign_cores_limit, trust.foreign_cores_max
        );
    }
    let verdicts: Vec<(&CellAnalysis, &Verdict)> =
        analysis.cells.iter().filter_map(|c| Some((c, c.verdict.as_ref()?))).collect();
    let finding = match verdicts.as_slice() {
        [] => nothing_to_compare(analysis),
        [(cell, verdict)] => single(analysis, cell, verdict),
        many => sweep(analysis, many),
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
    let ci = interval(analysis, versus.ci, "");
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

/// Several cells: who wins how many, and where it changes.
fn sweep(analysis: &Analysis, verdicts: &[(&CellAnalysis, &Verdict)]) -> String {
    let total = verdicts.len();
    let count = |kind: VerdictKind| verdicts.iter().filter(|(_, v)| v.verdict == kind).count();
    let mut wins: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, verdict) in verdicts.iter().filter(|(_, v)| v.verdict == VerdictKind::Wins) {
        *wins.entry(verdict.winner.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let crossing = crossing(analysis, &wins);
    let most = wins.iter().max_by_key(|&(name, n)| (n, std::cmp::Reverse(name)));
    let summary = match most {
        Some((&name, &n)) => {
            let all =
                if n == total { format!("all {}", cells(total)) } else { format!("{n} of {}", cells(total)) };
            let gain = largest_gain(analysis, verdicts, name);
            format!("{name} {} {all}{gain}", verb(name, "win", "wins"))
        }
        None => unproven(
            analysis,
            total,
            [VerdictKind::Tie, VerdictKind::Leans, VerdictKind::Undecided].map(count),
        ),
    };
    match crossing {
        // Two strategies along one line: the crossing is the whole story.
        Some(crossing) if analysis.axes.len() == 1 && wins.len() <= 2 && analysis.strategies.len() == 2 => {
            crossing
        }
        Some(crossing) => format!("{summary}; {crossing}"),
        None => summary,
    }
}

fn unproven(analysis: &Analysis, total: usize, [ties, leans, undecided]: [usize; 3]) -> String {
    let margin = percent(analysis.margin);
    if ties == total {
        return format!("The fastest tie within {margin} in all {}", cells(total));
    }
    if undecided == total {
        return format!("Undecided in all {}: more rounds are needed", cells(total));
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

/// The crossing most worth telling: it involves the baseline, then the strategies that win most cells, then it is sure.
fn crossing(analysis: &Analysis, wins: &BTreeMap<&str, usize>) -> Option<String> {
    let won = |name: &str| wins.get(name).copied().unwrap_or(0);
    let rank = |c: &&Crossover| {
        let width = c.ci.map_or(f64::INFINITY, |[low, high]| (high - low) / c.at.unwrap_or(1.0).abs());
        let involved = c.from == analysis.baseline || c.to == analysis.baseline;
        (won(&c.from).min(1) + won(&c.to).min(1), involved, won(&c.from) + won(&c.to), -width)
    };
    let sure = analysis.crossovers.iter().filter(|c| c.at.is_some() && c.p_none < P_NONE_MAX);
    let best =
        sure.reduce(|a, b| if rank(&b).partial_cmp(&rank(&a)).is_some_and(|o| o.is_gt()) { b } else { a })?;
    let (at, ci) = (best.at?, best.ci?);
    let place = match split_unit(&best.param) {
        (_, Some(unit)) => format!("{} {unit} of {}", number(at), best.param),
        (name, None) => format!("{name} = {}", number(at)),
    };
    let fixed = match best.fixed.is_empty() {
        true => String::new(),
        false => format!(" at {}", crate::record::cell_name(&best.fixed)),
    };
    let beat = verb(&best.to, "beat", "beats");
    Some(format!("{} {beat} {} from {place}{fixed} ({})", best.to, best.from, interval(analysis, ci, "")))
}

/// `cpu_us` is measured in µs; the name and its unit.
fn split_unit(param: &str) -> (&str, Option<&'static str>) {
    let units =
        [("_us", "µs"), ("_ms", "ms"), ("_ns", "ns"), ("_s", "s"), ("_bytes", "bytes"), ("_kib", "KiB")];
    units
        .iter()
        .find_map(|(suffix, unit)| param.strip_suffix(suffix).map(|name| (name, Some(*unit))))
        .unwrap_or((param, None))
}

fn interval(analysis: &Analysis, [low, high]: [f64; 2], unit: &str) -> String {
    let confidence = percent(analysis.confidence);
    // As many digits as it takes to tell the ends apart.
    let digits = (3..=6).find(|&d| rounded(low, d) != rounded(high, d)).unwrap_or(6);
    format!("{confidence} CI {}–{}{unit}", rounded(low, digits), rounded(high, digits))
}

fn percent(share: f64) -> String {
    format!("{} %", rounded(share * 100.0, 4))
}

fn factor(ratio: f64) -> String {
    format!("{}×", number(ratio))
}

fn number(x: f64) -> String {
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

fn duration(ns: f64) -> String {
    let (divisor, unit) = match ns {
        ns if ns < 1e3 => (1.0, "ns"),
        ns if ns < 1e6 => (1e3, "µs"),
        ns if ns < 1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", number(ns / divisor))
}

fn cells(n: usize) -> String {
    if n == 1 { "1 cell".to_owned() } else { format!("{n} cells") }
}

/// "threads beat", "event-loop beats".
fn verb<'a>(name: &str, plural: &'a str, singular: &'a str) -> &'a str {
    if name.ends_with('s') && !name.ends_with("ss") { plural } else { singular }
}

fn others(names: &[String], without: &str) -> Vec<String> {
    names.iter().filter(|n| *n != without).cloned().collect()
}

fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
