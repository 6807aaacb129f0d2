//! What stands in a cell of a winner map.
//!
//! The four outcomes and a refusal differ in ground, border and words, not only in colour: a win is plain, a proven
//! tie is striped in the colours of all who tie, a lean is pale, an undecided cell is empty with a dotted border and a
//! question mark, a refused one is crossed out.
use crate::analysis::model::{Analysis, CellAnalysis, Metric};
use crate::facts::{self, Call};
use crate::plot::canvas::{Anchor, Rect, Scene, Stroke, Text};
use crate::plot::font::{self, Weight};
use crate::plot::form::Form;
use crate::plot::style::{self, Colour, Style, Tone};
use crate::plot::units::times;

/// Cells smaller than this, in both directions, carry a sign instead of words.
const WORDS_FROM: (f64, f64) = (44.0, 34.0);
/// Pixels of a cell's width that words leave free.
const PADDING: f64 = 14.0;
/// The most colours of stripes over the ground of a tie.
const MOST_STRIPES: usize = 3;
/// Pixels of a plate on both sides of its words.
const PLATE: f64 = 4.0;
/// The largest share of a cell that a plate may cover.
const MOST_COVERED: f64 = 0.68;
/// From one stripe to the next, along x.
const PITCH: f64 = 14.0;

/// How the names in all cells of a map are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wording {
    /// Whether strategies have their short names.
    pub(super) short: bool,
    /// Size of the bold words.
    pub(super) size: f64,
}

impl Wording {
    /// The largest wording with which every cell that is `width` pixels wide holds its words.
    pub(super) fn fitting(cells: &[&CellAnalysis], width: f64, form: Form) -> Self {
        let (room, least) = (width - PADDING, form.pick(11.4, 10.0));
        let fits = |wording: &Self| {
            let widest = |cell: &&CellAnalysis| wording.lines(&facts::call(cell), room).1;
            cells.iter().map(widest).fold(0.0, f64::max) <= room
        };
        let wording = |(short, size)| Self { short, size };
        let tried = [(false, 13.0), (true, 13.0), (true, 12.0), (true, 11.4), (true, least)].map(wording);
        tried.into_iter().find(fits).unwrap_or(tried[4])
    }

    fn name(self, full: &str) -> String {
        if self.short { style::short_name(full).to_owned() } else { full.to_owned() }
    }

    fn width(self, lines: &[String]) -> f64 {
        lines.iter().map(|l| font::width(l, self.size, Weight::Bold)).fold(0.0, f64::max)
    }

    /// The bold words of a cell, line by line, and the width that they take, or would take unabridged.
    fn lines(self, call: &Call<'_>, room: f64) -> (Vec<String>, f64) {
        let mut wanted = 0.0;
        let lines = match call {
            Call::Wins(winner) => vec![self.name(winner)],
            Call::Leans(winner) => {
                let one = vec![format!("leans {}", self.name(winner))];
                if self.width(&one) <= room { one } else { vec!["leans".to_owned(), self.name(winner)] }
            }
            Call::Tie(best) => {
                let more = if best.len() > 2 { format!(" +{}", best.len() - 2) } else { String::new() };
                let pair: Vec<String> = best.iter().take(2).map(|n| self.name(n)).collect();
                let one = vec![format!("{}{more}", pair.join(" ≈ "))];
                let two = || vec![format!("{} ≈", pair[0]), format!("{}{more}", pair[1..].join(""))];
                let few = || vec![format!("{} ≈", pair[0]), format!("{} more", best.len() - 1)];
                // A little of the stripes must stay visible beside the words.
                match () {
                    () if self.width(&one) <= room - 24.0 || pair.len() < 2 => one,
                    () if best.len() < 3 || self.width(&two()) <= room => two(),
                    () => {
                        wanted = self.width(&two());
                        few()
                    }
                }
            }
            Call::Undecided(_) | Call::Refused(_) => Vec::new(),
        };
        let wide = self.width(&lines).max(wanted);
        (lines, wide)
    }

    /// The names between which a cell is undecided: on one line, on two, or none where they do not fit.
    fn rivals(self, best: &[&str], room: f64) -> Vec<String> {
        let size = self.size.min(11.0);
        let fits = |line: &String| font::width(line, size, Weight::Regular) <= room + 4.0;
        let names: Vec<&str> = best.iter().take(2).map(|n| style::short_name(n)).collect();
        let [first, second] = names[..] else { return Vec::new() };
        let more = if best.len() > 2 { format!(" +{}", best.len() - 2) } else { String::new() };
        let one = vec![format!("{first} / {second}{more}")];
        let two = vec![format!("{first} /"), format!("{second}{more}")];
        [one, two].into_iter().find(|lines| lines.iter().all(fits)).unwrap_or_default()
    }
}

/// Where the baseline itself wins, how far behind the next one is: its own ratio would say nothing.
pub(super) fn next_words(analysis: &Analysis, cell: &CellAnalysis) -> Option<String> {
    let Call::Wins(winner) = facts::call(cell) else { return None };
    if analysis.judged_by == Metric::Latency {
        return None;
    }
    let (_, versus) = facts::runner_up(cell.verdict.as_ref()?).filter(|_| winner == analysis.baseline)?;
    Some(format!("next {}", times(versus.ratio)))
}

fn weight(bold: bool) -> Weight {
    if bold { Weight::Bold } else { Weight::Regular }
}

/// The map while it is painted.
pub(super) struct Painter<'a> {
    pub(super) scene: Scene,
    pub(super) analysis: &'a Analysis,
    pub(super) styles: Vec<Style>,
    pub(super) wording: Wording,
    /// What a ratio says of the winner.
    pub(super) than: &'static str,
}

impl Painter<'_> {
    /// The smallest size that is read with ease: a wide picture may be shown at three quarters of its size.
    fn least(&self) -> f64 {
        self.scene.form.pick(10.4, 9.0)
    }

    pub(super) fn style(&self, strategy: &str) -> Option<Style> {
        let index = self.analysis.strategies.iter().position(|name| name == strategy)?;
        self.styles.get(index).copied()
    }

    fn tone(&self, strategy: &str, tone: Tone) -> Colour {
        self.style(strategy).map_or(Colour::Grid, |style| style.tone(tone))
    }

    pub(super) fn cell(&mut self, area: &Rect, cell: &CellAnalysis) {
        let call = facts::call(cell);
        let speed = facts::score_words(self.analysis, cell);
        let tip = self.tip(cell, &call, speed.as_deref());
        self.ground(area, &call, &tip);
        if area.width() < WORDS_FROM.0 || area.height() < WORDS_FROM.1 {
            self.sign(area, &call);
            return;
        }
        let ink = match &call {
            Call::Wins(winner) => self.tone(winner, Tone::OnFill),
            _ => Colour::Ink,
        };
        let tails = self.analysis.judged_by == Metric::Latency;
        let (room, size) = (area.width() - PADDING, self.wording.size);
        let small = (size - 1.0).max(self.least());
        let mut lines: Vec<(String, f64, bool)> =
            self.wording.lines(&call, room).0.into_iter().map(|line| (line, size, true)).collect();
        match &call {
            Call::Undecided(best) => {
                let tall = area.height() > 56.0;
                let head =
                    speed.as_ref().filter(|_| !tall).map_or("?".to_owned(), |speed| format!("? {speed}"));
                lines.push((head, if tall { 16.0 } else { size }, true));
                let rivals = self.wording.rivals(best, room);
                lines.extend(rivals.into_iter().map(|line| (line, small.min(11.0), false)));
                lines.extend(speed.filter(|_| tall).map(|s| (s, small, false)));
            }
            Call::Refused(_) => {
                let all = !cell.behind.is_empty() && cell.behind.len() == cell.stats.iter().flatten().count();
                let one = font::width("no verdict", small, Weight::Regular) <= room;
                let words: &[&str] = match one {
                    _ if all && tails => &["all", "behind"],
                    true => &["no verdict"],
                    false => &["no", "verdict"],
                };
                lines.extend(words.iter().map(|line| ((*line).to_owned(), small, false)));
            }
            _ => {
                let words = match next_words(self.analysis, cell) {
                    Some(next) => Some(next).filter(|w| font::width(w, small, Weight::Regular) <= room + 4.0),
                    None => speed,
                };
                lines.extend(words.map(|s| (s, small, false)));
            }
        }
        let named = !lines.iter().any(|(line, ..)| line == "behind");
        if tails && named {
            let behind = self.behind(cell, small, room);
            lines.extend(behind.map(|words| (words, small, false)));
        }
        let plate = matches!(call, Call::Tie(_) | Call::Refused(_));
        self.words(area, lines, ink, plate);
    }

    /// What a cell says to those who point at it.
    fn tip(&self, cell: &CellAnalysis, call: &Call<'_>, score: Option<&str>) -> String {
        let said = format!("{}: {}", facts::cell_words(cell), facts::call_words(call));
        if self.analysis.judged_by == Metric::Latency {
            let score = score.map_or_else(String::new, |p99| format!(", {} {p99}", self.than));
            let behind = facts::behind_words(self.analysis, cell);
            return format!("{said}{score}{}", behind.map_or_else(String::new, |words| format!("; {words}")));
        }
        let score =
            score.map_or_else(String::new, |s| format!(", {s} {} {}", self.than, self.analysis.baseline));
        format!("{said}{score}")
    }

    /// Who fell behind the load, by name where that fits, else how many.
    fn behind(&self, cell: &CellAnalysis, size: f64, room: f64) -> Option<String> {
        let names = facts::behind(self.analysis, cell);
        let short: Vec<&str> = names.iter().map(|name| style::short_name(name)).collect();
        let named = format!("{} behind", short.join(", "));
        let counted = format!("{} behind", names.len());
        let fits = |words: &String| font::width(words, size, Weight::Regular) <= room + 4.0;
        [named, counted].into_iter().filter(|_| !names.is_empty()).find(fits)
    }

    /// The ground and border that tell the outcomes apart.
    pub(super) fn ground(&mut self, area: &Rect, call: &Call<'_>, tip: &str) {
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
                let others = &best[1.min(best.len())..best.len().min(MOST_STRIPES + 1)];
                for (i, other) in others.iter().enumerate() {
                    let (phase, pitch) = (PITCH * i as f64, PITCH * others.len() as f64);
                    self.scene.hatch(area, self.tone(other, Tone::Fill), 5.0, (phase, pitch));
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
                // Only the ends of the cross where words stand in the middle.
                let small = area.width() < WORDS_FROM.0 || area.height() < WORDS_FROM.1;
                let inner = area.inset(2.0);
                let centre = inner.centre();
                let corners = [inner.left, inner.right].map(|x| [(x, inner.top), (x, inner.bottom)]);
                for (x, y) in corners.into_iter().flatten() {
                    let (dx, dy) = (centre.0 - x, centre.1 - y);
                    let step = if small { (dx, dy) } else { (dx.signum() * 9.0, dy.signum() * 9.0) };
                    self.scene.line(vec![(x, y), (x + step.0, y + step.1)], stroke);
                }
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
            placed.push((font::shorten(&line, size, weight(bold), room), size, bold));
        }
        // Enough of a busy ground must stay to be seen.
        let half = |placed: &[(String, f64, bool)]| {
            let width = |(line, size, bold): &(String, f64, bool)| font::width(line, *size, weight(*bold));
            placed.iter().map(width).fold(0.0, f64::max) / 2.0 + PLATE
        };
        let covers = |placed: &[(String, f64, bool)], height: f64| {
            (2.0 * half(placed)).min(area.width()) * (height + 3.0)
                > MOST_COVERED * area.width() * area.height()
        };
        while plate && placed.len() > 1 && covers(&placed, height) {
            height -= placed.pop().map_or(0.0, |(_, size, _)| size * 1.35);
        }
        let widest = half(&placed);
        let (x, middle) = area.centre();
        let mut y = middle - height / 2.0;
        let mut texts = Vec::new();
        for (line, size, bold) in placed {
            y += size * 1.35;
            let text = Text::new(line, (x, y - size * 0.35), size).anchor(Anchor::Middle).colour(ink);
            texts.push(if bold { text.bold() } else { text });
        }
        if plate && !texts.is_empty() {
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
                let size = (area.height() * 0.6).min(area.width()).min(15.0);
                // Too small to be read, the dotted border alone says it.
                if size < self.least() {
                    return;
                }
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
}
