//! The cost of an analysis: 10⁵ samples with 10,000 replicates in less than 20 s (optimised).
use std::time::{Duration, Instant};

use crossover_reports::Options;
use crossover_reports::analysis::analyse;
use crossover_reports::record::{ParamValue, Params};

use crate::synthetic::{Contender, Synthetic};

const SEVEN: [Contender; 7] = [
    ("sequential", |n| 8.0 * n),
    ("event-loop", |n| 1.0 + 8.1 * n),
    ("work-stealing", |n| 20.0 + 4.1 * n),
    ("threads", |n| 80.0 + 4.0 * n),
    ("thread-per-task", |n| 300.0 + 4.0 * n),
    ("blocking-pool", |n| 150.0 + 4.2 * n),
    ("processes", |n| 500.0 + 4.0 * n),
];

#[test]
#[ignore = "a bound on time: meaningful only with --release on a quiet machine"]
fn a_hundred_thousand_samples() {
    let mut map = Synthetic::sweep(&[], &SEVEN);
    for i in 0..36 {
        for j in 0..10 {
            let n = ("n".to_owned(), ParamValue::Float(0.3 * 1.3f64.powi(i)));
            map.cells.push(Params::from([n, ("wait".to_owned(), ParamValue::Int(j))]));
        }
    }
    let line: Vec<f64> = (0..14).map(|i| 0.3 * 2f64.powi(i)).collect();
    let deep = Synthetic::sweep(&line, &SEVEN).shape(10, 102);
    let wide = Synthetic::sweep(&[1.0], &SEVEN[..2]).shape(100, 500);
    for (name, synthetic) in [("360 cells", map), ("14 cells", deep), ("1 cell", wide)] {
        let folder = synthetic.measure(1);
        let begin = Instant::now();
        let analysis = analyse(&folder, &Options { bootstrap: 10_000, seed: 1 });
        let took = begin.elapsed();
        println!(
            "{name}: {} samples, {} crossovers, {took:?}",
            folder.samples.len(),
            analysis.crossovers.len()
        );
        assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    }
}
