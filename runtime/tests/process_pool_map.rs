//! `ProcessPool::map` with real workers: results in their places, whatever happens to some of them.

use crossover_runtime::process_pool::{CallError, Chunk, ProcessPool, Retry, Stdio, TimedOut, job};
use futures::{
    FutureExt, StreamExt,
    executor::{block_on, block_on_stream},
};
use std::{
    collections::HashSet,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

crossover_runtime::enable_in_tests!();

/// Long enough for whatever must happen on a machine that is busy with anything.
const SOON: Duration = Duration::from_secs(30);

#[job]
fn square(x: u64) -> u64 {
    x * x
}

#[job]
fn reverse(text: String) -> String {
    text.chars().rev().collect()
}

#[job]
fn nothing(_: ()) {}

#[job]
fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[job]
fn picky(x: u32) -> Result<u32, String> {
    match x % 10 {
        3 => panic!("{x} ends in three"),
        7 => Err(format!("{x} ends in seven")),
        _ => Ok(x),
    }
}

#[job]
fn deadly(x: u32) -> u32 {
    if x == 500 {
        process::abort();
    }
    x
}

#[job]
fn stuck(x: u32) -> u32 {
    if x == 50 {
        loop {
            std::hint::spin_loop();
        }
    }
    x
}

#[job]
fn worker(_: u32) -> u32 {
    process::id()
}

/// Says that it has begun, then waits until it is let go on or nobody listens.
#[job]
fn gate(path: PathBuf) -> bool {
    let mut stream = UnixStream::connect(path).expect("the test listens");
    stream.write_all(&[1]).expect("the test reads");
    stream.read(&mut [0]).is_ok_and(|read| read == 1)
}

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).startup_timeout(SOON).build().expect("a pool")
}

#[test]
fn a_million_results_come_in_order() {
    let pool = pool(2);
    let mut expected = 0..1_000_000_u64;
    for result in block_on_stream(pool.map(square, 0..1_000_000)) {
        let x = expected.next().expect("no more results than items");
        assert_eq!(result.unwrap(), x * x);
    }
    assert_eq!(expected.next(), None);
}

#[test]
fn unordered_results_are_all_there_once() {
    let results: Vec<u64> =
        block_on_stream(pool(2).map(square, 0..100_000).ordered(false)).map(Result::unwrap).collect();
    assert_eq!(results.len(), 100_000);
    assert_eq!(results.into_iter().collect::<HashSet<_>>(), (0..100_000).map(|x| x * x).collect());
}

#[test]
fn values_of_any_kind_cross() {
    let pool = pool(2);
    let texts = (0..5000).map(|n| format!("text {n} ⟲"));
    let back = texts.clone().map(|text| text.chars().rev().collect::<String>());
    assert!(block_on_stream(pool.map(reverse, texts)).map(Result::unwrap).eq(back));
    assert_eq!(block_on_stream(pool.map(nothing, vec![(); 1000])).flatten().count(), 1000);
    assert_eq!(block_on_stream(pool.map(square, std::iter::empty())).count(), 0);
}

#[test]
fn large_values_cross_in_shared_memory() {
    let pool = pool(2);
    let sizes = [0, 1, 100, 16_384, 32_768, 100_000, 1 << 20, 5 << 20, 3];
    let values = sizes.iter().cycle().take(60).map(|size| vec![*size as u8; *size]);
    assert!(block_on_stream(pool.map(echo, values.clone())).map(Result::unwrap).eq(values));
}

#[test]
fn both_workers_take_part() {
    let pool = pool(2);
    block_on(pool.warm_up()).unwrap();
    let pids: HashSet<u32> = block_on_stream(pool.map(worker, 0..200_000)).map(Result::unwrap).collect();
    assert_eq!(pids.len(), 2);
}

#[test]
fn a_panic_is_the_result_of_its_item_alone() {
    // Hundreds of panics are reported on stderr.
    let pool = ProcessPool::builder().workers(2).stderr(Stdio::Null).build().expect("a pool");
    for chunk in [Chunk::Auto, Chunk::Fixed(1), Chunk::Fixed(64)] {
        let results = block_on_stream(pool.map(picky, 0..1000).chunk(chunk));
        for (x, result) in (0..1000).zip(results) {
            match (x % 10, result) {
                (3, Err(CallError::Panic { message, job, location, .. })) => {
                    assert_eq!(message, format!("{x} ends in three"));
                    assert_eq!(job, "process_pool_map::picky");
                    assert!(location.is_some_and(|place| place.contains("process_pool_map.rs")));
                }
                (7, Ok(Err(text))) => assert_eq!(text, format!("{x} ends in seven")),
                (_, Ok(Ok(result))) => assert_eq!(result, x),
                (_, other) => panic!("{x}: {other:?}"),
            }
        }
    }
    assert_eq!(pool.metrics().deaths, 0);
}

#[test]
fn a_dead_worker_fails_its_chunk_and_no_other() {
    let pool = pool(2);
    let results: Vec<_> = block_on_stream(pool.map(deadly, 0..1000).chunk(Chunk::Fixed(100))).collect();
    for (x, result) in (0..1000).zip(results) {
        match (x, result) {
            (500..600, Err(error)) => assert!(error.is_worker_died(), "{error}"),
            (_, result) => assert_eq!(result.unwrap(), x),
        }
    }
}

#[test]
fn with_retry_only_the_item_that_kills_its_worker_fails() {
    let pool = pool(2);
    for chunk in [Chunk::Auto, Chunk::Fixed(100)] {
        let map = pool.map(deadly, 0..1000).chunk(chunk).retry(Retry::OnDeath);
        for (x, result) in (0..1000).zip(block_on_stream(map)) {
            match (x, result) {
                (500, Err(error)) => assert!(error.is_worker_died(), "{error}"),
                (_, result) => assert_eq!(result.unwrap(), x),
            }
        }
    }
}

#[test]
fn an_item_that_runs_too_long_is_killed_with_its_chunk() {
    let pool = pool(2);
    let limit = Duration::from_millis(50);
    let map = pool.map(stuck, 0..100).chunk(Chunk::Fixed(10)).timeout(limit);
    for (x, result) in (0..100).zip(block_on_stream(map)) {
        match (x, result) {
            (50..60, Err(CallError::Timeout { after, phase, .. })) => {
                assert_eq!((after, phase), (limit, TimedOut::Running));
            }
            (_, result) => assert_eq!(result.unwrap(), x),
        }
    }
}

#[test]
fn each_item_of_a_chunk_has_the_whole_time() {
    // Together they take several times the limit.
    let waits = pool(1).map(wait, vec![20; 50]).chunk(Chunk::Fixed(50)).timeout(Duration::from_millis(500));
    assert_eq!(block_on_stream(waits).flatten().count(), 50);
}

#[job]
fn wait(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

#[test]
fn dropping_it_takes_back_what_has_not_started() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let pool = pool(1);
    let path = std::env::temp_dir().join(format!("crossover-map-{}", process::id()));
    let listener = UnixListener::bind(&path).expect("a listener");
    let items = std::iter::repeat_with(|| {
        // Relaxed: one thread.
        STARTED.fetch_add(1, Ordering::Relaxed);
        path.clone()
    });
    let mut map = pool.map(gate, items).chunk(Chunk::Fixed(1)).buffer(4);
    // It may need several turns to pull what it may.
    while STARTED.load(Ordering::Relaxed) < 4 {
        assert!(map.next().now_or_never().is_none());
    }
    assert!(map.next().now_or_never().is_none());
    assert_eq!(STARTED.load(Ordering::Relaxed), 4, "pulled as far as the buffer allows");
    let (mut guest, _) = listener.accept().expect("the first item");
    guest.read_exact(&mut [0]).expect("it has begun");
    drop(map);
    guest.write_all(&[1]).expect("it waits");
    // Jobs start in order: were the others still there, one would start now, and this would wait behind it.
    assert_eq!(block_on(pool.call(square, (3,))).unwrap(), 9);
    assert_eq!(pool.metrics().queued, 0);
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "no other has started");
    std::fs::remove_file(path).expect("the socket's name");
}

#[test]
fn a_closed_pool_fails_each_item() {
    let pool = pool(1);
    block_on(pool.close(SOON));
    let results: Vec<_> = block_on_stream(pool.map(square, 0..100)).collect();
    assert_eq!(results.len(), 100);
    assert!(results.iter().all(|result| result.as_ref().is_err_and(CallError::is_closed)));
}

#[test]
fn what_is_no_job_fails_each_item() {
    fn stranger(x: u8) -> u8 {
        x
    }
    let results: Vec<_> = block_on_stream(pool(1).map(stranger, 0..5)).collect();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|result| result.as_ref().is_err_and(CallError::is_unknown_job)));
}
