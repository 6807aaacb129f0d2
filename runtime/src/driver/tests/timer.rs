//! Timers: order, cancellation and resets against a model, and a wait that becomes shorter.

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

#[test]
fn timers_fire_in_order_of_deadline_then_of_arming() {
    let (_driver, handle) = Driver::new().expect("driver");
    let base = Instant::now() + Duration::from_secs(3600);
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut timers = Vec::new();
    for (number, nanos) in [4, 1, 3, 2, 2].into_iter().enumerate() {
        let mut timer = Timer::new(handle.clone(), base + Duration::from_nanos(nanos));
        let waker = Waker::from(Arc::new(Scribe { number, log: log.clone() }));
        assert!(timer.poll(&mut Context::from_waker(&waker)).is_pending());
        timers.push(timer);
    }
    let fire = |nanos| {
        let mut due = Vec::new();
        handle.shared.timers.end_wait(base + Duration::from_nanos(nanos), &mut due);
        wake_all(&mut due);
        log.lock().clone()
    };
    assert_eq!(fire(0), []);
    assert_eq!(fire(2), [1, 3, 4]);
    assert_eq!(fire(3), [1, 3, 4, 2]);
    assert_eq!(fire(4), [1, 3, 4, 2, 0]);
    assert_eq!(handle.shared.timers.len(), 0);
}

/// A clock that steps back neither fires again nor takes a firing back, and what it has shown counts as reached.
#[test]
fn t3_the_clock_goes_back_one_tick() {
    let (_driver, handle) = Driver::new().expect("driver");
    let base = Instant::now() + Duration::from_secs(3600);
    let (bell, waker) = Bell::new(&handle);
    let mut cx = Context::from_waker(&waker);
    let mut timer = Timer::new(handle.clone(), base);
    assert!(timer.poll(&mut cx).is_pending());
    let mut due = Vec::new();
    handle.shared.timers.end_wait(base, &mut due);
    handle.shared.timers.end_wait(base - Duration::from_nanos(1), &mut due);
    wake_all(&mut due);
    assert_eq!(bell.rung(), 1);
    assert_eq!(timer.poll(&mut cx), Poll::Ready(Ok(())));
    let mut late = Timer::new(handle.clone(), base);
    assert_eq!(late.poll(&mut cx), Poll::Ready(Ok(())), "the driver has already seen this instant");
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
    let step = prop_oneof![
        4 => any::<u32>().prop_map(Step::Arm),
        2 => (any::<usize>(), any::<u32>()).prop_map(|(which, to)| Step::Reset(which, to)),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => any::<u32>().prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Timers against the plainest model: a list that is searched. `scale` carries deadlines past 2^30 and 2^36 ms,
    /// where hierarchical wheels have failed.
    #[test]
    fn t1_timers_agree_with_a_model(
        steps in steps(),
        scale in prop_oneof![
            Just(1_u64),
            Just(1_000_000),
            Just(1_000_000_000),
        ],
    ) {
        let (_driver, handle) = Driver::new().expect("driver");
        let base = Instant::now() + Duration::from_secs(3600);
        let at = |units: u32| base + Duration::from_nanos(u64::from(units) * scale);
        let (mut clock, mut live): (u32, Vec<(u32, usize, Timer)>) = (0, Vec::new());
        let (fired, mut expected) = (Arc::new(Mutex::new(Vec::new())), Vec::new());
        let mut numbers = 0..;
        handle.shared.timers.end_wait(at(0), &mut Vec::new());
        for step in steps {
            match step {
                Step::Arm(units) => {
                    let number = numbers.next().expect("endless");
                    let waker = Waker::from(Arc::new(Scribe { number, log: fired.clone() }));
                    let mut timer = Timer::new(handle.clone(), at(units));
                    let polled = timer.poll(&mut Context::from_waker(&waker));
                    prop_assert_eq!(polled.is_ready(), units <= clock);
                    if polled.is_pending() {
                        live.push((units, number, timer));
                    }
                }
                Step::Reset(which, units) if !live.is_empty() => {
                    let which = which % live.len();
                    live[which].2.reset(at(units));
                    live[which].0 = units;
                    if units <= clock {
                        expected.push(live.remove(which).1);
                    }
                }
                Step::Cancel(which) if !live.is_empty() => {
                    let which = which % live.len();
                    live.remove(which);
                }
                Step::Advance(units) => {
                    clock = clock.max(units);
                    let mut due = Vec::new();
                    handle.shared.timers.end_wait(at(units), &mut due);
                    wake_all(&mut due);
                    let mut now_due: Vec<_> = live.extract_if(.., |(deadline, ..)| *deadline <= clock).collect();
                    now_due.sort_by_key(|(deadline, ..)| *deadline);
                    expected.extend(now_due.iter().map(|(_, number, _)| *number));
                    // Compared as sets: a reset moves a timer to the end of those that share its deadline.
                    let mut seen = fired.lock().clone();
                    let mut wanted = expected.clone();
                    seen.sort_unstable();
                    wanted.sort_unstable();
                    prop_assert_eq!(seen, wanted);
                }
                Step::Reset(..) | Step::Cancel(_) => {}
            }
        }
        prop_assert_eq!(fired.lock().len(), expected.len(), "each timer fires once");
        prop_assert_eq!(handle.shared.timers.len(), live.len());
    }
}

/// A timer armed from another thread shortens the wait that is already in progress, whatever that waits for.
#[test]
fn an_earlier_timer_shortens_a_wait_in_progress() {
    let hour = Duration::from_secs(3600);
    for (limit, with_a_far_timer) in [(None, false), (None, true), (Some(hour), false), (Some(hour), true)] {
        let (mut driver, handle) = Driver::new().expect("driver");
        let mut far = Timer::new(handle.clone(), Instant::now() + hour);
        if with_a_far_timer {
            assert!(far.poll(&mut Context::from_waker(Waker::noop())).is_pending());
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
    let mut near = Timer::new(handle.clone(), Instant::now() + Duration::from_micros(100));
    let (bell, waker) = Bell::new(handle);
    let begin = Instant::now();
    if near.poll(&mut Context::from_waker(&waker)).is_pending() {
        while bell.rung() == 0 {
            if begin.elapsed() > Duration::from_secs(10) {
                return false;
            }
            thread::yield_now();
        }
    }
    true
}
