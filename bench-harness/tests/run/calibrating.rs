//! `crossover calibrate` from outside, without the minutes that it takes: how it begins, and what it leaves when it is ended.
//!
//! Its rows are tested where they are made (`calibrate/*`), and as a whole by the program itself.
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::Command;

use crossover_bench::calibration_file;
use crossover_bench::probe::descendants;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Lab, assert_all_end, finish};

/// What an earlier calibration has left.
const EARLIER: &str = r#"{"schema":1,"measured":"2026-11-20T10:00:00Z","machine":{},"rows":[]}"#;

/// The command, with folders of its own for temporary files and for the calibration file.
fn calibrate(lab: &Lab, arguments: &[&str]) -> (Command, PathBuf) {
    let (temporary, state) = (lab.path("tmp"), lab.path("state"));
    let kept = state.join("crossover/calibration.json");
    fs::create_dir_all(&temporary).unwrap();
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, EARLIER).unwrap();
    let mut command = lab.command(&[&["calibrate"], arguments].concat());
    command.env_remove(calibration_file::VARIABLE).env("XDG_STATE_HOME", state).env("TMPDIR", temporary);
    (command, kept)
}

#[test]
fn interrupted_it_keeps_nothing_and_leaves_nothing() {
    let lab = Lab::new();
    let (mut command, kept) = calibrate(&lab, &["--quick"]);
    let mut child = command.spawn().unwrap();
    // It waits for the machine to be quiet by then, or measures already: it must not matter.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("run 1 of ") {
        assert!(stderr.read_line(&mut told).unwrap() > 0, "it ended before it began: {told}");
    }
    let below = descendants(child.id());
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    stderr.read_to_string(&mut told).unwrap();
    let ended = finish(child);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""), "{told}");
    assert!(told.contains("nothing was kept of this calibration"), "{told}");
    assert_all_end(&below);
    assert_eq!(fs::read_dir(lab.path("tmp")).unwrap().count(), 0, "a folder is left behind");
    assert_eq!(fs::read_to_string(kept).unwrap(), EARLIER, "the earlier calibration stands");
}

#[test]
fn what_it_cannot_do_is_refused_before_anything_is_measured() {
    let lab = Lab::new();
    lab.write("full/mine", "mine");
    for (arguments, word) in [
        (&["--experiments", "0"][..], "1..=10000"),
        (&["--experiments", "few"], "--experiments"),
        (&["--out", "full"], "not empty"),
        (&["--out", "full/mine"], "full/mine"),
        (&["--slow"], "--slow"),
    ] {
        let (mut command, kept) = calibrate(&lab, arguments);
        finish(command.spawn().unwrap()).assert_refused(word);
        assert_eq!(fs::read_to_string(kept).unwrap(), EARLIER);
    }
    assert_eq!(fs::read_to_string(lab.path("full/mine")).unwrap(), "mine");
}
