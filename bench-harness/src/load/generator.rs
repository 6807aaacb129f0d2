//! The process that makes tasks arrive: it sleeps until shortly before each is due, then waits with open eyes.
//!
//! It competes with the strategies for the same cores, so it may not wait that way for long: at most
//! [`SPIN_MAX_NS`], and at most a twentieth of the gap between two tasks. What is due at the same time, or was missed while
//! the process had no core, arrives together. Lag and CPU time are told, not corrected.
use std::io::{self, Write};
use std::num::NonZeroU64;

use crossover_workloads::monotonic_ns;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::due_after_ns;
use crate::trial;

/// From the first line of the stream to the first task: the trial gets ready for it.
const LEAD_NS: u64 = 2_000_000;

/// Longest wait with open eyes: what waking up from a sleep takes on a usual machine.
const SPIN_MAX_NS: u64 = 50_000;

/// A gap between two tasks divided by the longest wait with open eyes: that much of a core is burnt at most.
const SPIN_SHARE: f64 = 20.0;

/// Bytes of the pipe: an unprivileged process may ask for as many by default.
const PIPE_BYTES: usize = 1 << 20;

/// `crossover generator TASKS RATE PARENT`: makes tasks arrive on stdout, and returns the process's exit code.
pub(crate) fn main(arguments: &[String]) -> u8 {
    let outcome = parse(arguments).and_then(|(tasks, rate, parent)| {
        trial::die_with(parent)?;
        let stdout = io::stdout().lock();
        // Refused, the pipe is shorter: a strategy that is far behind then shows as lag.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_BYTES);
        // Refused, sleeps end up to 50 µs late, which shows as lag too.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        generate(stdout, tasks, rate).map_err(|error| error.to_string())
    });
    match outcome {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("crossover generator: {reason}");
            2
        }
    }
}

fn parse(arguments: &[String]) -> Result<(u32, f64, u32), String> {
    let [tasks, rate, parent] = arguments else {
        return Err("it takes a number of tasks, a rate and its parent's process id".to_owned());
    };
    let numbers =
        tasks.parse().ok().zip(rate.parse().ok().filter(|rate| *rate > 0.0)).zip(parent.parse().ok());
    let ((tasks, rate), parent) =
        numbers.ok_or_else(|| format!("no numbers: {tasks} tasks, {rate} per second, parent {parent}"))?;
    Ok((tasks, rate, parent))
}

/// Makes `tasks` tasks arrive on `out`, `rate` per second; see the parent module for the form.
pub(super) fn generate(mut out: impl Write, tasks: u32, rate: f64) -> io::Result<()> {
    let spin_ns = SPIN_MAX_NS.min((1e9 / rate / SPIN_SHARE) as u64);
    let first = monotonic_ns() + LEAD_NS;
    let mut bytes = first.to_le_bytes().to_vec();
    out.write_all(&bytes)?;
    out.flush()?;
    let cpu_before = cpu_ns();
    let mut task = 0;
    while task < tasks {
        bytes.clear();
        let mut now = wait_until(first.saturating_add(due_after_ns(task, rate)), spin_ns);
        while task < tasks
            && let Some(late) = now.checked_sub(first.saturating_add(due_after_ns(task, rate)))
        {
            bytes.extend(u32::try_from(late).unwrap_or(u32::MAX).to_le_bytes());
            task += 1;
            // Only where several arrive together does time pass between them.
            now = now.max(monotonic_ns());
        }
        out.write_all(&bytes)?;
        out.flush()?;
    }
    out.write_all(&cpu_ns().saturating_sub(cpu_before).to_le_bytes())?;
    out.flush()
}

/// Waits for the time `due`, the last `spin_ns` of it awake, and gives the time that it is then.
fn wait_until(due: u64, spin_ns: u64) -> u64 {
    loop {
        let now = monotonic_ns();
        if now >= due {
            return now;
        }
        let until = due.saturating_sub(spin_ns);
        if until <= now {
            std::hint::spin_loop();
            continue;
        }
        let until = Timespec {
            tv_sec: i64::try_from(until / 1_000_000_000).unwrap_or(i64::MAX),
            // Below 10⁹.
            tv_nsec: (until % 1_000_000_000) as i64,
        };
        // Woken early or late, the loop looks at the clock.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
    }
}

/// CPU time that this process has used.
fn cpu_ns() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(used.tv_sec) * 1_000_000_000 + part(used.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_arrive_in_order_and_never_early() {
        for rate in [2000.0, 1e6] {
            let mut out = Vec::new();
            let before = monotonic_ns();
            generate(&mut out, 40, rate).unwrap();
            let after = monotonic_ns();
            assert_eq!(out.len(), 8 + 40 * 4 + 8);
            let first = u64::from_le_bytes(out[..8].try_into().unwrap());
            assert!(first >= before + LEAD_NS && after >= first + due_after_ns(39, rate));
            for (task, lag) in (0..).zip(out[8..168].chunks(4)) {
                let lag = u64::from(u32::from_le_bytes(lag.try_into().unwrap()));
                assert!(first + due_after_ns(task, rate) + lag <= after, "task {task} arrived in the future");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let arguments = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(parse(&arguments(&["7", "0.5", "1"])), Ok((7, 0.5, 1)));
        for words in [&["7", "0", "1"][..], &["7", "nan", "1"], &["-7", "1", "1"], &["7", "1", "x"], &["7"]] {
            assert!(parse(&arguments(words)).is_err(), "{words:?}");
        }
    }
}
