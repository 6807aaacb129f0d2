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
    process::{Child, Command, Stdio},
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
    let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_nonblocking(socket.as_fd())?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("crossover-worker")
        .env(TOKEN_VARIABLE, token.to_string())
        .stdin(Stdio::from(theirs))
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("exec of /proc/self/exe: {error}")))?;
    match adopt(&mut child) {
        Ok((pid, pidfd, stderr)) => Ok(Process { pid, pidfd, socket, stderr }),
        Err(error) => {
            // Without a pidfd its end could not be observed. Nothing else has waited for the child, so these
            // reach it and nobody else; that it is gone already is the only way they fail.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Takes a pidfd on a fresh child, and its stderr.
fn adopt(child: &mut Child) -> io::Result<(Pid, OwnedFd, OwnedFd)> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| io::Error::new(error.kind(), format!("pidfd_open (needs Linux 5.4): {error}")))?;
    let stderr = child.stderr.take().map(OwnedFd::from).ok_or(io::ErrorKind::BrokenPipe)?;
    set_nonblocking(stderr.as_fd())?;
    Ok((pid, pidfd, stderr))
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
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd()), peek | WaitIdOptions::NOWAIT) {
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
        while let Err(Errno::INTR) = waitid(WaitId::PidFd(self.pidfd()), peek) {}
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
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_environment() {
        let token = Token { parent: 4711, max_frame_bytes: u32::MAX };
        assert_eq!(token.to_string().parse(), Ok(token));
        for broken in ["", ".", "1", "1.", ".1", "1.2.3", "-1.5", "1.4294967296"] {
            assert_eq!(broken.parse::<Token>(), Err(()), "{broken:?}");
        }
    }
}
