//! Pictures of an [`Analysis`]: who wins, from where on, what it costs, and whether the run can be trusted.
//!
//! Data's way: a module per picture (`winmap`, `crossover`, `latency`, `cost`, `memory`, `startup`,
//! `timeline`, `strip`) reads the analysis and fills a
//! `canvas::Scene` in each of the two layouts of `form`; `svg` and `bitmap` print it. `select` decides what is worth a
//! picture; `axes`, `lines`, `labels`, `callouts`, `bars` and `frame` hold what several pictures share, `style` the
//! colours. Everything is a pure function of the analysis: no clock, no randomness, no files. Both layouts show the same
//! pictures in the same order.
use crate::analysis::model::{Analysis, Metric};
use crate::error::ReportError;

mod axes;
mod bars;
mod bitmap;
mod callouts;
mod canvas;
mod cost;
mod crossover;
mod font;
mod form;
mod frame;
mod labels;
mod latency;
mod lines;
mod memory;
mod select;
mod startup;
mod strip;
pub(crate) mod style;
pub(crate) mod svg;
#[cfg(test)]
mod tests;
mod timeline;
pub(crate) mod units;
mod winmap;

use canvas::Scene;
pub(crate) use crossover::{crossing_place, crossing_words};
use form::Form;

/// The data of a picture as a table of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
}

/// The question that a picture answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Who wins which cell.
    Winners,
    /// From where on.
    Crossover,
    /// How long single tasks take.
    Latency,
    /// What it costs in CPU time.
    Cost,
    /// What it costs in memory.
    Memory,
    /// How long it takes to start, and to become steady.
    Startup,
    /// What the workers do meanwhile.
    Timeline,
    /// Whether the run was disturbed.
    Trust,
}

impl Section {
    /// All sections, in the order of a report.
    pub const ALL: [Self; 8] = [
        Self::Winners,
        Self::Crossover,
        Self::Latency,
        Self::Cost,
        Self::Memory,
        Self::Startup,
        Self::Timeline,
        Self::Trust,
    ];

    /// The question as a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Winners => "Who wins where?",
            Self::Crossover => "From where on?",
            Self::Latency => "How long do single tasks take?",
            Self::Cost => "What does it cost in CPU time?",
            Self::Memory => "What does it cost in memory?",
            Self::Startup => "How long does it take to start?",
            Self::Timeline => "What do the workers do?",
            Self::Trust => "Was the machine quiet?",
        }
    }
}

/// What a picture shows, before it is a [`Figure`].
struct Drawn {
    section: Section,
    metric: Option<Metric>,
    group: String,
    stem: String,
    title: String,
    subtitle: String,
    description: String,
    scene: Scene,
    table: Table,
}

impl Drawn {
    /// A picture that no other stands in the place of, without a subtitle.
    fn new(
        section: Section,
        stem: String,
        title: String,
        description: String,
        scene: Scene,
        table: Table,
    ) -> Self {
        let (group, subtitle) = (String::new(), String::new());
        Self { section, metric: None, group, stem, title, subtitle, description, scene, table }
    }
}

/// A finished picture.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without an extension, unique within an experiment: letters, digits, `-`, `_` and `.` only.
    pub stem: String,
    /// The question that it answers.
    pub section: Section,
    /// What it compares by, where there may be the same picture by another metric.
    pub metric: Option<Metric>,
    /// What the same pictures by several metrics have in common, as a name like `stem`; empty where `metric` is `None`.
    /// They follow each other, the [leading](Analysis::leading) one first.
    pub group: String,
    /// The finding, as it stands in the picture.
    pub title: String,
    /// The conditions, as they stand in the picture.
    pub subtitle: String,
    /// What the picture shows, for those who cannot see it.
    pub description: String,
    /// Its data.
    pub table: Table,
    scene: Scene,
    narrow: Scene,
}

impl Figure {
    fn new(drawn: Drawn, narrow: Scene) -> Self {
        let Drawn { section, metric, group, stem, title, subtitle, description, scene, table } = drawn;
        let (stem, group) = (file_name(&stem), file_name(&group));
        Self { stem, section, metric, group, title, subtitle, description, table, scene, narrow }
    }

    /// The picture as an SVG document, laid out for a page. `prefix` makes the ids inside unique where several pictures
    /// share a page.
    #[must_use]
    pub fn svg(&self, prefix: &str) -> String {
        svg::print(&self.scene, &format!("{prefix}{}", self.stem), &self.title, &self.description)
    }

    /// The same picture laid out for a phone, as [`Figure::svg`] is for a page; it needs a `prefix` of its own.
    #[must_use]
    pub fn svg_narrow(&self, prefix: &str) -> String {
        svg::print(&self.narrow, &format!("{prefix}{}", self.stem), &self.title, &self.description)
    }

    /// The picture as a PNG file, at two pixels per unit of the SVG.
    ///
    /// # Errors
    /// [`ReportError::Draw`] where drawing or encoding fails.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        bitmap::print(&self.scene, style::Colour::light)
            .map_err(|reason| ReportError::Draw { what: self.stem.clone(), reason })
    }
}

/// All pictures of an experiment, in the order in which a report shows them, see [`Section::ALL`].
#[must_use]
pub fn figures(analysis: &Analysis) -> Vec<Figure> {
    let narrow = drawn(analysis, Form::Narrow).into_iter().map(|drawn| drawn.scene);
    let wide = drawn(analysis, Form::Wide);
    let mut figures: Vec<Figure> = wide.into_iter().zip(narrow).map(|(d, n)| Figure::new(d, n)).collect();
    // Values that differ only in characters a file name may not have would share a name.
    for i in 1..figures.len() {
        let taken = figures[..i].iter().filter(|f| f.stem == figures[i].stem).count();
        if taken > 0 {
            figures[i].stem = format!("{}_{}", figures[i].stem, i + 1);
        }
    }
    figures
}

/// All pictures of an experiment in one layout.
fn drawn(analysis: &Analysis, form: Form) -> Vec<Drawn> {
    let mut drawn = Vec::new();
    if analysis.cells.len() > 1 {
        drawn.extend(winmap::draw(analysis, form));
    }
    let slices = select::telling_slices(analysis);
    if slices.is_empty() {
        drawn.extend(bars::draw_wall(analysis, form));
    }
    drawn.extend(slices.iter().filter_map(|slice| crossover::draw(analysis, slice, form)));
    drawn.extend(latency::draw(analysis, form));
    drawn.extend(cost::draw(analysis, form));
    drawn.extend(memory::draw(analysis, form));
    drawn.extend(startup::draw(analysis, form));
    drawn.extend(timeline::draw(analysis, form));
    drawn.extend(strip::draw(analysis, form));
    drawn
}

/// What the stems of pictures begin with, up to the first `_`.
const KINDS: [&str; 12] = [
    "winners",
    "winners-latency",
    "winners-cpu",
    "winners-memory",
    "wall",
    "crossover",
    "latency",
    "cost",
    "memory",
    "startup",
    "timeline",
    "run-order",
];

/// Whether a file name is one that [`figures`] may have given.
pub(crate) fn is_picture(name: &str) -> bool {
    let stem = name.strip_suffix(".svg").or_else(|| name.strip_suffix(".png"));
    let kind = |stem: &str| stem.split('_').next().unwrap_or_default().to_owned();
    stem.is_some_and(|stem| KINDS.contains(&kind(stem).as_str()))
}

/// `stem` with everything but the characters of a portable file name replaced.
fn file_name(stem: &str) -> String {
    let portable = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.trim_matches('_').chars().map(portable).take(100).collect();
    name
}

/// The constants of an experiment as parts of a subtitle: `24 tasks`, `kernel sha256`; and that start-up is included.
fn constants(analysis: &Analysis) -> Vec<String> {
    let part = |(param, value): &(String, crate::record::ParamValue)| {
        let shown = units::show_param(param, value);
        if param == "tasks" { format!("{shown} tasks") } else { format!("{} {shown}", units::label(param)) }
    };
    let startup = analysis.startup_included.then(|| "start-up included".to_owned());
    analysis.constants.iter().map(part).chain(startup).collect()
}

/// How much was measured: `5 processes × 8 rounds`.
fn rounds(analysis: &Analysis) -> String {
    let word = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    format!(
        "{} × {}",
        word(analysis.process_rounds, "process", "processes"),
        word(analysis.rounds, "round", "rounds")
    )
}

/// Tests write the pictures and pages of synthetic runs to the folder that this variable names, to look at.
#[cfg(test)]
pub(crate) const LOOK: &str = "CROSSOVER_PICTURES";
