//! rayon-idle: what a pool of eight threads burns while work trickles in.
//!
//! A thread outside hands the pool a job of half a millisecond every millisecond: work for half a core, and seven of eight
//! threads never have any. What the pool's threads use beyond the jobs themselves is the price of having them. Some of it is
//! waking a thread, which any pool must: a plain thread that is parked and does the same jobs shows how much. The rest is looking
//! for work.
//!
//! CPU time is the kernel's, per thread: that of the whole process without the thread that hands out the jobs, over a window of
//! seconds; a job's is read within the job. So the shares lie well above the clock's noise, which a
//! difference of two runs of a few hundred milliseconds does not.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::cpu::chew;
use super::engine::{Engine as _, Ours};
use super::{Outcome, Setup, Trouble, found};

/// Threads of the pool.
const THREADS: usize = 8;

/// How long a job computes, and how long it is from one job to the next.
const JOB: Duration = Duration::from_micros(500);
const PERIOD: Duration = Duration::from_millis(1);

/// Jobs of a measurement: in full, and in the quick pass.
const JOBS: u32 = 3000;
const JOBS_QUICK: u32 = 800;

/// A job as a pool takes it.
type Job = Box<dyn FnOnce() + Send>;

/// On a pool of rayon's.
pub(crate) fn rayon(setup: &Setup) -> Outcome {
    let pool = ::rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    compare(setup, |job| pool.spawn(job))
}

/// On our runtime.
pub(crate) fn ours(setup: &Setup) -> Outcome {
    let runtime = Ours::workers(THREADS)?;
    compare(setup, |job| {
        // Detached: the measurement counts the jobs itself.
        drop(runtime.spawn(async move { job() }));
    })
}

/// What the pool behind `submit` burns, beside what one parked thread does.
fn compare(setup: &Setup, submit: impl Fn(Job)) -> Outcome {
    let jobs = if setup.full { JOBS } else { JOBS_QUICK };
    let pool = outside_of_jobs(jobs, submit)?;
    let parked = Parked::start()?;
    let one = outside_of_jobs(jobs, |job| parked.submit(job))?;
    Ok(found("looking", pool - one).and("outside_jobs", pool).and("parked_thread", one))
}

/// The share of the CPU time of all threads but this one that no job used, while `jobs` jobs trickle in.
fn outside_of_jobs(jobs: u32, submit: impl Fn(Job)) -> Result<f64, Trouble> {
    let (done, in_jobs) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let hand_out = |count: u32| {
        let begun = Instant::now();
        for n in 1..=count {
            let (done, in_jobs) = (Arc::clone(&done), Arc::clone(&in_jobs));
            submit(Box::new(move || {
                let begun = cpu(ClockId::ThreadCPUTime);
                chew(JOB);
                // Relaxed: published by `done` below.
                in_jobs.fetch_add(cpu(ClockId::ThreadCPUTime) - begun, Ordering::Relaxed);
                // Release: pairs with the load that waits for the last job.
                done.fetch_add(1, Ordering::Release);
            }));
            std::thread::sleep((begun + PERIOD * n).saturating_duration_since(Instant::now()));
        }
    };
    let finished = |count: u64| {
        let limit = Instant::now() + Duration::from_secs(10);
        // Acquire: with it come the times of all jobs that it counts.
        while done.load(Ordering::Acquire) < count {
            if Instant::now() > limit {
                return Err(Trouble::Failed("a job was not done".to_owned()));
            }
            std::thread::sleep(PERIOD);
        }
        // Whoever was awake has gone to sleep by then, or shows as one that never does.
        std::thread::sleep(PERIOD * 20);
        Ok(())
    };
    // The pool's threads start, and settle.
    let settle = 100;
    hand_out(settle);
    finished(settle.into())?;
    let others = || cpu(ClockId::ProcessCPUTime).saturating_sub(cpu(ClockId::ThreadCPUTime));
    let (before, useful_before) = (others(), in_jobs.load(Ordering::Relaxed));
    hand_out(jobs);
    finished(u64::from(settle + jobs))?;
    let (all, useful) = (others() - before, in_jobs.load(Ordering::Relaxed) - useful_before);
    Ok(1.0 - useful as f64 / all as f64)
}

/// CPU time, in nanoseconds.
fn cpu(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// A thread that is parked until there is a job. It ends with this value.
#[derive(Debug)]
struct Parked {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A lock and what it guards: jobs, and whether no more will come.
#[derive(Default)]
struct Shared {
    jobs: Mutex<(Vec<Job>, bool)>,
    wake: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Parked {
    fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().spawn({
            let shared = Arc::clone(&shared);
            move || shared.work()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn submit(&self, job: Job) {
        self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner).0.push(job);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn work(&self) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // The order of jobs that wait together does not matter here.
            if let Some(job) = jobs.0.pop() {
                drop(jobs);
                job();
                jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            } else if jobs.1 {
                return;
            } else {
                jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A job that panicked has shown as one that was not done.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_thread_does_every_job_and_ends() {
        let (sender, results) = std::sync::mpsc::channel();
        let parked = Parked::start().unwrap();
        for n in 0..100 {
            let sender = sender.clone();
            parked.submit(Box::new(move || sender.send(n).unwrap()));
        }
        let mut all: Vec<u32> = (0..100).map(|_| results.recv().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        // Waits for the thread.
        drop(parked);
        drop(sender);
        assert!(results.recv().is_err(), "the thread holds nothing any more");
    }
}
