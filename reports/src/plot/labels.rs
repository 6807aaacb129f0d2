//! The strategies' names right of a plot, each at the end of its line.
use super::canvas::{Point, Stroke, Text};
use super::font::{self, Weight};
use super::form::Form;
use super::frame;
use super::lines::{Canvas, Series};
use super::style::Tone;

/// The names, measured before the plot's width is known.
pub(crate) struct EndLabels {
    texts: Vec<String>,
    notes: Vec<String>,
    size: f64,
    /// Pixels between the plot's right edge and the labels' markers.
    gap: f64,
    /// Pixels from the plot's right edge to the margin.
    pub(crate) room: f64,
}

/// Pixels from a label's marker to its text.
const INDENT: f64 = 12.0;
/// Size of the second line.
const NOTE_SIZE: f64 = 11.0;

impl EndLabels {
    pub(crate) fn measure(series: &[Series], form: Form) -> Self {
        let (cap, gap) = (form.name_room() - form.pick(0.0, 14.0), form.pick(20.0, 14.0));
        let widest =
            |size: f64| series.iter().map(|s| font::width(&s.label, size, Weight::Bold)).fold(0.0, f64::max);
        let sizes = form.pick([13.0, 12.0, 11.0], [12.0, 11.5, 11.0]);
        let size = sizes.into_iter().find(|s| widest(*s) <= cap).unwrap_or(11.0);
        let fit = |text: &str, size: f64, weight: Weight| font::shorten(text, size, weight, cap);
        let texts = series.iter().map(|s| fit(&s.label, size, Weight::Bold)).collect();
        let notes: Vec<String> = series.iter().map(|s| fit(&s.note, NOTE_SIZE, Weight::Regular)).collect();
        let widest_note =
            notes.iter().map(|n| font::width(n, NOTE_SIZE, Weight::Regular)).fold(0.0, f64::max);
        Self { texts, notes, size, gap, room: widest(size).min(cap).max(widest_note) + gap + INDENT + 2.0 }
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, series: &[Series]) {
        let ends: Vec<(usize, Point)> = series
            .iter()
            .enumerate()
            .filter_map(|(i, s)| Some((i, canvas.place(s.dots.last()?, i, series.len()))))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, end)| end.1).collect();
        let noted = self.notes.iter().any(|note| !note.is_empty());
        let (low, high) = (canvas.plot.top + 4.0, canvas.plot.bottom - 4.0);
        let (pitch, below) = if noted { (self.size * 1.3 + 14.0, 14.0) } else { (self.size * 1.3, 0.0) };
        // Where two lines each do not fit, the second ones give way.
        let noted = noted && pitch * ends.len() as f64 <= high - low;
        let placed = match noted {
            true => frame::spread(&wanted, pitch, low, high - below),
            false => frame::spread(&wanted, self.size * 1.3, low, high),
        };
        for ((index, end), y) in ends.into_iter().zip(placed) {
            let style = &series[index].style;
            let start = canvas.plot.right + self.gap;
            if (end.1 - y).abs() > 3.0 || start - end.0 > 60.0 {
                let leader = vec![(end.0 + 7.0, end.1), (canvas.plot.right + 2.0, y), (start - 1.0, y)];
                canvas.scene.line(leader, Stroke::new(style.tone(Tone::Line), 0.8));
            }
            canvas.scene.marker(style.marker, (start + 3.0, y), 3.6, style.tone(Tone::Line));
            let at = (start + INDENT, y + 0.35 * self.size);
            let label = Text::new(self.texts[index].clone(), at, self.size).bold();
            canvas.scene.text(label.colour(style.tone(Tone::Label)));
            if noted {
                let at = (start + INDENT, at.1 + 14.0);
                canvas.scene.text(Text::new(self.notes[index].clone(), at, NOTE_SIZE));
            }
        }
    }
}
