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
use crate::record::Sample;

mod conditions;
mod cost;
mod crossings;
mod experiment;
mod figures;
mod latency;
mod parts;
mod ranking;
mod raw;
mod small;
mod startup;
#[cfg(test)]
mod tests;
mod timeline;
mod trust;
mod winners;

pub(crate) use conditions::FILES;
use experiment::Experiment;

/// The page and the parts that it includes, by name.
const TEMPLATES: [(&str, &str); 4] = [
    ("report.html", include_str!("../template/report.html")),
    ("experiment.html", include_str!("../template/experiment.html")),
    ("macros.html", include_str!("../template/macros.html")),
    ("method.html", include_str!("../template/method.html")),
];
const CSS: &str = concat!(
    include_str!("../template/page.css"),
    include_str!("../template/parts.css"),
    include_str!("../template/print.css")
);

/// One experiment of a report.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What was found.
    pub analysis: &'a Analysis,
    /// Its pictures, see [`crate::plot::figures`].
    pub figures: &'a [Figure],
    /// The contents of its `env.json`, where there is one.
    pub env: Option<&'a Value>,
    /// Its samples, for the copy inside the page; empty where there shall be none.
    pub samples: &'a [Sample],
    /// The files of its folder that the page links.
    pub files: &'a [&'static str],
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
    engine.add_filter("tied", |text: String| parts::tied(&text));
    for (name, template) in TEMPLATES {
        engine.add_template(name, template).map_err(failed)?;
    }
    let view = Report {
        title,
        version: env!("CARGO_PKG_VERSION"),
        css: CSS,
        dark: style::dark_rules(),
        suite: pages.len() > 1,
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
    /// Whether the page has an overview of several experiments on top.
    suite: bool,
    pages: Vec<Experiment>,
}
