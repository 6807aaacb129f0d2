//! The coordinator: begins runs, measures them, resumes them, and has the report made.
//!
//! - `folder`, `files`: what stands in a run's folder, and its lock.
//! - `helper`, `session`: the processes that measure, and asking them.
//! - `pilot`: what must be known before the plan. `harness`: what measuring itself costs.
//! - `block`: measuring the plan. `warmups`: what came before its samples.
//! - `shares`: what the test server and the load generator took.
//! - `adapt`, `looks`: looking at the samples and adding to the plan. `timelines`: traced runs at the end.
//! - `measure`: one experiment as a whole.
//!
//! Whatever happens to the coordinator, the folder says how to go on: see `files` for the order of writing, and
//! [`crate::journal`] for the samples. All children are started from the thread that calls [`execute`] or [`resume`], and
//! die with it; call them from the main thread.
mod adapt;
mod block;
mod files;
pub mod folder;
mod harness;
pub mod helper;
mod looks;
mod measure;
mod pilot;
mod session;
mod shares;
mod timelines;
mod warmups;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use crossover_reports::load::Suite;
use crossover_reports::terminal;
use crossover_workloads::experiments;
use serde_json::{Value, json};

pub(crate) use self::adapt::{LOOKS_WITHOUT_BUDGET, cell_of};
use self::files::Begun;
use self::folder::Folder;
use self::session::Stop;
use crate::config::Experiment;
use crate::interrupt::{self, Interrupt};
use crate::{export, notes, text};

/// Columns of the table where stdout is no terminal.
const WIDTH: u16 = 100;

/// The file that makes a folder a suite's.
const SUITE: &str = "suite.json";

/// How to run experiments.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of the plan's order and of the workloads' inputs.
    pub seed: u64,
    /// The run's folder: absent or empty. `None` makes one below `runs/`.
    pub out: Option<PathBuf>,
}

/// Runs experiments: one into its folder, several into a folder of run folders with a common report.
///
/// The value is the process's exit code: 0, 3 (a wrong checksum), 4 (contaminated), 130 (interrupted).
///
/// # Errors
/// Whatever ends in exit code 2: a folder that is not empty, a full disk, an oracle that fails, a database that is not there.
pub fn execute(experiments: &[Experiment], options: &Options) -> Result<u8> {
    experiments.iter().try_for_each(session::available)?;
    let interrupt = Interrupt::install()?;
    let id = format!("{:06x}", rand::random::<u32>() & 0x00ff_ffff);
    let run = format!("r-{id}");
    let suite = suite_name(experiments);
    let dir = options.out.clone().unwrap_or_else(|| {
        let name = match experiments {
            [single] => single.slug(),
            _ => suite.to_owned(),
        };
        PathBuf::from("runs").join(format!("{}_{name}_{id}", jiff::Zoned::now().strftime("%Y-%m-%d")))
    });
    let folder = Folder::create(&dir)?;
    for exp in experiments {
        for note in notes::notes(exp) {
            eprintln!("{}: note: {note}", exp.name);
        }
    }
    if let [single] = experiments {
        let begun = Begun::new(single, folder, &run, options.seed)?;
        return measure_all(&dir, &[begun], interrupt);
    }
    let mut names: Vec<String> = Vec::new();
    let mut starts = Vec::new();
    for exp in experiments {
        let mut name = exp.slug();
        if names.contains(&name) {
            name = format!("{name}-{}", names.len() + 1);
        }
        let (text, dir) = (&exp.text, exp.dir.to_string_lossy());
        starts.push(json!({ "config": text, "config_dir": dir, "skipped": exp.strategies.skipped }));
        names.push(name);
    }
    // First, and with all that the inner folders start from: whenever we are killed, `resume` can make those that lack.
    let text = json!({
        "schema": 1, "run": run, "name": suite, "experiments": names, "seed": options.seed, "starts": starts,
    });
    folder.write(SUITE, format!("{text:#}\n").as_bytes())?;
    let mut begun = Vec::new();
    for (exp, name) in experiments.iter().zip(&names) {
        let inner = Folder::create(&dir.join(name))?;
        begun.push(Begun::new(exp, inner, &run, options.seed)?);
    }
    measure_all(&dir, &begun, interrupt)
}

/// Goes on with the run in `dir`, a single one or a suite: measures what is missing and makes the report.
///
/// The value is the process's exit code, as of [`execute`].
///
/// # Errors
/// When the folder holds no run, is in use, or is damaged.
pub fn resume(dir: &Path) -> Result<u8> {
    let interrupt = Interrupt::install()?;
    export::expect_run(dir)?;
    let (_lock, begun) = match Suite::read(dir)? {
        None => (None, vec![Begun::open(dir)?]),
        Some(suite) => {
            let lock = Folder::open(dir)?;
            begin_missing(&lock, &suite)?;
            let begun = suite.experiments.iter().map(|name| Begun::open(&dir.join(name)));
            (Some(lock), begun.collect::<Result<_>>()?)
        }
    };
    measure_all(dir, &begun, interrupt)
}

/// Begins the experiments of a suite that its coordinator did not get to before it was killed. Those of a suite
/// that does not say what they start from are left to [`Begun::open`].
fn begin_missing(folder: &Folder, suite: &Suite) -> Result<()> {
    let path = folder.file(SUITE);
    let fail = || format!("cannot read {}", path.display());
    let json: Value = serde_json::from_str(&folder.read(SUITE)?.unwrap_or_default()).with_context(fail)?;
    let Some(seed) = json.get("seed").and_then(Value::as_u64) else { return Ok(()) };
    for (index, name) in suite.experiments.iter().enumerate() {
        let inner = folder.file(name);
        let start = json.get("starts").and_then(|starts| starts.get(index));
        let text_of = |key: &str| start.and_then(|start| start.get(key)).and_then(Value::as_str);
        let (Some(config), Some(config_dir)) = (text_of("config"), text_of("config_dir")) else { continue };
        if !Begun::is_missing(&inner) {
            continue;
        }
        std::fs::create_dir_all(&inner)
            .with_context(|| format!("cannot make the folder {}", inner.display()))?;
        let mut exp = Experiment::parse(config, &path.to_string_lossy(), Path::new(config_dir))?;
        // Who was skipped then stands in no configuration any more.
        for (name, reason) in start.and_then(|start| start.get("skipped")?.as_object()).into_iter().flatten()
        {
            exp.strategies.skipped.insert(name.clone(), reason.as_str().unwrap_or_default().to_owned());
        }
        Begun::new(&exp, Folder::open(&inner)?, &suite.run, seed)?;
    }
    Ok(())
}

/// Makes the report of the run in `dir` again, prints the table of winners, and gives the exit code: 0, 3 or 4.
///
/// # Errors
/// When the folder holds no run, or the report cannot be written.
pub fn report(dir: &Path) -> Result<u8> {
    export::expect_run(dir)?;
    let outcome = crossover_reports::report(dir, &crossover_reports::Options::default())?;
    let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
    text::print(&terminal::render(&outcome, if width == 0 { WIDTH } else { width }))?;
    Ok(outcome.exit_code())
}

/// Measures one experiment after another, then makes the report.
fn measure_all(dir: &Path, runs: &[Begun], interrupt: Interrupt) -> Result<u8> {
    for begun in runs {
        match measure::measure(begun, &interrupt) {
            Ok(()) => {}
            Err(Stop::Interrupted) => {
                eprintln!("\n{}", interrupt::how_to_go_on(dir));
                return Ok(interrupt::EXIT_CODE);
            }
            Err(Stop::Failed(error)) => return Err(error.context(format!("experiment {}", begun.exp.name))),
        }
    }
    interrupt.end_at_once(dir)?;
    let code = report(dir)?;
    for begun in runs {
        for line in measure::troubles(begun)? {
            eprintln!("{}: {line}", begun.exp.name);
        }
    }
    Ok(code)
}

/// What several experiments are called together.
fn suite_name(experiments: &[Experiment]) -> &'static str {
    let names = experiments.iter().map(|exp| exp.name.as_str());
    if names.eq(experiments::TOUR.iter().copied()) { "tour" } else { "suite" }
}
