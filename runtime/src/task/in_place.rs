//! `block_in_place`: blocking code in the middle of a task, which keeps nobody but its own task waiting. How a worker leaves its
//! seat for that is in `scheduler/worker/hand_over.rs`; this file says where it may be called.

use crate::handle::{MayBlock, MustNotBlock};
use crate::scheduler::budget;
use crate::scheduler::worker::hand_over;

/// Runs a closure that blocks, or computes for long, on this thread, while another one takes over the worker's other tasks.
///
/// Inside of it [`block_on`](crate::runtime::Handle::block_on) is allowed, and there is no poll budget. It is for code that
/// cannot be moved to another thread, because it borrows; else [`spawn_blocking`](crate::task::spawn_blocking) is better:
/// whatever runs in the same task, in another branch of a `select` say, waits for the closure as well.
///
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let text = String::from("borrowed");
/// let length = crossover_runtime::task::block_in_place(|| {
///     std::thread::sleep(std::time::Duration::from_millis(1));
///     text.len()
/// });
/// assert_eq!(length, 8);
/// # });
/// # std::io::Result::Ok(())
/// ```
///
/// # Where it runs
/// - In a task of a multi-thread runtime: the worker goes on on a thread of the
///   [blocking pool](crate::runtime::Builder::max_blocking_threads), or as soon as one is free; until then other workers
///   may steal its tasks. If one has begun by the time that the closure returns, the task still goes on here, to the
///   end of its poll. Such a poll is no stall to the detector.
/// - Inside of a closure of [`join`](crate::join()), or once the runtime shuts down: the closure is only called, and the worker's
///   other tasks wait for it, if nobody steals them.
/// - In the future of a multi-thread runtime's `block_on`, in a blocking job, in another `block_in_place` and outside of a
///   runtime: the closure is only called, for nobody waits for this thread.
///
/// The runtime's end waits for the closure as it does for a poll.
///
/// # Panics
/// In a task and in the `block_on` of a current-thread runtime: no other thread could go on with its tasks. When the closure does.
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    match MustNotBlock::kind() {
        MayBlock::Yes => f(),
        MayBlock::No => panic!("can call blocking only when running on the multi-threaded runtime"),
        MayBlock::InPlace => {
            // Dropped in the opposite order, after a panic too.
            let _lifted = MustNotBlock::lift();
            let _away = hand_over::hand_over();
            budget::unlimited(f)
        }
    }
}
