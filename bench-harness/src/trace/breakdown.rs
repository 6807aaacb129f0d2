//! Where the time of a traced run went: the accounting behind `explain`, pure, on what was recorded.
//!
//! Two accounts of the same run. Per task: handed over + queue + work + wait = ended. Of the wall time: at every moment
//! either a task is on a worker, or else one is in progress and waits, or else one has been handed over and has not
//! started, or else nothing is under way (more are being handed over, or results collected); the four add up to the
//! wall time.
use std::collections::HashMap;

use crossover_reports::record::Breakdown;

use super::MAIN;

/// What may be going on at a moment, by precedence.
const ON_WORKER: usize = 0;
const IN_PROGRESS: usize = 1;
const HANDED: usize = 2;

/// Accounts for a run of `wall_ns`, whose tasks and segments are all here.
#[must_use]
pub fn breakdown(wall_ns: u64, workers: &[String], tasks: &[[u64; 4]], segments: &[[u64; 4]]) -> Breakdown {
    let busy = busy(segments);
    // Saturating: a timeline may come from a file that anybody can edit.
    let (mut queue_ns, mut work_ns, mut wait_ns) = (0_u64, 0_u64, 0_u64);
    for &[task, handed, started, ended] in tasks {
        let life = ended.saturating_sub(started);
        let work = busy.get(&task).copied().unwrap_or(0).min(life);
        queue_ns = queue_ns.saturating_add(started.saturating_sub(handed));
        work_ns = work_ns.saturating_add(work);
        wait_ns = wait_ns.saturating_add(life - work);
    }
    let last = |part: usize| tasks.iter().map(|task| task[part]).max().unwrap_or(0).min(wall_ns);
    let [working_ns, waiting_ns, queued_ns] = phases(wall_ns, tasks, segments);
    Breakdown {
        tasks: tasks.len() as u64,
        spawn_ns: last(1) - on_main_before(last(1), workers, segments),
        queue_ns,
        work_ns,
        wait_ns,
        join_ns: wall_ns - last(3),
        working_ns,
        waiting_ns,
        queued_ns,
    }
}

/// The time that each task was on a worker. Segments of a task may overlap: the poll that hands a part to the blocking
/// pool ends after that part has begun.
fn busy(segments: &[[u64; 4]]) -> HashMap<u64, u64> {
    let mut ordered: Vec<[u64; 3]> = segments.iter().map(|&[task, _, from, to]| [task, from, to]).collect();
    ordered.sort_unstable();
    let mut busy = HashMap::new();
    for of_task in ordered.chunk_by(|a, b| a[0] == b[0]) {
        busy.insert(of_task[0][0], union(of_task.iter().map(|&[_, from, to]| (from, to))));
    }
    busy
}

/// The length of the union of spans in the order of their beginnings.
fn union(spans: impl Iterator<Item = (u64, u64)>) -> u64 {
    let (mut length, mut covered) = (0, 0);
    for (from, to) in spans {
        let from = from.max(covered);
        length += to.saturating_sub(from);
        covered = covered.max(to);
    }
    length
}

/// How long the thread that hands tasks over ran tasks itself before `end`: all of the time but a little where it runs
/// each before it comes to the next.
fn on_main_before(end: u64, workers: &[String], segments: &[[u64; 4]]) -> u64 {
    let is_main = |worker: u64| {
        usize::try_from(worker).ok().and_then(|at| workers.get(at)).is_some_and(|name| name == MAIN)
    };
    let mut spans: Vec<(u64, u64)> = segments
        .iter()
        .filter(|segment| is_main(segment[1]))
        .map(|&[_, _, from, to]| (from.min(end), to.min(end)))
        .collect();
    spans.sort_unstable();
    union(spans.into_iter())
}

/// How long what was going on: the first of [`ON_WORKER`], [`IN_PROGRESS`] and [`HANDED`] that applied.
fn phases(wall_ns: u64, tasks: &[[u64; 4]], segments: &[[u64; 4]]) -> [u64; 3] {
    let mut events: Vec<(u64, usize, i64)> = Vec::with_capacity(4 * tasks.len() + 2 * segments.len());
    for &[_, handed, started, ended] in tasks {
        events.extend([(handed, HANDED, 1), (started.max(handed), HANDED, -1)]);
        events.extend([(started, IN_PROGRESS, 1), (ended.max(started), IN_PROGRESS, -1)]);
    }
    for &[_, _, from, to] in segments {
        events.extend([(from, ON_WORKER, 1), (to.max(from), ON_WORKER, -1)]);
    }
    events.sort_unstable();
    let (mut counts, mut spent, mut last) = ([0_i64; 3], [0; 3], 0);
    for (at, what, by) in events {
        let at = at.min(wall_ns);
        if let Some(phase) = counts.iter().position(|count| *count > 0) {
            spent[phase] += at - last;
        }
        last = at;
        counts[what] += by;
    }
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Both accounts add up, whatever was recorded.
    fn assert_adds_up(wall_ns: u64, tasks: &[[u64; 4]], b: &Breakdown) {
        let lives: u64 = tasks.iter().map(|[_, handed, _, ended]| ended - handed).sum();
        assert_eq!(b.queue_ns + b.work_ns + b.wait_ns, lives, "{b:?}");
        assert!(b.working_ns + b.waiting_ns + b.queued_ns + b.join_ns <= wall_ns, "{b:?}");
    }

    #[test]
    fn two_workers_share_three_tasks() {
        // Handed over at 0, 10, 20; the third waits until a worker is free.
        let tasks = [[0, 0, 5, 105], [1, 10, 15, 115], [2, 20, 105, 205]];
        let segments = [[0, 0, 5, 105], [1, 1, 15, 115], [2, 0, 105, 205]];
        let b = breakdown(220, &names(&["worker 0", "worker 1"]), &tasks, &segments);
        let expected = Breakdown {
            tasks: 3,
            spawn_ns: 20,
            queue_ns: 5 + 5 + 85,
            work_ns: 300,
            wait_ns: 0,
            join_ns: 15,
            working_ns: 200,
            waiting_ns: 0,
            queued_ns: 5,
        };
        assert_eq!(b, expected);
        assert_adds_up(220, &tasks, &b);
    }

    #[test]
    fn what_waits_is_no_work_and_overlaps_count_once() {
        // A poll, a timer, a part on the blocking pool that begins before the poll which hands it over ends.
        let tasks = [[7, 0, 10, 100]];
        let segments = [[7, 0, 10, 20], [7, 0, 60, 70], [7, 1, 65, 90], [7, 0, 95, 100]];
        let b = breakdown(100, &names(&["worker 0", "blocking 0"]), &tasks, &segments);
        assert_eq!((b.queue_ns, b.work_ns, b.wait_ns, b.join_ns), (10, 10 + 30 + 5, 45, 0));
        assert_eq!((b.working_ns, b.waiting_ns, b.queued_ns), (45, 45, 10));
        assert_adds_up(100, &tasks, &b);
    }

    #[test]
    fn who_runs_tasks_itself_is_not_handing_over_meanwhile() {
        let tasks = [[0, 0, 1, 100], [1, 103, 104, 200]];
        let segments = [[0, 0, 1, 100], [1, 0, 104, 200]];
        let b = breakdown(201, &names(&[MAIN]), &tasks, &segments);
        assert_eq!((b.spawn_ns, b.queue_ns, b.work_ns, b.join_ns), (4, 2, 195, 1));
        // Between the first task's end and the second's handing over nothing is under way.
        assert_eq!((b.working_ns, b.waiting_ns, b.queued_ns), (195, 0, 2));
        assert_adds_up(201, &tasks, &b);
    }

    #[test]
    fn nothing_recorded_is_nothing_spent() {
        assert_eq!(breakdown(9, &[], &[], &[]), Breakdown { join_ns: 9, ..Breakdown::default() });
    }

    #[test]
    fn random_traces_add_up() {
        let mut state = 1_u64;
        let mut below = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        for _ in 0..200 {
            let (mut tasks, mut segments, mut end) = (Vec::new(), Vec::new(), 0);
            for task in 0..1 + below(6) {
                let handed = below(50);
                let started = handed + below(50);
                let (mut at, mut ended) = (started, started);
                for _ in 0..1 + below(4) {
                    ended = at + 1 + below(30);
                    segments.push([task, below(3), at, ended]);
                    at = ended + below(20);
                }
                tasks.push([task, handed, started, ended]);
                end = end.max(ended);
            }
            let wall = end + below(10);
            let b = breakdown(wall, &names(&[MAIN, "worker 0", "worker 1"]), &tasks, &segments);
            assert_adds_up(wall, &tasks, &b);
            assert_eq!(b.join_ns, wall - end);
            assert!(b.working_ns <= b.work_ns);
        }
    }
}
