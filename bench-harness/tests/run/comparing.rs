//! `crossover compare` on real runs: of one program twice, and of one that became slower.
//!
//! What differs between the runs is told by the trials, not measured: no load of the machine can change a verdict here. Only
//! a hypervisor that takes the CPU away can, and then the verdicts must be refused.
use crossover_bench::calibration_file;
use crossover_bench::environment::Machine;
use serde_json::{Value, json};

use crate::support::{Ended, Lab};

/// A trial of ours whose times are replaced: 200 µs as `base`, and 150 µs times what stands in the file `factor` as `mine`.
/// Both waver by a thousandth.
const PACED: &str = r#"
import json, os, subprocess, sys
name = sys.argv[1]
trial = subprocess.Popen([os.environ["CROSSOVER"], "trial", "sequential"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for number, line in enumerate(sys.stdin.buffer):
    trial.stdin.write(line)
    trial.stdin.flush()
    answer = json.loads(trial.stdout.readline())
    told = 200_000 if name == "base" else int(150_000 * float(open("factor").read()))
    answer["wall_ns"] = told + told * (number * 37 % 11 - 5) // 5000
    print(json.dumps(answer), flush=True)
"#;

/// A folder with `paced.toml`: two cells, three process rounds of four rounds, and the time that is told.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("paced.py", PACED);
    lab.write(
        "paced.toml",
        r#"schema = 1
[experiment]
name = "paced"
question = "Did it become slower?"
[workload]
kind = "mixed"
tasks = 2
cpu_us = [200, 400]
wait_us = 0
[strategies]
include = ["base", "mine"]
workers = 2
[strategies.external.base]
run = ["python3", "paced.py", "base"]
[strategies.external.mine]
run = ["python3", "paced.py", "mine"]
[measure]
processes = 3
rounds = 4
max_foreign_cores = 1000.0
[analysis]
baseline = "base"
"#,
    );
    lab
}

/// Runs `paced.toml` into `out`, where `mine` takes `factor` times as long; whether verdicts may be given.
fn measure(lab: &Lab, out: &str, factor: &str) -> bool {
    lab.write("factor", factor);
    let ended = lab.run(&["run", "paced.toml", "--seed", "5", "--out", out]);
    ended.assert_measured();
    ended.code == Some(0)
}

/// Compares, with `--fail-on regression`, as JSON.
fn compare(lab: &Lab, a: &str, b: &str) -> (Ended, Value) {
    let ended = lab.run(&["compare", a, b, "--fail-on", "regression", "--format", "json"]);
    let told = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    (ended, told)
}

/// The verdicts on `strategy`.
fn changes<'a>(told: &'a Value, strategy: &str) -> Vec<&'a str> {
    let rows = told["experiments"][0]["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["strategy"] == strategy).map(|row| row["change"].as_str().unwrap()).collect()
}

#[test]
fn a_program_that_became_slower_fails_a_build_and_one_that_did_not_passes() {
    let lab = lab();
    let all = ["before", "again", "after"]
        .map(|out| measure(&lab, out, if out == "after" { "1.2" } else { "1.0" }));
    if all != [true; 3] {
        let refused = lab.run(&["compare", "before", "after"]);
        assert_eq!(refused.code, Some(4), "{refused:#?}");
        return;
    }
    let (ended, told) = compare(&lab, "before", "again");
    assert_eq!(ended.code, Some(0), "{told:#}");
    assert!(changes(&told, "mine").iter().all(|change| ["same", "undecided"].contains(change)), "{told:#}");
    let (ended, told) = compare(&lab, "before", "after");
    assert_eq!(ended.code, Some(1), "{told:#}");
    assert_eq!(changes(&told, "mine"), ["regression"; 2], "{told:#}");
    assert!(!changes(&told, "base").contains(&"regression"), "{told:#}");
    for row in
        told["experiments"][0]["rows"].as_array().unwrap().iter().filter(|row| row["strategy"] == "mine")
    {
        assert!((row["ratio"].as_f64().unwrap() - 1.2).abs() < 0.01 && row["against"] == "base", "{row}");
    }
    let (ended, told) = compare(&lab, "after", "before");
    assert_eq!((ended.code, changes(&told, "mine")), (Some(0), vec!["improvement"; 2]), "{told:#}");
    // Without being asked to fail, it tells the same and succeeds.
    let text = lab.run(&["compare", "before", "after"]);
    assert_eq!(text.code, Some(0), "{text:#?}");
    assert!(text.stdout.contains("paced: 2 regressions, 0 improvements"), "{text:#?}");
    assert!(text.stdout.contains("assumed") && !text.stdout.contains("inputs differ"), "{text:#?}");
}

#[test]
fn a_calibration_of_this_machine_is_recorded_and_used() {
    let lab = lab();
    let found = json!({
        "schema": 1, "measured": "2026-11-21T10:00:00Z", "version": "0.1.0", "quick": false,
        "machine": calibration_file::machine(&Machine::read()), "between_runs_sd": 0.004,
        "rows": [{"id": "aa", "name": "identical code", "detail": "", "passed": true, "count": 197, "of": 200, "wins": 0}],
    });
    let file = lab.write("calibration.json", &found.to_string());
    lab.write("factor", "1.0");
    let mut calm = true;
    for out in ["one", "two"] {
        let mut run = lab.command(&["run", "paced.toml", "--seed", "5", "--out", out]);
        let ended = crate::support::finish(run.env(calibration_file::VARIABLE, &file).spawn().unwrap());
        ended.assert_measured();
        calm &= ended.code == Some(0);
        assert_eq!(lab.json(&format!("{out}/env.json"))["calibration"], found);
        assert!(ended.stdout.contains("identical code tied in 197 of 200 trials"), "{ended:#?}");
    }
    if calm {
        let (ended, told) = compare(&lab, "one", "two");
        assert_eq!(ended.code, Some(0));
        assert_eq!(changes(&told, "mine"), ["same"; 2], "{told:#}");
        assert_eq!(told["experiments"][0]["between_runs_sd"], 0.004, "{told:#}");
    }
    // The doctor sees the same file, and an empty name means none.
    let mut doctor = lab.command(&["doctor"]);
    let told = crate::support::finish(doctor.env(calibration_file::VARIABLE, &file).spawn().unwrap());
    assert!(told.stdout.contains("calibrated: every row passed on this machine"), "{told:#?}");
    assert!(lab.run(&["doctor"]).stdout.contains("not calibrated on this machine"));
}

#[test]
fn what_cannot_be_compared_is_refused_and_never_passes() {
    let lab = Lab::new();
    lab.experiment("small", r#""sequential", "threads""#, "");
    lab.run(&["run", "small.toml", "--out", "a"]).assert_measured();
    lab.run(&["compare", "a", "nowhere"]).assert_refused("nowhere is no folder");
    lab.run(&["compare", ".", "a"]).assert_refused("holds no run");
    lab.run(&["compare", "a"]).assert_refused("<DIR_B>");
    lab.run(&["compare", "a", "a", "--fail-on", "anything"]).assert_refused("regression");
    // Another experiment's cells: nothing is proven by them, and a build that asks must not pass.
    lab.run(&["run", "small.toml", "--out", "b", "--set", "workload.input_bytes=[99, 999]"])
        .assert_measured();
    let ended = lab.run(&["compare", "a", "b", "--fail-on", "regression"]);
    assert!(matches!(ended.code, Some(2 | 4)), "{ended:#?}");
    assert!(ended.stderr.contains("nothing could be compared"), "{ended:#?}");
    // A run with itself is told as such.
    assert!(lab.run(&["compare", "a", "a"]).stdout.contains("A and B are the same run"));
}
