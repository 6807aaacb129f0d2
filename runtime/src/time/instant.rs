//! `Instant`: `std`'s, wrapped, so that the clock can be replaced without touching anybody's signature.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A reading of the monotonic clock; like [`std::time::Instant`], and converts from and to it.
///
/// ```
/// use crossover_runtime::time::{Duration, Instant};
///
/// let begun = Instant::now();
/// let later = begun + Duration::from_millis(5);
/// assert_eq!(later - begun, Duration::from_millis(5));
/// assert_eq!(begun - later, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// The present.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let begun = Instant::now();
    /// assert!(begun <= Instant::now());
    /// # let _ = Duration::ZERO;
    /// ```
    pub fn now() -> Instant {
        Instant(crate::sync::prim::now())
    }

    /// From the standard library's type.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let std = std::time::Instant::now();
    /// assert_eq!(Instant::from_std(std), std.into());
    /// # let _ = Duration::ZERO;
    /// ```
    pub fn from_std(std: std::time::Instant) -> Instant {
        Instant(std)
    }

    /// To the standard library's type.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// assert_eq!(Instant::from_std(now.into_std()), now);
    /// # let _ = Duration::ZERO;
    /// ```
    pub fn into_std(self) -> std::time::Instant {
        self.0
    }

    /// The time from `earlier` to `self`; zero when it is the other way round.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// let later = now + Duration::from_secs(1);
    /// assert_eq!(later.duration_since(now), Duration::from_secs(1));
    /// assert_eq!(now.duration_since(later), Duration::ZERO);
    /// ```
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The time from `earlier` to `self`, or `None` when it is the other way round.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// let later = now + Duration::from_secs(1);
    /// assert_eq!(later.checked_duration_since(now), Some(Duration::from_secs(1)));
    /// assert_eq!(now.checked_duration_since(later), None);
    /// ```
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// The time from `earlier` to `self`; zero when it is the other way round.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// assert_eq!(now.saturating_duration_since(now + Duration::from_secs(1)), Duration::ZERO);
    /// ```
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The time since `self`; zero while it lies in the future.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let deadline = Instant::now() + Duration::from_secs(3600);
    /// assert_eq!(deadline.elapsed(), Duration::ZERO);
    /// ```
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// `self + duration`, or `None` where the clock's range ends.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// assert!(now.checked_add(Duration::from_secs(1)).is_some());
    /// assert!(now.checked_add(Duration::MAX).is_none());
    /// ```
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }

    /// `self - duration`, or `None` where the clock's range ends.
    ///
    /// ```
    /// use crossover_runtime::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// assert!(now.checked_sub(Duration::ZERO).is_some());
    /// assert!(now.checked_sub(Duration::MAX).is_none());
    /// ```
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
