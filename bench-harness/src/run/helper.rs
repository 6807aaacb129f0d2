//! A trial process as the coordinator sees it: started, asked, closed or killed.
//!
//! Asking waits for three things at once with `poll`: the answer, the end of the time-out, and Ctrl-C. No thread
//! reads for us, so that the coordinator costs nothing while a trial measures, and all children come from
//! the main thread, whose life the kernel ties theirs to. Nothing that a trial writes is kept without a bound.
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::config::External;
use crate::interrupt::Interrupt;
use crate::probe::{self, Usage};
use crate::protocol::{self, AnswerError, Lines, Measured, Request};
use crate::strategy::external;

/// How much of a trial's stderr is kept for a message.
const STDERR_TAIL: usize = 2048;

/// How long a process may take to leave after it was told to.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// Longest padding of a trial's environment: it moves the stack, which moves timings by a few percent.
const PADDING_MAX: usize = 4096;

/// Why a request has no result.
#[derive(Debug)]
pub enum AskError {
    /// Somebody wants the run to end.
    Interrupted,
    /// This request failed; the process is fit for others.
    Failed(String),
    /// The strategy cannot do such work; see [`protocol::UNFIT`].
    Unfit(String),
    /// The process is gone: it ended, hung or did not keep to the protocol, and was killed.
    Gone(String),
}

/// A running trial.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    /// Readable when the process has ended, even if something that it started keeps its pipes open.
    ended: OwnedFd,
    /// `None` once it was closed.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// `None` once it has ended.
    stderr: Option<ChildStderr>,
    lines: Lines,
    stderr_tail: Vec<u8>,
    requests: u64,
    /// Runs under a guard: its own processes are those below the child.
    guarded: bool,
}

impl Helper {
    /// Starts the built-in strategy `name`; `padding` is any number, from which its environment's size follows.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn built_in(name: &str, padding: u64) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("crossover").args(["trial", name, &std::process::id().to_string()]);
        Self::start(command, padding, false).with_context(|| format!("cannot start a trial of {name}"))
    }

    /// Starts an external strategy under a guard.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn external(name: &str, external: &External, padding: u64) -> Result<Self> {
        Self::start(external::command(external), padding, true)
            .with_context(|| format!("cannot start a trial of {name} in {}", external.dir.display()))
    }

    fn start(mut command: Command, padding: u64, guarded: bool) -> Result<Self> {
        let bytes = usize::try_from(padding % PADDING_MAX as u64).unwrap_or(0);
        let mut child = command
            .env("CROSSOVER_PADDING", "x".repeat(bytes))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            anyhow::bail!("the process has no pipes");
        };
        for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let ended = pidfd_open(rustix::process::Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Self {
            child,
            ended,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            lines: Lines::default(),
            stderr_tail: Vec::new(),
            requests: 0,
            guarded,
        })
    }

    /// Asks and waits for the answer; gives it with the time that the request took. What a trial does not tell of its
    /// cost is filled in from `/proc`.
    ///
    /// After [`AskError::Gone`] the process has been killed with its group.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn ask(
        &mut self,
        mut request: Request,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<(Measured, Duration), AskError> {
        self.requests += 1;
        request.id = self.requests;
        let line = protocol::line_of(&request)
            .map_err(|error| AskError::Failed(format!("the request cannot be told in JSON: {error}")))?;
        let before = self.guarded.then(|| self.processes_before());
        let start = Instant::now();
        let answer = match self.converse(&line, timeout, interrupt) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(AskError::Interrupted),
            Err(reason) => return Err(AskError::Gone(self.kill_for(reason))),
        };
        let elapsed = start.elapsed();
        match protocol::read_answer(&answer, request.id) {
            Ok(mut measured) => {
                // Also of our own: a clock that lies must not become a verdict.
                protocol::check_time(measured.wall_ns, request.batch, elapsed)
                    .and_then(|()| protocol::check_startup(&measured, &request))
                    .and_then(|()| protocol::check_load(&mut measured, &request))
                    .map_err(AskError::Failed)?;
                if let Some(before) = before {
                    self.fill_in(&mut measured, before, request.batch);
                }
                Ok((measured, elapsed))
            }
            Err(AnswerError::Failed(reason)) => Err(AskError::Failed(reason)),
            Err(AnswerError::Unfit(reason)) => Err(AskError::Unfit(reason)),
            Err(AnswerError::Broken(reason)) => Err(AskError::Gone(self.kill_for(reason))),
        }
    }

    /// Sends `line` and waits for a line: `None` when interrupted, a sentence when the process is of no use.
    fn converse(
        &mut self,
        line: &[u8],
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Option<Vec<u8>>, String> {
        let deadline = Instant::now() + timeout;
        let mut unsent = line;
        loop {
            if interrupt.is_raised() {
                return Ok(None);
            }
            match self.lines.next_line() {
                Ok(Some(line)) => return Ok(Some(line)),
                Ok(None) => {}
                Err(start) => return Err(format!("flooded its stdout with a line without an end: {start}")),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("gave no answer within {}", seconds(timeout)));
            }
            let ready = self.wait(!unsent.is_empty(), left, interrupt.fd()).map_err(|e| e.to_string())?;
            if ready.stdin {
                self.send(&mut unsent);
            }
            if ready.stderr {
                self.drain_stderr();
            }
            // What it wrote before its end counts.
            let open = if ready.stdout { self.receive() } else { !ready.ended };
            if !open {
                return Err(self.how_it_ended(deadline));
            }
        }
    }

    /// Waits until a pipe is ready, `left` is over, or Ctrl-C.
    fn wait(&self, sending: bool, left: Duration, interrupt: BorrowedFd<'_>) -> io::Result<Ready> {
        let mut fds = vec![
            PollFd::from_borrowed_fd(interrupt, PollFlags::IN),
            PollFd::new(&self.stdout, PollFlags::IN),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        let stderr_at = self.stderr.as_ref().map(|stderr| push(&mut fds, stderr.as_fd(), PollFlags::IN));
        let stdin = self.stdin.as_ref().filter(|_| sending);
        let stdin_at = stdin.map(|stdin| push(&mut fds, stdin.as_fd(), PollFlags::OUT));
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| !fds[at].revents().is_empty();
        Ok(Ready {
            stdout: is_ready(1),
            ended: is_ready(2),
            stderr: stderr_at.is_some_and(is_ready),
            stdin: stdin_at.is_some_and(is_ready),
        })
    }

    /// Writes what the pipe takes. A process that does not read any more shows by its stdout.
    fn send(&mut self, unsent: &mut &[u8]) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(unsent) {
            Ok(written) => *unsent = &unsent[written..],
            Err(error) if is_temporary(&error) => {}
            Err(_) => *unsent = &[],
        }
    }

    /// Reads what is there: false at the end of the stream.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 1 << 16];
        match self.stdout.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.lines.push(&buffer[..read]);
                true
            }
            Err(error) => is_temporary(&error),
        }
    }

    /// Keeps the end of what stderr holds.
    fn drain_stderr(&mut self) {
        let mut buffer = [0; 1 << 14];
        let Some(stderr) = &mut self.stderr else { return };
        match stderr.read(&mut buffer) {
            Ok(0) => self.stderr = None,
            Ok(read) => {
                self.stderr_tail.extend_from_slice(&buffer[..read]);
                let surplus = self.stderr_tail.len().saturating_sub(STDERR_TAIL);
                self.stderr_tail.drain(..surplus);
            }
            Err(error) if is_temporary(&error) => {}
            Err(_) => self.stderr = None,
        }
    }

    /// The sentence for a process whose stdout has ended.
    fn how_it_ended(&mut self, deadline: Instant) -> String {
        let limit = deadline.saturating_duration_since(Instant::now()).min(LEAVE_LIMIT);
        let status = wait_for(&mut self.child, limit);
        let unended = match self.lines.rest() {
            [] => String::new(),
            rest => format!(" after an unfinished line {}", protocol::excerpt(rest)),
        };
        match status {
            None => format!("closed its stdout{unended} without an answer"),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with code {code}{unended} instead of answering"),
                (None, Some(signal)) => format!("was killed by {}{unended}", signal_name(signal)),
                (None, None) => format!("ended{unended} instead of answering"),
            },
        }
    }

    /// Kills the process and all of its helpers; gives the sentence with the end of its stderr.
    fn kill_for(&mut self, reason: String) -> String {
        self.kill();
        // What its last words were; the pipe holds 64 KiB at most.
        for _ in 0..8 {
            self.drain_stderr();
        }
        let text = String::from_utf8_lossy(&self.stderr_tail);
        let words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match words.len() {
            0 => reason,
            n => format!(
                "{reason}; its last words: {}",
                protocol::clip(&words[n.saturating_sub(3)..].join(" | "), 400)
            ),
        }
    }

    /// Ends the process and all of its helpers at once, and waits until it is gone.
    pub fn kill(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Errors mean that it is gone already. The workers of a killed trial are killed by the kernel.
        if self.guarded {
            let _ = kill(pid, Signal::SIGTERM);
            if wait_for(&mut self.child, LEAVE_LIMIT).is_some() {
                return;
            }
        }
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells the process that there are no more requests; [`Helper::wait_closed`] follows.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits for a closed process to leave, and kills it when it does not.
    pub fn wait_closed(mut self) {
        self.close();
        if wait_for(&mut self.child, LEAVE_LIMIT).is_none() {
            self.kill();
        }
    }

    /// CPU time and switches so far of the processes below the guard, whose memory marks start anew. What they start may end
    /// before the answer.
    fn processes_before(&self) -> Usage {
        let pids = probe::descendants(self.child.id());
        for &pid in &pids {
            probe::reset_peak(pid);
        }
        Usage::of_trees(pids)
    }

    /// Fills in what the answer does not tell.
    fn fill_in(&self, measured: &mut Measured, before: Usage, batch: u32) {
        let pids = probe::descendants(self.child.id());
        let used = Usage::of_trees(pids.iter().copied()).since(before);
        let per_run = |ns: u64| ns / u64::from(batch.max(1));
        let answer = &mut measured.answer;
        answer.user_ns.get_or_insert(per_run(used.user_ns));
        answer.sys_ns.get_or_insert(per_run(used.sys_ns));
        answer.vcsw.get_or_insert(used.vcsw);
        answer.ivcsw.get_or_insert(used.ivcsw);
        answer.rss_peak_kib.get_or_insert_with(|| pids.into_iter().map(probe::peak_kib).sum());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Which pipes can be used.
struct Ready {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    /// The process has ended.
    ended: bool,
}

/// Adds a descriptor and gives its index.
fn push<'a>(fds: &mut Vec<PollFd<'a>>, fd: BorrowedFd<'a>, flags: PollFlags) -> usize {
    fds.push(PollFd::from_borrowed_fd(fd, flags));
    fds.len() - 1
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits for the child at most `limit`: its status, or `None` when it still runs.
pub(super) fn wait_for(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    let pidfd = pidfd_open(rustix::process::Pid::from_child(child), PidfdFlags::empty()).ok();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let pidfd = pidfd.as_ref().filter(|_| !left.is_zero())?;
        // Interrupted or not, the loop looks again.
        let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
    }
}

fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// A time in seconds for a message.
pub(super) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}
