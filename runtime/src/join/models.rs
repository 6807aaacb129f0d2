//! Model checks of a stack job under loom: it is run once, its owner sees the result, and nobody touches it after the
//! signal. `scripts/models.sh` runs them; see `src/models.rs` for what a lost wake-up looks like.
//!
//! `StackJob`, `Job`, its latch, the parker and the hub's injector are the real ones. A locked slot stands in for a worker's
//! deque (loom does not know crossbeam-deque): it holds the newest job only, which suffices, as by the deque's discipline
//! an owner asks for no other. It is locked for reads and writes, but a look without the lock, by which a worker decides
//! whether to sleep, is a relaxed load, as in the deque.

use super::hub::Hub;
use super::job::{End, Header, Job, StackJob, Waiter};
use crate::models::model;
use crate::park::Parker;
use crate::sync::prim::Mutex;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread;

/// The newest job of a worker.
struct Slot {
    job: Mutex<Option<Job>>,
    full: AtomicBool,
}

impl Slot {
    fn new() -> Slot {
        Slot { job: Mutex::new(None), full: AtomicBool::new(false) }
    }

    fn push(&self, job: Job) {
        let mut slot = self.job.lock();
        *slot = Some(job);
        self.full.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Option<Job> {
        let mut slot = self.job.lock();
        let job = slot.take();
        self.full.store(false, Ordering::Relaxed);
        job
    }

    fn may_have_job(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

/// An object that loom watches for races, changed by a closure and read by its owner.
struct Cell(UnsafeCell<u32>);

// SAFETY: loom checks each access.
unsafe impl Sync for Cell {}

impl Cell {
    fn new() -> Cell {
        Cell(UnsafeCell::new(0))
    }

    fn add(&self) -> u32 {
        // SAFETY: loom fails the model if another access is under way.
        self.0.with_mut(|value| unsafe {
            *value += 1;
            *value
        })
    }

    fn get(&self) -> u32 {
        // SAFETY: as in `add`.
        self.0.with(|value| unsafe { *value })
    }
}

/// Parks until the job has ended.
fn wait(header: &Header, park: impl Fn()) -> End {
    loop {
        if let Some(end) = header.end() {
            return end;
        }
        if header.fall_asleep() {
            park();
        }
        header.get_up();
    }
}

/// An owner offers a job and asks for it again, while a thief takes it and runs it or gives it back: the closure runs
/// once, the owner sees what it did, and the frame may be gone at once.
fn steal_or_take_back(give_back: bool) {
    model(3, move || {
        let hub = Arc::new(Hub::new(2).0);
        let slot = Arc::new(Slot::new());
        let thief = {
            let (hub, slot) = (Arc::clone(&hub), Arc::clone(&slot));
            thread::spawn(move || {
                if let Some(job) = slot.take() {
                    if give_back { job.give_back(&hub) } else { job.run(1, &hub) }
                }
            })
        };
        let effect = Arc::new(Cell::new());
        {
            let effect = Arc::clone(&effect);
            let job = StackJob::new(move || effect.add(), Waiter::Worker(0));
            // SAFETY: handed out once, and waited for.
            slot.push(unsafe { job.hand_out() });
            let end = match slot.take() {
                Some(back) => {
                    assert!(back.is(job.header()));
                    End::Returned
                }
                None => wait(job.header(), || hub.park(0)),
            };
            let value = match end {
                // SAFETY: the thief has signalled that the result is there.
                End::Done => unsafe { job.take_result() }.unwrap(),
                // SAFETY: the closure has come back.
                End::Returned => unsafe { job.run_here() },
            };
            assert_eq!(value, 1);
        }
        assert_eq!(effect.get(), 1);
        thief.join().unwrap();
    });
}

#[test]
fn a_stolen_job_is_run_once_and_waited_for() {
    steal_or_take_back(false);
}

#[test]
fn a_job_that_is_given_back_is_run_by_its_owner() {
    steal_or_take_back(true);
}

/// A thread that is no worker: its parker dies with its frame and the thief's clone.
#[test]
fn an_injected_job_is_run_or_comes_back_at_the_end() {
    model(3, || {
        let hub = Arc::new(Hub::new(1).0);
        let worker = {
            let hub = Arc::clone(&hub);
            thread::spawn(move || {
                if let Some(job) = hub.take_injected() {
                    job.run(0, &hub);
                }
                hub.close();
            })
        };
        let effect = Cell::new();
        let parker = std::sync::Arc::new(Parker::new());
        let job = StackJob::new(|| effect.add(), Waiter::Thread(std::sync::Arc::clone(&parker)));
        // SAFETY: handed out once, and waited for.
        let end = match hub.inject(unsafe { job.hand_out() }) {
            Ok(()) => wait(job.header(), || parker.park()),
            Err(_back) => End::Returned,
        };
        if end == End::Returned {
            // SAFETY: the closure has come back.
            unsafe { job.run_here() };
        }
        assert_eq!(effect.get(), 1);
        worker.join().unwrap();
    });
}

/// The owner of a stolen job sleeps, or is about to, when the thief offers a part of it: the owner comes to help. The
/// thief waits for that before it ends, so a lost wake-up is a deadlock.
#[test]
fn a_sleeping_owner_is_woken_to_help_its_thief() {
    model(3, || {
        let hub = Arc::new(Hub::new(2).0);
        // The thief's newest job.
        let slot = Arc::new(Slot::new());
        let helped = Arc::new(AtomicUsize::new(0));
        let inner = {
            let (hub, slot) = (Arc::clone(&hub), Arc::clone(&slot));
            let helped = Arc::clone(&helped);
            move |outer: &Header| {
                let part = StackJob::new(|| helped.fetch_add(1, Ordering::Relaxed), Waiter::Worker(1));
                // SAFETY: handed out once, and waited for.
                slot.push(unsafe { part.hand_out() });
                // As `Context::announce` after a push to an empty deque.
                fence(Ordering::SeqCst);
                outer.wake_owner(&hub);
                assert_eq!(wait(part.header(), || hub.park(1)), End::Done);
            }
        };
        let outer = StackJob::new(|| (), Waiter::Worker(0));
        // SAFETY: handed out once, and waited for.
        let stolen = unsafe { outer.hand_out() };
        let thief = {
            let hub = Arc::clone(&hub);
            thread::spawn(move || {
                let header = stolen.of_worker().unwrap();
                // SAFETY: the owner waits until the job has run.
                inner(unsafe { header.as_ref() });
                stolen.run(1, &hub);
            })
        };
        let header = outer.header();
        while header.end().is_none() {
            if let Some(part) = slot.take() {
                part.run(0, &hub);
                continue;
            }
            if header.fall_asleep() && !slot.may_have_job() {
                hub.park(0);
            }
            header.get_up();
        }
        assert_eq!(helped.load(Ordering::Relaxed), 1);
        thief.join().unwrap();
    });
}
