//! `Interest` and `Ready`: what one wants to hear about a descriptor, and what the driver has heard.
//!
//! Both are plain bit sets with the meaning and the names of tokio's `io::Interest` and `io::Ready`. The driver
//! stores a `Ready` in the low bits of each source's readiness word (see `driver/io.rs`).
//!
//! **The closed states** are exact on Linux: `READ_CLOSED` appears with the event that announces the end of the stream
//! (`EPOLLRDHUP`), also when the peer shut down no more than its writing half. On other systems that end only makes
//! the socket readable (a read returns 0), and `READ_CLOSED` appears once both halves are down.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// The state of a descriptor as last reported by the operating system.
///
/// # Example
/// ```
/// use crossover_runtime::io::Ready;
///
/// let both = Ready::READABLE | Ready::WRITABLE;
/// assert!(both.is_readable() && both.is_writable() && !both.is_error());
/// assert_eq!(both - Ready::READABLE, Ready::WRITABLE);
/// assert_eq!(both & Ready::READABLE, Ready::READABLE);
/// assert!(both.contains(Ready::WRITABLE) && Ready::EMPTY.is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ready(u8);

impl Ready {
    /// Nothing is ready.
    pub const EMPTY: Ready = Ready(0);
    /// A read is expected not to block.
    pub const READABLE: Ready = Ready(1);
    /// A write is expected not to block.
    pub const WRITABLE: Ready = Ready(1 << 1);
    /// Nothing more can arrive.
    pub const READ_CLOSED: Ready = Ready(1 << 2);
    /// Nothing more can be sent.
    pub const WRITE_CLOSED: Ready = Ready(1 << 3);
    /// Priority data is present (`EPOLLPRI`).
    pub const PRIORITY: Ready = Ready(1 << 4);
    /// The descriptor is in an error state (`EPOLLERR`).
    pub const ERROR: Ready = Ready(1 << 5);
    /// All of the above.
    pub const ALL: Ready = Ready(0b11_1111);

    /// Whether no bit is set.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::EMPTY.is_empty() && !Ready::READABLE.is_empty());
    /// ```
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a read is expected not to block: readable, or closed for reading.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::READABLE.is_readable() && Ready::READ_CLOSED.is_readable());
    /// assert!(!Ready::WRITABLE.is_readable());
    /// ```
    pub const fn is_readable(self) -> bool {
        self.intersects(Ready(Self::READABLE.0 | Self::READ_CLOSED.0))
    }

    /// Whether a write is expected not to block: writable, or closed for writing.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::WRITABLE.is_writable() && Ready::WRITE_CLOSED.is_writable());
    /// assert!(!Ready::READABLE.is_writable());
    /// ```
    pub const fn is_writable(self) -> bool {
        self.intersects(Ready(Self::WRITABLE.0 | Self::WRITE_CLOSED.0))
    }

    /// Whether the reading half is known to be closed.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::READ_CLOSED.is_read_closed() && !Ready::READABLE.is_read_closed());
    /// ```
    pub const fn is_read_closed(self) -> bool {
        self.intersects(Self::READ_CLOSED)
    }

    /// Whether the writing half is known to be closed.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::WRITE_CLOSED.is_write_closed() && !Ready::WRITABLE.is_write_closed());
    /// ```
    pub const fn is_write_closed(self) -> bool {
        self.intersects(Self::WRITE_CLOSED)
    }

    /// Whether priority data is present.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::PRIORITY.is_priority() && !Ready::READABLE.is_priority());
    /// ```
    pub const fn is_priority(self) -> bool {
        self.intersects(Self::PRIORITY)
    }

    /// Whether the descriptor is in an error state.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// assert!(Ready::ERROR.is_error() && !Ready::READABLE.is_error());
    /// ```
    pub const fn is_error(self) -> bool {
        self.intersects(Self::ERROR)
    }

    /// Whether every bit of `other` is set.
    ///
    /// ```
    /// use crossover_runtime::io::Ready;
    ///
    /// let both = Ready::READABLE | Ready::WRITABLE;
    /// assert!(both.contains(Ready::READABLE) && !Ready::READABLE.contains(both));
    /// ```
    pub const fn contains(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    pub(crate) const fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits, for the readiness word.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// The reverse of `bits`; bits without a meaning are dropped.
    pub(crate) const fn from_bits(bits: u8) -> Ready {
        Ready(bits & Self::ALL.0)
    }
}

impl BitOr for Ready {
    type Output = Ready;
    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Ready;
    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Ready;
    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_read_closed", &self.is_read_closed())
            .field("is_write_closed", &self.is_write_closed())
            .field("is_priority", &self.is_priority())
            .field("is_error", &self.is_error())
            .finish()
    }
}

/// The readiness that one waits for; never empty.
///
/// # Example
/// ```
/// use crossover_runtime::io::Interest;
///
/// const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// assert!(BOTH.is_readable() && BOTH.is_writable());
/// assert_eq!(BOTH, Interest::READABLE | Interest::WRITABLE);
/// assert_eq!(BOTH.remove(Interest::READABLE), Some(Interest::WRITABLE));
/// assert_eq!(Interest::READABLE.remove(Interest::READABLE), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// Readable, or closed for reading.
    pub const READABLE: Interest = Interest(1);
    /// Writable, or closed for writing.
    pub const WRITABLE: Interest = Interest(1 << 1);
    /// Priority data.
    pub const PRIORITY: Interest = Interest(1 << 2);
    /// An error state.
    pub const ERROR: Interest = Interest(1 << 3);

    /// Whether readable is waited for.
    ///
    /// ```
    /// use crossover_runtime::io::Interest;
    ///
    /// assert!(Interest::READABLE.is_readable() && !Interest::WRITABLE.is_readable());
    /// ```
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE.0 != 0
    }

    /// Whether writable is waited for.
    ///
    /// ```
    /// use crossover_runtime::io::Interest;
    ///
    /// assert!(Interest::WRITABLE.is_writable() && !Interest::READABLE.is_writable());
    /// ```
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }

    /// Whether priority data is waited for.
    ///
    /// ```
    /// use crossover_runtime::io::Interest;
    ///
    /// assert!(!Interest::READABLE.is_priority());
    /// ```
    pub const fn is_priority(self) -> bool {
        self.0 & Self::PRIORITY.0 != 0
    }

    /// Whether an error state is waited for.
    ///
    /// ```
    /// use crossover_runtime::io::Interest;
    ///
    /// assert!(Interest::ERROR.is_error() && !Interest::READABLE.is_error());
    /// ```
    pub const fn is_error(self) -> bool {
        self.0 & Self::ERROR.0 != 0
    }

    /// Both interests; the same as `self | other`, usable in constants.
    ///
    /// ```
    /// use crossover_runtime::io::Interest;
    ///
    /// let both = Interest::READABLE.add(Interest::WRITABLE);
    /// assert!(both.is_readable() && both.is_writable());
    /// ```
    #[must_use]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// `self` without `other`, or `None` where nothing would be left.
    ///
    /// ```
    /// use crossover_runtime::io::Interest;
    ///
    /// let both = Interest::READABLE | Interest::WRITABLE;
    /// assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
    /// assert_eq!(both.remove(both), None);
    /// ```
    #[must_use]
    pub const fn remove(self, other: Interest) -> Option<Interest> {
        match self.0 & !other.0 {
            0 => None,
            bits => Some(Interest(bits)),
        }
    }

    /// The readiness bits that satisfy this interest.
    pub(crate) const fn mask(self) -> Ready {
        let mut bits = 0;
        if self.is_readable() {
            bits |= Ready::READABLE.0 | Ready::READ_CLOSED.0;
        }
        if self.is_writable() {
            bits |= Ready::WRITABLE.0 | Ready::WRITE_CLOSED.0;
        }
        if self.is_priority() {
            bits |= Ready::PRIORITY.0 | Ready::READ_CLOSED.0;
        }
        if self.is_error() {
            bits |= Ready::ERROR.0;
        }
        Ready(bits)
    }
}

impl BitOr for Interest {
    type Output = Interest;
    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = self.add(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.is_readable(), "READABLE"),
            (self.is_writable(), "WRITABLE"),
            (self.is_priority(), "PRIORITY"),
            (self.is_error(), "ERROR"),
        ];
        let set: Vec<&str> = names.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        f.write_str(&set.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interest_is_met_by_its_direction_and_by_its_closing() {
        let read = Interest::READABLE.mask();
        assert!(read.contains(Ready::READABLE) && read.contains(Ready::READ_CLOSED));
        assert!(!read.intersects(Ready::WRITABLE | Ready::WRITE_CLOSED | Ready::ERROR));
        assert_eq!(
            (Interest::READABLE | Interest::WRITABLE).remove(Interest::READABLE),
            Some(Interest::WRITABLE)
        );
        assert_eq!(Interest::WRITABLE.remove(Interest::WRITABLE), None);
        assert_eq!(format!("{:?}", Interest::READABLE | Interest::ERROR), "READABLE | ERROR");
    }

    #[test]
    fn bits_survive_the_round_trip_and_foreign_bits_do_not() {
        assert_eq!(Ready::from_bits(Ready::ALL.bits()), Ready::ALL);
        assert_eq!(Ready::from_bits(0b1100_0001), Ready::READABLE);
        assert_eq!(Ready::ALL - Ready::ALL, Ready::EMPTY);
    }
}
