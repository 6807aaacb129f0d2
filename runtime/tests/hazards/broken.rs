//! What goes wrong outside of the runtime and is said in its log: an event queue that fails for ever, a pool whose threads
//! all wait (S5).

use crate::{alone, eventually, watchdog};
use crossover_runtime::runtime::{Builder, Handle, Runtime};
use crossover_runtime::task::{JoinError, yield_now};
use crossover_runtime::time::{sleep, timeout};
use std::fmt;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What the runtime has said: level and text of each message.
#[derive(Default)]
struct Log(Mutex<Vec<(Level, String)>>);

impl Log {
    /// For the whole process, hence only in tests that are [`alone`].
    fn install() -> Arc<Log> {
        let log = Arc::new(Log::default());
        tracing::subscriber::set_global_default(Arc::clone(&log)).unwrap();
        log
    }

    fn count(&self, level: Level, part: &str) -> usize {
        let messages = self.0.lock().unwrap();
        messages.iter().filter(|(of, text)| *of == level && text.contains(part)).count()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("crossover_runtime")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0 += &format!("{}={value:?} ", field.name());
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The process's event queues.
fn event_queues() -> Vec<i32> {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let queues = descriptors.filter(|path| {
        std::fs::read_link(path).is_ok_and(|to| to.to_str() == Some("anon_inode:[eventpoll]"))
    });
    queues.map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// Somebody closes descriptors that are not theirs: the numbers of the event queues are something else from now on.
fn break_event_queues() {
    let queues = event_queues();
    assert!(!queues.is_empty());
    let other = std::fs::File::open("/dev/null").unwrap();
    for queue in queues {
        // SAFETY: the number stays open; that its owner does not know what it is now is what this is about.
        let mut queue = unsafe { OwnedFd::from_raw_fd(queue) };
        rustix::io::dup2(&other, &mut queue).unwrap();
        let number = queue.as_raw_fd();
        assert_eq!(queue.into_raw_fd(), number);
    }
}

/// The driver cannot wait any more. The runtime says so a few times, does not use up the CPU, and goes on with what needs no
/// sockets: tasks, wakes from other threads, jobs, its end; timers too, somewhat late.
fn survives_a_broken_event_queue(rt: Runtime, log: &Log) {
    rt.block_on(async { sleep(Duration::from_millis(1)).await });
    break_event_queues();
    let (cpu, begin) = (cpu_time(), Instant::now());
    // Someone is always waiting, so that the driver is always wanted.
    rt.block_on(async { sleep(Duration::from_millis(600)).await });
    let (cpu, wall) = (cpu_time() - cpu, begin.elapsed());
    assert!(wall >= Duration::from_millis(600));
    assert!(cpu < wall / 4, "{cpu:?} of CPU time in {wall:?}");
    let said = log.count(Level::ERROR, "turn failed");
    assert!((1..=40).contains(&said), "said {said} times");

    for _ in 0..20 {
        let handle = rt.handle().clone();
        let outside = std::thread::spawn(move || handle.spawn(async { 3 }));
        let sum = rt.block_on(async {
            yield_now().await;
            let job = crossover_runtime::spawn_blocking(|| 4);
            let inside = crossover_runtime::spawn(async { 5 });
            let outside = outside.join().unwrap();
            outside.await.unwrap() + job.await.unwrap() + inside.await.unwrap()
        });
        assert_eq!(sum, 12);
    }
    let begin = Instant::now();
    drop(rt);
    assert!(begin.elapsed() < Duration::from_secs(5), "the end took {:?}", begin.elapsed());
}

#[test]
fn t4_an_event_queue_that_fails_for_ever() {
    alone("broken::t4_an_event_queue_that_fails_for_ever", || {
        watchdog(|watch| {
            let log = Log::install();
            survives_a_broken_event_queue(watch.multi(3), &log);
            log.0.lock().unwrap().clear();
            survives_a_broken_event_queue(watch.current(), &log);
        });
    });
}

/// One thread, and its job waits for a job in the queue: nobody can know that it is this which the job waits for, so nothing
/// is refused. But it is said, once, what has come about; and not for a pool that is merely full.
#[test]
fn s5_a_pool_whose_threads_all_wait_is_reported_once() {
    alone("broken::s5_a_pool_whose_threads_all_wait_is_reported_once", || {
        watchdog(|watch| {
            let log = Log::install();
            let reports = |log: &Log| log.count(Level::WARN, "every thread of the blocking pool");
            let rt = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().unwrap();
            watch.add(&rt);
            // Full for longer than that, but at work.
            let busy = rt.spawn_blocking(|| std::thread::sleep(Duration::from_millis(1200)));
            let queued = rt.spawn_blocking(|| 1);
            rt.block_on(async {
                busy.await.unwrap();
                assert_eq!(queued.await.unwrap(), 1);
            });
            assert_eq!(reports(&log), 0);

            let (wait, waits) = mpsc::channel();
            let outer = rt.spawn_blocking(move || {
                let handle = Handle::current();
                let inner = handle.spawn_blocking(|| ());
                wait.send(inner.abort_handle()).unwrap();
                handle.block_on(inner)
            });
            let inner = waits.recv().unwrap();
            eventually("it is reported", || reports(&log) == 1);
            let more = rt.spawn_blocking(|| 2);
            assert!(rt.block_on(async { timeout(Duration::from_millis(50), more).await }).is_err());
            assert_eq!(reports(&log), 1);
            // The waiting job goes on when the other is given up, which takes a thread to see to: the runtime's end.
            inner.abort();
            let handle = rt.handle().clone();
            drop(rt);
            let inner: Result<(), JoinError> = handle.block_on(outer).unwrap();
            assert!(inner.unwrap_err().is_cancelled());
        });
    });
}
