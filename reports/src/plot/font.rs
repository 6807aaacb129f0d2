//! The two faces of every picture, DejaVu Sans regular and bold: measuring, wrapping, shortening.
//!
//! Widths come from the same outlines that [`super::bitmap`] fills, and [`super::svg`] pins each text to the
//! measured width, so both formats agree and a layout that fits here fits everywhere.
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef};

/// Height above the baseline that letters reach, as a share of the font size.
pub(crate) const ASCENT: f64 = 0.76;
/// Depth below the baseline that letters reach, as a share of the font size.
pub(crate) const DESCENT: f64 = 0.24;

/// A weight of the face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| parse(dejavu::sans::regular()));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| parse(dejavu::sans::bold()));

fn parse(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the fonts of the dejavu crate are well-formed")
}

/// The outlines of one weight.
pub(crate) fn face(weight: Weight) -> &'static FontRef<'static> {
    match weight {
        Weight::Regular => &REGULAR,
        Weight::Bold => &BOLD,
    }
}

/// Width of `text` at `size` pixels per em.
pub(crate) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let font = face(weight);
    let em = f64::from(font.units_per_em().unwrap_or(2048.0));
    let mut units = 0.0;
    let mut last = None;
    for c in text.chars() {
        let glyph = font.glyph_id(c);
        if let Some(previous) = last {
            units += f64::from(font.kern_unscaled(previous, glyph));
        }
        units += f64::from(font.h_advance_unscaled(glyph));
        last = Some(glyph);
    }
    units * size / em
}

/// `text`, or as much of its beginning as fits into `limit` pixels, with an ellipsis.
pub(crate) fn shorten(text: &str, size: f64, weight: Weight, limit: f64) -> String {
    if width(text, size, weight) <= limit {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() {
        let candidate = format!("{}…", kept.trim_end());
        if width(&candidate, size, weight) <= limit {
            return candidate;
        }
    }
    String::new()
}

/// The words of `text`; a number and what it counts are one, so that no line ends between them.
fn words(text: &str) -> Vec<String> {
    let number = |word: &String| {
        word.ends_with(|c: char| c.is_ascii_digit()) && word.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if number(last) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// `text` broken at spaces into lines of at most `limit` pixels; a word that is too long alone is broken inside.
pub(crate) fn wrap(text: &str, size: f64, weight: Weight, limit: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        let longer = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
        if width(&longer, size, weight) <= limit {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            let mut longer = line.clone();
            longer.push(c);
            if !line.is_empty() && width(&longer, size, weight) > limit {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// As [`wrap`], but at most `most` lines, the last one shortened where the text goes on.
pub(crate) fn wrap_at_most(text: &str, size: f64, weight: Weight, limit: f64, most: usize) -> Vec<String> {
    let mut lines = wrap(text, size, weight, limit);
    if lines.len() > most && most > 0 {
        let rest = lines[most - 1..].join(" ");
        lines.truncate(most - 1);
        lines.push(shorten(&rest, size, weight, limit));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bold_is_wider_and_width_is_proportional_to_size() {
        let regular = width("work-stealing", 10.0, Weight::Regular);
        assert!(width("work-stealing", 10.0, Weight::Bold) > regular);
        assert!((width("work-stealing", 20.0, Weight::Regular) - 2.0 * regular).abs() < 1e-9);
        assert_eq!(width("", 10.0, Weight::Regular), 0.0);
    }

    #[test]
    fn shortened_text_fits_and_ends_in_an_ellipsis() {
        let short = shorten("a-strategy-with-a-very-long-name", 12.0, Weight::Bold, 90.0);
        assert!(short.ends_with('…') && width(&short, 12.0, Weight::Bold) <= 90.0, "{short}");
        assert_eq!(shorten("threads", 12.0, Weight::Bold, 90.0), "threads");
        assert_eq!(shorten("threads", 12.0, Weight::Bold, 1.0), "");
    }

    #[test]
    fn wrapped_lines_fit_and_keep_every_letter() {
        let text = "one two three averyveryverylongwordwithoutanyspace four";
        let lines = wrap(text, 12.0, Weight::Regular, 100.0);
        assert!(lines.iter().all(|l| width(l, 12.0, Weight::Regular) <= 100.0), "{lines:?}");
        let kept: String = lines.concat().chars().filter(|c| *c != ' ').collect();
        assert_eq!(kept, text.replace(' ', ""));
        let two = wrap_at_most(text, 12.0, Weight::Regular, 100.0, 2);
        assert_eq!(two.len(), 2);
        let lines = wrap("it takes at most 1.3 ms, not more", 12.0, Weight::Regular, 118.0);
        assert!(lines.iter().any(|line| line.contains("1.3 ms,")), "{lines:?}");
        assert!(two[1].ends_with('…'));
    }
}
