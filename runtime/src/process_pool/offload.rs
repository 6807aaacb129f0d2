//! [`Offload`]: the same job inline, on the blocking pool, or in a process, by changing one word.

use super::{
    Call, CallError, ProcessPool, Rejection,
    job::{JobFn, Table},
    worker,
};
use crate::{runtime::Handle, task::JoinHandle};
use serde::Serialize;
use std::{
    any::type_name,
    future::Future,
    panic::{self, AssertUnwindSafe},
};

/// Where jobs run. The choice can be made at run time, and changes nothing but the place.
///
/// The three differ in what they cost and in what they survive: `Inline` costs nothing and blocks the executor for as
/// long as the job takes; `Blocking` costs a thread hop; `Processes` costs two copies and a process hop, and survives
/// aborts, endless loops and leaks. Results and panics come out alike: a panic is always [`CallError::Panic`].
///
/// ```no_run
/// use crossover_runtime::process_pool::{CallError, Offload, ProcessPool, job, worker_entry};
///
/// #[job]
/// fn checksum(data: Vec<u8>) -> u64 {
///     data.iter().map(|byte| u64::from(*byte)).sum()
/// }
///
/// async fn checksums(offload: &Offload, files: Vec<Vec<u8>>) -> Result<Vec<u64>, CallError> {
///     futures::future::try_join_all(files.into_iter().map(|file| offload.call(checksum, (file,)))).await
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     worker_entry();
///     let offload = match std::env::args().nth(1).as_deref() {
///         Some("inline") => Offload::Inline,
///         Some("processes") => Offload::Processes(ProcessPool::new()?),
///         _ => Offload::Blocking,
///     };
///     let runtime = crossover_runtime::runtime::Runtime::new()?;
///     let sums = runtime.block_on(checksums(&offload, vec![vec![1, 2], vec![3]]))?;
///     println!("{sums:?}");
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Offload {
    /// In the future itself, at its first poll.
    #[default]
    Inline,
    /// On the blocking pool of the runtime that is current where [`call`](Self::call) is called.
    Blocking,
    /// In a worker of this pool.
    Processes(ProcessPool),
}

impl Offload {
    /// Runs `job` with `arguments`, as [`ProcessPool::call`] does.
    ///
    /// # Errors
    /// As [`ProcessPool::call`] for `Processes`. For the other two: [`CallError::Panic`], without place and backtrace
    /// (the panic hook has printed them); for `Blocking` also [`CallError::Rejected`] with
    /// [`Rejection::NoRuntime`] outside of any runtime, and [`CallError::Cancelled`] when the runtime ends first.
    ///
    /// # Cancel safety
    /// Dropping the future cancels a job that has not started. One that runs on the blocking pool or in a process
    /// goes on, and its result is discarded.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::process_pool::{Offload, job};
    ///
    /// #[job]
    /// fn area(width: u32, height: u32) -> u64 {
    ///     u64::from(width) * u64::from(height)
    /// }
    ///
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// for offload in [Offload::Inline, Offload::Blocking] {
    ///     assert_eq!(offload.call(area, (3, 4)).await.unwrap(), 12);
    /// }
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn call<F, Args>(
        &self,
        job: F,
        arguments: Args,
    ) -> impl Future<Output = Result<F::Output, CallError>> + Send + use<F, Args>
    where
        F: JobFn<Args>,
        Args: Serialize + Send + 'static,
        F::Output: Send + 'static,
    {
        let place = match self {
            Self::Inline => Place::Here(arguments),
            Self::Blocking => match Handle::try_current() {
                Ok(runtime) => Place::Blocking(Awaited(runtime.spawn_blocking(move || run(job, arguments)))),
                Err(_) => Place::Nowhere,
            },
            Self::Processes(pool) => Place::Worker(pool.call(job, arguments)),
        };
        async move {
            match place {
                Place::Here(arguments) => run(job, arguments),
                Place::Blocking(mut thread) => match (&mut thread.0).await {
                    Ok(result) => result,
                    Err(_) => Err(CallError::Cancelled { job: name_of::<F>() }),
                },
                Place::Worker(call) => call.await,
                Place::Nowhere => Err(CallError::Rejected(Rejection::NoRuntime)),
            }
        }
    }
}

/// Where one call has gone.
enum Place<Args, R> {
    Here(Args),
    Blocking(Awaited<Result<R, CallError>>),
    Worker(Call<R>),
    Nowhere,
}

/// A job on the blocking pool that is taken back, unless it has started, when nobody waits for it any more.
struct Awaited<T>(JoinHandle<T>);

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs the job on this thread.
fn run<F: JobFn<Args>, Args>(job: F, arguments: Args) -> Result<F::Output, CallError> {
    // What the job leaves broken is its own: nothing of ours is shared with it.
    panic::catch_unwind(AssertUnwindSafe(|| job.invoke(arguments))).map_err(|payload| {
        let report = worker::take_panic(payload);
        CallError::Panic {
            job: name_of::<F>(),
            message: report.message,
            location: report.location,
            backtrace: report.backtrace,
        }
    })
}

/// The name under which a pool knows the function; its type's where none does.
fn name_of<F: 'static>() -> &'static str {
    Table::get().find::<F>().map_or_else(type_name::<F>, |(_, entry)| entry.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use std::sync::mpsc;

    fn half(x: u32) -> u32 {
        assert!(x.is_multiple_of(2), "{x} is odd");
        x / 2
    }

    fn check(offload: &Offload) {
        assert_eq!(block_on(offload.call(half, (8,))).unwrap(), 4);
        match block_on(offload.call(half, (7,))).unwrap_err() {
            CallError::Panic { message, job, .. } => {
                assert_eq!(message, "7 is odd");
                assert!(job.ends_with("half"), "{job}");
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn inline_and_blocking_give_results_and_panics_alike() {
        check(&Offload::Inline);
        let runtime = crate::runtime::Runtime::new().unwrap();
        let _guard = runtime.enter();
        check(&Offload::Blocking);
    }

    #[test]
    fn blocking_needs_a_runtime() {
        let error = block_on(Offload::Blocking.call(half, (8,))).unwrap_err();
        assert!(matches!(error, CallError::Rejected(Rejection::NoRuntime)), "{error}");
    }

    #[test]
    fn a_dropped_call_does_not_start() {
        let runtime = crate::runtime::Builder::new_multi_thread().max_blocking_threads(1).build().unwrap();
        let _guard = runtime.enter();
        let (sender, gate) = mpsc::channel::<()>();
        let busy = runtime.spawn_blocking(move || gate.recv().is_err());
        let (told, started) = mpsc::channel();
        // Only through a static could a job tell; a closure that is no job will do for the machinery below it.
        let queued = Awaited(runtime.spawn_blocking(move || told.send(())));
        drop(queued);
        drop(sender);
        assert!(runtime.block_on(busy).unwrap());
        assert!(started.recv().is_err(), "it was dropped unrun");
    }
}
