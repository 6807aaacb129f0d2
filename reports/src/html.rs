//! `report.html`: one self-contained page for a run or a suite, the verdict first.
//!
//! The page needs no script and no other file; it links the raw files beside it. Everything that comes from data passes
//! through the template's HTML escaping; only the style sheet and the pictures, which escape for themselves, do not. The
//! page is a pure function of its input: no clock, no random ids.
use minijinja::{AutoEscape, Environment, escape_formatter};
use serde::Serialize;
use serde_json::Value;

use crate::analysis::model::{Analysis, CellAnalysis};
use crate::error::ReportError;
use crate::facts::{self, Call};
use crate::plot::units::{Unit, describe, label, show_param, significant, times};
use crate::plot::{Figure, Table, style, svg};
use crate::record::{Crossover, Versus};

const TEMPLATE: &str = include_str!("template/report.html");
const CSS: &str = include_str!("template/report.css");

/// One experiment of a report.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What was found.
    pub analysis: &'a Analysis,
    /// Its pictures, see [`crate::plot::figures`].
    pub figures: &'a [Figure],
    /// The contents of its `env.json`, where there is one.
    pub env: Option<&'a Value>,
    /// Its run folder as seen from the report: empty where they are the same, else a relative path without a slash at
    /// its end.
    pub folder: &'a str,
}

/// The report over `pages`, one per experiment, in their order.
///
/// # Errors
/// [`ReportError::Draw`] where the template cannot be filled.
pub fn render(title: &str, pages: &[Page<'_>]) -> Result<String, ReportError> {
    let failed =
        |e: minijinja::Error| ReportError::Draw { what: "report.html".to_owned(), reason: format!("{e:#}") };
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::Html);
    // As strict as the engine's own escaping, but slashes stay readable, and control characters go.
    engine.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => out.write_str(&svg::escape(text)).map_err(minijinja::Error::from),
        _ => escape_formatter(out, state, value),
    });
    engine.add_template("report.html", TEMPLATE).map_err(failed)?;
    let view = Report {
        title,
        version: env!("CARGO_PKG_VERSION"),
        css: CSS,
        dark: style::dark_rules(),
        pages: pages.iter().enumerate().map(|(i, page)| Experiment::new(page, i)).collect(),
    };
    engine
        .get_template("report.html")
        .and_then(|template| template.render(minijinja::Value::from(minijinja::value::Serde(&view))))
        .map_err(failed)
}

#[derive(Serialize)]
struct Report<'a> {
    title: &'a str,
    version: &'a str,
    css: &'a str,
    dark: String,
    pages: Vec<Experiment>,
}

/// All that the template shows of one experiment, in words.
#[derive(Serialize)]
struct Experiment {
    id: String,
    name: String,
    question: String,
    headline: String,
    /// What is wrong, in a few words for the top of the page.
    bad: Option<String>,
    alarms: Vec<Alarm>,
    notes: Vec<String>,
    figures: Vec<Picture>,
    tally: String,
    confidence: String,
    margin: String,
    baseline: String,
    axes: Vec<String>,
    winners: Vec<Winner>,
    has_numeric_axis: bool,
    contaminated: bool,
    crossings: Grid,
    other_crossings: Grid,
    no_crossings: Grid,
    prose: Vec<String>,
    trust: Vec<(String, String)>,
    failures: Grid,
    strategies: Grid,
    command: String,
    run: String,
    files: Vec<File>,
    environment: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Alarm {
    title: String,
    text: String,
    items: Vec<String>,
}

#[derive(Serialize)]
struct Picture {
    id: String,
    title: String,
    svg: String,
    png_link: String,
    svg_link: String,
    table: Grid,
}

#[derive(Serialize)]
struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct File {
    name: String,
    link: String,
}

#[derive(Serialize)]
struct Winner {
    cell: Vec<String>,
    kind: &'static str,
    word: &'static str,
    who: String,
    speed: String,
    rival: String,
    cpu: String,
    burn: Option<String>,
    remark: String,
}

impl From<&Table> for Grid {
    fn from(table: &Table) -> Self {
        Self { header: table.header.clone(), rows: table.rows.clone() }
    }
}

impl Grid {
    fn new(header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { header: header.iter().map(|name| (*name).to_owned()).collect(), rows }
    }
}

/// The link to `file` in a run's folder.
fn link(folder: &str, file: &str) -> String {
    let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let mut link = String::with_capacity(path.len() + 2);
    for byte in path.bytes() {
        if safe(byte) { link.push(byte as char) } else { link.push_str(&format!("%{byte:02X}")) }
    }
    // A first segment with a colon would be a scheme, one with two slashes a host.
    format!("./{}", link.trim_start_matches('/'))
}

impl Experiment {
    fn new(page: &Page<'_>, index: usize) -> Self {
        let a = page.analysis;
        let id = format!("x{}", index + 1);
        let (found, none): (Vec<&Crossover>, Vec<&Crossover>) =
            a.crossovers.iter().partition(|c| c.at.is_some());
        let with_baseline = |c: &&Crossover| c.from == a.baseline || c.to == a.baseline;
        let (mine, others): (Vec<&Crossover>, Vec<&Crossover>) = found.into_iter().partition(with_baseline);
        let alarms = alarms(a);
        Self {
            name: a.name.clone(),
            question: a.question.clone(),
            headline: a.headline.clone(),
            bad: alarms.first().map(|alarm| alarm.title.clone()),
            notes: notes(a),
            figures: page.figures.iter().map(|figure| picture(figure, &id, page.folder)).collect(),
            tally: facts::tally(a).words(),
            confidence: significant(a.confidence * 100.0, 3),
            margin: significant(a.margin * 100.0, 3),
            baseline: a.baseline.clone(),
            axes: a.axes.iter().map(|axis| label(&axis.param)).collect(),
            winners: a.cells.iter().map(|cell| winner(a, cell)).collect(),
            has_numeric_axis: a.axes.iter().any(|axis| axis.is_numeric() && axis.values.len() > 1),
            contaminated: a.trust.contaminated,
            crossings: crossings(a, &mine),
            other_crossings: crossings(a, &others),
            no_crossings: no_crossings(&none),
            prose: paragraphs(&a.prose),
            trust: trust(a),
            failures: failures(a),
            strategies: strategies(a, page.env),
            command: command(page),
            run: a.run.clone(),
            files: files(page),
            environment: page.env.map(environment).unwrap_or_default(),
            alarms,
            id,
        }
    }
}

fn picture(figure: &Figure, id: &str, folder: &str) -> Picture {
    Picture {
        id: format!("{id}-fig-{}", figure.stem),
        title: figure.title.clone(),
        svg: figure.svg(&format!("{id}-svg-")),
        png_link: link(folder, &format!("plots/{}.png", figure.stem)),
        svg_link: link(folder, &format!("plots/{}.svg", figure.stem)),
        table: Grid::from(&figure.table),
    }
}

fn files(page: &Page<'_>) -> Vec<File> {
    let names = [
        "config.toml",
        "config.resolved.toml",
        "env.json",
        "plan.jsonl",
        "samples.jsonl",
        "verdicts.json",
        "crossovers.json",
        "summary.md",
    ];
    // The environment is the only file that the page knows to be there or not; a plan and it come together.
    let there = |name: &&str| {
        page.env.is_some() || !["config.resolved.toml", "env.json", "plan.jsonl"].contains(name)
    };
    names
        .iter()
        .filter(|name| there(name))
        .map(|name| File { name: (*name).to_owned(), link: link(page.folder, name) })
        .collect()
}

/// Everything that stands against the run, loudest first.
fn alarms(a: &Analysis) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let trust = &a.trust;
    let alarm =
        |title: &str, text: String, items: Vec<String>| Alarm { title: title.to_owned(), text, items };
    if !trust.mismatches.is_empty() {
        let items = trust.mismatches.iter().map(|(cell, who)| format!("{who} in {}", or_all(cell))).collect();
        let text = "A strategy returned another result than the sequential oracle. These cells get no verdict: a fast wrong \
                    answer is no answer.";
        alarms.push(alarm("Wrong checksum.", text.to_owned(), items));
    }
    if trust.contaminated {
        let text = format!(
            "Every block was disturbed: {}. No verdict and no crossover is given. Run again on a machine that is quiet.",
            trust.disturbance
        );
        alarms.push(alarm("Contaminated run.", text, Vec::new()));
    }
    if !trust.failures.is_empty() {
        let n = trust.failures.len();
        let text = format!("{n} of the measurements failed; see the reasons under “Can it be trusted?”.");
        alarms.push(alarm("Failures.", text, Vec::new()));
    }
    if let Some(share) = trust.server_share_max.filter(|share| *share > 0.2) {
        let text = format!(
            "The test server used up to {} % of a core. It shares the machine with its clients, so part of a difference may be \
             the server's.",
            significant(share * 100.0, 2)
        );
        alarms.push(alarm("A busy test server.", text, Vec::new()));
    }
    alarms
}

fn notes(a: &Analysis) -> Vec<String> {
    let mut notes = Vec::new();
    if a.workload == "http" {
        notes.push(
            "Both kinds of client keep their connections alive: the async strategies use hyper's client on the runtime's own \
             sockets, the blocking ones ureq with a pool as large as the number of tasks. The server runs in another process."
                .to_owned(),
        );
    }
    notes
}

fn or_all(cell: &str) -> &str {
    if cell.is_empty() { "the only cell" } else { cell }
}

fn winner(a: &Analysis, cell: &CellAnalysis) -> Winner {
    let call = facts::call(cell);
    let (kind, word, who) = match &call {
        Call::Wins(name) => ("wins", "wins", (*name).to_owned()),
        Call::Tie(best) => ("tie", "tie", best.join(" ≈ ")),
        Call::Leans(name) => ("leans", "leans", (*name).to_owned()),
        Call::Undecided(best) => ("undecided", "undecided ?", best.join(", ")),
        Call::Refused(_) => ("refused", "no verdict", "–".to_owned()),
    };
    let dash = || "–".to_owned();
    let verdict = cell.verdict.as_ref();
    let fastest = verdict.and_then(|v| v.winner.as_deref());
    let speed = match facts::speed_up(a, cell) {
        Some(up) => with_interval(up),
        None if fastest == Some(a.baseline.as_str()) => "is the baseline".to_owned(),
        None => dash(),
    };
    let rival = verdict.and_then(facts::runner_up);
    let cost = fastest.and_then(|name| facts::stats(a, cell, name)).filter(|s| s.cpu_per_task_ns > 0.0);
    let burn = facts::burn(a, cell).map(|b| format!("burns {} the CPU of {}. ", times(b.ratio), b.runner_up));
    let value = |param: &String| cell.params.get(param).map_or_else(dash, |v| show_param(param, v));
    Winner {
        cell: a.axes.iter().map(|axis| value(&axis.param)).collect(),
        kind,
        word,
        who,
        speed,
        rival: rival.map_or_else(dash, |(name, versus)| format!("{name} {}", with_interval(versus))),
        cpu: cost.map_or_else(dash, |s| Unit::NS.show(s.cpu_per_task_ns)),
        burn,
        remark: cell.no_verdict.clone().unwrap_or_default(),
    }
}

/// `1.90× (1.80 – 2.00)`.
fn with_interval(versus: &Versus) -> String {
    let two = |x: f64| if x < 9.995 { format!("{x:.2}") } else { significant(x, 3) };
    format!("{}× ({} – {})", two(versus.ratio), two(versus.ci[0]), two(versus.ci[1]))
}

fn crossings(a: &Analysis, rows: &[&Crossover]) -> Grid {
    let row = |c: &&Crossover| {
        let counted = facts::whole(a, c);
        // Of a count, only the whole numbers say something.
        let span = |[low, high]: [f64; 2]| match () {
            () if low > high => "–".to_owned(),
            () if low == high => format!("{low}"),
            () => format!("{low} – {high}"),
        };
        let unit = Unit::of(&c.param);
        let range = |r: Option<[f64; 2]>| {
            r.map_or_else(
                || "–".to_owned(),
                |[low, high]| format!("{} – {}", unit.show(low), unit.show(high)),
            )
        };
        vec![
            label(&c.param),
            if c.fixed.is_empty() { "–".to_owned() } else { describe(&c.fixed) },
            c.from.clone(),
            c.to.clone(),
            match counted {
                Some((at, _)) => format!("from {at} on"),
                None => c.at.map_or_else(|| "–".to_owned(), |at| unit.show(at)),
            },
            counted.map_or_else(|| range(c.ci), |(_, ends)| span(ends)),
            match (counted, c.indifference) {
                (Some(_), Some([low, high])) => span([low.ceil(), high.floor()]),
                _ => range(c.indifference),
            },
            percent(c.p_none),
        ]
    };
    let header = [
        "along",
        "with",
        "faster below",
        "faster above",
        "crossover",
        "interval",
        "within the margin",
        "share of resamples without it",
    ];
    Grid::new(&header, rows.iter().map(row).collect())
}

fn no_crossings(rows: &[&Crossover]) -> Grid {
    let row = |c: &&Crossover| {
        let fixed = if c.fixed.is_empty() { "–".to_owned() } else { describe(&c.fixed) };
        vec![label(&c.param), fixed, format!("{} and {}", c.from, c.to), percent(c.p_none)]
    };
    Grid::new(
        &["along", "with", "pair", "share of resamples without a crossing"],
        rows.iter().map(row).collect(),
    )
}

fn percent(share: f64) -> String {
    format!("{} %", significant((share * 1000.0).round() / 10.0, 3))
}

fn paragraphs(prose: &str) -> Vec<String> {
    let lines: Vec<&str> = prose.lines().map(str::trim).collect();
    lines.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|p| !p.is_empty()).collect()
}

fn trust(a: &Analysis) -> Vec<(String, String)> {
    let t = &a.trust;
    let quarantined = a.blocks.iter().filter(|b| b.quarantined).count();
    let mut pairs = vec![
        (
            "Foreign load".to_owned(),
            format!(
                "median {}, at most {} cores; limit {}",
                significant(t.foreign_cores_median, 2),
                significant(t.foreign_cores_max, 2),
                significant(t.foreign_cores_limit, 2)
            ),
        ),
        (
            "Quarantined".to_owned(),
            format!("{} of {} samples, {quarantined} of {} blocks", t.quarantined, t.samples, a.blocks.len()),
        ),
        ("Measured".to_owned(), format!("{} process rounds of up to {} rounds", a.process_rounds, a.rounds)),
        (
            "Checksums".to_owned(),
            if t.mismatches.is_empty() {
                "all equal to the sequential oracle's".to_owned()
            } else {
                format!("{} wrong, see above", t.mismatches.len())
            },
        ),
    ];
    if t.duplicates > 0 {
        pairs.push((
            "Duplicates".to_owned(),
            format!("{} samples stand twice in the file; each counts once", t.duplicates),
        ));
    }
    if let Some(share) = t.server_share_max {
        pairs.push(("Test server".to_owned(), format!("at most {} of one core", percent(share))));
    }
    pairs
}

fn failures(a: &Analysis) -> Grid {
    let row =
        |(cell, who, why): &(String, String, String)| vec![or_all(cell).to_owned(), who.clone(), why.clone()];
    Grid::new(&["cell", "strategy", "what went wrong"], a.trust.failures.iter().map(row).collect())
}

/// The strategies in the order of the experiment, with what `env.json` knows about them.
fn strategies(a: &Analysis, env: Option<&Value>) -> Grid {
    let known = env.and_then(|e| e.get("strategies")).and_then(Value::as_array);
    let row = |name: &String| {
        let info =
            known.and_then(|all| all.iter().find(|s| s.get("name").and_then(Value::as_str) == Some(name)));
        let field = |key: &str, none: &str| match info.map(|s| s.get(key).unwrap_or(&Value::Null)) {
            None => "–".to_owned(),
            Some(Value::Null) => none.to_owned(),
            Some(value) => plain(value),
        };
        vec![name.clone(), field("workers", "–"), field("concurrency_cap", "none"), field("about", "–")]
    };
    Grid::new(
        &["strategy", "workers", "tasks in flight at most", "what it is"],
        a.strategies.iter().map(row).collect(),
    )
}

/// The command that measures the experiment again.
fn command(page: &Page<'_>) -> String {
    let file = if page.folder.is_empty() {
        "config.toml".to_owned()
    } else {
        format!("{}/config.toml", page.folder)
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let file = if file.chars().all(safe) { file } else { format!("'{}'", file.replace('\'', r"'\''")) };
    let seed = page.env.and_then(|e| e.get("seed")).and_then(Value::as_u64);
    format!("crossover run {file}{}", seed.map_or_else(String::new, |seed| format!(" --seed {seed}")))
}

/// `env.json` as pairs; nested names are joined by dots, what has its own table is left out.
fn environment(env: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    if let Some(map) = env.as_object() {
        for (key, value) in map.iter().filter(|(key, _)| !["strategies", "schema"].contains(&key.as_str())) {
            flatten(key, value, 0, &mut pairs);
        }
    }
    pairs
}

/// Deeper values than any that the harness writes are shown as JSON.
const DEEPEST: usize = 6;

fn flatten(name: &str, value: &Value, depth: usize, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if depth < DEEPEST => {
            for (key, value) in map {
                flatten(&format!("{name}.{key}"), value, depth + 1, pairs);
            }
        }
        Value::Null => pairs.push((name.to_owned(), "–".to_owned())),
        other => pairs.push((name.to_owned(), plain(other))),
    }
}

/// A JSON value without its quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{plot, synthetic};

    fn env() -> Value {
        json!({
            "schema": 1,
            "seed": 42,
            "machine": {"cpu": "A <CPU> & more", "cores_online": 2, "governor": null, "load_average": [0.1, 0.2, 0.3]},
            "strategies": [
                {"name": "threads", "about": "a pool of <N> threads", "workers": 2, "concurrency_cap": 2},
                {"name": "event-loop", "about": "async on one thread", "workers": 1, "concurrency_cap": null},
            ],
        })
    }

    fn page(analyses: &[Analysis], folder: &str) -> String {
        let figures: Vec<Vec<Figure>> = analyses.iter().map(plot::figures).collect();
        let env = env();
        let pages: Vec<Page<'_>> = analyses
            .iter()
            .zip(&figures)
            .map(|(analysis, figures)| Page { analysis, figures, env: Some(&env), folder })
            .collect();
        render("Crossover: a <title>", &pages).unwrap()
    }

    #[test]
    fn pages_of_nasty_runs_are_well_formed_and_hold_no_script() {
        for analysis in synthetic::nasty() {
            let name = analysis.name.clone();
            let html = page(&[analysis], "");
            if let Some(folder) = std::env::var_os(plot::LOOK) {
                std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &html).unwrap();
            }
            synthetic::well_formed(&html).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(!html.contains("<script") && !html.contains("http://www.w3.org/1999"), "{name}");
        }
    }

    #[test]
    fn everything_from_data_is_escaped() {
        let mut run = synthetic::one_axis();
        let evil = "<img src=x onerror=alert(1)>\"'&";
        for text in [&mut run.name, &mut run.question, &mut run.prose, &mut run.headline, &mut run.run] {
            *text = evil.to_owned();
        }
        run.trust.failures.push((evil.into(), evil.into(), evil.into()));
        run.trust.mismatches.push((evil.into(), evil.into()));
        run.strategies[1] = evil.to_owned();
        run.axes[0].param = evil.to_owned();
        run.cells[0].no_verdict = Some(evil.to_owned());
        let html = page(&[run], evil);
        assert!(!html.contains("<img"), "an element from data");
        synthetic::well_formed(&html).unwrap();
    }

    #[test]
    fn a_suite_has_contents_and_unique_ids() {
        let runs = [synthetic::mixed(), synthetic::one_axis(), synthetic::mixed()];
        let html = page(&runs, "io-bound");
        if let Some(folder) = std::env::var_os(plot::LOOK) {
            std::fs::write(std::path::Path::new(&folder).join("suite.html"), &html).unwrap();
        }
        let mut ids: Vec<&str> =
            html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "ids are unique");
        for target in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(ids.contains(&target), "#{target} leads nowhere");
        }
        assert!(
            html.contains("./io-bound/samples.jsonl")
                && html.contains("crossover run io-bound/config.toml --seed 42")
        );
    }

    #[test]
    fn the_same_analysis_gives_the_same_bytes() {
        let (a, b) = (synthetic::mixed(), synthetic::mixed());
        let (first, second) = (plot::figures(&a), plot::figures(&b));
        for (x, y) in first.iter().zip(&second) {
            assert_eq!(x.svg(""), y.svg(""));
        }
        assert_eq!(first[0].png().unwrap(), second[0].png().unwrap());
        assert_eq!(page(&[a], ""), page(&[b], ""));
    }

    #[test]
    fn what_stands_against_a_run_is_said_before_its_figures() {
        for (name, words) in [("mismatched", "Wrong checksum."), ("contaminated", "Contaminated run.")] {
            let run = synthetic::nasty().into_iter().find(|a| a.name == name).unwrap();
            let html = page(&[run], "");
            let at = |words: &str| html.find(words).unwrap_or_else(|| panic!("{name} lacks {words}"));
            assert!(at(words) < at("<figure"), "{name}");
        }
        let mut http = synthetic::one_axis();
        http.workload = "http".to_owned();
        http.trust.server_share_max = Some(0.41);
        let html = page(&[http], "");
        assert!(html.contains("keep their connections alive") && html.contains("up to 41 % of a core"));
    }

    #[test]
    fn links_stay_inside_the_folder() {
        assert_eq!(link("", "plots/a b.svg"), "./plots/a%20b.svg");
        assert_eq!(link("javascript:x", "a"), "./javascript%3Ax/a");
        assert_eq!(link("//host", "a"), "./host/a");
    }
}
