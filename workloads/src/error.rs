//! What can go wrong with a workload. Every message says what, where (kind, parameter, task) and what to do.

use std::time::Duration;

/// Why a workload could not be prepared, or why one of its tasks failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// The catalog has no workload of this kind.
    #[error("unknown workload kind `{kind}`; known: {known}")]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// The names of all kinds, joined by commas.
        known: String,
    },
    /// A parameter is missing, unknown, of the wrong type or out of range.
    #[error("workload `{kind}`, parameter `{param}`: {reason}")]
    Param {
        /// The workload's kind.
        kind: String,
        /// The parameter's name.
        param: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kind needs a test server, and the spec names none.
    #[error("workload `{kind}` needs the address of a test server (start one with `crossover serve`)")]
    NeedsServer {
        /// The workload's kind.
        kind: String,
    },
    /// The kind needs the speed of this machine's core, and the spec has none that is usable.
    #[error(
        "workload `{kind}` needs `spin_per_us`, a positive number that all strategies share; found {found}"
    )]
    NeedsSpin {
        /// The workload's kind.
        kind: String,
        /// What the spec has in its place.
        found: String,
    },
    /// Something that the inputs need is not to be had: a folder that cannot be written, a database that is not there.
    #[error("workload `{kind}` cannot be prepared: {reason}")]
    Unprepared {
        /// The workload's kind.
        kind: String,
        /// What is missing, and what to do.
        reason: String,
    },
    /// A task that the workload does not have.
    #[error("task {task} does not exist: the workload has {tasks} tasks, numbered from 0")]
    NoSuchTask {
        /// The task asked for.
        task: u32,
        /// How many there are.
        tasks: u32,
    },
    /// No answer of the test server: the connection was refused, reset or closed.
    #[error("task {task}: no answer from the test server at {server}: {reason}")]
    Transport {
        /// The task.
        task: u32,
        /// The server's address.
        server: String,
        /// What the client reports.
        reason: String,
    },
    /// The test server did not answer in time.
    #[error("task {task}: the test server at {server} did not answer within {limit:?}")]
    Timeout {
        /// The task.
        task: u32,
        /// The server's address.
        server: String,
        /// How long the client waited.
        limit: Duration,
    },
    /// The test server answered with a status other than 200.
    #[error("task {task}: the test server at {server} answered with status {status}, expected 200")]
    Status {
        /// The task.
        task: u32,
        /// The server's address.
        server: String,
        /// The status.
        status: u16,
    },
    /// The test server answered 200 with a body that is not this task's.
    #[error("task {task}: the test server at {server} answered with a wrong body: {reason}")]
    Body {
        /// The task.
        task: u32,
        /// The server's address.
        server: String,
        /// How the body differs.
        reason: String,
    },
    /// A file or a database of this process failed, or gave what nobody put there.
    #[error("task {task}: {what} failed: {reason}")]
    Storage {
        /// The task.
        task: u32,
        /// What was tried.
        what: &'static str,
        /// What the system or the database reports.
        reason: String,
    },
    /// A kernel refused its input.
    #[error("task {task}: kernel `{kernel}` failed: {reason}")]
    Kernel {
        /// The task.
        task: u32,
        /// The kernel.
        kernel: &'static str,
        /// What it reports.
        reason: String,
    },
    /// The blocking pool gave no result: the job panicked, or the runtime is shutting down.
    #[error("task {task}: the blocking pool gave no result: {reason}")]
    Offload {
        /// The task.
        task: u32,
        /// What the runtime reports.
        reason: String,
    },
    /// The task crashed on the blocking pool, as it was planned to: see [`Workload::crashed`](crate::Workload::crashed).
    #[error("task {task} crashed, as was planned")]
    Crashed {
        /// The task.
        task: u32,
    },
}

impl WorkloadError {
    /// Whether the spec is at fault, as opposed to a run of the work.
    #[must_use]
    pub fn is_spec(&self) -> bool {
        matches!(
            self,
            Self::UnknownKind { .. }
                | Self::Param { .. }
                | Self::NeedsServer { .. }
                | Self::NeedsSpin { .. }
                | Self::Unprepared { .. }
        )
    }

    /// Whether the test server is at fault: unreachable, late or wrong.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(
            self,
            Self::Transport { .. } | Self::Timeout { .. } | Self::Status { .. } | Self::Body { .. }
        )
    }
}
