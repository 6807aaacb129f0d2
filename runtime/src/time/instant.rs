//! `Instant`: `std`'s, wrapped, so that the clock can be replaced without touching anybody's signature.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A reading of the monotonic clock; like [`std::time::Instant`], and converts from and to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// The present.
    pub fn now() -> Instant {
        Instant(crate::sync::prim::now())
    }

    /// From the standard library's type.
    pub fn from_std(std: std::time::Instant) -> Instant {
        Instant(std)
    }

    /// To the standard library's type.
    pub fn into_std(self) -> std::time::Instant {
        self.0
    }

    /// The time from `earlier` to `self`; zero when it is the other way round.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The time from `earlier` to `self`, or `None` when it is the other way round.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// The time from `earlier` to `self`; zero when it is the other way round.
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The time since `self`; zero while it lies in the future.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// `self + duration`, or `None` where the clock's range ends.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }

    /// `self - duration`, or `None` where the clock's range ends.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_sub(duration).map(Instant)
    }

    /// `self + duration`, or a time that nobody will live to see.
    pub(super) fn saturating_add(self, duration: Duration) -> Instant {
        /// A hundred years, which any clock can count on from now.
        const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.checked_add(duration).or_else(|| Instant::now().checked_add(FAR)).unwrap_or(self)
    }
}

impl From<std::time::Instant> for Instant {
    fn from(std: std::time::Instant) -> Instant {
        Instant(std)
    }
}

impl From<Instant> for std::time::Instant {
    fn from(instant: Instant) -> std::time::Instant {
        instant.0
    }
}

/// # Panics
/// Where the clock's range ends, as `std`'s does; see [`Instant::checked_add`].
impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

/// # Panics
/// Where the clock's range ends, as `std`'s does.
impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

/// The time between the two; zero when `earlier` is the later one.
impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

/// # Panics
/// Where the clock's range ends, as `std`'s does; see [`Instant::checked_sub`].
impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0 - duration)
    }
}

/// # Panics
/// Where the clock's range ends, as `std`'s does.
impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_beyond_the_clock_saturate_and_differences_do_too() {
        let now = Instant::now();
        let far = now.saturating_add(Duration::MAX);
        assert!(far - now > Duration::from_secs(99 * 365 * 24 * 3600));
        assert!(far.saturating_add(Duration::MAX) >= far);
        assert_eq!(now - far, Duration::ZERO);
        assert_eq!(now.checked_add(Duration::MAX), None);
        assert_eq!(now.saturating_add(Duration::ZERO), now);
    }
}
