//! What each task of one run did when: recorded in a trial, told in its answer.
//!
//! A [`Recorder`] is told when a task is handed over, and of its segments: a task was on a worker from here to there. A
//! blocking task is one segment; an async one has a segment per poll; one that is offloaded has its polls and its part
//! on the blocking pool; one in a worker process has what that process tells.
//! A traced run is never a measured one: what the recorder costs (two readings of the clock and some stores per
//! segment) is in no sample.
//!
//! Threads tell at the same time and without a lock. A slot belongs to whoever took its number from `taken`, and
//! a task's times only ever move one way (earliest start, latest end), so nobody waits for anybody. All stores are
//! relaxed: [`Recorder::finish`] is called after the strategy's run has returned, and whatever brought the last
//! digest back (a channel, a join, a task's completion) has brought the stores before it as well. The lock around the
//! workers' names is taken once per thread.
mod breakdown;
pub mod chrome;

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crossover_reports::record::{Breakdown, SCHEMA, Timeline};
use crossover_workloads::{Traced, monotonic_ns};

use crate::protocol::Trace;

pub use breakdown::breakdown;

/// The name of the thread that runs the strategy and hands tasks over.
pub const MAIN: &str = "main";

/// Tasks that an answer tells about at most: the first so many.
pub const TASKS_MAX: usize = 500;

/// Segments that an answer tells about at most: the earliest.
pub const SEGMENTS_MAX: usize = 5000;

/// Segments that are recorded at most, per task on average and in all.
const RECORDED_PER_TASK: usize = 64;
const RECORDED_MAX: usize = 1 << 18;

/// The start of a task that has not started.
const NEVER: u64 = u64::MAX;

/// Numbers the recorders of this process, from 1, so that a thread which outlives a traced run knows the next one.
static RECORDERS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The recorder that this thread told last, and the thread's number there.
    static HERE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    id: u64,
    tasks: Box<[Times]>,
    slots: Box<[Slot]>,
    /// Slots that were asked for, more than there are if need be.
    taken: AtomicUsize,
    workers: Mutex<Workers>,
    /// The thread that runs the strategy.
    main: ThreadId,
    /// When the run began.
    origin_ns: u64,
}

/// One task, in nanoseconds from the origin.
#[derive(Debug)]
struct Times {
    handed: AtomicU64,
    started: AtomicU64,
    ended: AtomicU64,
}

/// One segment: a task on a worker.
#[derive(Debug, Default)]
struct Slot {
    task: AtomicU64,
    worker: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
}

/// Whoever runs tasks, numbered as they come.
#[derive(Debug, Default)]
struct Workers {
    names: Vec<String>,
    /// Numbers of the worker processes, which are known by their ids.
    processes: HashMap<u32, u64>,
}

impl Recorder {
    /// Begins to record a run of `tasks` tasks on this thread: times count from the end of this call.
    #[must_use]
    pub fn start(tasks: u32) -> Self {
        let tasks = tasks as usize;
        let slots = tasks.saturating_mul(RECORDED_PER_TASK).min(RECORDED_MAX);
        let new_task =
            || Times { handed: AtomicU64::new(0), started: AtomicU64::new(NEVER), ended: AtomicU64::new(0) };
        Self {
            id: RECORDERS.fetch_add(1, Ordering::Relaxed),
            tasks: (0..tasks).map(|_| new_task()).collect(),
            slots: (0..slots).map(|_| Slot::default()).collect(),
            taken: AtomicUsize::new(0),
            workers: Mutex::default(),
            main: thread::current().id(),
            origin_ns: monotonic_ns(),
        }
    }

    /// Nanoseconds since the run began.
    #[must_use]
    pub fn elapsed_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.origin_ns)
    }

    /// Says that `task` is about to be handed over.
    pub fn handed(&self, task: u32) {
        if let Some(times) = self.tasks.get(task as usize) {
            times.handed.store(self.elapsed_ns(), Ordering::Relaxed);
        }
    }

    /// Says that a segment of `task` begins on this thread; it ends when what is returned is dropped, here as well.
    #[must_use]
    pub fn segment(self: &Arc<Self>, task: u32) -> Segment {
        Segment { recorder: Arc::clone(self), task, from: self.elapsed_ns() }
    }

    /// Runs `future`, which is `task`, with a segment per poll.
    pub async fn polls<F: Future>(self: &Arc<Self>, task: u32, mut future: Pin<Box<F>>) -> F::Output {
        poll_fn(|context| {
            let _segment = self.segment(task);
            future.as_mut().poll(context)
        })
        .await
    }

    /// Says what `task` did in a worker process.
    pub fn in_process(&self, task: u32, told: &Traced) {
        let worker = self.workers().of_process(told.pid);
        let since = |at: u64| at.saturating_sub(self.origin_ns);
        self.add(task, worker, since(told.from_ns), since(told.to_ns));
    }

    fn add(&self, task: u32, worker: u64, from: u64, to: u64) {
        if let Some(times) = self.tasks.get(task as usize) {
            times.started.fetch_min(from, Ordering::Relaxed);
            times.ended.fetch_max(to, Ordering::Relaxed);
        }
        if let Some(slot) = self.slots.get(self.taken.fetch_add(1, Ordering::Relaxed)) {
            slot.task.store(task.into(), Ordering::Relaxed);
            slot.worker.store(worker, Ordering::Relaxed);
            slot.from.store(from, Ordering::Relaxed);
            slot.to.store(to, Ordering::Relaxed);
        }
    }

    /// The number of the thread that calls.
    fn this_thread(&self, task: u32) -> u64 {
        let (recorder, number) = HERE.get();
        if recorder == self.id {
            return number;
        }
        let here = thread::current();
        let number = self.workers().add(match here.name() {
            _ if here.id() == self.main => MAIN.to_owned(),
            Some(name) => name.to_owned(),
            // Only a thread that is made for one task has no name.
            None => format!("thread {task}"),
        });
        HERE.set((self.id, number));
        number
    }

    /// The workers. A panic elsewhere cannot leave them half changed.
    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was recorded of a run that took `wall_ns` and is over: within the limits of an answer, in the order of time.
    #[must_use]
    pub fn finish(&self, wall_ns: u64) -> Trace {
        let relaxed = Ordering::Relaxed;
        let recorded = self.taken.load(relaxed);
        let mut tasks: Vec<[u64; 4]> = (0..)
            .zip(&self.tasks)
            .map(|(task, times)| {
                [task, times.handed.load(relaxed), times.started.load(relaxed), times.ended.load(relaxed)]
            })
            .filter(|[_, _, started, _]| *started != NEVER)
            .collect();
        let mut segments: Vec<[u64; 4]> = self
            .slots
            .iter()
            .take(recorded)
            .map(|slot| [&slot.task, &slot.worker, &slot.from, &slot.to].map(|part| part.load(relaxed)))
            .collect();
        let names = tidy(&self.workers().names, &mut segments);
        // With a hole in what was recorded the accounts would be wrong.
        let breakdown = (recorded <= self.slots.len()).then(|| breakdown(wall_ns, &names, &tasks, &segments));
        tasks.truncate(TASKS_MAX);
        segments.retain(|[task, ..]| tasks.binary_search_by_key(task, |[task, ..]| *task).is_ok());
        segments.sort_unstable_by_key(|[task, worker, from, to]| (*from, *to, *worker, *task));
        segments.truncate(SEGMENTS_MAX);
        let truncated = recorded > segments.len();
        let workers = tidy(&names, &mut segments);
        Trace { workers, tasks, segments, truncated, breakdown }
    }
}

/// A trial's trace as a line of `timelines.jsonl`.
#[must_use]
pub fn timeline(run: &str, cell: &str, strategy: &str, wall_ns: u64, trace: Trace) -> Timeline {
    let Trace { workers, tasks, segments, truncated, breakdown } = trace;
    let (run, cell, strategy) = (run.to_owned(), cell.to_owned(), strategy.to_owned());
    Timeline { schema: SCHEMA, run, cell, strategy, wall_ns, workers, tasks, segments, truncated, breakdown }
}

/// Where the time of a traced run went: as its trial told, or from the timeline where that is whole.
#[must_use]
pub fn breakdown_of(timeline: &Timeline) -> Option<Breakdown> {
    let Timeline { wall_ns, workers, tasks, segments, truncated, .. } = timeline;
    timeline.breakdown.clone().or_else(|| (!truncated).then(|| breakdown(*wall_ns, workers, tasks, segments)))
}

/// Names the workers that `segments` mention in a stable order, and renumbers the segments to it.
fn tidy(names: &[String], segments: &mut [[u64; 4]]) -> Vec<String> {
    let name_of = |number: u64| names.get(usize::try_from(number).ok()?);
    let mut seen: Vec<u64> = segments.iter().map(|segment| segment[1]).collect();
    seen.sort_by_cached_key(|number| (name_of(*number).map(|name| sort_key(name)), *number));
    seen.dedup();
    let places: HashMap<u64, u64> = seen.iter().copied().zip(0..).collect();
    for [_, worker, _, _] in segments {
        *worker = places.get(worker).copied().unwrap_or_default();
    }
    seen.into_iter().filter_map(name_of).cloned().collect()
}

/// The main thread first, then by kind and number.
fn sort_key(name: &str) -> (bool, usize, String, u64) {
    let (kind, number) = name.rsplit_once(' ').unwrap_or((name, ""));
    let place = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len());
    (name != MAIN, place, kind.to_owned(), number.parse().unwrap_or(u64::MAX))
}

/// Kinds of workers, as their names begin, in the order in which they are shown.
const KINDS: [&str; 4] = ["worker", "blocking", "process", "thread"];

impl Workers {
    fn add(&mut self, name: String) -> u64 {
        self.names.push(name);
        self.names.len() as u64 - 1
    }

    /// The number of a worker process, which is named in the order of coming: its id says nothing to a reader.
    fn of_process(&mut self, pid: u32) -> u64 {
        if let Some(number) = self.processes.get(&pid) {
            return *number;
        }
        let number = self.add(format!("process {}", self.processes.len() + 1));
        self.processes.insert(pid, number);
        number
    }
}

/// A segment that has begun, see [`Recorder::segment`].
#[derive(Debug)]
pub struct Segment {
    recorder: Arc<Recorder>,
    task: u32,
    from: u64,
}

impl Drop for Segment {
    fn drop(&mut self) {
        let to = self.recorder.elapsed_ns();
        let worker = self.recorder.this_thread(self.task);
        self.recorder.add(self.task, worker, self.from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_named_and_ordered_by_kind_and_number() {
        let names =
            ["blocking 10", "thread 3", "blocking 9", "main", "worker 1", "unused"].map(str::to_owned);
        let mut segments: Vec<[u64; 4]> = [4, 0, 1, 2, 3, 0].map(|worker| [0, worker, 0, 1]).to_vec();
        let tidied = tidy(&names, &mut segments);
        assert_eq!(tidied, ["main", "worker 1", "blocking 9", "blocking 10", "thread 3"]);
        assert_eq!(segments.iter().map(|segment| segment[1]).collect::<Vec<_>>(), [1, 3, 4, 2, 0, 3]);
    }

    #[test]
    fn a_task_spans_its_segments() {
        let recorder = Recorder::start(2);
        recorder.handed(1);
        let at = |ns: u64| recorder.origin_ns + ns;
        for (from, to) in [(1000, 3000), (500, 600)] {
            recorder.in_process(1, &Traced { digest: 0, pid: 77, from_ns: at(from), to_ns: at(to) });
        }
        let trace = recorder.finish(10_000);
        assert_eq!(trace.workers, ["process 1"]);
        assert_eq!(trace.segments, [[1, 0, 500, 600], [1, 0, 1000, 3000]]);
        // The other task never started.
        assert!(matches!(trace.tasks[..], [[1, _, 500, 3000]]), "{trace:?}");
        assert!(!trace.truncated);
        let told = trace.breakdown.unwrap();
        assert_eq!((told.tasks, told.work_ns, told.wait_ns), (1, 2100, 400));
    }

    #[test]
    fn what_is_told_is_bounded() {
        let recorder = Recorder::start(600);
        for task in 0..600 {
            for _ in 0..20 {
                recorder
                    .in_process(task, &Traced { digest: 0, pid: 7, from_ns: u64::MAX - 1, to_ns: u64::MAX });
            }
        }
        let trace = recorder.finish(10_000);
        assert_eq!((trace.tasks.len(), trace.segments.len(), trace.truncated), (500, 5000, true));
        assert_eq!(trace.breakdown.map(|told| told.tasks), Some(600));
        let overflowing = Recorder::start(1);
        for _ in 0..=RECORDED_PER_TASK {
            overflowing.in_process(0, &Traced { digest: 0, pid: 7, from_ns: 0, to_ns: 1 });
        }
        assert_eq!(overflowing.finish(10_000).breakdown, None);
    }

    #[test]
    fn a_future_has_a_segment_per_poll() {
        let recorder = Arc::new(Recorder::start(1));
        let runtime = crossover_runtime::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(recorder.polls(0, Box::pin(crossover_runtime::task::yield_now())));
        let trace = recorder.finish(10_000);
        assert_eq!((trace.segments.len(), trace.workers.len()), (2, 1));
        let [[_, _, started, ended]] = trace.tasks[..] else { panic!("{trace:?}") };
        assert_eq!([started, ended], [trace.segments[0][2], trace.segments[1][3]]);
    }
}
