//! The command line.
//!
//! `cargo bench` passes `--bench`; without it, as from `cargo test --benches`, every row is only tried out. Options of
//! criterion are accepted and mean nothing, so that one command line fits all benches of the workspace.

use std::time::Duration;

use crate::contestants::Who;
use crate::harness::Plan;

pub const HELP: &str = "\
cargo bench -p crossover-runtime --bench peers -- [OPTIONS] [NAME...]

NAME                only rows whose name contains one of these
--quick             a first look: under a minute for all rows
--rounds N          N rounds of each row instead of as many as fit in its time
--seconds S         S seconds for each row instead of 6
--only WHO,WHO      only these contestants: ours, tokio, smol, rayon, threads
--watched           ours with its stall detector on
--workers 2|4       only the rows with this many workers
--seed N            for the order of the contestants in each round
--markdown          print the table as Markdown
--json FILE         write every sample to FILE
--list              print the rows' names
--test              try every row out, measure nothing
";

/// What is asked for.
#[derive(Debug)]
pub struct Args {
    pub filters: Vec<String>,
    pub only: Vec<Who>,
    pub workers: Option<usize>,
    pub seed: u64,
    pub quick: bool,
    pub smoke: bool,
    pub watched: bool,
    pub markdown: bool,
    pub json: Option<String>,
    pub list: bool,
    pub help: bool,
    rounds: Option<usize>,
    seconds: Option<f64>,
}

/// Criterion's and the test harness's options that take a value.
const FOREIGN_WITH_VALUE: &[&str] = &[
    "--baseline",
    "--baseline-lenient",
    "--color",
    "--colour",
    "--confidence-level",
    "--format",
    "--load-baseline",
    "--logfile",
    "--measurement-time",
    "--noise-threshold",
    "--nresamples",
    "--output-format",
    "--plotting-backend",
    "--profile-time",
    "--sample-size",
    "--save-baseline",
    "--significance-level",
    "--skip",
    "--test-threads",
    "--warm-up-time",
    "-b",
    "-c",
    "-s",
    "-Z",
];
/// Those that take none.
const FOREIGN: &[&str] = &[
    "--discard-baseline",
    "--exact",
    "--ignored",
    "--include-ignored",
    "--nocapture",
    "--no-capture",
    "--noplot",
    "--quiet",
    "--show-output",
    "--verbose",
    "-n",
    "-q",
    "-v",
];

impl Args {
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut parsed = Args {
            filters: Vec::new(),
            only: Vec::new(),
            workers: None,
            seed: 1,
            quick: false,
            smoke: false,
            watched: false,
            markdown: false,
            json: None,
            list: false,
            help: false,
            rounds: None,
            seconds: None,
        };
        let (mut bench, mut test) = (false, false);
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (arg, None),
            };
            let mut value = || inline.clone().or_else(|| args.next()).ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--bench" => bench = true,
                "--test" => test = true,
                "--quick" => parsed.quick = true,
                "--watched" => parsed.watched = true,
                "--markdown" => parsed.markdown = true,
                "--list" => parsed.list = true,
                "--help" | "-h" => parsed.help = true,
                "--rounds" => parsed.rounds = Some(number(&name, &value()?, 1.0, 1e6)? as usize),
                "--seconds" => parsed.seconds = Some(number(&name, &value()?, 0.0, 1e4)?),
                "--seed" => parsed.seed = number(&name, &value()?, 0.0, 1e15)? as u64,
                "--json" => parsed.json = Some(value()?),
                "--workers" => parsed.workers = Some(workers(&value()?)?),
                "--only" => parsed.only = contestants(&value()?)?,
                foreign if FOREIGN_WITH_VALUE.contains(&foreign) => drop(value()?),
                foreign if FOREIGN.contains(&foreign) => {}
                unknown if unknown.starts_with('-') => return Err(format!("there is no option {unknown}")),
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        parsed.smoke = test || !bench;
        Ok(parsed)
    }

    pub fn plan(&self) -> Plan {
        if self.smoke {
            return Plan { rounds: Some(1), budget: Duration::ZERO, slice: Duration::ZERO, fewest_rounds: 1 };
        }
        let seconds = self.seconds.unwrap_or(if self.quick { 0.7 } else { 6.0 });
        Plan {
            rounds: self.rounds,
            budget: Duration::from_secs_f64(seconds),
            slice: Duration::from_millis(if self.quick { 3 } else { 5 }),
            fewest_rounds: if self.quick { 3 } else { 6 },
        }
    }

    pub fn wants_row(&self, row: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| row.contains(filter))
    }

    pub fn wants(&self, who: Who) -> bool {
        self.only.is_empty() || self.only.contains(&who)
    }
}

fn number(name: &str, value: &str, least: f64, most: f64) -> Result<f64, String> {
    let parsed = value.parse().ok().filter(|number| (least..=most).contains(number));
    parsed.ok_or_else(|| format!("{name} {value}: a number from {least} to {most} is wanted"))
}

fn workers(value: &str) -> Result<usize, String> {
    match value {
        "2" => Ok(2),
        "4" => Ok(4),
        _ => Err(format!("--workers {value}: 2 or 4 is wanted")),
    }
}

fn contestants(names: &str) -> Result<Vec<Who>, String> {
    let contestant = |name: &str| Who::ALL.into_iter().find(|who| who.name() == name);
    let one = |name| {
        contestant(name)
            .ok_or_else(|| format!("--only {name}: ours, tokio, smol, rayon or threads is wanted"))
    };
    names.split(',').map(one).collect()
}
