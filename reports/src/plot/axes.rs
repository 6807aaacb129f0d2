//! Axes: from values to pixels, and the ticks between.
//!
//! A numeric axis is logarithmic when its positive values span at least a factor of [`LOG_FROM`]; a zero then gets a
//! slot of its own before them, behind a break. Ticks stand at 1-2-5 steps (powers of two for sizes), at
//! decades where those are too many, at even steps where they are too few, and always with their unit.
use super::canvas::{Anchor, Point, Rect, Scene, Stroke, Text};
use super::font::{self, Weight};
use super::style::Colour;
use super::units::Unit;

/// The span from which an axis is logarithmic.
pub(crate) const LOG_FROM: f64 = 5.0;
/// Most pixels between the slot of zero and the smallest positive value.
const ZERO_SLOT: f64 = 64.0;
/// Size of tick labels.
pub(crate) const TICK_SIZE: f64 = 12.0;

/// A labelled position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Log {
        zero: bool,
    },
    Linear,
    Names(Vec<String>),
    /// Shares from 0 to below 1, evenly spread over −log(1 − share).
    Shares,
}

/// An axis over pixels `from` (its low end) to `to`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    kind: Kind,
    unit: Unit,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis that shows all of `values`; values that are not finite are ignored. `even` asks for a linear axis.
    pub(crate) fn numeric(
        values: impl IntoIterator<Item = f64>,
        unit: Unit,
        even: bool,
        from: f64,
        to: f64,
    ) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        let (low, high) = span(values.iter().copied());
        let least = values.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        let zero = low == 0.0;
        let log = !even && low >= 0.0 && high > 0.0 && (high / least >= LOG_FROM || (!zero && high == low));
        if log {
            // A little air at both ends, and a range even for a single value.
            let air = if high == least { 2.0 } else { ((high.ln() - least.ln()) * 0.03).exp() };
            let low = if zero { least } else { least / air };
            return Self { kind: Kind::Log { zero }, unit, low, high: (high * air).min(f64::MAX), from, to };
        }
        let air = if high > low { (high - low) * 0.04 } else { high.abs().max(1.0) * 0.5 };
        let low = if even && low >= 0.0 { 0.0 } else { low - air };
        Self { kind: Kind::Linear, unit, low, high: high + air, from, to }
    }

    /// An axis of names; the value of a name is its index.
    pub(crate) fn names(names: Vec<String>, from: f64, to: f64) -> Self {
        let high = names.len().max(1) as f64 - 0.5;
        Self { kind: Kind::Names(names), unit: Unit::Plain, low: -0.5, high, from, to }
    }

    /// An axis of shares from 0 to `high`, which is below 1.
    pub(crate) fn shares(high: f64, from: f64, to: f64) -> Self {
        // A curve that ends at the median still needs a width.
        let high = nines(high).max(nines(0.9));
        Self { kind: Kind::Shares, unit: Unit::Plain, low: 0.0, high, from, to }
    }

    pub(crate) fn is_log(&self) -> bool {
        matches!(self.kind, Kind::Log { .. })
    }

    pub(crate) fn is_names(&self) -> bool {
        matches!(self.kind, Kind::Names(_))
    }

    /// Pixels per name, or of the whole axis.
    pub(crate) fn slot(&self) -> f64 {
        match &self.kind {
            Kind::Names(names) => (self.to - self.from).abs() / names.len().max(1) as f64,
            _ => (self.to - self.from).abs(),
        }
    }

    /// The pixel of `value`, kept within the axis.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = |value: f64, low: f64, high: f64| ((value - low) / (high - low)).clamp(0.0, 1.0);
        match self.kind {
            Kind::Log { zero } => {
                let start = if zero { self.from + self.zero_slot() } else { self.from };
                if value >= self.low {
                    start + (self.to - start) * share(value.ln(), self.low.ln(), self.high.ln())
                } else if zero {
                    self.zero_at() + (start - self.zero_at()) * share(value, 0.0, self.low)
                } else {
                    self.from
                }
            }
            Kind::Linear | Kind::Names(_) => {
                self.from + (self.to - self.from) * share(value, self.low, self.high)
            }
            Kind::Shares => self.from + (self.to - self.from) * share(nines(value), self.low, self.high),
        }
    }

    /// Pixels from the axis's low end to its smallest positive value, with the axis's direction.
    fn zero_slot(&self) -> f64 {
        let length = self.to - self.from;
        length.signum() * ZERO_SLOT.min(0.2 * length.abs())
    }

    fn zero_at(&self) -> f64 {
        self.from + (self.to - self.from).signum() * 12.0
    }

    /// The pixel of the axis's break, where zero stands apart.
    pub(crate) fn break_at(&self) -> Option<f64> {
        let middle = (self.zero_at() + self.from + self.zero_slot()) / 2.0;
        (self.kind == Kind::Log { zero: true }).then_some(middle)
    }

    /// The finest ticks whose labels `fit`.
    pub(crate) fn ticks(&self, fit: impl Fn(&[Tick]) -> bool) -> Vec<Tick> {
        let mut coarsest = Vec::new();
        for values in self.candidates() {
            let mut ticks: Vec<Tick> = values.into_iter().map(|v| self.tick(v)).collect();
            if let Kind::Names(names) = &self.kind {
                for (tick, name) in ticks.iter_mut().zip(names) {
                    tick.label = font::shorten(name, TICK_SIZE, Weight::Regular, self.slot() - 8.0);
                }
            }
            ticks.retain(|tick| !tick.label.is_empty());
            if fit(&ticks) {
                return ticks;
            }
            coarsest = ticks;
        }
        // Nothing fits: the two ends say the most.
        let ends: Vec<Tick> = coarsest.first().into_iter().chain(coarsest.last()).cloned().collect();
        if fit(&ends) { ends } else { ends.into_iter().take(1).collect() }
    }

    fn tick(&self, value: f64) -> Tick {
        let label = if self.kind == Kind::Shares { percentile(value) } else { self.unit.show(value) };
        Tick { at: self.at(value), label }
    }

    /// Sets of tick values, from fine to coarse.
    fn candidates(&self) -> Vec<Vec<f64>> {
        match &self.kind {
            Kind::Names(names) => vec![(0..names.len()).map(|i| i as f64).collect()],
            Kind::Shares => {
                let all = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
                let here: Vec<f64> = all.into_iter().filter(|s| nines(*s) <= self.high + 1e-9).collect();
                let without = |left_out: &[f64]| -> Vec<f64> {
                    here.iter().copied().filter(|s| !left_out.contains(s)).collect()
                };
                let every_other = without(&[0.5, 0.9, 0.999, 0.99999]);
                vec![here.clone(), without(&[0.5]), every_other, without(&all[1..4])]
            }
            Kind::Linear => (1..=4).map(|n| self.even_steps(9 - 2 * n)).collect(),
            Kind::Log { zero } => {
                let mut sets = self.log_candidates();
                if *zero {
                    sets.iter_mut().for_each(|set| set.insert(0, 0.0));
                }
                sets
            }
        }
    }

    /// About `count` even steps: of a power of two where the unit counts in them.
    fn even_steps(&self, count: usize) -> Vec<f64> {
        let Unit::Size(of) = self.unit else { return even_steps(self.low, self.high, count) };
        let raw = (self.high - self.low) / count.max(1) as f64 * of as f64;
        let step = 2_f64.powf(raw.log2().ceil()) / of as f64;
        if raw <= 0.0 || !step.is_finite() {
            return vec![self.low];
        }
        let first = (self.low / step).ceil();
        (0..=2 * count).map(|k| (first + k as f64) * step).take_while(|v| *v <= self.high).collect()
    }

    fn log_candidates(&self) -> Vec<Vec<f64>> {
        let within = |values: Vec<f64>| -> Vec<f64> {
            let inside = |v: &f64| *v >= self.low * 0.9999 && *v <= self.high * 1.0001;
            values.into_iter().filter(inside).collect()
        };
        let mut sets: Vec<Vec<f64>> = Vec::new();
        if let Unit::Size(of) = self.unit {
            let low = (self.low * of as f64).log2().floor() as i32;
            let high = (self.high * of as f64).log2().ceil() as i32;
            for stride in [1, 2, 3, 4, 5, 10, 20] {
                let powers = (low..=high).filter(|p| p % stride == 0);
                sets.push(within(powers.map(|p| 2_f64.powi(p) / of as f64).collect()));
            }
        } else {
            let (low, high) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            let decades = |stride: i32| (low..=high).filter(move |d| d % stride == 0);
            sets.push(within(decades(1).flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(d))).collect()));
            for stride in [1, 2, 3, 4, 5, 6, 9] {
                sets.push(within(decades(stride).map(|d| 10_f64.powi(d)).collect()));
            }
        }
        if sets[0].len() < 3 {
            sets.splice(0..0, (1..=3).map(|n| within(even_steps(self.low, self.high, 9 - 2 * n))));
        }
        sets.retain(|set| set.len() > 1);
        if sets.is_empty() {
            sets.push(vec![(self.low * self.high).sqrt()]);
        }
        sets
    }
}

/// How many nines a share has: 1 for 0.9, 2 for 0.99.
fn nines(share: f64) -> f64 {
    -(1.0 - share.clamp(0.0, 1.0 - 1e-9)).log10()
}

/// A share as a percentile: `p99.9`; that of nothing is the smallest value.
pub(crate) fn percentile(share: f64) -> String {
    if share <= 0.0 { "min".to_owned() } else { format!("p{}", super::units::significant(share * 100.0, 6)) }
}

/// Smallest and largest of `values`; 0 and 1 where there are none.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// About `count` values at steps of 1, 2 or 5 times a power of ten.
fn even_steps(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    if raw <= 0.0 || !raw.is_finite() {
        return vec![low];
    }
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    // `count` bounds the number of steps, so the loop is short.
    (0..=(2 * count as i64)).map(|k| (first + k) as f64 * step).take_while(|v| *v <= high).collect()
}

/// Whether labels that stand in a row, centred on their ticks, keep `gap` pixels between them and stay within `limits`.
pub(crate) fn fit_in_row(ticks: &[Tick], limits: (f64, f64), gap: f64) -> bool {
    let half = |tick: &Tick| font::width(&tick.label, TICK_SIZE, Weight::Regular) / 2.0;
    let apart =
        ticks.windows(2).all(|pair| (pair[1].at - pair[0].at).abs() >= half(&pair[0]) + half(&pair[1]) + gap);
    apart && ticks.iter().all(|tick| tick.at - half(tick) >= limits.0 && tick.at + half(tick) <= limits.1)
}

/// Draws grid, tick labels, base line and the titles of a plot whose area is `plot`; the title of `y` stands `rise`
/// pixels higher than it must.
pub(crate) fn draw(scene: &mut Scene, plot: &Rect, x: &Axis, y: &Axis, titles: (&str, &str), rise: f64) {
    for tick in y_ticks(y) {
        scene.line(vec![(plot.left, tick.at), (plot.right, tick.at)], Stroke::new(Colour::Grid, 1.0));
        let at = (plot.left - 10.0, tick.at + 0.35 * TICK_SIZE);
        scene.text(Text::new(tick.label, at, TICK_SIZE).anchor(Anchor::End));
    }
    let below = plot.bottom + 19.0;
    let limits = (4.0, scene.bounds().right - 4.0);
    for tick in x.ticks(|ticks| fit_in_row(ticks, limits, 12.0)) {
        if !x.is_names() {
            scene.line(vec![(tick.at, plot.top), (tick.at, plot.bottom)], Stroke::new(Colour::Grid, 1.0));
        }
        scene.text(Text::new(tick.label, (tick.at, below), TICK_SIZE).anchor(Anchor::Middle));
    }
    base_line(scene, plot, x);
    let (x_title, y_title) = titles;
    let title = |text: &str, at: Point| {
        let text = font::shorten(text, 13.0, Weight::Regular, scene.right() - scene.left());
        Text::new(text, at, 13.0).colour(Colour::Ink)
    };
    let x_title = centred(title(x_title, (plot.centre().0, plot.bottom + 42.0)), scene);
    let y_title = title(y_title, (scene.left(), plot.top - 14.0 - rise));
    scene.text(x_title);
    scene.text(y_title);
}

/// `text` centred on its position, or as near to it as the canvas allows.
pub(crate) fn centred(text: Text, scene: &Scene) -> Text {
    let mut text = text.anchor(Anchor::Middle);
    let half = text.width() / 2.0;
    text.x = text.x.min(scene.right() - half).max(scene.left() + half);
    text
}

/// The ticks of a vertical axis.
pub(crate) fn y_ticks(y: &Axis) -> Vec<Tick> {
    y.ticks(|ticks| ticks.len() <= 9 && ticks.windows(2).all(|p| (p[1].at - p[0].at).abs() >= 26.0))
}

fn base_line(scene: &mut Scene, plot: &Rect, x: &Axis) {
    let stroke = Stroke::new(Colour::Ink, 1.5);
    let Some(gap) = x.break_at() else {
        scene.line(vec![(plot.left, plot.bottom), (plot.right, plot.bottom)], stroke);
        return;
    };
    scene.line(vec![(plot.left, plot.bottom), (gap - 3.0, plot.bottom)], stroke);
    scene.line(vec![(gap + 3.0, plot.bottom), (plot.right, plot.bottom)], stroke);
    for at in [gap - 3.0, gap + 3.0] {
        scene.line(vec![(at - 2.5, plot.bottom + 5.0), (at + 2.5, plot.bottom - 5.0)], stroke);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks(|t| fit_in_row(t, (0.0, 900.0), 14.0)).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn a_log_axis_counts_in_one_two_five() {
        let axis = Axis::numeric([1.0, 100.0], Unit::of("cpu_us"), false, 100.0, 700.0);
        assert_eq!(labels(&axis), ["1 µs", "2 µs", "5 µs", "10 µs", "20 µs", "50 µs", "100 µs"]);
    }

    #[test]
    fn nine_decades_thin_out_and_a_narrow_span_fills_up() {
        let wide = Axis::numeric([1.0, 1e9], Unit::NS, false, 100.0, 500.0);
        assert_eq!(labels(&wide), ["1 ns", "100 ns", "10 µs", "1 ms", "100 ms"]);
        let narrow = Axis::numeric([1.0, 5.1], Unit::Plain, false, 100.0, 700.0);
        assert!(labels(&narrow).len() >= 3, "{:?}", labels(&narrow));
        let flat = Axis::numeric([1.31e6, 1.36e6], Unit::NS, false, 400.0, 100.0);
        assert!(y_ticks(&flat).len() >= 3, "{:?}", y_ticks(&flat));
    }

    #[test]
    fn sizes_tick_at_powers_of_two() {
        let axis = Axis::numeric([64.0, 1_048_576.0], Unit::of("input_bytes"), false, 100.0, 700.0);
        let labels = labels(&axis);
        assert!(labels.iter().any(|l| l == "1 KiB") && labels.iter().all(|l| !l.contains('.')), "{labels:?}");
    }

    #[test]
    fn zero_stands_before_the_positive_values() {
        let axis = Axis::numeric([0.0, 100.0, 10_000.0], Unit::of("wait_us"), false, 100.0, 700.0);
        assert!(axis.is_log() && axis.break_at().is_some());
        let at: Vec<f64> = [0.0, 50.0, 100.0, 1000.0, 10_000.0].map(|v| axis.at(v)).to_vec();
        assert!(at.windows(2).all(|p| p[0] < p[1]) && at[0] >= 100.0 && at[4] <= 700.0, "{at:?}");
        assert_eq!(labels(&axis)[0], "0");
    }

    #[test]
    fn odd_values_do_not_break_an_axis() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![-5.0, 5.0], vec![7.0], vec![1e-300, 1e300]] {
            let axis = Axis::numeric(values.clone(), Unit::Plain, false, 100.0, 700.0);
            for v in values.iter().copied().filter(|v| v.is_finite()) {
                assert!((100.0..=700.0).contains(&axis.at(v)), "{values:?}");
            }
            assert!(fit_in_row(&axis.ticks(|t| fit_in_row(t, (0.0, 900.0), 14.0)), (0.0, 900.0), 14.0));
        }
    }
}
