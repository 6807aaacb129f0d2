//! Analyses made up for tests: costs of the form `fixed + share × work`, and every nasty shape that a run can have.
//!
//! Only the parts that pictures and tables read are consistent with each other: a verdict follows from the medians
//! and a made-up interval, a crossing from the straight line between two cells.
use std::collections::BTreeMap;

mod nasty;
mod parts;
mod xml;

pub(crate) use nasty::{nasty, random};
pub(crate) use xml::well_formed;

use crate::analysis::model::{Analysis, Axis, BlockInfo, CellAnalysis, StrategyStats, Trust};
use crate::record::{Crossover, ParamValue, Params, Verdict, VerdictKind, Versus, cell_name};

/// The strategies of the suite.
pub(crate) const SUITE: [&str; 7] =
    ["sequential", "event-loop", "work-stealing", "threads", "thread-per-task", "blocking-pool", "processes"];

/// Wall and CPU time in nanoseconds of a strategy in a cell; `None` where it was not measured.
pub(crate) type Cost = dyn Fn(&str, &Params) -> Option<(f64, f64)>;

/// An experiment over `axes` with the given cost of every strategy.
pub(crate) fn experiment(name: &str, axes: Vec<Axis>, strategies: &[&str], cost: &Cost) -> Analysis {
    let strategies: Vec<String> = strategies.iter().map(|s| (*s).to_owned()).collect();
    let mut cells = vec![Params::new()];
    for axis in axes.iter().rev() {
        let grown = |value: &ParamValue| {
            let with = |params: &Params| {
                let mut params = params.clone();
                params.insert(axis.param.clone(), value.clone());
                params
            };
            cells.iter().map(with).collect::<Vec<_>>()
        };
        cells = axis.values.iter().flat_map(grown).collect();
    }
    let cells: Vec<CellAnalysis> = cells.into_iter().map(|params| cell(params, &strategies, cost)).collect();
    let crossovers = crossovers(&axes, &strategies, &cells);
    Analysis {
        name: name.to_owned(),
        question: "When does it pay?".to_owned(),
        prose: "First paragraph of prose.\n\nSecond paragraph.".to_owned(),
        workload: "mixed".to_owned(),
        constants: vec![("tasks".to_owned(), ParamValue::Int(24))],
        run: "r-7f3a".to_owned(),
        headline: format!("{name}: one sentence with the finding"),
        axes,
        baseline: strategies.first().cloned().unwrap_or_default(),
        strategies,
        margin: 0.03,
        confidence: 0.95,
        process_rounds: 5,
        rounds: 8,
        cells,
        crossovers,
        trust: Trust {
            foreign_cores_limit: 0.15,
            foreign_cores_max: 0.11,
            samples: 1200,
            ..Trust::default()
        },
        blocks: blocks(5, 8),
        ..Analysis::default()
    }
}

/// A numeric axis.
pub(crate) fn numbers(param: &str, values: &[f64]) -> Axis {
    let value = |x: &f64| if x.fract() == 0.0 { ParamValue::Int(*x as i64) } else { ParamValue::Float(*x) };
    Axis { param: param.to_owned(), values: values.iter().map(value).collect() }
}

/// An axis of names.
pub(crate) fn names(param: &str, values: &[&str]) -> Axis {
    Axis {
        param: param.to_owned(),
        values: values.iter().map(|v| ParamValue::Text((*v).to_owned())).collect(),
    }
}

/// `count` values from `low` to `high` in equal ratios.
pub(crate) fn log_values(low: f64, high: f64, count: usize) -> Vec<f64> {
    let step = (high / low).powf(1.0 / (count.max(2) - 1) as f64);
    (0..count).map(|i| (low * step.powi(i as i32) * 100.0).round() / 100.0).collect()
}

fn number(params: &Params, param: &str) -> f64 {
    params.get(param).and_then(ParamValue::as_f64).unwrap_or(0.0)
}

/// A noise of up to ±1 that depends on the names only.
fn noise(strategy: &str, params: &Params) -> f64 {
    let text = format!("{strategy}/{}", cell_name(params));
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (hash >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// What the suite's strategies cost for tasks that compute `cpu_us` and wait `wait_us`, on two cores.
pub(crate) fn mixed_cost(strategy: &str, params: &Params) -> Option<(f64, f64)> {
    let (cpu, wait, tasks) = (number(params, "cpu_us"), number(params, "wait_us"), 24.0);
    let (fixed, workers, in_flight) = match strategy {
        "sequential" => (0.2, 1.0, 1.0),
        "event-loop" => (3.0, 1.0, 1000.0),
        "work-stealing" => (14.0, 2.0, 1000.0),
        "threads" => (22.0, 2.0, 8.0),
        "thread-per-task" => (190.0, 2.0, 1000.0),
        "blocking-pool" => (60.0, 2.0, 512.0),
        "processes" => (110.0, 2.0, 2.0),
        _ => (40.0 + 3.0 * strategy.len() as f64, 2.0, 24.0),
    };
    let waves = (tasks / f64::min(in_flight, tasks)).ceil();
    let jitter = 1.0 + 0.01 * noise(strategy, params);
    let wall = (fixed + tasks * cpu / workers + waves * wait).max(0.05) * jitter * 1e3;
    let burn = (fixed * workers / tasks + cpu) * jitter * 1e3;
    Some((wall, burn.max(5.0)))
}

fn cell(params: Params, strategies: &[String], cost: &Cost) -> CellAnalysis {
    let stats: Vec<Option<StrategyStats>> = strategies
        .iter()
        .map(|name| {
            let (wall, cpu) = cost(name, &params)?;
            let wide = 0.012 + 0.03 * noise(&format!("{name}-ci"), &params).abs();
            Some(StrategyStats {
                samples: 40,
                wall_ns: wall,
                wall_ci_ns: [wall * (1.0 - wide), wall * (1.0 + wide)],
                cpu_per_task_ns: cpu,
                cpu_ci_ns: [cpu * (1.0 - wide), cpu * (1.0 + wide)],
                rss_peak_kib: (5120.0 + 40.0 * name.len() as f64 * noise(name, &Params::new()).abs()).round(),
                switches: 51.0,
            })
        })
        .collect();
    let walls: Vec<Option<f64>> = stats.iter().map(|s| s.as_ref().map(|s| s.wall_ns)).collect();
    let verdict = verdict(&params, strategies, &walls);
    // The baseline is the first strategy, see `experiment`.
    let reference = stats.first().and_then(Option::as_ref).map(|s| s.wall_ns);
    let gain =
        |s: &Option<StrategyStats>| Some(reference? / s.as_ref()?.wall_ns).filter(|gain| *gain > 1.045);
    let gains = stats.iter().map(gain).collect();
    CellAnalysis {
        cell: cell_name(&params),
        params,
        tasks: 24,
        stats,
        verdict,
        gains,
        no_verdict: None,
        behind: Vec::new(),
    }
}

/// Who wins by these figures.
fn verdict(params: &Params, strategies: &[String], values: &[Option<f64>]) -> Option<Verdict> {
    let mut walls: Vec<(&String, f64)> =
        strategies.iter().zip(values).filter_map(|(n, value)| Some((n, (*value)?))).collect();
    walls.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (winner, least) = *walls.first()?;
    let versus: BTreeMap<String, Versus> = walls[1..]
        .iter()
        .map(|(name, wall)| {
            let ratio = wall / least;
            ((*name).clone(), Versus { ratio, ci: [ratio * 0.99, ratio * 1.01] })
        })
        .collect();
    let closest = walls.get(1).map_or(f64::INFINITY, |second| second.1 / least);
    let kind = match closest {
        r if r > 1.045 => VerdictKind::Wins,
        r if r > 1.03 => VerdictKind::Leans,
        r if r < 1.012 => VerdictKind::Tie,
        _ => VerdictKind::Undecided,
    };
    let near = walls.iter().filter(|(_, wall)| wall / least <= 1.045).map(|(name, _)| (*name).clone());
    let best = if kind == VerdictKind::Wins { vec![winner.clone()] } else { near.collect() };
    let (cell, metric) = (cell_name(params), "wall".to_owned());
    Some(Verdict {
        cell,
        params: params.clone(),
        metric,
        verdict: kind,
        winner: Some(winner.clone()),
        best,
        versus,
    })
}

fn crossovers(axes: &[Axis], strategies: &[String], cells: &[CellAnalysis]) -> Vec<Crossover> {
    let mut found = Vec::new();
    for axis in axes.iter().filter(|axis| axis.is_numeric()) {
        let mut slices: BTreeMap<String, (Params, Vec<&CellAnalysis>)> = BTreeMap::new();
        for cell in cells {
            let mut fixed = cell.params.clone();
            fixed.remove(&axis.param);
            slices.entry(cell_name(&fixed)).or_insert_with(|| (fixed, Vec::new())).1.push(cell);
        }
        for (fixed, mut slice) in slices.into_values() {
            slice.sort_by(|a, b| number(&a.params, &axis.param).total_cmp(&number(&b.params, &axis.param)));
            for a in 0..strategies.len() {
                for b in a + 1..strategies.len() {
                    found.extend(crossings_of(axis, &fixed, &slice, (a, b), strategies));
                }
            }
        }
    }
    found
}

fn crossings_of(
    axis: &Axis,
    fixed: &Params,
    slice: &[&CellAnalysis],
    (a, b): (usize, usize),
    strategies: &[String],
) -> Vec<Crossover> {
    let gaps: Vec<(f64, f64)> = slice
        .iter()
        .filter_map(|cell| {
            let (a, b) = (cell.stats[a].as_ref()?, cell.stats[b].as_ref()?);
            Some((number(&cell.params, &axis.param), (b.wall_ns / a.wall_ns).ln()))
        })
        .collect();
    let row = |from: &String, to: &String, at: Option<f64>, p_none: f64| Crossover {
        metric: "wall".to_owned(),
        param: axis.param.clone(),
        fixed: fixed.clone(),
        from: from.clone(),
        to: to.clone(),
        at,
        ci: at.map(|x| [x * 0.96, x * 1.05]),
        p_none,
        indifference: at.map(|x| [x * 0.9, x * 1.12]),
        edge: None,
    };
    let mut rows = Vec::new();
    for pair in gaps.windows(2) {
        let ((x0, g0), (x1, g1)) = (pair[0], pair[1]);
        if (g0 > 0.0) != (g1 > 0.0) {
            let share = g0 / (g0 - g1);
            let at = if x0 > 0.0 { x0 * (x1 / x0).powf(share) } else { x0 + share * (x1 - x0) };
            let (from, to) = if g0 > 0.0 { (a, b) } else { (b, a) };
            rows.push(row(&strategies[from], &strategies[to], Some(at), 0.0));
        }
    }
    if rows.is_empty() && !gaps.is_empty() {
        rows.push(row(&strategies[a], &strategies[b], None, 1.0));
    }
    rows
}

fn blocks(processes: u32, rounds: u32) -> Vec<BlockInfo> {
    let block = |process: u32, round: u32| {
        let foreign =
            0.02 + 0.02 * noise("block", &Params::from([(format!("{process}-{round}"), ParamValue::Int(0))]));
        BlockInfo { process, round, foreign_cores: foreign, quarantined: false }
    };
    (0..processes).flat_map(|p| (0..rounds).map(move |r| block(p, r))).collect()
}

/// The mixed experiment of the tour: two axes, one with a zero.
pub(crate) fn mixed() -> Analysis {
    let axes = vec![
        numbers("cpu_us", &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0]),
        numbers("wait_us", &[0.0, 100.0, 500.0, 2000.0, 5000.0]),
    ];
    experiment("mixed", axes, &SUITE, &mixed_cost)
}

/// One axis, as the standard picture has it.
pub(crate) fn one_axis() -> Analysis {
    experiment(
        "cpu",
        vec![numbers("cpu_us", &log_values(0.3, 2000.0, 13))],
        &["sequential", "threads"],
        &mixed_cost,
    )
}
