//! Rows 32 to 60.
use crossover_reports::claims::Unit::{Bytes, Count, Seconds, Share, Times};

use super::super::figures::{clients, kernels, lags, memory, public, streams, waiting};
use super::{Claim, about, at_least, at_most, between, claim};

pub(super) const CLAIMS: &[Claim] = &[
    claim(&["32"], "concurrent.futures puts threads and processes behind one interface").fact(),
    claim(&["33"], "one thread with a loop suffices for waiting")
        .wants("equal for pure waits")
        .measures(
            "1000 tasks that wait 100 ms, on one worker and on all: a ratio",
            waiting::one_worker_or_all,
            &[("ratio", Times), ("one", Seconds), ("all", Seconds)],
            &[between("ratio", 0.9, 1.1).ours(), between("ratio", 0.8, 1.25).cpython()],
        )
        .also_in_python()
        .in_full(7),
    claim(&["35"], "await suspends a task while others run; who waits is woken").fact(),
    claim(&["36"], "for computing use multiprocessing or a ThreadPoolExecutor")
        .cites("either", "threads .86×, processes 1.47×, with pure Python")
        .wants("contradicts row 17; true only where the lock is released")
        .measures(
            "8 jobs of arithmetic: on threads behind a lock held for all of it (as pure Python has it), without it, and in processes; either is to be faster than a loop by a fifth",
            kernels::threads_or_processes,
            &[("threads_speedup", Times), ("unlocked_speedup", Times), ("processes_speedup", Times)],
            &[
                at_least("threads_speedup", 1.2),
                at_least("processes_speedup", 1.2),
                at_least("unlocked_speedup", 1.2).ours().expected(),
            ],
        )
        .but("The article is wrong as far as threads hold the lock")
        .refuted()
        .also_in_python()
        .repeated(3)
        .in_full(7),
    claim(&["37"], "there is no parallelism in one loop")
        .wants("CPU time over wall time ≤ 1")
        .measures(
            "four tasks that compute 100 ms each on one loop: CPU time over wall time",
            lags::cores_used,
            &[("cores_used", Times)],
            &[at_most("cores_used", 1.05)],
        )
        .also_in_python(),
    claim(&["40"], "blocked code waits in turn, async code interleaves its waits")
        .wants("the overlap is visible")
        .measures(
            "three waits of 100 ms, one after the other and at once: how many are under way on average",
            waiting::overlap,
            &[("interleaved", Times), ("blocked", Times)],
            &[at_least("interleaved", 2.7), at_most("blocked", 1.05)],
        ),
    claim(&["41", "70"], "asyncio.run inside of a running loop is a RuntimeError").fact(),
    claim(&["42"], "computing inside async code belongs into a ProcessPoolExecutor")
        .wants("the loop lags as when idle")
        .measures(
            "a 5 ms ticker beside four jobs of 100 ms in the process pool, and idle: its worst delay",
            lags::offloaded,
            &[("offloaded_lag", Seconds), ("idle_lag", Seconds)],
            &[at_most("offloaded_lag", 0.025)],
        )
        .also_in_python()
        .repeated(3)
        .in_full(7),
    claim(&["44"], "an answer can be streamed line by line")
        .cites("", "5 lines × 100 ms: .11 .21 .31 .41 .51 s")
        .measures(
            "an answer of 5 lines, 100 ms apart: when each is read",
            streams::lines,
            &[("line1", Seconds), ("line2", Seconds), ("line3", Seconds), ("line4", Seconds), ("line5", Seconds)],
            &[
                about("line1", 0.1, 0.15),
                about("line2", 0.2, 0.1),
                about("line3", 0.3, 0.1),
                about("line4", 0.4, 0.1),
                about("line5", 0.5, 0.1),
            ],
        )
        .in_python_as("line5"),
    claim(&["45"], "an async function returns typed values from JSON")
        .wants("the cost of parsing is shown: it is computing, and holds up the loop")
        .measures(
            "100 typed records from JSON within a task: the median of 200 parses; at most a millisecond",
            public::parsing,
            &[("parse", Seconds), ("parse_max", Seconds)],
            &[at_most("parse", 0.001)],
        )
        .in_full(7),
    claim(&["46"], "HTTP, databases, disks and queues are what programs wait for")
        .measures(
            "a GET, a query and a message of 100 ms each, and a file of 64 KiB: one after the other over all at once",
            streams::four_waits,
            &[("speedup", Times), ("together", Seconds), ("sequential", Seconds)],
            &[at_least("speedup", 2.5)],
        )
        .also_in_python()
        .in_full(6),
    claim(&["47"], "blocked workers cost memory: tasks least, threads more, processes most")
        .cites("", "889 B a task, 12.9 KB a thread, 46 to 56 MB a process")
        .measures(
            "100,000 tasks, 500 threads (2000 in full) and 4 worker processes, all idle: private resident memory of each",
            memory::idle_units,
            &[
                ("bytes_per_task", Bytes),
                ("bytes_per_thread", Bytes),
                ("bytes_per_process", Bytes),
                ("thread_over_task", Times),
            ],
            &[
                at_most("bytes_per_task", 2048.0),
                at_least("bytes_per_thread", 4096.0),
                at_least("bytes_per_process", 131_072.0),
                at_most("bytes_per_task", 889.0).ours().expected(),
            ],
        )
        .also_in_python(),
    claim(&["48"], "and they cost coordination: threads switch far more often than tasks")
        .wants("threads ≫ tasks")
        .measures(
            "100 threads, and 100 tasks, that wait 20 times 2 ms: voluntary context switches per wait, threads over tasks",
            memory::switches,
            &[("ratio", Times), ("threads", Count), ("tasks", Count)],
            &[at_least("ratio", 2.0)],
        )
        .also_in_python()
        .in_full(6),
    claim(&["49"], "one loop handles very many coroutines")
        .wants("no failure")
        .measures(
            "100,000 tasks that wait once: how many end",
            waiting::many_tasks,
            &[("completed", Count), ("wall", Seconds)],
            &[about("completed", 100_000.0, 0.0)],
        )
        .also_in_python(),
    claim(&["50"], "the loop wakes a task when its I/O is ready")
        .cites("", "5 ms ticker: p50 of its delay .11 ms")
        .measures(
            "a 5 ms ticker on an idle loop for a second: the median of its delay",
            lags::tick_lag,
            &[("tick_lag_p50", Seconds), ("tick_lag_max", Seconds)],
            &[at_most("tick_lag_p50", 0.001)],
        )
        .also_in_python(),
    claim(&["51"], "100 calls of 300 ms go from 30 s to the slowest group")
        .cites("30 s → the slowest group", "30.41 s → .428 s")
        .wants("≈ .307 s")
        .measures(
            "100 GETs of 300 ms at once; one after the other in full only",
            clients::slowest_of_hundred,
            &[("wall", Seconds), ("sequential", Seconds)],
            &[at_most("wall", 0.6), between("wall", 0.3, 0.34).ours().expected()],
        )
        .also_in_python()
        .in_full(3),
    claim(&["52"], "the server and your own limit bound what concurrency gains")
        .wants("ceil(n / limit) · d")
        .measures(
            "100 GETs of 50 ms under limits of 5 to 100 of the client; 60 requests under limits of client and server: the time over ceil(n / limit) · d, at worst",
            clients::bounds,
            &[("over_bound", Times), ("over_server_bound", Times)],
            &[between("over_bound", 1.0, 1.5), between("over_server_bound", 1.0, 1.5).ours()],
        )
        .also_in_python()
        .in_full(7),
    claim(&["53"], "timeout=10 and raise_for_status tell what went wrong").fact(),
    claim(&["54"], "concurrency without a limit exhausts the sockets")
        .wants("a typed error each, no hang")
        .measures(
            "300 GETs at once in a process that may open 100 files: how many fail, and which share of these says why",
            clients::out_of_sockets,
            &[("failed", Count), ("typed", Share)],
            &[at_least("failed", 1.0), about("typed", 1.0, 0.0).ours().expected()],
        ),
    claim(&["55"], "Semaphore(20) lets 20 through at a time")
        .cites("20 at a time", ".263 s, peak exactly 20")
        .measures(
            "100 waits of 50 ms, 20 at once",
            waiting::semaphore,
            &[("wall", Seconds), ("peak", Count)],
            &[about("peak", 20.0, 0.0), about("wall", 0.25, 0.1)],
        )
        .also_in_python(),
    claim(&["56"], "deadlines nest: the nearest one wins").fact(),
    claim(&["57"], "a task that is cancelled can clean up").fact(),
    claim(&["58"], "a client that is closed gives back its connections")
        .wants("open files are back to what they were")
        .measures(
            "50 GETs by a client that keeps its connections: open files beyond those before, while it lives and after it is gone",
            clients::files_left,
            &[("left", Count), ("kept_alive", Count)],
            &[at_most("left", 0.0), at_least("kept_alive", 1.0)],
        ),
    claim(&["60"], "native extensions are an alternative for computing: they let go of the lock")
        .cites("", "1.79 to 1.95× with two threads")
        .measures(
            "8 buffers of 32 MiB hashed on a thread per core, by code that holds no lock",
            kernels::extension,
            &[("threads_speedup", Times)],
            &[at_least("threads_speedup", 1.4)],
        )
        .also_in_python()
        .repeated(3)
        .in_full(7),
];
