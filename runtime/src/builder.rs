//! The builder: a runtime's settings. `build.rs` checks them and puts the parts together.
//!
//! Impossible values are errors of [`Builder::build`], which name the knob and what it may be; setters never panic.

mod build;

use crate::driver;
use crate::observe::stall::{self, Stall};
use crate::scheduler::Hook;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a stall is, unless set otherwise.
const STALL_THRESHOLD: Duration = Duration::from_millis(10);

/// Sets up a [`Runtime`](crate::runtime::Runtime).
///
/// ```
/// use crossover_runtime::runtime::Builder;
///
/// let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("compute").build()?;
/// # runtime.block_on(async {});
/// # std::io::Result::Ok(())
/// ```
pub struct Builder {
    flavour: Flavour,
    workers: Option<usize>,
    blocking_threads_max: usize,
    keep_alive: Duration,
    name: Option<String>,
    thread_name: Arc<dyn Fn() -> String + Send + Sync>,
    stack_size: Option<usize>,
    event_interval: u32,
    global_queue_interval: u32,
    io_events: usize,
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
    on_park: Option<Hook>,
    on_unpark: Option<Hook>,
    stall_threshold: Option<Duration>,
    on_stall: Option<stall::Callback>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    CurrentThread,
    MultiThread,
}

impl Builder {
    /// A runtime that runs its tasks on the thread that is in `block_on`.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_current_thread().build()?;
    /// let here = std::thread::current().id();
    /// let task = runtime.spawn(async { std::thread::current().id() });
    /// assert_eq!(runtime.block_on(task).unwrap(), here);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_current_thread() -> Builder {
        Builder::new(Flavour::CurrentThread)
    }

    /// A runtime that runs its tasks on worker threads that steal from each other.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread().build()?;
    /// println!("{} workers", runtime.metrics().num_workers());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_multi_thread() -> Builder {
        Builder::new(Flavour::MultiThread)
    }

    fn new(flavour: Flavour) -> Builder {
        Builder {
            flavour,
            workers: None,
            blocking_threads_max: 512,
            keep_alive: Duration::from_secs(10),
            name: None,
            thread_name: Arc::new(|| "crossover-rt".to_owned()),
            stack_size: None,
            event_interval: 61,
            global_queue_interval: 31,
            io_events: driver::BATCH.get(),
            on_start: None,
            on_stop: None,
            on_park: None,
            on_unpark: None,
            stall_threshold: None,
            on_stall: None,
        }
    }

    /// How many workers run tasks: 1 to 1024; the machine's cores unless set. A current-thread runtime ignores it.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread().worker_threads(3).build()?;
    /// assert_eq!(runtime.metrics().num_workers(), 3);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn worker_threads(&mut self, threads: usize) -> &mut Builder {
        self.workers = Some(threads);
        self
    }

    /// The most threads of the blocking pool, at least 1; 512 unless set. Further jobs wait in a queue. The workers do
    /// not count.
    ///
    /// Jobs that wait for jobs need a thread each: at the limit a job that waits for one in the queue waits for ever. When
    /// every thread of the pool has been in `block_on` for a second and jobs are queued, a warning says so, once per runtime;
    /// nothing is refused, as what the waits are for cannot be known. Dropping the runtime cancels the queued ones.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_current_thread().max_blocking_threads(4).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn max_blocking_threads(&mut self, threads: usize) -> &mut Builder {
        self.blocking_threads_max = threads;
        self
    }

    /// How long a thread of the blocking pool waits for a job before it ends; 10 s unless set. Zero: it ends with its
    /// job. A duration beyond what the clock can express: it never ends by itself.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// use std::time::Duration;
    ///
    /// let runtime = Builder::new_current_thread().thread_keep_alive(Duration::from_secs(60)).build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_keep_alive(&mut self, time: Duration) -> &mut Builder {
        self.keep_alive = time;
        self
    }

    /// The runtime's name, for [`Handle::name`](crate::runtime::Handle::name).
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_current_thread().name("requests").build()?;
    /// assert_eq!(runtime.handle().name(), Some("requests"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn name(&mut self, name: impl Into<String>) -> &mut Builder {
        self.name = Some(name.into());
        self
    }

    /// The name of the runtime's threads, workers and blocking ones; `crossover-rt` unless set. Linux shows its first 15
    /// bytes; NUL characters are left out.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("requests").build()?;
    /// let task = runtime.spawn(async { std::thread::current().name().map(str::to_owned) });
    /// assert_eq!(runtime.block_on(task).unwrap().as_deref(), Some("requests"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Builder {
        let name = name.into();
        self.thread_name = Arc::new(move || name.clone());
        self
    }

    /// As [`thread_name`](Builder::thread_name), with a function that is called for each thread. Its panic goes through
    /// [`build`](Builder::build), before anything is started; a blocking thread is nameless then.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let threads = AtomicUsize::new(0);
    /// let runtime = Builder::new_multi_thread()
    ///     .thread_name_fn(move || format!("requests-{}", threads.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_name_fn(&mut self, name: impl Fn() -> String + Send + Sync + 'static) -> &mut Builder {
        self.thread_name = Arc::new(name);
        self
    }

    /// The stack size of the runtime's threads in bytes, at most 64 GiB; std's default (2 MiB) unless set. The system
    /// rounds it up to its least.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread().thread_stack_size(8 << 20).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// After how many polls a busy worker looks at sockets and timers, at least 1; 61 unless set.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread().event_interval(13).build()?; // sooner, at a cost
    /// # std::io::Result::Ok(())
    /// ```
    pub fn event_interval(&mut self, polls: u32) -> &mut Builder {
        self.event_interval = polls;
        self
    }

    /// After how many polls a busy worker looks for tasks from outside before its own, at least 1; 31 unless set.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread().global_queue_interval(7).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn global_queue_interval(&mut self, polls: u32) -> &mut Builder {
        self.global_queue_interval = polls;
        self
    }

    /// The most events of sockets that a worker fetches when it looks at them, 1 to 1,048,576; 1024 unless set. Whatever else
    /// is ready comes with its next looks.
    ///
    /// Fewer let woken tasks run sooner after a burst, at the cost of more system calls. The memory, 12 bytes an event on
    /// Linux, is taken by [`build`](Builder::build), for each worker.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread().max_io_events_per_tick(256).build()?;
    /// # drop(runtime);
    /// let error = Builder::new_multi_thread().max_io_events_per_tick(0).build().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn max_io_events_per_tick(&mut self, events: usize) -> &mut Builder {
        self.io_events = events;
        self
    }

    /// Calls `f` at the start of each thread of the runtime, workers and blocking ones. Panics of hooks are reported on
    /// stderr and go no further.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread()
    ///     .on_thread_start(|| println!("started"))
    ///     .on_thread_park(|| println!("about to sleep"))
    ///     .on_thread_unpark(|| println!("has slept"))
    ///     .on_thread_stop(|| println!("at its end"))
    ///     .build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_thread_start(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Builder {
        self.on_start = Some(Arc::new(f));
        self
    }

    /// Calls `f` at the end of each thread of the runtime, as in the example of [`on_thread_start`](Builder::on_thread_start).
    pub fn on_thread_stop(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Builder {
        self.on_stop = Some(Arc::new(f));
        self
    }

    /// Calls `f` on a worker that is about to sleep. It may spawn and wake: the worker looks again after it.
    pub fn on_thread_park(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Builder {
        self.on_park = Some(Arc::new(f));
        self
    }

    /// Calls `f` on a worker that has slept, as in the example of [`on_thread_start`](Builder::on_thread_start).
    pub fn on_thread_unpark(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Builder {
        self.on_unpark = Some(Arc::new(f));
        self
    }

    /// Watches for polls that hold up a worker for more than 10 ms, because they block or compute: each place that spawns
    /// such tasks is reported once, as a `tracing` event of level WARN with the place's file and line, and to
    /// [`on_stall`](Builder::on_stall). A thread of its own looks at the workers four times per threshold; polls themselves
    /// cost a few nanoseconds more. Off unless chosen.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread().detect_stalls().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn detect_stalls(&mut self) -> &mut Builder {
        self.stall_threshold.get_or_insert(STALL_THRESHOLD);
        self
    }

    /// As [`detect_stalls`](Builder::detect_stalls), for polls longer than `threshold`: 1 ms to an hour.
    ///
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// use std::time::Duration;
    ///
    /// let runtime = Builder::new_multi_thread().stall_threshold(Duration::from_millis(50)).build()?;
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stall_threshold(&mut self, threshold: Duration) -> &mut Builder {
        self.stall_threshold = Some(threshold);
        self
    }

    /// As [`detect_stalls`](Builder::detect_stalls), and calls `f` for each stall that is reported: on the worker, when the
    /// poll is over; or on the detector's thread, if it goes on after a second. It may spawn; like a task it must not block, and
    /// dropping the runtime in it panics. Its panic goes no further.
    ///
    /// ```
    /// use crossover_runtime::{runtime::Builder, spawn};
    /// use std::{sync::mpsc, thread, time::Duration};
    ///
    /// let (report, reports) = mpsc::channel();
    /// let runtime = Builder::new_multi_thread()
    ///     .worker_threads(1)
    ///     .on_stall(move |stall| report.send(stall.clone()).unwrap())
    ///     .build()?;
    /// let line = line!() + 1;
    /// let task = runtime.spawn(async { thread::sleep(Duration::from_millis(50)) });
    /// runtime.block_on(task).unwrap();
    /// let stall = reports.recv().unwrap();
    /// assert_eq!((stall.spawned_at().file(), stall.spawned_at().line()), (file!(), line));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_stall(&mut self, f: impl Fn(&Stall) + Send + Sync + 'static) -> &mut Builder {
        self.on_stall = Some(Arc::new(f));
        self.detect_stalls()
    }

    /// Does nothing: sockets and timers are always enabled. Kept for code that comes from tokio.
    ///
    /// ```
    /// let runtime = crossover_runtime::runtime::Builder::new_multi_thread().enable_all().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enable_all(&mut self) -> &mut Builder {
        self
    }

    /// Does nothing; see [`enable_all`](Builder::enable_all).
    pub fn enable_io(&mut self) -> &mut Builder {
        self
    }

    /// Does nothing; see [`enable_all`](Builder::enable_all).
    pub fn enable_time(&mut self) -> &mut Builder {
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("flavour", &self.flavour)
            .field("worker_threads", &self.workers)
            .field("max_blocking_threads", &self.blocking_threads_max)
            .field("thread_keep_alive", &self.keep_alive)
            .field("name", &self.name)
            .field("thread_stack_size", &self.stack_size)
            .field("event_interval", &self.event_interval)
            .field("global_queue_interval", &self.global_queue_interval)
            .field("max_io_events_per_tick", &self.io_events)
            .field("stall_threshold", &self.stall_threshold)
            .finish_non_exhaustive()
    }
}
