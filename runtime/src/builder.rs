//! The builder: a runtime's settings, their limits, and putting the parts together.
//!
//! Impossible values are errors of [`Builder::build`], which name the knob and what it may be; setters never panic.

use crate::blocking;
use crate::driver::{self, Driver};
use crate::handle::{Handle, Inner, Link, MayBlock, MustNotBlock, RuntimeId};
use crate::observe::stall::{self, Detector, Stall};
use crate::runtime::{Presence, Present, Runtime, Workers};
use crate::scheduler::{Hook, Scheduler, Settings, current_thread, run_hook, worker};
use crate::sync::prim::thread;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// More workers than this are surely a mistake.
const WORKERS_MAX: usize = 1024;
/// What a stall is, unless set otherwise, and what it may be set to.
const STALL_THRESHOLD: Duration = Duration::from_millis(10);
const STALL_THRESHOLDS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// The most events of a turn: 12 MiB of them for each worker.
const BATCH_MAX: usize = 1 << 20;
/// The largest stack that can be asked for, in bytes: 64 GiB.
const STACK_SIZE_MAX: usize = 64 << 30;

/// Sets up a [`Runtime`].
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

    /// The runtime's name, for [`Handle::name`].
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
    /// poll is over; or on the detector's thread, if it goes on after a second. Its panic goes no further.
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

    /// Makes the runtime and starts its workers.
    ///
    /// # Errors
    /// `InvalidInput` for an impossible setting, naming it; else what the system says when the driver or a thread
    /// cannot be made.
    ///
    /// # Panics
    /// When the function of [`thread_name_fn`](Builder::thread_name_fn) does.
    ///
    /// # Example
    /// ```
    /// use crossover_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new_current_thread().build()?;
    /// assert_eq!(runtime.block_on(async { 1 }), 1);
    ///
    /// let error = Builder::new_multi_thread().worker_threads(0).build().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build(&mut self) -> io::Result<Runtime> {
        let (workers, batch) = self.check()?;
        // The naming function is the user's and may panic: it is called while there is nothing to clean up yet.
        let names: Vec<String> = match self.flavour {
            Flavour::CurrentThread => Vec::new(),
            Flavour::MultiThread => (0..workers).map(|_| (self.thread_name)().replace('\0', "")).collect(),
        };
        let watched = if names.is_empty() { 1 } else { workers };
        let detector = self
            .stall_threshold
            .map(|threshold| Arc::new(Detector::new(watched, threshold, self.on_stall.clone())));
        let settings = Settings {
            event_interval: self.event_interval,
            global_queue_interval: self.global_queue_interval,
            on_park: self.on_park.clone(),
            on_unpark: self.on_unpark.clone(),
            detector: detector.clone(),
        };
        let blocking = blocking::Pool::new(blocking::Settings {
            threads_max: self.blocking_threads_max,
            keep_alive: self.keep_alive,
            name: Arc::clone(&self.thread_name),
            stack_size: self.stack_size,
            on_start: self.on_start.clone(),
            on_stop: self.on_stop.clone(),
        });
        let (scheduler, seats, handle) = match self.flavour {
            Flavour::CurrentThread => {
                let (driver, handle) = Driver::new(batch)?;
                let shared = current_thread::Shared::new(settings, driver, handle.clone());
                (Scheduler::CurrentThread(shared), Vec::new(), handle)
            }
            Flavour::MultiThread => {
                let (drivers, handle) = Driver::for_workers(workers, batch)?;
                let (shared, seats) = worker::create(workers, settings, drivers, handle.clone());
                (Scheduler::MultiThread(shared), seats, handle)
            }
        };
        let id = RuntimeId::next();
        let mut runtime =
            Runtime::of(Inner { id, name: self.name.clone(), scheduler, blocking, driver: handle });
        self.start_threads(seats, names, detector, &mut runtime)?;
        Ok(runtime)
    }

    /// Refuses impossible settings; returns the number of workers, and that of the events of a turn.
    fn check(&self) -> io::Result<(usize, NonZeroUsize)> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        let workers = self.workers.unwrap_or_else(|| num_cpus::get().clamp(1, WORKERS_MAX));
        if !(1..=WORKERS_MAX).contains(&workers) {
            return invalid(format!("worker_threads is {workers}; it must be 1 to {WORKERS_MAX}"));
        }
        if self.blocking_threads_max == 0 {
            return invalid("max_blocking_threads is 0; it must be at least 1".to_owned());
        }
        if self.event_interval == 0 {
            return invalid("event_interval is 0; it must be at least 1".to_owned());
        }
        if self.global_queue_interval == 0 {
            return invalid("global_queue_interval is 0; it must be at least 1".to_owned());
        }
        let Some(batch) = NonZeroUsize::new(self.io_events).filter(|batch| batch.get() <= BATCH_MAX) else {
            return invalid(format!(
                "max_io_events_per_tick is {}; it must be 1 to {BATCH_MAX}",
                self.io_events
            ));
        };
        if let Some(threshold) = self.stall_threshold
            && !STALL_THRESHOLDS.contains(&threshold)
        {
            return invalid(format!("stall_threshold is {threshold:?}; it must be 1 ms to an hour"));
        }
        match self.stack_size {
            Some(bytes) if bytes > STACK_SIZE_MAX => {
                invalid(format!("thread_stack_size is {bytes} bytes; it must be at most {STACK_SIZE_MAX}"))
            }
            _ => Ok((workers, batch)),
        }
    }

    /// Starts a thread for each seat, and the detector's. On an error the caller drops the runtime, which ends those that run.
    fn start_threads(
        &self,
        seats: Vec<worker::Seat>,
        names: Vec<String>,
        detector: Option<Arc<Detector>>,
        runtime: &mut Runtime,
    ) -> io::Result<()> {
        let presence = Arc::new(Presence::new(seats.len() + usize::from(detector.is_some())));
        let mut threads = Vec::with_capacity(seats.len());
        let mut failure = None;
        for (seat, name) in seats.into_iter().zip(names) {
            // The seat goes through a slot, so that it is still here if its thread cannot be started.
            let slot = Arc::new(std::sync::Mutex::new(Some(seat)));
            let started = match &failure {
                None => {
                    self.start_worker(name, Arc::clone(&slot), runtime.handle().clone(), presence.guard())
                }
                Some(_) => {
                    drop(presence.guard());
                    Err(io::Error::other("an earlier thread failed"))
                }
            };
            match started {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    failure.get_or_insert(error);
                    if let Some(seat) = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
                        seat.vacate();
                    }
                }
            }
        }
        if let Some(detector) = detector {
            let present = presence.guard();
            let name = thread::Builder::new().name("crossover-stall".to_owned());
            let started = name.spawn(move || {
                let _present = present;
                detector.run();
            });
            match started {
                Ok(thread) => threads.push(thread),
                Err(error) => failure = Some(error),
            }
        }
        runtime.set_workers(Workers::new(threads, presence));
        failure.map_or(Ok(()), Err)
    }

    fn start_worker(
        &self,
        name: String,
        slot: Arc<std::sync::Mutex<Option<worker::Seat>>>,
        handle: Handle,
        present: Present,
    ) -> io::Result<thread::JoinHandle<()>> {
        let mut builder = thread::Builder::new().name(name);
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let (on_start, on_stop) = (self.on_start.clone(), self.on_stop.clone());
        builder.spawn(move || {
            let blocking = MustNotBlock::enter(MayBlock::InPlace);
            let home = worker::Home { handle: handle.clone(), presence: present.presence() };
            let link = Link::enter(handle);
            run_hook(on_start.as_ref());
            let seat = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            if let Some(seat) = seat {
                seat.run(home);
            }
            run_hook(on_stop.as_ref());
            drop(link);
            drop(blocking);
            drop(present);
        })
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
