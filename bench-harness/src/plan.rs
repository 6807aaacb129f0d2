//! An experiment's plan: every sample that is to be taken, in the order in which it is taken.
//!
//! A block is one (process, round) pair; within it every (cell, strategy) pair stands once, in a random order of
//! the block's own. The plan follows from the experiment, the seed and the counts alone, so that it can be told
//! again from what `plan.jsonl` and `config.resolved.toml` record.
use std::collections::BTreeMap;

use crossover_reports::record::Params;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::config::Experiment;

/// One planned sample: a line of `plan.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Position in the plan, from 0.
    pub order: u64,
    /// Index of the process round, from 0.
    pub process: u32,
    /// Index of the round within the process round, from 0.
    pub round: u32,
    /// The cell's name.
    pub cell: String,
    /// The cell's swept parameters.
    pub params: Params,
    /// The strategy's name.
    pub strategy: String,
    /// How many times the whole work runs within the sample.
    pub batch: u32,
    /// Seed of the workload's input: the same for every strategy and round, so that one oracle judges all.
    pub seed: u64,
    /// Tasks in one run of the whole work.
    pub tasks: u32,
}

/// Plans `processes` × `rounds` blocks, each one random permutation of all (cell, strategy) pairs.
///
/// `batch` gives the batch per cell name, the same for every strategy; a cell without one gets 1.
#[must_use]
pub fn build_plan(
    exp: &Experiment,
    seed: u64,
    processes: u32,
    rounds: u32,
    batch: &BTreeMap<String, u32>,
) -> Vec<Planned> {
    let cells = exp.cells();
    let mut pairs: Vec<_> =
        cells.iter().flat_map(|cell| exp.strategies.include.iter().map(move |name| (cell, name))).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut plan = Vec::with_capacity(pairs.len() * processes as usize * rounds as usize);
    for process in 0..processes {
        for round in 0..rounds {
            pairs.shuffle(&mut rng);
            for (cell, strategy) in &pairs {
                plan.push(Planned {
                    order: plan.len() as u64,
                    process,
                    round,
                    cell: cell.name.clone(),
                    params: cell.params.clone(),
                    strategy: (*strategy).clone(),
                    batch: batch.get(&cell.name).copied().unwrap_or(1),
                    seed,
                    tasks: cell.tasks,
                });
            }
        }
    }
    plan
}
