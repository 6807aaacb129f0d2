//! `crossover explain`: where the time of one cell goes under each strategy.
//!
//! A run's folder may hold timelines of the cell, traced after its last block: they are shown as they are. Any other
//! cell is traced now (`live`). Traced runs are no samples: they say why, not who wins.
mod cells;
mod live;
mod render;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossover_reports::load::{Folder, Suite};
use crossover_reports::record::Timeline;

use crate::config::{Cell, Experiment, nearest, shown};
use crate::trace::chrome::Chrome;
use crate::{export, interrupt, run, strategy, text};

/// Seed of the inputs where no run gives one.
const SEED: u64 = 1;

/// What to explain.
#[derive(Debug)]
pub struct Options {
    /// A run's folder, the name of an experiment, or the path of its file.
    pub target: String,
    /// The cell, as far as it takes to tell it from the others; `None` takes the middle one.
    pub cell: Option<String>,
    /// The strategies; empty means all that can be traced.
    pub strategies: Vec<String>,
    /// Where to write the trace for a viewer.
    pub trace: Option<PathBuf>,
}

/// The timelines of one cell, and how they came about.
struct Explained {
    heading: String,
    timelines: Vec<Timeline>,
    /// Whether tasks arrived one by one, at a rate.
    is_open: bool,
    /// Who is missing, and why.
    notes: Vec<String>,
}

/// Explains a cell. The value is the process's exit code: 0, or 130 when interrupted.
///
/// # Errors
/// When there is no such experiment, cell or strategy, nothing of it can be traced, or the trace cannot be written.
pub fn execute(options: &Options) -> Result<u8> {
    if let Some(file) = &options.trace {
        export::refuse_existing(file)?;
    }
    let dir = Path::new(&options.target);
    let is_run = export::RUN.iter().any(|file| dir.join(file).exists());
    let explained = if is_run {
        of_run(dir, options)?
    } else if dir.is_dir() && options.target.contains('/') {
        bail!("{} holds no run: it has no config.toml", dir.display());
    } else {
        let exp = Experiment::load(&options.target, &[])?;
        now(&exp, &exp.cells(), options, SEED)?
    };
    let Some(Explained { heading, timelines, is_open, notes }) = explained else {
        eprintln!("\ninterrupted");
        return Ok(interrupt::EXIT_CODE);
    };
    text::print(&format!("{heading}\n\n{}", render::render(&timelines, is_open)))
        .context("standard output")?;
    for note in notes {
        eprintln!("note: {note}");
    }
    if let Some(file) = &options.trace {
        let mut chrome = Chrome::default();
        timelines.iter().for_each(|timeline| chrome.timeline(timeline));
        export::write_new(file, chrome.render().as_bytes())?;
        eprintln!("trace written to {}; https://ui.perfetto.dev opens it", file.display());
    }
    Ok(0)
}

/// Explains a cell of a run: from its timelines where they have it, else anew.
fn of_run(dir: &Path, options: &Options) -> Result<Option<Explained>> {
    if let Some(suite) = Suite::read(dir)? {
        let inner: Vec<String> =
            suite.experiments.iter().map(|name| dir.join(name).display().to_string()).collect();
        bail!("{} holds several runs; explain one of them: {}", dir.display(), inner.join("  "));
    }
    // A run that has measured nothing yet has no timelines either.
    let (samples, recorded) = match dir.join("samples.jsonl").exists() {
        true => {
            let folder = Folder::read(dir)?;
            (folder.samples, folder.timelines)
        }
        false => (Vec::new(), Vec::new()),
    };
    let mut names: Vec<String> = Vec::new();
    for timeline in &recorded {
        if !names.contains(&timeline.cell) {
            names.push(timeline.cell.clone());
        }
    }
    let cell = match &options.cell {
        Some(wanted) => cells::find(&names, wanted).ok(),
        None => names.first().cloned(),
    };
    if let Some(cell) = cell {
        let of_cell = recorded.into_iter().filter(|timeline| timeline.cell == cell);
        let is_asked = |name: &String| options.strategies.is_empty() || options.strategies.contains(name);
        let timelines: Vec<Timeline> = of_cell.filter(|timeline| is_asked(&timeline.strategy)).collect();
        if !timelines.is_empty() && timelines.len() >= options.strategies.len() {
            let others = others(&names, &cell, options);
            let heading =
                format!("cell {cell}, traced in the run {} after its last block{others}", timelines[0].run);
            let is_open = samples.iter().any(|sample| sample.rate.is_some());
            return Ok(Some(Explained { heading, timelines, is_open, notes: Vec::new() }));
        }
    }
    let (exp, seed) = recorded_experiment(dir)?;
    let mut all = exp.cells();
    let mut known: HashSet<String> = all.iter().map(|cell| cell.name.clone()).collect();
    // Refined crossings have cells of their own, between those of the grid.
    let refined = samples.iter().filter(|sample| known.insert(sample.cell.clone()));
    all.extend(refined.map(|sample| run::cell_of(&exp, &sample.params)));
    now(&exp, &all, options, seed)
}

/// The experiment that a run's folder was made from, and the seed of its inputs.
fn recorded_experiment(dir: &Path) -> Result<(Experiment, u64)> {
    let path = dir.join("config.toml");
    let config = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let env: Option<serde_json::Value> =
        std::fs::read(dir.join("env.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let key = |name: &str| env.as_ref().and_then(|env| env.get(name));
    let from = key("config_dir").and_then(|dir| dir.as_str()).map_or_else(|| dir.to_owned(), PathBuf::from);
    let seed = key("seed").and_then(serde_json::Value::as_u64).unwrap_or(SEED);
    Ok((Experiment::parse(&config, &path.to_string_lossy(), &from)?, seed))
}

/// Traces one of the cells `all` of `exp` now; `None` when interrupted.
fn now(exp: &Experiment, all: &[Cell], options: &Options, seed: u64) -> Result<Option<Explained>> {
    let names: Vec<String> = all.iter().map(|cell| cell.name.clone()).collect();
    let wanted = match &options.cell {
        Some(wanted) => cells::find(&names, wanted).map_err(anyhow::Error::msg)?,
        None => names.get(names.len() / 2).context("the experiment has no cell")?.clone(),
    };
    let cell = all.iter().find(|cell| cell.name == wanted).context("the experiment has no such cell")?;
    let (strategies, mut notes) = choose(exp, &options.strategies)?;
    let Some(traced) = live::trace_cell(exp, cell, &strategies, seed)? else { return Ok(None) };
    notes.extend(traced.failed.iter().map(|(name, reason)| format!("{name} is left out: {reason}")));
    let heading = format!(
        "{}, cell {wanted}, {}, traced now: of a few runs per strategy the middle one{}",
        exp.name,
        text::count(cell.tasks, "task"),
        others(&names, &wanted, options)
    );
    Ok(Some(Explained { heading, timelines: traced.timelines, is_open: exp.measure.rate.is_some(), notes }))
}

/// The strategies to trace, and notes on those that cannot be.
fn choose(exp: &Experiment, asked: &[String]) -> Result<(Vec<String>, Vec<String>)> {
    let ours = &exp.strategies;
    let is_ours = |name: &String| strategy::choices().any(|info| info.name == ours.base_of(name));
    for name in asked {
        if exp.strategies.external.contains_key(name) {
            bail!("{name} is a program of its own: what its tasks do cannot be traced");
        }
        if !is_ours(name) {
            let variants = || ours.variants.keys().map(String::as_str);
            let known = || strategy::choices().map(|info| info.name).chain(variants());
            let near =
                nearest(name, known()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!(
                "there is no strategy \"{}\"{near}; known: {}",
                shown(name),
                known().collect::<Vec<_>>().join(", ")
            );
        }
    }
    let wanted = if asked.is_empty() { &exp.strategies.include } else { asked };
    let mut chosen: Vec<String> = Vec::new();
    let mut notes = Vec::new();
    for name in wanted {
        if !is_ours(name) {
            notes.push(format!(
                "{name} is left out: it is a program of its own, whose tasks cannot be traced"
            ));
        } else if !chosen.contains(name) {
            chosen.push(name.clone());
        }
    }
    if chosen.is_empty() {
        bail!("no strategy of {} can be traced; name one with --strategy", exp.name);
    }
    Ok((chosen, notes))
}

/// How to get at the other cells, where none was asked for.
fn others(names: &[String], chosen: &str, options: &Options) -> String {
    if options.cell.is_some() || names.len() < 2 {
        return String::new();
    }
    let other = names.iter().find(|name| *name != chosen).map_or("", String::as_str);
    format!(
        "\n({}; another one: crossover explain {} {other})",
        text::count(names.len() as u64, "cell"),
        options.target
    )
}
