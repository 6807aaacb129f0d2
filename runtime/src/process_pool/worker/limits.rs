//! What a worker denies itself, so that a job that goes wrong hurts neither the parent nor the machine.
//!
//! All of it is done in the worker and not between fork and exec: the parent stays on `posix_spawn`. Only soft limits
//! are set, so a job that has a reason may raise them again. What a job starts inherits them.

use nix::sys::resource::{UsageWho, getrusage};
use rustix::{
    param::page_size,
    process::{Resource, getrlimit, setrlimit},
};
use std::{fs, io};

/// How much likelier than others a worker is to be chosen when the machine runs out of memory (-1000 to 1000): the pool
/// survives a worker's death, and its parent would not survive its own.
const OOM_SCORE: &str = "500";

/// What a worker may allocate above the pool's limit before it is refused: the pool kills what is resident above
/// the limit, a refusal only stops what grows faster than the pool looks.
const SLACK_BYTES: u64 = 32 * 1024 * 1024;

/// No core dumps: an abort is an ordinary end here, and writing out the memory would delay the report of it.
pub(super) fn no_core_dumps() -> io::Result<()> {
    lower(Resource::Core, 0)
}

/// Bounds the private writable memory of this process: the data that it has already, and `limit` bytes with some
/// slack. An allocation beyond that is refused, and Rust's answer to a refusal is to abort.
pub(super) fn bound_memory(limit: u64) -> io::Result<()> {
    let slack = (limit / 4).saturating_add(SLACK_BYTES);
    lower(Resource::Data, limit.saturating_add(slack))
}

/// Whether this process has more memory of its own in use than `limit` bytes, segments and the lane not counted.
pub(super) fn is_over(limit: u64) -> bool {
    // The peak is one cheap system call, and clears all but those that were too large once.
    peak() > limit && resident().is_some_and(|bytes| bytes > limit)
}

/// The most that ever was resident, in bytes; shared memory included.
fn peak() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(u64::MAX, |usage| usage.max_rss().unsigned_abs() * 1024)
}

/// What is resident and not shared, in bytes. `None` where /proc is missing.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared) * page_size() as u64)
}

/// Best effort: where /proc is missing, the machine's choice stays what it was.
pub(super) fn prefer_as_victim() {
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
}

/// Sets a soft limit that is not above the hard one, nor above the present one.
fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let mut limit = getrlimit(resource);
    let present = limit.current.unwrap_or(u64::MAX);
    if to < present {
        limit.current = Some(to);
        setrlimit(resource, limit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The limits belong to the process, which other tests share: so only harmless ones are set here.
    #[test]
    fn a_soft_limit_is_lowered_and_never_raised() {
        let before = getrlimit(Resource::Core);
        no_core_dumps().unwrap();
        let lowered = getrlimit(Resource::Core);
        assert_eq!(lowered.current, Some(0));
        assert_eq!(lowered.maximum, before.maximum, "the hard limit stays");
        lower(Resource::Core, 4096).unwrap();
        assert_eq!(getrlimit(Resource::Core).current, Some(0), "it is not raised again");
    }

    #[test]
    fn what_is_resident_is_known_and_no_more_than_the_peak() {
        let bytes = resident().unwrap();
        assert!(bytes > 0 && bytes <= peak(), "{bytes} of {}", peak());
        assert!(is_over(0) && !is_over(u64::MAX));
    }

    #[test]
    fn a_limit_beyond_every_machine_is_no_limit() {
        let before = getrlimit(Resource::Data);
        bound_memory(u64::MAX).unwrap();
        assert_eq!(getrlimit(Resource::Data).current, before.current);
    }
}
