//! `crossover guard`: runs an external strategy and takes it along when the run ends, however it ends.
//!
//! The coordinator may die by `kill -9` and then cleans up nothing, and an external program may be a shell script
//! with children of its own that ignores every custom. So between the two stands this process, which starts
//! the program in a process group of its own and owns that group:
//!
//! - The program inherits the guard's stdin, stdout and stderr: requests and answers do not pass through us. The guard
//!   lets go of stdout, so that the coordinator sees its end when the program closes it.
//! - The guard polls its stdin for nothing but the hang-up. All writers gone means that the coordinator closed the
//!   pipe or died: the program has half a second to leave by itself, then its group is killed.
//! - `SIGTERM` to the guard (a time-out, say) kills the group at once.
//! - The program's end kills what is left of its group, so that nothing keeps its pipes open.
//! - The guard is a subreaper: children that left the group come back to it, and are killed with the rest.
//! - If the guard itself is killed, the kernel kills the program (PDEATHSIG).
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, getppid, kill_process, kill_process_group, pidfd_open};

use crate::probe;

/// How long the program may take to leave after its stdin was closed.
const GRACE: Duration = Duration::from_millis(500);

/// How often what is left is looked for while it is being killed.
const KILL_STEP: Duration = Duration::from_millis(5);

/// How long killing may take: processes that cannot be killed (stuck in the kernel) are left to it.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// Runs `argv` as `crossover guard PROGRAM [ARGUMENT]...`, and returns the exit code for the process.
///
/// 127: the program cannot be started (the reason is on stderr); 128 + n: a signal n ended it; else its own.
#[must_use]
pub fn main(argv: &[String]) -> u8 {
    match guard(argv) {
        Ok(Some(status)) => code_of(status),
        Ok(None) => 128 + 9,
        Err(error) => {
            eprintln!("cannot run {}: {error}", argv.first().map_or("nothing", String::as_str));
            127
        }
    }
}

/// The program's status, or `None` when it had to be killed.
fn guard(argv: &[String]) -> io::Result<Option<ExitStatus>> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is named"));
    };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut child = spawn(program, arguments)?;
    // Not closed but replaced, so that no file that is opened later becomes our stdout.
    let nothing = std::fs::File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    let pid = Pid::from_child(&child);
    let outcome = watch(pid, &mut child);
    kill_rest(pid);
    match outcome? {
        End::Exited => Ok(child.try_wait()?),
        End::Unwanted => Ok(None),
    }
}

/// Starts the program in a group of its own, bound to our life.
fn spawn(program: &str, arguments: &[String]) -> io::Result<std::process::Child> {
    let me = rustix::process::getpid();
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            if getppid() == Some(me) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
    command.spawn()
}

/// Why the guard stops watching.
enum End {
    /// The program ended.
    Exited,
    /// Nobody wants it any more.
    Unwanted,
}

/// Waits until the program ends, or the coordinator is gone or says so.
fn watch(pid: Pid, child: &mut std::process::Child) -> io::Result<End> {
    // The program is started before the mask is set, so that it does not inherit it. A signal in between ends the
    // guard, and with it the program.
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let stdin = io::stdin();
    let mut closed_at: Option<Instant> = None;
    loop {
        let left = closed_at.map(|at| GRACE.saturating_sub(at.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(End::Unwanted);
        }
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        if closed_at.is_none() {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty()));
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if !fds[0].revents().is_empty() {
            child.try_wait()?;
            return Ok(End::Exited);
        }
        if !fds[1].revents().is_empty() {
            return Ok(End::Unwanted);
        }
        if fds.get(2).is_some_and(|fd| !fd.revents().is_empty()) {
            closed_at = Some(Instant::now());
        }
    }
}

/// Kills the program's group and everything else below us, until nothing is left.
fn kill_rest(group: Pid) {
    let started = Instant::now();
    loop {
        // Each may be gone already; that is what we want.
        let _ = kill_process_group(group, rustix::process::Signal::KILL);
        let mut below: Vec<u32> = probe::descendants(std::process::id());
        below.retain(|&pid| probe::exists(pid));
        for pid in below.iter().filter_map(|&pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = kill_process(pid, rustix::process::Signal::KILL);
        }
        if below.is_empty() || started.elapsed() > KILL_LIMIT {
            return;
        }
        std::thread::sleep(KILL_STEP);
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    u8::try_from(code).unwrap_or(255)
}
