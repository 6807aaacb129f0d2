//! `report.html`: one self-contained page for a run or a suite, the verdict first.
//!
//! The page needs no script and no other file; it links the raw files beside it. Everything that comes from data passes
//! through the template's HTML escaping; only the style sheet and the pictures, which escape for themselves, do not. The
//! page is a pure function of its input: no clock, no random ids.
//!
//! A module per section turns an analysis into a view model of words, which the template lays out: `experiment` puts the
//! sections together, `parts` holds what several of them share.
use minijinja::{AutoEscape, Environment, escape_formatter};
use serde::Serialize;
use serde_json::Value;

use crate::analysis::model::Analysis;
use crate::error::ReportError;
use crate::plot::{Figure, style, svg};

mod alarms;
mod conditions;
mod crossings;
mod experiment;
mod parts;
#[cfg(test)]
mod tests;
mod trust;
mod winners;

use experiment::Experiment;

const TEMPLATE: &str = include_str!("../template/report.html");
const CSS: &str = include_str!("../template/report.css");

/// One experiment of a report.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What was found.
    pub analysis: &'a Analysis,
    /// Its pictures, see [`crate::plot::figures`].
    pub figures: &'a [Figure],
    /// The contents of its `env.json`, where there is one.
    pub env: Option<&'a Value>,
    /// Its run folder as seen from the report: empty where they are the same, else a relative path without a slash at
    /// its end.
    pub folder: &'a str,
}

/// The report over `pages`, one per experiment, in their order.
///
/// # Errors
/// [`ReportError::Draw`] where the template cannot be filled.
pub fn render(title: &str, pages: &[Page<'_>]) -> Result<String, ReportError> {
    let failed =
        |e: minijinja::Error| ReportError::Draw { what: "report.html".to_owned(), reason: format!("{e:#}") };
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    // As strict as the engine's own escaping, but slashes stay readable, and control characters go.
    engine.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => out.write_str(&svg::escape(text)).map_err(minijinja::Error::from),
        _ => escape_formatter(out, state, value),
    });
    engine.add_template("report.html", TEMPLATE).map_err(failed)?;
    let view = Report {
        title,
        version: env!("CARGO_PKG_VERSION"),
        css: CSS,
        dark: style::dark_rules(),
        pages: pages.iter().enumerate().map(|(i, page)| Experiment::new(page, i)).collect(),
    };
    engine
        .get_template("report.html")
        .and_then(|template| template.render(minijinja::Value::from(minijinja::value::Serde(&view))))
        .map_err(failed)
}

#[derive(Serialize)]
struct Report<'a> {
    title: &'a str,
    version: &'a str,
    css: &'a str,
    dark: String,
    pages: Vec<Experiment>,
}
