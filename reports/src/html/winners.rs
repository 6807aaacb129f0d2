//! The table of winners: a row per cell.
use serde::Serialize;

use super::parts::with_interval;
use crate::analysis::model::{Analysis, CellAnalysis, Metric};
use crate::facts::{self, Call};
use crate::plot::units::{Unit, show_param, times};

/// A cell of the sweep in words.
#[derive(Debug, Serialize)]
pub(super) struct Winner {
    pub(super) cell: Vec<String>,
    pub(super) kind: &'static str,
    pub(super) word: &'static str,
    pub(super) who: String,
    pub(super) speed: String,
    pub(super) rival: String,
    pub(super) cpu: String,
    pub(super) burn: Option<String>,
    pub(super) remark: String,
}

pub(super) fn winner(a: &Analysis, cell: &CellAnalysis) -> Winner {
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
        _ if a.judged_by == Metric::Latency => facts::tail(a, cell).map_or_else(dash, |stats| {
            let show = |ns: f64| Unit::NS.show(ns);
            format!("{} ({} – {})", show(stats.median), show(stats.ci[0]), show(stats.ci[1]))
        }),
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
        remark: remark(a, cell),
    }
}

/// Why there is no verdict, or none that decides; who fell behind the load, where that counts; and who takes no part.
fn remark(a: &Analysis, cell: &CellAnalysis) -> String {
    let behind = facts::behind_words(a, cell).filter(|_| a.judged_by == Metric::Latency);
    let saving = facts::saving(a, cell)
        .map(|ratio| format!("takes {} less CPU than {}: not overlap alone", times(ratio), a.baseline));
    [cell.no_verdict.clone(), behind, saving, facts::unfit_words(a, cell)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}
