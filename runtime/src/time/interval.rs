//! `Interval`: ticks at a fixed rate, and what becomes of those that were missed.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Instant, polled_after_shutdown};
use crate::driver::Timer;
use crate::scheduler::budget;

/// Ticks every `period`; the first tick is at once.
///
/// # Panics
/// If `period` is zero; outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, Instant, interval};
///
/// let begun = Instant::now();
/// let mut ticks = interval(Duration::from_millis(2));
/// for _ in 0..3 {
///     ticks.tick().await;
/// }
/// assert!(begun.elapsed() >= Duration::from_millis(4)); // the first one was at once
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`; the first tick is at `start`.
///
/// # Panics
/// If `period` is zero; outside of a runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, Instant, interval_at};
///
/// let start = Instant::now() + Duration::from_millis(2);
/// let mut ticks = interval_at(start, Duration::from_millis(2));
/// assert_eq!(ticks.tick().await, start);
/// # });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { timer: Box::pin(super::timer(start)), period, missed: MissedTickBehavior::default() }
}

/// What an [`Interval`] does after ticks were missed because nobody asked for them in time.
///
/// A tick counts as missed when it is taken more than five milliseconds late, as in tokio; less is lateness that any
/// loaded machine has, and is made up for.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, MissedTickBehavior, interval};
///
/// let mut ticks = interval(Duration::from_secs(1));
/// ticks.set_missed_tick_behavior(MissedTickBehavior::Skip); // after a pause, no burst of ticks
/// ticks.tick().await;
/// # });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// All missed ticks follow at once, then the old schedule goes on. The number of ticks is right.
    #[default]
    Burst,
    /// The next tick is one period after the late one. The distance between ticks is never below the period.
    Delay,
    /// Missed ticks are left out, and the old schedule goes on.
    Skip,
}

/// Lateness up to this much is not a missed tick.
const TOLERANCE: Duration = Duration::from_millis(5);

impl MissedTickBehavior {
    /// When to tick after the tick that was due at `due` was taken at `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        let late = now.saturating_duration_since(due);
        if late <= TOLERANCE {
            return due.saturating_add(period);
        }
        match self {
            MissedTickBehavior::Burst => due.saturating_add(period),
            MissedTickBehavior::Delay => now.saturating_add(period),
            MissedTickBehavior::Skip => {
                // The remainder is below `period` and not above `late`, hence fits and cannot go negative.
                let past_the_last_tick = late.as_nanos() % period.as_nanos();
                let past_the_last_tick = Duration::from_nanos_u128(past_the_last_tick);
                now.saturating_add(period.saturating_sub(past_the_last_tick))
            }
        }
    }
}

/// Ticks at a fixed rate; made by [`interval`] and [`interval_at`].
///
/// # Panics
/// When polled after the shutdown of its runtime.
///
/// # Example
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::{Duration, interval};
///
/// let mut ticks = interval(Duration::from_millis(1));
/// for n in 0..3 {
///     ticks.tick().await;
///     println!("tick {n}");
/// }
/// # });
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Interval {
    timer: Pin<Box<Timer>>,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// The next tick; returns the instant at which it was due.
    ///
    /// # Cancel safety
    /// A tick that was not returned is not lost: the next call returns it.
    ///
    /// # Example
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    ///
    /// let mut ticks = interval(Duration::from_millis(1));
    /// let first = ticks.tick().await;
    /// assert_eq!(ticks.tick().await, first + Duration::from_millis(1)); // as due, not as late as it came
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The next tick, for hand-written futures.
    ///
    /// After Pending the task that polled last is woken when the tick is due.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    ///
    /// let mut ticks = interval(Duration::from_millis(1));
    /// std::future::poll_fn(|cx| ticks.poll_tick(cx)).await;
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let charge = ready!(budget::poll_proceed(cx));
        if ready!(self.timer.as_mut().poll(cx)).is_err() {
            return polled_after_shutdown();
        }
        charge.made_progress();
        let due = Instant::from_std(self.timer.deadline());
        self.timer.as_mut().reset(self.missed.next(due, Instant::now(), self.period).into_std());
        Poll::Ready(due)
    }

    /// The next tick is one period from now.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, Instant, interval};
    ///
    /// let mut ticks = interval(Duration::from_millis(2));
    /// ticks.tick().await;
    /// let begun = Instant::now();
    /// ticks.reset();
    /// ticks.tick().await;
    /// assert!(begun.elapsed() >= Duration::from_millis(2));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// The next tick is due at once.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    ///
    /// let mut ticks = interval(Duration::from_secs(3600));
    /// ticks.tick().await;
    /// ticks.reset_immediately();
    /// ticks.tick().await; // does not wait for an hour
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// The next tick is `after` from now.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    ///
    /// let mut ticks = interval(Duration::from_secs(3600));
    /// ticks.tick().await;
    /// ticks.reset_after(Duration::from_millis(1));
    /// ticks.tick().await;
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().saturating_add(after));
    }

    /// The next tick is at `deadline`.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, Instant, interval};
    ///
    /// let mut ticks = interval(Duration::from_secs(3600));
    /// ticks.tick().await;
    /// let soon = Instant::now() + Duration::from_millis(1);
    /// ticks.reset_at(soon);
    /// assert_eq!(ticks.tick().await, soon);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset_at(&mut self, deadline: Instant) {
        self.timer.as_mut().reset(deadline.into_std());
    }

    /// What happens after missed ticks.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    /// use crossover_runtime::time::MissedTickBehavior;
    ///
    /// let ticks = interval(Duration::from_secs(1));
    /// assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Burst);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets what happens after missed ticks.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    /// use crossover_runtime::time::MissedTickBehavior;
    ///
    /// let mut ticks = interval(Duration::from_secs(1));
    /// ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// The time between ticks.
    ///
    /// ```
    /// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
    /// use crossover_runtime::time::{Duration, interval};
    ///
    /// assert_eq!(interval(Duration::from_secs(1)).period(), Duration::from_secs(1));
    /// # });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn period(&self) -> Duration {
        self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    fn next_after(behavior: MissedTickBehavior, late_ms: u64) -> u128 {
        let due = Instant::now();
        let next = behavior.next(due, due + Duration::from_millis(late_ms), PERIOD);
        (next - due).as_millis()
    }

    #[test]
    fn a_tick_in_time_keeps_the_schedule() {
        for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
            assert_eq!(next_after(behavior, 0), 100);
            assert_eq!(next_after(behavior, 5), 100);
        }
    }

    #[test]
    fn missed_ticks_burst_delay_or_are_skipped() {
        assert_eq!(next_after(MissedTickBehavior::Burst, 250), 100);
        assert_eq!(next_after(MissedTickBehavior::Delay, 250), 350);
        assert_eq!(next_after(MissedTickBehavior::Skip, 250), 300);
        assert_eq!(next_after(MissedTickBehavior::Skip, 99), 100);
        assert_eq!(next_after(MissedTickBehavior::Skip, 200), 300);
    }

    #[test]
    fn t2_huge_periods_saturate() {
        let now = Instant::now();
        for behavior in [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
            assert!(behavior.next(now, now + Duration::from_secs(1), Duration::MAX) > now + PERIOD);
        }
    }
}
