//! What stands below a winner map: the strategies and outcomes that occur in it.
use super::cells::Painter;
use crate::analysis::model::CellAnalysis;
use crate::facts::{self, Call};
use crate::plot::canvas::{Anchor, Rect, Stroke, Text};
use crate::plot::font::{self, Weight};
use crate::plot::style::{self, Colour, Style, Tone};

/// An entry of the legend.
#[derive(Clone, Copy)]
enum Key {
    Strategy(Style),
    Tie,
    Leans,
    Undecided,
    Refused,
}

impl Painter<'_> {
    /// The strategies and outcomes that occur, in rows below the map; sets the height of the picture.
    pub(super) fn legend(&mut self, cells: &[&CellAnalysis], top: f64) {
        let calls: Vec<Call<'_>> = cells.iter().map(|cell| facts::call(cell)).collect();
        let named = |name: &str| {
            calls.iter().any(|call| match call {
                Call::Wins(n) | Call::Leans(n) => *n == name,
                Call::Tie(best) => best.contains(&name),
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
                let words = if (self.wording.short || undecided) && short != name {
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
        let (left, right) = (self.scene.left(), self.scene.right());
        let (mut x, mut y) = (left, top + 14.0);
        for (key, words) in entries {
            let words = font::shorten(&words, 12.5, Weight::Regular, (right - left - 26.0).min(300.0));
            let width = 24.0 + font::width(&words, 12.5, Weight::Regular);
            if x > left && x + width > right {
                (x, y) = (left, y + 22.0);
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
                self.scene.hatch(area, Colour::Muted, 2.5, (0.0, 7.0));
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
