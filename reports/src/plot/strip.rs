//! The run-order strip: how busy the machine was with other work, block by block as they ran.
use super::axes::{self, Axis};
use super::canvas::{Anchor, Rect, Scene, Stroke, Text};
use super::font::{self, Weight};
use super::form::Form;
use super::frame;
use super::style::{Colour, Tone};
use super::units::{Unit, significant};
use super::{Drawn, Section, Table};
use crate::analysis::model::{Analysis, BlockInfo};

const PLOT_HEIGHT: f64 = 150.0;
/// A limit this many times the largest load is said, but not drawn.
const BEYOND: f64 = 100.0;

/// Draws the strip; `None` where no block is known.
pub(crate) fn draw(analysis: &Analysis, form: Form) -> Option<Drawn> {
    let blocks = &analysis.blocks;
    if blocks.is_empty() {
        return None;
    }
    let limit = analysis.trust.foreign_cores_limit;
    let loads = || blocks.iter().map(|b| b.foreign_cores).filter(|f| f.is_finite());
    // A limit far above every load would leave nothing of the bars.
    let shown = limit <= BEYOND * loads().fold(0.01, f64::max);
    let title = headline(analysis);
    let subtitle = format!(
        "Bars: cores busy with work that is not this run's, per block in the order of the run. {}: limit, {} cores. \
         Red with a cross: quarantined. P: process round.",
        if shown { "Dashed line" } else { "Far above" },
        significant(limit, 3)
    );
    let mut scene = Scene::new(form, 0.0);
    let top = frame::head(&mut scene, &title, &subtitle) + 34.0;
    let (left, right) = form.pick((48.0, 64.0), (36.0, 40.0));
    let plot = Rect::new(scene.left() + left, top, scene.right() - right, top + PLOT_HEIGHT);
    scene.height = (plot.bottom + 58.0).round();
    let least = if shown { limit * 1.3 } else { 0.01 };
    let highest = loads().fold(least, f64::max);
    let y = Axis::numeric([0.0, highest], Unit::Plain, true, plot.bottom, plot.top);
    let x = Axis::names(vec![String::new(); blocks.len()], plot.left, plot.right);
    axes::draw(&mut scene, &plot, &x, &y, ("block, in the order of the run", "foreign load, cores"), 0.0);
    bars(&mut scene, &plot, (&x, &y), blocks);
    if shown {
        let line = y.at(limit);
        let dash = Stroke::new(Colour::Ink, 1.2).dashed(Some([5.0, 4.0]));
        scene.line(vec![(plot.left, line), (plot.right, line)], dash);
        let words = Text::new("limit", (plot.right + 8.0, line + 4.0), 12.0).colour(Colour::Ink);
        scene.text(words);
    }
    process_rounds(&mut scene, &plot, &x, blocks);
    let description = format!("Bar chart of foreign load over {} blocks. {title}.", blocks.len());
    let stem = "run-order".to_owned();
    Some(Drawn { subtitle, ..Drawn::new(Section::Trust, stem, title, description, scene, table(blocks)) })
}

fn headline(analysis: &Analysis) -> String {
    let trust = &analysis.trust;
    let quarantined = analysis.blocks.iter().filter(|b| b.quarantined).count();
    let all = analysis.blocks.len();
    let most = significant(trust.foreign_cores_max, 2);
    if trust.contaminated {
        format!("Contaminated: every block was disturbed, by up to {most} foreign cores; no verdict is given")
    } else if quarantined == 0 {
        format!("The machine was quiet: at most {most} foreign cores in {all} blocks")
    } else {
        format!("{quarantined} of {all} blocks were disturbed and do not count")
    }
}

fn bars(scene: &mut Scene, plot: &Rect, (x, y): (&Axis, &Axis), blocks: &[BlockInfo]) {
    let width = (x.slot() * 0.8).clamp(0.6, 26.0);
    for (i, block) in blocks.iter().enumerate() {
        let load = if block.foreign_cores.is_finite() { block.foreign_cores.max(0.0) } else { 0.0 };
        let (centre, top) = (x.at(i as f64), y.at(load).min(plot.bottom - 1.0));
        let colour = if block.quarantined { Colour::Alarm } else { Colour::Strategy(1, Tone::Line) };
        let bar = Rect::new(centre - width / 2.0, top, centre + width / 2.0, plot.bottom);
        scene.rect(bar, colour, 1.0);
        let state = if block.quarantined { ", quarantined" } else { "" };
        scene.tip(format!(
            "process {}, round {}: {} foreign cores{state}",
            block.process,
            block.round,
            significant(load, 2)
        ));
        if block.quarantined {
            let (r, at) = ((width / 2.0).clamp(1.5, 3.5), (top - 7.0).max(plot.top + 4.0));
            for rise in [r, -r] {
                scene.line(
                    vec![(centre - r, at - rise), (centre + r, at + rise)],
                    Stroke::new(Colour::Alarm, 1.5),
                );
            }
        }
    }
}

/// Names the process rounds under the bars, as many as there is room for.
fn process_rounds(scene: &mut Scene, plot: &Rect, x: &Axis, blocks: &[BlockInfo]) {
    let mut free_from = 0.0;
    for (i, block) in blocks.iter().enumerate() {
        if i > 0 && blocks[i - 1].process == block.process {
            continue;
        }
        let left = x.at(i as f64) - x.slot() / 2.0;
        if i > 0 {
            scene.line(vec![(left, plot.top), (left, plot.bottom)], Stroke::new(Colour::Grid, 1.0));
        }
        let words = format!("P{}", block.process + 1);
        let end = left + 3.0 + font::width(&words, 11.0, Weight::Regular);
        if left >= free_from && end <= plot.right + 20.0 {
            free_from = end + 6.0;
            scene.text(Text::new(words, (left + 3.0, plot.bottom + 16.0), 11.0).anchor(Anchor::Start));
        }
    }
}

fn table(blocks: &[BlockInfo]) -> Table {
    let header = ["block", "process", "round", "foreign cores", "quarantined"].map(str::to_owned).to_vec();
    let row = |(i, b): (usize, &BlockInfo)| {
        let yes = if b.quarantined { "yes" } else { "no" };
        vec![
            (i + 1).to_string(),
            (b.process + 1).to_string(),
            (b.round + 1).to_string(),
            significant(b.foreign_cores, 3),
            yes.to_owned(),
        ]
    };
    Table { header, rows: blocks.iter().enumerate().map(row).collect() }
}
