//! Timers: order, cancellation and resets against a model, and a wait that becomes shorter.

use std::collections::BTreeMap;
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;

/// Wakes by writing its number down.
struct Scribe {
    number: usize,
    log: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Scribe {
    fn wake(self: Arc<Self>) {
        self.log.lock().push(self.number);
    }
}

fn end_wait(handle: &Handle, now: Instant, due: &mut Vec<Waker>) {
    handle.shared.timers.end_wait(|| now, due);
}

#[test]
fn a_sleeping_task_stays_small() {
    let size = size_of::<Timer>();
    println!("size_of::<Timer>() = size_of::<Sleep>() = {size}");
    assert_eq!(size, size_of::<crate::time::Sleep>());
    assert!(size <= 64, "{size} bytes");
}

/// Never early; late by no more than the slack, and not at all when the deadline is near.
#[test]
fn timers_fire_at_their_time_and_not_before() {
    let (_driver, handle) = Driver::new(BATCH).expect("driver");
    let fires_at = |deadline| handle.shared.timers.fires_at(deadline);
    for (nanos, slack) in [(1_000, 32), (100_000, 3_125), (10_000_000, 312_500), (1 << 40, 1 << 20)] {
        let deadline = Instant::now() + Duration::from_nanos(nanos);
        let fires_at = fires_at(deadline);
        assert!(deadline <= fires_at && fires_at <= deadline + Duration::from_nanos(slack), "{nanos} ns");
    }
    let base = Instant::now() + Duration::from_secs(3600);
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut timers = Vec::new();
    for (number, millis) in [40, 10, 30, 20, 20].into_iter().enumerate() {
        let mut timer = Box::pin(Timer::new(&handle, base + Duration::from_millis(millis)));
        let waker = Waker::from(Arc::new(Scribe { number, log: log.clone() }));
        assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        timers.push(timer);
    }
    let fire = |millis| {
        let mut due = Vec::new();
        let deadline = fires_at(base + Duration::from_millis(millis));
        end_wait(&handle, deadline - Duration::from_nanos(1), &mut due);
        let early = due.len();
        end_wait(&handle, deadline, &mut due);
        wake_all(&mut due);
        (early, log.lock().clone())
    };
    assert_eq!(fire(10), (0, vec![1]));
    assert_eq!(fire(20), (0, vec![1, 3, 4]));
    assert_eq!(fire(30), (0, vec![1, 3, 4, 2]));
    assert_eq!(fire(40), (0, vec![1, 3, 4, 2, 0]));
    assert_eq!(handle.shared.timers.len(), 0);
}

/// A clock that steps back neither fires again nor takes a firing back, and what it has shown counts as reached.
#[test]
fn t3_the_clock_goes_back_one_tick() {
    let (_driver, handle) = Driver::new(BATCH).expect("driver");
    let base = handle.shared.timers.fires_at(Instant::now() + Duration::from_secs(3600));
    let (bell, waker) = Bell::new(&handle);
    let mut cx = Context::from_waker(&waker);
    let mut timer = Box::pin(Timer::new(&handle, base));
    assert!(timer.as_mut().poll(&mut cx).is_pending());
    let mut due = Vec::new();
    end_wait(&handle, base, &mut due);
    end_wait(&handle, base - Duration::from_nanos(1), &mut due);
    wake_all(&mut due);
    assert_eq!(bell.rung(), 1);
    assert_eq!(timer.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    let mut late = Box::pin(Timer::new(&handle, base));
    assert_eq!(late.as_mut().poll(&mut cx), Poll::Ready(Ok(())), "the driver has already seen this instant");
}

/// One step of the model test below: times are in units that are later scaled to nanoseconds, seconds or years.
#[derive(Clone, Debug)]
enum Step {
    Arm(u32),
    Reset(usize, u32),
    Cancel(usize),
    Advance(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Near times too: whatever the scale, a few units are what the low levels are for.
    let time = || prop_oneof![any::<u32>(), 0..5000_u32];
    let step = prop_oneof![
        4 => time().prop_map(Step::Arm),
        2 => (any::<usize>(), time()).prop_map(|(which, to)| Step::Reset(which, to)),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => time().prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Timers against the plainest model: a sorted map. `scale` carries deadlines past 2^30 and 2^36 ms, where
    /// hierarchical wheels have failed.
    #[test]
    fn t1_timers_agree_with_a_model(
        steps in steps(),
        scale in prop_oneof![Just(1_u64), Just(1000), Just(1_000_000), Just(1_000_000_000)],
    ) {
        let (_driver, handle) = Driver::new(BATCH).expect("driver");
        let base = Instant::now() + Duration::from_secs(3600);
        let at = |units: u32| base + Duration::from_nanos(u64::from(units) * scale);
        // The model knows timers by the time at which they fire: their order, and what the slack makes one.
        let fires_at = |units| handle.shared.timers.fires_at(at(units));
        let fired = Arc::new(Mutex::new(Vec::new()));
        let mut live = BTreeMap::new();
        let (mut clock, mut expected, mut cancelled) = (at(0), Vec::new(), false);
        for (number, step) in steps.into_iter().enumerate() {
            let pick = |live: &BTreeMap<(Instant, usize), _>, which: usize| {
                live.keys().nth(which % live.len().max(1)).copied()
            };
            match step {
                Step::Arm(units) => {
                    let waker = Waker::from(Arc::new(Scribe { number, log: fired.clone() }));
                    let mut timer = Box::pin(Timer::new(&handle, at(units)));
                    if timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                        live.insert((fires_at(units), number), timer);
                    } else {
                        prop_assert!(fires_at(units) <= clock, "early");
                    }
                }
                Step::Reset(which, units) => {
                    if let Some(key) = pick(&live, which)
                        && let Some(mut timer) = live.remove(&key)
                    {
                        timer.as_mut().reset(at(units));
                        live.insert((fires_at(units), key.1), timer);
                        cancelled = true;
                    }
                }
                Step::Cancel(which) => {
                    if let Some(key) = pick(&live, which) {
                        live.remove(&key);
                        cancelled = true;
                    }
                }
                Step::Advance(units) => clock = clock.max(at(units)),
            }
            let mut due = Vec::new();
            end_wait(&handle, clock, &mut due);
            wake_all(&mut due);
            let later = live.split_off(&(clock + Duration::from_nanos(1), 0));
            expected.extend(std::mem::replace(&mut live, later).keys().map(|(_, number)| *number));
            // Compared as sets: what one turn finds due is simultaneous.
            let mut seen = fired.lock().clone();
            seen.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(&seen, &expected, "each timer fires once, in the first turn that finds it due");
            prop_assert_eq!(handle.shared.timers.len(), live.len());
            let first = live.keys().next().map_or(Limit::Forever, |(first, _)| Limit::Until(*first));
            let wait = handle.shared.timers.begin_wait(Limit::Forever);
            if !cancelled {
                prop_assert_eq!(wait, first, "the wait is exact");
            }
            if let Limit::Until(first) = first {
                prop_assert!(matches!(wait, Limit::Until(end) if end <= first), "the wait is too long");
            }
        }
    }
}

/// A timer armed from another thread shortens the wait that is already in progress, whatever that waits for.
#[test]
fn an_earlier_timer_shortens_a_wait_in_progress() {
    let hour = Duration::from_secs(3600);
    for (limit, with_a_far_timer) in [(None, false), (None, true), (Some(hour), false), (Some(hour), true)] {
        let (mut driver, handle) = Driver::new(BATCH).expect("driver");
        let mut far = Box::pin(Timer::new(&handle, Instant::now() + hour));
        if with_a_far_timer {
            assert!(far.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let (done, wait_done) = mpsc::channel();
        let armer = thread::spawn(move || {
            let all_fired = (0..100).all(|_| fires_within_ten_seconds(&handle));
            done.send(()).expect("the test waits");
            handle.unpark();
            all_fired
        });
        while wait_done.try_recv().is_err() {
            driver.turn(limit).expect("turn");
        }
        assert!(armer.join().expect("armer"), "limit {limit:?}, far timer: {with_a_far_timer}");
    }
}

/// Arms a timer of 100 µs, for another thread's turn to fire.
fn fires_within_ten_seconds(handle: &Handle) -> bool {
    let mut near = Box::pin(Timer::new(handle, Instant::now() + Duration::from_micros(100)));
    let (bell, waker) = Bell::new(handle);
    let begin = Instant::now();
    if near.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        while bell.rung() == 0 {
            if begin.elapsed() > Duration::from_secs(10) {
                return false;
            }
            thread::yield_now();
        }
    }
    true
}
