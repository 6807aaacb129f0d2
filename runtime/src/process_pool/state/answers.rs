//! What workers say: reading a lane, and what its frames mean.
//!
//! A frame that makes no sense ends its worker, because nothing after it can be trusted. What the worker had not
//! started is given to another; the job that it had is told why.

use super::{
    super::{
        blob::UnwrapError,
        channel::Payload,
        codec::{self, Encoded},
        error::{CallError, CodecStage},
        frame::{HEAVY, Header, Hello, Kind, PROTOCOL, PanicReport, unpack_ns},
    },
    Stage, State,
    worker::{INITIALIZER, Life, Worker},
};
use std::{fmt::Display, time::Duration, time::Instant};

/// The answers that are read in a row before the lock is released.
const ANSWERS_IN_A_ROW: usize = 128;

/// What reading a lane came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process_pool) enum Drained {
    /// All is read, and the bell will ring for more.
    Empty,
    /// There may be more.
    More,
}

impl State {
    /// Reads what a worker has published.
    pub(in crate::process_pool) fn drain(&mut self, slot: usize) -> Drained {
        let mut result = Drained::More;
        let mut got_idle = false;
        for _ in 0..ANSWERS_IN_A_ROW {
            let Some(worker) = self.slots.get_mut(slot).and_then(|place| place.worker.as_mut()) else {
                return Drained::Empty;
            };
            let said = match worker.lane.receive() {
                Ok(Some((header, payload))) => self.hear(slot, header, payload),
                Ok(None) if worker.lane.arm() => {
                    result = Drained::Empty;
                    break;
                }
                Ok(None) => continue,
                Err(broken) => Err(broken.to_string()),
            };
            match said {
                Ok(answered) => got_idle |= answered,
                Err(reason) => {
                    self.condemn(slot, Some(verdict_of(&reason)));
                    return Drained::Empty;
                }
            }
        }
        if got_idle {
            self.after_answers(slot);
        }
        result
    }

    /// A worker has answered: it may take more, and may be through.
    fn after_answers(&mut self, slot: usize) {
        if self.queued > 0 {
            self.hand_over();
        }
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if worker.heavy && !worker.assigned.is_empty() {
            // What it has not started by now runs elsewhere.
            self.take_back(slot);
            self.hand_over();
        }
        let Some(worker) = &mut self.slots[slot].worker else { return };
        if !worker.assigned.is_empty() {
            self.watch_front(slot, None);
            return;
        }
        if !worker.is_ready() {
            return;
        }
        let spent = worker.heavy || self.options.max_jobs.is_some_and(|most| worker.served >= most.get());
        if spent {
            self.retire(slot);
            return;
        }
        if self.options.idle_timeout.is_some() {
            worker.idle_since = Some(Instant::now());
            self.want_keeper_for_idle();
        }
        if self.stage != Stage::Open {
            self.want_keeper();
        }
        self.share_out();
    }

    /// One frame. True when it answered a job; an error means that the worker does not speak our protocol.
    fn hear(&mut self, slot: usize, header: Header, payload: Payload) -> Result<bool, String> {
        let Some(worker) = &mut self.slots[slot].worker else { return Ok(false) };
        match header.kind {
            Kind::Release | Kind::Forget => {
                worker.link.on_note(header.kind, header.id).map_err(|broken| broken.to_string())?;
                Ok(false)
            }
            Kind::Hello => {
                let hello: Hello = codec::decode(&Encoded::plain(payload))?;
                self.greet(slot, &hello)?;
                Ok(true)
            }
            Kind::Done | Kind::Panic | Kind::Codec if header.id == INITIALIZER => {
                self.initialized(slot, header, payload)?;
                Ok(false)
            }
            Kind::Done | Kind::Panic | Kind::Codec => {
                self.answered(slot, header, payload)?;
                Ok(true)
            }
            Kind::Setup | Kind::Init | Kind::Job | Kind::Chunk | Kind::Shut => {
                Err(format!("it sent a {:?} frame", header.kind))
            }
        }
    }

    /// An answer to the first of the jobs that the worker has.
    fn answered(&mut self, slot: usize, header: Header, payload: Payload) -> Result<(), String> {
        let Some(worker) = &mut self.slots[slot].worker else { return Ok(()) };
        if !worker.is_first(header.id) {
            return Err(format!("it answered job {} of its lane, which is not its next", header.id));
        }
        let answer = unpack(worker, header, payload)?;
        let Some(job) = worker.pop() else { return Ok(()) };
        let ns = unpack_ns(header.job);
        worker.served += 1;
        worker.busy += Duration::from_nanos(ns);
        (worker.stuck, worker.long, worker.suspect, worker.silence) = (false, false, false, None);
        if header.flags & HEAVY != 0 {
            worker.heavy = true;
        }
        self.breaker.progress();
        let request = &self.jobs[job.key].request;
        let (number, name, kind) = (request.number, request.name, request.kind);
        // The items of a chunk are another matter than calls of the same function.
        if kind == Kind::Job {
            self.learn(number, ns);
        }
        self.finish(job, answer.and_then(|answer| outcome(header, answer)).map_err(|error| error.of(name)));
        Ok(())
    }

    /// The initializer's answer. The worker says hello only after a good one; why it does not is kept for whoever
    /// waits for it.
    fn initialized(&mut self, slot: usize, header: Header, payload: Payload) -> Result<(), String> {
        let name = self.options.initializer.as_ref().map_or("", |initializer| initializer.name);
        let Some(worker) = &mut self.slots[slot].worker else { return Ok(()) };
        let answer = unpack(worker, header, payload)?;
        if let Err(error) = answer.and_then(|answer| outcome(header, answer)) {
            worker.verdict = Some(format!("\nthe initializer: {}", error.of(name)));
        }
        Ok(())
    }

    fn greet(&mut self, slot: usize, hello: &Hello) -> Result<(), String> {
        let Some(worker) = &mut self.slots[slot].worker else { return Ok(()) };
        let expected = worker.process.pid();
        if hello.pid != expected {
            return Err(format!("process {} said hello in the lane of process {expected}", hello.pid));
        }
        if hello.protocol != PROTOCOL || hello.fingerprint != self.options.table.fingerprint() {
            return Err("it runs another version of this program, or knows other jobs".to_owned());
        }
        worker.greeted = true;
        if matches!(worker.life, Life::Starting(_)) {
            worker.life = Life::Ready;
            self.breaker.worker_ready();
            // An open breaker had put that off.
            self.desired = self.desired.max(self.options.min_workers);
            self.wakers.append(&mut self.watchers);
        }
        Ok(())
    }
}

/// Takes an answer out of the lane, with the shared memory that it refers to.
fn unpack(worker: &mut Worker, header: Header, payload: Payload) -> Result<Result<Encoded, Failure>, String> {
    if header.kind == Kind::Codec {
        return Ok(Ok(Encoded::plain(payload)));
    }
    match worker.link.unwrap(header.flags, payload) {
        Ok(answer) => Ok(Ok(answer)),
        Err(UnwrapError::Broken(reason)) => Err(reason),
        // The job ran; its result cannot be had.
        Err(UnwrapError::Unavailable(reason)) => Ok(Err(Failure::Codec(CodecStage::DecodeResult, reason))),
    }
}

/// An error that lacks the job's name.
enum Failure {
    Codec(CodecStage, String),
    Panic(PanicReport),
}

impl Failure {
    fn of(self, job: &'static str) -> CallError {
        match self {
            Self::Codec(stage, reason) => CallError::Codec { job, stage, reason },
            Self::Panic(PanicReport { message, location, backtrace }) => {
                CallError::Panic { job, message, location, backtrace }
            }
        }
    }
}

/// What an answer says.
fn outcome(header: Header, answer: Encoded) -> Result<Encoded, Failure> {
    match header.kind {
        Kind::Panic => match codec::decode(&answer) {
            Ok(report) => Err(Failure::Panic(report)),
            Err(reason) => Err(Failure::Codec(CodecStage::EncodeResult, reason)),
        },
        Kind::Codec => {
            let reason = String::from_utf8_lossy(answer.body()).into_owned();
            Err(Failure::Codec(CodecStage::from_worker(header.flags), reason))
        }
        _ => Ok(answer),
    }
}

/// Why a worker was condemned that broke the protocol, as an addition to its last words.
pub(super) fn verdict_of(reason: &dyn Display) -> String {
    format!("\n(killed by the pool: it broke the protocol: {reason})")
}
