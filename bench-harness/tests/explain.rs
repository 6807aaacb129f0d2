//! `crossover explain` and `crossover export` on real runs, and what the trials behind them tell of every strategy.
use std::io::{BufRead, BufReader, Write};
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use crossover_bench::protocol::{Answer, Trace};
use crossover_bench::strategy::choices;
use predicates::prelude::*;
use predicates::str::contains;

const PROGRAM: &str = env!("CARGO_BIN_EXE_crossover");

const EXPERIMENT: &str = r#"schema = 1
[experiment]
name = "small"
question = "Does it explain?"
[workload]
kind = "mixed"
tasks = 4
cpu_us = [5, 50]
wait_us = [0, 300]
[strategies]
include = ["sequential", "threads", "event-loop"]
workers = 2
[measure]
processes = 1
rounds = 2
max_foreign_cores = 1000.0
"#;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A folder with the experiment in it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("small.toml"), EXPERIMENT).unwrap();
        Self { dir }
    }

    fn crossover(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        Command::new(PROGRAM)
            .current_dir(self.dir.path())
            .env("CROSSOVER_CALIBRATION", "")
            .args(args)
            .assert()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}

/// Asks a trial of `strategy` to trace 6 tasks that wait and then compute, after a warm-up.
fn traced(strategy: &str) -> (u64, Trace) {
    let mut trial = Process::new(PROGRAM)
        .args(["trial", strategy])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (trial.stdin.take().unwrap(), BufReader::new(trial.stdout.take().unwrap()));
    let mut ask = |how: &str| -> Answer {
        let head = r#"{"schema":1,"id":1,"workload":"mixed","params":{"cpu_us":20,"wait_us":200},"tasks":6"#;
        writeln!(stdin, r#"{head},"batch":1,"seed":7,"workers":2,"server":null,"spin_per_us":400.0,{how}}}"#)
            .unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let warm = ask(r#""warmup":true"#);
    let answer = ask(r#""warmup":false,"trace":true"#);
    drop(stdin);
    trial.wait().unwrap();
    assert!(answer.ok, "{answer:?}");
    assert_eq!(answer.checksum, warm.checksum, "{strategy}");
    (answer.wall_ns.unwrap(), answer.trace.unwrap())
}

#[test]
fn every_strategy_tells_what_its_tasks_do() {
    for info in choices() {
        let (wall_ns, trace) = traced(info.name);
        let shown = format!("{} in {wall_ns} ns: {trace:?}", info.name);
        assert_eq!(trace.tasks.iter().map(|task| task[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5], "{shown}");
        assert!(
            trace.tasks.iter().all(|&[_, handed, started, ended]| {
                handed <= started && started < ended && ended <= wall_ns
            }),
            "{shown}"
        );
        for &[task, worker, from, to] in &trace.segments {
            let [_, _, started, ended] = trace.tasks[usize::try_from(task).unwrap()];
            assert!(started <= from && from <= to && to <= ended, "{shown}");
            assert!(worker < trace.workers.len() as u64, "{shown}");
        }
        let told = trace.breakdown.as_ref().unwrap();
        let lives: u64 = trace.tasks.iter().map(|[_, handed, _, ended]| ended - handed).sum();
        assert_eq!(told.queue_ns + told.work_ns + told.wait_ns, lives, "{shown}");
        assert!(told.working_ns + told.waiting_ns + told.queued_ns + told.join_ns <= wall_ns, "{shown}");
        // A wait is part of the task's time; it occupies a worker that it blocks, and none where it is awaited.
        let is_async =
            ["event-loop", "work-stealing", "blocking-pool", "tokio", "tokio-current-thread", "smol"]
                .contains(&info.name);
        assert!(told.work_ns + told.wait_ns >= 6 * 200_000, "{shown}");
        assert!(
            if is_async { told.wait_ns > 0 && trace.segments.len() > 6 } else { told.wait_ns == 0 },
            "{shown}"
        );
        assert!(!trace.truncated, "{shown}");
        let kinds: &[&str] = match info.name {
            "sequential" | "event-loop" | "tokio-current-thread" => &["main"],
            "work-stealing" | "threads" | "tokio" | "smol" | "rayon" => &["worker 0", "worker 1"],
            "thread-per-task" => &["thread "],
            "blocking-pool" => &["worker 0", "worker 1", "blocking "],
            _ => &["process 1", "process 2"],
        };
        assert!(trace.workers.iter().all(|name| kinds.iter().any(|kind| name.starts_with(kind))), "{shown}");
    }
}

#[test]
fn a_cell_is_explained_by_part_of_its_name() {
    let place = Place::new();
    place
        .crossover(&[
            "explain",
            "small.toml",
            "wait_us=300,cpu_us=50",
            "--strategy",
            "threads",
            "--trace",
            "t.json",
        ])
        .code(0)
        .stdout(contains("small, cell cpu_us=50,wait_us=300, 4 tasks"))
        // All four tasks may have run on one worker, whichever was first.
        .stdout(
            contains("parallel")
                .and(contains("threads: "))
                .and(contains("  worker 0 ").or(contains("  worker 1 "))),
        )
        .stdout(contains("sequential").not());
    let trace: serde_json::Value = serde_json::from_str(&place.text("t.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!((named("task 3"), named("task 3 queued")), (1, 2));
    // Without a cell there is one in the middle, and the way to the others.
    place
        .crossover(&["explain", "./small.toml"])
        .code(0)
        .stdout(contains("4 cells; another one: crossover explain"));
}

#[test]
fn what_cannot_be_explained_exits_2_and_says_what_to_do() {
    let place = Place::new();
    std::fs::write(place.dir.path().join("there.json"), "mine").unwrap();
    for (args, words) in [
        (&["small.tml"][..], &["there is no such experiment"][..]),
        (&["small.toml", "cpu_us=51"], &["no cell has cpu_us=51", "did you mean `cpu_us=50`"]),
        (&["small.toml", "cpu_us=50"], &["fits 2 cells", "cpu_us=50,wait_us=300"]),
        (&["small.toml", "cpus=50"], &["did you mean `cpu_us`"]),
        (&["small.toml", "--strategy", "thraeds"], &["did you mean `threads`"]),
        (&["small.toml", "--trace", "there.json"], &["there.json exists, and nothing is overwritten"]),
        (&["./"], &["holds no run"]),
    ] {
        let refused = place.crossover(&[&["explain"], args].concat()).code(2).stdout("");
        for word in words {
            assert!(
                contains(*word).eval(&String::from_utf8_lossy(&refused.get_output().stderr)),
                "{args:?}: {refused}"
            );
        }
    }
    assert_eq!(place.text("there.json"), "mine");
    place.crossover(&["export", "nowhere", "csv"]).code(2).stderr(contains("nowhere is no folder"));
    place.crossover(&["export", ".", "csv"]).code(2).stderr(contains("config.toml"));
    place.crossover(&["export", ".", "xlsx"]).code(2).stderr(contains("csv, md, trace"));
}

#[test]
fn a_run_is_exported_and_its_cells_are_explained() {
    let place = Place::new();
    let run = place.crossover(&["run", "small.toml", "--seed", "7", "--out", "out"]);
    assert!(matches!(run.get_output().status.code(), Some(0 | 4)), "{run}");
    let csv =
        String::from_utf8(place.crossover(&["export", "out", "csv"]).code(0).get_output().stdout.clone())
            .unwrap();
    let samples = place.text("out/samples.jsonl").lines().count();
    assert_eq!(csv.matches("\r\n").count(), samples + 1);
    assert!(
        csv.starts_with("experiment,run,cell,cpu_us,wait_us,strategy,process,round,order,seed,"),
        "{csv}"
    );
    place
        .crossover(&["export", "out", "md"])
        .code(0)
        .stdout(contains("# small").and(contains("| verdict |")));
    place.crossover(&["export", "out", "trace", "--out", "run.json"]).code(0).stdout("");
    let again = place.crossover(&["export", "out", "trace"]).get_output().stdout.clone();
    assert_eq!(place.text("run.json").into_bytes(), again);
    let json: serde_json::Value = serde_json::from_slice(&again).unwrap();
    assert!(json["traceEvents"].as_array().unwrap().iter().any(|event| event["ph"] == "C"));
    place.crossover(&["export", "out", "csv", "--out", "run.json"]).code(2).stderr(contains("exists"));
    place
        .crossover(&["explain", "out", "cpu_us=50,wait_us=0"])
        .code(0)
        .stdout(contains("cell cpu_us=50,wait_us=0"));
}
