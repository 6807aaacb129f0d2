//! Which samples may be used, and what stands against trusting the run.
//!
//! - An attempt that was quarantined, or whose block had more foreign load than the limit, does not count; where
//!   an attempt was repeated, the last one that counts is used.
//! - A wrong checksum is wrong whatever the load was: it is looked for in every attempt, and it invalidates the cell.
//! - A sample whose wall time is 0 is a failure, and so is one that is not `ok` though its checksum is right.
//! - A strategy that does not fit the work of a cell takes no part there; that is no failure.
//! - A strategy that failed in a cell loses this cell, also when other rounds went well: the rounds that survive a
//!   failure are not a fair sample of it.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::analysis::hierarchy::median;
use crate::analysis::index::Index;
use crate::analysis::model::{BlockInfo, Trust};
use crate::record::Sample;

/// The strategy whose results are the truth where it ran.
const ORACLE: &str = "sequential";

/// What became of the samples.
#[derive(Debug)]
pub(crate) struct Integrity {
    /// Indices of the samples that count, ordered by cell, strategy, process, round.
    pub(crate) usable: Vec<usize>,
    /// Why a cell has no verdict, by cell.
    pub(crate) no_verdict: Vec<Option<String>>,
    pub(crate) trust: Trust,
    pub(crate) blocks: Vec<BlockInfo>,
}

/// Sorts the samples into those that count and those that do not.
pub(crate) fn check(samples: &[Sample], index: &Index, baseline: &str, limit: f64) -> Integrity {
    let clean = |s: &Sample| s.quarantined.is_none() && s.foreign_cores <= limit;
    let mismatches = mismatches(samples, index, baseline);
    // The attempts of one (cell, strategy, process, round), oldest first.
    let mut attempts: BTreeMap<(usize, usize, u32, u32), Vec<usize>> = BTreeMap::new();
    for (i, sample) in samples.iter().enumerate() {
        let (cell, strategy) = index.places[i];
        attempts.entry((cell, strategy, sample.process, sample.round)).or_default().push(i);
    }
    let mut failures: BTreeMap<(usize, usize), String> = BTreeMap::new();
    let mut unfit: BTreeMap<(usize, usize), String> = BTreeMap::new();
    let mut usable = Vec::new();
    let mut clean_cells = BTreeSet::new();
    let mut duplicates = 0;
    for (&(cell, strategy, ..), tries) in &mut attempts {
        // A sample that was written twice is one sample; the later copy that counts is the one.
        tries.sort_by_key(|&i| (samples[i].order, clean(&samples[i])));
        tries.dedup_by(|later, kept| {
            let twice = samples[*later].order == samples[*kept].order;
            if twice {
                duplicates += 1;
                *kept = *later;
            }
            twice
        });
        let last_clean = tries.iter().rev().copied().find(|&i| clean(&samples[i]));
        let Some(decisive) = last_clean.or(tries.last().copied()) else { continue };
        if samples[decisive].unfit && !samples[decisive].ok {
            unfit.entry((cell, strategy)).or_insert_with(|| reason(&samples[decisive]));
        } else if !judgeable(&samples[decisive]) && !mismatches.contains(&(cell, strategy)) {
            failures.entry((cell, strategy)).or_insert_with(|| reason(&samples[decisive]));
        } else if last_clean.is_some() && judgeable(&samples[decisive]) {
            usable.push((cell, strategy, decisive));
        }
        if last_clean.is_some() {
            clean_cells.insert(cell);
        }
    }
    // Who failed and did not fit elsewhere in the cell has failed.
    unfit.retain(|pair, _| !failures.contains_key(pair));
    let lost = |pair: (usize, usize)| failures.contains_key(&pair) || unfit.contains_key(&pair);
    usable.retain(|&(cell, strategy, _)| !lost((cell, strategy)));
    let no_verdict = no_verdicts(samples, index, &mismatches, &clean_cells, limit);
    let name =
        |cell: usize, strategy: usize| (index.cells[cell].name.clone(), index.strategies[strategy].clone());
    let told = |((cell, strategy), reason): ((usize, usize), String)| {
        let (cell, strategy) = name(cell, strategy);
        (cell, strategy, reason)
    };
    let blocks = blocks(samples, &attempts, limit);
    let mut foreign: Vec<f64> = blocks.iter().map(|b| b.foreign_cores).collect();
    foreign.sort_by(f64::total_cmp);
    let server_share = |i: &usize| {
        let s = &samples[*i];
        s.server_cpu_ns.map(|cpu| cpu as f64 / s.wall_ns.max(1) as f64)
    };
    let trust = Trust {
        foreign_cores_median: if foreign.is_empty() { 0.0 } else { median(&foreign) },
        foreign_cores_max: foreign.last().copied().unwrap_or(0.0),
        foreign_cores_limit: limit,
        quarantined: samples.iter().filter(|s| !clean(s)).count(),
        samples: samples.len(),
        mismatches: mismatches.iter().map(|&(cell, strategy)| name(cell, strategy)).collect(),
        failures: failures.into_iter().map(told).collect(),
        unfit: unfit.into_iter().map(told).collect(),
        contaminated: !samples.is_empty() && clean_cells.is_empty(),
        disturbance: disturbance(samples, limit),
        duplicates,
        server_share_max: usable.iter().filter_map(|(.., i)| server_share(i)).reduce(f64::max),
    };
    Integrity { usable: usable.into_iter().map(|(.., i)| i).collect(), no_verdict, trust, blocks }
}

/// Whether a sample is a measurement at all: nothing takes no time.
fn judgeable(sample: &Sample) -> bool {
    sample.ok && sample.wall_ns > 0
}

/// Why a sample is none.
fn reason(sample: &Sample) -> String {
    let unsaid =
        if sample.ok { "a wall time of 0 cannot be judged" } else { "the strategy reported failure" };
    sample.error.clone().unwrap_or_else(|| unsaid.to_owned())
}

/// What disturbed those of `samples` that do not count: the two commonest kinds of reason, each with its worst foreign load
/// or with the words that were recorded most often. Reasons that differ in their figures alone are of one kind.
fn disturbance<'a>(samples: impl IntoIterator<Item = &'a Sample>, limit: f64) -> String {
    let mut foreign = (0, 0.0_f64);
    let mut kinds: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for sample in samples {
        if sample.foreign_cores > limit {
            foreign = (foreign.0 + 1, foreign.1.max(sample.foreign_cores));
        } else if let Some(text) = sample.quarantined.as_deref() {
            let kind: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
            *kinds.entry(kind).or_default().entry(text).or_default() += 1;
        }
    }
    let mut reasons: Vec<(usize, String)> = kinds
        .into_values()
        .map(|texts| {
            let commonest = texts.iter().max_by_key(|&(text, n)| (n, std::cmp::Reverse(text)));
            (texts.values().sum(), commonest.map_or_else(String::new, |(text, _)| (*text).to_owned()))
        })
        .collect();
    if foreign.0 > 0 {
        reasons.push((foreign.0, format!("more than {limit} foreign cores, up to {:.2}", foreign.1)));
    }
    reasons.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let words: Vec<&str> = reasons.iter().take(2).map(|(_, text)| text.as_str()).collect();
    words.join("; ")
}

fn no_verdicts(
    samples: &[Sample],
    index: &Index,
    mismatches: &BTreeSet<(usize, usize)>,
    clean_cells: &BTreeSet<usize>,
    limit: f64,
) -> Vec<Option<String>> {
    let wrong = |cell: usize| -> Vec<&str> {
        mismatches.range((cell, 0)..(cell + 1, 0)).map(|&(_, s)| index.strategies[s].as_str()).collect()
    };
    let mut disturbed: Vec<Vec<&Sample>> = vec![Vec::new(); index.cells.len()];
    for (sample, &(cell, _)) in samples.iter().zip(&index.places).filter(|(_, p)| !clean_cells.contains(&p.0))
    {
        disturbed[cell].push(sample);
    }
    (0..index.cells.len())
        .map(|cell| {
            let wrong = wrong(cell);
            if !wrong.is_empty() {
                Some(format!("checksum mismatch: {} computed something else", wrong.join(", ")))
            } else if !clean_cells.contains(&cell) {
                Some(format!(
                    "contaminated in every round: {}",
                    disturbance(disturbed[cell].iter().copied(), limit)
                ))
            } else {
                None
            }
        })
        .collect()
}

/// (cell, strategy) whose checksum is not the oracle's for the same seed.
///
/// The oracle is `sequential` where it ran, else the baseline, else what most samples say.
fn mismatches(samples: &[Sample], index: &Index, baseline: &str) -> BTreeSet<(usize, usize)> {
    let mut inputs: BTreeMap<(usize, u64), Vec<usize>> = BTreeMap::new();
    for (i, sample) in samples.iter().enumerate() {
        inputs.entry((index.places[i].0, sample.seed)).or_default().push(i);
    }
    let mut found = BTreeSet::new();
    for group in inputs.values() {
        let by = |name: &str| majority(samples, group, |s| s.ok && s.strategy == name);
        let truth = by(ORACLE).or_else(|| by(baseline)).or_else(|| majority(samples, group, |s| s.ok));
        for &i in group {
            let s = &samples[i];
            let wrong = match truth {
                Some(truth) if s.ok => s.checksum != truth,
                // Failed without a result: a failure, not a mismatch.
                _ if s.checksum.is_empty() => false,
                Some(truth) => s.checksum != truth,
                // Nothing here is right; a result that was refused without an error was not the oracle's.
                None => s.error.is_none(),
            };
            if wrong {
                found.insert(index.places[i]);
            }
        }
    }
    found
}

/// The most frequent checksum among the samples of `group` that `counts` admits; the earlier one where two are level.
fn majority<'a>(samples: &'a [Sample], group: &[usize], counts: impl Fn(&Sample) -> bool) -> Option<&'a str> {
    let mut votes: HashMap<&str, (usize, usize)> = HashMap::new();
    for (at, sample) in group.iter().map(|&i| &samples[i]).filter(|s| counts(s)).enumerate() {
        votes.entry(&sample.checksum).or_insert((0, at)).0 += 1;
    }
    votes
        .into_iter()
        .max_by_key(|&(_, (n, first))| (n, std::cmp::Reverse(first)))
        .map(|(checksum, _)| checksum)
}

/// Blocks in the order in which they ran; the attempts of one block are separate entries.
fn blocks(
    samples: &[Sample],
    attempts: &BTreeMap<(usize, usize, u32, u32), Vec<usize>>,
    limit: f64,
) -> Vec<BlockInfo> {
    let mut found: BTreeMap<(u32, u32, usize), (u64, BlockInfo)> = BTreeMap::new();
    for (&(_, _, process, round), tries) in attempts {
        for (attempt, &i) in tries.iter().enumerate() {
            let sample = &samples[i];
            let new = BlockInfo { process, round, foreign_cores: 0.0, quarantined: false };
            let (order, block) = found.entry((process, round, attempt)).or_insert((u64::MAX, new));
            *order = sample.order.min(*order);
            block.foreign_cores = block.foreign_cores.max(sample.foreign_cores);
            block.quarantined |= sample.quarantined.is_some() || sample.foreign_cores > limit;
        }
    }
    let mut blocks: Vec<(u64, BlockInfo)> = found.into_values().collect();
    blocks.sort_by_key(|(order, block)| (*order, block.process, block.round));
    blocks.into_iter().map(|(_, block)| block).collect()
}
