//! The blocking pool: tokio's published bench (`benches/spawn_blocking.rs`) with its sizes.
//!
//! N tasks submit batches of 16 empty jobs and await each batch before the next. An operation is a job. Smol's pool is the
//! crate `blocking`.

use std::hint::black_box;

use crate::contestants::{Ours, Runtime, Smol, Spawn, Tokio, Who};
use crate::harness::{Case, Entry, Setup, Trial};

const BATCHES: usize = 100;
const BATCH: usize = 16;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("spawn_blocking_1", crate::everyone!(spawn_blocking, 1)).also_with_four(),
        Case::new("spawn_blocking_2", crate::everyone!(spawn_blocking, 2)).also_with_four(),
    ]
}

trait Blocking: Runtime {
    /// Runs `jobs` jobs at once and returns how many have run.
    fn batch(jobs: usize) -> impl Future<Output = usize> + Send;
}

impl Blocking for Ours {
    async fn batch(jobs: usize) -> usize {
        let mut set = crossover_runtime::task::JoinSet::new();
        for _ in 0..jobs {
            set.spawn_blocking(|| black_box(1));
        }
        set.join_all().await.into_iter().sum()
    }
}

impl Blocking for Tokio {
    async fn batch(jobs: usize) -> usize {
        let mut set = tokio::task::JoinSet::new();
        for _ in 0..jobs {
            set.spawn_blocking(|| black_box(1));
        }
        set.join_all().await.into_iter().sum()
    }
}

impl Blocking for Smol {
    async fn batch(jobs: usize) -> usize {
        let handles: Vec<_> = (0..jobs).map(|_| blocking::unblock(|| black_box(1))).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await;
        }
        sum
    }
}

fn spawn_blocking<R: Blocking>(setup: &Setup, tasks: usize) -> Trial {
    let (rt, batches) = (R::start(setup.workers), setup.size(BATCHES));
    Trial::wall(tasks * batches * BATCH, move || {
        let inside = rt.inside();
        let jobs = rt.block_on(async {
            let submit = || {
                inside.spawn(async move {
                    let mut jobs = 0;
                    for _ in 0..batches {
                        jobs += R::batch(BATCH).await;
                    }
                    jobs
                })
            };
            let submitters: Vec<_> = (0..tasks).map(|_| submit()).collect();
            let mut jobs = 0;
            for submitter in submitters {
                jobs += submitter.await;
            }
            jobs
        });
        assert_eq!(jobs, tasks * batches * BATCH);
    })
}
