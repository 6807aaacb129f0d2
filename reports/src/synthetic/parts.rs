//! The parts of a made-up run beside its wall times: verdicts by CPU time and memory, latencies, start-up, traced runs.
use super::{noise, number, verdict};
use crate::analysis::model::{
    Analysis, Latency, MemoryLine, Metric, MetricAnalysis, MetricCell, MetricStats, OpenLoad, Startup,
};
use crate::record::{Breakdown, Look, Params, SCHEMA, Timeline};

/// Judges every cell by CPU time and memory, as its figures are.
pub(crate) fn judge_by_metrics(run: &mut Analysis) {
    let judged = |metric: Metric| {
        let cells = run.cells.iter().map(|cell| {
            let values: Vec<Option<f64>> = cell
                .stats
                .iter()
                .map(|s| {
                    s.as_ref().map(|s| if metric == Metric::Cpu { s.cpu_per_task_ns } else { s.rss_peak_kib })
                })
                .collect();
            let stats = |value: &Option<f64>| {
                value.map(|median| MetricStats { samples: 40, median, ci: [median * 0.98, median * 1.02] })
            };
            let mut verdict = verdict(&cell.params, &run.strategies, &values);
            if let Some(verdict) = &mut verdict {
                verdict.metric = metric.name().to_owned();
            }
            MetricCell {
                stats: values.iter().map(stats).collect(),
                verdict: if cell.verdict.is_some() { verdict } else { None },
                no_verdict: cell.no_verdict.clone(),
            }
        });
        MetricAnalysis { metric, cells: cells.collect() }
    };
    run.by_metric = vec![judged(Metric::Cpu), judged(Metric::Memory)];
}

/// Judges every cell by the tails that [`add_latency`] gave; whoever fell behind takes no part.
pub(crate) fn judge_by_latency(run: &mut Analysis) {
    for latency in &run.latency {
        let Some(open) = &latency.open else { continue };
        run.rate = Some(open.rate);
        let behind = &mut run.cells[latency.cell].behind;
        if open.behind && !behind.contains(&latency.strategy) {
            behind.push(latency.strategy);
        }
    }
    let cells = run.cells.iter().enumerate().map(|(at, cell)| {
        let tail = |s: usize| {
            let here = |l: &&Latency| l.open.is_some() && (l.cell, l.strategy) == (at, s);
            run.latency.iter().find(here).map(|l| l.p99_ns)
        };
        let all: Vec<Option<f64>> = (0..run.strategies.len()).map(tail).collect();
        let keep = |(s, tail): (usize, &Option<f64>)| tail.filter(|_| !cell.behind.contains(&s));
        let keeping: Vec<Option<f64>> = all.iter().enumerate().map(keep).collect();
        let stats = |value: &Option<f64>| {
            value.map(|median| MetricStats { samples: 40, median, ci: [median * 0.97, median * 1.03] })
        };
        let mut verdict = verdict(&cell.params, &run.strategies, &keeping).filter(|_| cell.verdict.is_some());
        if let Some(verdict) = &mut verdict {
            verdict.metric = Metric::Latency.name().to_owned();
        }
        let refused = verdict.is_none() && all.iter().any(Option::is_some);
        MetricCell {
            stats: all.iter().map(stats).collect(),
            verdict,
            no_verdict: refused.then(|| "every strategy falls behind the load".to_owned()),
        }
    });
    let judged = MetricAnalysis { metric: Metric::Latency, cells: cells.collect() };
    run.by_metric.insert(0, judged);
}

/// Gives every strategy a latency in the cells with these indices: a base of `base_ns`, and for every second strategy a
/// stall that the worst of the tasks wait for.
pub(crate) fn add_latency(run: &mut Analysis, cells: &[usize], base_ns: f64, rate: Option<f64>) {
    for &cell in cells.iter().filter(|cell| **cell < run.cells.len()) {
        for (strategy, name) in run.strategies.iter().enumerate() {
            let base = base_ns * (1.0 + 0.4 * noise(name, &run.cells[cell].params));
            let stall = if strategy % 2 == 1 { 150.0 } else { 1.0 + strategy as f64 };
            let quantile = |share: f64| {
                let late = ((share - 0.93) / 0.07).clamp(0.0, 1.0);
                base * (1.0 + 0.25 * (-(1.0 - share).ln()) + stall * late.sqrt())
            };
            let tasks = 20_000_u64;
            let share = |k: u32| 1.0 - 10_f64.powf(-f64::from(k) * 0.05);
            let points: Vec<(f64, f64)> = (0..=86).map(|k| (share(k), quantile(share(k)))).collect();
            // Above 1000 per second the stalling ones fall behind, and with a long delay all but one.
            let delay = number(&run.cells[cell].params, "delay_ms");
            let fast = rate.is_some_and(|rate| rate > 1000.0);
            let slow = rate.is_some() && delay * (strategy as f64 + 1.0) > 30.0 && strategy != 1;
            let behind = (stall > 100.0 && fast) || slow || (rate.is_some() && delay > 300.0);
            run.latency.push(Latency {
                cell,
                strategy,
                samples: 40,
                unreadable: 0,
                tasks,
                open: rate.map(|rate| OpenLoad {
                    rate,
                    achieved: Some(if behind { 0.61 * rate } else { rate }),
                    behind,
                    generator_lag_ns: Some(21_500.0),
                    generator_share: Some(0.043),
                    generator_flagged: false,
                }),
                p50_ns: quantile(0.5),
                p90_ns: quantile(0.9),
                p99_ns: quantile(0.99),
                p999_ns: quantile(0.999),
                max_ns: quantile(1.0 - 1.0 / tasks as f64),
                points,
            });
        }
    }
}

/// Start-up times over several decades; the last strategy is never steady, the one before it was not measured.
pub(crate) fn add_startup(run: &mut Analysis) {
    let count = run.strategies.len();
    run.startup = (0..count)
        .map(|strategy| Startup {
            strategy,
            start_ns: (strategy + 2 != count || count < 3).then(|| 700.0 * 5.5_f64.powi(strategy as i32)),
            cold_ratio: (strategy + 2 != count || count < 3).then_some(1.02 + 0.9 * strategy as f64),
            warmups: 40,
            told: 38,
            never_steady: if strategy + 1 == count { 5 } else { 0 },
            worker_private_kib: None,
        })
        .collect();
}

/// Two looks after the base plan, and why there was no third.
pub(crate) fn add_looks(run: &mut Analysis) {
    let cells = |n: usize| run.cells.iter().take(n).map(|cell| cell.cell.clone()).collect();
    let look = |undecided: Vec<String>, refined: Vec<String>| Look {
        schema: SCHEMA,
        processes: 1,
        undecided,
        refined,
        stopped: None,
    };
    let end = Look { stopped: Some("the budget is spent, 3 cells left open".to_owned()), ..Look::default() };
    run.looks = vec![look(cells(5), cells(1)), look(cells(3), Vec::new()), end];
}

/// Memory against the number of tasks, 10 to 10,000 of them.
pub(crate) fn add_memory_lines(run: &mut Analysis) {
    let line = |(strategy, name): (usize, &String)| {
        let per_task = 0.3 * 2.6_f64.powi(strategy as i32);
        let base = 5000.0 + 300.0 * noise(name, &Params::new()).abs();
        let points = [10.0, 100.0, 1000.0, 10_000.0].map(|n| (n, base + per_task * n)).to_vec();
        let bytes_per_task = per_task * 1024.0;
        let range = [bytes_per_task * 0.9, bytes_per_task * 1.1];
        MemoryLine {
            strategy,
            param: "tasks".to_owned(),
            fixed: Params::new(),
            points,
            bytes_per_task,
            range,
        }
    };
    run.memory = run.strategies.iter().enumerate().map(line).collect();
}

/// One traced run of `tasks` tasks in `cell` for each of `strategies`.
pub(crate) fn add_timelines(run: &mut Analysis, cell: usize, strategies: &[&str], tasks: u64) {
    let Some(cell) = run.cells.get(cell) else { return };
    let (cpu, wait) = (number(&cell.params, "cpu_us").max(2.0), number(&cell.params, "wait_us"));
    for name in strategies {
        let lanes = match *name {
            "sequential" | "event-loop" => 1,
            "work-stealing" | "processes" => 2,
            "threads" => 8,
            "thread-per-task" => tasks as usize,
            _ => 4,
        };
        let waits_aside = matches!(*name, "event-loop" | "work-stealing");
        let mut timeline = simulate(tasks, lanes, (cpu * 1e3) as u64, (wait * 1e3) as u64, waits_aside);
        timeline.run = run.run.clone();
        timeline.cell = cell.cell.clone();
        timeline.strategy = (*name).to_owned();
        run.timelines.push(timeline);
    }
}

/// Tasks that compute, wait and compute again, on the lanes that are free first.
fn simulate(tasks: u64, lanes: usize, cpu: u64, wait: u64, waits_aside: bool) -> Timeline {
    let mut free = vec![3_000_u64; lanes.max(1)];
    let (mut rows, mut segments) = (Vec::new(), Vec::new());
    let mut second = Vec::new();
    let mut take = |from: u64, length: u64, task: u64, segments: &mut Vec<[u64; 4]>| {
        let lane = (0..free.len()).min_by_key(|l| free[*l].max(from)).unwrap_or(0);
        let start = free[lane].max(from);
        free[lane] = start + length;
        segments.push([task, lane as u64, start, start + length]);
        (start, start + length)
    };
    for task in 0..tasks {
        let handed = 400 * task;
        if waits_aside && wait > 0 {
            let (start, end) = take(handed, cpu / 2, task, &mut segments);
            second.push((task, handed, start, end + wait));
        } else {
            let (start, end) = take(handed, cpu + wait, task, &mut segments);
            rows.push([task, handed, start, end]);
        }
    }
    for (task, handed, start, ready) in second {
        let (_, end) = take(ready, cpu / 2, task, &mut segments);
        rows.push([task, handed, start, end]);
    }
    let wall_ns = rows.iter().map(|row| row[3]).max().unwrap_or(1_000);
    let sum = |of: fn(&[u64; 4]) -> u64, all: &[[u64; 4]]| all.iter().map(of).sum();
    let work_ns: u64 = sum(|s| s[3] - s[2], &segments);
    let lives: u64 = sum(|t| t[3] - t[2], &rows);
    let breakdown = Breakdown {
        tasks,
        spawn_ns: 400 * tasks,
        queue_ns: sum(|t| t[2] - t[1], &rows),
        work_ns,
        wait_ns: lives - work_ns,
        join_ns: 100,
        ..Breakdown::default()
    };
    Timeline {
        schema: SCHEMA,
        run: String::new(),
        cell: String::new(),
        strategy: String::new(),
        wall_ns,
        workers: (0..lanes).map(|n| format!("worker {}", n + 1)).collect(),
        tasks: rows,
        segments,
        truncated: false,
        breakdown: Some(breakdown),
    }
}
