//! The winner map: who wins each cell of a sweep, by how much, and how sure that is.
//!
//! There is one per metric: the cells of all of them stand at the same places, so that a page may show one in the
//! place of another. `cells` paints what is in a cell, `legend` what stands below the map; this module lays them out.
use std::borrow::Cow;

use super::axes::{self, TICK_SIZE};
use super::canvas::{Anchor, Point, Rect, Scene, Text};
use super::font::{self, Weight};
use super::form::Form;
use super::frame;
use super::style::{self, Colour};
use super::units::{headed, label, show_param, significant};
use super::{Drawn, Section, Table};
use crate::analysis::model::{Analysis, Axis, CellAnalysis, Metric};
use crate::facts;
use crate::record::Params;

mod cells;
mod legend;

use cells::{Painter, Wording, next_words};

/// The most maps of a sweep over more than two parameters.
const MOST: usize = 4;
/// Pixels between cells.
const GAP: f64 = 3.0;

/// The maps of a sweep: one, or one per value of further parameters; each by all metrics that were measured, one after
/// the other.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Vec<Drawn> {
    let mut axes: Vec<&Axis> = analysis.axes.iter().collect();
    // The longest axis runs to the right, the next one up.
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.values.len()));
    let Some((across, rest)) = axes.split_first() else { return Vec::new() };
    let up = rest.first().copied();
    let mut groups: Vec<(Params, Vec<&CellAnalysis>)> = Vec::new();
    for cell in &analysis.cells {
        let mut fixed = cell.params.clone();
        fixed.retain(|param, _| *param != across.param && up.is_none_or(|axis| *param != axis.param));
        match groups.iter_mut().find(|(params, _)| *params == fixed) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((fixed, vec![cell])),
        }
    }
    groups.truncate(MOST);
    let leading = analysis.leading();
    let mut order = Metric::ALL;
    order.sort_by_key(|metric| *metric != leading);
    let judged: Vec<(Metric, Cow<'_, Analysis>)> = order
        .into_iter()
        .filter_map(|metric| match metric == analysis.judged_by {
            true => Some((metric, Cow::Borrowed(analysis))),
            false => Some((metric, Cow::Owned(analysis.by(metric)?))),
        })
        .collect();
    let mut drawn = Vec::new();
    for (fixed, cells) in &groups {
        for (metric, analysis) in &judged {
            let same = |cell: &&CellAnalysis| cells.iter().any(|c| c.cell == cell.cell);
            let cells: Vec<&CellAnalysis> = analysis.cells.iter().filter(same).collect();
            let map = Map { analysis, metric: *metric, leading, across, up, fixed, cells: &cells, form };
            drawn.push(map.draw());
        }
    }
    drawn
}

struct Map<'a> {
    analysis: &'a Analysis,
    metric: Metric,
    /// The metric of the map that is shown first.
    leading: Metric,
    across: &'a Axis,
    up: Option<&'a Axis>,
    fixed: &'a Params,
    cells: &'a [&'a CellAnalysis],
    form: Form,
}

impl Map<'_> {
    fn draw(&self) -> Drawn {
        let title = self.title();
        let subtitle = self.subtitle();
        let mut scene = Scene::new(self.form, 0.0);
        let top = frame::head(&mut scene, &title, &subtitle) + if self.up.is_some() { 34.0 } else { 14.0 };
        let plot = self.plot(&scene, top);
        let grid = Grid::new(self, plot);
        let styles = style::styles(&self.analysis.strategies);
        let wording = Wording::fitting(self.cells, grid.width - GAP, self.form);
        let mut painter = Painter { scene, analysis: self.analysis, styles, wording, than: self.than() };
        for (column, row, cell) in self.placed() {
            painter.cell(&grid.rect(column, row), cell);
        }
        self.labels(&mut painter.scene, &grid);
        painter.legend(self.cells, plot.bottom + 56.0);
        let scene = painter.scene;
        let description = format!("Map of winners over {}. {title}.", self.parameters().join(" and "));
        let fixed = super::select::stem(self.fixed);
        let kind = match self.metric {
            Metric::Wall => "winners".to_owned(),
            other => format!("winners-{}", other.name()),
        };
        let (metric, group) = (Some(self.metric), ["winners", &fixed].join("_"));
        let stem = [kind.as_str(), &fixed].join("_");
        let drawn = Drawn::new(Section::Winners, stem, title, description, scene, self.table());
        Drawn { subtitle, metric, group, ..drawn }
    }

    /// The finding, with the metric where it is not wall time.
    fn title(&self) -> String {
        let finding = facts::finding(self.analysis, self.cells);
        match self.metric {
            // Names of strategies keep their case; a sentence begins with a capital.
            Metric::Wall if self.leading != Metric::Wall => {
                format!("By wall time: {}", headed(self.fixed, finding))
            }
            Metric::Wall | Metric::Latency if self.fixed.is_empty() => {
                finding.strip_prefix("no ").map_or(finding.clone(), |rest| format!("No {rest}"))
            }
            Metric::Wall | Metric::Latency => headed(self.fixed, finding),
            Metric::Cpu => format!("By CPU time: {}", headed(self.fixed, finding)),
            Metric::Memory => format!("By memory: {}", headed(self.fixed, finding)),
        }
    }

    /// What a cell's ratio says of its winner.
    fn than(&self) -> &'static str {
        match self.metric {
            Metric::Wall => "faster than",
            // Its cells show the tail itself.
            Metric::Latency => "p99",
            Metric::Cpu => "less CPU time than",
            Metric::Memory => "less memory than",
        }
    }

    fn parameters(&self) -> Vec<String> {
        [Some(self.across), self.up].into_iter().flatten().map(|axis| label(&axis.param)).collect()
    }

    fn subtitle(&self) -> String {
        let a = self.analysis;
        let mut parts = super::constants(a);
        if !self.fixed.is_empty() {
            parts.insert(0, super::units::describe(self.fixed));
        }
        parts.push(super::rounds(a));
        let what = match self.metric {
            Metric::Wall => "the fastest and its speed-up over",
            Metric::Latency => return self.tails(&parts.join(" · ")),
            Metric::Cpu => "the least CPU time (user + system), and how many times less than",
            Metric::Memory => "the least peak memory, and how many times less than",
        };
        let next = match self.cells.iter().any(|cell| next_words(a, cell).is_some()) {
            true => format!(" Where {} wins: how many times more the next one takes.", a.baseline),
            false => String::new(),
        };
        format!(
            "{}. Cell: {what} {} (undecided: where proven).{next} Margin {} %, intervals {} %, adjusted for all cells.",
            parts.join(" · "),
            a.baseline,
            significant(a.margin * 100.0, 3),
            significant(a.confidence * 100.0, 3)
        )
    }

    /// The conditions under an open load, after `parts`.
    fn tails(&self, parts: &str) -> String {
        let a = self.analysis;
        let rate = a.rate.map_or_else(String::new, |rate| format!("{} arrivals/s · ", significant(rate, 3)));
        let behind = match self.cells.iter().any(|cell| !cell.behind.is_empty()) {
            true => " Who falls behind the load cannot win.",
            false => "",
        };
        format!(
            "{rate}{parts}. Cell: the shortest tail and its p99, counted from when a task was due.{behind} Margin {} %, intervals {} %, \
             adjusted for all cells.",
            significant(a.margin * 100.0, 3),
            significant(a.confidence * 100.0, 3)
        )
    }

    /// The area of the cells, as high as its rows want to be.
    fn plot(&self, scene: &Scene, top: f64) -> Rect {
        let rows = self.up.map_or(1, |axis| axis.values.len());
        let names = self.row_labels();
        let widest = names.iter().map(|n| font::width(n, TICK_SIZE, Weight::Regular)).fold(0.0, f64::max);
        let room = widest.min(self.form.pick(180.0, 84.0)) + self.form.pick(12.0, 8.0);
        let left = scene.left() + if self.up.is_some() { room } else { 0.0 };
        let height = match rows {
            1 => 110.0,
            2..=4 => 84.0,
            _ => (400.0 / rows as f64).clamp(24.0, 64.0),
        };
        Rect::new(left, top, scene.right(), top + height * rows as f64)
    }

    fn row_labels(&self) -> Vec<String> {
        self.up.map_or_else(Vec::new, |axis| axis.values.iter().map(|v| show_param(&axis.param, v)).collect())
    }

    /// The row of the value with `index`: numbers grow upwards, names read downwards.
    fn row(&self, index: usize) -> usize {
        match self.up {
            Some(axis) if axis.is_numeric() => axis.values.len() - 1 - index,
            _ => index,
        }
    }

    /// All cells with their column and row.
    fn placed(&self) -> Vec<(usize, usize, &CellAnalysis)> {
        let index = |axis: &Axis, cell: &CellAnalysis| {
            cell.params.get(&axis.param).and_then(|value| axis.values.iter().position(|v| v == value))
        };
        let place = |cell: &&CellAnalysis| {
            let row = match self.up {
                Some(axis) => self.row(index(axis, cell)?),
                None => 0,
            };
            Some((index(self.across, cell)?, row))
        };
        self.cells.iter().filter_map(|cell| place(cell).map(|(c, r)| (c, r, *cell))).collect()
    }

    fn labels(&self, scene: &mut Scene, grid: &Grid) {
        let y = grid.plot.bottom + 18.0;
        let mut free_from = f64::NEG_INFINITY;
        for (column, value) in self.across.values.iter().enumerate() {
            let cell = grid.rect(column, 0);
            let words = show_param(&self.across.param, value);
            let room = grid.width.max(60.0);
            let words = font::shorten(&words, TICK_SIZE, Weight::Regular, room);
            let text = Text::new(words, (cell.centre().0, y), TICK_SIZE).anchor(Anchor::Middle);
            let bounds = text.bounds();
            if bounds.left >= free_from.max(2.0) && bounds.right <= scene.bounds().right - 2.0 {
                free_from = bounds.right + 6.0;
                scene.text(text);
            }
        }
        let mut free_from = f64::NEG_INFINITY;
        for (index, words) in self.row_labels().iter().enumerate().rev() {
            let cell = grid.rect(0, self.row(index));
            let words = font::shorten(words, TICK_SIZE, Weight::Regular, grid.plot.left - scene.left() - 7.0);
            let at = (grid.plot.left - 8.0, cell.centre().1 + 4.0);
            let text = Text::new(words, at, TICK_SIZE).anchor(Anchor::End);
            if self.up.is_none_or(|axis| !axis.is_numeric()) || text.bounds().top >= free_from {
                free_from = text.bounds().bottom + 2.0;
                scene.text(text);
            }
        }
        let title = |text: &str, at: Point| Text::new(text, at, 13.0).colour(Colour::Ink);
        let across = label(&self.across.param);
        let room = scene.right() - scene.left();
        let across = font::shorten(&across, 13.0, Weight::Regular, room);
        let middle = grid.plot.left + grid.width * self.across.values.len() as f64 / 2.0;
        let across = axes::centred(title(&across, (middle, grid.plot.bottom + 40.0)), scene);
        scene.text(across);
        if let Some(axis) = self.up {
            let up = font::shorten(&label(&axis.param), 13.0, Weight::Regular, room);
            scene.text(title(&up, (scene.left(), grid.plot.top - 14.0)));
        }
    }

    fn table(&self) -> Table {
        let axes = [Some(self.across), self.up].into_iter().flatten();
        let mut header: Vec<String> = axes.clone().map(|axis| label(&axis.param)).collect();
        header.push("verdict".to_owned());
        header.push(match self.metric {
            Metric::Wall | Metric::Latency => facts::score_title(self.analysis),
            _ => format!("times {} {}", self.than(), self.analysis.baseline),
        });
        let tails = self.metric == Metric::Latency;
        header.extend(tails.then(|| "fell behind the load".to_owned()));
        let row = |cell: &&CellAnalysis| {
            let value = |axis: &Axis| {
                cell.params.get(&axis.param).map_or_else(String::new, |v| show_param(&axis.param, v))
            };
            let mut row: Vec<String> = axes.clone().map(value).collect();
            row.push(facts::call_words(&facts::call(cell)));
            row.push(facts::score_words(self.analysis, cell).unwrap_or_else(|| "–".to_owned()));
            let behind = || facts::behind(self.analysis, cell).join(", ");
            row.extend(tails.then(behind).map(|names| if names.is_empty() { "–".to_owned() } else { names }));
            row
        };
        Table { rows: self.cells.iter().map(row).collect(), header }
    }
}

/// The lattice of cells.
struct Grid {
    plot: Rect,
    width: f64,
    height: f64,
}

impl Grid {
    fn new(map: &Map<'_>, plot: Rect) -> Self {
        // One column alone need not be as wide as the canvas.
        let columns = map.across.values.len().max(1) as f64;
        let rows = map.up.map_or(1, |axis| axis.values.len().max(1)) as f64;
        Self { plot, width: (plot.width() / columns).min(260.0), height: plot.height() / rows }
    }

    fn rect(&self, column: usize, row: usize) -> Rect {
        let left = self.plot.left + self.width * column as f64;
        let top = self.plot.top + self.height * row as f64;
        let gap = if self.width.min(self.height) < 20.0 { 1.0 } else { GAP };
        Rect::new(left, top, left + self.width - gap, top + self.height - gap)
    }
}
