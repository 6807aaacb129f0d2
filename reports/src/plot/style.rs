//! Colours and markers: the Okabe-Ito palette, one slot per strategy, the same in every picture.
//!
//! Each colour has a light value, which stands in the files, and a dark one, which the HTML page sets through the
//! colour's class when the reader prefers dark. Invariants, tested in both schemes: text has a contrast of at least
//! 4.5:1 against what it stands on, lines and markers at least 3:1. That is why a slot has several tones of its
//! hue: two of the palette's colours are too bright for lines on white.
use std::fmt::Write as _;

/// A shape that tells strategies apart without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
    Plus,
    Cross,
    Pentagon,
    Star,
}

const MARKERS: [Marker; SLOTS] = [
    Marker::Circle,
    Marker::Square,
    Marker::Diamond,
    Marker::Up,
    Marker::Down,
    Marker::Plus,
    Marker::Cross,
    Marker::Pentagon,
    Marker::Star,
];

/// Number of distinct hues.
pub(crate) const SLOTS: usize = 9;

/// The tones of a strategy's hue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Lines and markers on the paper.
    Line,
    /// Text on the paper.
    Label,
    /// The ground of a cell that is won.
    Fill,
    /// Text on `Fill`.
    OnFill,
    /// The ground of a cell that leans; text on it is `Ink`.
    Pale,
}

/// A colour by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Paper,
    Ink,
    Muted,
    Grid,
    Amber,
    AmberLabel,
    Alarm,
    Strategy(u8, Tone),
}

type Rgb = (u8, u8, u8);

const DARK_PAPER: Rgb = (0x14, 0x1a, 0x24);
const INK: Rgb = (0x11, 0x18, 0x27);
const WHITE: Rgb = (0xff, 0xff, 0xff);

/// One hue: palette colour, line and label on white, line and label on the dark paper, whether text on it is white.
struct Hue {
    fill: Rgb,
    line: Rgb,
    label: Rgb,
    dark: Rgb,
    white_text: bool,
}

const fn hue(fill: u32, line: u32, label: u32, dark: u32, white_text: bool) -> Hue {
    Hue { fill: rgb(fill), line: rgb(line), label: rgb(label), dark: rgb(dark), white_text }
}

const fn rgb(hex: u32) -> Rgb {
    ((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// Grey, sky blue, blue, vermillion, orange, purple, green; then black and yellow for strategies of others.
const HUES: [Hue; SLOTS] = [
    hue(0xb9bdc4, 0x6b7280, 0x5b6472, 0xb4bac4, false),
    hue(0x56b4e9, 0x2a8fc9, 0x1a76ad, 0x6bc0f0, false),
    hue(0x0072b2, 0x0072b2, 0x0068a3, 0x4aa8e0, true),
    hue(0xe06a10, 0xd55e00, 0xb84f00, 0xf28a3c, false),
    hue(0xe69f00, 0xc08300, 0x8f6200, 0xf0b12e, false),
    hue(0xcc79a7, 0xc0679a, 0xa8487f, 0xdf97be, false),
    hue(0x1fab83, 0x009e73, 0x007a59, 0x35c79e, false),
    hue(0x3b3b3b, 0x222222, 0x222222, 0xe8e8e8, true),
    hue(0xf0e442, 0x9a8f00, 0x756d00, 0xe8dc4a, false),
];

/// The strategies of the suite in the order of the slots.
const KNOWN: [(&str, &str); 7] = [
    ("sequential", "Seq"),
    ("event-loop", "Loop"),
    ("work-stealing", "Steal"),
    ("threads", "Thr"),
    ("thread-per-task", "Thr/task"),
    ("blocking-pool", "Pool"),
    ("processes", "Proc"),
];

impl Colour {
    /// The value on light paper.
    pub(crate) fn light(self) -> Rgb {
        match self {
            Self::Paper => WHITE,
            Self::Ink => INK,
            Self::Muted => rgb(0x5b6472),
            Self::Grid => rgb(0xe5e7eb),
            Self::Amber => rgb(0xfde08a),
            Self::AmberLabel => rgb(0x8a5a00),
            Self::Alarm => rgb(0xb42318),
            Self::Strategy(slot, tone) => {
                let hue = &HUES[usize::from(slot) % SLOTS];
                match tone {
                    Tone::Line => hue.line,
                    Tone::Label => hue.label,
                    Tone::Fill => hue.fill,
                    Tone::OnFill => on(hue),
                    Tone::Pale => mix(hue.fill, WHITE, 0.72),
                }
            }
        }
    }

    /// The value on dark paper.
    pub(crate) fn dark(self) -> Rgb {
        match self {
            Self::Paper => DARK_PAPER,
            Self::Ink => rgb(0xe8ebf0),
            Self::Muted => rgb(0xa5adba),
            Self::Grid => rgb(0x2c3544),
            Self::Amber => rgb(0x6b5310),
            Self::AmberLabel => rgb(0xf2c94c),
            Self::Alarm => rgb(0xff8a7a),
            Self::Strategy(slot, tone) => {
                let hue = &HUES[usize::from(slot) % SLOTS];
                match tone {
                    Tone::Line | Tone::Label => hue.dark,
                    Tone::Fill => hue.fill,
                    Tone::OnFill => on(hue),
                    Tone::Pale => mix(hue.fill, DARK_PAPER, 0.72),
                }
            }
        }
    }

    /// The value on light paper as `#rrggbb`.
    pub(crate) fn hex(self) -> String {
        hex(self.light())
    }

    /// A name for style sheets.
    pub(crate) fn class(self) -> String {
        match self {
            Self::Paper => "paper".into(),
            Self::Ink => "ink".into(),
            Self::Muted => "muted".into(),
            Self::Grid => "grid".into(),
            Self::Amber => "amber".into(),
            Self::AmberLabel => "amber-label".into(),
            Self::Alarm => "alarm".into(),
            Self::Strategy(slot, tone) => {
                let tone = match tone {
                    Tone::Line => "line",
                    Tone::Label => "label",
                    Tone::Fill => "fill",
                    Tone::OnFill => "on",
                    Tone::Pale => "pale",
                };
                format!("s{slot}-{tone}")
            }
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let tones = [Tone::Line, Tone::Label, Tone::Fill, Tone::OnFill, Tone::Pale];
        let hues = (0..SLOTS as u8).flat_map(move |slot| tones.map(|tone| Self::Strategy(slot, tone)));
        [Self::Paper, Self::Ink, Self::Muted, Self::Grid, Self::Amber, Self::AmberLabel, Self::Alarm]
            .into_iter()
            .chain(hues)
    }
}

fn on(hue: &Hue) -> Rgb {
    if hue.white_text { WHITE } else { INK }
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn mix(a: Rgb, b: Rgb, share_of_b: f64) -> Rgb {
    let blend = |a: u8, b: u8| (f64::from(a) * (1.0 - share_of_b) + f64::from(b) * share_of_b).round() as u8;
    (blend(a.0, b.0), blend(a.1, b.1), blend(a.2, b.2))
}

/// Style rules that recolour inline pictures for dark paper, to stand inside a media query.
pub(crate) fn dark_rules() -> String {
    let mut css = String::new();
    for colour in Colour::all().filter(|c| c.light() != c.dark()) {
        let (class, hex) = (colour.class(), hex(colour.dark()));
        let _ = write!(css, ".f-{class}{{fill:{hex}}}.k-{class}{{stroke:{hex}}}");
    }
    css
}

/// How one strategy looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Style {
    slot: u8,
    /// Its shape.
    pub(crate) marker: Marker,
    /// Its dash pattern, where the hues have run out.
    pub(crate) dash: Option<[f64; 2]>,
}

impl Style {
    /// One tone of its hue.
    pub(crate) fn tone(&self, tone: Tone) -> Colour {
        Colour::Strategy(self.slot, tone)
    }
}

/// The styles of `strategies`, in their order: fixed for those of the suite, in order of appearance for others.
pub(crate) fn styles(strategies: &[String]) -> Vec<Style> {
    let mut next = KNOWN.len();
    strategies
        .iter()
        .map(|name| {
            let index = KNOWN.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            let (slot, lap) = (index % SLOTS, index / SLOTS);
            let dash = (lap > 0).then_some([3.0 + 3.0 * lap as f64, 3.0]);
            Style { slot: slot as u8, marker: MARKERS[(slot + 2 * lap) % SLOTS], dash }
        })
        .collect()
}

/// A short name for narrow places; a strategy of others keeps its own.
pub(crate) fn short_name(strategy: &str) -> &str {
    KNOWN.iter().find(|(known, _)| *known == strategy).map_or(strategy, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance((r, g, b): Rgb) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_lines_have_contrast_in_both_schemes() {
        for scheme in [Colour::light as fn(Colour) -> Rgb, Colour::dark] {
            let at_least = |front: Colour, back: Colour, least: f64| {
                let got = contrast(scheme(front), scheme(back));
                assert!(got >= least, "{front:?} on {back:?}: {got:.2}");
            };
            for text in [Colour::Ink, Colour::Muted, Colour::AmberLabel, Colour::Alarm] {
                at_least(text, Colour::Paper, 4.5);
            }
            for slot in 0..SLOTS as u8 {
                let tone = |tone| Colour::Strategy(slot, tone);
                at_least(tone(Tone::Line), Colour::Paper, 3.0);
                at_least(tone(Tone::Label), Colour::Paper, 4.5);
                at_least(tone(Tone::OnFill), tone(Tone::Fill), 4.5);
                at_least(Colour::Ink, tone(Tone::Pale), 4.5);
            }
        }
    }

    #[test]
    fn a_strategy_keeps_its_style_whatever_stands_beside_it() {
        let all: Vec<String> = KNOWN.iter().map(|(name, _)| (*name).to_owned()).collect();
        let some = vec!["my-go".to_owned(), "threads".to_owned(), "sequential".to_owned()];
        assert_eq!(styles(&some)[1], styles(&all)[3]);
        assert_eq!(styles(&some)[2], styles(&all)[0]);
    }

    #[test]
    fn twenty_strategies_all_look_different() {
        let names: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
        let styles = styles(&names);
        for (i, a) in styles.iter().enumerate() {
            assert!(styles[..i].iter().all(|b| a != b), "{i}");
        }
    }
}
