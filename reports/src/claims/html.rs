//! `claims.html`: one self-contained page in the style of `report.html`, whose style sheet it uses.
//!
//! No script, no other file. Everything that comes from data passes through the template's escaping; only the style sheet does not.
use minijinja::{AutoEscape, Environment, escape_formatter};
use serde::Serialize;
use serde_json::Value;

use super::judge::{Judgement, called, judge, word};
use super::markdown::GROUPS;
use super::record::{Kind, Record, Row, Verdict, Whose};
use super::{Tally, terminal, words};
use crate::error::ReportError;
use crate::plot::svg;

const PAGE: &str = include_str!("page.html");
const CSS: &str = concat!(
    include_str!("../template/page.css"),
    include_str!("../template/parts.css"),
    include_str!("../template/print.css"),
    include_str!("page.css"),
);

/// The page.
///
/// # Errors
/// The template cannot be filled.
pub(super) fn render(record: &Record) -> Result<String, ReportError> {
    let failed =
        |e: minijinja::Error| ReportError::Draw { what: "claims.html".to_owned(), reason: format!("{e:#}") };
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    engine.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => out.write_str(&svg::escape(text)).map_err(minijinja::Error::from),
        _ => escape_formatter(out, state, value),
    });
    engine.add_template("claims.html", PAGE).map_err(failed)?;
    let view = Page::new(record);
    engine
        .get_template("claims.html")
        .and_then(|template| template.render(minijinja::Value::from(minijinja::value::Serde(&view))))
        .map_err(failed)
}

#[derive(Serialize)]
struct Page {
    css: &'static str,
    version: String,
    sentence: String,
    full: bool,
    pass: &'static str,
    minutes: String,
    tally: Tally,
    conditions: Vec<(String, String)>,
    surprises: Vec<(String, String, String)>,
    /// Claims that are refuted, each with what broke it.
    refuted: Vec<(String, String, Vec<String>)>,
    groups: Vec<Section>,
}

#[derive(Serialize)]
struct Section {
    id: &'static str,
    title: &'static str,
    claims: Vec<View>,
}

/// A row as words.
#[derive(Serialize)]
struct View {
    id: String,
    ids: String,
    says: String,
    cited: String,
    chip: &'static str,
    verdict: String,
    surprises: Vec<String>,
    cpython: Vec<String>,
    ours: Vec<String>,
    /// What the project is called that the claim is about; empty where there is none.
    peer_name: String,
    peer: Vec<String>,
    facts: Vec<(String, &'static str, String)>,
    tests: Vec<[String; 4]>,
    pairs: Vec<(&'static str, String)>,
}

impl Page {
    fn new(record: &Record) -> Self {
        let tally = Tally::of(&record.rows);
        let groups = GROUPS.map(|(group, id, title)| Section {
            id,
            title,
            claims: record.rows.iter().filter(|row| row.group == group).map(View::new).collect(),
        });
        let surprises = record.rows.iter().flat_map(|row| {
            let told = judge(row).surprises;
            told.into_iter().map(|surprise| (row.id.clone(), row.says.clone(), surprise))
        });
        let refuted = record.rows.iter().filter_map(|row| {
            let judgement = judge(row);
            let broken = (judgement.verdict == Verdict::Refuted).then(|| broken(row, &judgement))?;
            Some((row.id.clone(), row.says.clone(), broken))
        });
        Self {
            css: CSS,
            version: record.version.clone(),
            sentence: tally.sentence(),
            full: record.full,
            pass: if record.full { "in full" } else { "in a quick pass" },
            minutes: words::minutes(record.seconds),
            tally,
            conditions: conditions(record),
            surprises: surprises.collect(),
            refuted: refuted.collect(),
            groups: groups.into_iter().filter(|section| !section.claims.is_empty()).collect(),
        }
    }
}

impl View {
    fn new(row: &Row) -> Self {
        let judgement = judge(row);
        let mut pairs = vec![("kind", kind(row).to_owned())];
        let mut add = |name, text: &str| {
            if !text.is_empty() {
                pairs.push((name, text.to_owned()));
            }
        };
        add("experiment", &row.how);
        add("recorded with CPython 3.11", &row.recorded);
        add("expected of ours", &row.wanted);
        add("expected verdict, ours", row.expected.map(word).unwrap_or_default());
        add("source", &row.source);
        add("known criticism", &row.caveat);
        add("notes, ours", &row.ours.notes.join("; "));
        add("notes, CPython", &row.cpython.notes.join("; "));
        let peer = row.peer.as_ref();
        if let Some(peer) = peer {
            add("notes, the project that it is about", &peer.column.notes.join("; "));
        }
        let facts = row.checks.iter().map(|check| {
            let sign = match check.holds {
                Some(true) => "holds",
                Some(false) => "does not hold",
                None => "not checked",
            };
            (check.name.clone(), sign, check.detail.clone())
        });
        Self {
            id: row.id.clone(),
            ids: terminal::ids(row),
            says: row.says.clone(),
            cited: row.cited.clone(),
            chip: chip(judgement.verdict),
            verdict: terminal::verdict(&judgement, row),
            cpython: words::lines(row, &row.cpython),
            ours: words::lines(row, &row.ours),
            peer_name: peer.map(|peer| peer.name.clone()).unwrap_or_default(),
            peer: peer.map(|peer| words::lines(row, &peer.column)).unwrap_or_default(),
            facts: facts.collect(),
            tests: tests(row, &judgement),
            surprises: judgement.surprises,
            pairs,
        }
    }
}

fn kind(row: &Row) -> &'static str {
    match row.kind {
        Kind::Figure => "figure: decided by what is measured",
        Kind::Fact => "fact: decided by checks, which are tests of the same names",
        Kind::Qualitative => "judgement: nothing that is measured here decides it",
    }
}

fn chip(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reproduced => "wins",
        Verdict::Refuted => "refused",
        Verdict::NotDecided => "undecided",
    }
}

/// What a refuted claim needs and has not got: each bound that is broken, and each check that failed.
fn broken(row: &Row, judgement: &Judgement) -> Vec<String> {
    let bounds = judgement.tests.iter().filter(|o| o.test.claim && o.holds == Some(false)).filter_map(|o| {
        Some(format!("{}, where the claim needs {}", words::seen(row, o)?, words::bound(row, &o.test)))
    });
    let checks = row.checks.iter().filter(|check| check.holds == Some(false));
    let there =
        (judgement.cpython == Some(Verdict::Reproduced)).then(|| "CPython: it holds there".to_owned());
    bounds.chain(checks.map(|check| format!("ours: {}", check.detail))).chain(there).collect()
}

/// Every bound: whose, what it asks for, what for, and what became of it.
fn tests(row: &Row, judgement: &Judgement) -> Vec<[String; 4]> {
    let one = |outcome: &super::Outcome| {
        let who = called(row, outcome.who);
        let what = format!("{} {}", words::name(&outcome.test.figure), words::bound(row, &outcome.test));
        let purpose = if outcome.test.claim { "the claim needs it" } else { "expected besides" };
        let kept = match outcome.holds {
            Some(true) => "kept",
            Some(false) => "broken",
            None => "open",
        };
        [who.to_owned(), what, purpose.to_owned(), kept.to_owned()]
    };
    let has = |who| who != Whose::Cpython || !row.cpython.samples.is_empty();
    judgement.tests.iter().filter(|outcome| has(outcome.who)).map(one).collect()
}

/// Machine, system and programs.
fn conditions(record: &Record) -> Vec<(String, String)> {
    let text = |path: &str| match record.env.pointer(path) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    [
        ("CPU", "/machine/cpu"),
        ("cores that may be used", "/machine/cores_usable"),
        ("kernel", "/system/kernel"),
        ("compiler", "/toolchain/rustc"),
        ("profile", "/toolchain/profile"),
        ("Python", "/python"),
        ("begun", "/started_at"),
    ]
    .into_iter()
    .filter_map(|(name, path)| Some((name.to_owned(), text(path)?)))
    .chain([("seed".to_owned(), record.seed.to_string())])
    .collect()
}
