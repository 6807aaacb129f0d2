//! What can go wrong with time.

use std::fmt;
use std::io;

/// The deadline of a [`timeout`](super::timeout()) passed before its future was ready.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// use crossover_runtime::time::timeout;
/// use std::time::Duration;
///
/// let error = timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
/// # });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) const fn new() -> Elapsed {
        Elapsed(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// What a timer itself could fail with: nothing, so there is no value of it.
///
/// tokio's timers may be out of capacity, given too long a delay, or shut down. Ours have no limit (see the
/// [module](super)'s docs), and end with their runtime. The name is here for code that comes from tokio.
///
/// ```
/// fn explain(error: crossover_runtime::time::error::Error) -> &'static str {
///     if error.is_shutdown() { "shut down" } else { "something else" }
/// }
/// # let _ = explain;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {}

impl Error {
    /// Was the timer's runtime shut down?
    pub fn is_shutdown(&self) -> bool {
        match *self {}
    }

    /// Were there too many timers?
    pub fn is_at_capacity(&self) -> bool {
        match *self {}
    }

    /// Was the deadline beyond what the timer can wait for?
    pub fn is_invalid(&self) -> bool {
        match *self {}
    }
}

impl fmt::Display for Error {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Error {}
