//! Processes: starting a worker, killing it, reading how it ended.
//!
//! A worker is this very program, exec'd anew: `/proc/self/exe` is the running image even after the file was
//! replaced. Nothing is ever forked without exec, and no `pre_exec`, uid or gid is set: any of these would
//! silently take the standard library off `posix_spawn`, whose cost does not grow with the parent's memory.
//!
//! The worker's end of the socket pair goes in as its stdin, the one descriptor that every spawn can pass;
//! all others are close-on-exec. Its process group is its own, so Ctrl-C reaches the parent only.
//!
//! Every spawn must come from one thread that outlives the workers: the parent-death signal that a worker
//! asks for follows the *thread* that spawned it.

use rustix::{
    event::{PollFd, PollFlags},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal,
        waitid,
    },
};
use std::{
    fmt, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Command, Stdio},
    str::FromStr,
};

/// The environment variable that carries the [`Token`].
pub(super) const TOKEN_VARIABLE: &str = "CROSSOVER_WORKER";

/// What makes a process a worker: handed over in the environment, checked against the socket on its stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The process that spawned the worker.
    pub(super) parent: u32,
    /// The longest payload, in bytes, that either side accepts.
    pub(super) max_frame_bytes: u32,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.parent, self.max_frame_bytes)
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (parent, limit) = text.split_once('.').ok_or(())?;
        Ok(Self { parent: parent.parse().map_err(|_| ())?, max_frame_bytes: limit.parse().map_err(|_| ())? })
    }
}

/// Looks whether a child has ended: neither waits nor reaps.
const PEEK: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);

/// A worker process as the parent holds it. Dropping it closes the descriptors and nothing else: the process
/// must have been reaped before.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// Becomes readable when the process has ended.
    pidfd: OwnedFd,
    /// Non-blocking. Frames in both directions.
    socket: OwnedFd,
    /// Non-blocking. What the worker writes to its stderr.
    stderr: OwnedFd,
}

/// How a process ended; neither when somebody else reaped it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) signal: Option<i32>,
    pub(super) code: Option<i32>,
}

/// Starts a worker. It has not said hello yet.
///
/// # Errors
/// The socket pair, the spawn or the pidfd fails; no process is left behind.
pub(super) fn spawn(token: Token) -> io::Result<Process> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("crossover-worker").env(TOKEN_VARIABLE, token.to_string());
    start(command)
}

/// Starts `command` with one end of a socket pair as its stdin.
fn start(mut command: Command) -> io::Result<Process> {
    let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_nonblocking(socket.as_fd())?;
    let mut child =
        command.stdin(Stdio::from(theirs)).stderr(Stdio::piped()).process_group(0).spawn().map_err(
            |error| {
                let program = command.get_program().display();
                io::Error::new(error.kind(), format!("exec of {program}: {error}"))
            },
        )?;
    let pid = Pid::from_child(&child);
    let pidfd = match watch(pid) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            // Its end could not be observed, so it must go. The number is its own as long as it is our child;
            // once it is not, there is nothing left to kill, and another process may have the number.
            if !matches!(waitid(WaitId::Pid(pid), PEEK), Err(Errno::CHILD)) {
                let _ = child.kill();
                let _ = child.wait();
            }
            return Err(error);
        }
    };
    let stderr = child.stderr.take().map(OwnedFd::from).ok_or(io::ErrorKind::BrokenPipe.into());
    match stderr.and_then(|stderr| set_nonblocking(stderr.as_fd()).map(|()| stderr)) {
        Ok(stderr) => Ok(Process { pid, pidfd, socket, stderr }),
        Err(error) => {
            // ESRCH, ECHILD: it has ended, or was reaped, already.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            Err(error)
        }
    }
}

/// Takes a pidfd on a fresh child.
///
/// Where SIGCHLD is ignored, or somebody waits for every child, one that ended at once is reaped already, and its
/// number may be another process's by now. So the pidfd is asked whether what it names is a child of ours; if
/// not, it is let go of and nobody is killed.
fn watch(pid: Pid) -> io::Result<OwnedFd> {
    let reaped = || io::Error::other("the worker ended at once, and was reaped by somebody else");
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Err(reaped()),
        Err(error) => {
            let text = format!("pidfd_open (needs Linux 5.4): {error}");
            return Err(io::Error::new(io::Error::from(error).kind(), text));
        }
    };
    match waitid(WaitId::PidFd(pidfd.as_fd()), PEEK) {
        Ok(_) => Ok(pidfd),
        Err(Errno::CHILD) => Err(reaped()),
        Err(error) => Err(error.into()),
    }
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn stderr(&self) -> BorrowedFd<'_> {
        self.stderr.as_fd()
    }

    /// SIGKILL, through the pidfd: it can never hit another process that got the same number. Does not wait.
    pub(super) fn kill(&self) {
        // ESRCH: it has ended already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Collects the exit status and kills what the worker left in its process group. Call it once the pidfd
    /// is readable; `None` when the process has not ended after all.
    pub(super) fn reap(&self) -> Option<Exit> {
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd()), PEEK) {
                Ok(Some(status)) => break status,
                Ok(None) => return None,
                Err(Errno::INTR) => {}
                // ECHILD: SIGCHLD is ignored, or somebody waits for every child. The number may be taken by
                // another process already, so its group is left alone.
                Err(_) => return self.has_ended().then(Exit::default),
            }
        };
        // Not reaped yet: the zombie keeps the number, so the group is surely still this worker's. ESRCH
        // means that it was the last of its group, or never led one.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let take = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        while let Err(Errno::INTR) = waitid(WaitId::PidFd(self.pidfd()), take) {}
        Some(Exit { signal: status.terminating_signal(), code: status.exit_status() })
    }

    /// Whether the pidfd says that the process is no more.
    fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 }))
            .is_ok_and(|n| n > 0)
    }
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?)
}

#[cfg(test)]
impl Process {
    /// A process that has ended, not yet reaped, and never read its socket: what is sent to it fails.
    pub(super) fn ended() -> Self {
        let process = start(Command::new("true")).expect("`true` starts");
        rustix::event::poll(&mut [PollFd::new(&process.pidfd, PollFlags::IN)], None).expect("its end");
        process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_our_child_is_not_adopted() {
        // What a reused number would name. Were it killed, this test would end with its parent.
        let stranger = rustix::process::getppid().expect("a parent");
        assert!(watch(stranger).unwrap_err().to_string().contains("somebody else"));
    }

    #[test]
    fn a_child_that_was_reaped_already_is_not_adopted() {
        let mut child = Command::new("true").spawn().expect("`true` starts");
        let pid = Pid::from_child(&child);
        child.wait().expect("its end");
        assert!(watch(pid).unwrap_err().to_string().contains("somebody else"));
    }

    #[test]
    fn a_token_survives_the_environment() {
        let token = Token { parent: 4711, max_frame_bytes: u32::MAX };
        assert_eq!(token.to_string().parse(), Ok(token));
        for broken in ["", ".", "1", "1.", ".1", "1.2.3", "-1.5", "1.4294967296"] {
            assert_eq!(broken.parse::<Token>(), Err(()), "{broken:?}");
        }
    }
}
