//! From a fresh process to one that can serve: orphan protection, descriptors, the lane, limits.
//!
//! The control socket comes in as stdin. It moves to a high number (see `descriptor`), as do all others that
//! the protocol keeps, and stdin becomes /dev/null: a job may print to, close or replace descriptors 0-2, and those
//! just above them.
//!
//! The parent has put everything into the socket and the lane before it started this process, so nothing here waits:
//! first the descriptors, then the `Setup` frame, which says what the parent is and what it allows.

use super::{
    super::{
        channel::{
            Handed, WorkerEnd,
            pass::{Wait, receive_descriptors},
        },
        descriptor::high_copy,
        frame::Kind,
        spawn::{EXTRAS_TAG, Setup},
    },
    limits, orphan,
};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

/// What a worker has before it knows its jobs.
pub(super) struct Ready {
    /// For descriptors.
    pub(super) control: Arc<OwnedFd>,
    /// This process holds on to it, and lets go by its end only.
    pub(super) _line: OwnedFd,
    pub(super) lane: WorkerEnd,
    pub(super) setup: Setup,
}

/// Makes a worker of this process, whose parent is said to be `parent`.
///
/// # Errors
/// The system refuses something, or what the parent sent is not what this version of the program understands.
pub(super) fn set_up(parent: u32) -> io::Result<Ready> {
    orphan::follow(parent)?;
    let control = Arc::new(high_copy(io::stdin())?);
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(null)?;
    let handed = Handed::receive(control.as_fd())?;
    let bell = high_copy(&handed.bell)?;
    let mut lane = WorkerEnd::attach(Handed { bell, ..handed })?;
    let setup = first_frame(&mut lane)?;
    let (line, stdout) = extras(&control)?;
    orphan::hold_on(line.as_fd())?;
    if let Some(stdout) = stdout.filter(|_| setup.pass_stdout) {
        replace_stdout(stdout)?;
    }
    limits::no_core_dumps()?;
    if let Some(limit) = setup.memory_limit {
        limits::bound_memory(limit)?;
    }
    // Every exec'd copy is called "exe" otherwise. Cosmetic, so a failure is no reason to stop.
    let _ = rustix::thread::set_name(c"crossover-job");
    Ok(Ready { control, _line: line, lane, setup })
}

/// The `Setup` frame, which was in the lane before this process was started.
fn first_frame(lane: &mut WorkerEnd) -> io::Result<Setup> {
    let (header, payload) =
        lane.receive().map_err(io::Error::other)?.ok_or_else(|| io::Error::other("the lane is empty"))?;
    if header.kind != Kind::Setup {
        return Err(io::Error::other(format!("the parent sent a {:?} frame first", header.kind)));
    }
    Setup::from_bytes(&payload)
        .ok_or_else(|| io::Error::other("the parent runs another version of this program"))
}

/// The end of the life line, and the real stdout if the parent has passed it.
fn extras(control: &OwnedFd) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let passed = receive_descriptors(control.as_fd(), Wait::No)?
        .filter(|passed| passed.tag() == EXTRAS_TAG)
        .ok_or_else(|| io::Error::other("the parent passed something else than the life line"))?;
    let mut descriptors = passed.descriptors.into_iter();
    let line = descriptors.next().ok_or_else(|| io::Error::other("the parent passed no life line"))?;
    Ok((line, descriptors.next()))
}

/// Takes the real stdout in the place of /dev/null, which a test harness has printed its own lines to.
fn replace_stdout(stdout: OwnedFd) -> io::Result<()> {
    // What the harness has left in the buffer goes where its lines went.
    io::stdout().flush()?;
    nix::unistd::dup2_stdout(stdout)?;
    Ok(())
}
