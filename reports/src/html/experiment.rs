//! All that the template shows of one experiment, put together from its sections.
use serde::Serialize;

use super::Page;
use super::conditions::{self, File};
use super::crossings::{crossings, no_crossings};
use super::figures::{self, Maps, Picture};
use super::parts::Grid;
use super::winners::{Winner, winner};
use super::{cost, latency, ranking, raw, small, startup, timeline, trust};
use crate::analysis::model::{Analysis, Metric};
use crate::facts::{self, Badge, Fact, Warning};
use crate::plot::Section;
use crate::plot::units::{label, significant};
use crate::record::Crossover;

/// One experiment in words and pictures. A section without data has empty fields, and the template leaves it out.
#[derive(Serialize)]
pub(super) struct Experiment {
    id: String,
    name: String,
    question: String,
    headline: String,
    /// Its sections, as (the end of an anchor, its title), in their order.
    contents: Vec<(&'static str, &'static str)>,
    small_map: Option<String>,
    warnings: Vec<Warning>,
    badges: Vec<Badge>,
    glance: Vec<Fact>,
    notes: Vec<String>,
    maps: Maps,
    tally: String,
    confidence: String,
    margin: String,
    baseline: String,
    /// What the winners are judged by, and the heads of two of their columns.
    judged_by: &'static str,
    score: String,
    /// Whether that is the tail of the latency.
    tails: bool,
    rival: &'static str,
    axes: Vec<String>,
    winners: Vec<Winner>,
    choice: Option<String>,
    ranking: Grid,
    has_numeric_axis: bool,
    contaminated: bool,
    crossover_figures: Vec<Picture>,
    crossings: Grid,
    other_crossings: Grid,
    no_crossings: Grid,
    loop_kind: Option<(&'static str, &'static str)>,
    latency_figures: Vec<Picture>,
    latency: Grid,
    loads: Grid,
    cost_figures: Vec<Picture>,
    memory: Grid,
    workers: Grid,
    startup_figures: Vec<Picture>,
    startup: Grid,
    unsteady: Option<String>,
    startup_included: bool,
    timeline_figures: Vec<Picture>,
    breakdowns: Grid,
    prose: Vec<String>,
    trust_figures: Vec<Picture>,
    trust: Vec<(String, String)>,
    calibration: Grid,
    empty_tasks: Grid,
    failures: Grid,
    conditions: Vec<(String, String)>,
    strategies: Grid,
    command: String,
    run: String,
    files: Vec<File>,
    copy: Option<String>,
    environment: Vec<(String, String)>,
}

impl Experiment {
    pub(super) fn new(page: &Page<'_>, index: usize) -> Self {
        let a = page.analysis;
        let id = format!("x{}", index + 1);
        let (found, none): (Vec<&Crossover>, Vec<&Crossover>) =
            a.crossovers.iter().partition(|c| c.at.is_some());
        let with_baseline = |c: &&Crossover| c.from == a.baseline || c.to == a.baseline;
        let (mine, others): (Vec<&Crossover>, Vec<&Crossover>) = found.into_iter().partition(with_baseline);
        // What the page says first is by the leading metric.
        let led = a.led();
        let tails = led.judged_by == Metric::Latency;
        let ranked = facts::ranking(&led);
        let pictures = |section: Section| figures::of(page.figures, section, &id, page.folder);
        let mut all = Self {
            name: a.name.clone(),
            question: a.question.clone(),
            headline: a.headline.clone(),
            contents: Vec::new(),
            small_map: small::map(&led),
            warnings: facts::warnings(a),
            badges: facts::badges(a, page.env),
            glance: facts::at_a_glance(a),
            notes: trust::notes(a),
            maps: figures::maps(page.figures, &id, page.folder),
            tally: facts::tally(&led).words(),
            confidence: significant(a.confidence * 100.0, 3),
            margin: significant(a.margin * 100.0, 3),
            baseline: a.baseline.clone(),
            judged_by: if tails { "the tail of the latency (p99)" } else { "wall time" },
            score: facts::score_title(&led),
            tails,
            rival: if tails { "closest rival’s tail is longer by" } else { "closest rival is slower by" },
            axes: a.axes.iter().map(|axis| label(&axis.param)).collect(),
            winners: led.cells.iter().map(|cell| winner(&led, cell)).collect(),
            choice: facts::choice(&led, &ranked),
            ranking: ranking::table(&led, &ranked),
            has_numeric_axis: has_numeric_axis(a),
            contaminated: a.trust.contaminated,
            crossover_figures: pictures(Section::Crossover),
            crossings: crossings(a, &mine),
            other_crossings: crossings(a, &others),
            no_crossings: no_crossings(&none),
            loop_kind: latency::kind(a),
            latency_figures: pictures(Section::Latency),
            latency: latency::percentiles(a),
            loads: latency::loads(a),
            cost_figures: [pictures(Section::Cost), pictures(Section::Memory)].concat(),
            memory: cost::memory(a),
            workers: cost::workers(a),
            startup_figures: pictures(Section::Startup),
            startup: startup::table(a),
            unsteady: startup::unsteady(a),
            startup_included: a.startup_included,
            timeline_figures: pictures(Section::Timeline),
            breakdowns: timeline::breakdowns(a),
            prose: paragraphs(&a.prose),
            trust_figures: pictures(Section::Trust),
            trust: trust::trust(a),
            calibration: trust::calibration(a),
            empty_tasks: trust::empty_tasks(a),
            failures: trust::failures(a),
            conditions: conditions::conditions(page),
            strategies: conditions::strategies(a, page.env),
            command: conditions::command(page),
            run: a.run.clone(),
            files: conditions::files(page),
            copy: raw::copy(a, page.samples),
            environment: page.env.map(conditions::environment).unwrap_or_default(),
            id,
        };
        all.contents = all.sections();
        all
    }

    /// The sections that have something to show.
    fn sections(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            ("winners", "Who wins where", !self.winners.is_empty() || !self.maps.is_empty()),
            ("crossovers", "From where on", self.has_numeric_axis || !self.crossover_figures.is_empty()),
            (
                "latency",
                "Latency and its tail",
                !self.latency_figures.is_empty() || !self.latency.rows.is_empty(),
            ),
            (
                "cost",
                "What it costs",
                !self.cost_figures.is_empty()
                    || !self.memory.rows.is_empty()
                    || !self.workers.rows.is_empty(),
            ),
            ("startup", "Start-up and steady state", !self.startup.rows.is_empty()),
            (
                "timeline",
                "Where the time goes",
                !self.timeline_figures.is_empty() || !self.breakdowns.rows.is_empty(),
            ),
            ("prose", "The author’s analysis", !self.prose.is_empty()),
            ("trust", "Can it be trusted?", true),
            ("conditions", "Conditions", true),
            ("reproduce", "Reproduce it", true),
        ];
        all.into_iter().filter(|(.., there)| *there).map(|(id, title, _)| (id, title)).collect()
    }
}

fn has_numeric_axis(a: &Analysis) -> bool {
    a.axes.iter().any(|axis| axis.is_numeric() && axis.values.len() > 1)
}

fn paragraphs(prose: &str) -> Vec<String> {
    let lines: Vec<&str> = prose.lines().map(str::trim).collect();
    lines.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|p| !p.is_empty()).collect()
}
