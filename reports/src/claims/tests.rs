//! The three files as a whole: complete, escaped, and the same again.
use serde_json::json;

use super::*;

fn record() -> Record {
    let samples = |values: &[f64]| [("wall".to_owned(), values.to_vec())].into();
    let row = |id: &str, expected, ours: &[f64], cpython: &[f64]| Row {
        id: id.into(),
        says: "gather(1, 2, 3 s) takes <2> | seconds".into(),
        source: "S2".into(),
        kind: Kind::Figure,
        cited: "\"2 seconds total\"".into(),
        expected: Some(expected),
        figures: vec![Figure { name: "wall".into(), unit: Unit::Seconds }],
        tests: vec![Test {
            figure: "wall".into(),
            must: Must::about(2.0, 0.05),
            of: Whose::All,
            claim: true,
        }],
        ours: Column { samples: samples(ours), ..Column::default() },
        cpython: Column { samples: samples(cpython), ..Column::default() },
        ..Row::default()
    };
    let mut surprise = row("73", Verdict::Refuted, &[2.0, 2.001], &[3.0, 3.001]);
    surprise.checks =
        vec![Check { name: "claim_073_in_order".into(), holds: Some(true), detail: "a, b, c".into() }];
    let mut about_peer = row("tokio-fs", Verdict::Refuted, &[3.001, 3.002], &[]);
    let column =
        Column { samples: samples(&[2.01, 2.01]), notes: vec!["so it is".into()], ..Column::default() };
    about_peer.peer = Some(Peer { name: "tok<io>".into(), tests: Vec::new(), column });
    Record {
        schema: SCHEMA,
        version: "0.1.0".into(),
        seed: 7,
        full: false,
        seconds: 12.5,
        env: json!({"machine": {"cpu": "<b>none</b>", "cores_usable": 2}}),
        rows: vec![
            row("72", Verdict::Refuted, &[3.001, 3.002, 3.0], &[3.004, 3.0041]),
            surprise,
            Row { id: "30".into(), says: "async adds complexity".into(), ..Row::default() },
            about_peer,
        ],
    }
}

#[test]
fn the_files_are_a_function_of_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["claims.json", "claims.md", "claims.html"];
    write(dir.path(), &record()).unwrap();
    let first = files.map(|name| fs::read(dir.path().join(name)).unwrap());
    let again = read(dir.path()).unwrap();
    assert_eq!(again, record());
    write(dir.path(), &again).unwrap();
    assert_eq!(first, files.map(|name| fs::read(dir.path().join(name)).unwrap()));
}

#[test]
fn rounded_numbers_are_read_as_they_were_written() {
    let mut record = record();
    record.env = json!({"load": [0.1 + 0.2, 1.0 / 3.0], "cores": 2});
    // Some of these are read as a neighbour unless they are rounded.
    let samples: Vec<f64> = (1..2000).map(|n| (f64::from(n) / 100.0).exp() * 1e-9).collect();
    record.rows[0].ours.samples.insert("wall".into(), samples);
    record.rows[0].tests[0].must = Must::about(0.1, 0.1);
    let record = record.rounded();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &record).unwrap();
    assert_eq!(read(dir.path()).unwrap(), record);
}

#[test]
fn the_files_say_what_was_found() {
    let record = record();
    let html = html::render(&record).unwrap();
    for part in [
        "4 claims: 2 reproduced, 1 refuted, 1 not decided; 1 came out otherwise than expected",
        "<h4>tok&lt;io&gt; here</h4><ul><li>2.01 s</li></ul>",
        "tok&lt;io&gt;: reproduced; ours: refuted",
        "so it is",
        "where the claim needs",
        "id=\"claim-72\"",
        "ours: reproduced; CPython: refuted",
        "&lt;2&gt;",
        "claim_073_in_order",
        "not decided: a judgement",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    assert!(!html.contains("<b>none") && !html.contains("<script") && !html.contains("http"), "{html}");
    let markdown = markdown::render(&record);
    assert!(markdown.contains("| 72 |") && markdown.contains(r"\| seconds"), "{markdown}");
    assert!(markdown.contains(r"tok\<io\>: 2.01 s"), "{markdown}");
    let table = terminal(&record, 100);
    assert!(table.contains("Otherwise than expected") && table.contains("tok<io>: 2.01 s"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&json(&record)).unwrap();
    assert_eq!(json["rows"][0]["judgement"]["verdict"], "refuted");
    assert_eq!(json["tally"]["refuted"], 1);
    assert_eq!(json["rows"][3]["judgement"]["peer"], "reproduced");
    assert_eq!(json["rows"][3]["intervals"]["peer"][0][1]["n"], 2);
    assert!(json["rows"][0].get("peer").is_none(), "a row about nobody has no such key");
}

#[test]
fn a_broken_file_says_where() {
    let dir = tempfile::tempdir().unwrap();
    for (text, part) in [
        ("{\n\"schema\": 1,\nnonsense", ":3: "),
        ("{\"schema\": 9}", "schema 9 is newer"),
        ("{}", "`schema` is missing"),
        ("{\"schema\": 1}", "missing field"),
    ] {
        fs::write(dir.path().join(FILE), text).unwrap();
        let said = read(dir.path()).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().starts_with("cannot read"));
}
