//! Tests of a whole configuration: what is refused and how it is said, and that what loads can be relied on.
use std::path::Path;

use proptest::prelude::*;

use super::*;

pub(super) const GOOD: &str = r#"schema = 1
[experiment]
name = "t"
[workload]
kind = "mixed"
tasks = 4
cpu_us = { log = [1, 100], points = 3 }
wait_us = [0, 500]
[strategies]
include = ["sequential", "threads"]
workers = 2
[measure]
processes = 2
rounds = 3
"#;

pub(super) fn parse(text: &str) -> Result<Experiment, ConfigError> {
    Experiment::parse(text, "t.toml", Path::new("/"))
}

pub(super) fn with_sets(text: &str, sets: &[&str]) -> Result<Experiment, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Experiment::from_text(text, "t.toml", Path::new("/"), &sets)
}

/// `GOOD` with its line number `line` (from 1) replaced.
fn edited(line: usize, replacement: &str) -> String {
    let lines = GOOD.lines().enumerate();
    lines.map(|(i, old)| if i + 1 == line { replacement } else { old }).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_good_file_loads_in_full() {
    let exp = parse(GOOD).expect("valid");
    assert_eq!(exp.workload.axes[0].param, "cpu_us", "axes stand in the order of the file");
    assert_eq!(exp.workload.constants["tasks"], Value::Int(4));
    assert_eq!(exp.analysis_opts.baseline, "sequential");
    let names: Vec<_> = exp.cells().into_iter().map(|cell| cell.name).collect();
    assert_eq!(names[..3], ["cpu_us=1,wait_us=0", "cpu_us=1,wait_us=500", "cpu_us=10,wait_us=0"]);
    assert_eq!(names.len(), 6);
    let cell = &exp.cells()[5];
    assert_eq!((cell.tasks, cell.params.len(), cell.all.len()), (4, 2, 3));
}

#[test]
fn without_an_axis_there_is_one_cell_with_a_name() {
    let text = edited(7, "cpu_us = 5").replace("[0, 500]", "0");
    let cells = parse(&text).expect("valid").cells();
    assert_eq!(cells.len(), 1);
    assert_eq!(cells[0].name, "tasks=4");
}

/// A line of `GOOD`, what stands there instead, and what the error must hold.
const BAD: &[(usize, &str, &[&str])] = &[
    // syntax
    (6, "tasks = ", &["t.toml:6:", "tasks", "not valid TOML"]),
    (6, "tasks = 4\ntasks = 5", &["t.toml:7:1: workload.tasks", "duplicate key"]),
    (6, "tasks = [[[[", &["t.toml:", "not valid TOML"]),
    (6, "tasks = 99999999999999999999", &["t.toml:6:9: workload.tasks: ", "64 bits"]),
    // unknown keys and names
    (1, "schema = 1\ntypo = 2", &["t.toml:2:1: typo", "unknown key", "known keys: schema"]),
    (6, "taks = 4", &["t.toml:6:1: workload.taks", "did you mean `tasks`", "known keys: kind, tasks"]),
    (14, "runds = 3", &["t.toml:14:1: measure.runds", "did you mean `rounds`", "14 | runds = 3"]),
    (9, "[strategy]", &["t.toml:9:", "strategy", "did you mean `strategies`"]),
    (
        5,
        "kind = \"mixt\"",
        &["t.toml:5:8: workload.kind", "\"mixt\"", "did you mean `mixed`", "http, cpu, mixed"],
    ),
    (5, "kidn = \"mixed\"", &["t.toml:5:1", "workload.kind", "is missing", "`kidn`"]),
    (
        10,
        "include = [\"sequential\", \"theads\"]",
        &["t.toml:10:26", "strategies.include", "did you mean `threads`"],
    ),
    (12, "[strategies.thread]\n[measure]", &["t.toml:12:", "strategies.thread", "did you mean `threads`"]),
    // wrong types
    (6, "tasks = \"many\"", &["t.toml:6:9: workload.tasks", "whole number", "\"many\""]),
    (6, "tasks = true", &["t.toml:6:9", "the boolean true"]),
    (6, "tasks = 1979-05-27", &["t.toml:6:9", "a date"]),
    (10, "include = \"threads\"", &["t.toml:10:11", "expected a list"]),
    (10, "include = [1]", &["t.toml:10:12", "the whole number 1"]),
    (13, "processes = 2.5", &["t.toml:13:13: measure.processes", "2.5"]),
    (2, "experiment = 3\n[x]", &["t.toml:", "x"]),
    (1, "schema = \"1\"", &["t.toml:1:10: schema", "expected 1"]),
    (1, "schema = 2", &["t.toml:1:10: schema", "newer"]),
    (1, "", &["schema", "is missing"]),
    // impossible values
    (6, "tasks = 0", &["t.toml:6:9: workload.tasks", "0 is impossible", "at least 1"]),
    (6, "tasks = -3", &["t.toml:6:9", "-3 is impossible"]),
    (6, "tasks = 2.5", &["t.toml:6:9", "whole"]),
    (6, "tasks = 1000000000", &["t.toml:6:9", "at most"]),
    (6, "tasks = 9223372036854775807", &["t.toml:6:9: workload.tasks: 9223372036854775807 is too large"]),
    (7, "cpu_us = nan", &["t.toml:7:10: workload.cpu_us", "NaN", "finite"]),
    (7, "cpu_us = [1, inf]", &["t.toml:7:14: workload.cpu_us", "inf", "finite"]),
    (7, "cpu_us = -1", &["t.toml:7:10", "-1 is impossible"]),
    (7, "cpu_us = []", &["t.toml:7:10", "empty"]),
    (7, "cpu_us = [1, 2, 1.0]", &["t.toml:7:17", "1 stands in the list twice"]),
    (
        7,
        "cpu_us = { log = [1, 100], points = 1 }",
        &["t.toml:7:37: workload.cpu_us.points", "1 is impossible", "at least 2"],
    ),
    (7, "cpu_us = { log = [1, 100], points = 2000000000 }", &["workload.cpu_us.points", "too large"]),
    (7, "cpu_us = { log = [1, 100] }", &["t.toml:7:10", "points is missing"]),
    (
        7,
        "cpu_us = { log = [100, 1], points = 3 }",
        &["t.toml:7:18: workload.cpu_us.log", "reversed", "[1, 100]"],
    ),
    (7, "cpu_us = { lin = [5, 5], points = 3 }", &["workload.cpu_us.lin", "both ends are 5"]),
    (7, "cpu_us = { log = [0, 100], points = 3 }", &["workload.cpu_us.log", "above 0"]),
    (7, "cpu_us = { log = [1, nan], points = 3 }", &["t.toml:7:22", "finite"]),
    (7, "cpu_us = { log = [1], points = 3 }", &["two ends"]),
    (7, "cpu_us = { log = [1, 2], lin = [1, 2], points = 3 }", &["both log and lin"]),
    (7, "cpu_us = { logg = [1, 2], points = 3 }", &["t.toml:7:12", "did you mean `log`"]),
    (7, "cpu_us = \"fast\"", &["t.toml:7:10", "\"fast\""]),
    (7, "cpu_us = [\"fast\"]", &["t.toml:7:11", "\"fast\""]),
    (10, "include = []", &["t.toml:10:11", "empty"]),
    (10, "include = [\"threads\", \"threads\"]", &["t.toml:10:23", "twice"]),
    (11, "workers = 0", &["t.toml:11:11: strategies.workers", "0 is impossible"]),
    (11, "workers = 1025", &["t.toml:11:11", "at most 1024"]),
    (11, "workers = \"core\"", &["t.toml:11:11", "did you mean `cores`"]),
    (12, "[strategies.threads]\nworkers = 0\n[measure]", &["t.toml:13:11: strategies.threads.workers", "0"]),
    (12, "[strategies.sequential]\nworkers = 2\n[measure]", &["t.toml:13:11", "no workers"]),
    (13, "processes = 0", &["t.toml:13:13", "0 is impossible"]),
    (14, "rounds = 0", &["t.toml:14:10", "0 is impossible"]),
    (14, "rounds = 99999999", &["t.toml:14:10", "too large"]),
    (14, "budget = \"-5m\"", &["t.toml:14:10: measure.budget", "negative"]),
    (14, "budget = \"0s\"", &["t.toml:14:10", "no time"]),
    (14, "budget = \"soon\"", &["t.toml:14:10", "\"soon\""]),
    (14, "budget = 90", &["t.toml:14:10", "no unit"]),
    (14, "max_foreign_cores = -0.1", &["t.toml:14:21", "negative"]),
    (14, "max_foreign_cores = nan", &["t.toml:14:21", "finite"]),
    (14, "load = { mode = \"open\" }", &["t.toml:14:8: measure.load.rate", "is missing", "rate = 500"]),
    (14, "load = { mode = \"open\", rate = 0 }", &["t.toml:14:32: measure.load.rate", "above 0"]),
    (14, "load = { mode = \"open\", rate = -1.5 }", &["t.toml:14:32", "-1.5 is impossible"]),
    (14, "load = { mode = \"open\", rate = nan }", &["t.toml:14:32", "finite"]),
    (14, "load = { mode = \"open\", rate = 1e7 }", &["t.toml:14:32", "at most 1000000 tasks"]),
    (14, "load = { mode = \"open\", rate = \"fast\" }", &["t.toml:14:32", "expected a number"]),
    (
        14,
        "load = { mode = \"open\", rate = 0.05 }",
        &["t.toml:14:32: measure.load.rate", "4 tasks at 0.05 per second take 80 s", "raise the rate to 1"],
    ),
    (14, "load = { mode = \"opne\", rate = 5 }", &["t.toml:14:17: measure.load.mode", "did you mean `open`"]),
    (14, "load = { mode = \"closed\", rate = 500 }", &["t.toml:14:34", "no rate"]),
    (14, "load = { mode = \"close\" }", &["did you mean `closed`"]),
    (14, "load = \"closed\"", &["t.toml:14:8: measure.load", "expected a table"]),
    (14, "[analysis]\nmargin = 0", &["t.toml:15:10: analysis.margin", "0 is impossible"]),
    (14, "[analysis]\nmargin = 1.0", &["t.toml:15:10", "1 is impossible"]),
    (14, "[analysis]\nconfidence = 0.49", &["t.toml:15:14", "between 0.5 and 0.9999"]),
    (14, "[analysis]\nconfidence = 95", &["t.toml:15:14", "95 is impossible"]),
    (14, "[analysis]\nbaseline = \"processes\"", &["t.toml:15:12: analysis.baseline", "does not take part"]),
    (14, "[analysis]\nrefine_crossover = 1", &["t.toml:15:20", "true or false"]),
    (3, "name = \" \"", &["t.toml:3:8: experiment.name", "empty"]),
    (3, "name = \"a\\nb\"", &["t.toml:3:8", "one line"]),
    (3, "question = \"?\"", &["experiment.name", "is missing"]),
    // variants
    (
        10,
        "include = [\"threads-32\"]\n[strategies.variants.threads-23]\nstrategy = \"threads\"",
        &["t.toml:10:12", "did you mean `threads-23`", "known: sequential", "strategies.variants.NAME"],
    ),
    (12, "[strategies.variant.x]\n[measure]", &["t.toml:12:", "did you mean `variants`"]),
    (
        12,
        "[strategies.variants.threads]\n[measure]",
        &["t.toml:12:", "strategies.variants.threads", "built-in"],
    ),
    (12, "[strategies.variants.\"a b\"]\n[measure]", &["t.toml:12:", "letters"]),
    (
        12,
        "[strategies.variants.x]\n[measure]",
        &["strategies.variants.x.strategy", "is missing", "known: sequential"],
    ),
    (
        12,
        "[strategies.variants.x]\nstrategy = \"theads\"\n[measure]",
        &["t.toml:13:12: strategies.variants.x.strategy", "did you mean `threads`"],
    ),
    (
        12,
        "[strategies.variants.x]\nstrategy = \"threads\"\nworker = 2\n[measure]",
        &["t.toml:14:1: strategies.variants.x.worker", "did you mean `workers`"],
    ),
    (
        12,
        "[strategies.variants.x]\nstrategy = \"threads\"\nworkers = 0\n[measure]",
        &["t.toml:14:11: strategies.variants.x.workers", "0 is impossible"],
    ),
    (
        12,
        "[strategies.variants.x]\nstrategy = \"event-loop\"\nworkers = 2\n[measure]",
        &["t.toml:14:11: strategies.variants.x.workers", "event-loop has no workers to set"],
    ),
    (
        12,
        "[strategies.variants.x]\nstrategy = \"threads\"\n[strategies.external.x]\nrun = [\"x\"]\n[measure]",
        &["t.toml:12:", "strategies.variants.x", "external strategy"],
    ),
    // externals
    (12, "[strategies.external.threads]\nrun = [\"x\"]\n[measure]", &["t.toml:12:", "built-in"]),
    (12, "[strategies.external.x]\n[measure]", &["strategies.external.x.run", "is missing"]),
    (12, "[strategies.external.x]\nrun = []\n[measure]", &["t.toml:13:7", "empty"]),
    (12, "[strategies.external.x]\nrun = \"x\"\n[measure]", &["t.toml:13:7", "list"]),
    (12, "[strategies.external.\"a b\"]\nrun = [\"x\"]\n[measure]", &["t.toml:12:", "letters"]),
];

#[test]
fn bad_input_is_refused_with_place_key_and_reason() {
    for (line, replacement, fragments) in BAD {
        let text = edited(*line, replacement);
        let error = parse(&text).expect_err(replacement).to_string();
        for fragment in *fragments {
            assert!(error.contains(fragment), "{replacement}\nlacks {fragment:?}:\n{error}");
        }
    }
}

#[test]
fn an_empty_file_and_a_flat_one_say_what_is_missing() {
    assert!(parse("").expect_err("empty").to_string().contains("schema"));
    assert!(parse("schema = 1").expect_err("flat").to_string().contains("[experiment]"));
}

#[test]
fn too_many_cells_or_samples_are_refused_before_they_are_made() {
    let wide = edited(7, "cpu_us = { lin = [1, 5000], points = 1000 }")
        .replace("wait_us = [0, 500]", "wait_us = { lin = [1, 5000], points = 1000 }")
        .replace("tasks = 4", "tasks = { lin = [1, 5000], points = 1000 }");
    let error = parse(&wide).expect_err("a billion cells").to_string();
    assert!(error.contains("t.toml:4:") && error.contains("too many cells: at most 10000"), "{error}");
    let long = GOOD.replace("processes = 2", "processes = 1000").replace("rounds = 3", "rounds = 10000");
    let error = parse(&long).expect_err("too many samples").to_string();
    assert!(error.contains("120000000 samples"), "{error}");
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    for text in [
        "[".repeat(100_000),
        format!("a = {}", "{a = ".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
    ] {
        let error = parse(&text).expect_err("too deep").to_string();
        assert!(error.starts_with("t.toml:1:"), "{error}");
    }
}

#[test]
fn set_replaces_adds_and_takes_bare_words() {
    let sets = [
        "measure.rounds=7",
        "workload.cpu_us=[1, 2]",
        "workload.wait_us = { lin = [0, 10], points = 3 }",
        "measure.budget=90s",
        "strategies.include=[\"threads\"]",
        "strategies.threads.workers=32",
        "analysis.refine_crossover=true",
        "experiment.name=other name",
    ];
    let exp = with_sets(GOOD, &sets).expect("valid");
    assert_eq!(exp.measure.rounds, 7);
    assert_eq!(exp.workload.axes[0].values, [Value::Int(1), Value::Int(2)]);
    assert_eq!(exp.workload.axes[1].values, [Value::Int(0), Value::Int(5), Value::Int(10)]);
    assert_eq!(exp.measure.budget, Some(Duration::from_secs(90)));
    assert_eq!(exp.strategies.workers_of("threads"), 32);
    assert_eq!(exp.analysis_opts.baseline, "threads");
    assert!(exp.analysis_opts.refine_crossover);
    assert_eq!((exp.name.as_str(), exp.slug().as_str()), ("other name", "other-name"));
    let inner = with_sets(GOOD, &["workload.cpu_us.points=4"]).expect("reaches into an inline table");
    assert_eq!(inner.workload.axes[0].values.len(), 4);
}

#[test]
fn what_the_command_line_changed_stands_in_the_text() {
    let mut exp = with_sets(GOOD, &["measure.rounds=7"]).expect("valid");
    exp.quick();
    exp.with_budget(Duration::from_secs(5));
    let mut again = parse(&exp.text).expect("the text loads alone");
    assert_eq!((again.measure.rounds, again.measure.processes), (3, 2));
    again.text.clone_from(&exp.text);
    assert_eq!(again, exp);
}

#[test]
fn an_error_in_a_set_names_the_set() {
    for (set, fragments) in [
        ("measure.runds=3", ["--set measure.runds=3", "did you mean `rounds`"]),
        ("measure.rounds=0", ["--set measure.rounds=0", "at least 1"]),
        ("measure.rounds=3x", ["--set measure.rounds=3x", "the text \"3x\""]),
        ("measure.rounds=[3", ["--set measure.rounds=[3", "not a TOML value"]),
        ("measure.rounds=", ["--set measure.rounds=", "not a TOML value"]),
        ("measure.rounds", ["--set measure.rounds", "key=value"]),
        ("=3", ["--set =3", "dotted key"]),
        ("measure..rounds=3", ["--set measure..rounds", "dotted key"]),
        ("schema.x=3", ["--set schema.x=3", "no table to hold it"]),
        ("a=1\nb=2", ["--set a=1\\nb=2", "one line"]),
        ("workload.tasks=99999999999999999999", ["--set workload.tasks", "64 bits"]),
    ] {
        let error = with_sets(GOOD, &[set]).expect_err(set).to_string();
        for fragment in fragments {
            assert!(error.contains(fragment), "{set}\nlacks {fragment:?}:\n{error}");
        }
    }
}

/// The experiment as its resolved form must give it back.
pub(super) fn round_trip(exp: &Experiment) {
    let text = exp.resolved_toml();
    let mut again = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    again.text.clone_from(&exp.text);
    again.source.clone_from(&exp.source);
    // Who was skipped takes no part any more.
    again.strategies.skipped.clone_from(&exp.strategies.skipped);
    assert_eq!(again, *exp, "{text}");
}

#[test]
fn built_in_experiments_load_and_their_resolved_form_too() {
    for (name, text) in crossover_workloads::experiments::ALL {
        let mut exp = Experiment::parse(text, name, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        round_trip(&exp);
        exp.quick();
        round_trip(&exp);
    }
}

#[test]
fn the_resolved_form_keeps_awkward_texts_and_externals() {
    let text = GOOD
        .replace("name = \"t\"", "name = 'a \"b\" \\ #é'\nanalysis = \"\"\"\nline\n\"quoted\" 'too' \\t end\"\"\"")
        .replace("include = [\"sequential\", \"threads\"]", "include = [\"my-go.2\", \"threads\"]")
        .replace(
            "[measure]",
            "[strategies.threads]\nworkers = 9\n[strategies.external.\"my-go.2\"]\nrun = [\"sh\", \"-c\", \"'\\\"\"]\n[measure]\nbudget = \"1m1ms\"",
        )
        .replace("{ log = [1, 100], points = 3 }", "[0.1, 1e-7, 123456.789]");
    let exp = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exp.analysis_opts.baseline, "my-go.2");
    round_trip(&exp);
}

#[test]
fn an_external_program_must_be_there_and_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a folder");
    let program = dir.path().join("trial");
    std::fs::write(&program, "#!/bin/sh\n").expect("written");
    let load = |run: &str| {
        let text = GOOD
            .replace("\"threads\"]", "\"mine\"]")
            .replace("[measure]", &format!("[strategies.external.mine]\nrun = [\"{run}\"]\n[measure]"));
        Experiment::parse(&text, "t.toml", dir.path())
    };
    let mode =
        |bits| std::fs::set_permissions(&program, std::fs::Permissions::from_mode(bits)).expect("chmod");
    mode(0o755);
    assert_eq!(load("./trial").expect("executable").strategies.external["mine"].dir, dir.path());
    mode(0o644);
    for (run, fragments) in [
        ("./trial", ["t.toml:13:8: strategies.external.mine.run", "not executable"]),
        ("./missing", ["t.toml:13:8", "No such file"]),
        ("./", ["t.toml:13:8", "not a file"]),
        ("trial", ["PATH", "\"./trial\""]),
    ] {
        let error = load(run).expect_err(run).to_string();
        for fragment in fragments {
            assert!(error.contains(fragment), "{run} lacks {fragment:?}: {error}");
        }
    }
    let unused = GOOD.replace("[measure]", "[strategies.external.mine]\nrun = [\"./missing\"]\n[measure]");
    parse(&unused).expect("a program that does not take part is not looked for");
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("latin.toml"), b"schema = 1\n# \xe4\n").expect("written");
    std::fs::write(at("large.toml"), vec![b'#'; (limits::FILE_BYTES + 1) as usize]).expect("written");
    for (path, fragment) in [
        (dir.path().to_owned(), "is a folder"),
        (at("missing.toml"), "no such file"),
        (at("latin.toml"), "latin.toml:2: is not UTF-8"),
        (at("large.toml"), "larger than 1048576 bytes"),
        ("/dev/zero".into(), "larger than"),
    ] {
        let error = Experiment::load_file(&path).expect_err(fragment).to_string();
        assert!(error.contains(fragment) && error.contains(&*path.to_string_lossy()), "{error}");
    }
}

#[test]
fn names_are_looked_up_and_suggested() {
    assert_eq!(Experiment::load("mixed", &[]).expect("built in").name, "mixed");
    let error = Experiment::load("io-bond", &[]).expect_err("a slip").to_string();
    let mut known: Vec<&str> = crossover_workloads::experiments::ALL.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert!(error.contains("did you mean `io-bound`") && error.contains(&known.join(", ")), "{error}");
    let error = Experiment::load("", &[]).expect_err("no name").to_string();
    assert!(error.contains("known experiments"), "{error}");
}

/// Mutations of a good file, so that much of what is tried gets past the parser.
fn mutated() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        Just("nan".to_owned()),
        Just("-1".to_owned()),
        Just("1e308".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("{ log = [1e-300, 1e300], points = 1000 }".to_owned()),
        Just("[1, 2".to_owned()),
        Just("\"\\u0000\"".to_owned()),
        Just("=".to_owned()),
        Just("\n".to_owned()),
        "\\PC{0,12}",
    ];
    (0..GOOD.len(), 0..40_usize, words).prop_map(|(at, cut, word)| {
        let end = (at + cut).min(GOOD.len());
        format!("{}{word}{}", &GOOD[..at], &GOOD[end..])
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC*", line in ".*\n.*=.*") {
        let _ = parse(&text).map_err(|error| error.to_string());
        let _ = parse(&line).map_err(|error| error.to_string());
    }

    #[test]
    fn no_mutation_makes_the_loader_panic_and_what_loads_round_trips(text in mutated()) {
        if let Ok(exp) = parse(&text) {
            prop_assert!(exp.cells().len() <= limits::CELLS);
            round_trip(&exp);
        }
    }

    #[test]
    fn no_set_makes_the_loader_panic(set in "\\PC*", path in "[a-z.]{0,20}", value in "\\PC*") {
        let _ = with_sets(GOOD, &[&set]).map_err(|error| error.to_string());
        let _ = with_sets(GOOD, &[&format!("{path}={value}")]).map_err(|error| error.to_string());
        let _ = with_sets(GOOD, &[&format!("workload.cpu_us={value}")]).map_err(|error| error.to_string());
    }
}

#[test]
fn a_number_beyond_64_bits_in_a_set_is_told_once() {
    let set = "measure.rounds=99999999999999999999";
    let error = with_sets(GOOD, &[set]).expect_err("too large").to_string();
    let (place, reason) = (format!("--set {set} (on t.toml): measure.rounds: "), "does not fit 64 bits");
    assert!(error.starts_with(&place) && error.contains(reason), "{error}");
    assert_eq!(error.matches("--set").count(), 1, "{error}");
}

#[test]
fn what_loads_at_its_limits_is_taken_by_the_report() {
    let with = |line: &str| parse(&format!("{GOOD}{line}\n"));
    for line in [
        "[analysis]\nconfidence = 0.5",
        "[analysis]\nconfidence = 0.9999",
        "[analysis]\nmargin = 1e-300",
        "[analysis]\nmargin = 0.9999999999999999",
        "max_foreign_cores = 0",
        "max_foreign_cores = 1e308",
    ] {
        let exp = with(line).unwrap_or_else(|error| panic!("{error}"));
        for text in [&exp.text, &exp.resolved_toml()] {
            let taken = crossover_reports::settings::Settings::parse(text, Path::new("config.toml"), "t");
            assert!(taken.is_ok(), "{line}: {taken:?}");
        }
    }
    for line in ["confidence = 0.99991", "confidence = 0.49", "confidence = 1", "margin = 0", "margin = 1"] {
        let error = with(&format!("[analysis]\n{line}")).expect_err(line).to_string();
        assert!(error.contains("is impossible: must lie between"), "{error}");
    }
}
