//! What the operating system tells of this process, and the little that is asked of it.

use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;

/// CPU time of all threads of this process, user and system.
pub fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts CPU time");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Bytes of memory that this process has resident.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells the memory in use");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kibibytes.expect("in kB") << 10
}

/// Allows this process as many descriptors as it may have: 1000 connections take 2000.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // The rows with many sockets say so if there are too few.
        let _too_few = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
