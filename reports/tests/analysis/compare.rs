//! Two runs against each other, with what differs between runs of one program simulated.
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crossover_reports::Options;
use crossover_reports::compare::{self, Change, Compared};
use crossover_reports::load::Folder;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::synthetic::{Contender, Synthetic, normal};

const OPTIONS: Options = Options { bootstrap: 200, seed: 7 };
const TRIALS: u64 = 100;

/// A run whose every time is off by `drift`, and each strategy in each cell by a tenth of that on its own.
fn measured(synthetic: &Synthetic, seed: u64, sd: f64) -> Folder {
    let mut folder = synthetic.measure(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let drift = normal(&mut rng) * sd;
    let mut own = std::collections::HashMap::new();
    for s in &mut folder.samples {
        let off =
            *own.entry((s.cell.clone(), s.strategy.clone())).or_insert_with(|| normal(&mut rng) * 0.3 * sd);
        s.wall_ns = (s.wall_ns as f64 * (drift + off).exp()) as u64;
    }
    folder
}

fn compared(a: &Synthetic, b: &Synthetic, seed: u64, sd: f64) -> Compared {
    compare::experiment(&measured(a, 2 * seed, sd), &measured(b, 2 * seed + 1, sd), &OPTIONS)
}

const SAME: [Contender; 3] =
    [("sequential", |n| 100.0 * n), ("threads", |n| 50.0 * n), ("event-loop", |n| 80.0 * n)];
const XS: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

fn change(c: &Compared, cell: &str, strategy: &str) -> Change {
    c.rows.iter().find(|r| r.cell == cell && r.strategy == strategy).unwrap().change
}

/// A run on a machine that was calibrated to `sd`.
fn calibrated(mut folder: Folder, sd: f64) -> Folder {
    folder.env = Some(serde_json::json!({
        "machine": {"cpu": "X", "cores_usable": 2},
        "calibration": {"machine": {"cpu": "X", "cores": 2}, "between_runs_sd": sd, "rows": []},
    }));
    folder
}

#[test]
fn the_same_program_measured_twice_is_no_regression() {
    let sweep = Synthetic::sweep(&XS, &SAME);
    // What truly lies between runs, what is assumed (2 % without a calibration), and how many rows must be proven the same.
    for (sd, known, same_least) in
        [(0.01, None, 0), (0.02, None, 0), (0.004, Some(0.004), 80), (0.03, Some(0.03), 0)]
    {
        let (mut false_alarms, mut runs_with, mut same, mut rows) = (0, 0, 0, 0);
        for seed in 0..TRIALS {
            let [a, b] = [2 * seed, 2 * seed + 1].map(|seed| {
                let folder = measured(&sweep, seed, sd);
                known.map_or(folder.clone(), |known| calibrated(folder, known))
            });
            let c = compare::experiment(&a, &b, &OPTIONS);
            let cried = c.count(Change::Regression) + c.count(Change::Improvement);
            false_alarms += cried;
            runs_with += u64::from(cried > 0);
            same += c.count(Change::Same);
            rows += c.rows.len();
        }
        println!(
            "sd {sd} {known:?}: {false_alarms} of {rows} rows in {runs_with} of {TRIALS} comparisons, {same} the same"
        );
        assert!(runs_with * 100 <= TRIALS, "{runs_with} of {TRIALS} at {sd}");
        assert!(same * 100 >= rows * same_least, "{same} of {rows} proven the same at {sd}");
    }
}

#[test]
fn ten_percent_slower_is_found_and_blamed_on_who_is_slower() {
    let before = Synthetic::sweep(&XS, &SAME);
    let slower: [Contender; 3] = [SAME[0], ("threads", |n| 55.0 * n), SAME[2]];
    let after = Synthetic::sweep(&XS, &slower);
    let (mut found, mut blamed, mut back) = (0, 0, 0);
    for seed in 0..TRIALS {
        let c = compared(&before, &after, seed, 0.01);
        found += c.rows.iter().filter(|r| r.strategy == "threads" && r.change == Change::Regression).count();
        blamed += c.rows.iter().filter(|r| r.strategy != "threads" && r.change == Change::Regression).count();
        let c = compared(&after, &before, seed, 0.01);
        back += c.rows.iter().filter(|r| r.strategy == "threads" && r.change == Change::Improvement).count();
    }
    let of = TRIALS as usize * XS.len();
    println!("{found} and {back} of {of} found, {blamed} blamed wrongly");
    assert!(found * 100 >= of * 90 && back * 100 >= of * 90, "{found} and {back} of {of}");
    assert!(blamed * 100 <= of, "{blamed}");
}

#[test]
fn a_change_of_the_baseline_itself_is_not_hidden_in_ratios() {
    let before = Synthetic::sweep(&XS, &SAME);
    let all: [Contender; 3] =
        [("sequential", |n| 120.0 * n), ("threads", |n| 60.0 * n), ("event-loop", |n| 96.0 * n)];
    let c = compared(&before, &Synthetic::sweep(&XS, &all), 1, 0.005);
    assert_eq!(c.count(Change::Regression), 12, "{:?}", c.rows);
    assert!(c.rows.iter().all(|r| r.against.is_none() && (1.15..1.25).contains(&r.ratio)));
    let quiet = compared(&before, &before, 1, 0.005);
    let by_ratio = quiet.rows.iter().filter(|r| r.against.as_deref() == Some("sequential")).count();
    assert_eq!(by_ratio, 8, "all but the baseline's own rows");
}

#[test]
fn what_has_no_partner_is_listed_and_what_differs_is_told() {
    let mut a = Synthetic::sweep(&XS, &SAME).measure(1);
    let mut b = Synthetic::sweep(&XS[1..], &SAME[..2]).measure(2);
    a.samples.iter_mut().filter(|s| s.cell == "n=2").for_each(|s| s.tasks = 9);
    b.samples.iter_mut().filter(|s| s.cell == "n=4").take(1).for_each(|s| s.checksum = "odd".to_owned());
    let env = |kernel: &str, workers: u32| {
        serde_json::json!({
            "machine": {"cpu": "X", "cores_usable": 2}, "system": {"kernel": kernel}, "workers": workers,
            "crates": {"crossover-runtime": kernel},
        })
    };
    (a.env, b.env) = (Some(env("6.1", 2)), Some(env("6.2", 4)));
    let c = compare::experiment(&a, &b, &OPTIONS);
    assert_eq!(c.rows.iter().map(|r| r.cell.as_str()).collect::<Vec<_>>(), ["n=8", "n=8"]);
    for part in
        ["n=1: only in A", "n=2: 9 tasks in A, 8 in B", "n=4: in B, checksum", "n=8 event-loop: only in A"]
    {
        assert!(c.unmatched.iter().any(|u| u.starts_with(part)), "{part}: {:?}", c.unmatched);
    }
    let told = c.warnings.join("\n");
    for part in ["kernel: 6.1 in A, 6.2 in B", "workers: 2 in A, 4 in B", "crossover-runtime 6.1 → 6.2"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(c.mismatch && !c.contaminated);
}

#[test]
fn too_little_is_undecided_and_a_calibration_narrows() {
    let two = Synthetic::sweep(&[1.0], &SAME).shape(1, 9);
    let c = compared(&two, &Synthetic::sweep(&[1.0], &[("sequential", |_| 500.0)]), 3, 0.0);
    assert_eq!(change(&c, "n=1", "sequential"), Change::Undecided, "one process proves nothing");
    let [a, b] = [1, 2].map(|seed| Synthetic::sweep(&[1.0], &SAME).measure(seed));
    let width = |c: &Compared| c.rows[0].ci[1] - c.rows[0].ci[0];
    let assumed = compare::experiment(&a, &b, &OPTIONS);
    let a = calibrated(a, 0.002);
    let half = compare::experiment(&a, &b, &OPTIONS);
    assert!(!half.calibrated && half.between_runs_sd == compare::BETWEEN_RUNS_SD);
    let known = compare::experiment(&a, &calibrated(b, 0.002), &OPTIONS);
    assert!(known.calibrated && width(&known) < 0.8 * width(&assumed), "{known:?}");
}

#[test]
fn what_was_measured_otherwise_is_told() {
    let a = Synthetic::sweep(&XS, &SAME).measure(1);
    let mut b = a.clone();
    b.settings.startup_included = true;
    b.samples.iter_mut().for_each(|s| {
        s.run = "r-other".to_owned();
        s.rate = Some(500.0);
        s.seed = 43;
    });
    let told = compare::experiment(&a, &b, &OPTIONS).warnings;
    assert_eq!(
        told,
        [
            "the inputs differ (another --seed): their cost may differ a little",
            "start-up: excluded in A, included in B",
            "load: closed in A, 500/s, open in B",
        ]
    );
    b.samples.iter_mut().for_each(|s| (s.seed, s.rate) = (42, None));
    b.settings.startup_included = false;
    assert!(compare::experiment(&a, &b, &OPTIONS).warnings.is_empty());
}

fn write(dir: &Path, folder: &Folder) {
    let mut lines = String::new();
    for sample in &folder.samples {
        writeln!(lines, "{}", serde_json::to_string(sample).unwrap()).unwrap();
    }
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("samples.jsonl"), lines).unwrap();
    fs::write(dir.join("config.toml"), "schema = 1\n[experiment]\nname = \"te|st\\u001b\"\n").unwrap();
}

#[test]
fn folders_have_exit_codes_and_three_formats() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
    write(&a, &Synthetic::sweep(&XS, &SAME).measure(1));
    let slow: [Contender; 1] = [("threads", |n| 70.0 * n)];
    let mut slower = Synthetic::sweep(&XS, &slow).measure(2);
    write(&b, &slower);
    let c = compare::compare(&a, &b, &OPTIONS).unwrap();
    assert_eq!((c.exit_code(true), c.exit_code(false)), (1, 0));
    let (text, markdown) = (c.text(80), c.markdown());
    assert!(text.contains("4 regressions") && text.contains("1.4") && !text.contains('\u{1b}'), "{text}");
    assert!(markdown.contains("| regression") && !markdown.contains("te|st"), "{markdown}");
    assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
    let json: serde_json::Value = serde_json::from_str(&c.json()).unwrap();
    assert_eq!(json["experiments"][0]["rows"][0]["change"], "regression");
    let itself = compare::compare(&b, &b, &OPTIONS).unwrap();
    assert_eq!(itself.exit_code(true), 0);
    assert!(itself.text(80).contains("A and B are the same run"));
    slower.samples.iter_mut().for_each(|s| s.foreign_cores = 1.0);
    write(&b, &slower);
    assert_eq!(compare::compare(&a, &b, &OPTIONS).unwrap().exit_code(true), 4);
    slower.samples[0].checksum = "odd".to_owned();
    write(&b, &slower);
    assert_eq!(compare::compare(&a, &b, &OPTIONS).unwrap().exit_code(true), 3);
    assert_eq!(compare::compare(&a, &dir.path().join("c"), &OPTIONS).unwrap_err().exit_code(), 2);
}

#[test]
fn what_has_nothing_in_common_does_not_pass_for_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    // A name that is no Unicode, which JSON must survive.
    let [a, b] = [&b"a\xff"[..], b"b"].map(|name| dir.path().join(std::ffi::OsStr::from_bytes(name)));
    write(&a, &Synthetic::sweep(&XS[..2], &SAME).measure(1));
    for other in [Synthetic::sweep(&XS[2..], &SAME), Synthetic::sweep(&XS[..2], &[("other", |n| n)])] {
        write(&b, &other.measure(2));
        let c = compare::compare(&a, &b, &OPTIONS).unwrap();
        assert!(c.is_empty());
        assert_eq!((c.exit_code(true), c.exit_code(false)), (2, 2), "{}", c.text(80));
        assert!(c.text(80).contains("nothing to compare") && c.text(80).contains("only in B"));
        let json: serde_json::Value = serde_json::from_str(&c.json()).unwrap();
        assert!(json["a"].as_str().unwrap().ends_with("a\u{fffd}"), "{json}");
    }
}
