//! The strategies: ways of running the same tasks, one file each, and what every one of them is limited by.
//!
//! A [`Strategy`] lives in a trial process ([`crate::trial`]), is started once (its threads, runtime and worker
//! processes are up before anything is timed) and then runs the whole work as often as it is asked. Every
//! strategy runs each task exactly once and folds the tasks' digests with [`crossover_workloads::combine`], so
//! that all of them return the sequential oracle's checksum or are wrong.

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

/// The strategies that are built in.
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
        name: "processes",
        about: "a pool of worker processes that stays up; each task is one call over a socketpair",
        workers: Some("worker processes"),
    },
];

/// The strategy that runs one task after another, which every checksum is compared with.
pub const SEQUENTIAL: &str = "sequential";

/// Threads that the blocking pool of our runtime grows to.
const BLOCKING_THREADS_MAX: u32 = 512;

/// What the built-in strategy `name` is limited by, given its configured `workers`: how many workers it has,
/// and how many tasks can be in progress at once (`None`: as many as there are). `None` for any other name.
#[must_use]
pub fn limits(name: &str, workers: u32) -> Option<Limits> {
    let (workers, concurrency_cap) = match name {
        SEQUENTIAL => (1, Some(1)),
        "event-loop" => (1, None),
        "work-stealing" => (workers, None),
        "threads" | "processes" => (workers, Some(workers)),
        "thread-per-task" => (0, None),
        "blocking-pool" => (workers, Some(BLOCKING_THREADS_MAX)),
        _ => return None,
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
