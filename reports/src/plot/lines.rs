//! Figures per strategy along an axis: bands, lines, markers, labels at the lines' ends, and callouts.
//!
//! Over numbers the dots are joined by lines; over names they stand side by side with whiskers, joined by a faint
//! dotted line only. A callout is a ring with a few words, placed where it hides the least.
use super::axes::{self, Axis, MARGIN, TICK_SIZE};
use super::canvas::{Point, Rect, Scene, Stroke, Text, WIDTH};
use super::font::{self, Weight};
use super::frame;
use super::style::{Colour, Style, Tone};
use super::units::Unit;

/// One strategy at one place of the axis.
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) ci: [f64; 2],
    pub(crate) tip: String,
}

/// One strategy, its dots from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) style: Style,
    pub(crate) dots: Vec<Dot>,
}

/// A marked place: a crossing with its interval on x, or a dot worth a word.
#[derive(Clone, Debug)]
pub(crate) struct Callout {
    pub(crate) at: (f64, f64),
    /// The interval of x that an amber strip shows.
    pub(crate) strip: Option<[f64; 2]>,
    /// The first line is bold.
    pub(crate) words: Vec<String>,
    pub(crate) colour: Colour,
}

/// The horizontal axis.
#[derive(Clone, Debug)]
pub(crate) enum Along {
    Numbers(Vec<f64>, Unit),
    Names(Vec<String>),
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

const LABEL_CAP: f64 = 250.0;

/// Draws the chart on a canvas of `height` pixels.
pub(crate) fn draw(chart: &Chart, height: f64) -> Scene {
    let mut scene = Scene::new(height);
    let top = frame::head(&mut scene, &chart.title, &chart.subtitle) + 34.0;
    let bottom = height - 62.0;
    let labels = EndLabels::measure(&chart.series);
    let y_values = chart.series.iter().flat_map(|s| &s.dots).flat_map(|d| [d.y, d.ci[0], d.ci[1]]);
    let y = Axis::numeric(y_values.filter(|v| *v > 0.0), chart.y_unit, false, bottom, top);
    let widest = axes::y_ticks(&y)
        .iter()
        .map(|t| font::width(&t.label, TICK_SIZE, Weight::Regular))
        .fold(30.0, f64::max);
    let plot = Rect::new(MARGIN + widest + 10.0, top, WIDTH - MARGIN - labels.room, bottom);
    let x = match &chart.along {
        Along::Numbers(values, unit) => {
            Axis::numeric(values.iter().copied(), *unit, false, plot.left, plot.right)
        }
        Along::Names(names) => Axis::names(names.clone(), plot.left, plot.right),
    };
    let note = |axis: &Axis| if axis.is_log() { " (log)" } else { "" };
    let titles = (format!("{}{}", chart.x_title, note(&x)), format!("{}{}", chart.y_title, note(&y)));
    axes::draw(&mut scene, &plot, &x, &y, (&titles.0, &titles.1));
    let mut canvas = Canvas { scene, plot, x, y, ink: Vec::new(), strips: Vec::new() };
    canvas.strips(&chart.callouts);
    canvas.bands(&chart.series);
    canvas.lines(&chart.series);
    labels.draw(&mut canvas, &chart.series);
    canvas.refused(&chart.refused);
    canvas.callouts(&chart.callouts);
    canvas.scene
}

struct Canvas {
    scene: Scene,
    plot: Rect,
    x: Axis,
    y: Axis,
    /// Points of what must stay visible, a few pixels apart.
    ink: Vec<Point>,
    strips: Vec<Rect>,
}

impl Canvas {
    /// Where `dot` of series number `index` stands.
    fn place(&self, dot: &Dot, index: usize, of: usize) -> Point {
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
        let most = series.iter().map(|s| s.dots.len()).max().unwrap_or(0);
        let radius = if most > 24 { 3.2 } else { 4.5 };
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
                self.scene.marker(s.style.marker, at, radius, s.style.tone(Tone::Line));
                self.scene.tip(dot.tip.clone());
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

    fn callouts(&mut self, callouts: &[Callout]) {
        let rings: Vec<Point> = callouts.iter().map(|c| (self.x.at(c.at.0), self.y.at(c.at.1))).collect();
        for &ring in &rings {
            self.scene.circle(ring, 8.0, None, Some(Stroke::new(Colour::Ink, 2.0)));
            // A ring weighs as much as a few dots.
            self.ink.extend([-7.0, -3.0, 3.0, 7.0].map(|d| (ring.0 + d, ring.1)));
        }
        let mut taken: Vec<Rect> = Vec::new();
        for (callout, ring) in callouts.iter().zip(rings) {
            if callout.words.is_empty() {
                continue;
            }
            let Some(area) = self.best_place(callout, ring, &taken) else { continue };
            taken.push(area);
            self.lead(ring, &area);
            self.scene.rect(area.inset(-3.0), Colour::Paper, 0.82);
            let mut y = area.top;
            for (i, line) in callout.words.iter().enumerate() {
                y += LINE;
                let text = Text::new(line.clone(), (area.left, y - 4.0), CALLOUT_SIZE);
                let colour = if i == 0 { callout.colour } else { Colour::Muted };
                self.scene.text(if i == 0 { text.bold() } else { text }.colour(colour));
            }
        }
    }

    /// A thin line from a ring to words that stand away from it.
    fn lead(&mut self, ring: Point, area: &Rect) {
        let nearest = (ring.0.clamp(area.left - 4.0, area.right + 4.0), ring.1.clamp(area.top, area.bottom));
        let (dx, dy) = (nearest.0 - ring.0, nearest.1 - ring.1);
        let away = dx.hypot(dy);
        if away > 30.0 {
            let start = (ring.0 + dx / away * 9.0, ring.1 + dy / away * 9.0);
            self.scene.line(vec![start, nearest], Stroke::new(Colour::Muted, 1.0));
        }
    }

    /// The box for a callout's words that covers the least ink near its ring and none of `taken`.
    fn best_place(&self, callout: &Callout, ring: Point, taken: &[Rect]) -> Option<Rect> {
        let weight = |i: usize| if i == 0 { Weight::Bold } else { Weight::Regular };
        let widths = callout.words.iter().enumerate().map(|(i, w)| font::width(w, CALLOUT_SIZE, weight(i)));
        let (width, height) = (widths.fold(0.0, f64::max), LINE * callout.words.len() as f64);
        let edges = callout.strip.map_or([ring.0; 2], |strip| strip.map(|x| self.x.at(x)));
        let room = self.plot.inset(5.0);
        let mut best: Option<(f64, Rect)> = None;
        let rows = (self.plot.height() / 8.0) as usize;
        for row in 0..rows {
            let top = self.plot.top + 8.0 * row as f64;
            for reach in [14.0, 40.0, 80.0, 140.0] {
                for left in [edges[1].max(ring.0) + reach, edges[0].min(ring.0) - reach - width] {
                    let area = Rect::new(left, top, left + width, top + height);
                    let padded = area.inset(-5.0);
                    if !room.contains(&area) || taken.iter().any(|t| t.inset(-4.0).overlaps(&padded)) {
                        continue;
                    }
                    let hidden = self.ink.iter().filter(|p| padded.overlaps(&Rect::new(p.0, p.1, p.0, p.1)));
                    let far = (area.centre().1 - ring.1).abs() + reach;
                    let strips = self.strips.iter().filter(|strip| strip.overlaps(&area)).count();
                    let cost = 30.0 * hidden.count() as f64 + 90.0 * strips as f64 + far;
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, area));
                    }
                }
            }
        }
        best.map(|(_, area)| area)
    }
}

const CALLOUT_SIZE: f64 = 12.5;
const LINE: f64 = 17.0;

/// The strategies' names right of the plot.
struct EndLabels {
    texts: Vec<String>,
    size: f64,
    /// Pixels from the plot's right edge to the margin.
    room: f64,
}

impl EndLabels {
    fn measure(series: &[Series]) -> Self {
        let widest =
            |size: f64| series.iter().map(|s| font::width(&s.label, size, Weight::Bold)).fold(0.0, f64::max);
        let size = [13.0, 12.0, 11.0].into_iter().find(|s| widest(*s) <= LABEL_CAP).unwrap_or(11.0);
        let texts = series.iter().map(|s| font::shorten(&s.label, size, Weight::Bold, LABEL_CAP)).collect();
        Self { texts, size, room: widest(size).min(LABEL_CAP) + 34.0 }
    }

    fn draw(&self, canvas: &mut Canvas, series: &[Series]) {
        let ends: Vec<(usize, Point)> = series
            .iter()
            .enumerate()
            .filter_map(|(i, s)| Some((i, canvas.place(s.dots.last()?, i, series.len()))))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, end)| end.1).collect();
        let placed = frame::spread(&wanted, self.size * 1.3, canvas.plot.top + 4.0, canvas.plot.bottom - 4.0);
        for ((index, end), y) in ends.into_iter().zip(placed) {
            let style = &series[index].style;
            let start = canvas.plot.right + 20.0;
            if (end.1 - y).abs() > 3.0 || start - end.0 > 60.0 {
                let leader = vec![(end.0 + 7.0, end.1), (canvas.plot.right + 2.0, y), (start - 1.0, y)];
                canvas.scene.line(leader, Stroke::new(style.tone(Tone::Line), 0.8));
            }
            canvas.scene.marker(style.marker, (start + 3.0, y), 3.6, style.tone(Tone::Line));
            let at = (start + 12.0, y + 0.35 * self.size);
            let label = Text::new(self.texts[index].clone(), at, self.size).bold();
            canvas.scene.text(label.colour(style.tone(Tone::Label)));
        }
    }
}
