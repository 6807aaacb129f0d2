//! When each task of a sample was done: from its intended start under an open load, from its own under a closed one.
//!
//! Every task owns a slot, which whoever finishes the task writes once; nobody else touches it meanwhile. All accesses are
//! relaxed: slots are read after the strategy's run has returned, and whatever brought the last digest back has
//! brought the stores before it as well. That the first task's time is known before any task is run follows from
//! how tasks are handed over (a channel, a spawn).
//!
//! Nothing else happens while time is measured: two readings of the clock and a store per task, the histogram after.
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossover_workloads::monotonic_ns;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::due_after_ns;

/// Tasks of a closed sample that are timed at most: those of its first runs.
const SLOTS_MAX: usize = 1 << 17;

/// Longest latency that a histogram tells: an hour. No request takes as long.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// See the module.
#[derive(Debug)]
pub struct Latencies {
    load: Load,
    /// Open: when the task was done. Closed: how long it took. 0: neither yet.
    slots: Box<[AtomicU64]>,
}

#[derive(Debug)]
enum Load {
    Open {
        rate: f64,
        /// When task 0 is due.
        first: AtomicU64,
    },
    Closed {
        tasks: usize,
        /// Slots before those of the present run.
        before: AtomicU64,
    },
}

impl Latencies {
    /// For one run of `tasks` tasks that arrive at `rate` per second.
    #[must_use]
    pub fn open(tasks: u32, rate: f64) -> Self {
        Self { load: Load::Open { rate, first: AtomicU64::new(0) }, slots: slots(tasks as usize) }
    }

    /// For `batch` runs of `tasks` tasks each, one after another.
    #[must_use]
    pub fn closed(tasks: u32, batch: u32) -> Self {
        let tasks = tasks as usize;
        let all = tasks.saturating_mul(batch as usize).min(SLOTS_MAX);
        Self { load: Load::Closed { tasks, before: AtomicU64::new(0) }, slots: slots(all) }
    }

    /// Says that run `run` of the batch begins. No task may be under way.
    pub fn begin_run(&self, run: u32) {
        if let Load::Closed { tasks, before } = &self.load {
            before.store((run as usize).saturating_mul(*tasks) as u64, Ordering::Relaxed);
        }
    }

    /// Says when task 0 is due.
    pub(super) fn set_first(&self, first_ns: u64) {
        if let Load::Open { first, .. } = &self.load {
            first.store(first_ns, Ordering::Relaxed);
        }
    }

    /// A task begins: what [`Latencies::done`] is to be given.
    #[must_use]
    pub fn begin(&self) -> u64 {
        match self.load {
            Load::Open { .. } => 0,
            Load::Closed { .. } => monotonic_ns(),
        }
    }

    /// Task `task`, which began at `begun`, is done.
    pub fn done(&self, task: u32, begun: u64) {
        let now = monotonic_ns();
        match self.load {
            Load::Open { .. } => self.set(task, now),
            Load::Closed { .. } => self.set(task, now.saturating_sub(begun)),
        }
    }

    /// Task `task` was done elsewhere, where it took `took_ns`; for closed loads.
    pub fn took(&self, task: u32, took_ns: u64) {
        if let Load::Closed { .. } = self.load {
            self.set(task, took_ns);
        }
    }

    fn set(&self, task: u32, ns: u64) {
        let before = match &self.load {
            Load::Open { .. } => 0,
            Load::Closed { before, .. } => before.load(Ordering::Relaxed),
        };
        let place = usize::try_from(before).ok().and_then(|before| before.checked_add(task as usize));
        if let Some(slot) = place.and_then(|place| self.slots.get(place)) {
            slot.store(ns.max(1), Ordering::Relaxed);
        }
    }

    /// From the first task's intended start to the end of the last: the wall time of an open run.
    #[must_use]
    pub fn wall_ns(&self) -> u64 {
        let Load::Open { first, .. } = &self.load else { return 0 };
        let last = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).max().unwrap_or(0);
        last.saturating_sub(first.load(Ordering::Relaxed))
    }

    /// The latencies of all tasks that are done, in nanoseconds.
    fn all(&self) -> impl Iterator<Item = u64> {
        let slots = (0..).zip(&self.slots).map(|(task, slot)| (task, slot.load(Ordering::Relaxed)));
        slots.filter(|(_, ns)| *ns != 0).map(|(task, ns)| match &self.load {
            Load::Open { rate, first } => {
                let due = first.load(Ordering::Relaxed).saturating_add(due_after_ns(task, *rate));
                ns.saturating_sub(due)
            }
            Load::Closed { .. } => ns,
        })
    }

    /// The histogram of all tasks that are done, as a sample's `latency` holds it; `None` where none is.
    #[must_use]
    pub fn encode(&self) -> Option<String> {
        encode(self.all())
    }
}

fn slots(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// A histogram of times in nanoseconds, three digits each, as text: V2 with compression, in base64. `None` where there is
/// nothing to tell.
pub(crate) fn encode(times: impl IntoIterator<Item = u64>) -> Option<String> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 3).ok()?;
    for ns in times {
        histogram.saturating_record(ns.max(1));
    }
    if histogram.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).ok()?;
    Some(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    fn decode(text: &str) -> Histogram<u64> {
        let bytes = STANDARD.decode(text).unwrap();
        Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
    }

    #[test]
    fn an_open_load_counts_from_the_intended_start() {
        let latencies = Latencies::open(4, 1000.0);
        latencies.set_first(5_000_000);
        for (task, done) in [(1, 6_000_500), (0, 5_250_000), (3, 8_100_000)] {
            latencies.set(task, done);
        }
        assert_eq!(latencies.all().collect::<Vec<_>>(), [250_000, 500, 100_000], "task 2 is not done");
        assert_eq!(latencies.wall_ns(), 3_100_000);
        let text = latencies.encode().unwrap();
        assert!(text.starts_with("HISTFAAA"), "{text}");
        let histogram = decode(&text);
        assert_eq!((histogram.len(), histogram.sigfig()), (3, 3));
        assert!(histogram.max().abs_diff(250_000) < 250, "{}", histogram.max());
    }

    #[test]
    fn a_closed_load_counts_from_the_own_start_run_after_run() {
        let latencies = Latencies::closed(2, 3);
        for run in 0..3 {
            latencies.begin_run(run);
            for task in 0..2 {
                latencies.took(task, u64::from(run * 10 + task + 1));
            }
        }
        assert_eq!(latencies.all().collect::<Vec<_>>(), [1, 2, 11, 12, 21, 22]);
        let begun = latencies.begin();
        assert!(begun > 0);
        latencies.done(1, begun);
        assert!(latencies.all().last() > Some(0));
    }

    #[test]
    fn what_has_no_slot_is_dropped_and_nothing_is_no_histogram() {
        let latencies = Latencies::closed(u32::MAX, u32::MAX);
        assert_eq!(latencies.encode(), None);
        latencies.begin_run(7);
        latencies.took(3, 5);
        assert_eq!(latencies.all().count(), 0);
        latencies.begin_run(0);
        latencies.took(3, 5);
        assert_eq!(latencies.all().collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn however_long_it_takes_there_is_a_histogram() {
        let histogram = decode(&encode([0, u64::MAX]).unwrap());
        assert_eq!(histogram.len(), 2);
    }
}
