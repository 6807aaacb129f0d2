//! One strategy of a timeline: its workers as rows, the tasks on them as bars, and below them how many tasks wait.
use super::tally::{Step, Tally};
use crate::plot::axes::Axis;
use crate::plot::canvas::{Anchor, Point, Rect, Scene, Stroke, Text};
use crate::plot::font::{self, Weight};
use crate::plot::style::{Colour, Style, Tone};
use crate::plot::units::{Unit, significant};
use crate::record::Timeline;

/// Pixels that the rows of one strategy may take together, and those of very many workers.
const ROWS_HEIGHT: (f64, f64) = (132.0, 200.0);
/// Most and least pixels of a row.
const ROW: (f64, f64) = (18.0, 1.0);
/// Rows lower than this have no names.
const NAMED_FROM: f64 = 11.0;
/// Workers that do nothing have a row of their own unless there are more than this.
const IDLE_SHOWN: usize = 16;
/// Size of the tasks' numbers.
const NUMBER: f64 = 10.5;
/// Height of the picture of waiting tasks.
const AREA: f64 = 30.0;
/// Bars narrower than this, in pixels, melt into their neighbour.
const MELT: f64 = 1.5;

/// One traced run to draw.
pub(super) struct Panel<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) tally: Tally,
    pub(super) style: Style,
}

/// What the panels of a picture share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Where the time axis ends, in nanoseconds.
    pub(super) until: u64,
    /// The tasks on no worker that the pictures of waiting tasks have room for.
    pub(super) most: usize,
}

/// Rows of a panel: the workers that are shown, and how high each is.
struct Rows {
    workers: Vec<usize>,
    height: f64,
}

impl Panel<'_> {
    fn rows(&self) -> Rows {
        let all = self.timeline.workers.len();
        let mut used = vec![false; all];
        for segment in &self.timeline.segments {
            if let Some(used) = usize::try_from(segment[1]).ok().and_then(|w| used.get_mut(w)) {
                *used = true;
            }
        }
        let mut workers: Vec<usize> = (0..all).filter(|w| all <= IDLE_SHOWN || used[*w]).collect();
        workers.truncate((ROWS_HEIGHT.1 / ROW.1) as usize);
        let height = (ROWS_HEIGHT.0 / workers.len().max(1) as f64).clamp(ROW.1, ROW.0);
        Rows { workers, height }
    }

    /// Draws everything from `top` on over the time axis, which begins at `left`; returns where its rows begin
    /// and where it ends.
    pub(super) fn draw(
        &self,
        scene: &mut Scene,
        x: &Axis,
        (top, left): (f64, f64),
        scale: Scale,
    ) -> (f64, f64) {
        let mut y = self.head(scene, top);
        let rows = self.rows();
        let cut = self.timeline.wall_ns > scale.until;
        let right = x.at(self.timeline.wall_ns.min(scale.until) as f64);
        let area = Rect::new(left, y, right, y + rows.height * rows.workers.len() as f64);
        for (row, worker) in rows.workers.iter().enumerate() {
            let top = area.top + rows.height * row as f64;
            let gap = if rows.height > 4.0 { 1.5 } else { 0.0 };
            let strip = Rect::new(left, top, right, top + rows.height - gap);
            if rows.height >= NAMED_FROM {
                scene.rect(strip, Colour::Grid, 0.45);
                let name = &self.timeline.workers[*worker];
                let name = font::shorten(name, 11.0, Weight::Regular, left - scene.left() - 6.0);
                let at = (left - 6.0, strip.centre().1 + 4.0);
                scene.text(Text::new(name, at, 11.0).anchor(Anchor::End));
            }
            self.bars(scene, x, &strip, *worker);
        }
        y = area.bottom;
        if self.tally.pending > 0 {
            let area = Rect::new(left, y + 4.0, right, y + 4.0 + AREA);
            self.waiting(scene, x, &area, scale);
            y = area.bottom;
        }
        let colour = self.style.tone(Tone::Line);
        if cut {
            // The run goes on behind the edge.
            let (x, middle) = (right + 2.0, area.centre().1);
            scene.polygon(vec![(x, middle - 6.0), (x + 7.0, middle), (x, middle + 6.0)], colour, 1.0);
        } else {
            scene.line(vec![(right, area.top - 3.0), (right, y + 2.0)], Stroke::new(colour, 1.5));
        }
        (area.top, y + 14.0)
    }

    /// The strategy's name, and its run in numbers.
    fn head(&self, scene: &mut Scene, top: f64) -> f64 {
        let (left, room) = (scene.left(), scene.right() - scene.left());
        let wall = Unit::NS.show(self.timeline.wall_ns as f64);
        let name = font::shorten(&self.timeline.strategy, 13.0, Weight::Bold, room - 100.0);
        let mut y = top + 14.0;
        scene.marker(self.style.marker, (left + 5.0, y - 4.5), 4.2, self.style.tone(Tone::Line));
        let name = Text::new(name, (left + 15.0, y), 13.0).bold().colour(self.style.tone(Tone::Label));
        let after = left + 15.0 + name.width() + 10.0;
        scene.text(name);
        let wall = Text::new(wall, (after, y), 13.0).bold().colour(Colour::Ink);
        let after = after + wall.width() + 12.0;
        scene.text(wall);
        let words = self.words();
        if after + font::width(&words, 12.0, Weight::Regular) <= scene.right() {
            scene.text(Text::new(words, (after, y), 12.0));
        } else {
            for line in font::wrap(&words, 12.0, Weight::Regular, room - 15.0) {
                y += 16.0;
                scene.text(Text::new(line, (left + 15.0, y), 12.0));
            }
        }
        y + 7.0
    }

    fn words(&self) -> String {
        let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let (all, shown) = (self.timeline.workers.len(), self.rows().workers.len());
        let mut words =
            format!("{}, busy {} %", count(all, "worker"), significant((self.tally.busy * 100.0).round(), 3));
        if shown < all {
            words.push_str(&format!(" ({shown} shown)"));
        }
        words.push_str(&format!(" · up to {} in flight", count(self.tally.most.in_flight, "task")));
        let Step { queued, waiting, .. } = self.tally.most;
        for (n, what) in [(queued, "queued"), (waiting, "waiting")] {
            if n > 0 {
                words.push_str(&format!(", {n} {what}"));
            }
        }
        words
    }

    /// The tasks on one worker; those too narrow to be told apart melt together.
    fn bars(&self, scene: &mut Scene, x: &Axis, strip: &Rect, worker: usize) {
        let shown = |s: &&[u64; 4]| s[1] == worker as u64 && x.at(s[2] as f64) < strip.right;
        let mine = self.timeline.segments.iter().filter(shown);
        let mut spans: Vec<(f64, f64, u64, usize)> =
            mine.map(|s| (x.at(s[2] as f64), x.at(s[3] as f64).min(strip.right), s[0], 1)).collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut drawn: Vec<(f64, f64, u64, usize)> = Vec::new();
        for span in spans {
            match drawn.last_mut() {
                Some(last) if span.0 - last.1 < 0.3 && (span.1 - span.0 < MELT || last.1 - last.0 < MELT) => {
                    last.1 = last.1.max(span.1);
                    last.3 += span.3;
                }
                _ => drawn.push(span),
            }
        }
        let fill = self.style.tone(Tone::Fill);
        for (from, to, task, count) in drawn {
            let width = to - from;
            // A hair of paper between neighbours.
            let to = if width > 3.0 && count == 1 { to - 0.8 } else { to.max(from + 0.7) };
            let bar = Rect::new(from, strip.top, to.min(strip.right.max(from + 0.7)), strip.bottom);
            scene.rect(bar, fill, 1.0);
            if count == 1 && width > 6.0 {
                scene.tip(format!(
                    "{}: task {task}, {}",
                    self.timeline.strategy,
                    self.span_words(task, worker)
                ));
            }
            let number = task.to_string();
            let fits = font::width(&number, NUMBER, Weight::Regular) + 5.0 <= width;
            if count == 1 && strip.height() >= NAMED_FROM && fits {
                let at = ((from + to) / 2.0, strip.centre().1 + 3.6);
                let number = Text::new(number, at, NUMBER).anchor(Anchor::Middle);
                scene.text(number.colour(self.style.tone(Tone::OnFill)));
            }
        }
    }

    fn span_words(&self, task: u64, worker: usize) -> String {
        let spans = self.timeline.segments.iter().filter(|s| s[0] == task && s[1] == worker as u64);
        let on: u64 = spans.map(|s| s[3].saturating_sub(s[2])).sum();
        format!("{} on {}", Unit::NS.show(on as f64), self.timeline.workers[worker])
    }

    /// The numbers of waiting and, above them, of queued tasks over time; as many as `scale.most` fill the area.
    fn waiting(&self, scene: &mut Scene, x: &Axis, area: &Rect, Scale { until, most }: Scale) {
        let columns = (area.width() / 2.0).floor().max(1.0) as usize;
        let width = area.width() / columns as f64;
        // A column shows the most that there were at any time within it.
        let mut bins = vec![(0_usize, 0_usize); columns];
        let bin = |at: u64| (((x.at(at as f64) - area.left) / width) as usize).min(columns - 1);
        for (i, step) in self.tally.steps.iter().enumerate().filter(|(_, step)| step.at <= until) {
            let until = self.tally.steps.get(i + 1).map_or(self.timeline.wall_ns, |next| next.at);
            for column in &mut bins[bin(step.at)..=bin(until).max(bin(step.at))] {
                *column = (column.0.max(step.waiting), column.1.max(step.queued));
            }
        }
        let height = |count: usize| area.height() * count as f64 / most.max(1) as f64;
        let outline = |level: &dyn Fn((usize, usize)) -> usize| -> Vec<Point> {
            let mut points: Vec<Point> = Vec::new();
            for (i, column) in bins.iter().enumerate() {
                let (left, y) = (area.left + width * i as f64, area.bottom - height(level(*column)));
                if points.last().is_none_or(|p| p.1 != y) {
                    points.extend(points.last().map(|p| (left, p.1)));
                    points.push((left, y));
                }
            }
            points.extend(points.last().map(|p| (area.right, p.1)));
            points
        };
        let queued = outline(&|(waiting, queued)| (waiting + queued).min(most));
        let waiting = outline(&|(waiting, _)| waiting.min(most));
        let closed = |line: &[Point]| -> Vec<Point> {
            let ends = [(area.right, area.bottom), (area.left, area.bottom)];
            line.iter().copied().chain(ends).collect()
        };
        let edge = self.style.tone(Tone::Line);
        if self.tally.most.queued > 0 {
            scene.polygon(closed(&queued), Colour::Grid, 1.0);
            scene.line(queued, Stroke::new(Colour::Muted, 1.2).dashed(Some([2.5, 2.0])));
        }
        if self.tally.most.waiting > 0 {
            scene.polygon(closed(&waiting), self.style.tone(Tone::Pale), 1.0);
            scene.line(waiting, Stroke::new(edge, 1.2));
        }
        let base = vec![(area.left, area.bottom), (area.right, area.bottom)];
        scene.line(base, Stroke::new(Colour::Muted, 0.8));
        let room = area.left - scene.left() - 6.0;
        let words = [format!("{most} task{}", if most == 1 { "" } else { "s" }), most.to_string()];
        let fits = |words: &String| font::width(words, 11.0, Weight::Regular) <= room;
        if let Some(words) = words.into_iter().find(fits) {
            scene.text(Text::new(words, (area.left - 6.0, area.top + 9.0), 11.0).anchor(Anchor::End));
        }
    }
}
