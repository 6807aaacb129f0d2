//! Samples that include start-up: every run of the work is the whole life of a strategy.
//!
//! A life is the start of the strategy (its threads, runtime, worker processes), one run of the work, the closing of the
//! connections that the run has opened, and the end of the strategy, which is waited for. All of it is timed. What is not: the
//! start of this process, and building inputs, as in steady state. A worker process is new in every life, so the inputs that
//! it builds for itself are timed.
//!
//! Connections belong to a life: work that keeps some is prepared anew for each, which opens none.
//!
//! What processes of a strategy have used is known when they were waited for, and counts as ours from then on. Their memory
//! can only be read while they are there: in the last life, between its work and its end, with the clock stopped.
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossover_workloads::{Spec, Workload};

use super::measure::{Checksums, nanos, until_steady};
use crate::config::Startup;
use crate::load::Latencies;
use crate::probe::{self, Usage};
use crate::protocol::Answer;
use crate::strategy::{self, Job, Options, Strategy};

/// What the lives of a sample have in common.
#[derive(Debug)]
pub(super) struct Lives<'a> {
    /// The strategy.
    pub(super) name: &'a str,
    pub(super) options: Options,
    pub(super) spec: &'a Spec,
    /// What `spec` describes, with its inputs.
    pub(super) workload: &'a Workload,
    /// Lives in one sample.
    pub(super) batch: u32,
}

/// What a number of lives took and gave.
#[derive(Debug, Default)]
struct Lived {
    wall: Duration,
    checksums: Checksums,
    /// Peak memory of the last life's processes.
    helpers_peak_kib: u64,
    /// What reading that has used.
    reading: Usage,
}

impl Lives<'_> {
    /// As [`super::measure::Work::warm_up`]. Whether times are steady says nothing here: no sample is of a steady state.
    pub(super) fn warm_up(&self) -> Result<Answer, String> {
        let answer = until_steady(self.batch, |batch| {
            let lived = self.live(batch, None, self.own_work(batch)?)?;
            Ok((lived.checksums.text(), lived.wall))
        })?;
        Ok(Answer { steady: None, startup: Startup::Included, ..answer })
    }

    /// Takes one sample.
    pub(super) fn measure(&self) -> Result<Answer, String> {
        let waits = self.workload.waits_for_answers();
        let latencies = waits.then(|| Arc::new(Latencies::closed(self.workload.tasks(), self.batch)));
        let own_work = self.own_work(self.batch)?;
        let me = std::process::id();
        probe::reset_peak(me);
        let before = Usage::own().plus(Usage::ended());
        let lived = self.live(self.batch, latencies.as_ref(), own_work)?;
        let used = Usage::own().plus(Usage::ended()).since(before).since(lived.reading);
        let per_run = |ns: u64| ns / u64::from(self.batch);
        Ok(Answer {
            wall_ns: Some(per_run(nanos(lived.wall)).max(1)),
            checksum: Some(lived.checksums.text()),
            user_ns: Some(per_run(used.user_ns)),
            sys_ns: Some(per_run(used.sys_ns)),
            rss_peak_kib: Some(probe::peak_kib(me) + lived.helpers_peak_kib),
            vcsw: Some(used.vcsw),
            ivcsw: Some(used.ivcsw),
            latency: latencies.as_ref().and_then(|latencies| latencies.encode()),
            startup: Startup::Included,
            ..Answer::default()
        })
    }

    /// The work of each of `batch` lives where it must be its own, because it keeps connections.
    fn own_work(&self, batch: u32) -> Result<Vec<Workload>, String> {
        let own = if Workload::keeps_connections(&self.spec.kind) { batch } else { 0 };
        (0..own).map(|_| Workload::prepare(self.spec).map_err(|error| error.to_string())).collect()
    }

    /// Lives `batch` times, one after another.
    fn live(
        &self,
        batch: u32,
        latencies: Option<&Arc<Latencies>>,
        own_work: Vec<Workload>,
    ) -> Result<Lived, String> {
        let job = |workload: &Workload| {
            Job::new(self.spec.clone(), workload.clone()).timed(latencies.map(Arc::clone))
        };
        let shared = job(self.workload);
        let mut own: Vec<Job> = own_work.into_iter().map(|workload| job(&workload)).collect();
        let mut lived = Lived::default();
        for run in 0..batch {
            let mine = own.pop();
            let job = mine.as_ref().unwrap_or(&shared);
            job.begin_run(run);
            let begun = Instant::now();
            let mut strategy = strategy::start_with(self.name, self.options)?;
            lived.checksums.add(strategy.run(job)?);
            lived.wall += begun.elapsed();
            if run + 1 == batch {
                lived.read(&mut *strategy);
            }
            let ending = Instant::now();
            drop(mine);
            drop(strategy);
            lived.wall += ending.elapsed();
            // What worker processes have leaked went with them.
            if self.workload.leaks() {
                crossover_workloads::give_back();
            }
        }
        Ok(lived)
    }
}

impl Lived {
    /// Reads what the helpers of `strategy` have taken.
    fn read(&mut self, strategy: &mut dyn Strategy) {
        let before = Usage::own();
        let marks = strategy.helpers().into_iter().map(probe::peak_kib).sum();
        self.helpers_peak_kib = strategy.take_helpers_peak().unwrap_or(0).max(marks);
        self.reading = Usage::own().since(before);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Value;
    use crate::strategy::{BUILT_IN, PEERS};

    const OPTIONS: Options = Options { workers: 2, jobs_per_worker: None };

    fn spec() -> Spec {
        Spec {
            kind: "cpu".to_owned(),
            params: BTreeMap::from([
                ("kernel".to_owned(), Value::Text("sha256".to_owned())),
                ("input_bytes".to_owned(), Value::Int(1024)),
            ]),
            tasks: 3,
            seed: 7,
            server: None,
            spin_per_us: None,
        }
    }

    // Worker processes run a program's own main function, which a test's is not: `tests/run` has the strategy processes.
    #[test]
    fn a_life_gives_what_a_strategy_that_is_up_gives() {
        let spec = spec();
        let workload = Workload::prepare(&spec).unwrap();
        let oracle = {
            let job = Job::new(spec.clone(), workload.clone());
            crossover_workloads::format_checksum(strategy::start("sequential", 1).unwrap().run(&job).unwrap())
        };
        let names = BUILT_IN.iter().chain(PEERS).map(|info| info.name).filter(|name| *name != "processes");
        for name in names {
            let lives = Lives { name, options: OPTIONS, spec: &spec, workload: &workload, batch: 3 };
            for answer in [lives.warm_up().unwrap(), lives.measure().unwrap()] {
                assert_eq!(answer.checksum.as_deref(), Some(&*oracle), "{name}");
                assert_eq!((answer.startup, answer.steady), (Startup::Included, None), "{name}");
                assert!(answer.wall_ns > Some(0), "{name}");
            }
            let sample = lives.measure().unwrap();
            assert!(sample.rss_peak_kib > Some(100) && sample.latency.is_none(), "{name}: {sample:?}");
        }
    }

    #[test]
    fn a_strategy_that_does_not_start_is_the_answer() {
        let spec = spec();
        let workload = Workload::prepare(&spec).unwrap();
        let lives = Lives { name: "no-such", options: OPTIONS, spec: &spec, workload: &workload, batch: 1 };
        assert!(lives.measure().unwrap_err().contains("no-such"));
    }
}
