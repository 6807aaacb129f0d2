//! The cost of an analysis: 10⁵ samples with 10,000 replicates in less than 20 s on 2 cores.
//!
//! `cargo bench -p crossover-reports` prints how long each shape of a run takes, the best of three, and ends with 1 where one
//! takes longer than the bound. Samples are synthetic; CPU time and memory are judged too.
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crossover_reports::Options;
use crossover_reports::analysis::analyse;
use crossover_reports::load::Folder;
use crossover_reports::record::{ParamValue, Params, Sample};

use synthetic::{Contender, Synthetic};

#[path = "../tests/analysis/synthetic.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod synthetic;

const BOUND: Duration = Duration::from_secs(20);
const OPTIONS: Options = Options { bootstrap: 10_000, seed: 1 };

const SEVEN: [Contender; 7] = [
    ("sequential", |n| 8.0 * n),
    ("event-loop", |n| 1.0 + 8.1 * n),
    ("work-stealing", |n| 20.0 + 4.1 * n),
    ("threads", |n| 80.0 + 4.0 * n),
    ("thread-per-task", |n| 300.0 + 4.0 * n),
    ("blocking-pool", |n| 150.0 + 4.2 * n),
    ("processes", |n| 500.0 + 4.0 * n),
];

/// 360 cells of two parameters, 5 × 8 rounds.
fn map() -> Folder {
    let mut map = Synthetic::sweep(&[], &SEVEN);
    for i in 0..36 {
        for j in 0..10 {
            let n = ("n".to_owned(), ParamValue::Float(0.3 * 1.3f64.powi(i)));
            map.cells.push(Params::from([n, ("wait".to_owned(), ParamValue::Int(j))]));
        }
    }
    map.measure(1)
}

fn line() -> Vec<f64> {
    (0..14).map(|i| 0.3 * 2f64.powi(i)).collect()
}

/// 14 cells in depth, and ever fewer of them in later process rounds, as looks leave it.
fn ragged() -> Folder {
    let mut folder = Synthetic::sweep(&line(), &SEVEN).shape(10, 60).measure(1);
    for (process, cells) in (10..34).zip((1..=12).rev().cycle()) {
        let part = Synthetic::sweep(&line()[..cells], &SEVEN).shape(1, 60).measure(process.into());
        let first = folder.samples.len() as u64;
        let samples = part.samples.into_iter().zip(first..);
        folder.samples.extend(samples.map(|(s, order)| Sample { process, order, ..s }));
    }
    folder
}

fn main() -> ExitCode {
    let shapes: [(&str, Folder); 4] = [
        ("360 cells × 7 strategies × 5×8 rounds", map()),
        (
            "14 cells × 7 strategies × 10×102 rounds",
            Synthetic::sweep(&line(), &SEVEN).shape(10, 102).measure(1),
        ),
        (
            "1 cell × 2 strategies × 100×500 rounds",
            Synthetic::sweep(&[1.0], &SEVEN[..2]).shape(100, 500).measure(1),
        ),
        ("14 to 1 cells × 7 strategies, 34 ragged process rounds", ragged()),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, folder) in shapes {
        let once = |_| {
            let begin = Instant::now();
            let analysis = analyse(&folder, &OPTIONS);
            (begin.elapsed(), analysis.crossovers.len())
        };
        let Some((best, crossovers)) = (0..3).map(once).min() else { continue };
        println!("{name}: {} samples, {crossovers} crossovers, {best:.2?}", folder.samples.len());
        if best > BOUND {
            println!("  longer than {BOUND:?}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
