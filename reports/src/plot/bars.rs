//! Bars: a figure per strategy with its interval, where there is nothing to draw a line along.
use super::axes::{self, Axis, TICK_SIZE, Tick};
use super::canvas::{Anchor, Rect, Scene, Stroke, Text};
use super::font::{self, Weight};
use super::form::Form;
use super::frame;
use super::style::{self, Colour, Style, Tone};
use super::units::{Unit, significant, times};
use super::{Drawn, Section, Table};
use crate::analysis::model::{Analysis, StrategyStats};
use crate::facts::{self, Call};

/// What a bar chart of one cell shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bars<'a> {
    pub(crate) section: Section,
    pub(crate) stem: &'a str,
    pub(crate) title: &'a str,
    /// What the bars are, for the axis and the table.
    pub(crate) what: &'a str,
    pub(crate) figure: fn(&StrategyStats) -> (f64, [f64; 2]),
}

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) style: Style,
    /// `None` draws a row without a bar.
    pub(crate) value: Option<f64>,
    pub(crate) ci: Option<[f64; 2]>,
    /// What stands at the bar's end.
    pub(crate) words: String,
}

/// Several bars on one axis.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// Under the axis.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) bars: Vec<Bar>,
    /// A value worth a dashed line.
    pub(crate) mark: Option<f64>,
}

const SIZE: f64 = 13.0;

/// The wall time of a run that sweeps nothing.
pub(crate) fn draw_wall(analysis: &Analysis, form: Form) -> Option<Drawn> {
    let cell = analysis.cells.first()?;
    let title = match facts::call(cell) {
        Call::Wins(winner) => match facts::speed_up(analysis, cell) {
            Some(up) => {
                let win = if facts::is_plural(winner) { "win" } else { "wins" };
                format!("{winner} {win}, {} faster than {}", times(up.ratio), analysis.baseline)
            }
            None => {
                let win = if facts::is_plural(winner) { "win" } else { "wins" };
                match cell.verdict.as_ref().and_then(facts::runner_up) {
                    Some((next, versus)) => {
                        format!("{winner} {win}; {next}, the next, takes {} as long", times(versus.ratio))
                    }
                    None => format!("{winner} {win}"),
                }
            }
        },
        Call::Tie(best) => format!("A proven tie: {}", best.join(" ≈ ")),
        Call::Leans(winner) => format!("It leans to {winner}, by less than what is proven to matter"),
        Call::Undecided(_) => "Undecided: no strategy is proven fastest".to_owned(),
        Call::Refused(reason) => format!("No verdict: {reason}"),
    };
    let what = "wall time of one run";
    let figure = |s: &StrategyStats| (s.wall_ns, s.wall_ci_ns);
    draw(analysis, Bars { section: Section::Winners, stem: "wall", title: &title, what, figure }, form)
}

/// Draws bars for the first cell; `None` without one, or without a positive figure.
pub(crate) fn draw(analysis: &Analysis, bars: Bars<'_>, form: Form) -> Option<Drawn> {
    let cell = analysis.cells.first()?;
    let styles = style::styles(&analysis.strategies);
    let rows: Vec<(usize, f64, [f64; 2])> = cell
        .stats
        .iter()
        .enumerate()
        .filter_map(|(i, s)| s.as_ref().map(|s| (bars.figure)(s)).map(|(value, ci)| (i, value, ci)))
        .filter(|(i, value, _)| value.is_finite() && *value > 0.0 && *i < styles.len())
        .collect();
    if rows.is_empty() {
        return None;
    }
    let subtitle = format!(
        "{}. Bars: median; whiskers: {} % interval. Lower is better.",
        super::constants(analysis)
            .into_iter()
            .chain([super::rounds(analysis)])
            .collect::<Vec<_>>()
            .join(" · "),
        significant(analysis.confidence * 100.0, 3)
    );
    let mut scene = Scene::new(form, 0.0);
    let top = frame::head(&mut scene, bars.title, &subtitle) + 12.0;
    let bar = |&(i, value, ci): &(usize, f64, [f64; 2])| Bar {
        name: analysis.strategies[i].clone(),
        style: styles[i],
        value: Some(value),
        ci: Some(ci),
        words: Unit::NS.show(value),
    };
    let panel = Panel {
        what: bars.what.to_owned(),
        unit: Unit::NS,
        bars: rows.iter().map(bar).collect(),
        mark: None,
    };
    scene.height = (panel.draw(&mut scene, top) + 14.0).round();
    let description = format!("Bar chart of the {} of {}.", bars.what, analysis.strategies.join(", "));
    let header = vec!["strategy".to_owned(), format!("{} (interval)", bars.what)];
    let row = |&(i, v, ci): &(usize, f64, [f64; 2])| {
        vec![analysis.strategies[i].clone(), super::crossover::figures((v, ci))]
    };
    let table = Table { header, rows: rows.iter().map(row).collect() };
    let (stem, title) = (bars.stem.to_owned(), bars.title.to_owned());
    Some(Drawn { subtitle, ..Drawn::new(bars.section, stem, title, description, scene, table) })
}

impl Panel {
    /// Draws the bars from `top` on; returns where they and their axis end.
    pub(crate) fn draw(&self, scene: &mut Scene, top: f64) -> f64 {
        let row = scene.form.pick(34.0, 30.0);
        let cap = scene.form.name_room();
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|t| font::width(t, SIZE, Weight::Bold)).fold(0.0, f64::max)
        };
        let names = widest(&mut self.bars.iter().map(|b| &b.name)).min(cap);
        let values = widest(&mut self.bars.iter().map(|b| &b.words)).min(scene.form.pick(400.0, 130.0));
        let left = scene.left() + names + 28.0;
        let right = (scene.right() - values - 12.0).max(left + 60.0);
        let plot = Rect::new(left, top, right, top + row * self.bars.len() as f64);
        let ends = self.bars.iter().flat_map(|b| [b.value, b.ci.map(|ci| ci[1]), self.mark]).flatten();
        let highest = ends.filter(|v| v.is_finite());
        let x = Axis::numeric(highest.chain([0.0]), self.unit, true, plot.left, plot.right);
        let limits = (plot.left - 30.0, scene.bounds().right - 4.0);
        for tick in x.ticks(|ticks: &[Tick]| axes::fit_in_row(ticks, limits, scene.form.pick(30.0, 14.0))) {
            scene.line(vec![(tick.at, plot.top), (tick.at, plot.bottom)], Stroke::new(Colour::Grid, 1.0));
            let at = (tick.at, plot.bottom + 19.0);
            scene.text(Text::new(tick.label, at, TICK_SIZE).anchor(Anchor::Middle));
        }
        if let Some(mark) = self.mark.map(|mark| x.at(mark)) {
            let dash = Stroke::new(Colour::Muted, 1.2).dashed(Some([4.0, 3.0]));
            scene.line(vec![(mark, plot.top), (mark, plot.bottom)], dash);
        }
        scene.line(vec![(plot.left, plot.top), (plot.left, plot.bottom)], Stroke::new(Colour::Ink, 1.5));
        let what = font::shorten(&self.what, SIZE, Weight::Regular, scene.right() - scene.left());
        let title = Text::new(what, (plot.centre().0, plot.bottom + 43.0), SIZE).colour(Colour::Ink);
        let title = axes::centred(title, scene);
        scene.text(title);
        for (i, bar) in self.bars.iter().enumerate() {
            let y = plot.top + row * (i as f64 + 0.5);
            bar.draw(scene, (&plot, &x), y, (names, values));
        }
        plot.bottom + 48.0
    }
}

impl Bar {
    fn draw(&self, scene: &mut Scene, (plot, x): (&Rect, &Axis), y: f64, (names, words): (f64, f64)) {
        let style = &self.style;
        let mut end = plot.left;
        if let Some(value) = self.value {
            end = x.at(value);
            let bar = Rect::new(plot.left, y - 9.0, end.max(plot.left + 1.0), y + 9.0);
            scene.rect(bar, style.tone(Tone::Fill), 1.0);
            scene.tip(format!("{}: {}", self.name, self.words));
        }
        if let Some([low, high]) = self.ci.filter(|ci| ci[1] > ci[0]) {
            whisker(scene, y, x.at(low), x.at(high));
            end = end.max(x.at(high));
        }
        let label = font::shorten(&self.name, SIZE, Weight::Bold, names);
        scene.marker(style.marker, (plot.left - 12.0, y), 4.0, style.tone(Tone::Line));
        let at = (plot.left - 22.0, y + 4.5);
        scene.text(Text::new(label, at, SIZE).bold().anchor(Anchor::End).colour(style.tone(Tone::Label)));
        let words = font::shorten(&self.words, SIZE, Weight::Bold, words + 0.5);
        let text = Text::new(words, (end + 8.0, y + 4.5), SIZE);
        scene.text(if self.value.is_some() { text.bold().colour(Colour::Ink) } else { text });
    }
}

fn whisker(scene: &mut Scene, y: f64, from: f64, to: f64) {
    let stroke = Stroke::new(Colour::Ink, 1.5);
    scene.line(vec![(from, y), (to, y)], stroke);
    for x in [from, to] {
        scene.line(vec![(x, y - 4.0), (x, y + 4.0)], stroke);
    }
}
