//! Pictures of an [`Analysis`]: crossover plots, the winner map, the cost plot and the run-order strip.
//!
//! Data's way: a module per picture (`crossover`, `winmap`, `cost`, `strip`) reads the analysis and fills a
//! `canvas::Scene`; `svg` and `bitmap` print it. `select` decides what is worth a picture; `axes`, `lines`, `bars`
//! and `frame` hold what several pictures share, `style` the colours. Everything is a pure function of the analysis:
//! no clock, no randomness, no files.
use crate::analysis::model::Analysis;
use crate::error::ReportError;

mod axes;
mod bars;
mod bitmap;
mod canvas;
mod cost;
mod crossover;
mod font;
mod frame;
mod lines;
mod select;
mod strip;
pub(crate) mod style;
pub(crate) mod svg;
pub(crate) mod units;
mod winmap;

use canvas::Scene;
pub(crate) use crossover::crossing_words;

/// The data of a picture as a table of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
}

/// What a picture shows, before it is a [`Figure`].
struct Drawn {
    stem: String,
    title: String,
    description: String,
    scene: Scene,
    table: Table,
}

/// A finished picture.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without an extension, unique within an experiment: letters, digits, `-`, `_` and `.` only.
    pub stem: String,
    /// The finding, as it stands in the picture.
    pub title: String,
    /// What the picture shows, for those who cannot see it.
    pub description: String,
    /// Its data.
    pub table: Table,
    scene: Scene,
}

impl Figure {
    fn new(drawn: Drawn) -> Self {
        let Drawn { stem, title, description, scene, table } = drawn;
        Self { stem: file_name(&stem), title, description, table, scene }
    }

    /// The picture as an SVG document. `prefix` makes the ids inside unique where several pictures share a page.
    #[must_use]
    pub fn svg(&self, prefix: &str) -> String {
        svg::print(&self.scene, &format!("{prefix}{}", self.stem), &self.title, &self.description)
    }

    /// The picture as a PNG file, at two pixels per unit of the SVG.
    ///
    /// # Errors
    /// [`ReportError::Draw`] where drawing or encoding fails.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        bitmap::print(&self.scene).map_err(|reason| ReportError::Draw { what: self.stem.clone(), reason })
    }
}

/// All pictures of an experiment, in the order in which a report shows them: the winner map, the crossover plots, the
/// cost, the run-order strip.
#[must_use]
pub fn figures(analysis: &Analysis) -> Vec<Figure> {
    let mut drawn = Vec::new();
    if analysis.cells.len() > 1 {
        drawn.extend(winmap::draw(analysis));
    }
    let slices = select::telling_slices(analysis);
    if slices.is_empty() {
        drawn.extend(bars::draw_wall(analysis));
    }
    drawn.extend(slices.iter().map(|slice| crossover::draw(analysis, slice)));
    drawn.extend(cost::draw(analysis));
    drawn.extend(strip::draw(analysis));
    let mut figures: Vec<Figure> = drawn.into_iter().map(Figure::new).collect();
    // Values that differ only in characters a file name may not have would share a name.
    for i in 1..figures.len() {
        let taken = figures[..i].iter().filter(|f| f.stem == figures[i].stem).count();
        if taken > 0 {
            figures[i].stem = format!("{}_{}", figures[i].stem, i + 1);
        }
    }
    figures
}

/// Whether a file name is one that [`figures`] may have given.
pub(crate) fn is_picture(name: &str) -> bool {
    let stem = name.strip_suffix(".svg").or_else(|| name.strip_suffix(".png"));
    let kind = |stem: &str| stem.split('_').next().unwrap_or_default().to_owned();
    stem.is_some_and(|stem| {
        ["winners", "wall", "crossover", "cost", "run-order"].contains(&kind(stem).as_str())
    })
}

/// `stem` with everything but the characters of a portable file name replaced.
fn file_name(stem: &str) -> String {
    let portable = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.trim_matches('_').chars().map(portable).take(100).collect();
    name
}

/// The constants of an experiment as parts of a subtitle: `24 tasks`, `kernel sha256`.
fn constants(analysis: &Analysis) -> Vec<String> {
    let part = |(param, value): &(String, crate::record::ParamValue)| {
        let shown = units::show_param(param, value);
        if param == "tasks" { format!("{shown} tasks") } else { format!("{} {shown}", units::label(param)) }
    };
    analysis.constants.iter().map(part).collect()
}

/// How much was measured: `5 processes × 8 rounds`.
fn rounds(analysis: &Analysis) -> String {
    let word = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    format!(
        "{} × {}",
        word(analysis.process_rounds, "process", "processes"),
        word(analysis.rounds, "round", "rounds")
    )
}

/// Tests write the pictures and pages of synthetic runs to the folder that this variable names, to look at.
#[cfg(test)]
pub(crate) const LOOK: &str = "CROSSOVER_PICTURES";

#[cfg(test)]
mod tests {
    use super::canvas::{Rect, Text};
    use super::*;
    use crate::synthetic;

    fn check_geometry(name: &str, figure: &Figure) {
        let texts: Vec<(&Text, Rect)> = figure.scene.texts().map(|t| (t, t.bounds())).collect();
        assert!(!texts.is_empty(), "{name}/{}", figure.stem);
        for (i, (text, bounds)) in texts.iter().enumerate() {
            let inside = figure.scene.bounds().inset(2.0).contains(bounds);
            assert!(inside, "{name}/{}: {:?} is clipped: {bounds:?}", figure.stem, text.content);
            for (other, box_of_other) in &texts[..i] {
                assert!(
                    !bounds.inset(0.5).overlaps(box_of_other),
                    "{name}/{}: {:?} and {:?} overlap: {bounds:?} {box_of_other:?}",
                    figure.stem,
                    text.content,
                    other.content
                );
            }
        }
    }

    #[test]
    fn no_text_is_clipped_or_overlaps_another_whatever_the_data() {
        for analysis in synthetic::nasty() {
            for figure in figures(&analysis) {
                if let Some(folder) = std::env::var_os(LOOK) {
                    let path =
                        std::path::Path::new(&folder).join(format!("{}_{}", analysis.name, figure.stem));
                    std::fs::write(path.with_extension("svg"), figure.svg("")).unwrap();
                    std::fs::write(path.with_extension("png"), figure.png().unwrap()).unwrap();
                }
                check_geometry(&analysis.name, &figure);
            }
        }
    }

    #[test]
    fn every_svg_is_well_formed_and_says_what_it_shows() {
        for analysis in synthetic::nasty() {
            for figure in figures(&analysis) {
                let svg = figure.svg("p-");
                synthetic::well_formed(&svg)
                    .unwrap_or_else(|why| panic!("{}/{}: {why}", analysis.name, figure.stem));
                assert!(
                    svg.contains("role=\"img\"") && svg.contains("<title id=") && svg.contains("<desc id=")
                );
                assert!(
                    !figure.title.is_empty()
                        && !figure.description.is_empty()
                        && is_picture(&format!("{}.svg", figure.stem))
                );
                let table = &figure.table;
                assert!(table.rows.iter().all(|row| row.len() == table.header.len()), "{}", figure.stem);
            }
        }
    }

    #[test]
    fn stems_are_portable_and_unique() {
        let mut run = synthetic::mixed();
        run.axes[1].param = "wait/../us".to_owned();
        for cell in &mut run.cells {
            if let Some(value) = cell.params.remove("wait_us") {
                cell.params.insert("wait/../us".to_owned(), value);
            }
        }
        let stems: Vec<String> = figures(&run).into_iter().map(|f| f.stem).collect();
        for (i, stem) in stems.iter().enumerate() {
            assert!(!stem.contains('/') && stem.len() <= 110, "{stem}");
            assert!(!stems[..i].contains(stem), "{stem}");
        }
    }
}
