//! No worker outlives its parent: three layers, each of which covers what the others miss.
//!
//! 1. The parent-death signal. The kernel kills the worker when the *thread* that spawned it ends, so all spawns come
//!    from one thread that lives as long as the pool. It is asked for first and the parent is looked at
//!    afterwards, so a death in between is seen. It does not reach the worker's own children.
//! 2. The watchdog: a thread that waits for the control socket's hang-up, and kills the worker's whole process group.
//!    It also covers a parent whose sockets were closed without its death.
//! 3. The loop: a broken lane ends it.

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{
        Signal, getpgrp, getpid, kill_current_process_group, kill_process, set_parent_process_death_signal,
    },
};
use std::{io, os::fd::OwnedFd, sync::Arc, thread};

/// The watchdog's stack: it only calls poll and kill.
const STACK_BYTES: usize = 128 * 1024;

/// Asks for the parent-death signal; ends this process at once if the parent has died already, or if this is a copy
/// of a worker's environment in some other process's child.
pub(super) fn follow(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if std::os::unix::process::parent_id() != parent {
        std::process::exit(0);
    }
    Ok(())
}

/// Starts the thread that waits for the hang-up of `control`.
pub(super) fn watch(control: &Arc<OwnedFd>) -> io::Result<()> {
    let control = Arc::clone(control);
    thread::Builder::new().name("crossover-watch".into()).stack_size(STACK_BYTES).spawn(move || {
        wait_for_hang_up(&control);
        die();
    })?;
    Ok(())
}

/// Returns when the other end of the socket is closed. What arrives on it is none of our business.
fn wait_for_hang_up(control: &OwnedFd) {
    let mut fds = [PollFd::new(control, PollFlags::empty())];
    loop {
        match poll(&mut fds, None) {
            Ok(_) if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Kills this worker and what its job started.
fn die() {
    // A job may have moved the process to another group: then that group is not ours to kill.
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::net::UnixStream, sync::mpsc};

    #[test]
    fn data_is_no_hang_up_and_the_end_is_one() {
        let (control, mut parent) = UnixStream::pair().unwrap();
        let (ended, end) = mpsc::channel();
        let watchdog = thread::spawn(move || {
            wait_for_hang_up(&control.into());
            ended.send(()).unwrap();
        });
        parent.write_all(b"descriptors come with a byte").unwrap();
        assert_eq!(end.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(parent);
        end.recv().unwrap();
        watchdog.join().unwrap();
    }
}
