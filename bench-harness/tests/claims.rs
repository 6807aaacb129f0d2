//! The claims that are facts, each as a test of its name, and `crossover claims` as a person meets it.
//!
//! A test here calls the very function that the command runs: see `claims/facts`.
use std::path::Path;

use assert_cmd::Command;
use crossover_bench::claims::facts;
use predicates::str::contains;
use serde_json::Value;

crossover_runtime::enable_in_tests!();

/// A test per fact, and the list of them.
macro_rules! facts {
    ($($name:ident),+ $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),+];

        $(#[test]
        fn $name() {
            let fact = facts::find(stringify!($name)).expect("the fact is in the table");
            let seen = facts::check(fact).unwrap_or_else(|reason| panic!("{reason}"));
            assert!(!seen.is_empty());
        })+
    };
}

facts![
    claim_001_no_switch_between_awaits,
    claim_003_gather_keeps_call_order,
    claim_004_three_ways_to_run_concurrently,
    claim_005_a_task_runs_in_the_background,
    claim_007_teardown_on_every_way_out,
    claim_008_a_stream_comes_in_order,
    claim_010_abort_before_in_and_after,
    claim_020_block_on_is_the_edge,
    claim_025_nothing_outlives_its_runtime,
    claim_026_a_runtime_is_a_loop_to_keep,
    claim_027_not_awaited_never_runs,
    claim_032_one_facade_same_checksums,
    claim_035_one_poll_per_wake,
    claim_041_nested_block_on_says_so,
    claim_053_errors_have_kinds,
    claim_056_the_nearest_deadline_wins,
    claim_057_cleanup_runs_on_cancel,
    claim_066_a_generator_is_a_stream,
    claim_075_errors_are_values_in_order,
    claim_080_every_call_has_its_line,
];

#[test]
fn every_fact_has_its_test() {
    let names: Vec<&str> = facts::ALL.iter().map(|fact| fact.name).collect();
    assert_eq!(names, TESTED);
}

fn crossover(dir: &Path, args: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_crossover")).current_dir(dir).args(args).assert()
}

#[test]
fn rows_are_listed_and_unknown_ones_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    crossover(dir.path(), &["claims", "--list"])
        .code(0)
        .stdout(contains("16, 59"))
        .stdout(contains("ctx-switch"));
    crossover(dir.path(), &["claims", "--row", "ctx-swich"])
        .code(2)
        .stderr(contains("there is no claim `ctx-swich`; did you mean `ctx-switch`?"));
    crossover(dir.path(), &["claims", "--row", "2", "--list"]).code(2);
    crossover(dir.path(), &["claims", "--report", "nowhere"]).code(2).stderr(contains("nowhere/claims.json"));
    let left = std::fs::read_dir(dir.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing is made by a command that is refused");
}

/// The rows of the table of claims that the project started from, and those that were learned and published besides; numbers that say
/// the same share a row. Six of the numbers up to 80 make no claim.
const ROWS: &str = "1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11; 12; 13; 14; 15; 16, 59; 17; 18; 19; 20, 69; 21; 22; 23; 24; 25; 26; 27, 34; 28;
    29; 30; 32; 33; 35; 36; 37; 40; 41, 70; 42; 44; 45; 46; 47; 48; 49; 50; 51; 52; 53; 54; 55; 56; 57; 58; 60; 62; 63; 64; 66; 67;
    68; 71; 72; 73; 74; 75; 76; 77; 78; 79; 80; x1; x2; x3; x4; x5; break-even; loop-lag; kernels; ctx-switch; spawn-cost; 1m-tasks;
    tokio-fs; blocking-pool; rayon-idle; io-starve; gil-free; loky-short";

#[test]
fn the_list_has_every_row_and_no_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let listed = crossover(dir.path(), &["claims", "--list"]);
    let text = String::from_utf8(listed.get_output().stdout.clone()).expect("text");
    let wanted: Vec<&str> = ROWS.split(';').map(str::trim).collect();
    // Columns are at least two spaces apart; the last line counts the rows.
    let ids = text.lines().map(|line| line.trim().split("  ").next().unwrap_or_default());
    let listed: Vec<&str> = ids.take(wanted.len()).collect();
    assert_eq!(listed, wanted);
    assert!(text.contains(&format!("{} claims;", wanted.len())), "{text}");
}

#[test]
fn claims_about_a_project_are_measured_on_it() {
    let dir = tempfile::tempdir().expect("a folder");
    for (row, figures) in [
        ("spawn-cost", &["task_us", "thread_over_task", "thread_us"][..]),
        ("tokio-fs", &["async", "slowdown", "sync"]),
        ("rayon-idle", &["looking", "outside_jobs", "parked_thread"]),
        ("ctx-switch", &["async_us", "thread_over_task"]),
    ] {
        for side in [&[][..], &["--peer"]] {
            let measured = crossover(dir.path(), &[&["claim-trial", "figure", row], side].concat()).code(0);
            let answer: Value = serde_json::from_slice(&measured.get_output().stdout).expect("JSON");
            assert!(answer["failed"].is_null() && answer["skipped"].is_null(), "{row}: {answer}");
            for figure in figures {
                let value = answer["figures"][figure].as_f64();
                assert!(value.is_some_and(|value| value.is_finite() && value < 1e6), "{row}: {answer}");
            }
        }
    }
    // No other row has such a side.
    crossover(dir.path(), &["claim-trial", "figure", "2", "--peer"])
        .code(2)
        .stderr(contains("no such experiment"));
}

#[test]
fn lines_come_as_they_are_sent_over_http() {
    let dir = tempfile::tempdir().expect("a folder");
    let measured = crossover(dir.path(), &["claims", "--row", "44", "--no-python", "--out", "out"]);
    let code = measured.get_output().status.code();
    assert!(matches!(code, Some(0 | 4)), "{code:?}");
    let text = std::fs::read(dir.path().join("out/claims.json")).expect("the file is there");
    let record: Value = serde_json::from_slice(&text).expect("JSON");
    let ours = &record["rows"][0]["ours"];
    assert!(ours["missing"].is_null(), "{ours}");
    // No line is there before the server has sent it, however slow the machine is.
    for (n, name) in ["line1", "line2", "line3", "line4", "line5"].iter().enumerate() {
        let least = 0.1 * (n + 1) as f64;
        let samples = ours["samples"][name].as_array().map_or(&[][..], Vec::as_slice);
        let early = samples.iter().filter_map(Value::as_f64).any(|at| at < least);
        assert!(!early && (samples.len() == 2 || ours["disturbed"].as_u64() > Some(0)), "{ours}");
    }
}

#[test]
fn a_few_claims_are_put_to_the_test_and_reported_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let measured = crossover(
        dir.path(),
        &["claims", "--row", "1", "--row", "9", "--row", "74", "--no-python", "--seed", "7", "--out", "out"],
    );
    // Other tests run beside this one: the machine may be too busy, which is for the program to say.
    let code = measured.get_output().status.code();
    assert!(matches!(code, Some(0 | 4)), "{code:?}");
    let out = dir.path().join("out");
    let files = ["claims.json", "claims.md", "claims.html"];
    let read = || files.map(|name| std::fs::read(out.join(name)).expect("the file is there"));
    let first = read();
    let record: Value = serde_json::from_slice(&first[0]).expect("JSON");
    let rows = record["rows"].as_array().expect("rows");
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["1", "9", "74"]);
    assert_eq!(record["seed"], 7);
    assert_eq!(rows[0]["judgement"]["verdict"], "reproduced", "{}", rows[0]);
    // Figures count in undisturbed repeats only; where there are some, they decide.
    for (row, verdict) in [(&rows[1], "reproduced"), (&rows[2], "refuted")] {
        let said = row["judgement"]["verdict"].as_str().expect("a verdict");
        let decided = row["ours"]["samples"].as_object().is_some_and(|all| {
            all.values().all(|samples| samples.as_array().is_some_and(|samples| samples.len() > 1))
        });
        assert!(said == verdict || !decided || said == "not_decided", "{row}");
        assert!(row["ours"]["missing"].is_null(), "{row}");
        assert!(
            row["cpython"]["missing"].as_str().is_some_and(|reason| reason.contains("--no-python")),
            "{row}"
        );
    }
    crossover(dir.path(), &["claims", "--report", "out"]).stdout(contains("Report: out/claims.html"));
    assert!(first == read(), "the same file makes the same page, byte for byte");
    crossover(dir.path(), &["report", "out"]).code(2).stderr(contains("crossover claims --report out"));
    crossover(dir.path(), &["claims", "--row", "1", "--out", "out"]).code(2).stderr(contains("not empty"));
}
