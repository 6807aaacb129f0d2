//! A picture before it is a file: a list of shapes in pixels of a canvas as wide as its [`Form`].
//!
//! Every picture draws into a [`Scene`]; [`super::svg`] and [`super::bitmap`] only print it. So the two formats
//! cannot disagree, and tests can ask for the box of every text. y grows downwards; a text stands on its baseline.
use super::font::{self, ASCENT, DESCENT, Weight};
use super::form::Form;
use super::style::{Colour, Marker};

/// A point of the canvas.
pub(crate) type Point = (f64, f64);

/// A rectangle of the canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Rect {
    pub(crate) fn new(left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self { left, top, right, bottom }
    }

    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }

    pub(crate) fn centre(&self) -> Point {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    pub(crate) fn inset(&self, by: f64) -> Self {
        Self::new(self.left + by, self.top + by, self.right - by, self.bottom - by)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }
}

/// Where a text's `x` lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub(crate) content: String,
    pub(crate) x: f64,
    /// The baseline.
    pub(crate) y: f64,
    pub(crate) size: f64,
    pub(crate) weight: Weight,
    pub(crate) anchor: Anchor,
    pub(crate) colour: Colour,
}

impl Text {
    /// A regular text in the muted colour that starts at (`x`, `y`).
    pub(crate) fn new(content: impl Into<String>, (x, y): Point, size: f64) -> Self {
        let (weight, anchor, colour) = (Weight::Regular, Anchor::Start, Colour::Muted);
        Self { content: content.into(), x, y, size, weight, anchor, colour }
    }

    pub(crate) fn bold(mut self) -> Self {
        self.weight = Weight::Bold;
        self
    }

    pub(crate) fn anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    pub(crate) fn colour(mut self, colour: Colour) -> Self {
        self.colour = colour;
        self
    }

    pub(crate) fn width(&self) -> f64 {
        font::width(&self.content, self.size, self.weight)
    }

    /// Left end of the text, whatever its anchor.
    pub(crate) fn left(&self) -> f64 {
        match self.anchor {
            Anchor::Start => self.x,
            Anchor::Middle => self.x - self.width() / 2.0,
            Anchor::End => self.x - self.width(),
        }
    }

    /// The box that its letters may fill.
    pub(crate) fn bounds(&self) -> Rect {
        let left = self.left();
        let (top, bottom) = (self.y - ASCENT * self.size, self.y + DESCENT * self.size);
        Rect::new(left, top, left + self.width(), bottom)
    }
}

/// An outline: colour, width, dash pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) colour: Colour,
    pub(crate) width: f64,
    pub(crate) dash: Option<[f64; 2]>,
}

impl Stroke {
    pub(crate) fn new(colour: Colour, width: f64) -> Self {
        Self { colour, width, dash: None }
    }

    pub(crate) fn dashed(mut self, dash: Option<[f64; 2]>) -> Self {
        self.dash = dash;
        self
    }
}

/// What a scene is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A filled polygon; `opacity` 1 covers.
    Polygon { points: Vec<Point>, fill: Colour, opacity: f64 },
    /// An open line with round joins and butt ends.
    Line { points: Vec<Point>, stroke: Stroke },
    /// A disc, a ring, or both.
    Circle { centre: Point, radius: f64, fill: Option<Colour>, stroke: Option<Stroke> },
    /// A line of text.
    Text(Text),
}

/// A shape and what a pointer that rests on it reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) shape: Shape,
    pub(crate) tip: Option<String>,
}

/// The shapes of a picture, from back to front.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) form: Form,
    pub(crate) height: f64,
    pub(crate) items: Vec<Item>,
}

impl Scene {
    /// An empty picture.
    pub(crate) fn new(form: Form, height: f64) -> Self {
        Self { form, height, items: Vec::new() }
    }

    pub(crate) fn bounds(&self) -> Rect {
        Rect::new(0.0, 0.0, self.form.width(), self.height)
    }

    /// Where texts begin.
    pub(crate) fn left(&self) -> f64 {
        self.form.margin()
    }

    /// Where texts end.
    pub(crate) fn right(&self) -> f64 {
        self.form.width() - self.form.margin()
    }

    fn push(&mut self, shape: Shape) {
        self.items.push(Item { shape, tip: None });
    }

    /// Gives the newest shape a tip.
    pub(crate) fn tip(&mut self, tip: impl Into<String>) {
        if let Some(item) = self.items.last_mut() {
            item.tip = Some(tip.into());
        }
    }

    pub(crate) fn text(&mut self, text: Text) {
        if !text.content.is_empty() {
            self.push(Shape::Text(text));
        }
    }

    pub(crate) fn polygon(&mut self, points: Vec<Point>, fill: Colour, opacity: f64) {
        if points.len() > 2 {
            self.push(Shape::Polygon { points, fill, opacity });
        }
    }

    pub(crate) fn rect(&mut self, rect: Rect, fill: Colour, opacity: f64) {
        self.polygon(corners(&rect).to_vec(), fill, opacity);
    }

    pub(crate) fn line(&mut self, points: Vec<Point>, stroke: Stroke) {
        if points.len() > 1 {
            self.push(Shape::Line { points, stroke });
        }
    }

    /// The outline of `rect`, drawn inside it.
    pub(crate) fn outline(&mut self, rect: &Rect, stroke: Stroke) {
        let mut points = corners(&rect.inset(stroke.width / 2.0)).to_vec();
        points.push(points[0]);
        self.line(points, stroke);
    }

    pub(crate) fn circle(
        &mut self,
        centre: Point,
        radius: f64,
        fill: Option<Colour>,
        stroke: Option<Stroke>,
    ) {
        self.push(Shape::Circle { centre, radius, fill, stroke });
    }

    /// A strategy's marker of about `radius` pixels.
    pub(crate) fn marker(&mut self, marker: Marker, centre: Point, radius: f64, fill: Colour) {
        match marker {
            Marker::Circle => self.circle(centre, radius, Some(fill), None),
            other => self.polygon(outline_of(other, centre, radius), fill, 1.0),
        }
    }

    /// Diagonal stripes of `width` pixels, clipped to `rect`: the first one `phase` pixels from its corner, the others
    /// `pitch` apart.
    pub(crate) fn hatch(&mut self, rect: &Rect, fill: Colour, width: f64, (phase, pitch): (f64, f64)) {
        // A stripe rises to the right: x + y runs from `start` to `start + width·√2` across it.
        let across = width * std::f64::consts::SQRT_2;
        let mut start = rect.left + rect.top + phase;
        while start < rect.right + rect.bottom {
            let clipped = clip_stripe(rect, start, start + across);
            self.polygon(clipped, fill, 1.0);
            start += pitch;
        }
    }

    /// All texts, from back to front.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.items.iter().filter_map(|item| match &item.shape {
            Shape::Text(text) => Some(text),
            _ => None,
        })
    }
}

fn corners(r: &Rect) -> [Point; 4] {
    [(r.left, r.top), (r.right, r.top), (r.right, r.bottom), (r.left, r.bottom)]
}

/// The part of `rect` where `from <= x + y <= to`.
fn clip_stripe(rect: &Rect, from: f64, to: f64) -> Vec<Point> {
    let above = clip_half(&corners(rect), |(x, y)| x + y - from);
    clip_half(&above, |(x, y)| to - x - y)
}

/// The part of a convex polygon where the linear `inside` is not negative.
fn clip_half(points: &[Point], inside: impl Fn(Point) -> f64) -> Vec<Point> {
    let mut kept = Vec::with_capacity(points.len() + 1);
    for (i, &b) in points.iter().enumerate() {
        let a = points[(i + points.len() - 1) % points.len()];
        let (fa, fb) = (inside(a), inside(b));
        if (fa < 0.0) != (fb < 0.0) {
            let t = fa / (fa - fb);
            kept.push((a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1)));
        }
        if fb >= 0.0 {
            kept.push(b);
        }
    }
    kept
}

/// Corner points of every marker but the circle, of about the same visual weight as a disc of `r`.
fn outline_of(marker: Marker, (cx, cy): Point, r: f64) -> Vec<Point> {
    let regular = |corners: usize, radius: f64, turn: f64| -> Vec<Point> {
        (0..corners)
            .map(|k| {
                let angle = turn + std::f64::consts::TAU * k as f64 / corners as f64;
                (cx + radius * angle.sin(), cy - radius * angle.cos())
            })
            .collect()
    };
    let half_turn = std::f64::consts::PI;
    let arms = |turn: f64| -> Vec<Point> {
        let (long, thin) = (1.25 * r, 0.42 * r);
        let cross = [(thin, long), (thin, thin), (long, thin), (long, -thin), (thin, -thin), (thin, -long)];
        let other_half = cross.map(|(x, y): Point| (-x, -y));
        let (sin, cos) = turn.sin_cos();
        let place = |&(x, y): &Point| (cx + x * cos - y * sin, cy + x * sin + y * cos);
        cross.iter().chain(&other_half).map(place).collect()
    };
    match marker {
        Marker::Circle | Marker::Square => regular(4, 1.25 * r, half_turn / 4.0),
        Marker::Diamond => regular(4, 1.35 * r, 0.0),
        Marker::Up => regular(3, 1.35 * r, 0.0),
        Marker::Down => regular(3, 1.35 * r, half_turn),
        Marker::Pentagon => regular(5, 1.15 * r, 0.0),
        Marker::Plus => arms(0.0),
        Marker::Cross => arms(half_turn / 4.0),
        Marker::Star => {
            let outer = regular(5, 1.45 * r, 0.0);
            let inner = regular(5, 0.62 * r, half_turn / 5.0);
            outer.into_iter().zip(inner).flat_map(|(o, i)| [o, i]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_stay_inside_their_cell() {
        let mut scene = Scene::new(Form::Wide, 520.0);
        let cell = Rect::new(10.0, 20.0, 130.0, 75.0);
        scene.hatch(&cell, Colour::Ink, 3.0, (4.0, 9.0));
        assert!(scene.items.len() > 10);
        for item in &scene.items {
            let Shape::Polygon { points, .. } = &item.shape else { panic!("a hatch is made of polygons") };
            for &(x, y) in points {
                let dot = Rect::new(x, y, x, y);
                assert!(cell.inset(-1e-9).contains(&dot), "{x}, {y}");
            }
        }
    }

    #[test]
    fn a_text_reports_the_box_of_its_letters() {
        let text = Text::new("sequential", (100.0, 50.0), 10.0).anchor(Anchor::End);
        let bounds = text.bounds();
        assert!((bounds.right - 100.0).abs() < 1e-9 && bounds.left < 60.0);
        assert!(bounds.top < 50.0 && bounds.bottom > 50.0);
    }
}
