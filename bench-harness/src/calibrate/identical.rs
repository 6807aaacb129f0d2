//! Identical code must tie, and code that is a tenth slower must be found out.
//!
//! A comparison is a cell of a run in which one strategy stands under two names: every cell has its own amount of
//! work, its own verdict and its own luck; its two names have trial processes of their own, fresh in every process
//! round. Cells of one run share those processes and the seconds in which they were measured, so the comparisons are
//! spread over many runs.
//!
//! A run is 20 cells × 5 process rounds × 8 rounds: the shape that experiments have by default. A cell is 8 tasks of
//! 0.25 to 1 ms on one thread, so that all cells fill the quarter of a second that a block lasts at least.
//!
//! On several threads the same code varies by dozens of percent on some machines (a woken thread may have to wait for
//! its core), and what cannot be decided there is honestly undecided. So these comparisons are counted beside the others,
//! and must not be won. A run that was disturbed is repeated and does not count, but its wins do: noise must never
//! look like a difference.
use std::collections::BTreeMap;

use crossover_reports::record::VerdictKind;
use serde_json::json;

use super::crossing::Noise;
use super::folder::Finished;
use super::lab::{Lab, Stop};
use super::table::Row;
use crate::progress::Progress;
use crate::text;

/// Comparisons in a run.
const CELLS: u32 = 20;

/// Tasks of a cell, and their least and most work in microseconds.
const TASKS: u32 = 8;
const WORK_US: [f64; 2] = [250.0, 1000.0];

/// The name of the strategy, and what it is compared with.
const LEFT: &str = "left";
const RIGHT: &str = "right";

/// What stands on the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// The same strategy twice, on one thread.
    Same,
    /// The same strategy twice, on a pool of threads.
    Parallel,
    /// The right one computes a tenth more.
    Slower,
}

impl Sides {
    fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Parallel => "parallel-same",
            Self::Slower => "slower",
        }
    }

    /// The built-in strategies, left and right.
    fn strategies(self) -> [&'static str; 2] {
        match self {
            Self::Same => ["sequential", "sequential"],
            Self::Parallel => ["threads", "threads"],
            Self::Slower => ["sequential", "sequential-slower"],
        }
    }
}

/// What several runs found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Comparisons that count.
    pub(super) of: usize,
    pub(super) ties: usize,
    /// The left side proven faster, in runs that count.
    pub(super) left_wins: usize,
    /// Wins of either side, in disturbed runs as well.
    pub(super) wins: usize,
    pub(super) leans: usize,
    pub(super) undecided: usize,
    pub(super) runs: u32,
    /// Runs that did not count.
    pub(super) disturbed: u32,
    /// Whether no further run was begun because the machine did not become quiet.
    pub(super) never_quiet: bool,
    pub(super) foreign_cores_max: f64,
    /// Medians of the left side's log times, by strategy and cell, one per run.
    centres: BTreeMap<(String, String), Vec<f64>>,
}

/// The text of a run's experiment.
fn config(sides: Sides, cells: u32) -> String {
    let [left, right] = sides.strategies();
    let label = sides.label();
    let step = (WORK_US[1] / WORK_US[0]).powf(1.0 / f64::from(CELLS - 1));
    let work: Vec<String> =
        (0..cells).map(|cell| format!("{:.1}", WORK_US[0] * step.powf(f64::from(cell)))).collect();
    let work = work.join(", ");
    format!(
        r#"schema = 1
[experiment]
name = "{label}"
question = "Are {left} and {right} told apart?"
[workload]
kind = "mixed"
tasks = {TASKS}
wait_us = 0
cpu_us = [{work}]
[strategies]
include = ["{LEFT}", "{RIGHT}"]
workers = "cores"
[strategies.variants.{LEFT}]
strategy = "{left}"
[strategies.variants.{RIGHT}]
strategy = "{right}"
[measure]
processes = 5
rounds = 8
[analysis]
baseline = "{LEFT}"
"#
    )
}

/// Measures `comparisons` comparisons, and repeats what was disturbed at most half as often again. Adds the noise of
/// what was not.
pub(super) fn measure(
    lab: &Lab,
    progress: &mut Progress,
    sides: Sides,
    comparisons: u32,
    noise: &mut Noise,
) -> Result<Tally, Stop> {
    let wanted = comparisons.div_ceil(CELLS);
    let spare = wanted.div_ceil(2).max(2);
    let mut tally = Tally::default();
    let mut attempt = 0;
    while tally.runs < wanted && tally.disturbed <= spare {
        lab.go_on()?;
        let label = sides.label();
        progress.stage(&format!("{label}: run {} of {wanted}", tally.runs + 1));
        if let Err(foreign_cores) = lab.quiet()? {
            tally.never_quiet = true;
            tally.foreign_cores_max = tally.foreign_cores_max.max(foreign_cores);
            break;
        }
        let name = format!("{label}-{attempt}");
        let cells = CELLS.min(comparisons - tally.runs * CELLS);
        lab.write(&name, &config(sides, cells))?;
        lab.run(&name, &format!("{name}-run"), rand::random::<u32>().into())?;
        let run = Finished::read(&lab.path(&format!("{name}-run")))?;
        if run.is_quiet() {
            noise.add(&run);
        }
        tally.add(&run, sides.strategies()[0]);
        attempt += 1;
    }
    Ok(tally)
}

impl Tally {
    fn add(&mut self, run: &Finished, left: &str) {
        self.foreign_cores_max = self.foreign_cores_max.max(run.foreign_cores_max());
        let wins = run.count(VerdictKind::Wins);
        self.wins += wins;
        if !run.is_quiet() {
            self.disturbed += 1;
            return;
        }
        self.runs += 1;
        self.of += run.verdicts.len();
        self.ties += run.count(VerdictKind::Tie);
        self.leans += run.count(VerdictKind::Leans);
        self.undecided += run.count(VerdictKind::Undecided);
        let is_left = |winner: &Option<String>| winner.as_deref() == Some(LEFT);
        self.left_wins +=
            run.verdicts.iter().filter(|v| v.verdict == VerdictKind::Wins && is_left(&v.winner)).count();
        for (cell, mut walls) in run.log_walls(LEFT) {
            if let Some(centre) = median(&mut walls) {
                self.centres.entry((left.to_owned(), cell.to_owned())).or_default().push(centre);
            }
        }
    }

    fn is_complete(&self, comparisons: u32) -> bool {
        self.of as u64 >= u64::from(comparisons)
    }

    /// "gave up: 12 of 20 runs were disturbed (up to 1.20 foreign cores)", or that the machine did not become quiet.
    fn disturbance(&self) -> String {
        let runs = self.runs + self.disturbed;
        let load = format!("up to {:.2} foreign cores", self.foreign_cores_max);
        match (self.never_quiet, runs) {
            (false, _) => format!("gave up: {} of {runs} runs were disturbed ({load})", self.disturbed),
            (true, 0) => format!("gave up before the first run: the machine did not become quiet ({load})"),
            (true, _) => format!(
                "gave up: {} of {runs} runs were disturbed, then the machine did not become quiet ({load})",
                self.disturbed
            ),
        }
    }

    fn repeats(&self) -> String {
        match self.disturbed {
            0 => String::new(),
            1 => "; 1 disturbed run repeated".to_owned(),
            n => format!("; {n} disturbed runs repeated"),
        }
    }

    /// The row `aa`: of this on one thread, and of `parallel`.
    pub(super) fn same_row(&self, comparisons: u32, parallel: &Self) -> Row {
        const BAR: &str = "ties ≥ 95 %, wins ≤ 1 %";
        let figures = json!({
            "count": self.ties, "of": self.of, "wins": self.wins, "leans": self.leans,
            "undecided": self.undecided, "runs": self.runs, "repeated": self.disturbed,
            "parallel": {"ties": parallel.ties, "of": parallel.of, "wins": parallel.wins},
        });
        let few = |tally: &Self| tally.wins * 100 <= tally.of;
        let wins_are_few = few(self) && few(parallel);
        if !self.is_complete(comparisons) && wins_are_few {
            return Row::disturbed("aa", "identical code", BAR, self.disturbance());
        }
        let detail = format!(
            "{} of {} ties, {} wins, in {}{}; on threads {} of {} ties (not judged), {} wins",
            self.ties,
            self.of,
            self.wins,
            text::count(self.runs, "run"),
            self.repeats(),
            parallel.ties,
            parallel.of,
            parallel.wins
        );
        let passed = self.ties * 100 >= self.of * 95 && wins_are_few;
        Row::measured("aa", "identical code", BAR, detail, passed, figures)
    }

    /// The row `slower`.
    pub(super) fn slower_row(&self, comparisons: u32) -> Row {
        const BAR: &str = "detected ≥ 90 %";
        if !self.is_complete(comparisons) {
            return Row::disturbed("slower", "10 % more work", BAR, self.disturbance());
        }
        let runs = text::count(self.runs, "run");
        let detail = format!("{} of {} detected, in {runs}{}", self.left_wins, self.of, self.repeats());
        let figures = json!({
            "count": self.left_wins, "of": self.of, "runs": self.runs, "repeated": self.disturbed,
            "wrong": self.wins - self.left_wins.min(self.wins),
        });
        // The wrong side never wins.
        let passed = self.left_wins * 10 >= self.of * 9 && self.wins == self.left_wins;
        Row::measured("slower", "10 % more work", BAR, detail, passed, figures)
    }

    /// How much the time of one program varies between the runs of both: the standard deviation of its logarithm, pooled
    /// over cells. `None` where no cell was measured in three runs.
    pub(super) fn between_runs_sd(&self, others: &Self) -> Option<f64> {
        let mut all = self.centres.clone();
        for (key, centres) in &others.centres {
            all.entry(key.clone()).or_default().extend(centres);
        }
        let (mut squares, mut degrees) = (0.0, 0);
        for centres in all.values().filter(|centres| centres.len() >= 3) {
            let mean = centres.iter().sum::<f64>() / centres.len() as f64;
            squares += centres.iter().map(|c| (c - mean).powi(2)).sum::<f64>();
            degrees += centres.len() - 1;
        }
        (degrees > 0).then(|| (squares / degrees as f64).sqrt())
    }
}

/// The middle of `values`, which are sorted for it; `None` of none.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_says_how_many_runs_there_were() {
        let tally = |runs, disturbed, never_quiet| {
            Tally { runs, disturbed, never_quiet, foreign_cores_max: 1.25, ..Tally::default() }.disturbance()
        };
        assert_eq!(
            tally(0, 0, true),
            "gave up before the first run: the machine did not become quiet (up to 1.25 foreign cores)"
        );
        assert!(tally(3, 1, true).contains("1 of 4 runs were disturbed, then"));
        assert_eq!(tally(2, 6, false), "gave up: 6 of 8 runs were disturbed (up to 1.25 foreign cores)");
    }

    #[test]
    fn one_run_is_one_and_what_is_not_judged_is_called_so() {
        let tally = |runs| Tally { runs, of: 4, ties: 4, left_wins: 4, wins: 0, ..Tally::default() };
        let parallel = Tally { runs: 1, of: 4, ..Tally::default() };
        assert_eq!(
            tally(1).same_row(4, &parallel).detail,
            "4 of 4 ties, 0 wins, in 1 run; on threads 0 of 4 ties (not judged), 0 wins"
        );
        assert!(tally(2).same_row(4, &parallel).detail.contains("in 2 runs; "));
        assert_eq!(tally(1).slower_row(4).detail, "4 of 4 detected, in 1 run");
    }
}
