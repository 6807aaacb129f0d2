//! Prints a [`Scene`] as SVG: exact coordinates, title and description for screen readers, tips for the pointer.
//!
//! Written directly rather than through plotters' SVG backend, whose whole-pixel coordinates, scaled font sizes and
//! missing titles and classes would all have to be mended in its output. Every text is pinned to its measured width
//! (`textLength`), so another sans-serif font in a reader's browser cannot make texts collide.
use std::fmt::Write as _;

use super::canvas::{Anchor, Item, Point, Scene, Shape, Stroke, Text};
use super::font::Weight;
use super::style::Colour;

/// The fonts asked for; the first two have the widths that were measured.
const FAMILY: &str = "'DejaVu Sans', 'Bitstream Vera Sans', Verdana, Geneva, sans-serif";

/// The picture as an SVG document; `id` must be unique within the page that embeds it.
pub(crate) fn print(scene: &Scene, id: &str, title: &str, description: &str) -> String {
    let mut svg = String::with_capacity(160 * scene.items.len() + 800);
    let (width, height, id) = (num(scene.form.width()), num(scene.height), escape(id));
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" font-family=\"{FAMILY}\">"
    );
    let _ = writeln!(svg, "<title id=\"{id}-title\">{}</title>", escape(title));
    let _ = writeln!(svg, "<desc id=\"{id}-desc\">{}</desc>", escape(description));
    let _ = writeln!(svg, "<rect width=\"{width}\" height=\"{height}\"{}/>", fill(Colour::Paper));
    for item in &scene.items {
        print_item(&mut svg, item);
    }
    svg.push_str("</svg>\n");
    svg
}

fn print_item(svg: &mut String, item: &Item) {
    let close = |element: &str| match &item.tip {
        Some(tip) => format!("><title>{}</title></{element}>", escape(tip)),
        None => "/>".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = match &item.shape {
        Shape::Polygon { points, fill: colour, opacity } => {
            let opacity =
                if *opacity < 1.0 { format!(" fill-opacity=\"{}\"", num(*opacity)) } else { String::new() };
            writeln!(svg, "<path d=\"{}Z\"{}{opacity}{}", path(points), fill(*colour), close("path"))
        }
        Shape::Line { points, stroke } => {
            let (d, ink) = (path(points), stroked(stroke));
            writeln!(svg, "<path d=\"{d}\" fill=\"none\"{ink} stroke-linejoin=\"round\"{}", close("path"))
        }
        Shape::Circle { centre: (x, y), radius, fill: ground, stroke } => {
            let ground = ground.map_or_else(|| " fill=\"none\"".to_owned(), fill);
            let ink = stroke.as_ref().map(stroked).unwrap_or_default();
            let (x, y, r) = (num(*x), num(*y), num(*radius));
            writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{ground}{ink}{}", close("circle"))
        }
        Shape::Text(text) => writeln!(svg, "{}", print_text(text, item.tip.as_deref())),
    };
}

fn print_text(text: &Text, tip: Option<&str>) -> String {
    let anchor = match text.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = if text.weight == Weight::Bold { " font-weight=\"bold\"" } else { "" };
    let tip = tip.map(|tip| format!("<title>{}</title>", escape(tip))).unwrap_or_default();
    format!(
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{weight}{anchor}{} textLength=\"{}\" \
         lengthAdjust=\"spacingAndGlyphs\">{tip}{}</text>",
        num(text.x),
        num(text.y),
        num(text.size),
        fill(text.colour),
        num(text.width()),
        escape(&text.content),
    )
}

fn fill(colour: Colour) -> String {
    format!(" class=\"f-{}\" fill=\"{}\"", colour.class(), colour.hex())
}

/// A shape with both a fill and a stroke never needs both classes here: outlines are drawn as lines.
fn stroked(stroke: &Stroke) -> String {
    let dash = stroke
        .dash
        .map(|[on, off]| format!(" stroke-dasharray=\"{} {}\"", num(on), num(off)))
        .unwrap_or_default();
    let (class, hex) = (stroke.colour.class(), stroke.colour.hex());
    format!(" class=\"k-{class}\" stroke=\"{hex}\" stroke-width=\"{}\"{dash}", num(stroke.width))
}

fn path(points: &[Point]) -> String {
    let mut d = String::with_capacity(12 * points.len());
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, num(*x), num(*y));
    }
    d
}

/// A number with at most two decimals and no trailing zeros.
fn num(x: f64) -> String {
    let text = format!("{x:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `text` for XML content and attributes; characters that XML 1.0 forbids become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::form::Form;

    #[test]
    fn hostile_text_cannot_leave_its_element() {
        let mut scene = Scene::new(Form::Wide, 100.0);
        scene.text(Text::new("</text><script>alert('x')</script>\u{1}", (10.0, 20.0), 12.0));
        scene.tip("a \"tip\" & more");
        let svg = print(&scene, "a\"b", "<t>", "d & e");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(svg.contains("a &quot;tip&quot; &amp; more") && svg.contains("id=\"a&quot;b-title\""));
        assert!(svg.contains('\u{fffd}') && !svg.contains('\u{1}'));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (num(1.0), num(0.126), num(-0.001), num(10.5)),
            ("1".into(), "0.13".into(), "0".into(), "10.5".into())
        );
    }
}
