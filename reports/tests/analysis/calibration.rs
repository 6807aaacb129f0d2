//! The self-calibration on synthetic samples: how often the analysis is right when the truth is known.
//!
//! Seeds are fixed, so the numbers are exact; the bounds are METHOD's.
use crossover_reports::record::VerdictKind;

use crate::synthetic::{Synthetic, verdict};

const EXPERIMENTS: u64 = 200;

fn count(synthetic: &Synthetic, wanted: impl Fn(VerdictKind, &str) -> bool) -> u64 {
    let hit = |seed: &u64| {
        let analysis = synthetic.analyse(*seed);
        let v = verdict(&analysis);
        wanted(v.verdict, v.winner.as_deref().unwrap())
    };
    (0..EXPERIMENTS).filter(hit).count() as u64
}

#[test]
fn identical_code_ties_and_does_not_win() {
    let same = Synthetic::one_cell(&[("a", |_| 1000.0), ("b", |_| 1000.0)]);
    for quiet in [same.clone(), same.clone().shape(3, 8), same.clone().shape(3, 5).noise(0.003, 0.008)] {
        let ties = count(&quiet, |kind, _| kind == VerdictKind::Tie);
        assert!(ties * 100 >= EXPERIMENTS * 95, "{ties} ties of {EXPERIMENTS} in {quiet:?}");
    }
    for noisy in [same.clone().noise(0.02, 0.05), same.clone().shape(2, 2), same.shape(3, 3).noise(0.01, 0.1)]
    {
        let wins = count(&noisy, |kind, _| kind == VerdictKind::Wins);
        assert!(wins * 100 <= EXPERIMENTS, "{wins} wins of {EXPERIMENTS} in {noisy:?}");
    }
}

#[test]
fn ten_percent_slower_is_detected() {
    let slower = Synthetic::one_cell(&[("a", |_| 1000.0), ("slow", |_| 1100.0)]);
    for shape in [slower.clone(), slower.clone().shape(3, 5), slower.shape(2, 8)] {
        let found = count(&shape, |kind, winner| kind == VerdictKind::Wins && winner == "a");
        assert!(found * 100 >= EXPERIMENTS * 90, "{found} of {EXPERIMENTS} in {shape:?}");
    }
}

#[test]
fn the_interval_of_a_ratio_covers_the_truth() {
    for (processes, rounds, noise) in [(5, 8, 0.005), (3, 5, 0.005), (3, 3, 0.01), (2, 4, 0.005)] {
        let slower = Synthetic::one_cell(&[("a", |_| 1000.0), ("slow", |_| 1300.0)]);
        let slower = slower.shape(processes, rounds).noise(noise, 0.02);
        let covered = (0..EXPERIMENTS).filter(|&seed| {
            let analysis = slower.analyse(seed);
            let [low, high] = verdict(&analysis).versus["slow"].ci;
            low <= 1.3 && 1.3 <= high
        });
        let covered = covered.count();
        assert!(
            covered as u64 * 100 >= EXPERIMENTS * 93,
            "{covered} of {EXPERIMENTS} at {processes}×{rounds}"
        );
    }
}

#[test]
fn the_interval_of_a_crossing_covers_the_truth() {
    // Costs a + b·n; sequential and threads cross at 20, on coarse and fine grids, with little and much noise.
    let grid = |factor: f64, n: i32| -> Vec<f64> { (0..n).map(|i| 0.3 * factor.powi(i)).collect() };
    for (xs, shape, noise) in [
        (grid(3.0, 9), (5, 8), [0.005, 0.01]),
        (grid(3.0, 9), (3, 4), [0.003, 0.005]),
        (grid(1.7, 17), (3, 5), [0.01, 0.03]),
        (grid(6.0, 6), (2, 4), [0.0, 0.002]),
    ] {
        let sweep = Synthetic::sweep(&xs, &[("sequential", |n| 8.0 * n), ("threads", |n| 80.0 + 4.0 * n)])
            .shape(shape.0, shape.1)
            .noise(noise[0], noise[1]);
        let mut covered = 0;
        for seed in 0..100 {
            let analysis = sweep.analyse(seed);
            assert_eq!(analysis.crossovers.len(), 1, "{:?}", analysis.crossovers);
            let ci = analysis.crossovers[0].ci.unwrap_or([0.0, 0.0]);
            covered += u32::from(ci[0] <= 20.0 && 20.0 <= ci[1]);
        }
        assert!(covered >= 92, "{covered} of 100 with {} points, {shape:?}, {noise:?}", xs.len());
    }
}

#[test]
fn identical_code_rarely_crosses() {
    let xs: Vec<f64> = (0..9).map(|i| 3f64.powi(i)).collect();
    let same = Synthetic::sweep(&xs, &[("a", |n| n), ("b", |n| n)]).shape(4, 5).noise(0.01, 0.03);
    let crossings =
        (0..EXPERIMENTS).filter(|&seed| same.analyse(seed).crossovers.iter().any(|c| c.at.is_some()));
    let crossings = crossings.count();
    assert!(crossings <= 2, "{crossings} of {EXPERIMENTS}");
}
