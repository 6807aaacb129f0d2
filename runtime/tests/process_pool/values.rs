//! What crosses between the processes: types, sizes, numbers of calls.

use crate::{
    jobs::{self, Stubborn},
    runner::count,
    support::{err, ok, pool, warm_pool},
};
use crossover_runtime::{
    process_pool::{CallError, CodecStage, ProcessPool, job},
    runtime,
};
use futures::{executor::block_on, future::join_all};
use serde_bytes::ByteBuf;
use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

pub(crate) fn calls_of_every_arity_are_typed_by_the_function() {
    let pool = pool(1);
    assert_eq!(ok(pool.call(jobs::none, ())), 7);
    assert_eq!(ok(pool.call(jobs::one, ("four".into(),))), 4);
    assert_eq!(ok(pool.call(jobs::add, (40, 2))), 42);
    let six = ok(pool.call(jobs::six, (1, -2, 3, Some(-4), (true, 'é'), vec![0.5])));
    assert_eq!(six, jobs::six(1, -2, 3, Some(-4), (true, 'é'), vec![0.5]), "and it is callable as before");
    ok(pool.call(jobs::unit, ()));
}

pub(crate) fn jobs_of_one_name_in_two_functions_are_kept_apart() {
    fn first(pool: &ProcessPool) -> u32 {
        #[job]
        fn twin() -> u32 {
            1
        }
        ok(pool.call(twin, ()))
    }
    fn second(pool: &ProcessPool) -> u32 {
        #[job]
        fn twin() -> u32 {
            2
        }
        ok(pool.call(twin, ()))
    }
    let pool = pool(1);
    assert_eq!((first(&pool), second(&pool)), (1, 2));
}

pub(crate) fn a_function_without_the_attribute_is_refused() {
    fn stranger(x: u32) -> u32 {
        x
    }
    let pool = pool(1);
    let error = err(pool.call(stranger, (1,)));
    assert!(matches!(error, CallError::UnknownJob { .. }), "{error}");
    assert!(error.to_string().contains("stranger"), "{error}");
    assert_eq!(pool.metrics().spawned, 0, "nothing was started for it");
}

pub(crate) fn a_job_returns_its_own_errors_as_results() {
    let pool = pool(1);
    assert_eq!(ok(pool.call(jobs::parse, ("12".into(),))), Ok(12));
    assert!(ok(pool.call(jobs::parse, ("twelve".into(),))).is_err());
}

pub(crate) fn any_executor_will_do() {
    /// As little of an executor as there can be.
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn park_on<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
    let pool = pool(2);
    assert_eq!(park_on(pool.call(jobs::add, (1, 2))).unwrap(), 3);
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("tokio");
    assert_eq!(tokio.block_on(tokio.spawn(pool.call(jobs::add, (3, 4)))).unwrap().unwrap(), 7);
    for builder in [runtime::Builder::new_multi_thread(), runtime::Builder::new_current_thread()] {
        let mut builder = builder;
        let ours = builder.build().expect("a runtime");
        let tasks: Vec<_> = (0..50).map(|n| ours.spawn(pool.call(jobs::add, (n, 1)))).collect();
        let sum: u64 = ours.block_on(join_all(tasks)).into_iter().map(|sum| sum.unwrap().unwrap()).sum();
        assert_eq!(sum, (1..=50).sum());
    }
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let pool = pool.clone();
            thread::spawn(move || {
                (0..50).map(|i| park_on(pool.call(jobs::add, (n, i))).unwrap()).sum::<u64>()
            })
        })
        .collect();
    let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 4 * (0..50).sum::<u64>() + 50 * 6);
}

pub(crate) fn a_worker_has_no_descriptors_but_its_own() {
    // What this process inherited without close-on-exec is not the pool's to close.
    let inherited: Vec<String> = jobs::descriptors().into_iter().map(|(_, target)| target).collect();
    let pool = warm_pool(2);
    let fds = ok(pool.call(jobs::descriptors, ()));
    let own: Vec<_> = fds.into_iter().filter(|(_, target)| !inherited.contains(target)).collect();
    for (number, target) in &own {
        match number {
            2 => assert!(target.starts_with("pipe:"), "{own:?}"),
            10.. => {}
            // Stdin is /dev/null, which this process may have open as well; the rest is the listing itself.
            _ => assert!(target == "/dev/null" || target.ends_with("/fd"), "{own:?}"),
        }
    }
    // The control socket, the bell, the life line; memory is mapped and needs none.
    let high = own.iter().filter(|(number, _)| *number >= 10);
    let mut kinds: Vec<&str> = high.map(|(_, target)| target.split(':').next().unwrap_or_default()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["anon_inode", "pipe", "socket"], "{own:?}");
}

/// Broken by: a wake per submit into anything that fills up, or a wake that is lost among many.
pub(crate) fn p05_many_submits_before_the_first_poll_complete() {
    let all = count(20_000, 1_000_000);
    let pool = ProcessPool::builder().workers(2).queue_limit(all as usize / 2).build().unwrap();
    let calls: Vec<_> = (0..all).map(|n| pool.call(jobs::add, (n, 1))).collect();
    let sum: u64 = block_on(join_all(calls)).into_iter().map(Result::unwrap).sum();
    assert_eq!(sum, all * (all + 1) / 2);
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.completed, metrics.queued, metrics.running), (all, all, 0, 0));
}

/// Broken by: a parent that writes without reading, a worker that reads without writing, or bytes of two calls mixed.
pub(crate) fn p06_large_payloads_cross_both_ways_at_once() {
    const BYTES: usize = 16 << 20;
    let all = count(8, 64) as u8;
    let pool = pool(2);
    let calls: Vec<_> = (0..all).map(|n| pool.call(jobs::echo, (ByteBuf::from(vec![n; BYTES]),))).collect();
    for (n, bytes) in (0..all).zip(block_on(join_all(calls))) {
        let bytes = bytes.unwrap();
        assert!(bytes.len() == BYTES && bytes.iter().all(|byte| *byte == n));
    }
}

/// Broken by: a worker that dies of a value, or a call that hangs for want of its result.
pub(crate) fn p07_values_that_do_not_encode_or_decode_fail_their_call_only() {
    let stage = |error: CallError| match error {
        CallError::Codec { stage, job, reason } => {
            assert!(job.contains("stubborn") && !reason.is_empty());
            stage
        }
        other => panic!("not a codec error: {other}"),
    };
    let pool = warm_pool(1);
    let worker = ok(pool.call(jobs::worker_pid, ()));
    assert_eq!(stage(err(pool.call(jobs::takes_stubborn, (Stubborn::Mute,)))), CodecStage::EncodeArguments);
    assert_eq!(
        stage(err(pool.call(jobs::takes_stubborn, (Stubborn::Garbled,)))),
        CodecStage::DecodeArguments
    );
    assert_eq!(stage(err(pool.call(jobs::gives_stubborn, (false,)))), CodecStage::EncodeResult);
    assert_eq!(stage(err(pool.call(jobs::gives_stubborn, (true,)))), CodecStage::DecodeResult);
    assert_eq!(ok(pool.call(jobs::takes_stubborn, (Stubborn::Tame,))), worker, "the worker lives");
}

/// Broken by: a limit that is checked on one side only, or off by one.
pub(crate) fn p07_payloads_beyond_the_frame_limit_fail_their_call_only() {
    const LIMIT: usize = 4096;
    let pool = ProcessPool::builder().workers(1).max_frame_bytes(LIMIT).build().unwrap();
    let worker = ok(pool.call(jobs::worker_pid, ()));
    // Two bytes are the buffer's own length.
    assert_eq!(ok(pool.call(jobs::echo, (ByteBuf::from(vec![1; LIMIT - 2]),))).len(), LIMIT - 2);
    for (error, expected) in [
        (err(pool.call(jobs::echo, (ByteBuf::from(vec![1; LIMIT - 1]),))), CodecStage::EncodeArguments),
        (err(pool.call(jobs::zeros, (LIMIT - 1,))), CodecStage::EncodeResult),
    ] {
        assert!(error.to_string().contains("max_frame_bytes"), "{error}");
        assert!(matches!(error, CallError::Codec { stage, .. } if stage == expected), "{error}");
    }
    assert_eq!(ok(pool.call(jobs::worker_pid, ())), worker, "the worker lives");
}
