//! The books against workers that are played by the test: the other end of each lane is in its hands, and the process
//! behind it is one that has ended. So every order of events can be had, also those that real workers show once in a
//! million times.

mod corners;

use super::worker::Life;
use super::*;
use crate::process_pool::{Builder, ProcessPool, codec};
use crate::process_pool::{
    channel::{self, WorkerEnd},
    frame::{Header, Hello, PROTOCOL, pack_ns},
    output::LastWords,
    spawn::Process,
};
use std::os::fd::OwnedFd;

const WORKERS: usize = 3;
const MICROSECOND: u64 = 1_000;

fn state() -> State {
    state_of(ProcessPool::builder())
}

fn state_of(builder: Builder) -> State {
    State::new(Arc::new(builder.workers(WORKERS).queue_limit(64).check().expect("options in range")))
}

fn request(number: u16) -> Request {
    Request {
        number,
        name: "job",
        kind: Kind::Job,
        message: codec::encode(&()).expect("nothing"),
        slot: None,
    }
}

fn submit(state: &mut State) -> JobRef {
    match state.submit(request(0), Terms::default(), false) {
        Ok(job) => job,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

/// A worker in the test's hands. Its process has ended already, which the books do not look at before they are told.
struct Puppet {
    end: WorkerEnd,
    process: Arc<Process>,
}

impl Puppet {
    /// Starts in `slot`.
    fn start(state: &mut State, slot: usize) -> Self {
        let (lane, handed) = channel::create().expect("a lane");
        let bell: OwnedFd = lane.bell().try_clone_to_owned().expect("a descriptor");
        let process = Arc::new(Process::ended());
        state.spawned(slot, Arc::clone(&process), lane, Arc::new(bell), Instant::now());
        Self { end: WorkerEnd::attach(handed).expect("the same lane"), process }
    }

    /// Starts, and says hello.
    fn ready(state: &mut State, slot: usize) -> Self {
        let mut puppet = Self::start(state, slot);
        let hello = Hello {
            protocol: PROTOCOL,
            fingerprint: state.options.table.fingerprint(),
            pid: puppet.process.pid(),
        };
        let hello = codec::encode(&hello).expect("a hello");
        puppet.say(Header { kind: Kind::Hello, flags: 0, job: 0, id: 0 }, hello.body());
        state.drain(slot);
        puppet
    }

    fn say(&mut self, header: Header, payload: &[u8]) {
        self.end.send(header, &[payload]).expect("a sound lane");
    }

    /// Receives the next job that was not taken back, and starts it.
    fn begin(&mut self) -> Option<u64> {
        loop {
            let (header, _) = self.end.receive().expect("a sound lane")?;
            if header.kind == Kind::Job && self.end.claim(header.id, channel::now()) {
                return Some(header.id);
            }
        }
    }

    fn answer(&mut self, id: u64, ns: u64) {
        self.say(Header { kind: Kind::Done, flags: 0, job: pack_ns(ns), id }, &[7]);
    }

    /// Runs one job to its end.
    fn run(&mut self, state: &mut State, slot: usize, ns: u64) {
        let id = self.begin().expect("a job");
        self.answer(id, ns);
        state.drain(slot);
    }

    /// Is dead, and the keeper has noticed.
    fn bury(self, state: &mut State, slot: usize) {
        state.drain(slot);
        let exit = self.process.reap().expect("it has ended");
        state.died(slot, exit, LastWords::default(), Instant::now());
    }
}

fn jobs_at(state: &State, slot: usize) -> usize {
    state.slots[slot].worker.as_ref().map_or(0, Worker::jobs)
}

fn outcome(state: &mut State, job: JobRef) -> Option<Outcome> {
    state.poll(job, &mut None)
}

/// The pool knows how long the job takes.
fn teach(state: &mut State, puppet: &mut Puppet, slot: usize, ns: u64) {
    let job = submit(state);
    puppet.run(state, slot, ns);
    assert!(outcome(state, job).expect("answered").is_ok());
}

#[test]
fn a_function_that_has_not_run_yet_is_given_out_one_at_a_time() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    for _ in 0..5 {
        submit(&mut state);
    }
    assert_eq!((jobs_at(&state, 0), state.metrics().queued), (1, 4));
    puppet.run(&mut state, 0, MICROSECOND);
    assert_eq!(jobs_at(&state, 0), 4, "now it is known to be tiny");
}

#[test]
fn depth_follows_the_run_time() {
    for (ns, depth) in
        [(2_000 * MICROSECOND, 1), (150 * MICROSECOND, 1), (90 * MICROSECOND, 2), (MICROSECOND, 32)]
    {
        let mut state = state();
        let mut puppet = Puppet::ready(&mut state, 0);
        teach(&mut state, &mut puppet, 0, ns);
        for _ in 0..50 {
            submit(&mut state);
        }
        assert_eq!(jobs_at(&state, 0), depth, "{ns} ns");
    }
}

#[test]
fn a_chunk_is_not_taken_for_a_call_of_its_function() {
    let mut state = state();
    let (mut one, _other) = (Puppet::ready(&mut state, 0), Puppet::ready(&mut state, 1));
    teach(&mut state, &mut one, 0, MICROSECOND);
    for _ in 0..4 {
        let chunk = Request { kind: Kind::Chunk, ..request(0) };
        state.submit(chunk, Terms::default(), false).expect("room");
    }
    assert_eq!((jobs_at(&state, 0), jobs_at(&state, 1), state.metrics().queued), (1, 1, 2));
}

#[test]
fn a_death_fails_the_job_that_ran_and_no_other() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    teach(&mut state, &mut puppet, 0, MICROSECOND);
    let jobs: Vec<_> = (0..5).map(|_| submit(&mut state)).collect();
    let first = puppet.begin().expect("a job");
    puppet.answer(first, MICROSECOND); // published, not yet read
    puppet.begin().expect("a job"); // dies in it
    puppet.bury(&mut state, 0);
    assert!(outcome(&mut state, jobs[0]).expect("answered before the death").is_ok());
    assert!(matches!(outcome(&mut state, jobs[1]), Some(Err(CallError::WorkerDied { .. }))));
    assert_eq!(state.metrics().queued, 3, "the others wait for another worker");
    let mut next = Puppet::ready(&mut state, 1);
    for job in &jobs[2..] {
        next.run(&mut state, 1, MICROSECOND);
        assert!(outcome(&mut state, *job).expect("in their old order").is_ok());
    }
}

#[test]
fn a_retried_job_runs_twice_and_not_a_third_time() {
    let mut state = state();
    let terms = Terms { retry: Retry::OnDeath, ..Terms::default() };
    let mut puppet = Puppet::ready(&mut state, 0);
    let job = state.submit(request(0), terms, false).expect("room");
    puppet.begin().expect("a job");
    puppet.bury(&mut state, 0);
    assert!(outcome(&mut state, job).is_none(), "it is tried again");
    let mut puppet = Puppet::ready(&mut state, 0);
    puppet.begin().expect("the same job");
    puppet.bury(&mut state, 0);
    assert!(matches!(outcome(&mut state, job), Some(Err(CallError::WorkerDied { .. }))));
}

#[test]
fn a_dropped_call_never_starts_and_harms_no_other() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    teach(&mut state, &mut puppet, 0, MICROSECOND);
    let jobs: Vec<_> = (0..4).map(|_| submit(&mut state)).collect();
    assert_eq!(jobs_at(&state, 0), 4);
    drop(state.abandon(jobs[2]));
    let mut ran = 0;
    while let Some(id) = puppet.begin() {
        puppet.answer(id, MICROSECOND);
        ran += 1;
        state.drain(0);
    }
    assert_eq!(ran, 3);
    for job in [jobs[0], jobs[1], jobs[3]] {
        assert!(outcome(&mut state, job).expect("answered").is_ok());
    }
    assert_eq!(state.jobs.len(), 0);
}

#[test]
fn a_dropped_call_that_runs_is_let_run_or_killed() {
    for (on_drop, jobs_left) in [(OnDrop::Detach, 1), (OnDrop::Kill, 0)] {
        let mut state = state();
        let mut puppet = Puppet::ready(&mut state, 0);
        let terms = Terms { on_drop, ..Terms::default() };
        let job = state.submit(request(0), terms, false).expect("room");
        puppet.begin().expect("a job");
        drop(state.abandon(job));
        assert_eq!((jobs_at(&state, 0), state.jobs.len()), (jobs_left, jobs_left), "{on_drop:?}");
        puppet.bury(&mut state, 0);
        assert_eq!(state.jobs.len(), 0);
    }
}

#[test]
fn what_waits_behind_a_long_job_goes_to_a_worker_that_is_free() {
    let mut state = state();
    let (mut long, mut free) = (Puppet::ready(&mut state, 0), Puppet::ready(&mut state, 1));
    let first = [submit(&mut state), submit(&mut state)];
    assert_eq!((jobs_at(&state, 0), jobs_at(&state, 1)), (1, 1));
    long.run(&mut state, 0, MICROSECOND);
    free.run(&mut state, 1, MICROSECOND);
    assert!(first.iter().all(|job| outcome(&mut state, *job).is_some()));
    // Eight that are believed to be tiny; the first of the long worker is not.
    let jobs: Vec<_> = (0..8).map(|_| submit(&mut state)).collect();
    let stuck = long.begin().expect("a job");
    while jobs_at(&state, 1) > 0 {
        free.run(&mut state, 1, MICROSECOND);
    }
    // Time passes: the keeper looks.
    let later = Instant::now() + Duration::from_millis(1);
    while Instant::now() < later {
        std::hint::spin_loop();
    }
    state.tick(Instant::now());
    assert_eq!(jobs_at(&state, 0), 1, "only the job that it runs");
    while jobs_at(&state, 1) > 0 {
        free.run(&mut state, 1, MICROSECOND);
    }
    long.answer(stuck, 2_000 * MICROSECOND);
    state.drain(0);
    assert!(jobs.iter().all(|job| matches!(outcome(&mut state, *job), Some(Ok(_)))));
}

#[test]
fn a_call_with_affinity_waits_for_its_slot() {
    let mut state = state();
    let mut other = Puppet::ready(&mut state, 0);
    let pinned = |state: &mut State| {
        let request = Request { slot: Some(2), ..request(0) };
        state.submit(request, Terms::default(), false).expect("room")
    };
    let jobs = [pinned(&mut state), pinned(&mut state)];
    assert_eq!(jobs_at(&state, 0), 0, "an idle worker elsewhere does not help");
    assert_eq!(state.slot_to_fill(Instant::now()), Some(2), "its slot gets a worker");
    let free = submit(&mut state);
    other.run(&mut state, 0, MICROSECOND);
    assert!(outcome(&mut state, free).is_some());
    let mut puppet = Puppet::ready(&mut state, 2);
    for job in jobs {
        puppet.run(&mut state, 2, MICROSECOND);
        assert!(outcome(&mut state, job).expect("in their order").is_ok());
    }
}

#[test]
fn a_job_that_is_not_started_in_time_never_runs() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    teach(&mut state, &mut puppet, 0, MICROSECOND);
    let terms = Terms { queue_timeout: Some(Duration::ZERO), ..Terms::default() };
    let running = submit(&mut state);
    let id = puppet.begin().expect("a job");
    // Behind it, at the same worker.
    let late = state.submit(request(0), terms, false).expect("room");
    state.tick(Instant::now());
    assert!(matches!(
        outcome(&mut state, late),
        Some(Err(CallError::Timeout { phase: TimedOut::Queued, .. }))
    ));
    puppet.answer(id, MICROSECOND);
    state.drain(0);
    assert!(outcome(&mut state, running).is_some());
    assert_eq!(puppet.begin(), None);
}

#[test]
fn a_running_job_is_ended_at_its_time_limit_and_what_waits_behind_it_is_not() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    teach(&mut state, &mut puppet, 0, MICROSECOND);
    let terms = Terms { timeout: Some(Duration::ZERO), ..Terms::default() };
    let job = state.submit(request(0), terms, false).expect("room");
    let behind = submit(&mut state);
    state.tick(Instant::now());
    assert!(outcome(&mut state, job).is_none(), "its time begins with its start");
    puppet.begin().expect("a job");
    let at = state.arm(Instant::now()).expect("the keeper watches it");
    while Instant::now() < at {
        std::hint::spin_loop();
    }
    state.tick(Instant::now());
    assert!(matches!(
        outcome(&mut state, job),
        Some(Err(CallError::Timeout { phase: TimedOut::Running, .. }))
    ));
    assert!(outcome(&mut state, behind).is_none());
    assert_eq!(state.metrics().queued, 1);
}

#[test]
fn a_worker_that_does_not_speak_the_protocol_is_killed() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    let job = submit(&mut state);
    let id = puppet.begin().expect("a job");
    puppet.answer(id + 1, MICROSECOND);
    state.drain(0);
    assert!(outcome(&mut state, job).is_none());
    puppet.bury(&mut state, 0);
    match outcome(&mut state, job) {
        Some(Err(CallError::WorkerDied { stderr_tail, .. })) => {
            assert!(stderr_tail.contains("broke the protocol"), "{stderr_tail}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn idle_workers_that_died_unnoticed_do_not_fail_a_job() {
    let mut state = state();
    let mut puppets: Vec<_> = (0..WORKERS).map(|slot| Puppet::ready(&mut state, slot)).collect();
    let job = submit(&mut state);
    for slot in 0..WORKERS {
        assert_eq!(jobs_at(&state, slot), 1);
        puppets.remove(0).bury(&mut state, slot);
    }
    assert!(outcome(&mut state, job).is_none(), "it was never started");
    assert_eq!((state.metrics().queued, state.metrics().failed), (1, 0));
    let now = Instant::now();
    let later = state.breaker.next_start(now).expect("deaths of idle workers slow the pool down");
    assert_eq!(state.slot_to_fill(later), Some(0), "a worker is started for it");
}

#[test]
fn a_job_does_not_wait_for_ever_for_a_worker_that_lives() {
    let mut state = state();
    let job = submit(&mut state);
    let mut deaths = 0;
    let outcome = loop {
        let puppet = Puppet::ready(&mut state, 0);
        assert_eq!(jobs_at(&state, 0), 1);
        puppet.bury(&mut state, 0);
        deaths += 1;
        if let Some(outcome) = outcome(&mut state, job) {
            break outcome;
        }
    };
    assert_eq!(deaths, 5);
    match outcome {
        Err(CallError::Spawn(error)) => assert!(error.to_string().contains("code 0"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(state.slot_to_fill(Instant::now()), None, "the breaker is open");
}

#[test]
fn a_worker_retires_after_its_last_job() {
    let mut state = state_of(ProcessPool::builder().max_jobs_per_worker(2));
    let mut puppet = Puppet::ready(&mut state, 0);
    teach(&mut state, &mut puppet, 0, MICROSECOND);
    let jobs = [submit(&mut state), submit(&mut state)];
    assert_eq!(jobs_at(&state, 0), 1, "not the third");
    puppet.run(&mut state, 0, MICROSECOND);
    assert!(outcome(&mut state, jobs[0]).is_some());
    let (header, _) = puppet.end.receive().expect("a sound lane").expect("a frame");
    assert_eq!(header.kind, Kind::Shut);
    puppet.bury(&mut state, 0);
    assert_eq!(state.slot_to_fill(Instant::now()), Some(0), "its successor");
}

#[test]
fn a_worker_that_does_not_start_its_job_loses_it_and_then_its_life() {
    let mut state = state();
    let mut stopped = Puppet::ready(&mut state, 0);
    let mut other = Puppet::ready(&mut state, 1);
    let job = submit(&mut state);
    assert_eq!((jobs_at(&state, 0), jobs_at(&state, 1)), (1, 0));
    let mut now = Instant::now();
    for _ in 0..2 {
        now += Duration::from_millis(10);
        state.tick(now);
    }
    assert_eq!((jobs_at(&state, 0), jobs_at(&state, 1)), (0, 1), "it runs where it can");
    let next = submit(&mut state);
    assert_eq!(jobs_at(&state, 0), 0, "only if there is no other");
    other.run(&mut state, 1, MICROSECOND);
    assert!(outcome(&mut state, job).is_some());
    other.run(&mut state, 1, MICROSECOND);
    assert!(outcome(&mut state, next).is_some());
    // It goes on: what it reads is not its any more.
    assert_eq!(stopped.begin(), None);
    now += Duration::from_millis(10);
    state.tick(now);
    let first = submit(&mut state);
    assert_eq!(jobs_at(&state, 0), 1, "it has shown that it lives");
    stopped.run(&mut state, 0, MICROSECOND);
    assert!(outcome(&mut state, first).is_some());
}

#[test]
fn a_job_that_silences_two_workers_fails() {
    let mut state = state();
    let job = submit(&mut state);
    let mut now = Instant::now();
    for round in 0..2 {
        let _silent = Puppet::ready(&mut state, 0);
        assert_eq!(jobs_at(&state, 0), 1);
        for _ in 0..3 {
            now += Duration::from_secs(5);
            state.tick(now);
        }
        assert_eq!(state.slots[0].worker.as_ref().map(|worker| worker.life), Some(Life::Condemned));
        let exit = crate::process_pool::spawn::Exit { signal: Some(9), code: None };
        state.died(0, exit, LastWords::default(), now);
        assert_eq!(state.jobs.len(), 1, "{round}");
    }
    assert!(matches!(outcome(&mut state, job), Some(Err(CallError::WorkerDied { .. }))));
}

#[test]
fn a_job_that_waits_for_its_second_try_does_not_fail_as_if_it_had_never_run() {
    for terms in [
        Terms { retry: Retry::OnDeath, ..Terms::default() },
        Terms { retry: Retry::OnDeath, queue_timeout: Some(Duration::from_secs(1)), ..Terms::default() },
    ] {
        let mut state = state();
        let mut puppet = Puppet::ready(&mut state, 0);
        let job = state.submit(request(0), terms, false).expect("room");
        puppet.begin().expect("a job");
        puppet.bury(&mut state, 0);
        state.tick(Instant::now() + Duration::from_secs(2));
        assert!(outcome(&mut state, job).is_none(), "it was started in time");
        state.kill_all();
        assert!(matches!(outcome(&mut state, job), Some(Err(CallError::Cancelled { .. }))));
    }
}
