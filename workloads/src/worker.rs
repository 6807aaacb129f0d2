//! What a worker process of the process pool runs.

use std::sync::{Mutex, PoisonError};

use crossover_runtime::process_pool::job;

use crate::{Spec, Store, Workload};

/// The workloads that this process has prepared. It lives as long as the process: a worker has no other place that
/// outlasts a job.
static PREPARED: Mutex<Store> = Mutex::new(Store::new());

/// Runs one task in a worker process, in blocking style. The first call with a spec prepares its inputs, later ones
/// find them. The error is the text of a [`WorkloadError`](crate::WorkloadError).
#[job]
pub fn run_in_worker(spec: Spec, task: u32) -> Result<u64, String> {
    prepared(&spec).and_then(|workload| workload.run_blocking(task).map_err(|e| e.to_string()))
}

/// The lock is held while a workload is prepared, so that nobody prepares it twice, but not while a task runs. A
/// panic cannot leave the store half changed.
fn prepared(spec: &Spec) -> Result<Workload, String> {
    PREPARED.lock().unwrap_or_else(PoisonError::into_inner).get(spec).map_err(|e| e.to_string())
}
