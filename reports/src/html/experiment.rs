//! All that the template shows of one experiment, put together from its sections.
use serde::Serialize;

use super::Page;
use super::alarms::{Alarm, alarms, notes};
use super::conditions::{File, command, environment, files, strategies};
use super::crossings::{crossings, no_crossings};
use super::parts::{Grid, link};
use super::trust::{failures, trust};
use super::winners::{Winner, winner};
use crate::facts;
use crate::plot::Figure;
use crate::plot::units::{label, significant};
use crate::record::Crossover;

/// All that the template shows of one experiment, in words.
#[derive(Serialize)]
pub(super) struct Experiment {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) question: String,
    pub(super) headline: String,
    /// What is wrong, in a few words for the top of the page.
    pub(super) bad: Option<String>,
    pub(super) alarms: Vec<Alarm>,
    pub(super) notes: Vec<String>,
    pub(super) figures: Vec<Picture>,
    pub(super) tally: String,
    pub(super) confidence: String,
    pub(super) margin: String,
    pub(super) baseline: String,
    pub(super) axes: Vec<String>,
    pub(super) winners: Vec<Winner>,
    pub(super) has_numeric_axis: bool,
    pub(super) contaminated: bool,
    pub(super) crossings: Grid,
    pub(super) other_crossings: Grid,
    pub(super) no_crossings: Grid,
    pub(super) prose: Vec<String>,
    pub(super) trust: Vec<(String, String)>,
    pub(super) failures: Grid,
    pub(super) strategies: Grid,
    pub(super) command: String,
    pub(super) run: String,
    pub(super) files: Vec<File>,
    pub(super) environment: Vec<(String, String)>,
}

#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) svg: String,
    pub(super) png_link: String,
    pub(super) svg_link: String,
    pub(super) table: Grid,
}

impl Experiment {
    pub(super) fn new(page: &Page<'_>, index: usize) -> Self {
        let a = page.analysis;
        let id = format!("x{}", index + 1);
        let (found, none): (Vec<&Crossover>, Vec<&Crossover>) =
            a.crossovers.iter().partition(|c| c.at.is_some());
        let with_baseline = |c: &&Crossover| c.from == a.baseline || c.to == a.baseline;
        let (mine, others): (Vec<&Crossover>, Vec<&Crossover>) = found.into_iter().partition(with_baseline);
        let alarms = alarms(a);
        Self {
            name: a.name.clone(),
            question: a.question.clone(),
            headline: a.headline.clone(),
            bad: alarms.first().map(|alarm| alarm.title.clone()),
            notes: notes(a),
            figures: page.figures.iter().map(|figure| picture(figure, &id, page.folder)).collect(),
            tally: facts::tally(a).words(),
            confidence: significant(a.confidence * 100.0, 3),
            margin: significant(a.margin * 100.0, 3),
            baseline: a.baseline.clone(),
            axes: a.axes.iter().map(|axis| label(&axis.param)).collect(),
            winners: a.cells.iter().map(|cell| winner(a, cell)).collect(),
            has_numeric_axis: a.axes.iter().any(|axis| axis.is_numeric() && axis.values.len() > 1),
            contaminated: a.trust.contaminated,
            crossings: crossings(a, &mine),
            other_crossings: crossings(a, &others),
            no_crossings: no_crossings(&none),
            prose: paragraphs(&a.prose),
            trust: trust(a),
            failures: failures(a),
            strategies: strategies(a, page.env),
            command: command(page),
            run: a.run.clone(),
            files: files(page),
            environment: page.env.map(environment).unwrap_or_default(),
            alarms,
            id,
        }
    }
}

pub(super) fn picture(figure: &Figure, id: &str, folder: &str) -> Picture {
    Picture {
        id: format!("{id}-fig-{}", figure.stem),
        title: figure.title.clone(),
        svg: figure.svg(&format!("{id}-svg-")),
        png_link: link(folder, &format!("plots/{}.png", figure.stem)),
        svg_link: link(folder, &format!("plots/{}.svg", figure.stem)),
        table: Grid::from(&figure.table),
    }
}

pub(super) fn paragraphs(prose: &str) -> Vec<String> {
    let lines: Vec<&str> = prose.lines().map(str::trim).collect();
    lines.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|p| !p.is_empty()).collect()
}
