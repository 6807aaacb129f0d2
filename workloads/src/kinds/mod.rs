//! The kinds of workloads: what each has to bring, and the table of all of them.
//!
//! A kind is a type that implements [`Kind`] and a line in the table below; the catalog, the checks, the estimates and
//! every strategy find it by that line. Dispatch is a `match`, not a virtual call: the futures of [`Kind::run_async`] need
//! no allocation, so that a task that does nothing costs what its strategy costs. The price is that the future of every
//! task is as large as that of the largest kind; one above [`FUTURE_BYTES_MAX`] boxes itself, which beside I/O is nothing.

use std::future::Future;
use std::sync::Arc;

use crossover_runtime::process_pool::Blob;
use crossover_runtime::task::JoinError;
use serde::{Deserialize, Serialize};

use crate::catalog::KindInfo;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

mod beside;
mod blocker;
mod cpu;
mod crash;
mod echo;
mod empty;
mod file;
mod gateway;
mod http;
mod idle;
mod leak;
mod lines;
mod mixed;
mod payload;
mod postgres;
mod queue;
mod scraper;
mod scratch;
mod skewed;
mod sqlite;
mod stamp;
mod tokio_io;
mod waiting;
mod websocket;

pub use http::server;
pub use leak::give_back;
pub use mixed::calibrate_spin;

/// The largest future that [`Kind::run_async`] may return as it is.
#[cfg(test)]
const FUTURE_BYTES_MAX: usize = 256;

/// What a kind of workload brings: inputs that are prepared once, and one task in each style.
///
/// All styles do the same work: the same computing on the same input with the same allocations, and the same digest. What
/// differs is who waits: a thread, a task, or a thread of the blocking pool.
pub(crate) trait Kind: std::fmt::Debug + Send + Sync + Sized + 'static {
    /// Its place in the catalog.
    const INFO: KindInfo;

    /// Whether a prepared workload keeps connections to another process, which are opened as they are needed.
    const KEEPS_CONNECTIONS: bool = Self::INFO.needs_server;

    /// Whether all tasks of a run wait for one moment, however many of them a strategy has at once.
    const WAITS_TOGETHER: bool = false;

    /// Builds the inputs; not timed. `relative` is an earlier workload of this kind with the same server and as many tasks,
    /// whose clients may be shared.
    ///
    /// # Errors
    /// Those of [`WorkloadError::is_spec`], or why the inputs could not be built.
    fn prepare(setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError>;

    /// One task in blocking style: waits block the calling thread.
    ///
    /// # Errors
    /// What the work can meet.
    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError>;

    /// One task in async style on the runtime `R`: waits are awaited, computing happens inline. Dropping the future ends the task; what it had
    /// in hand (a connection, a file) is closed.
    ///
    /// # Errors
    /// What the work can meet.
    fn run_async<R: AsyncRuntime>(
        &self,
        task: u32,
    ) -> impl Future<Output = Result<u64, WorkloadError>> + Send;

    /// One task from async code with every blocking or heavy part on the blocking pool, within `around`: see
    /// [`Workload::run_offloaded_within`](crate::Workload::run_offloaded_within). As it stands here the whole task goes there.
    ///
    /// # Errors
    /// What the work can meet, and [`WorkloadError::Offload`].
    fn run_offloaded<G>(
        self: &Arc<Self>,
        task: u32,
        around: impl FnOnce() -> G + Send + 'static,
    ) -> impl Future<Output = Result<u64, WorkloadError>> + Send {
        let this = Arc::clone(self);
        offload(task, around, move || this.run_blocking(task))
    }

    /// One task in a worker process, in blocking style.
    ///
    /// # Errors
    /// What the work can meet.
    fn run_in_worker(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    /// Whether any of the tasks is planned to crash.
    fn may_crash(&self) -> bool {
        false
    }

    /// The digest of a task that is planned to crash; `None` for all others.
    fn crash_digest(&self, _task: u32) -> Option<u64> {
        None
    }

    /// Whether its tasks leave something behind that is to be given back by [`give_back`].
    fn leaks(&self) -> bool {
        false
    }

    /// What has to be sent along to a worker process for this task; `None` where a worker has all that it needs.
    fn shipment(&self, _task: u32) -> Option<Blob> {
        None
    }

    /// One task in a worker process that was sent the shipment `message`.
    ///
    /// # Errors
    /// What the work can meet.
    fn run_shipped(&self, task: u32, _message: &Blob) -> Result<Shipped, WorkloadError> {
        Ok(Shipped { part: self.run_in_worker(task)?, answer: Blob::default() })
    }

    /// Reads what came back from [`run_shipped`](Self::run_shipped), and makes the task's digest.
    fn unpack(&self, _task: u32, shipped: &Shipped) -> u64 {
        shipped.part
    }

    /// What one task takes when it runs alone, in µs: rough, from the parameters alone, which need not be valid.
    fn estimate_us(params: &Params) -> f64;

    /// Bytes that the inputs take.
    fn input_bytes(&self) -> usize {
        0
    }

    /// Whether what the kind needs from outside of the suite is there: looked at before a run begins.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    fn available() -> Result<(), String> {
        Ok(())
    }
}

/// What a worker process gives back for a task that was sent a shipment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// What the worker computed: a part of the digest, or all of it where nothing is shipped.
    pub part: u64,
    /// Its answer, which the caller reads.
    pub answer: Blob,
}

/// Runs `work` on the blocking pool. `around` is called there first; what it gives is dropped when `work` has ended.
///
/// # Errors
/// Those of `work`, and [`WorkloadError::Offload`] when the pool gives no result.
pub(crate) async fn offload<G>(
    task: u32,
    around: impl FnOnce() -> G + Send + 'static,
    work: impl FnOnce() -> Result<u64, WorkloadError> + Send + 'static,
) -> Result<u64, WorkloadError> {
    let handle = crossover_runtime::spawn_blocking(move || {
        let _around = around();
        work()
    });
    handle.await.unwrap_or_else(|error| Err(not_back(task, error)))
}

/// Why the blocking pool has no result. A task that was planned to crash there did not fail.
fn not_back(task: u32, error: JoinError) -> WorkloadError {
    let reason = error.to_string();
    match error.try_into_panic() {
        Ok(payload) if payload.is::<PlannedCrash>() => WorkloadError::Crashed { task },
        _ => WorkloadError::Offload { task, reason },
    }
}

/// What a task that is planned to crash panics with.
#[derive(Debug)]
pub(crate) struct PlannedCrash {
    /// The task.
    pub(crate) task: u32,
}

/// Makes the table: the catalog's list, and the type that holds a prepared workload of any kind.
macro_rules! kinds {
    ($($variant:ident: $kind:ty),+ $(,)?) => {
        /// Every kind of workload.
        pub(crate) const KINDS: &[KindInfo] = &[$(<$kind as Kind>::INFO),+];

        /// A prepared workload of any kind.
        #[derive(Clone, Debug)]
        pub(crate) enum Work {
            $($variant(Arc<$kind>)),+
        }

        impl Work {
            /// See [`Kind::prepare`]. The setup's kind must be in the table.
            pub(crate) fn prepare(kind: &KindInfo, setup: &Setup<'_>, relative: Option<&Self>) -> Result<Self, WorkloadError> {
                $(if kind.name == <$kind as Kind>::INFO.name {
                    let relative = match relative {
                        Some(Self::$variant(work)) => Some(&**work),
                        _ => None,
                    };
                    return <$kind as Kind>::prepare(setup, relative).map(|work| Self::$variant(Arc::new(work)));
                })+
                Err(crate::catalog::unknown(kind.name))
            }

            /// See [`Kind::run_blocking`].
            pub(crate) fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
                match self { $(Self::$variant(work) => work.run_blocking(task)),+ }
            }

            /// See [`Kind::run_async`].
            pub(crate) async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
                match self { $(Self::$variant(work) => work.run_async::<R>(task).await),+ }
            }

            /// See [`Kind::run_offloaded`].
            pub(crate) async fn run_offloaded<G>(
                &self,
                task: u32,
                around: impl FnOnce() -> G + Send + 'static,
            ) -> Result<u64, WorkloadError> {
                match self { $(Self::$variant(work) => work.run_offloaded(task, around).await),+ }
            }

            /// See [`Kind::run_in_worker`].
            pub(crate) fn run_in_worker(&self, task: u32) -> Result<u64, WorkloadError> {
                match self { $(Self::$variant(work) => work.run_in_worker(task)),+ }
            }

            /// See [`Kind::may_crash`].
            pub(crate) fn may_crash(&self) -> bool {
                match self { $(Self::$variant(work) => work.may_crash()),+ }
            }

            /// See [`Kind::crash_digest`].
            pub(crate) fn crash_digest(&self, task: u32) -> Option<u64> {
                match self { $(Self::$variant(work) => work.crash_digest(task)),+ }
            }

            /// See [`Kind::leaks`].
            pub(crate) fn leaks(&self) -> bool {
                match self { $(Self::$variant(work) => work.leaks()),+ }
            }

            /// See [`Kind::shipment`].
            pub(crate) fn shipment(&self, task: u32) -> Option<Blob> {
                match self { $(Self::$variant(work) => work.shipment(task)),+ }
            }

            /// See [`Kind::run_shipped`].
            pub(crate) fn run_shipped(&self, task: u32, message: &Blob) -> Result<Shipped, WorkloadError> {
                match self { $(Self::$variant(work) => work.run_shipped(task, message)),+ }
            }

            /// See [`Kind::unpack`].
            pub(crate) fn unpack(&self, task: u32, shipped: &Shipped) -> u64 {
                match self { $(Self::$variant(work) => work.unpack(task, shipped)),+ }
            }

            /// See [`Kind::input_bytes`].
            pub(crate) fn input_bytes(&self) -> usize {
                match self { $(Self::$variant(work) => work.input_bytes()),+ }
            }
        }

        /// See [`Kind::estimate_us`]; 0 for a kind that is not in the table.
        pub(crate) fn estimate_us(kind: &str, params: &Params) -> f64 {
            $(if kind == <$kind as Kind>::INFO.name {
                return <$kind as Kind>::estimate_us(params);
            })+
            0.0
        }

        /// See [`Kind::KEEPS_CONNECTIONS`]; a kind that is not in the table keeps nothing.
        pub(crate) fn keeps_connections(kind: &str) -> bool {
            $(if kind == <$kind as Kind>::INFO.name {
                return <$kind as Kind>::KEEPS_CONNECTIONS;
            })+
            false
        }

        /// See [`Kind::WAITS_TOGETHER`]; `false` for a kind that is not in the table.
        pub(crate) fn waits_together(kind: &str) -> bool {
            $(if kind == <$kind as Kind>::INFO.name {
                return <$kind as Kind>::WAITS_TOGETHER;
            })+
            false
        }

        /// See [`Kind::available`]; nothing is missing of a kind that is not in the table.
        pub(crate) fn available(kind: &str) -> Result<(), String> {
            $(if kind == <$kind as Kind>::INFO.name {
                return <$kind as Kind>::available();
            })+
            Ok(())
        }

        /// The size of each kind's own future.
        #[cfg(test)]
        fn future_sizes() -> Vec<(&'static str, usize)> {
            fn size<K: Kind, F>(_: impl Fn(&'static K) -> F) -> (&'static str, usize) {
                (K::INFO.name, size_of::<F>())
            }
            vec![$(size(|work: &'static $kind| work.run_async::<crate::Crossover>(0))),+]
        }
    };
}

kinds! {
    Http: http::Http,
    Cpu: cpu::Cpu,
    Mixed: mixed::Mixed,
    Empty: empty::Empty,
    Waiting: waiting::Waiting,
    Payload: payload::Payload,
    Skewed: skewed::Skewed,
    Blocker: blocker::Blocker,
    Crash: crash::Crash,
    Leak: leak::Leak,
    Echo: echo::Echo,
    Gateway: gateway::Gateway,
    Scraper: scraper::Scraper,
    Lines: lines::Lines,
    Websocket: websocket::Chat,
    Queue: queue::Queue,
    File: file::Files,
    Sqlite: sqlite::Sqlite,
    Postgres: postgres::Postgres,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_makes_the_tasks_of_all_others_large() {
        for (kind, bytes) in future_sizes() {
            println!("{kind}: {bytes} bytes");
            assert!(bytes <= FUTURE_BYTES_MAX, "the future of `{kind}` has {bytes} bytes: box it");
        }
    }
}
