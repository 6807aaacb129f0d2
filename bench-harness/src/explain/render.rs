//! What `explain` prints: a table of the strategies, a sentence on each, and a line of bars per worker.
use std::time::Duration;

use crossover_reports::record::{Breakdown, Timeline};

use crate::{text, trace};

/// Columns of a worker's line.
const WIDTH: usize = 64;

/// Workers that are shown of one strategy.
const WORKERS_SHOWN: usize = 8;

/// How busy a worker was in a column, in eighths.
const LEVELS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A share that is worth a clause of its own: a quarter of the run for handing over, a tenth for collecting.
const SPAWN_SHARE: f64 = 0.25;
const JOIN_SHARE: f64 = 0.1;

/// Workers are said to be busy from this share of the run on.
const BUSY_SHARE: f64 = 0.7;

/// What the columns of the table mean.
const LEGEND: &str = "per run: wall; spawn, handing all tasks over; join, from the last task's end to the end of the run. \
                      per task, on average: queue, from handed over to started; work, on a worker, computing or \
                      blocking it; wait, started and on no worker. parallel: tasks on workers at a time, over the run.";

/// The same where tasks arrive at a rate.
const LEGEND_OPEN: &str = "per run: wall; spawn, until the last task has arrived and is handed over; join, from the last task's end to the \
                           end of the run. per task, on average: queue, from handed over to started; work, on a worker, \
                           computing or blocking it; wait, started and on no worker. parallel: tasks on workers at a time, \
                           over the run.";

/// Everything about one cell, the fastest strategy first; `is_open` where tasks arrive at a rate.
pub(super) fn render(timelines: &[Timeline], is_open: bool) -> String {
    let mut ordered: Vec<(&Timeline, Option<Breakdown>)> =
        timelines.iter().map(|timeline| (timeline, trace::breakdown_of(timeline))).collect();
    ordered.sort_by_key(|(timeline, _)| timeline.wall_ns);
    let header =
        ["strategy", "wall", "spawn", "queue", "work", "wait", "join", "parallel"].map(str::to_owned);
    let rows = ordered.iter().map(|(timeline, told)| row(timeline, told.as_ref()));
    let mut out = text::columns(&[header.to_vec()].into_iter().chain(rows).collect::<Vec<_>>(), 1);
    out += &format!("\n  {}\n", text::wrap(if is_open { LEGEND_OPEN } else { LEGEND }, 96, 2));
    for (timeline, told) in &ordered {
        out.push('\n');
        if let Some(told) = told {
            let sentence = sentence(&timeline.strategy, timeline.wall_ns, told, is_open);
            out += &format!("{}\n", text::wrap(&sentence, 98, 2));
        }
        out += &bars(timeline);
    }
    out
}

fn row(timeline: &Timeline, told: Option<&Breakdown>) -> Vec<String> {
    let mut row = vec![timeline.strategy.clone(), time(timeline.wall_ns)];
    match told {
        None => row.extend(["–"; 6].map(str::to_owned)),
        Some(told) => {
            let each = |sum: u64| time(sum / told.tasks.max(1));
            row.extend([
                time(told.spawn_ns),
                each(told.queue_ns),
                each(told.work_ns),
                each(told.wait_ns),
                time(told.join_ns),
                format!("{:.2}", share(told.work_ns, timeline.wall_ns)),
            ]);
        }
    }
    row
}

/// What most of the time went to, and why.
fn sentence(strategy: &str, wall_ns: u64, told: &Breakdown, is_open: bool) -> String {
    let life = told.queue_ns.saturating_add(told.work_ns).saturating_add(told.wait_ns);
    let (working, queued) = (share(told.working_ns, wall_ns), share(told.queued_ns, wall_ns));
    let each = |sum: u64| time(sum / told.tasks.max(1));
    let parallel = share(told.work_ns, wall_ns);
    let busy = format!("a task is on a worker for {} of the run", percent(working));
    let (what, ns, why) = [
        (
            "queueing",
            told.queue_ns,
            match () {
                () if working >= BUSY_SHARE => {
                    format!("the workers are the bottleneck, for {busy}, {parallel:.2} at a time")
                }
                () if queued >= working => format!(
                    "what is paid for is the way to a worker, {} per task beside {} of work, for {busy} only",
                    each(told.queue_ns),
                    each(told.work_ns)
                ),
                () => format!("{busy}, {parallel:.2} at a time, and the rest of it passes between tasks"),
            },
        ),
        ("spent on a worker, computing or blocking it", told.work_ns, format!("{busy}, {parallel:.2} at a time")),
        (
            "waiting",
            told.wait_ns,
            format!("started, and on no worker, for timers, sockets or the way to the blocking pool and back; {busy}"),
        ),
    ]
    .into_iter()
    .max_by_key(|(_, ns, _)| *ns)
    .unwrap_or_default();
    let mut out = format!("{strategy}: {} of its tasks' time is {what}: {why}", percent(share(ns, life)));
    // Under an open load the tasks' arriving is no cost of the strategy's.
    let spawning = if is_open { "the tasks arrive over" } else { "handing the tasks over takes" };
    for (least, ns, what) in [
        (SPAWN_SHARE, told.spawn_ns, spawning),
        (JOIN_SHARE, told.join_ns, "collecting the results after the last task's end takes"),
    ] {
        let share = share(ns, wall_ns);
        if share >= least {
            out += &format!("; {what} {} of the run", percent(share));
        }
    }
    out + "."
}

/// A line per worker: how busy it was, from the start of the run to its end.
fn bars(timeline: &Timeline) -> String {
    let last = timeline.segments.iter().map(|segment| segment[3]).max().unwrap_or(0);
    // Where the rest was left out, it would look idle.
    let span = if timeline.truncated { last } else { timeline.wall_ns.max(last) };
    let widest = timeline.workers.iter().take(WORKERS_SHOWN).map(|name| name.chars().count()).max();
    let widest = widest.unwrap_or(0);
    let mut out = String::new();
    for (number, name) in (0..).zip(timeline.workers.iter().take(WORKERS_SHOWN)) {
        let spans = timeline.segments.iter().filter(|segment| segment[1] == number);
        let line = levels(spans.map(|&[_, _, from, to]| (from, to)), span);
        out += &format!("  {name}{} {line}\n", " ".repeat(widest - name.chars().count()));
    }
    let more = timeline.workers.len().saturating_sub(WORKERS_SHOWN);
    if more > 0 {
        out += &format!("  and {}\n", text::count(more as u64, "more worker"));
    }
    let cut = if timeline.truncated { " (the first tasks only)" } else { "" };
    out + &format!("  {} 0{:>width$}{cut}\n", " ".repeat(widest), time(span), width = WIDTH - 1)
}

/// `spans` of a run of `span` nanoseconds as one character per column.
fn levels(spans: impl Iterator<Item = (u64, u64)>, span: u64) -> String {
    let width = (span as f64 / WIDTH as f64).max(f64::MIN_POSITIVE);
    let mut busy = [0.0; WIDTH];
    for (from, to) in spans {
        let (from, to) = (from as f64 / width, to as f64 / width);
        let last = (to.ceil() as usize).min(WIDTH);
        for (column, busy) in busy.iter_mut().enumerate().take(last).skip(from as usize) {
            let start = column as f64;
            *busy += (to.min(start + 1.0) - from.max(start)).max(0.0);
        }
    }
    // A column in which anything happened shows it.
    let level = |busy: f64| if busy > 0.0 { ((busy * 8.0).round() as usize).clamp(1, 8) } else { 0 };
    busy.into_iter().map(|busy| LEVELS[level(busy)]).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn time(ns: u64) -> String {
    if ns == 0 { "0".to_owned() } else { text::time(Duration::from_nanos(ns)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Trace;

    fn timeline(
        strategy: &str,
        wall_ns: u64,
        workers: &[&str],
        tasks: &[[u64; 4]],
        segments: &[[u64; 4]],
    ) -> Timeline {
        let workers = workers.iter().map(|name| (*name).to_owned()).collect();
        let trace = Trace { workers, tasks: tasks.to_vec(), segments: segments.to_vec(), ..Trace::default() };
        trace::timeline("r-1", "n=1", strategy, wall_ns, trace)
    }

    #[test]
    fn a_cell_is_explained_by_a_table_sentences_and_bars() {
        let threads = timeline(
            "threads",
            64_000,
            &["worker 0", "worker 1"],
            &[[0, 0, 1000, 32_000], [1, 1000, 2000, 60_000], [2, 2000, 32_000, 64_000]],
            &[[0, 0, 1000, 32_000], [1, 1, 2000, 60_000], [2, 0, 32_000, 64_000]],
        );
        let main = timeline(
            "event-loop",
            128_000,
            &["main"],
            &[[0, 0, 1000, 127_000]],
            &[[0, 0, 1000, 2000], [0, 0, 126_000, 127_000]],
        );
        let expected = "  strategy       wall    spawn    queue     work    wait     join  parallel
  threads     64.0 µs  2.00 µs  10.7 µs  40.3 µs       0        0      1.89
  event-loop   128 µs        0  1.00 µs  2.00 µs  124 µs  1.00 µs      0.02
";
        let shown = render(&[main, threads], false);
        assert!(shown.starts_with(expected), "{shown}");
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "threads: 79 % of its tasks' time is spent on a worker, computing or blocking it: a task is on a worker for \
             98 % of the run, 1.89 at a time.",
            "event-loop: 98 % of its tasks' time is waiting: started, and on no worker, for timers, sockets or the way to \
             the blocking pool and back; a task is on a worker for 2 % of the run.",
        ] {
            assert!(flat.contains(words), "{shown}");
        }
        for line in [
            format!("  worker 0 ·{}\n", "█".repeat(63)),
            format!("  worker 1 ··{}····\n", "█".repeat(58)),
            format!("  main ▄{}▄\n", "·".repeat(62)),
        ] {
            assert!(shown.contains(&line), "{line}{shown}");
        }
    }

    #[test]
    fn the_sentence_names_the_cause() {
        let told = |queue_ns, work_ns, wait_ns, working_ns, queued_ns| Breakdown {
            tasks: 10,
            queue_ns,
            work_ns,
            wait_ns,
            working_ns,
            queued_ns,
            ..Breakdown::default()
        };
        for (told, words) in [
            (told(900, 100, 0, 95, 0), "90 % of its tasks' time is queueing: the workers are the bottleneck"),
            (
                told(900, 10, 0, 10, 80),
                "99 % of its tasks' time is queueing: what is paid for is the way to a worker",
            ),
            (
                told(0, 100, 0, 100, 0),
                "100 % of its tasks' time is spent on a worker, computing or blocking it: a task is on a worker for 100 % of the run",
            ),
            (told(0, 10, 90, 10, 0), "90 % of its tasks' time is waiting: started, and on no worker"),
            (
                Breakdown { spawn_ns: 50, join_ns: 20, ..told(0, 1, 0, 30, 0) },
                "; handing the tasks over takes 50 % of the run; collecting the results after the last task's end takes 20 % of the run.",
            ),
        ] {
            let sentence = sentence("threads", 100, &told, false);
            assert!(sentence.starts_with("threads: ") && sentence.contains(words), "{sentence}");
        }
        assert!(sentence("none", 0, &Breakdown::default(), false).contains("0 % of"));
    }

    #[test]
    fn tasks_that_arrive_are_not_a_cost_of_handing_over() {
        let told = Breakdown { tasks: 10, wait_ns: 90, spawn_ns: 96, ..Breakdown::default() };
        let [closed, open] = [false, true].map(|is_open| sentence("event-loop", 100, &told, is_open));
        assert!(closed.ends_with("; handing the tasks over takes 96 % of the run."), "{closed}");
        assert!(open.ends_with("; the tasks arrive over 96 % of the run."), "{open}");
        assert!(render(&[], true).contains("has arrived") && !render(&[], false).contains("arrived"));
    }

    #[test]
    fn many_workers_and_strange_spans_stay_within_the_lines() {
        let names: Vec<String> = (0..40).map(|n| format!("thread {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shown =
            bars(&timeline("t", 10, &names, &[], &[[0, 0, 0, u64::MAX], [0, 1, 9, 3], [0, 77, 0, 1]]));
        assert!(shown.contains("and 32 more workers"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() < 100), "{shown}");
        assert_eq!(levels([(0, 0)].into_iter(), 0).chars().count(), WIDTH);
    }
}
