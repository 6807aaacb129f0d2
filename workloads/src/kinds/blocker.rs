//! Kind `blocker`: most tasks wait a little on a timer; one in every so many calls something that blocks its thread.
//!
//! That is the mistake of async code which everyone makes once: `std::thread::sleep`, a blocking client, a long query. In
//! blocking style it is none, because every wait blocks. In async style the thread that polls the task stands still, and with it
//! whatever else it would have run. Offloaded, the call is made on the blocking pool and only its result is awaited.

use std::sync::Arc;
use std::time::Duration;

use super::{Kind, offload};
use crate::catalog::{self, Class, DefaultValue, KindInfo, ParamInfo, ParamKind};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, Crossover, WorkloadError};

/// Who blocks, and how long everyone waits.
#[derive(Debug)]
pub(crate) struct Blocker {
    seed: u64,
    /// The last of each so many tasks blocks.
    every: u32,
    block: Duration,
    wait: Duration,
}

impl Kind for Blocker {
    const INFO: KindInfo = KindInfo {
        about: "a task waits on a timer, but one in every so many blocks its thread instead",
        params: &[
            catalog::tasks(100_000),
            ParamInfo {
                name: "every",
                about: "of so many tasks, the last blocks its thread",
                value: ParamKind::Int { min: 1, max: 1_000_000 },
                default: Some(DefaultValue::Int(16)),
            },
            ParamInfo {
                name: "block_ms",
                about: "how long it does; with 0 it does nothing, and does not wait either",
                value: ParamKind::Float { min: 0.0, max: 60_000.0 },
                default: Some(DefaultValue::Float(20.0)),
            },
            ParamInfo {
                name: "wait_ms",
                about: "how long the others wait; 0 makes no timer call at all",
                value: ParamKind::Float { min: 0.0, max: 60_000.0 },
                default: Some(DefaultValue::Float(1.0)),
            },
        ],
        ..KindInfo::new("blocker", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        let params = &setup.params;
        let ms = |name: &str| Ok(Duration::from_nanos((params.number(name)? * 1e6).round() as u64));
        Ok(Self {
            seed: setup.seed(),
            // The catalog limits it to a million.
            every: params.count("every")? as u32,
            block: ms("block_ms")?,
            wait: ms("wait_ms")?,
        })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        stand_still(if self.blocks(task) { self.block } else { self.wait });
        Ok(self.digest(task))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        if self.blocks(task) {
            stand_still(self.block);
        } else {
            self.wait_async::<R>().await;
        }
        Ok(self.digest(task))
    }

    /// The call that blocks goes to the blocking pool, the timers are awaited.
    async fn run_offloaded<G>(
        self: &Arc<Self>,
        task: u32,
        around: impl FnOnce() -> G + Send + 'static,
    ) -> Result<u64, WorkloadError> {
        if !self.blocks(task) {
            self.wait_async::<Crossover>().await;
            return Ok(self.digest(task));
        }
        let this = Arc::clone(self);
        offload(task, around, move || this.run_blocking(task)).await
    }

    fn estimate_us(params: &Params) -> f64 {
        let every = params.guess("every").max(1.0);
        // A sleeping thread wakes about 60 µs late on Linux (50 µs of them timer slack).
        let late = |ms: f64| if ms > 0.0 { 1000.0 * ms + 60.0 } else { 0.0 };
        (late(params.guess("block_ms")) + (every - 1.0) * late(params.guess("wait_ms"))) / every
    }
}

impl Blocker {
    fn blocks(&self, task: u32) -> bool {
        task % self.every == self.every - 1
    }

    fn digest(&self, task: u32) -> u64 {
        word(self.seed, u64::from(task))
    }

    /// A wait of zero is no call.
    async fn wait_async<R: AsyncRuntime>(&self) {
        if !self.wait.is_zero() {
            R::sleep(self.wait).await;
        }
    }
}

/// Blocks the thread. Nothing of it is a call if there is nothing to wait for.
fn stand_still(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_every_so_many_blocks() {
        let blockers = |every| {
            let kind = Blocker { seed: 0, every, block: Duration::ZERO, wait: Duration::ZERO };
            (0..12).filter(|task| kind.blocks(*task)).collect::<Vec<u32>>()
        };
        assert_eq!(blockers(4), [3, 7, 11]);
        assert_eq!(blockers(1).len(), 12);
        assert_eq!(blockers(13), [0; 0]);
    }
}
