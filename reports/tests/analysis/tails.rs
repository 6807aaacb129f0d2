//! Verdicts by the tail of the latency: who wins, who may not, and what is said of it.
use base64::Engine as _;
use crossover_reports::analysis::model::{Analysis, Metric};
use crossover_reports::load::Folder;
use crossover_reports::record::{Sample, Verdict, VerdictKind};
use crossover_reports::{Options, needs, report};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::synthetic::{Contender, Synthetic, run};

const RATE: f64 = 400.0;
const TASKS: u64 = 120;
/// The arrivals of a run, in seconds.
const SPAN: f64 = TASKS as f64 / RATE;

/// The tail of a strategy in milliseconds, and the share of the arrivals' rate that it takes on.
type Tail = fn(&str, f64) -> (f64, f64);

fn encoded(latencies: impl Iterator<Item = f64>) -> String {
    let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
    latencies.for_each(|ms| histogram.record((ms * 1e6) as u64).unwrap());
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// An open load over delays of 1, 10 and 40 ms: no answer takes less than the delay, and the slowest ones the tail more. Wall times
/// are those of the arrivals and the last answer.
fn measured(strategies: &[Contender], tail: Tail, edit: impl Fn(&mut Sample)) -> Folder {
    let mut folder = Synthetic::sweep(&[1.0, 10.0, 40.0], strategies).shape(3, 6).measure(3);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for sample in &mut folder.samples {
        let delay = sample.params["n"].as_f64().unwrap();
        let (ms, pace) = tail(&sample.strategy, delay);
        let ms = ms * (1.0 + 0.01 * rng.random::<f64>());
        let wall = SPAN / pace + delay / 1e3;
        sample.tasks = TASKS;
        sample.wall_ns = (wall * 1e9) as u64;
        (sample.rate, sample.achieved_rate) = (Some(RATE), Some(TASKS as f64 / wall.max(SPAN)));
        sample.latency =
            Some(encoded((0..TASKS).map(|i| delay + if i < 4 { ms } else { 0.01 * rng.random::<f64>() })));
        edit(sample);
    }
    folder
}

const THREE: [Contender; 3] = [("sequential", |_| 9.0), ("threads", |_| 9.0), ("event-loop", |_| 9.0)];

/// Threads have the longer tail, and fall behind at 40 ms; one after another does from 10 ms on.
fn usual(name: &str, delay: f64) -> (f64, f64) {
    match name {
        "sequential" if delay > 5.0 => (200.0, 0.2),
        "threads" if delay > 20.0 => (0.5, 0.6),
        "sequential" => (4.0, 1.0),
        "threads" => (2.0, 1.0),
        _ => (1.0, 1.0),
    }
}

fn by_latency(analysis: &Analysis) -> Vec<Option<Verdict>> {
    let found = analysis.by_metric.iter().find(|m| m.metric == Metric::Latency).unwrap();
    found.cells.iter().map(|cell| cell.verdict.clone()).collect()
}

#[test]
fn the_shortest_tail_wins_though_all_take_the_same_time() {
    let analysis = run(&measured(&THREE, usual, |_| {}));
    assert_eq!(analysis.leading(), Metric::Latency);
    let first = by_latency(&analysis)[0].clone().unwrap();
    assert_eq!((first.verdict, first.winner.as_deref()), (VerdictKind::Wins, Some("event-loop")));
    assert_eq!((first.metric.as_str(), first.best), ("latency", vec!["event-loop".to_owned()]));
    let ratio = first.versus["threads"].ratio;
    assert!((ratio - 3.0 / 2.0).abs() < 0.02, "1 + 2 ms over 1 + 1 ms: {ratio}");
    let wall = analysis.cells[0].verdict.as_ref().unwrap();
    assert_eq!((wall.verdict, wall.metric.as_str()), (VerdictKind::Tie, "wall"));
    assert_eq!(
        analysis.headline,
        "At 400 tasks/s event-loop has the shortest tail in all 3 cells (p99 2 ms to 41 ms); sequential falls behind from \
         n = 10 on, threads fall behind from n = 40 on"
    );
}

#[test]
fn who_falls_behind_never_wins_however_short_its_tail() {
    let analysis = run(&measured(&THREE, usual, |_| {}));
    // At 40 ms, threads have half the tail of the event loop, and do not take on the load.
    let last = by_latency(&analysis)[2].clone().unwrap();
    assert_eq!((last.verdict, last.winner.as_deref()), (VerdictKind::Wins, Some("event-loop")));
    assert!(last.versus.is_empty() && last.best == ["event-loop"], "{last:?}");
    assert_eq!(analysis.cells[2].behind, [0, 1]);
    // Its figure stands in the report all the same.
    let tail = analysis.figure(Metric::Latency, 2, 1).unwrap();
    assert!((tail.median / 40.5e6 - 1.0).abs() < 0.01, "{tail:?}");
    // Answers that take 40 ms make the run longer than the arrivals, and nobody fall behind.
    let open = |s: usize| analysis.latency.iter().find(|l| (l.cell, l.strategy) == (2, s)).unwrap();
    let event_loop = open(2).open.as_ref().unwrap();
    assert!(!event_loop.behind && (event_loop.achieved.unwrap() / RATE - 1.0).abs() < 0.001);
}

#[test]
fn where_everybody_falls_behind_there_is_no_verdict() {
    let analysis = run(&measured(&THREE, |_, _| (1.0, 0.5), |_| {}));
    assert!(by_latency(&analysis).iter().all(Option::is_none));
    assert_eq!(analysis.verdict(Metric::Latency, 0), Err("every strategy falls behind the load"));
    assert_eq!(analysis.headline, "At 400 tasks/s every strategy falls behind");
}

#[test]
fn nothing_is_won_where_the_pace_is_not_proven() {
    // Half of the samples of threads are far behind, half are not; of the event loop, in one cell.
    let analysis = run(&measured(
        &THREE,
        |name, delay| (if name == "event-loop" { 1.0 } else { 2.0 }, if delay > 20.0 { 1.0 } else { 0.999 }),
        |s| {
            let wavers = if s.params["n"].as_f64() == Some(40.0) { "event-loop" } else { "threads" };
            if s.strategy == wavers && (s.round + s.process) % 2 == 0 {
                s.achieved_rate = Some(0.5 * RATE);
            }
        },
    ));
    for (cell, verdict) in by_latency(&analysis).into_iter().enumerate() {
        let verdict = verdict.unwrap();
        assert_ne!(verdict.verdict, VerdictKind::Wins, "cell {cell}");
    }
    let why = analysis.by_metric[0].cells[0].no_verdict.clone().unwrap();
    assert!(why.starts_with("not proven that threads "), "{why}");
}

#[test]
fn equal_tails_tie_and_one_process_proves_nothing() {
    let same = run(&measured(&THREE, |_, _| (1.0, 1.0), |_| {}));
    assert!(by_latency(&same).iter().flatten().all(|v| v.verdict == VerdictKind::Tie));
    assert!(same.headline.ends_with("every strategy keeps up"), "{}", same.headline);
    let one = run(&measured(&THREE, usual, |s| (s.process, s.round) = (0, s.round + 6 * s.process)));
    assert!(by_latency(&one).iter().flatten().all(|v| v.verdict == VerdictKind::Undecided));
}

#[test]
fn a_look_asks_for_the_tails_that_are_open() {
    let options = Options { bootstrap: 400, seed: 1 };
    let open = |tail: Tail, edit: fn(&mut Sample)| {
        let folder = measured(&THREE, tail, edit);
        needs(&folder.samples, &folder.settings, &options).undecided
    };
    assert!(open(usual, |_| {}).is_empty(), "all tails are decided");
    // Wall times are those of the arrivals and tie everywhere; the tails at 10 ms are all over the place.
    let wild: fn(&mut Sample) = |s| {
        if s.params["n"].as_f64() == Some(10.0) {
            let odd = f64::from((s.round * 7 + s.process * 5 + s.strategy.len() as u32) % 4);
            s.latency = Some(encoded((0..TASKS).map(|i| 10.0 + if i < 4 { odd } else { 0.0 })));
        }
    };
    assert_eq!(open(|_, _| (1.0, 1.0), wild), ["n=10"]);
    // Who falls behind is not compared: nothing can be decided by it.
    assert!(open(|name, _| (1.0, if name == "event-loop" { 1.0 } else { 0.5 }), wild).is_empty());
}

#[test]
fn a_closed_load_has_no_verdicts_by_latency_and_wall_time_leads() {
    let closed = run(&measured(&THREE, usual, |s| (s.rate, s.achieved_rate) = (None, None)));
    assert_eq!((closed.leading(), closed.rate), (Metric::Wall, None));
    assert!(closed.by_metric.iter().all(|m| m.metric != Metric::Latency) && !closed.latency.is_empty());
    assert!(closed.cells.iter().all(|cell| cell.behind.is_empty()));
}

#[test]
fn metrics_json_has_the_tails_and_verdicts_json_wall_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let folder = measured(&THREE, usual, |_| {});
    let lines: Vec<String> = folder.samples.iter().map(|s| serde_json::to_string(s).unwrap()).collect();
    std::fs::write(dir.path().join("samples.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(dir.path().join("config.toml"), "schema = 1\n[experiment]\nname = \"open\"\n").unwrap();
    let options = Options { bootstrap: 200, seed: 1 };
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let files = ["verdicts.json", "metrics.json", "summary.md", "report.html", "plots/winners-latency.svg"];
    report(dir.path(), &options).unwrap();
    let first = files.map(read);
    report(dir.path(), &options).unwrap();
    assert!(first == files.map(read), "the same folder gives the same bytes");
    let rows = |text: &str| serde_json::from_str::<Vec<Verdict>>(text).unwrap();
    assert!(rows(&first[0]).iter().all(|v| v.metric == "wall"));
    assert_eq!(rows(&first[1]).iter().filter(|v| v.metric == "latency").count(), 3);
    assert!(
        first[2].contains("| its tail (p99) |") && first[2].contains("sequential and threads fell behind")
    );
    assert!(first[2].contains("](plots/winners-latency.png)"), "the picture that leads stands on top");
}
