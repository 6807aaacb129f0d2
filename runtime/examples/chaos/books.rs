//! What the run knows: which jobs are open, how each ended, what must not have grown. And the watchdog over it.
//!
//! Threads share one [`Books`]. Its locks are leaves: nothing is called while one is held.

use crate::{
    jobs::{MARK, ledger_path},
    plan::{Deed, ROWS},
};
use crossover_runtime::process_pool::ProcessPool;
use std::{
    collections::HashMap,
    fs, process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Nothing done for so long is a hang.
const HANG: Duration = Duration::from_secs(30);

/// How long what was released may take to disappear from /proc.
const SETTLE: Duration = Duration::from_secs(10);

/// How often a job must have run, going by its outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Runs {
    Never = 1,
    AtMostOnce,
    Once,
    /// It was tried again, perhaps.
    AtMostTwice,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    AsPlanned(Runs),
    /// Its call was dropped before it was done.
    Dropped,
    /// Its worker was killed from outside.
    Hit,
    /// The same, of one that may run twice.
    HitTwice,
    /// The pool was closed or dropped before it was done.
    CutOff(Runs),
    Wrong(String),
}

/// The columns of the table.
const COLUMNS: [&str; 5] = ["as planned", "dropped", "hit", "cut off", "WRONG"];

#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) seed: u64,
    /// Jobs that are over, whichever way. Relaxed: a count to look at.
    done: AtomicU64,
    /// By job: what its outcome says about its runs ([`Runs`]; 0 while it is open). Relaxed: read when all have ended.
    runs: Box<[AtomicU8]>,
    open: Mutex<HashMap<u64, (Deed, Instant)>>,
    table: Mutex<[[u64; COLUMNS.len()]; ROWS.len()]>,
    /// Workers that answered lately.
    served: Mutex<Vec<u32>>,
    /// The pool of the epoch, until it is closed or dropped.
    pool: Mutex<Option<ProcessPool>>,
    /// What the main thread does, for the watchdog.
    stage: Mutex<String>,
    /// Outcomes like `Closed` are in order now. Release in `cut`, Acquire in `is_cut`: set before the pool ends.
    cut: AtomicBool,
    /// Kills from outside, pauses, refusals of the breaker. Relaxed: counts.
    pub(crate) kills: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) refusals: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere ends the run anyway; the dump should still work.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    pub(crate) fn new(seed: u64, jobs: u64) -> Self {
        Self {
            seed,
            done: AtomicU64::new(0),
            runs: (0..jobs).map(|_| AtomicU8::new(0)).collect(),
            open: Mutex::default(),
            table: Mutex::new([[0; COLUMNS.len()]; ROWS.len()]),
            served: Mutex::default(),
            pool: Mutex::default(),
            stage: Mutex::default(),
            cut: AtomicBool::new(false),
            kills: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, id: u64, deed: Deed) {
        lock(&self.open).insert(id, (deed, Instant::now()));
    }

    pub(crate) fn end(&self, id: u64, deed: Deed, verdict: Verdict) {
        let (column, runs) = match verdict {
            Verdict::AsPlanned(runs) => (0, runs),
            Verdict::Dropped => (1, Runs::AtMostOnce),
            Verdict::Hit => (2, Runs::AtMostOnce),
            Verdict::HitTwice => (2, Runs::AtMostTwice),
            Verdict::CutOff(runs) => (3, runs),
            Verdict::Wrong(reason) => {
                eprintln!("chaos: WRONG: job {id}, {deed:?}: {reason}");
                (4, Runs::AtMostOnce)
            }
        };
        let before = self.runs[id as usize].swap(runs as u8, Ordering::Relaxed);
        assert_eq!(before, 0, "job {id} ended twice");
        lock(&self.open).remove(&id);
        lock(&self.table)[deed.row()][column] += 1;
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker gave an answer.
    pub(crate) fn served(&self, worker: u32) {
        let mut served = lock(&self.served);
        if !served.contains(&worker) {
            if served.len() == 8 {
                served.remove(0);
            }
            served.push(worker);
        }
    }

    /// The workers that answered lately; some may be gone.
    pub(crate) fn seen_workers(&self) -> Vec<u32> {
        lock(&self.served).clone()
    }

    pub(crate) fn open_pool(&self, pool: ProcessPool) {
        self.cut.store(false, Ordering::Release);
        *lock(&self.pool) = Some(pool);
    }

    /// The pool, if it is still open to calls.
    pub(crate) fn pool(&self) -> Option<ProcessPool> {
        lock(&self.pool).clone()
    }

    /// From now on calls may be cut off.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub(crate) fn take_pool(&self) -> Option<ProcessPool> {
        lock(&self.pool).take()
    }

    pub(crate) fn stage(&self, stage: String) {
        *lock(&self.stage) = stage;
    }

    /// Ends the program when nothing happens for too long, and says what was going on.
    pub(crate) fn watch(&self) -> ! {
        let look = || (self.done(), lock(&self.stage).clone());
        let (mut seen, mut since) = (look(), Instant::now());
        loop {
            thread::sleep(Duration::from_millis(500));
            let now = look();
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > HANG {
                self.dump();
                process::exit(3);
            }
        }
    }

    fn dump(&self) {
        eprintln!("chaos: HANG: nothing done for {HANG:?}, seed {}, in: {}", self.seed, lock(&self.stage));
        // The pool itself may be what hangs, so whatever needs its lock comes last.
        for (pid, state, parent) in processes() {
            if parent == process::id() {
                let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
                eprintln!(
                    "  child {pid}: state {state}, waits in {:?}, {}",
                    read("wchan"),
                    read("syscall").trim_end()
                );
            }
        }
        let mut open: Vec<_> = lock(&self.open).iter().map(|(id, job)| (*id, *job)).collect();
        open.sort_unstable_by_key(|(id, _)| *id);
        eprintln!("  {} jobs are open:", open.len());
        for (id, (deed, since)) in open.iter().take(100) {
            eprintln!("  job {id}: {deed:?}, for {:?}", since.elapsed());
        }
        eprintln!("{}", self.table());
        match self.pool() {
            Some(pool) => eprintln!("  {:?}", pool.metrics()),
            None => eprintln!("  the pool is closed or dropped"),
        }
    }

    /// How often each kind ended in each way.
    pub(crate) fn table(&self) -> String {
        let table = lock(&self.table);
        let head = COLUMNS.iter().map(|column| format!("{column:>12}")).collect::<String>();
        let mut text = format!("{:24}{head}\n", "job");
        let mut sums = [0; COLUMNS.len()];
        for (name, counts) in ROWS.iter().zip(table.iter()) {
            let cells = counts.iter().map(|count| format!("{count:>12}")).collect::<String>();
            text += &format!("{name:24}{cells}\n");
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        text + &format!("{:24}{}", "all", sums.map(|sum| format!("{sum:>12}")).concat())
    }

    /// Everything that did not hold, once all jobs are over.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |count: u64, what: String| {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        };
        let sum = |column: usize| lock(&self.table).iter().map(|row| row[column]).sum::<u64>();
        fault(sum(4), "wrong outcomes".into());
        let (hits, kills) = (sum(2), self.kills.load(Ordering::Relaxed));
        fault(hits.saturating_sub(kills), format!("more jobs were hit than the {kills} kills could hit"));
        fault(lock(&self.open).len() as u64, "jobs lost: still open".into());

        let mut starts = vec![0_u32; self.runs.len()];
        let ledger = fs::read(ledger_path(process::id())).expect("the ledger");
        for entry in ledger.chunks(8) {
            let id = u64::from_le_bytes(entry.try_into().expect("entries of eight bytes"));
            starts[id as usize] += 1;
        }
        for (runs, least, most) in
            [(Runs::Never, 0, 0), (Runs::AtMostOnce, 0, 1), (Runs::Once, 1, 1), (Runs::AtMostTwice, 0, 2)]
        {
            let all = (0..).zip(&self.runs).zip(&starts);
            let wrong: Vec<_> = all
                .filter(|((_, told), _)| told.load(Ordering::Relaxed) == runs as u8)
                .filter(|(_, starts)| !(least..=most).contains(*starts))
                .map(|((id, _), starts)| (id, *starts))
                .collect();
            for (id, starts) in wrong.iter().take(10) {
                eprintln!("chaos: WRONG: job {id}, {:?}, ran {starts} times", Deed::draw(self.seed, *id));
            }
            fault(wrong.len() as u64, format!("jobs did not run {runs:?}, as they should have"));
        }
        faults
    }
}

/// The state and the parent of a process.
pub(crate) fn process(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which is in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Of every process: its id, its state, its parent.
pub(crate) fn processes() -> impl Iterator<Item = (u32, String, u32)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let (state, parent) = process(pid)?;
        Some((pid, state, parent))
    })
}

/// What a pool must give back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Footprint {
    descriptors: usize,
    memfds: usize,
    mapped_memfds: usize,
    threads: usize,
    children: usize,
    zombies: usize,
    /// Processes that jobs started.
    grandchildren: usize,
}

impl Footprint {
    pub(crate) fn take() -> Self {
        let links = fs::read_dir("/proc/self/fd").expect("/proc").flatten();
        let targets: Vec<_> = links.filter_map(|link| fs::read_link(link.path()).ok()).collect();
        let of_memory = |text: &str| text.contains("/memfd:");
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        let me = process::id();
        let children: Vec<_> = processes().filter(|(_, _, parent)| *parent == me).collect();
        let mark = format!("{MARK}={me}");
        let marked = |pid: u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        };
        Self {
            descriptors: targets.len(),
            memfds: targets.iter().filter(|target| target.to_str().is_some_and(of_memory)).count(),
            mapped_memfds: maps.lines().filter(|line| of_memory(line)).count(),
            threads: fs::read_dir("/proc/self/task").expect("/proc").count(),
            children: children.len(),
            zombies: children.iter().filter(|(_, state, _)| state == "Z").count(),
            grandchildren: processes().filter(|(pid, state, _)| state != "Z" && marked(*pid)).count(),
        }
    }

    /// The footprint once nothing in it is more than here, or after a while.
    pub(crate) fn settle(&self) -> Self {
        let until = Instant::now() + SETTLE;
        loop {
            let now = Self::take();
            if !now.exceeds(self) || Instant::now() > until {
                return now;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        let all = |it: &Self| {
            [
                it.descriptors,
                it.memfds,
                it.mapped_memfds,
                it.threads,
                it.children,
                it.zombies,
                it.grandchildren,
            ]
        };
        all(self).into_iter().zip(all(other)).any(|(mine, theirs)| mine > theirs)
    }
}

/// A line of /proc/self/status in MiB, such as `VmRSS`.
pub(crate) fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
