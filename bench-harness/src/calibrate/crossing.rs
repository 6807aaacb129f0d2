//! A known crossing must lie in its interval: costs a + b·n through the real analysis, with this machine's noise.
//!
//! Nothing is measured here. The true costs are chosen, so the true crossing is known; noise is drawn from what the
//! comparisons of identical code left over: how far a process's median lies from its cell's, and a round from its
//! process's. Samples go through the files that a run writes, and through the reader and the analysis of every report.
use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use crossover_reports::analysis::analyse;
use crossover_reports::load::Folder;
use crossover_reports::record::Sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::folder::Finished;
use super::identical::median;
use super::lab::{Lab, Stop};
use super::table::Row;
use crate::progress::Progress;

const NAME: &str = "known crossing";

/// Points of the sweep: 9 from 1 to 500, evenly on a log axis.
const POINTS: u32 = 9;
const LAST: f64 = 500.0;

/// Where the true crossing may lie.
const TRUTH: [f64; 2] = [3.0, 150.0];

const PROCESSES: u32 = 5;
const ROUNDS: u32 = 8;

/// Seed of the first experiment; each has the next one.
const SEED: u64 = 20;

/// Deviations of measured times, as logarithms.
#[derive(Debug, Default)]
pub(super) struct Noise {
    /// Of a process's median from its cell's.
    processes: Vec<f64>,
    /// Of a round from its process's median.
    rounds: Vec<f64>,
}

impl Noise {
    /// Takes what the samples of a run show.
    pub(super) fn add(&mut self, run: &Finished) {
        let mut groups: BTreeMap<(&str, &str), BTreeMap<u32, Vec<f64>>> = BTreeMap::new();
        let counts = |sample: &&Sample| sample.ok && sample.quarantined.is_none() && sample.wall_ns > 0;
        for sample in run.samples.iter().filter(counts) {
            let processes = groups.entry((&sample.cell, &sample.strategy)).or_default();
            processes.entry(sample.process).or_default().push((sample.wall_ns as f64).ln());
        }
        for mut processes in groups.into_values() {
            let mut all: Vec<f64> = processes.values().flatten().copied().collect();
            let Some(centre) = median(&mut all) else { continue };
            for logs in processes.values_mut() {
                let Some(of_process) = median(logs) else { continue };
                self.processes.push(of_process - centre);
                self.rounds.extend(logs.iter().map(|log| log - of_process));
            }
        }
    }

    /// Whether there is enough of it to stand for a machine.
    fn is_known(&self) -> bool {
        self.processes.len() >= 20 && self.rounds.len() >= 100
    }
}

/// Analyses `experiments` sweeps with a known crossing each.
pub(super) fn row(lab: &Lab, progress: &mut Progress, noise: &Noise, experiments: u32) -> Result<Row, Stop> {
    let needed = (experiments * 9).div_ceil(10);
    let bar = format!("in ≥ {needed} of {experiments}");
    if !noise.is_known() {
        let detail = "the noise of this machine was not measured".to_owned();
        return Ok(Row::disturbed("crossing", NAME, bar, detail));
    }
    progress.stage(&format!("crossing: {experiments} sweeps with a known crossing"));
    let mut covered = 0;
    for index in 0..experiments {
        lab.go_on()?;
        covered += u32::from(is_covered(lab, noise, SEED + u64::from(index))?);
    }
    let detail = format!("the interval holds the truth in {covered} of {experiments}");
    let figures = json!({ "count": covered, "of": experiments });
    Ok(Row::measured("crossing", NAME, bar, detail, covered >= needed, figures))
}

/// Whether the interval of the one crossing that is there holds it.
fn is_covered(lab: &Lab, noise: &Noise, seed: u64) -> Result<bool, Stop> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let truth = TRUTH[0] * (TRUTH[1] / TRUTH[0]).powf(rng.random::<f64>());
    let dir = lab.path("crossing");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let xs: Vec<f64> = (0..POINTS).map(|i| LAST.powf(f64::from(i) / f64::from(POINTS - 1))).collect();
    let config = format!("[experiment]\nname = \"crossing\"\n[workload]\nkind = \"mixed\"\nn = {xs:?}\n");
    let lines: Vec<String> = samples(&xs, truth, noise, &mut rng).iter().map(Value::to_string).collect();
    for (name, text) in [("config.toml", config), ("samples.jsonl", lines.join("\n") + "\n")] {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let folder = Folder::read(&dir).context("cannot read the synthetic run")?;
    let analysis = analyse(&folder, &crossover_reports::Options::default());
    let intervals: Vec<[f64; 2]> = analysis.crossovers.iter().filter_map(|crossing| crossing.ci).collect();
    Ok(matches!(intervals[..], [[low, high]] if (low..=high).contains(&truth)))
}

/// The samples of a sweep in which 8·n and a + 4·n cross at `truth`, in microseconds.
fn samples(xs: &[f64], truth: f64, noise: &Noise, rng: &mut ChaCha8Rng) -> Vec<Value> {
    let costs: [(&str, f64, f64); 2] = [("flat", 4.0 * truth, 4.0), ("steep", 0.0, 8.0)];
    let mut pick = |from: &[f64]| from[rng.random_range(0..from.len())];
    let mut samples = Vec::new();
    for process in 0..PROCESSES {
        let offsets: Vec<f64> = (0..xs.len() * costs.len()).map(|_| pick(&noise.processes)).collect();
        for round in 0..ROUNDS {
            for (at, &x) in xs.iter().enumerate() {
                for (side, (strategy, a, b)) in costs.iter().enumerate() {
                    let log = offsets[at * costs.len() + side] + pick(&noise.rounds);
                    let wall_ns = ((a + b * x) * 1e3 * log.exp()).round() as u64;
                    samples.push(json!({
                        "schema": 1, "run": "r-crossing", "cell": format!("n={x}"), "params": {"n": x},
                        "strategy": strategy, "process": process, "round": round, "order": samples.len(),
                        "seed": 1, "batch": 1, "tasks": 1, "wall_ns": wall_ns, "user_ns": wall_ns, "sys_ns": 0,
                        "rss_peak_kib": 4096, "vcsw": 0, "ivcsw": 0, "steal_ticks": 0, "foreign_cores": 0.0,
                        "checksum": "1", "ok": true, "quarantined": null,
                    }));
                }
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A noise of a known size, without chance.
    fn noise(processes: f64, rounds: f64) -> Noise {
        let spread = |n: i32, sd: f64| (-n..=n).map(|i| sd * 1.7 * f64::from(i) / f64::from(n)).collect();
        Noise { processes: spread(20, processes), rounds: spread(100, rounds) }
    }

    #[test]
    fn a_known_crossing_is_covered_and_a_wrong_one_is_not() {
        let noise = noise(0.005, 0.01);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows = samples(&[1.0, 10.0, 100.0], 10.0, &noise, &mut rng);
        assert_eq!(rows.len(), 3 * 2 * (PROCESSES * ROUNDS) as usize);
        let median_of = |strategy: &str, cell: &str| {
            let of = |row: &&Value| row["strategy"] == strategy && row["cell"] == cell;
            let mut walls: Vec<f64> =
                rows.iter().filter(of).filter_map(|row| row["wall_ns"].as_f64()).collect();
            median(&mut walls).unwrap()
        };
        let at_truth = median_of("flat", "n=10") / median_of("steep", "n=10");
        assert!((at_truth - 1.0).abs() < 0.02, "{at_truth}");
        assert!(median_of("steep", "n=1") < median_of("flat", "n=1"));
        assert!(median_of("flat", "n=100") < median_of("steep", "n=100"));
    }

    #[test]
    fn noise_that_was_not_measured_is_not_made_up() {
        assert!(!Noise::default().is_known());
        assert!(noise(0.01, 0.01).is_known());
    }
}
