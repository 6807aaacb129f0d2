//! The percentile plot: how long single tasks take, with the tail spread out over −log(1 − p).
//!
//! Under an open load a task counts from its intended start, under a closed one from its own: the subtitle says which,
//! since a closed loop hides the tasks that a stall delays.
use super::axes::percentile;
use super::form::Form;
use super::lines::{self, Along, Chart, Dot, Series};
use super::style;
use super::units::{Unit, describe, headed, significant};
use super::{Drawn, Section, Table, select};
use crate::analysis::model::{Analysis, Latency, OpenLoad};
use crate::facts;

/// The most percentile plots per experiment.
const MOST: usize = 3;
/// The percentiles that have a marker and a column of the table.
const MARKED: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// The percentile plots: of the cells whose tails differ most, in the order of the sweep.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Vec<Drawn> {
    let mut cells: Vec<(usize, Vec<&Latency>)> = Vec::new();
    for latency in analysis.latency.iter().filter(|l| !l.points.is_empty()) {
        if latency.cell >= analysis.cells.len() || latency.strategy >= analysis.strategies.len() {
            continue;
        }
        match cells.iter_mut().find(|(cell, _)| *cell == latency.cell) {
            Some((_, all)) => all.push(latency),
            None => cells.push((latency.cell, vec![latency])),
        }
    }
    let mut ranked: Vec<usize> = (0..cells.len()).collect();
    ranked.sort_by(|a, b| spread(&cells[*b].1).total_cmp(&spread(&cells[*a].1)).then(a.cmp(b)));
    ranked.truncate(MOST);
    ranked.sort_unstable();
    let alone = ranked.len() == 1;
    let draw = |i: usize| draw_cell(analysis, cells[i].0, &cells[i].1, alone, form);
    ranked.into_iter().map(draw).collect()
}

/// How many times the worst 99th percentile is the best one.
fn spread(all: &[&Latency]) -> f64 {
    let tails = || all.iter().map(|l| l.p99_ns).filter(|p| *p > 0.0);
    tails().fold(0.0, f64::max) / tails().fold(f64::INFINITY, f64::min)
}

fn draw_cell(analysis: &Analysis, cell: usize, all: &[&Latency], alone: bool, form: Form) -> Drawn {
    let finding = headline(analysis, all);
    let title = if alone { finding } else { headed(&analysis.cells[cell].params, finding) };
    let highest = all.iter().filter_map(|l| l.points.last()).map(|(share, _)| *share).fold(0.0, f64::max);
    let chart = Chart {
        title: title.clone(),
        subtitle: conditions(analysis, cell, all),
        x_title: "percentile of the tasks (log of 1 − p)".to_owned(),
        y_title: "time of a task".to_owned(),
        along: Along::Shares(highest),
        y_unit: Unit::NS,
        series: all.iter().map(|latency| series(analysis, latency, mixed(all))).collect(),
        callouts: Vec::new(),
        refused: Vec::new(),
    };
    let scene = lines::draw(&chart, form);
    let names: Vec<&str> = all.iter().map(|l| analysis.strategies[l.strategy].as_str()).collect();
    let description =
        format!("Percentile plot of the time of single tasks for {}. {title}.", names.join(", "));
    let stem = ["latency", &select::stem(&analysis.cells[cell].params)].join("_");
    let table = table(analysis, all);
    Drawn { subtitle: chart.subtitle, ..Drawn::new(Section::Latency, stem, title, description, scene, table) }
}

/// Whether some strategies had an open and some a closed load.
fn mixed(all: &[&Latency]) -> bool {
    all.iter().any(|l| l.open.is_some()) && all.iter().any(|l| l.open.is_none())
}

fn series(analysis: &Analysis, latency: &Latency, mixed: bool) -> Series {
    let name = &analysis.strategies[latency.strategy];
    let style = style::styles(&analysis.strategies)[latency.strategy];
    let shown = latency.points.iter().filter(|(share, ns)| *share < 1.0 && *ns > 0.0);
    let mut dots: Vec<Dot> = shown.map(|&(x, y)| Dot { x, y, ci: [y, y], tip: None }).collect();
    for share in MARKED {
        // The dot that stands for a percentile is the first one at or above it.
        let Some(dot) = dots.iter_mut().find(|dot| dot.x >= share - 1e-9) else { continue };
        dot.tip.get_or_insert(format!("{name}, {}: {}", percentile(share), Unit::NS.show(dot.y)));
    }
    if let (Some(last), true) = (dots.last_mut(), latency.max_ns > 0.0) {
        last.tip.get_or_insert(format!("{name}, the slowest: {}", Unit::NS.show(latency.max_ns)));
    }
    let mut note = vec![format!("p99 {}", Unit::NS.show(latency.p99_ns))];
    match &latency.open {
        Some(open) if open.behind => note.push("fell behind".to_owned()),
        Some(_) if mixed => note.push("open loop".to_owned()),
        None if mixed => note.push("closed loop".to_owned()),
        _ => {}
    }
    Series { label: name.clone(), note: note.join(", "), style, dots }
}

fn headline(analysis: &Analysis, all: &[&Latency]) -> String {
    let name = |latency: &Latency| analysis.strategies[latency.strategy].as_str();
    let mut ranked: Vec<&Latency> = all.iter().copied().filter(|l| l.p99_ns > 0.0).collect();
    let behind = |l: &Latency| l.open.as_ref().is_some_and(|open| open.behind);
    // Who does not take on the whole load is no example, however short its tail.
    ranked.sort_by(|a, b| behind(a).cmp(&behind(b)).then(a.p99_ns.total_cmp(&b.p99_ns)));
    let (Some(best), Some(worst)) = (ranked.first(), ranked.last()) else {
        return "How long single tasks take".to_owned();
    };
    let show = |ns: f64| Unit::NS.show(ns);
    if ranked.iter().all(|latency| behind(latency)) {
        let (name, p99) = (name(best), show(best.p99_ns));
        return format!(
            "Every strategy falls behind the load; the shortest tail is that of {name}, p99 {p99}"
        );
    }
    if ranked.len() == 1 {
        return format!("99 of 100 tasks of {} take at most {}", name(best), show(best.p99_ns));
    }
    if !behind(worst) && worst.p99_ns <= best.p99_ns * (1.0 + analysis.margin.max(0.05)) {
        return format!("All tails are alike: 99 of 100 tasks take at most {}", show(best.p99_ns));
    }
    let keep = if facts::is_plural(name(best)) { "keep" } else { "keeps" };
    let tail = if behind(worst) {
        let fall = if facts::is_plural(name(worst)) { "fall" } else { "falls" };
        format!("{} {fall} behind the load, at {}", name(worst), show(worst.p99_ns))
    } else {
        format!("with {} it takes {}", name(worst), show(worst.p99_ns))
    };
    format!("{} {keep} 99 of 100 tasks under {}; {tail}", name(best), show(best.p99_ns))
}

/// The load in words: what was intended, what was achieved, and whether the generator kept up.
fn conditions(analysis: &Analysis, cell: usize, all: &[&Latency]) -> String {
    let mut parts = Vec::new();
    if !analysis.cells[cell].params.is_empty() {
        parts.push(describe(&analysis.cells[cell].params));
    }
    parts.extend(super::constants(analysis));
    parts.push(super::rounds(analysis));
    let opens: Vec<&OpenLoad> = all.iter().filter_map(|l| l.open.as_ref()).collect();
    let mut text = format!("{}. ", parts.join(" · "));
    if !opens.is_empty() {
        text.push_str(&open_words(analysis, all, &opens));
    }
    if opens.len() < all.len() {
        text.push_str(
            "Closed loop: a task counts from its own start, so that a stall hides the tasks it delays. ",
        );
    }
    text.push_str("Lower is better.");
    text
}

fn open_words(analysis: &Analysis, all: &[&Latency], opens: &[&OpenLoad]) -> String {
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)))
    };
    let per_second = |(low, high): (f64, f64)| match significant(low, 3) == significant(high, 3) {
        true => format!("{}/s", significant(low, 3)),
        false => format!("{} – {}/s", significant(low, 3), significant(high, 3)),
    };
    let mut words =
        format!("Open loop: {} intended", per_second(range(&mut opens.iter().map(|open| open.rate))));
    let achieved = || opens.iter().filter_map(|open| open.achieved);
    if achieved().next().is_some() {
        words.push_str(&format!(", {} achieved", per_second(range(&mut achieved()))));
    }
    let behind = |l: &&&Latency| l.open.as_ref().is_some_and(|open| open.behind);
    let slow: Vec<&str> =
        all.iter().filter(behind).map(|l| analysis.strategies[l.strategy].as_str()).collect();
    if !slow.is_empty() {
        words.push_str(&format!(" (behind: {})", slow.join(", ")));
    }
    words.push_str("; a task counts from its intended start. ");
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let lag = most(&mut opens.iter().filter_map(|open| open.generator_lag_ns));
    let share = most(&mut opens.iter().filter_map(|open| open.generator_share));
    let flag = if opens.iter().any(|open| open.generator_flagged) { ", too busy" } else { "" };
    match (lag.is_finite(), share.is_finite()) {
        (true, true) => words.push_str(&format!(
            "Generator: late by {} (p99), {} % of a core{flag}. ",
            Unit::NS.show(lag),
            significant(share * 100.0, 2)
        )),
        (true, false) => words.push_str(&format!("Generator: late by {} (p99). ", Unit::NS.show(lag))),
        (false, true) => {
            words.push_str(&format!("Generator: {} % of a core{flag}. ", significant(share * 100.0, 2)));
        }
        (false, false) => {}
    }
    words
}

fn table(analysis: &Analysis, all: &[&Latency]) -> Table {
    let header = ["strategy", "load", "achieved", "tasks", "p50", "p90", "p99", "p99.9", "largest"];
    let row = |l: &&Latency| {
        let show = |ns: f64| Unit::NS.show(ns);
        let load = match &l.open {
            Some(open) => format!("open, {}/s", significant(open.rate, 3)),
            None => "closed".to_owned(),
        };
        let achieved = l.open.as_ref().and_then(|open| open.achieved);
        let achieved = achieved.map_or("–".to_owned(), |rate| format!("{}/s", significant(rate, 3)));
        let figures = [l.p50_ns, l.p90_ns, l.p99_ns, l.p999_ns, l.max_ns].map(show);
        let mut row = vec![analysis.strategies[l.strategy].clone(), load, achieved, l.tasks.to_string()];
        row.extend(figures);
        row
    };
    Table { header: header.map(str::to_owned).to_vec(), rows: all.iter().map(row).collect() }
}
