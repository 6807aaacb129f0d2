//! Claims about waiting: many waits at once take as long as the longest, a deadline is kept, a limit limits.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossover_runtime::spawn;
use crossover_runtime::sync::{Semaphore, channel};
use crossover_runtime::task::JoinSet;
use crossover_runtime::time::{sleep, timeout};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::{Found, Outcome, Setup, Trouble, found, ms, one_loop, seconds, seconds_of, workers};

/// Sleeps of `lengths` at once: how long all of them take.
fn together(lengths: &[u64]) -> Outcome {
    let runtime = one_loop()?;
    let (wall, _) =
        seconds(|| runtime.block_on(async { join_all(lengths.iter().map(|&n| sleep(ms(n)))).await }));
    Ok(found("wall", wall))
}

/// 2: three sleeps of a second, gathered.
pub(crate) fn three_sleeps(_: &Setup) -> Outcome {
    together(&[1000; 3])
}

/// 72: sleeps of one, two and three seconds, gathered.
pub(crate) fn one_two_three(_: &Setup) -> Outcome {
    together(&[1000, 2000, 3000])
}

/// 71: two sleeps of a second, awaited one after the other.
pub(crate) fn one_after_the_other(_: &Setup) -> Outcome {
    let runtime = one_loop()?;
    let (wall, ()) = seconds(|| {
        runtime.block_on(async {
            sleep(ms(1000)).await;
            sleep(ms(1000)).await;
        })
    });
    Ok(found("wall", wall))
}

/// 6: tasks of .3, .1 and .2 s come back as they finish.
pub(crate) fn as_completed(setup: &Setup) -> Outcome {
    let (wall, order) = workers(setup)?.block_on(seconds_of(async {
        let mut set = JoinSet::new();
        for (name, length) in [("slow", 300), ("fast", 100), ("mid", 200)] {
            set.spawn(async move {
                sleep(ms(length)).await;
                name
            });
        }
        let mut order = Vec::new();
        while let Some(Ok(name)) = set.join_next().await {
            order.push(name);
        }
        order
    }));
    let right = order == ["fast", "mid", "slow"];
    Ok(found("wall", wall).and("in_order", f64::from(right)).note(order.join(", ")))
}

/// 9: a limit of 100 ms on a wait of a second.
pub(crate) fn deadline(setup: &Setup) -> Outcome {
    let (returned, result) =
        workers(setup)?.block_on(seconds_of(async { timeout(ms(100), sleep(ms(1000))).await }));
    match result {
        Err(_elapsed) => Ok(found("returned", returned)),
        Ok(()) => Err(Trouble::Failed("the wait was not cut short".to_owned())),
    }
}

/// 33: the same 1000 waits of 100 ms on one worker and on all: a ratio.
pub(crate) fn one_worker_or_all(setup: &Setup) -> Outcome {
    let wall = |runtime: crossover_runtime::runtime::Runtime| {
        let (wall, _) = seconds(|| {
            runtime.block_on(async {
                join_all((0..1000).map(|_| spawn(sleep(ms(100)))).collect::<Vec<_>>()).await
            })
        });
        wall
    };
    let (one, all) = (wall(one_loop()?), wall(workers(setup)?));
    Ok(found("ratio", one / all).and("one", one).and("all", all))
}

/// 40: three waits of 100 ms in turn and interleaved: how many are under way on average.
pub(crate) fn overlap(setup: &Setup) -> Outcome {
    let runtime = workers(setup)?;
    let waits = async |limit: usize| {
        let (wall, spans) = seconds_of(
            stream::iter(0..3)
                .map(|_| async { seconds_of(sleep(ms(100))).await.0 })
                .buffered(limit)
                .collect::<Vec<_>>(),
        )
        .await;
        spans.iter().sum::<f64>() / wall
    };
    let (blocked, interleaved) = runtime.block_on(async { (waits(1).await, waits(3).await) });
    Ok(found("interleaved", interleaved).and("blocked", blocked))
}

/// 55: 100 waits of 50 ms, 20 at once.
pub(crate) fn semaphore(setup: &Setup) -> Outcome {
    let (limit, inside, peak) =
        (Arc::new(Semaphore::new(20)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let task = || {
        let (limit, inside, peak) = (Arc::clone(&limit), Arc::clone(&inside), Arc::clone(&peak));
        spawn(async move {
            let _permit = limit.acquire().await;
            // SeqCst: the peak is what all of them together see.
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            sleep(ms(50)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let (wall, _) = workers(setup)?.block_on(seconds_of(async { join_all((0..100).map(|_| task())).await }));
    Ok(found("wall", wall).and("peak", peak.load(Ordering::SeqCst) as f64))
}

/// 62: 200 messages of 20 ms each, taken by 1, 10 and 50 consumers.
pub(crate) fn consumers(setup: &Setup) -> Outcome {
    let runtime = workers(setup)?;
    let mut out = Found::default();
    for (name, count) in [("k1", 1), ("k10", 10), ("k50", 50)] {
        let (wall, handled) = runtime.block_on(seconds_of(consume(count)));
        if handled != 200 {
            return Err(Trouble::Failed(format!("{handled} of 200 messages were handled")));
        }
        out = out.and(name, wall);
    }
    Ok(out)
}

async fn consume(count: usize) -> usize {
    let (sender, receiver) = channel::bounded(200);
    let consumers: Vec<_> = (0..count)
        .map(|_| {
            let receiver: channel::Receiver<u32> = receiver.clone();
            spawn(async move {
                let mut handled = 0;
                while receiver.recv().await.is_ok() {
                    sleep(ms(20)).await;
                    handled += 1;
                }
                handled
            })
        })
        .collect();
    for message in 0..200 {
        // A closed channel would show as too few messages.
        let _ = sender.send(message).await;
    }
    drop(sender);
    join_all(consumers).await.into_iter().map(Result::unwrap_or_default).sum()
}

/// 73: five items of a stream, 100 ms apart: when each arrives.
pub(crate) fn items(setup: &Setup) -> Outcome {
    let arrivals = workers(setup)?.block_on(async {
        let begun = std::time::Instant::now();
        let items = stream::unfold(0, |n| async move {
            sleep(ms(100)).await;
            (n < 5).then_some((n, n + 1))
        });
        items.map(|_| begun.elapsed()).collect::<Vec<Duration>>().await
    });
    named_arrivals(&["item1", "item2", "item3", "item4", "item5"], &arrivals)
}

/// Arrivals by name; there must be as many as names.
pub(crate) fn named_arrivals(names: &[&'static str], arrivals: &[Duration]) -> Outcome {
    if arrivals.len() != names.len() {
        return Err(Trouble::Failed(format!("{} of {} arrived", arrivals.len(), names.len())));
    }
    Ok(names.iter().zip(arrivals).fold(Found::default(), |out, (name, at)| out.and(name, at.as_secs_f64())))
}

/// 76: one of three tasks fails at 50 ms, the others take 200 ms. Gathered as Python does, each a task of its own; then in a group
/// that ends with its first failure.
pub(crate) fn siblings(setup: &Setup) -> Outcome {
    let (gathered, grouped) = workers(setup)?.block_on(async {
        let finished = Arc::new(AtomicUsize::new(0));
        let tasks = (0..3).map(|n| spawn(fallible(n, Arc::clone(&finished)))).collect::<Vec<_>>();
        let all = futures_util::future::try_join_all(
            tasks.into_iter().map(async |task| task.await.map_err(|e| e.to_string())?),
        );
        let failed = all.await.is_err();
        sleep(ms(300)).await;
        // SeqCst: one total order with the tasks' additions; the sleep is long beyond their ends.
        let gathered = failed.then(|| finished.load(Ordering::SeqCst));
        let finished = Arc::new(AtomicUsize::new(0));
        let mut group = JoinSet::new();
        for n in 0..3 {
            group.spawn(fallible(n, Arc::clone(&finished)));
        }
        while let Some(joined) = group.join_next().await {
            if !matches!(joined, Ok(Ok(()))) {
                break;
            }
        }
        group.shutdown().await;
        sleep(ms(300)).await;
        (gathered, finished.load(Ordering::SeqCst))
    });
    let gathered = gathered.ok_or_else(|| Trouble::Failed("the failure did not come out".to_owned()))?;
    let cancelled = |finished: usize| (2 - finished.min(2)) as f64 / 2.0;
    Ok(found("cancelled", cancelled(gathered)).and("group_cancelled", cancelled(grouped)))
}

async fn fallible(n: usize, finished: Arc<AtomicUsize>) -> Result<(), String> {
    if n == 1 {
        sleep(ms(50)).await;
        return Err("it fails".to_owned());
    }
    sleep(ms(200)).await;
    finished.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// 49: 100,000 tasks that wait once: how many end.
pub(crate) fn many_tasks(setup: &Setup) -> Outcome {
    const TASKS: usize = 100_000;
    let (wall, done) = workers(setup)?.block_on(seconds_of(async {
        let tasks: Vec<_> = (0..TASKS).map(|_| spawn(sleep(ms(100)))).collect();
        let mut done = 0;
        for task in tasks {
            done += usize::from(task.await.is_ok());
        }
        done
    }));
    Ok(found("completed", done as f64).and("wall", wall))
}
