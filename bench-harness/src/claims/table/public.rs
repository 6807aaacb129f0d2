//! What others have published, with what is known to be doubtful about it.
use crossover_reports::claims::{
    Group,
    Unit::{Bytes, Count, Seconds, Share, Times},
};

use super::super::figures::engine::{Ours, Tokio};
use super::super::figures::{brigade, files, idle, kernels, memory, pools, public};
use super::{Claim, about, at_least, at_most, between};

const fn claim(ids: &'static [&'static str], says: &'static str, source: &'static str) -> Claim {
    Claim { group: Group::Public, source, expected: None, ..super::claim(ids, says) }
}

pub(super) const CLAIMS: &[Claim] = &[
    claim(
        &["ctx-switch"],
        "switching between async tasks is several times cheaper than between threads; on one core they are equal",
        "github.com/jimblandy/context-switch",
    )
    .cites(".2 µs a task, 1.7 µs a thread, in a brigade of 500 pipes; equal once pinned to one core", "")
    .but("Its author could not explain the equality on one core")
    .measures(
        "a byte goes round 500 pipes, each handled by a task or a thread: µs per turn, on all cores and on one",
        brigade::context_switch::<Ours>,
        &[
            ("thread_over_task", Times),
            ("async_us", Count),
            ("thread_us", Count),
            ("pinned_async_us", Count),
            ("pinned_thread_us", Count),
            ("pinned_thread_over_task", Times),
        ],
        &[at_least("thread_over_task", 2.0), between("pinned_thread_over_task", 0.8, 1.25)],
    )
    .about_peer("tokio", brigade::context_switch::<Tokio>)
    .in_python_as("async_us")
    .in_full(8),
    claim(
        &["spawn-cost"],
        "a task costs .3 µs to make, a thread 17 µs",
        "github.com/jimblandy/context-switch",
    )
    .cites(".3 µs, 17 µs: 57×", "")
    .but("The tasks are idle")
    .measures(
        "100,000 tasks and 1000 threads that end at once: µs each; a task is to be 20 times cheaper",
        public::spawn_cost::<Ours>,
        &[("thread_over_task", Times), ("task_us", Count), ("thread_us", Count)],
        &[
            at_least("thread_over_task", 20.0).ours(),
            at_least("thread_over_task", 20.0).peer(),
            at_most("task_us", 0.5).ours().expected(),
        ],
    )
    .about_peer("tokio", public::spawn_cost::<Tokio>)
    .in_python_as("task_us")
    .in_full(7),
    claim(
        &["1m-tasks"],
        "a million sleeping tasks: tokio takes 439 MB, Python 1276 MB",
        "pkolaczk 2023, hez2010 2024",
    )
    .cites("tokio 439 MB, Go 2586, Node 564, Python 1276: 439 B a task under tokio", "889 B a task")
    .but("join_all is not spawn, and it matters how memory is measured")
    .measures(
        "tasks that sleep, spawned, and in one join_all: private resident bytes each (100,000; a million in full)",
        memory::million::<Ours>,
        &[("bytes_per_task", Bytes), ("bytes_joined", Bytes), ("spawn_over_join", Times)],
        &[
            about("bytes_per_task", 439.0, 0.25).peer(),
            at_most("bytes_per_task", 439.0).ours(),
            between("bytes_per_task", 600.0, 2600.0).cpython(),
        ],
    )
    .about_peer("tokio", memory::million::<Tokio>)
    .also_in_python()
    .in_full(4),
    claim(&["tokio-fs"], "walking over files is 10 to 100 times slower in async code", "tokio issue #3664")
        .cites("10 to 100×", "")
        .but("Small operations, each a job on a blocking pool")
        .measures(
            "a tree of 20 folders with 50 files (100 with 100 in full), asked for each file's size: async over plain",
            files::walk::<Ours>,
            &[("slowdown", Times), ("sync", Seconds), ("async", Seconds)],
            &[between("slowdown", 10.0, 100.0)],
        )
        .about_peer("tokio", files::walk::<Tokio>)
        .also_in_python()
        .in_full(7),
    claim(&["blocking-pool"], "spawn_blocking suffers from many submitters", "tokio pull request #7748")
        .cites("5.9 → 77 ms from 1 to 8 submitters: 13 times as long for 8 times the jobs", "")
        .but("Contention of the pool's one lock")
        .measures(
            "10,000 empty jobs from each of 1 and 8 submitters (25,000 in full): the time of eight over that of one; more than 8 is contention",
            pools::submitters::<Ours>,
            &[("growth", Times), ("one", Seconds), ("eight", Seconds), ("per_job", Times)],
            &[at_least("growth", 10.0)],
        )
        .about_peer("tokio", pools::submitters::<Tokio>)
        .in_full(8),
    claim(&["rayon-idle"], "idle workers burn time in looking for work", "aptos-core pull request #19293")
        .cites("8.1 % of cycles in stealing", "")
        .but("rayon’s workers spin before they sleep; a property of rayon, not of stealing")
        .measures(
            "a job of .5 ms every millisecond for a pool of 8 threads: the share of the threads’ CPU time that no job used, less that of one parked thread which does the same",
            idle::ours,
            &[("looking", Share), ("outside_jobs", Share), ("parked_thread", Share)],
            &[at_least("looking", 0.081)],
        )
        .about_peer("rayon", idle::rayon)
        .in_full(7),
    claim(&["io-starve"], "computing and I/O on one runtime starve I/O", "datafusion issue #13692")
        .cites("", "")
        .but("Not reproduced by all")
        .measures(
            "GETs of 5 ms beside tasks that compute 20 ms at a stretch: their 97th percentile on the same workers over that with computing on the blocking pool",
            public::starved_io,
            &[("shared_over_apart", Times), ("shared", Seconds), ("apart", Seconds), ("alone", Seconds)],
            &[at_least("shared_over_apart", 2.0)],
        )
        .in_full_only(),
    claim(&["gil-free"], "without the global lock threads scale: 5.03× on ten workers, .94× with it", "koenvo")
        .cites("5.03× on 10 workers: half a core each", "")
        .but("Ten workers on one machine")
        .measures(
            "arithmetic on a thread per core, without a lock, and behind one held all the time: the speed-up, and its share of a core per thread",
            kernels::gil_free,
            &[("per_thread", Times), ("threads_speedup", Times), ("locked_speedup", Times)],
            &[at_least("per_thread", 0.5).ours(), at_most("locked_speedup", 1.1).ours()],
        )
        .in_full(7),
    claim(&["loky-short"], "a process pool is far slower than a loop for tiny jobs", "joblib issue #1105")
        .cites("a million square roots: loop .46 s, process pool 39.7 s: 86×", "")
        .but("No batching")
        .measures(
            "square roots in a loop and one by one in the process pool (100,000; a million in full): the pool's time over the loop's",
            pools::tiny_jobs,
            &[("ratio", Times), ("loop", Seconds), ("pool", Seconds)],
            &[at_least("ratio", 10.0)],
        )
        .in_python_as("ratio")
        .in_full(2),
];
