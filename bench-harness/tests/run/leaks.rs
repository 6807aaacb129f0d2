//! Tasks that leak: each sample's peak tells what its own run leaked, nothing is left of it afterwards, and worker processes that
//! are replaced take their share along.
//!
//! Bounds are wide: the memory that a process needs beside what tasks leak varies by some pages.
use std::io::Write as _;
use std::process::{Command, Stdio};

use crossover_bench::probe;
use crossover_bench::protocol::Answer;
use crossover_bench::strategy::choices;
use serde_json::{Value, json};

use crate::trial::Trial;

/// What a task leaks: a run of 256 tasks leaks 32 MiB.
const LEAK_KIB: u64 = 128;

/// 256 tasks that leak, or what `more` says.
fn leaks(more: &Value) -> Value {
    let mut request = json!({
        "schema": 1, "id": 1, "workload": "leak", "params": {"leak_bytes": LEAK_KIB << 10, "cpu_us": 1},
        "tasks": 256, "batch": 1, "seed": 7, "workers": 2, "server": null, "spin_per_us": 50.0, "warmup": false,
    });
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// What one trial answers to each request, and what it and its workers have resident after it.
fn asked(strategy: &str, requests: &[Value]) -> Vec<(Answer, u64)> {
    let mut trial = Trial::start(strategy);
    let mut told = Vec::new();
    for request in requests {
        let answer: Answer = trial.asked(request);
        assert!(answer.ok, "{strategy}: {answer:?}");
        let all = probe::descendants(trial.pid()).into_iter().chain([trial.pid()]);
        told.push((answer, all.map(probe::resident_kib).sum()));
    }
    assert!(trial.end().success());
    told
}

fn peak(told: &(Answer, u64)) -> u64 {
    told.0.rss_peak_kib.unwrap()
}

#[test]
fn each_peak_tells_its_own_run_and_nothing_is_left_of_it() {
    let whole = 256 * LEAK_KIB;
    let few = json!({"tasks": 8});
    // Threads whose stacks are touched are no leak: those of the first runs stay out of the comparison.
    let requests = [json!({"warmup": true}), few.clone(), json!({}), few.clone(), json!({"batch": 3}), few];
    for info in choices() {
        let told = asked(info.name, &requests.each_ref().map(leaks));
        let (little, much, again) = (peak(&told[1]), peak(&told[2]), peak(&told[3]));
        let (batch, last) = (peak(&told[4]), peak(&told[5]));
        assert!(much >= little + whole * 3 / 4, "{}: {little} and {much} KiB", info.name);
        // Another run's leak on top would be twice as much.
        assert!(much <= little + whole * 3 / 2, "{}: {little} and {much} KiB", info.name);
        assert!(batch <= little + whole * 3 / 2, "{}: {little} and {batch} KiB in a batch", info.name);
        assert!(again.max(last) <= little + whole / 4, "{}: {little}, then {again}, {last}", info.name);
        assert!(told[5].1 <= little + whole / 4, "{}: {} KiB are left", info.name, told[5].1);
        assert_eq!(told[2].0.checksum, told[4].0.checksum, "{}", info.name);
    }
}

#[test]
fn every_strategy_comes_to_the_oracles_checksum() {
    let ways = [
        json!({}),
        json!({"trace": true}),
        json!({"rate": 20000.0}),
        json!({"startup": "included", "batch": 2}),
    ];
    let checksums = |strategy: &str, more: Option<u32>| -> Vec<Option<String>> {
        let mut requests = ways.each_ref().map(leaks);
        for request in requests.iter_mut().filter(|_| more.is_some()) {
            request["jobs_per_worker"] = more.into();
        }
        asked(strategy, &requests).into_iter().map(|(answer, _)| answer.checksum).collect()
    };
    let oracle = checksums("sequential", None);
    assert!(oracle.iter().all(|checksum| checksum.is_some() && *checksum == oracle[0]), "{oracle:?}");
    for info in choices() {
        assert_eq!(checksums(info.name, None), oracle, "{}", info.name);
    }
    for jobs in [1, 7] {
        assert_eq!(checksums("processes", Some(jobs)), oracle, "{jobs} jobs each");
    }
}

#[test]
fn workers_that_are_replaced_bound_the_leak() {
    let whole = 256 * LEAK_KIB;
    let fresh = json!({"jobs_per_worker": 16});
    // Workers that all stay: one that comes just then would be missing from what they need beside the leak.
    let few = json!({"tasks": 4});
    let told = asked("processes", &[&fresh, &few, &fresh].map(leaks));
    let (little, much) = (peak(&told[1]), peak(&told[2]));
    println!("{little} KiB with little to leak, {much} KiB");
    // Two workers with 16 leaks each are an eighth of all.
    assert!(much <= little + whole / 3, "{little} and {much} KiB");
    // And it was seen: those that are left at the end may have leaked nothing yet.
    assert!(much >= little + whole / 32, "{little} and {much} KiB");
}

#[test]
fn replacing_after_no_job_at_all_is_refused() {
    let mut trial = Command::new(env!("CARGO_BIN_EXE_crossover"))
        .args(["trial", "processes"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(trial.stdin.take().unwrap(), "{}", leaks(&json!({"jobs_per_worker": 0}))).unwrap();
    let ended = trial.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("`jobs_per_worker`"), "{ended:?}");
}
