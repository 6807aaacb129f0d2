//! Processes: starting a worker, killing it, reading how it ended.
//!
//! A worker is this very program, exec'd anew: `/proc/self/exe` is the running image even after the file was
//! replaced. Nothing is ever forked without exec, and no `pre_exec`, uid or gid is set: any of these would
//! silently take the standard library off `posix_spawn`, whose cost does not grow with the parent's memory.
//!
//! The worker's end of the socket pair goes in as its stdin, the one descriptor that every spawn can pass;
//! all others are close-on-exec. Its process group is its own, so Ctrl-C reaches the parent only.
//!
//! Before it exists, everything it will read lies ready: its lane's descriptors in the socket, what it may do in the
//! lane (the [`Setup`] frame). So a worker never waits while it sets itself up.
//!
//! In a test program the harness owns `main`. There the worker is started as the run of one test, which
//! [`worker_entry`](super::worker_entry) never returns from; the lines that the harness prints before it are lost in
//! /dev/null, and the real stdout goes over the socket.
//!
//! Every spawn must come from one thread that outlives the workers: the parent-death signal that a worker
//! asks for follows the *thread* that spawned it.

use super::{
    channel::{
        self, ParentEnd,
        pass::{Wait, send_descriptors},
    },
    frame::{Header, Kind, PROTOCOL},
    libtest,
    options::{Options, Stdio},
};
use rustix::{
    event::{PollFd, PollFlags},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    pipe::{PipeFlags, pipe_with},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal,
        waitid,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{self, Command},
    sync::Arc,
};

/// The environment variable that makes a process a worker: the number of the process that started it. Anybody may
/// inherit it, so the worker checks it against the socket on its stdin.
pub(super) const PARENT_VARIABLE: &str = "CROSSOVER_WORKER";

/// Looks whether a child has ended: neither waits nor reaps.
const PEEK: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);

/// A worker process as the parent holds it. Dropping it closes the descriptors and nothing else: the process
/// must have been reaped before.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// Becomes readable when the process has ended.
    pidfd: OwnedFd,
    /// Non-blocking. Descriptors in both directions.
    control: Arc<OwnedFd>,
    /// Held, and closed with the rest: see [`Ours`].
    _life: OwnedFd,
    /// Non-blocking. What the worker writes to its stdout, if that is piped.
    stdout: Option<OwnedFd>,
    /// Non-blocking. What the worker writes to its stderr.
    stderr: OwnedFd,
}

/// How a process ended; neither when somebody else reaped it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) signal: Option<i32>,
    pub(super) code: Option<i32>,
}

/// The tag of the message that passes the end of the life line to a worker, and behind it the real stdout if the
/// `Setup` frame says so.
pub(super) const EXTRAS_TAG: &[u8] = b"life line";

/// Where the jobs' stdout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// To the parent's stdout.
    Inherit,
    /// Nowhere.
    Null,
    /// Into a pipe: [`Process::stdout`].
    Piped,
}

/// What all workers of a pool have in common.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Of the pool's table: the worker must have the same.
    pub(super) fingerprint: u64,
    /// The longest payload, in bytes, that either side accepts.
    pub(super) max_frame_bytes: u32,
    /// How many bytes of memory a worker should have at most.
    pub(super) memory_limit: Option<u64>,
    pub(super) stdout: Output,
    /// An `Init` frame will follow the `Setup` frame.
    pub(super) init: bool,
    /// What the worker's command line says to the harness of a test program; empty in any other.
    pub(super) harness: Vec<String>,
}

impl Settings {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            fingerprint: options.table.fingerprint(),
            max_frame_bytes: options.max_frame_bytes,
            memory_limit: options.memory_limit,
            stdout: match options.stdout {
                Stdio::Inherit => Output::Inherit,
                Stdio::Null => Output::Null,
                Stdio::Lines(_) => Output::Piped,
            },
            init: options.initializer.is_some(),
            harness: libtest::arguments(),
        }
    }
}

/// The first frame of a lane, from the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setup {
    /// [`PROTOCOL`]. The first field in every version.
    pub(super) protocol: u32,
    pub(super) fingerprint: u64,
    pub(super) max_frame_bytes: u32,
    pub(super) memory_limit: Option<u64>,
    /// Somebody may read what the jobs print.
    pub(super) flush_stdout: bool,
    /// The real stdout is in the socket, after the end of the life line.
    pub(super) pass_stdout: bool,
    pub(super) init: bool,
}

impl Setup {
    fn new(settings: &Settings) -> Self {
        Self {
            protocol: PROTOCOL,
            fingerprint: settings.fingerprint,
            max_frame_bytes: settings.max_frame_bytes,
            memory_limit: settings.memory_limit,
            flush_stdout: settings.stdout != Output::Null,
            pass_stdout: !settings.harness.is_empty() && settings.stdout != Output::Null,
            init: settings.init,
        }
    }

    /// The frame's payload.
    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        postcard::to_extend(self, Vec::new()).map_err(io::Error::other)
    }

    /// What the parent says, if it is of this version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok().filter(|setup: &Self| setup.protocol == PROTOCOL)
    }
}

/// The parent's ends of what a worker is started with.
#[derive(Debug)]
struct Ours {
    /// Descriptors in both directions.
    control: OwnedFd,
    /// Closed, it kills the worker's process group (`worker::orphan`). Nothing is written to it.
    life: OwnedFd,
    /// What the worker writes to its stdout, if that is piped.
    stdout: Option<OwnedFd>,
}

/// Starts a worker with a lane. It has not said hello yet.
///
/// # Errors
/// The lane, the spawn or the pidfd fails; no process is left behind.
pub(super) fn launch(settings: &Settings) -> io::Result<(Process, ParentEnd)> {
    let setup = Setup::new(settings);
    let (mut lane, handed) = channel::create()?;
    let header = Header { kind: Kind::Setup, flags: 0, job: 0, id: 0 };
    lane.push(header, &[&setup.to_bytes()?]).map_err(io::Error::other)?;

    let (ours, theirs, line) = ends()?;
    let (stdout, printed) = open(settings.stdout)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("crossover-worker").env(PARENT_VARIABLE, process::id().to_string()).args(&settings.harness);
    handed.send(ours.control.as_fd())?;
    if setup.pass_stdout {
        let extras = [line.as_fd(), stdout.as_fd()];
        send_descriptors(ours.control.as_fd(), EXTRAS_TAG, &extras, Wait::Yes)?;
        command.stdout(process::Stdio::null());
    } else {
        send_descriptors(ours.control.as_fd(), EXTRAS_TAG, &[line.as_fd()], Wait::Yes)?;
        command.stdout(stdout);
    }
    let process = start(command, theirs, Ours { stdout: printed, ..ours })?;
    Ok((process, lane))
}

/// Both ends of the control socket and of the life line: ours, and the worker's of either.
fn ends() -> io::Result<(Ours, OwnedFd, OwnedFd)> {
    let (control, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (line, life) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((Ours { control, life, stdout: None }, theirs, line))
}

/// What jobs print to, and where that can be read here.
fn open(output: Output) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    Ok(match output {
        Output::Inherit => (io::stdout().as_fd().try_clone_to_owned()?, None),
        Output::Null => (OpenOptions::new().write(true).open("/dev/null")?.into(), None),
        Output::Piped => {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            set_nonblocking(read.as_fd())?;
            (write, Some(read))
        }
    })
}

/// Starts `command` with `theirs`, the other end of the control socket, as its stdin.
fn start(mut command: Command, theirs: OwnedFd, ours: Ours) -> io::Result<Process> {
    let Ours { control, life, stdout } = ours;
    set_nonblocking(control.as_fd())?;
    let mut child =
        command.stdin(theirs).stderr(process::Stdio::piped()).process_group(0).spawn().map_err(|error| {
            let program = command.get_program().display();
            io::Error::new(error.kind(), format!("exec of {program}: {error}"))
        })?;
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
        Ok(stderr) => Ok(Process { pid, pidfd, control: Arc::new(control), _life: life, stdout, stderr }),
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

    /// The control socket, to be shared with what passes descriptors over it.
    pub(super) fn control(&self) -> &Arc<OwnedFd> {
        &self.control
    }

    pub(super) fn stdout(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().map(AsFd::as_fd)
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
        let (ours, theirs, _line) = ends().expect("descriptors");
        let process = start(Command::new("true"), theirs, ours).expect("`true` starts");
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

    fn settings() -> Settings {
        Settings {
            fingerprint: 0x1234_5678_9abc_def0,
            max_frame_bytes: 4096,
            memory_limit: Some(1 << 30),
            stdout: Output::Inherit,
            init: true,
            harness: Vec::new(),
        }
    }

    #[test]
    fn a_setup_survives_its_frame_and_another_version_s_is_refused() {
        let setup = Setup::new(&settings());
        assert_eq!(Setup::from_bytes(&setup.to_bytes().unwrap()), Some(setup.clone()));
        assert_eq!(Setup::from_bytes(&[]), None);
        let other = Setup { protocol: PROTOCOL + 1, ..setup };
        assert_eq!(Setup::from_bytes(&other.to_bytes().unwrap()), None);
    }

    #[test]
    fn the_real_stdout_is_passed_where_a_harness_prints_and_nowhere_else() {
        let passed = |stdout, harness: &[&str]| {
            let harness = harness.iter().map(ToString::to_string).collect();
            let setup = Setup::new(&Settings { stdout, harness, ..settings() });
            assert_eq!(setup.flush_stdout, stdout != Output::Null);
            setup.pass_stdout
        };
        for stdout in [Output::Inherit, Output::Piped] {
            assert!(passed(stdout, &["test", "--exact"]));
            assert!(!passed(stdout, &[]));
        }
        assert!(!passed(Output::Null, &["test"]));
    }
}
