//! What it costs to ship an item's bytes to a worker process and back.
//!
//! The measured work ships a description and a digest. Where the items of the question carry bytes, a job that gives back
//! what it gets is called with them and without, by turns, on a pool of the same size; the difference is the price of an
//! item, and is added to the samples of the processes before they are judged. Nothing computes beside it there, so copying that
//! would hide behind the computing of other workers counts in full: the price is an upper one. Threads and async tasks
//! share memory and ship nothing.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use crossover_reports::record::Sample;
use crossover_runtime::process_pool::{ProcessPool, job};
use crossover_runtime::runtime::{Builder, Runtime};

use super::question::Contender;
use crate::probe::Usage;

/// The most bytes of one item.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// Calls at once: as many as hold this many bytes, but no fewer and no more than these.
const BYTES_AT_ONCE: u64 = 32 << 20;
const CALLS_MIN: u64 = 4;
const CALLS_MAX: u64 = 256;

/// Measuring takes this long for all pools together.
const TIME: Duration = Duration::from_millis(1200);

/// The fewest and the most pairs of measurements of a pool.
const TURNS_MIN: usize = 5;
const TURNS_MAX: usize = 101;

/// What an item's bytes cost on a pool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shipping {
    /// The contender's name.
    pub(super) name: String,
    pub(super) workers: u32,
    /// More wall time for an item, all workers together.
    pub(super) wall: Duration,
    /// More CPU time for an item, on both sides.
    pub(super) cpu: Duration,
}

#[job]
fn give_back(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Measures what `bytes` there and back cost on the pools of those `contenders` that are pools of processes.
pub(super) fn measure(bytes: u64, contenders: &[Contender]) -> Result<Vec<Shipping>> {
    let pools: Vec<(&Contender, u32)> = contenders
        .iter()
        .filter(|contender| contender.base == "processes")
        .filter_map(|contender| Some((contender, contender.workers?)))
        .collect();
    let time = TIME / u32::try_from(pools.len()).unwrap_or(u32::MAX).max(1);
    pools
        .into_iter()
        .map(|(contender, workers)| {
            let [wall, cpu] = Ship::start(workers)?.price(bytes, time)?;
            Ok(Shipping { name: contender.name.clone(), workers, wall, cpu })
        })
        .collect()
}

/// Adds what was measured to the samples of the pools. It does not depend on how long the items wait and compute.
pub(super) fn add(shipping: &[Shipping], samples: &mut [Sample]) {
    for sample in samples {
        let Some(price) = shipping.iter().find(|price| price.name == sample.strategy) else { continue };
        let of_all = |each: Duration| (each.as_nanos() as f64 * sample.tasks as f64) as u64;
        sample.wall_ns = sample.wall_ns.saturating_add(of_all(price.wall));
        sample.user_ns = sample.user_ns.saturating_add(of_all(price.cpu));
    }
}

/// A pool of worker processes and the runtime that waits for it.
struct Ship {
    pool: ProcessPool,
    runtime: Runtime,
}

impl Ship {
    fn start(workers: u32) -> Result<Self> {
        let pool = ProcessPool::builder()
            .workers(workers as usize)
            .min_workers(workers as usize)
            .queue_limit(usize::MAX)
            .build()
            .with_context(|| format!("cannot start a pool of {workers} processes"))?;
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
        let warm = runtime.block_on(pool.warm_up());
        warm.with_context(|| format!("cannot start {workers} worker processes"))?;
        Ok(Self { pool, runtime })
    }

    /// The median over turns of what an item with `bytes` costs more than one without: wall and CPU time.
    fn price(&self, bytes: u64, time: Duration) -> Result<[Duration; 2]> {
        let calls = (BYTES_AT_ONCE / bytes.max(1)).clamp(CALLS_MIN, CALLS_MAX);
        let started = Instant::now();
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        self.turn(bytes, calls)?;
        while walls.len() < TURNS_MIN || walls.len() < TURNS_MAX && started.elapsed() < time {
            let [empty_wall, empty_cpu] = self.turn(0, calls)?;
            let [wall, cpu] = self.turn(bytes, calls)?;
            walls.push(wall - empty_wall);
            cpus.push(cpu - empty_cpu);
        }
        let each = |differences: &mut Vec<f64>| {
            differences.sort_by(f64::total_cmp);
            let median = differences.get(differences.len() / 2).copied().unwrap_or(0.0);
            Duration::from_secs_f64(median.max(0.0) / calls as f64)
        };
        Ok([each(&mut walls), each(&mut cpus)])
    }

    /// Seconds of wall and CPU time of `calls` calls at once.
    fn turn(&self, bytes: u64, calls: u64) -> Result<[f64; 2]> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let items: Vec<Vec<u8>> = (0..calls).map(|_| vec![1; length]).collect();
        let used = || Usage::own().plus(Usage::of(self.pool.worker_pids()));
        let before = used();
        let start = Instant::now();
        let calls: Vec<_> = items.into_iter().map(|item| self.pool.call(give_back, (item,))).collect();
        self.runtime.block_on(async {
            for call in calls {
                let back = call.await.map_err(|error| anyhow!("shipping {bytes} bytes: {error}"))?;
                anyhow::ensure!(back.len() == length, "shipping {bytes} bytes: {} came back", back.len());
            }
            Ok(())
        })?;
        let wall = start.elapsed();
        let used = used().since(before);
        Ok([wall.as_secs_f64(), (used.user_ns + used.sys_ns) as f64 / 1e9])
    }
}

/// Reads a number of bytes as people write it: `64KiB`, `1MiB`, `1500`, `2MB`, `0`.
///
/// # Errors
/// The reason, as a sentence that shows `text`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let shown = crate::config::shown(text);
    let form = || format!("\"{shown}\" is not a number of bytes: write 1500, 64KiB, 1MiB or 0");
    let trimmed = text.trim();
    let at = trimmed.find(|c: char| c.is_alphabetic()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(at);
    let size = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1_048_576.0,
        _ => return Err(form()),
    };
    let number: f64 = number.trim().parse().map_err(|_| form())?;
    if number < 0.0 {
        return Err(format!("\"{shown}\" is impossible: nothing has fewer than 0 bytes"));
    }
    let bytes = (number * size).round();
    if bytes > BYTES_MAX as f64 {
        return Err(format!("\"{shown}\" is too much for one item: at most 64MiB"));
    }
    if !bytes.is_finite() {
        return Err(form());
    }
    Ok(bytes as u64)
}

/// A number of bytes in words.
pub(super) fn told(bytes: u64) -> String {
    let shown = |size: u64, unit: &str| {
        let value = format!("{:.1}", bytes as f64 / size as f64);
        format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
    };
    match bytes {
        0..1024 => crate::text::count(bytes, "byte"),
        1024..1_048_576 => shown(1024, "KiB"),
        _ => shown(1 << 20, "MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1500),
            ("64KiB", 65_536),
            ("1 MiB", 1 << 20),
            ("2MB", 2_000_000),
            ("0.5k", 512),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for (text, reason) in [
            ("", "not a number"),
            ("-1", "fewer than 0"),
            ("65MiB", "too much"),
            ("1e300", "not a number"),
            ("99999999999999", "too much"),
            ("3 parsecs", "not a number"),
            ("inf", "not a number"),
        ] {
            let error = parse_bytes(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
        let words = [(1, "1 byte"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (1 << 20, "1 MiB")];
        for (bytes, expected) in words {
            assert_eq!(told(bytes), expected);
        }
    }

    fn sample(strategy: &str) -> Sample {
        let line = format!(
            r#"{{"schema":1,"run":"r","cell":"all","params":{{}},"strategy":"{strategy}","process":0,"round":0,"order":0,
            "seed":1,"batch":1,"tasks":10,"wall_ns":1000,"user_ns":100,"sys_ns":0,"rss_peak_kib":1,"vcsw":0,"ivcsw":0,
            "steal_ticks":0,"foreign_cores":0.0,"psi_cpu":null,"checksum":"0","ok":true,"quarantined":null}}"#
        );
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn only_processes_pay_for_each_of_their_items() {
        let price = Shipping {
            name: "processes-2".to_owned(),
            workers: 2,
            wall: Duration::from_nanos(50),
            cpu: Duration::from_nanos(80),
        };
        let mut samples = ["threads-2", "processes-2"].map(sample);
        add(&[price], &mut samples);
        assert_eq!(samples.each_ref().map(|s| (s.wall_ns, s.user_ns)), [(1000, 100), (1500, 900)]);
    }
}
