//! What a traced run adds up to: how busy its workers were, and how many tasks were queued, waited, or were in flight.
use crate::record::Timeline;

/// The number of tasks in each state from `at` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: u64,
    /// Handed over, not started.
    pub(super) queued: usize,
    /// Started, not ended, and on no worker.
    pub(super) waiting: usize,
    /// Started, not ended.
    pub(super) in_flight: usize,
}

/// A traced run in numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    /// In ascending order of `at`.
    pub(super) steps: Vec<Step>,
    /// The largest numbers at any time.
    pub(super) most: Step,
    /// The most tasks on no worker at any time, queued or waiting.
    pub(super) pending: usize,
    /// Share of the workers' time that tasks were on them.
    pub(super) busy: f64,
    /// Median times of a task until it starts, and from its start to its end on no worker, in nanoseconds.
    pub(super) queued_ns: f64,
    pub(super) waiting_ns: f64,
}

impl Tally {
    pub(super) fn of(timeline: &Timeline) -> Self {
        let mut changes: Vec<(u64, [i64; 3])> = Vec::new();
        for &[_, handed, started, ended] in &timeline.tasks {
            let (handed, ended) = (handed.min(started), ended.max(started));
            changes.push((handed, [1, 0, 0]));
            changes.push((started, [-1, 1, 0]));
            changes.push((ended, [0, -1, 0]));
        }
        for &[_, _, from, to] in &timeline.segments {
            changes.push((from, [0, 0, 1]));
            changes.push((to.max(from), [0, 0, -1]));
        }
        changes.sort_unstable_by_key(|(at, _)| *at);
        let (mut steps, mut most, mut now): (Vec<Step>, Step, [i64; 3]) = Default::default();
        let mut pending = 0;
        for (i, (at, change)) in changes.iter().enumerate() {
            now.iter_mut().zip(change).for_each(|(n, c)| *n += c);
            if changes.get(i + 1).is_some_and(|next| next.0 == *at) {
                continue;
            }
            let count = |n: i64| usize::try_from(n).unwrap_or(0);
            let [queued, in_flight, on] = now;
            let step = Step {
                at: *at,
                queued: count(queued),
                waiting: count(in_flight - on),
                in_flight: count(in_flight),
            };
            most.queued = most.queued.max(step.queued);
            most.waiting = most.waiting.max(step.waiting);
            most.in_flight = most.in_flight.max(step.in_flight);
            pending = pending.max(step.queued + step.waiting);
            steps.push(step);
        }
        let on: u64 = timeline.segments.iter().map(|s| s[3].saturating_sub(s[2])).sum();
        let all = timeline.wall_ns as f64 * timeline.workers.len().max(1) as f64;
        let busy = if all > 0.0 { (on as f64 / all).min(1.0) } else { 0.0 };
        let (queued_ns, waiting_ns) = medians(timeline);
        Self { steps, most, pending, busy, queued_ns, waiting_ns }
    }
}

fn medians(timeline: &Timeline) -> (f64, f64) {
    let mut on: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
    for &[task, _, from, to] in &timeline.segments {
        *on.entry(task).or_default() += to.saturating_sub(from);
    }
    let queued = timeline.tasks.iter().map(|&[_, handed, started, _]| started.saturating_sub(handed));
    let waiting = timeline.tasks.iter().map(|&[task, _, started, ended]| {
        ended.saturating_sub(started).saturating_sub(on.get(&task).copied().unwrap_or(0))
    });
    (median(queued.collect()), median(waiting.collect()))
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    let middle = |at: usize| values.get(at).map_or(0.0, |v| *v as f64);
    match values.len() {
        0 => 0.0,
        n => (middle((n - 1) / 2) + middle(n / 2)) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SCHEMA;

    #[test]
    fn tasks_are_counted_where_they_are() {
        let timeline = Timeline {
            schema: SCHEMA,
            run: String::new(),
            cell: String::new(),
            strategy: String::new(),
            wall_ns: 100,
            workers: vec!["worker 1".to_owned()],
            // The first computes, waits and computes again; the second one is queued until the first waits.
            tasks: vec![[0, 0, 0, 100], [1, 5, 20, 60]],
            segments: vec![[0, 0, 0, 20], [1, 0, 20, 60], [0, 0, 80, 100]],
            truncated: false,
            breakdown: None,
        };
        let tally = Tally::of(&timeline);
        assert_eq!((tally.most.queued, tally.most.waiting, tally.most.in_flight), (1, 1, 2));
        assert_eq!(tally.pending, 1);
        let at = |t: u64| *tally.steps.iter().rev().find(|s| s.at <= t).unwrap();
        assert_eq!((at(10).queued, at(10).waiting, at(10).in_flight), (1, 0, 1));
        assert_eq!((at(30).queued, at(30).waiting, at(30).in_flight), (0, 1, 2));
        assert_eq!((at(70).waiting, at(90).waiting, at(100).in_flight), (1, 0, 0));
        assert!((tally.busy - 0.8).abs() < 1e-9 && tally.queued_ns == 7.5 && tally.waiting_ns == 30.0);
    }
}
