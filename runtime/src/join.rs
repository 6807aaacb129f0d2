//! Scoped fork-join: [`join`] runs two closures that may borrow from the caller, in parallel if a worker is free.
//!
//! On a worker the second closure is offered to thieves from the caller's stack, the first one runs, and then the second
//! one too, if nobody took it: the common case costs a push and a pop of the worker's own deque. Else the worker waits
//! for the thief, and meanwhile runs only what descends from the stolen closure.
//!
//! `job` is the job on the stack and its latch, `hub` where jobs stand, who takes them and who wakes whom; their docs hold
//! the proofs. This file owns the algorithm, its panics, and what happens on other threads.

pub(crate) mod hub;
pub(crate) mod job;
#[cfg(all(test, runtime_loom))]
mod models;

use crate::error::{contain, discard_payload};
use crate::park::Parker;
use crate::runtime::Handle;
use crate::scheduler::{Scheduler, worker};
use hub::Context;
use job::{End, StackJob, Waiter};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

/// Runs two closures, in parallel if a worker of the runtime is free, and returns both results. They may borrow from the
/// caller, whose stack they live on: `join` returns, or unwinds, only after both have ended.
///
/// It is for code that computes, and is called like a function, from a task too; it does not yield to the executor. Where
/// nothing is free it costs some nanoseconds, so that a recursion may divide its work far down.
///
/// ```
/// fn sum(values: &[u64]) -> u64 {
///     if values.len() < 1000 {
///         return values.iter().sum();
///     }
///     let (left, right) = values.split_at(values.len() / 2);
///     let (left, right) = crossover_runtime::join(|| sum(left), || sum(right));
///     left + right
/// }
///
/// let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let values: Vec<u64> = (0..10_000).collect();
/// let total = runtime.block_on(async { sum(&values) });
/// assert_eq!(total, 49_995_000);
/// # std::io::Result::Ok(())
/// ```
///
/// # Where it runs
/// - On a worker of a multi-thread runtime (in a task, or in a closure of another `join`): `a` on this thread, `b` on
///   this or another worker. While the thread waits for a stolen `b` it runs nothing but parts of `b`: never a task, and
///   never another computation, which might want a lock that the caller holds.
/// - On any other thread whose current runtime is multi-threaded (in `block_on`, in a blocking job, under an
///   [`EnterGuard`](crate::runtime::EnterGuard)): both go to the runtime's workers, and this thread waits. Do not hold a
///   lock that the workers' tasks may want. Once the runtime shuts down they run here, as in the next case.
/// - Without a runtime, or on a current-thread one: `a`, then `b`, on this thread.
///
/// A closure on another thread has that thread's thread-locals; [`task::try_id`](crate::task::try_id) is `None` there.
///
/// # Panics
/// When `a` or `b` does, after both have ended; with the payload of `a` if both do.
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    Context::with(|context| match context {
        Some(context) => on_worker(context, a, b),
        None => elsewhere(a, b),
    })
}

/// On a worker: offers `b`, runs `a`, and then `b`, or waits for it.
#[inline]
fn on_worker<A, B, RA, RB>(context: &Context<'_>, a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB + Send,
    RB: Send,
{
    let job = StackJob::new(b, Waiter::Worker(context.index()));
    // SAFETY: handed out once. `job` stays in this frame, and nothing unwinds past it, until `take_back` has returned the
    // pointer or `wait` has said that the job has ended: the panic of `a` is caught until then.
    context.push(unsafe { job.hand_out() });
    match catch_unwind(AssertUnwindSafe(a)) {
        Ok(a) => {
            if context.take_back(job.header()) {
                // SAFETY: the only pointer to the job has come back.
                let b = unsafe { job.run_here() };
                return (a, b);
            }
            match finish(context, &job) {
                Ok(b) => (a, b),
                Err(payload) => resume_unwind(payload),
            }
        }
        Err(payload) => {
            if context.take_back(job.header()) {
                // SAFETY: the only pointer to the job has come back.
                discard(catch_unwind(AssertUnwindSafe(|| unsafe { job.run_here() })));
            } else {
                discard(finish(context, &job));
            }
            resume_unwind(payload)
        }
    }
}

/// The outcome of a job that was stolen from this worker.
#[cold]
fn finish<B, RB>(context: &Context<'_>, job: &StackJob<B, RB>) -> thread::Result<RB>
where
    B: FnOnce() -> RB,
{
    let end = context.wait(job.header());
    // SAFETY: the job was handed out and has ended; each caller asks once.
    unsafe { outcome(job, end) }
}

/// What came out of a job that was handed out, or comes out of it now, if it was given back.
///
/// # Safety
/// To be called once, with what `end` said at the job's end.
unsafe fn outcome<F: FnOnce() -> R, R>(job: &StackJob<F, R>, end: End) -> thread::Result<R> {
    match end {
        // SAFETY: the thief is done; the caller calls once.
        End::Done => unsafe { job.take_result() },
        // SAFETY: whoever had the pointer has given the closure back.
        End::Returned => catch_unwind(AssertUnwindSafe(|| unsafe { job.run_here() })),
    }
}

/// Drops an outcome that nobody will see.
fn discard<R>(outcome: Result<R, Box<dyn Any + Send>>) {
    match outcome {
        Ok(result) => contain(|| drop(result)),
        Err(payload) => discard_payload(payload),
    }
}

/// On a thread that is no worker.
#[cold]
fn elsewhere<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    match Handle::try_current() {
        Ok(handle) => match &handle.inner.scheduler {
            Scheduler::MultiThread(shared) => hand_over(shared, a, b),
            Scheduler::CurrentThread(_) => one_after_the_other(a, b),
        },
        Err(_) => one_after_the_other(a, b),
    }
}

/// `a`, then `b`, on this thread.
fn one_after_the_other<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    match catch_unwind(AssertUnwindSafe(a)) {
        Ok(a) => (a, b()),
        Err(payload) => {
            discard(catch_unwind(AssertUnwindSafe(b)));
            resume_unwind(payload)
        }
    }
}

/// Has the pair joined on a worker, and waits for it.
fn hand_over<A, B, RA, RB>(shared: &worker::Shared, a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    let pair = || {
        Context::with(|context| match context {
            Some(context) => on_worker(context, a, b),
            // It came back: the runtime is shutting down.
            None => one_after_the_other(a, b),
        })
    };
    let parker = Arc::new(Parker::new());
    let job = StackJob::new(pair, Waiter::Thread(Arc::clone(&parker)));
    // SAFETY: handed out once; `job` stays in this frame, and nothing unwinds, until it came back or has ended.
    let end = match shared.hub().inject(unsafe { job.hand_out() }) {
        Ok(()) => {
            shared.notify();
            wait(&job, &parker)
        }
        Err(_back) => End::Returned,
    };
    // SAFETY: it came back or has ended, and this is the only call.
    unsafe { outcome(&job, end) }.unwrap_or_else(|payload| resume_unwind(payload))
}

/// Waits on a thread that is no worker until its job has ended. It does not spin: the workers are about to need every
/// core, and the system places a thread that they wake badly while this one keeps a core busy.
fn wait<F: FnOnce() -> R, R>(job: &StackJob<F, R>, parker: &Parker) -> End {
    let header = job.header();
    loop {
        if let Some(end) = header.end() {
            return end;
        }
        if header.fall_asleep() {
            parker.park();
            header.get_up();
        }
    }
}
