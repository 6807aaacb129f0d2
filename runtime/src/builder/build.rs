//! Making a runtime of the builder's settings: their limits, the parts, the threads.
//!
//! What can fail or panic because of the user comes first, while there is nothing to clean up. Once threads run, an error
//! drops the runtime, which ends them.

use super::{Builder, Flavour};
use crate::blocking;
use crate::driver::Driver;
use crate::handle::{Handle, Inner, Link, MayBlock, MustNotBlock, RuntimeId};
use crate::observe::stall::Detector;
use crate::runtime::{Presence, Present, Runtime, Workers};
use crate::scheduler::{Scheduler, Settings, current_thread, run_hook, worker};
use crate::sync::prim::thread;
use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// More workers than this are surely a mistake.
const WORKERS_MAX: usize = 1024;
/// What a stall may be.
const STALL_THRESHOLDS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// The most events of a turn: 12 MiB of them for each worker.
const BATCH_MAX: usize = 1 << 20;
/// The largest stack that can be asked for, in bytes: 64 GiB.
const STACK_SIZE_MAX: usize = 64 << 30;

impl Builder {
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
            let handle = runtime.handle().clone();
            let name = thread::Builder::new().name("crossover-stall".to_owned());
            let started = name.spawn(move || {
                let _present = present;
                // For the callback: it finds here what it finds on a worker, its runtime and a thread that must not block.
                let _blocking = MustNotBlock::enter(MayBlock::InPlace);
                let _link = Link::enter(handle);
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
