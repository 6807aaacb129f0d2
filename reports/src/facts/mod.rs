//! Findings in words: the call of a cell, the speed-up over the baseline, what the win costs; `tally` counts calls,
//! `glance` gives the few numbers of an experiment, `warnings` what stands against it, `trust` what speaks for it.
//!
//! Pictures, tables and prose all ask here, so that they cannot contradict each other. Nothing is computed from
//! samples; everything follows from the [`Analysis`] and the environment.
mod glance;
mod ranking;
mod tails;
mod tally;
mod trust;
mod warnings;

pub(crate) use glance::{Fact, at_a_glance};
pub(crate) use ranking::{Ranked, choice, ranking};
pub(crate) use tally::{tally, tally_of};
pub(crate) use trust::{Badge, badges, load_words, startup_words};
pub(crate) use warnings::{Warning, warnings};

use serde_json::Value;

use crate::analysis::model::{Analysis, Axis, CellAnalysis, Metric, MetricStats, StrategyStats};
use crate::plot::units::{Unit, amount, describe, label, times};
use crate::record::{Crossover, ParamValue, Params, Verdict, VerdictKind, Versus};

/// What the reason of a strategy begins with that cannot do some work.
const UNFIT: &str = "does not fit: ";
/// A winner that takes so many times less CPU time than the baseline is marked.
const SAVING: f64 = 1.25;
/// A win that burns at least this many times the CPU of the runner-up is marked.
pub(crate) const BURN: f64 = 2.0;

/// Strategies that took no part because their programs were not there, each with the reason, as `env.json` tells them.
pub(crate) fn skipped(env: Option<&Value>) -> Vec<String> {
    let told = env.and_then(|env| env.get("skipped")).and_then(Value::as_object);
    told.into_iter()
        .flatten()
        .map(|(name, reason)| format!("{name}: {}", reason.as_str().unwrap_or("its program is not here")))
        .collect()
}

/// Who cannot do which work by its nature, a line per strategy and reason: `mine does not fit: no GPU (2 cells)`.
pub(crate) fn unfit(a: &Analysis) -> Vec<String> {
    let mut found: Vec<((&str, &str), Vec<&str>)> = Vec::new();
    for (cell, strategy, reason) in &a.trust.unfit {
        let key = (strategy.as_str(), reason.as_str());
        match found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, cells)) => cells.push(cell),
            None => found.push((key, vec![cell])),
        }
    }
    let line = |((strategy, reason), cells): ((&str, &str), Vec<&str>)| {
        let place = match cells.as_slice() {
            cells if cells.len() == a.cells.len() => "everywhere".to_owned(),
            [cell] => (*cell).to_owned(),
            cells => format!("{} of {} cells", cells.len(), a.cells.len()),
        };
        let why = reason.strip_prefix(UNFIT).unwrap_or(reason);
        format!("{strategy} {UNFIT}{why} ({place})")
    };
    found.into_iter().map(line).collect()
}

/// The names of those that cannot do the work of a cell: `mine does not fit`.
pub(crate) fn unfit_words(a: &Analysis, cell: &CellAnalysis) -> Option<String> {
    let here = a.trust.unfit.iter().filter(|(name, ..)| *name == cell.cell);
    let names: Vec<&str> = here.map(|(_, strategy, _)| strategy.as_str()).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("{one} does not fit")),
        [first @ .., last] => Some(format!("{} and {last} do not fit", first.join(", "))),
    }
}

/// What stands in place of the figures that a strategy does not have in a cell.
pub(crate) fn absent(a: &Analysis, cell: &CellAnalysis, strategy: usize) -> &'static str {
    let is_here = |(name, who, _): &(String, String, String)| {
        *name == cell.cell && a.strategies.get(strategy) == Some(who)
    };
    if a.trust.unfit.iter().any(is_here) { "does not fit" } else { "–" }
}

/// The outcome of a cell, with the names in the order in which they are shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call<'a> {
    /// Proven fastest.
    Wins(&'a str),
    /// Proven equal, the faster first.
    Tie(Vec<&'a str>),
    /// Faster, by less than what is proven to matter.
    Leans(&'a str),
    /// Nothing is proven; these may be the best, the faster first.
    Undecided(Vec<&'a str>),
    /// There may be no verdict, for this reason.
    Refused(&'a str),
}

/// What the cell says.
pub(crate) fn call(cell: &CellAnalysis) -> Call<'_> {
    let Some(verdict) = &cell.verdict else {
        return Call::Refused(cell.no_verdict.as_deref().unwrap_or("no usable samples"));
    };
    let best = in_order(verdict);
    match (verdict.verdict, verdict.winner.as_deref().or_else(|| best.first().copied())) {
        (VerdictKind::Wins, Some(winner)) => Call::Wins(winner),
        (VerdictKind::Leans, Some(winner)) => Call::Leans(winner),
        (VerdictKind::Tie, Some(_)) => Call::Tie(best),
        _ => Call::Undecided(best),
    }
}

/// The best strategies, the winner first, the others by how close they are.
fn in_order(verdict: &Verdict) -> Vec<&str> {
    let ratio = |name: &str| verdict.versus.get(name).map_or(f64::INFINITY, |versus| versus.ratio);
    let winner = verdict.winner.as_deref();
    let mut rest: Vec<&str> =
        verdict.best.iter().map(String::as_str).filter(|name| Some(*name) != winner).collect();
    rest.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    winner.into_iter().chain(rest).collect()
}

/// The call as words: `threads wins`, `threads ≈ event-loop`.
pub(crate) fn call_words(call: &Call<'_>) -> String {
    match call {
        Call::Wins(winner) => format!("{winner} {}", wins(winner)),
        Call::Tie(best) => format!("tie: {}", best.join(" ≈ ")),
        Call::Leans(winner) => format!("leans {winner}"),
        Call::Undecided(best) if best.is_empty() => "undecided".to_owned(),
        Call::Undecided(best) => format!("undecided: {}", best.join(", ")),
        Call::Refused(reason) => format!("no verdict: {reason}"),
    }
}

/// How much faster the winner is than the baseline, where the winner is another one.
pub(crate) fn speed_up<'a>(analysis: &Analysis, cell: &'a CellAnalysis) -> Option<&'a Versus> {
    cell.verdict.as_ref()?.versus.get(&analysis.baseline)
}

/// The same where it is proven to be more than the margin.
pub(crate) fn proven_speed_up<'a>(analysis: &Analysis, cell: &'a CellAnalysis) -> Option<&'a Versus> {
    speed_up(analysis, cell).filter(|versus| versus.ci[0] > 1.0 + analysis.margin)
}

/// The speed-up as it stands in pictures: `23.9×`; the baseline's own is `1.0×`. An undecided cell has one only where
/// it is proven.
pub(crate) fn speed_up_words(analysis: &Analysis, cell: &CellAnalysis) -> Option<String> {
    let verdict = cell.verdict.as_ref()?;
    if matches!(call(cell), Call::Undecided(_)) {
        return proven_speed_up(analysis, cell).map(|versus| times(versus.ratio));
    }
    if verdict.winner.as_deref() == Some(analysis.baseline.as_str()) {
        return Some(times(1.0));
    }
    speed_up(analysis, cell).map(|versus| times(versus.ratio))
}

/// What stands beside the name in a cell: by latency the tail of the fastest, `5.41 ms`, else its speed-up. A tail is what was
/// measured, and stands in undecided cells, too.
pub(crate) fn score_words(analysis: &Analysis, cell: &CellAnalysis) -> Option<String> {
    match analysis.judged_by {
        Metric::Latency => tail(analysis, cell).map(|stats| Unit::NS.show(stats.median)),
        _ => speed_up_words(analysis, cell),
    }
}

/// What [`score_words`] are, as the head of a column.
pub(crate) fn score_title(analysis: &Analysis) -> String {
    match analysis.judged_by {
        Metric::Latency => "its tail (p99)".to_owned(),
        _ => format!("speed-up over {}", analysis.baseline),
    }
}

/// The tail of the fastest in a cell that is judged by latency.
pub(crate) fn tail(analysis: &Analysis, cell: &CellAnalysis) -> Option<MetricStats> {
    let name = cell.verdict.as_ref()?.winner.as_deref()?;
    let strategy = analysis.strategies.iter().position(|s| s == name)?;
    let index = analysis.cells.iter().position(|c| c.cell == cell.cell)?;
    analysis.figure(Metric::Latency, index, strategy)
}

/// The strategies that fell behind the load in a cell: `sequential and processes fell behind`.
pub(crate) fn behind_words(analysis: &Analysis, cell: &CellAnalysis) -> Option<String> {
    let names: Vec<&str> = behind(analysis, cell);
    match names.as_slice() {
        [] => None,
        [first @ .., last] if !first.is_empty() => {
            Some(format!("{} and {last} fell behind", first.join(", ")))
        }
        names => Some(format!("{} fell behind", names.join(""))),
    }
}

/// The names of those that fell behind the load in a cell.
pub(crate) fn behind<'a>(analysis: &'a Analysis, cell: &CellAnalysis) -> Vec<&'a str> {
    cell.behind.iter().filter_map(|s| analysis.strategies.get(*s)).map(String::as_str).collect()
}

/// Whether a crossing is in all but 5 % of the resamples; others stay out of headlines.
pub(crate) fn is_sure(crossing: &Crossover) -> bool {
    crossing.p_none < 0.05
}

/// The crossing that stands for a line of cells: of the strategies that overtake the baseline once and surely, the one
/// that is fastest at the far end, or else has the largest proven gain there.
pub(crate) fn hero<'a>(analysis: &'a Analysis, param: &str, fixed: &Params) -> Option<&'a Crossover> {
    let here = || {
        let along =
            |c: &&Crossover| c.param == param && c.fixed == *fixed && c.at.is_some_and(f64::is_finite);
        analysis.crossovers.iter().filter(along)
    };
    let on_line = |cell: &&CellAnalysis| {
        let others = cell.params.iter().filter(|(name, _)| *name != param);
        others.eq(fixed.iter())
    };
    let x = |cell: &CellAnalysis| cell.params.get(param).and_then(ParamValue::as_f64).unwrap_or(f64::MIN);
    let far = analysis.cells.iter().filter(on_line).max_by(|a, b| x(a).total_cmp(&x(b)))?;
    let fastest = far.verdict.as_ref().and_then(|v| v.winner.as_ref());
    let gain = |c: &Crossover| {
        let index = analysis.strategies.iter().position(|name| *name == c.to)?;
        far.gains.get(index).copied().flatten()
    };
    let once = |c: &&Crossover| {
        let same = |o: &&Crossover| (o.from == c.from && o.to == c.to) || (o.from == c.to && o.to == c.from);
        here().filter(same).count() == 1
    };
    here()
        .filter(|c| c.from == analysis.baseline && is_sure(c))
        .filter(once)
        .filter_map(|c| Some(((fastest == Some(&c.to), gain(c)?), c)))
        .reduce(|a, b| if b.0 > a.0 { b } else { a })
        .map(|(_, crossing)| crossing)
}

/// Whether a parameter counts things: whole numbers without a unit.
fn is_count(analysis: &Analysis, param: &str) -> bool {
    let whole = |axis: &Axis| axis.values.iter().all(|v| matches!(v, ParamValue::Int(_)));
    Unit::of(param) == Unit::Plain && analysis.axes.iter().any(|axis| axis.param == param && whole(axis))
}

/// The first whole numbers at or above a crossing and the ends of its interval, where its parameter counts things.
pub(crate) fn whole(analysis: &Analysis, crossing: &Crossover) -> Option<(f64, [f64; 2])> {
    let at = crossing.at.filter(|_| is_count(analysis, &crossing.param))?;
    // What a rounding error lies above a whole number is that number.
    let up = |x: f64| (x - 1e-9).ceil();
    Some((up(at), crossing.ci.map_or([up(at); 2], |ends| ends.map(up))))
}

/// Where a crossing of a parameter that counts things lies: `from 2 tasks on`, `from between 3 and 5 tasks on`.
pub(crate) fn from_on(analysis: &Analysis, crossing: &Crossover) -> Option<String> {
    let (at, [low, high]) = whole(analysis, crossing)?;
    let name = label(&crossing.param);
    let name = if at == 1.0 && low == high { name.strip_suffix('s').unwrap_or(&name) } else { &name };
    let number = if low == high { format!("{at}") } else { format!("between {low} and {high}") };
    Some(match is_plural(&crossing.param) {
        true => format!("from {number} {name} on"),
        false => format!("from {name} {number} on"),
    })
}

/// Whether a name takes the plural: `threads`, but not `express`.
pub(crate) fn is_plural(name: &str) -> bool {
    name.ends_with('s') && !name.ends_with("ss")
}

/// What a strategy does that is fastest: `threads win`, but `event-loop wins`.
pub(crate) fn wins(name: &str) -> &'static str {
    if is_plural(name) { "win" } else { "wins" }
}

/// The finding of some cells of a sweep: where most is undecided, what is proven against the baseline comes first.
pub(crate) fn finding(analysis: &Analysis, cells: &[&CellAnalysis]) -> String {
    let tally = tally_of(analysis, cells);
    if analysis.judged_by == Metric::Latency {
        return tally.words();
    }
    let most = tally.wins.first().map_or(0, |(_, count)| *count);
    let gain = |cell: &CellAnalysis| proven_speed_up(analysis, cell).map(|versus| versus.ratio);
    let beaten = cells.iter().filter(|cell| gain(cell).is_some()).count();
    if beaten == 0 || 2 * most >= cells.len() || tally.undecided + tally.leans == 0 {
        return tally.words();
    }
    let (place, chosen) = beaten_place(analysis, cells, beaten);
    let largest = chosen.iter().filter_map(|cell| gain(cell)).fold(0.0, f64::max);
    let is = if is_plural(&analysis.baseline) { "are" } else { "is" };
    let mut words = format!("{} {is} beaten {place}, by up to {}", analysis.baseline, times(largest));
    match tally.wins.first() {
        Some((name, count)) => {
            words.push_str(&format!("; {name} alone {} {count} of {}", wins(name), cells.len()));
        }
        None => words.push_str("; no strategy alone wins a cell"),
    }
    words
}

/// The cells in which the baseline is beaten in words, as those from a value of a parameter on where that says most
/// of it, and these cells.
fn beaten_place<'a>(
    analysis: &Analysis,
    cells: &[&'a CellAnalysis],
    beaten: usize,
) -> (String, Vec<&'a CellAnalysis>) {
    if beaten == cells.len() {
        return ("in every cell".to_owned(), cells.to_vec());
    }
    let on = |axis: &Axis| {
        let x =
            |cell: &CellAnalysis| cell.params.get(&axis.param).and_then(ParamValue::as_f64).unwrap_or(0.0);
        let open = cells.iter().filter(|cell| proven_speed_up(analysis, cell).is_none());
        let last = open.map(|cell| x(cell)).fold(f64::NEG_INFINITY, f64::max);
        let above: Vec<&CellAnalysis> = cells.iter().copied().filter(|cell| x(cell) > last).collect();
        let least = above.iter().map(|cell| x(cell)).fold(f64::INFINITY, f64::min);
        let with = match last == 0.0 {
            true => format!("with {} above 0", label(&axis.param)),
            false => format!("from {} on", amount(&axis.param, least)),
        };
        (format!("in every cell {with}"), above)
    };
    let places = analysis.axes.iter().filter(|axis| axis.is_numeric()).map(on);
    let best = places.reduce(|a, b| if b.1.len() > a.1.len() { b } else { a });
    if let Some(best) = best.filter(|(_, above)| 2 * above.len() >= beaten) {
        return best;
    }
    let chosen = cells.iter().copied().filter(|cell| proven_speed_up(analysis, cell).is_some());
    (format!("in {beaten} of {} cells", cells.len()), chosen.collect())
}

/// The closest rival of the winner.
pub(crate) fn runner_up(verdict: &Verdict) -> Option<(&str, &Versus)> {
    let closest = verdict.versus.iter().min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio));
    closest.map(|(name, versus)| (name.as_str(), versus))
}

/// The figures of `strategy` in `cell`.
pub(crate) fn stats<'a>(
    analysis: &Analysis,
    cell: &'a CellAnalysis,
    strategy: &str,
) -> Option<&'a StrategyStats> {
    let index = analysis.strategies.iter().position(|name| name == strategy)?;
    cell.stats.get(index)?.as_ref()
}

/// A win that is paid for with CPU time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Burn<'a> {
    pub(crate) winner: &'a str,
    pub(crate) runner_up: &'a str,
    /// CPU time per task of the winner over that of the runner-up.
    pub(crate) ratio: f64,
}

/// The burn of `cell`, where its win is clear and costs at least [`BURN`] times the runner-up's CPU time.
pub(crate) fn burn<'a>(analysis: &Analysis, cell: &'a CellAnalysis) -> Option<Burn<'a>> {
    let Call::Wins(winner) = call(cell) else { return None };
    let (runner_up, _) = runner_up(cell.verdict.as_ref()?)?;
    let cost = |name: &str| stats(analysis, cell, name).map(|s| s.cpu_per_task_ns).filter(|c| *c > 0.0);
    let ratio = cost(winner)? / cost(runner_up)?;
    (ratio >= BURN).then_some(Burn { winner, runner_up, ratio })
}

/// How many times less CPU time per task the fastest takes than the baseline, where that is too much to be chance. Then its
/// speed-up is not overlap alone: its memory, its caches or its client are cheaper, and it may exceed the number of cores.
pub(crate) fn saving(analysis: &Analysis, cell: &CellAnalysis) -> Option<f64> {
    let fastest = cell.verdict.as_ref()?.winner.as_deref()?;
    let cost = |name: &str| stats(analysis, cell, name).map(|s| s.cpu_per_task_ns).filter(|c| *c > 0.0);
    let ratio = cost(&analysis.baseline)? / cost(fastest)?;
    (ratio >= SAVING).then_some(ratio)
}

/// The cell as words, or `all` where nothing is swept.
pub(crate) fn cell_words(cell: &CellAnalysis) -> String {
    if cell.params.is_empty() { "all".to_owned() } else { describe(&cell.params) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn an_undecided_cell_tells_a_speed_up_only_where_it_is_proven() {
        let mut run = synthetic::mixed();
        let at = run.cells.iter().position(|c| matches!(call(c), Call::Undecided(_))).unwrap();
        assert!(speed_up_words(&run, &run.cells[at]).is_some());
        let baseline = run.baseline.clone();
        let versus = &mut run.cells[at].verdict.as_mut().unwrap().versus;
        versus.get_mut(&baseline).unwrap().ci[0] = 1.02;
        assert_eq!(speed_up_words(&run, &run.cells[at]), None);
    }

    #[test]
    fn a_speed_up_that_is_not_overlap_alone_is_told() {
        let mut run = synthetic::mixed();
        let wins = |c: &CellAnalysis| matches!(call(c), Call::Wins(name) if name != "sequential");
        let at = run.cells.iter().position(wins).unwrap();
        let fastest = run.cells[at].verdict.as_ref().unwrap().winner.clone().unwrap();
        let of = |run: &Analysis, name: &str| run.strategies.iter().position(|s| s == name).unwrap();
        let (fast, slow) = (of(&run, &fastest), of(&run, &run.baseline));
        let mut with = |fast_ns: f64, slow_ns: f64| {
            run.cells[at].stats[fast].as_mut().unwrap().cpu_per_task_ns = fast_ns;
            run.cells[at].stats[slow].as_mut().unwrap().cpu_per_task_ns = slow_ns;
            saving(&run, &run.cells[at])
        };
        assert_ne!(fast, slow);
        assert_eq!(
            [with(100.0, 150.0), with(100.0, 110.0), with(100.0, 90.0), with(0.0, 1.0)],
            [Some(1.5), None, None, None]
        );
    }

    #[test]
    fn where_most_is_undecided_the_finding_is_about_the_baseline() {
        let mut run = synthetic::mixed();
        let wait = |cell: &CellAnalysis| cell.params["wait_us"].as_f64().unwrap();
        for cell in &mut run.cells {
            let waits = wait(cell) > 0.0;
            let verdict = cell.verdict.as_mut().unwrap();
            verdict.verdict = VerdictKind::Undecided;
            if !waits {
                verdict.versus.clear();
            }
        }
        let finding = |run: &Analysis| finding(run, &run.cells.iter().collect::<Vec<_>>());
        let words = finding(&run);
        let starts = "sequential is beaten in every cell with wait per task above 0, by up to 24";
        assert!(words.starts_with(starts) && words.ends_with("; no strategy alone wins a cell"), "{words}");
        for verdict in run.cells.iter_mut().filter_map(|cell| cell.verdict.as_mut()) {
            verdict.versus.clear();
        }
        assert!(!finding(&run).contains("beaten"), "nothing is claimed that is not proven");
    }

    fn counted(at: f64, ci: [f64; 2]) -> Option<String> {
        let mut run = synthetic::mixed();
        let mut crossing = run.crossovers.iter().find(|c| c.at.is_some()).unwrap().clone();
        run.axes[0] =
            Axis { param: "tasks".to_owned(), values: vec![ParamValue::Int(1), ParamValue::Int(8)] };
        (crossing.param, crossing.at, crossing.ci) = ("tasks".to_owned(), Some(at), Some(ci));
        from_on(&run, &crossing)
    }

    #[test]
    fn a_crossing_between_whole_numbers_is_told_in_whole_numbers() {
        assert_eq!(counted(1.03, [1.01, 1.05]).unwrap(), "from 2 tasks on");
        assert_eq!(counted(2.0 + 1e-12, [1.5, 2.0]).unwrap(), "from 2 tasks on");
        assert_eq!(counted(3.5, [2.2, 4.1]).unwrap(), "from between 3 and 5 tasks on");
        let run = synthetic::mixed();
        let timed = run.crossovers.iter().find(|c| c.at.is_some()).unwrap();
        assert_eq!(from_on(&run, timed), None, "a time is no count");
    }

    #[test]
    fn the_strategy_that_is_best_at_the_far_end_stands_for_a_line() {
        let run = synthetic::mixed();
        let mut lines = 0;
        for crossing in run.crossovers.iter().filter(|c| c.at.is_some()) {
            let Some(hero) = hero(&run, &crossing.param, &crossing.fixed) else { continue };
            assert_eq!(hero.from, run.baseline);
            let x = |cell: &&CellAnalysis| cell.params[&hero.param].as_f64().unwrap();
            let on = |cell: &&CellAnalysis| hero.fixed.iter().all(|(k, v)| cell.params.get(k) == Some(v));
            let far = run.cells.iter().filter(on).max_by(|a, b| x(a).total_cmp(&x(b))).unwrap();
            let gain = |name: &str| far.gains[run.strategies.iter().position(|s| s == name).unwrap()];
            assert!(gain(&hero.to).is_some(), "{} is proven faster", hero.to);
            let rivals = run.crossovers.iter().filter(|c| {
                c.at.is_some() && c.from == run.baseline && c.param == hero.param && c.fixed == hero.fixed
            });
            for rival in rivals.filter(|c| is_sure(c)) {
                assert!(gain(&rival.to) <= gain(&hero.to), "{} and {}", rival.to, hero.to);
            }
            lines += 1;
        }
        assert!(lines > 0);
    }
}
