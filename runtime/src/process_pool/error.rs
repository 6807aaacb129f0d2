//! What a call can fail with. Every variant names whose fault it was: the pool's state, the values, the
//! job, the caller's own limits, or the worker's death; and its text says what to do about it.

mod text;

use std::{fmt, io, time::Duration};
use text::{At, Bytes, Late};
pub(super) use text::{Death, Tail};

/// Why a call gave no result.
///
/// A job that returns a `Result` is not affected: its error is an ordinary result,
/// `Ok(Err(…))`.
///
/// ```no_run
/// use crossover_runtime::process_pool::{CallError, ProcessPool, job};
///
/// #[job]
/// fn resize(image: Vec<u8>) -> Vec<u8> {
///     image
/// }
///
/// # async fn example(pool: ProcessPool) {
/// match pool.call(resize, (vec![1, 2, 3],)).await {
///     Ok(image) => println!("{} bytes", image.len()),
///     Err(CallError::Panic { message, .. }) => println!("the job panicked: {message}"),
///     Err(CallError::WorkerDied { signal, .. }) => println!("the worker died of signal {signal:?}"),
///     Err(error) if error.is_rejected() => println!("not now: {error}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The pool did not take the call; the job did not run.
    #[error("the call was refused: {0}")]
    Rejected(Rejection),
    /// The function carries no `#[job]` and stands in no [`Registry`](super::Registry) of the pool, so no worker knows
    /// it; nothing ran.
    #[error(
        "`{function}` is not a job of this pool: put `#[crossover_runtime::process_pool::job]` on the function, or name \
         it in the `Registry` that the pool and its workers get"
    )]
    UnknownJob {
        /// The type of what was passed: a function's path, or where a closure stands.
        function: &'static str,
    },
    /// An argument or the result did not encode or decode. The worker lives.
    #[error("job `{job}`: cannot {stage}: {reason}")]
    Codec {
        /// The job's name: a `#[job]` function's path, or what the registry calls it.
        job: &'static str,
        /// Which value, on which side.
        stage: CodecStage,
        /// What the codec, or the limit on frames, had against it.
        reason: String,
    },
    /// The job panicked. The worker lives.
    #[error("job `{job}` panicked{}: {message}", At(.location.as_deref()))]
    Panic {
        /// The job's name.
        job: &'static str,
        /// The panic's message; a fixed text when the payload is not a string.
        message: String,
        /// `file:line:column` of the panic.
        location: Option<String>,
        /// The backtrace in the worker, when `RUST_BACKTRACE` asks for one.
        backtrace: Option<String>,
    },
    /// The caller's patience ran out: in the queue ([`TimedOut::Queued`]: the job never ran) or while it ran
    /// ([`TimedOut::Running`]: its worker was killed and replaced).
    #[error("job `{job}` {}", Late(*.phase, *.after))]
    Timeout {
        /// The job's name.
        job: &'static str,
        /// The allowance that was used up: from the submission for `Queued`, from the job's start for `Running`.
        after: Duration,
        /// Where the job was when it ended.
        phase: TimedOut,
    },
    /// The worker used more memory than [`Builder::memory_limit`](super::Builder::memory_limit) allows while it ran
    /// this job. It was killed and replaced; the job is not retried.
    #[error(
        "job `{job}` brought its worker to {} of memory, and {} are allowed (`Builder::memory_limit`): it was killed; \
         give it less to do at a time, or raise the limit",
        Bytes(*.used), Bytes(*.limit)
    )]
    MemoryLimit {
        /// The job's name.
        job: &'static str,
        /// What a worker may use, in bytes.
        limit: u64,
        /// What the worker used when it was last looked at, in bytes.
        used: u64,
    },
    /// The job was running when the pool was dropped, or when the deadline of
    /// [`close`](super::ProcessPool::close) passed. Its worker was killed.
    #[error(
        "job `{job}` was running when the process pool shut down, and was killed (`close` with a longer deadline lets it finish)"
    )]
    Cancelled {
        /// The job's name.
        job: &'static str,
    },
    /// The worker died while it ran this job. The pool goes on with a new worker; the job, which may have had effects
    /// already, is run again only if the call said so ([`Call::retry`](super::Call::retry)), and then only once.
    #[error("the worker died while it ran job `{job}`: {}{}", Death(*.signal, *.code), Tail(.stderr_tail))]
    WorkerDied {
        /// The job's name.
        job: &'static str,
        /// The signal that killed the worker (9 is SIGKILL), if one did.
        signal: Option<i32>,
        /// The worker's exit code, if it exited. With neither, the status is unknown: someone else
        /// reaped the process.
        code: Option<i32>,
        /// The last bytes that the worker wrote to stderr (at most 16 KiB), over its whole life: lines of earlier
        /// jobs may stand before those of this one.
        stderr_tail: String,
        /// How many jobs the worker had answered before.
        jobs_served: u64,
    },
    /// No worker could be started, or none lived until the job could be sent: it did not run. The source tells how the
    /// last attempt failed.
    #[error("cannot start a worker process: {0}")]
    Spawn(#[source] io::Error),
}

/// Why the pool did not take a call.
///
/// ```
/// use crossover_runtime::process_pool::{CallError, Rejection};
///
/// let error = CallError::Rejected(Rejection::Full);
/// println!("{error}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The queue is full; only [`try_call`](super::ProcessPool::try_call) refuses for that.
    Full,
    /// The pool was closed or dropped.
    Closed,
    /// Workers keep dying before they are ready. After a pause the pool tries again by itself.
    BreakerOpen,
    /// [`Offload::Blocking`](super::Offload::Blocking) was asked outside of any runtime.
    NoRuntime,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the pool's queue is full (await `call`, or raise `Builder::queue_limit`)",
            Self::Closed => "the pool is closed",
            Self::BreakerOpen => {
                "the pool's workers keep dying before they are ready; it tries again after a pause (`warm_up` tells the cause)"
            }
            Self::NoRuntime => {
                "`Offload::Blocking` needs a runtime of this crate on the thread that calls (another crate's does not do)"
            },
        })
    }
}

/// Where a job was when its time ran out.
///
/// ```no_run
/// use crossover_runtime::process_pool::{CallError, TimedOut};
///
/// fn may_have_had_effects(error: &CallError) -> bool {
///     !matches!(error, CallError::Timeout { phase: TimedOut::Queued, .. })
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimedOut {
    /// It had not started, and never will.
    Queued,
    /// It ran, and was killed with its worker.
    Running,
}

/// Which value failed to cross between the processes.
///
/// ```
/// use crossover_runtime::process_pool::CodecStage;
///
/// println!("cannot {}", CodecStage::EncodeArguments);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecStage {
    /// The caller could not encode the arguments: nothing ran.
    EncodeArguments,
    /// The worker could not decode the arguments: nothing ran.
    DecodeArguments,
    /// The worker could not encode the result: the job ran.
    EncodeResult,
    /// The caller could not decode the result: the job ran.
    DecodeResult,
}

impl CodecStage {
    /// The number that stands for the stage in a frame.
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Self::EncodeArguments => 0,
            Self::DecodeArguments => 1,
            Self::EncodeResult => 2,
            Self::DecodeResult => 3,
        }
    }

    /// The stage that a worker reports: one of the two that happen on its side.
    pub(super) fn from_worker(byte: u8) -> Self {
        if byte == Self::DecodeArguments.to_byte() { Self::DecodeArguments } else { Self::EncodeResult }
    }
}

impl fmt::Display for CodecStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EncodeArguments => "encode the arguments",
            Self::DecodeArguments => "decode the arguments in the worker",
            Self::EncodeResult => "encode the result in the worker",
            Self::DecodeResult => "decode the result",
        })
    }
}

impl CallError {
    /// The same error for another item of the same chunk.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Rejected(rejection) => Self::Rejected(*rejection),
            Self::UnknownJob { function } => Self::UnknownJob { function },
            Self::Codec { job, stage, reason } => Self::Codec { job, stage: *stage, reason: reason.clone() },
            Self::Panic { job, message, location, backtrace } => Self::Panic {
                job,
                message: message.clone(),
                location: location.clone(),
                backtrace: backtrace.clone(),
            },
            Self::Timeout { job, after, phase } => Self::Timeout { job, after: *after, phase: *phase },
            Self::MemoryLimit { job, limit, used } => Self::MemoryLimit { job, limit: *limit, used: *used },
            Self::Cancelled { job } => Self::Cancelled { job },
            Self::WorkerDied { job, signal, code, stderr_tail, jobs_served } => Self::WorkerDied {
                job,
                signal: *signal,
                code: *code,
                stderr_tail: stderr_tail.clone(),
                jobs_served: *jobs_served,
            },
            Self::Spawn(error) => Self::Spawn(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// The pool refused the call for a reason of its own state.
    ///
    /// ```
    /// use crossover_runtime::process_pool::{CallError, Rejection};
    ///
    /// assert!(CallError::Rejected(Rejection::Closed).is_rejected());
    /// ```
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// The queue was full.
    ///
    /// ```
    /// use crossover_runtime::process_pool::{CallError, Rejection};
    ///
    /// assert!(CallError::Rejected(Rejection::Full).is_full());
    /// ```
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Rejected(Rejection::Full))
    }

    /// The pool was closed or dropped before the job started.
    ///
    /// ```
    /// use crossover_runtime::process_pool::{CallError, Rejection};
    ///
    /// assert!(CallError::Rejected(Rejection::Closed).is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Rejected(Rejection::Closed))
    }

    /// The pool has stopped starting workers for a while.
    ///
    /// ```
    /// use crossover_runtime::process_pool::{CallError, Rejection};
    ///
    /// assert!(CallError::Rejected(Rejection::BreakerOpen).is_breaker_open());
    /// ```
    pub fn is_breaker_open(&self) -> bool {
        matches!(self, Self::Rejected(Rejection::BreakerOpen))
    }

    /// A value did not encode or decode.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// fn is_our_fault(error: &CallError) -> bool {
    ///     error.is_codec()
    /// }
    /// ```
    pub fn is_codec(&self) -> bool {
        matches!(self, Self::Codec { .. })
    }

    /// The job panicked.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// fn may_be_tried_again(error: &CallError) -> bool {
    ///     !error.is_panic() && !error.is_codec()
    /// }
    /// ```
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panic { .. })
    }

    /// The job ran out of time, queued or running: the variant's `phase` tells.
    ///
    /// ```
    /// use crossover_runtime::process_pool::{CallError, TimedOut};
    ///
    /// let after = std::time::Duration::from_secs(1);
    /// let late = CallError::Timeout { job: "app::resize", after, phase: TimedOut::Queued };
    /// assert!(late.is_timeout());
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// The worker used too much memory under the job.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// let hog = CallError::MemoryLimit { job: "app::resize", limit: 64 << 20, used: 80 << 20 };
    /// assert!(hog.is_memory_limit());
    /// ```
    pub fn is_memory_limit(&self) -> bool {
        matches!(self, Self::MemoryLimit { .. })
    }

    /// The function is no job of the pool.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// let unknown = CallError::UnknownJob { function: "app::resize" };
    /// assert!(unknown.is_unknown_job());
    /// ```
    pub fn is_unknown_job(&self) -> bool {
        matches!(self, Self::UnknownJob { .. })
    }

    /// The pool was shut down over the running job.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// assert!(CallError::Cancelled { job: "app::resize" }.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }

    /// The worker died under the job.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// fn log(error: &CallError) {
    ///     if error.is_worker_died() {
    ///         eprintln!("{error}"); // with the signal, and what it wrote last
    ///     }
    /// }
    /// ```
    pub fn is_worker_died(&self) -> bool {
        matches!(self, Self::WorkerDied { .. })
    }

    /// No worker could be started.
    ///
    /// ```
    /// use crossover_runtime::process_pool::CallError;
    ///
    /// assert!(CallError::Spawn(std::io::ErrorKind::OutOfMemory.into()).is_spawn());
    /// ```
    pub fn is_spawn(&self) -> bool {
        matches!(self, Self::Spawn(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_of_a_worker_survive_the_frame() {
        for stage in [CodecStage::DecodeArguments, CodecStage::EncodeResult] {
            assert_eq!(CodecStage::from_worker(stage.to_byte()), stage);
        }
    }
}
