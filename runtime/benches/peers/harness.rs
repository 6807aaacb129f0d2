//! Measures contestants side by side: in one process, in short rounds, each round a random permutation of them.
//!
//! ```text
//! case ─► one trial per contestant (its runtime lives as long as the trial)
//!         warm up, find how many iterations fill a slice of time
//!         round 1: smol, ours, tokio     each: one iteration that does not count, then its slice
//!         round 2: ours, tokio, smol
//!         …
//!         medians; ratios within each round, then their median with an interval
//! ```
//!
//! Load that comes and goes hits all contestants of a round alike, so a ratio within a round stands where the figures
//! themselves do not. A trial checks its own results and panics when one is missing: no row passes by doing nothing.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::contestants::Who;
use crate::stats::Samples;

/// An iteration that takes this long would have ended by itself if it ever could.
const STUCK: Duration = Duration::from_secs(60);
/// Iterations longer than this need no other one before them to wake their threads up.
const LONG: Duration = Duration::from_millis(20);

/// What a contestant is set up with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub workers: usize,
    /// Only whether it works: tiny sizes.
    pub smoke: bool,
    /// A first look: smaller sizes where a full one takes seconds.
    pub quick: bool,
}

impl Setup {
    /// `full`, or a hundredth of it in a smoke test.
    pub fn size(&self, full: usize) -> usize {
        if self.smoke { (full / 100).max(2) } else { full }
    }
}

/// One contestant at one case.
pub struct Trial {
    /// Operations in one iteration.
    operations: usize,
    /// Runs one iteration; returns its cost for each row of the case: nanoseconds of wall or CPU time, or bytes.
    iterate: Box<dyn FnMut() -> Vec<f64>>,
}

impl Trial {
    /// An iteration's cost is the time it takes.
    pub fn wall(operations: usize, mut iteration: impl FnMut() + 'static) -> Trial {
        Trial::timed(operations, move || {
            let start = Instant::now();
            iteration();
            start.elapsed()
        })
    }

    /// An iteration tells what it took.
    pub fn timed(operations: usize, mut iteration: impl FnMut() -> Duration + 'static) -> Trial {
        Trial::counted(operations, move || vec![nanoseconds(iteration())])
    }

    /// An iteration tells its cost for each row of the case.
    pub fn counted(operations: usize, iteration: impl FnMut() -> Vec<f64> + 'static) -> Trial {
        Trial { operations, iterate: Box::new(iteration) }
    }
}

pub fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// A contestant's entry in a case.
pub struct Entry {
    pub who: Who,
    prepare: Box<dyn Fn(&Setup) -> Trial>,
}

impl Entry {
    pub fn new(who: Who, prepare: impl Fn(&Setup) -> Trial + 'static) -> Entry {
        Entry { who, prepare: Box::new(prepare) }
    }
}

/// The entries of ours, tokio and smol for a generic function.
#[macro_export]
macro_rules! everyone {
    ($prepare:ident $(, $argument:expr)*) => {
        vec![
            Entry::new(Who::Ours, move |setup| $prepare::<Ours>(setup $(, $argument)*)),
            Entry::new(Who::Tokio, move |setup| $prepare::<Tokio>(setup $(, $argument)*)),
            Entry::new(Who::Smol, move |setup| $prepare::<Smol>(setup $(, $argument)*)),
        ]
    };
}

/// What a figure of a row means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds per operation.
    Nanoseconds,
    /// CPU nanoseconds per operation.
    CpuNanoseconds,
    /// Bytes per operation.
    Bytes,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::CpuNanoseconds => "CPU ns",
            Unit::Bytes => "B",
        }
    }
}

/// What is measured together: one row, or several that the same iterations give.
pub struct Case {
    pub rows: Vec<(&'static str, Unit)>,
    pub entries: Vec<Entry>,
    /// Measured with 4 workers, too.
    pub four: bool,
    /// The most rounds, for cases whose iterations take seconds.
    most_rounds: usize,
    /// Every iteration is a process of its own: nothing can be warmed up.
    fresh: bool,
}

impl Case {
    pub fn new(row: &'static str, entries: Vec<Entry>) -> Case {
        Case::of_rows(vec![(row, Unit::Nanoseconds)], entries)
    }

    pub fn of_rows(rows: Vec<(&'static str, Unit)>, entries: Vec<Entry>) -> Case {
        Case { rows, entries, four: false, most_rounds: usize::MAX, fresh: false }
    }

    pub fn also_with_four(mut self) -> Case {
        self.four = true;
        self
    }

    pub fn in_fresh_processes(mut self) -> Case {
        self.fresh = true;
        self
    }

    pub fn at_most(mut self, rounds: usize) -> Case {
        self.most_rounds = rounds;
        self
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds of each case; as many as fit in `budget` if there is none.
    pub rounds: Option<usize>,
    /// For the rounds of one case.
    pub budget: Duration,
    /// For one contestant's turn in a round.
    pub slice: Duration,
    pub fewest_rounds: usize,
}

/// A row's samples, by contestant: costs per operation, one for each round.
pub struct Measured {
    pub row: &'static str,
    pub unit: Unit,
    pub workers: usize,
    pub samples: Vec<(Who, Samples)>,
}

/// A contestant while its case is measured.
struct Contestant {
    who: Who,
    trial: Trial,
    iterations: usize,
    /// Before each slice, an iteration that does not count.
    warm_up: bool,
    /// For each row, one sample for each round.
    samples: Vec<Vec<f64>>,
}

impl Contestant {
    fn enter(entry: &Entry, fresh: bool, setup: &Setup, plan: &Plan) -> Contestant {
        let trial = (entry.prepare)(setup);
        let mut contestant =
            Contestant { who: entry.who, trial, iterations: 1, warm_up: false, samples: Vec::new() };
        if setup.smoke || fresh {
            return contestant;
        }
        let first = contestant.clock();
        if first < LONG {
            let one = contestant.clock().min(contestant.clock()).max(Duration::from_nanos(100));
            contestant.warm_up = true;
            contestant.iterations = (plan.slice.as_secs_f64() / one.as_secs_f64()).ceil() as usize;
        }
        contestant
    }

    /// How long an iteration takes, with whatever it does not count.
    fn clock(&mut self) -> Duration {
        let start = Instant::now();
        black_box((self.trial.iterate)());
        start.elapsed()
    }

    fn turn(&mut self) {
        if self.warm_up {
            (self.trial.iterate)();
        }
        let mut costs: Vec<f64> = Vec::new();
        for _ in 0..self.iterations {
            let iteration = (self.trial.iterate)();
            costs.resize(iteration.len(), 0.0);
            costs.iter_mut().zip(iteration).for_each(|(sum, cost)| *sum += cost);
        }
        self.samples.resize_with(costs.len(), Vec::new);
        let operations = (self.iterations * self.trial.operations) as f64;
        for (samples, cost) in self.samples.iter_mut().zip(costs) {
            samples.push(cost / operations);
        }
    }
}

/// Measures a case: its rows' samples.
pub fn measure(
    case: &Case,
    setup: &Setup,
    plan: &Plan,
    order: &mut Shuffle,
    watch: &Watchdog,
) -> Vec<Measured> {
    let name = case.rows[0].0;
    let mut contestants = Vec::new();
    for entry in &case.entries {
        watch.at(name, entry.who);
        contestants.push(Contestant::enter(entry, case.fresh, setup, plan));
    }
    let rounds = plan.rounds.unwrap_or(usize::MAX).min(case.most_rounds);
    let fewest = plan.fewest_rounds.min(rounds);
    let start = Instant::now();
    let mut round = 0;
    while round < rounds && (plan.rounds.is_some() || round < fewest || start.elapsed() < plan.budget) {
        for index in order.permutation(contestants.len()) {
            watch.at(name, contestants[index].who);
            contestants[index].turn();
        }
        round += 1;
    }
    watch.rest();
    let measured = |(index, &(row, unit)): (usize, &(&'static str, Unit))| {
        let samples = contestants.iter().map(|c| (c.who, Samples::new(c.samples[index].clone()))).collect();
        Measured { row, unit, workers: setup.workers, samples }
    };
    case.rows.iter().enumerate().map(measured).collect()
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

/// Ends the process, saying where it was, when one turn takes longer than any can.
pub struct Watchdog(&'static Mutex<Option<(Instant, &'static str, Who)>>);

impl Watchdog {
    pub fn start() -> Watchdog {
        let place: &'static Mutex<Option<_>> = Box::leak(Box::new(Mutex::new(None)));
        let look = move || {
            loop {
                thread::sleep(Duration::from_secs(5));
                let now: Option<(Instant, &str, Who)> = *place.lock().expect("nobody panics with it");
                if let Some((_, row, who)) = now.filter(|(since, ..)| since.elapsed() > STUCK) {
                    eprintln!("{row}: {} is stuck, it lost a task or a wake-up", who.name());
                    std::process::exit(2);
                }
            }
        };
        thread::spawn(look);
        Watchdog(place)
    }

    fn at(&self, row: &'static str, who: Who) {
        *self.0.lock().expect("nobody panics with it") = Some((Instant::now(), row, who));
    }

    fn rest(&self) {
        *self.0.lock().expect("nobody panics with it") = None;
    }
}

/// Counts tasks down; the last one tells the thread that waits.
#[derive(Clone)]
pub struct Countdown {
    // Relaxed: only the count matters, the channel orders the rest.
    left: Arc<AtomicUsize>,
    done: mpsc::SyncSender<()>,
}

impl Countdown {
    pub fn new() -> (Countdown, mpsc::Receiver<()>) {
        let (done, over) = mpsc::sync_channel(1000);
        (Countdown { left: Arc::new(AtomicUsize::new(0)), done }, over)
    }

    /// Before the tasks are spawned: how many there will be.
    pub fn set(&self, tasks: usize) {
        self.left.store(tasks, Relaxed);
    }

    pub fn count(&self) {
        if self.left.fetch_sub(1, Relaxed) == 1 {
            self.done.send(()).expect("the measuring thread waits");
        }
    }
}

pub fn rayon_pool(setup: &Setup) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(setup.workers).build().expect("rayon starts")
}
