//! Runs that are killed, interrupted or run out of disk, and how they go on.
use std::fs;
use std::process::Command;

use crossover_bench::probe;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Lab, assert_all_end, finish, helpers_of};

fn signal(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// The gate's process and the request within it: 2 in the pilot's, then in that of each process round 2 × 2 in the first
/// block and 2 in the second; what was disturbed is measured again after these.
const IN_THE_PILOT: [u32; 2] = [1, 1];
const IN_THE_SECOND_BLOCK: [u32; 2] = [2, 6];
const IN_THE_SECOND_PROCESS_ROUND: [u32; 2] = [3, 2];

#[test]
fn killed_in_the_middle_it_resumes_and_measures_each_planned_sample_once() {
    for hang_at in [IN_THE_SECOND_BLOCK, IN_THE_SECOND_PROCESS_ROUND] {
        let lab = Lab::new();
        let mut run = lab.start_until_gate(hang_at);
        let helpers = helpers_of(&run, 5);
        signal(&run, Signal::SIGKILL);
        run.wait().unwrap();
        assert_all_end(&helpers);
        let plan = fs::read(lab.path("out/plan.jsonl")).unwrap();
        let before = fs::read(lab.path("out/samples.jsonl")).unwrap();
        assert!(!before.is_empty());
        let rounds = lab.samples("out").iter().map(|sample| sample.process + 1).max();
        assert_eq!(rounds, Some(1), "nothing of the second process round is written yet");
        lab.open_gate();
        lab.run(&["resume", "out"]).assert_measured();
        lab.assert_complete("out");
        lab.assert_warmed_up("out");
        let after = fs::read(lab.path("out/samples.jsonl")).unwrap();
        assert!(after.starts_with(&before), "the journal is only appended to");
        assert_eq!(fs::read(lab.path("out/plan.jsonl")).unwrap(), plan);
    }
}

#[test]
fn killed_before_the_plan_it_plans_again() {
    let lab = Lab::new();
    let mut run = lab.start_until_gate(IN_THE_PILOT);
    let helpers = helpers_of(&run, 5);
    signal(&run, Signal::SIGKILL);
    run.wait().unwrap();
    assert_all_end(&helpers);
    assert!(!lab.exists("out/plan.jsonl"));
    lab.open_gate();
    // Resumed from elsewhere: the gate's command still starts from the folder of the experiment's file.
    let out = lab.path("out");
    let other = Lab::new();
    other.run(&["resume", &out.to_string_lossy()]).assert_measured();
    lab.assert_complete("out");
    assert!(lab.samples("out").iter().all(|sample| sample.ok));
}

#[test]
fn killed_while_it_starts_it_leaves_nothing_alive() {
    let lab = Lab::new();
    let strategies = r#""sequential", "event-loop", "work-stealing", "threads", "processes", "alien""#;
    let external = "[strategies.external.alien]\nrun = [\"sh\", \"alien.sh\"]";
    // What it starts outlives it, unless somebody sees to that.
    lab.write("alien.sh", "setsid sleep 100 &\nexec \"$CROSSOVER\" trial sequential");
    let text = fs::read_to_string(lab.experiment("start", strategies, external)).unwrap();
    let text = text.replace("kind = \"cpu\"", "kind = \"http\"").replace("kernel = \"sha256\"\n", "");
    lab.write("start.toml", &text.replace("input_bytes = [64, 1024]", "delay_ms = 0"));
    // The server and the trials start one after another: killed after each of them.
    for children in 1..=9 {
        let out = format!("out{children}");
        let mut run = lab.command(&["run", "start.toml", "--out", &out]).spawn().unwrap();
        let mut below = Vec::new();
        crate::support::wait_until("its children to start", || {
            assert!(run.try_wait().unwrap().is_none(), "the run ended first");
            below = probe::descendants(run.id());
            below.len() >= children
        });
        signal(&run, Signal::SIGKILL);
        // Those that had been started and not yet seen are looked for by what they were told.
        run.wait().unwrap();
        assert_all_end(&below);
        crate::support::wait_until("what it started to end", || !names_process(run.id()));
    }
}

/// Whether a process is alive that was started with `parent`'s number as its parent.
fn names_process(parent: u32) -> bool {
    let number = parent.to_string();
    let commands = fs::read_dir("/proc").unwrap().flatten();
    commands.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        let mut words = line.split(|&byte| byte == 0);
        let is_ours = words.next() == Some(b"crossover");
        is_ours && words.any(|word| word == number.as_bytes())
    })
}

#[test]
fn a_run_keeps_the_workers_that_it_was_planned_with() {
    let lab = Lab::new();
    let file = lab.gated(IN_THE_SECOND_BLOCK);
    let text = fs::read_to_string(&file).unwrap().replace("workers = 2", "workers = \"cores\"");
    let run = lab.start_until_the_gate_closes(&lab.write("gated.toml", &text));
    signal(&run, Signal::SIGINT);
    assert_eq!(finish(run).code, Some(130));
    // The machine had 7 cores then.
    let resolved = lab.path("out/config.resolved.toml");
    let planned = fs::read_to_string(&resolved).unwrap();
    let workers = planned.lines().find(|line| line.starts_with("workers = ")).unwrap();
    fs::write(&resolved, planned.replace(workers, "workers = 7")).unwrap();
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
    let asked = fs::read_to_string(lab.path("workers")).unwrap();
    assert!(asked.lines().last() == Some("7"), "{asked}");
}

#[test]
fn ctrl_c_keeps_every_finished_sample_and_says_how_to_go_on() {
    let lab = Lab::new();
    let run = lab.start_until_gate(IN_THE_SECOND_BLOCK);
    let helpers = helpers_of(&run, 5);
    signal(&run, Signal::SIGINT);
    let ended = finish(run);
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stderr.contains("crossover resume out"), "{ended:#?}");
    assert_all_end(&helpers);
    let kept = lab.samples("out").len();
    assert!(kept >= 6, "the first block and what was finished of the second: {kept}");
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
    lab.assert_warmed_up("out");
}

#[test]
fn a_block_that_ctrl_c_cut_short_is_measured_anew_as_a_whole() {
    let lab = Lab::new();
    let run = lab.start_until_gate(IN_THE_SECOND_BLOCK);
    signal(&run, Signal::SIGINT);
    assert_eq!(finish(run).code, Some(130));
    let before = lab.samples("out");
    let (first, second): (Vec<_>, Vec<_>) = before.iter().partition(|sample| sample.round == 0);
    assert_eq!((first.len(), first.iter().filter(|s| s.quarantined.is_none()).count()), (6, 6));
    // The gate's second request of the block is at least the block's second sample.
    assert!((1..6).contains(&second.len()), "{second:?}");
    assert!(second.iter().all(|s| s.quarantined.as_deref().unwrap().contains("interrupted")), "{second:?}");
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
    let after = lab.samples("out");
    assert_eq!(after[..before.len()], before, "what was kept stays");
    let again = after[before.len()..].iter().filter(|s| (s.process, s.round) == (0, 1));
    assert_eq!(again.filter(|s| s.quarantined.is_none()).count(), 6, "the block is whole");
}

#[test]
fn ctrl_c_in_the_pilot_can_be_resumed() {
    let lab = Lab::new();
    let run = lab.start_until_gate(IN_THE_PILOT);
    signal(&run, Signal::SIGINT);
    let ended = finish(run);
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stderr.contains("crossover resume out"), "{ended:#?}");
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
}

#[test]
fn a_folder_in_use_is_refused() {
    let lab = Lab::new();
    let mut run = lab.start_until_gate(IN_THE_SECOND_BLOCK);
    lab.run(&["resume", "out"]).assert_refused("in use");
    lab.run(&["run", "gated.toml", "--out", "out"]).assert_refused("in use");
    signal(&run, Signal::SIGKILL);
    run.wait().unwrap();
    lab.open_gate();
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
}

#[test]
fn a_torn_line_is_measured_again_and_a_complete_run_is_left_alone() {
    let lab = Lab::new();
    lab.experiment("tiny", r#""sequential", "threads""#, "");
    lab.run(&["run", "tiny.toml", "--out", "out"]).assert_measured();
    let journal = lab.path("out/samples.jsonl");
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 100]).unwrap();
    let ended = lab.run(&["resume", "out"]);
    ended.assert_measured();
    lab.assert_complete("out");
    let complete = fs::read(&journal).unwrap();
    let last = lab.samples("out").len();
    let again = lab.run(&["resume", "out"]);
    assert_eq!(again.code, ended.code);
    assert_eq!(fs::read(&journal).unwrap(), complete, "{last} samples were complete");
}

#[test]
fn a_broken_line_in_the_middle_is_refused_and_nothing_is_lost() {
    let lab = Lab::new();
    lab.experiment("tiny", r#""sequential", "threads""#, "");
    lab.run(&["run", "tiny.toml", "--out", "out"]).assert_measured();
    let journal = lab.path("out/samples.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let broken: Vec<&str> =
        text.lines().enumerate().map(|(at, line)| if at == 2 { &line[..50] } else { line }).collect();
    fs::write(&journal, broken.join("\n")).unwrap();
    lab.run(&["resume", "out"]).assert_refused("samples.jsonl:3");
    assert_eq!(fs::read_to_string(&journal).unwrap(), broken.join("\n"));
}

#[test]
fn a_full_disk_keeps_what_was_written_and_names_the_file() {
    let lab = Lab::new();
    lab.experiment("tiny", r#""sequential", "threads", "thread-per-task""#, "");
    // A file may grow to 6 KiB: enough for the plan (4 KiB), not for the samples (12 KiB).
    let script = r#"ulimit -f 12 && exec "$CROSSOVER" run tiny.toml --out out"#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(lab.path("")).env("CROSSOVER", env!("CARGO_BIN_EXE_crossover"));
    let ended = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("samples.jsonl") && stderr.contains("too large"), "{stderr}");
    let kept = lab.samples("out").len();
    assert!(kept >= 6, "{kept} samples were kept");
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
}

#[test]
fn a_plan_that_was_cut_short_is_refused_and_a_longer_one_is_not() {
    let lab = Lab::new();
    lab.experiment("tiny", r#""sequential", "threads""#, "");
    lab.run(&["run", "tiny.toml", "--out", "out"]).assert_measured();
    let plan = fs::read_to_string(lab.path("out/plan.jsonl")).unwrap();
    let lines: Vec<&str> = plan.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 16);
    for cut in [&lines[..15], &[]] {
        lab.write("out/plan.jsonl", &cut.concat());
        lab.run(&["resume", "out"]).assert_refused("plans 16 samples");
    }
    let mut more: serde_json::Value = serde_json::from_str(lines[15]).unwrap();
    more["round"] = 2.into();
    lab.write("out/plan.jsonl", &format!("{plan}{more}\n"));
    lab.run(&["resume", "out"]).assert_measured();
    lab.assert_complete("out");
    assert_eq!(lab.plan("out").len(), 17);
}

#[test]
fn a_suite_that_was_killed_at_its_beginning_is_continued() {
    let lab = Lab::new();
    lab.experiment("one", r#""sequential", "threads""#, "");
    lab.experiment("two", r#""sequential", "threads""#, "");
    let whole = Lab::new();
    let files = ["one.toml", "two.toml"].map(|name| lab.path(name).to_string_lossy().into_owned());
    whole.run(&["run", &files[0], &files[1], "--out", "out", "--seed", "9"]).assert_measured();
    let suite = fs::read_to_string(whole.path("out/suite.json")).unwrap();
    // Only the suite's file; an empty folder; a folder before its configuration.
    for made in [&[][..], &["out/one"], &["out/one", "out/two"]] {
        let lab = Lab::new();
        fs::create_dir(lab.path("out")).unwrap();
        lab.write("out/suite.json", &suite);
        for folder in made {
            fs::create_dir(lab.path(folder)).unwrap();
        }
        if made.len() > 1 {
            lab.write("out/two/env.json", "{}");
        }
        lab.run(&["resume", "out"]).assert_measured();
        for name in ["out/one", "out/two"] {
            lab.assert_complete(name);
            assert!(lab.samples(name).iter().all(|sample| sample.ok && sample.seed == 9));
            let config = fs::read(whole.path(name).join("config.toml")).unwrap();
            assert_eq!(fs::read(lab.path(name).join("config.toml")).unwrap(), config);
        }
    }
}
