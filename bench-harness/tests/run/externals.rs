//! Strategies that are programs of their own: good ones, and all the ways to be bad.
use std::fs;

use crossover_bench::probe;

use crate::support::{Ended, Lab, assert_all_end, code_block};

/// Runs an experiment whose strategy `alien` is the shell script `script`, with little patience.
fn with_script(lab: &Lab, script: &str) -> Ended {
    lab.write("alien.sh", script);
    let external = "[strategies.external.alien]\nrun = [\"sh\", \"alien.sh\"]";
    let file = lab.experiment("alien", r#""sequential", "alien", "threads""#, external);
    let arguments = ["run", &file.to_string_lossy(), "--out", "out"];
    let child = lab.command(&arguments).env("CROSSOVER_TEST_PATIENCE_MS", "1500").spawn().unwrap();
    crate::support::finish(child)
}

/// The alien's samples all failed for a reason with `word` in it, which was said; everybody else's are good.
#[track_caller]
fn assert_only_the_alien_failed(lab: &Lab, ended: &Ended, word: &str) {
    ended.assert_measured();
    assert!(ended.stderr.contains("alien") && ended.stderr.contains(word), "{ended:#?}");
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        let reason = sample.error.as_deref().unwrap_or_default();
        if sample.strategy == "alien" {
            assert!(!sample.ok && reason.contains(word), "{sample:?}");
        } else {
            assert!(sample.ok && reason.is_empty(), "{sample:?}");
        }
    }
}

/// The Python program of TRIAL.md.
fn example() -> String {
    code_block("TRIAL.md", "python", "import hashlib")
}

#[test]
fn the_example_of_the_protocols_page_takes_part() {
    let lab = Lab::new();
    lab.write("py_threads.py", &example());
    let external = "[strategies.external.py-threads]\nrun = [\"python3\", \"py_threads.py\"]";
    lab.experiment("cpu", r#""sequential", "py-threads""#, external);
    let mixed = lab.experiment("mixed", r#""sequential", "py-threads""#, external);
    let text = fs::read_to_string(&mixed).unwrap();
    let text =
        text.replace("kind = \"cpu\"", "kind = \"mixed\"").replace("kernel = \"sha256\"", "wait_us = 100");
    lab.write("mixed.toml", &text.replace("input_bytes = [64, 1024]", "cpu_us = [0, 0.7, 2]"));
    lab.run(&["run", "cpu.toml", "mixed.toml", "--out", "out"]).assert_measured();
    for name in ["out/cpu", "out/mixed"] {
        lab.assert_complete(name);
        for sample in lab.samples(name) {
            assert!(sample.ok, "{sample:?}");
            assert!(sample.rss_peak_kib > 1000, "what it does not tell is filled in: {sample:?}");
        }
    }
}

#[test]
fn the_request_on_the_protocols_page_gets_the_checksum_that_stands_there() {
    let lab = Lab::new();
    lab.write("py_threads.py", &example());
    let by_hand = code_block("TRIAL.md", "sh", "echo");
    let ours = by_hand.replace("python3 py_threads.py", "\"$CROSSOVER\" trial threads");
    for line in [by_hand, ours] {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &line])
            .current_dir(lab.path(""))
            .env("CROSSOVER", env!("CARGO_BIN_EXE_crossover"));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("aec78615ae4f729a"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_wrong_checksum_is_said_loudly_and_ends_with_3() {
    let lab = Lab::new();
    let script = r#"
while read -r line; do
    id=${line#*\"id\":}
    echo "{\"id\":${id%%,*},\"ok\":true,\"wall_ns\":12345,\"checksum\":\"00000000000000ff\"}"
done"#;
    let ended = with_script(&lab, script);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.stderr.contains("WRONG RESULT: alien"), "{ended:#?}");
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        let reason = sample.error.as_deref().unwrap_or_default();
        assert_eq!(sample.ok, sample.strategy != "alien");
        assert!(
            sample.ok || reason.contains("00000000000000ff differs from the sequential oracle's"),
            "{reason}"
        );
        assert!(sample.ok || (sample.wall_ns, sample.checksum.as_str()) == (12345, "00000000000000ff"));
    }
    assert_eq!(lab.run(&["resume", "out"]).code, Some(3));
    assert_eq!(lab.run(&["report", "out"]).code, Some(3));
}

#[test]
fn an_error_is_told() {
    let lab = Lab::new();
    let script = r#"
while read -r line; do
    id=${line#*\"id\":}
    echo "{\"id\":${id%%,*},\"ok\":false,\"error\":\"out of luck\"}"
done"#;
    let ended = with_script(&lab, script);
    assert_only_the_alien_failed(&lab, &ended, "out of luck");
}

#[test]
fn one_that_prints_garbage_is_out() {
    let lab = Lab::new();
    let ended = with_script(&lab, "read -r line; echo 'Hello, world'; cat");
    assert_only_the_alien_failed(&lab, &ended, "Hello, world");
}

#[test]
fn one_that_exits_is_out_and_its_last_words_are_kept() {
    let lab = Lab::new();
    let ended = with_script(&lab, "read -r line; echo 'no licence found' >&2; exit 7");
    assert_only_the_alien_failed(&lab, &ended, "code 7");
    assert!(ended.stderr.contains("no licence found"), "{ended:#?}");
}

#[test]
fn one_that_ends_at_once_is_out() {
    let lab = Lab::new();
    let ended = with_script(&lab, "exit 0");
    assert_only_the_alien_failed(&lab, &ended, "code 0");
}

#[test]
fn one_that_kills_itself_is_out_with_the_signals_number() {
    let lab = Lab::new();
    let ended = with_script(&lab, "read -r line; kill -KILL $$");
    assert_only_the_alien_failed(&lab, &ended, "code 137");
}

#[test]
fn one_that_dies_under_its_children_is_out_at_once() {
    let lab = Lab::new();
    // The guard is killed, the program with it; its child, out of everyone's reach, holds on to stdout.
    let script = "sleep 10000 & echo $! > pid\nread -r line\nkill -KILL $PPID\nsleep 10000";
    let ended = with_script(&lab, script);
    let pid: i32 = fs::read_to_string(lab.path("pid")).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_only_the_alien_failed(&lab, &ended, "killed by SIGKILL");
}

#[test]
fn one_that_hangs_is_killed_with_everything_that_it_started() {
    let lab = Lab::new();
    let script = r#"
sleep 10000 & echo $! >> pids
setsid sleep 10000 & echo $! >> pids
trap '' TERM HUP INT
echo $$ >> pids
read -r line
sleep 10000"#;
    let ended = with_script(&lab, script);
    assert_only_the_alien_failed(&lab, &ended, "no answer within");
    let pids = fs::read_to_string(lab.path("pids")).unwrap();
    let pids: Vec<u32> = pids.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3, "it was started once and then out");
    assert_all_end(&pids);
}

#[test]
fn one_that_leaves_children_behind_takes_them_along() {
    let lab = Lab::new();
    let script = "sleep 10000 & echo $! > pid\nexec \"$CROSSOVER\" trial sequential";
    let ended = with_script(&lab, script);
    ended.assert_measured();
    assert!(lab.samples("out").iter().all(|sample| sample.ok));
    let pid: u32 = fs::read_to_string(lab.path("pid")).unwrap().trim().parse().unwrap();
    assert!(!probe::exists(pid), "the run is over, and so is everything that it started");
}

#[test]
fn floods_are_bounded() {
    for (script, word) in [
        (
            "read -r line; while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; done",
            "without an end",
        ),
        ("read -r line; while :; do echo 'flood of lines'; done", "flood of lines"),
        ("read -r line; while :; do echo 'flood of errors' >&2; done", "flood of errors"),
    ] {
        let lab = Lab::new();
        let ended = with_script(&lab, script);
        assert_only_the_alien_failed(&lab, &ended, word);
        assert!(ended.stderr.len() < 20_000, "what is said is bounded: {}", ended.stderr.len());
    }
}

#[test]
fn a_chatty_one_takes_part() {
    let lab = Lab::new();
    let script = r#"
i=0; while [ $i -lt 3000 ]; do echo 'a line that nobody reads, over and over again' >&2; i=$((i+1)); done
exec "$CROSSOVER" trial sequential"#;
    let ended = with_script(&lab, script);
    ended.assert_measured();
    assert!(lab.samples("out").iter().all(|sample| sample.ok));
}
