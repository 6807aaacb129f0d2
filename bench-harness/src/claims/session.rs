//! Measuring: every repeat of every claim in a fresh process, in rounds, each round in a random order.
//!
//! A round takes one repeat of each claim that still wants one: ours, CPython's, and that of the project which the claim is about, one
//! right after the other, in random order; in the quick pass all at once where waiting is all that they do. Beside them the machine
//! is watched; where other programs were busy the repeat does not count and is taken once more at the end. Facts are checked first,
//! each once.
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use crossover_reports::claims::{Check, Column, Figure, Group, Kind, Peer, Row, Test, Whose};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::child::{self, End, Running};
use super::facts::{self, Fact};
use super::python::{self, Python};
use super::table::Claim;
use super::trial::Answer;
use crate::interrupt::Interrupt;
use crate::probe::LoadWindow;
use crate::progress::Progress;
use crate::server::Server;
use crate::text;

/// Foreign load above which a repeat does not count.
const FOREIGN_MAX: f64 = 0.15;

/// How long a repeat may take: in the quick pass, and in full.
const LIMIT: Duration = Duration::from_secs(40);
const LIMIT_FULL: Duration = Duration::from_secs(240);

/// What a repeat takes on average, with the other sides': in the quick pass, and in full.
const ABOUT: Duration = Duration::from_millis(1500);
const ABOUT_FULL: Duration = Duration::from_secs(6);

/// The fewest repeats: two that agree decide something in the quick pass. Of four the interval is five times as narrow.
const REPEATS: u32 = 2;
const REPEATS_FULL: u32 = 4;

/// What all repeats of a claim may take in full, beyond the fewest: those of a long one say more each.
const SHARE_FULL: Duration = Duration::from_secs(45);

/// What is measured with.
pub(super) struct Session<'a> {
    pub(super) full: bool,
    /// The claims were named one by one: those that the quick pass leaves out are measured, too.
    pub(super) named: bool,
    pub(super) seed: u64,
    /// Or why CPython takes no part.
    pub(super) python: Result<Python, String>,
    pub(super) interrupt: &'a Interrupt,
}

/// Somebody wants it to end, or it cannot go on.
#[derive(Debug)]
enum Stop {
    Interrupted,
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// A claim and what has been measured of it.
struct Work {
    claim: &'static Claim,
    row: Row,
    /// Repeats that were disturbed and are to be taken again.
    again: u32,
    /// What its first repeat took.
    took: Option<Duration>,
}

/// The sides of a repeat.
#[derive(Clone, Copy)]
enum Side {
    Ours,
    Cpython,
    /// The project that the claim is about.
    Peer,
}

/// The servers of a session.
struct Servers {
    http: Server,
    stand_in: Server,
}

impl Session<'_> {
    /// Puts the claims to the test: their rows, and whether all of it was done before somebody wanted it to end.
    ///
    /// # Errors
    /// A child or a server cannot be started.
    pub(super) fn measure(
        &self,
        claims: &[&'static Claim],
        progress: &mut Progress,
    ) -> Result<(Vec<Row>, bool)> {
        let mut works: Vec<Work> =
            claims.iter().map(|claim| Work { claim, row: self.row(claim), again: 0, took: None }).collect();
        let done = match self.work_off(&mut works, progress) {
            Ok(()) => true,
            Err(Stop::Interrupted) => false,
            Err(Stop::Failed(error)) => return Err(error),
        };
        Ok((works.into_iter().map(|work| work.row).collect(), done))
    }

    fn work_off(&self, works: &mut [Work], progress: &mut Progress) -> Result<(), Stop> {
        progress.stage("checking facts");
        for work in works.iter_mut() {
            self.check(work)?;
        }
        let stand_in = ["claim-server".to_owned()];
        let servers = Servers {
            http: Server::start(self.interrupt).map_err(|error| self.stopped(error))?,
            stand_in: Server::launch(&stand_in, self.interrupt).map_err(|error| self.stopped(error))?,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let about = if self.full { ABOUT_FULL } else { ABOUT };
        for round in 0.. {
            let mut due: Vec<usize> =
                (0..works.len()).filter(|&at| round < self.wanted(&works[at])).collect();
            if due.is_empty() {
                break;
            }
            due.shuffle(&mut rng);
            let left = |work: &Work| work.took.unwrap_or(about) * self.wanted(work).saturating_sub(round);
            progress.set_total(works.iter().map(left).sum());
            let rounds = works.iter().map(|work| self.wanted(work)).max().unwrap_or(0);
            progress.stage(&format!("round {} of {rounds}", round + 1));
            for at in due {
                let start = Instant::now();
                let disturbed = self.repeat(&mut works[at], &servers, &mut rng)?;
                works[at].again += u32::from(disturbed);
                progress.advance(*works[at].took.get_or_insert(start.elapsed()));
            }
        }
        let mut due: Vec<usize> =
            (0..works.len()).flat_map(|at| (0..works[at].again).map(move |_| at)).collect();
        due.shuffle(&mut rng);
        if !due.is_empty() {
            progress.set_total(about * u32::try_from(due.len()).unwrap_or(u32::MAX));
            progress.stage(&format!(
                "{} again, because other programs were busy",
                text::count(due.len() as u64, "repeat")
            ));
        }
        for at in due {
            self.repeat(&mut works[at], &servers, &mut rng)?;
            progress.advance(about);
        }
        Ok(())
    }

    fn stopped(&self, error: anyhow::Error) -> Stop {
        if self.interrupt.is_raised() { Stop::Interrupted } else { Stop::Failed(error) }
    }

    /// How many repeats of a claim are taken.
    fn repeats(&self, claim: &Claim) -> u32 {
        match claim.run {
            None => 0,
            Some(_) if self.full => claim.in_full,
            Some(_) if self.named => claim.repeats.max(REPEATS),
            Some(_) => claim.repeats,
        }
    }

    /// The same, once it is known how long one takes.
    fn wanted(&self, work: &Work) -> u32 {
        let repeats = self.repeats(work.claim);
        match work.took {
            Some(took) if self.full => {
                let fit = SHARE_FULL.as_secs_f64() / took.as_secs_f64().max(1e-3);
                repeats.min(REPEATS_FULL.max(fit as u32))
            }
            _ => repeats,
        }
    }

    /// The claim as a row of the record, with nothing measured yet.
    fn row(&self, claim: &Claim) -> Row {
        let mut row = Row {
            id: claim.id().to_owned(),
            also: claim.ids.iter().skip(1).map(|id| (*id).to_owned()).collect(),
            group: claim.group,
            says: claim.says.to_owned(),
            kind: claim.kind,
            source: claim.source.to_owned(),
            caveat: claim.caveat.to_owned(),
            cited: claim.cited.to_owned(),
            recorded: claim.recorded.to_owned(),
            wanted: claim.wanted.to_owned(),
            expected: claim.expected,
            how: claim.how.to_owned(),
            figures: claim
                .figures
                .iter()
                .map(|&(name, unit)| Figure { name: name.to_owned(), unit })
                .collect(),
            tests: tests(claim, |of| of != Whose::Peer),
            peer: claim.peer.map(|peer| Peer {
                name: peer.name.to_owned(),
                tests: tests(claim, |of| of == Whose::Peer),
                column: Column::default(),
            }),
            ..Row::default()
        };
        if claim.run.is_some() && self.repeats(claim) == 0 {
            row.ours.missing = "measured with --full only, or by name".to_owned();
        }
        row.cpython.missing = match (&self.python, claim.python) {
            (_, None) if claim.kind == Kind::Figure && claim.group != Group::Public => {
                "no experiment in Python".to_owned()
            }
            (_, None) => String::new(),
            (Err(reason), Some(_)) => reason.clone(),
            (Ok(_), Some(_)) => String::new(),
        };
        row
    }

    /// Checks the facts of a row.
    fn check(&self, work: &mut Work) -> Result<(), Stop> {
        for fact in facts::ALL.iter().filter(|fact| fact.row == work.claim.id()) {
            let mut command = ourselves(&["claim-trial", "fact", fact.name]);
            let answer = self.answer(work.claim, Side::Ours, self.start(&mut command)?)?;
            let Fact { name, compiled, .. } = fact;
            let detail = match (&answer.failed, answer.detail) {
                (Some(reason), _) => reason.clone(),
                (None, detail) => detail,
            };
            work.row.checks.push(Check { name: (*name).to_owned(), holds: answer.holds, detail });
            work.row
                .ours
                .notes
                .extend(compiled.map(|compiled| format!("checked by the compiler: {compiled}")));
        }
        Ok(())
    }

    fn start(&self, command: &mut Command) -> Result<Running, Stop> {
        Ok(child::start(command, if self.full { LIMIT_FULL } else { LIMIT })?)
    }

    /// Waits for a child of this side, and reads its answer.
    fn answer(&self, claim: &Claim, side: Side, running: Running) -> Result<Answer, Stop> {
        let failed = |reason: String| Answer { failed: Some(reason), ..Answer::default() };
        Ok(match running.end(self.interrupt)? {
            End::Interrupted => return Err(Stop::Interrupted),
            End::Failed(reason) => failed(reason),
            End::Done(text) if matches!(side, Side::Cpython) => python::answer(claim, &text),
            End::Done(text) => serde_json::from_str(text.trim())
                .unwrap_or_else(|error| failed(format!("not an answer: {error}"))),
        })
    }

    /// One repeat of a claim, on all sides: whether it was disturbed.
    fn repeat(&self, work: &mut Work, servers: &Servers, rng: &mut ChaCha8Rng) -> Result<bool, Stop> {
        if self.interrupt.is_raised() {
            return Err(Stop::Interrupted);
        }
        let window = LoadWindow::open();
        let mut sides = [Side::Ours, Side::Cpython, Side::Peer];
        sides.shuffle(rng);
        // Drawn whether it is used or not: the order of what follows depends on nothing else.
        let seed = rng.random::<u32>();
        let at_once = if work.claim.waits && !self.full { sides.len() } else { 1 };
        let mut answers = Vec::new();
        for sides in sides.chunks(at_once) {
            let mut running = Vec::new();
            for &side in sides {
                if let Some(mut command) = self.command(work, side, servers, seed) {
                    running.push((side, self.start(&mut command)?));
                }
            }
            for (side, child) in running {
                answers.push((side, self.answer(work.claim, side, child)?));
            }
        }
        let disturbed = window.close().contamination(FOREIGN_MAX).is_some();
        for (side, answer) in answers {
            let column = match side {
                Side::Ours => Some(&mut work.row.ours),
                Side::Cpython => Some(&mut work.row.cpython),
                Side::Peer => work.row.peer.as_mut().map(|peer| &mut peer.column),
            };
            if let Some(column) = column {
                take(column, answer, disturbed);
            }
        }
        Ok(disturbed)
    }

    /// What makes this side's repeat; `None` where it takes no part.
    fn command(&self, work: &Work, side: Side, servers: &Servers, seed: u32) -> Option<Command> {
        let http = servers.http.address();
        let peer = match side {
            Side::Ours => false,
            Side::Peer => work.claim.peer.map(|_| true)?,
            Side::Cpython => {
                work.claim.python?;
                let python = self.python.as_ref().ok().filter(|_| is_asked(&work.row.cpython))?;
                return Some(python.command(work.claim, self.full, http));
            }
        };
        let mut command = ourselves(&["claim-trial", "figure", work.claim.id()]);
        command.args(["--seed", &seed.to_string(), "--server", &http.to_string()]);
        command.args(["--stand-in", &servers.stand_in.address().to_string()]);
        command.args(self.full.then_some("--full")).args(peer.then_some("--peer"));
        Some(command)
    }
}

/// The program itself, as a child that ends with this process.
fn ourselves(arguments: &[&str]) -> Command {
    let mut command = child::ourselves(arguments);
    command.args(["--parent", &std::process::id().to_string()]);
    command
}

/// The bounds of a claim on the figures of those that are `wanted`.
fn tests(claim: &Claim, wanted: impl Fn(Whose) -> bool) -> Vec<Test> {
    let bounds = claim.bounds.iter().filter(|bound| wanted(bound.of));
    bounds.map(|b| Test { figure: b.figure.to_owned(), must: b.must, of: b.of, claim: b.claim }).collect()
}

/// Whether CPython is asked for another repeat: what was skipped once is skipped again, and what failed gets a second chance.
fn is_asked(column: &Column) -> bool {
    column.missing.is_empty() || column.failed == 1
}

/// Adds a repeat to a column.
fn take(column: &mut Column, answer: Answer, disturbed: bool) {
    if let Some(reason) = answer.skipped {
        column.missing = reason;
        return;
    }
    if let Some(reason) = answer.failed {
        column.failed += 1;
        if column.failed == 1 {
            column.missing = format!("a repeat failed: {reason}");
        }
        return;
    }
    if disturbed {
        column.disturbed += 1;
        return;
    }
    for (name, value) in answer.figures.into_iter().filter(|(_, value)| value.is_finite()) {
        column.samples.entry(name).or_default().push(value);
    }
    for note in answer.notes {
        if !column.notes.contains(&note) && column.notes.len() < NOTES_MAX {
            column.notes.push(note);
        }
    }
}

/// Notes that are kept of a column.
const NOTES_MAX: usize = 3;

/// Whether so much was disturbed that the whole says little: of the rows with figures, more than half lack two undisturbed repeats.
pub(super) fn too_busy(rows: &[Row]) -> bool {
    let measured: Vec<&Row> =
        rows.iter().filter(|row| row.ours.disturbed > 0 || !row.ours.samples.is_empty()).collect();
    let lacks = |row: &&&Row| row.ours.disturbed > 0 && row.ours.samples.values().all(|all| all.len() < 2);
    measured.iter().filter(lacks).count() * 2 > measured.len()
}

/// How long something took, to the tenth of a second: more would be noise in a file that is compared.
pub(super) fn tenths(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: f64) -> Answer {
        Answer {
            figures: [("wall".to_owned(), value)].into(),
            notes: vec!["a note".into()],
            ..Answer::default()
        }
    }

    #[test]
    fn disturbed_repeats_do_not_count_and_are_told() {
        let mut column = Column::default();
        take(&mut column, answer(1.0), false);
        take(&mut column, answer(9.0), true);
        take(&mut column, answer(1.1), false);
        take(&mut column, answer(f64::NAN), false);
        assert_eq!((column.samples["wall"].as_slice(), column.disturbed), (&[1.0, 1.1][..], 1));
        assert_eq!(column.notes, ["a note"]);
        take(&mut column, Answer { failed: Some("it broke".into()), ..Answer::default() }, false);
        take(&mut column, Answer { failed: Some("again".into()), ..Answer::default() }, false);
        assert_eq!((column.missing.as_str(), column.failed), ("a repeat failed: it broke", 2));
    }

    #[test]
    fn a_failure_gets_a_second_chance_and_a_skip_none() {
        let mut column = Column::default();
        let failed = || Answer { failed: Some("it broke".into()), ..Answer::default() };
        assert!(is_asked(&column));
        take(&mut column, failed(), false);
        assert!(is_asked(&column));
        take(&mut column, failed(), false);
        assert!(!is_asked(&column));
        let mut column = Column::default();
        take(&mut column, Answer { skipped: Some("no aiohttp".into()), ..Answer::default() }, false);
        assert!(!is_asked(&column));
    }

    #[test]
    fn a_machine_is_too_busy_when_most_rows_have_no_figures() {
        let row = |n: usize, disturbed| Row {
            ours: Column {
                samples: [("wall".to_owned(), vec![1.0; n])].into(),
                disturbed,
                ..Column::default()
            },
            ..Row::default()
        };
        assert!(!too_busy(&[row(3, 0), row(3, 1), row(0, 4)]));
        assert!(too_busy(&[row(3, 0), row(1, 4), row(0, 4)]));
        assert!(!too_busy(&[Row::default()]));
    }
}
