//! Open loads: tasks that arrive at a rate of their own, from trials up to whole runs.
//!
//! Bounds of times are lower bounds, which hold on any machine: nobody is done before the work is.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use crossover_bench::probe;
use crossover_bench::protocol::Answer;
use crossover_bench::strategy::choices;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Lab, assert_all_end, wait_until};
use crate::trial::Trial;

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// Tasks that wait for `wait_us`, arriving at `rate`; `null` is the closed load.
fn waits(tasks: u32, wait_us: u32, rate: Option<f64>) -> Value {
    json!({
        "schema": 1, "id": 1, "workload": "mixed", "params": {"cpu_us": 0, "wait_us": wait_us},
        "tasks": tasks, "batch": 1, "seed": 7, "workers": 2, "server": null, "spin_per_us": 1.0,
        "warmup": false, "rate": rate,
    })
}

fn histogram(text: &str) -> Histogram<u64> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
}

fn latency(answer: &Answer) -> Histogram<u64> {
    histogram(answer.latency.as_deref().unwrap_or_else(|| panic!("{answer:?}")))
}

#[test]
fn every_strategy_serves_tasks_as_they_arrive() {
    for info in choices() {
        let mut trial = Trial::start(info.name);
        let closed = trial.asked(&waits(60, 1000, None));
        let open = trial.asked(&waits(60, 1000, Some(3000.0)));
        assert!(closed.ok && open.ok, "{}: {closed:?} {open:?}", info.name);
        assert_eq!(open.checksum, closed.checksum, "{}", info.name);
        let latency = latency(&open);
        assert_eq!(latency.len(), 60, "{}", info.name);
        assert!(latency.min() >= 999_000, "{}: a task took {} ns", info.name, latency.min());
        assert!(open.wall_ns.unwrap() >= 19_666_666, "{}: {open:?}", info.name);
        assert!(open.achieved_rate.unwrap() <= 3000.0, "{}: {open:?}", info.name);
        assert!(open.generator_lag_ns.is_some() && open.generator_cpu_ns > Some(0), "{open:?}");
        assert_eq!((&closed.latency, closed.achieved_rate, closed.generator_cpu_ns), (&None, None, None));
        let mut warm_up = waits(60, 1000, Some(3000.0));
        warm_up["warmup"] = true.into();
        let warm = trial.asked(&warm_up);
        assert!(warm.ok && warm.first_ns >= Some(19_666_666) && warm.batches >= Some(1), "{warm:?}");
        let mut traced = waits(60, 1000, Some(3000.0));
        traced["trace"] = true.into();
        let trace = trial.asked(&traced).trace.unwrap();
        assert_eq!(trace.tasks.len(), 60, "{}", info.name);
    }
}

#[test]
fn who_cannot_keep_up_ends_later_and_its_latency_says_so() {
    let answer = Trial::start("sequential").asked(&waits(50, 2000, Some(5000.0)));
    assert!(answer.ok && answer.wall_ns >= Some(100_000_000), "{answer:?}");
    assert!(answer.achieved_rate.unwrap() <= 500.0, "{answer:?}");
    // The last of them was due after 9.8 ms and done after 100.
    assert!(latency(&answer).max() >= 90_000_000, "{answer:?}");
}

#[test]
fn a_generator_that_dies_fails_the_request_and_no_other() {
    let peers = ["tokio", "tokio-current-thread", "smol", "rayon"];
    let ours = ["sequential", "event-loop", "threads", "thread-per-task", "processes"];
    for strategy in ours.into_iter().chain(peers) {
        let mut trial = Trial::start(strategy);
        assert!(trial.asked(&waits(2, 0, None)).ok, "{strategy}");
        let before = probe::descendants(trial.pid());
        trial.ask(&waits(100, 0, Some(2.0)));
        let mut generator = Vec::new();
        wait_until("the generator", || {
            generator = probe::descendants(trial.pid());
            generator.retain(|pid| !before.contains(pid));
            !generator.is_empty()
        });
        signal(generator[0], Signal::SIGKILL);
        let failed: Answer = trial.answer();
        let reason = failed.error.unwrap_or_default();
        assert!(!failed.ok && reason.contains("the load generator"), "{strategy}: {reason}");
        assert!(trial.asked(&waits(20, 0, Some(1e6))).ok, "{strategy}: the next one is as good as ever");
    }
}

#[test]
fn a_generator_ends_with_its_trial() {
    let mut trial = Trial::start("event-loop");
    trial.ask(&waits(100, 0, Some(2.0)));
    wait_until("the generator", || !probe::descendants(trial.pid()).is_empty());
    let generator = probe::descendants(trial.pid());
    signal(trial.pid(), Signal::SIGKILL);
    assert_all_end(&generator);
}

#[test]
fn an_open_run_records_latency_rate_and_generator() {
    let lab = Lab::new();
    let include = r#""sequential", "event-loop", "threads", "pool-4", "processes""#;
    let more = "load = { mode = \"open\", rate = 400 }\n[strategies.variants.pool-4]\nstrategy = \"threads\"\nworkers = 4";
    let file = lab.experiment("open", include, more);
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("kind = \"cpu\"", "kind = \"http\"").replace("kernel = \"sha256\"\n", "");
    lab.write("open.toml", &text.replace("input_bytes = [64, 1024]", "delay_ms = [0, 2]"));
    lab.run(&["run", "open.toml", "--out", "out"]).assert_measured();
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        assert!(sample.ok && sample.rate == Some(400.0) && sample.batch == 1, "{sample:?}");
        assert!(sample.achieved_rate.is_some_and(|rate| rate > 0.0 && rate <= 400.0), "{sample:?}");
        assert!(sample.generator_cpu_ns > Some(0) && sample.generator_lag_ns.is_some(), "{sample:?}");
        assert_eq!(histogram(sample.latency.as_deref().unwrap()).len(), 3, "{sample:?}");
        assert!(sample.wall_ns >= 5_000_000, "three tasks take two gaps to arrive: {sample:?}");
    }
    let env = lab.json("out/env.json");
    let workers: Vec<_> = env["strategies"].as_array().unwrap().iter().map(|s| &s["workers"]).collect();
    assert_eq!(workers, [1, 1, 2, 4, 2]);
    assert!(lab.run(&["resume", "out"]).code.is_some_and(|code| code == 0 || code == 4));
}

#[test]
fn requests_of_a_closed_run_have_a_latency_and_no_rate() {
    let lab = Lab::new();
    let file = lab.experiment("closed", r#""sequential", "work-stealing", "processes""#, "");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("kind = \"cpu\"", "kind = \"http\"").replace("kernel = \"sha256\"\n", "");
    lab.write("closed.toml", &text.replace("input_bytes = [64, 1024]", "delay_ms = [0, 2]"));
    lab.run(&["run", "closed.toml", "--out", "out"]).assert_measured();
    for sample in lab.samples("out") {
        assert!(sample.ok && sample.rate.is_none() && sample.achieved_rate.is_none(), "{sample:?}");
        let latency = histogram(sample.latency.as_deref().unwrap());
        assert_eq!(latency.len(), 3 * u64::from(sample.batch), "{sample:?}");
        let delay_ns = if sample.cell.contains("delay_ms=2") { 2_000_000 } else { 1 };
        assert!(latency.min() >= delay_ns - delay_ns / 1000, "{sample:?}");
    }
}

/// A test server that stalls; it ends with its handle.
fn stalling_server(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crossover"))
        .args(["serve", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
    (child, address.to_owned())
}

#[test]
fn an_open_load_sees_the_stalls_of_a_server() {
    let arguments = ["--stall", "100ms", "--every", "500ms", "--service", "1ms"];
    let (mut server, address) = stalling_server(&arguments);
    let request = json!({
        "schema": 1, "id": 1, "workload": "http", "params": {"delay_ms": 0}, "tasks": 200, "batch": 1,
        "seed": 7, "workers": 2, "server": address, "spin_per_us": null, "warmup": false, "rate": 200.0,
    });
    let answer = Trial::start("event-loop").asked(&request);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(answer.ok, "{answer:?}");
    let latency = latency(&answer);
    // Every 5 ms comes a request, and the first of those that a stall meets waits for 95 ms of it or more.
    assert!(latency.len() == 200 && latency.max() >= 90_000_000, "{} ns", latency.max());
    // In 100 ms come 20, which wait for half of it on average, and the stalls are two.
    let waited = latency.count_between(20_000_000, u64::MAX);
    assert!(waited >= 30, "{waited} requests met a stall");
}

#[test]
fn a_stall_needs_all_of_its_times() {
    let lab = Lab::new();
    for arguments in [
        &["--stall", "1s"][..],
        &["--stall", "1s", "--every", "2s"],
        &["--stall", "1s", "--every", "1s", "--service", "1ms"],
        &["--stall", "x", "--every", "1s", "--service", "1ms"],
    ] {
        let ended = lab.run(&[&["serve"], arguments].concat());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:#?}");
    }
}
