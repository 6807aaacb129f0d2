//! Claims about memory and switches: what an idle task, thread and process take, and what waiting costs the scheduler.
use std::time::Duration;

use crossover_runtime::process_pool::job;
use crossover_runtime::spawn;
use crossover_runtime::time::sleep;
use futures_util::future::join_all;

use super::cpu::pool;
use super::engine::{Engine, Ours, Tokio};
use super::{Found, Outcome, Setup, Trouble, found, ms, one_loop, workers};
use crate::probe::{self, Usage};

/// A sleep that outlasts the measurement.
const LONG: Duration = Duration::from_secs(3600);

/// Resident bytes of process `pid` now: what is its own, without pages that it shares with others.
fn private(pid: u32) -> Result<f64, Trouble> {
    let kib =
        probe::private_kib(pid).ok_or_else(|| Trouble::Failed(format!("cannot read the memory of {pid}")))?;
    Ok(kib as f64 * 1024.0)
}

/// What `count` tasks that sleep take, each, in bytes: spawned, or in one `join_all`.
fn per_task<E: Engine>(count: usize, spawned: bool) -> Result<f64, Trouble> {
    let runtime = E::one_loop()?;
    let me = std::process::id();
    E::block_on(&runtime, async {
        let before = private(me)?;
        let held = if spawned {
            let tasks: Vec<_> = (0..count).map(|_| E::spawn(E::sleep(LONG))).collect();
            // Their first polls register the timers; a microsecond each is plenty.
            E::sleep(ms(50 + count as u64 / 500)).await;
            let during = private(me)?;
            drop(tasks);
            during
        } else {
            let mut all = Box::pin(join_all((0..count).map(|_| E::sleep(LONG))));
            let once = std::future::poll_fn(|cx| std::task::Poll::Ready(all.as_mut().poll(cx).is_pending()));
            once.await;
            private(me)?
        };
        Ok((held - before) / count as f64)
    })
}

/// What `count` idle threads take, each, in bytes.
fn per_thread(count: usize) -> Result<f64, Trouble> {
    let me = std::process::id();
    let before = private(me)?;
    let (release, wait) = crossbeam_channel::bounded::<()>(0);
    let (begun, begin) = crossbeam_channel::bounded::<()>(count);
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (wait, begun) = (wait.clone(), begun.clone());
            std::thread::Builder::new().spawn(move || {
                // Both fail only when the measurement has ended early.
                let _ = begun.send(());
                // Nothing is ever sent: it ends with the sender.
                let _ = wait.recv();
            })
        })
        .collect::<Result<_, _>>()?;
    for _ in 0..count {
        begin.recv()?;
    }
    let during = private(me)?;
    drop(release);
    for thread in threads {
        let _ = thread.join();
    }
    Ok((during - before) / count as f64)
}

/// 47: what an idle task, thread and worker process take.
pub(crate) fn idle_units(setup: &Setup) -> Outcome {
    let task = per_task::<Ours>(100_000, true)?;
    let thread = per_thread(if setup.full { 2000 } else { 500 })?;
    let pool = pool(4)?;
    let pids = pool.worker_pids();
    let all = pids.iter().map(|&pid| private(pid)).sum::<Result<f64, _>>()?;
    let process = all / pids.len().max(1) as f64;
    Ok(found("bytes_per_task", task)
        .and("bytes_per_thread", thread)
        .and("bytes_per_process", process)
        .and("thread_over_task", thread / task)
        .note("resident memory that is the process's own (Private_* of smaps_rollup); a thread's stack in the kernel is not seen"))
}

/// As [`per_task`] in one `join_all`, in a worker process.
#[job]
fn joined_in_worker(count: u64, engine: String) -> Result<f64, String> {
    let count = count as usize;
    let measured =
        if engine == Tokio::NAME { per_task::<Tokio>(count, false) } else { per_task::<Ours>(count, false) };
    measured.map_err(|trouble| format!("{trouble:?}"))
}

/// 1m-tasks: sleeping tasks, spawned and in one `join_all`: a million in full, 100,000 in the quick pass.
pub(crate) fn million<E: Engine>(setup: &Setup) -> Outcome {
    let count = if setup.full { 1_000_000 } else { 100_000 };
    let spawned = per_task::<E>(count, true)?;
    // In a process of its own: here it would be given the memory that the tasks have left.
    let joined = one_loop()?.block_on(pool(1)?.call(joined_in_worker, (count as u64, E::NAME.to_owned())))?;
    let joined = joined.map_err(Trouble::Failed)?;
    Ok(found("bytes_per_task", spawned).and("bytes_joined", joined).and("spawn_over_join", spawned / joined))
}

/// 48: voluntary context switches per wait: 100 threads that sleep 20 times each, over 100 tasks that do.
pub(crate) fn switches(setup: &Setup) -> Outcome {
    const UNITS: u64 = 100;
    const WAITS: u64 = 20;
    let counted = |work: &dyn Fn() -> Result<(), Trouble>| -> Result<f64, Trouble> {
        let before = Usage::own();
        work()?;
        Ok(Usage::own().since(before).vcsw as f64 / (UNITS * WAITS) as f64)
    };
    let threads = counted(&|| {
        std::thread::scope(|scope| {
            for _ in 0..UNITS {
                scope.spawn(|| (0..WAITS).for_each(|_| std::thread::sleep(ms(2))));
            }
        });
        Ok(())
    })?;
    let runtime = workers(setup)?;
    let tasks = counted(&|| {
        let task = || {
            spawn(async {
                for _ in 0..WAITS {
                    sleep(ms(2)).await;
                }
            })
        };
        let done = runtime.block_on(async { join_all((0..UNITS).map(|_| task()).collect::<Vec<_>>()).await });
        done.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(())
    })?;
    Ok(Found::default().and("ratio", threads / tasks.max(1e-9)).and("threads", threads).and("tasks", tasks))
}
