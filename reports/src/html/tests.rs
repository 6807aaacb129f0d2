//! The page as a whole: well formed, escaped, and a pure function of its input.
use serde_json::json;

use super::*;
use crate::{plot, synthetic};

fn env() -> Value {
    json!({
        "schema": 1,
        "seed": 42,
        "config_dir": "/home/somebody",
        "machine": {"cpu": "A <CPU> & more", "cores_online": 2, "governor": null, "load_average": [0.1, 0.2, 0.3]},
        "strategies": [
            {"name": "threads", "about": "a pool of <N> threads", "workers": 2, "concurrency_cap": 2},
            {"name": "event-loop", "about": "async on one thread", "workers": 1, "concurrency_cap": null},
        ],
        "skipped": {"cpython-asyncio": "there is no program <python3>"},
    })
}

fn page(analyses: &[Analysis], folder: &str) -> String {
    let figures: Vec<Vec<Figure>> = analyses.iter().map(plot::figures).collect();
    let env = env();
    let pages: Vec<Page<'_>> = analyses
        .iter()
        .zip(&figures)
        .map(|(analysis, figures)| Page {
            analysis,
            figures,
            env: Some(&env),
            samples: &[],
            files: &["config.toml", "samples.jsonl"],
            folder,
        })
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
fn where_the_config_stood_is_not_told() {
    assert!(!page(&[synthetic::one_axis()], "").contains("somebody"));
}

#[test]
fn who_was_skipped_stands_among_the_conditions() {
    let html = page(&[synthetic::one_axis()], "");
    let row = html.split("Skipped").nth(1).unwrap();
    assert!(row[..200].contains("cpython-asyncio: there is no program &lt;python3&gt;"), "{}", &row[..200]);
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
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
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

fn nasty(name: &str) -> Analysis {
    synthetic::nasty().into_iter().find(|a| a.name == name).unwrap_or_else(|| panic!("no run {name}"))
}

#[test]
fn the_map_has_a_switch_by_metric_and_shows_wall_time_first() {
    let html = page(&[nasty("full")], "");
    for metric in ["wall", "cpu", "memory"] {
        let radio = format!("<input type=\"radio\" name=\"x1-by\" id=\"x1-by-{metric}\" class=\"{metric}\"");
        assert!(html.contains(&radio) && html.contains(&format!("for=\"x1-by-{metric}\"")), "{metric}");
        assert!(html.contains(&format!("<div class=\"by-{metric}\">")), "{metric}");
    }
    assert_eq!(html.matches("checked=\"checked\"").count(), 1);
    assert!(
        !page(&[synthetic::one_axis()], "").contains("type=\"radio\""),
        "with one metric, nothing is switched"
    );
}

#[test]
fn under_an_open_load_the_map_by_latency_is_shown_first_and_says_who_fell_behind() {
    let html = page(&[nasty("open-load-line")], "");
    let first = html.split("type=\"radio\"").nth(1).unwrap();
    assert!(first.contains("class=\"latency\" checked=\"checked\""), "{}", &first[..200]);
    assert_eq!(html.matches("<div class=\"by-latency\">").count(), 1);
    assert!(html.contains("judged by the tail of the latency (p99)"));
    assert!(html.contains(
        "sequential, work-stealing, threads, thread-per-task, blocking-pool and processes fell behind"
    ));
    assert!(CSS.contains(".by-latency") && html.contains("Latency (p99)"));
}

#[test]
fn why_the_looks_ended_and_where_the_time_went_are_told() {
    let mut run = nasty("full");
    let html = page(std::slice::from_ref(&run), "");
    let looks = "2 looks after the base plan, for 2 process rounds more; 5 open cells measured again and 1 new cell where two \
                 strategies cross. No further one: the budget is spent, 3 cells left open";
    assert!(html.contains(looks));
    assert!(html.contains("Where the time of each run went (4)") && html.contains("on workers at a time"));
    run.looks.drain(..2);
    run.timelines.iter_mut().for_each(|t| t.breakdown = None);
    let html = page(std::slice::from_ref(&run), "");
    assert!(html.contains("none after the base plan. No further one: the budget is spent"));
    assert!(!html.contains("Where the time of each run went"));
    run.looks.clear();
    assert!(!page(&[run], "").contains("base plan"));
}

#[test]
fn a_section_without_data_is_left_out_of_page_and_contents() {
    let html = page(&[synthetic::one_axis()], "");
    for section in ["latency", "startup", "timeline"] {
        assert!(!html.contains(&format!("x1-{section}\"")), "{section}");
    }
    let full = page(&[nasty("full")], "");
    for section in
        ["winners", "crossovers", "cost", "startup", "timeline", "trust", "conditions", "reproduce"]
    {
        assert!(full.contains(&format!("href=\"#x1-{section}\"")), "{section}");
        assert!(full.contains(&format!("id=\"x1-{section}\"")), "{section}");
    }
}

#[test]
fn the_kind_of_load_is_labelled_and_an_overload_is_said_first() {
    let html = page(&[nasty("open-and-closed")], "");
    assert!(html.contains("open and closed loop</strong>"));
    let html = page(&[nasty("open-load-behind")], "");
    let at = |words: &str| html.find(words).unwrap_or_else(|| panic!("lacks {words}"));
    assert!(at("Overloaded.") < at("<figure"));
}

#[test]
fn headings_come_in_order() {
    for runs in [vec![nasty("full")], vec![nasty("full"), synthetic::one_axis()]] {
        let html = page(&runs, "");
        let level = |rest: &str| rest.as_bytes().first().filter(|b| b.is_ascii_digit()).map(|b| b - b'0');
        let levels: Vec<u8> = html.split("<h").skip(1).filter_map(level).collect();
        assert_eq!(levels.iter().filter(|l| **l == 1).count(), 1);
        assert!(levels[0] == 1 && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    }
}
