//! No worker outlives its parent: three layers, each of which covers what the others miss.
//!
//! 1. The parent-death signal. The kernel kills the worker when the *thread* that spawned it ends, so all spawns come
//!    from one thread that lives as long as the pool. It is asked for first and the parent is looked at
//!    afterwards, so a death in between is seen. It does not reach the worker's own children.
//! 2. The life line: a pipe that nothing is ever written to. Only the parent has the end for writing; when that is closed,
//!    by whatever kind of death, the kernel sends SIGKILL to the worker's process group. A job's processes die with
//!    it, and an endless loop does not help. It is signal-driven I/O (`O_ASYNC`) with a signal of our choice, so no
//!    thread has to wait: a process with a second thread takes five times as long to die.
//! 3. The loop: a broken lane ends it.
//!
//! A job that closes all descriptors cuts the life line, and one that moves to another process group leaves it; both
//! are still held by the first layer, but not what they started.

use nix::libc::{self, c_int};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Signal, getpgrp, getpid, kill_current_process_group, set_parent_process_death_signal},
    time::Timespec,
};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// fcntl(2)'s command for the signal to send, the same on every architecture; `libc` has it for some only.
const F_SETSIG: c_int = 10;

/// Asks for the parent-death signal; ends this process at once if the parent has died already, or if this is a copy
/// of a worker's environment in some other process's child.
pub(super) fn follow(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if std::os::unix::process::parent_id() != parent {
        std::process::exit(0);
    }
    Ok(())
}

/// Ties this process and its group to the other end of `line`, the end of a pipe for reading.
///
/// # Errors
/// Signal-driven I/O is refused, or this process does not lead its group.
pub(super) fn hold_on(line: BorrowedFd<'_>) -> io::Result<()> {
    // Another group would not be ours to kill.
    if getpgrp() != getpid() {
        return Err(io::Error::other("the worker leads no process group"));
    }
    // A negative number stands for a group.
    control(line, libc::F_SETOWN, -getpgrp().as_raw_nonzero().get())?;
    control(line, F_SETSIG, Signal::KILL.as_raw())?;
    fcntl_setfl(line, fcntl_getfl(line)? | OFlags::ASYNC)?;
    if has_ended(line) {
        // It did before the kernel knew whom to kill.
        let _ = kill_current_process_group(Signal::KILL);
    }
    Ok(())
}

/// fcntl(2) with a number.
fn control(fd: BorrowedFd<'_>, command: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, and these commands take a number and touch no memory.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Whether the other end of a pipe is closed.
fn has_ended(line: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(line, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    // What follows from it is tested in `worker::tests::process`: here it would kill this program.
    #[test]
    fn a_line_ends_when_its_last_writer_does() {
        let (line, writer) = rustix::pipe::pipe().unwrap();
        let second = writer.try_clone().unwrap();
        assert!(!has_ended(line.as_fd()));
        drop(writer);
        assert!(!has_ended(line.as_fd()));
        drop(second);
        assert!(has_ended(line.as_fd()));
    }
}
