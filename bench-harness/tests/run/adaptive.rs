//! Runs that look at their samples: refined crossings, undecided cells, and what a kill in the middle of it leaves.
use std::fs;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Lab, assert_all_end, finish, helpers_of};

/// A trial of ours whose times are replaced: `flat` always takes 240 µs, `steep` 60 µs and 0.75 µs per µs of computing, so
/// that they cross at 240 µs. Both waver by a thousandth, and take at least the time that they tell. `flat` stops for good
/// at the request that `hang-at` names, of those for cells that a look has added: how many the base plan makes depends on
/// blocks that are measured again.
const PACED: &str = r#"
import json, os, subprocess, sys, threading, time
name = sys.argv[1]
trial = subprocess.Popen([os.environ["CROSSOVER"], "trial", "sequential"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for number, line in enumerate(sys.stdin.buffer):
    began = time.monotonic_ns()
    request = json.loads(line)
    if name == "flat" and request["params"]["cpu_us"] not in (30, 3000):
        with open("asked", "a") as asked:
            asked.write("x")
        if os.path.exists("hang-at") and os.path.getsize("asked") == int(open("hang-at").read()):
            open("hanging", "w").close()
            threading.Event().wait()
    trial.stdin.write(line)
    trial.stdin.flush()
    answer = json.loads(trial.stdout.readline())
    told = 240_000 if name == "flat" else int(60_000 + 750 * request["params"]["cpu_us"])
    answer["wall_ns"] = told + told * (number * 37 % 11 - 5) // 5000
    ends = began + answer["wall_ns"] * request["batch"]
    time.sleep(max(0, ends - time.monotonic_ns()) / 1e9)
    print(json.dumps(answer), flush=True)
"#;

/// Writes `paced.toml`: 2 × 2 blocks of the two programs at 30 µs and 3000 µs, with refining.
fn paced(lab: &Lab, measure: &str) -> String {
    lab.write("paced.py", PACED);
    let text = format!(
        r#"schema = 1
[experiment]
name = "paced"
question = "Where do they cross?"
[workload]
kind = "mixed"
tasks = 3
cpu_us = [30, 3000]
wait_us = 0
[strategies]
include = ["flat", "steep"]
workers = 2
[strategies.external.flat]
run = ["python3", "paced.py", "flat"]
[strategies.external.steep]
run = ["python3", "paced.py", "steep"]
[measure]
processes = 2
rounds = 2
max_foreign_cores = 1000.0
{measure}
[analysis]
baseline = "flat"
refine_crossover = true
"#
    );
    lab.write("paced.toml", &text).to_string_lossy().into_owned()
}

/// The lines of `looks.jsonl`.
fn looks(lab: &Lab, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(lab.path(run).join("looks.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The base plan is a prefix, looks added whole process rounds, and `looks.jsonl` tells of each and of the end.
#[track_caller]
fn assert_grown(lab: &Lab, run: &str, base: usize) {
    lab.assert_complete(run);
    lab.assert_warmed_up(run);
    let plan = lab.plan(run);
    assert!(plan.len() > base, "the plan has grown: {} lines", plan.len());
    assert!(plan.iter().enumerate().all(|(at, p)| p.order == at as u64 && (p.look == 0) == (at < base)));
    let mut keys: Vec<_> = plan.iter().map(|p| (p.process, p.round, &p.cell, &p.strategy)).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), plan.len(), "nothing is planned twice");
    assert!(plan[base..].iter().all(|p| p.process >= 2), "looks have process rounds of their own");
    let told = looks(lab, run);
    let (last, before) = told.split_last().unwrap();
    assert!(last["stopped"].is_string(), "{told:?}");
    let most = plan.iter().map(|p| p.look).max();
    assert!(before.iter().all(|look| look["look"].is_u64() && look["stopped"].is_null()), "{told:?}");
    assert!(before.len() as u64 <= u64::from(most.unwrap()), "{told:?}");
}

/// Resuming changes nothing that a run wrote while it was measured.
#[track_caller]
fn assert_resuming_adds_nothing(lab: &Lab, run: &str, code: Option<i32>) {
    const FILES: [&str; 7] = [
        "plan.jsonl",
        "samples.jsonl",
        "warmups.jsonl",
        "looks.jsonl",
        "timelines.jsonl",
        "pilot.json",
        "env.json",
    ];
    let read = || FILES.map(|name| fs::read(lab.path(run).join(name)).unwrap());
    let before = read();
    assert_eq!(lab.run(&["resume", run]).code, code);
    assert!(read() == before, "a complete run was changed");
}

#[test]
fn a_crossing_is_refined_until_it_is_known() {
    let lab = Lab::new();
    paced(&lab, "");
    let ended = lab.run(&["run", "paced.toml", "--out", "out", "--seed", "3"]);
    ended.assert_measured();
    assert!(ended.stderr.contains("look 1: ") && ended.stderr.contains("around crossings"), "{ended:#?}");
    assert!(ended.stderr.contains("no further look: "), "{ended:#?}");
    assert_grown(&lab, "out", 2 * 2 * 2 * 2);
    let plan = lab.plan("out");
    let new: Vec<f64> =
        plan.iter().filter(|p| p.look > 0).map(|p| p.params["cpu_us"].as_f64().unwrap()).collect();
    assert!(new.iter().all(|x| (30.0..3000.0).contains(x)), "{new:?}");
    let crossings = lab.json("out/crossovers.json");
    let ends = crossings[0]["ci"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
    let ends: Vec<f64> = ends.collect();
    assert!(ends[0] < 240.0 && 240.0 < ends[1] && ends[1] / ends[0] < 1.25, "{crossings}");
    assert_resuming_adds_nothing(&lab, "out", ended.code);
    let plan = lab.run(&["plan", "paced.toml"]);
    assert!(plan.stdout.contains("crossings are refined"), "{plan:#?}");
}

/// Starts a run that stops for good at request `number` of `flat` for cells that a look has added.
fn start_until(lab: &Lab, measure: &str, number: u32) -> Child {
    let file = paced(lab, measure);
    lab.write("hang-at", &number.to_string());
    lab.start_until_the_gate_closes(file.as_ref())
}

#[test]
fn killed_while_it_refines_it_resumes_with_the_same_cells() {
    // The pilot of the first new cell; its first sample, after the pilot and a warm-up; its second block.
    for (measure, number) in [("", 1), ("", 3), ("budget = \"20s\"", 3), ("", 4)] {
        let lab = Lab::new();
        let mut run = start_until(&lab, measure, number);
        let helpers = helpers_of(&run, 2);
        kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        run.wait().unwrap();
        assert_all_end(&helpers);
        let read = |name: &str| fs::read(lab.path("out").join(name)).unwrap();
        let (plan, samples) = (read("plan.jsonl"), read("samples.jsonl"));
        let planned = lab.plan("out").len();
        assert_eq!(planned > 16, number > 1, "the plan grows after the new cells' pilot: {planned} lines");
        lab.open_gate();
        let ended = lab.run(&["resume", "out"]);
        ended.assert_measured();
        assert_grown(&lab, "out", 16);
        assert!(read("plan.jsonl").starts_with(&plan), "the plan only grows");
        assert!(read("samples.jsonl").starts_with(&samples), "the journal is only appended to");
        assert_resuming_adds_nothing(&lab, "out", ended.code);
    }
}

#[test]
fn a_plan_that_lost_what_a_look_added_is_refused() {
    let lab = Lab::new();
    let mut run = start_until(&lab, "", 3);
    kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    run.wait().unwrap();
    let plan = fs::read_to_string(lab.path("out/plan.jsonl")).unwrap();
    let lines: Vec<&str> = plan.split_inclusive('\n').collect();
    lab.write("out/plan.jsonl", &lines[..lines.len() - 1].concat());
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_refused("look 1 of looks.jsonl");
}

#[test]
fn interrupted_while_it_refines_it_goes_on() {
    let lab = Lab::new();
    let run = start_until(&lab, "", 3);
    kill(Pid::from_raw(run.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ended = finish(run);
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_measured();
    assert_grown(&lab, "out", 16);
}

#[test]
fn a_budget_is_spent_where_verdicts_are_undecided() {
    let lab = Lab::new();
    // The same against itself: two rounds in two processes do not prove that they are equal.
    let more = "budget = \"9s\"\n[strategies.variants.again]\nstrategy = \"sequential\"";
    lab.experiment("twice", r#""sequential", "again""#, more);
    let started = std::time::Instant::now();
    let ended = lab.run(&["run", "twice.toml", "--out", "out"]);
    let took = started.elapsed();
    ended.assert_measured();
    assert!(ended.stderr.contains("look 1: ") && ended.stderr.contains("undecided"), "{ended:#?}");
    assert!(took.as_secs() < 30, "about the budget: {took:?}");
    assert_grown(&lab, "out", 2 * 2 * 2 * 2);
    let cells: Vec<String> = lab.plan("out").into_iter().map(|p| p.cell).collect();
    assert!(cells.iter().all(|cell| ["input_bytes=64", "input_bytes=1024"].contains(&cell.as_str())));
    assert_resuming_adds_nothing(&lab, "out", ended.code);
}
