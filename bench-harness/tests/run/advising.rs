//! `crossover advise` as somebody meets it who has a work to do and no experiment.
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Ended, Lab, assert_all_end, finish, helpers_of, wait_until};

/// Asks in a folder for temporary files of its own, which must be empty afterwards.
fn advise(lab: &Lab, arguments: &[&str]) -> Ended {
    let mut command = lab.command(&[&["advise"], arguments].concat());
    let ended = finish(command.env("TMPDIR", temporary(lab)).spawn().unwrap());
    assert_eq!(
        std::fs::read_dir(lab.path("tmp")).unwrap().count(),
        0,
        "something was left behind: {ended:#?}"
    );
    ended
}

fn temporary(lab: &Lab) -> std::path::PathBuf {
    let path = lab.path("tmp");
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_work_is_measured_and_a_strategy_recommended() {
    let lab = Lab::new();
    let started = Instant::now();
    let ended = advise(&lab, &["--wait", "40ms", "--compute", "1ms", "--items", "60"]);
    // 15 s are promised on a quiet machine, of a program that was built with optimisation; a hang is far beyond this.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    ended.assert_measured();
    let told = &ended.stdout;
    assert!(told.starts_with("60 items, each waits 40.0 ms and computes 1.00 ms; "), "{ended:#?}");
    if ended.code == Some(4) {
        assert!(told.contains("No advice: "), "{ended:#?}");
        return;
    }
    let sentence = told.lines().find(|line| line.starts_with("Use ")).unwrap_or_else(|| panic!("{ended:#?}"));
    // One after another takes 2.46 s, waiting together some 60 ms: no load of the machine makes it the advice.
    assert!(!sentence.contains("sequential"), "{ended:#?}");
    assert!(
        told.contains("Not measured, because they cannot come near: one item after another"),
        "{ended:#?}"
    );
    assert!(told.lines().filter(|line| line.trim_start().starts_with('→')).count() == 1, "{ended:#?}");
    assert!(told.contains("CPU per item") && told.contains("MiB"), "{ended:#?}");
    // Some 60 ms, of which there are a hundred in the time: it must be said that they were shortened, or nothing.
    assert_eq!(told.contains("Extrapolated: "), told.contains("about "), "{ended:#?}");
}

#[test]
fn what_is_not_measured_as_it_is_is_called_extrapolated() {
    let lab = Lab::new();
    let ended = advise(&lab, &["--wait", "2s", "--compute", "10ms", "--items", "500", "--workers", "8,64"]);
    ended.assert_measured();
    if ended.code == Some(0) {
        let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("Extrapolated: ") && told.contains("of waiting and"), "{ended:#?}");
        assert!(told.contains("about"), "{ended:#?}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_refused_with_the_reason() {
    let lab = Lab::new();
    for (arguments, word) in [
        (&["--wait", "200", "--compute", "5ms", "--items", "100"][..], "has no unit"),
        (&["--wait", "200ms", "--compute", "-5ms", "--items", "100"], "cannot be negative"),
        (&["--wait", "2d", "--compute", "5ms", "--items", "100"], "not a length of time"),
        (&["--wait", "0", "--compute", "0", "--items", "100"], "both 0"),
        (&["--wait", "1ms", "--compute", "1ms", "--items", "1"], "--items 1"),
        (&["--wait", "1ms", "--compute", "1ms", "--items", "0"], "1..=100000"),
        (&["--wait", "1ms", "--compute", "1ms", "--items", "many"], "--items"),
        (&["--wait", "1ms", "--compute", "1ms"], "--items <N>"),
        (&["--wait", "1ms", "--compute", "1ms", "--items", "9", "--workers", "2,2"], "twice"),
        (&["--wait", "1ms", "--compute", "1ms", "--items", "9", "--workers", "0"], "1..=512"),
    ] {
        let ended = advise(&lab, arguments);
        ended.assert_refused(word);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn interrupted_it_leaves_nothing_behind() {
    let lab = Lab::new();
    let arguments = ["advise", "--wait", "5ms", "--compute", "100us", "--items", "50"];
    let mut child = lab.command(&arguments).env("TMPDIR", temporary(&lab)).spawn().unwrap();
    // The run has begun when its folder holds the journal.
    wait_until("the first samples", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        let folders = std::fs::read_dir(lab.path("tmp")).unwrap();
        folders.flatten().any(|entry| entry.path().join("advise-run/samples.jsonl").exists())
    });
    let helpers = helpers_of(&child, 1);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ended = finish(child);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""), "{ended:#?}");
    assert!(ended.stderr.contains("nothing is kept"), "{ended:#?}");
    assert_all_end(&helpers);
    assert_eq!(std::fs::read_dir(lab.path("tmp")).unwrap().count(), 0);
}
