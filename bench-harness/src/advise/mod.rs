//! `crossover advise`: which strategy and pool size for a described work, by measuring it.
//!
//! The description becomes an experiment of one cell (kind `mixed`), measured by a `crossover run` of its own as users
//! run it: fresh processes, several rounds in random order, verified checksums, pools of several sizes as variants.
//! Who cannot come near the least possible time is not measured (`question`); work that is too long for the time
//! is made shorter, and what is said about the whole is then extrapolated (`outlook`), and said to be (`answer`). Bytes that items carry are
//! shipped on pools of their own, and what that takes is added to the times of processes (`shipping`).
mod answer;
mod outlook;
mod question;
mod shipping;

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use crossover_reports::analysis::analyse;
use crossover_reports::load::Folder;

use self::answer::Answer;
use self::question::{Contender, Scaled};
pub use self::question::{Question, parse_length};
pub use self::shipping::parse_bytes;
use crate::calibrate::lab::{Lab, Stop};
use crate::{environment, interrupt, text};

/// The experiment's name, and its folder.
const NAME: &str = "advise";
const OUT: &str = "advise-run";

/// What the run may take; the report and starting come on top.
const BUDGET: Duration = Duration::from_secs(10);

/// Measures what `question` describes and prints what to use. The value is the process's exit code: 0, 4 (other programs
/// disturb too much to say anything), 130 (interrupted).
///
/// # Errors
/// A description that makes no sense, and whatever keeps it from being measured.
pub fn execute(question: &Question) -> Result<u8> {
    check(question)?;
    let cores = u32::try_from(environment::Machine::read().cores_usable).unwrap_or(1).max(1);
    let work = question.work();
    let (hopeful, hopeless) = question::hopeful(question.contenders(cores), &work);
    let scaled = question::fit(work, &hopeful);
    let lab = Lab::open(None)?;
    lab.write(NAME, &config(&scaled, &hopeful))?;
    eprintln!(
        "measuring {}, about 12 s",
        text::count(hopeful.len() as u64, "strategy").replace("strategys", "strategies")
    );
    let code = match lab.run(NAME, OUT, rand::random::<u32>().into()) {
        Ok(code) => code,
        Err(Stop::Interrupted) => {
            eprintln!("\ninterrupted; nothing is kept");
            return Ok(interrupt::EXIT_CODE);
        }
        Err(Stop::Failed(error)) => return Err(error.context("cannot measure this work")),
    };
    let mut folder = Folder::read(&lab.path(OUT)).context("cannot read what was measured")?;
    let shipping = match question.payload {
        0 => Vec::new(),
        bytes => shipping::measure(bytes, &hopeful)?,
    };
    shipping::add(&shipping, &mut folder.samples);
    let analysis = analyse(&folder, &crossover_reports::Options::default());
    let answer = Answer {
        question,
        scaled: &scaled,
        measured: &hopeful,
        left_out: &hopeless,
        shipping: &shipping,
        cores,
        analysis: &analysis,
    };
    text::print(&answer.render()).map_err(|error| anyhow!("standard output: {error}"))?;
    Ok(code)
}

/// Refuses what makes no sense.
fn check(question: &Question) -> Result<()> {
    if question.wait.is_zero() && question.compute.is_zero() {
        bail!("--wait and --compute are both 0: items that do nothing need no strategy");
    }
    let shortest = Duration::from_nanos(100);
    for (name, length) in [("--wait", question.wait), ("--compute", question.compute)] {
        if !length.is_zero() && length < shortest {
            bail!("{name}: less than 100 ns is less than handing an item over takes; write 0");
        }
    }
    if question.items < 2 {
        bail!("--items {}: a single item has nothing to run beside; write 2 or more", question.items);
    }
    for (index, size) in question.workers.iter().enumerate() {
        if question.workers[..index].contains(size) {
            bail!("--workers: {size} stands in the list twice");
        }
    }
    if question.workers.len() > 8 {
        bail!("--workers: {} sizes do not fit into 15 s; name 8 at most", question.workers.len());
    }
    Ok(())
}

/// The text of the experiment.
fn config(scaled: &Scaled, contenders: &[Contender]) -> String {
    let work = &scaled.work;
    let names: Vec<String> = contenders.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let mut text = format!(
        r#"schema = 1
[experiment]
name = "{NAME}"
question = "Which strategy suits this work?"
[workload]
kind = "mixed"
tasks = {}
wait_us = {:.3}
cpu_us = {:.3}
[strategies]
include = [{}]
workers = "cores"
[measure]
processes = 3
rounds = 6
budget = "{}s"
[analysis]
baseline = "{}"
"#,
        work.items,
        work.wait * 1e6,
        work.compute * 1e6,
        names.join(", "),
        BUDGET.as_secs(),
        contenders.first().map_or("", |c| &c.name),
    );
    for contender in contenders {
        if let Some(workers) = contender.workers {
            let Contender { name, base, .. } = contender;
            text += &format!("[strategies.variants.{name}]\nstrategy = \"{base}\"\nworkers = {workers}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Experiment;

    fn question(wait_us: u64, compute_us: u64, items: u32) -> Question {
        let (wait, compute) = (Duration::from_micros(wait_us), Duration::from_micros(compute_us));
        Question { wait, compute, items, workers: Vec::new(), payload: 0 }
    }

    #[test]
    fn every_question_is_an_experiment_that_loads() {
        for (wait_us, compute_us, items) in [
            (200_000, 5000, 100),
            (0, 1, 2),
            (1, 0, 100_000),
            (3_600_000_000, 3_600_000_000, 100_000),
            (7, 13, 17),
        ] {
            for cores in [1, 2, 64] {
                let question = question(wait_us, compute_us, items);
                check(&question).unwrap();
                let (hopeful, hopeless) = question::hopeful(question.contenders(cores), &question.work());
                let scaled = question::fit(question.work(), &hopeful);
                let text = config(&scaled, &hopeful);
                let loaded = Experiment::parse(&text, "advise.toml", Path::new("/"));
                let experiment = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(experiment.strategies.include.len(), hopeful.len());
                assert!(!hopeful.is_empty() && hopeful.len() + hopeless.len() >= 6);
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let refused = |question: &Question| check(question).unwrap_err().to_string();
        assert!(refused(&question(0, 0, 10)).contains("both 0"));
        assert!(refused(&question(0, 5, 1)).contains("--items 1"));
        let short = Question { wait: Duration::from_nanos(99), ..question(0, 5, 10) };
        assert!(refused(&short).contains("--wait"));
        let twice = Question { workers: vec![2, 4, 2], ..question(10, 5, 10) };
        assert!(refused(&twice).contains("2 stands"));
        let many = Question { workers: (1..=9).collect(), ..question(10, 5, 10) };
        assert!(refused(&many).contains("8 at most"));
    }
}
