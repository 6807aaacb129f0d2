//! What a run folder says about its run, beside the samples: written once, read again by `resume`.
//!
//! Order of writing: `env.json` (id, seed, where the configuration came from), `config.toml`, and after the pilot
//! `env.json` again (with what measuring costs), `config.resolved.toml`, an empty `looks.jsonl`, `pilot.json`,
//! `plan.jsonl`. The last two are written again when a look at the samples adds to the plan. Each is whole or absent, so that whatever a folder holds is enough for what its last file promises: with `config.toml` the run can be
//! planned, with `plan.jsonl` continued.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::folder::Folder;
use super::looks;
use super::pilot::{self, Pilot};
use crate::config::Experiment;
use crate::plan::Planned;
use crate::protocol;
use crate::{calibration_file, environment};

const CONFIG: &str = "config.toml";
const RESOLVED: &str = "config.resolved.toml";
const ENVIRONMENT: &str = "env.json";
const PLAN: &str = "plan.jsonl";

/// A run whose folder is locked and whose configuration is read.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) exp: Experiment,
    pub(super) folder: Folder,
    /// The run's id.
    pub(super) run: String,
    pub(super) seed: u64,
    /// How many samples were planned, as of `config.resolved.toml`; `None` before it is written.
    planned: Option<u64>,
}

impl Begun {
    /// Writes what a new run starts from into its empty folder.
    pub(super) fn new(exp: &Experiment, folder: Folder, run: &str, seed: u64) -> Result<Self> {
        let mut env = environment::describe(exp);
        if let Some(fields) = env.as_object_mut() {
            fields.insert("run".to_owned(), json!(run));
            fields.insert("seed".to_owned(), json!(seed));
            fields.insert("config_dir".to_owned(), json!(exp.dir.to_string_lossy()));
            fields.insert("calibration".to_owned(), json!(calibration_file::load()));
        }
        let text = serde_json::to_string_pretty(&env).context("cannot tell the environment in JSON")?;
        folder.write(ENVIRONMENT, text.as_bytes())?;
        folder.write(CONFIG, exp.text.as_bytes())?;
        Ok(Self { exp: exp.clone(), folder, run: run.to_owned(), seed, planned: None })
    }

    /// Whether the run of the folder `path` was not begun: nothing was written yet that could be lost.
    pub(super) fn is_missing(path: &Path) -> bool {
        [CONFIG, PLAN, crate::journal::FILE_NAME].iter().all(|name| !path.join(name).exists())
    }

    /// Opens the folder of a run that was begun.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = Folder::open(path)?;
        let Some(config) = folder.read(CONFIG)? else {
            bail!("{} holds no run: it has no {CONFIG}", path.display());
        };
        let file = folder.file(ENVIRONMENT);
        let Some(text) = folder.read(ENVIRONMENT)? else {
            bail!("{} is missing: a run cannot go on without its id and seed", file.display());
        };
        let env: Value =
            serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))?;
        let text_of = |key: &str| env.get(key).and_then(Value::as_str);
        let (Some(run), Some(seed)) = (text_of("run"), env.get("seed").and_then(Value::as_u64)) else {
            bail!("{} has no `run` or no `seed`: this run cannot go on", file.display());
        };
        let dir = text_of("config_dir").map_or_else(|| path.to_owned(), PathBuf::from);
        let mut exp = Experiment::parse(&config, &folder.file(CONFIG).to_string_lossy(), &dir)?;
        let mut planned = None;
        if let Some(resolved) = folder.read(RESOLVED)? {
            // "As many as there are cores" means the cores that there were when the run was planned.
            let resolved = Experiment::parse(&resolved, &folder.file(RESOLVED).to_string_lossy(), &dir)?;
            planned = Some(sample_count(&resolved));
            exp.strategies.workers = resolved.strategies.workers;
            exp.strategies.overrides = resolved.strategies.overrides;
            exp.strategies.variants = resolved.strategies.variants;
        }
        let begun = Self { exp, run: run.to_owned(), seed, folder, planned };
        begun.settle_skipped()?;
        Ok(begun)
    }

    /// An optional strategy that took part when the run began may be gone by now: its samples cannot be measured. Before
    /// there is a plan the run goes on without it.
    fn settle_skipped(&self) -> Result<()> {
        let skipped = &self.exp.strategies.skipped;
        let Some((name, reason)) = skipped.first_key_value() else { return Ok(()) };
        if self.folder.file(PLAN).exists() {
            bail!(
                "{name} takes part in the run of {} and is not here: {reason}",
                self.folder.path().display()
            );
        }
        self.tell_environment("skipped", json!(skipped))?;
        self.folder.write(CONFIG, self.exp.text.as_bytes())
    }

    /// Writes what the pilot led to; the plan comes last, and then only grows.
    pub(super) fn write_plan(&self, exp: &Experiment, pilot: &Pilot, plan: &[Planned]) -> Result<()> {
        self.tell_environment("harness", json!(pilot.harness))?;
        self.folder.write(RESOLVED, exp.resolved_toml().as_bytes())?;
        // Its being there says that this version made the run.
        self.folder.write(looks::FILE_NAME, b"")?;
        self.extend_plan(pilot, plan)
    }

    /// Writes a plan that has grown, and before it the pilot that knows its cells.
    pub(super) fn extend_plan(&self, pilot: &Pilot, plan: &[Planned]) -> Result<()> {
        let text = serde_json::to_string_pretty(pilot).context("cannot tell the pilot in JSON")?;
        self.folder.write(pilot::FILE_NAME, text.as_bytes())?;
        let mut lines = Vec::new();
        for planned in plan {
            lines.extend(protocol::line_of(planned).context("cannot tell the plan in JSON")?);
        }
        self.folder.write(PLAN, &lines)
    }

    /// Adds a key to `env.json`.
    fn tell_environment(&self, key: &str, value: Value) -> Result<()> {
        let path = self.folder.file(ENVIRONMENT);
        let text = self.folder.read(ENVIRONMENT)?.unwrap_or_default();
        let mut env: Value =
            serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
        if let Some(fields) = env.as_object_mut() {
            fields.insert(key.to_owned(), value);
        }
        let text = serde_json::to_string_pretty(&env).context("cannot tell the environment in JSON")?;
        self.folder.write(ENVIRONMENT, text.as_bytes())
    }

    /// The plan and its pilot, once both were written.
    pub(super) fn read_plan(&self) -> Result<Option<(Pilot, Vec<Planned>)>> {
        let Some(text) = self.folder.read(PLAN)? else { return Ok(None) };
        let path = self.folder.file(PLAN);
        let mut plan = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let planned: Planned = serde_json::from_str(line)
                .with_context(|| format!("{}:{number}: not a planned sample", path.display()))?;
            if !self.exp.strategies.include.contains(&planned.strategy) {
                bail!("{}:{number}: {CONFIG} does not include {}", path.display(), planned.strategy);
            }
            plan.push(planned);
        }
        let wanted = self.planned.unwrap_or(0);
        if (plan.len() as u64) < wanted {
            bail!(
                "{} was cut short: it has {} lines, but {RESOLVED} plans {wanted} samples; restore it, or measure anew",
                path.display(),
                plan.len()
            );
        }
        let path = self.folder.file(pilot::FILE_NAME);
        let Some(text) = self.folder.read(pilot::FILE_NAME)? else {
            bail!("{} is missing: a run cannot go on without the oracle's checksums", path.display());
        };
        let pilot = Pilot::parse(&text).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some((pilot, plan)))
    }
}

/// How many samples `exp` plans.
fn sample_count(exp: &Experiment) -> u64 {
    let pairs = exp.cell_count().unwrap_or(0) * exp.strategies.include.len();
    pairs as u64 * u64::from(exp.measure.processes) * u64::from(exp.measure.rounds)
}
