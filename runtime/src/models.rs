//! Model checks of the runtime's protocols under loom: every interleaving, and every outcome that the memory model
//! allows, up to a bound on preemptions. A lost wake-up shows as a deadlock.
//!
//! `scripts/models.sh` runs them.
//!
//! `Idle`, `Parker`, `Injector` and `Queue` are the real ones. What stands in for the rest: a counter, changed with relaxed
//! read-modify-writes, for the local queues (loom does not know crossbeam-deque); a locked flag for the driver.

mod channel;
mod task;

use crate::blocking::{Queue, Submitted, Wait};
use crate::park::Parker;
use crate::scheduler::idle::Idle;
use crate::scheduler::injector::{Injector, Pushed};
use crate::sync::prim::{Condvar, Mutex};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use std::time::Duration;

pub(crate) fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Two workers, and a queue that only counts.
struct Workers {
    idle: Idle,
    parkers: [Parker; 2],
    queued: AtomicUsize,
    done: AtomicUsize,
    total: usize,
}

impl Workers {
    fn new(total: usize) -> Arc<Workers> {
        Arc::new(Workers {
            idle: Idle::new(2),
            parkers: [Parker::new(), Parker::new()],
            queued: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            total,
        })
    }

    fn push(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.notify();
    }

    fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.parkers[worker].unpark(|| {});
        }
    }

    fn take(&self) -> bool {
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| queued.checked_sub(1)).is_ok()
    }

    fn any_work(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > 0
    }

    fn is_over(&self) -> bool {
        self.done.load(Ordering::Acquire) == self.total
    }

    /// What `scheduler/worker.rs` does with the idle protocol.
    fn work(&self, worker: usize) {
        let mut searching = false;
        while !self.is_over() {
            if !searching {
                searching = self.idle.start_search();
            }
            if self.take() {
                if std::mem::take(&mut searching) && self.idle.stop_search() && self.any_work() {
                    self.notify();
                }
                // The last task ends the runtime, and unparks everyone past the list of sleepers.
                if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.total {
                    self.parkers.iter().for_each(|parker| parker.unpark(|| {}));
                }
                continue;
            }
            self.idle.fall_asleep(worker, std::mem::take(&mut searching));
            if self.any_work() {
                searching = true;
                if !self.idle.leave(worker) {
                    self.idle.insist_on_search();
                }
                continue;
            }
            if !self.is_over() {
                self.parkers[worker].park();
            }
            searching = self.idle.leave(worker);
        }
    }
}

/// Two workers, and two tasks that come through the injector, each of which ends only when the other runs too.
struct Injected {
    idle: Idle,
    parkers: [Parker; 2],
    injector: Injector<()>,
    running: (Mutex<usize>, Condvar),
}

impl Injected {
    fn push(&self) {
        // As `Shared::announce`.
        if self.injector.push(()) == Ok(Pushed::First) {
            self.notify();
        }
    }

    fn notify(&self) {
        if let Some(worker) = self.idle.notify() {
            self.parkers[worker].unpark(|| {});
        }
    }

    /// Sleeps until there is a task, and runs it.
    fn work(&self, worker: usize) {
        let mut searching = false;
        loop {
            if self.injector.grab(0, |()| unreachable!("the models' grabs take one")).is_some() {
                if searching && self.idle.stop_search() && !self.injector.is_empty() {
                    self.notify();
                }
                return self.meet();
            }
            self.idle.fall_asleep(worker, searching);
            if self.injector.is_empty() {
                self.parkers[worker].park();
                searching = self.idle.leave(worker);
            } else {
                searching = true;
                if !self.idle.leave(worker) {
                    self.idle.insist_on_search();
                }
            }
        }
    }

    fn meet(&self) {
        let mut running = self.running.0.lock();
        *running += 1;
        self.running.1.notify_all();
        while *running < 2 {
            running = self.running.1.wait(running);
        }
    }
}

/// The second push finds the shard marked, or not: it is seen by the other worker in either case.
#[test]
fn a_push_behind_others_needs_no_notification() {
    model(3, || {
        let shared = Arc::new(Injected {
            idle: Idle::new(2),
            parkers: [Parker::new(), Parker::new()],
            injector: Injector::with_shards(1),
            running: (Mutex::new(0), Condvar::new()),
        });
        let threads = [0, 1].map(|worker| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(worker))
        });
        shared.push();
        shared.push();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(shared.injector.is_empty());
    });
}

#[test]
fn a_push_is_never_lost_on_two_workers() {
    model(2, || {
        let shared = Workers::new(2);
        let threads = [0, 1].map(|worker| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(worker))
        });
        shared.push();
        shared.push();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!shared.any_work());
    });
}

#[test]
fn a_push_is_never_lost_on_a_single_worker() {
    model(3, || {
        let shared = Workers::new(2);
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.work(0))
        };
        shared.push();
        shared.push();
        worker.join().unwrap();
    });
}

/// While a worker runs and another sleeps, there is a watch or the former wakes one: here against a watch that wants to
/// sleep without a limit.
#[test]
fn a_watch_retires_only_when_all_sleep() {
    model(3, || {
        let shared = Arc::new((Idle::new(2), Parker::new()));
        shared.0.fall_asleep(0, false);
        let watch = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.fall_asleep(1, false);
                assert!(shared.0.begin_watch(1), "there is no other");
                if shared.0.all_sleep() && shared.0.retire(1) {
                    // Without a limit: somebody has to come.
                    shared.1.park();
                }
            })
        };
        runs_after_sleep(&shared.0, &shared.1);
        watch.join().unwrap();
    });
}

/// The same, against a sleeper that is not the watch because the running one still was.
#[test]
fn a_watch_that_wakes_is_replaced() {
    model(3, || {
        let shared = Arc::new((Idle::new(2), Parker::new()));
        shared.0.fall_asleep(0, false);
        assert!(shared.0.begin_watch(0));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.fall_asleep(1, false);
                if !shared.0.begin_watch(1) {
                    shared.1.park();
                }
            })
        };
        shared.0.end_watch();
        runs_after_sleep(&shared.0, &shared.1);
        other.join().unwrap();
    });
}

/// Worker 0 wakes by itself, and is about to run a task.
fn runs_after_sleep(idle: &Idle, parker_of_1: &Parker) {
    assert!(!idle.leave(0), "nobody notified it");
    if idle.needs_watch()
        && let Some(worker) = idle.wake_any()
    {
        assert_eq!(worker, 1);
        parker_of_1.unpark(|| {});
    }
}

/// The token: an unpark before, while or after its owner parks, on the condition variable or on the driver.
#[test]
fn an_unpark_is_never_lost() {
    model(3, || {
        let parker = Arc::new(Parker::new());
        let flag = Arc::new(AtomicBool::new(false));
        // The driver's own sticky token.
        let driver = Arc::new((Mutex::new(false), Condvar::new()));
        let unparker = {
            let (parker, flag, driver) = (Arc::clone(&parker), Arc::clone(&flag), Arc::clone(&driver));
            thread::spawn(move || {
                flag.store(true, Ordering::Relaxed);
                parker.unpark(|| {
                    *driver.0.lock() = true;
                    driver.1.notify_all();
                });
            })
        };
        parker.park_turning(|| {
            let mut ended = driver.0.lock();
            while !*ended {
                ended = driver.1.wait(ended);
            }
        });
        assert!(flag.load(Ordering::Relaxed), "what was written before the unpark is seen after the park");
        unparker.join().unwrap();
    });
}

/// Counts how it ended.
struct Counted(Arc<[AtomicUsize; 2]>);

impl Job for Counted {
    fn run(self) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }
    fn refuse(self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks once, so that a job may come while a thread spins, or after it.
struct Glance;

impl Wait for Glance {
    fn spin(&mut self, mut is_over: impl FnMut() -> bool) {
        if !is_over() {
            thread::yield_now();
        }
    }
    fn slept(&mut self, _: Duration) {}
}

/// Something that a pool of the models runs or refuses.
trait Job: Send + 'static {
    fn run(self);
    fn refuse(self);
}

fn submit<J: Job>(queue: &Arc<Queue<J>>, job: J) -> Option<thread::JoinHandle<()>> {
    match queue.submit(job) {
        Submitted::Queued | Submitted::Stuck(_) => None,
        Submitted::Refused(job) => {
            job.refuse();
            None
        }
        Submitted::StartThread => {
            let queue = Arc::clone(queue);
            Some(thread::spawn(move || {
                let mut first = true;
                while let Some(job) = queue.next(std::mem::take(&mut first), &mut Glance) {
                    job.run();
                }
                queue.thread_gone();
            }))
        }
    }
}

fn blocking_pool(threads_max: usize, close_early: bool) {
    model(2, move || {
        let queue = Arc::new(Queue::new(threads_max, Duration::MAX));
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let other = {
            let (queue, counts) = (Arc::clone(&queue), Arc::clone(&counts));
            thread::spawn(move || submit(&queue, Counted(Arc::clone(&counts))))
        };
        let mut threads = vec![submit(&queue, Counted(Arc::clone(&counts)))];
        if close_early {
            queue.close(|_| false).into_iter().for_each(|job| job.refuse());
        }
        threads.push(other.join().unwrap());
        if !close_early {
            // Without a lost wake-up every job is run, so this ends.
            while counts[0].load(Ordering::Relaxed) < 2 {
                thread::yield_now();
            }
            assert!(queue.close(|_| false).is_empty());
        }
        assert_eq!(queue.wait_until_gone(None), 0);
        threads.into_iter().flatten().for_each(|thread| thread.join().unwrap());
        let [run, refused] = [&counts[0], &counts[1]].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(run + refused, 2, "each job is run or refused, once");
    });
}

#[test]
fn blocking_jobs_each_get_a_thread() {
    blocking_pool(2, false);
}

#[test]
fn blocking_jobs_share_a_thread() {
    blocking_pool(1, false);
}

#[test]
fn closing_the_blocking_pool_leaves_no_job_and_no_thread() {
    blocking_pool(2, true);
}

/// A job that must run, accepted before the end, is run whenever the end comes; the other one may be refused.
#[test]
fn closing_the_blocking_pool_runs_what_must_run() {
    model(2, || {
        let queue = Arc::new(Queue::new(1, Duration::MAX));
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let must = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let mut threads = vec![submit(&queue, Counted(Arc::clone(&counts)))];
        threads.push(submit(&queue, Counted(Arc::clone(&must))));
        let refused = queue.close(|job| Arc::ptr_eq(&job.0, &must));
        refused.into_iter().for_each(|job| job.refuse());
        assert_eq!(queue.wait_until_gone(None), 0);
        threads.into_iter().flatten().for_each(|thread| thread.join().unwrap());
        assert_eq!(must[0].load(Ordering::Relaxed), 1);
        assert_eq!(counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<usize>(), 1);
    });
}

/// Two jobs, each of which ends only when the other runs: both must get a thread.
struct Meets(Arc<(Mutex<usize>, Condvar)>);

impl Meets {
    fn wait(place: &(Mutex<usize>, Condvar), until: usize) {
        let mut here = place.0.lock();
        while *here < until {
            here = place.1.wait(here);
        }
    }
}

impl Job for Meets {
    fn run(self) {
        let until = {
            let mut here = self.0.0.lock();
            *here += 1;
            here.next_multiple_of(2)
        };
        self.0.1.notify_all();
        Meets::wait(&self.0, until);
    }
    fn refuse(self) {
        unreachable!("the pool is not closed before they have run");
    }
}

/// The chain of calls: the first pair finds no thread, the second one finds threads that end their jobs, spin, or sleep,
/// of which one is called at a time. A call that is not passed on is a deadlock.
#[test]
fn blocking_jobs_that_wait_for_each_other_both_run() {
    model(2, || {
        let queue = Arc::new(Queue::new(2, Duration::MAX));
        let place = Arc::new((Mutex::new(0), Condvar::new()));
        let mut threads = Vec::new();
        for pair in 1..=2 {
            for _ in 0..2 {
                threads.push(submit(&queue, Meets(Arc::clone(&place))));
            }
            Meets::wait(&place, 2 * pair);
        }
        assert!(queue.close(|_| false).is_empty());
        assert_eq!(queue.wait_until_gone(None), 0);
        threads.into_iter().flatten().for_each(|thread| thread.join().unwrap());
    });
}
