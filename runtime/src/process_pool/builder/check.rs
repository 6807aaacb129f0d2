//! What the options of a pool may be: the limits, and the errors that name the option and say what it may be.

use super::{
    super::{
        job::Table,
        options::{Initializer, Options},
    },
    Builder, Wish,
};
use std::{io, num::NonZeroU64, thread, time::Duration};

/// The most workers a pool may have.
const MOST_WORKERS: usize = 1024;

/// The smallest limit on frames: the pool's own messages must fit.
const LEAST_FRAME_BYTES: usize = 1024;

/// The smallest limit on a worker's memory: the program itself must fit.
const LEAST_MEMORY: u64 = 8 << 20;

/// Deaths before hello that open the breaker, and the window in which they must fall.
const BREAKER: (usize, Duration) = (5, Duration::from_secs(10));

impl Builder {
    /// Refuses options that are out of their range, and looks up what the others refer to.
    pub(in crate::process_pool) fn check(self) -> io::Result<Options> {
        let workers = match self.workers {
            Some(workers) => workers,
            None => thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS),
        };
        if !(1..=MOST_WORKERS).contains(&workers) {
            return invalid(format!("workers = {workers}, but 1 to {MOST_WORKERS} are possible"));
        }
        if self.min_workers > workers {
            let least = self.min_workers;
            return invalid(format!(
                "min_workers = {least}, but workers = {workers} is the most there may be"
            ));
        }
        if self.startup_timeout.is_zero() {
            return invalid("startup_timeout = 0, so no worker could ever get ready".to_owned());
        }
        if self.idle_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return invalid(
                "idle_timeout = 0, so no worker would live to get a job (max_jobs_per_worker(1) gives each job a new one)"
                    .to_owned(),
            );
        }
        let max_jobs = self.max_jobs.map(NonZeroU64::new);
        if max_jobs == Some(None) {
            return invalid("max_jobs_per_worker = 0, but a worker runs at least 1".to_owned());
        }
        if let Some(bytes) = self.memory_limit.filter(|bytes| *bytes < LEAST_MEMORY) {
            return invalid(format!("memory_limit = {bytes}, but {LEAST_MEMORY} bytes is the least"));
        }
        let (breaker_deaths, breaker_window) = self.checked_breaker()?;
        let table = match Table::with(self.registry.as_ref()) {
            Ok(table) => table,
            Err(reason) => return invalid(format!("registry: {reason}")),
        };
        let max_frame_bytes = self.checked_frame_bytes()?;
        Ok(Options {
            workers,
            min_workers: self.min_workers,
            startup_timeout: self.startup_timeout,
            idle_timeout: self.idle_timeout,
            max_jobs: max_jobs.flatten(),
            memory_limit: self.memory_limit,
            initializer: self.initializer.map(|wish| wish.look_up(&table, max_frame_bytes)).transpose()?,
            stdout: self.stdout,
            stderr: self.stderr,
            max_frame_bytes,
            queue_limit: self.queue_limit,
            breaker_deaths,
            breaker_window,
            table,
        })
    }

    fn checked_breaker(&self) -> io::Result<(usize, Duration)> {
        match self.breaker {
            Some((0, _)) => invalid("breaker: deaths = 0, so it would be open from the start".to_owned()),
            Some((_, Duration::ZERO)) => invalid("breaker: window = 0, so it could never open".to_owned()),
            Some(limits) => Ok(limits),
            None => {
                let (deaths, window) = BREAKER;
                // Starts that all wedge must add up, too.
                let starts = self.startup_timeout.saturating_mul(deaths as u32 + 1);
                Ok((deaths, window.max(starts)))
            }
        }
    }

    fn checked_frame_bytes(&self) -> io::Result<u32> {
        let bytes = self.max_frame_bytes;
        match u32::try_from(bytes) {
            Ok(short) if bytes >= LEAST_FRAME_BYTES => Ok(short),
            _ => invalid(format!(
                "max_frame_bytes = {bytes}, but {LEAST_FRAME_BYTES} to {} are possible",
                u32::MAX
            )),
        }
    }
}

impl Wish {
    fn look_up(self, table: &Table, max_frame_bytes: u32) -> io::Result<Initializer> {
        let path = self.path;
        let Some((number, entry)) = table.find_type(self.function) else {
            return invalid(format!(
                "initializer: `{path}` is not a job: put `#[job]` on it, or name it in the registry"
            ));
        };
        match self.arguments {
            Ok(arguments) if arguments.total() <= max_frame_bytes as usize => {
                Ok(Initializer { number, name: entry.name(), arguments })
            }
            Ok(arguments) => invalid(format!(
                "initializer: the arguments of `{path}` take {} bytes, and max_frame_bytes = {max_frame_bytes}",
                arguments.total()
            )),
            Err(reason) => invalid(format!("initializer: cannot encode the arguments of `{path}`: {reason}")),
        }
    }
}

fn invalid<T>(text: String) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("process pool: {text}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Registry, codec};
    use super::*;
    use serde::Serialize;

    /// Does not encode.
    #[derive(serde::Deserialize)]
    struct Mute;

    impl Serialize for Mute {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("mute"))
        }
    }

    fn known_job(_: Mute) {}

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        fn stranger(_: u8) {}
        let twice = Registry::new().job("a", |x: u8| x).job("a", |x: u16| x);
        let known = Registry::new().job("known", known_job);
        for (builder, name) in [
            (Builder::default().workers(0), "workers = 0"),
            (Builder::default().workers(usize::MAX), "workers = "),
            (Builder::default().startup_timeout(Duration::ZERO), "startup_timeout"),
            (Builder::default().max_frame_bytes(0), "max_frame_bytes = 0"),
            (Builder::default().max_frame_bytes(usize::MAX), "max_frame_bytes"),
            (Builder::default().workers(2).min_workers(3), "min_workers = 3"),
            (Builder::default().idle_timeout(Duration::ZERO), "idle_timeout = 0"),
            (Builder::default().max_jobs_per_worker(0), "max_jobs_per_worker = 0"),
            (Builder::default().memory_limit(LEAST_MEMORY - 1), "memory_limit = "),
            (Builder::default().breaker(0, Duration::MAX), "deaths = 0"),
            (Builder::default().breaker(1, Duration::ZERO), "window = 0"),
            (Builder::default().initializer(stranger, (1,)), "stranger` is not a job"),
            (Builder::default().registry(twice), "two jobs are named `a`"),
            (Builder::default().registry(known.clone()).initializer(known_job, (Mute,)), "cannot encode"),
        ] {
            let error = builder.check().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_ends_of_the_ranges_are_accepted() {
        for builder in [
            Builder::default().workers(1).queue_limit(0).max_frame_bytes(LEAST_FRAME_BYTES),
            Builder::default()
                .workers(MOST_WORKERS)
                .queue_limit(usize::MAX)
                .max_frame_bytes(u32::MAX as usize),
            Builder::default().startup_timeout(Duration::MAX),
            Builder::default().workers(3).min_workers(3).idle_timeout(Duration::from_nanos(1)),
            Builder::default().max_jobs_per_worker(1).memory_limit(LEAST_MEMORY),
            Builder::default().breaker(1, Duration::from_nanos(1)),
        ] {
            builder.check().unwrap();
        }
    }

    #[test]
    fn the_initializer_is_found_wherever_the_registry_comes() {
        let triple = |x: u64| 3 * x;
        let registry = Registry::new().job("triple", triple);
        let options = Builder::default().initializer(triple, (300,)).registry(registry).check().unwrap();
        let initializer = options.initializer.unwrap();
        assert_eq!(initializer.name, "triple");
        assert_eq!(options.table.entry(initializer.number).unwrap().name(), "triple");
        assert_eq!(codec::decode::<(u64,)>(&initializer.arguments), Ok((300,)));
    }

    #[test]
    fn the_window_of_the_breaker_covers_slow_starts_unless_it_is_set() {
        let window = |builder: Builder| builder.check().unwrap().breaker_window;
        assert_eq!(window(Builder::default().startup_timeout(Duration::from_secs(1))), BREAKER.1);
        let slow = Builder::default().startup_timeout(Duration::from_secs(10));
        assert_eq!(window(slow.clone()), Duration::from_secs(60));
        assert_eq!(window(slow.breaker(2, Duration::from_secs(3))), Duration::from_secs(3));
    }
}
