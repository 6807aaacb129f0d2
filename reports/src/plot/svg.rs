//! Prints a [`Scene`] as SVG: exact coordinates, title and description for screen readers, tips for the pointer.
//!
//! Written directly rather than through plotters' SVG backend, whose whole-pixel coordinates, scaled font sizes and
//! missing titles and classes would all have to be mended in its output. Every text is pinned to its measured width
//! (`textLength`), so another sans-serif font in a reader's browser cannot make texts collide.
use std::fmt::Write as _;

use super::canvas::{Anchor, Item, Point, Scene, Shape, Stroke, Text};
use super::font::Weight;
use super::form::Form;
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
    // No pointer rests on a phone.
    let tips = scene.form == Form::Wide;
    let mut items = scene.items.as_slice();
    while let Some(first) = items.first() {
        let alike = items.iter().take_while(|item| same_paint(first, item, tips)).count();
        match alike {
            0 | 1 => print_item(&mut svg, first, tips),
            _ => print_together(&mut svg, &items[..alike]),
        }
        items = &items[alike.max(1)..];
    }
    svg.push_str("</svg>\n");
    svg
}

/// Whether two polygons may be one path: both cover, in the same colour, and neither has a tip that counts.
fn same_paint(a: &Item, b: &Item, tips: bool) -> bool {
    match (&a.shape, &b.shape) {
        (
            Shape::Polygon { fill: one, opacity: 1.0, .. },
            Shape::Polygon { fill: other, opacity: 1.0, .. },
        ) => one == other && !(tips && (a.tip.is_some() || b.tip.is_some())),
        _ => false,
    }
}

/// Polygons of [`same_paint`] as one path: stripes and bars are many, and each element costs more than its outline.
fn print_together(svg: &mut String, items: &[Item]) {
    let Some(Shape::Polygon { fill: colour, .. }) = items.first().map(|item| &item.shape) else { return };
    svg.push_str("<path d=\"");
    for item in items {
        if let Shape::Polygon { points, .. } = &item.shape {
            let _ = write!(svg, "{}Z", path(points));
        }
    }
    let _ = writeln!(svg, "\"{}/>", fill(*colour));
}

fn print_item(svg: &mut String, item: &Item, tips: bool) {
    let tip = item.tip.as_ref().filter(|_| tips);
    let close = |element: &str| match tip {
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
        Shape::Text(text) => writeln!(svg, "{}", print_text(text, tip.map(String::as_str))),
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
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, coordinate(*x), coordinate(*y));
    }
    d
}

/// A place on the canvas: a tenth of a pixel is finer than any screen shows.
fn coordinate(x: f64) -> String {
    num((x * 10.0).round() / 10.0)
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
    fn polygons_of_one_colour_are_one_path() {
        let mut scene = Scene::new(Form::Wide, 100.0);
        for left in [0.0, 20.0, 40.0] {
            scene.polygon(vec![(left, 0.0), (left + 10.0, 0.0), (left, 10.04)], Colour::Ink, 1.0);
        }
        scene.tip("the last one stands alone");
        let svg = print(&scene, "id", "title", "description");
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(svg.contains("d=\"M0 0L10 0L0 10ZM20 0L30 0L20 10Z\"") && svg.contains("<title>the last"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (num(1.0), num(0.126), num(-0.001), num(10.5)),
            ("1".into(), "0.13".into(), "0".into(), "10.5".into())
        );
    }
}
