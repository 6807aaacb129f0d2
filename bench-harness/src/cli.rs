//! The command line: what was asked for, checked, and handed to the part that does it.
//!
//! Exit codes: 0 done · 1 a regression that was asked to fail · 2 a bad configuration, usage, or a failure of reading or
//! writing · 3 a checksum differs from the oracle's · 4 contaminated beyond use · 130 interrupted. clap's own usage errors
//! are 2 as well.
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use crossover_workloads::server::Stall;

use crate::config::{Experiment, duration};
use crate::{
    advise, calibrate, claims, compare, doctor, explain, export, init, list, plan, run, server, text,
};

/// Measures when async, threads and processes win, on this machine.
#[derive(Debug, Parser)]
#[command(name = "crossover", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure experiments, judge them and draw the report
    Run {
        #[command(flatten)]
        selection: Selection,
        /// Seed of the inputs and of the order of measuring; drawn if left out
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// The run's folder, which must be absent or empty; below runs/ if left out
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Go on with a run that was interrupted or killed
    Resume {
        /// The run's folder
        dir: PathBuf,
    },
    /// Judge and draw a run's samples again
    Report {
        /// The run's folder
        dir: PathBuf,
    },
    /// Compare two runs: what became slower, what faster, what is proven the same
    Compare(compare::Arguments),
    /// Show what a run would measure and how long it may take, without measuring
    Plan(Selection),
    /// List what there is to run, to sweep and to compare
    List {
        /// What to list; everything if left out
        what: Option<What>,
    },
    /// Write an experiment's file that explains itself and runs as it stands
    Init {
        /// The file to write; it must not exist
        file: PathBuf,
    },
    /// Show where the time of one cell goes under each strategy: handing over, queueing, working, waiting, collecting
    Explain {
        /// A run's folder, the name of an experiment, or the path of its file
        #[arg(value_name = "EXPERIMENT|FILE.toml|DIR")]
        target: String,
        /// The cell, or enough of it to tell it from the others (cpu_us=26); the middle one if left out
        cell: Option<String>,
        /// Only this strategy; may be repeated
        #[arg(long = "strategy", value_name = "NAME")]
        strategies: Vec<String>,
        /// Also write what each worker did when to this new file, for https://ui.perfetto.dev or chrome://tracing
        #[arg(long, value_name = "FILE.json")]
        trace: Option<PathBuf>,
    },
    /// Write a run's samples as CSV, its findings as Markdown, or who ran when as a trace
    Export {
        /// The run's folder, or a suite's
        dir: PathBuf,
        /// What to write
        format: export::Format,
        /// The file to write, which must not exist; standard output if left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Examine whether this machine is fit to measure on; changes nothing
    Doctor,
    /// Describe a work, have it measured (15 s at most), and get a strategy and a pool size recommended
    Advise {
        /// How long each item waits (200ms, 50us, 1.5s, 0)
        #[arg(long, value_name = "TIME", value_parser = advise::parse_length, allow_hyphen_values = true)]
        wait: Duration,
        /// How long each item computes
        #[arg(long, value_name = "TIME", value_parser = advise::parse_length, allow_hyphen_values = true)]
        compute: Duration,
        /// How many items there are
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        items: u32,
        /// Sizes of pools to try, with commas between; what may fit if left out
        #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=512))]
        workers: Vec<u32>,
        /// How many bytes each item carries to a worker process and back (1500, 64KiB, 1MiB); nothing if left out
        #[arg(long, value_name = "BYTES", default_value = "0", hide_default_value = true, value_parser = advise::parse_bytes, allow_hyphen_values = true)]
        payload: u64,
    },
    /// Put the program itself to the test on this machine: identical code, slower code, a CPU hog, kill -9
    ///
    /// Takes about five minutes (--quick: one) on a machine that does nothing else. Reports of later runs show what
    /// was found. Exit code 4: a test fails, or other programs kept it from being made.
    Calibrate {
        /// Fewer experiments
        #[arg(long)]
        quick: bool,
        /// Comparisons of identical code; 200 if left out, 20 with --quick
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        experiments: Option<u32>,
        /// Keep the runs in this folder, which must be absent or empty
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Put to the test what others say about async, threads and processes, on our runtime and on CPython
    ///
    /// The quick pass takes less than four minutes. A claim that is refuted is a result, not an error. Exit code 4: other
    /// programs kept the machine too busy to judge.
    Claims(claims::Arguments),
    /// One repeat of a claim's experiment, or one fact
    #[command(hide = true)]
    ClaimTrial(claims::TrialArguments),
    /// The script whose start-up a claim is about
    #[command(hide = true)]
    ClaimScript {
        /// plain or async
        style: String,
        /// Whom it asks
        server: SocketAddr,
    },
    /// The stand-in for databases, chats and streams
    #[command(hide = true)]
    ClaimServer {
        /// End when this process does
        #[arg(long, value_name = "PID")]
        parent: u32,
    },
    /// Keep a core busy, as the calibration's CPU hog
    #[command(hide = true)]
    Hog,
    /// Answer HTTP requests after a delay, as the test server of a run does
    #[command(hide = true)]
    Serve {
        /// Where to listen
        #[arg(default_value = "127.0.0.1:0")]
        address: SocketAddr,
        /// End when this process does
        #[arg(long, hide = true, value_name = "PID")]
        parent: Option<u32>,
        #[command(flatten)]
        stall: StallOptions,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Experiments,
    Workloads,
    Strategies,
}

/// A server with one hand that stops now and then: what open and closed loads make of it can be computed.
#[derive(Debug, Args)]
struct StallOptions {
    /// Serve nothing for this long at the end of each period (200ms)
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires_all = ["every", "service"])]
    stall: Option<Duration>,
    /// Length of a period (2s)
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires_all = ["stall", "service"])]
    every: Option<Duration>,
    /// Serve one request after another, each for this long (1ms)
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires_all = ["stall", "every"])]
    service: Option<Duration>,
}

impl StallOptions {
    /// The server that is meant: `None` without options.
    fn checked(self) -> Result<Option<Stall>> {
        let Self { stall: Some(stall), every: Some(every), service: Some(service) } = self else {
            return Ok(None);
        };
        if stall + service >= every {
            bail!(
                "--stall and --service together must be shorter than --every: nothing would ever be served"
            );
        }
        Ok(Some(Stall { every, stall, service }))
    }
}

/// Which experiments, and how they differ from their files.
#[derive(Debug, Args)]
struct Selection {
    /// Names of experiments or paths of their files; the tour (io-bound, cpu-bound, mixed) if left out
    #[arg(value_name = "EXPERIMENT|FILE.toml")]
    experiments: Vec<String>,
    /// A first look: fewer points, 2 processes × 3 rounds, 20 s per experiment
    #[arg(long)]
    quick: bool,
    /// Time for the whole command, shared equally by its experiments (90s, 5m, 1m30s, 1h)
    #[arg(long, value_parser = duration::parse, allow_hyphen_values = true)]
    budget: Option<Duration>,
    /// Change a key of the file for this run (measure.rounds=3); may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl Selection {
    /// Loads every experiment as it is to be run.
    fn load(&self) -> Result<Vec<Experiment>> {
        let tour = || crossover_workloads::experiments::TOUR.iter().map(|name| (*name).to_owned()).collect();
        let names: Vec<String> = if self.experiments.is_empty() { tour() } else { self.experiments.clone() };
        let share = self.budget.map(|budget| budget / u32::try_from(names.len()).unwrap_or(u32::MAX));
        let mut loaded: Vec<Experiment> = Vec::new();
        for name in &names {
            let mut experiment = Experiment::load(name, &self.sets)?;
            if self.quick {
                experiment.quick();
            }
            if let Some(share) = share {
                experiment.with_budget(share.max(Duration::from_millis(1)));
            }
            if let Some(other) = loaded.iter().find(|other| other.slug() == experiment.slug()) {
                let (first, second) = (other.source.display(), experiment.source.display());
                bail!(
                    "{second}: experiment.name: `{}` would share a folder with `{}` of {first}; rename one, or run them one by one",
                    experiment.name,
                    other.name
                );
            }
            loaded.push(experiment);
        }
        Ok(loaded)
    }
}

/// Does what the command line asks for, and says on standard error what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Who has closed standard error does not want to hear it.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Run { selection, seed, out } => {
            // Half of the range is plenty, and every reader of JSON keeps it exact.
            let seed = seed.unwrap_or_else(|| rand::random::<u32>().into());
            run::execute(&selection.load()?, &run::Options { seed, out })
        }
        Command::Resume { dir } => run::resume(&dir),
        Command::Report { dir } => run::report(&dir),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Advise { wait, compute, items, workers, payload } => {
            advise::execute(&advise::Question { wait, compute, items, workers, payload })
        }
        Command::Calibrate { quick, experiments, out } => {
            calibrate::execute(&calibrate::Options { quick, experiments, out })
        }
        Command::Claims(arguments) => claims::execute(&arguments),
        Command::ClaimTrial(arguments) => claims::trial(&arguments),
        Command::ClaimScript { style, server } => claims::script(&style, server),
        Command::ClaimServer { parent } => claims::serve(parent),
        Command::Hog => calibrate::hog(),
        Command::Serve { address, parent, stall } => server::serve(address, parent, stall.checked()?),
        Command::Plan(selection) => {
            let plans: Vec<String> = selection.load()?.iter().map(plan::render).collect();
            say(&plans.join("\n"))
        }
        Command::List { what } => say(&match what {
            Some(What::Experiments) => list::experiments(),
            Some(What::Workloads) => list::workloads(),
            Some(What::Strategies) => list::strategies(),
            None => [list::experiments(), list::workloads(), list::strategies()].join("\n"),
        }),
        Command::Init { file } => init::init(&file).map(|()| 0),
        Command::Explain { target, cell, strategies, trace } => {
            explain::execute(&explain::Options { target, cell, strategies, trace })
        }
        Command::Export { dir, format, out } => export::execute(&dir, format, out.as_deref()),
        Command::Doctor => say(&doctor::render(&doctor::Examination::take().findings())),
    }
}

fn say(text: &str) -> Result<u8> {
    text::print(text).map_err(|error| anyhow!("standard output: {error}"))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
