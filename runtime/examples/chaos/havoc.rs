//! What happens to the workers from outside: SIGKILL, and SIGSTOP with SIGCONT a moment later. What is done, and after
//! how many jobs, is drawn from the seed; whom it meets depends on the run.

use crate::{
    books::{Books, process, processes},
    plan::Rng,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How often to look how far the jobs are.
const LOOK: Duration = Duration::from_micros(500);

/// A worker that was stopped, until then.
type Stopped = (OwnedFd, Instant);

/// Lets the workers of an epoch suffer until it is over.
pub(crate) fn rage(books: &Books, over: &AtomicBool, every: u64, epoch: u64) {
    let mut rng = Rng::new(books.seed, u64::MAX - epoch);
    let mut next = books.done() + rng.below(2 * every);
    let mut stopped: Vec<Stopped> = Vec::new();
    // Acquire pairs with the Release of the main thread; nothing else is shared by it.
    while !over.load(Ordering::Acquire) {
        stopped.retain(|worker| !continues(worker));
        if books.done() < next {
            thread::park_timeout(LOOK);
            continue;
        }
        // Seldom one that is only starting: five of these in ten seconds open the breaker, rightly.
        let mut victims = if rng.below(100) == 0 { children() } else { books.seen_workers() };
        let (deed, whom) = (rng.below(10), rng.below(64) as usize);
        let turn = whom % victims.len().max(1);
        victims.rotate_left(turn);
        // Most of the workers that were seen are gone by now.
        let Some(worker) = victims.into_iter().find_map(adopt) else {
            thread::park_timeout(LOOK);
            continue;
        };
        next += 1 + rng.below(2 * every);
        if deed < 7 {
            if pidfd_send_signal(&worker, Signal::KILL).is_ok() {
                books.kills.fetch_add(1, Ordering::Relaxed);
            }
        } else if pidfd_send_signal(&worker, Signal::STOP).is_ok() {
            books.pauses.fetch_add(1, Ordering::Relaxed);
            stopped.push((worker, Instant::now() + Duration::from_millis(rng.below(30))));
        }
    }
    for (worker, _) in stopped {
        let _ = pidfd_send_signal(&worker, Signal::CONT);
    }
}

/// Lets a stopped worker go on when its time has come.
fn continues((worker, until): &Stopped) -> bool {
    let due = Instant::now() >= *until;
    if due {
        // It may have been killed since.
        let _ = pidfd_send_signal(worker, Signal::CONT);
    }
    due
}

fn children() -> Vec<u32> {
    let me = std::process::id();
    processes().filter(|(_, _, parent)| *parent == me).map(|(pid, ..)| pid).collect()
}

/// A handle on a child of this process; the number may belong to somebody else by now.
fn adopt(pid: u32) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(pid.try_into().ok()?)?, PidfdFlags::empty()).ok()?;
    // Looked up after the handle was taken: if the number is a child of ours now, the handle is on that child, or on
    // one that it replaced, which has ended.
    process(pid).is_some_and(|(_, parent)| parent == std::process::id()).then_some(handle)
}
