//! Rows 1 to 30.
use crossover_reports::claims::Unit::{Seconds, Share, Times};

use super::super::figures::{clients, files, kernels, lags, streams, waiting};
use super::{Claim, about, at_least, at_most, between, claim};

pub(super) const CLAIMS: &[Claim] = &[
    claim(&["1"], "asyncio is cooperative: it switches only at an await").fact(),
    claim(&["2"], "three sleeps of 1 s that are gathered take about 1 s, not 3")
        .cites("≈ 1 s", "1.002 s")
        .wants("1.00 to 1.02 s")
        .measures(
            "three timers of 1 s under join_all, on one loop",
            waiting::three_sleeps,
            &[("wall", Seconds)],
            &[about("wall", 1.0, 0.05), between("wall", 1.0, 1.02).ours().expected()],
        )
        .also_in_python()
        .waits(),
    claim(&["3"], "gather returns results in the order of the calls, whoever ends first").fact(),
    claim(&["4"], "there are several ways to run concurrently: gather, tasks, as completed").fact(),
    claim(&["5"], "create_task runs in the background")
        .cites("", "not started before the first yield")
        .wants("starts at once on another worker; on one loop as in Python")
        .fact(),
    claim(&["6"], "as_completed yields in the order of finishing")
        .cites("", "fast, mid, slow in .30 s")
        .wants("fast, mid, slow in .30 s")
        .measures(
            "tasks of .3, .1 and .2 s in a JoinSet",
            waiting::as_completed,
            &[("wall", Seconds), ("in_order", Share)],
            &[about("wall", 0.3, 0.05), about("in_order", 1.0, 0.0).ours()],
        )
        .also_in_python(),
    claim(&["7"], "async with sets up and tears down, however the block ends").fact(),
    claim(&["8"], "async for walks over what arrives one by one").fact(),
    claim(&["9"], "wait_for raises TimeoutError when the time is over")
        .wants("returns at the deadline, give or take a tick")
        .measures(
            "a limit of 100 ms on a wait of 1 s",
            waiting::deadline,
            &[("returned", Seconds)],
            &[about("returned", 0.1, 0.1), between("returned", 0.1, 0.102).ours().expected()],
        )
        .also_in_python()
        .in_full(8),
    claim(&["10"], "task.cancel() cancels: before the start, at an await, not after the end").fact(),
    claim(&["11"], "many HTTP calls at once take as long as one")
        .cites("", "100 × 300 ms: aiohttp .428 s, httpx 1.005 s")
        .wants("≈ .307 s")
        .measures(
            "100 GETs of a server that takes 300 ms, by one client on one loop",
            clients::hundred,
            &[("wall", Seconds), ("aiohttp", Seconds)],
            &[at_most("wall", 1.1), between("wall", 0.3, 0.34).ours().expected()],
        )
        .also_in_python(),
    claim(&["12"], "database queries overlap over a pool of connections")
        .cites("", "10 × pg_sleep(.1): 1.02 s one by one, .105 s over a pool of 10")
        .wants("≈ .12 s")
        .measures(
            "10 queries of 100 ms: on one connection, and on a pool of ten, to a server that works on one query of a connection at a time",
            streams::queries,
            &[("pool", Seconds), ("sequential", Seconds)],
            &[at_most("pool", 0.15), at_least("sequential", 1.0), at_most("pool", 0.12).ours().expected()],
        )
        .also_in_python()
        .waits()
        .repeated(3)
        .in_full(6),
    claim(&["13"], "async helps reading and writing files")
        .cites("file operations are on the list of what async is for", "aiofiles under gather is 31.8× slower than plain code (5 → 157 ms)")
        .wants("no faster than plain code either: a job on the pool per file")
        .measures(
            "1000 cached files of 4 KiB, read in plain code, and by a task each; async is to be faster by a tenth at least",
            files::small_files,
            &[("slowdown", Times), ("sync", Seconds), ("async", Seconds)],
            &[at_most("slowdown", 0.9), at_most("slowdown", 31.8).ours().expected()],
        )
        .but("The article is wrong: the disk is not what one waits for")
        .refuted()
        .also_in_python()
        .repeated(3)
        .in_full(8),
    claim(&["14"], "WebSockets and chats: many clients wait at once")
        .cites("", "200 clients: 1.61 s, 100 s one by one")
        .measures(
            "200 clients of a chat over WebSocket that say 5 messages each and wait 100 ms for each to come back",
            clients::chat,
            &[("wall", Seconds), ("speedup", Times)],
            &[at_most("wall", 10.0), at_most("wall", 1.0).ours().expected()],
        )
        .also_in_python(),
    claim(&["15"], "a gateway that asks several services takes as long as the slowest")
        .wants("≈ the slowest backend")
        .measures(
            "10 requests at once, each to backends of 50, 100, 150, 200 and 300 ms at once: the time over 300 ms",
            clients::gateway,
            &[("over_slowest", Times), ("wall", Seconds)],
            &[between("over_slowest", 1.0, 1.15)],
        )
        .also_in_python()
        .repeated(3)
        .in_full(8),
    claim(&["16", "59"], "computing gets no help from async")
        .cites("", "0.99 to 1.03×")
        .wants("0.97 to 1.03×")
        .measures(
            "each kernel of the suite as 8 tasks of one loop, beside a plain loop: the middle of their speed-ups (in Python: the largest)",
            kernels::in_async,
            &[
                ("async_speedup", Times),
                ("steps_async", Times),
                ("sha256_async", Times),
                ("image_async", Times),
                ("json_async", Times),
                ("mlp_async", Times),
                ("sort_async", Times),
            ],
            &[between("async_speedup", 0.85, 1.1)],
        )
        .also_in_python()
        .in_full(6),
    claim(&["17"], "threads do not help much with computing, because of the global lock")
        .cites("", "0.86× with two threads")
        .wants("≤ 1× behind a lock that is held all the time, ≈ the cores without one")
        .measures(
            "8 jobs of arithmetic on a thread per core, behind a process-wide lock held for all of it (f = 1), and without it (f = 0)",
            kernels::threads_under_lock,
            &[("threads_speedup", Times), ("unlocked_speedup", Times)],
            &[at_most("threads_speedup", 1.15), at_least("unlocked_speedup", 1.6).ours().expected()],
        )
        .also_in_python()
        .repeated(3)
        .in_full(7),
    claim(&["18"], "for computing use processes")
        .cites("", "1.47 to 1.97× on 2 cores")
        .measures(
            "8 jobs of arithmetic in a process pool with a worker per core, beside a plain loop",
            kernels::processes,
            &[("processes_speedup", Times)],
            &[at_least("processes_speedup", 1.3)],
        )
        .also_in_python()
        .repeated(3)
        .in_full(9),
    claim(&["19"], "ten calls of 1 s go from 10 s to about 1 s")
        .cites("10 s → ≈ 1 s", "10.07 s → 1.016 s")
        .wants("≈ 1.001 s")
        .measures(
            "10 GETs of a server that takes 1 s, by one client; one after the other in full only",
            clients::ten_of_a_second,
            &[("wall", Seconds), ("sequential", Seconds)],
            &[about("wall", 1.0, 0.1), about("wall", 1.001, 0.01).ours().expected()],
        )
        .also_in_python()
        .waits()
        .in_full(3),
    claim(&["20", "69"], "await works inside async code only; asyncio.run is the edge").fact(),
    claim(&["21"], "time.sleep blocks the loop")
        .cites("", "gap of a 10 ms ticker: 1.011 s blocked, .023 s awaited, .014 s in an executor")
        .measures(
            "a 10 ms ticker on one loop beside 1 s that blocks, that is awaited, and that is on the blocking pool: its longest gap",
            lags::blocked_loop,
            &[("blocked_gap", Seconds), ("async_gap", Seconds), ("executor_gap", Seconds)],
            &[at_least("blocked_gap", 0.99), at_most("async_gap", 0.1), at_most("executor_gap", 0.1)],
        )
        .also_in_python()
        .waits(),
    claim(&["22"], "requests.get inside async code blocks")
        .cites("", "3 × 200 ms: .61 s, one after the other")
        .wants("ceil(3 / workers) turns of 200 ms")
        .measures(
            "3 blocking GETs of 200 ms as tasks of one loop, and of all workers",
            clients::blocking_requests,
            &[("wall", Seconds), ("all_workers_turns", Times)],
            &[at_least("wall", 0.59)],
        )
        .also_in_python()
        .waits(),
    claim(&["23"], "run_in_executor lets blocking calls overlap")
        .cites("", "3 × .3 s: .302 s, inline .901 s")
        .measures(
            "3 blocking calls of 300 ms on the blocking pool, and inline",
            lags::executor,
            &[("executor", Seconds), ("inline", Seconds)],
            &[about("executor", 0.3, 0.1), about("inline", 0.9, 0.05)],
        )
        .also_in_python()
        .waits(),
    claim(&["24"], "the default executor has a limited size: 60 calls of 100 ms take several turns")
        .cites("", "60 × 100 ms on 6 threads: 1.02 s")
        .wants(".10 s: the blocking pool grows to 512 threads, and can be limited")
        .measures(
            "60 blocking calls of 100 ms on the blocking pool as it is (several turns are .2 s and more), and limited to 6 threads",
            lags::default_executor,
            &[("wall", Seconds), ("six_threads", Seconds)],
            &[at_least("wall", 0.19), about("six_threads", 1.0, 0.1).ours().expected()],
        )
        .refuted()
        .also_in_python()
        .waits(),
    claim(&["25"], "asyncio.run creates a loop, runs, and cleans up").fact(),
    claim(&["26"], "older code makes and closes loops by hand").fact(),
    claim(&["27", "34"], "a coroutine that nobody awaits never runs").fact(),
    claim(&["28"], "for a single I/O operation plain code is just as fast")
        .cites("", ".2046 s plain, .2052 s with aiohttp: a tie")
        .measures(
            "one GET of 200 ms in plain code and in async code, the loop's start included: a ratio",
            clients::one_request,
            &[("ratio", Times), ("sync", Seconds), ("async", Seconds)],
            &[between("ratio", 0.95, 1.05)],
        )
        .also_in_python()
        .repeated(3)
        .in_full(8),
    claim(&["29"], "a scraper that fetches 100 addresses benefits")
        .wants("a speed-up up to the limit of the client")
        .measures(
            "pages that take 50 ms each, fetched and parsed: in plain code, and at once (25 of them; 100 in full)",
            clients::scraper,
            &[("speedup", Times), ("wall", Seconds), ("sequential", Seconds)],
            &[at_least("speedup", 5.0)],
        )
        .also_in_python()
        .in_full(4),
    claim(&["30"], "async adds complexity").open(),
];
