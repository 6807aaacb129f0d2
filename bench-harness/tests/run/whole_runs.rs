//! Runs that nothing disturbs, and folders that are refused.
use std::collections::BTreeSet;
use std::fs;

use crossover_reports::record::Timeline;

use crate::support::Lab;

#[test]
fn a_run_measures_what_it_planned_and_reports_it() {
    let lab = Lab::new();
    lab.experiment("tiny", r#""sequential", "event-loop", "work-stealing", "threads", "processes""#, "");
    let ended = lab.run(&["run", "tiny.toml", "--out", "out", "--seed", "5"]);
    ended.assert_measured();
    assert!(ended.stdout.contains("report.html"), "{ended:#?}");
    // A block lasts a quarter of a second at least, however small its cells are, and there are four of them.
    assert!(ended.stderr.contains("process round 1 of 2, about "), "{ended:#?}");
    assert!(!ended.stderr.contains("process round 1 of 2, about 0 s left"), "{ended:#?}");
    for name in ["report.html", "summary.md", "plots"] {
        assert!(lab.path("out").join(name).exists(), "{name}");
    }
    assert_eq!(lab.plan("out").len(), 2 * 5 * 2 * 2);
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        assert!(sample.ok, "{sample:?}");
        assert!(
            sample.wall_ns > 0 && sample.rss_peak_kib > 0 && sample.batch > 0 && sample.seed == 5,
            "{sample:?}"
        );
        assert!(sample.wall_ns * u64::from(sample.batch) > 5_000, "a sample is long enough: {sample:?}");
    }
    for name in ["config.toml", "config.resolved.toml", "env.json", "verdicts.json", "crossovers.json"] {
        assert!(lab.path("out").join(name).is_file(), "{name}");
    }
    let config = fs::read(lab.path("out/config.toml")).unwrap();
    assert_eq!(config, fs::read(lab.path("tiny.toml")).unwrap());
}

#[test]
fn a_run_tells_what_measuring_and_starting_cost() {
    let lab = Lab::new();
    let external =
        "[strategies.external.alien]\nrun = [\"sh\", \"-c\", \"exec $CROSSOVER trial sequential\"]";
    lab.experiment("tiny", r#""sequential", "threads", "processes", "alien""#, external);
    let file =
        lab.write("calibration.json", r#"{"schema":1,"measured":"2026-01-01","machine":{},"rows":[]}"#);
    let arguments = ["run", "tiny.toml", "--out", "out"];
    let run = lab.command(&arguments).env("CROSSOVER_CALIBRATION", &file).spawn().unwrap();
    crate::support::finish(run).assert_measured();
    let env = lab.json("out/env.json");
    assert_eq!(env["calibration"]["measured"], "2026-01-01");
    let resolution = env["harness"]["timer_resolution_ns"].as_u64().unwrap();
    assert!((1..1_000_000).contains(&resolution), "{env}");
    assert!(env["harness"]["request_ns"].as_u64().unwrap() > 1000, "{env}");
    let empty = env["harness"]["empty_task_ns"].as_object().unwrap();
    assert_eq!(empty.keys().collect::<Vec<_>>(), ["processes", "sequential", "threads"], "ours alone");
    assert!(empty.values().all(|ns| ns.as_f64().unwrap() > 0.0), "{env}");
    for sample in lab.samples("out") {
        assert!(sample.overhead_ns.unwrap() > 1000, "a request has its price: {sample:?}");
        let batch_ns = sample.wall_ns * u64::from(sample.batch);
        assert!(batch_ns > 1000 * resolution, "{sample:?}");
    }
    lab.assert_warmed_up("out");
}

#[test]
fn http_is_served_by_another_process() {
    let lab = Lab::new();
    let text = r#"schema = 1
[experiment]
name = "http"
question = "Does it run?"
[workload]
kind = "http"
tasks = [1, 4]
delay_ms = 1
[strategies]
include = ["sequential", "event-loop", "threads", "blocking-pool"]
workers = 2
[measure]
processes = 1
rounds = 2
max_foreign_cores = 1000.0
"#;
    lab.write("http.toml", text);
    lab.run(&["run", "http.toml", "--out", "out"]).assert_measured();
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        assert!(sample.ok && sample.server_cpu_ns.is_some(), "{sample:?}");
        assert!(sample.wall_ns >= 1_000_000, "no answer comes before its delay: {sample:?}");
    }
}

#[test]
fn all_strategies_return_the_oracles_checksum_even_when_it_is_not_included() {
    let lab = Lab::new();
    let text = r#"schema = 1
[experiment]
name = "mixed"
question = "Does it run?"
[workload]
kind = "mixed"
tasks = 5
cpu_us = [1, 20]
wait_us = 50
[strategies]
include = ["event-loop", "work-stealing", "threads", "thread-per-task", "blocking-pool", "processes"]
workers = 2
[measure]
processes = 1
rounds = 1
max_foreign_cores = 1000.0
[analysis]
baseline = "event-loop"
"#;
    lab.write("mixed.toml", text);
    lab.run(&["run", "mixed.toml", "--out", "out"]).assert_measured();
    lab.assert_complete("out");
    assert!(lab.samples("out").iter().all(|sample| sample.ok && sample.strategy != "sequential"));
}

#[test]
fn several_experiments_make_a_suite() {
    let lab = Lab::new();
    lab.experiment("one", r#""sequential", "threads""#, "");
    lab.experiment("two", r#""sequential", "thread-per-task""#, "");
    lab.run(&["run", "one.toml", "two.toml", "--out", "out"]).assert_measured();
    for name in ["out/one", "out/two"] {
        lab.assert_complete(name);
        assert!(lab.path(name).join("verdicts.json").is_file());
    }
    let suite: serde_json::Value =
        serde_json::from_slice(&fs::read(lab.path("out/suite.json")).unwrap()).unwrap();
    assert_eq!(suite["experiments"], serde_json::json!(["one", "two"]));
    assert!(lab.path("out/report.html").is_file());
    // The second one loses a line; resuming the whole brings it back and leaves the first alone.
    let first = fs::read(lab.path("out/one/samples.jsonl")).unwrap();
    let second = fs::read_to_string(lab.path("out/two/samples.jsonl")).unwrap();
    fs::write(lab.path("out/two/samples.jsonl"), &second[..second.len() - 40]).unwrap();
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out/two");
    assert_eq!(fs::read(lab.path("out/one/samples.jsonl")).unwrap(), first);
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let lab = Lab::new();
    lab.experiment("tiny", r#""sequential", "threads""#, "");
    fs::create_dir(lab.path("out")).unwrap();
    lab.write("out/mine", "precious");
    lab.run(&["run", "tiny.toml", "--out", "out"]).assert_refused("not empty");
    assert_eq!(fs::read_dir(lab.path("out")).unwrap().count(), 1);
    lab.run(&["resume", "out"]).assert_refused("config.toml");
    lab.run(&["resume", "nowhere"]).assert_refused("nowhere");
    lab.run(&["run", "tiny.toml", "--out", "out/mine"]).assert_refused("mine");
}

#[test]
fn a_budget_that_is_too_short_still_measures_two_by_two() {
    let lab = Lab::new();
    let file = lab.experiment("tiny", r#""sequential", "threads""#, "budget = \"1ms\"");
    let text = fs::read_to_string(&file).unwrap().replace("rounds = 2", "rounds = 7");
    lab.write("tiny.toml", &text.replace("processes = 2", "processes = 3"));
    let ended = lab.run(&["run", "tiny.toml", "--out", "out"]);
    ended.assert_measured();
    assert!(ended.stderr.contains("budget"), "{ended:#?}");
    lab.assert_complete("out");
    assert_eq!(lab.plan("out").len(), 2 * 2 * 2 * 2);
    let resolved = fs::read_to_string(lab.path("out/config.resolved.toml")).unwrap();
    assert!(resolved.contains("rounds = 2") && resolved.contains("processes = 2"), "{resolved}");
}

#[test]
fn a_run_ends_with_timelines_of_a_few_cells() {
    let lab = Lab::new();
    let external = "[strategies.external.alien]\nrun = [\"sh\", \"alien.sh\"]";
    // One that knows nothing of traces: it takes the wish out of the request.
    lab.write("alien.sh", r#"sed -u 's/,"trace":true//' | exec "$CROSSOVER" trial sequential"#);
    let file = lab.experiment("tiny", r#""sequential", "threads", "processes", "alien""#, external);
    let text = fs::read_to_string(&file).unwrap();
    lab.write("tiny.toml", &text.replace("[64, 1024]", "{ log = [64, 8192], points = 8 }"));
    lab.run(&["run", "tiny.toml", "--out", "out"]).assert_measured();
    let path = lab.path("out/timelines.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Timeline> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cells: BTreeSet<&str> = lines.iter().map(|line| line.cell.as_str()).collect();
    assert!((2..=6).contains(&cells.len()), "{cells:?}");
    for corner in ["input_bytes=64", "input_bytes=8192"] {
        assert!(cells.contains(corner), "{cells:?}");
    }
    let traced: Vec<_> = lines.iter().map(|line| (line.cell.as_str(), line.strategy.as_str())).collect();
    let expected = |cell| ["sequential", "threads", "processes"].map(|strategy| (cell, strategy));
    assert_eq!(traced.len(), cells.len() * 3, "{traced:?}");
    assert!(cells.iter().all(|cell| expected(*cell).iter().all(|one| traced.contains(one))), "{traced:?}");
    assert!(lines.iter().all(|line| line.tasks.len() == 3 && !line.truncated && line.wall_ns > 0));
    // A run that was killed before it had them gets them, and nothing else.
    let samples = fs::read(lab.path("out/samples.jsonl")).unwrap();
    fs::remove_file(&path).unwrap();
    lab.run(&["resume", "out"]).assert_measured();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), lines.len());
    assert_eq!(fs::read(lab.path("out/samples.jsonl")).unwrap(), samples);
}

#[test]
fn too_few_files_are_named_with_what_to_do() {
    let lab = Lab::new();
    let text = r#"schema = 1
[experiment]
name = "crowd"
[workload]
kind = "http"
tasks = 600
delay_ms = 1
[strategies]
include = ["sequential", "event-loop"]
[measure]
processes = 1
rounds = 1
max_foreign_cores = 1000.0
"#;
    lab.write("crowd.toml", text);
    let script = r#"ulimit -n 128 && exec "$CROSSOVER" run crowd.toml --out out"#;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).current_dir(lab.path("")).env("CROSSOVER", env!("CARGO_BIN_EXE_crossover"));
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("the hard limit is 128"), "said before: {stderr}");
    assert!(stderr.contains("a process may have 128 files open here"), "said after: {stderr}");
    assert!(stderr.contains("fewer tasks"), "{stderr}");
}
