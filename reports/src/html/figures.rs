//! Pictures by the section that shows them, and the winner maps behind their switch.
use serde::Serialize;

use super::parts::{Grid, link};
use crate::analysis::model::Metric;
use crate::plot::{Figure, Section};

/// One picture with its data.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Picture {
    id: String,
    title: String,
    /// For a wide page and for paper.
    wide: String,
    /// For a phone.
    narrow: String,
    png_link: String,
    svg_link: String,
    table: Grid,
}

/// Winner maps of one pair of axes, one of which is shown.
#[derive(Debug, Serialize)]
pub(super) struct Choice {
    maps: Vec<Map>,
}

#[derive(Debug, Serialize)]
struct Map {
    metric: &'static str,
    figure: Picture,
}

/// One position of the switch.
#[derive(Debug, Serialize)]
pub(super) struct Position {
    metric: &'static str,
    label: &'static str,
    /// What the switch then shows, for those who do not see the pictures change.
    says: String,
}

/// The map section: pictures that change with the switch, and those that do not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Maps {
    positions: Vec<Position>,
    choices: Vec<Choice>,
    fixed: Vec<Picture>,
}

impl Maps {
    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.fixed.is_empty()
    }
}

fn label(metric: Metric) -> &'static str {
    match metric {
        Metric::Wall => "Wall time",
        Metric::Latency => "Latency (p99)",
        Metric::Cpu => "CPU-seconds",
        Metric::Memory => "Memory",
    }
}

/// The pictures of `section`, in their order.
pub(super) fn of(figures: &[Figure], section: Section, id: &str, folder: &str) -> Vec<Picture> {
    figures.iter().filter(|f| f.section == section).map(|figure| picture(figure, id, folder)).collect()
}

/// The winner maps. Maps of one group change places; without a second metric there is nothing to switch.
pub(super) fn maps(figures: &[Figure], id: &str, folder: &str) -> Maps {
    let mut maps = Maps::default();
    let mut groups: Vec<(&str, Vec<&Figure>)> = Vec::new();
    for figure in figures.iter().filter(|f| f.section == Section::Winners) {
        match groups.iter_mut().find(|(group, _)| !group.is_empty() && *group == figure.group) {
            Some((_, members)) => members.push(figure),
            None => groups.push((&figure.group, vec![figure])),
        }
    }
    for (_, members) in groups {
        let by: Vec<(Metric, &Figure)> = members.iter().filter_map(|f| Some((f.metric?, *f))).collect();
        if by.len() < 2 {
            maps.fixed.extend(members.into_iter().map(|figure| picture(figure, id, folder)));
            continue;
        }
        for (metric, figure) in &by {
            if !maps.positions.iter().any(|position| position.metric == metric.name()) {
                let (metric, label) = (metric.name(), label(*metric));
                maps.positions.push(Position { metric, label, says: format!("{label}: {}", figure.title) });
            }
        }
        let map = |(metric, figure): (Metric, &Figure)| Map {
            metric: metric.name(),
            figure: picture(figure, id, folder),
        };
        maps.choices.push(Choice { maps: by.into_iter().map(map).collect() });
    }
    maps
}

fn picture(figure: &Figure, id: &str, folder: &str) -> Picture {
    Picture {
        id: format!("{id}-fig-{}", figure.stem),
        title: figure.title.clone(),
        wide: figure.svg(&format!("{id}-svg-")),
        narrow: figure.svg_narrow(&format!("{id}-narrow-")),
        png_link: link(folder, &format!("plots/{}.png", figure.stem)),
        svg_link: link(folder, &format!("plots/{}.svg", figure.stem)),
        table: Grid::from(&figure.table),
    }
}
