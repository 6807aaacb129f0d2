//! Where descriptors of the pool may lie: from [`LOWEST`] on, clear of the standard streams.
//!
//! A program or a job may have closed its standard streams. What came in their place would be printed into.

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

/// The lowest number that a descriptor of the pool may have.
pub(super) const LOWEST: RawFd = 10;

/// `descriptor` itself if its number is high enough, else a copy whose number is.
///
/// # Errors
/// None is free (`EMFILE`).
pub(super) fn kept_high(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() >= LOWEST { Ok(descriptor) } else { high_copy(descriptor) }
}

/// A copy of `descriptor` whose number is [`LOWEST`] or above. Close-on-exec.
///
/// # Errors
/// None is free (`EMFILE`).
pub(super) fn high_copy(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    fcntl_dupfd_cloexec(descriptor, LOWEST).map_err(|error| match error {
        // The kernel's word for a limit of descriptors that leaves no number from there on.
        Errno::INVAL => Errno::MFILE.into(),
        other => other.into(),
    })
}
