//! `crossover compare A B`: what became slower, what faster, what is proven the same between two runs.
//!
//! The statistics are `crossover_reports::compare`'s; this is their command line. Nothing is written into either folder.
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use crossover_reports::{Options, compare as reports};

use crate::{export, text};

/// The width of a line where standard output is no terminal.
const WIDTH: u16 = 110;

const HELP: &str = "\
Two quiet runs of one program differ by about one interval, so every interval is widened by what `crossover calibrate` \
measured between runs on this machine (2 % where it has not; --quick does not measure it). Two versions of a program are compared best within ONE run, \
where they take turns: list both as strategies of one experiment,

  [strategies]
  include = [\"sequential\", \"old\", \"new\"]
  [strategies.external.old]
  run = [\"./program-1.0\", \"trial\"]
  [strategies.external.new]
  run = [\"./program-1.1\", \"trial\"]

and read the verdict of `crossover run`.

Exit codes: 0 compared · 1 a proven regression, with --fail-on regression · 2 a folder that cannot be read, or nothing in \
common · 3 a checksum differs in either run · 4 a run is contaminated beyond use";

/// What is compared, and how it is told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The folder of the first run, or of a suite: the reference
    dir_a: PathBuf,
    /// The folder of the second run
    dir_b: PathBuf,
    /// Exit with 1 where this is proven
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// How to tell it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A strategy that is proven slower by more than the margin
    Regression,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Md,
    Json,
}

/// Compares, prints, and returns the exit code.
///
/// # Errors
/// A folder cannot be read, the two have nothing in common, or standard output cannot be written.
pub fn compare(arguments: &Arguments) -> Result<u8> {
    let Arguments { dir_a, dir_b, fail_on, format } = arguments;
    for dir in [dir_a, dir_b] {
        export::expect_run(dir)?;
    }
    let comparison = reports::compare(dir_a, dir_b, &Options::default())?;
    let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
    let told = match format {
        Format::Text => comparison.text(if width == 0 { WIDTH } else { width }),
        Format::Md => comparison.markdown(),
        Format::Json => comparison.json(),
    };
    text::print(&told).map_err(|error| anyhow!("standard output: {error}"))?;
    if comparison.is_empty() {
        eprintln!(
            "nothing could be compared: the runs have no cell and strategy in common that both may be judged in"
        );
    }
    Ok(comparison.exit_code(*fail_on == Some(FailOn::Regression)))
}
