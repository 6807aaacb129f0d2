//! The cost plot: CPU time per task and strategy. A win that is paid for with CPU time is ringed.
use super::Drawn;
use super::bars::{self, Bars};
use super::canvas::HEIGHT;
use super::crossover::{along, conditions, refused, series, table};
use super::lines::{self, Callout, Chart};
use super::select::{self, Slice};
use super::style::Colour;
use super::units::{Unit, label, show_param, times};
use crate::analysis::model::{Analysis, StrategyStats};
use crate::facts::{self, Burn};
use crate::record::ParamValue;

/// The most cost plots per experiment.
const MOST: usize = 2;

fn figure(s: &StrategyStats) -> (f64, [f64; 2]) {
    (s.cpu_per_task_ns, s.cpu_ci_ns)
}

/// The cost plots; none where no CPU time was recorded.
pub(crate) fn draw(analysis: &Analysis) -> Vec<Drawn> {
    let recorded = analysis.cells.iter().flat_map(|c| &c.stats).flatten().any(|s| s.cpu_per_task_ns > 0.0);
    if !recorded {
        return Vec::new();
    }
    let Some(main) = select::main_axis(analysis) else {
        let title = headline(analysis, &analysis.cells.iter().collect::<Vec<_>>(), None);
        let what = "CPU time per task (user + system)";
        return bars::draw(analysis, Bars { stem: "cost", title: &title, what, figure })
            .into_iter()
            .collect();
    };
    let mut slices = select::telling_slices(analysis);
    slices.retain(|slice| slice.axis.param == main.param);
    // Where wins burn CPU time is what this picture is about.
    let burns =
        |slice: &Slice<'_>| slice.cells.iter().filter(|(_, c)| facts::burn(analysis, c).is_some()).count();
    slices.sort_by_key(|slice| std::cmp::Reverse(burns(slice)));
    slices.truncate(MOST);
    slices.iter().map(|slice| draw_slice(analysis, slice)).collect()
}

fn draw_slice(analysis: &Analysis, slice: &Slice<'_>) -> Drawn {
    let cells: Vec<_> = slice.cells.iter().map(|(_, cell)| *cell).collect();
    let title = headline(analysis, &cells, Some(&slice.axis.param));
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
    let scene = lines::draw(&chart, HEIGHT);
    let description = format!("Line plot of CPU time per task over {}. {title}.", label(&slice.axis.param));
    let stem = ["cost", &slice.axis.param, &select::stem(&slice.fixed)].join("_");
    Drawn { stem, title, description, scene, table: table(analysis, slice, figure) }
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
            format!("{} wins,", burn.winner),
            format!("but burns {} the CPU", times(burn.ratio)),
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
fn headline(
    analysis: &Analysis,
    cells: &[&crate::analysis::model::CellAnalysis],
    param: Option<&str>,
) -> String {
    let burns = cells.iter().filter_map(|cell| Some((facts::burn(analysis, cell)?, cell)));
    let at = |cell: &crate::analysis::model::CellAnalysis| {
        let value = param.and_then(|p| Some((p, cell.params.get(p)?)));
        value.map_or_else(String::new, |(p, v): (&str, &ParamValue)| {
            format!(" at {} {}", show_param(p, v), label(p))
        })
    };
    if let Some((burn, cell)) = burns.max_by(|a, b| a.0.ratio.total_cmp(&b.0.ratio)) {
        let ratio = times(burn.ratio);
        return format!("{} wins, but burns {ratio} the CPU of {}{}", burn.winner, burn.runner_up, at(cell));
    }
    // The last cell is the largest: there the costs of starting up weigh least.
    let named = |cell: &crate::analysis::model::CellAnalysis| -> Vec<(f64, String)> {
        let costs = analysis.strategies.iter().zip(&cell.stats);
        let mut costs: Vec<(f64, String)> = costs
            .filter_map(|(name, s)| Some((s.as_ref()?.cpu_per_task_ns, name.clone())))
            .filter(|(cost, _)| *cost > 0.0)
            .collect();
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
        costs
    };
    let Some((cell, costs)) = cells.iter().rev().map(|c| (c, named(c))).find(|(_, costs)| costs.len() > 1)
    else {
        return "CPU time per task".to_owned();
    };
    let (least, most) = (&costs[0], &costs[costs.len() - 1]);
    let ratio = most.0 / least.0;
    if ratio < 1.0 + analysis.margin {
        return format!("All strategies cost the same CPU time{}", at(cell));
    }
    let take = if crate::facts::is_plural(&most.1) { "take" } else { "takes" };
    format!("{} costs the least CPU{}; {} {take} {}", least.1, at(cell), most.1, times(ratio))
}
