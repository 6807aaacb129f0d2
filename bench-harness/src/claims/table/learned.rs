//! What was learned when the articles were tried: x1 to x5, and three figures more.
use crossover_reports::claims::{
    Group,
    Unit::{Count, Seconds, Share, Times},
};

use super::super::figures::{clients, kernels, lags, pools, streams};
use super::{Claim, about, at_least, at_most, between};

const fn claim(ids: &'static [&'static str], says: &'static str) -> Claim {
    Claim {
        group: Group::Learned,
        source: "CPython 3.11 on two cores, when the articles were tried",
        ..super::claim(ids, says)
    }
}

pub(super) const CLAIMS: &[Claim] = &[
    claim(&["x1"], "wait_for over synchronous code never times out")
        .measures(
            "a limit of 100 ms on an async function that blocks for 300 ms: the share that is cut short",
            lags::limit_on_blocking,
            &[("timed_out", Share), ("returned", Seconds)],
            &[at_most("timed_out", 0.0), at_least("returned", 0.29)],
        )
        .also_in_python(),
    claim(&["x2"], "a timeout on an executor's job leaves the thread running to the end")
        .measures(
            "a limit of 100 ms on a job of 300 ms on the blocking pool: how long it runs on after it was given up",
            lags::limit_on_job,
            &[("ran", Seconds)],
            &[about("ran", 0.2, 0.1)],
        )
        .also_in_python(),
    claim(&["x3"], "gathering on one database connection gains nothing, or fails")
        .measures(
            "two queries of 100 ms gathered on one connection: the time over one of them (in Python: the share that fails)",
            streams::one_connection,
            &[("failed", Share), ("over_one", Times)],
            &[about("over_one", 2.0, 0.1).ours(), at_least("failed", 0.5).cpython()],
        )
        .also_in_python(),
    claim(&["x4"], "a client may have a hidden limit of 100 connections")
        .cites("", "1000 × 300 ms: 3.31 s with it, .81 s without")
        .measures(
            "1000 GETs of 300 ms, behind a gate of 100 and without one",
            clients::hidden_limit,
            &[("limited", Seconds), ("unlimited", Seconds), ("aiohttp", Seconds)],
            &[at_least("limited", 3.0), at_most("unlimited", 2.0), at_most("unlimited", 0.81).ours().expected()],
        )
        .also_in_python()
        .in_full_only()
        .in_full(4),
    claim(&["x5"], "a worker process that dies breaks the whole pool: the other jobs and every later one")
        .wants("only the victim fails")
        .measures(
            "one of nine jobs in a pool of two kills its worker: the share of the other eight that fails, and of eight that come later",
            pools::dead_worker,
            &[("others_failed", Share), ("later_failed", Share)],
            &[at_least("others_failed", 0.5), about("later_failed", 1.0, 0.0)],
        )
        .refuted()
        .also_in_python(),
    claim(&["break-even"], "small jobs must be sent in chunks before processes pay")
        .cites("", "150 µs to 1.6 ms per job one by one, 12 to 150 µs in chunks of 16")
        .wants("less than that, for both")
        .open()
        .measures(
            "64 jobs in two worker processes: the length of a job, in µs, from which this is as fast as a loop; one by one, and in chunks of 16",
            pools::break_even,
            &[("chunks_gain", Times), ("unbatched_us", Count), ("chunked_us", Count)],
            &[
                at_least("chunks_gain", 1.2).ours(),
                between("unbatched_us", 100.0, 1600.0).cpython(),
                between("chunked_us", 8.0, 200.0).cpython(),
                at_most("unbatched_us", 150.0).ours().expected(),
            ],
        )
        .in_python_as("unbatched_us")
        .in_full(7),
    claim(&["loop-lag"], "a loop lags by where a computing job runs: in the loop most, in a process least")
        .cites("", "worst delay of a 5 ms ticker: idle .9 ms, in the loop 223, one thread 5.5, two threads 77, a process 1.1")
        .measures(
            "a 5 ms ticker on one loop beside a job of 200 ms in each place: its worst delay",
            lags::by_place,
            &[
                ("loop", Seconds),
                ("idle", Seconds),
                ("one_thread", Seconds),
                ("two_threads", Seconds),
                ("process", Seconds),
                ("loop_over_process", Times),
            ],
            &[
                at_least("loop", 0.15),
                at_most("process", 0.03),
                at_most("one_thread", 0.05),
                at_most("two_threads", 0.077).ours().expected(),
            ],
        )
        .in_python_as("loop")
        .repeated(3)
        .in_full(7),
    claim(&["kernels"], "the global lock is a fraction of time, not a yes or no")
        .cites("", "threads / processes on two cores: primes .86 / 1.47, sha256 1.95 / 1.85, small sha256 .97 / 1.93, image 1.79 / 1.92, json .94 / 1.71, MLP 1.55 / 1.97")
        .wants("without a lock threads are as good as processes; a lock held for 3/4 of the time leaves 4/3")
        .measures(
            "every kernel on threads and in processes; arithmetic on threads behind a lock that is held for a share of the time",
            kernels::all,
            &[
                ("lock_75", Times),
                ("lock_0", Times),
                ("lock_50", Times),
                ("lock_100", Times),
                ("steps_threads", Times),
                ("steps_processes", Times),
                ("primes_threads", Times),
                ("primes_processes", Times),
                ("sha256_threads", Times),
                ("sha256_processes", Times),
                ("sha256_32m_threads", Times),
                ("sha256_32m_processes", Times),
                ("sha256_512_threads", Times),
                ("sha256_512_processes", Times),
                ("image_threads", Times),
                ("image_processes", Times),
                ("json_threads", Times),
                ("json_processes", Times),
                ("mlp_threads", Times),
                ("mlp_processes", Times),
                ("sort_threads", Times),
                ("sort_processes", Times),
            ],
            &[
                between("lock_75", 1.1, 1.45).ours(),
                at_least("lock_0", 1.6).ours(),
                at_most("lock_100", 1.1).ours(),
                at_most("primes_threads", 1.15).cpython(),
                at_least("sha256_32m_threads", 1.4).cpython(),
            ],
        )
        .in_python_as("primes_threads")
        .in_full_only()
        .in_full(4),
];
