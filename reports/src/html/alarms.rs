//! What stands against a run, and what a reader must know before its figures.
use serde::Serialize;

use super::parts::or_all;
use crate::analysis::model::Analysis;
use crate::plot::units::significant;

#[derive(Serialize)]
pub(super) struct Alarm {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) items: Vec<String>,
}

/// Everything that stands against the run, loudest first.
pub(super) fn alarms(a: &Analysis) -> Vec<Alarm> {
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

pub(super) fn notes(a: &Analysis) -> Vec<String> {
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
