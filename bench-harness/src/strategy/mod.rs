//! The strategies: ways of running the same tasks, one file each, and what every one of them is limited by.
//!
//! A [`Strategy`] lives in a trial process ([`crate::trial`]), is started once (its threads, runtime and worker
//! processes are up before anything is timed) and then runs the whole work as often as it is asked. Every
//! strategy runs each task exactly once and folds the tasks' digests with [`crossover_workloads::combine`], so
//! that all of them return the sequential oracle's checksum or are wrong.
//!
//! None of them is tuned for a workload: tasks are handed over one by one, in order, as soon as the strategy takes
//! them, and each one's digest comes back by itself, as it would from code that a person writes.
//!
//! Ours stand here; `peers` has those of other people's runtimes, and `external` starts programs of their own.
mod blocking_pool;
mod event_loop;
pub mod external;
mod job;
mod peers;
mod processes;
mod sequential;
mod settle;
mod slower;
mod spawned;
mod thread_per_task;
mod threads;
mod work_stealing;

use std::any::Any;
use std::fmt;

use crate::load::Arrivals;
pub use job::{Job, Runner};
pub use peers::PEERS;

/// A way of running all tasks of a job.
pub trait Strategy: fmt::Debug {
    /// Runs every task once, all of them at hand from the beginning, and gives the folded digests.
    ///
    /// # Errors
    /// A sentence that names the first task that failed, and why.
    fn run(&mut self, job: &Job) -> Result<u64, String>;

    /// Runs every task once, each as it arrives, and gives the folded digests. Whoever cannot keep up ends later.
    ///
    /// # Errors
    /// As [`Strategy::run`], and when tasks do not arrive any more. No task is under way then.
    fn serve(&mut self, job: &Job, arrivals: &mut Arrivals) -> Result<u64, String>;

    /// Processes that work for this one; their CPU time and memory count as ours.
    fn helpers(&self) -> Vec<u32> {
        Vec::new()
    }

    /// What the helpers held together at most since this was last asked, in KiB, where they are replaced as a rule: those that
    /// are left at the end of a run do not tell. `None` where they do.
    fn take_helpers_peak(&mut self) -> Option<u64> {
        None
    }

    /// Gives back what tasks of `job` have leaked, wherever they ran. No run may be under way.
    ///
    /// # Errors
    /// When a helper cannot be told.
    fn give_back(&mut self, job: &Job) -> Result<(), String> {
        if job.workload.leaks() {
            crossover_workloads::give_back();
        }
        Ok(())
    }
}

/// How a strategy is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Workers, of those that have some.
    pub workers: u32,
    /// A worker process of [`PROCESSES`] is replaced by a new one after so many jobs; `None`: never.
    pub jobs_per_worker: Option<u32>,
}

/// Starts the built-in strategy `name` with `workers` workers.
///
/// # Errors
/// When there is no such strategy, or its threads, runtime or processes cannot be started.
pub fn start(name: &str, workers: u32) -> Result<Box<dyn Strategy>, String> {
    start_with(name, Options { workers, jobs_per_worker: None })
}

/// Starts the built-in strategy `name` with all that may be set.
///
/// # Errors
/// As [`start`].
pub fn start_with(name: &str, options: Options) -> Result<Box<dyn Strategy>, String> {
    let Options { workers, jobs_per_worker } = options;
    Ok(match name {
        SEQUENTIAL => Box::new(sequential::Sequential),
        SLOWER => Box::new(slower::Slower::default()),
        "event-loop" => Box::new(event_loop::EventLoop::start()?),
        "work-stealing" => Box::new(work_stealing::WorkStealing::start(workers)?),
        "threads" => Box::new(threads::Threads::start(workers)?),
        "thread-per-task" => Box::new(thread_per_task::ThreadPerTask),
        "blocking-pool" => Box::new(blocking_pool::BlockingPool::start(workers)?),
        PROCESSES => Box::new(processes::Processes::start(workers, jobs_per_worker)?),
        _ => {
            return peers::start(name, workers)
                .unwrap_or_else(|| Err(format!("there is no strategy `{name}`")));
        }
    })
}

/// The sentence for a task that failed.
fn task_failed(task: u32, reason: impl fmt::Display) -> String {
    format!("task {task}: {reason}")
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("with a value that is not text"))
}

/// A strategy that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name in `strategies.include`.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// What its `workers` option means; `None` where it has no workers.
    pub workers: Option<&'static str>,
}

/// The strategies that are built in and ours: those that take part where an experiment names none.
pub const BUILT_IN: &[Info] = &[
    Info {
        name: SEQUENTIAL,
        about: "one task after another on one thread: the oracle whose checksum the others must return",
        workers: None,
    },
    Info {
        name: "event-loop",
        about: "async on one thread: every task spawned on our current-thread runtime (what asyncio is)",
        workers: None,
    },
    Info {
        name: "work-stealing",
        about: "async on all workers: every task spawned on our multi-thread runtime",
        workers: Some("worker threads of the runtime"),
    },
    Info {
        name: "threads",
        about: "a pool of threads that stays up and takes tasks from one queue, blocking style",
        workers: Some("threads of the pool"),
    },
    Info {
        name: "thread-per-task",
        about: "a new thread for every task, blocking style; all of them at once",
        workers: None,
    },
    Info {
        name: "blocking-pool",
        about: "async tasks that hand blocking and heavy parts to spawn_blocking",
        workers: Some("worker threads of the runtime, beside its blocking pool"),
    },
    Info {
        name: PROCESSES,
        about: "a pool of worker processes that stays up; each task is one call over a socketpair",
        workers: Some("worker processes"),
    },
];

/// The strategy that runs one task after another, which every checksum is compared with.
pub const SEQUENTIAL: &str = "sequential";

/// The strategy of worker processes, which alone can replace its workers.
pub const PROCESSES: &str = "processes";

/// `sequential` with a tenth more to compute: what `crossover calibrate` must find out.
const SLOWER: &str = "sequential-slower";

/// Built in as well, and only to be had as a variant: no strategies to choose, so that nothing lists them.
const HIDDEN: &[Info] = &[Info {
    name: SLOWER,
    about: "one task after another on one thread, with a tenth more to compute",
    workers: None,
}];

/// The strategies that an experiment can name: ours, then the peers.
pub fn choices() -> impl Iterator<Item = &'static Info> + Clone {
    BUILT_IN.iter().chain(PEERS)
}

/// The strategy that is built in as `name`, listed or not.
#[must_use]
pub fn find(name: &str) -> Option<&'static Info> {
    choices().chain(HIDDEN).find(|info| info.name == name)
}

/// Threads that the blocking pool of the `blocking-pool` strategy may grow to.
const BLOCKING_THREADS_MAX: u32 = 512;

/// What the built-in strategy `name` is limited by, given its configured `workers`: how many workers it has,
/// and how many tasks can be in progress at once (`None`: as many as there are). `None` for any other name.
#[must_use]
pub fn limits(name: &str, workers: u32) -> Option<Limits> {
    let (workers, concurrency_cap) = match name {
        SEQUENTIAL | SLOWER => (1, Some(1)),
        "event-loop" => (1, None),
        "work-stealing" => (workers, None),
        "threads" | PROCESSES => (workers, Some(workers)),
        "thread-per-task" => (0, None),
        "blocking-pool" => (workers, Some(BLOCKING_THREADS_MAX)),
        _ => return peers::limits(name, workers),
    };
    Some(Limits { workers, concurrency_cap })
}

/// See [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Workers that stay up; 0 where a worker is made per task.
    pub workers: u32,
    /// Tasks in progress at once; `None` where nothing limits them.
    pub concurrency_cap: Option<u32>,
}
