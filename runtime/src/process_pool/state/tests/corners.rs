//! Orders of events in which something was once forgotten.

use super::*;
use crate::process_pool::spawn::Exit;

fn pin(state: &mut State, slot: usize) -> Result<JobRef, Refusal> {
    state.submit(Request { slot: Some(slot), ..request(0) }, Terms::default(), false)
}

/// Workers that do not get as far as hello, until the breaker opens.
fn open_the_breaker(state: &mut State, slot: usize) {
    for _ in 0..state.options.breaker_deaths {
        drop(Puppet::start(state, slot));
        let exit = Exit { signal: None, code: Some(1) };
        state.died(slot, exit, LastWords::default(), Instant::now());
    }
    assert!(state.breaker.refuses(Instant::now()).is_some());
}

#[test]
fn a_call_with_affinity_does_not_wait_for_a_breaker_that_nobody_watches() {
    let mut state = state();
    let _other = Puppet::ready(&mut state, 0);
    let job = pin(&mut state, 2).expect("room");
    open_the_breaker(&mut state, 2);
    assert!(matches!(outcome(&mut state, job), Some(Err(CallError::Spawn(_)))), "its slot has no worker");
    match pin(&mut state, 2) {
        Err(Refusal::For(CallError::Rejected(Rejection::BreakerOpen))) => {}
        other => panic!("{other:?}"),
    }
    pin(&mut state, 0).expect("that slot has its worker");
    assert_eq!((state.queued, state.pinned), (0, 0));
}

#[test]
fn a_pool_keeps_its_least_workers_after_the_breaker_was_open() {
    let mut state = state_of(ProcessPool::builder().min_workers(2));
    open_the_breaker(&mut state, 0);
    let _probe = Puppet::ready(&mut state, 0);
    let after_the_pause = Instant::now() + Duration::from_secs(60);
    assert_eq!(state.slot_to_fill(after_the_pause), Some(1));
}

#[test]
fn calls_that_are_over_leave_nothing_for_the_clock() {
    let mut state = state();
    let mut puppet = Puppet::ready(&mut state, 0);
    let terms = Terms { queue_timeout: Some(Duration::from_secs(3600)), ..Terms::default() };
    for _ in 0..1000 {
        let job = state.submit(request(0), terms, false).expect("room");
        puppet.run(&mut state, 0, MICROSECOND);
        assert!(outcome(&mut state, job).expect("answered").is_ok());
    }
    assert!(state.expiries.len() < 200, "{}", state.expiries.len());
    let at = state.arm(Instant::now());
    assert!(
        at.is_none_or(|at| at < Instant::now() + Duration::from_secs(60)),
        "the keeper is woken for nobody"
    );
}

#[test]
fn the_patience_of_waiting_calls_survives_the_sweep() {
    let mut state = state();
    let terms = |patience| Terms { queue_timeout: Some(Duration::from_secs(patience)), ..Terms::default() };
    // No worker comes.
    let first = state.submit(request(0), terms(1), true).expect("room");
    for _ in 0..1000 {
        let job = state.submit(request(0), terms(3600), true).expect("room");
        drop(state.abandon(job));
    }
    let last = state.submit(request(0), terms(2), true).expect("room");
    assert!(state.expiries.len() < 200 && state.queue.len() < 200);
    let now = Instant::now();
    state.tick(now + Duration::from_millis(1500));
    assert!(outcome(&mut state, first).is_some_and(|outcome| outcome.is_err_and(|error| error.is_timeout())));
    assert!(outcome(&mut state, last).is_none());
    state.tick(now + Duration::from_millis(2500));
    assert!(outcome(&mut state, last).is_some());
}

#[test]
fn dropped_calls_with_affinity_are_swept_together() {
    let mut state = state();
    let mut jobs: Vec<_> = (0..100_000)
        .map(|_| {
            let request = Request { slot: Some(1), ..request(0) };
            state.submit(request, Terms::default(), true).expect("room")
        })
        .collect();
    let kept = jobs.remove(50_000);
    for job in jobs.into_iter().rev() {
        drop(state.abandon(job));
    }
    assert_eq!((state.queued, state.pinned), (1, 1));
    assert!(state.slots[1].pinned.len() < 200, "{}", state.slots[1].pinned.len());
    assert_eq!(state.slot_for_pinned(), Some(1));
    drop(state.abandon(kept));
    assert_eq!((state.queued, state.pinned, state.slot_for_pinned()), (0, 0, None));
}

#[test]
fn a_pool_that_ends_starts_nothing_more() {
    let mut state = state();
    let mut puppets = vec![Puppet::ready(&mut state, 0)];
    teach(&mut state, &mut puppets[0], 0, 50 * MICROSECOND);
    puppets.extend((1..WORKERS).map(|slot| Puppet::ready(&mut state, slot)));
    let jobs: Vec<_> = (0..10).map(|_| submit(&mut state)).collect();
    // Only the last worker runs its job; the others have not looked yet.
    puppets[WORKERS - 1].begin().expect("a job");
    let before = state.slots.iter().map(|slot| slot.worker.as_ref().map_or(0, |worker| worker.end)).max();
    state.kill_all();
    let after = state.slots.iter().map(|slot| slot.worker.as_ref().map_or(0, |worker| worker.end)).max();
    assert_eq!(before, after, "no worker was given another job");
    let outcomes = jobs.into_iter().map(|job| outcome(&mut state, job).expect("it is over"));
    let started = outcomes.filter(|outcome| matches!(outcome, Err(CallError::Cancelled { .. }))).count();
    assert_eq!(started, 1);
    assert!(puppets.iter_mut().all(|puppet| puppet.begin().is_none()));
}

#[test]
fn what_a_free_worker_takes_from_behind_a_long_job_does_not_go_back_there() {
    let mut state = state();
    let (mut long, mut free) = (Puppet::ready(&mut state, 0), Puppet::ready(&mut state, 1));
    let mut last = free_job(&mut state, &mut long, &mut free);
    for _ in 0..3 {
        last = submit(&mut state);
    }
    assert!(jobs_at(&state, 0) > 1, "tiny jobs go where somebody is awake");
    long.begin().expect("a job");
    let since = Instant::now();
    while since.elapsed() < Duration::from_micros(500) {
        std::hint::spin_loop();
    }
    // The other has had something to do as well, and is done with it.
    if jobs_at(&state, 1) == 0 {
        assert!(pin(&mut state, 1).is_ok());
    }
    while jobs_at(&state, 1) > 0 {
        free.run(&mut state, 1, MICROSECOND);
    }
    assert_eq!(jobs_at(&state, 0), 1, "only the job that it runs");
    assert!(outcome(&mut state, last).expect("run by the other").is_ok());
}

/// Both workers know the function as a tiny one.
fn free_job(state: &mut State, long: &mut Puppet, free: &mut Puppet) -> JobRef {
    let jobs = [submit(state), submit(state)];
    long.run(state, 0, MICROSECOND);
    free.run(state, 1, MICROSECOND);
    for job in jobs {
        assert!(outcome(state, job).expect("answered").is_ok());
    }
    submit(state)
}

#[test]
fn a_worker_whose_only_job_was_dropped_is_idle() {
    let limit = Duration::from_secs(1);
    let mut state = state_of(ProcessPool::builder().idle_timeout(limit));
    let _puppet = Puppet::ready(&mut state, 0);
    let job = submit(&mut state);
    drop(state.abandon(job));
    state.tick(Instant::now() + 2 * limit);
    assert!(matches!(state.slots[0].worker.as_ref().map(|worker| worker.life), Some(Life::Leaving(_))));
}

#[test]
fn a_shutdown_goes_on_when_the_last_queued_call_is_dropped() {
    let mut state = state();
    let job = submit(&mut state);
    state.drain_until(None);
    state.tick(Instant::now());
    state.arm(Instant::now());
    drop(state.abandon(job));
    assert!(state.must_nudge(), "nothing else will tell the keeper");
}
