//! Tasks that crash on purpose: every strategy notices each crash, loses nothing else by it, and prints nothing.
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crossover_bench::protocol::Answer;
use crossover_bench::strategy::choices;
use serde_json::{Value, json};

use crate::support::Lab;

/// Tasks of which each `every`-th crashes.
fn crashes(every: u32, more: &Value) -> Value {
    let mut request = json!({
        "schema": 1, "id": 1, "workload": "crash", "params": {"every": every, "cpu_us": 5}, "tasks": 30,
        "batch": 1, "seed": 7, "workers": 2, "server": null, "spin_per_us": 50.0, "warmup": false,
    });
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// What one trial of `strategy` answers to all of these.
fn answers(strategy: &str, requests: &[Value]) -> Vec<Answer> {
    let mut trial = Command::new(env!("CARGO_BIN_EXE_crossover"))
        .args(["trial", strategy])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    for request in requests {
        writeln!(lines, "{request}").unwrap();
    }
    // A few hundred bytes each: the pipe holds them all. Its end ends the trial.
    trial.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ended = trial.wait_with_output().unwrap();
    assert!(ended.status.success(), "{strategy}: {ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{strategy}");
    let text = String::from_utf8(ended.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_strategy_comes_to_the_oracles_checksum_whoever_crashes() {
    let ways = [
        json!({"warmup": true}),
        json!({"batch": 3}),
        json!({"trace": true}),
        json!({"rate": 5000.0}),
        json!({"startup": "included"}),
    ];
    let requests: Vec<Value> =
        [0, 1, 4].iter().flat_map(|every| ways.iter().map(|way| crashes(*every, way))).collect();
    let checksums = |strategy: &str| -> Vec<String> {
        let answers = answers(strategy, &requests);
        assert_eq!(answers.len(), requests.len(), "{strategy}");
        let checksum = |answer: &Answer| answer.checksum.clone().unwrap_or_else(|| panic!("{answer:?}"));
        answers.iter().map(checksum).collect()
    };
    let oracle = checksums("sequential");
    assert!(oracle.chunks(ways.len()).all(|same| same.iter().all(|it| *it == same[0])), "{oracle:?}");
    let (none, all, some) = (&oracle[0], &oracle[ways.len()], &oracle[2 * ways.len()]);
    assert!(none != all && all != some && some != none, "{oracle:?}");
    for info in choices() {
        assert_eq!(checksums(info.name), oracle, "{}", info.name);
    }
}

#[test]
fn a_task_that_crashed_has_a_latency_too() {
    for info in choices() {
        let answers = answers(info.name, &[crashes(3, &json!({"rate": 5000.0}))]);
        // The last of the 30 tasks, which is due after 29 gaps, is a victim.
        assert!(answers[0].wall_ns >= Some(5_800_000), "{}: {:?}", info.name, answers[0]);
    }
}

#[test]
fn the_processor_time_of_workers_that_died_counts() {
    let computes = json!({"params": {"every": 1, "cpu_us": 20_000}, "tasks": 8});
    let answers = answers("processes", &[crashes(1, &computes)]);
    let used = answers[0].user_ns.unwrap() + answers[0].sys_ns.unwrap();
    // Half of eight chains of a million steps, of which no core does more than two in a nanosecond.
    assert!(used >= 2_000_000, "{:?}", answers[0]);
}

#[test]
fn a_whole_run_with_crashes_is_clean() {
    let lab = Lab::new();
    let file = lab.write(
        "crash.toml",
        r#"schema = 1
[experiment]
name = "crash"
[workload]
kind = "crash"
tasks = 8
cpu_us = 1
every = [0, 2]
[strategies]
include = ["sequential", "event-loop", "threads", "blocking-pool", "processes", "tokio"]
workers = 2
[measure]
processes = 2
rounds = 2
max_foreign_cores = 1000.0
"#,
    );
    let ended = lab.run(&["run", &file.to_string_lossy(), "--out", "out"]);
    ended.assert_measured();
    lab.assert_complete("out");
    assert!(lab.samples("out").iter().all(|sample| sample.ok), "{ended:#?}");
}
