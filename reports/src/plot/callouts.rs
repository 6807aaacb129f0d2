//! Marked places of a plot: a ring, a strip for its interval, and a few words.
//!
//! Words stand beside their ring where they hide nothing. Where they would, and always on a phone, they stand below
//! the plot instead, with a number over the strip that they belong to.
use super::canvas::{Anchor, Point, Rect, Stroke, Text};
use super::font::{self, Weight};
use super::frame;
use super::lines::Canvas;
use super::style::Colour;

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

const SIZE: f64 = 12.5;
const LINE: f64 = 17.0;
/// Words may stand this far from their ring.
const FAR: f64 = 190.0;

/// Whether notes below a plot need numbers to be told apart.
pub(crate) fn numbered(callouts: &[Callout]) -> bool {
    callouts.iter().filter(|c| !c.words.is_empty()).count() > 1
}

fn rings(canvas: &mut Canvas, callouts: &[Callout]) -> Vec<Point> {
    let rings: Vec<Point> = callouts.iter().map(|c| (canvas.x.at(c.at.0), canvas.y.at(c.at.1))).collect();
    for &ring in &rings {
        canvas.scene.circle(ring, 8.0, None, Some(Stroke::new(Colour::Ink, 2.0)));
        // A ring weighs as much as a few dots.
        canvas.ink.extend([-7.0, -3.0, 3.0, 7.0].map(|d| (ring.0 + d, ring.1)));
    }
    rings
}

/// Draws the callouts within the plot; `false` where one of them has no good place there.
pub(crate) fn in_plot(canvas: &mut Canvas, callouts: &[Callout]) -> bool {
    let rings = rings(canvas, callouts);
    let mut taken: Vec<Rect> = Vec::new();
    for (callout, ring) in callouts.iter().zip(rings) {
        if callout.words.is_empty() {
            continue;
        }
        let Some(area) = best_place(canvas, callout, ring, &taken) else { return false };
        taken.push(area);
        lead(canvas, ring, &area);
        canvas.scene.rect(area.inset(-3.0), Colour::Paper, 0.82);
        let mut y = area.top;
        for (i, line) in callout.words.iter().enumerate() {
            y += LINE;
            let text = Text::new(line.clone(), (area.left, y - 4.0), SIZE);
            let colour = if i == 0 { callout.colour } else { Colour::Muted };
            canvas.scene.text(if i == 0 { text.bold() } else { text }.colour(colour));
        }
    }
    true
}

/// A thin line from a ring to words that stand away from it.
fn lead(canvas: &mut Canvas, ring: Point, area: &Rect) {
    let nearest = (ring.0.clamp(area.left - 4.0, area.right + 4.0), ring.1.clamp(area.top, area.bottom));
    let (dx, dy) = (nearest.0 - ring.0, nearest.1 - ring.1);
    let away = dx.hypot(dy);
    if away > 30.0 {
        let start = (ring.0 + dx / away * 9.0, ring.1 + dy / away * 9.0);
        canvas.scene.line(vec![start, nearest], Stroke::new(Colour::Muted, 1.0));
    }
}

/// The place for a callout's words near its ring that hides no ink, no strip and none of `taken`; the nearest one.
fn best_place(canvas: &Canvas, callout: &Callout, ring: Point, taken: &[Rect]) -> Option<Rect> {
    let weight = |i: usize| if i == 0 { Weight::Bold } else { Weight::Regular };
    let widths = callout.words.iter().enumerate().map(|(i, w)| font::width(w, SIZE, weight(i)));
    let (width, height) = (widths.fold(0.0, f64::max), LINE * callout.words.len() as f64);
    let edges = callout.strip.map_or([ring.0; 2], |strip| strip.map(|x| canvas.x.at(x)));
    let room = canvas.plot.inset(5.0);
    let mut best: Option<(f64, Rect)> = None;
    let rows = (canvas.plot.height() / 6.0) as usize;
    for top in (0..rows).map(|row| canvas.plot.top + 6.0 * row as f64) {
        for reach in [14.0, 30.0, 50.0, 80.0, 120.0] {
            for left in [edges[1].max(ring.0) + reach, edges[0].min(ring.0) - reach - width] {
                let area = Rect::new(left, top, left + width, top + height);
                let padded = area.inset(-5.0);
                let far = (area.centre().1 - ring.1).abs() + reach;
                let barred = !room.contains(&area)
                    || far > FAR
                    || taken.iter().any(|t| t.inset(-4.0).overlaps(&padded))
                    || canvas.strips.iter().any(|strip| strip.overlaps(&area));
                let hidden = |p: &Point| padded.overlaps(&Rect::new(p.0, p.1, p.0, p.1));
                if barred || best.is_some_and(|(least, _)| far >= least) || canvas.ink.iter().any(hidden) {
                    continue;
                }
                best = Some((far, area));
            }
        }
    }
    best.map(|(_, area)| area)
}

/// Draws the rings, with the words in notes below the plot, and makes the picture higher by them.
pub(crate) fn below(canvas: &mut Canvas, callouts: &[Callout]) {
    let rings = rings(canvas, callouts);
    let mut worded: Vec<(&Callout, Point)> =
        callouts.iter().zip(rings).filter(|(c, _)| !c.words.is_empty()).collect();
    worded.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    if worded.is_empty() {
        return;
    }
    let with_numbers = numbered(callouts);
    if with_numbers {
        let wanted: Vec<f64> = worded.iter().map(|(_, ring)| ring.0).collect();
        let (low, high) = (canvas.plot.left, canvas.plot.right);
        let placed = frame::spread(&wanted, 16.0, low, high);
        for (i, (x, wanted)) in placed.into_iter().zip(wanted).enumerate() {
            let number = Text::new((i + 1).to_string(), (x, canvas.plot.top - 5.0), 12.0);
            canvas.scene.text(number.bold().anchor(Anchor::Middle).colour(Colour::AmberLabel));
            if (x - wanted).abs() > 4.0 {
                let lead = vec![(x, canvas.plot.top - 3.0), (wanted, canvas.plot.top + 6.0)];
                canvas.scene.line(lead, Stroke::new(Colour::AmberLabel, 1.0));
            }
        }
    }
    let left = canvas.scene.left();
    let mut y = canvas.scene.height - 6.0;
    for (i, (callout, _)) in worded.iter().enumerate() {
        y += LINE + 2.0;
        match callout.strip {
            Some(_) => {
                let swatch = Rect::new(left, y - 12.0, left + 16.0, y + 4.0);
                canvas.scene.rect(swatch, Colour::Amber, 0.85);
            }
            None => {
                let ring = Some(Stroke::new(Colour::Ink, 2.0));
                canvas.scene.circle((left + 8.0, y - 4.0), 6.0, None, ring);
            }
        }
        if with_numbers {
            let number = Text::new((i + 1).to_string(), (left + 8.0, y), 12.0);
            canvas.scene.text(number.bold().anchor(Anchor::Middle).colour(Colour::Ink));
        }
        y = note(canvas, callout, (left + 24.0, y));
    }
    canvas.scene.height = (y + 16.0).round();
}

/// Writes one note from `at` on; returns the baseline of its last line.
fn note(canvas: &mut Canvas, callout: &Callout, (left, mut y): Point) -> f64 {
    let room = canvas.scene.right() - left;
    let Some((head, rest)) = callout.words.split_first() else { return y };
    // Facts about a strip stand side by side; words about a ring are one sentence.
    let rest = rest.join(if callout.strip.is_some() { " · " } else { " " });
    let lines = font::wrap(head, SIZE, Weight::Bold, room);
    let mut end = left;
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            y += LINE;
        }
        let text = Text::new(line.clone(), (left, y), SIZE).bold().colour(callout.colour);
        end = left + text.width();
        canvas.scene.text(text);
    }
    if rest.is_empty() {
        return y;
    }
    if end + 10.0 + font::width(&rest, SIZE, Weight::Regular) <= canvas.scene.right() {
        canvas.scene.text(Text::new(rest, (end + 10.0, y), SIZE));
        return y;
    }
    for line in font::wrap(&rest, SIZE, Weight::Regular, room) {
        y += LINE;
        canvas.scene.text(Text::new(line, (left, y), SIZE));
    }
    y
}
