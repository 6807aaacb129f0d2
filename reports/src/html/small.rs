//! Small pictures without words: the map of an experiment as a thumbnail, and its tally as a bar.
//!
//! They stand beside sentences that say the same, and use the colours and classes of the large pictures, so the dark
//! scheme recolours them, too.
use std::fmt::Write as _;

use crate::analysis::model::{Analysis, Axis, CellAnalysis};
use crate::facts::{self, Call};
use crate::plot::style::{Colour, Style, Tone, styles};
use crate::plot::svg;
use crate::record::Params;

/// Size of a cell of the thumbnail.
const CELL: (f64, f64) = (24.0, 16.0);
/// The narrowest thumbnail, so that a few cells do not become giants.
const NARROWEST: f64 = 144.0;

/// The thumbnail of a sweep: the longest axis to the right; `None` without at least two cells.
pub(super) fn map(a: &Analysis) -> Option<String> {
    if a.cells.len() < 2 {
        return None;
    }
    let across = a.axes.iter().rev().max_by_key(|axis| axis.values.len())?;
    let rows = rows(a, across);
    let wide = across.values.len() as f64 * CELL.0;
    let (width, height) = (wide.max(NARROWEST), rows.len() as f64 * CELL.1);
    let mut out =
        open(width, height, &format!("The map of {} in small: {}", a.name, facts::tally(a).words()));
    let looks = styles(&a.strategies);
    for (row, (_, cells)) in rows.iter().enumerate() {
        for (column, cell) in cells {
            paint(&mut out, a, &looks, cell, (*column as f64 * CELL.0, row as f64 * CELL.1));
        }
    }
    out.push_str("</svg>");
    Some(out)
}

type Row<'a> = (Params, Vec<(usize, &'a CellAnalysis)>);

/// The cells by all parameters but the one across; of a second numeric axis the large values stand on top.
fn rows<'a>(a: &'a Analysis, across: &Axis) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for cell in &a.cells {
        let value = cell.params.get(&across.param);
        let Some(column) = value.and_then(|value| across.values.iter().position(|v| v == value)) else {
            continue;
        };
        let mut rest = cell.params.clone();
        rest.remove(&across.param);
        match rows.iter_mut().find(|(params, _)| *params == rest) {
            Some((_, cells)) => cells.push((column, cell)),
            None => rows.push((rest, vec![(column, cell)])),
        }
    }
    let others = a.axes.iter().filter(|axis| axis.param != across.param);
    if let [down] = others.collect::<Vec<_>>()[..] {
        let at =
            |params: &Params| params.get(&down.param).and_then(|v| down.values.iter().position(|d| d == v));
        rows.sort_by_key(|(params, _)| at(params));
        if down.is_numeric() {
            rows.reverse();
        }
    }
    rows
}

fn open(width: f64, height: f64, label: &str) -> String {
    let label = svg::escape(label);
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">"
    )
}

/// One cell: full, split between those that tie, pale, empty with dots, or crossed out.
fn paint(out: &mut String, a: &Analysis, looks: &[Style], cell: &CellAnalysis, (x, y): (f64, f64)) {
    let (left, top, right, bottom) = (x + 1.0, y + 1.0, x + CELL.0 - 1.0, y + CELL.1 - 1.0);
    let whole = format!("M{left} {top}H{right}V{bottom}H{left}Z");
    let tone = |name: &str, tone: Tone| {
        let at = a.strategies.iter().position(|strategy| strategy == name);
        at.and_then(|at| looks.get(at)).map_or(Colour::Muted, |look| look.tone(tone))
    };
    // Writing to a String cannot fail.
    let _ = match facts::call(cell) {
        Call::Wins(winner) => write!(out, "<path d=\"{whole}\"{}/>", fill(tone(winner, Tone::Fill))),
        Call::Tie(best) => {
            let (first, second) =
                (best.first().copied().unwrap_or_default(), best.get(1).copied().unwrap_or_default());
            let (a, b) = (fill(tone(first, Tone::Fill)), fill(tone(second, Tone::Fill)));
            write!(
                out,
                "<path d=\"M{left} {top}H{right}L{left} {bottom}Z\"{a}/><path d=\"M{right} {top}V{bottom}H{left}Z\"{b}/>"
            )
        }
        Call::Leans(winner) => {
            let ink = outline(Some(tone(winner, Tone::Pale)), tone(winner, Tone::Line), "");
            write!(out, "<path d=\"{whole}\"{ink}/>")
        }
        Call::Undecided(_) => {
            let dots = outline(None, Colour::Muted, " stroke-dasharray=\"1.5 2.5\"");
            write!(out, "<path d=\"{whole}\"{dots}/>")
        }
        Call::Refused(_) => {
            let cross = format!("M{left} {top}L{right} {bottom}M{right} {top}L{left} {bottom}");
            write!(out, "<path d=\"{whole}{cross}\"{}/>", outline(None, Colour::Alarm, ""))
        }
    };
}

/// The ground of a shape; the class recolours it for dark paper.
fn fill(colour: Colour) -> String {
    format!(" class=\"f-{}\" fill=\"{}\"", colour.class(), colour.hex())
}

/// The outline of a shape with a ground or none.
fn outline(ground: Option<Colour>, line: Colour, dash: &str) -> String {
    let (class, hex) = ground.map_or_else(
        || (String::new(), "none".to_owned()),
        |ground| (format!("f-{} ", ground.class()), ground.hex()),
    );
    format!(
        " class=\"{class}k-{}\" fill=\"{hex}\" stroke=\"{}\" stroke-width=\"1\"{dash}",
        line.class(),
        line.hex()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn a_thumbnail_has_a_shape_per_cell() {
        let run = synthetic::mixed();
        let small = map(&run).unwrap();
        synthetic::well_formed(&small).unwrap();
        assert!(small.starts_with("<svg viewBox=\"0 0 144 80\""), "{small}");
        let ties = run.cells.iter().filter(|cell| matches!(facts::call(cell), Call::Tie(_))).count();
        assert_eq!(small.matches("<path").count(), run.cells.len() + ties);
    }

    #[test]
    fn thumbnails_of_nasty_runs_are_well_formed() {
        for run in synthetic::nasty() {
            let small = map(&run);
            assert_eq!(small.is_some(), run.cells.len() > 1, "{}", run.name);
            synthetic::well_formed(&small.unwrap_or_default()).unwrap();
        }
    }
}
