//! Names to numbers: the strategies, axes and cells of a run, each in the order in which they are shown.
use std::collections::HashMap;

use crate::analysis::model::Axis;
use crate::record::{ParamValue, Params, Sample};
use crate::settings::Settings;

/// A cell as the samples name it.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) params: Params,
    pub(crate) tasks: u64,
}

/// Strategies, axes and cells, and where each sample belongs.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) strategies: Vec<String>,
    pub(crate) axes: Vec<Axis>,
    pub(crate) cells: Vec<Cell>,
    /// (cell, strategy) of each sample, in the order of the file.
    pub(crate) places: Vec<(usize, usize)>,
}

impl Index {
    pub(crate) fn new(samples: &[Sample], settings: &Settings) -> Self {
        let (strategies, strategy_of) = strategies(&settings.strategies, samples);
        let mut cells: Vec<Cell> = Vec::new();
        let mut cell_of: HashMap<&str, usize> = HashMap::new();
        for sample in samples {
            cell_of.entry(&sample.cell).or_insert_with(|| {
                let Sample { cell, params, tasks, .. } = sample;
                cells.push(Cell { name: cell.clone(), params: params.clone(), tasks: *tasks });
                cells.len() - 1
            });
        }
        let axes = axes(settings, &cells);
        let rank = order(&axes, &cells);
        let mut sorted: Vec<(usize, Cell)> = rank.iter().copied().zip(cells).collect();
        sorted.sort_by_key(|(rank, _)| *rank);
        let places = samples
            .iter()
            .map(|s| (rank[cell_of[s.cell.as_str()]], strategy_of[s.strategy.as_str()]))
            .collect();
        Self { strategies, axes, cells: sorted.into_iter().map(|(_, cell)| cell).collect(), places }
    }
}

/// Strategies in the order of the file, then those that only the samples know.
fn strategies<'a>(included: &'a [String], samples: &'a [Sample]) -> (Vec<String>, HashMap<&'a str, usize>) {
    let mut names = Vec::new();
    let mut of: HashMap<&str, usize> = HashMap::new();
    for name in included.iter().chain(samples.iter().map(|s| &s.strategy)) {
        of.entry(name).or_insert_with(|| {
            names.push(name.clone());
            names.len() - 1
        });
    }
    (names, of)
}

/// Parameters with two values or more: first those of the file in its order, then the others by name.
fn axes(settings: &Settings, cells: &[Cell]) -> Vec<Axis> {
    let mut params: Vec<&String> = settings.axes.iter().map(|(param, _)| param).collect();
    let mut others: Vec<&String> = cells.iter().flat_map(|c| c.params.keys()).collect();
    others.sort();
    params.extend(others);
    let mut seen = std::collections::HashSet::new();
    params.retain(|p| seen.insert(p.as_str()));
    params
        .into_iter()
        .map(|param| {
            let listed = settings.axes.iter().find(|(p, _)| p == param).map_or(&[][..], |(_, values)| values);
            Axis { param: param.clone(), values: values(param, listed, cells) }
        })
        .filter(|axis| axis.values.len() > 1)
        .collect()
}

/// The measured values of one parameter: numbers ascending, names in the order of the file.
fn values(param: &str, listed: &[ParamValue], cells: &[Cell]) -> Vec<ParamValue> {
    let mut seen = std::collections::HashSet::new();
    let measured = cells.iter().filter_map(|c| c.params.get(param));
    let mut values: Vec<ParamValue> = measured.filter(|v| seen.insert(v.to_string())).cloned().collect();
    if values.iter().all(|v| v.as_f64().is_some()) {
        values.sort_by(|a, b| a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)));
    } else {
        let place: HashMap<String, usize> =
            listed.iter().enumerate().map(|(i, v)| (v.to_string(), i)).collect();
        values.sort_by_key(|v| place.get(&v.to_string()).copied().unwrap_or(usize::MAX));
    }
    values
}

/// The rank of each cell in the order of the sweep, the first axis slowest; then by name.
fn order(axes: &[Axis], cells: &[Cell]) -> Vec<usize> {
    let places: Vec<HashMap<String, usize>> = axes
        .iter()
        .map(|axis| axis.values.iter().enumerate().map(|(i, v)| (v.to_string(), i)).collect())
        .collect();
    let key = |cell: &Cell| -> Vec<usize> {
        let place = |(axis, places): (&Axis, &HashMap<String, usize>)| {
            cell.params
                .get(&axis.param)
                .and_then(|v| places.get(&v.to_string()))
                .copied()
                .unwrap_or(usize::MAX)
        };
        axes.iter().zip(&places).map(place).collect()
    };
    let mut by_rank: Vec<usize> = (0..cells.len()).collect();
    by_rank.sort_by_cached_key(|&i| (key(&cells[i]), cells[i].name.clone()));
    let mut rank = vec![0; cells.len()];
    for (r, i) in by_rank.into_iter().enumerate() {
        rank[i] = r;
    }
    rank
}
