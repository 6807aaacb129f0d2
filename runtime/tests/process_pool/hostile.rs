//! Jobs that turn against their own worker's insides: shared memory, descriptors, copies of the process. Their own
//! outcome is anybody's guess; what must hold is that the parent does not crash, hang or mix up the other calls.

use crate::{
    jobs,
    runner::{SOON, count},
    sabotage::{self, Scribble},
    support::{Footprint, Gate, Watched, err, kill, ok, open_fds, pool, warm_pool},
};
use crossover_runtime::{
    process_pool::{Blob, CallError, ProcessPool, Stdio},
    runtime,
};
use futures::{executor::block_on, future::join_all};
use nix::{
    libc::_exit,
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};
use rustix::{io::Errno, process::Signal};
use std::{
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

/// Every call of the pool gives what it should, many at a time.
fn expect_service(pool: &ProcessPool) {
    let calls: Vec<_> = (0..100).map(|n| pool.call(jobs::add, (n, 1))).collect();
    for (n, result) in (0..100).zip(block_on(join_all(calls))) {
        assert_eq!(result.unwrap_or_else(|error| panic!("call {n}: {error}")), n + 1);
    }
    let bytes = Blob::from(vec![42; 300 << 10]);
    assert_eq!(ok(pool.call(sabotage::echo_blob, (bytes.clone(),))), bytes);
}

/// Broken by: shared memory without seals: the parent would die of SIGBUS.
pub(crate) fn p26_shared_memory_cannot_be_truncated() {
    let pool = warm_pool(2);
    // Segments both ways first, so that there is more to reach than the lane.
    expect_service(&pool);
    let attempts = ok(pool.call(sabotage::truncates_shared_memory, (vec![7; 100 << 10],)));
    assert!(!attempts.is_empty(), "there is shared memory");
    for (name, error) in attempts {
        assert_eq!(error, Some(Errno::PERM.raw_os_error()), "{name}");
    }
    expect_service(&pool);
    assert_eq!(pool.metrics().deaths, 0);
}

/// Broken by: a length, position, claim or time that is believed because it came from our own worker.
pub(crate) fn p26_garbage_in_the_lane_hurts_nobody_else() {
    let before = Footprint::take();
    // A worker that takes no job within the start-up timeout is as good as one that never got ready.
    let pool = ProcessPool::builder().workers(2).startup_timeout(Duration::from_secs(1)).build().unwrap();
    let mut ended = [0; 3];
    for round in 0..count(60, 3000) {
        let scribble = match round % 4 {
            0 => Scribble::Fill(0x00),
            1 => Scribble::Fill(0xff),
            2 => Scribble::Words(round),
            _ => Scribble::Page(round),
        };
        // Neighbours in the same lane, perhaps, and in the other.
        let calls: Vec<_> = (0..6).map(|n| pool.call(jobs::add, (n, 1)).timeout(SOON)).collect();
        let stays = round % 3 == 0;
        let own = pool.call(sabotage::scribbles, (scribble, stays)).timeout(Duration::from_millis(200));
        match block_on(own) {
            Ok(written) => {
                assert!(written > 0 && !stays, "there is shared memory that it may write");
                ended[0] += 1;
            }
            Err(CallError::WorkerDied { .. }) => ended[1] += 1,
            Err(error) => {
                assert!(error.is_timeout() || error.is_panic() || error.is_codec(), "{error}");
                ended[2] += 1;
            }
        }
        for (n, result) in (0..6).zip(block_on(join_all(calls))) {
            match result {
                Ok(sum) => assert_eq!(sum, n + 1),
                // One that was in that worker, too.
                Err(error) => assert!(error.is_worker_died(), "{scribble:?}: {error}"),
            }
        }
        // The worker may go on with a lane full of nonsense until it is next used: with a limit, so that it ends.
        let after: Vec<_> =
            (0..4).map(|n| pool.call(jobs::add, (n, 1)).timeout(Duration::from_secs(2))).collect();
        for (n, result) in (0..4).zip(block_on(join_all(after))) {
            match result {
                Ok(sum) => assert_eq!(sum, n + 1),
                Err(error) => assert!(error.is_worker_died() || error.is_timeout(), "{scribble:?}: {error}"),
            }
        }
    }
    println!("  p26 garbage: {} answered, {} died, {} ended otherwise", ended[0], ended[1], ended[2]);
    // Workers that were left with a broken lane are replaced as they are found out.
    expect_service(&pool);
    drop(pool);
    before.expect_again();
}

/// Broken by: a message with more descriptors than the socket takes at a time, or than the process may have.
pub(crate) fn p26_a_call_may_carry_thousands_of_blobs() {
    let before = Footprint::take();
    let pool = ProcessPool::builder().workers(2).max_frame_bytes(1 << 30).build().unwrap();
    for count in [1, 17, 300, 3000] {
        const BYTES: usize = 40 << 10;
        let blobs: Vec<Blob> = (0..count).map(|n| Blob::from(vec![n as u8; BYTES])).collect();
        let sum: u64 = (0..count as u64).map(|n| (n & 0xff) * BYTES as u64).sum();
        assert_eq!(ok(pool.call(sabotage::sums_blobs, (blobs.clone(),))), sum, "{count} blobs");
        let made = ok(pool.call(sabotage::makes_blobs, (count, BYTES)));
        assert!(made == blobs, "{count} blobs");
    }
    drop(pool);
    before.expect_again();
}

/// Broken by: taking a socket's first error for its end. The worker dies with a descriptor unread, and with one of its
/// own on the way, which the answer that it gave before needs.
pub(crate) fn p26_the_segments_of_an_answer_survive_its_worker() {
    // While the pool's thread is in this callback, nobody reads what workers say.
    let ((entered, enter), (leave, left)) = (mpsc::channel(), mpsc::channel::<()>());
    let left = Mutex::new(left);
    let stderr = Stdio::lines(move |_, _| {
        entered.send(()).expect("the test waits");
        left.lock().expect("no panic").recv().expect("the test goes on");
    });
    let pool = ProcessPool::builder().workers(1).stderr(stderr).build().unwrap();
    for round in 1..=count(10, 200) as usize {
        // The pool learns that these are short, so it sends all three below at once.
        for _ in 0..30 {
            ok(pool.call(sabotage::trades, (Blob::from(vec![0]), 1, None)));
        }
        let (prompter, gate) = (Gate::new(), Gate::new());
        ok(pool.call(sabotage::prints_later, (prompter.name(),)));
        prompter.guest().release();
        enter.recv().expect("the line is handed out");

        let (large, fresh) = ((64 << 10) + round, Blob::from(vec![0; 1 << 20]));
        let answered = pool.call(sabotage::trades, (Blob::from(vec![0; 3]), large, None));
        let running = pool.call(sabotage::trades, (Blob::from(vec![0]), 1, Some(gate.name())));
        let behind = pool.call(sabotage::trades, (fresh, large, None));
        assert_eq!(pool.metrics().running, 3, "all of them are in the lane");
        let guest = gate.guest();
        let worker = Watched::new(guest.pid);
        kill(guest.pid, Signal::KILL);
        assert!(worker.ends_within(SOON));
        leave.send(()).expect("the callback waits");

        assert_eq!(ok(answered), Blob::from(vec![3; large]));
        assert!(err(running).is_worker_died());
        assert_eq!(ok(behind), Blob::from(vec![0; large]));
    }
}

/// Broken by: waiting for a bell or a hang-up that cannot come any more.
pub(crate) fn p26_a_job_may_close_every_descriptor() {
    let pool = warm_pool(2);
    for _ in 0..10 {
        match block_on(pool.call(sabotage::closes_everything, ())) {
            Ok(()) | Err(CallError::WorkerDied { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        for n in 0..20 {
            match block_on(pool.call(jobs::add, (n, 1))) {
                Ok(sum) => assert_eq!(sum, n + 1),
                Err(error) => assert!(error.is_worker_died(), "{error}"),
            }
        }
    }
    block_on(pool.close(SOON));
}

/// Broken by: two processes that serve one lane.
pub(crate) fn p26_a_job_that_forks_and_returns_twice_mixes_nothing_up() {
    let before = Footprint::take();
    let pool = warm_pool(2);
    for _ in 0..20 {
        match block_on(pool.call(sabotage::forks, ())) {
            Ok(()) | Err(CallError::WorkerDied { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        for round in 0..5 {
            let calls: Vec<_> = (0..50).map(|n| pool.call(jobs::add, (n, round))).collect();
            for (n, result) in (0..50).zip(block_on(join_all(calls))) {
                match result {
                    Ok(sum) => assert_eq!(sum, n + round, "an answer to another call"),
                    Err(error) => assert!(error.is_worker_died(), "{error}"),
                }
            }
        }
    }
    drop(pool);
    before.expect_again();
}

/// Broken by: bytes that go with the process or the pool they came from.
pub(crate) fn p26_blobs_outlive_their_worker_and_their_pool() {
    let fds = open_fds();
    let pool = pool(2);
    let blobs: Vec<Blob> = (0..8_u8)
        .map(|n| {
            let blob = ok(pool.call(sabotage::blob_of, (n, 1 << (13 + n))));
            assert!(block_on(pool.call(jobs::exits, (0,))).is_err());
            blob
        })
        .collect();
    let slice = blobs[7].slice(1000..2000);
    drop(pool);
    for (n, blob) in (0..8_u8).zip(&blobs) {
        assert!(blob.len() == 1 << (13 + n) && blob.iter().all(|byte| *byte == n));
    }
    // And they can be sent on, to another pool.
    let other = warm_pool(1);
    for blob in &blobs {
        assert_eq!(ok(other.call(sabotage::echo_blob, (blob.clone(),))), *blob);
    }
    drop((other, blobs));
    assert!(slice.len() == 1000 && slice.iter().all(|byte| *byte == 7));
    drop(slice);
    assert_eq!(open_fds(), fds);
}

/// Broken by: releasing what a worker still reads, or keeping what nobody does.
pub(crate) fn p26_blobs_that_a_worker_keeps_stay_whole() {
    let before = Footprint::take();
    let pool = pool(1);
    for round in 0..50_u8 {
        let blob = Blob::from(vec![round; 256 << 10]);
        // The worker keeps it in a static, and sums up the one that it kept before.
        let expected = u64::from(round.saturating_sub(1)) * (256 << 10);
        assert_eq!(ok(pool.call(sabotage::keeps_blob, (blob,))), expected);
        // Others come and go meanwhile, in the memory that was released.
        let filler = Blob::from(vec![0xee; 256 << 10]);
        assert_eq!(ok(pool.call(sabotage::echo_blob, (filler.clone(),))), filler);
    }
    drop(pool);
    before.expect_again();
}

/// Broken by: answers that are only read by a task of a runtime whose thread waits for them.
pub(crate) fn a_call_may_be_waited_for_on_the_thread_of_its_own_runtime() {
    let pool = warm_pool(1);
    for mut builder in [runtime::Builder::new_current_thread(), runtime::Builder::new_multi_thread()] {
        let runtime = builder.build().unwrap();
        let sum = runtime.block_on(async {
            assert_eq!(pool.call(jobs::add, (1, 1)).await.unwrap(), 2);
            // Not to be done, and yet it must not hang for ever.
            let call = pool.call(jobs::add, (1, 2));
            std::thread::scope(|scope| scope.spawn(|| block_on(call)).join().unwrap()).unwrap()
        });
        assert_eq!(sum, 3);
    }
}

/// Broken by: a handle that ends its pool also in a copy of the process that made it.
pub(crate) fn a_forked_child_that_drops_the_pool_leaves_it_alone() {
    let pool = warm_pool(2);
    let pids = pool.worker_pids();
    // SAFETY: the child lets go of the handle and leaves; it needs no other thread for that.
    match unsafe { fork() }.expect("a child") {
        ForkResult::Child => {
            drop(pool);
            // SAFETY: nothing is to be cleaned up: it all is the parent's.
            unsafe { _exit(0) }
        }
        ForkResult::Parent { child } => drop(waitpid(child, None).expect("it ends")),
    }
    expect_service(&pool);
    assert_eq!(pool.worker_pids(), pids);
}

/// Broken by: readers that keep their place at the lanes when their runtime is not run any more, or is gone.
pub(crate) fn a_later_runtime_is_served_as_the_first() {
    const CALLS: u64 = 400;
    let pool = warm_pool(1);
    let run = |runtime: &runtime::Runtime| {
        let since = Instant::now();
        runtime.block_on(async {
            for n in 0..CALLS {
                assert_eq!(pool.call(jobs::add, (n, 1)).await.unwrap(), n + 1);
            }
        });
        since.elapsed()
    };
    let build = || runtime::Builder::new_current_thread().build().unwrap();
    let [first, second, third] = [build(), build(), build()];
    run(&first);
    // Without a reader, each answer would lie until the keeper's next look, 10 ms later.
    let limit = Duration::from_millis(5) * CALLS as u32;
    let beside = run(&second);
    assert!(beside < limit, "{beside:?} beside a runtime that is not run");
    drop(second);
    let after = run(&third);
    assert!(after < limit, "{after:?} after a runtime that has ended");
    let again = run(&first);
    assert!(again < limit, "{again:?} on the first, again");
}

/// Broken by: answers that are only read by a task of a runtime that is gone.
pub(crate) fn calls_outlive_the_runtime_that_made_them() {
    let pool = warm_pool(2);
    for n in 0..20 {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let calls: Vec<_> = runtime.block_on(async {
            assert_eq!(pool.call(jobs::add, (n, 1)).await.unwrap(), n + 1);
            (0..10).map(|i| pool.call(jobs::add, (n, i))).collect()
        });
        // Some of these are polled by tasks first, so their wakers die with the runtime.
        drop(runtime);
        for (i, result) in (0..10).zip(block_on(join_all(calls))) {
            assert_eq!(result.unwrap(), n + i);
        }
    }
}
