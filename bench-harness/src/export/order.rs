//! The order of measuring as a trace: blocks, samples by strategy, and the foreign load of each block as a counter.
//!
//! Samples carry no time of day. They are laid end to end, each as long as it took (`batch` runs of `wall_ns`), so the time
//! between them is not there, and the order and the proportions are.
use crossover_reports::record::Sample;
use serde_json::json;

use crate::trace::chrome::Chrome;

/// Adds the samples of a run as a process with a thread of blocks and one per strategy.
pub(super) fn add(chrome: &mut Chrome, name: &str, samples: &[Sample]) {
    let mut ordered: Vec<&Sample> = samples.iter().collect();
    ordered.sort_by_key(|sample| sample.order);
    let mut strategies: Vec<&str> = ordered.iter().map(|sample| sample.strategy.as_str()).collect();
    strategies.sort_unstable();
    strategies.dedup();
    let process = chrome.process(&format!("{name} · order of measuring"));
    chrome.thread(process, 0, "blocks");
    for (number, strategy) in (1..).zip(&strategies) {
        chrome.thread(process, number, strategy);
    }
    let mut at: u64 = 0;
    for block in ordered.chunk_by(|a, b| key(a) == key(b)) {
        let (first, start) = (block[0], at);
        chrome.counter(process, "foreign cores", start, first.foreign_cores);
        if let Some(pressure) = first.psi_cpu {
            chrome.counter(process, "CPU pressure, percent", start, pressure);
        }
        for sample in block {
            let end = at.saturating_add(sample.wall_ns.saturating_mul(sample.batch.into()));
            let thread =
                strategies.iter().zip(1..).find(|(name, _)| **name == sample.strategy).map_or(0, |(_, n)| n);
            let args = json!({
                "order": sample.order, "batch": sample.batch, "wall_ns": sample.wall_ns, "ok": sample.ok,
                "user_ns": sample.user_ns, "sys_ns": sample.sys_ns,
            });
            chrome.slice(process, thread, &sample.cell, [at, end], args);
            at = end;
        }
        let title = format!("process round {}, round {}", first.process + 1, first.round + 1);
        let args = json!({ "foreign_cores": first.foreign_cores, "quarantined": first.quarantined });
        chrome.slice(process, 0, &title, [start, at], args);
    }
}

/// What the samples of one attempt at a block share.
fn key(sample: &Sample) -> (u32, u32, Option<&str>) {
    (sample.process, sample.round, sample.quarantined.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_end_to_end_and_blocks_span_theirs() {
        let line = r#"{"schema":1,"run":"r-1","cell":"n=1","params":{"n":1},"strategy":"threads","process":0,"round":1,"order":2,"seed":42,"batch":2,"tasks":8,"wall_ns":1000,"foreign_cores":0.25,"ok":true}"#;
        let late: Sample = serde_json::from_str(line).unwrap();
        let early = Sample { strategy: "sequential".into(), order: 1, wall_ns: 500, ..late.clone() };
        let mut chrome = Chrome::default();
        add(&mut chrome, "demo", &[late, early]);
        let text = chrome.render();
        let about = text.lines().filter(|line| !line.contains("\"ph\":\"M\"")).collect::<Vec<_>>().join("\n");
        let expected = r#"{"displayTimeUnit":"ns","traceEvents":[
{"ph":"C","pid":1,"tid":0,"name":"foreign cores","ts":0.0,"args":{"value":0.25}},
{"ph":"X","pid":1,"tid":2,"name":"n=1","ts":0.0,"dur":1.0,"args":{"order":1,"batch":2,"wall_ns":500,"ok":true,"user_ns":0,"sys_ns":0}},
{"ph":"X","pid":1,"tid":3,"name":"n=1","ts":1.0,"dur":2.0,"args":{"order":2,"batch":2,"wall_ns":1000,"ok":true,"user_ns":0,"sys_ns":0}},
{"ph":"X","pid":1,"tid":1,"name":"process round 1, round 2","ts":0.0,"dur":3.0,"args":{"foreign_cores":0.25,"quarantined":null}}
]}"#;
        assert_eq!(about, expected);
        assert!(text.contains(r#""args":{"name":"demo · order of measuring"}"#));
    }
}
