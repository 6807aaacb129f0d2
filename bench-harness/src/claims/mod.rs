//! `crossover claims`: what others say about async, threads and processes, put to the test on this machine.
//!
//! `table` (the claims, as bounds on figures) → `session` (repeats in fresh processes: `trial` and its `figures` and `facts` for our runtime,
//! `python` for CPython) → [`crossover_reports::claims`] (intervals, verdicts, the three files). No verdict is written
//! down here; a refuted claim is a result and no error.
//!
//! The folder holds `claims.json` with every sample, `claims.md` and `claims.html`. `--report DIR` judges and draws again from `claims.json`
//! alone, byte for byte the same.
mod child;
pub mod facts;
mod figures;
mod python;
mod session;
mod stand_in;
pub mod table;
mod trial;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use crossover_reports::claims::{self, Kind, Record, SCHEMA};
use serde_json::{Value, json};

use self::python::Python;
use self::session::Session;
use self::table::Claim;
pub use self::trial::{Arguments as TrialArguments, execute as trial};
use crate::interrupt::{self, Interrupt};
use crate::progress::Progress;
use crate::{environment, text};

/// Columns of the table where stdout is no terminal.
const WIDTH: u16 = 110;

/// What to put to the test, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// Everything in full size, with more repeats: takes about half an hour
    #[arg(long)]
    full: bool,
    /// Only this claim, by number or name (72, x5, ctx-switch); may be repeated
    #[arg(long = "row", value_name = "ID")]
    rows: Vec<String>,
    /// List the claims without measuring any
    #[arg(long, conflicts_with_all = ["full", "rows", "out", "seed", "report"])]
    list: bool,
    /// The folder for claims.json, claims.md and claims.html, which must be absent or empty; below runs/ if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of the order and of the inputs; drawn if left out
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The Python to compare with; python3 if left out
    #[arg(long, value_name = "PATH", conflicts_with = "no_python")]
    python: Option<PathBuf>,
    /// Measure our side only
    #[arg(long)]
    no_python: bool,
    /// Judge and draw an earlier claims.json again, without measuring
    #[arg(long, value_name = "DIR", conflicts_with_all = ["full", "rows", "out", "seed", "python", "no_python"])]
    report: Option<PathBuf>,
}

/// Puts the claims to the test. The value is the process's exit code: 0, 4 (the machine was too busy), 130 (interrupted).
///
/// # Errors
/// An unknown row, a folder that is not empty, a file that cannot be written or read.
pub fn execute(arguments: &Arguments) -> Result<u8> {
    if arguments.list {
        return say(&list());
    }
    if let Some(dir) = &arguments.report {
        let record = claims::read(dir)?;
        claims::write(dir, &record)?;
        return finish(&record, dir);
    }
    let chosen = chosen(&arguments.rows)?;
    let interrupt = Interrupt::install()?;
    let dir = folder(arguments.out.as_deref())?;
    let (record, done) =
        measure(arguments, &chosen, &interrupt).context("cannot put the claims to the test")?;
    claims::write(&dir, &record)?;
    let code = finish(&record, &dir)?;
    if done {
        return Ok(code);
    }
    eprintln!("interrupted: the report holds what was measured until then");
    Ok(interrupt::EXIT_CODE)
}

/// The script whose start-up is measured. The value is the process's exit code.
///
/// # Errors
/// The request fails.
pub fn script(style: &str, server: SocketAddr) -> Result<u8> {
    figures::public::script(style, server)
}

/// The stand-in for a database: serves until its parent ends.
///
/// # Errors
/// It cannot listen on loopback.
pub fn serve(parent: u32) -> Result<u8> {
    stand_in::serve(parent)
}

/// The record, and whether all of it was measured.
fn measure(
    arguments: &Arguments,
    chosen: &[&'static Claim],
    interrupt: &Interrupt,
) -> Result<(Record, bool)> {
    let python = if arguments.no_python {
        Err("left out (--no-python)".to_owned())
    } else {
        Python::find(arguments.python.as_deref())
    };
    if let (Some(named), Err(reason)) = (&arguments.python, &python) {
        bail!("--python {}: {reason}", named.display());
    }
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let mut progress = Progress::new("claims");
    if let Err(reason) = &python {
        progress.say(&format!("CPython takes no part: {reason}"));
    }
    let mut env = environment::machine();
    env["python"] = python.as_ref().map_or(Value::Null, |python| json!(python.version));
    let session =
        Session { full: arguments.full, named: !arguments.rows.is_empty(), seed, python, interrupt };
    let begun = Instant::now();
    let (rows, done) = session.measure(chosen, &mut progress)?;
    let (version, seconds) = (env!("CARGO_PKG_VERSION").to_owned(), session::tenths(begun));
    let record = Record { schema: SCHEMA, version, seed, full: arguments.full, seconds, env, rows };
    Ok((record.rounded(), done))
}

/// The claims of these numbers and names, each once; all where none is named.
fn chosen(ids: &[String]) -> Result<Vec<&'static Claim>> {
    if ids.is_empty() {
        return Ok(table::all().collect());
    }
    let mut wanted = BTreeSet::new();
    for id in ids {
        let Some(claim) = table::find(id) else {
            let known = table::all().flat_map(|claim| claim.ids).copied();
            let near = known.max_by(|a, b| strsim::jaro(a, id).total_cmp(&strsim::jaro(b, id)));
            bail!(
                "there is no claim `{id}`; did you mean `{}`? crossover claims --list",
                near.unwrap_or_default()
            );
        };
        wanted.insert(claim.id());
    }
    Ok(table::all().filter(|claim| wanted.contains(claim.id())).collect())
}

/// Makes the folder of the files.
fn folder(named: Option<&Path>) -> Result<PathBuf> {
    let dir = named.map_or_else(
        || {
            let id = rand::random::<u32>() & 0x00ff_ffff;
            PathBuf::from("runs").join(format!("{}_claims_{id:06x}", jiff::Zoned::now().strftime("%Y-%m-%d")))
        },
        Path::to_owned,
    );
    fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let mut entries =
        fs::read_dir(&dir).with_context(|| format!("cannot read the folder {}", dir.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty; the files need a new or an empty folder (--out)", dir.display());
    }
    Ok(dir)
}

/// Prints what was found. The value is the process's exit code.
fn finish(record: &Record, dir: &Path) -> Result<u8> {
    let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(WIDTH, |size| size.ws_col);
    let page = dir.join("claims.html");
    say(&format!("{}\nReport: {}\n", claims::terminal(record, width), page.display()))?;
    if session::too_busy(&record.rows) {
        eprintln!(
            "other programs kept this machine busy: most figures do not count; try again when it is quiet"
        );
        return Ok(4);
    }
    Ok(0)
}

/// The claims as a table.
fn list() -> String {
    let kind = |claim: &Claim| match claim.kind {
        Kind::Figure if claim.python.is_some() => "figure, also in Python",
        Kind::Figure => "figure",
        Kind::Fact => "fact",
        Kind::Qualitative => "judgement",
    };
    let rows =
        table::all().map(|claim| vec![claim.ids.join(", "), kind(claim).to_owned(), claim.says.to_owned()]);
    let rows: Vec<Vec<String>> = rows.collect();
    format!(
        "{}\n  {} claims; crossover claims --row ID puts one to the test\n",
        text::columns(&rows, 3),
        rows.len()
    )
}

fn say(text: &str) -> Result<u8> {
    text::print(text).map_err(|error| anyhow!("standard output: {error}"))?;
    Ok(0)
}
