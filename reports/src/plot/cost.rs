//! The cost plot: CPU time per task and strategy. A win that is paid for with CPU time is ringed.
use super::bars::{self, Bars};
use super::callouts::Callout;
use super::crossover::{along, conditions, refused, series, table};
use super::form::Form;
use super::lines::{self, Chart};
use super::select::{self, Slice};
use super::style::Colour;
use super::units::{Unit, headed, label, show_param, times};
use super::{Drawn, Section};
use crate::analysis::model::{Analysis, CellAnalysis, StrategyStats};
use crate::facts::{self, Burn};
use crate::record::ParamValue;

/// The most cost plots per experiment.
const MOST: usize = 2;

fn figure(s: &StrategyStats) -> (f64, [f64; 2]) {
    (s.cpu_per_task_ns, s.cpu_ci_ns)
}

/// The cost plots; none where no CPU time was recorded.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Vec<Drawn> {
    let recorded = analysis.cells.iter().flat_map(|c| &c.stats).flatten().any(|s| s.cpu_per_task_ns > 0.0);
    if !recorded {
        return Vec::new();
    }
    let Some(main) = select::main_axis(analysis) else {
        let title = headline(analysis, &analysis.cells.iter().collect::<Vec<_>>(), None);
        let what = "CPU time per task (user + system)";
        let bars = Bars { section: Section::Cost, stem: "cost", title: &title, what, figure };
        return bars::draw(analysis, bars, form).into_iter().collect();
    };
    let mut slices = select::telling_slices(analysis);
    slices.retain(|slice| slice.axis.param == main.param);
    // Where wins burn CPU time is what this picture is about.
    let burns =
        |slice: &Slice<'_>| slice.cells.iter().filter(|(_, c)| facts::burn(analysis, c).is_some()).count();
    slices.sort_by_key(|slice| std::cmp::Reverse(burns(slice)));
    slices.truncate(MOST);
    slices.iter().map(|slice| draw_slice(analysis, slice, form)).collect()
}

fn draw_slice(analysis: &Analysis, slice: &Slice<'_>, form: Form) -> Drawn {
    let cells: Vec<_> = slice.cells.iter().map(|(_, cell)| *cell).collect();
    let title = headed(&slice.fixed, headline(analysis, &cells, Some(&slice.axis.param)));
    let chart = Chart {
        title: title.clone(),
        subtitle: conditions(analysis, slice, "CPU time, user + system: median, with its interval"),
        x_title: label(&slice.axis.param),
        y_title: "CPU time per task".to_owned(),
        along: along(slice),
        y_unit: Unit::NS,
        series: series(analysis, slice, &Unit::NS, figure),
        callouts: callouts(analysis, slice),
        refused: refused(slice),
    };
    let scene = lines::draw(&chart, form);
    let description = format!("Line plot of CPU time per task over {}. {title}.", label(&slice.axis.param));
    let stem = ["cost", &slice.axis.param, &select::stem(&slice.fixed)].join("_");
    let table = table(analysis, slice, figure);
    Drawn { subtitle: chart.subtitle, ..Drawn::new(Section::Cost, stem, title, description, scene, table) }
}

/// A ring around every win that burns CPU time; words at the worst one.
fn callouts(analysis: &Analysis, slice: &Slice<'_>) -> Vec<Callout> {
    let mut found: Vec<(f64, f64, Burn<'_>)> = slice
        .cells
        .iter()
        .filter_map(|(x, cell)| {
            let burn = facts::burn(analysis, cell)?;
            Some((*x, facts::stats(analysis, cell, burn.winner)?.cpu_per_task_ns, burn))
        })
        .collect();
    found.sort_by(|a, b| b.2.ratio.total_cmp(&a.2.ratio));
    let words = |i: usize, burn: &Burn<'_>| match i {
        0 => vec![
            format!("{} {},", burn.winner, if facts::is_plural(burn.winner) { "win" } else { "wins" }),
            format!("at {} the CPU", times(burn.ratio)),
            format!("of {}", burn.runner_up),
        ],
        _ => Vec::new(),
    };
    let callout = |(i, (x, y, burn)): (usize, &(f64, f64, Burn<'_>))| Callout {
        at: (*x, *y),
        strip: None,
        words: words(i, burn),
        colour: Colour::Alarm,
    };
    found.iter().enumerate().map(callout).collect()
}

/// The finding about cost over `cells`.
fn headline(analysis: &Analysis, cells: &[&CellAnalysis], param: Option<&str>) -> String {
    let burns = cells.iter().filter_map(|cell| Some((facts::burn(analysis, cell)?, cell)));
    let at = |cell: &CellAnalysis| {
        let value = param.and_then(|p| Some((p, cell.params.get(p)?)));
        value.map_or_else(String::new, |(p, v): (&str, &ParamValue)| match v {
            ParamValue::Text(name) => format!(" with {name}"),
            number => format!(" at {} {}", show_param(p, number), label(p)),
        })
    };
    if let Some((burn, cell)) = burns.max_by(|a, b| a.0.ratio.total_cmp(&b.0.ratio)) {
        let ratio = times(burn.ratio);
        let verbs = if facts::is_plural(burn.winner) { "win, but burn" } else { "wins, but burns" };
        return format!("{} {verbs} {ratio} the CPU of {}{}", burn.winner, burn.runner_up, at(cell));
    }
    let spread = |costs: &[Cost<'_>]| costs[costs.len() - 1].0 / costs[0].0;
    // Where they differ most is what matters; of equals the last cell, which is the largest.
    let all: Vec<_> =
        cells.iter().map(|cell| (cell, costs(analysis, cell))).filter(|(_, c)| c.len() > 1).collect();
    if all.is_empty() {
        return "CPU time per task".to_owned();
    }
    if all.iter().all(|(_, costs)| spread(costs) < 1.0 + analysis.margin) {
        return "All strategies cost the same CPU time".to_owned();
    }
    let apart = |costs: &[Cost<'_>]| costs[0].1[1] < costs[costs.len() - 1].1[0];
    let resolved = all.into_iter().filter(|(_, costs)| apart(costs));
    let Some((cell, costs)) = resolved.max_by(|a, b| spread(&a.1).total_cmp(&spread(&b.1))) else {
        return "No difference in CPU time is resolved: the intervals overlap".to_owned();
    };
    let ((least, _, cheap), (most, _, dear)) = (&costs[0], &costs[costs.len() - 1]);
    let many =
        |name: &str, one: &'static str, many: &'static str| if facts::is_plural(name) { many } else { one };
    let (cost, take) = (many(cheap, "costs", "cost"), many(dear, "takes", "take"));
    format!("{cheap} {cost} the least CPU{}; {dear} {take} {}", at(cell), times(most / least))
}

/// CPU time per task, its interval, and who takes it.
type Cost<'a> = (f64, [f64; 2], &'a str);

/// What is known of a cell, the cheapest first.
fn costs<'a>(analysis: &'a Analysis, cell: &CellAnalysis) -> Vec<Cost<'a>> {
    let named = analysis.strategies.iter().zip(&cell.stats);
    let mut costs: Vec<Cost<'a>> = named
        .filter_map(|(name, s)| s.as_ref().map(|s| (s.cpu_per_task_ns, s.cpu_ci_ns, name.as_str())))
        .filter(|(cost, ..)| *cost > 0.0)
        .collect();
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    costs
}
