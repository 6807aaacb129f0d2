//! Counters of single processes: our own by `getrusage`, others by their CPU clock and `/proc`.
use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// What one or more processes have used since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user_ns: u64,
    /// CPU time in the kernel.
    pub sys_ns: u64,
    /// Voluntary context switches.
    pub vcsw: u64,
    /// Involuntary context switches.
    pub ivcsw: u64,
}

impl Usage {
    /// Of this process with all its threads, those that have ended included.
    #[must_use]
    pub fn own() -> Self {
        Self::told(UsageWho::RUSAGE_SELF)
    }

    /// Of the processes that this one has started and waited for, and of those below them.
    #[must_use]
    pub fn ended() -> Self {
        Self::told(UsageWho::RUSAGE_CHILDREN)
    }

    fn told(who: UsageWho) -> Self {
        let Ok(usage) = getrusage(who) else { return Self::default() };
        let ns = |t: nix::sys::time::TimeVal| {
            u64::try_from(t.tv_sec()).unwrap_or(0) * 1_000_000_000
                + u64::try_from(t.tv_usec()).unwrap_or(0) * 1000
        };
        Self {
            user_ns: ns(usage.user_time()),
            sys_ns: ns(usage.system_time()),
            vcsw: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
            ivcsw: u64::try_from(usage.involuntary_context_switches()).unwrap_or(0),
        }
    }

    /// Of other processes together; those that are gone count nothing.
    ///
    /// The total comes from each process's CPU clock (nanoseconds); `/proc/PID/stat` only knows ticks of 10 ms
    /// and gives the shares of user and kernel. Switches of threads that have ended are not known.
    #[must_use]
    pub fn of(pids: impl IntoIterator<Item = u32>) -> Self {
        pids.into_iter().filter_map(of_process).fold(Self::default(), Self::plus)
    }

    /// Of other processes and of those that they have started and waited for; the time of these is known in ticks of 10 ms,
    /// their switches are not. To be compared with what the same call gave for all processes of the tree.
    #[must_use]
    pub fn of_trees(pids: impl IntoIterator<Item = u32>) -> Self {
        let tree = |pid| {
            let stat = Stat::read(pid)?;
            let ended =
                Self { user_ns: ticks_ns(stat.cutime), sys_ns: ticks_ns(stat.cstime), ..Self::default() };
            Some(of_process(pid)?.plus(ended))
        };
        pids.into_iter().filter_map(tree).fold(Self::default(), Self::plus)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            user_ns: self.user_ns + other.user_ns,
            sys_ns: self.sys_ns + other.sys_ns,
            vcsw: self.vcsw + other.vcsw,
            ivcsw: self.ivcsw + other.ivcsw,
        }
    }

    /// What was used since `earlier`; 0 where a counter went back because a process ended.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            sys_ns: self.sys_ns.saturating_sub(earlier.sys_ns),
            vcsw: self.vcsw.saturating_sub(earlier.vcsw),
            ivcsw: self.ivcsw.saturating_sub(earlier.ivcsw),
        }
    }
}

fn of_process(pid: u32) -> Option<Usage> {
    let stat = Stat::read(pid)?;
    let total = cpu_ns(pid).unwrap_or_else(|| ticks_ns(stat.utime + stat.stime));
    let kernel_share = match stat.utime + stat.stime {
        0 => 0.0,
        all => stat.stime as f64 / all as f64,
    };
    let sys_ns = (total as f64 * kernel_share) as u64;
    let (vcsw, ivcsw) = switches(pid);
    Some(Usage { user_ns: total - sys_ns.min(total), sys_ns, vcsw, ivcsw })
}

/// CPU time of process `pid` so far, from its CPU clock; `None` when it is gone.
#[must_use]
pub fn cpu_ns(pid: u32) -> Option<u64> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?);
    let clock = clock_getcpuclockid(pid).ok()?;
    u64::try_from(Duration::from(clock.now().ok()?).as_nanos()).ok()
}

/// Voluntary and involuntary switches of all living threads of `pid`.
fn switches(pid: u32) -> (u64, u64) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return (0, 0) };
    let mut sums = (0, 0);
    for thread in threads.flatten() {
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else { continue };
        sums.0 += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        sums.1 += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
    }
    sums
}

/// The number that follows `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Starts the high-water mark of `pid`'s resident memory anew from its present size.
pub fn reset_peak(pid: u32) {
    // A process that has just ended, or a kernel without the file: the mark then stays the older, higher one.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Peak resident memory of `pid` since [`reset_peak`], in KiB; 0 when it is gone.
#[must_use]
pub fn peak_kib(pid: u32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|s| field(&s, "VmHWM:")).unwrap_or(0)
}

/// Resident memory of `pid` that it shares with nobody, in KiB: what would be free if it went. Pages of the program that others
/// have mapped too are not in it, those of a thread's stack in the kernel neither. `None` when it cannot be read.
#[must_use]
pub fn private_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(field(&text, "Private_Clean:")? + field(&text, "Private_Dirty:")?)
}

/// Resident memory of `pid` now, in KiB; 0 when it is gone.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64 / 1024
}

/// Whether a process `pid` runs: a dead one that nobody has waited for does not.
#[must_use]
pub fn exists(pid: u32) -> bool {
    Stat::read(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// All processes below `root`, without `root` itself.
#[must_use]
pub fn descendants(root: u32) -> Vec<u32> {
    tree(root).into_iter().map(|stat| stat.pid).filter(|&pid| pid != root).collect()
}

/// CPU time of this process and all below it, those that have ended and been waited for included.
pub(super) fn own_tree_cpu_ns() -> u64 {
    let root = std::process::id();
    let below: u64 = tree(root).iter().filter(|stat| stat.pid != root).map(with_ended_ns).sum();
    let ended = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| {
        let us = |t: nix::sys::time::TimeVal| t.tv_sec() * 1_000_000 + t.tv_usec();
        u64::try_from(us(usage.user_time()) + us(usage.system_time())).unwrap_or(0) * 1000
    });
    below + ended + cpu_ns(root).unwrap_or(0)
}

/// The same of the process `root`, what has ended in ticks of 10 ms; 0 when it is gone.
pub(super) fn tree_cpu_ns(root: u32) -> u64 {
    tree(root).iter().map(with_ended_ns).sum()
}

/// CPU time of a process and of those that it has waited for.
fn with_ended_ns(stat: &Stat) -> u64 {
    let own = cpu_ns(stat.pid).unwrap_or_else(|| ticks_ns(stat.utime + stat.stime));
    own + ticks_ns(stat.cutime + stat.cstime)
}

/// `root` and all processes below it.
fn tree(root: u32) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut all: Vec<Stat> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Stat::read)
        .collect();
    let mut found = Vec::new();
    let mut level = vec![root];
    found.extend(all.iter().position(|stat| stat.pid == root).map(|at| all.swap_remove(at)));
    while !level.is_empty() {
        let (below, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|stat| level.contains(&stat.parent));
        level = below.iter().map(|stat| stat.pid).collect();
        found.extend(below);
        all = rest;
    }
    found
}

/// What we need of `/proc/PID/stat`.
#[derive(Debug)]
struct Stat {
    pid: u32,
    parent: u32,
    state: char,
    utime: u64,
    stime: u64,
    /// CPU time of children that have ended and been waited for.
    cutime: u64,
    cstime: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name stands in parentheses and may hold anything, so fields count from the last one.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            pid,
            state: fields.first()?.chars().next()?,
            parent: u32::try_from(number(1)?).ok()?,
            utime: number(11)?,
            stime: number(12)?,
            cutime: number(13)?,
            cstime: number(14)?,
        })
    }
}

/// Nanoseconds of kernel clock ticks.
pub(super) fn ticks_ns(ticks: u64) -> u64 {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|hz| u64::try_from(hz).ok());
    ticks * (1_000_000_000 / per_second.unwrap_or(100).max(1))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) R 1 (b) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 99 1 1";
        let stat = Stat::parse(7, line).unwrap();
        assert_eq!((stat.parent, stat.state, stat.utime, stat.stime), (3, 'S', 50, 60));
        assert_eq!((stat.cutime, stat.cstime), (7, 8));
        assert!(Stat::parse(7, "").is_none());
    }

    #[test]
    fn our_own_work_is_counted_by_both_ways() {
        let (own, clock) = (Usage::own(), cpu_ns(std::process::id()).unwrap());
        let start = Instant::now();
        let mut x = 1_u64;
        while cpu_ns(std::process::id()).unwrap() < clock + 30_000_000 {
            x = std::hint::black_box(x.wrapping_mul(3));
            assert!(start.elapsed() < Duration::from_secs(60), "the CPU clock stands still");
        }
        let used = Usage::own().since(own);
        assert!(used.user_ns + used.sys_ns >= 20_000_000, "{used:?}");
        assert!(own_tree_cpu_ns() >= clock + 30_000_000);
    }

    #[test]
    fn a_child_that_has_ended_counts_as_ours_once_it_was_waited_for() {
        let before = Usage::ended();
        let spin = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", spin]).status().unwrap().success());
        let used = Usage::ended().since(before);
        assert!(used.user_ns + used.sys_ns > 1_000_000, "{used:?}");
        // Its parent is a shell that outlives it, and waits.
        let outer = format!("sh -c '{spin}'; echo done; read line");
        let mut child = Command::new("sh")
            .args(["-c", &outer])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let alone = Usage::of([child.id()]);
        let tree = Usage::of_trees([child.id()]);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(
            tree.user_ns + tree.sys_ns >= alone.user_ns + alone.sys_ns + 10_000_000,
            "{tree:?} {alone:?}"
        );
    }

    #[test]
    fn a_child_is_below_us_and_its_memory_has_a_peak() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        assert!(descendants(std::process::id()).contains(&pid));
        assert!(exists(pid));
        reset_peak(pid);
        assert!(peak_kib(pid) > 0 && resident_kib(pid) > 0);
        let private = private_kib(pid).unwrap();
        assert!(private > 0 && private <= peak_kib(pid), "{private} KiB");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!exists(pid));
        assert_eq!((peak_kib(pid), private_kib(pid)), (0, None));
        assert_eq!((resident_kib(pid), cpu_ns(pid)), (0, None));
        assert_eq!(Usage::of([pid]), Usage::default());
    }

    #[test]
    fn the_peak_follows_a_reset() {
        let me = std::process::id();
        let big = vec![1_u8; 64 << 20];
        let high = peak_kib(me);
        drop(std::hint::black_box(big));
        reset_peak(me);
        let low = peak_kib(me);
        assert!(low + (32 << 10) < high, "{low} KiB after {high} KiB");
    }
}
