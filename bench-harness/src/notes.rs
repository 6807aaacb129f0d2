//! What is worth knowing about an experiment before it is measured, and that nothing else would tell: who is missing, and
//! limits of the system that it would run into.
use rustix::process::{Resource, getrlimit};

use crate::config::{Experiment, Value};

/// Files that a process has open beside its connections: pipes, sockets of the runtime, `/proc`.
const FILES_BESIDE: u64 = 16;

/// The sentences to say before `exp` is measured or planned; none where it is as it should be.
#[must_use]
pub fn notes(exp: &Experiment) -> Vec<String> {
    let skipped = exp.strategies.skipped.iter().map(|(name, reason)| format!("skipped: {name}: {reason}"));
    skipped.chain(too_many_files(exp, files_limit())).collect()
}

/// How many files a process may have open at most: `None` where there is no limit. Trials and the test server raise
/// their own limit to this one.
#[must_use]
pub fn files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// What to do about too few files.
#[must_use]
pub fn more_files() -> String {
    let limit = files_limit().map_or("no number of".to_owned(), |limit| limit.to_string());
    format!(
        "a process may have {limit} files open here, and each task that waits for the test server needs one on either \
         side: raise the hard limit (ulimit -Hn, as root) or set fewer tasks"
    )
}

/// The sentence for an experiment whose test server would need more than `limit` open files.
fn too_many_files(exp: &Experiment, limit: Option<u64>) -> Option<String> {
    if !crossover_workloads::Workload::needs_server(&exp.workload.kind) {
        return None;
    }
    let limit = limit?;
    let axis = exp.workload.axes.iter().find(|axis| axis.param == "tasks");
    let constant = exp.workload.constants.get("tasks").map_or(&[][..], std::slice::from_ref);
    let values = axis.map_or(constant, |axis| &axis.values);
    let tasks = values.iter().filter_map(Value::as_f64).fold(0.0, f64::max) as u64;
    // Connections are kept alive in every trial process of a round. What an external program does is its own matter.
    let connections = |name: &String| {
        let limits = exp.strategies.limits_of(name)?;
        Some(limits.concurrency_cap.map_or(tasks, |cap| tasks.min(cap.into())))
    };
    let needed: u64 = exp.strategies.include.iter().filter_map(connections).sum::<u64>() + FILES_BESIDE;
    (needed > limit).then(|| {
        format!(
            "{tasks} tasks under these strategies need about {needed} open files in the test server, and the hard limit \
             is {limit}: expect failures; raise it (ulimit -Hn, as root) or set fewer tasks"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn experiment(kind: &str, tasks: &str) -> Experiment {
        let text = format!(
            "schema = 1\n[experiment]\nname = \"t\"\n[workload]\nkind = \"{kind}\"\ntasks = {tasks}\n{}\n\
             [strategies]\ninclude = [\"sequential\", \"event-loop\", \"threads\"]\nworkers = 2\n",
            if kind == "http" { "delay_ms = 1" } else { "cpu_us = 1" }
        );
        Experiment::parse(&text, "t.toml", Path::new("/")).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn too_many_files_are_counted_at_the_server() {
        // One connection of the sequential strategy, two of the threads', one per task of the event loop.
        let http = experiment("http", "[1, 600]");
        let said = too_many_files(&http, Some(618)).unwrap();
        assert!(
            said.contains("600 tasks") && said.contains("619") && said.contains("limit is 618"),
            "{said}"
        );
        assert_eq!(too_many_files(&http, Some(619)), None);
        assert_eq!(too_many_files(&http, None), None);
        assert!(too_many_files(&experiment("http", "600"), Some(128)).is_some());
        assert_eq!(too_many_files(&experiment("mixed", "600"), Some(128)), None);
    }
}
