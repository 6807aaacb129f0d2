//! The loop over jobs: receive, claim, run, answer; ring when it is time; sleep when there is nothing.
//!
//! One thread does all of it, one job after the other. The order of one job's steps is the protocol:
//! 1. its frame is taken out of the ring (which frees the room, and tells what comes next);
//! 2. the bell rings for earlier answers, if they must not wait for this job;
//! 3. the claim: from here on the job is this worker's; a claim that fails means that the parent took it back;
//! 4. arguments are decoded, the job runs, the result is encoded;
//! 5. leases that have ended are given back, then the answer is published: before the next claim, so that a death
//!    loses at most the job that ran.
//!
//! The clock is read once per job: the end of one is the start of the next, unless something that may take long was
//! done in between (a system call, a sleep).

use super::{
    super::{
        blob::{Link, Side, UnwrapError, WrapError, trim},
        channel::{Broken, Payload, SendError, WorkerEnd, now},
        codec::{self, Encoded},
        error::CodecStage,
        frame::{HEAVY, Header, Hello, Kind, pack_ns},
        job::Table,
        spawn::Setup,
    },
    answer::{self, Answer},
    bell::Bell,
    limits,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};
use std::{
    io::{self, Write},
    mem,
    os::fd::OwnedFd,
    sync::Arc,
};

/// The number of the initializer's answer: no job has it.
const INIT_ID: u64 = u64::MAX;

/// Why a worker cannot go on. Its parent reads it on stderr.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the lane is broken: {0}")]
    Broken(#[from] Broken),
    #[error("shared memory: {0}")]
    Link(#[from] UnwrapError),
    #[error("the parent sent a {0:?} frame")]
    Stray(Kind),
    #[error("cannot send: {0}")]
    Send(#[from] SendError),
    #[error("cannot say hello: {0}")]
    Hello(String),
}

/// How the initializer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Initialized {
    Ready,
    /// The parent has been told why.
    Failed,
    /// The parent is done with this worker.
    Shut,
}

/// A worker that is set up.
pub(super) struct Server {
    control: Arc<OwnedFd>,
    lane: WorkerEnd,
    link: Link,
    table: Arc<Table>,
    /// The longest payload, in bytes, that may go to the parent.
    limit: u32,
    /// Whether anybody sees what the jobs print.
    flush: bool,
    /// How many bytes of memory this process should have at most, between two jobs.
    memory_limit: Option<u64>,
    bell: Bell,
    /// A buffer for the next result.
    spare: Vec<u8>,
    /// The last look at the clock.
    now: u64,
}

impl Server {
    pub(super) fn new(control: Arc<OwnedFd>, lane: WorkerEnd, table: Arc<Table>, setup: &Setup) -> Self {
        Self {
            link: Link::new(Arc::clone(&control), Side::Worker),
            control,
            lane,
            table,
            limit: setup.max_frame_bytes,
            flush: setup.flush_stdout,
            memory_limit: setup.memory_limit,
            bell: Bell::default(),
            spare: Vec::new(),
            now: now(),
        }
    }

    /// Waits for the initializer's frame, runs it and answers it.
    pub(super) fn initialize(&mut self) -> Result<Initialized, Fault> {
        loop {
            match self.lane.receive()? {
                Some((header, payload)) => match header.kind {
                    Kind::Init => return self.run_initializer(header, payload),
                    Kind::Shut => return Ok(Initialized::Shut),
                    _ => self.note(header)?,
                },
                None => self.lane.wait(),
            }
        }
    }

    fn run_initializer(&mut self, header: Header, payload: Payload) -> Result<Initialized, Fault> {
        let answer = self.run(header, payload)?;
        let outcome = match answer {
            Answer::Done(_) => Initialized::Ready,
            Answer::Panic(_) | Answer::Codec(..) => Initialized::Failed,
        };
        self.publish(answer, 0, INIT_ID)?;
        self.lane.ring_bell();
        Ok(outcome)
    }

    /// Tells the parent that this worker is ready.
    pub(super) fn say(&mut self, hello: &Hello) -> Result<(), Fault> {
        let encoded = codec::encode(hello).map_err(Fault::Hello)?;
        self.send(Header { kind: Kind::Hello, flags: 0, job: 0, id: 0 }, &encoded)?
            .map_err(|error| Fault::Hello(error.to_string()))?;
        self.lane.ring_bell();
        Ok(())
    }

    /// The loop. Returns when the parent is done with this worker.
    pub(super) fn serve(&mut self) -> Result<(), Fault> {
        self.now = now();
        loop {
            match self.lane.receive()? {
                Some((header, payload)) => match header.kind {
                    Kind::Job | Kind::Chunk => self.job(header, payload)?,
                    Kind::Shut => return Ok(()),
                    _ => self.note(header)?,
                },
                None => {
                    self.ring();
                    // Leases that ended on a thread of the job's own; memory that is spare. Nobody waits for it.
                    self.send_notes()?;
                    trim();
                    self.lane.wait();
                    self.now = now();
                }
            }
        }
    }

    /// One job, from its frame to its answer.
    fn job(&mut self, header: Header, payload: Payload) -> Result<(), Fault> {
        // How long a chunk takes is the parent's choice: no answer waits for it.
        let due = match header.kind {
            Kind::Chunk => self.bell.is_due(),
            _ => self.bell.is_due_before(header.job, self.now),
        };
        if due {
            self.ring();
            // A system call, after which somebody else may have had this core for a while.
            self.now = now();
        }
        if !self.lane.claim(header.id, self.now) {
            return Ok(self.link.skip(header.flags, &payload)?);
        }
        let answer = self.run(header, payload)?;
        let end = now();
        let ran = end.saturating_sub(self.now);
        if header.kind == Kind::Job {
            self.bell.ran(header.job, ran);
        }
        self.publish(answer, ran, header.id)?;
        self.bell.answered(end);
        self.now = end;
        Ok(())
    }

    /// Runs what a frame asks for. What it printed is out when this returns, and its arguments are gone.
    fn run(&mut self, header: Header, payload: Payload) -> Result<Answer, Fault> {
        let arguments = match self.link.unwrap(header.flags, payload) {
            Ok(arguments) => arguments,
            Err(error @ UnwrapError::Broken(_)) => return Err(error.into()),
            Err(error @ UnwrapError::Unavailable(_)) => {
                return Ok(Answer::codec(CodecStage::DecodeArguments, error.to_string(), self.limit));
            }
        };
        let spare = mem::take(&mut self.spare);
        let mut restart = || self.lane.restart(now());
        let answer = answer::run(&self.table, header, &arguments, spare, self.limit, &mut restart);
        if self.flush {
            // `print!` without a newline must not wait for the next job's newline.
            let _ = io::stdout().flush();
        }
        Ok(answer)
    }

    /// Gives back what the job's end has freed, then sends its answer. The answer tells when this process has become
    /// too large (but for codec errors, whose flags are taken).
    fn publish(&mut self, answer: Answer, ran: u64, id: u64) -> Result<(), Fault> {
        self.send_notes()?;
        let heavy = self.memory_limit.is_some_and(limits::is_over);
        let flags = if heavy { HEAVY } else { 0 };
        let header = |kind| Header { kind, flags, job: pack_ns(ran), id };
        let (stage, reason) = match answer {
            Answer::Done(encoded) => match self.send(header(Kind::Done), &encoded)? {
                Ok(()) => {
                    self.spare = encoded.recycle();
                    return Ok(());
                }
                Err(error) => (CodecStage::EncodeResult, format!("no shared memory: {error}")),
            },
            Answer::Panic(report) => match self.send(header(Kind::Panic), &report)? {
                Ok(()) => return Ok(()),
                Err(error) => (
                    CodecStage::EncodeResult,
                    format!("it panicked; no shared memory for the report: {error}"),
                ),
            },
            Answer::Codec(stage, reason) => (stage, reason),
        };
        let header = Header { flags: stage.to_byte(), ..header(Kind::Codec) };
        Ok(self.lane.send(header, &[reason.as_bytes()])?)
    }

    /// Sends a frame. The inner error: the system refuses the shared memory that it needs, and nothing was sent.
    fn send(&mut self, header: Header, encoded: &Encoded) -> Result<io::Result<()>, Fault> {
        loop {
            match self.link.wrap(encoded) {
                Ok(wire) => {
                    let header = Header { flags: header.flags | wire.flags, ..header };
                    return Ok(Ok(self.lane.send(header, &wire.parts(encoded))?));
                }
                Err(WrapError::WouldBlock) => self.wait_for_socket()?,
                Err(WrapError::Failed(error)) => return Ok(Err(error)),
            }
        }
    }

    /// The socket is full of descriptors: the parent takes them once it is told to.
    #[cold]
    fn wait_for_socket(&mut self) -> Result<(), Fault> {
        self.send_notes()?;
        self.lane.ring_bell();
        // Not for room in the socket: of descriptors under way there may be too many with room to spare. Too early or
        // too late does not matter, the caller tries again; a hang-up ends the pause.
        let pause = Timespec { tv_sec: 0, tv_nsec: 200_000 };
        let _ = poll(&mut [PollFd::new(&self.control, PollFlags::empty())], Some(&pause));
        Ok(())
    }

    /// Sends what the parent must know of shared memory.
    fn send_notes(&mut self) -> Result<(), Fault> {
        for (kind, id) in self.link.notes() {
            self.lane.send(Header { kind, flags: 0, job: 0, id }, &[])?;
        }
        Ok(())
    }

    /// A frame that is no job.
    fn note(&mut self, header: Header) -> Result<(), Fault> {
        match header.kind {
            Kind::Release | Kind::Forget => Ok(self.link.on_note(header.kind, header.id)?),
            stray => Err(Fault::Stray(stray)),
        }
    }

    fn ring(&mut self) {
        self.lane.ring_bell();
        self.bell.rung();
    }
}
