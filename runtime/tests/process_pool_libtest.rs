//! The pool in a program of the standard test harness: `enable_in_tests!` makes its copies workers.

use crossover_runtime::process_pool::{CallError, Offload, ProcessPool, job};
use futures::executor::block_on;
use std::process;

crossover_runtime::enable_in_tests!();

#[job]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[job]
fn worker_pid() -> u32 {
    process::id()
}

#[job]
fn aborts() {
    process::abort();
}

#[job]
fn fails(message: String) {
    panic!("{message}");
}

fn pool() -> ProcessPool {
    ProcessPool::builder().workers(2).build().expect("a pool")
}

#[test]
fn a_job_runs_in_another_process() {
    let pool = pool();
    assert_eq!(block_on(pool.call(add, (40, 2))).unwrap(), 42);
    assert_ne!(block_on(pool.call(worker_pid, ())).unwrap(), process::id());
}

#[test]
fn a_dead_worker_is_replaced_by_another_copy_of_the_test_program() {
    let pool = pool();
    match block_on(pool.call(aborts, ())) {
        Err(CallError::WorkerDied { signal, .. }) => {
            assert_eq!(signal, Some(nix::sys::signal::Signal::SIGABRT as i32))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(block_on(pool.call(add, (1, 2))).unwrap(), 3);
}

#[test]
fn the_same_job_runs_inline_in_a_thread_and_in_a_process() {
    let runtime = crossover_runtime::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut pids = Vec::new();
        for offload in [Offload::Inline, Offload::Blocking, Offload::Processes(pool())] {
            assert_eq!(offload.call(add, (40, 2)).await.unwrap(), 42);
            pids.push(offload.call(worker_pid, ()).await.unwrap());
            match offload.call(fails, ("no ink".into(),)).await.unwrap_err() {
                CallError::Panic { job, message, .. } => {
                    assert_eq!((job, &*message), ("process_pool_libtest::fails", "no ink"));
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(pids[..2], [process::id(); 2]);
        assert_ne!(pids[2], process::id());
    });
}

mod deeper {
    use super::*;

    /// Jobs of any module of the test program are known to its workers.
    #[job]
    fn negate(x: i32) -> i32 {
        -x
    }

    #[test]
    fn a_job_of_an_inner_module_runs() {
        assert_eq!(block_on(pool().call(negate, (7,))).unwrap(), -7);
    }
}
