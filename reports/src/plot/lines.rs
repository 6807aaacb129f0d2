//! Figures per strategy along an axis: bands, lines, markers, labels at the lines' ends, and callouts.
//!
//! Over numbers the dots are joined by lines; over names they stand side by side with whiskers, joined by a faint
//! dotted line only; over shares (a percentile curve) only chosen dots have a marker. Callouts stand in the plot
//! where they have room there, else below it, see [`super::callouts`].
use super::axes::{self, Axis, TICK_SIZE};
use super::callouts::{self, Callout};
use super::canvas::{Point, Rect, Scene, Stroke};
use super::font::{self, Weight};
use super::form::Form;
use super::frame;
use super::labels::EndLabels;
use super::style::{Colour, Style, Tone};
use super::units::Unit;

/// One strategy at one place of the axis.
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) ci: [f64; 2],
    /// What a pointer on its marker reads; without it there is no marker.
    pub(crate) tip: Option<String>,
}

/// One strategy, its dots from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// A second line under the label.
    pub(crate) note: String,
    pub(crate) style: Style,
    pub(crate) dots: Vec<Dot>,
}

/// The horizontal axis.
#[derive(Clone, Debug)]
pub(crate) enum Along {
    Numbers(Vec<f64>, Unit),
    Names(Vec<String>),
    /// Shares of all tasks, up to this one.
    Shares(f64),
}

/// All that the picture shows.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) x_title: String,
    pub(crate) y_title: String,
    pub(crate) along: Along,
    pub(crate) y_unit: Unit,
    pub(crate) series: Vec<Series>,
    pub(crate) callouts: Vec<Callout>,
    /// Places without a verdict, and why.
    pub(crate) refused: Vec<(f64, String)>,
}

/// How far beyond all medians an interval may widen the vertical axis.
const FAR: f64 = 4.0;

/// Draws the chart.
pub(crate) fn draw(chart: &Chart, form: Form) -> Scene {
    let in_plot = form == Form::Wide;
    let attempt = in_plot.then(|| Canvas::new(chart, form, false)).and_then(|c| c.finish(chart, false));
    attempt.or_else(|| Canvas::new(chart, form, true).finish(chart, true)).unwrap_or(Scene::new(form, 0.0))
}

/// The vertical axis: logarithmic over decades, else from zero, so that heights may be compared. An interval far wider
/// than all medians together, as of two rounds, ends at the edge rather than flattens the lines.
fn y_axis(chart: &Chart, bottom: f64, top: f64) -> Axis {
    let dots = || chart.series.iter().flat_map(|s| &s.dots);
    let low = dots().map(|d| d.y).fold(f64::INFINITY, f64::min) / FAR;
    let high = dots().map(|d| d.y).fold(0.0, f64::max) * FAR;
    let values = dots().flat_map(|d| [d.y, d.ci[0].max(low), d.ci[1].min(high)]);
    let values: Vec<f64> = values.filter(|v| *v > 0.0).collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let even = values.iter().all(|v| *v < least * axes::LOG_FROM);
    Axis::numeric(values, chart.y_unit, even, bottom, top)
}

/// The picture while it is drawn.
pub(crate) struct Canvas {
    pub(crate) scene: Scene,
    pub(crate) plot: Rect,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Points of what must stay visible, a few pixels apart.
    pub(crate) ink: Vec<Point>,
    pub(crate) strips: Vec<Rect>,
}

impl Canvas {
    /// Headline, axes and strips; with `notes`, room for what is said of callouts below the plot.
    fn new(chart: &Chart, form: Form, notes: bool) -> Self {
        let mut scene = Scene::new(form, form.height());
        let above = if notes && callouts::numbered(&chart.callouts) { 18.0 } else { 0.0 };
        let top = frame::head(&mut scene, &chart.title, &chart.subtitle) + 34.0 + above;
        // The plot keeps its height, however long the words above it are.
        let bottom = (form.height() - 62.0).max(top + form.pick(300.0, 260.0));
        scene.height = bottom + 62.0;
        let labels = EndLabels::measure(&chart.series, form);
        let y = y_axis(chart, bottom, top);
        let widest = axes::y_ticks(&y)
            .iter()
            .map(|t| font::width(&t.label, TICK_SIZE, Weight::Regular))
            .fold(form.pick(30.0, 18.0), f64::max);
        let plot = Rect::new(scene.left() + widest + 10.0, top, scene.right() - labels.room, bottom);
        let x = match &chart.along {
            Along::Numbers(values, unit) => {
                Axis::numeric(values.iter().copied(), *unit, false, plot.left, plot.right)
            }
            Along::Names(names) => Axis::names(names.clone(), plot.left, plot.right),
            Along::Shares(high) => Axis::shares(*high, plot.left, plot.right),
        };
        let note = |axis: &Axis| if axis.is_log() { " (log)" } else { "" };
        let titles = (format!("{}{}", chart.x_title, note(&x)), format!("{}{}", chart.y_title, note(&y)));
        let y_title_rise = above;
        axes::draw(&mut scene, &plot, &x, &y, (&titles.0, &titles.1), y_title_rise);
        let mut canvas = Self { scene, plot, x, y, ink: Vec::new(), strips: Vec::new() };
        canvas.strips(&chart.callouts);
        canvas.bands(&chart.series);
        canvas.lines(&chart.series);
        labels.draw(&mut canvas, &chart.series);
        canvas.refused(&chart.refused);
        canvas
    }

    /// The callouts; `None` where they have no good place in the plot and may not stand below it.
    fn finish(mut self, chart: &Chart, below: bool) -> Option<Scene> {
        let done = match below {
            true => {
                callouts::below(&mut self, &chart.callouts);
                true
            }
            false => callouts::in_plot(&mut self, &chart.callouts),
        };
        done.then_some(self.scene)
    }

    /// Where `dot` of series number `index` stands.
    pub(crate) fn place(&self, dot: &Dot, index: usize, of: usize) -> Point {
        let shift = if self.x.is_names() {
            let step = (self.x.slot() * 0.7 / of.max(1) as f64).min(16.0);
            (index as f64 - (of.max(1) - 1) as f64 / 2.0) * step
        } else {
            0.0
        };
        (self.x.at(dot.x) + shift, self.y.at(dot.y))
    }

    fn strips(&mut self, callouts: &[Callout]) {
        for [low, high] in callouts.iter().filter_map(|c| c.strip) {
            let (mut left, mut right) = (self.x.at(low), self.x.at(high));
            if right - left < 4.0 {
                let middle = (left + right) / 2.0;
                (left, right) = (middle - 2.0, middle + 2.0);
            }
            let strip = Rect::new(
                left.max(self.plot.left),
                self.plot.top,
                right.min(self.plot.right),
                self.plot.bottom,
            );
            self.scene.rect(strip, Colour::Amber, 0.85);
            self.strips.push(strip);
        }
    }

    fn bands(&mut self, series: &[Series]) {
        for (index, s) in series.iter().enumerate() {
            let colour = s.style.tone(Tone::Line);
            if s.dots.iter().all(|d| d.ci[0] >= d.ci[1]) {
                continue;
            }
            if self.x.is_names() || s.dots.len() < 2 {
                for dot in &s.dots {
                    let (x, _) = self.place(dot, index, series.len());
                    let (low, high) = (self.y.at(dot.ci[0]), self.y.at(dot.ci[1]));
                    self.scene.line(vec![(x, low), (x, high)], Stroke::new(colour, 1.5));
                }
                continue;
            }
            let upper = s.dots.iter().map(|d| (self.x.at(d.x), self.y.at(d.ci[1])));
            let lower = s.dots.iter().rev().map(|d| (self.x.at(d.x), self.y.at(d.ci[0])));
            self.scene.polygon(upper.chain(lower).collect(), colour, 0.22);
        }
    }

    fn lines(&mut self, series: &[Series]) {
        let marked = |s: &Series| s.dots.iter().filter(|d| d.tip.is_some()).count();
        let most = series.iter().map(marked).max().unwrap_or(0);
        let per_dot = self.plot.width() / most.max(1) as f64;
        let radius = if per_dot < 24.0 { (per_dot * 0.16).clamp(2.0, 3.4) } else { 4.5 };
        for (index, s) in series.iter().enumerate() {
            let points: Vec<Point> = s.dots.iter().map(|d| self.place(d, index, series.len())).collect();
            let stroke = Stroke::new(s.style.tone(Tone::Line), 2.2).dashed(s.style.dash);
            let faint = Stroke::new(s.style.tone(Tone::Line), 1.0).dashed(Some([1.5, 4.0]));
            self.scene.line(points.clone(), if self.x.is_names() { faint } else { stroke });
            self.note(&points);
        }
        for (index, s) in series.iter().enumerate() {
            for dot in &s.dots {
                let at = self.place(dot, index, series.len());
                let Some(tip) = &dot.tip else { continue };
                self.scene.marker(s.style.marker, at, radius, s.style.tone(Tone::Line));
                self.scene.tip(tip.clone());
                self.ink.push(at);
            }
        }
    }

    /// Remembers a drawn line.
    fn note(&mut self, points: &[Point]) {
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let steps = ((b.0 - a.0).hypot(b.1 - a.1) / 4.0).ceil().clamp(1.0, 500.0) as usize;
            let along = |k: usize| {
                let t = k as f64 / steps as f64;
                (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1))
            };
            self.ink.extend((0..steps).map(along));
        }
    }

    fn refused(&mut self, refused: &[(f64, String)]) {
        for (x, why) in refused {
            let (x, y, r) = (self.x.at(*x), self.plot.bottom - 9.0, 4.0);
            let stroke = Stroke::new(Colour::Alarm, 2.0);
            for rise in [r, -r] {
                self.scene.line(vec![(x - r, y - rise), (x + r, y + rise)], stroke);
                self.scene.tip(format!("no verdict: {why}"));
            }
            self.ink.push((x, y));
        }
    }
}
