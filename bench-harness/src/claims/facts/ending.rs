//! How async code ends: by itself, by an error, by an abort, by a deadline, and with its runtime.
use std::fs;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crossover_runtime::runtime::{Builder, Runtime};
use crossover_runtime::spawn;
use crossover_runtime::time::{sleep, timeout};

use super::{same, text};

/// How long something may take that ends at once unless it never does.
const LONG: Duration = Duration::from_secs(20);

fn two_workers() -> Result<Runtime, String> {
    Builder::new_multi_thread().worker_threads(2).build().map_err(text)
}

/// Counts how often it was set up and torn down.
#[derive(Clone, Debug, Default)]
struct Ledger {
    // SeqCst throughout: few, and read from elsewhere after the tasks have ended.
    set_up: Arc<AtomicUsize>,
    torn_down: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Ledger {
    fn open(&self) -> Resource {
        self.set_up.fetch_add(1, Ordering::SeqCst);
        Resource { ledger: self.clone() }
    }

    fn counts(&self) -> (usize, usize, usize) {
        let [set_up, torn_down, closed] =
            [&self.set_up, &self.torn_down, &self.closed].map(|counter| counter.load(Ordering::SeqCst));
        (set_up, torn_down, closed)
    }
}

/// What is open until it is dropped.
struct Resource {
    ledger: Ledger,
}

impl Resource {
    /// The part of the teardown that waits.
    async fn close(self) {
        sleep(Duration::from_millis(1)).await;
        self.ledger.closed.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.ledger.torn_down.fetch_add(1, Ordering::SeqCst);
    }
}

async fn with_resource(ledger: Ledger, outcome: Result<u32, String>) -> Result<u32, String> {
    let resource = ledger.open();
    sleep(Duration::from_millis(1)).await;
    let outcome = outcome?;
    resource.close().await;
    Ok(outcome)
}

/// A guard's `Drop` runs after success, failure, cancellation and panic; the explicit `close().await` after success only.
pub(super) fn teardown_on_every_way_out() -> Result<String, String> {
    let runtime = two_workers()?;
    let ledger = Ledger::default();
    let (begun, has_begun) = mpsc::channel();
    runtime.block_on(async {
        let ok = with_resource(ledger.clone(), Ok(1)).await;
        let failed = with_resource(ledger.clone(), Err("on purpose".to_owned())).await;
        same((ok, failed.is_err()), (Ok(1), true), "outcomes")?;
        let cancelled = spawn({
            let ledger = ledger.clone();
            async move {
                let _resource = ledger.open();
                // It is received below.
                let _ = begun.send(());
                pending::<()>().await;
            }
        });
        has_begun.recv_timeout(LONG).map_err(text)?;
        cancelled.abort();
        let ended = cancelled.await;
        same(ended.is_err_and(|error| error.is_cancelled()), true, "cancelled")
    })?;
    drop(runtime);
    same(ledger.counts(), (3, 3, 1), "set up, torn down, closed")?;
    Ok("3 set-ups, 3 teardowns: after success, failure and cancellation".to_owned())
}

/// Aborting a task before its first poll, at an await, and after its end.
pub(super) fn abort_before_in_and_after() -> Result<String, String> {
    let one_loop = Builder::new_current_thread().build().map_err(text)?;
    let (before, polled) = one_loop.block_on(async {
        let polled = Arc::new(AtomicUsize::new(0));
        let task = spawn({
            let polled = Arc::clone(&polled);
            async move { polled.fetch_add(1, Ordering::SeqCst) }
        });
        // One loop: it cannot have begun yet.
        task.abort();
        (task.await.is_err_and(|error| error.is_cancelled()), polled.load(Ordering::SeqCst))
    });
    same((before, polled), (true, 0), "aborted before its start: cancelled, polls")?;
    let (within, after) = two_workers()?.block_on(async {
        let (begun, has_begun) = mpsc::channel();
        let task = spawn(async move {
            let _ = begun.send(());
            pending::<u32>().await
        });
        has_begun.recv_timeout(LONG).map_err(text)?;
        task.abort();
        let within = task.await.is_err_and(|error| error.is_cancelled());
        let mut task = spawn(async { 7 });
        let value = (&mut task).await.map_err(text)?;
        task.abort();
        Ok::<_, String>((within, value))
    })?;
    same((within, after), (true, 7), "aborted at an await: cancelled; after the end: the value")?;
    Ok("before its start: never polled; at an await: cancelled there; after its end: no effect".to_owned())
}

/// A task that was leaked is dropped with its runtime, whose threads end.
pub(super) fn nothing_outlives_its_runtime() -> Result<String, String> {
    // The kernel keeps 15 characters of a thread's name.
    const NAME: &str = "claim-25";
    let ledger = Ledger::default();
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name(NAME).build().map_err(text)?;
    let (begun, has_begun) = mpsc::channel();
    let leaked = runtime.spawn({
        let ledger = ledger.clone();
        async move {
            let _resource = ledger.open();
            let _ = begun.send(());
            pending::<()>().await;
        }
    });
    has_begun.recv_timeout(LONG).map_err(text)?;
    std::mem::forget(leaked);
    let running = threads_named(NAME)?;
    drop(runtime);
    same(ledger.counts(), (1, 1, 0), "set up, torn down, closed")?;
    // A thread that was joined may be listed for a moment longer.
    let deadline = Instant::now() + LONG;
    while threads_named(NAME)? > 0 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    same(threads_named(NAME)?, 0, "threads left")?;
    Ok(format!("the leaked task was dropped; {running} threads before, none after"))
}

fn threads_named(name: &str) -> Result<usize, String> {
    let threads = fs::read_dir("/proc/self/task").map_err(text)?;
    let names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    Ok(names.filter(|comm| comm.trim() == name).count())
}

/// A guard that flushes what was written, under an abort, a deadline and the runtime's end.
pub(super) fn cleanup_runs_on_cancel() -> Result<String, String> {
    let runtime = two_workers()?;
    let ledger = Ledger::default();
    let (begun, has_begun) = mpsc::channel();
    let writer = |ledger: &Ledger| {
        let (ledger, begun) = (ledger.clone(), begun.clone());
        async move {
            let _unflushed = ledger.open();
            let _ = begun.send(());
            pending::<()>().await;
        }
    };
    runtime.block_on(async {
        let aborted = spawn(writer(&ledger));
        has_begun.recv_timeout(LONG).map_err(text)?;
        aborted.abort();
        let _ = aborted.await;
        same(ledger.counts().1, 1, "flushed after an abort")?;
        let late = timeout(Duration::from_millis(5), writer(&ledger)).await;
        has_begun.recv_timeout(LONG).map_err(text)?;
        same((late.is_err(), ledger.counts().1), (true, 2), "late, flushed after a deadline")
    })?;
    drop(runtime.spawn(writer(&ledger)));
    has_begun.recv_timeout(LONG).map_err(text)?;
    drop(runtime);
    same(ledger.counts(), (3, 3, 0), "set up, flushed")?;
    Ok("flushed under an abort, a deadline and the runtime's end".to_owned())
}
