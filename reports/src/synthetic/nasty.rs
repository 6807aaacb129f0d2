//! Runs of every nasty shape, each with a name, and runs at random.
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    SUITE, experiment, log_values, mixed, mixed_cost, names, noise, number, numbers, one_axis, parts,
};
use crate::analysis::model::{Analysis, Axis};
use crate::record::{Params, cell_name};

/// Everything that a run can hold, of the size of a tour.
pub(crate) fn full() -> Analysis {
    let mut run = mixed();
    run.name = "full".to_owned();
    parts::judge_by_metrics(&mut run);
    parts::add_latency(&mut run, &[7, 18], 4.0e5, None);
    parts::add_startup(&mut run);
    parts::add_looks(&mut run);
    parts::add_timelines(&mut run, 8, &["sequential", "event-loop", "work-stealing", "threads"], 24);
    run
}

/// The names of strategies that have the least room.
pub(crate) const LONG: [&str; 9] = [
    "a-strategy-of-thirty-characters",
    "another-one-of-thirty-char-long",
    "sequential",
    "threads",
    "event-loop",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "<script>alert('x')</script>&amp;",
    "my-go",
    "processes",
];

/// Runs in which only one strategy, or many with long names, have latencies, traces, memory lines.
fn laden() -> Vec<Analysis> {
    let rate = |values: &[f64]| vec![numbers("rate", values)];
    let mut open = experiment("open-load", rate(&[200.0, 5000.0]), &SUITE, &mixed_cost);
    parts::add_latency(&mut open, &[0, 1], 8.0e5, Some(500.0));
    parts::judge_by_latency(&mut open);
    let mut behind = experiment("open-load-behind", rate(&[5000.0]), &LONG, &mixed_cost);
    parts::add_latency(&mut behind, &[0], 2.0e3, Some(5000.0));
    parts::judge_by_latency(&mut behind);
    parts::add_startup(&mut behind);
    parts::add_memory_lines(&mut behind);
    let mut lone = experiment("lone", vec![], &["threads"], &mixed_cost);
    parts::add_latency(&mut lone, &[0], 900.0, None);
    parts::add_startup(&mut lone);
    parts::add_memory_lines(&mut lone);
    parts::add_timelines(&mut lone, 0, &["threads"], 1);
    parts::judge_by_metrics(&mut lone);
    let mut many = experiment("many-tasks", mixed().axes, &LONG, &mixed_cost);
    parts::add_timelines(&mut many, 12, &["sequential", "threads", "event-loop", "processes", "my-go"], 200);
    parts::judge_by_metrics(&mut many);
    let mut spawned = experiment("thread-per-task", mixed().axes, &SUITE, &mixed_cost);
    parts::add_timelines(&mut spawned, 12, &["event-loop", "thread-per-task"], 200);
    parts::add_timelines(&mut spawned, 3, &["thread-per-task", "work-stealing"], 1000);
    parts::add_memory_lines(&mut spawned);
    parts::add_startup(&mut spawned);
    let mut mixture = experiment("open-and-closed", rate(&[500.0]), &["threads", "event-loop"], &mixed_cost);
    parts::add_latency(&mut mixture, &[0], 1.1e6, Some(500.0));
    mixture.latency[0].open = None;
    let delays = numbers("delay_ms", &[1.0, 2.0, 5.0, 10.0, 40.0, 400.0]);
    let mut line = experiment("open-load-line", vec![delays.clone()], &SUITE, &mixed_cost);
    let mut map =
        experiment("open-load-map", vec![delays, numbers("n", &[1.0, 10.0, 100.0])], &SUITE, &mixed_cost);
    for run in [&mut line, &mut map] {
        let cells: Vec<usize> = (0..run.cells.len()).collect();
        parts::add_latency(run, &cells, 9.0e5, Some(400.0));
        parts::judge_by_metrics(run);
        parts::judge_by_latency(run);
    }
    vec![full(), open, line, map, behind, lone, many, spawned, mixture]
}

/// Maps of every size, each outcome alone, ties of three and more, crossings at the edge.
fn maps() -> Vec<Analysis> {
    let grid = |columns: usize, rows: usize| {
        vec![
            numbers("cpu_us", &log_values(0.5, 5000.0, columns)),
            numbers("wait_us", &log_values(1.0, 90_000.0, rows)),
        ]
    };
    let triple = |s: &str, p: &Params| Some((1e6 * (1.0 + 0.002 * noise(s, p)), 1e4));
    let edge = |s: &str, p: &Params| {
        let x = number(p, "cpu_us");
        Some((if s == "threads" { 5.05e5 } else { x * 1e3 + 10.0 }, 1e5))
    };
    let mut all = vec![
        experiment("map-1x2", grid(1, 2), &SUITE, &mixed_cost),
        experiment("map-2x2", grid(2, 2), &LONG, &mixed_cost),
        experiment("map-9x9", grid(9, 9), &LONG, &triple),
        experiment("map-20x20", grid(20, 20), &SUITE, &mixed_cost),
        experiment("tie-of-three", mixed().axes, &["sequential", "threads", "event-loop"], &triple),
        experiment(
            "crossing-at-the-edge",
            vec![numbers("cpu_us", &[1.0, 10.0, 100.0, 500.0, 510.0])],
            &["sequential", "threads"],
            &edge,
        ),
    ];
    all.iter_mut().for_each(parts::judge_by_metrics);
    all
}

/// Every nasty shape, each with a name.
pub(crate) fn nasty() -> Vec<Analysis> {
    let mut all = plain();
    all.extend(laden());
    all.extend(maps());
    all
}

/// Nasty shapes with wall and CPU times only.
fn plain() -> Vec<Analysis> {
    let cpu = |count: usize| vec![numbers("cpu_us", &log_values(0.5, 5000.0, count))];
    let nine_decades = |s: &str, p: &Params| {
        Some((number(p, "n_ns") * (1.0 + s.len() as f64 / 9.0), number(p, "n_ns") + 1.0))
    };
    let wave = |s: &str, p: &Params| {
        let x = number(p, "cpu_us").ln();
        Some((1e6 * (1.0 + if s == "threads" { 0.5 * (1.6 * x).sin() } else { 0.0 }), 1e5))
    };
    let equal = |s: &str, p: &Params| Some((1e6 * (1.0 + 0.004 * noise(s, p)), 1e4));
    let vague = |s: &str, p: &Params| {
        let best = s == SUITE[cell_name(p).len() % 3];
        Some((1e6 * (if best { 1.0 } else { 1.021 + 0.004 * noise(s, p) }), 1e4))
    };
    let gaps = |s: &str, p: &Params| {
        let x = number(p, "cpu_us");
        if (s == "threads" && x > 60.0) || (s == "processes" && x < 60.0) || s == "blocking-pool" {
            return None;
        }
        mixed_cost(s, p)
    };
    let mut mismatched = experiment("mismatched", cpu(7), &SUITE, &mixed_cost);
    for cell in mismatched.cells.iter_mut().skip(2).step_by(3) {
        cell.verdict = None;
        cell.no_verdict = Some("threads returned a wrong checksum".to_owned());
        mismatched.trust.mismatches.push((cell.cell.clone(), "threads".to_owned()));
    }
    mismatched.trust.failures.push((
        "cpu_us=0.5".into(),
        "my-go".into(),
        "exited with status 1: <no such file>".into(),
    ));
    let mut contaminated = mixed();
    contaminated.name = "contaminated".to_owned();
    contaminated.trust.contaminated = true;
    contaminated.trust.foreign_cores_max = 1.52;
    contaminated.trust.disturbance = "more than 0.15 foreign cores, up to 1.52".to_owned();
    contaminated.trust.quarantined = 1200;
    contaminated.crossovers.clear();
    for block in &mut contaminated.blocks {
        (block.foreign_cores, block.quarantined) = (1.4 + block.foreign_cores, true);
    }
    for cell in &mut contaminated.cells {
        (cell.verdict, cell.no_verdict) = (None, Some("every block was contaminated".to_owned()));
    }
    let kernels = names("kernel", &["sha256", "resize", "a-kernel-with-quite-a-long-name"]);
    vec![
        mixed(),
        one_axis(),
        experiment("one-cell", vec![], &SUITE, &mixed_cost),
        experiment("one-point", cpu(1), &SUITE, &mixed_cost),
        experiment("forty-points", cpu(40), &LONG, &mixed_cost),
        experiment("nine-decades", vec![numbers("n_ns", &log_values(1.0, 1e9, 19))], &LONG, &nine_decades),
        experiment("several-crossings", cpu(30), &["sequential", "threads"], &wave),
        experiment("proven-ties", cpu(6), &SUITE, &equal),
        experiment("undecided", mixed().axes, &SUITE, &vague),
        experiment("missing-strategies", cpu(9), &SUITE, &gaps),
        experiment("names-only", vec![kernels.clone()], &LONG, &mixed_cost),
        experiment(
            "names-and-sizes",
            vec![kernels, numbers("input_bytes", &[256.0, 4096.0, 1e6])],
            &SUITE,
            &mixed_cost,
        ),
        experiment(
            "wide",
            vec![
                numbers("cpu_us", &log_values(0.5, 5000.0, 40)),
                numbers("wait_us", &log_values(1.0, 9e4, 30)),
            ],
            &LONG,
            &mixed_cost,
        ),
        experiment(
            "three-axes",
            vec![
                numbers("cpu_us", &[1.0, 30.0, 900.0]),
                numbers("wait_us", &[0.0, 300.0]),
                names("kernel", &["a", "b"]),
            ],
            &SUITE,
            &mixed_cost,
        ),
        experiment("nothing", cpu(3), &SUITE, &|_, _| None),
        experiment("no-cells", vec![numbers("cpu_us", &[])], &SUITE, &mixed_cost),
        mismatched,
        contaminated,
    ]
}

/// A run that nobody would make up: any number of strategies and axes, values over nine decades, every outcome.
pub(crate) fn random(seed: u64) -> Analysis {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |n: usize| rng.random_range(0..n);
    let names: Vec<&str> = LONG.iter().chain(&SUITE[4..6]).copied().collect();
    let from = below(names.len());
    let strategies: Vec<&str> = (0..=below(9)).map(|i| names[(from + i) % names.len()]).collect();
    let sizes = [below(12) + 1, below(8) + 1, below(3) + 1];
    let first = 10_f64.powi(below(6) as i32 - 2);
    let all = [
        numbers("cpu_us", &log_values(first, first * 10_f64.powi(below(9) as i32 + 1), sizes[0])),
        numbers("wait_us", &(0..sizes[1]).map(|i| 250.0 * i as f64).collect::<Vec<_>>()),
        names_axis(sizes[2]),
    ];
    let axes: Vec<Axis> = all.into_iter().take(below(4)).filter(|axis| axis.values.len() > 1).collect();
    let (decades, share) = (below(9) as f64, below(4) as f64 / 3.0);
    let cost = move |s: &str, p: &Params| {
        let scale = 10_f64.powf(decades * (1.0 + noise("scale", p)) / 2.0);
        let wall = 500.0 * scale * (1.0 + share * noise(s, p).abs());
        (noise(&format!("{s}-gap"), p) < 0.9).then_some((wall, wall * (1.0 + noise("cpu", p).abs())))
    };
    let mut run = experiment(&format!("random-{seed}"), axes, &strategies, &cost);
    parts::judge_by_metrics(&mut run);
    parts::add_startup(&mut run);
    let cell = below(run.cells.len().max(1));
    parts::add_latency(
        &mut run,
        &[cell, cell / 2],
        10_f64.powi(below(9) as i32),
        (below(2) == 0).then_some(777.7),
    );
    parts::add_timelines(&mut run, cell, &strategies, below(90) as u64 + 1);
    if below(2) == 0 {
        parts::judge_by_latency(&mut run);
    }
    if below(2) == 0 {
        parts::add_memory_lines(&mut run);
    }
    run
}

fn names_axis(count: usize) -> Axis {
    names("kernel", &["sha256", "a-kernel-with-quite-a-long-name", "resize"][..count])
}
