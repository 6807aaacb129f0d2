//! What a trial does with work that is ready: warm up, take a sample, or trace a run.
//!
//! Under an open load one run is a sample, from the first task's intended start to the end of the last; its generator
//! is started before anything is counted, and runs in another process. Under a closed load the samples of work that waits
//! for answers carry the latency of their tasks as well, from each one's own start: two readings of the clock are
//! little beside a request (about 0.15 µs where it was measured), and the same for all strategies.
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossover_workloads::format_checksum;

use crate::load::{Arrivals, Latencies};
use crate::probe::{self, Usage};
use crate::protocol::Answer;
use crate::strategy::{Job, Strategy};
use crate::trace::Recorder;

/// A warm-up ends when this many samples in a row are steady: close together, and neither falling nor rising.
const STEADY_SAMPLES: usize = 5;

/// The largest of the steady samples divided by the smallest is at most this.
const STEADY_SPREAD: f64 = 1.1;

/// The shortest of the last two steady samples and the shortest of those before differ by this factor at most: the
/// margin that verdicts use by default. A slow descent keeps close together for as long as it lasts.
const STEADY_DRIFT: f64 = 1.03;

/// A warm-up starts no further sample after this long. A work that takes longer runs once.
const WARMUP_LIMIT: Duration = Duration::from_millis(50);

/// A warm-up of very short samples ends after this many.
const WARMUP_SAMPLES_MAX: usize = 100;

/// A strategy and what it is to do.
pub(super) struct Work<'a> {
    pub(super) strategy: &'a mut dyn Strategy,
    pub(super) job: &'a Job,
    /// Runs in one sample.
    pub(super) batch: u32,
    /// Arrivals per second under an open load, whose batch is 1.
    pub(super) rate: Option<f64>,
}

impl Work<'_> {
    /// Runs the work once, cold, then samples until their times are steady. The answer tells the time of the cold run, the
    /// shortest of the last few samples, and whether they became steady; not so when too few fit the limit to tell.
    pub(super) fn warm_up(mut self) -> Result<Answer, String> {
        until_steady(self.batch, |batch| self.timed(batch))
    }

    /// Takes one sample.
    pub(super) fn measure(mut self) -> Result<Answer, String> {
        let mut arrivals = self.arrivals()?;
        let tasks = self.job.workload.tasks();
        let latencies = match &arrivals {
            Some(arrivals) => Some(arrivals.latencies()),
            None if self.job.workload.waits_for_answers() => {
                Some(Arc::new(Latencies::closed(tasks, self.batch)))
            }
            None => None,
        };
        let job = self.job.clone().timed(latencies.clone());
        let me = std::process::id();
        let helpers = self.strategy.helpers();
        for pid in helpers.iter().copied().chain([me]) {
            probe::reset_peak(pid);
        }
        self.strategy.take_helpers_peak();
        // A worker that dies on the way moves from one to the other when the pool has waited for it.
        let before = Usage::own().plus(Usage::ended()).plus(Usage::of(helpers));
        let start = Instant::now();
        let checksum = match &mut arrivals {
            Some(arrivals) => format_checksum(self.strategy.serve(&job, arrivals)?),
            None => run_batch(self.strategy, &job, self.batch)?,
        };
        let wall = start.elapsed();
        let own = Usage::own().plus(Usage::ended());
        // Asked again: a worker that died on the way was replaced.
        let helpers = self.strategy.helpers();
        let used = own.plus(Usage::of(helpers.iter().copied())).since(before);
        let marks: u64 = helpers.into_iter().map(probe::peak_kib).sum();
        let helpers_kib = self.strategy.take_helpers_peak().unwrap_or(0).max(marks);
        let rss_peak_kib = helpers_kib + probe::peak_kib(me);
        self.strategy.give_back(self.job)?;
        let per_run = |ns: u64| ns / u64::from(self.batch);
        let answer = Answer {
            wall_ns: Some(per_run(nanos(wall)).max(1)),
            checksum: Some(checksum),
            user_ns: Some(per_run(used.user_ns)),
            sys_ns: Some(per_run(used.sys_ns)),
            rss_peak_kib: Some(rss_peak_kib),
            vcsw: Some(used.vcsw),
            ivcsw: Some(used.ivcsw),
            latency: latencies.as_ref().and_then(|latencies| latencies.encode()),
            ..Answer::default()
        };
        match arrivals {
            None => Ok(answer),
            Some(arrivals) => self.served(answer, arrivals, tasks),
        }
    }

    /// Completes the answer about a run under an open load.
    fn served(&mut self, answer: Answer, arrivals: Arrivals, tasks: u32) -> Result<Answer, String> {
        let wall_ns = arrivals.latencies().wall_ns().max(1);
        let generated = arrivals.finish()?;
        Ok(Answer {
            wall_ns: Some(wall_ns),
            achieved_rate: self.rate.map(|rate| achieved(tasks, rate, wall_ns)),
            generator_lag_ns: Some(generated.lag_ns),
            generator_cpu_ns: Some(generated.cpu_ns),
            ..answer
        })
    }

    /// Runs the whole work once and tells what each task did when.
    pub(super) fn trace(self) -> Result<Answer, String> {
        let mut arrivals = self.arrivals()?;
        let recorder = Arc::new(Recorder::start(self.job.workload.tasks()));
        let job = self.job.clone().traced(Arc::clone(&recorder));
        let checksum = match &mut arrivals {
            Some(arrivals) => self.strategy.serve(&job, arrivals)?,
            None => self.strategy.run(&job)?,
        };
        let wall_ns = recorder.elapsed_ns();
        self.strategy.give_back(self.job)?;
        Ok(Answer {
            wall_ns: Some(wall_ns.max(1)),
            checksum: Some(format_checksum(checksum)),
            trace: Some(recorder.finish(wall_ns)),
            ..Answer::default()
        })
    }

    /// Runs the work `batch` times, and gives the checksum and the time that it took.
    fn timed(&mut self, batch: u32) -> Result<(String, Duration), String> {
        match self.arrivals()? {
            None => {
                let start = Instant::now();
                let checksum = run_batch(self.strategy, self.job, batch)?;
                let took = start.elapsed();
                self.strategy.give_back(self.job)?;
                Ok((checksum, took))
            }
            Some(mut arrivals) => {
                let latencies = arrivals.latencies();
                let job = self.job.clone().timed(Some(Arc::clone(&latencies)));
                let checksum = self.strategy.serve(&job, &mut arrivals)?;
                arrivals.finish()?;
                self.strategy.give_back(self.job)?;
                Ok((format_checksum(checksum), Duration::from_nanos(latencies.wall_ns())))
            }
        }
    }

    /// Starts the generator of an open load.
    fn arrivals(&self) -> Result<Option<Arrivals>, String> {
        self.rate.map(|rate| Arrivals::start(self.job.workload.tasks(), rate)).transpose()
    }
}

/// Warms up with what `timed` runs as often as it is told; see [`Work::warm_up`].
pub(super) fn until_steady(
    batch: u32,
    mut timed: impl FnMut(u32) -> Result<(String, Duration), String>,
) -> Result<Answer, String> {
    let started = Instant::now();
    let (cold, first) = timed(1)?;
    let mut checksum = cold.clone();
    // A cold run is a sample only where samples are single runs.
    let mut times: Vec<f64> = if batch == 1 { vec![first.as_secs_f64()] } else { Vec::new() };
    while !is_steady(&times)
        && (times.is_empty() || started.elapsed() < WARMUP_LIMIT && times.len() < WARMUP_SAMPLES_MAX)
    {
        let time;
        (checksum, time) = timed(batch)?;
        times.push(time.as_secs_f64());
    }
    if checksum != cold {
        checksum = format!("{cold} and then {checksum} in one warm-up");
    }
    let last = &times[times.len().saturating_sub(STEADY_SAMPLES)..];
    Ok(Answer {
        wall_ns: Some(((shortest(last) * 1e9 / f64::from(batch)) as u64).max(1)),
        checksum: Some(checksum),
        first_ns: Some(nanos(first)),
        batches: u32::try_from(times.len()).ok(),
        steady: (times.len() >= STEADY_SAMPLES).then_some(is_steady(&times)),
        ..Answer::default()
    })
}

/// Tasks done per second. They take at least as long as their arrivals with the last gap: nobody is faster than the load.
fn achieved(tasks: u32, rate: f64, wall_ns: u64) -> f64 {
    let tasks = f64::from(tasks);
    tasks / (wall_ns as f64 / 1e9).max(tasks / rate)
}

/// Whether the last samples lie close together, and the newest of them neither below nor above the others.
fn is_steady(times: &[f64]) -> bool {
    let Some(last) = times.len().checked_sub(STEADY_SAMPLES).map(|from| &times[from..]) else { return false };
    let (older, newer) = last.split_at(STEADY_SAMPLES - 2);
    let (older, newer) = (shortest(older), shortest(newer));
    let longest = last.iter().copied().fold(0.0, f64::max);
    longest <= older.min(newer) * STEADY_SPREAD && older.max(newer) <= older.min(newer) * STEADY_DRIFT
}

fn shortest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs the whole work `batch` times: their checksum, or all that differ, which equals no oracle's. Between two runs it gives back what
/// the first one leaked, as whoever calls does after the last.
fn run_batch(strategy: &mut dyn Strategy, job: &Job, batch: u32) -> Result<String, String> {
    let mut checksums = Checksums::default();
    for run in 0..batch {
        if run > 0 {
            strategy.give_back(job)?;
        }
        job.begin_run(run);
        checksums.add(strategy.run(job)?);
    }
    Ok(checksums.text())
}

/// What the runs of a batch gave.
#[derive(Debug, Default)]
pub(super) struct Checksums {
    first: u64,
    differs: Option<u64>,
    count: u32,
}

impl Checksums {
    /// Takes that of the next run.
    pub(super) fn add(&mut self, checksum: u64) {
        match self.count {
            0 => self.first = checksum,
            _ if checksum != self.first => self.differs = Some(checksum),
            _ => {}
        }
        self.count += 1;
    }

    /// The one of all runs, or two that differ, which equal no oracle's.
    pub(super) fn text(&self) -> String {
        let first = format_checksum(self.first);
        match self.differs {
            None => first,
            Some(other) => format!("{first} and {} in one batch", format_checksum(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crossover_workloads::Spec;

    use super::*;

    #[test]
    fn steady_means_the_last_five_lie_close_together_without_a_trend() {
        assert!(!is_steady(&[]));
        assert!(!is_steady(&[1.0; 4]));
        assert!(is_steady(&[9.0, 1.0, 1.05, 1.02, 1.08, 1.01]));
        assert!(!is_steady(&[1.0, 1.0, 1.0, 1.0, 1.2]));
        for step in [0.98_f64, 1.02] {
            let slope: Vec<f64> = (0..5).map(|i| step.powi(i)).collect();
            assert!(!is_steady(&slope), "within 10 % of each other, and still moving: {slope:?}");
        }
    }

    /// Gives the numbers one after another.
    #[derive(Debug)]
    struct Fickle(Vec<u64>);

    impl Strategy for Fickle {
        fn run(&mut self, _: &Job) -> Result<u64, String> {
            self.0.pop().ok_or_else(|| "nothing left".to_owned())
        }

        fn serve(&mut self, job: &Job, _: &mut Arrivals) -> Result<u64, String> {
            self.run(job)
        }
    }

    fn job() -> Job {
        let spec = Spec {
            kind: "empty".to_owned(),
            params: std::collections::BTreeMap::new(),
            tasks: 2,
            seed: 7,
            server: None,
            spin_per_us: None,
        };
        Job::prepare(spec).unwrap()
    }

    #[test]
    fn nobody_is_faster_than_the_load() {
        assert_eq!(achieved(100, 50.0, 1), 50.0);
        assert_eq!(achieved(100, 50.0, 4_000_000_000), 25.0);
    }

    #[test]
    fn a_warm_up_whose_runs_differ_says_so() {
        let mut runs: Vec<u64> = (0..200).map(|_| 7).collect();
        runs.push(6);
        let (strategy, job) = (&mut Fickle(runs), &job());
        let answer = Work { strategy, job, batch: 1, rate: None }.warm_up().unwrap();
        let checksum = answer.checksum.unwrap();
        assert!(checksum.contains("0000000000000006") && checksum.contains("0000000000000007"), "{checksum}");
    }

    #[test]
    fn every_run_of_a_batch_is_compared() {
        let job = job();
        assert_eq!(run_batch(&mut Fickle(vec![5, 5, 5]), &job, 3).unwrap(), "0000000000000005");
        let both = run_batch(&mut Fickle(vec![5, 6, 5]), &job, 3).unwrap();
        assert!(both.contains("0000000000000005") && both.contains("0000000000000006"), "{both}");
        assert!(run_batch(&mut Fickle(vec![5]), &job, 2).is_err());
    }
}
