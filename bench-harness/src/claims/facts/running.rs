//! How async code runs: what switches where, in which order results come, what starts when.
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::spawn;
use crossover_runtime::sync::{Barrier, channel};
use crossover_runtime::task::{JoinSet, yield_now};
use crossover_workloads::{Spec, Value, calibrate_spin};
use futures_util::future::{join, join_all};
use futures_util::stream::{self, StreamExt as _};

use super::{same, text};
use crate::strategy::{self, Job};

/// How long something may take that ends at once unless it never does.
const LONG: Duration = Duration::from_secs(20);

fn one_loop() -> Result<Runtime, String> {
    Builder::new_current_thread().build().map_err(text)
}

fn two_workers() -> Result<Runtime, String> {
    Builder::new_multi_thread().worker_threads(2).build().map_err(text)
}

/// Two tasks write a pair of lines each, again and again, with an await between the pairs only.
pub(super) fn no_switch_between_awaits() -> Result<String, String> {
    let log = RefCell::new(Vec::new());
    let writer = async |name: char| {
        for n in 0..100 {
            log.borrow_mut().push((name, n, "begun"));
            log.borrow_mut().push((name, n, "ended"));
            yield_now().await;
        }
    };
    one_loop()?.block_on(join(writer('a'), writer('b')));
    let log = log.into_inner();
    same(log.len(), 400, "lines")?;
    for pair in log.chunks(2) {
        same((pair[0].0, pair[0].1), (pair[1].0, pair[1].1), "a switch within a pair")?;
    }
    let switches =
        log.chunks(2).zip(log.chunks(2).skip(1)).filter(|(one, next)| one[0].0 != next[0].0).count();
    if switches == 0 {
        return Err("the two were never interleaved".to_owned());
    }
    Ok(format!("200 pairs, none torn apart; {switches} switches, each at an await"))
}

/// Five waits that end in the reverse of their order.
pub(super) fn gather_keeps_call_order() -> Result<String, String> {
    let runtime = two_workers()?;
    let (finished, results) = runtime.block_on(async {
        let finished = Mutex::new(Vec::new());
        // Each waits for the one after it: the last ends first.
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..6).map(|_| channel::bounded::<()>(1)).unzip();
        let one = async |n: usize| {
            if n < 4 {
                // An error means that the one after it has ended without a word: it is seen in the order below.
                let _ = receivers[n + 1].recv().await;
            }
            finished.lock().unwrap_or_else(PoisonError::into_inner).push(n);
            let _ = senders[n].send(()).await;
            n
        };
        let results = join_all((0..5).map(one)).await;
        (finished.into_inner().unwrap_or_else(PoisonError::into_inner), results)
    });
    same(finished.clone(), vec![4, 3, 2, 1, 0], "the order of the ends")?;
    same(results.clone(), vec![0, 1, 2, 3, 4], "the order of the results")?;
    Ok(format!("ended in the order {finished:?}, returned in the order {results:?}"))
}

/// Two that wait for each other can only end when they run at the same time.
pub(super) fn three_ways_to_run_concurrently() -> Result<String, String> {
    let runtime = two_workers()?;
    runtime.block_on(async {
        let meet = |barrier: Arc<Barrier>| async move { barrier.wait().await.is_leader() };
        let leaders = |all: Vec<bool>| all.into_iter().filter(|leader| *leader).count();
        let barrier = Arc::new(Barrier::new(2));
        let joined = join_all((0..2).map(|_| meet(Arc::clone(&barrier)))).await;
        same(leaders(joined), 1, "leaders under join_all")?;
        let tasks: Vec<_> = (0..2).map(|_| spawn(meet(Arc::clone(&barrier)))).collect();
        let spawned = join_all(tasks).await.into_iter().collect::<Result<Vec<_>, _>>().map_err(text)?;
        same(leaders(spawned), 1, "leaders under spawn")?;
        let mut set: JoinSet<bool> = (0..2).map(|_| meet(Arc::clone(&barrier))).collect();
        let mut completed = Vec::new();
        while let Some(next) = set.join_next().await {
            completed.push(next.map_err(text)?);
        }
        same(leaders(completed), 1, "leaders as they complete")?;
        Ok("two that wait for each other end under join_all, spawn and JoinSet alike".to_owned())
    })
}

/// The spawner blocks its thread until the task has run; on one loop, a task waits for its first await.
pub(super) fn a_task_runs_in_the_background() -> Result<String, String> {
    let elsewhere = two_workers()?.block_on(async {
        let (sender, receiver) = mpsc::channel();
        let task = spawn(async move {
            // Nobody listens only after the failure that is told below.
            let _ = sender.send(());
        });
        let ran = receiver.recv_timeout(LONG).is_ok();
        task.await.map_err(text).map(|()| ran)
    })?;
    same(elsewhere, true, "ran while its spawner did not await")?;
    let (before, after) = one_loop()?.block_on(async {
        let ran = Arc::new(AtomicBool::new(false));
        let task = spawn({
            let ran = Arc::clone(&ran);
            // Relaxed: one thread.
            async move { ran.store(true, Ordering::Relaxed) }
        });
        let before = ran.load(Ordering::Relaxed);
        task.await.map_err(text).map(|()| (before, ran.load(Ordering::Relaxed)))
    })?;
    same((before, after), (false, true), "on one loop, begun before and after the first await")?;
    Ok("on workers it starts at once elsewhere; on one loop at the spawner's first await, as in Python"
        .to_owned())
}

/// A stream's items arrive in order, one at a time.
pub(super) fn a_stream_comes_in_order() -> Result<String, String> {
    let items: Vec<u32> = one_loop()?.block_on(
        stream::unfold(0, |n| async move {
            yield_now().await;
            (n < 100).then_some((n, n + 1))
        })
        .collect(),
    );
    same(items, (0..100).collect(), "items")?;
    Ok("100 items in order".to_owned())
}

/// Plain code enters async code by `block_on`, and comes back with its value. `await` has no place there:
/// ```compile_fail,E0728
/// fn main() {
///     crossover_runtime::task::yield_now().await;
/// }
/// ```
pub(super) fn block_on_is_the_edge() -> Result<String, String> {
    let value = Runtime::new().map_err(text)?.block_on(async {
        yield_now().await;
        42
    });
    same(value, 42, "the value")?;
    Ok("block_on brings the value of async code into plain code".to_owned())
}

/// A runtime is a value: made, used more than once, dropped.
pub(super) fn a_runtime_is_a_loop_to_keep() -> Result<String, String> {
    let event_loop = one_loop()?;
    let handle = event_loop.handle().clone();
    let task = handle.spawn(async { 1 });
    let both = (event_loop.block_on(async { 2 }), event_loop.block_on(task).map_err(text)?);
    drop(event_loop);
    same(both, (2, 1), "values")?;
    Ok("Builder, Handle::spawn from outside, block_on twice".to_owned())
}

/// A future that is dropped before it was polled has done nothing. Forgetting one is an error wherever warnings are:
/// ```compile_fail
/// #![deny(unused_must_use)]
/// async fn work() {}
/// async fn forgets() {
///     work();
/// }
/// # fn main() {}
/// ```
pub(super) fn not_awaited_never_runs() -> Result<String, String> {
    let polls = Rc::new(Cell::new(0));
    let work = {
        let polls = Rc::clone(&polls);
        async move { polls.set(polls.get() + 1) }
    };
    one_loop()?.block_on(yield_now());
    drop(work);
    same(polls.get(), 0, "polls")?;
    Ok("0 polls".to_owned())
}

/// The same work under every strategy of the suite.
pub(super) fn one_facade_same_checksums() -> Result<String, String> {
    let spec = Spec {
        kind: "mixed".to_owned(),
        params: [("cpu_us", Value::Int(20)), ("wait_us", Value::Int(100))]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        tasks: 40,
        seed: 7,
        server: None,
        spin_per_us: Some(calibrate_spin()),
    };
    let job = Job::prepare(spec)?;
    let mut checksums = Vec::new();
    for info in strategy::choices() {
        checksums.push((info.name, strategy::start(info.name, 2)?.run(&job)?));
    }
    let oracle = checksums.first().map_or(0, |(_, checksum)| *checksum);
    match checksums.iter().find(|(_, checksum)| *checksum != oracle) {
        Some((name, _)) => Err(format!("{name} returns another checksum than the plain loop")),
        None => Ok(format!("{} strategies, one checksum", checksums.len())),
    }
}

/// A task that is woken ten times, each time after its last poll has ended, is polled eleven times.
pub(super) fn one_poll_per_wake() -> Result<String, String> {
    const WAKES: usize = 10;
    let runtime = two_workers()?;
    let polls = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel::<Waker>();
    let task = runtime.spawn({
        let polls = Arc::clone(&polls);
        poll_fn(move |cx| {
            // Relaxed: the channel orders it before the waker's use.
            let poll = polls.fetch_add(1, Ordering::Relaxed) + 1;
            if poll > WAKES {
                return Poll::Ready(());
            }
            // The other end outlives the task unless it was given up, and then nothing is looked at any more.
            let _ = sender.send(cx.waker().clone());
            Poll::Pending
        })
    });
    for _ in 0..WAKES {
        receiver
            .recv_timeout(LONG)
            .map_err(|_| "the task was not polled after it was woken".to_owned())?
            .wake();
    }
    runtime.block_on(task).map_err(text)?;
    let polls = polls.load(Ordering::Relaxed);
    same(polls, WAKES + 1, "polls")?;
    Ok(format!("{WAKES} wakes, {polls} polls"))
}

/// A generator computes an item when it is asked for one.
pub(super) fn a_generator_is_a_stream() -> Result<String, String> {
    let made = Cell::new(0);
    let mut squares = Box::pin(stream::unfold(1_u64, |n| {
        made.set(made.get() + 1);
        async move { Some((n * n, n + 1)) }
    }));
    let size = size_of_val(&*squares);
    let first: Vec<u64> = one_loop()?.block_on(squares.by_ref().take(3).collect());
    same(first, vec![1, 4, 9], "items")?;
    same(made.get(), 3, "items made for three that were taken")?;
    Ok(format!("an endless generator made 3 items for 3 that were taken; its state is {size} bytes"))
}
