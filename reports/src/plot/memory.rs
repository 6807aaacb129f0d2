//! Memory: what each further task takes where the number of tasks is swept, else the peak of every strategy.
use super::bars::{Bar, Panel};
use super::canvas::Scene;
use super::form::Form;
use super::frame;
use super::lines::{self, Along, Chart, Dot, Series};
use super::style;
use super::units::{Unit, describe, headed, significant, times};
use super::{Drawn, Section, Table, select};
use crate::analysis::model::{Analysis, MemoryLine, Metric, MetricStats};
use crate::facts;
use crate::record::Params;

/// Peaks are recorded in KiB.
const KIB: Unit = Unit::Size(1024);
/// The most pictures of lines per experiment.
const MOST: usize = 2;

/// The pictures of memory; none where it was not measured.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Vec<Drawn> {
    let mut groups: Vec<(&str, &Params, Vec<&MemoryLine>)> = Vec::new();
    for line in &analysis.memory {
        if line.strategy >= analysis.strategies.len() || line.points.len() < 2 {
            continue;
        }
        match groups.iter_mut().find(|(param, fixed, _)| *param == line.param && **fixed == line.fixed) {
            Some((.., lines)) => lines.push(line),
            None => groups.push((&line.param, &line.fixed, vec![line])),
        }
    }
    // The last group has the largest values of the other parameters.
    let from = groups.len().saturating_sub(MOST);
    if groups.is_empty() {
        return bars(analysis, form).into_iter().collect();
    }
    groups[from..].iter().map(|(_, fixed, group)| slopes(analysis, fixed, group, form)).collect()
}

fn slopes(analysis: &Analysis, fixed: &Params, group: &[&MemoryLine], form: Form) -> Drawn {
    let title = headed(fixed, slope_headline(analysis, group));
    let styles = style::styles(&analysis.strategies);
    let series = |line: &&MemoryLine| {
        let name = &analysis.strategies[line.strategy];
        let dot = |&(x, y): &(f64, f64)| {
            let tip = format!("{name}, {} tasks: {}", Unit::Plain.show(x), KIB.show(y));
            Dot { x, y, ci: [y, y], tip: Some(tip) }
        };
        let dots = line.points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).map(dot).collect();
        let note = per_task(line);
        Series { label: name.clone(), note, style: styles[line.strategy], dots }
    };
    let mut parts = Vec::new();
    if !fixed.is_empty() {
        parts.push(describe(fixed));
    }
    parts.extend(super::constants(analysis));
    parts.push(super::rounds(analysis));
    let chart = Chart {
        title: title.clone(),
        subtitle: format!(
            "{}. Peak resident memory, median; at the lines: what each further task takes (slope). Lower is better.",
            parts.join(" · ")
        ),
        x_title: "tasks".to_owned(),
        y_title: "peak memory".to_owned(),
        along: Along::Numbers(group.iter().flat_map(|l| &l.points).map(|(x, _)| *x).collect(), Unit::Plain),
        y_unit: KIB,
        series: group.iter().map(series).collect(),
        callouts: Vec::new(),
        refused: Vec::new(),
    };
    let scene = lines::draw(&chart, form);
    let description = format!("Line plot of peak memory over the number of tasks. {title}.");
    let stem = ["memory", &select::stem(fixed)].join("_");
    let header =
        ["strategy", "each further task", "from – to", "peak with the fewest tasks", "with the most"];
    let row = |line: &&MemoryLine| {
        let end = |point: Option<&(f64, f64)>| {
            point.map_or_else(
                || "–".to_owned(),
                |(x, y)| format!("{} ({} tasks)", KIB.show(*y), Unit::Plain.show(*x)),
            )
        };
        let [low, high] = line.range.map(bytes);
        vec![
            analysis.strategies[line.strategy].clone(),
            per_task(line),
            format!("{low} – {high}"),
            end(line.points.first()),
            end(line.points.last()),
        ]
    };
    let table = Table { header: header.map(str::to_owned).to_vec(), rows: group.iter().map(row).collect() };
    Drawn { subtitle: chart.subtitle, ..Drawn::new(Section::Memory, stem, title, description, scene, table) }
}

/// Whether memory grows with every step of the sweep; else the slope is the noise of the peaks.
fn grows(line: &MemoryLine) -> bool {
    line.bytes_per_task >= 1.0 && line.range.iter().all(|slope| *slope > 0.0)
}

/// Memory of one task in words.
fn per_task(line: &MemoryLine) -> String {
    if grows(line) { format!("{} a task", bytes(line.bytes_per_task)) } else { "no clear slope".to_owned() }
}

fn bytes(bytes: f64) -> String {
    if bytes.abs() < 1.0 { "0 B".to_owned() } else { Unit::Size(1).show(bytes) }
}

fn slope_headline(analysis: &Analysis, group: &[&MemoryLine]) -> String {
    let name = |line: &MemoryLine| analysis.strategies[line.strategy].as_str();
    let mut ranked: Vec<&MemoryLine> = group.iter().copied().filter(|l| grows(l)).collect();
    ranked.sort_by(|a, b| a.bytes_per_task.total_cmp(&b.bytes_per_task));
    let (Some(least), Some(most)) = (ranked.first(), ranked.last()) else {
        return "No strategy's memory clearly grows with the number of tasks".to_owned();
    };
    let with = |line: &MemoryLine| format!("{} with {}", bytes(line.bytes_per_task), name(line));
    match (ranked.len(), group.len()) {
        (1, 1) => format!("Each further task takes {}", with(most)),
        (1, _) => format!("Each further task takes {}; no other grows clearly", with(most)),
        _ => format!("Each further task takes {}, {}", with(most), with(least)),
    }
}

/// Bars of the cell in which the strategies' peaks differ most.
fn bars(analysis: &Analysis, form: Form) -> Option<Drawn> {
    let peaks = |cell: usize| -> Vec<(usize, MetricStats)> {
        (0..analysis.strategies.len())
            .filter_map(|s| Some((s, analysis.figure(Metric::Memory, cell, s)?)))
            .filter(|(_, stats)| stats.median.is_finite() && stats.median > 0.0)
            .collect()
    };
    let ratio = |rows: &[(usize, MetricStats)]| {
        let medians = || rows.iter().map(|(_, stats)| stats.median);
        medians().fold(0.0, f64::max) / medians().fold(f64::INFINITY, f64::min)
    };
    let cells =
        (0..analysis.cells.len()).map(|cell| (cell, peaks(cell))).filter(|(_, rows)| !rows.is_empty());
    // Of equals the last one, which has the largest values.
    let (cell, rows) = cells.max_by(|a, b| ratio(&a.1).total_cmp(&ratio(&b.1)))?;
    let title = peak_headline(analysis, &rows, ratio(&rows));
    let params = &analysis.cells[cell].params;
    let mut parts = Vec::new();
    if !params.is_empty() {
        parts.push(format!("{} (where they differ most)", describe(params)));
    }
    parts.extend(super::constants(analysis));
    parts.push(super::rounds(analysis));
    let subtitle = format!(
        "{}. Bars: median of the peak resident memory, with worker processes; whiskers: {} % interval. Lower is better.",
        parts.join(" · "),
        significant(analysis.confidence * 100.0, 3)
    );
    let mut scene = Scene::new(form, 0.0);
    let top = frame::head(&mut scene, &title, &subtitle) + 12.0;
    let styles = style::styles(&analysis.strategies);
    let bar = |(s, stats): &(usize, MetricStats)| Bar {
        name: analysis.strategies[*s].clone(),
        style: styles[*s],
        value: Some(stats.median),
        ci: Some(stats.ci),
        words: KIB.show(stats.median),
    };
    let what = "peak resident memory".to_owned();
    let panel = Panel { what, unit: KIB, bars: rows.iter().map(bar).collect(), mark: None };
    scene.height = (panel.draw(&mut scene, top) + 14.0).round();
    let description = format!("Bar chart of the peak memory of every strategy. {title}.");
    let header = vec!["strategy".to_owned(), "peak resident memory (interval)".to_owned()];
    let row = |(s, stats): &(usize, MetricStats)| {
        let [low, high] = stats.ci.map(|end| KIB.show(end));
        vec![analysis.strategies[*s].clone(), format!("{} ({low} – {high})", KIB.show(stats.median))]
    };
    let table = Table { header, rows: rows.iter().map(row).collect() };
    let stem = "memory".to_owned();
    Some(Drawn { subtitle, ..Drawn::new(Section::Memory, stem, title, description, scene, table) })
}

fn peak_headline(analysis: &Analysis, rows: &[(usize, MetricStats)], ratio: f64) -> String {
    let by = |a: &&(usize, MetricStats), b: &&(usize, MetricStats)| a.1.median.total_cmp(&b.1.median);
    let (Some(least), Some(most)) = (rows.iter().min_by(by), rows.iter().max_by(by)) else {
        return "Peak memory".to_owned();
    };
    let name = |row: &(usize, MetricStats)| analysis.strategies[row.0].as_str();
    if rows.len() == 1 {
        return format!("{} peaks at {}", name(least), KIB.show(least.1.median));
    }
    if ratio < 1.0 + analysis.margin {
        return format!("All strategies hold the same memory, {}", KIB.show(least.1.median));
    }
    if least.1.ci[1] >= most.1.ci[0] {
        return "No difference in peak memory is resolved: the intervals overlap".to_owned();
    }
    let take = if facts::is_plural(name(most)) { "take" } else { "takes" };
    format!(
        "{} {take} the most memory: {}, {} that of {}",
        name(most),
        KIB.show(most.1.median),
        times(ratio),
        name(least)
    )
}
