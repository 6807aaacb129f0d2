//! Whole folders: what is written, exit codes, byte-identical reruns, suites.
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crossover_reports::record::{Crossover, Verdict};
use crossover_reports::{Options, report};

use crate::synthetic::{Contender, Synthetic};

const OPTIONS: Options = Options { bootstrap: 200, seed: 1 };

fn fill(dir: &Path, edit: impl Fn(usize, &mut crossover_reports::record::Sample)) {
    let costs: [Contender; 2] = [("sequential", |n| 8.0 * n), ("threads", |n| 80.0 + 4.0 * n)];
    let mut folder = Synthetic::sweep(&[1.0, 5.0, 25.0, 125.0], &costs).shape(3, 4).measure(1);
    let mut lines = String::new();
    for (i, sample) in folder.samples.iter_mut().enumerate() {
        edit(i, sample);
        writeln!(lines, "{}", serde_json::to_string(sample).unwrap()).unwrap();
    }
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("samples.jsonl"), lines).unwrap();
    fs::write(dir.join("config.toml"), "schema = 1\n[experiment]\nname = \"test\"\n").unwrap();
}

#[test]
fn the_same_folder_and_seed_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), |_, _| {});
    let files =
        || ["verdicts.json", "crossovers.json"].map(|f| fs::read_to_string(dir.path().join(f)).unwrap());
    let outcome = report(dir.path(), &OPTIONS).unwrap();
    assert_eq!(outcome.exit_code(), 0);
    let first = files();
    report(dir.path(), &OPTIONS).unwrap();
    assert_eq!(first, files());
    let verdicts: Vec<Verdict> = serde_json::from_str(&first[0]).unwrap();
    let crossovers: Vec<Crossover> = serde_json::from_str(&first[1]).unwrap();
    assert_eq!((verdicts.len(), crossovers.len()), (4, 1));
    report(dir.path(), &Options { seed: 2, ..OPTIONS }).unwrap();
    assert_ne!(first[1], files()[1], "the seed is used");
}

#[test]
fn exit_codes_say_mismatch_before_contamination() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), |_, s| s.foreign_cores = 1.0);
    assert_eq!(report(dir.path(), &OPTIONS).unwrap().exit_code(), 4);
    assert_eq!(fs::read_to_string(dir.path().join("verdicts.json")).unwrap(), "[]\n");
    fill(dir.path(), |i, s| {
        if i == 9 {
            s.checksum = "wrong".to_owned();
        }
    });
    assert_eq!(report(dir.path(), &OPTIONS).unwrap().exit_code(), 3);
    fill(dir.path(), |i, s| {
        s.foreign_cores = 1.0;
        if i == 9 {
            s.checksum = "wrong".to_owned();
        }
    });
    assert_eq!(report(dir.path(), &OPTIONS).unwrap().exit_code(), 3);
}

#[test]
fn a_torn_end_is_ignored_and_a_broken_middle_is_not() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), |_, _| {});
    let path = dir.path().join("samples.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    assert_eq!(report(dir.path(), &OPTIONS).unwrap().exit_code(), 0);
    fs::write(&path, whole.replacen("\"ok\":true", "\"ok\":tr", 1)).unwrap();
    let error = report(dir.path(), &OPTIONS).unwrap_err();
    assert!(error.to_string().contains("samples.jsonl:1: "), "{error}");
}

#[test]
fn a_suite_is_its_experiments_in_order_without_those_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("second"), |_, _| {});
    fill(&dir.path().join("first"), |_, s| s.foreign_cores = 1.0);
    fs::write(dir.path().join("second/env.json"), "{\"machine\":\"m\"}").unwrap();
    let suite = r#"{"schema":1,"run":"r-1","experiments":["first","second","never"]}"#;
    fs::write(dir.path().join("suite.json"), suite).unwrap();
    let outcome = report(dir.path(), &OPTIONS).unwrap();
    assert_eq!((outcome.analyses.len(), outcome.exit_code()), (2, 4));
    assert!(outcome.analyses[0].trust.contaminated);
    assert_eq!(outcome.env.unwrap()["machine"], "m");
    assert!(dir.path().join("second/verdicts.json").exists());
}

#[test]
fn an_unwritable_folder_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), |_, _| {});
    fs::create_dir_all(dir.path().join("verdicts.json/in-the-way")).unwrap();
    let error = report(dir.path(), &OPTIONS).unwrap_err();
    assert!(
        error.to_string().contains("cannot write") && error.to_string().contains("verdicts.json"),
        "{error}"
    );
    assert!(!dir.path().join("verdicts.json.tmp").exists());
}
