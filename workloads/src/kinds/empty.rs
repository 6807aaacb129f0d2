//! Kind `empty`: a task does nothing. What remains is the price of handing it over and taking its result back.

use super::Kind;
use crate::catalog::{self, Class, KindInfo};
use crate::checksum::word;
use crate::params::{Params, Setup};
use crate::{AsyncRuntime, WorkloadError};

/// Nothing to do; the digests follow from the seed.
#[derive(Debug)]
pub(crate) struct Empty {
    seed: u64,
}

impl Kind for Empty {
    const INFO: KindInfo = KindInfo {
        about: "a task does nothing: what handing it over and taking its result back costs",
        params: &[catalog::tasks(100_000)],
        ..KindInfo::new("empty", Class::Shape)
    };

    fn prepare(setup: &Setup<'_>, _relative: Option<&Self>) -> Result<Self, WorkloadError> {
        Ok(Self { seed: setup.seed() })
    }

    fn run_blocking(&self, task: u32) -> Result<u64, WorkloadError> {
        Ok(word(self.seed, u64::from(task)))
    }

    async fn run_async<R: AsyncRuntime>(&self, task: u32) -> Result<u64, WorkloadError> {
        self.run_blocking(task)
    }

    fn estimate_us(_params: &Params) -> f64 {
        0.02
    }
}
