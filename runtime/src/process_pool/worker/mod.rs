//! Inside a worker process: becoming one, the loop over jobs, and dying with the parent.
//!
//! One thread serves: read frames, run a job, answer, one after the other. The protocol lives on a duplicate of
//! the socket at descriptor 10 or above; 0 is /dev/null by then, 1 and 2 belong to the job, which may print.
//! A second thread only watches the socket for the parent's end (`orphan`).

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
    error::CodecStage,
    frame::{self, Decoder, Header, Hello, Kind, PROTOCOL, Payload},
    job::Table,
    registry::Registry,
    spawn::{TOKEN_VARIABLE, Token},
};
use rustix::{
    buffer::spare_capacity,
    io::{Errno, fcntl_dupfd_cloexec},
    net::{
        RecvFlags, SendFlags, SocketType, recv, send,
        sockopt::{socket_peercred, socket_type},
    },
};
use std::{
    any::Any,
    env,
    error::Error,
    fs::OpenOptions,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::Arc,
};

/// The exit code of a worker whose `main` never called [`worker_entry`]; the parent knows it.
pub(super) const EXIT_NO_HOOK: i32 = 86;

/// The exit code of a worker that could not set itself up.
const EXIT_SETUP: i32 = 87;

/// The exit code of a worker whose initializer failed. Its parent was told in a frame how.
const EXIT_INITIALIZER: i32 = 88;

/// How many bytes of segments a worker keeps for the next results.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// The lowest descriptor that the protocol may use: clear of the three that a job may print to or replace.
const LOWEST_FD: i32 = 10;

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
    if let Some(token) = started_as_worker() {
        if socket_type(io::stdin()) == Ok(SocketType::SEQPACKET) {
            leave(work(token.parent, registry))
        }
        let control = set_up(token).unwrap_or_else(|error| {
            eprintln!("crossover worker {}: cannot set itself up: {error}", process::id());
            process::exit(EXIT_SETUP)
        });
        serve(control, registry, token.max_frame_bytes)
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

/// The token, if this process is a fresh worker.
///
/// The variable alone does not make a worker: a job's own children inherit it. Stdin must also be a socket pair
/// that the process named by the token created, and that a worker replaces before it runs any job.
fn started_as_worker() -> Option<Token> {
    let token: Token = env::var(TOKEN_VARIABLE).ok()?.parse().ok()?;
    let creator = socket_peercred(io::stdin()).ok()?;
    (u32::try_from(creator.pid.as_raw_nonzero().get()) == Ok(token.parent)).then_some(token)
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
    let Ready { control, lane, setup } = setup::set_up(parent)?;
    let table = Table::for_worker(registry, setup.fingerprint)?;
    let hello = Hello { protocol: PROTOCOL, fingerprint: table.fingerprint(), pid: process::id() };
    panic::install();
    // What jobs have as blobs is kept for the next ones for as long as this lives.
    let _cache = CacheUse::new(CACHE_BYTES);
    let mut server =
        Server::new(Arc::clone(&control), lane, table, setup.max_frame_bytes, setup.flush_stdout);
    if setup.init {
        protect(&control)?;
        match server.initialize()? {
            Initialized::Ready => {}
            Initialized::Failed => return Ok(EXIT_INITIALIZER),
            Initialized::Shut => return Ok(0),
        }
        server.say(&hello)?;
    } else {
        // Until a job runs there is nobody to protect against but this code. The parent can get up meanwhile.
        server.say(&hello)?;
        protect(&control)?;
    }
    server.serve()?;
    Ok(0)
}

/// What must be in place before the first line of other people's code, besides the parent-death signal.
fn protect(control: &Arc<OwnedFd>) -> io::Result<()> {
    limits::prefer_as_victim();
    orphan::watch(control)
}

/// Orphan protection, limits, descriptors, watchdog. Returns the control socket.
fn set_up(token: Token) -> io::Result<Arc<OwnedFd>> {
    orphan::follow(token.parent)?;
    limits::no_core_dumps()?;
    let control = Arc::new(fcntl_dupfd_cloexec(io::stdin(), LOWEST_FD)?);
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(null)?;
    // Every exec'd copy is called "exe" otherwise. Cosmetic, so a failure is no reason to stop.
    let _ = rustix::thread::set_name(c"crossover-job");
    orphan::watch(&control)?;
    limits::prefer_as_victim();
    Ok(control)
}

/// Says hello and serves until the parent says shut or goes away.
fn serve(control: Arc<OwnedFd>, registry: Option<&Registry>, limit: u32) -> ! {
    panic::install();
    let table = Table::with(registry).unwrap_or_else(|reason| {
        eprintln!("crossover worker {}: {reason}", process::id());
        process::exit(EXIT_SETUP)
    });
    let hello = Hello { protocol: PROTOCOL, fingerprint: table.fingerprint(), pid: process::id() };
    let header = Header { kind: Kind::Hello, flags: 0, job: 0, id: 0 };
    let served = frame::message(header, &hello, limit)
        .map_err(io::Error::other)
        .and_then(|frame| send_all(control.as_fd(), &frame))
        .and_then(|()| serve_jobs(control.as_fd(), &table, limit));
    match served {
        Ok(()) => process::exit(0),
        Err(error) => {
            eprintln!("crossover worker {}: {error}", process::id());
            process::exit(EXIT_SETUP)
        }
    }
}

/// The loop. `Ok` when the parent is done with this worker, or gone.
fn serve_jobs(control: BorrowedFd<'_>, table: &Table, limit: u32) -> io::Result<()> {
    let mut decoder = Decoder::new(limit);
    loop {
        while let Some((header, payload)) = decoder.next().map_err(io::Error::other)? {
            match header.kind {
                Kind::Job => {
                    let answer = run_job(table, header, &payload, limit);
                    drop(payload);
                    // `print!` without a newline must not wait for the next job's newline.
                    let _ = io::stdout().flush();
                    if send_all(control, &answer).is_err() {
                        return Ok(());
                    }
                }
                Kind::Shut => return Ok(()),
                other => return Err(io::Error::other(format!("the parent sent a {other:?} frame"))),
            }
        }
        match recv(control, spare_capacity(decoder.room()), RecvFlags::empty()) {
            Ok((0, _)) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return Ok(()),
        }
    }
}

/// Runs one job to its answer frame, whatever happens in it.
fn run_job(table: &Table, header: Header, payload: &Payload, limit: u32) -> Vec<u8> {
    let Header { job, id, .. } = header;
    let Some(entry) = table.entry(job) else {
        return frame::codec(
            job,
            id,
            CodecStage::DecodeArguments,
            "the worker does not know this job",
            limit,
        );
    };
    panic::forget();
    let answer = frame::begin(Header { kind: Kind::Done, flags: 0, job, id });
    // A job that panicked is over: no state of ours is shared with it but the payload, which is only read.
    let result = catch_unwind(AssertUnwindSafe(|| entry.run(payload.bytes(), answer)));
    match result {
        Ok(Ok(mut answer)) => match frame::seal(&mut answer, limit) {
            Ok(()) => answer,
            Err(error) => frame::codec(job, id, CodecStage::EncodeResult, &error.to_string(), limit),
        },
        Ok(Err((stage, reason))) => frame::codec(job, id, stage, &reason, limit),
        Err(panic) => panic_frame(job, id, panic, limit),
    }
}

/// The answer for a panic. Without its backtrace where the limit on frames is too small for that.
fn panic_frame(job: u16, id: u64, payload: Box<dyn Any + Send>, limit: u32) -> Vec<u8> {
    let mut report = panic::report(payload);
    let header = Header { kind: Kind::Panic, flags: 0, job, id };
    frame::message(header, &report, limit)
        .or_else(|_| {
            panic::shorten(&mut report);
            frame::message(header, &report, limit)
        })
        .unwrap_or_else(|reason| frame::codec(job, id, CodecStage::EncodeResult, &reason, limit))
}

/// Writes a whole frame to the (blocking) socket. The parent always reads, so this cannot deadlock.
fn send_all(control: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(control, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
