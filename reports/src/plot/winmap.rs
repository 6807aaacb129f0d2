//! The winner map: who wins each cell of a sweep, by how much, and how sure that is.
//!
//! The four outcomes and a refusal differ in ground, border and words, not only in colour: a win is plain, a proven
//! tie is striped in both colours, a lean is pale, an undecided cell is empty with a dotted border and a question
//! mark, a refused one is crossed out.
use super::axes::{MARGIN, TICK_SIZE};
use super::canvas::{Anchor, Point, Rect, Scene, Stroke, Text, WIDTH};
use super::font::{self, Weight};
use super::frame;
use super::style::{self, Colour, Style, Tone};
use super::units::{label, show_param, significant};
use super::{Drawn, Table};
use crate::analysis::model::{Analysis, Axis, CellAnalysis};
use crate::facts::{self, Call};
use crate::record::Params;

/// The most maps of a sweep over more than two parameters.
const MOST: usize = 4;
/// Pixels between cells.
const GAP: f64 = 3.0;
/// Cells smaller than this, in both directions, carry a sign instead of words.
const WORDS_FROM: (f64, f64) = (44.0, 34.0);

/// The maps of a sweep: one, or one per value of further parameters.
pub(crate) fn draw(analysis: &Analysis) -> Vec<Drawn> {
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
    groups.iter().map(|(fixed, cells)| Map { analysis, across, up, fixed, cells }.draw()).collect()
}

struct Map<'a> {
    analysis: &'a Analysis,
    across: &'a Axis,
    up: Option<&'a Axis>,
    fixed: &'a Params,
    cells: &'a [&'a CellAnalysis],
}

impl Map<'_> {
    fn draw(&self) -> Drawn {
        let title = facts::finding(self.analysis, self.cells);
        let subtitle = self.subtitle();
        let mut scene = Scene::new(0.0);
        let top = frame::head(&mut scene, &title, &subtitle) + if self.up.is_some() { 34.0 } else { 14.0 };
        let plot = self.plot(top);
        let grid = Grid::new(self, plot);
        let styles = style::styles(&self.analysis.strategies);
        let mut painter = Painter { scene, analysis: self.analysis, styles, short: grid.short(self) };
        for (column, row, cell) in self.placed() {
            painter.cell(&grid.rect(column, row), cell);
        }
        self.labels(&mut painter.scene, &grid);
        painter.legend(self.cells, plot.bottom + 56.0);
        let scene = painter.scene;
        let description = format!("Map of winners over {}. {title}.", self.parameters().join(" and "));
        let stem = ["winners", &super::select::stem(self.fixed)].join("_");
        Drawn { stem, title, description, scene, table: self.table() }
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
        format!(
            "{}. Cell: the fastest and its speed-up over {} (undecided: where proven). Margin {} %, intervals {} %, adjusted for all cells.",
            parts.join(" · "),
            a.baseline,
            significant(a.margin * 100.0, 3),
            significant(a.confidence * 100.0, 3)
        )
    }

    /// The area of the cells, as high as its rows want to be.
    fn plot(&self, top: f64) -> Rect {
        let rows = self.up.map_or(1, |axis| axis.values.len());
        let names = self.row_labels();
        let widest = names.iter().map(|n| font::width(n, TICK_SIZE, Weight::Regular)).fold(0.0, f64::max);
        let left = MARGIN + if self.up.is_some() { widest.min(180.0) + 12.0 } else { 0.0 };
        let height = match rows {
            1 => 110.0,
            2..=4 => 84.0,
            _ => (400.0 / rows as f64).clamp(24.0, 64.0),
        };
        Rect::new(left, top, WIDTH - MARGIN, top + height * rows as f64)
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
            if bounds.left >= free_from && bounds.right <= WIDTH - 4.0 {
                free_from = bounds.right + 6.0;
                scene.text(text);
            }
        }
        let mut free_from = f64::NEG_INFINITY;
        for (index, words) in self.row_labels().iter().enumerate().rev() {
            let cell = grid.rect(0, self.row(index));
            let words = font::shorten(words, TICK_SIZE, Weight::Regular, grid.plot.left - MARGIN - 8.0);
            let at = (grid.plot.left - 8.0, cell.centre().1 + 4.0);
            let text = Text::new(words, at, TICK_SIZE).anchor(Anchor::End);
            if self.up.is_none_or(|axis| !axis.is_numeric()) || text.bounds().top >= free_from {
                free_from = text.bounds().bottom + 2.0;
                scene.text(text);
            }
        }
        let title = |text: &str, at: Point| Text::new(text, at, 13.0).colour(Colour::Ink);
        let across = label(&self.across.param);
        scene.text(title(&across, (grid.plot.centre().0, grid.plot.bottom + 40.0)).anchor(Anchor::Middle));
        if let Some(axis) = self.up {
            scene.text(title(&label(&axis.param), (MARGIN, grid.plot.top - 14.0)));
        }
    }

    fn table(&self) -> Table {
        let axes = [Some(self.across), self.up].into_iter().flatten();
        let mut header: Vec<String> = axes.clone().map(|axis| label(&axis.param)).collect();
        header.push("verdict".to_owned());
        header.push(format!("speed-up over {}", self.analysis.baseline));
        let row = |cell: &&CellAnalysis| {
            let value = |axis: &Axis| {
                cell.params.get(&axis.param).map_or_else(String::new, |v| show_param(&axis.param, v))
            };
            let mut row: Vec<String> = axes.clone().map(value).collect();
            row.push(facts::call_words(&facts::call(cell)));
            row.push(facts::speed_up_words(self.analysis, cell).unwrap_or_else(|| "–".to_owned()));
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

    /// Whether names must be short for every cell to hold its words.
    fn short(&self, map: &Map<'_>) -> bool {
        let room = self.width - GAP - 14.0;
        let longest = |cell: &&CellAnalysis| words(&facts::call(cell), false, room).1;
        let widest = map.cells.iter().map(longest).fold(0.0, f64::max);
        widest > room
    }
}

/// The bold words of a cell, line by line, and their width.
fn words(call: &Call<'_>, short: bool, room: f64) -> (Vec<String>, f64) {
    let name = |full: &str| if short { style::short_name(full).to_owned() } else { full.to_owned() };
    let width =
        |lines: &[String]| lines.iter().map(|l| font::width(l, 13.0, Weight::Bold)).fold(0.0, f64::max);
    let lines = match call {
        Call::Wins(winner) => vec![name(winner)],
        Call::Leans(winner) => vec![format!("leans {}", name(winner))],
        Call::Tie(best) => {
            let more = if best.len() > 2 { format!(" +{}", best.len() - 2) } else { String::new() };
            let pair: Vec<String> = best.iter().take(2).map(|n| name(n)).collect();
            let one = vec![format!("{}{more}", pair.join(" ≈ "))];
            let two = || vec![format!("{} ≈", pair[0]), format!("{}{more}", pair[1..].join(""))];
            // A little of the stripes must stay visible beside the words.
            if width(&one) <= room - 24.0 || pair.len() < 2 { one } else { two() }
        }
        Call::Undecided(_) | Call::Refused(_) => Vec::new(),
    };
    let wide = width(&lines);
    (lines, wide)
}

struct Painter<'a> {
    scene: Scene,
    analysis: &'a Analysis,
    styles: Vec<Style>,
    short: bool,
}

impl Painter<'_> {
    fn style(&self, strategy: &str) -> Option<Style> {
        let index = self.analysis.strategies.iter().position(|name| name == strategy)?;
        self.styles.get(index).copied()
    }

    fn tone(&self, strategy: &str, tone: Tone) -> Colour {
        self.style(strategy).map_or(Colour::Grid, |style| style.tone(tone))
    }

    fn cell(&mut self, area: &Rect, cell: &CellAnalysis) {
        let call = facts::call(cell);
        let speed = facts::speed_up_words(self.analysis, cell);
        let tip = format!(
            "{}: {}{}",
            facts::cell_words(cell),
            facts::call_words(&call),
            speed.as_ref().map_or_else(String::new, |s| format!(", {s} {}", self.analysis.baseline))
        );
        self.ground(area, &call, &tip);
        if area.width() < WORDS_FROM.0 || area.height() < WORDS_FROM.1 {
            self.sign(area, &call);
            return;
        }
        let ink = match &call {
            Call::Wins(winner) => self.tone(winner, Tone::OnFill),
            _ => Colour::Ink,
        };
        let room = area.width() - 14.0;
        let mut lines: Vec<(String, f64, bool)> =
            words(&call, self.short, room).0.into_iter().map(|line| (line, 13.0, true)).collect();
        match &call {
            Call::Undecided(best) => {
                let tall = area.height() > 56.0;
                let head =
                    speed.as_ref().filter(|_| !tall).map_or("?".to_owned(), |speed| format!("? {speed}"));
                lines.push((head, if tall { 16.0 } else { 13.0 }, true));
                if best.len() > 1 {
                    let names: Vec<&str> = best.iter().take(2).map(|n| style::short_name(n)).collect();
                    let more = if best.len() > 2 { format!(" +{}", best.len() - 2) } else { String::new() };
                    lines.push((format!("{}{more}", names.join(" / ")), 11.0, false));
                }
                lines.extend(speed.filter(|_| tall).map(|s| (s, 12.0, false)));
            }
            Call::Refused(_) => lines.push(("no verdict".to_owned(), 12.0, false)),
            _ => lines.extend(speed.map(|s| (s, 12.0, false))),
        }
        let plate = matches!(call, Call::Tie(_) | Call::Refused(_));
        self.words(area, lines, ink, plate);
    }

    /// The ground and border that tell the outcomes apart.
    fn ground(&mut self, area: &Rect, call: &Call<'_>, tip: &str) {
        let colour = match call {
            Call::Wins(winner) => self.tone(winner, Tone::Fill),
            Call::Leans(winner) => self.tone(winner, Tone::Pale),
            Call::Tie(best) => best.first().map_or(Colour::Grid, |name| self.tone(name, Tone::Fill)),
            Call::Undecided(_) | Call::Refused(_) => Colour::Paper,
        };
        self.scene.rect(*area, colour, 1.0);
        self.scene.tip(tip);
        match call {
            Call::Tie(best) => {
                if let Some(other) = best.get(1) {
                    self.scene.hatch(area, self.tone(other, Tone::Fill), 5.0, 14.0);
                }
            }
            Call::Leans(winner) => {
                let edge = Stroke::new(self.tone(winner, Tone::Line), 1.0);
                self.scene.outline(area, edge);
            }
            Call::Undecided(_) => {
                let dots = Stroke::new(Colour::Muted, 1.5).dashed(Some([1.5, 3.0]));
                self.scene.outline(area, dots);
            }
            Call::Refused(_) => {
                let stroke = Stroke::new(Colour::Alarm, 1.5);
                self.scene.outline(area, stroke);
                let inner = area.inset(2.0);
                self.scene.line(vec![(inner.left, inner.top), (inner.right, inner.bottom)], stroke);
                self.scene.line(vec![(inner.left, inner.bottom), (inner.right, inner.top)], stroke);
            }
            Call::Wins(_) => {}
        }
    }

    /// Lines of words in the middle of a cell, as many as it has room for, on a plate where the ground is busy.
    fn words(&mut self, area: &Rect, lines: Vec<(String, f64, bool)>, ink: Colour, plate: bool) {
        let room = area.width() - 10.0;
        let mut height = 0.0;
        let mut placed: Vec<(String, f64, bool)> = Vec::new();
        for (line, size, bold) in lines {
            if height + size * 1.35 > area.height() - 2.0 {
                break;
            }
            height += size * 1.35;
            let weight = if bold { Weight::Bold } else { Weight::Regular };
            placed.push((font::shorten(&line, size, weight, room), size, bold));
        }
        let (x, middle) = area.centre();
        let mut y = middle - height / 2.0;
        let mut texts = Vec::new();
        for (line, size, bold) in placed {
            y += size * 1.35;
            let text = Text::new(line, (x, y - size * 0.35), size).anchor(Anchor::Middle).colour(ink);
            texts.push(if bold { text.bold() } else { text });
        }
        if plate && !texts.is_empty() {
            let widest = texts.iter().map(Text::width).fold(0.0, f64::max) / 2.0 + 6.0;
            let (top, bottom) = (middle - height / 2.0 - 1.0, middle + height / 2.0 + 2.0);
            let plate = Rect::new(x - widest, top, x + widest, bottom);
            let plate = Rect::new(
                plate.left.max(area.left),
                top.max(area.top),
                plate.right.min(area.right),
                bottom.min(area.bottom),
            );
            self.scene.rect(plate, Colour::Paper, 0.94);
        }
        texts.into_iter().for_each(|text| self.scene.text(text));
    }

    /// The sign of a cell that is too small for words: the winner's marker, or a question mark.
    fn sign(&mut self, area: &Rect, call: &Call<'_>) {
        let radius = (area.width().min(area.height()) * 0.24).clamp(1.5, 7.0);
        let (name, tone) = match call {
            Call::Wins(winner) => (*winner, Tone::OnFill),
            Call::Leans(winner) => (*winner, Tone::Label),
            Call::Undecided(_) => {
                let size = (area.height() * 0.6).clamp(6.0, 15.0).min(area.width());
                let at = (area.centre().0, area.centre().1 + size * 0.36);
                self.scene.text(Text::new("?", at, size).bold().anchor(Anchor::Middle).colour(Colour::Ink));
                return;
            }
            Call::Tie(_) | Call::Refused(_) => return,
        };
        if let Some(style) = self.style(name) {
            self.scene.marker(style.marker, area.centre(), radius, style.tone(tone));
        }
    }

    /// The strategies and outcomes that occur, in rows below the map; sets the height of the picture.
    fn legend(&mut self, cells: &[&CellAnalysis], top: f64) {
        let calls: Vec<Call<'_>> = cells.iter().map(|cell| facts::call(cell)).collect();
        let named = |name: &str| {
            calls.iter().any(|call| match call {
                Call::Wins(n) | Call::Leans(n) => *n == name,
                Call::Tie(best) => best.iter().take(2).any(|n| *n == name),
                Call::Undecided(best) => best.len() > 1 && best.iter().take(2).any(|n| *n == name),
                Call::Refused(_) => false,
            })
        };
        // Undecided cells hold short names always.
        let undecided = calls.iter().any(|c| matches!(c, Call::Undecided(_)));
        let mut entries: Vec<(Key, String)> = Vec::new();
        for (name, style) in self.analysis.strategies.iter().zip(&self.styles) {
            if named(name) {
                let short = style::short_name(name);
                let words = if (self.short || undecided) && short != name {
                    format!("{name} ({short})")
                } else {
                    name.clone()
                };
                entries.push((Key::Strategy(*style), words));
            }
        }
        let outcomes = [
            (Key::Tie, "proven tie", calls.iter().filter(|c| matches!(c, Call::Tie(_))).count()),
            (
                Key::Leans,
                "lean: ahead, not by a proven margin",
                calls.iter().filter(|c| matches!(c, Call::Leans(_))).count(),
            ),
            (
                Key::Undecided,
                "undecided between the named",
                calls.iter().filter(|c| matches!(c, Call::Undecided(_))).count(),
            ),
            (Key::Refused, "no verdict", calls.iter().filter(|c| matches!(c, Call::Refused(_))).count()),
        ];
        let there = outcomes.into_iter().filter(|(.., count)| *count > 0);
        entries.extend(there.map(|(key, words, count)| (key, format!("{count} × {words}"))));
        let (mut x, mut y) = (MARGIN, top + 14.0);
        for (key, words) in entries {
            let words = font::shorten(&words, 12.5, Weight::Regular, 300.0);
            let width = 24.0 + font::width(&words, 12.5, Weight::Regular);
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + 22.0);
            }
            self.key(&Rect::new(x, y - 12.0, x + 16.0, y + 3.0), key);
            self.scene.text(Text::new(words, (x + 23.0, y), 12.5).colour(Colour::Ink));
            x += width + 22.0;
        }
        self.scene.height = (y + 20.0).round();
    }

    fn key(&mut self, area: &Rect, key: Key) {
        match key {
            Key::Strategy(style) => {
                self.scene.rect(*area, style.tone(Tone::Fill), 1.0);
                self.scene.marker(style.marker, area.centre(), 3.4, style.tone(Tone::OnFill));
            }
            Key::Tie => {
                self.scene.rect(*area, Colour::Grid, 1.0);
                self.scene.hatch(area, Colour::Muted, 2.5, 7.0);
            }
            Key::Leans => {
                self.scene.rect(*area, Colour::Grid, 0.6);
                self.scene.outline(area, Stroke::new(Colour::Muted, 1.0));
            }
            Key::Undecided => {
                self.ground(area, &Call::Undecided(Vec::new()), "undecided");
                let at = (area.centre().0, area.centre().1 + 4.0);
                self.scene.text(Text::new("?", at, 11.0).bold().anchor(Anchor::Middle).colour(Colour::Ink));
            }
            Key::Refused => self.ground(area, &Call::Refused("no verdict"), "no verdict"),
        }
    }
}

/// An entry of the legend.
#[derive(Clone, Copy)]
enum Key {
    Strategy(Style),
    Tie,
    Leans,
    Undecided,
    Refused,
}
