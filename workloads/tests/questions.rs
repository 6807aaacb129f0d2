//! `QUESTIONS.md` names experiments that exist, and its table of answers leads to every question.
use std::collections::BTreeSet;

use crossover_workloads::experiments;

const PAGE: &str = include_str!("../QUESTIONS.md");

/// The questions of the page: their headings.
fn questions() -> Vec<&'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect()
}

/// The anchor that a renderer gives to a heading: its letters in lower case, blanks as hyphens, without the rest.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.chars().filter_map(kept).collect()
}

#[test]
fn every_question_has_a_command_and_every_command_an_experiment() {
    assert_eq!(questions().len(), 10);
    for part in PAGE.split("\n## ").skip(1) {
        let heading = part.lines().next().unwrap_or_default();
        let named: Vec<&str> = part.lines().filter_map(|line| line.strip_prefix("crossover run ")).collect();
        assert!(!named.is_empty(), "{heading}: no command");
        assert!(part.contains("**"), "{heading}: no answer");
        for name in named {
            assert!(experiments::find(name).is_some(), "{heading}: no experiment {name:?}");
        }
    }
    // Also those in the running text.
    for name in PAGE.split("`crossover run ").skip(1).filter_map(|rest| rest.split('`').next()) {
        assert!(experiments::find(name).is_some(), "no experiment {name:?}");
    }
}

#[test]
fn the_table_leads_to_every_question() {
    let anchors: BTreeSet<String> = questions().into_iter().map(anchor).collect();
    let links: BTreeSet<String> =
        PAGE.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect();
    assert_eq!(links, anchors);
}
