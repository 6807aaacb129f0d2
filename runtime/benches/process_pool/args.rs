//! The command line. As in `peers`, cargo's `--bench` is what asks for a measurement.

use std::time::Duration;

use crate::rows::{Case, Cpus, Who};

pub const HELP: &str = "\
cargo bench -p crossover-runtime --bench process_pool -- [OPTIONS] [NAME...]

NAME                only rows whose name contains one of these; those on one CPU end in /1cpu
--seconds S         S seconds for each row instead of 3
--rounds N          N rounds of each row instead of as many as fit in its time
--only WHO,WHO      only these contestants: ours, multi, foreign, ppe, spawn, loky, procspawn, floor
--clean, --1cpu     only the rows on all CPUs, on one CPU
--seed N            for the order of the contestants in each round
--markdown          print the table as Markdown
--list              print the rows' names
--test              try every row out, measure nothing
";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Args {
    pub filters: Vec<String>,
    pub only: Vec<Who>,
    pub cpus: Option<Cpus>,
    pub seed: u64,
    pub smoke: bool,
    /// This is the copy of the program that runs on one CPU and prints JSON.
    pub pinned: bool,
    pub markdown: bool,
    pub list: bool,
    pub help: bool,
    pub seconds: f64,
    pub rounds: Option<usize>,
}

/// The hidden option behind [`Args::pinned`].
pub const PINNED: &str = "--pinned";

impl Args {
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut parsed = Args {
            filters: Vec::new(),
            only: Vec::new(),
            cpus: None,
            seed: 1,
            smoke: false,
            pinned: false,
            markdown: false,
            list: false,
            help: false,
            seconds: 3.0,
            rounds: None,
        };
        let (mut bench, mut test) = (false, false);
        let mut args = args;
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (arg, None),
            };
            let mut value = || inline.clone().or_else(|| args.next()).ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--bench" => bench = true,
                "--test" => test = true,
                "--clean" => parsed.cpus = Some(Cpus::All),
                "--1cpu" => parsed.cpus = Some(Cpus::One),
                "--markdown" => parsed.markdown = true,
                "--list" => parsed.list = true,
                "--help" | "-h" => parsed.help = true,
                "--seconds" => parsed.seconds = number(&name, &value()?, 0.0, 1e4)?,
                "--rounds" => parsed.rounds = Some(number(&name, &value()?, 1.0, 1e6)? as usize),
                "--seed" => parsed.seed = number(&name, &value()?, 0.0, 1e15)? as u64,
                "--only" => parsed.only = contestants(&value()?)?,
                PINNED => parsed.pinned = true,
                unknown if unknown.starts_with('-') => return Err(format!("there is no option {unknown}")),
                filter => parsed.filters.push(filter.to_owned()),
            }
        }
        parsed.smoke = test || !bench;
        Ok(parsed)
    }

    /// The same request for the copy of this program that runs on one CPU.
    pub fn for_one_cpu(&self) -> Vec<String> {
        let mut args = vec![PINNED.to_owned(), "--1cpu".to_owned()];
        args.push(if self.smoke { "--test" } else { "--bench" }.to_owned());
        args.extend([format!("--seconds={}", self.seconds), format!("--seed={}", self.seed)]);
        args.extend(self.rounds.map(|rounds| format!("--rounds={rounds}")));
        if !self.only.is_empty() {
            let names: Vec<&str> = self.only.iter().map(|who| who.name()).collect();
            args.push(format!("--only={}", names.join(",")));
        }
        args.extend(self.filters.iter().cloned());
        args
    }

    pub fn budget(&self) -> Duration {
        Duration::from_secs_f64(if self.smoke { 0.0 } else { self.seconds })
    }

    pub fn wants_case(&self, case: &Case) -> bool {
        let named = |name: String| self.filters.iter().any(|filter| name.contains(filter.as_str()));
        self.cpus.is_none_or(|cpus| cpus == case.cpus)
            && (self.filters.is_empty() || case.names().into_iter().any(named))
    }

    pub fn wants(&self, who: Who) -> bool {
        self.only.is_empty() || self.only.contains(&who)
    }
}

fn number(name: &str, value: &str, least: f64, most: f64) -> Result<f64, String> {
    let parsed = value.parse().ok().filter(|number| (least..=most).contains(number));
    parsed.ok_or_else(|| format!("{name} {value}: a number from {least} to {most} is wanted"))
}

fn contestants(names: &str) -> Result<Vec<Who>, String> {
    let one = |name: &str| {
        let who = Who::ALL.into_iter().find(|who| who.name() == name);
        who.ok_or_else(|| format!("--only {name}: there is no such contestant"))
    };
    names.split(',').map(one).collect()
}
