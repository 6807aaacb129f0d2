//! Start-up included: every run is the life of a strategy, which leaves nothing behind, and whoever does not do it is not taken
//! for one that did.
use std::fs;

use crossover_bench::probe;
use serde_json::{Value, json};

use crate::support::{Lab, code_block, wait_until};
use crate::trial::Trial;

/// Asks for three tasks of some milliseconds each with two workers, start-up included.
fn ask(trial: &mut Trial, more: &[(&str, Value)]) -> Value {
    let mut request = json!({
        "schema": 1, "id": 1, "workload": "mixed", "params": {"cpu_us": 5000, "wait_us": 0}, "tasks": 3, "batch": 2,
        "seed": 7, "workers": 2, "server": null, "spin_per_us": 100.0, "warmup": false, "startup": "included",
    });
    for (key, value) in more {
        request[*key] = value.clone();
    }
    trial.ask(&request);
    trial.answer()
}

/// The trial has a single thread. One that was joined may take a moment to vanish from the system's list.
#[track_caller]
fn assert_alone(trial: &Trial, strategy: &str) {
    let tasks = format!("/proc/{}/task", trial.pid());
    wait_until(&format!("the threads of {strategy} to end"), || fs::read_dir(&tasks).unwrap().count() == 1);
}

#[test]
fn a_life_is_told_as_one_and_leaves_neither_thread_nor_process() {
    let number =
        |answer: &Value, key: &str| answer[key].as_u64().unwrap_or_else(|| panic!("{key} in {answer}"));
    let mut checksums = Vec::new();
    let mut alone_kib = 0;
    for strategy in
        ["sequential", "event-loop", "work-stealing", "threads", "thread-per-task", "blocking-pool"]
            .into_iter()
            .chain(["tokio", "tokio-current-thread", "rayon", "processes"])
    {
        let mut trial = Trial::start(strategy);
        let warm = ask(&mut trial, &[("warmup", json!(true))]);
        assert!(warm["startup"] == "included" && warm["steady"].is_null(), "{strategy}: {warm}");
        let answer = ask(&mut trial, &[]);
        assert!(answer["ok"] == true && answer["startup"] == "included", "{strategy}: {answer}");
        assert_eq!(probe::descendants(trial.pid()), Vec::<u32>::new(), "{strategy}");
        assert_alone(&trial, strategy);
        // Three tasks of the same steps: whoever did them, and is gone, they count.
        let cpu = number(&answer, "user_ns") + number(&answer, "sys_ns");
        checksums.push((answer["checksum"].clone(), cpu));
        match strategy {
            "sequential" => alone_kib = number(&answer, "rss_peak_kib"),
            "processes" => {
                let kib = number(&answer, "rss_peak_kib");
                assert!(kib > alone_kib * 2, "two workers beside the trial: {kib} and {alone_kib} KiB");
            }
            _ => {}
        }
        // A trace, and a request of before there was such a key, are of a strategy that is up; the next one is not.
        let traced = ask(&mut trial, &[("trace", json!(true)), ("batch", json!(1))]);
        assert!(traced["trace"]["tasks"].is_array(), "{strategy}: {traced}");
        let up = ask(&mut trial, &[("startup", json!("excluded"))]);
        assert!(up["ok"] == true && up["startup"].is_null(), "{strategy}: {up}");
        assert_eq!(ask(&mut trial, &[])["checksum"], answer["checksum"], "{strategy}");
        assert_alone(&trial, strategy);
    }
    let (oracle, least) = checksums[0].clone();
    for (checksum, cpu) in checksums {
        assert_eq!(checksum, oracle);
        assert!(cpu * 2 > least, "CPU time of {cpu} ns where one thread took {least} ns");
    }
}

#[test]
fn a_run_whose_start_up_is_included_says_so_everywhere() {
    let lab = Lab::new();
    let file = lab.experiment(
        "lives",
        r#""sequential", "event-loop", "threads", "processes""#,
        "startup = \"included\"",
    );
    let planned = lab.run(&["plan", &file.to_string_lossy()]);
    assert!(planned.stdout.contains("start-up") && planned.stdout.contains("included"), "{planned:#?}");
    let ended = lab.run(&["run", &file.to_string_lossy(), "--out", "out"]);
    ended.assert_measured();
    lab.assert_complete("out");
    lab.assert_warmed_up("out");
    assert!(lab.samples("out").iter().all(|sample| sample.ok));
    assert!(lab.warmups("out").iter().all(|warmup| warmup.steady.is_none() && warmup.start_ns.is_none()));
    let read = |name: &str| fs::read_to_string(lab.path(&format!("out/{name}"))).unwrap();
    assert!(read("config.resolved.toml").contains("startup = \"included\""));
    let words =
        "every run starts its strategy, does the work and ends the strategy; no sample is of a steady state";
    let said: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert!(said.join(" ").contains("Start-up included: every run starts"), "{ended:#?}");
    for file in ["summary.md", "report.html"] {
        let text = read(file);
        assert!(text.contains(words) && !text.contains("Everything above is steady state"), "{file}");
    }
    // Nothing but the two files that a report needs.
    let bare = lab.write("bare/samples.jsonl", &read("samples.jsonl"));
    lab.write("bare/config.toml", &read("config.toml"));
    lab.run(&["report", &bare.parent().unwrap().to_string_lossy()]).assert_measured();
    assert!(fs::read_to_string(lab.path("bare/summary.md")).unwrap().contains(words));
}

#[test]
fn one_that_does_not_know_of_it_fails_only_its_own_samples() {
    let lab = Lab::new();
    lab.write("py_threads.py", &code_block("TRIAL.md", "python", "import hashlib"));
    let more = "startup = \"included\"\n[strategies.external.old]\nrun = [\"python3\", \"py_threads.py\"]";
    let file = lab.experiment("old", r#""sequential", "threads", "old""#, more);
    let ended = lab.run(&["run", &file.to_string_lossy(), "--out", "out"]);
    ended.assert_measured();
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        let reason = sample.error.unwrap_or_default();
        assert_eq!(sample.ok, sample.strategy != "old");
        assert_eq!(reason.contains("without `startup`"), sample.strategy == "old", "{reason}");
    }
}

#[test]
fn requests_open_their_connections_within_a_life_and_close_them() {
    let lab = Lab::new();
    let text = fs::read_to_string(lab.experiment(
        "http",
        r#""sequential", "event-loop", "tokio", "smol", "threads""#,
        "",
    ))
    .unwrap();
    let text = text
        .replace("kind = \"cpu\"", "kind = \"http\"\ndelay_ms = 0")
        .replace("kernel = \"sha256\"\n", "")
        .replace("input_bytes = [64, 1024]\n", "")
        .replace("max_foreign_cores", "startup = \"included\"\nmax_foreign_cores");
    lab.write("http.toml", &text);
    lab.run(&["run", "http.toml", "--out", "out"]).assert_measured();
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        assert!(sample.ok && sample.latency.is_some(), "{sample:?}");
    }
}
