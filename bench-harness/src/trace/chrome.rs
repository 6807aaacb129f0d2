//! Traces in the format of Chrome's trace viewer, which Perfetto (<https://ui.perfetto.dev>) and `chrome://tracing` load.
//!
//! Each traced run is a process, each of its workers a thread, each segment a slice on it. A task is a pair of
//! asynchronous slices, `queued` (handed over, not started) and `in progress`, beside the workers. All runs start at 0.
use crossover_reports::record::Timeline;
use serde_json::{Value, json};

/// Collects events; the same calls give the same bytes.
#[derive(Debug, Default)]
pub struct Chrome {
    events: Vec<Value>,
    processes: u64,
}

/// A process of the trace: what shares a name and a set of threads.
#[derive(Clone, Copy, Debug)]
pub struct Process(u64);

impl Chrome {
    /// Adds a process, shown below those before it.
    pub fn process(&mut self, name: &str) -> Process {
        self.processes += 1;
        let pid = self.processes;
        self.about(pid, 0, "process_name", json!({ "name": name }));
        self.about(pid, 0, "process_sort_index", json!({ "sort_index": pid }));
        Process(pid)
    }

    /// Names the thread `number` of `process`; threads are shown in the order of their numbers.
    pub fn thread(&mut self, process: Process, number: u64, name: &str) {
        // Thread 0 would be taken for the process's own.
        self.about(process.0, number + 1, "thread_name", json!({ "name": name }));
        self.about(process.0, number + 1, "thread_sort_index", json!({ "sort_index": number }));
    }

    fn about(&mut self, pid: u64, tid: u64, what: &str, args: Value) {
        self.events.push(json!({ "ph": "M", "pid": pid, "tid": tid, "name": what, "args": args }));
    }

    /// Adds a slice to a thread.
    pub fn slice(&mut self, process: Process, thread: u64, name: &str, span_ns: [u64; 2], args: Value) {
        let [from, to] = span_ns;
        self.events.push(json!({
            "ph": "X", "pid": process.0, "tid": thread + 1, "name": name,
            "ts": micros(from), "dur": micros(to.saturating_sub(from)), "args": args,
        }));
    }

    /// Adds a slice that belongs to no thread; those of one `id` are shown together.
    fn floating(&mut self, process: Process, id: u64, name: &str, span_ns: [u64; 2]) {
        for (phase, at) in ["b", "e"].into_iter().zip(span_ns) {
            self.events.push(json!({
                "ph": phase, "pid": process.0, "tid": 0, "cat": "task", "id": format!("{}.{id}", process.0),
                "name": name, "ts": micros(at),
            }));
        }
    }

    /// Sets the counter `name` of a process from `at_ns` on.
    pub fn counter(&mut self, process: Process, name: &str, at_ns: u64, value: f64) {
        self.events.push(json!({
            "ph": "C", "pid": process.0, "tid": 0, "name": name, "ts": micros(at_ns), "args": { "value": value },
        }));
    }

    /// Adds a traced run as a process of its own.
    pub fn timeline(&mut self, timeline: &Timeline) {
        let cut = if timeline.truncated { " (cut short)" } else { "" };
        let process = self.process(&format!("{} · {}{cut}", timeline.strategy, timeline.cell));
        for (number, name) in (0..).zip(&timeline.workers) {
            self.thread(process, number, name);
        }
        for &[task, worker, from, to] in &timeline.segments {
            self.slice(process, worker, &format!("task {task}"), [from, to], json!({ "task": task }));
        }
        for &[task, handed, started, ended] in &timeline.tasks {
            let started = started.max(handed);
            self.floating(process, task, &format!("task {task} queued"), [handed, started]);
            self.floating(process, task, &format!("task {task} in progress"), [started, ended.max(started)]);
        }
    }

    /// The whole trace as JSON, an event per line.
    #[must_use]
    pub fn render(&self) -> String {
        let lines: Vec<String> = self.events.iter().map(Value::to_string).collect();
        format!("{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
    }
}

/// Chrome counts in microseconds, which may be broken.
fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Trace;
    use crate::trace::timeline;

    #[test]
    fn a_timeline_is_a_process_with_its_workers() {
        let trace = Trace {
            workers: vec!["main".into(), "worker 0".into()],
            tasks: vec![[4, 10, 1500, 3000]],
            segments: vec![[4, 1, 1500, 3000]],
            ..Trace::default()
        };
        let mut chrome = Chrome::default();
        chrome.timeline(&timeline("r-1", "n=1", "threads", 4000, trace));
        let expected = r#"{"displayTimeUnit":"ns","traceEvents":[
{"ph":"M","pid":1,"tid":0,"name":"process_name","args":{"name":"threads · n=1"}},
{"ph":"M","pid":1,"tid":0,"name":"process_sort_index","args":{"sort_index":1}},
{"ph":"M","pid":1,"tid":1,"name":"thread_name","args":{"name":"main"}},
{"ph":"M","pid":1,"tid":1,"name":"thread_sort_index","args":{"sort_index":0}},
{"ph":"M","pid":1,"tid":2,"name":"thread_name","args":{"name":"worker 0"}},
{"ph":"M","pid":1,"tid":2,"name":"thread_sort_index","args":{"sort_index":1}},
{"ph":"X","pid":1,"tid":2,"name":"task 4","ts":1.5,"dur":1.5,"args":{"task":4}},
{"ph":"b","pid":1,"tid":0,"cat":"task","id":"1.4","name":"task 4 queued","ts":0.01},
{"ph":"e","pid":1,"tid":0,"cat":"task","id":"1.4","name":"task 4 queued","ts":1.5},
{"ph":"b","pid":1,"tid":0,"cat":"task","id":"1.4","name":"task 4 in progress","ts":1.5},
{"ph":"e","pid":1,"tid":0,"cat":"task","id":"1.4","name":"task 4 in progress","ts":3.0}
]}
"#;
        assert_eq!(chrome.render(), expected);
    }

    #[test]
    fn hostile_names_stay_inside_their_strings() {
        let mut chrome = Chrome::default();
        let process = chrome.process("a\"b\n\u{1}");
        chrome.counter(process, "foreign\\cores", 7, 0.25);
        let json: Value = serde_json::from_str(&chrome.render()).unwrap();
        assert_eq!(json["traceEvents"][0]["args"]["name"], "a\"b\n\u{1}");
        assert_eq!(json["traceEvents"][2]["args"]["value"], 0.25);
    }
}
