//! Inside a claim's trial: a fresh process that makes one repeat of one experiment, or checks one fact, and says what it saw.
//!
//! `crossover claim-trial figure ID …` prints one line of JSON, [`Answer`], and ends; so does `claim-trial fact NAME`. A repeat that
//! changes its process (limits, affinity, memory, a crash) harms no other. The process dies with the coordinator.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::figures::Trouble;
use super::{facts, table};
use crate::{strategy, text, trial};

/// What an experiment is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// In full size.
    pub(crate) full: bool,
    /// Seed of the inputs.
    pub(crate) seed: u64,
    /// Where `crossover serve` listens.
    pub(crate) server: Option<SocketAddr>,
    /// Where the stand-in for a database listens.
    pub(crate) stand_in: Option<SocketAddr>,
    /// Cores that may be used.
    pub(crate) cores: usize,
}

/// What a trial says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// By name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) figures: BTreeMap<String, f64>,
    /// What else is worth saying.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// Why it cannot be measured here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    /// Of a fact: whether it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holds: Option<bool>,
    /// Of a fact: what was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// The hidden command's options.
#[derive(Debug, Args)]
pub struct Arguments {
    /// `figure` or `fact`
    what: String,
    /// The row's id, or the fact's name
    name: String,
    #[arg(long)]
    full: bool,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long)]
    server: Option<SocketAddr>,
    #[arg(long)]
    stand_in: Option<SocketAddr>,
    /// On the project that the claim is about
    #[arg(long)]
    peer: bool,
    /// End when this process does
    #[arg(long)]
    parent: Option<u32>,
}

/// Makes the repeat and prints the answer. The value is the process's exit code.
///
/// # Errors
/// There is no such row or fact, or standard output fails.
pub fn execute(arguments: &Arguments) -> Result<u8> {
    if let Some(parent) = arguments.parent {
        trial::die_with(parent).map_err(anyhow::Error::msg)?;
    }
    trial::allow_many_files();
    let answer = match arguments.what.as_str() {
        "fact" => check(&arguments.name)?,
        _ => measure(arguments)?,
    };
    let line = serde_json::to_string(&answer)?;
    text::print(&(line + "\n")).map_err(|error| anyhow!("standard output: {error}"))?;
    Ok(0)
}

fn check(name: &str) -> Result<Answer> {
    let fact = facts::find(name).ok_or_else(|| anyhow!("there is no fact `{name}`"))?;
    let (holds, detail) = match facts::check(fact) {
        Ok(detail) => (true, detail),
        Err(reason) => (false, reason),
    };
    Ok(Answer { holds: Some(holds), detail, ..Answer::default() })
}

fn measure(arguments: &Arguments) -> Result<Answer> {
    let Arguments { full, seed, server, stand_in, peer, .. } = *arguments;
    let claim =
        table::find(&arguments.name).ok_or_else(|| anyhow!("there is no claim `{}`", arguments.name))?;
    let driver = if peer { claim.peer.map(|peer| peer.run) } else { claim.run };
    let driver = driver.ok_or_else(|| anyhow!("claim {} has no such experiment", arguments.name))?;
    let setup = Setup { full, seed, server, stand_in, cores: num_cpus::get() };
    let outcome = catch_unwind(AssertUnwindSafe(|| driver(&setup)))
        .unwrap_or_else(|payload| Err(Trouble::Failed(strategy::panic_message(&*payload))));
    Ok(match outcome {
        Ok(found) => {
            let figures = found.figures.into_iter().map(|(name, value)| (name.to_owned(), value));
            Answer { figures: figures.collect(), notes: found.notes, ..Answer::default() }
        }
        Err(Trouble::Skipped(reason)) => Answer { skipped: Some(reason), ..Answer::default() },
        Err(Trouble::Failed(reason)) => Answer { failed: Some(reason), ..Answer::default() },
    })
}
