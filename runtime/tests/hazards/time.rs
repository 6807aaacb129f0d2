//! T1, T2, T4: deadlines far and near; S2: timers at the end. (T1's model and T3 are tested inside of the driver.)

use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use crossover_runtime::runtime::Runtime;
use crossover_runtime::spawn;
use crossover_runtime::time::{
    Duration, Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout, timeout_at,
};

use crate::{on_both, watchdog};

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

/// A sleep that is not yet due is no reason to wake up again and again, also on a runtime with several workers.
#[test]
fn t4_a_sleep_wakes_few_times() {
    crate::watchdog(|watch| {
        for runtime in watch.both() {
            let metrics = runtime.metrics();
            let wakes =
                || (0..metrics.num_workers()).map(|worker| metrics.worker_turn_count(worker)).sum::<u64>();
            let before = wakes();
            runtime.block_on(async {
                for _ in 0..100 {
                    sleep(Duration::from_micros(900)).await;
                }
            });
            // A turn or two that wait for each, and a few that only look while their worker spins.
            let wakes = wakes() - before;
            assert!(wakes <= 100 * 20, "{wakes} turns for 100 sleeps");
        }
    });
}

/// Signals interrupt the wait for a timer: it goes on, for what is left, neither early nor from the start.
#[test]
fn t4_signals_neither_shorten_nor_prolong_a_sleep() {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    static SIGNALS: AtomicU32 = AtomicU32::new(0);
    extern "C" fn count(_: nix::libc::c_int) {
        SIGNALS.fetch_add(1, Ordering::Relaxed);
    }
    crate::alone("time::t4_signals_neither_shorten_nor_prolong_a_sleep", || {
        // Without SA_RESTART, so that system calls fail with EINTR.
        let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler only touches an atomic, which is allowed in any signal handler.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("a handler");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // All other threads are the runtime's, or wait for them: the signals meet those.
                SigSet::from(Signal::SIGUSR1).thread_block().expect("blocked");
                while !stop.load(Ordering::Relaxed) {
                    kill(nix::unistd::Pid::this(), Signal::SIGUSR1).expect("a signal");
                    std::thread::sleep(Duration::from_micros(300));
                }
            });
            let current = crossover_runtime::runtime::Builder::new_current_thread().build().expect("runtime");
            for runtime in [current, Runtime::new().expect("runtime")] {
                runtime.block_on(async {
                    for _ in 0..30 {
                        let begin = Instant::now();
                        sleep(Duration::from_millis(5)).await;
                        let slept = begin.elapsed();
                        assert!(slept >= Duration::from_millis(5), "early: {slept:?}");
                        assert!(slept < Duration::from_secs(2), "far too late: {slept:?}");
                    }
                    let (near, far) = crossover_runtime::net::UnixStream::pair().expect("pair");
                    let waits = timeout(Duration::from_millis(20), near.readable()).await;
                    assert!(waits.is_err(), "nothing has come");
                    drop(far);
                });
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(SIGNALS.load(Ordering::Relaxed) > 50);
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

/// A task is in the middle of a poll while its runtime ends without waiting for it, and then comes to a timer: it is cancelled
/// like any other, and does not panic because the clock has stopped.
#[test]
fn s2_a_task_that_comes_to_a_timer_after_the_end_has_begun() {
    watchdog(|watch| {
        for round in 0..30 {
            let rt = watch.multi(2);
            let (polled, is_polled) = mpsc::channel();
            let (go, may_go) = mpsc::channel::<()>();
            let mut ticks = {
                let _guard = rt.enter();
                interval(Duration::from_secs(1))
            };
            let task = rt.spawn(async move {
                polled.send(()).unwrap();
                let _ = may_go.recv();
                match round % 3 {
                    0 => sleep(Duration::from_millis(1)).await,
                    1 => drop(timeout(Duration::from_millis(1), std::future::pending::<()>()).await),
                    _ => {
                        ticks.tick().await;
                        ticks.tick().await;
                    }
                }
            });
            is_polled.recv().unwrap();
            let handle = rt.handle().clone();
            match round % 2 {
                0 => rt.shutdown_background(),
                // The worker in the poll, and no other: long enough for that to leave on a busy machine, and shorter than the
                // time after which the end would serve the timers' waiters itself.
                _ => assert_eq!(rt.shutdown_timeout(Duration::from_millis(90)), 1),
            }
            drop(go);
            let error = handle.block_on(task).unwrap_err();
            assert!(error.is_cancelled(), "{error}");
        }
    });
}
