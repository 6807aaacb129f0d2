//! Rows 62 to 80.
use crossover_reports::claims::Unit::{Count, Seconds, Share, Times};

use super::super::figures::{clients, files, kernels, public, waiting};
use super::{Claim, about, at_least, at_most, claim};

pub(super) const CLAIMS: &[Claim] = &[
    claim(&["62"], "message consumers wait at once")
        .cites("", "200 × 20 ms: 4.04 s with one, .41 s with 10, .08 s with 50")
        .measures(
            "200 messages of 20 ms, taken by 1, 10 and 50 consumers",
            waiting::consumers,
            &[("k1", Seconds), ("k10", Seconds), ("k50", Seconds)],
            &[about("k1", 4.0, 0.1), about("k10", 0.4, 0.1), about("k50", 0.08, 0.2)],
        )
        .in_python_as("k10")
        .waits()
        .in_full(4),
    claim(&["63"], "async is less ideal for short scripts")
        .wants("plain code wins or ties")
        .measures(
            "a script with one GET of 50 ms, start-up included: async over plain, the median of five pairs",
            public::short_script,
            &[("ratio", Times), ("sync", Seconds), ("async", Seconds)],
            &[at_least("ratio", 0.97)],
        )
        .also_in_python()
        .repeated(3)
        .in_full(8),
    claim(&["64"], "images, video and data crunching are work for processes")
        .cites("", "Pillow resize and JPEG: threads 1.79×, processes 1.92×")
        .wants("threads are as good as processes here")
        .measures(
            "8 images of 8 MiB, shrunk and written as JPEG, on threads and in processes, beside a plain loop",
            kernels::images,
            &[("threads_speedup", Times), ("processes_speedup", Times)],
            &[at_least("processes_speedup", 1.3), at_least("threads_speedup", 1.3).ours().expected()],
        )
        .also_in_python()
        .repeated(3)
        .in_full(9),
    claim(&["66"], "generators become async generators").fact(),
    claim(&["67"], "the application keeps making progress while requests wait")
        .wants("gaps of a few ms")
        .measures(
            "a 10 ms ticker beside 100 GETs of 200 ms on one loop: its longest gap",
            clients::heartbeat,
            &[("gap", Seconds)],
            &[at_most("gap", 0.1), at_most("gap", 0.03).ours().expected()],
        )
        .also_in_python(),
    claim(&["68"], "three calls of 200 ms go from 600 to 200 ms")
        .cites("600 → 200 ms", ".623 s → .220 s")
        .wants("≈ .201 s")
        .measures(
            "3 GETs of 200 ms, one after the other and at once",
            clients::three_requests,
            &[("wall", Seconds), ("sequential", Seconds)],
            &[
                about("wall", 0.2, 0.15),
                about("sequential", 0.6, 0.1),
                about("wall", 0.201, 0.03).ours().expected(),
            ],
        )
        .also_in_python()
        .waits(),
    claim(&["71"], "two awaits of 1 s, one after the other, take 2 s")
        .cites("2 s", "2.002 s")
        .measures(
            "two timers of 1 s, one awaited after the other",
            waiting::one_after_the_other,
            &[("wall", Seconds)],
            &[about("wall", 2.0, 0.05)],
        )
        .also_in_python()
        .waits(),
    claim(&["72"], "gather of 1, 2 and 3 s takes 2 seconds in total")
        .cites("“2 seconds total”", "3.002 s")
        .wants("3 s: the longest of them")
        .measures(
            "timers of 1, 2 and 3 s under join_all; the claim holds at 2 s, give or take 5 %",
            waiting::one_two_three,
            &[("wall", Seconds)],
            &[about("wall", 2.0, 0.05), about("wall", 3.0, 0.05).expected()],
        )
        .but("The article is wrong: the longest one counts")
        .refuted()
        .also_in_python()
        .waits()
        .in_full(4),
    claim(&["73"], "an async generator yields five items, .1 s apart")
        .cites("", ".1 .2 .3 .4 .5 s")
        .measures(
            "a stream of 5 items, each after 100 ms: when each arrives",
            waiting::items,
            &[("item1", Seconds), ("item2", Seconds), ("item3", Seconds), ("item4", Seconds), ("item5", Seconds)],
            &[
                about("item1", 0.1, 0.1),
                about("item2", 0.2, 0.1),
                about("item3", 0.3, 0.1),
                about("item4", 0.4, 0.1),
                about("item5", 0.5, 0.1),
            ],
        )
        .in_python_as("item5")
        .waits(),
    claim(&["74"], "except ClientError catches the total timeout")
        .cites("the handler in the example", "it is a TimeoutError, and escapes")
        .wants("the limit's error is not the client's")
        .measures(
            "10 GETs of 300 ms under a limit of 50 ms on the whole: the share of the errors that a handler for the client's own errors catches",
            clients::caught,
            &[("caught", Share)],
            &[about("caught", 1.0, 0.0)],
        )
        .but("The article is wrong")
        .refuted()
        .also_in_python(),
    claim(&["75"], "return_exceptions=True returns errors among the results").fact(),
    claim(&["76"], "return_exceptions=True prevents one failure from cancelling all; without it, one does")
        .cites("“prevents one failure from cancelling all”", "gather does not cancel siblings; a task group does")
        .wants("gathered tasks run on; a group's are cancelled")
        .measures(
            "one of three tasks fails at 50 ms, gathered as tasks, then in a group: the share of its siblings that is cancelled",
            waiting::siblings,
            &[("cancelled", Share), ("group_cancelled", Share)],
            &[about("cancelled", 1.0, 0.0), about("group_cancelled", 1.0, 0.0).expected()],
        )
        .but("The article is wrong: a plain gather cancels nobody")
        .refuted()
        .also_in_python(),
    claim(&["77"], "async is for web servers with a high throughput")
        .measures(
            "GETs of 1 ms on connections that are kept alive: requests a second with 100 connections, over those with one",
            clients::throughput,
            &[("speedup", Times), ("requests_per_s", Count)],
            &[at_least("speedup", 5.0).ours(), at_least("requests_per_s", 1000.0).cpython()],
        )
        .in_python_as("requests_per_s")
        .in_full(6),
    claim(&["78"], "inference belongs into processes")
        .cites("", "NumPy MLP: threads 1.55×, processes 1.97×")
        .measures(
            "8 batches through a small MLP on threads and in processes, beside a plain loop",
            kernels::inference,
            &[("threads_speedup", Times), ("processes_speedup", Times)],
            &[at_least("processes_speedup", 1.3), at_least("threads_speedup", 1.3).ours().expected()],
        )
        .also_in_python()
        .repeated(3)
        .in_full(7),
    claim(&["79"], "a synchronous library that cannot be replaced goes into an executor")
        .measures(
            "SQLite, 64 tasks of 2000 look-ups each: the longest gap of a 10 ms ticker beside them on the blocking pool, and inline",
            files::sqlite,
            &[("ticker_gap", Seconds), ("blocked_gap", Seconds), ("wall", Seconds)],
            &[at_most("ticker_gap", 0.1)],
        )
        .also_in_python()
        .in_full(7),
    claim(&["80"], "a quick reference").wants("compiles").fact(),
];
