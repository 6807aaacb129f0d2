//! Start-up against steady state: how long a strategy takes until it can work, and how much slower its first run is.
use super::bars::{Bar, Panel};
use super::canvas::Scene;
use super::form::Form;
use super::frame;
use super::style;
use super::units::{Unit, times};
use super::{Drawn, Section, Table};
use crate::analysis::model::{Analysis, Startup};
use crate::facts;

/// Draws the bars; `None` where no start-up was measured.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Option<Drawn> {
    let known = |s: &&Startup| {
        s.strategy < analysis.strategies.len() && (positive(s.start_ns).or(positive(s.cold_ratio))).is_some()
    };
    let rows: Vec<&Startup> = analysis.startup.iter().filter(known).collect();
    if rows.is_empty() {
        return None;
    }
    let title = headline(analysis, &rows);
    let subtitle = conditions(analysis, &rows);
    let mut scene = Scene::new(form, 0.0);
    let mut y = frame::head(&mut scene, &title, &subtitle) + 12.0;
    let styles = style::styles(&analysis.strategies);
    let bar = |row: &&Startup, value: Option<f64>, words: String| Bar {
        name: analysis.strategies[row.strategy].clone(),
        style: styles[row.strategy],
        value,
        ci: None,
        words,
    };
    let words = |value: Option<f64>, show: &dyn Fn(f64) -> String| {
        value.map_or_else(|| "not measured".to_owned(), show)
    };
    if rows.iter().any(|row| positive(row.start_ns).is_some()) {
        let start = |row: &&Startup| {
            let value = positive(row.start_ns);
            bar(row, value, words(value, &|ns| Unit::NS.show(ns)))
        };
        let what = "time to start: threads, runtime, worker processes".to_owned();
        let panel = Panel { what, unit: Unit::NS, bars: rows.iter().map(start).collect(), mark: None };
        y = panel.draw(&mut scene, y) + 24.0;
    }
    if rows.iter().any(|row| positive(row.cold_ratio).is_some()) {
        let cold = |row: &&Startup| {
            let value = positive(row.cold_ratio);
            let never = match row.never_steady {
                0 => String::new(),
                n => {
                    form.pick(format!(", {n} of {} never steady", row.told.max(n)), " (unsteady)".to_owned())
                }
            };
            bar(row, value, format!("{}{never}", words(value, &times)))
        };
        let what = "first run, as a multiple of a steady one".to_owned();
        let panel = Panel { what, unit: Unit::Plain, bars: rows.iter().map(cold).collect(), mark: Some(1.0) };
        y = panel.draw(&mut scene, y) + 24.0;
    }
    scene.height = (y - 10.0).round();
    let description = format!("Bar charts of the time to start and of the first run. {title}.");
    let (stem, table) = ("startup".to_owned(), table(analysis, &rows));
    Some(Drawn { subtitle, ..Drawn::new(Section::Startup, stem, title, description, scene, table) })
}

fn positive(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite() && *v > 0.0)
}

fn headline(analysis: &Analysis, rows: &[&Startup]) -> String {
    let name = |row: &Startup| analysis.strategies[row.strategy].as_str();
    let plural = |row: &Startup, one: &'static str, many: &'static str| {
        if facts::is_plural(name(row)) { many } else { one }
    };
    let mut started: Vec<(f64, &Startup)> =
        rows.iter().filter_map(|row| Some((positive(row.start_ns)?, *row))).collect();
    started.sort_by(|a, b| a.0.total_cmp(&b.0));
    let coldest = rows
        .iter()
        .filter_map(|row| Some((positive(row.cold_ratio)?, *row)))
        .reduce(|a, b| if b.0 > a.0 { b } else { a })
        .filter(|(ratio, _)| *ratio > 1.1);
    match (started.first(), started.last(), coldest) {
        (Some(first), Some(last), _) if started.len() > 1 && last.0 > 1.5 * first.0 => {
            let start = plural(last.1, "starts", "start");
            let needs = plural(first.1, "needs", "need");
            format!(
                "{} {start} in {}; {} {needs} {}",
                name(last.1),
                Unit::NS.show(last.0),
                name(first.1),
                Unit::NS.show(first.0)
            )
        }
        (.., Some((ratio, row))) => {
            format!("The first run of {} takes {} as long as a steady one", name(row), times(ratio))
        }
        (_, Some(last), None) => format!("Every strategy starts within {}", Unit::NS.show(last.0)),
        _ => "The first run is as fast as any later one".to_owned(),
    }
}

fn conditions(analysis: &Analysis, rows: &[&Startup]) -> String {
    let warmups: usize = rows.iter().map(|row| row.warmups).sum();
    let mut text = format!(
        "Medians of {warmups} warm-ups in {}; these runs do not count as samples. Lower is better.",
        match analysis.process_rounds {
            1 => "1 process".to_owned(),
            n => format!("{n} processes"),
        }
    );
    let never: usize = rows.iter().map(|row| row.never_steady).sum();
    if never > 0 {
        text.push_str(" Never steady: the times of a warm-up still differed when it had to end.");
    }
    text
}

fn table(analysis: &Analysis, rows: &[&Startup]) -> Table {
    let header = ["strategy", "time to start", "first run ÷ steady run", "warm-ups", "never steady"];
    let dash = || "–".to_owned();
    let row = |row: &&Startup| {
        vec![
            analysis.strategies[row.strategy].clone(),
            positive(row.start_ns).map_or_else(dash, |ns| Unit::NS.show(ns)),
            positive(row.cold_ratio).map_or_else(dash, times),
            row.warmups.to_string(),
            format!("{} of {}", row.never_steady, row.told),
        ]
    };
    Table { header: header.map(str::to_owned).to_vec(), rows: rows.iter().map(row).collect() }
}
