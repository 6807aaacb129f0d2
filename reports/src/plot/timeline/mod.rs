//! The timeline: what every worker did in one traced run, the strategies below each other on one axis of time.
//!
//! A bar is a task on a worker. A task without a bar is either queued (handed over, not started) or waits aside
//! (started, but on no worker): `panel` draws the two as areas of their own, `tally` counts them.
use super::axes::{self, Axis, TICK_SIZE, Tick};
use super::canvas::{Anchor, Rect, Scene, Stroke, Text};
use super::font::{self, Weight};
use super::form::Form;
use super::frame;
use super::style::{self, Colour, Style, Tone};
use super::units::{Unit, describe, headed, significant};
use super::{Drawn, Section, Table};
use crate::analysis::model::Analysis;
use crate::facts;
use crate::record::Timeline;

mod panel;
mod tally;

use panel::{Panel, Scale};
use tally::Tally;

/// The most pictures per experiment, and strategies in one.
const MOST: (usize, usize) = (3, 5);
/// Runs longer than this many times the shortest one are cut off.
const CUT: u64 = 5;

/// The timelines, one per traced cell; those with several strategies come first.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Vec<Drawn> {
    let mut cells: Vec<(&str, Vec<&Timeline>)> = Vec::new();
    let known = |t: &&Timeline| analysis.strategies.contains(&t.strategy) && t.wall_ns > 0;
    for timeline in analysis.timelines.iter().filter(known).filter(|t| !t.tasks.is_empty()) {
        match cells.iter_mut().find(|(cell, _)| *cell == timeline.cell) {
            Some((_, all)) if all.iter().any(|t| t.strategy == timeline.strategy) => {}
            Some((_, all)) => all.push(timeline),
            None => cells.push((&timeline.cell, vec![timeline])),
        }
    }
    cells.sort_by_key(|(_, all)| all.len() < 2);
    cells.truncate(MOST.0);
    let alone = cells.len() == 1;
    cells.iter().map(|(cell, all)| draw_cell(analysis, cell, all, alone, form)).collect()
}

fn draw_cell(analysis: &Analysis, cell: &str, all: &[&Timeline], alone: bool, form: Form) -> Drawn {
    let styles = style::styles(&analysis.strategies);
    let style = |name: &str| analysis.strategies.iter().position(|s| s == name).map(|i| styles[i]);
    let chosen = choose(analysis, all);
    let panels: Vec<Panel<'_>> = chosen
        .iter()
        .filter_map(|timeline| {
            Some(Panel { timeline, tally: Tally::of(timeline), style: style(&timeline.strategy)? })
        })
        .collect();
    let params = analysis.cells.iter().find(|c| c.cell == cell).map(|c| &c.params);
    let title = match params.filter(|_| !alone) {
        Some(params) => headed(params, headline(&panels)),
        None => headline(&panels),
    };
    let subtitle = conditions(analysis, cell, &chosen);
    let mut scene = Scene::new(form, 0.0);
    let top = frame::head(&mut scene, &title, &subtitle) + 6.0;
    let names = chosen.iter().flat_map(|t| &t.workers).take(64);
    let widest = names.map(|name| font::width(name, 11.0, Weight::Regular)).fold(48.0, f64::max);
    let (left, right) = (scene.left() + widest.min(form.pick(110.0, 56.0)) + 6.0, scene.right() - 6.0);
    let until = until(&chosen);
    let x = Axis::numeric([0.0, until as f64], Unit::NS, true, left, right);
    let under = scene.items.len();
    let scale = Scale { until, most: panels.iter().map(|p| p.tally.pending).max().unwrap_or(1) };
    let (mut y, mut bodies) = (top, Vec::new());
    for panel in &panels {
        let (rows, end) = panel.draw(&mut scene, &x, (y, left), scale);
        bodies.push((rows, end));
        y = end;
    }
    let plot = Rect::new(left, top, right, y);
    time_axis(&mut scene, &plot, &x, (under, &bodies));
    let first = panels.first().map(|p| p.style);
    scene.height = legend(&mut scene, first, y + 56.0).round();
    let names: Vec<&str> = chosen.iter().map(|t| t.strategy.as_str()).collect();
    let description = format!("Timelines of the workers of {}. {title}.", names.join(", "));
    let (stem, table) = (["timeline", cell].join("_"), table(&panels));
    Drawn { subtitle, ..Drawn::new(Section::Timeline, stem, title, description, scene, table) }
}

/// The strategies to show, in the order of the experiment: the baseline, the slowest, and the fastest of the others.
fn choose<'a>(analysis: &Analysis, all: &[&'a Timeline]) -> Vec<&'a Timeline> {
    let mut ranked: Vec<&Timeline> = all.to_vec();
    let last = |t: &Timeline| all.iter().all(|other| other.wall_ns <= t.wall_ns);
    ranked.sort_by_key(|t| (t.strategy != analysis.baseline, !last(t), t.wall_ns));
    ranked.truncate(MOST.1);
    ranked.sort_by_key(|t| analysis.strategies.iter().position(|name| *name == t.strategy));
    ranked
}

/// Where the time axis ends: at the end of the longest run, unless the shortest would then be a sliver.
fn until(chosen: &[&Timeline]) -> u64 {
    let walls = || chosen.iter().map(|t| t.wall_ns);
    let (longest, shortest) = (walls().max().unwrap_or(1), walls().min().unwrap_or(1));
    longest.min(shortest.saturating_mul(CUT))
}

/// Grid behind everything drawn from item number `under` on, from each top to its bottom, and the labels below `plot`.
fn time_axis(scene: &mut Scene, plot: &Rect, x: &Axis, (under, bodies): (usize, &[(f64, f64)])) {
    let drawn = scene.items.split_off(under);
    let limits = (4.0, scene.bounds().right - 4.0);
    let ticks = x.ticks(|ticks: &[Tick]| axes::fit_in_row(ticks, limits, 14.0));
    for tick in &ticks {
        for &(top, bottom) in bodies {
            scene.line(vec![(tick.at, top), (tick.at, bottom)], Stroke::new(Colour::Grid, 1.0));
        }
    }
    scene.items.extend(drawn);
    scene.line(vec![(plot.left, plot.bottom), (plot.right, plot.bottom)], Stroke::new(Colour::Ink, 1.5));
    for tick in ticks {
        let at = (tick.at, plot.bottom + 18.0);
        scene.text(Text::new(tick.label, at, TICK_SIZE).anchor(Anchor::Middle));
    }
    let title = Text::new("time since the start of the run", (plot.centre().0, plot.bottom + 40.0), 13.0);
    let title = axes::centred(title.colour(Colour::Ink), scene);
    scene.text(title);
}

/// What the shapes mean; returns the picture's height.
fn legend(scene: &mut Scene, style: Option<Style>, top: f64) -> f64 {
    let Some(style) = style else { return top };
    let entries = [
        "task on a worker: it computes, or blocks it",
        "waiting aside: started, on no worker",
        "queued: handed over, not started",
    ];
    let (left, right) = (scene.left(), scene.right());
    let (mut x, mut y) = (left, top + 12.0);
    for (i, words) in entries.into_iter().enumerate() {
        let text = Text::new(words, (0.0, 0.0), 12.0).colour(Colour::Ink);
        let width = 26.0 + text.width();
        if x > left && x + width > right {
            (x, y) = (left, y + 20.0);
        }
        let key = Rect::new(x, y - 10.0, x + 18.0, y + 2.0);
        let top_edge = vec![(key.left, key.top), (key.right, key.top)];
        match i {
            0 => scene.rect(key, style.tone(Tone::Fill), 1.0),
            1 => {
                scene.rect(key, style.tone(Tone::Pale), 1.0);
                scene.line(top_edge, Stroke::new(style.tone(Tone::Line), 1.5));
            }
            _ => {
                scene.rect(key, Colour::Grid, 1.0);
                scene.line(top_edge, Stroke::new(Colour::Muted, 1.2).dashed(Some([2.5, 2.0])));
            }
        }
        scene.text(Text { x: x + 25.0, y, ..text });
        x += width + 20.0;
    }
    y + 18.0
}

fn headline(panels: &[Panel<'_>]) -> String {
    let wall = |p: &Panel<'_>| Unit::NS.show(p.timeline.wall_ns as f64);
    let name = |p: &Panel<'_>| p.timeline.strategy.clone();
    let percent = |p: &Panel<'_>| significant((p.tally.busy * 100.0).round(), 3);
    let mut ranked: Vec<&Panel<'_>> = panels.iter().collect();
    ranked.sort_by_key(|p| p.timeline.wall_ns);
    let (Some(fast), Some(slow)) = (ranked.first(), ranked.last()) else {
        return "What the workers do".to_owned();
    };
    let verb = |p: &Panel<'_>, one: &'static str, many: &'static str| {
        if facts::is_plural(&p.timeline.strategy) { many } else { one }
    };
    if ranked.len() == 1 {
        let is = if fast.timeline.workers.len() == 1 { "worker is" } else { "workers are" };
        return format!("{}: the {is} busy for {} % of {}", name(fast), percent(fast), wall(fast));
    }
    let (at_once, slow_at_once) = (fast.tally.most.in_flight, slow.tally.most.in_flight);
    let (ends, end) = (verb(fast, "ends", "end"), verb(slow, "ends", "end"));
    if at_once != slow_at_once {
        let has = verb(fast, "has", "have");
        let tasks = if at_once == 1 { "task" } else { "tasks" };
        return format!(
            "{} {has} up to {at_once} {tasks} in flight and {ends} after {}; {}, with {slow_at_once}, after {}",
            name(fast),
            wall(fast),
            name(slow),
            wall(slow)
        );
    }
    format!(
        "{} {ends} after {} with its workers busy {} % of the time; {} {end} after {} with {} %",
        name(fast),
        wall(fast),
        percent(fast),
        name(slow),
        wall(slow),
        percent(slow)
    )
}

fn conditions(analysis: &Analysis, cell: &str, chosen: &[&Timeline]) -> String {
    let mut parts = Vec::new();
    if let Some(cell) = analysis.cells.iter().find(|c| c.cell == cell).filter(|c| !c.params.is_empty()) {
        parts.push(describe(&cell.params));
    }
    parts.extend(super::constants(analysis));
    let mut text = format!(
        "{}One traced run of each, beside the measured ones, on one axis of time. Rows: workers.",
        if parts.is_empty() { String::new() } else { format!("{}. ", parts.join(" · ")) }
    );
    let until = until(chosen);
    if chosen.iter().any(|t| t.wall_ns > until) {
        text.push_str(" Longer runs go on behind the arrow.");
    }
    if chosen.iter().any(|t| t.truncated) {
        text.push_str(" There were more tasks than are shown.");
    }
    text
}

fn table(panels: &[Panel<'_>]) -> Table {
    let header = [
        "strategy",
        "wall time",
        "workers",
        "busy",
        "tasks",
        "in flight at most",
        "queued at most",
        "waiting aside at most",
        "median time queued",
        "median time waiting aside",
    ];
    let row = |p: &Panel<'_>| {
        vec![
            p.timeline.strategy.clone(),
            Unit::NS.show(p.timeline.wall_ns as f64),
            p.timeline.workers.len().to_string(),
            format!("{} %", significant((p.tally.busy * 100.0).round(), 3)),
            p.timeline.tasks.len().to_string(),
            p.tally.most.in_flight.to_string(),
            p.tally.most.queued.to_string(),
            p.tally.most.waiting.to_string(),
            Unit::NS.show(p.tally.queued_ns),
            Unit::NS.show(p.tally.waiting_ns),
        ]
    };
    Table { header: header.map(str::to_owned).to_vec(), rows: panels.iter().map(row).collect() }
}
