//! Measures a case: contestants in turns, each round a random permutation of them.
//!
//! A turn is a number of operations, or some milliseconds of them; its samples become one figure for each row of the case
//! (a median, a 99th percentile), and the table shows the median of the rounds' figures. What a contestant needs for a case, warm
//! pools above all, lives as long as the case. Every operation's outcome is checked: a wrong one ends the run.

use std::process::exit;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::floor::Floor;
use crate::orphans;
use crate::ours::Ours;
use crate::procspawn_pool::Procspawn;
use crate::python::Python;
use crate::rows::{Case, Figure, Unit, Who, Work, name};

/// No turn takes this long.
const STUCK: Duration = Duration::from_secs(60);

/// A row's figures, one per round, of everyone who took part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub row: String,
    pub unit: Unit,
    pub goal: Option<f64>,
    pub figures: Vec<(Who, Vec<f64>)>,
}

/// How much a turn does.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Operations, where each is a sample.
    pub operations: usize,
    /// Operations before them that do not count.
    pub warm_up: usize,
    /// For rates: how long.
    pub slice: Duration,
    /// For a mapping: how many items.
    pub items: usize,
}

impl Turn {
    fn of(work: Work, smoke: bool) -> Turn {
        let (operations, warm_up) = match work {
            Work::Noop => (400, 40),
            Work::Echo(bytes) | Work::EchoAs(_, bytes) if bytes < 1 << 20 => (60, 6),
            Work::Echo(_) | Work::EchoAs(..) | Work::Sum => (5, 1),
            Work::Cold | Work::ColdLarge => (5, 0),
            Work::Deadline => (100, 0),
            Work::Death { .. } | Work::Revival => (4, 0),
            Work::NoopRate | Work::EchoRate | Work::Map | Work::Dirty | Work::Orphans { .. } => (1, 0),
        };
        match smoke {
            true => Turn { operations: 1, warm_up: 0, slice: Duration::from_millis(2), items: 1000 },
            false => Turn { operations, warm_up, slice: Duration::from_millis(40), items: 1_000_000 },
        }
    }
}

/// A contestant that is set up.
pub trait Contestant {
    /// The samples of one turn: nanoseconds, operations per second, bytes or processes.
    ///
    /// # Errors
    /// Why there is nothing to measure; the contestant then leaves the case.
    fn turn(&mut self, work: Work, turn: &Turn) -> Result<Vec<f64>, String>;
}

/// Sets a contestant up in this process. Python's are in another one.
fn enter(who: Who) -> Option<Box<dyn Contestant>> {
    match who {
        Who::Ours | Who::Multi | Who::Foreign => Some(Box::new(Ours::start(who))),
        Who::Procspawn => Some(Box::new(Procspawn::default())),
        Who::Floor => Some(Box::new(Floor::start())),
        Who::Ppe | Who::PpeSpawn | Who::Loky => None,
    }
}

/// Measures a case.
///
/// # Errors
/// A contestant of ours failed. A peer that does only leaves the case, with a message.
pub fn measure(
    case: &Case,
    args: &Args,
    mut python: Option<&mut Python>,
    order: &mut Shuffle,
    watch: &Watchdog,
) -> Result<Vec<Measured>, String> {
    let first = name(case.rows[0].name, case.cpus);
    if !args.smoke {
        eprintln!("{first}");
    }
    let turn = Turn::of(case.work, args.smoke);
    let taking_part =
        |who: &Who| args.wants(*who) && (enter_here(*who) || python.as_ref().is_some_and(|p| p.has(*who)));
    let who: Vec<Who> = case.who.iter().copied().filter(taking_part).collect();
    let mut contestants: Vec<_> = who
        .into_iter()
        .map(|who| Entrant { who, here: None, figures: vec![Vec::new(); case.rows.len()], out: false })
        .collect();
    let rounds = args.rounds.unwrap_or(usize::MAX).min(case.most_rounds);
    let fewest = if args.smoke { 1 } else { 3.min(rounds) };
    let start = Instant::now();
    let mut round = 0;
    while round < rounds && (args.rounds.is_some() || round < fewest || start.elapsed() < args.budget()) {
        for index in order.permutation(contestants.len()) {
            let entrant = &mut contestants[index];
            watch.at(&first, entrant.who);
            entrant.turn(case, &turn, python.as_deref_mut())?;
        }
        round += 1;
    }
    watch.rest();
    let row = |(index, row): (usize, &crate::rows::Row)| Measured {
        row: name(row.name, case.cpus),
        unit: case.unit,
        goal: row.goal,
        figures: contestants.iter().filter(|e| !e.out).map(|e| (e.who, e.figures[index].clone())).collect(),
    };
    Ok(case.rows.iter().enumerate().map(row).collect())
}

fn enter_here(who: Who) -> bool {
    !matches!(who, Who::Ppe | Who::PpeSpawn | Who::Loky)
}

struct Entrant {
    who: Who,
    here: Option<Box<dyn Contestant>>,
    /// By row, then by round.
    figures: Vec<Vec<f64>>,
    out: bool,
}

impl Entrant {
    fn turn(&mut self, case: &Case, turn: &Turn, python: Option<&mut Python>) -> Result<(), String> {
        if self.out {
            return Ok(());
        }
        let samples = match (case.work, python) {
            (Work::Orphans { busy }, python) => orphans::count(self.who, busy, python.as_deref()),
            (work, Some(python)) if !enter_here(self.who) => python.turn(self.who, work, turn),
            (work, _) => {
                let contestant =
                    self.here.get_or_insert_with(|| enter(self.who).expect("it runs in this process"));
                contestant.turn(work, turn)
            }
        };
        match samples {
            Ok(samples) => {
                for (figures, row) in self.figures.iter_mut().zip(&case.rows) {
                    figures.push(figure(&samples, row.figure));
                }
                Ok(())
            }
            Err(error) if self.who.is_ours() => {
                Err(format!("{}: {}: {error}", case.rows[0].name, self.who.name()))
            }
            Err(error) => {
                eprintln!("{}: without {}: {error}", case.rows[0].name, self.who.name());
                self.out = true;
                Ok(())
            }
        }
    }
}

fn figure(samples: &[f64], figure: Figure) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let share = match figure {
        Figure::Median => 0.5,
        Figure::P99 => 0.99,
        Figure::Most => 1.0,
    };
    // The smallest sample that at least this share of them does not exceed.
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.max(1) - 1]
}

/// Times each of a turn's operations.
///
/// # Errors
/// The first error of an operation.
pub fn time_each(turn: &Turn, mut operation: impl FnMut() -> Result<(), String>) -> Result<Vec<f64>, String> {
    for _ in 0..turn.warm_up {
        operation()?;
    }
    let one = |_| {
        let start = Instant::now();
        operation().map(|()| nanoseconds(start.elapsed()))
    };
    (0..turn.operations).map(one).collect()
}

pub fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// Random orders (xorshift64*), the same ones for the same seed.
pub struct Shuffle(u64);

impl Shuffle {
    pub fn new(seed: u64) -> Shuffle {
        Shuffle(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
        order
    }
}

/// Ends the process, saying where it was, when a turn takes longer than any can.
pub struct Watchdog(Arc<Mutex<Option<(Instant, String, Who)>>>);

impl Watchdog {
    pub fn start() -> Watchdog {
        let place = Arc::new(Mutex::new(None::<(Instant, String, Who)>));
        let watched = Arc::clone(&place);
        thread::spawn(move || {
            loop {
                thread::sleep(Duration::from_secs(5));
                let now = watched.lock().expect("nobody panics with it");
                if let Some((_, row, who)) = now.as_ref().filter(|(since, ..)| since.elapsed() > STUCK) {
                    eprintln!("{row}: {} is stuck", who.name());
                    exit(2);
                }
            }
        });
        Watchdog(place)
    }

    fn at(&self, row: &str, who: Who) {
        *self.0.lock().expect("nobody panics with it") = Some((Instant::now(), row.to_owned(), who));
    }

    fn rest(&self) {
        *self.0.lock().expect("nobody panics with it") = None;
    }
}
