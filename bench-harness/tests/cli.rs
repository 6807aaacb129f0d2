//! The program as a person meets it: exit codes, what goes to which stream, and that nothing is overwritten.
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

/// The program, in an empty folder of its own.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn crossover(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossover"));
        command.current_dir(self.dir.path()).env("CROSSOVER_CALIBRATION", "").args(args).assert()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("written");
    }
}

#[test]
fn usage_errors_exit_2_and_help_exits_0() {
    let place = Place::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["plan", "--frobnicate"],
        &["plan", "mixed", "--budget", "-5m"],
        &["plan", "mixed", "--budget", "soon"],
        &["plan", "mixed", "--set"],
        &["list", "everything"],
        &["init"],
    ] {
        place.crossover(args).code(2).stdout("").stderr(predicate::str::is_empty().not());
    }
    for args in [&["--help"][..], &["--version"], &["help", "plan"], &["plan", "--help"]] {
        place.crossover(args).code(0).stderr("");
    }
}

#[test]
fn a_bad_configuration_exits_2_with_file_line_key_and_suggestion() {
    let place = Place::new();
    place.write(
        "bad.toml",
        "schema = 1\n[experiment]\nname = \"x\"\n[workload]\nkind = \"cpu\"\n[measure]\nrunds = 3\n",
    );
    place
        .crossover(&["plan", "bad.toml"])
        .code(2)
        .stdout("")
        .stderr(contains("error: bad.toml:7:1: measure.runds: unknown key; did you mean `rounds`?"))
        .stderr(contains("known keys: processes, rounds"));
    place.crossover(&["plan", "bad.toml", "--set", "measure=3"]).code(2).stderr(contains("--set measure=3"));
    place
        .crossover(&["plan", "missing.toml"])
        .code(2)
        .stderr(contains("missing.toml: there is no such file"));
    place.crossover(&["plan", "./"]).code(2).stderr(contains("is a folder"));
}

#[test]
fn an_unknown_experiment_lists_the_known_ones() {
    let mut known: Vec<&str> = crossover_workloads::experiments::ALL.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    Place::new()
        .crossover(&["plan", "io-bond"])
        .code(2)
        .stderr(contains("did you mean `io-bound`").and(contains(known.join(", "))));
}

#[test]
fn a_file_in_the_folder_of_experiments_goes_before_the_one_that_is_built_in() {
    let place = Place::new();
    std::fs::create_dir_all(place.dir.path().join("workloads/experiments")).expect("made");
    let text = crossover_workloads::experiments::find("mixed").expect("built in");
    let text = text.replace("question = \"", "question = \"Mine: ");
    place.write("workloads/experiments/mixed.toml", &text);
    place.write("workloads/experiments/own.toml", &text.replace("name = \"mixed\"", "name = \"own\""));
    place.crossover(&["plan", "mixed"]).code(0).stdout(contains("mixed: Mine: "));
    place
        .crossover(&["list", "experiments"])
        .code(0)
        .stdout(contains("own: Mine: ").and(contains("built in")));
}

#[test]
fn init_writes_what_runs_and_overwrites_nothing() {
    let place = Place::new();
    place.crossover(&["init", "mine.toml"]).code(0).stdout(contains("crossover run mine.toml"));
    let written = std::fs::read(place.dir.path().join("mine.toml")).expect("written");
    place.crossover(&["plan", "mine.toml"]).code(0).stdout(contains("8 cells × 7 strategies"));
    place.crossover(&["init", "mine.toml"]).code(2).stderr(contains("mine.toml: exists already"));
    assert_eq!(std::fs::read(place.dir.path().join("mine.toml")).expect("still there"), written);
    place.crossover(&["init", "no/such/folder.toml"]).code(2).stderr(contains("no such folder"));
}

#[test]
fn plan_takes_the_same_changes_as_run() {
    let place = Place::new();
    place.crossover(&["plan", "--quick"]).code(0).stdout(contains("io-bound: ").and(contains("cpu-bound: ")));
    place
        .crossover(&[
            "plan",
            "mixed",
            "--budget",
            "1m30s",
            "--set",
            "workload.cpu_us=5",
            "--set",
            "workload.wait_us=[0, 250, 1000]",
            "--set",
            "measure.processes=3",
            "--set",
            "measure.rounds=2",
        ])
        .code(0)
        .stdout(contains("3 cells × 5 strategies").and(contains("3 process rounds × 2 rounds")))
        .stdout(contains("budget of 1m30s"));
    place.crossover(&["plan", "mixed", "./mixed.toml"]).code(2);
    place.crossover(&["plan", "mixed", "mixed"]).code(2).stderr(contains("would share a folder"));
}

#[test]
fn list_shows_all_or_one_part() {
    let place = Place::new();
    place
        .crossover(&["list"])
        .code(0)
        .stdout(contains("experiments (").and(contains("workloads (")).and(contains("strategies (")));
    place
        .crossover(&["list", "strategies"])
        .code(0)
        .stdout(contains("thread-per-task").and(contains("cpu-bound").not()))
        .stdout(contains("  tokio-current-thread: peer: ").and(contains("  rayon: peer: ")));
    place.crossover(&["list", "workloads"]).code(0).stdout(contains("delay_ms"));
}

#[test]
fn doctor_explains_and_exits_0() {
    Place::new()
        .crossover(&["doctor"])
        .code(0)
        .stdout(contains("nothing was changed").and(contains("usable")));
}

#[test]
fn what_cannot_be_run_leaves_no_folder_behind() {
    let place = Place::new();
    place.crossover(&["run", "nope", "--out", "out"]).code(2).stderr(contains("no such experiment"));
    place
        .crossover(&["run", "mixed", "--out", "out", "--set", "measure.rounds=0"])
        .code(2)
        .stderr(contains("--set"));
    place.crossover(&["run", "mixed", "--out", "out", "--seed", "-1"]).code(2);
    place
        .crossover(&["run", "mixed", "mixed", "--out", "out"])
        .code(2)
        .stderr(contains("would share a folder"));
    for command in ["report", "resume"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        place
            .crossover(&[command, &path.to_string_lossy()])
            .code(2)
            .stderr(contains("Cargo.toml is no folder: it holds no run"));
        place.crossover(&[command, "out"]).code(2).stderr(contains("out is no folder: it holds no run"));
        place.crossover(&[command, "."]).code(2).stderr(contains(". holds no run: it has no config.toml"));
    }
    assert_eq!(std::fs::read_dir(place.dir.path()).expect("the folder").count(), 0, "nothing was made");
}
