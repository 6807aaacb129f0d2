//! Jobs from a registry, in a program of the standard test harness, beside those with `#[job]`.

use crossover_runtime::process_pool::{CallError, ProcessPool, Registry, Stdio, job};
use futures::executor::{block_on, block_on_stream};
use std::{process, sync::OnceLock};

crossover_runtime::enable_in_tests!(registry());

fn area(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

fn fails(text: String) {
    panic!("{text}");
}

fn set_factor(factor: u64) {
    FACTOR.get_or_init(|| factor);
}

fn scale(x: u64) -> u64 {
    x * FACTOR.get().expect("the initializer ran first")
}

static FACTOR: OnceLock<u64> = OnceLock::new();

#[job]
fn worker_pid() -> u32 {
    process::id()
}

/// One closure has one type: whoever needs it gets it here.
fn double() -> impl Fn(u64) -> u64 + Copy + Send + Sync + 'static {
    |x| 2 * x
}

fn registry() -> Registry {
    Registry::new()
        .job("area", area)
        .job("double", double())
        .job("fails", fails)
        .job("set factor", set_factor)
        .job("scale", scale)
}

#[test]
fn functions_and_closures_run_by_their_names() {
    let pool = ProcessPool::builder().workers(1).registry(registry()).build().unwrap();
    assert_eq!(block_on(pool.call(area, (3, 4))).unwrap(), 12);
    assert_eq!(block_on(pool.call(double(), (21,))).unwrap(), 42);
    assert!(block_on_stream(pool.map(double(), 0..1000)).map(Result::unwrap).eq((0..1000).map(|x| 2 * x)));
    match block_on(pool.call(fails, ("no ink".into(),))).unwrap_err() {
        CallError::Panic { job, message, .. } => assert_eq!((job, &*message), ("fails", "no ink")),
        other => panic!("{other}"),
    }
    assert_ne!(
        block_on(pool.call(worker_pid, ())).unwrap(),
        process::id(),
        "those with #[job] are known too"
    );
}

#[test]
fn a_pool_without_the_registry_does_not_know_its_jobs() {
    let pool = ProcessPool::builder().workers(1).build().unwrap();
    assert!(block_on(pool.call(area, (3, 4))).unwrap_err().is_unknown_job());
    assert_ne!(
        block_on(pool.call(worker_pid, ())).unwrap(),
        process::id(),
        "the same workers serve both kinds"
    );
}

#[test]
fn a_pool_with_another_registry_is_told_that_its_workers_lack_it() {
    let other = Registry::new().job("other", |x: u8| x);
    let pool = ProcessPool::builder().workers(1).registry(other).build().unwrap();
    let error = block_on(pool.call(worker_pid, ())).unwrap_err();
    assert!(error.is_spawn(), "{error}");
    assert!(error.to_string().contains("worker_entry_with"), "{error}");
}

#[test]
fn every_worker_runs_the_initializer_first() {
    let pool =
        ProcessPool::builder().workers(2).registry(registry()).initializer(set_factor, (7,)).build().unwrap();
    block_on(pool.warm_up()).unwrap();
    assert!(block_on_stream(pool.map(scale, 0..1000)).map(Result::unwrap).eq((0..1000).map(|x| 7 * x)));
}

#[test]
fn an_initializer_that_panics_is_the_reason_why_nothing_starts() {
    let builder = ProcessPool::builder().workers(1).stderr(Stdio::Null).registry(registry());
    let pool = builder.initializer(fails, ("no model".into(),)).build().unwrap();
    let error = block_on(pool.call(worker_pid, ())).unwrap_err();
    assert!(error.is_spawn(), "{error}");
    assert!(error.to_string().contains("no model"), "{error}");
}
