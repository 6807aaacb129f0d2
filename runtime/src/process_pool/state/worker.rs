//! A worker as the books see it: its process and lane, where it is in its life, what it was given and has not answered.
//!
//! It does nothing by itself: `lanes.rs` gives it jobs and takes them back, `answers.rs` reads its answers, `time.rs` and
//! `look.rs` see how long it takes. Here is also how a message gets into its lane: after the notes on shared memory that are due.

use super::{
    super::{
        blob::{Link, Side, WrapError},
        channel::{self, Broken, ParentEnd, SendError},
        codec::Encoded,
        frame::{Header, Kind},
        metrics::WorkerMetrics,
        spawn::Process,
    },
    JobRef,
};
use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

/// The number of the initializer, which is in no sequence.
pub(super) const INITIALIZER: u64 = u64::MAX;

/// A slot's worker, from its spawn until it is reaped.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) process: Arc<Process>,
    pub(super) lane: ParentEnd,
    /// The lane's bell, as its reader knows it.
    pub(super) bell: Arc<OwnedFd>,
    pub(super) link: Link,
    /// What the link has to say, still to be sent.
    notes: VecDeque<(Kind, u64)>,
    pub(super) life: Life,
    pub(super) greeted: bool,
    /// In the order of their numbers. Only the first can have been started: answers come in order.
    pub(super) assigned: VecDeque<Assigned>,
    /// The number of the next frame.
    pub(super) end: u64,
    /// How long the assigned jobs will take together, in ns.
    pub(super) backlog: u64,
    /// When the first job's time limit must be looked at.
    pub(super) check_at: Option<Instant>,
    /// By the lane's clock, in ns: when it was started, and when the limit of its first job was last set.
    born_at: u64,
    pub(super) watched_since: u64,
    /// The lane was full or the socket was: nothing more until the worker's next answer.
    pub(super) stuck: bool,
    /// A look found that it had not started its first job; it has shown no sign of life since.
    pub(super) silence: Option<Silence>,
    /// That has lasted for a while: others are preferred.
    pub(super) suspect: bool,
    /// Its present job takes longer than expected: nothing more until that is answered.
    pub(super) long: bool,
    /// Jobs with smaller ids were submitted before this worker was started.
    pub(super) born: u64,
    since: Instant,
    pub(super) idle_since: Option<Instant>,
    pub(super) served: u64,
    pub(super) busy: Duration,
    /// Why it was condemned, when its exit status will not tell.
    pub(super) verdict: Option<String>,
    /// It uses more memory than it may: no more jobs for it.
    pub(super) heavy: bool,
    /// The job that it ran when it was weighed and found too heavy.
    pub(super) weighed_in: Option<JobRef>,
    /// It was condemned for using so many bytes.
    pub(super) over_limit: Option<u64>,
}

/// Where a worker is in its life. Only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has not said hello, and must until then.
    Starting(Option<Instant>),
    Ready,
    /// It was told to leave, and is killed at the instant.
    Leaving(Instant),
    /// Killed: it gets no more jobs, and its answers count only for the jobs it still has.
    Condemned,
}

/// See [`Worker::silence`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    pub(super) since: Instant,
    pub(super) job: JobRef,
}

/// A job that a worker has, under its number in the lane.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) seq: u64,
    pub(super) job: JobRef,
    /// What it was expected to take, in ns.
    pub(super) estimate: u64,
}

impl Worker {
    pub(super) fn new(
        process: Arc<Process>,
        lane: ParentEnd,
        bell: Arc<OwnedFd>,
        ready_by: Option<Instant>,
        born: u64,
    ) -> Self {
        Self {
            link: Link::new(Arc::clone(process.control()), Side::Parent),
            process,
            lane,
            bell,
            notes: VecDeque::new(),
            life: Life::Starting(ready_by),
            greeted: false,
            assigned: VecDeque::new(),
            end: 0,
            backlog: 0,
            check_at: None,
            born_at: channel::now(),
            watched_since: 0,
            stuck: false,
            suspect: false,
            silence: None,
            long: false,
            born,
            since: Instant::now(),
            idle_since: None,
            served: 0,
            busy: Duration::ZERO,
            verdict: None,
            heavy: false,
            weighed_in: None,
            over_limit: None,
        }
    }

    /// The jobs it has.
    pub(super) fn jobs(&self) -> usize {
        self.assigned.len()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Ready
    }

    /// Jobs wait behind the one that it runs.
    pub(super) fn is_deep(&self) -> bool {
        self.assigned.len() > 1
    }

    /// The job that it has started and not answered, by what we know.
    pub(super) fn running(&self) -> Option<JobRef> {
        self.assigned.front().filter(|first| first.seq < self.lane.next()).map(|first| first.job)
    }

    pub(super) fn first(&self) -> Option<JobRef> {
        self.assigned.front().map(|first| first.job)
    }

    /// How long it has been at the job that [`running`](Self::running) names: since the instant that it noted, unless
    /// that cannot be; then since the job's time limit has been watched.
    pub(super) fn running_for(&self) -> Duration {
        let (now, noted) = (channel::now(), self.lane.started_at());
        let since = if noted > now || noted < self.born_at { self.watched_since } else { noted };
        Duration::from_nanos(now.saturating_sub(since))
    }

    /// It has started at least one job.
    pub(super) fn has_started(&self) -> bool {
        self.served > 0 || self.running().is_some()
    }

    /// It has said hello, so a death is not a failed start.
    pub(super) fn has_said_hello(&self) -> bool {
        self.greeted
    }

    pub(super) fn is_first(&self, seq: u64) -> bool {
        self.assigned.front().is_some_and(|first| first.seq == seq)
    }

    /// Takes the first job out.
    pub(super) fn pop(&mut self) -> Option<JobRef> {
        let seq = self.assigned.front()?.seq;
        self.take(seq).map(|assigned| assigned.job)
    }

    /// Takes a job out, wherever it stands.
    pub(super) fn take(&mut self, seq: u64) -> Option<Assigned> {
        let place = self.assigned.iter().position(|assigned| assigned.seq == seq)?;
        let assigned = self.assigned.remove(place)?;
        self.backlog -= assigned.estimate;
        Some(assigned)
    }

    /// But for its memory, which costs a system call.
    pub(super) fn metrics(&self) -> WorkerMetrics {
        WorkerMetrics {
            pid: self.process.pid(),
            jobs: self.served,
            busy: self.busy,
            in_flight: self.assigned.len(),
            rss_bytes: 0,
            age: self.since.elapsed(),
        }
    }
}

/// Why a message did not get into the lane.
pub(super) enum Unpublished {
    /// No room: after the worker's next answer.
    Later,
    /// It cannot be passed on at all.
    Never(String),
    /// Not to this worker.
    Broken(Broken),
}

/// Puts a message for the worker into its lane, after the notes on shared memory that are due.
pub(super) fn publish(worker: &mut Worker, mut header: Header, message: &Encoded) -> Result<(), Unpublished> {
    send_notes(worker)?;
    let wire = worker.link.wrap(message).map_err(|error| match error {
        WrapError::WouldBlock => Unpublished::Later,
        WrapError::Failed(error) => Unpublished::Never(error.to_string()),
    })?;
    header.flags |= wire.flags;
    let sent = worker.lane.send(header, &wire.parts(message));
    if sent.is_err() {
        worker.link.take_back(wire);
    }
    Ok(sent?)
}

impl From<SendError> for Unpublished {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full => Self::Later,
            SendError::TooLong { .. } => Self::Never(error.to_string()),
            SendError::Broken(broken) => Self::Broken(broken),
        }
    }
}

/// What finds no room now goes before the next message.
pub(super) fn send_notes(worker: &mut Worker) -> Result<(), Unpublished> {
    worker.notes.extend(worker.link.notes());
    while let Some(&(kind, id)) = worker.notes.front() {
        worker.lane.send(Header { kind, flags: 0, job: 0, id }, &[])?;
        worker.notes.pop_front();
    }
    Ok(())
}
