//! The strategies on two workloads of one size each: tasks that only compute, and tasks that mostly wait.
//!
//! One iteration is one run of the whole work, all 16 tasks. Criterion measures one strategy after the other, so
//! these figures follow a strategy from change to change; which strategy wins where is for `crossover run` to say,
//! which asks them in turns and in fresh processes.
//!
//! Every run is checked against the sequential oracle.
use std::collections::BTreeMap;

use criterion::Criterion;
use crossover_bench::strategy::{self, Job};
use crossover_workloads::{Spec, Value, calibrate_spin};

/// Tasks in one run.
const TASKS: u32 = 16;

fn main() {
    // The worker processes of `processes` are copies of this program.
    crossover_runtime::process_pool::worker_entry();
    let mut criterion = Criterion::default().configure_from_args();
    let workers = u32::try_from(num_cpus::get()).unwrap_or(1);
    for (name, spec) in [("sha256-64KiB", computing()), ("wait-500us", waiting())] {
        bench(&mut criterion, name, &spec, workers);
    }
    criterion.final_summary();
}

/// SHA-256 of 64 KiB per task: some 50 µs to 200 µs of computing.
fn computing() -> Spec {
    let kernel = Value::Text("sha256".to_owned());
    spec("cpu", [("kernel", kernel), ("input_bytes", Value::Int(64 << 10))], None)
}

/// A wait of 500 µs, then 10 µs of computing per task.
fn waiting() -> Spec {
    spec("mixed", [("wait_us", Value::Int(500)), ("cpu_us", Value::Int(10))], Some(calibrate_spin()))
}

fn spec(kind: &str, params: [(&str, Value); 2], spin_per_us: Option<f64>) -> Spec {
    let params: BTreeMap<_, _> = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Spec { kind: kind.to_owned(), params, tasks: TASKS, seed: 1, server: None, spin_per_us }
}

fn bench(criterion: &mut Criterion, name: &str, spec: &Spec, workers: u32) {
    let job = Job::prepare(spec.clone()).expect("the work of a bench can be prepared");
    let mut group = criterion.benchmark_group(name);
    let mut oracle = None;
    for info in strategy::choices() {
        let mut strategy = strategy::start(info.name, workers).expect("a built-in strategy starts");
        group.bench_function(info.name, |bencher| {
            bencher.iter(|| {
                let digests = strategy.run(&job).expect("a built-in strategy runs");
                assert_eq!(*oracle.get_or_insert(digests), digests, "{} differs from the oracle", info.name);
            });
        });
    }
    group.finish();
}
