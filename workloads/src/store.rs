//! Prepared workloads, kept for as long as a process measures: each is prepared once, however often it is run.
//!
//! A process that visits many cells round after round would otherwise build inputs and open connections within or next
//! to the timed window. The store is used by the worker processes of the process pool, and is open to trials.

use crate::{Spec, Workload, WorkloadError};

/// Workloads that are kept at most; the one that was used longest ago is dropped first.
const KEPT_MAX: usize = 1024;
/// Bytes of inputs that are kept at most. A single workload may exceed it, and is then the only one.
const KEPT_BYTES_MAX: usize = 1 << 29;

/// See the module's comment. Not shared by itself: put a lock around it where threads need that.
#[derive(Debug, Default)]
pub struct Store {
    /// The one used last stands last.
    kept: Vec<(Spec, Workload)>,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: Vec::new() }
    }

    /// The workload of this spec: the one kept, or a new one, which may then share the clients of a kept one of its kind that
    /// has the same server and as many tasks.
    ///
    /// # Errors
    /// As [`Workload::prepare`]; nothing is kept then.
    pub fn get(&mut self, spec: &Spec) -> Result<Workload, WorkloadError> {
        if let Some(place) = self.kept.iter().rposition(|(known, _)| known == spec) {
            // The usual case is the last place, where nothing moves.
            self.kept[place..].rotate_left(1);
            let (_, workload) = &self.kept[self.kept.len() - 1];
            return Ok(workload.clone());
        }
        let relative = self.kept.iter().rev().find(|(known, _)| is_relative(known, spec));
        let workload = Workload::prepare_like(spec, relative.map(|(_, workload)| workload))?;
        self.kept.push((spec.clone(), workload.clone()));
        self.shrink(KEPT_MAX, KEPT_BYTES_MAX);
        Ok(workload)
    }

    /// Drops what was used longest ago until the limits hold, but never the last.
    fn shrink(&mut self, kept_max: usize, bytes_max: usize) {
        let mut bytes: usize = self.kept.iter().map(|(_, workload)| workload.input_bytes()).sum();
        let mut surplus = 0;
        for (_, workload) in &self.kept[..self.kept.len() - 1] {
            if self.kept.len() - surplus <= kept_max && bytes <= bytes_max {
                break;
            }
            bytes -= workload.input_bytes();
            surplus += 1;
        }
        self.kept.drain(..surplus);
    }
}

fn is_relative(known: &Spec, spec: &Spec) -> bool {
    known.kind == spec.kind
        && known.server.is_some()
        && known.server == spec.server
        && known.tasks == spec.tasks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn spec(kind: &str, seed: u64, params: &[(&str, i64)]) -> Spec {
        let params = params.iter().map(|(name, n)| ((*name).to_owned(), Value::Int(*n)));
        let server = (kind == "http").then(|| std::net::SocketAddr::from(([127, 0, 0, 1], 9)));
        Spec { kind: kind.into(), params: params.collect(), tasks: 4, seed, server, spin_per_us: Some(1.0) }
    }

    fn seeds(store: &Store) -> Vec<u64> {
        store.kept.iter().map(|(spec, _)| spec.seed).collect()
    }

    #[test]
    fn a_workload_is_prepared_once() {
        let mut store = Store::new();
        let first = store.get(&spec("cpu", 1, &[])).unwrap();
        let other = store.get(&spec("cpu", 2, &[])).unwrap();
        let again = store.get(&spec("cpu", 1, &[])).unwrap();
        let inputs = |workload: &Workload| match workload.work() {
            crate::kinds::Work::Cpu(cpu) => std::sync::Arc::as_ptr(cpu),
            other => panic!("{other:?}"),
        };
        assert!(inputs(&first) == inputs(&again) && inputs(&first) != inputs(&other));
        assert_eq!(seeds(&store), [2, 1]);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut store = Store::new();
        for seed in 0..KEPT_MAX as u64 {
            store.get(&spec("mixed", seed, &[])).unwrap();
        }
        store.get(&spec("mixed", 0, &[])).unwrap();
        store.get(&spec("mixed", 9999, &[])).unwrap();
        assert_eq!(store.kept.len(), KEPT_MAX);
        assert!(!seeds(&store).contains(&1) && seeds(&store).ends_with(&[0, 9999]));
    }

    #[test]
    fn large_inputs_push_out_others() {
        let mut store = Store::new();
        for seed in 0..4 {
            store.get(&spec("cpu", seed, &[("input_bytes", 1000)])).unwrap();
        }
        store.shrink(4, 4000);
        assert_eq!(seeds(&store), [0, 1, 2, 3]);
        store.shrink(4, 2500);
        assert_eq!(seeds(&store), [2, 3]);
        store.shrink(4, 1);
        assert_eq!(seeds(&store), [3], "the last one stays");
    }

    #[test]
    fn a_wrong_spec_is_not_kept() {
        let mut store = Store::new();
        assert!(store.get(&spec("mixed", 1, &[("cpu_us", -1)])).is_err());
        assert!(store.kept.is_empty());
    }
}
