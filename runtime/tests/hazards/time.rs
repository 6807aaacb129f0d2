//! T1, T2, T4: deadlines far and near. (T1's model and T3 are tested inside of the driver.)

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crossover_runtime::runtime::Runtime;
use crossover_runtime::spawn;
use crossover_runtime::time::{
    Duration, Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout, timeout_at,
};

use crate::on_both;

/// With timers years away in place, near ones fire, and in order.
#[test]
fn t1_near_timers_fire_while_far_ones_are_armed() {
    on_both(|runtime| {
        runtime.block_on(async {
            let far: Vec<_> = [30_u64, 36, 40, 63]
                .into_iter()
                .map(|bits| spawn(sleep(Duration::from_millis(1 << bits))))
                .collect();
            for micros in [0, 1, 50, 900, 1500] {
                let begin = Instant::now();
                sleep(Duration::from_micros(micros)).await;
                assert!(begin.elapsed() >= Duration::from_micros(micros), "early");
            }
            for sleeper in &far {
                assert!(!sleeper.is_finished());
                sleeper.abort();
            }
        });
    });
}

#[test]
fn t2_zero_past_and_endless_durations() {
    on_both(|runtime| {
        runtime.block_on(async {
            sleep(Duration::ZERO).await;
            let past = Instant::now();
            std::thread::sleep(Duration::from_millis(1));
            sleep_until(past).await;
            assert_eq!(timeout(Duration::MAX, async { 7 }).await, Ok(7));
            assert!(timeout(Duration::from_millis(1), sleep(Duration::MAX)).await.is_err());
            assert!(timeout_at(past, std::future::pending::<()>()).await.is_err());
            assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7), "what is ready wins");

            let mut endless = interval(Duration::MAX);
            endless.tick().await;
            endless.set_missed_tick_behavior(MissedTickBehavior::Skip);
            assert!(timeout(Duration::from_millis(1), endless.tick()).await.is_err());
            endless.reset_after(Duration::MAX);
            assert!(timeout(Duration::from_millis(1), endless.tick()).await.is_err());
            endless.reset_immediately();
            endless.tick().await;
        });
    });
}

#[test]
fn t2_reset_before_and_after_expiry() {
    on_both(|runtime| {
        runtime.block_on(async {
            let mut sleep = pin!(sleep(Duration::from_millis(1)));
            sleep.as_mut().await;
            assert!(sleep.is_elapsed());
            let deadline = Instant::now() + Duration::from_millis(2);
            sleep.as_mut().reset(deadline);
            assert_eq!(sleep.deadline(), deadline);
            sleep.as_mut().await;
            assert!(Instant::now() >= deadline);

            // A waiting task is woken at the new deadline without polling in between.
            sleep.as_mut().reset(Instant::now() + Duration::from_secs(3600));
            assert_eq!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
            sleep.as_mut().reset(Instant::now());
            sleep.await;
        });
    });
}

#[test]
#[should_panic(expected = "must not be zero")]
fn t2_an_interval_without_a_period_is_refused() {
    let runtime = Runtime::new().expect("runtime");
    let _guard = runtime.enter();
    drop(interval(Duration::ZERO));
}

/// Sleeps below a millisecond neither spin nor grow to whole milliseconds each; the second bound is far from both.
#[test]
fn t4_short_sleeps_do_not_spin() {
    on_both(|runtime| {
        let cpu = cpu_time();
        let begin = Instant::now();
        runtime.block_on(async {
            for _ in 0..200 {
                let begin = Instant::now();
                sleep(Duration::from_micros(900)).await;
                assert!(begin.elapsed() >= Duration::from_micros(900), "early");
            }
        });
        let (cpu, wall) = (cpu_time() - cpu, begin.elapsed());
        assert!(wall >= Duration::from_millis(180));
        assert!(cpu < wall / 2, "{cpu:?} of CPU time in {wall:?} of sleeping");
    });
}

/// CPU time of this thread: other tests run beside this one.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn ticks_come_at_their_times_and_a_cancelled_tick_is_not_lost() {
    on_both(|runtime| {
        runtime.block_on(async {
            let start = Instant::now() + Duration::from_millis(1);
            let period = Duration::from_millis(2);
            let mut ticks = interval_at(start, period);
            {
                let mut tick = pin!(ticks.tick());
                assert!(tick.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            for number in 0..5 {
                let due = ticks.tick().await;
                assert_eq!(due, start + number * period, "bursts keep the schedule");
                assert!(Instant::now() >= due, "early");
            }
        });
    });
}

/// Sleeps that are dropped before they fire leave the runtime idle, also when they were polled on another thread.
#[test]
fn a_dropped_sleep_is_gone() {
    on_both(|runtime| {
        runtime.block_on(async {
            for _ in 0..100 {
                let mut sleep = Box::pin(sleep(Duration::from_secs(3600)));
                assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                std::thread::spawn(move || drop(sleep)).join().expect("dropped elsewhere");
            }
        });
    });
}
