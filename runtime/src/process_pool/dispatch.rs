//! The dispatcher: one thread that lives as long as the pool, and the lock it shares with the callers.
//!
//! It alone spawns workers (their parent-death signal follows the spawning thread), reads their sockets and stderr,
//! and reaps them. It waits in poll(2) for: the eventfd that callers nudge, and of each worker the socket, the pidfd
//! and stderr. A nudge is written once per sleep, so a million submits cost one.
//!
//! Death: a worker's socket hangs up or its pidfd becomes readable, whichever is noticed first. Only the pidfd
//! ends it: then everything still in the socket is read (an answer that arrived counts), and so is stderr, before
//! the process is reaped and its job failed. End-of-file of a pipe decides nothing: a grandchild may hold it open.
//!
//! A worker's stderr is passed on to ours, and its tail kept. It is read only while ours takes data, so a blocked
//! terminal blocks the workers that write to it, and never the pool.

use super::{
    CallError,
    breaker::Cause,
    error::CodecStage,
    frame::{Decoder, Header, Hello, Kind, PROTOCOL, PanicReport, Payload},
    job::{self, Table},
    spawn::{self, Process, Token},
    state::{Outcome, State},
};
use crate::error::{contain, discard_payload};
use crate::sync::prim::{Condvar, Mutex, MutexGuard};
use rustix::{
    buffer::spare_capacity,
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
    net::{RecvFlags, recv},
    time::Timespec,
};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::{Duration, Instant},
};

/// How much of a worker's stderr is kept for the error of its death.
const TAIL_BYTES: usize = 4096;

/// How much of stderr is read and passed on at a time: well below what a pipe that polls writable takes without
/// blocking (PIPE_BUF).
const STDERR_CHUNK: usize = 1024;

/// How much a dead worker's stderr is drained at most; a grandchild could write for ever.
const LAST_WORDS: usize = 64 * 1024;

/// Reads of one socket in a row, before the others get their turn.
const READS_IN_A_ROW: usize = 16;

/// The state, its lock, and the way to wake the dispatcher.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    nudge: OwnedFd,
    finished: Condvar,
}

impl Shared {
    pub(super) fn new(state: State) -> io::Result<Self> {
        let nudge = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: Mutex::new(state), nudge, finished: Condvar::new() })
    }

    /// Every change of the state by a caller goes through here: wakes what the change concerns, after the lock is
    /// released.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        let nudge = state.must_nudge(Instant::now());
        self.release(state, nudge);
        result
    }

    /// The same for the dispatcher, which need not wake itself.
    fn with_own<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        self.release(state, false);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn release(&self, mut state: MutexGuard<'_, State>, nudge: bool) {
        let wakers = state.take_wakers();
        drop(state);
        if nudge {
            // EAGAIN: the counter is full, so the dispatcher has a nudge waiting.
            let _ = rustix::io::write(&self.nudge, &1_u64.to_ne_bytes());
        }
        for waker in wakers {
            // Foreign code: its panic must not hit whoever happened to hold the lock.
            contain(|| waker.wake());
        }
    }

    /// Waits until all workers are reaped; false when `limit` passes first.
    pub(super) fn wait_finished(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        while !state.is_finished() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self.finished.wait_timeout(state, left);
        }
        true
    }
}

/// The dispatcher thread's body.
pub(super) fn run(shared: &Arc<Shared>, token: Token) {
    let mut dispatcher = Dispatcher { shared, token, lines: Vec::new(), outgoing: Vec::new() };
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| dispatcher.run())) {
        shared.with_own(State::abort);
        discard_payload(payload);
    }
    shared.finished.notify_all();
}

struct Dispatcher<'a> {
    shared: &'a Arc<Shared>,
    token: Token,
    /// By slot: what only the dispatcher knows of a worker.
    lines: Vec<Option<Line>>,
    /// Workers' stderr on its way to ours.
    outgoing: Vec<u8>,
}

/// The dispatcher's side of one worker.
struct Line {
    process: Arc<Process>,
    decoder: Decoder,
    /// False after end-of-file, an error or a broken frame.
    socket_open: bool,
    /// The worker ended with bytes unread on its side of the socket.
    unread: bool,
    stderr_open: bool,
    tail: VecDeque<u8>,
}

/// What to do next.
enum Step {
    Finish,
    Spawn(usize),
    Wait { until: Option<Instant>, sending: Vec<bool> },
}

/// Which descriptor an event is about.
#[derive(Clone, Copy)]
enum Source {
    Nudge,
    OurStderr,
    Socket(usize),
    Stderr(usize),
    Pidfd(usize),
}

impl Dispatcher<'_> {
    fn run(&mut self) {
        loop {
            match self.next_step() {
                Step::Finish => return,
                Step::Spawn(slot) => self.spawn(slot),
                Step::Wait { until, sending } => {
                    let events = self.wait(until, &sending);
                    self.shared.with_own(State::wake_up);
                    for (source, flags) in events {
                        self.handle(source, flags);
                    }
                }
            }
        }
    }

    fn next_step(&self) -> Step {
        let slots = self.lines.len();
        self.shared.with_own(|state| {
            let now = Instant::now();
            state.tick(now);
            if state.is_finished() {
                Step::Finish
            } else if let Some(slot) = state.slot_to_fill(now) {
                Step::Spawn(slot)
            } else {
                let sending = (0..slots).map(|slot| state.is_sending(slot)).collect();
                let until = state.next_tick(now);
                state.fall_asleep();
                Step::Wait { until, sending }
            }
        })
    }

    fn spawn(&mut self, slot: usize) {
        let spawned = spawn::spawn(self.token);
        let now = Instant::now();
        match spawned {
            Ok(process) => {
                let process = Arc::new(process);
                if self.lines.len() <= slot {
                    self.lines.resize_with(slot + 1, || None);
                }
                self.lines[slot] = Some(Line {
                    process: Arc::clone(&process),
                    decoder: Decoder::new(self.token.max_frame_bytes),
                    socket_open: true,
                    unread: false,
                    stderr_open: true,
                    tail: VecDeque::new(),
                });
                self.shared.with_own(|state| state.spawned(slot, process, now));
            }
            Err(error) => {
                let cause = Cause::new(error.kind(), error.to_string());
                self.shared.with_own(|state| state.start_failed(now, &cause));
            }
        }
    }

    /// Waits for events, at most until the instant. Sockets come first, pidfds last: an answer is read before the
    /// death of its sender is looked at.
    fn wait(&self, until: Option<Instant>, sending: &[bool]) -> Vec<(Source, PollFlags)> {
        let our_stderr = io::stderr();
        let mut sources = vec![Source::Nudge];
        let mut fds = vec![PollFd::new(&self.shared.nudge, PollFlags::IN)];
        let lines = || self.lines.iter().enumerate().filter_map(|(slot, line)| Some((slot, line.as_ref()?)));
        for (slot, line) in lines().filter(|(_, line)| line.socket_open) {
            let out = if sending.get(slot) == Some(&true) { PollFlags::OUT } else { PollFlags::empty() };
            sources.push(Source::Socket(slot));
            fds.push(PollFd::from_borrowed_fd(line.process.socket(), PollFlags::IN | out));
        }
        if self.outgoing.is_empty() {
            for (slot, line) in lines().filter(|(_, line)| line.stderr_open) {
                sources.push(Source::Stderr(slot));
                fds.push(PollFd::from_borrowed_fd(line.process.stderr(), PollFlags::IN));
            }
        } else {
            sources.push(Source::OurStderr);
            fds.push(PollFd::new(&our_stderr, PollFlags::OUT));
        }
        for (slot, line) in lines() {
            sources.push(Source::Pidfd(slot));
            fds.push(PollFd::from_borrowed_fd(line.process.pidfd(), PollFlags::IN));
        }
        let timeout = until.map(timespec_until);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {
                let flags = fds.iter().map(PollFd::revents);
                sources.into_iter().zip(flags).filter(|(_, flags)| !flags.is_empty()).collect()
            }
            // A signal, or no memory just now: look again.
            Err(_) => Vec::new(),
        }
    }

    fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Nudge => {
                let mut count = [0_u8; 8];
                // Read to reset it; the number of nudges means nothing.
                let _ = rustix::io::read(&self.shared.nudge, &mut count);
            }
            Source::OurStderr => self.pass_on(),
            Source::Socket(slot) => {
                if flags.contains(PollFlags::OUT) {
                    self.shared.with_own(|state| state.send_on(slot));
                }
                if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    self.read_socket(slot, READS_IN_A_ROW);
                }
            }
            Source::Stderr(slot) => {
                self.read_stderr(slot, STDERR_CHUNK);
                self.pass_on();
            }
            Source::Pidfd(slot) => self.bury(slot),
        }
    }

    /// Reads a socket until it is empty or ends, or `reads` times.
    fn read_socket(&mut self, slot: usize, reads: usize) {
        for _ in 0..reads {
            let Some(line) = self.lines[slot].as_mut().filter(|line| line.socket_open) else { return };
            let room = line.decoder.room();
            let asked = room.capacity() - room.len();
            match recv(line.process.socket(), spare_capacity(room), RecvFlags::DONTWAIT) {
                Ok((0, _)) => return self.hang_up(slot, false, None),
                Ok((read, _)) => {
                    self.read_frames(slot);
                    if read < asked {
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Linux: the peer of a socket pair ended with bytes unread.
                Err(error) => return self.hang_up(slot, error == Errno::CONNRESET, None),
            }
        }
    }

    fn read_frames(&mut self, slot: usize) {
        while let Some(line) = self.lines[slot].as_mut().filter(|line| line.socket_open) {
            match line.decoder.next() {
                Ok(None) => return,
                Ok(Some((header, payload))) => {
                    if let Err(reason) = self.frame(slot, header, payload) {
                        self.hang_up(slot, false, Some(reason));
                    }
                }
                Err(error) => self.hang_up(slot, false, Some(error.to_string())),
            }
        }
    }

    /// Nothing more is read from this worker: it must go.
    fn hang_up(&mut self, slot: usize, unread: bool, reason: Option<String>) {
        if let Some(line) = &mut self.lines[slot] {
            line.socket_open = false;
            line.unread = unread;
        }
        let verdict = reason.map(|reason| format!("\n(killed by the pool: it broke the protocol: {reason})"));
        self.shared.with_own(|state| state.condemn(slot, verdict));
    }

    /// One frame from a worker. An error means that the worker does not speak our protocol.
    fn frame(&self, slot: usize, header: Header, payload: Payload) -> Result<(), String> {
        let now = Instant::now();
        match header.kind {
            Kind::Hello => {
                let hello: Hello = job::decode(payload.bytes())?;
                self.check(slot, &hello)?;
                self.shared.with_own(|state| state.ready(slot, now));
                Ok(())
            }
            Kind::Done | Kind::Panic | Kind::Codec => {
                let outcome = outcome(header, payload)?;
                let known = self.shared.with_own(|state| state.answered(slot, header.id, now, outcome));
                if known {
                    Ok(())
                } else {
                    Err(format!("it answered call {}, which it does not have", header.id))
                }
            }
            other => Err(format!("it sent a {other:?} frame")),
        }
    }

    fn check(&self, slot: usize, hello: &Hello) -> Result<(), String> {
        let expected = self.lines[slot].as_ref().map(|line| line.process.pid());
        if Some(hello.pid) != expected {
            return Err(format!("process {} said hello on the socket of process {expected:?}", hello.pid));
        }
        if hello.protocol != PROTOCOL || hello.fingerprint != Table::get().fingerprint() {
            return Err("it runs another version of this program, or knows other jobs".to_owned());
        }
        Ok(())
    }

    /// A pidfd is readable: take the worker's last answers and words, then let go of it.
    fn bury(&mut self, slot: usize) {
        self.read_socket(slot, usize::MAX);
        self.read_stderr(slot, LAST_WORDS);
        let Some(line) = &mut self.lines[slot] else { return };
        let Some(exit) = line.process.reap() else { return };
        let tail = String::from_utf8_lossy(line.tail.make_contiguous()).into_owned();
        let unread = line.unread;
        self.lines[slot] = None;
        self.shared.with_own(|state| state.died(slot, exit, unread, tail, Instant::now()));
        self.pass_on();
    }

    /// Reads up to `limit` bytes of a worker's stderr.
    fn read_stderr(&mut self, slot: usize, limit: usize) {
        let Some(line) = &mut self.lines[slot] else { return };
        let mut chunk = [0_u8; STDERR_CHUNK];
        let mut taken = 0;
        while line.stderr_open && taken < limit {
            match rustix::io::read(line.process.stderr(), &mut chunk) {
                Ok(0) => line.stderr_open = false,
                Ok(read) => {
                    taken += read;
                    line.tail.extend(&chunk[..read]);
                    line.tail.drain(..line.tail.len().saturating_sub(TAIL_BYTES));
                    self.outgoing.extend_from_slice(&chunk[..read]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => line.stderr_open = false,
            }
        }
    }

    /// Writes to our stderr what it takes without blocking.
    fn pass_on(&mut self) {
        let stderr = io::stderr();
        while !self.outgoing.is_empty() {
            let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(0) | Err(Errno::INTR) => return,
                Ok(_) | Err(_) => {}
            }
            let chunk = &self.outgoing[..self.outgoing.len().min(STDERR_CHUNK)];
            match rustix::io::write(stderr.as_fd(), chunk) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                // Ours is closed or broken: nobody listens.
                Err(_) => self.outgoing.clear(),
            }
        }
    }
}

/// Reads an answer; what it means is completed with the job's name once the state knows which job that is.
fn outcome(header: Header, payload: Payload) -> Result<impl FnOnce(&'static str) -> Outcome, String> {
    let panic: Option<PanicReport> = match header.kind {
        Kind::Panic => Some(job::decode(payload.bytes())?),
        _ => None,
    };
    Ok(move |job| match (header.kind, panic) {
        (Kind::Done, _) => Ok(payload),
        (_, Some(PanicReport { message, location, backtrace })) => {
            Err(CallError::Panic { job, message, location, backtrace })
        }
        (_, None) => {
            let reason = String::from_utf8_lossy(payload.bytes()).into_owned();
            Err(CallError::Codec { job, stage: CodecStage::from_worker(header.flags), reason })
        }
    })
}

/// The time left until an instant, as poll(2) wants it; rounded by nobody, zero when it has passed.
fn timespec_until(instant: Instant) -> Timespec {
    let left = instant.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}
