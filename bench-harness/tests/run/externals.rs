//! Strategies that are programs of their own: good ones, and all the ways to be bad.
use std::fs;
use std::process::Child;

use crossover_bench::probe;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::support::{Ended, Lab, assert_all_end, code_block, wait_until};

/// Runs an experiment whose strategy `alien` is the shell script `script`, with little patience.
fn with_script(lab: &Lab, script: &str) -> Ended {
    crate::support::finish(start_with_script(lab, script, "1500"))
}

/// The same, with so many milliseconds of patience, and without waiting for its end.
fn start_with_script(lab: &Lab, script: &str, patience: &str) -> Child {
    lab.write("alien.sh", script);
    let external = "[strategies.external.alien]\nrun = [\"sh\", \"alien.sh\"]";
    let file = lab.experiment("alien", r#""sequential", "alien", "threads""#, external);
    let arguments = ["run", &file.to_string_lossy(), "--out", "out"];
    lab.command(&arguments).env("CROSSOVER_TEST_PATIENCE_MS", patience).spawn().unwrap()
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
    let open = text
        .replace("name = \"mixed\"", "name = \"open\"")
        .replace("input_bytes = [64, 1024]", "cpu_us = [0, 2]")
        .replace(external, &format!("load = {{ mode = \"open\", rate = 1000 }}\n{external}"));
    lab.write("open.toml", &open);
    lab.run(&["run", "cpu.toml", "mixed.toml", "open.toml", "--out", "out"]).assert_measured();
    for name in ["out/cpu", "out/mixed", "out/open"] {
        lab.assert_complete(name);
        for sample in lab.samples(name) {
            assert!(sample.ok, "{sample:?}");
            assert!(sample.rss_peak_kib > 1000, "what it does not tell is filled in: {sample:?}");
            assert_eq!(sample.latency.is_some(), name == "out/open", "{sample:?}");
            assert_eq!(sample.rate.is_some(), name == "out/open", "{sample:?}");
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
    echo "{\"id\":${id%%,*},\"ok\":true,\"wall_ns\":123,\"checksum\":\"00000000000000ff\"}"
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
        assert!(sample.ok || (sample.wall_ns, sample.checksum.as_str()) == (123, "00000000000000ff"));
    }
    assert_eq!(lab.run(&["resume", "out"]).code, Some(3));
    assert_eq!(lab.run(&["report", "out"]).code, Some(3));
}

#[test]
fn a_wrong_checksum_in_one_cell_costs_that_cell() {
    let lab = Lab::new();
    // A trial of ours whose checksum is replaced where the input is small.
    let script = r#"
mkfifo asked told
"$CROSSOVER" trial sequential < asked > told &
exec 3> asked 4< told
while read -r line; do
    echo "$line" >&3
    read -r answer <&4
    case $line in *'"input_bytes":64,'*) answer=${answer%\"checksum*}\"checksum\":\"00000000000000ff\"} ;; esac
    echo "$answer"
done"#;
    let ended = with_script(&lab, script);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    for sample in lab.samples("out") {
        let is_wrong = sample.strategy == "alien" && sample.cell == "input_bytes=64";
        assert_eq!(sample.ok, !is_wrong, "{sample:?}");
    }
    let verdicts = lab.json("out/verdicts.json");
    let judged: Vec<_> =
        verdicts.as_array().unwrap().iter().filter(|v| v["best"] != serde_json::json!([])).collect();
    assert!(judged.iter().any(|v| v["cell"] == "input_bytes=1024"), "{verdicts:#}");
    assert!(judged.iter().all(|v| v["cell"] != "input_bytes=64"), "{verdicts:#}");
}

#[test]
fn one_that_ends_on_the_way_keeps_what_it_has_measured() {
    let lab = Lab::new();
    // The pilot asks it twice, the first block four times (each cell is warmed up); in the second it ends.
    let script = r#"
mkfifo asked told
"$CROSSOVER" trial sequential < asked > told &
exec 3> asked 4< told
while read -r line; do
    printf x >> requests
    [ "$(wc -c < requests)" -gt 7 ] && exit 9
    echo "$line" >&3
    read -r answer <&4
    echo "$answer"
done"#;
    let ended = with_script(&lab, script);
    ended.assert_measured();
    lab.assert_complete("out");
    let samples = lab.samples("out");
    assert!(samples.iter().all(|sample| sample.ok || sample.strategy == "alien"), "{samples:#?}");
    let (good, lost): (Vec<_>, Vec<_>) =
        samples.iter().filter(|sample| sample.strategy == "alien").partition(|sample| sample.ok);
    assert!(!good.is_empty() && !lost.is_empty(), "{} kept, {} lost", good.len(), lost.len());
    for sample in &lost {
        assert!(sample.error.as_deref().unwrap_or_default().contains("code 9"), "{sample:?}");
        assert!(good.iter().all(|kept| kept.order < sample.order), "out is out");
    }
}

#[test]
fn one_that_answers_twice_is_out() {
    let lab = Lab::new();
    let script = r#""$CROSSOVER" trial sequential | while read -r line; do echo "$line"; echo "$line"; done"#;
    let ended = with_script(&lab, script);
    ended.assert_measured();
    assert!(ended.stderr.contains("alien") && ended.stderr.contains("when asked 2"), "{ended:#?}");
    assert!(lab.samples("out").iter().all(|sample| sample.ok == (sample.strategy != "alien")));
}

#[test]
fn one_whose_interpreter_is_missing_is_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    let program = lab.write("alien", "#!/nowhere/at/all\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let external = "[strategies.external.alien]\nrun = [\"./alien\"]";
    lab.experiment("alien", r#""sequential", "alien", "threads""#, external);
    let ended = lab.run(&["run", "alien.toml", "--out", "out"]);
    assert_only_the_alien_failed(&lab, &ended, "cannot run ./alien");
}

#[test]
fn one_that_is_missing_is_said_before_anything_is_measured() {
    let lab = Lab::new();
    let external = "[strategies.external.alien]\nrun = [\"./alien\"]";
    lab.experiment("alien", r#""sequential", "alien", "threads""#, external);
    lab.run(&["run", "alien.toml", "--out", "out"]).assert_refused("strategies.external.alien.run");
    assert!(!lab.exists("out"));
}

/// An experiment with a program that need not be there.
fn with_optional(lab: &Lab, name: &str) {
    let external = "[strategies.external.alien]\nrun = [\"./alien\"]\noptional = true";
    lab.experiment(name, r#""sequential", "alien", "threads""#, external);
}

#[test]
fn an_optional_one_that_is_missing_is_skipped_and_everybody_says_so() {
    let lab = Lab::new();
    with_optional(&lab, "first");
    with_optional(&lab, "second");
    let planned = lab.run(&["plan", "first.toml"]);
    assert_eq!(planned.code, Some(0), "{planned:#?}");
    let ended = lab.run(&["run", "first.toml", "second.toml", "--out", "out"]);
    ended.assert_measured();
    for (run, name) in [("out/first", "first"), ("out/second", "second")] {
        assert!(ended.stderr.contains(&format!("{name}: note: skipped: alien: ")), "{ended:#?}");
        lab.assert_complete(run);
        assert!(lab.plan(run).iter().all(|planned| planned.strategy != "alien"));
        let reason = lab.json(&format!("{run}/env.json"))["skipped"]["alien"].as_str().unwrap().to_owned();
        assert!(reason.contains("No such file"), "{reason}");
        let read = |file: &str| fs::read_to_string(lab.path(run).join(file)).unwrap();
        assert!(read("config.toml").contains(&format!("# skipped: alien: {reason}")));
        assert!(!read("config.toml").contains("\"sequential\", \"alien\""));
        assert!(read("summary.md").contains("skipped: alien"), "{}", read("summary.md"));
    }
    assert!(fs::read_to_string(lab.path("out/report.html")).unwrap().contains("Skipped"));
    // It has come meanwhile: the run stays what it was.
    let program = lab.write("alien", "#!/bin/sh\nexit 1\n");
    make_executable(&program);
    let samples = lab.samples("out/first").len();
    lab.run(&["resume", "out"]).assert_measured();
    assert_eq!(lab.samples("out/first").len(), samples);
}

fn make_executable(program: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_optional_one_that_is_gone_when_its_run_goes_on_is_said() {
    let lab = Lab::new();
    with_optional(&lab, "tiny");
    let program = lab.write("alien", "#!/bin/sh\nexec \"$CROSSOVER\" trial sequential\n");
    make_executable(&program);
    lab.run(&["run", "tiny.toml", "--out", "out"]).assert_measured();
    assert!(lab.samples("out").iter().any(|sample| sample.strategy == "alien" && sample.ok));
    assert_eq!(lab.json("out/env.json")["skipped"], serde_json::json!({}));
    fs::remove_file(&program).unwrap();
    lab.run(&["resume", "out"]).assert_refused("alien takes part in the run of out and is not here");
    // Killed before it had a plan, it goes on without.
    for file in [
        "plan.jsonl",
        "pilot.json",
        "config.resolved.toml",
        "samples.jsonl",
        "looks.jsonl",
        "timelines.jsonl",
    ] {
        fs::remove_file(lab.path("out").join(file)).unwrap();
    }
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
    assert!(lab.samples("out").iter().all(|sample| sample.strategy != "alien"));
    assert!(lab.json("out/env.json")["skipped"]["alien"].is_string());
}

#[test]
fn one_that_ignores_the_rate_fails_only_its_own_samples() {
    let lab = Lab::new();
    // As a program does that knows no open load: it leaves the key aside.
    let script = r#"
mkfifo asked told
"$CROSSOVER" trial sequential < asked > told &
exec 3> asked 4< told
while read -r line; do
    echo "$line" | sed 's/"rate":[0-9.]*,*//; s/,}/}/' >&3
    read -r answer <&4
    echo "$answer"
done"#;
    lab.write("alien.sh", script);
    let more =
        "load = { mode = \"open\", rate = 200 }\n[strategies.external.alien]\nrun = [\"sh\", \"alien.sh\"]";
    lab.experiment("alien", r#""sequential", "alien", "threads""#, more);
    let ended = lab.run(&["run", "alien.toml", "--out", "out"]);
    assert_only_the_alien_failed(&lab, &ended, "under an open load");
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
fn one_that_does_not_fit_takes_no_part_and_is_asked_once() {
    let lab = Lab::new();
    let script = r#"
while read -r line; do
    echo "$line" >> asked
    id=${line#*\"id\":}
    echo "{\"id\":${id%%,*},\"ok\":false,\"unfit\":true,\"error\":\"does not fit: no GPU\"}"
done"#;
    let ended = with_script(&lab, script);
    ended.assert_measured();
    lab.assert_complete("out");
    for sample in lab.samples("out") {
        assert_eq!((sample.ok, sample.unfit), (sample.strategy != "alien", sample.strategy == "alien"));
        assert_eq!(sample.error.as_deref(), sample.unfit.then_some("does not fit: no GPU"), "{sample:?}");
    }
    let asked = fs::read_to_string(lab.path("asked")).unwrap();
    assert_eq!(asked.lines().count(), 2, "once for each cell, in the pilot: {asked}");
    assert_eq!(
        ended.stderr.matches("alien does not fit: no GPU (input_bytes=1024; input_bytes=64)").count(),
        1,
        "{ended:#?}"
    );
    assert!(!ended.stderr.contains("FAILED") && !ended.stdout.contains("!!"), "{ended:#?}");
    assert!(ended.stdout.contains("alien does not fit: no GPU (everywhere)"), "{ended:#?}");
    // The report needs its two files for that, and no other.
    for name in ["samples.jsonl", "config.toml"] {
        let text = fs::read_to_string(lab.path(&format!("out/{name}"))).unwrap();
        lab.write(&format!("bare/{name}"), &text);
    }
    lab.run(&["report", "bare"]).assert_measured();
    for file in ["out/summary.md", "bare/summary.md", "out/report.html", "bare/report.html"] {
        let text = fs::read_to_string(lab.path(file)).unwrap();
        assert!(
            text.contains("alien does not fit: no GPU (everywhere)") && !text.contains("failed"),
            "{file}"
        );
    }
}

#[test]
fn one_that_turns_out_not_to_fit_is_asked_no_more_in_that_cell() {
    let lab = Lab::new();
    // The pilot's process takes all work; that of a process round does not.
    lab.write(
        "picky.py",
        r#"
import json, os, subprocess, sys
trial = subprocess.Popen([os.environ["CROSSOVER"], "trial", "sequential"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
with open("started", "a") as started:
    started.write("x")
late = os.path.getsize("started") > 1
for line in sys.stdin.buffer:
    request = json.loads(line)
    if late:
        with open("asked", "a") as asked:
            asked.write("%d\n" % request["params"]["input_bytes"])
    if late and request["params"]["input_bytes"] == 64:
        reply = b'{"id":%d,"ok":false,"unfit":true,"error":"too small"}\n' % request["id"]
    else:
        trial.stdin.write(line)
        trial.stdin.flush()
        reply = trial.stdout.readline()
    sys.stdout.buffer.write(reply)
    sys.stdout.buffer.flush()
"#,
    );
    let external = "[strategies.external.picky]\nrun = [\"python3\", \"picky.py\"]";
    let file = lab.experiment("picky", r#""sequential", "picky""#, external);
    lab.run(&["run", &file.to_string_lossy(), "--out", "out"]).assert_measured();
    lab.assert_complete("out");
    for sample in lab.samples("out").iter().filter(|sample| sample.strategy == "picky") {
        assert_eq!(sample.unfit, sample.cell == "input_bytes=64", "{sample:?}");
        assert_eq!(sample.ok, !sample.unfit);
    }
    let asked = fs::read_to_string(lab.path("asked")).unwrap();
    assert_eq!(asked.lines().filter(|bytes| *bytes == "64").count(), 1, "{asked}");
}

#[test]
fn every_sample_of_idle_tasks_has_a_process_of_its_own() {
    let lab = Lab::new();
    // It counts its processes, and keeps none of them from anything.
    let file = lab.gated([0, 0]);
    let text = fs::read_to_string(&file).unwrap();
    let text = text
        .replace(
            "kind = \"cpu\"\ntasks = 3\nkernel = \"sha256\"\ninput_bytes = [64, 1024]",
            "kind = \"idle\"\nwait_ms = 5\ntasks = [3, 400]",
        )
        .replace("\"threads\"", "\"event-loop\", \"processes\"");
    fs::write(&file, text).unwrap();
    lab.run(&["run", &file.to_string_lossy(), "--out", "out"]).assert_measured();
    lab.assert_complete("out");
    lab.assert_warmed_up("out");
    let samples = lab.samples("out");
    assert!(samples.iter().all(|sample| sample.ok));
    let started = fs::read(lab.path("started")).unwrap().len();
    let measured = samples.iter().filter(|sample| sample.strategy == "gate").count();
    assert!(measured >= 8 && started > measured, "{started} processes took {measured} samples");
    for warmup in lab.warmups("out") {
        assert_eq!(warmup.worker_private_kib.is_some(), warmup.strategy == "processes", "{warmup:?}");
    }
    let page = fs::read_to_string(lab.path("out/report.html")).unwrap();
    assert!(page.contains("Memory per worker process of gated"));
}

#[test]
fn a_long_error_is_one_short_line_in_the_journal() {
    let lab = Lab::new();
    let script = r#"
while read -r line; do
    id=${line#*\"id\":}
    printf '{"id":%s,"ok":false,"error":"out of\\nluck%02000d"}\n' "${id%%,*}" 0
done"#;
    let ended = with_script(&lab, script);
    assert_only_the_alien_failed(&lab, &ended, "out of | luck000");
    for sample in lab.samples("out").iter().filter(|sample| sample.strategy == "alien") {
        let reason = sample.error.as_deref().unwrap();
        assert!(reason.chars().count() <= 300 && !reason.contains('\n'), "{reason}");
    }
}

#[test]
fn a_time_that_cannot_be_is_not_believed() {
    for (told, word) in [("0", "wall_ns 0 ×"), ("3600000000000", "wall_ns 3600000000000 ×")] {
        let lab = Lab::new();
        // A trial of ours whose time is replaced.
        let script = format!(
            "\"$CROSSOVER\" trial sequential | while read -r line; do echo \"$line\" | sed 's/\"wall_ns\":[0-9]*/\"wall_ns\":{told}/'; done"
        );
        let ended = with_script(&lab, &script);
        assert_only_the_alien_failed(&lab, &ended, word);
        assert!(ended.stderr.contains("but the request took"), "{ended:#?}");
    }
}

#[test]
fn one_that_closes_its_stdout_and_lives_on_is_out_at_once() {
    let lab = Lab::new();
    lab.write("alien.sh", "read -r line\nexec >&-\nsleep 10000");
    let external = "[strategies.external.alien]\nrun = [\"sh\", \"alien.sh\"]";
    lab.experiment("alien", r#""sequential", "alien""#, external);
    // With all the patience that there is: a time-out would show as one.
    let ended = lab.run(&["run", "alien.toml", "--out", "out"]);
    assert_only_the_alien_failed(&lab, &ended, "closed its stdout");
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

/// A process group whose leader wrote its number into a file; killed in the end, however the test goes.
struct Group<'a>(&'a Lab);

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let Ok(text) = fs::read_to_string(self.0.path("group")) else { return };
        let Ok(group) = text.trim().parse() else { return };
        // ESRCH: nothing is left of it.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

#[test]
fn one_that_dies_under_its_children_is_out_at_once() {
    let lab = Lab::new();
    let _group = Group(&lab);
    // The guard is killed, the program with it; its child, out of everyone's reach, holds on to stdout. The shell
    // waits for its own death in itself: another child could be started in the moment before.
    let script = "echo $$ > group\nsleep 100 &\nread -r line\nkill -KILL $PPID\nread -r nothing";
    let ended = with_script(&lab, script);
    assert_only_the_alien_failed(&lab, &ended, "killed by SIGKILL");
}

/// Hangs, and so do its children: one in its group, one in a session of its own. Their numbers are in `pids`.
const CLINGS: &str = r#"
trap '' TERM HUP INT
sleep 100 & echo $! >> pids
setsid sleep 100 & echo $! >> pids
echo $$ >> pids
read -r line
sleep 100"#;

/// What [`CLINGS`] wrote.
fn clinging(lab: &Lab) -> Vec<u32> {
    let pids = fs::read_to_string(lab.path("pids")).unwrap_or_default();
    pids.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn one_that_hangs_is_killed_with_everything_that_it_started() {
    let lab = Lab::new();
    let ended = with_script(&lab, CLINGS);
    assert_only_the_alien_failed(&lab, &ended, "no answer within");
    let pids = clinging(&lab);
    assert_eq!(pids.len(), 3, "it was started once and then out");
    assert_all_end(&pids);
}

#[test]
fn everything_that_it_started_ends_when_the_run_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let lab = Lab::new();
        let mut run = start_with_script(&lab, CLINGS, "60000");
        let shell = || clinging(&lab).get(2).copied();
        // The last `sleep` is the third child of the shell.
        wait_until("the program to hang", || {
            assert!(run.try_wait().unwrap().is_none(), "the run ended first");
            shell().is_some_and(|shell| probe::descendants(shell).len() == 3)
        });
        let mut pids = clinging(&lab);
        pids.extend(probe::descendants(run.id()));
        nix::sys::signal::kill(Pid::from_raw(run.id().try_into().unwrap()), signal).unwrap();
        crate::support::finish(run);
        assert_all_end(&pids);
    }
}

#[test]
fn one_that_leaves_children_behind_takes_them_along() {
    let lab = Lab::new();
    let script = "sleep 100 & echo $! > pid\nexec \"$CROSSOVER\" trial sequential";
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
