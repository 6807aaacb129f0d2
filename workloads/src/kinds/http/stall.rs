//! A server with one hand that stops now and then: whose waiting times can be computed.
//!
//! Requests queue for it, each takes the same time, and at the end of every period it does nothing for a while, as a
//! program does that collects garbage or waits for its disk. The queue is kept as the moment when the server is free
//! again: a request that arrives learns at once when it will be answered. Time counts from the first request, so that
//! a load sees whole periods.
use std::time::Duration;

/// What the server is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Length of a period; must be longer than `stall`.
    pub every: Duration,
    /// The last part of each period, in which nothing is served.
    pub stall: Duration,
    /// What a request takes once it is its turn.
    pub service: Duration,
}

impl Stall {
    /// How long from `at` until the next stall begins; in a stall, `Err` of how long it still lasts.
    fn until_stall(&self, at: Duration) -> Result<Duration, Duration> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let into = Duration::from_nanos(nanos(at) % nanos(self.every).max(1));
        match self.every.saturating_sub(self.stall).checked_sub(into) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(self.every - into),
        }
    }

    /// The latency that a share of `beyond` of all requests exceeds (0.01: the 99th percentile), where they arrive `rate`
    /// times per second, evenly, over many whole periods, and wait for nothing but this server.
    ///
    /// A request that arrives `x` after a stall has begun waits for the rest of it and for those before it in the
    /// queue: `stall - x`, and `x × rate` times `service`. That falls evenly until the queue is empty, so the share of a
    /// period in which arrivals wait for longer than a request with `x` does is `x / every`.
    ///
    /// `None` where the server never catches up, or where so many requests exceed none that waits.
    #[must_use]
    pub fn latency_beyond(&self, beyond: f64, rate: f64) -> Option<Duration> {
        let x = beyond * self.every.as_secs_f64();
        let idle = 1.0 - rate * self.service.as_secs_f64();
        let waits = self.stall.as_secs_f64() - x * idle;
        let caught_up = self.stall.as_secs_f64() <= self.every.as_secs_f64() * idle;
        (waits > 0.0 && caught_up).then(|| self.service + Duration::from_secs_f64(waits))
    }
}

/// Who waits for the server.
#[derive(Debug)]
pub(super) struct Queue {
    stall: Stall,
    /// When the server has done all that it knows of.
    free: Duration,
}

impl Queue {
    pub(super) const fn new(stall: Stall) -> Self {
        Self { stall, free: Duration::ZERO }
    }

    /// A request arrives `at`, after the first one: when its answer is ready. Work that a stall interrupts goes on after it.
    pub(super) fn enter(&mut self, at: Duration) -> Duration {
        let Stall { stall, service, .. } = self.stall;
        let mut begin = at.max(self.free);
        let left = self.stall.until_stall(begin).unwrap_or_else(|rest| {
            begin += rest;
            Duration::MAX
        });
        self.free = begin + if service <= left { service } else { service + stall };
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn usual() -> Stall {
        Stall { every: MS(2000), stall: MS(200), service: MS(1) }
    }

    #[test]
    fn requests_wait_for_each_other_and_for_the_stall() {
        let mut queue = Queue::new(usual());
        let ends: Vec<_> = [0, 0, 10, 1799, 1800, 1990, 2000, 2001].map(|at| queue.enter(MS(at))).into();
        assert_eq!(ends, [1, 2, 11, 1800, 2001, 2002, 2003, 2004].map(MS));
        let mut queue = Queue::new(Stall { service: MS(5), ..usual() });
        assert_eq!(queue.enter(MS(1798)), MS(2003), "what a stall interrupts goes on after it");
    }

    #[test]
    fn the_formula_is_what_the_queue_does() {
        let (stall, rate) = (usual(), 500.0);
        let p99 = stall.latency_beyond(0.01, rate).unwrap();
        assert_eq!(p99, MS(191));
        let mut queue = Queue::new(stall);
        let mut latencies: Vec<Duration> =
            (0..20_000_u64).map(|task| MS(task * 2)).map(|at| queue.enter(at) - at).collect();
        latencies.sort_unstable();
        let simulated = latencies[latencies.len() * 99 / 100];
        assert!(simulated.abs_diff(p99) <= MS(2), "{simulated:?} and {p99:?}");
        assert_eq!(latencies[latencies.len() / 2], MS(1));
    }

    #[test]
    fn where_the_formula_does_not_hold_it_says_nothing() {
        assert_eq!(usual().latency_beyond(0.01, 1000.0), None, "no time to catch up");
        assert_eq!(usual().latency_beyond(0.5, 500.0), None, "half of all requests do not wait");
    }
}
