//! Bars for one cell: a figure per strategy with its interval, where there is nothing to draw a line along.
use super::axes::{self, Axis, MARGIN, TICK_SIZE, Tick};
use super::canvas::{Anchor, Rect, Scene, Stroke, Text, WIDTH};
use super::font::{self, Weight};
use super::frame;
use super::style::{self, Colour, Tone};
use super::units::{Unit, significant, times};
use super::{Drawn, Table};
use crate::analysis::model::{Analysis, StrategyStats};
use crate::facts::{self, Call};

/// What a bar chart shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bars<'a> {
    pub(crate) stem: &'a str,
    pub(crate) title: &'a str,
    /// What the bars are, for the subtitle and the axis.
    pub(crate) what: &'a str,
    pub(crate) figure: fn(&StrategyStats) -> (f64, [f64; 2]),
}

const ROW: f64 = 34.0;

/// The wall time of a run that sweeps nothing.
pub(crate) fn draw_wall(analysis: &Analysis) -> Option<Drawn> {
    let cell = analysis.cells.first()?;
    let title = match facts::call(cell) {
        Call::Wins(winner) => match facts::speed_up(analysis, cell) {
            Some(up) => format!("{winner} wins, {} faster than {}", times(up.ratio), analysis.baseline),
            None => format!("{winner} wins"),
        },
        Call::Tie(best) => format!("A proven tie: {}", best.join(" ≈ ")),
        Call::Leans(winner) => format!("It leans to {winner}, by less than what is proven to matter"),
        Call::Undecided(_) => "Undecided: no strategy is proven fastest".to_owned(),
        Call::Refused(reason) => format!("No verdict: {reason}"),
    };
    let what = "wall time of one run";
    draw(analysis, Bars { stem: "wall", title: &title, what, figure: |s| (s.wall_ns, s.wall_ci_ns) })
}

/// Draws bars for the first cell; `None` without one, or without a positive figure.
pub(crate) fn draw(analysis: &Analysis, bars: Bars<'_>) -> Option<Drawn> {
    let cell = analysis.cells.first()?;
    let styles = style::styles(&analysis.strategies);
    let rows: Vec<(usize, f64, [f64; 2])> = cell
        .stats
        .iter()
        .enumerate()
        .filter_map(|(i, s)| s.as_ref().map(|s| (bars.figure)(s)).map(|(value, ci)| (i, value, ci)))
        .filter(|(i, value, _)| value.is_finite() && *value > 0.0 && *i < styles.len())
        .collect();
    if rows.is_empty() {
        return None;
    }
    let subtitle = format!(
        "{}. Bars: median; whiskers: {} % interval. Lower is better.",
        super::constants(analysis)
            .into_iter()
            .chain([super::rounds(analysis)])
            .collect::<Vec<_>>()
            .join(" · "),
        significant(analysis.confidence * 100.0, 3)
    );
    let mut scene = Scene::new(160.0 + ROW * rows.len() as f64 + 40.0);
    let top = frame::head(&mut scene, bars.title, &subtitle) + 12.0;
    let names =
        analysis.strategies.iter().map(|n| font::width(n, 13.0, Weight::Bold)).fold(0.0, f64::max).min(260.0);
    let values =
        rows.iter().map(|(_, v, _)| font::width(&Unit::NS.show(*v), 13.0, Weight::Bold)).fold(0.0, f64::max);
    let plot =
        Rect::new(MARGIN + names + 30.0, top, WIDTH - MARGIN - values - 12.0, top + ROW * rows.len() as f64);
    scene.height = plot.bottom + 62.0;
    let highest = rows.iter().map(|(_, value, ci)| value.max(ci[1])).filter(|v| v.is_finite());
    let x = Axis::numeric(highest.chain([0.0]), Unit::NS, true, plot.left, plot.right);
    let fits = |ticks: &[Tick]| axes::fit_in_row(ticks, (plot.left - 30.0, WIDTH - 4.0), 30.0);
    for tick in x.ticks(fits) {
        scene.line(vec![(tick.at, plot.top), (tick.at, plot.bottom)], Stroke::new(Colour::Grid, 1.0));
        scene.text(Text::new(tick.label, (tick.at, plot.bottom + 19.0), TICK_SIZE).anchor(Anchor::Middle));
    }
    scene.line(vec![(plot.left, plot.top), (plot.left, plot.bottom)], Stroke::new(Colour::Ink, 1.5));
    let centre = (plot.centre().0, plot.bottom + 44.0);
    scene.text(Text::new(bars.what, centre, 13.0).anchor(Anchor::Middle).colour(Colour::Ink));
    for (row, (index, value, ci)) in rows.iter().enumerate() {
        let y = plot.top + ROW * (row as f64 + 0.5);
        let (style, name) = (&styles[*index], &analysis.strategies[*index]);
        let (line, end) = (style.tone(Tone::Line), x.at(*value));
        scene.rect(
            Rect::new(plot.left, y - 9.0, end.max(plot.left + 1.0), y + 9.0),
            style.tone(Tone::Fill),
            1.0,
        );
        scene.tip(format!("{name}: {}", super::crossover::figures((*value, *ci))));
        whisker(&mut scene, y, x.at(ci[0]), x.at(ci[1]));
        let label = font::shorten(name, 13.0, Weight::Bold, names);
        scene.marker(style.marker, (plot.left - 14.0, y), 4.0, line);
        let at = (plot.left - 24.0, y + 4.5);
        scene.text(Text::new(label, at, 13.0).bold().anchor(Anchor::End).colour(style.tone(Tone::Label)));
        let at = (end.max(x.at(ci[1])) + 8.0, y + 4.5);
        scene.text(Text::new(Unit::NS.show(*value), at, 13.0).bold().colour(Colour::Ink));
    }
    let description = format!("Bar chart of the {} of {}.", bars.what, analysis.strategies.join(", "));
    let header = vec!["strategy".to_owned(), format!("{} (interval)", bars.what)];
    let row = |&(i, v, ci): &(usize, f64, [f64; 2])| {
        vec![analysis.strategies[i].clone(), super::crossover::figures((v, ci))]
    };
    let table = Table { header, rows: rows.iter().map(row).collect() };
    Some(Drawn { stem: bars.stem.to_owned(), title: bars.title.to_owned(), description, scene, table })
}

fn whisker(scene: &mut Scene, y: f64, from: f64, to: f64) {
    let stroke = Stroke::new(Colour::Ink, 1.5);
    scene.line(vec![(from, y), (to, y)], stroke);
    for x in [from, to] {
        scene.line(vec![(x, y - 4.0), (x, y + 4.0)], stroke);
    }
}
