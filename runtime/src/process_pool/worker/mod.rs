//! Inside a worker process: becoming one, the loop over jobs, and dying with the parent.
//!
//! `mod` (the way in) → `setup` (descriptors, the lane), `limits`, `orphan` (no worker outlives its parent) → `serve`
//! (the loop) → `answer` (one job), `bell` (when the parent is told), `panic` (what is left of one).
//!
//! One thread serves: it takes frames from the lane, claims a job, runs it, answers, one after the other. The protocol
//! lives in shared memory and on three descriptors at 10 or above; 0 is /dev/null by then, 1 and 2 belong to the job,
//! which may print. The process has no other thread but those that jobs start.

mod answer;
mod bell;
mod limits;
mod orphan;
mod panic;
mod serve;
mod setup;
#[cfg(all(test, not(runtime_loom)))]
mod tests;

pub(super) use panic::report as take_panic;

use self::{
    serve::{Initialized, Server},
    setup::Ready,
};
use super::{
    blob::CacheUse,
    frame::{Hello, PROTOCOL},
    job::Table,
    registry::Registry,
    spawn::PARENT_VARIABLE,
};
use rustix::net::sockopt::socket_peercred;
use std::{env, error::Error, io, process};

/// The exit code of a worker whose `main` never called [`worker_entry`]; the parent knows it.
pub(super) const EXIT_NO_HOOK: i32 = 86;

/// The exit code of a worker that could not set itself up.
pub(super) const EXIT_SETUP: i32 = 87;

/// The exit code of a worker whose initializer failed. Its parent was told in a frame how.
pub(super) const EXIT_INITIALIZER: i32 = 88;

/// How many bytes of segments a worker keeps for the next results.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Turns this process into a worker if a pool started it as one. **The first line of `main`.**
///
/// In an ordinary process it returns at once, having done nothing. In a worker it never returns: it serves jobs
/// until the pool closes or the parent dies. Everything that stands before it in `main` is also run by
/// every worker.
///
/// A program whose `main` does not call it cannot use the pool: the first call fails with
/// [`CallError::Spawn`](super::CallError::Spawn), which says so.
///
/// See the [module's example](super).
///
/// ```no_run
/// use crossover_runtime::process_pool::worker_entry;
///
/// fn main() {
///     worker_entry();
///     println!("not a worker");
/// }
/// ```
pub fn worker_entry() {
    enter(None);
}

/// The body of [`worker_entry`]. `registry`: the program's jobs besides its `#[job]` functions.
///
/// Also for tests: the test that a harness runs in a worker calls it.
pub(super) fn enter(registry: Option<&Registry>) {
    if let Some(parent) = started_as_worker() {
        leave(work(parent, registry))
    }
}

/// Ends a process that a pool started as its worker, but whose `main` went on to build a pool of its own: it lacks
/// [`worker_entry`], and would start workers without end.
pub(super) fn refuse_without_hook() {
    if started_as_worker().is_some() {
        eprintln!(
            "crossover: this process ({}) was started as a worker of process {}, but its `main` did not call \
             `crossover_runtime::process_pool::worker_entry()`. Make that the first line of `main`.",
            process::id(),
            std::os::unix::process::parent_id(),
        );
        process::exit(EXIT_NO_HOOK);
    }
}

/// The process that started this one as its worker, if one did and nothing has been set up yet.
///
/// The variable alone does not make a worker: a job's own children inherit it. Stdin must also be a socket pair
/// that the process named by it created, and that a worker replaces before it runs any job.
fn started_as_worker() -> Option<u32> {
    let parent = env::var(PARENT_VARIABLE).ok()?.parse().ok()?;
    let creator = socket_peercred(io::stdin()).ok()?;
    (u32::try_from(creator.pid.as_raw_nonzero().get()) == Ok(parent)).then_some(parent)
}

/// Ends this process the way its work ended.
fn leave(ended: Result<i32, Box<dyn Error>>) -> ! {
    process::exit(ended.unwrap_or_else(|error| {
        eprintln!("crossover worker {}: {error}", process::id());
        EXIT_SETUP
    }))
}

/// Becomes a worker, and works until the parent is done with it. Returns the exit code.
fn work(parent: u32, registry: Option<&Registry>) -> Result<i32, Box<dyn Error>> {
    let Ready { control, _line, lane, setup } = setup::set_up(parent)?;
    let table = Table::for_worker(registry, setup.fingerprint)?;
    let hello = Hello { protocol: PROTOCOL, fingerprint: table.fingerprint(), pid: process::id() };
    panic::install();
    // What jobs have as blobs is kept for the next ones for as long as this lives.
    let _cache = CacheUse::new(CACHE_BYTES);
    let mut server = Server::new(control, lane, table, &setup);
    if setup.init {
        limits::prefer_as_victim();
        match server.initialize()? {
            Initialized::Ready => {}
            Initialized::Failed => return Ok(EXIT_INITIALIZER),
            Initialized::Shut => return Ok(0),
        }
    }
    server.say(&hello)?;
    if !setup.init {
        // After the hello: it takes a while, and the parent can get up meanwhile.
        limits::prefer_as_victim();
    }
    server.serve()?;
    Ok(0)
}
