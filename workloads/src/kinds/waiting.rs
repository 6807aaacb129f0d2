//! Kind `idle`: all tasks of a run wait for the same moment, and do nothing else.
//!
//! It shows what a unit that only waits takes of memory: a strategy that has all of them at once holds a task, a thread or a process
//! for each. The moment lies `wait_ms` after the first task of the run has begun; who begins later than that does not wait. So a
//! strategy that runs one after another waits once, like everybody else, and holds one of them.
//!
//! A run begins `tasks` tasks, and the next run begins when all of them have ended: whoever begins after so many is the first
//! of the next run. Worker processes cannot count that: they are sent the moment.
//!
//! Lock order: one lock, held for a few instructions; nothing is called under it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossover_runtime::process_pool::Blob;

use super::{Kind, Shipped};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::worker::monotonic_ns;
use crate::{AsyncRuntime, Crossover, WorkloadError};

/// The runs of one workload.
#[derive(Debug)]
pub(crate) struct Waiting {
    seed: u64,
    tasks: u32,
    wait_ns: u64,
    run: Mutex<Run>,
}

/// The run that is under way.
#[derive(Debug, Default)]
struct Run {
    /// Tasks that have not begun; with none, the next one begins a run.
    left: u32,
    /// What its tasks wait for, on the clock that all processes share.
    until_ns: u64,
}

impl Kind for Waiting {
    const INFO: KindInfo = KindInfo {
        about: "a task waits until some time after the first task of the run has begun: all of those that are there wait at once",
        params: &[
            catalog::tasks(1_000_000),
            ParamInfo {
                name: "wait_ms",
                about: "from the beginning of the first task to the moment that all wait for; who comes later does not wait",
                value: ParamKind::Float { min: 0.0, max: 60_000.0 },
                default: Some(DefaultValue::Float(200.0)),
            },
        ],
        ..KindInfo::new("idle", Class::Shape)
    };

    const WAITS_TOGETHER: bool = true;

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let wait_ns = (setup.params.number("wait_ms")? * 1e6).round() as u64;
        Ok(Self { seed: setup.seed(), tasks: setup.tasks(), wait_ns, run: Mutex::default() })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        sleep_until(self.begin(monotonic_ns()));
        Ok(word(self.seed, task.into()))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        if let Some(left) = left_until(self.begin(monotonic_ns())) {
            R::sleep(left).await;
        }
        Ok(word(self.seed, task.into()))
    }

    /// The timer is awaited; there is nothing to offload.
    async fn run_offloaded<G>(
        self: &Arc<Self>,
        task: u32,
        _around: impl FnOnce() -> G + Send + 'static,
    ) -> Result<u64, WorkloadError> {
        self.run_async::<Crossover>(task).await
    }

    fn shipment(&self, _task: u32) -> Option<Blob> {
        Some(Blob::from(&self.begin(monotonic_ns()).to_le_bytes()[..]))
    }

    fn run_shipped(&self, task: u32, message: &Blob) -> Result<Shipped, WorkloadError> {
        // Whoever sends none does not want it to wait.
        sleep_until(message[..].try_into().map_or(0, u64::from_le_bytes));
        Ok(Shipped { part: word(self.seed, task.into()), answer: Blob::default() })
    }

    fn estimate_us(params: &Params) -> f64 {
        // All of them wait together.
        params.guess("wait_ms") * 1000.0 / params.guess("tasks").max(1.0) + 1.0
    }
}

impl Waiting {
    /// A task begins at `now_ns`: what it waits for.
    fn begin(&self, now_ns: u64) -> u64 {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.left == 0 {
            *run = Run { left: self.tasks, until_ns: now_ns.saturating_add(self.wait_ns) };
        }
        run.left -= 1;
        run.until_ns
    }
}

/// How long it is until `at_ns`; `None` when that is over.
fn left_until(at_ns: u64) -> Option<Duration> {
    let left = Duration::from_nanos(at_ns.saturating_sub(monotonic_ns()));
    (!left.is_zero()).then_some(left)
}

fn sleep_until(at_ns: u64) {
    while let Some(left) = left_until(at_ns) {
        std::thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tasks_of_a_run_wait_for_one_moment_and_the_next_run_for_another() {
        let waiting = Waiting { seed: 1, tasks: 3, wait_ns: 100, run: Mutex::default() };
        let moments: Vec<u64> = [5, 7, 5000, 6000, 6001, 6500, 7000].map(|now| waiting.begin(now)).to_vec();
        assert_eq!(moments, [105, 105, 105, 6100, 6100, 6100, 7100]);
    }

    #[test]
    fn one_after_another_waits_once() {
        let waiting = Waiting { seed: 1, tasks: 50, wait_ns: 20_000_000, run: Mutex::default() };
        let start = std::time::Instant::now();
        let digests: Vec<u64> = (0..50).map(|task| waiting.run_blocking(task).unwrap()).collect();
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(20) && took < Duration::from_millis(500), "{took:?}");
        assert_eq!(digests[49], word(1, 49));
    }

    #[test]
    fn a_worker_process_waits_for_the_moment_that_it_is_sent() {
        let waiting = Waiting { seed: 1, tasks: 2, wait_ns: 20_000_000, run: Mutex::default() };
        let start = monotonic_ns();
        let message = waiting.shipment(0).unwrap();
        let elsewhere = Waiting { seed: 1, tasks: 2, wait_ns: 0, run: Mutex::default() };
        assert_eq!(elsewhere.run_shipped(0, &message).unwrap().part, word(1, 0));
        assert!(monotonic_ns() - start >= 20_000_000);
        assert!(elsewhere.run_shipped(0, &Blob::default()).is_ok(), "an empty message is no moment");
    }
}
