//! A finished run's folder as the calibration reads it: what was planned, measured and decided.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use crossover_reports::load::Journal;
use crossover_reports::record::{Crossover, Sample, Verdict, VerdictKind};
use serde::de::DeserializeOwned;

use crate::plan::Planned;

/// Share of the planned samples that must have been measured undisturbed for a run to count.
const CLEAN_SHARE: f64 = 0.9;

/// What identifies a planned sample: cell, strategy, process round, round.
pub(super) type Key = (String, String, u32, u32);

/// A run that has been measured and reported.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) plan: Vec<Planned>,
    pub(super) samples: Vec<Sample>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) crossovers: Vec<Crossover>,
}

impl Finished {
    /// Reads the folder of a run.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        Ok(Self {
            plan: plan(dir)?,
            samples: Journal::read(&dir.join("samples.jsonl"))?.samples,
            verdicts: json(&dir.join("verdicts.json"))?,
            crossovers: json(&dir.join("crossovers.json"))?,
        })
    }

    /// Planned samples that were measured at least once without a disturbance, as a share.
    pub(super) fn clean_share(&self) -> f64 {
        let clean: HashSet<Key> =
            self.samples.iter().filter(|sample| sample.quarantined.is_none()).map(key_of_sample).collect();
        let planned: HashSet<Key> = self.plan.iter().map(key_of_planned).collect();
        planned.intersection(&clean).count() as f64 / planned.len().max(1) as f64
    }

    /// Whether so little of it was disturbed that it counts as measured on a quiet machine.
    pub(super) fn is_quiet(&self) -> bool {
        self.clean_share() >= CLEAN_SHARE
    }

    /// The largest foreign load of a block, in cores.
    pub(super) fn foreign_cores_max(&self) -> f64 {
        self.samples.iter().map(|sample| sample.foreign_cores).fold(0.0, f64::max)
    }

    /// Verdicts of a kind.
    pub(super) fn count(&self, kind: VerdictKind) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.verdict == kind).count()
    }

    /// Wall times of the undisturbed samples of `strategy`, by cell, as logarithms.
    pub(super) fn log_walls(&self, strategy: &str) -> BTreeMap<&str, Vec<f64>> {
        let mut walls: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let counts = |sample: &&Sample| {
            sample.strategy == strategy && sample.ok && sample.quarantined.is_none() && sample.wall_ns > 0
        };
        for sample in self.samples.iter().filter(counts) {
            walls.entry(&sample.cell).or_default().push((sample.wall_ns as f64).ln());
        }
        walls
    }

    /// What is wrong with the journal, if anything: a planned sample without a measurement, one that was not
    /// planned, one that counts twice.
    pub(super) fn fault(&self) -> Option<String> {
        let planned: HashSet<Key> = self.plan.iter().map(key_of_planned).collect();
        let mut counted: HashMap<Key, u32> = HashMap::new();
        let mut orders = HashSet::new();
        for sample in &self.samples {
            let key = key_of_sample(sample);
            if !planned.contains(&key) {
                return Some(format!("{key:?} was measured without a plan"));
            }
            if !orders.insert(sample.order) {
                return Some(format!("two samples have the order {}", sample.order));
            }
            *counted.entry(key).or_default() += u32::from(sample.quarantined.is_none());
        }
        let twice = counted.iter().find(|(_, times)| **times > 1).map(|(key, _)| key);
        let missing = planned.iter().find(|key| !counted.contains_key(*key));
        match (twice, missing) {
            (Some(key), _) => Some(format!("{key:?} counts twice")),
            (None, Some(key)) => Some(format!("{key:?} is missing")),
            (None, None) => None,
        }
    }
}

/// The plan of the run in `dir`; empty while there is none.
pub(super) fn plan(dir: &Path) -> Result<Vec<Planned>> {
    let path = dir.join("plan.jsonl");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{} holds no plan", path.display())));
    lines.collect()
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let fail = || format!("cannot read {}", path.display());
    serde_json::from_str(&fs::read_to_string(path).with_context(fail)?).with_context(fail)
}

fn key_of_planned(planned: &Planned) -> Key {
    (planned.cell.clone(), planned.strategy.clone(), planned.process, planned.round)
}

fn key_of_sample(sample: &Sample) -> Key {
    (sample.cell.clone(), sample.strategy.clone(), sample.process, sample.round)
}
