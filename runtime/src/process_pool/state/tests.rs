//! Deaths before the first byte of a job, which a real socket shows only to whoever is quicker than the dispatcher.

use super::*;
use crate::process_pool::frame::Header;

const WORKERS: usize = 3;

fn state() -> State {
    State::new(
        crate::process_pool::Builder::default().workers(WORKERS).queue_limit(8).check().expect("options"),
    )
}

fn submit(state: &mut State) -> JobRef {
    let mut frame = frame::begin(Header { kind: frame::Kind::Job, flags: 0, job: 0, id: 0 });
    frame::seal(&mut frame, 1 << 20).expect("a small frame");
    match state.submit(frame, "job", None, OnDrop::default(), false) {
        Ok(job) => job,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

/// Puts a worker in place that says hello and has died since, which nobody has noticed yet.
fn dead_on_arrival(state: &mut State, slot: usize, now: Instant) {
    state.spawned(slot, Arc::new(Process::ended()), now);
    state.ready(slot, now);
}

/// The dispatcher reaps a worker.
fn bury(state: &mut State, slot: usize, now: Instant) {
    let exit = state.slots[slot].as_ref().and_then(|worker| worker.process.reap()).expect("it has ended");
    state.died(slot, exit, false, String::new(), now);
}

fn has_job(state: &State, slot: usize) -> bool {
    state.slots[slot].as_ref().is_some_and(|worker| worker.in_flight.is_some())
}

#[test]
fn idle_workers_that_died_unnoticed_do_not_fail_a_job() {
    let (mut state, now) = (state(), Instant::now());
    for slot in 0..WORKERS {
        dead_on_arrival(&mut state, slot, now);
    }
    let job = submit(&mut state);
    for slot in 0..WORKERS {
        assert!(has_job(&state, slot));
        bury(&mut state, slot, now);
    }
    assert!(state.poll(job, &mut None).is_none(), "it was never sent");
    assert_eq!((state.metrics().queued, state.metrics().failed), (1, 0));
    let later = state.breaker.next_start(now).expect("deaths of idle workers slow the pool down");
    assert_eq!(state.slot_to_fill(now), None);
    assert_eq!(state.slot_to_fill(later), Some(0), "a worker is started for it");
}

#[test]
fn a_job_does_not_wait_for_ever_for_a_worker_that_lives() {
    let (mut state, mut now) = (state(), Instant::now());
    let job = submit(&mut state);
    let mut deaths = 0;
    let outcome = loop {
        let slot = state.slot_to_fill(now).expect("a worker is wanted");
        dead_on_arrival(&mut state, slot, now);
        assert!(has_job(&state, slot));
        bury(&mut state, slot, now);
        deaths += 1;
        if let Some(outcome) = state.poll(job, &mut None) {
            break outcome;
        }
        now = state.breaker.next_start(now).expect("a back-off");
    };
    assert_eq!(deaths, 5);
    match outcome {
        Err(CallError::Spawn(error)) => assert!(error.to_string().contains("code 0"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(state.slot_to_fill(now), None, "the breaker is open");
}
