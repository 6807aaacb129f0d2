//! The keeper: one thread that lives as long as the pool, and the lock that it shares with the callers.
//!
//! It alone spawns workers (their parent-death signal follows the spawning thread), reads what they print, and reaps
//! them. It watches the clock for all deadlines, so that these do not depend on anybody's runtime. It waits in poll(2)
//! for: the eventfd that callers nudge; of each worker the pidfd and the pipes; and the lanes' bells as long as no
//! [`reader`](super::reader) waits for them. A nudge is written once per sleep, so a million submits cost one.
//!
//! Death: only a worker's pidfd ends it. Then everything in its lane is read (an answer that was published counts), and
//! so are its pipes, before the process is reaped and its job failed. End-of-file of a pipe decides nothing: a
//! grandchild may hold it open.
//!
//! A worker's stderr is passed on to ours, and its tail kept. It is read only while ours takes data, so a blocked
//! terminal blocks the workers that write to it, and never the pool.

use super::{
    blob,
    breaker::Cause,
    channel::silence,
    options::Options,
    output::{Outlet, Output},
    prompt::NoSlack,
    reader,
    spawn::{self, Process, Settings},
    state::{Drained, State},
};
use crate::error::{contain, discard_payload};
use crate::sync::prim::{Condvar, Mutex, MutexGuard};
use crate::task::JoinHandle;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
    time::Timespec,
};
use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A keeper that cannot wait looks this often.
const BLIND: Duration = Duration::from_millis(1);

/// The state, its lock, and the ways to wake the keeper and those who wait for the pool's end.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Readers are in place: callers need not offer their runtime. A hint, so relaxed.
    attached: AtomicBool,
    nudge: OwnedFd,
    finished: Condvar,
}

impl Shared {
    pub(super) fn new(state: State) -> io::Result<Self> {
        let nudge = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            state: Mutex::new(state),
            attached: AtomicBool::new(false),
            nudge,
            finished: Condvar::new(),
        })
    }

    /// Every change of the state goes through here: wakes what the change concerns, after the lock is released.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.release(state);
        result
    }

    fn release(&self, mut state: MutexGuard<'_, State>) {
        let nudge = state.must_nudge();
        let wakers = state.take_wakers();
        self.attached.store(!state.keeper_reads(), Ordering::Relaxed);
        drop(state);
        if nudge {
            // EAGAIN: the counter is full, so the keeper has a nudge waiting.
            let _ = rustix::io::write(&self.nudge, &1_u64.to_ne_bytes());
        }
        // Foreign code: its panic must not hit whoever happened to hold the lock.
        for waker in wakers {
            contain(|| waker.wake());
        }
    }

    /// Whether tasks of some runtime read the lanes.
    pub(super) fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }

    /// Waits until all workers are reaped; false when `limit` passes first.
    pub(super) fn wait_finished(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut state = self.state.lock();
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

/// The keeper thread's body.
pub(super) fn run(shared: &Arc<Shared>, options: &Options) {
    let settings = Settings::of(options);
    let mut keeper = Keeper {
        shared,
        options,
        settings,
        slack: NoSlack::here(),
        lines: Vec::new(),
        outlet: Outlet::default(),
    };
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| keeper.run())) {
        shared.with(State::abort);
        discard_payload(payload);
    }
    shared.finished.notify_all();
}

struct Keeper<'a> {
    shared: &'a Arc<Shared>,
    options: &'a Options,
    settings: Settings,
    slack: NoSlack,
    /// By slot: what only the keeper knows of a worker.
    lines: Vec<Option<Line>>,
    /// Workers' stderr on its way to ours.
    outlet: Outlet,
}

/// The keeper's side of one worker.
struct Line {
    process: Arc<Process>,
    /// A duplicate of the lane's eventfd.
    bell: Arc<OwnedFd>,
    output: Output,
    /// And its number.
    reader: Option<(u64, JoinHandle<()>)>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some((_, reader)) = &self.reader {
            reader.abort();
        }
    }
}

/// What to do next.
enum Step {
    Finish,
    Spawn(usize),
    Weigh(Vec<(usize, u32)>),
    Wait { until: Option<Instant>, bells: bool, readers: u64 },
}

/// Which descriptor an event is about.
#[derive(Clone, Copy)]
enum Source {
    Nudge,
    OurStderr,
    Bell(usize),
    Stdout(usize),
    Stderr(usize),
    Pidfd(usize),
}

impl Keeper<'_> {
    fn run(&mut self) {
        loop {
            match self.next_step() {
                Step::Finish => return,
                Step::Spawn(slot) => self.spawn(slot),
                Step::Weigh(workers) => self.weigh(&workers),
                Step::Wait { until, bells, readers } => {
                    self.start_readers(readers);
                    blob::trim();
                    let events = self.wait(until, bells);
                    self.shared.with(State::wake_up);
                    for source in events {
                        self.handle(source);
                    }
                }
            }
        }
    }

    fn next_step(&self) -> Step {
        self.shared.with(|state| {
            let now = Instant::now();
            state.tick(now);
            if state.is_finished() {
                return Step::Finish;
            }
            if let Some(slot) = state.slot_to_fill(now) {
                return Step::Spawn(slot);
            }
            let workers = state.weigh_now(now);
            if !workers.is_empty() {
                return Step::Weigh(workers);
            }
            Step::Wait { until: state.arm(now), bells: state.keeper_reads(), readers: state.readers_number() }
        })
    }

    fn spawn(&mut self, slot: usize) {
        let started = self
            .slack
            .lifted(|| spawn::launch(&self.settings))
            .and_then(|(process, lane)| Ok((lane.bell().try_clone_to_owned()?, process, lane)));
        let now = Instant::now();
        match started {
            Ok((bell, process, lane)) => {
                let (process, bell) = (Arc::new(process), Arc::new(bell));
                if self.lines.len() <= slot {
                    self.lines.resize_with(slot + 1, || None);
                }
                self.lines[slot] = Some(Line {
                    process: Arc::clone(&process),
                    bell: Arc::clone(&bell),
                    output: Output::default(),
                    reader: None,
                });
                self.shared.with(|state| state.spawned(slot, process, lane, bell, now));
            }
            Err(error) => {
                let cause = Cause::new(error.kind(), error.to_string());
                self.shared.with(|state| state.start_failed(now, &cause));
            }
        }
    }

    /// Gives each lane a reader, once somebody calls from one of our runtimes; another where that one has changed.
    fn start_readers(&mut self, number: u64) {
        let has = |line: &Line, number| line.reader.as_ref().is_some_and(|(its, _)| *its == number);
        if self.lines.iter().flatten().all(|line| has(line, number)) {
            return;
        }
        let Some((number, handle)) = self.shared.with(|state| state.reader()) else { return };
        for (slot, line) in self.lines.iter_mut().enumerate() {
            if let Some(line) = line.as_mut().filter(|line| !has(line, number)) {
                let task = reader::read(Arc::clone(self.shared), number, slot, Arc::clone(&line.bell));
                if let Some((_, old)) = line.reader.replace((number, handle.spawn(task))) {
                    old.abort();
                }
            }
        }
    }

    fn weigh(&self, workers: &[(usize, u32)]) {
        for &(slot, pid) in workers {
            if let Some(used) = resident_bytes(pid) {
                self.shared.with(|state| state.weighed(slot, pid, used));
            }
        }
    }

    /// Waits for events, at most until the instant. Bells come first, pidfds last: an answer is read before the
    /// death of its sender is looked at.
    fn wait(&self, until: Option<Instant>, bells: bool) -> Vec<Source> {
        let our_stderr = io::stderr();
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        let mut watch = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        let lines = || self.lines.iter().enumerate().filter_map(|(slot, line)| Some((slot, line.as_ref()?)));
        watch(Source::Nudge, self.shared.nudge.as_fd(), PollFlags::IN);
        // A lane without a reader is read here in any case.
        for (slot, line) in lines().filter(|(_, line)| bells || line.reader.is_none()) {
            watch(Source::Bell(slot), line.bell.as_fd(), PollFlags::IN);
        }
        for (slot, line) in lines() {
            if let Some(stdout) = line.output.stdout(&line.process) {
                watch(Source::Stdout(slot), stdout, PollFlags::IN);
            }
            if self.outlet.is_empty()
                && let Some(stderr) = line.output.stderr(&line.process)
            {
                watch(Source::Stderr(slot), stderr, PollFlags::IN);
            }
        }
        if !self.outlet.is_empty() {
            watch(Source::OurStderr, our_stderr.as_fd(), PollFlags::OUT);
        }
        for (slot, line) in lines() {
            watch(Source::Pidfd(slot), line.process.pidfd(), PollFlags::IN);
        }
        let timeout = until.map(timespec_until);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {
                let flags = fds.iter().map(PollFd::revents);
                let ready = sources.into_iter().zip(flags).filter(|(_, flags)| !flags.is_empty());
                ready.map(|(source, _)| source).collect()
            }
            Err(Errno::INTR) => Vec::new(),
            // No memory just now; or the limit on descriptors was lowered, and we wait for more than that. Nothing that is
            // handled blocks: so all of it is looked at, now and then, until the system is itself again.
            Err(_) => {
                thread::sleep(BLIND);
                sources
            }
        }
    }

    fn handle(&mut self, source: Source) {
        match source {
            // Read to reset it; the number of nudges means nothing.
            Source::Nudge => silence(self.shared.nudge.as_fd()),
            Source::OurStderr => self.outlet.pass_on(),
            Source::Bell(slot) => {
                if let Some(line) = &self.lines[slot] {
                    silence(line.bell.as_fd());
                }
                drain(self.shared, slot);
            }
            Source::Stdout(slot) => {
                if let Some(line) = &mut self.lines[slot] {
                    line.output.read_stdout(&line.process, &self.options.stdout);
                }
            }
            Source::Stderr(slot) => {
                if let Some(line) = &mut self.lines[slot] {
                    line.output.read_stderr(&line.process, &self.options.stderr, &mut self.outlet);
                }
                self.outlet.pass_on();
            }
            Source::Pidfd(slot) => self.bury(slot),
        }
    }

    /// A pidfd is readable: take the worker's last answers and words, then let go of it.
    fn bury(&mut self, slot: usize) {
        drain(self.shared, slot);
        let Some(exit) = self.lines[slot].as_ref().and_then(|line| line.process.reap()) else { return };
        let Some(mut line) = self.lines[slot].take() else { return };
        let output = std::mem::take(&mut line.output);
        let words = output.finish(&line.process, self.options, &mut self.outlet);
        self.outlet.pass_on();
        // The program may end as soon as the pool has.
        if self.lines.iter().all(Option::is_none) && self.shared.with(|state| state.is_closing()) {
            self.outlet.finish();
        }
        self.shared.with(|state| state.died(slot, exit, words, Instant::now()));
    }
}

/// Reads a lane to its end, letting others have the lock in between.
pub(super) fn drain(shared: &Shared, slot: usize) {
    while shared.with(|state| state.drain(slot)) == Drained::More {}
    // What the answers gave back, if it is more than is kept.
    blob::trim();
}

/// The memory of a process that is its own and in use, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.trim().parse::<u64>().ok());
    let (resident, shared) = (pages.next()??, pages.next()??);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// The time left until an instant, as poll(2) wants it; zero when it has passed.
fn timespec_until(instant: Instant) -> Timespec {
    let left = instant.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}
