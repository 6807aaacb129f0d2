//! What a worker process of the process pool runs.

use std::sync::{Mutex, PoisonError};

use crossover_runtime::process_pool::{Blob, job};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{Shipped, Spec, Store, Workload};

/// The workloads that this process has prepared. It lives as long as the process: a worker has no other place that
/// outlasts a job.
static PREPARED: Mutex<Store> = Mutex::new(Store::new());

/// Runs one task in a worker process, in blocking style. The first call with a spec prepares its inputs, later ones
/// find them. The error is the text of a [`WorkloadError`](crate::WorkloadError). A task that is planned to crash ends the process.
#[job]
pub fn run_in_worker(spec: Spec, task: u32) -> Result<u64, String> {
    prepared(&spec).and_then(|workload| workload.run_in_worker(task).map_err(|e| e.to_string()))
}

/// What a task did in a worker process, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// The task's digest.
    pub digest: u64,
    /// The worker process.
    pub pid: u32,
    /// When the call began in the worker, by [`monotonic_ns`].
    pub from_ns: u64,
    /// When the call ended in the worker, by [`monotonic_ns`].
    pub to_ns: u64,
}

/// Like [`run_in_worker`], and tells when and where; for runs that are traced, not timed.
#[job]
pub fn trace_in_worker(spec: Spec, task: u32) -> Result<Traced, String> {
    let from_ns = monotonic_ns();
    let digest = run_in_worker(spec, task)?;
    Ok(Traced { digest, pid: std::process::id(), from_ns, to_ns: monotonic_ns() })
}

/// Like [`run_in_worker`] for a task with a [shipment](Workload::shipment): `message` is that. The answer goes back to the
/// caller, who makes the digest of it.
#[job]
pub fn ship_in_worker(spec: Spec, task: u32, message: Blob) -> Result<Shipped, String> {
    prepared(&spec).and_then(|workload| workload.run_shipped(task, &message).map_err(|e| e.to_string()))
}

/// Like [`ship_in_worker`], and tells when and where. The digest told is 0: the caller makes it.
#[job]
pub fn trace_shipped_in_worker(spec: Spec, task: u32, message: Blob) -> Result<(Traced, Shipped), String> {
    let from_ns = monotonic_ns();
    let shipped = ship_in_worker(spec, task, message)?;
    Ok((Traced { digest: 0, pid: std::process::id(), from_ns, to_ns: monotonic_ns() }, shipped))
}

/// Gives back what tasks have leaked in this worker process, see [`give_back`](crate::give_back). Returns the process's id.
#[job]
pub fn give_back_in_worker() -> u32 {
    crate::give_back();
    std::process::id()
}

/// The time of the clock that all processes of a machine share, in nanoseconds from some moment before they began.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Never negative: the clock starts when the machine does.
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The lock is held while a workload is prepared, so that nobody prepares it twice, but not while a task runs. A
/// panic cannot leave the store half changed.
fn prepared(spec: &Spec) -> Result<Workload, String> {
    PREPARED.lock().unwrap_or_else(PoisonError::into_inner).get(spec).map_err(|e| e.to_string())
}
