//! Children that make one repeat each: started, waited for, killed with all that is below them.
//!
//! A child writes into files of memory, never into pipes, so that nobody has to read while it measures and none blocks on a
//! full pipe. Ours get their parent's id and die with it; Python runs under [`crate::guard`], which
//! takes whatever it started along. All children are started from the main thread.
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::interrupt::Interrupt;

/// The longest answer that is read, and the longest end of what was written to stderr.
const ANSWER_MAX: u64 = 1 << 20;
const STDERR_MAX: u64 = 4096;

/// How long a child may take to leave after its stdin was closed or its group was killed.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// How a child ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself: its stdout.
    Done(String),
    /// Not as it should: why.
    Failed(String),
    /// Somebody wants everything to end.
    Interrupted,
}

/// The program itself, with `arguments`.
pub(super) fn ourselves(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("crossover").args(arguments);
    command
}

/// A child that runs. It ends with this value at the latest.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    output: File,
    words: File,
    limit: Duration,
    deadline: Instant,
}

/// Starts `command`, which may run for at most `limit`.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start(command: &mut Command, limit: Duration) -> Result<Running> {
    let output = memory("stdout")?;
    let words = memory("stderr")?;
    let child = command
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(words.try_clone()?)
        .process_group(0)
        .spawn()
        .context("cannot start a trial")?;
    Ok(Running { child, output, words, limit, deadline: Instant::now() + limit })
}

impl Running {
    /// Waits for its end, or ends it when its time is over or somebody wants everything to end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(super) fn end(mut self, interrupt: &Interrupt) -> Result<End> {
        let Some(status) = wait(&mut self.child, self.deadline, Some(interrupt))? else {
            stop(&mut self.child)?;
            let hung = End::Failed(format!("it did not end within {} s", self.limit.as_secs()));
            return Ok(if interrupt.is_raised() { End::Interrupted } else { hung });
        };
        if status.success() {
            return Ok(End::Done(read(&mut self.output, ANSWER_MAX)?));
        }
        Ok(End::Failed(format!("it ended with {status}: {}", last_line(&mut self.words)?)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Reaped already, or given up because of a failure that is told.
        let _ = stop(&mut self.child);
    }
}

fn memory(name: &str) -> Result<File> {
    let fd = memfd_create(name, MemfdFlags::CLOEXEC).context("cannot make a file in memory")?;
    Ok(fd.into())
}

/// The child's status, or `None` at the `deadline` or when somebody wants it to end.
fn wait(child: &mut Child, deadline: Instant, interrupt: Option<&Interrupt>) -> Result<Option<ExitStatus>> {
    // One that was reaped has no descriptor any more.
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let ended = pidfd_open(rustix::process::Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || interrupt.is_some_and(Interrupt::is_raised) {
            return Ok(None);
        }
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(interrupt.map(|interrupt| PollFd::from_borrowed_fd(interrupt.fd(), PollFlags::IN)));
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends the child: a guard takes the hint of its closed stdin, everything else is killed.
fn stop(child: &mut Child) -> Result<()> {
    drop(child.stdin.take());
    if wait(child, Instant::now() + LEAVE_LIMIT / 2, None)?.is_none() {
        // Gone in between is as good.
        let _ = kill_process_group(rustix::process::Pid::from_child(child), Signal::KILL);
        child.wait()?;
    }
    Ok(())
}

fn read(file: &mut File, most: u64) -> Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last line of what it wrote to stderr.
fn last_line(file: &mut File) -> Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(STDERR_MAX)))?;
    let mut bytes = Vec::new();
    file.take(STDERR_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned())
}
